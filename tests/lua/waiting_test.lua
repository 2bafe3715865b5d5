-- Tests of waiting: IAM calls work wherever Lua code can run, and tasks run concurrently.

local function name_of(name)
  return iam.profiles.get(name).name
end

it("in coroutines and generators", function()
  local function names(list)
    return coroutine.wrap(function()
      for _, name in ipairs(list) do
        coroutine.yield(name_of(name))
      end
    end)
  end
  local got = {}
  for name in names { "worker", "bastion" } do
    got[#got + 1] = name
  end
  assert(table.concat(got, " ") == "worker bastion")

  local co = coroutine.create(function(a)
    local b = coroutine.yield(name_of(a))
    return name_of(b), select("#", nil, nil)
  end)
  local ok, first = coroutine.resume(co, "worker")
  assert(ok and first == "worker" and coroutine.status(co) == "suspended")
  local _, second, two = coroutine.resume(co, "bastion")
  assert(second == "bastion" and two == 2 and coroutine.status(co) == "dead")
  assert(select("#", coroutine.resume(coroutine.create(function() end))) == 1)
end)

it("in coroutines inside of coroutines", function()
  local outer = coroutine.wrap(function()
    local inner = coroutine.wrap(function()
      coroutine.yield(name_of("worker"))
      coroutine.yield(name_of("bastion"))
    end)
    coroutine.yield(inner())
    coroutine.yield(inner())
  end)
  assert(outer() == "worker" and outer() == "bastion")
end)

it("in a sort, a gsub, a metamethod, __close and a generator called from them", function()
  local list = { "c", "a", "b" }
  table.sort(list, function(a, b)
    assert(name_of("worker") == "worker")
    return a < b
  end)
  assert(table.concat(list) == "abc")
  local text = ("worker bastion"):gsub("%w+", function(name)
    return name_of(name):upper()
  end)
  assert(text == "WORKER BASTION")
  local lazy = setmetatable({}, {
    __index = function(_, key)
      return name_of(key)
    end,
    __lt = function()
      return name_of("worker") ~= nil
    end,
  })
  assert(lazy.worker == "worker" and lazy < lazy)
  local closed
  do
    local _ <close> = setmetatable({}, {
      __close = function()
        closed = name_of("worker")
      end,
    })
  end
  assert(closed == "worker")
  local from_gsub = ("x"):gsub("x", function()
    local generate = coroutine.wrap(function()
      coroutine.yield(name_of("bastion"))
    end)
    return generate()
  end)
  assert(from_gsub == "bastion")
  local each_in_sort = 0
  table.sort({ 1, 2 }, function(a, b)
    for _ in iam.profiles.each { page_size = 10 } do
      each_in_sort = each_in_sort + 1
    end
    return a < b
  end)
  assert(each_in_sort >= 24)
end)

it("errors pass through pcall, coroutines and tasks with their fields", function()
  local ok, err = pcall(function()
    return name_of("nope")
  end)
  assert(not ok and err.code == "NoSuchEntity")
  local fine, why = coroutine.resume(coroutine.create(function()
    name_of("nope")
  end))
  assert(not fine and why.code == "NoSuchEntity")
  ok, err = pcall(coroutine.wrap(function()
    name_of("nope")
  end))
  assert(not ok and err.code == "NoSuchEntity")
  ok, err = pcall(task.wait, task.spawn(name_of, "nope"))
  assert(not ok and err.code == "NoSuchEntity")
  local value, e = try(name_of, "nope")
  assert(value == nil and e.code == "NoSuchEntity")
end)

it("tasks run at once and keep their order", function()
  local begun = 0
  -- Returns once all three have started, which requires concurrency.
  local function meet()
    begun = begun + 1
    for _ = 1, 20000 do
      if begun == 3 then
        return
      end
      time.sleep(0.001)
    end
    error("they run one after the other")
  end
  local results = task.all {
    function()
      meet()
      time.sleep(0.02)
      return "slow"
    end,
    function()
      meet()
      return name_of("worker")
    end,
    task.spawn(function()
      meet()
      return "spawned"
    end),
  }
  assert(table.concat(results, " ") == "slow worker spawned")
end)

it("a task can be waited for by several, also where Lua cannot yield", function()
  local shared = task.spawn(function()
    time.sleep(0.02)
    return name_of("worker")
  end)
  local a, b = table.unpack(task.all {
    function()
      return task.wait(shared)
    end,
    function()
      return shared:wait()
    end,
  })
  assert(a == "worker" and b == "worker" and shared:done())
  local in_gsub = ("x"):gsub("x", function()
    return task.wait(task.spawn(function()
      time.sleep(0.01)
      return name_of("bastion")
    end))
  end)
  assert(in_gsub == "bastion")
end)

it("all tasks end before task.all raises", function()
  local finished = false
  local ok, err = pcall(task.all, {
    function()
      error("first")
    end,
    function()
      time.sleep(0.02)
      finished = true
    end,
  })
  assert(not ok and finished and tostring(err):find("first", 1, true))
end)

it("a thousand tasks on one VM", function()
  local list = {}
  for i = 1, 1000 do
    list[i] = function()
      return name_of("worker") .. i
    end
  end
  local results = task.all(list)
  assert(#results == 1000 and results[1000] == "worker1000")
end)

it("a stopped coroutine does not hold the script", function()
  local co = coroutine.create(function()
    coroutine.yield(1)
  end)
  coroutine.resume(co)
  assert(coroutine.close(co) and coroutine.status(co) == "dead")
  local wrapped = coroutine.wrap(function()
    return 1
  end)
  wrapped()
  local ok, err = pcall(wrapped)
  assert(not ok and tostring(err):find("dead coroutine", 1, true))
end)

it("a coroutine that is closed may call AWS on the way out", function()
  local closed
  local co = coroutine.create(function()
    local _ <close> = setmetatable({}, {
      __close = function()
        closed = name_of("bastion")
      end,
    })
    coroutine.yield(1)
  end)
  coroutine.resume(co)
  assert(coroutine.close(co) and closed == "bastion")
  assert(not pcall(coroutine.close, coroutine.running()) and not pcall(coroutine.resume, 5))
  local in_gsub = ("x"):gsub("x", function()
    assert(not pcall(coroutine.resume, nil))
    return name_of("worker")
  end)
  assert(in_gsub == "worker")
end)
