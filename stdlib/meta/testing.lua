---@meta _
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

-- Functions for test files that `iamlua test` runs.
--
-- They exist only there, in addition to everything that scripts have.
--
-- Every test runs in a separate Lua state, on a fresh account in memory. That is the example
-- account, unless the test changes it. The file is loaded again for each test, so code at its top
-- level or in a `describe` runs before every test, and tests cannot affect each other.
--
-- Test code may change its account freely, and read files beside the test file. Failed items of
-- `bulk` do not fail a test by themselves. Further permissions are given by the same flags as for
-- `iamlua run`, such as `--allow-run=git`. The output of a test is shown if it fails, with the
-- standard error of the run that a failed expectation is about. `iamlua.toml` is ignored.
--
-- Runbooks under test run no programs and touch no files of this machine, whatever their manifests
-- ask for. They see the programs and files that `fake` defines. Their use of them is in the result
-- of `run_runbook`.
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

--- Groups tests under a name.
---
--- Groups can be nested; the full name of a test has all of their names, joined by ` › `.
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
--- It passes if its function returns, and fails if the function raises an error, as `expect`,
--- `assert`, `error` and a failing call of `iam` do.
---
--- ```lua
--- it("makes a profile at the root", function()
---   expect(iam.profiles.create("new").path):to_equal("/")
--- end)
--- ```
---@class it
---@overload fun(name: string, f: fun())
it = {}

--- Defines a test that is skipped.
---@param name string
---@param f fun()
function it.skip(name, f) end

--- Defines a test that runs alone: other tests of the file are skipped, except those defined in the
--- same way.
---
--- For use while working on it.
---@param name string
---@param f fun()
function it.only(name, f) end

--- Registers a function to run before each test of the group, or of the file.
---
--- Functions of outer groups run first. The account is fresh at that time.
---@param f fun()
function before_each(f) end

--- Registers a function to run after each test of the group, or of the file, also after a failed
--- one.
---
--- Functions of inner groups run first. Temporary folders and the account need no cleanup.
---@param f fun()
function after_each(f) end

--- Expectations of a value.
---
--- An unmet expectation raises an error that names the line of the test and shows the difference.
---@class Expectation
local Expectation = {}

--- Negates the next expectation.
---
--- The usual name `not` is a keyword of Lua.
---
--- ```lua
--- expect(iam.profiles.tags("bastion")):never():to_have { Owner = "nobody" }
--- ```
---@return Expectation
function Expectation:never() end

--- Expects a value that is equal to another.
---
--- Tables are compared by their fields, at any depth.
---
--- ```lua
--- iam.profiles.create { name = "web", tags = { Owner = "ops", Stage = "prod" } }
--- expect(iam.profiles.tags("web")):to_equal { Owner = "ops", Stage = "prod" }
--- ```
---@param expected any
function Expectation:to_equal(expected) end

--- Expects the identical value, as `==` compares it: a table only matches itself.
---@param expected any
function Expectation:to_be(expected) end

--- Expects nil.
function Expectation:to_be_nil() end

--- Expects exactly `true`, not only a truthy value.
function Expectation:to_be_true() end

--- Expects exactly `false`, not nil.
function Expectation:to_be_false() end

--- Expects a truthy value: neither false nor nil.
function Expectation:to_be_truthy() end

--- Expects a falsy value: false or nil.
function Expectation:to_be_falsy() end

--- Expects a smaller value: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_less_than(limit) end

--- Expects a greater value: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_greater_than(limit) end

--- Expects text that contains a text, or an array that contains an element equal to a value.
---
--- ```lua
--- expect("3 profiles tagged"):to_contain("3 profiles")
--- expect({ "api", "web" }):to_contain("web")
--- ```
---@param part any
function Expectation:to_contain(part) end

--- Expects text that matches a Lua pattern, anywhere in it.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- expect(run.stderr):to_match("tag: %d+ done")
--- ```
---@param pattern string
function Expectation:to_match(pattern) end

--- Expects a table with these fields and equal values.
---
--- The table, and the tables in it, may have further fields. An array must have the same number of
--- elements, and an empty table must be empty.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- local after = { tags = { Owner = "ops" } }
--- expect(run.changes[1]):to_have { action = "TagInstanceProfile", after = after }
--- ```
---@param fields table
function Expectation:to_have(fields) end

--- Expects a function that raises an error: any, or one with a given code (`"NoSuchEntity"`) or
--- kind (`"refused"`), with a message that contains or matches a text, or with given fields.
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

--- Starts an expectation: `expect(value):to_equal(…)`, with a colon.
---
--- A test with an `expect` that has no assertion fails.
---@param value any
---@return Expectation
function expect(value) end

--- Account of the test.
---
--- It is in memory, fresh for each test, and discarded afterwards.
---@class account
account = {}

--- Replaces the whole account by the contents of a file from `iamlua account export`, or by a table
--- of the same shape.
---
--- The file is searched for beside the test file, then in the current folder. In a table `format`
--- and `version` are optional.
---
--- ```lua
--- account.import { profiles = { { name = "web", path = "/ec2/", tags = { Owner = "ops" } } } }
--- expect(iam.profiles.get("web").path):to_equal("/ec2/")
--- ```
---@param what string|table
function account.import(what) end

--- Returns the whole account, as `iamlua account export` writes it: `.profiles`, `.roles`,
--- `.policies`, `.account`.
---@return table
function account.export() end

--- Resets the account to the empty or the example account.
---@param contents "empty"|"example"
function account.reset(contents) end

--- Injects faults into the account, as `--faults` does: delay, throttling, errors, eventual
--- consistency.
---
--- `""` or nil removes them.
---
--- Calls held by `hold=…` wait until the faults are changed:
---
--- The lag of `iamlua test --lag` stays unless `lag=` is given; `lag=0` removes it.
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

--- Returns the number of requests that the test has sent so far, by AWS action.
---
--- Requests of its runbooks and retries are included.
---
--- ```lua
--- iam.profiles.tag("bastion", { Stage = "prod" })
--- expect(account.calls().TagInstanceProfile):to_equal(1)
--- ```
---@return table<string, integer>
function account.calls() end

--- Clock of the test.
---
--- It applies to the account, and to `time.now()` and `time.ago()` in the test and in the runbooks
--- that it runs. It starts at the real time and stands still, so dates are predictable.
--- `clock.set`, `clock.advance` and a `time.sleep` of a script move it; the sleep also takes its
--- real time. Delayed consistency and throttling wait for real time, or for `clock.advance`.
---@class clock
clock = {}

--- Sets the clock to a time, later or earlier.
---
--- ```lua
--- clock.set("2026-01-01T00:00:00Z")
--- expect(iam.profiles.create("new").create_date):to_equal("2026-01-01T00:00:00Z")
--- ```
---@param iso string
function clock.set(iso) end

--- Advances the clock by a duration.
---
--- ```lua
--- local profile = iam.profiles.create("new")
--- clock.advance("90d")
--- expect(time.age(profile.create_date)):to_equal("90d")
--- ```
---@param length string|number
function clock.advance(length) end

--- Returns the time of the clock as ISO 8601 text.
---@return string
function clock.now() end

--- Fake programs, files, environment variables and web servers for the runbooks of a test.
---
--- A runbook still needs the permission, by its manifest or by an option of `run_runbook`.
--- Everything that is neither fake nor granted to `iamlua test` by a flag such as `--allow-run=git`
--- does not exist; its use raises an error.
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

---@class (exact) fake.End
---@field code? integer the exit code, from 0 to 255. Default: 0.
---@field stdout? string the standard output. Default: empty
---@field stderr? string the standard error. Default: empty
---@field args? string[] the arguments of the call that this result is for. Default: any
---@field error? string failure to start: `process.run` raises it, as an error of kind "io"

--- Fakes a program: `process.run` of a runbook returns the result, and nothing runs.
---
--- The results of an array are used one after the other; the last one is repeated. A result with
--- the same `args` as the call takes precedence over one without, and a later definition over an
--- earlier one.
---
--- ```lua
--- fake.process("git", { args = { "rev-parse", "HEAD" }, stdout = "0a1b2c\n" })
--- fake.process("ping", { { code = 1, stderr = "unreachable" }, { stdout = "1 received" } })
--- fake.process("kubectl", { error = "No such file or directory" })
--- ```
---@param program string its name or path, as the runbook gives it
---@param result? fake.End|fake.End[] default: exit code 0 and no output
function fake.process(program, result) end

--- Fakes a file: runbooks read that text, even if the machine has a file of that name.
---
--- Without a text, the file does not exist, to test a runbook in that case.
---
--- Files that runbooks write are kept in `files` of the result of `run_runbook`, unless
--- `temp_folder` or a flag of `iamlua test` has made their path real.
---
--- ```lua
--- fake.file("config.json", '{ "owner": "ops" }')
--- fake.file("/etc/missing")
--- ```
---@param path string as the runbook gives it
---@param text? string
function fake.file(path, text) end

--- Fakes an environment variable for `os.getenv` in runbooks.
---
--- All others are nil there.
---
--- ```lua
--- fake.env("STAGE", "prod")
--- ```
---@param name string
---@param value string
function fake.env(name, value) end

---@class fake.Answer
---@field status? integer the status, from 100 to 599. Default: 200
---@field body? string the body. Default: empty
---@field json? any a value whose JSON is the body
---@field headers? table<string, string>
---@field error? string no answer: `http` raises it, as an error of kind "connection"

--- Fakes a web server: requests of runbooks by `http` get the answer, and nothing is sent.
---
--- In the address `*` stands for any text, and a method may stand before it. The answers of an
--- array are used one after the other; the last one is repeated. A later definition takes
--- precedence over an earlier one. The requests are in `requests` of the result of `run_runbook`.
---
--- ```lua
--- fake.http("https://api.example.com/owners*", { json = { owner = "ops" } })
--- fake.http("POST https://hooks.example.com/*", { { status = 503 }, { status = 200 } })
--- fake.http("https://down.example.com/", { error = "connection refused" })
--- ```
---@param url string
---@param answer? fake.Answer|fake.Answer[] default: status 200 and no body
function fake.http(url, answer) end

--- Options of a test run of a runbook.
---@class (exact) run_runbook.Options
---@field mode? "apply"|"plan"|"read-only" make, list or refuse changes. Default: "apply"
---@field output? "table"|"json"|"jsonl"|"csv" the format, as `--output`. Default: "table"
---@field args? string[] further arguments of the command line
---@field max_changes? integer|string as `--max-changes`
---@field timeout? string|number as `--timeout`
---@field confirm? boolean the answer to the question for `permissions`. Default: true
---@field allow_read? string[] as `--allow-read`
---@field allow_write? string[] as `--allow-write`
---@field allow_env? string[] as `--allow-env`
---@field allow_run? string[] as `--allow-run`
---@field allow_net? string[] as `--allow-net`

--- Change of a run.
---
--- `before` and `after` have the fields `name`, `path`, `id`, `create_date`, `role` and `tags`.
---@class run_runbook.Change
---@field number integer the number of the change in the run, from 1
---@field action string the AWS action, such as "TagInstanceProfile"
---@field subject "profile"|"role"
---@field name string the name of the profile or role
---@field arguments table the arguments of the call
---@field before? table the profile or role before the change; nil if it did not exist
---@field after? table the profile or role after the change; nil if it was deleted
---@field outcome "done"|"failed"|"in_doubt"|"planned"
---@field error? string AWS's message, for a failed change
---@field text string the change as a plan shows it: `~ tag profile web: Owner → ops`

--- Action outside of the account that a plan lists: a program, a file write, a folder or a request.
---@class run_runbook.Outside
---@field kind "run"|"write"|"mkdir"|"request"
---@field program? string of a program
---@field arguments? string[] of a program
---@field path? string of a file or folder
---@field method? string of a request
---@field url? string of a request, without its possible secrets
---@field bytes? integer size of a file, or of the body of a request

--- Program that a run started, real or fake.
---@class run_runbook.Process
---@field program string name or path, as the runbook gives it
---@field args string[]
---@field stdin? string its standard input

--- Request that a run sent by `http`, to a real or a fake server.
---@class run_runbook.Request
---@field method string
---@field url string the address, with the query
---@field headers table<string, string> the headers that the runbook set, by names in lower case
---@field body? string

--- Result of a test run.
---
--- `stderr` has everything but the results: `log`, summaries, the plan, and the error that ended
--- the run. Runs under test have no journal, so it names none.
---@class run_runbook.Result
---@field code integer the exit code
---@field stdout string the results on standard output
---@field stderr string the messages on standard error
---@field changes run_runbook.Change[] changes that were made or planned, in order
---@field processes run_runbook.Process[] programs that were run, real or fake; none under a plan
---@field requests run_runbook.Request[] requests that were sent by `http`
---@field files table<string, string> fake files that were written or planned, by path
---@field outside run_runbook.Outside[] actions outside of the account that a plan lists
---@field calls table<string, integer> the number of requests, by AWS action
---@field error? table the error that ended it: `kind`, `message`, `code`, `hint` and so on

--- Runs a runbook, or a script without a manifest, on the account of the test, as `iamlua run`
--- would.
---
--- It runs in a separate Lua state, with the permissions of its manifest and no others, on the
--- machine that `fake` defines.
---
--- Parameters become flags: `dry_path = true` is `--dry-path`, false is `--no-dry-path`, a list
--- repeats its flag, and a map becomes `KEY=VALUE`. The file is searched for beside the test file,
--- then in the current folder. A failure of the runbook is a result, not an error.
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

--- Creates a temporary folder with files, and returns its path.
---
--- It is removed after the test. The test may read and write there. A runbook may do so if it is
--- given the folder or a file in it, in the ways in which operators do that. A key such as
--- `a/b.txt` creates a subfolder.
---
--- ```lua
--- local folder = temp_folder { ["profiles.json"] = '[{ "name": "made", "path": "/new/" }]' }
--- run_runbook("ensure.lua", { file = folder .. "/profiles.json" })
--- expect(iam.profiles.get("made").path):to_equal("/new/")
--- ```
---@param files? table<string, string> contents of the files, by name
---@return string path
function temp_folder(files) end
