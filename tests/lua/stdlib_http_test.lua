-- Tests of http on servers that the test makes up: what is sent, what comes back, and what a plan
-- holds back. tests/commands/requests.rs has those on a real server.

local function run(code, options)
  options = options or {}
  options.allow_net = options.allow_net or { "api.example.com", "hooks.example.com" }
  local ran = run_runbook(temp_folder { ["main.lua"] = code } .. "/main.lua", nil, options)
  return ran
end

it("a request has a query, headers and a body, and an answer is read", function()
  fake.http("https://api.example.com/owners*", {
    json = { owner = "ops" },
    headers = { ["X-Total"] = "1" },
  })
  fake.http("POST https://hooks.example.com/*", { { status = 503, body = "busy" }, {} })
  local ran = run([[
    local answer = http.get("https://api.example.com/owners?a=1", {
      query = { team = "a b&c", n = 2 },
      headers = { Authorization = "Bearer secret-token" },
    })
    print(answer.status, answer.ok, answer:json().owner, answer.headers["x-TOTAL"], answer.url)
    for i = 1, 2 do
      local posted = http.post("https://hooks.example.com/x", { text = "done" })
      print(posted.status, posted.ok, posted.body)
    end
    http.request("https://hooks.example.com/x", { method = "post", body = "plain" })
  ]])
  assert(ran.code == 0, ran.stderr)
  local url = "https://api.example.com/owners?a=1&n=2&team=a+b%26c"
  assert(
    ran.stdout == "200\ttrue\tops\t1\t" .. url .. "\n503\tfalse\tbusy\n200\ttrue\t\n",
    ran.stdout
  )
  expect(ran.requests[1]):to_equal {
    method = "GET",
    url = url,
    headers = { authorization = "Bearer secret-token" },
  }
  expect(ran.requests[2]):to_have {
    body = '{"text":"done"}',
    headers = { ["content-type"] = "application/json" },
  }
  expect(ran.requests[4]):to_have { method = "POST", body = "plain" }
end)

it("under a plan reads are sent, and other requests are listed without secrets", function()
  fake.http("https://api.example.com/*", { body = "read" })
  local code = [[
    print(http.get("https://api.example.com/x").body)
    print(http.get("https://api.example.com/x", { plan = function(method) return method end }))
    print(http.post("https://hooks.example.com/a?token=secret-1", { key = "secret-2" }, {
      headers = { Authorization = "secret-3" },
    }))
    print(http.request("https://hooks.example.com/a", {
      method = "delete",
      plan = function(method, url) return method .. " " .. url end,
    }))
  ]]
  local ran = run(code, { mode = "plan" })
  local wanted = "read\nGET\nnil\tnot sent: this is a plan\nDELETE https://hooks.example.com/a\n"
  assert(ran.stdout == wanted, ran.stdout .. ran.stderr)
  assert(#ran.requests == 1, json.encode(ran.requests))
  expect(ran.outside):to_equal {
    { kind = "request", method = "POST", url = "https://hooks.example.com/a?…", bytes = 18 },
    { kind = "request", method = "DELETE", url = "https://hooks.example.com/a", bytes = 0 },
  }
  assert(not (ran.stderr .. json.encode(ran.outside)):find("secret", 1, true), ran.stderr)
  ran = run("print(http.post('https://hooks.example.com/a').ok)", { mode = "plan" })
  assert(
    ran.code == 1 and ran.stderr:find("under a plan http.post(…) returns nil", 1, true),
    ran.stderr
  )
end)

it("redirects go to allowed hosts, without secrets, and never lose encryption", function()
  local function redirect(from, to, status)
    fake.http(from, { status = status or 302, headers = { Location = to } })
  end
  fake.http("https://api.example.com/end", { body = "there" })
  fake.http("https://hooks.example.com/end", { body = "elsewhere" })
  redirect("https://api.example.com/same", "/end")
  redirect("https://api.example.com/other", "https://hooks.example.com/end", 307)
  redirect("https://api.example.com/evil", "https://evil.example/")
  redirect("https://api.example.com/plain", "http://api.example.com/end")
  redirect("https://api.example.com/loop", "/loop")
  redirect("https://api.example.com/odd", "javascript:x")
  local ran = run([[
    for _, path in ipairs { "same", "other", "evil", "plain", "loop", "odd" } do
      local answer, err = try(http.get, "https://api.example.com/" .. path, {
        headers = { Authorization = "secret", ["X-Other"] = "1" },
      })
      print(answer and answer.body .. " " .. answer.url or err.kind .. ": " .. err.message)
    end
    print(http.post("https://api.example.com/same", "x").status)
  ]])
  local wanted = {
    "there https://api.example.com/end",
    "elsewhere https://hooks.example.com/end",
    "permission: the script may not send requests to evil.example",
    "permission: http.get: https://api.example.com/plain redirects to "
      .. "http://api.example.com/end, which is not encrypted",
    "connection: http.get: https://api.example.com/loop redirects more than 5 times",
    "connection: http.get: https://api.example.com/odd redirects to an address that cannot be used",
    "302",
  }
  assert(ran.stdout == table.concat(wanted, "\n") .. "\n", ran.stdout .. ran.stderr)
  for _, request in ipairs(ran.requests) do
    local has_secret = request.headers.authorization ~= nil
    assert(
      has_secret == (request.url:find("^https://api") ~= nil and request.method == "GET"),
      request.url
    )
  end
end)

it("failures say what happened", function()
  fake.http("https://api.example.com/down", { error = "connection refused" })
  fake.http("https://api.example.com/text", { body = "<html>" })
  local ran = run([[
    local function show(f, ...)
      local _, err = try(f, ...)
      print(err.kind .. ": " .. err.message)
    end
    show(http.get, "https://api.example.com/down")
    show(http.get, "https://api.example.com/unknown")
    show(http.get, "https://other.example.com/")
    local answer = http.get("https://api.example.com/text")
    show(answer.json, answer)
    show(answer.json)
  ]])
  local lines = text.lines(ran.stdout)
  assert(lines[1] == "connection: http.get: connection refused", lines[1])
  assert(
    lines[2] == "connection: cannot send GET to api.example.com: a test reaches no servers",
    lines[2]
  )
  assert(lines[3] == "permission: the script may not send requests to other.example.com", lines[3])
  assert(lines[4]:find("^argument: response:json: the answer with the status 200: "), lines[4])
  assert(lines[5] == "argument: response:json: called on a nil", lines[5])
end)

it("wrong arguments are refused", function()
  local function refuses(part, f, ...)
    local value, err = try(f, ...)
    assert(value == nil and err and err.kind == "argument", tostring(err))
    assert(err.message:find(part, 1, true), err.message)
  end
  local url = "https://api.example.com/"
  refuses("http.get: the address must be a string, got nil", http.get)
  for _, address in ipairs { "", "x", "/x", "https://", "http://a b/" } do
    refuses("the address must be like https://", http.get, address)
  end
  refuses("must begin with https:// or http://", http.get, "ftp://api.example.com/")
  refuses("user name or password", http.get, "https://me:secret@api.example.com/")
  refuses("more than 16 KiB", http.get, url, { query = { a = ("x"):rep(20000) } })
  refuses("the address must be like", http.get, url .. ("x"):rep(20000))
  refuses("there is no method", http.request, url, { method = "GE T" })
  refuses("there is no method", http.request, url, { method = "CONNECT" })
  refuses("the method must be a string, got number", http.request, url, { method = 1 })
  refuses('there is no header "a b"', http.get, url, { headers = { ["a b"] = "x" } })
  refuses("the header x has a control character", http.get, url, { headers = { x = "a\r\nb: c" } })
  for _, name in ipairs { "Host", "Content-Length", "transfer-encoding", "Connection" } do
    refuses("is set by iamlua itself", http.get, url, { headers = { [name] = "x" } })
  end
  refuses(
    "the headers have more than 64 KiB",
    http.get,
    url,
    { headers = { x = ("x"):rep(70000) } }
  )
  refuses("headers must be a table, got string", http.get, url, { headers = "x" })
  refuses("query must have names", http.get, url, { query = { "x" } })
  refuses('headers: "x" must be text, got table', http.get, url, { headers = { x = {} } })
  refuses("the body must be text or a table, got number", http.post, url, 1)
  local loop = {}
  loop.self = loop
  refuses("http.post: the body: ", http.post, url, loop)
  refuses("timeout must be a time above zero", http.get, url, { timeout = 0 })
  refuses("timeout", http.get, url, { timeout = "soon" })
  refuses("plan must be a function, got string", http.post, url, nil, { plan = "x" })
  refuses("there is no option", http.get, url, { heders = {} })
  refuses("there is no option", http.get, url, { body = "x" })
end)
