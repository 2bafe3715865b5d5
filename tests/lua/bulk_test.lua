-- Tests of bulk.each, bulk.map and bulk.stream: many items at once.

local run_script = require("script")

local function names(count)
  local list = {}
  for i = 1, count do
    list[i] = ("bulk-%03d"):format(i)
  end
  return list
end

it("every item is done once, several at once", function()
  local at_once, most, seen = 0, 0, {}
  local result = bulk.each(names(40), { concurrency = 5, label = "make" }, function(name)
    at_once = at_once + 1
    most = math.max(most, at_once)
    iam.profiles.create(name)
    seen[name] = (seen[name] or 0) + 1
    at_once = at_once - 1
  end)
  assert(result.ok == 40 and result.failed == 0 and result.skipped == 0 and #result.errors == 0)
  assert(most == 5, most)
  for _, name in ipairs(names(40)) do
    assert(seen[name] == 1 and iam.profiles.find(name), name)
  end
end)

it("without a concurrency there are several at once, and no more than AWS can take", function()
  local at_once, most = 0, 0
  bulk.each(names(200), nil, function()
    at_once = at_once + 1
    most = math.max(most, at_once)
    time.sleep("2ms")
    at_once = at_once - 1
  end)
  assert(most >= 6 and most <= 64, most)
end)

it("an iterator is taken from as far as it is needed", function()
  local taken, done, far = 0, 0, 0
  local function source()
    taken = taken + 1
    far = math.max(far, taken - done)
    return taken <= 300 and taken or nil
  end
  bulk.each(source, { concurrency = 4 }, function()
    time.sleep("1ms")
    done = done + 1
  end)
  assert(done == 300 and far <= 5, far)
end)

it("a source that waits is asked by one at a time", function()
  local inside, most, n = 0, 0, 0
  local function source()
    inside = inside + 1
    most = math.max(most, inside)
    time.sleep("1ms")
    inside = inside - 1
    n = n + 1
    return n <= 30 and n or nil
  end
  local sum = 0
  bulk.each(source, { concurrency = 8 }, function(i)
    time.sleep("3ms")
    sum = sum + i
  end)
  assert(most == 1 and sum == 465, most)
end)

it("a listing that several tasks share is read once", function()
  local each = iam.profiles.each { page_size = 5 }
  local seen, count = {}, 0
  local workers = {}
  for worker = 1, 6 do
    workers[worker] = function()
      for profile in each do
        assert(not seen[profile.name], profile.name)
        seen[profile.name] = true
        count = count + 1
        time.sleep("1ms")
      end
    end
  end
  task.all(workers)
  assert(count == 24, count)
end)

it("what fails is counted with its item, and does not stop the rest", function()
  local result, ran
  ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      local r = bulk.each({ "a", "worker", { name = "b" }, "c" }, { label = "look" }, function(item)
        iam.profiles.get(type(item) == "table" and item.name or item)
      end)
      print(r.ok, r.failed, #r.errors, r.errors[1].item, r.errors[1].error.code)
      print("the end")
    ]],
  })
  assert(ran.code == 1 and ran.stdout == "1\t3\t3\ta\tNoSuchEntity\nthe end\n", ran.stdout)
  assert(ran.stderr:find("ERROR look failed", 1, true), ran.stderr)
  assert(ran.stderr:find("look: 3 of 4 items failed: a, b, c", 1, true), ran.stderr)
  assert(
    ran.stderr:find("look: 1 done, 3 failed in ", 1, true)
      and ran.stderr:find("GetInstanceProfile 4", 1, true),
    ran.stderr
  )
  assert(result == nil)
end)

it("only so many failures are said and kept", function()
  local ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      local n = 0
      local r = bulk.each(function() n = n + 1 return n <= 3000 and n or nil end, {}, function() error("no", 0) end)
      print(r.failed, #r.errors)
    ]],
  })
  local _, said = ran.stderr:gsub("bulk failed", "")
  assert(ran.code == 1 and ran.stdout == "3000\t1000\n" and said == 20, said)
  assert(
    ran.stderr:find(
      "3,000 of 3,000 items failed: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2,990 more",
      1,
      true
    ),
    ran.stderr
  )
end)

it("on_error stop begins no more, and raises with the item", function()
  local begun, has_failed = 0, false
  local _, err = try(bulk.each, names(50), { concurrency = 3, on_error = "stop" }, function(name)
    begun = begun + 1
    if name == "bulk-004" then
      local _, why = try(iam.profiles.get, "nobody")
      has_failed = true
      error(why, 0)
    end
    -- Items beside it are still running when it fails.
    while name > "bulk-004" and not has_failed do
      time.sleep("1ms")
    end
  end)
  assert(err and err.code == "NoSuchEntity" and err.item == "bulk-004", tostring(err))
  assert(begun <= 6, begun)
end)

it("what would fail for all ends the whole", function()
  local begun = 0
  local _, err = try(bulk.each, names(50), { concurrency = 2 }, function()
    begun = begun + 1
    local _, e = try(iam.profiles.get, "nobody")
    e.code = "ExpiredToken"
    error(e, 0)
  end)
  assert(err.code == "ExpiredToken" and begun <= 2, begun)
end)

it("an error of the source is raised when what was begun is done", function()
  local n, done = 0, 0
  local function source()
    n = n + 1
    if n == 6 then
      error("no more of this", 0)
    end
    return n
  end
  local _, err = try(bulk.each, source, { concurrency = 3 }, function()
    time.sleep("2ms")
    done = done + 1
  end)
  assert(err.message == "no more of this" and done == 5, done)
end)

it("skipped items are counted by reason, and what is protected is one of them", function()
  local ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      local r = bulk.each(iam.profiles.each { path_prefix = "/" }, { label = "tag" }, function(p)
        if p.path == "/ci/" then return bulk.skip("not ours") end
        iam.profiles.tag(p.name, { A = "1" })
      end)
      print(r.ok, r.skipped, r.skips["not ours"], r.skips.protected)
    ]],
  })
  assert(ran.code == 0 and ran.stdout == "20\t4\t3\t1\n", ran.stdout .. ran.stderr)
  assert(
    ran.stderr:find("tag: 20 done, 4 skipped (not ours 3, protected 1) in ", 1, true),
    ran.stderr
  )
end)

it("map keeps the order, with holes for what failed or was skipped", function()
  local ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      local list, r = bulk.map({ 5, 4, 3, 2, 1 }, { concurrency = 5 }, function(n)
        time.sleep(n / 500)
        if n == 3 then error("three", 0) elseif n == 2 then return bulk.skip() end
        return n * 10
      end)
      print(list[1], list[2], list[3], list[4], list[5], list.n, r.ok, r.failed, r.skipped)
    ]],
  })
  assert(ran.code == 1 and ran.stdout == "50\t40\tnil\tnil\t10\t5\t3\t1\t1\n", ran.stdout)
end)

it("stream hands out in order, ahead of its reader but not far", function()
  local begun, far, got = 0, 0, {}
  local rows = bulk.stream(names(60), { concurrency = 4 }, function(name)
    begun = begun + 1
    far = math.max(far, begun - #got)
    time.sleep(0.001 * (begun % 3))
    return name
  end)
  assert(begun == 0, "nothing is begun before somebody wants it")
  for name in rows do
    got[#got + 1] = name
    time.sleep("1ms")
  end
  assert(#got == 60 and rows.result.ok == 60)
  for i, name in ipairs(names(60)) do
    assert(got[i] == name, got[i])
  end
  assert(far <= 13, far)
  assert(rows() == nil, "the end stays the end")
end)

it("a stream that nobody reads to its end holds nothing up", function()
  local ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      local n = 0
      for value in bulk.stream(function() n = n + 1 return n end, { concurrency = 3 }, function(i) time.sleep(0.001) return i end) do
        if value == 5 then break end
      end
      print(n < 30)
    ]],
  })
  assert(ran.code == 0 and ran.stdout == "true\n", ran.stdout .. ran.stderr)
end)

it("what failed in a stream that nobody reads to its end fails the run all the same", function()
  local ran = run_script("{dir}/s.lua", {}, {
    ["s.lua"] = [[
      for _ in bulk.stream({ 1, 2, 3 }, { label = "half" }, function(n) if n == 1 then error("x", 0) end return n end) do
        break
      end
    ]],
  })
  assert(ran.code == 1 and ran.stderr:find("half: 1 of 3 items failed", 1, true), ran.stderr)
end)

it("a stream raises what ended it after what was done before", function()
  local got = {}
  local rows = bulk.stream(
    { 1, 2, 3, 4, 5, 6, 7, 8 },
    { concurrency = 2, on_error = "stop" },
    function(n)
      time.sleep("1ms")
      if n == 4 then
        error("four", 0)
      end
      return n
    end
  )
  local _, err = try(function()
    for n in rows do
      got[#got + 1] = n
    end
  end)
  assert(err.message == "four" and got[1] == 1 and got[3] == 3 and #got < 8, #got)
end)

it("one inside of another, and several at once", function()
  local sums = {}
  local function work(key)
    bulk.each({ 1, 2, 3, 4 }, { concurrency = 2 }, function(a)
      bulk.each({ 10, 20 }, { concurrency = 2 }, function(b)
        time.sleep("1ms")
        sums[key] = (sums[key] or 0) + a * b
      end)
    end)
  end
  task.all {
    function()
      work("x")
    end,
    function()
      work("y")
    end,
  }
  assert(sums.x == 300 and sums.y == 300)
end)

it("where Lua cannot yield it works too", function()
  local count = 0
  table.sort({ 3, 1, 2 }, function(a, b)
    bulk.each({ 1, 2 }, {}, function()
      time.sleep("1ms")
      count = count + 1
    end)
    return a < b
  end)
  assert(count >= 4, count)
end)

it("an empty source is nothing to do", function()
  local result = bulk.each({}, {}, error)
  assert(result.ok == 0 and result.failed == 0)
  assert(bulk.map({}, {}, error).n == 0)
  assert(bulk.stream({}, {}, error)() == nil)
end)

it("wrong arguments are refused before anything is begun", function()
  local function refused(text, ...)
    local _, err = try(bulk.each, ...)
    assert(err and err.kind == "argument" and tostring(err):find(text, 1, true), tostring(err))
  end
  local function f() end
  refused("the source must be an array or an iterator, got nil", nil, {}, f)
  refused("got one record", { name = "x" }, {}, f)
  refused("got string", "worker", {}, f)
  refused("the last argument must be a function, got nil", { 1 }, {})
  refused("the options must be a table, got function", { 1 }, f, {})
  refused("the source is the function iam.profiles.each itself", iam.profiles.each, {}, f)
  refused("concurrency must be a whole number from 1 to 1024, got 0", { 1 }, { concurrency = 0 }, f)
  refused(
    "concurrency must be a whole number from 1 to 1024, got 2.5",
    { 1 },
    { concurrency = 2.5 },
    f
  )
  refused('on_error must be "continue" or "stop"', { 1 }, { on_error = "ignore" }, f)
  refused('there is no option "concurency"', { 1 }, { concurency = 3 }, f)
  refused("label must be a string", { 1 }, { label = 7 }, f)
  local _, err = try(bulk.skip, 3)
  assert(err.kind == "argument")
end)

it("a change that is so already is not sent again", function()
  local profile = iam.profiles.ensure { name = "twice", tags = { A = "1" } }
  iam.profiles.tag("twice", { A = "1" })
  iam.profiles.untag("twice", { "B" })
  iam.profiles.tag("twice", { A = "2" })
  assert(iam.profiles.tags("twice").A == "2" and profile)
end)
