-- Tests of iam.profiles: every function, its results, and its refusals.

local policy = require("policy")

local function fails(code, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "it succeeded")
  assert((err.code or err.kind) == code, "expected " .. code .. ", got " .. tostring(err))
  return err
end

it("the flow of the AWS guide works from one script", function()
  local role = iam.roles.create {
    name = "S3Access",
    path = "/application/",
    description = "Lets instances read S3",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
  }
  assert(role.arn == "arn:aws:iam::123456789012:role/application/S3Access", role.arn)
  local s3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
  iam.roles.attach_policy("S3Access", s3)
  local made = iam.profiles.create {
    name = "Webserver",
    path = "/ec2/web/",
    tags = { Owner = "ops", Stage = "prod" },
  }
  assert(made.path == "/ec2/web/" and made.tags.Stage == "prod" and made.role == nil)
  assert(made.id:match("^AIPA[A-Z2-7]+$") and #made.id == 21, made.id)
  iam.profiles.add_role("Webserver", "S3Access")

  local read = iam.profiles.get("Webserver")
  assert(read.role == "S3Access" and #read.roles == 1)
  assert(read.roles[1].arn == role.arn and read.id == made.id)
  local trust = json.decode(read.roles[1].assume_role_policy)
  assert(
    trust.Statement[1].Principal.Service == "ec2.amazonaws.com",
    read.roles[1].assume_role_policy
  )

  assert(
    fails("DeleteConflict", iam.profiles.delete, "Webserver").hint:find("detach = true", 1, true)
  )
  iam.profiles.remove_role("Webserver", "S3Access")
  iam.profiles.delete("Webserver")
  fails("DeleteConflict", iam.roles.delete, "S3Access")
  iam.roles.detach_policy("S3Access", s3)
  iam.roles.delete("S3Access")
  assert(iam.profiles.find("Webserver") == nil and iam.roles.find("S3Access") == nil)
end)

it("errors carry what AWS said", function()
  local err = fails("NoSuchEntity", iam.profiles.get, "nope")
  assert(err.kind == "aws" and err.status == 404 and err.operation == "GetInstanceProfile")
  assert(err.message == "Instance Profile nope cannot be found", err.message)
  assert(#err.request_id > 10 and err.retryable == false)
  assert(err.traceback:find("profiles_test.lua", 1, true), err.traceback)
  assert(tostring(err):find("NoSuchEntity: Instance Profile nope", 1, true), tostring(err))
  iam.profiles.create("twin")
  fails("EntityAlreadyExists", iam.profiles.create, "TWIN")
end)

it("create takes a name or a table", function()
  assert(iam.profiles.create("a").path == "/")
  assert(next(iam.profiles.create({ name = "b" }).tags) == nil)
  assert(iam.profiles.create("c", { path = "/x/" }).path == "/x/")
end)

it("a page has a marker and the next one goes on there", function()
  account.reset("empty")
  for i = 1, 7 do
    iam.profiles.create("p" .. i)
  end
  local seen, marker, pages = {}, nil, 0
  repeat
    local page = iam.profiles.list { max_items = 3, marker = marker }
    for _, profile in ipairs(page) do
      seen[#seen + 1] = profile.name
      assert(profile.tags == nil, "a listing has no tags")
    end
    pages = pages + 1
    marker = page.marker
    assert(page.is_truncated == (marker ~= nil))
  until not marker
  assert(pages == 3 and #seen == 7, #seen)
  fails("ValidationError", iam.profiles.list, { marker = "from-elsewhere" })
end)

it("each and pages see all of it, with and without tags", function()
  account.reset("empty")
  for i = 1, 25 do
    iam.profiles.create {
      name = ("p%02d"):format(i),
      path = i % 2 == 0 and "/even/" or "/odd/",
      tags = { N = tostring(i) },
    }
  end
  local names = {}
  for profile in iam.profiles.each { page_size = 10 } do
    names[#names + 1] = profile.name
    assert(profile.tags == nil)
  end
  assert(#names == 25)
  local count = 0
  for profile in iam.profiles.each { path_prefix = "/ev", with_tags = true, page_size = 5 } do
    count = count + 1
    assert("p" .. ("%02d"):format(tonumber(profile.tags.N)) == profile.name, profile.name)
  end
  assert(count == 12, count)
  local sizes = {}
  for page in iam.profiles.pages { page_size = 10 } do
    sizes[#sizes + 1] = #page
  end
  assert(table.concat(sizes, ",") == "10,10,5", table.concat(sizes, ","))
  for _ in iam.profiles.each { path_prefix = "/none/" } do
    error("there is nothing below /none/")
  end
end)

it("profiles can be deleted while they are iterated over", function()
  local before, deleted = 0, 0
  for profile in iam.profiles.each { page_size = 5 } do
    before = before + 1
    if not profile.role and profile.name ~= "disaster-recovery" then
      iam.profiles.delete(profile.name)
      deleted = deleted + 1
    end
  end
  assert(before == 24, before)
  local after = 0
  for _ in iam.profiles.each() do
    after = after + 1
  end
  assert(after == before - deleted and deleted > 0)
end)

it("for a role", function()
  local page = iam.profiles.list_for_role("web-frontend")
  assert(#page >= 2 and page[1].role == "web-frontend")
  local count = 0
  for profile in iam.profiles.each_for_role("web-frontend", { page_size = 1 }) do
    assert(profile.role == "web-frontend")
    count = count + 1
  end
  assert(count == #page)
  fails("NoSuchEntity", iam.profiles.list_for_role, "nope")
end)

it("a profile holds one role", function()
  local err = fails("LimitExceeded", iam.profiles.add_role, "web-frontend", "worker")
  assert(
    err.message == "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    err.message
  )
  fails("NoSuchEntity", iam.profiles.remove_role, "web-frontend", "worker")
end)

it("delete with detach takes the role out first, and can be called again", function()
  iam.profiles.delete("web-frontend", { detach = true })
  assert(not iam.profiles.find("web-frontend"))
  assert(iam.roles.find("web-frontend"), "the role stays")
  fails("NoSuchEntity", iam.profiles.delete, "web-frontend", { detach = true })
end)

it("tags", function()
  iam.profiles.create("t")
  iam.profiles.tag("t", { Owner = "ops", owner = "case matters", Empty = "" })
  local tags = iam.profiles.tags("t")
  assert(tags.Owner == "ops" and tags.owner == "case matters" and tags.Empty == "")
  iam.profiles.tag("t", {})
  iam.profiles.untag("t", { "owner", "not there" })
  assert(iam.profiles.tags("t").owner == nil)
  local page = iam.profiles.list_tags("t", { max_items = 1 })
  assert(#page == 1 and page.is_truncated and page[1].key and page[1].value)
  local many = {}
  for i = 1, 60 do
    many[i] = "k" .. i
  end
  iam.profiles.untag("t", many)
  local fifty = {}
  for i = 1, 48 do
    fifty["k" .. i] = "v"
  end
  iam.profiles.tag("t", fifty)
  local err = fails("LimitExceeded", iam.profiles.tag, "t", { one = "1" })
  assert(err.message == "The number of tags has reached the maximum limit", err.message)
end)

it("ensure calls only what differs", function()
  local want = { name = "e", path = "/x/", role = "worker", tags = { A = "1" } }
  local profile, changes = iam.profiles.ensure(want)
  assert(profile.role == "worker" and profile.path == "/x/" and #changes == 2, #changes)
  profile, changes = iam.profiles.ensure(want)
  assert(profile.role == "worker" and #changes == 0)
  want.role, want.tags, want.exact_tags = "bastion", { B = "2" }, true
  profile, changes = iam.profiles.ensure(want)
  assert(profile.role == "bastion" and profile.tags.A == nil and profile.tags.B == "2")
  assert(#changes == 4, table.concat(changes, "; "))
  fails("argument", iam.profiles.ensure, { name = "e", path = "/y/" })
end)

it("wait returns what is there and gives up when it is not", function()
  assert(iam.profiles.wait("worker", { timeout = "1s" }).name == "worker")
  local err = fails("NoSuchEntity", iam.profiles.wait, "nope", { timeout = 0.05 })
  assert(err.hint:find("waited", 1, true))
end)

it("wrong arguments are named before anything is called", function()
  local function refused(text, f, ...)
    local err = fails("argument", f, ...)
    assert(err.message:find(text, 1, true), err.message)
  end
  refused('did you mean "name"?', iam.profiles.create, { nmae = "x" })
  refused("name is missing", iam.profiles.create, {})
  refused("at most 128", iam.profiles.get, ("x"):rep(129))
  refused("a path is not part of the name", iam.profiles.get, "a/b")
  refused("got table", iam.profiles.tag, "x", { A = {} })
  refused('write "5"', iam.profiles.tag, "x", { A = 5 })
  refused("got an array", iam.profiles.tag, "x", { "A" })
  refused("must be a string, got boolean", iam.profiles.get, true)
  refused("name is missing", iam.profiles.get, nil)
  refused('":"', iam.profiles.get, iam.profiles, "x")
  refused("too many arguments", iam.profiles.get, "x", {}, 3)
  refused("UTF-8", iam.profiles.get, "\xff\xfe")
  refused("from 1 to 1000", iam.profiles.list, { max_items = 0 })
  refused("tags", iam.profiles.tag, "x")
  local loop = {}
  loop.loop = loop
  refused("table that holds itself", iam.profiles.tag, "x", loop)
end)
