---@meta _
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

-- Functions for test files, besides everything that scripts have: `iamlua test` runs it, and
-- nothing else knows these globals.
--
-- Every test runs in a Lua of its own, on a fresh account in memory: the example account, unless
-- it says otherwise. For each test the file is read anew, so what stands at its top or in a
-- `describe` is done before every test, and no test sees what another one has left behind.
--
-- Test code may change its account as it likes, and read files beside the test file; what `bulk`
-- counts as failed in it is for the test to look at. More takes the same flags as for `iamlua
-- run`, such as `--allow-run=git`. Runbooks under test run no programs and touch no files of this
-- machine either, whatever their manifests ask for: they find what `fake` makes up, and what they
-- do is in the result of `run_runbook`. What it prints is shown when it fails. `iamlua.toml` does
-- not count.
--
-- ```lua
-- describe("bulk_tag.lua", function()
--   before_each(function()
--     account.import { profiles = { { name = "web", path = "/ec2/" } } }
--   end)
--
--   it("sets the owner everywhere", function()
--     local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--     expect(run.code):to_equal(0)
--     expect(run.changes[1]):to_have { action = "TagInstanceProfile", name = "web" }
--     expect(iam.profiles.tags("web")):to_equal { Owner = "ops" }
--   end)
-- end)
-- ```

--- Puts tests together under a name.
---
--- Descriptions can be inside of each other; a test's full name has them all, with ` › ` between.
---
--- ```lua
--- describe("profiles without an owner", function()
---   it("are reported", function()
---     expect(run_runbook("untagged.lua", { require = "Owner" }).stdout):to_contain("legacy-app")
---   end)
--- end)
--- ```
---@param name string
---@param f fun()
function describe(name, f) end

--- Defines a test.
---
--- It passes if its function returns, and fails if that raises an error: `expect`, `assert` and
--- `error` do, and so does a call of `iam` that fails.
---
--- ```lua
--- it("makes a profile at the root", function()
---   expect(iam.profiles.create("new").path):to_equal("/")
--- end)
--- ```
---@class it
---@overload fun(name: string, f: fun())
it = {}

--- Defines a test that is not run, and counted as skipped.
---@param name string
---@param f fun()
function it.skip(name, f) end

--- Defines a test that is run alone: the others of the file, except those defined in this way too,
--- are skipped.
---
--- For the time of work on it.
---@param name string
---@param f fun()
function it.only(name, f) end

--- Has a function called before each test of the description, or of the file.
---
--- Those of outer descriptions come first. The account is fresh when the first one is called.
---@param f fun()
function before_each(f) end

--- Has a function called after each test of the description, or of the file, also after one that
--- has failed.
---
--- Those of inner descriptions come first. Temporary folders and the account go by themselves.
---@param f fun()
function after_each(f) end

--- Expectations of a value.
---
--- Each function raises an error where it is not so, which names the line of the test and shows the
--- difference.
---@class Expectation
local Expectation = {}

--- Turns what follows into its opposite: `not` is a word of Lua's own.
---
--- ```lua
--- expect(iam.profiles.tags("bastion")):never():to_have { Owner = "nobody" }
--- ```
---@return Expectation
function Expectation:never() end

--- It is equal to another value: tables are, if all their fields are, however deep.
---
--- ```lua
--- iam.profiles.create { name = "web", tags = { Owner = "ops", Stage = "prod" } }
--- expect(iam.profiles.tags("web")):to_equal { Owner = "ops", Stage = "prod" }
--- ```
---@param expected any
function Expectation:to_equal(expected) end

--- It is that very value, as `==` has it: a table only if it is the same one.
---@param expected any
function Expectation:to_be(expected) end

--- It is nil.
function Expectation:to_be_nil() end

--- It is true, and not only counted as true.
function Expectation:to_be_true() end

--- It is false, and not nil.
function Expectation:to_be_false() end

--- It counts as true: it is neither false nor nil.
function Expectation:to_be_truthy() end

--- It counts as false: it is false or nil.
function Expectation:to_be_falsy() end

--- It is less than that: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_less_than(limit) end

--- It is greater than that: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_greater_than(limit) end

--- Text has that text in it, or an array an element that is equal to that.
---
--- ```lua
--- expect("3 profiles tagged"):to_contain("3 profiles")
--- expect({ "api", "web" }):to_contain("web")
--- ```
---@param part any
function Expectation:to_contain(part) end

--- Text matches a pattern of Lua's, somewhere in it.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- expect(run.stderr):to_match("tag: %d+ done")
--- ```
---@param pattern string
function Expectation:to_match(pattern) end

--- A table has these fields, with values that are equal; it may have others, and so may the tables
--- in it.
---
--- An array in it must have as many elements, and where an empty table is expected there must be
--- one.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- expect(run.changes[1]):to_have { action = "TagInstanceProfile", after = { tags = { Owner = "ops" } } }
--- ```
---@param fields table
function Expectation:to_have(fields) end

--- A function raises an error: any, or one with that code (`"NoSuchEntity"`), of that kind
--- (`"refused"`), whose message contains or matches that, or which has these fields.
---
--- Returns the error.
---
--- ```lua
--- local err = expect(function()
---   iam.profiles.get("no-such-profile")
--- end):to_raise("NoSuchEntity")
--- expect(err.operation):to_equal("GetInstanceProfile")
--- ```
---@param expected? string|table
---@return any error
function Expectation:to_raise(expected) end

--- Says what a value should be: `expect(value):to_equal(…)`, with a colon.
---
--- Alone it says nothing, and a test that leaves it so fails.
---@param value any
---@return Expectation
function expect(value) end

--- The account of the test: it is in memory, fresh for each test, and gone afterwards.
---@class account
account = {}

--- Puts something else in place of everything in the account: what a file of `iamlua account
--- export` says, or a table of that shape.
---
--- The file is looked for beside the test file, then in the current folder. In a table `format` and
--- `version` can be left out.
---
--- ```lua
--- account.import { profiles = { { name = "web", path = "/ec2/", tags = { Owner = "ops" } } } }
--- expect(iam.profiles.get("web").path):to_equal("/ec2/")
--- ```
---@param what string|table
function account.import(what) end

--- Everything in the account, as `iamlua account export` writes it: `.profiles`, `.roles`,
--- `.policies`, `.account`.
---@return table
function account.export() end

--- Begins anew with an account that is empty or the example account.
---@param contents "empty"|"example"
function account.reset(contents) end

--- Makes the account slow, throttled, flaky or eventually consistent, as `--faults` does; `""` or
--- nil makes it well again.
---
--- Calls of `hold=…` wait until the faults are changed:
---
--- The lag of `iamlua test --lag` stays, unless `lag=` is given: `lag=0` takes it away.
---
--- ```lua
--- account.faults("throttle=50/100,error=1%,lag=2s,seed=7")
--- ```
---
--- ```lua
--- account.faults("hold=iam:GetRole")
--- local reading = task.spawn(iam.roles.get, "worker")
--- time.sleep("20ms")
--- expect(reading:done()):to_be_false()
--- account.faults()
--- ```
---@param faults? string
function account.faults(faults) end

--- Number of requests that the test has sent so far, by AWS action; those of its runbooks and
--- repeats are counted too.
---
--- ```lua
--- iam.profiles.tag("bastion", { Stage = "prod" })
--- expect(account.calls().TagInstanceProfile):to_equal(1)
--- ```
---@return table<string, integer>
function account.calls() end

--- The clock of the test: that of the account, and that of `time.now()` and `time.ago()` in the
--- test and in the runbooks that it runs.
---
--- When a test starts it shows the real time, and there it stands: so dates can be told beforehand.
--- It moves when it is moved, and when a script waits with `time.sleep`, which takes its time.
--- Writes that lag and a throttled account wait for real time to pass, or for `clock.advance`.
---@class clock
clock = {}

--- Sets the clock to that moment, later or earlier.
---
--- ```lua
--- clock.set("2026-01-01T00:00:00Z")
--- expect(iam.profiles.create("new").create_date):to_equal("2026-01-01T00:00:00Z")
--- ```
---@param iso string
function clock.set(iso) end

--- Moves the clock on.
---
--- ```lua
--- local profile = iam.profiles.create("new")
--- clock.advance("90d")
--- expect(time.age(profile.create_date)):to_equal("90d")
--- ```
---@param length string|number
function clock.advance(length) end

--- What the clock shows, as ISO 8601 text.
---@return string
function clock.now() end

--- Programs, files and variables that a test makes up for the runbooks that it runs.
---
--- A runbook still needs the permission, by its manifest or by an option of `run_runbook`. What is
--- not made up, and not granted to `iamlua test` by a flag such as `--allow-run=git`, is not there:
--- an error says so.
---
--- ```lua
--- fake.process("date", { stdout = "2026-01-01\n" })
--- fake.file("/etc/owners", "ops\n")
--- local folder = temp_folder { ["tag.lua"] = [[
---   runbook {
---     permissions = { run = { "date" }, read = { "/etc/owners" }, write = { "/var/log" } },
---   }
---   local owner = fs.read("/etc/owners"):match("%a+")
---   local today = process.run("date").stdout:match("%S+")
---   iam.profiles.tag("bastion", { Owner = owner, Checked = today })
---   fs.write("/var/log/tagged.txt", "bastion")
--- ]] }
--- local run = run_runbook(folder .. "/tag.lua")
--- expect(run.changes[1].after.tags):to_have { Owner = "ops", Checked = "2026-01-01" }
--- expect(run.processes):to_equal { { program = "date", args = {} } }
--- expect(run.files["/var/log/tagged.txt"]):to_equal("bastion")
--- ```
---@class fake
fake = {}

---@class fake.End
---@field code? integer the exit code, from 0 to 255. Default: 0.
---@field stdout? string what it writes on its standard output. Default: nothing.
---@field stderr? string what it writes on its standard error. Default: nothing.
---@field args? string[] arguments that this result is for. Default: any
---@field error? string reason for which it cannot start: `process.run` raises it, of kind "io"

--- Makes a program up: `process.run` of a runbook returns that result, and nothing runs.
---
--- An array of results is for one call after the other, the last one for all further calls too. One
--- with the same `args` as the call goes before one without, and of others the latest.
---
--- ```lua
--- fake.process("git", { args = { "rev-parse", "HEAD" }, stdout = "0a1b2c\n" })
--- fake.process("ping", { { code = 1, stderr = "unreachable" }, { stdout = "1 received" } })
--- fake.process("kubectl", { error = "No such file or directory" })
--- ```
---@param program string its name or path, as the runbook gives it
---@param result? fake.End|fake.End[] default: it ends with 0 and writes nothing
function fake.process(program, result) end

--- Makes a file up: runbooks read that text there, also where the machine has a file of that name.
---
--- What they write there, and to any other path that neither `temp_folder` nor a flag of `iamlua
--- test` has made real, is in `files` of the result of `run_runbook`. Without a text there is no
--- file: for a runbook that copes with that.
---
--- ```lua
--- fake.file("config.json", '{ "owner": "ops" }')
--- fake.file("/etc/missing")
--- ```
---@param path string as the runbook gives it
---@param text? string
function fake.file(path, text) end

--- Makes an environment variable up, for `os.getenv` in runbooks.
---
--- Others are nil there.
---
--- ```lua
--- fake.env("STAGE", "prod")
--- ```
---@param name string
---@param value string
function fake.env(name, value) end

---@class run_runbook.Options
---@field mode? "apply"|"plan"|"read-only" what it does with changes: makes them, lists them, refuses them. Default "apply".
---@field output? "table"|"json"|"jsonl"|"csv" how results are written, as `--output`. Default "table".
---@field args? string[] more arguments, as they would stand on the command line
---@field max_changes? integer|string as `--max-changes`
---@field timeout? string|number as `--timeout`
---@field confirm? boolean answer to the question for `permissions` of the manifest. Default: true
---@field allow_read? string[] as `--allow-read`
---@field allow_write? string[] as `--allow-write`
---@field allow_env? string[] as `--allow-env`
---@field allow_run? string[] as `--allow-run`
---@field allow_net? string[] as `--allow-net`

---@class run_runbook.Change
---@field number integer its place among the changes of the run, from 1
---@field action string the AWS action, such as "TagInstanceProfile"
---@field subject "profile"|"role"
---@field name string the name of the profile or role
---@field arguments table the arguments of the call
---@field before? table the profile or role before: `name`, `path`, `id`, `create_date`, `role`, `tags`; nil where there was none
---@field after? table the same after it; nil where there is none any more
---@field outcome "done"|"failed"|"in_doubt"|"planned"
---@field error? string what AWS said, if it failed
---@field text string the change in words, as a plan shows it: `~ tag profile web: Owner → ops`

---@class run_runbook.Outside
---@field kind "run"|"write" a program that would run, or a file that would be written
---@field program? string of a program
---@field arguments? string[] of a program
---@field path? string of a file
---@field bytes? integer size of a file

---@class run_runbook.Process
---@field program string name or path, as the runbook gives it
---@field args string[]
---@field stdin? string what it was given to read

---@class run_runbook.Result
---@field code integer the exit code
---@field stdout string the results
---@field stderr string everything else: `log`, summaries, the plan, the error that ended it; not where the run is in the journal, because it is in none
---@field changes run_runbook.Change[] the changes that it made, or planned, in order
---@field processes run_runbook.Process[] programs that it ran, real or fake; none under a plan
---@field files table<string, string> fake files that it wrote, or planned to write, by path
---@field outside run_runbook.Outside[] under a plan, the programs and files that it lists instead of running and writing them
---@field calls table<string, integer> the requests that it sent, by AWS action
---@field error? table the error that ended it: `kind`, `message`, `code`, `hint` and so on

--- Runs a runbook, or a script without a manifest, on the account of the test, as `iamlua run`
--- would: in a Lua of its own, with its parameters as flags (`dry_path = true` is `--dry-path`,
--- false is `--no-dry-path`; a list repeats its flag, a map gives `KEY=VALUE`), with the
--- permissions that its manifest asks for, and no others, on the machine that `fake` makes up.
---
--- The file is looked for beside the test file, then in the current folder. However the runbook
--- ends, that is a result.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops", path = "/ec2/" }, { mode = "plan" })
--- expect(run.code):to_equal(0)
--- expect(#run.changes):to_equal(10)
--- ```
---@param path string
---@param params? table<string, any>
---@param options? run_runbook.Options
---@return run_runbook.Result
function run_runbook(path, params, options) end

--- Makes a folder that is gone after the test, with files in it, and returns its path.
---
--- The test may read and write there; a runbook may if it is given the folder, or a file in it, in
--- the ways in which operators do that.
---
--- ```lua
--- local folder = temp_folder { ["profiles.json"] = '[{ "name": "made", "path": "/new/" }]' }
--- run_runbook("ensure.lua", { file = folder .. "/profiles.json" })
--- expect(iam.profiles.get("made").path):to_equal("/new/")
--- ```
---@param files? table<string, string> what is in them, by name; `a/b.txt` is in a folder of its own
---@return string path
function temp_folder(files) end
