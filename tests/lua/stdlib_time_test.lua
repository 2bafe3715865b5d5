-- Tests of time: dates as text and in seconds, durations, and calendar arithmetic.

local function refuses(part, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted: " .. tostring(value))
  assert(err.kind == "argument", err.kind)
  assert(err.message:find(part, 1, true), err.message)
end

it("known dates", function()
  local known = {
    [0] = "1970-01-01T00:00:00Z",
    [951782399] = "2000-02-28T23:59:59Z",
    [951782400] = "2000-02-29T00:00:00Z",
    [1709251199] = "2024-02-29T23:59:59Z",
    [4107542400] = "2100-03-01T00:00:00Z",
    [253402300799] = "9999-12-31T23:59:59Z",
  }
  for epoch, text in pairs(known) do
    assert(time.format(epoch) == text, time.format(epoch))
    assert(time.parse(text) == epoch and math.type(time.parse(text)) == "integer")
  end
end)

it("every day to the year 2400 is as the C library has it", function()
  for day = 0, 430 * 365 do
    local epoch = day * 86400 + (day * 7919) % 86400
    local text = os.date("!%Y-%m-%dT%H:%M:%SZ", epoch)
    assert(time.format(epoch) == text, time.format(epoch) .. " is not " .. text)
    assert(time.parse(text) == epoch, text)
  end
end)

it("fractions are cut off", function()
  assert(time.format(1.999) == "1970-01-01T00:00:01Z")
  assert(time.parse("1970-01-01T00:00:01.999Z") == 1)
  assert(time.parse("1970-01-01T00:00:01,5Z") == 1)
end)

it("all common spellings are read", function()
  local epoch = time.parse("2026-01-02T03:04:05Z")
  assert(epoch == 1767323045, epoch)
  for _, text in ipairs {
    "2026-01-02T03:04:05",
    "2026-01-02 03:04:05",
    "2026-01-02t03:04:05z",
    "2026-01-02T03:04:05+00:00",
    "2026-01-02T05:04:05+02:00",
    "2026-01-02T05:04:05+0200",
    "2026-01-02T05:04:05+02",
    "2026-01-01T21:34:05-05:30",
    "2026-01-02T03:04:05.123456Z",
  } do
    assert(time.parse(text) == epoch, text)
  end
  assert(time.parse("2026-01-02") == epoch - 3 * 3600 - 4 * 60 - 5)
  assert(time.parse("2026-01-02T03:04Z") == epoch - 5)
end)

it("what is no date is refused", function()
  refuses("there is no month 13", time.parse, "2026-13-01")
  refuses("that month has no day 29", time.parse, "2026-02-29")
  refuses("that month has no day 29", time.parse, "2100-02-29")
  refuses("that month has no day 31", time.parse, "2026-04-31")
  refuses("that month has no day 0", time.parse, "2026-04-00")
  refuses("no such time of day", time.parse, "2026-01-01T24:00:00Z")
  refuses("no such time of day", time.parse, "2026-01-01T00:60:00Z")
  refuses("offset", time.parse, "2026-01-01T00:00:00+25:00")
  refuses("offset", time.parse, "2026-01-01T00:00:00 UTC")
  refuses("offset", time.parse, "2026-01-01T00:00:00.Z")
  refuses("1970 to 9999", time.parse, "1969-12-31T23:59:59Z")
  refuses("1970 to 9999", time.parse, "1970-01-01T00:00:00+01:00")
  for _, text in ipairs {
    "",
    "yesterday",
    "2026",
    "2026-1-2",
    "26-01-02",
    "2026-01-02T",
    "2026-01-02T3:04:05",
    "\0",
  } do
    refuses("is not a date", time.parse, text)
  end
  refuses("time.parse: the date must be a string, got nil", time.parse, nil)
  refuses("time.parse: the date must be a string, got number", time.parse, 12)
  refuses("out of the years", time.format, -1)
  refuses("out of the years", time.format, 253402300800)
  refuses("out of the years", time.format, 0 / 0)
  refuses("out of the years", time.format, math.huge)
  refuses("must be a number, got string", time.format, "0")
end)

it("now is the clock's now, in every form", function()
  local before = os.time()
  local now, epoch = time.now(), time.epoch()
  local after = os.time()
  assert(now:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$"), now)
  assert(time.parse(now) >= before and time.parse(now) <= after)
  assert(epoch >= before and epoch < after + 1 and math.type(epoch) == "float")
end)

it("ago and after are that far away, and order with dates of profiles", function()
  local function distance(text)
    return time.parse(text) - os.time()
  end
  assert(math.abs(distance(time.ago("90d")) + 90 * 86400) <= 2)
  assert(math.abs(distance(time.after("1h30m")) - 5400) <= 2)
  assert(math.abs(distance(time.ago(60)) + 60) <= 2)
  local old = iam.profiles.get("legacy-app")
  assert(old.create_date < time.ago("1000d") and old.create_date > time.ago("3000d"))
  refuses("time.ago: 30000w reaches out of", time.ago, "30000w")
  refuses("time.after", time.after, 1e300)
end)

it("age is short, whatever the length", function()
  assert(time.age(time.ago("30m")) == "30m" or time.age(time.ago("30m")) == "29m")
  assert(time.age(time.ago("3h30m")) == "3h")
  assert(time.age(time.ago("47h30m")) == "47h")
  assert(time.age(time.ago("48h30m")) == "2d")
  assert(time.age(time.ago("412d12h")) == "412d")
  assert(time.age(time.after("3h30m")) == "in 3h")
  assert(time.age(time.ago("20s")):match("^2[01]s$"), time.age(time.ago("20s")))
  refuses("time.age", time.age, nil)
end)

it("since is in seconds, negative for the future", function()
  assert(math.abs(time.since(time.ago("2h")) - 7200) <= 1)
  assert(math.abs(time.since(time.after("2h")) + 7200) <= 1)
  refuses("time.since", time.since, "soon")
end)

it("durations in seconds", function()
  local known = {
    ["90s"] = 90,
    ["15m"] = 900,
    ["2h"] = 7200,
    ["7d"] = 604800,
    ["2w"] = 1209600,
    ["1h30m"] = 5400,
  }
  for text, seconds in pairs(known) do
    assert(time.seconds(text) == seconds and math.type(time.seconds(text)) == "integer", text)
  end
  assert(time.seconds("250ms") == 0.25 and time.seconds("1.5h") == 5400 and time.seconds(12) == 12)
  refuses("time.seconds", time.seconds, "90")
  refuses("time.seconds", time.seconds, "-5s")
  refuses("time.seconds", time.seconds, "5 parsecs")
  refuses("must not be negative", time.seconds, -5)
  refuses("must not be negative or endless", time.seconds, 0 / 0)
  refuses("must not be negative or endless", time.seconds, math.huge)
  refuses("time.seconds", time.seconds, nil)
  refuses("time.seconds", time.seconds, {})
end)

it("sleep waits, and tasks sleep at the same time", function()
  local start = time.epoch()
  time.sleep("50ms")
  local took = time.epoch() - start
  assert(took >= 0.049, "woke up after " .. took)
  -- Each sleeps until the other one sleeps too.
  local asleep = {}
  local function sleeper(own, other)
    return function()
      for _ = 1, 20000 do
        asleep[own] = true
        time.sleep(0.001)
        if asleep[other] then
          return
        end
      end
      error("one waits for the other")
    end
  end
  task.all { sleeper(1, 2), sleeper(2, 1) }
  refuses("time.sleep", time.sleep, "long")
end)
