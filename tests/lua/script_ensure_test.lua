-- Tests of scripts/ensure.lua: brings profiles into the state of a file, or reports the errors of
-- the file and changes nothing.

local run_script = require("script")
local SCRIPT = "scripts/ensure.lua"

local function run(content, ...)
  local text = type(content) == "string" and content or json.encode(content)
  return run_script(SCRIPT, { "--file", "{dir}/desired.json", ... }, { ["desired.json"] = text })
end

-- Asserts that a file is refused as a whole.
local function refuses(content, ...)
  local before = json.encode(account.export())
  local ran = run(content)
  assert(ran.code == 1 and ran.stdout == "", ran.stdout .. ran.stderr)
  assert(ran.stderr:find("desired.json: nothing was changed, because", 1, true), ran.stderr)
  for _, problem in ipairs { ... } do
    assert(ran.stderr:find(problem, 1, true), ran.stderr .. "does not say\n" .. problem)
  end
  assert(json.encode(account.export()) == before, "something was changed")
end

local DESIRED = {
  { name = "made", path = "/new/", role = "worker", tags = { Owner = "ops" } },
  { name = "web-canary", role = "web-frontend" },
  { name = "legacy-app", tags = { Owner = "ops" } },
  { name = "bastion", role = "worker", tags = { Owner = "ops", Team = "core" }, exact_tags = true },
  { name = "batch-gpu", path = "/batch/", role = "batch-gpu" },
}

it("it creates, swaps, tags and untags, and says what it did", function()
  local ran = run(DESIRED, "--output=json")
  assert(
    ran.code == 0 and ran.stderr:find("ensure: 4 done, 1 skipped (already right 1) in ", 1, true),
    ran.stderr
  )
  local made = iam.profiles.get("made")
  assert(made.path == "/new/" and made.role == "worker" and made.tags.Owner == "ops")
  assert(iam.profiles.get("web-canary").role == "web-frontend")
  assert(iam.profiles.tags("legacy-app").Owner == "ops")
  local bastion = iam.profiles.get("bastion")
  assert(bastion.role == "worker" and json.encode(bastion.tags) == '{"Owner":"ops","Team":"core"}')
  local rows = json.decode(ran.stdout)
  assert(#rows == 4 and rows[1].name == "made" and rows[1].changes[1] == "created", ran.stdout)
  assert(rows[2].changes[1] == "role web-frontend added", ran.stdout)
  local changes = table.concat(rows[4].changes, "; ")
  assert(changes:find("role bastion removed; role worker added", 1, true), changes)
  assert(changes:find("tag Environment removed", 1, true), changes)
end)

it("a second run changes nothing", function()
  run(DESIRED)
  local before = json.encode(account.export())
  local ran = run(DESIRED, "--output=json")
  assert(
    ran.code == 0
      and ran.stdout == "[]\n"
      and ran.stderr:find("ensure: 0 done, 5 skipped (already right 5) in ", 1, true),
    ran.stderr
  )
  assert(json.encode(account.export()) == before)
end)

it("an empty file is nothing to do", function()
  local ran = run("[]")
  assert(ran.code == 0 and ran.stderr:find("ensure: 0 done in ", 1, true), ran.stderr)
end)

it("one that fails does not stop the rest", function()
  local ran = run { { name = "worker", path = "/" }, { name = "after", tags = { A = "1" } } }
  assert(ran.code == 1 and ran.stdout:find("after", 1, true), ran.stderr)
  assert(ran.stderr:find("worker exists at path /ec2/, not /", 1, true), ran.stderr)
  assert(ran.stderr:find("ensure: 1 done, 1 failed in ", 1, true), ran.stderr)
  assert(ran.stderr:find("ensure: 1 of 2 items failed: worker", 1, true), ran.stderr)
  assert(iam.profiles.tags("after").A == "1")
end)

it("all that is wrong with the file is said at once", function()
  refuses(
    {
      { name = "good" },
      { name = "a/b" },
      { path = "/x/" },
      "text",
      { name = "x", pth = "/" },
      { name = "x", tags = { "a" } },
      { name = "GOOD" },
      { name = ("n"):rep(129) },
      { name = "r", role = ("r"):rep(65) },
    },
    "entry 2 (a/b): name has a character that AWS does not allow",
    "entry 3: name is missing",
    "entry 4: must be an object, got string",
    "entry 5 (x): pth is not a known field; did you mean path?",
    "entry 6 (x): tags must be an object, got array",
    "entry 7 (GOOD): names the same profile as entry 1",
    "name has 129 characters; AWS allows 128",
    "entry 9 (r): role has 65 characters; AWS allows 64"
  )
end)

it("every field is held to what AWS allows", function()
  local function wrong(fields, problem)
    fields.name = fields.name or "x"
    refuses({ { name = "good" }, fields }, problem)
  end
  wrong({ name = 5 }, "name must be a string")
  wrong({ name = "" }, "name is empty")
  wrong({ path = "ec2/" }, "path must begin and end with /")
  wrong({ path = "/ec2" }, "path must begin and end with /")
  wrong({ path = "/a b/" }, "path has a character")
  wrong({ path = "/" .. ("p"):rep(511) .. "/" }, "path has 513 characters")
  wrong({ role = json.null }, "role must be a string")
  wrong({ role = "a b" }, "role has a character")
  wrong({ tags = "x" }, "tags must be an object")
  wrong({ tags = json.array() }, "tags must be an object")
  wrong({ tags = { Owner = 5 } }, "tags.Owner must be a string, got number")
  wrong({ tags = { [""] = "x" } }, 'tags has a wrong key: "" is empty')
  wrong({ tags = { [("k"):rep(129)] = "x" } }, "has 129 characters; AWS allows 128")
  wrong({ tags = { K = ("v"):rep(257) } }, "tags.K has 257 characters")
  wrong({ tags = { K = "a*b" } }, "tags.K has a character")
  wrong({ tags = { ["aws:x"] = "y" } }, "keys that begin with aws: are reserved")
  wrong({ tags = { K = "x" }, exact_tags = "yes" }, "exact_tags must be a boolean")
  wrong({ path = "x", role = "a b" }, "role has a character")
  wrong({ exact_tags = true }, "has exact_tags, but no tags")
  local many = {}
  for i = 1, 51 do
    many["K" .. i] = "v"
  end
  wrong({ tags = many }, "has 51 tags; AWS allows 50")
end)

it("a role that does not exist is found before anything changes", function()
  refuses(
    { { name = "made", role = "worker" }, { name = "other", role = "no-such-role" } },
    "entry 2 (other): there is no role no-such-role"
  )
end)

it("names of roles ignore case", function()
  local want =
    { { name = "made", role = "WEB-FRONTEND" }, { name = "other", role = "Web-Frontend" } }
  local ran = run(want)
  assert(ran.code == 0 and iam.profiles.get("made").role == "web-frontend", ran.stderr)
  ran = run(want)
  assert(ran.stderr:find("ensure: 0 done, 2 skipped (already right 2) in ", 1, true), ran.stderr)
end)

it("an ARN in place of a name says so", function()
  refuses(
    { { name = "a", role = "arn:aws:iam::123456789012:role/app/web-frontend" } },
    "entry 1 (a): role is an ARN and must be a name: write web-frontend"
  )
  local _, err = try(iam.profiles.add_role, "bastion", "arn:aws:iam::123456789012:role/app/worker")
  assert(
    err.kind == "argument"
      and err.message:find("not an ARN", 1, true)
      and err.message:find('write "worker"', 1, true),
    err.message
  )
end)

it("a byte-order mark is passed over", function()
  local ran = run('\u{FEFF}[{"name":"a"}]')
  assert(ran.code == 0 and iam.profiles.find("a"), ran.stderr)
end)

it("a long list of problems is cut", function()
  local entries = {}
  for i = 1, 25 do
    entries[i] = { name = "bad/" .. i }
  end
  refuses(entries, "entry 20 (bad/20)", "and 5 more")
end)

it("what is no JSON array is refused", function()
  refuses("{", "it is not JSON: ")
  refuses("", "it is not JSON: ")
  refuses('{ "name": "x" }', "it must be an array of profiles")
  refuses("null", "it must be an array of profiles")
  refuses('"x"', "it must be an array of profiles")
end)

it("letters of any script may be in a tag", function()
  local ran = run { { name = "made", tags = { ["Größe"] = "日本 1" } } }
  assert(ran.code == 0, ran.stderr)
  assert(iam.profiles.tags("made")["Größe"] == "日本 1")
end)

it("a wrong command line", function()
  local ran = run_script(SCRIPT, {})
  assert(ran.code == 2 and ran.stderr:find("missing: --file FILE", 1, true), ran.stderr)
  ran = run_script(SCRIPT, { "--file", "{dir}/none.json" })
  assert(ran.code == 2 and ran.stderr:find("No such file", 1, true), ran.stderr)
end)
