---@meta usage
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Usage of instance profiles, as verdicts with evidence.
---
--- A scan queries every service that can name a profile, in every enabled region. A verdict is the
--- conclusion for one profile. A profile with an incomplete check is `unknown`, never `unused`.
---
--- `unused` means that no resource on AWS known to iamlua names the profile, and that its role was
--- not used recently. docs/usage.md lists the proof of each source, and what lies outside of AWS.
---
--- ```lua
--- local scan = usage.scan {}
--- for profile in iam.profiles.each() do
---   local v = scan:verdict(profile)
---   print(profile.name, v.verdict, v.reason)
--- end
--- ```
---@class usage
usage = {}

--- Result of a scan: references to profiles, and gaps.
---@class usage.Scan
---@field account string the account's 12 digits
---@field started string start of the scan: ISO 8601, UTC, seconds
---@field ended string end of the scan
---@field complete boolean true without gaps; otherwise no profile is `unused`
---@field regions string[] the scanned regions
---@field resources integer number of resources that were examined
local Scan = {}

--- Verdict on one profile, with its evidence.
---
--- Any entry in `doubts`, such as a text with placeholders, makes it `unknown`. `checked` is the
--- same table for all verdicts of a scan.
---@class usage.Verdict
---@field verdict "used"|"unused"|"unknown"
---@field reason string the reason, in one sentence
---@field profile string its name
---@field id string its unique id
---@field arn string its ARN
---@field references usage.Reference[] resources that refer to the profile
---@field doubts usage.Reference[] resources that may refer to the profile
---@field gaps usage.Gap[] checks that could not be made
---@field checked usage.Check[] all checks of the scan, with outcome and time
---@field role? usage.Role last use of the role, if no resource refers to the profile
---@field at string start of the scan

--- Resource that refers to a profile.
---
--- The source is `iam.roles` for a role that was used recently.
---@class usage.Reference
---@field source string the source, such as `ec2.instances`
---@field service string the service's prefix in IAM policies, such as `ec2`
---@field region? string
---@field kind string kind of the resource, such as `instance`
---@field resource string its id or name; several parts are joined by `/`
---@field state? string its state, in AWS's words
---@field by "arn"|"name"|"id"|"role"|"pattern" form of the reference
---@field text string text of the reference

--- Check that could not be made.
---@class usage.Gap
---@field source? string the source; nil for all of them
---@field region? string the region; nil for all of them
---@field reason "denied"|"throttled"|"failed"|"cut off"|"not enabled"|"not asked"
---@field code? string AWS's error code
---@field message? string AWS's message
---@field text string description of the gap

--- Query of one source in one region.
---
--- The outcome is `checked`, `not offered` where the region does not have the service, or the
--- reason of a gap.
---@class usage.Check
---@field source string
---@field region string
---@field at string time of the query: ISO 8601, UTC, seconds
---@field resources integer number of resources that were examined
---@field outcome string `checked`, `not offered`, or the reason of a gap

--- Last use of a profile's role, in the 400 days that AWS tracks.
---@class usage.Role
---@field name string
---@field create_date string
---@field last_used? string time of the last use; nil without any in those 400 days
---@field region? string region of the last use

--- Kind of resource that can name a profile.
---@class usage.Source
---@field name string such as `ec2.instances`
---@field service string the service's prefix in IAM policies
---@field kind string kind of one resource, such as `instance`
---@field actions string[] the API actions of the query, which are also the permissions needed
---@field doc string meaning of a reference
---@field reference_url string the page of AWS's documentation

---@class (exact) usage.LoadOptions
---@field max_age? string|number maximum age of the scan. Default: `"6h"`

---@class (exact) usage.ScanOptions
---@field regions? string|string[] the regions to scan. Default: all that are enabled
---@field sources? string|string[] the sources to query. Default: all
---@field role_unused_for? string|number a role used more recently counts as use. Default: `"90d"`
---@field concurrency? integer maximum number of calls at once. Default: 16
---@field timeout? string|number maximum time of one call. Default: `"5m"`

--- Scans every source in every region of the run's own account, as `iam.usage.scan` does.
---
--- A scan makes no call per profile, and shows its progress. A denied or failing call is a gap of
--- the scan, not an error. Raises an error if the enabled regions cannot be determined or the
--- credentials are not valid.
---@param options? usage.ScanOptions
---@return usage.Scan
function usage.scan(options) end

--- Loads a scan that `scan:save` wrote; needs `--allow-read`.
---
--- Raises an error for a file that is older than `max_age`, damaged, or of another version.
---
--- Roles are read again, not taken from the file.
---@param path string
---@param options? usage.LoadOptions
---@return usage.Scan
function usage.load(path, options) end

--- Lists the sources of a scan.
---
--- ```lua
--- for _, source in ipairs(usage.sources()) do
---   print(source.name, table.concat(source.actions, ", "))
--- end
--- ```
---@return usage.Source[]
function usage.sources() end

--- Returns the verdict on a profile.
---
--- A profile without references costs one call for its role, once per role. A profile that is given
--- by name is read first. It must be in the scan's account.
---@param profile iam.Profile|string a profile of `iam.profiles.each`, `list` or `get`, or its name
---@return usage.Verdict
function Scan:verdict(profile) end

--- Lists the gaps of the scan; empty if it is complete.
---@return usage.Gap[]
function Scan:gaps() end

--- Summarizes the gaps in a few sentences.
---
--- Gaps with the same cause, such as a source that is denied in every region, are one sentence.
---@return string[]
function Scan:gap_summary() end

--- Lists the queries of the scan: source, region, time and outcome.
---@return usage.Check[]
function Scan:checked() end

--- Iterates over all references to profiles and roles, including those to profiles that do not
--- exist.
---
--- `names` are the texts of the references, exactly as AWS returns them.
---@return fun(): table iterator
function Scan:references() end

--- Saves the scan to a file, for `usage.load`; needs `--allow-write`.
---@param path string
function Scan:save(path) end

return usage
