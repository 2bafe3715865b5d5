---@meta runbook
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- A script that declares itself: `runbook { … }` at its beginning says what the script is for,
--- which parameters it takes, and what it may do.
---
--- The parameters become flags of `iamlua run SCRIPT`, with `--help`; what is wrong with the
--- command line is said before anything runs; no function of `iam` outside of `allow` can be called
--- afterwards.
---
--- A script without `params` and `args` finds its own options after a lone `--`. With `args` they
--- are not checked, so that a misspelt option of iamlua is one of the script's.
---
--- A parameter is secret if a word of its name suggests it, such as `password`, `db_token`,
--- `secret`, `credential`, `auth` or `api_key`. `partition_key`, `sort_key` and `public_key` are
--- not, and neither are parameters with `choices`, files, durations and booleans. `secret = true`
--- and `secret = false` hold instead.
---
--- ```lua
--- local p = runbook {
---   description = "Tags every profile under a path with its owner.",
---   params = {
---     path = { default = "/", help = "path prefix" },
---     owner = { required = true, help = "value of the Owner tag" },
---   },
---   allow = { "profiles.each", "profiles.tag" },
---   max_changes = 500,
---   timeout = "30m",
--- }
--- bulk.each(iam.profiles.each { path_prefix = p.path }, { label = "tag" }, function(profile)
---   iam.profiles.tag(profile.name, { Owner = p.owner })
--- end)
--- ```
---@class runbook
---@overload fun(manifest: runbook.Manifest): table<string, any>
runbook = {}

---@class runbook.Manifest
---@field description? string what the script does, for `--help`
---@field params? table<string, runbook.Param> by name, in snake_case; `dry_path` is `--dry-path`
---@field args? boolean the script reads its arguments itself, unchecked, from `...`. Default: false
---@field allow? string[] the functions of `iam` that it may call, such as `"profiles.tag"`; every other is refused. Default: all.
---@field max_changes? integer|string the most calls that change the account: a number, or a share of the account's profiles such as `"5%"`
---@field timeout? string|number how long it may take
---@field schedule? string when it runs as a job of `iamlua schedule`: five cron fields, or `@daily` and its like
---@field timezone? string the time zone of `schedule`, such as `"Europe/Berlin"`. Default: UTC.
---@field every? string|number how often it runs as a job, instead of `schedule`: at the multiples of that time since the beginning of 1970
---@field jitter? string|number it begins up to so much later, always by the same time for the same moment, so that jobs do not all begin at once
---@field catch_up? "once"|"skip" what becomes of moments at which nobody could run it, and of a run that was killed: it runs once for all of them (the default), or they are left out
---@field retries? integer how often it is tried again after a failure. Default: 0.
---@field retry_delay? string|number how long it waits before that, and twice as long before each further time. Default: `"1m"`.
---@field on_failure? runbook.OnFailure who is told when the last try has failed
---@field permissions? runbook.Permissions what it wants to touch besides AWS; the operator is asked

---@class runbook.OnFailure
---@field command? string[] a program and its arguments, which gets the failure as JSON on its standard input
---@field webhook? string an address to which the failure is posted as JSON

---@class runbook.Permissions
---@field read? string[] files and folders
---@field write? string[] files and folders
---@field env? string[] environment variables
---@field run? string[] programs
---@field net? string[] `HOST` or `HOST:PORT`, other than AWS's hosts and the run's endpoint

---@class runbook.Param
---@field type? "string"|"integer"|"number"|"boolean"|"duration"|"list"|"map"|"file"|"new_file" default: that of `default` or `choices`, else string. A duration arrives in seconds; naming a file on the command line lets the script read it; naming a new file lets it write that one, which must not be there yet, under a plan either (`-` is standard output, and pipes and devices may be there).
---@field default? any
---@field required? boolean
---@field help? string
---@field pattern? string a regular expression for the whole value, or each item of a list
---@field min? number|string the least number, duration, or count of items
---@field max? number|string the greatest one
---@field choices? any[] the only values
---@field secret? boolean kept out of journal, plan file, log and errors. Default: by the name

--- Ends the script because its command line is wrong in a way that the declarations cannot say,
--- such as two flags that exclude each other.
---
--- Always raises, an error of kind "usage": exit code 2.
---@param problem string
---@param hint? string
function runbook.usage(problem, hint) end

return runbook
