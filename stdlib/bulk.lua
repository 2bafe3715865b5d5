--- Concurrent work on many items: while one waits for AWS, others continue.
---
--- ```lua
--- bulk.each(iam.profiles.each { path_prefix = "/ec2/" }, { label = "tag" }, function(profile)
---   iam.profiles.tag(profile.name, { Owner = "ops" })
--- end)
--- ```
---
--- Items are taken from the source on demand, so memory use does not grow with their number. An
--- error of one item is counted and printed on standard error; the other items continue, and the
--- run exits with 1 at its end. An error that every other item would meet too, such as expired
--- credentials or the limit of changes, ends the whole operation. A protected profile or role is
--- left alone and counts as skipped.
---@class bulk
local bulk = {}

local _, host = ...
local inspect = require("inspect")
local log = require("log")

-- Default number of concurrent items at the start.
local INITIAL = 6
-- Number of items after which the concurrency grows by one, unless AWS throttles.
local STEP = 64
-- Upper bound of that growth.
local MAX_CONCURRENCY = 64
-- Upper bound on the option `concurrency`.
local MAX_REQUESTED = 1024
-- Number of failures that are kept, and that are reported as they happen. All are counted.
local MAX_KEPT, MAX_REPORTED = 1000, 20

--- Options of bulk work. With `on_error = "stop"` no further item is started after a failure.
--- Without `concurrency`, the number of items at once grows until AWS throttles.
---@class bulk.Options
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

---@class bulk.Stream an iterator
---@field result bulk.Result
---@overload fun(): any

-- Errors that would repeat for every other item.
local HOPELESS_KINDS = {
  refused = true,
  credentials = true,
  permission = true,
  interrupted = true,
  timeout = true,
  bug = true,
}
local HOPELESS_CODES = {
  ExpiredToken = true,
  ExpiredTokenException = true,
  InvalidClientTokenId = true,
  SignatureDoesNotMatch = true,
  UnrecognizedClientException = true,
}

-- Coroutines that run items. Bulk work that they start belongs to the item.
local inside = setmetatable({}, { __mode = "k" })

local Skip = { __name = "skip" }

--- Marks an item as skipped. The item's function returns the result of this call when there was
--- nothing to do.
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
function bulk.skip(reason)
  if reason ~= nil and type(reason) ~= "string" then
    host.fail("argument", "bulk.skip: the reason must be a string, got " .. type(reason))
  end
  return setmetatable({ reason = reason or "nothing to do" }, Skip)
end

--- Returns true for an error that every other item would meet too: expired credentials, an exceeded
--- limit, a run that is being stopped. Such an error ends the whole operation.
---@param err iam.Error
---@return boolean
function bulk.is_hopeless(err)
  return HOPELESS_KINDS[err.kind] or HOPELESS_CODES[err.code] or false
end

-- Name of an item in messages.
local function name_of(item)
  if type(item) == "table" and type(rawget(item, "name")) == "string" then
    return inspect.visible(item.name)
  elseif type(item) == "string" then
    return inspect.visible(item)
  end
  local text = inspect(item, { width = math.maxinteger })
  return #text > 60 and string.sub(text, 1, 57) .. "…" or text
end

-------------------------------------------------------------------------------------------- Sources

-- Function that returns the next item, and the number of items if it is known.
local function open(source, name)
  local uncalled = host.is_entry[source]
  if uncalled then
    host.fail(
      "argument",
      name .. ": the source is the function " .. uncalled .. " itself, not what it returns",
      "call it: " .. uncalled .. "()"
    )
  elseif host.is_callable(source) then
    return source, nil
  elseif type(source) ~= "table" or (rawlen(source) == 0 and next(source) ~= nil) then
    host.fail(
      "argument",
      name
        .. ": the source must be an array or an iterator, got "
        .. (type(source) == "table" and "one record" or type(source)),
      name .. "(iam.profiles.each(), { label = … }, function(profile) … end)"
    )
  end
  local at, count = 0, rawlen(source)
  return function()
    at = at + 1
    return source[at]
  end, count
end

-- Waits for a turn. `list` holds the latches of all that wait.
local function wait_in(list)
  local latch = host.latch()
  list[#list + 1] = latch
  host.wait_for(latch)
end

local function wake_one(list)
  local latch = table.remove(list, 1)
  if latch then
    host.release(latch)
  end
end

local function wake_all(list)
  while #list > 0 do
    wake_one(list)
  end
end

----------------------------------------------------------------------------------------------- Work

local Work = {}
Work.__index = Work

local function options_of(name, options)
  options = host.check_options(name, options, { "concurrency", "label", "on_error" })
  local limit, label, on_error = options.concurrency, options.label, options.on_error
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1 or limit > MAX_REQUESTED) then
    host.fail(
      "argument",
      name .. ": concurrency must be a whole number from 1 to 1024, got " .. inspect(limit)
    )
  elseif label ~= nil and type(label) ~= "string" then
    host.fail("argument", name .. ": label must be a string, got " .. type(label))
  elseif on_error ~= nil and on_error ~= "continue" and on_error ~= "stop" then
    host.fail(
      "argument",
      name .. ': on_error must be "continue" or "stop", got ' .. inspect(on_error)
    )
  end
  return limit, label and inspect.visible(label) or "bulk", on_error == "stop"
end

-- Work on the items of `source`. `settle(at, value)` receives the result of the function for the
-- item at that place, nil for one that failed or was skipped.
local function new_work(name, source, options, f, settle)
  if f == nil and host.is_callable(options) then
    options, f = nil, options
  end
  local limit, label, stops = options_of(name, options)
  if not host.is_callable(f) then
    host.fail(
      "argument",
      name .. ": the last argument must be a function, got " .. type(f),
      "write " .. name .. "(items, function(item) … end), or options between the two"
    )
  end
  local pull, total = open(source, name)
  return setmetatable({
    label = label,
    pull = pull,
    f = f,
    settle = settle,
    stops = stops,
    limit = limit or INITIAL,
    is_automatic = limit == nil,
    begun = 0,
    workers = 0,
    waiting = {},
    throttled = host.throttled(),
    total = total,
    is_inner = inside[coroutine.running()] == true,
    under_way = {},
    result = { ok = 0, failed = 0, skipped = 0, errors = {}, skips = {} },
  }, Work)
end

-- Kinds of errors of a script, rather than of what it works on.
local BUGS = { script = true, argument = true, bug = true }

-- Frames of a traceback, from the innermost on.
local function frames(trace)
  local all = {}
  for line in string.gmatch(trace, "[^\n]+") do
    all[#all + 1] = string.match(line, "^%s*(.*)$")
  end
  return all
end

function Work:fail(item, err)
  local result = self.result
  if err.kind == "protected" then
    self:skip("protected")
    log.warn("left alone", { item = name_of(item), because = err.message })
    return
  end
  result.failed = result.failed + 1
  host.count_failed(self.tally)
  if #result.errors < MAX_KEPT then
    table.insert(result.errors, { item = item, error = err })
  end
  if self.stops or bulk.is_hopeless(err) then
    self.failure = self.failure or err
    err.item = err.item or item
    self.is_ended = true
  elseif result.failed <= MAX_REPORTED then
    local trace = BUGS[err.kind] and err.traceback
    log.error(self.label .. " failed", {
      at = trace and table.concat(frames(trace), " < ") or nil,
      item = name_of(item),
      error = (err.code and err.code .. ": " or "") .. err.message,
      request = err.request_id,
      hint = err.hint,
    })
    if result.failed == MAX_REPORTED then
      log.error(self.label .. ": further failures are only counted")
    end
  end
end

function Work:skip(reason)
  local result = self.result
  result.skipped = result.skipped + 1
  result.skips[reason] = (result.skips[reason] or 0) + 1
  host.count_skipped(self.tally)
end

-- Next item and its place; nil if there is none, or no more may start. Serialized, because a source
-- may wait itself.
function Work:take()
  while self.is_pulling do
    wait_in(self.waiting)
  end
  if self.is_ended then
    wake_all(self.waiting)
    return nil
  end
  self.is_pulling = true
  local ok, item = xpcall(self.pull, host.handler)
  self.is_pulling = false
  wake_one(self.waiting)
  if not ok then
    self.failure = self.failure or item
    item = nil
  end
  if item == nil then
    self.is_ended = true
    return nil
  end
  self.begun = self.begun + 1
  host.count_begun(self.tally)
  return item, self.begun
end

-- Raises the concurrency, unless the account is throttled.
function Work:grow()
  if self.begun % STEP == 0 and self.limit < MAX_CONCURRENCY then
    if host.throttled() == self.throttled then
      self.limit = self.limit + 1
    else
      self.is_automatic = false
    end
  end
end

-- Starts one more worker if there is room. It runs as soon as those before it wait.
function Work:hire()
  if self.workers >= self.limit or self.is_ended then
    return
  end
  self.workers = self.workers + 1
  local handle
  local co = coroutine.create(function()
    self:labour()
    self.workers = self.workers - 1
    host.finish(handle)
    if self.workers == 0 then
      wake_all(self.idle)
    end
  end)
  inside[co] = true
  handle = host.spawn(co)
end

function Work:labour()
  local f, settle, tally, result = self.f, self.settle, self.tally, self.result
  local handler, count_done = host.handler, host.count_done
  while true do
    local item, at = self:take()
    if item == nil then
      return
    end
    if self.is_automatic then
      self:grow()
    end
    self.under_way[at] = item
    self:hire()
    local ok, value = xpcall(f, handler, item)
    self.under_way[at] = nil
    if not ok then
      self:fail(item, value)
      value = nil
    elseif getmetatable(value) == Skip then
      self:skip(value.reason)
      value = nil
    else
      result.ok = result.ok + 1
      count_done(tally)
    end
    if settle then
      settle(at, value)
    end
  end
end

-- Starts the work: the first worker takes the first item, and hires the next one.
function Work:start()
  self.idle = {}
  self.tally = host.tally(self.label, self.total, self.is_inner)
  host.works[self.tally] = self
  self:hire()
end

function Work:wait()
  while self.workers > 0 do
    wait_in(self.idle)
  end
end

local function reasons(skips)
  local words = {}
  for reason, count in pairs(skips) do
    words[#words + 1] = string.format("%s %d", inspect.visible(reason), count)
  end
  table.sort(words)
  return table.concat(words, ", ")
end

-- Ends the work: prints the summary, and raises the error that ended it early.
function Work:finish()
  if self.is_finished then
    return self.result
  end
  self.is_finished = true
  host.works[self.tally] = nil
  local result = self.result
  local names = {}
  for i = 1, math.min(#result.errors, 10) do
    names[i] = name_of(result.errors[i].item)
  end
  -- An error that is raised here need not be reported again at the end of the run.
  local failures = not self.failure and table.concat(names, ", ") or nil
  local summary = host.tally_end(self.tally, failures, reasons(result.skips))
  if summary then
    host.print_err(summary .. "\n")
  end
  if self.failure then
    error(self.failure, 0)
  end
  -- So that `report(bulk.map(…))` does not take it for options.
  host.bulk_results[result] = true
  return result
end

------------------------------------------------------------------------------------------ Functions

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
function bulk.each(source, options, f)
  local work = new_work("bulk.each", source, options, f)
  work:start()
  work:wait()
  return work:finish()
end

--- Calls a function for every item, as `bulk.each` does, and also returns the function's results in
--- the order of the items. The result is an array with nil for items that failed or were skipped,
--- and the number of items in `n`. All results are held in memory; `bulk.stream` holds only a few.
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
function bulk.map(source, options, f)
  local results = setmetatable({ n = 0 }, host.array_meta)
  local work = new_work("bulk.map", source, options, f, function(at, value)
    results[at] = value
  end)
  work:start()
  work:wait()
  results.n = work.begun
  return results, work:finish()
end

--- Returns an iterator over the function's results, in the order of the items, without those that
--- failed or were skipped. Otherwise it works as `bulk.each`. The function runs ahead of the
--- consumer by at most twice the concurrency. The field `result` of the iterator is updated while
--- it runs.
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
function bulk.stream(source, options, f)
  local ready, is_settled, next_at = {}, {}, 1
  local consumer, producers = {}, {}
  local work
  work = new_work("bulk.stream", source, options, f, function(at, value)
    ready[at], is_settled[at] = value, true
    if at == next_at then
      wake_all(consumer)
    end
    -- Bounds the lead over the consumer to twice the concurrency. A consumer that stops reading
    -- blocks nothing.
    while at - next_at >= 2 * work.limit and not work.is_ended do
      host.rest(true)
      wait_in(producers)
      host.rest(false)
    end
  end)
  local function next_value()
    if not work.idle then
      work:start()
      work.idle = consumer
    end
    while true do
      while is_settled[next_at] do
        local value = ready[next_at]
        ready[next_at], is_settled[next_at] = nil, nil
        next_at = next_at + 1
        wake_all(producers)
        if value ~= nil then
          return value
        end
      end
      if work.workers == 0 then
        work:finish()
        return nil
      end
      wait_in(consumer)
    end
  end
  return setmetatable({ result = work.result }, { __name = "stream", __call = next_value })
end

return bulk
