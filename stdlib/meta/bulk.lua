---@meta bulk
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Work on many items, several of them at once: while one waits for AWS, others go on.
---
--- Items are taken from the source only when they are needed, so that a million of them need no
--- memory. An item whose function raises is counted and said on standard error, and the others go
--- on; at its end the run exits with 1 then. What would fail the same way for all of them, such as
--- expired credentials or the limit of changes, ends the whole. What is protected is left alone and
--- counts as skipped.
---
--- ```lua
--- bulk.each(iam.profiles.each { path_prefix = "/ec2/" }, { label = "tag" }, function(profile)
---   iam.profiles.tag(profile.name, { Owner = "ops" })
--- end)
--- ```
---@class bulk
bulk = {}

---@class bulk.Options
---@field concurrency? integer how many items at once, 1 to 1,024; without it as many as the account can take
---@field label? string the word for it in messages; default "bulk"
---@field on_error? "continue"|"stop" whether other items are begun after one has failed; default "continue"

---@class bulk.Failure
---@field item any the item
---@field error iam.Error what its function raised

---@class bulk.Result
---@field ok integer how many items are done
---@field failed integer how many have failed
---@field skipped integer how many were left alone
---@field errors bulk.Failure[] the first 1,000 failures
---@field skips table<string, integer> how many were skipped, by reason

--- an iterator
---@class bulk.Stream
---@field result bulk.Result
---@overload fun(): any

--- To be returned by the function of an item that needed nothing done: it counts as skipped.
---
--- ```lua
--- local result = bulk.each(iam.profiles.each { with_tags = true }, { label = "tag" }, function(profile)
---   if profile.tags.Owner then
---     return bulk.skip("has an owner")
---   end
---   iam.profiles.tag(profile.name, { Owner = "ops" })
--- end)
--- print(result.ok, result.skips["has an owner"])
--- ```
---@param reason? string why, in a few words: the summary counts them
---@return any
function bulk.skip(reason) end

--- Whether every other item would fail the same way: the credentials have expired, a limit is
--- reached, the run is being stopped.
---
--- Such an error ends the whole.
---@param err iam.Error
---@return boolean
function bulk.is_hopeless(err) end

--- Calls a function for every item, several at once, and returns how many are done, have failed and
--- were skipped.
---
--- Raises only what ends the whole: an error of the source, of an item with `on_error = "stop"`,
--- and what would fail for all of them.
---@generic T
---@param source T[]|fun(): T? an array, or an iterator
---@param options? bulk.Options
---@param f fun(item: T): any
---@return bulk.Result
function bulk.each(source, options, f) end

--- The same, and returns what the function returned for each item, in the order of the items: an
--- array with nil for those that failed or were skipped, and their number in `n`.
---
--- It holds them all at once; `bulk.stream` does not.
---
--- ```lua
--- local tags = bulk.map({ "web-frontend", "bastion" }, {}, iam.profiles.tags)
--- print(tags[1].Owner, tags[2].Owner)
--- ```
---@generic T, R
---@param source T[]|fun(): T? an array, or an iterator
---@param options? bulk.Options
---@param f fun(item: T): R
---@return R[] results
---@return bulk.Result
function bulk.map(source, options, f) end

--- The same as an iterator over what the function returns, in the order of the items, without those
--- that failed or were skipped.
---
--- Items are worked on ahead, as many as `concurrency` allows, and no further. Its field `result`
--- is brought up to date as it goes on.
---
--- ```lua
--- report(bulk.stream(iam.profiles.each(), {}, function(profile)
---   return iam.profiles.get(profile.name)
--- end))
--- ```
---@generic T, R
---@param source T[]|fun(): T? an array, or an iterator
---@param options? bulk.Options
---@param f fun(item: T): R
---@return bulk.Stream
function bulk.stream(source, options, f) end

return bulk
