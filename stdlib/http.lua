--- Requests to web servers, within the permissions granted by `--allow-net` or the runbook's
--- manifest. Proxies and certificates are those of the calls to AWS: `HTTPS_PROXY`, `NO_PROXY`,
--- `AWS_CA_BUNDLE`.
---
--- ```lua
--- local function owners(team) -- with --allow-net=api.example.com
---   local answer = http.get("https://api.example.com/owners", {
---     query = { team = team },
---     headers = { Authorization = "Bearer " .. env.require("API_TOKEN") },
---   })
---   assert(answer.ok, answer.status)
---   return answer:json()
--- end
---
--- local function notify(text) -- with --allow-net=hooks.example.com
---   http.post("https://hooks.example.com/services/x", { text = text })
--- end
--- ```
---
--- Under a plan, `GET` and `HEAD` are sent, and any other request is listed as `would send …`.
---@class http
local http = {}

local _, host = ...
local inspect = require("inspect")

---@class http.Options
---@field query? table<string, string|number|boolean> added to the address
---@field headers? table<string, string>
---@field timeout? string|number the longest time until the whole answer is there. Default: "30s"
---@field plan? fun(method: string, url: string): any replacement of the request under a plan

---@class http.RequestOptions: http.Options
---@field method? string such as "DELETE". Default: "GET"
---@field body? any text, or a table that is sent as JSON

--- Answer of a server. An answer with an error status is a result, not an error.
---@class http.Response
---@field status integer such as 200
---@field ok boolean true for a status from 200 to 299
---@field body string
---@field headers table<string, string> by name, in which case is ignored
---@field url string the address that has answered, after redirects
local Response = { __name = "http.Response" }
Response.__index = Response

-- Headers of an answer have names in lower case.
local Headers = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, string.lower(name)) or nil
  end,
}

--- Decodes the body as JSON. Raises an argument error if it is none.
---@return any
function Response:json()
  if type(self) ~= "table" or type(self.body) ~= "string" then
    host.fail(
      "argument",
      "response:json: called on a " .. type(self),
      "it is called as response:json(), with a colon"
    )
  end
  local ok, value = host.fallible.json_decode(self.body)
  if ok then
    return value
  end
  local problem = string.gsub(value.message, "^json%.decode: ", "")
  host.fail(
    value.kind,
    "response:json: the answer with the status " .. tostring(self.status) .. ": " .. problem
  )
end

local MAX_PAIRS = 1000

-- Names and values of a table, one after the other and sorted by name.
local function pairs_of(given, what, name)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    host.fail("argument", name .. ": " .. what .. " must be a table, got " .. type(given))
  end
  local names = {}
  for key in next, given do
    if type(key) ~= "string" then
      host.fail(
        "argument",
        name .. ": " .. what .. " must have names, but there is the key " .. inspect(key)
      )
    elseif #names == MAX_PAIRS then
      host.fail("argument", name .. ": " .. what .. " has more than " .. MAX_PAIRS .. " names")
    end
    names[#names + 1] = key
  end
  table.sort(names)
  local list = {}
  for _, key in ipairs(names) do
    local value = given[key]
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      host.fail(
        "argument",
        name .. ": " .. what .. ": " .. inspect(key) .. " must be text, got " .. kind
      )
    end
    list[#list + 1] = key
    list[#list + 1] = tostring(value)
  end
  return list
end

local function has(list, wanted)
  for i = 1, #list, 2 do
    if string.lower(list[i]) == wanted then
      return true
    end
  end
  return false
end

-- Body as text; adds its type to the headers.
local function body_of(body, headers, name)
  if body == nil then
    return nil
  end
  local kind, text = "text/plain; charset=utf-8", body
  if type(body) == "table" then
    local ok, encoded = host.fallible.json_encode(body)
    if not ok then
      host.fail("argument", name .. ": the body: " .. encoded.message)
    end
    kind, text = "application/json", encoded
  elseif type(body) ~= "string" then
    host.fail("argument", name .. ": the body must be text or a table, got " .. type(body))
  end
  if not has(headers, "content-type") then
    headers[#headers + 1] = "content-type"
    headers[#headers + 1] = kind
  end
  return text
end

local function send(name, method, url, body, options)
  if type(url) ~= "string" then
    host.fail("argument", name .. ": the address must be a string, got " .. type(url))
  elseif type(method) ~= "string" then
    host.fail("argument", name .. ": the method must be a string, got " .. type(method))
  end
  local plan = options.plan
  if plan ~= nil and not host.is_callable(plan) then
    host.fail("argument", name .. ": plan must be a function, got " .. type(plan))
  end
  local query = pairs_of(options.query, "query", name)
  local headers = pairs_of(options.headers, "headers", name)
  local text = body_of(body, headers, name)
  local timeout = 30.0
  if options.timeout ~= nil then
    timeout = host.seconds(options.timeout, name .. ": timeout")
  end
  local started =
    host.http_start(name, method, url, query, headers, text, timeout, plan ~= nil)
  if not started then
    if plan then
      return plan(string.upper(method), url)
    end
    host.not_run = name .. "(…)"
    return nil, "not sent: this is a plan"
  end
  local response = host.await(started.handle)
  response.body = host.http_body(started.body)
  response.ok = response.status >= 200 and response.status < 300
  setmetatable(response.headers, Headers)
  return setmetatable(response, Response)
end

local OPTIONS = { "query", "headers", "timeout", "plan" }
local REQUEST_OPTIONS = { "method", "body", "query", "headers", "timeout", "plan" }

--- Reads from a server. Other tasks continue meanwhile. Redirects are followed to allowed hosts, at
--- most five, and never from https to http; another host gets no headers such as `Authorization`.
---
--- Raises an error of kind "permission" for a host that was not allowed, and one of kind
--- "connection" without an answer, for one larger than 64 MiB, and after the timeout. Nothing is
--- tried again.
---
--- ```lua --allow-net=127.0.0.1
--- local page, err = try(http.get, "http://127.0.0.1:1/", { timeout = "2s" }) -- with --allow-net
--- print(page and page.headers["Content-Type"] or err.kind)
--- ```
---@param url string
---@param options? http.Options
---@return http.Response
function http.get(url, options)
  options = host.check_options("http.get", options, OPTIONS)
  return (send("http.get", "GET", url, nil, options))
end

--- Sends text, or a table as JSON. The answer of a redirect is returned as it is.
---
--- Under a plan nothing is sent, and the plan lists the request without its headers, query and
--- body. Instead, `plan` is called and its result is returned. Without `plan` the result is nil,
--- with a note that explains it. `--plan-runs-programs` sends requests under a plan too. Read-only
--- mode restricts only the account, so there requests are sent.
---
--- ```lua
--- local function notify(text)
---   local posted = http.post("https://hooks.example.com/services/x", { text = text }, {
---     plan = function()
---       return { ok = true, status = 200 }
---     end,
---   })
---   assert(posted.ok, posted.status)
--- end
--- ```
---@param url string
---@param body? string|table
---@param options? http.Options
---@return http.Response? response nil under a plan without `plan`
---@return string? note under a plan, the reason why there is no answer
function http.post(url, body, options)
  options = host.check_options("http.post", options, OPTIONS)
  return send("http.post", "POST", url, body, options)
end

--- Sends a request with any method. Otherwise as `http.get` for `GET` and `HEAD`, and as
--- `http.post` for all others.
---
--- ```lua
--- local function remove(id) -- with --allow-net=api.example.com
---   return http.request("https://api.example.com/owners/" .. id, { method = "DELETE" })
--- end
--- ```
---@param url string
---@param options? http.RequestOptions
---@return http.Response? response nil under a plan without `plan`
---@return string? note under a plan, the reason why there is no answer
function http.request(url, options)
  local name = "http.request"
  options = host.check_options(name, options, REQUEST_OPTIONS)
  local method = options.method
  if method == nil then
    method = "GET"
  end
  return send(name, method, url, options.body, options)
end

return http
