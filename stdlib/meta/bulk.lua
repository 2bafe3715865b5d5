---@meta bulk
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Concurrent work on many items: while one waits for AWS, others continue.
---
--- Items are taken from the source on demand, so memory use does not grow with their number. An
--- error of one item is counted and printed on standard error; the other items continue, and the
--- run exits with 1 at its end. An error that every other item would meet too, such as expired
--- credentials or the limit of changes, ends the whole operation. A protected profile or role is
--- left alone and counts as skipped.
---
--- ```lua
--- bulk.each(iam.profiles.each { path_prefix = "/ec2/" }, { label = "tag" }, function(profile)
---   iam.profiles.tag(profile.name, { Owner = "ops" })
--- end)
--- ```
---@class bulk
bulk = {}

--- Options of bulk work.
---
--- With `on_error = "stop"` no further item is started after a failure. Without `concurrency`, the
--- number of items at once grows until AWS throttles.
---@class (exact) bulk.Options
---@field concurrency? integer items at once, 1 to 1,024. Default: adapts to the account
---@field label? string prefix of messages. Default: "bulk"
---@field on_error? "continue"|"stop" reaction to a failed item. Default: "continue"

---@class bulk.Failure
---@field item any the item
---@field error iam.Error the error that its function raised

---@class bulk.Result
---@field ok integer number of items that succeeded
---@field failed integer number of items that failed
---@field skipped integer number of items that were skipped
---@field errors bulk.Failure[] the first 1,000 failures
---@field skips table<string, integer> number of skipped items, by reason

--- an iterator
---@class bulk.Stream
---@field result bulk.Result
---@overload fun(): any

--- Marks an item as skipped.
---
--- The item's function returns the result of this call when there was nothing to do.
---
--- ```lua
--- local profiles = iam.profiles.each { with_tags = true }
--- local result = bulk.each(profiles, { label = "tag" }, function(profile)
---   if profile.tags.Owner then
---     return bulk.skip("has an owner")
---   end
---   iam.profiles.tag(profile.name, { Owner = "ops" })
--- end)
--- print(result.ok, result.skips["has an owner"])
--- ```
---@param reason? string the reason in a few words; the summary counts skipped items by it
---@return any
function bulk.skip(reason) end

--- Returns true for an error that every other item would meet too: expired credentials, an exceeded
--- limit, a run that is being stopped.
---
--- Such an error ends the whole operation.
---@param err iam.Error
---@return boolean
function bulk.is_hopeless(err) end

--- Calls a function for every item, several at once, and returns the number of items that
--- succeeded, failed and were skipped.
---
--- Raises only errors that end the whole operation: an error of the source, of an item with
--- `on_error = "stop"`, and any that `bulk.is_hopeless` recognizes.
---@generic T
---@param source T[]|fun(): T? an array, or an iterator
---@param options? bulk.Options
---@param f fun(item: T): any
---@return bulk.Result
---@overload fun(source: T[]|fun(): T?, f: fun(item: T): any): bulk.Result
function bulk.each(source, options, f) end

--- Calls a function for every item, as `bulk.each` does, and also returns the function's results in
--- the order of the items.
---
--- The result is an array with nil for items that failed or were skipped, and the number of items
--- in `n`. All results are held in memory; `bulk.stream` holds only a few.
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
---@overload fun(source: T[]|fun(): T?, f: fun(item: T): R): R[]
function bulk.map(source, options, f) end

--- Returns an iterator over the function's results, in the order of the items, without those that
--- failed or were skipped.
---
--- Otherwise it works as `bulk.each`. The function runs ahead of the consumer by at most twice the
--- concurrency. The field `result` of the iterator is updated while it runs.
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
---@overload fun(source: T[]|fun(): T?, f: fun(item: T): R): bulk.Stream
function bulk.stream(source, options, f) end

return bulk
