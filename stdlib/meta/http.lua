---@meta http
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Requests to web servers, within the permissions granted by `--allow-net` or the runbook's
--- manifest.
---
--- Proxies and certificates are those of the calls to AWS: `HTTPS_PROXY`, `NO_PROXY`,
--- `AWS_CA_BUNDLE`.
---
--- Under a plan, `GET` and `HEAD` are sent, and any other request is listed as `would send …`.
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
---@class http
http = {}

---@class (exact) http.Options
---@field query? table<string, string|number|boolean> added to the address
---@field headers? table<string, string>
---@field timeout? string|number the longest time until the whole answer is there. Default: "30s"
---@field plan? fun(method: string, url: string): any replacement of the request under a plan

---@class (exact) http.RequestOptions: http.Options
---@field method? string such as "DELETE". Default: "GET"
---@field body? any text, or a table that is sent as JSON

--- Answer of a server.
---
--- An answer with an error status is a result, not an error.
---@class http.Response
---@field status integer such as 200
---@field ok boolean true for a status from 200 to 299
---@field body string
---@field headers table<string, string> by name, in which case is ignored
---@field url string the address that has answered, after redirects
local Response = {}

--- Decodes the body as JSON.
---
--- Raises an argument error if it is none.
---@return any
function Response:json() end

--- Reads from a server.
---
--- Other tasks continue meanwhile. Redirects are followed to allowed hosts, at most five, and never
--- from https to http; another host gets no headers such as `Authorization`.
---
--- Raises an error of kind "permission" for a host that was not allowed, and one of kind
--- "connection" without an answer, for one larger than 64 MiB, and after the timeout. Nothing is
--- tried again.
---
--- ```lua
--- local page, err = try(http.get, "http://127.0.0.1:1/", { timeout = "2s" }) -- with --allow-net
--- print(page and page.headers["Content-Type"] or err.kind)
--- ```
---@param url string
---@param options? http.Options
---@return http.Response
function http.get(url, options) end

--- Sends text, or a table as JSON.
---
--- The answer of a redirect is returned as it is.
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
function http.post(url, body, options) end

--- Sends a request with any method.
---
--- Otherwise as `http.get` for `GET` and `HEAD`, and as `http.post` for all others.
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
function http.request(url, options) end

return http
