-- Tests of try: results, or nil and an error with fields.

it("results pass through", function()
  local a, b, c, d = try(function(...)
    return ..., nil, 3
  end, 1)
  assert(a == 1 and b == nil and c == 3 and d == nil)
  assert(select("#", try(function() end)) == 0)
  assert(select(
    "#",
    try(function()
      return nil, nil
    end)
  ) == 2)
  assert(try(
    setmetatable({}, {
      __call = function(_, x)
        return x + 1
      end,
    }),
    1
  ) == 2)
end)

it("an error of AWS has its fields", function()
  local value, err = try(iam.profiles.get, "no-such-profile")
  assert(value == nil)
  assert(err.kind == "aws" and err.code == "NoSuchEntity" and err.status == 404, tostring(err))
  assert(err.operation == "GetInstanceProfile" and err.retryable == false and #err.request_id > 0)
  assert(err.message == "Instance Profile no-such-profile cannot be found", err.message)
  assert(err.traceback:find("stdlib_try_test.lua", 1, true), err.traceback)
end)

it("whatever is raised becomes an error of ours, and is kept", function()
  local _, err = try(error, "plain", 0)
  assert(err.kind == "script" and err.message == "plain" and tostring(err) == "plain")
  local thrown = { code = "mine", message = "a table" }
  _, err = try(error, thrown)
  assert(err.value == thrown and err.message == "a table")
  _, err = try(error, nil)
  assert(err.message == "the script raised nil", err.message)
  _, err = try(error, 42)
  assert(err.value == 42 and err.message == "42")
  _, err = try(function()
    return nil .. "x"
  end)
  assert(
    err.message:find("stdlib_try_test.lua:%d+: attempt to concatenate a nil value"),
    err.message
  )
  _, err = try(function()
    local function deeper()
      return 1 + deeper()
    end
    return deeper()
  end)
  assert(err.kind == "script" and err.message:find("stack overflow", 1, true), err.message)
end)

it("an error that is raised again is the same error", function()
  local _, first = try(iam.profiles.get, "no-such-profile")
  local _, second = try(error, first)
  assert(rawequal(first, second))
end)

it("it works in coroutines and around waiting", function()
  local values = {}
  for value in
    coroutine.wrap(function()
      local _, err = try(function()
        coroutine.yield(1)
        time.sleep("1ms")
        iam.profiles.get("no-such-profile")
      end)
      coroutine.yield(err.code)
    end)
  do
    table.insert(values, value)
  end
  assert(values[1] == 1 and values[2] == "NoSuchEntity" and #values == 2)
end)

it("a call in place of a function is refused with the remedy", function()
  local ok, err = pcall(try, iam.profiles.find("no-such-profile"))
  assert(
    not ok
      and err.kind == "argument"
      and err.message == "try: the first argument must be a function, got nil"
  )
  assert(err.hint == "write try(f, x), not try(f(x))", err.hint)
end)
