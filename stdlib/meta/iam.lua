---@meta iam
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- An instance profile: the container that hands a role's credentials to EC2 instances.
---@class iam.Profile
---@field name string Its name, unique in the account ignoring case.
---@field path string Its path, `/` unless it was created with another.
---@field id string Its unique id, `AIPA…`; a profile made again has a new one.
---@field arn string Its ARN, with the path in it.
---@field create_date string When it was created: ISO 8601, UTC, seconds.
---@field roles iam.Role[] The roles in it: none or one.
---@field role string? The name of the role in it, or nil.
---@field tags table<string, string>? Its tags; nil when AWS did not send them (a listing never does), `{}` when there are none.

--- One page of a listing: the entries are its array part.
---@class iam.ProfilePage: { [integer]: iam.Profile }
---@field is_truncated boolean Whether there is a next page.
---@field marker string? Where the next page starts.

--- An IAM role. A listing, and the role inside a profile, have fewer fields than `iam.roles.get`.
---@class iam.Role
---@field name string Its name, unique in the account ignoring case.
---@field path string Its path.
---@field id string Its unique id, `AROA…`.
---@field arn string Its ARN.
---@field create_date string When it was created: ISO 8601, UTC, seconds.
---@field assume_role_policy string? Who may assume it: JSON text, percent-decoded, ready for `json.decode`.
---@field description string? What it is for.
---@field max_session_duration integer? The longest session, in seconds.
---@field permissions_boundary string? The ARN of its permissions boundary; only from `get`.
---@field last_used string? When it last made a request, in the last 400 days; nil if it did not. Only from `get`.
---@field last_used_region string? In which region that was.
---@field tags table<string, string>? Its tags from `get`, `{}` when there are none; nil in a listing, which never has them.

--- One page of a listing: the entries are its array part.
---@class iam.RolePage: { [integer]: iam.Role }
---@field is_truncated boolean Whether there is a next page.
---@field marker string? Where the next page starts.

--- A managed policy that is attached to a role.
---@class iam.AttachedPolicy
---@field name string Its name.
---@field arn string Its ARN.

--- One page of a listing: the entries are its array part.
---@class iam.AttachedPolicyPage: { [integer]: iam.AttachedPolicy }
---@field is_truncated boolean Whether there is a next page.
---@field marker string? Where the next page starts.

--- The account that calls go to, and who makes them.
---@class iam.Account
---@field id string The account's 12 digits.
---@field arn string The ARN of the caller: a user or an assumed role.
---@field user_id string The unique id of the caller.
---@field alias string? The account's alias, if it has one and the caller may see it.
---@field profiles integer? How many instance profiles there are; nil if the caller may not see it.
---@field profiles_quota integer? How many there may be: 1,000 unless AWS raised it.
---@field roles integer? How many roles there are.
---@field roles_quota integer? How many there may be.
---@field credentials string The source of the credentials, with the file and line or the variable; never a secret.
---@field credentials_expiration string? When the credentials end: ISO 8601, UTC; nil if they do not.
---@field region string The region of the connection.
---@field endpoint_url string? The endpoint of IAM; nil if it is AWS's own.
---@field proxy string? The proxy of `https:` addresses, without its password; nil if there is none.
---@field ca_bundle string? The file of trusted certificates; nil if they are the system's.

--- One tag, in a page of tags.
---@class iam.Tag
---@field key string Its key.
---@field value string Its value; may be empty.

--- One page of a listing: the entries are its array part.
---@class iam.TagPage: { [integer]: iam.Tag }
---@field is_truncated boolean Whether there is a next page.
---@field marker string? Where the next page starts.

--- What every function raises, also readable as text by `tostring`.
---@class iam.Error
---@field kind string What went wrong, coarsely: `aws`, `connection`, `credentials`, `argument`, `usage`, `configuration`, `script`, `permission`, `refused`, `protected`, `io`, `state`, `interrupted`, `timeout` or `bug`.
---@field code string? AWS's error code, such as `NoSuchEntity`.
---@field message string What failed.
---@field operation string? The AWS action.
---@field status integer? The HTTP status.
---@field request_id string? The id to give to AWS support.
---@field retryable boolean Whether the same call may succeed later.
---@field hint string? What to do next.
---@field where string? The position in the script.
---@field traceback string? Where it was raised, and from where that was called.
---@field value any What the script raised, if it was not text.
---@field item any The item of `bulk` at which the whole ended.

--- Instance profiles: the containers that hand a role's credentials to EC2 instances.
---@class iam.profiles
local profiles = {}

---@class iam.profiles.create.Options
---@field path? string Its path. Default `/`. It cannot be changed later. (`/` or `/…/`, at most 512 characters)
---@field tags? table<string, string> The tags to create it with. (at most 50; keys 1-128, values 0-256 characters)

--- Creates an instance profile without a role.
---
--- Raises `EntityAlreadyExists` if the name is taken (ignoring case) and `LimitExceeded` at the
--- account's quota (1,000 by default). EC2 may not see a new profile for some seconds.
---
--- AWS: [CreateInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html)
---
--- ```lua
--- local profile = iam.profiles.create { name = "doc-web", path = "/ec2/", tags = { Owner = "ops" } }
--- assert(profile.arn:match(":instance%-profile/ec2/doc%-web$"))
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.create.Options
---@return iam.Profile
---@overload fun(named: { name: string, path?: string, tags?: table<string, string> }): iam.Profile
function profiles.create(name, options) end

--- Reads one instance profile, with its role and tags.
---
--- Raises `NoSuchEntity` if there is none of that name; `iam.profiles.find` returns nil instead.
---
--- AWS: [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html)
---
--- ```lua
--- local profile = iam.profiles.get("web-frontend")
--- assert(profile.path == "/ec2/web/" and profile.tags)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Profile
---@overload fun(named: { name: string }): iam.Profile
function profiles.get(name) end

--- Reads one instance profile, or returns nil if there is none of that name.
---
--- AWS: [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html)
---
--- ```lua
--- assert(iam.profiles.find("web-frontend").name == "web-frontend")
--- assert(iam.profiles.find("no-such-profile") == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Profile?
---@overload fun(named: { name: string }): iam.Profile?
function profiles.find(name) end

---@class iam.profiles.list.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of instance profiles.
---
--- The array part of the page holds the profiles, without tags; `marker` is nil on the last page.
--- `iam.profiles.each` goes through all pages by itself.
---
--- AWS: [ListInstanceProfiles](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html)
---
--- ```lua
--- local page = iam.profiles.list { path_prefix = "/ec2/", max_items = 2 }
--- assert(#page == 2 and page.is_truncated)
--- local rest = iam.profiles.list { path_prefix = "/ec2/", marker = page.marker }
--- assert(rest[1].name ~= page[1].name)
--- ```
---@param options? iam.profiles.list.Options
---@return iam.ProfilePage
function profiles.list(options) end

---@class iam.profiles.each.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field page_size? integer Entries in each call. Default 1000, with `with_tags` 100. (1-1000)
---@field with_tags? boolean Also load each profile's tags, many at once, in order.

--- Iterates over all instance profiles.
---
--- The next page is fetched while the script works on this one; memory does not grow with the
--- account. Without `with_tags` `profile.tags` is nil, because listings do not carry tags; with it
--- each profile costs one more call.
---
--- AWS: [ListInstanceProfiles](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html), [ListInstanceProfileTags](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html)
---
--- ```lua
--- local names = {}
--- for profile in iam.profiles.each { path_prefix = "/ec2/", with_tags = true } do
---   names[#names + 1] = profile.name .. " " .. (profile.tags.Owner or "-")
--- end
--- assert(#names > 2)
--- ```
---@param options? iam.profiles.each.Options
---@return fun(): iam.Profile iterator
function profiles.each(options) end

---@class iam.profiles.pages.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all pages of instance profiles.
---
--- AWS: [ListInstanceProfiles](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html)
---
--- ```lua
--- local count = 0
--- for page in iam.profiles.pages { page_size = 10 } do count = count + #page end
--- assert(count > 20)
--- ```
---@param options? iam.profiles.pages.Options
---@return fun(): iam.ProfilePage iterator
function profiles.pages(options) end

---@class iam.profiles.list_for_role.Options
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the instance profiles that a role is in.
---
--- AWS: [ListInstanceProfilesForRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html)
---
--- ```lua
--- local page = iam.profiles.list_for_role { role = "web-frontend" }
--- assert(page[1].role == "web-frontend")
--- ```
---@param role string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.list_for_role.Options
---@return iam.ProfilePage
---@overload fun(named: { role: string, marker?: string, max_items?: integer }): iam.ProfilePage
function profiles.list_for_role(role, options) end

---@class iam.profiles.each_for_role.Options
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all instance profiles that a role is in.
---
--- AWS: [ListInstanceProfilesForRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html)
---
--- ```lua
--- for profile in iam.profiles.each_for_role("web-frontend") do
---   assert(profile.role == "web-frontend")
--- end
--- ```
---@param role string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.each_for_role.Options
---@return fun(): iam.Profile iterator
---@overload fun(named: { role: string, page_size?: integer }): fun(): iam.Profile
function profiles.each_for_role(role, options) end

--- Puts a role into an instance profile.
---
--- A profile holds one role: with one in it already, even the same, AWS answers `LimitExceeded`.
--- The caller also needs `iam:PassRole` for the role. Right after the role was created AWS may say
--- `NoSuchEntity` for some seconds.
---
--- AWS: [AddRoleToInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html)
---
--- ```lua
--- iam.profiles.create("doc-add-role")
--- iam.profiles.add_role("doc-add-role", "web-frontend")
--- assert(iam.profiles.get("doc-add-role").role == "web-frontend")
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param role string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string, role: string })
function profiles.add_role(name, role) end

--- Takes a role out of an instance profile.
---
--- Instances that use the profile lose the role's permissions, up to an hour later. Raises
--- `NoSuchEntity` if the role is not in it.
---
--- AWS: [RemoveRoleFromInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html)
---
--- ```lua
--- iam.profiles.remove_role("web-frontend", iam.profiles.get("web-frontend").role)
--- assert(iam.profiles.get("web-frontend").role == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param role string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string, role: string })
function profiles.remove_role(name, role) end

---@class iam.profiles.delete.Options
---@field detach? boolean Take the role out first. Default false: a profile with a role is refused.

--- Deletes an instance profile.
---
--- AWS does not check whether instances use it: they break when their credentials run out, hours
--- later. With a role in it AWS answers `DeleteConflict`, unless `detach` is given. If the second
--- half of a detach-and-delete fails, calling it again does what is left.
---
--- AWS: [DeleteInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteInstanceProfile.html), [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html), [RemoveRoleFromInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html)
---
--- ```lua
--- iam.profiles.delete("web-frontend", { detach = true })
--- assert(iam.profiles.find("web-frontend") == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.delete.Options
---@overload fun(named: { name: string, detach?: boolean })
function profiles.delete(name, options) end

--- Sets tags of an instance profile; tags not named stay as they are.
---
--- Keys are case-sensitive. A profile has at most 50 tags: more in one call are refused before
--- anything is sent, more in all raise `LimitExceeded`. Tags that are so already, by what was read
--- in the last two minutes, are not sent.
---
--- AWS: [TagInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html)
---
--- ```lua
--- iam.profiles.tag("web-frontend", { Owner = "ops", Stage = "prod" })
--- assert(iam.profiles.tags("web-frontend").Stage == "prod")
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param tags table<string, string> The tags to set; other tags stay as they are. (at most 50; keys 1-128, values 0-256 characters)
---@overload fun(named: { name: string, tags: table<string, string> })
function profiles.tag(name, tags) end

--- Removes tags of an instance profile by key.
---
--- A key that is not there is not an error. More than 50 keys are sent in several calls.
---
--- AWS: [UntagInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html)
---
--- ```lua
--- iam.profiles.untag("web-frontend", { "Owner" })
--- assert(iam.profiles.tags("web-frontend").Owner == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param keys string[] The keys of the tags to remove. (keys of 1-128 characters)
---@overload fun(named: { name: string, keys: string[] })
function profiles.untag(name, keys) end

---@class iam.profiles.list_tags.Options
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the tags of an instance profile.
---
--- The array part holds `{ key=, value= }`. `iam.profiles.tags` returns all of them as one table.
---
--- AWS: [ListInstanceProfileTags](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html)
---
--- ```lua
--- local page = iam.profiles.list_tags { name = "web-frontend", max_items = 1 }
--- assert(page[1].key and page[1].value)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.list_tags.Options
---@return iam.TagPage
---@overload fun(named: { name: string, marker?: string, max_items?: integer }): iam.TagPage
function profiles.list_tags(name, options) end

--- Reads all tags of an instance profile as a table.
---
--- AWS: [ListInstanceProfileTags](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html)
---
--- ```lua
--- for key, value in pairs(iam.profiles.tags("web-frontend")) do print(key, value) end
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return table<string, string>
---@overload fun(named: { name: string }): table<string, string>
function profiles.tags(name) end

---@class iam.profiles.ensure.Options
---@field path? string The path it must have. AWS cannot change it: another one is an error. (`/` or `/…/`, at most 512 characters)
---@field role? string The role that must be in it; another one is taken out. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@field tags? table<string, string> The tags that it must have. (at most 50; keys 1-128, values 0-256 characters)
---@field exact_tags? boolean Also remove tags that `tags` does not name.

--- Brings an instance profile into a state, creating it if need be, and calls only what differs.
---
--- What is not named stays as it is. Returns the profile and what was changed, in words; nothing
--- changed, nothing written.
---
--- AWS: [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html), [CreateInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html), [AddRoleToInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html), [RemoveRoleFromInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html), [TagInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html), [UntagInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html)
---
--- ```lua
--- local _, changes = iam.profiles.ensure { name = "doc-ensure", role = "web-frontend", tags = { Owner = "ops" } }
--- assert(#changes > 0)
--- local _, again = iam.profiles.ensure { name = "doc-ensure", role = "web-frontend", tags = { Owner = "ops" } }
--- assert(#again == 0)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.ensure.Options
---@return iam.Profile
---@return string[] changes what was changed, in words
---@overload fun(named: { name: string, path?: string, role?: string, tags?: table<string, string>, exact_tags?: boolean }): iam.Profile, string[]
function profiles.ensure(name, options) end

---@class iam.profiles.wait.Options
---@field timeout? string|number How long to wait at most. Default `"60s"`. (`"90s"`, `"15m"`, `"2h"`, `"7d"` or seconds)

--- Waits until AWS shows an instance profile with all that this run has changed.
---
--- IAM is eventually consistent: what was just created may not be there yet. The other functions
--- need no waiting, because they know what this run has changed; other programs do. EC2 may take
--- some seconds more. When the time is over it raises `NoSuchEntity`, or an error of kind `timeout`
--- if the profile is there, but not as it was changed.
---
--- AWS: [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html)
---
--- ```lua
--- iam.profiles.create("doc-wait")
--- assert(iam.profiles.wait("doc-wait", { timeout = "5s" }).name == "doc-wait")
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.wait.Options
---@return iam.Profile
---@overload fun(named: { name: string, timeout?: string|number }): iam.Profile
function profiles.wait(name, options) end

--- The roles that profiles need.
---@class iam.roles
local roles = {}

---@class iam.roles.create.Options
---@field assume_role_policy string|table Who may assume it: a table or JSON text; `policy.trust("ec2.amazonaws.com")` makes one.
---@field path? string Its path. Default `/`. It cannot be changed later. (`/` or `/…/`, at most 512 characters)
---@field description? string What it is for. (0-1000 characters)
---@field max_session_duration? integer The longest session, in seconds. Default 3600. (3600-43200)
---@field permissions_boundary? string The ARN of a policy that bounds its permissions. (20-2048 characters)
---@field tags? table<string, string> The tags to create it with. (at most 50; keys 1-128, values 0-256 characters)

--- Creates a role.
---
--- Raises `EntityAlreadyExists`, `MalformedPolicyDocument` or `LimitExceeded`. Right after, other
--- calls may not see it for some seconds.
---
--- AWS: [CreateRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html)
---
--- ```lua
--- local role = iam.roles.create { name = "doc-role", assume_role_policy = policy.trust("ec2.amazonaws.com") }
--- assert(json.decode(role.assume_role_policy).Statement[1].Effect == "Allow")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options iam.roles.create.Options
---@return iam.Role
---@overload fun(named: { name: string, assume_role_policy: string|table, path?: string, description?: string, max_session_duration?: integer, permissions_boundary?: string, tags?: table<string, string> }): iam.Role
function roles.create(name, options) end

--- Reads one role, with its tags and when it was last used.
---
--- Raises `NoSuchEntity` if there is none of that name; `iam.roles.find` returns nil instead.
---
--- AWS: [GetRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html)
---
--- ```lua
--- local role = iam.roles.get("web-frontend")
--- assert(role.max_session_duration >= 3600 and role.tags)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Role
---@overload fun(named: { name: string }): iam.Role
function roles.get(name) end

--- Reads one role, or returns nil if there is none of that name.
---
--- AWS: [GetRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html)
---
--- ```lua
--- assert(iam.roles.find("no-such-role") == nil)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Role?
---@overload fun(named: { name: string }): iam.Role?
function roles.find(name) end

---@class iam.roles.list.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of roles.
---
--- The roles of a listing have no tags, no boundary and no `last_used`.
---
--- AWS: [ListRoles](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html)
---
--- ```lua
--- local page = iam.roles.list { max_items = 1 }
--- assert(#page == 1 and page.marker)
--- ```
---@param options? iam.roles.list.Options
---@return iam.RolePage
function roles.list(options) end

---@class iam.roles.each.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all roles.
---
--- AWS: [ListRoles](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html)
---
--- ```lua
--- local count = 0
--- for role in iam.roles.each { path_prefix = "/" } do count = count + #role.name end
--- assert(count > 0)
--- ```
---@param options? iam.roles.each.Options
---@return fun(): iam.Role iterator
function roles.each(options) end

--- Deletes a role.
---
--- Raises `DeleteConflict` while it is in a profile or has policies.
---
--- AWS: [DeleteRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html)
---
--- ```lua
--- iam.roles.create { name = "doc-delete", assume_role_policy = policy.trust("ec2.amazonaws.com") }
--- iam.roles.delete("doc-delete")
--- assert(not iam.roles.find("doc-delete"))
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string })
function roles.delete(name) end

--- Replaces the policy that says who may assume a role.
---
--- AWS: [UpdateAssumeRolePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html)
---
--- ```lua
--- iam.roles.set_assume_role_policy("web-frontend", policy.trust("ec2.amazonaws.com", "ssm.amazonaws.com"))
--- assert(policy.trusts(iam.roles.get("web-frontend"), "ssm.amazonaws.com"))
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param assume_role_policy string|table Who may assume it: a table or JSON text; `policy.trust("ec2.amazonaws.com")` makes one.
---@overload fun(named: { name: string, assume_role_policy: string|table })
function roles.set_assume_role_policy(name, assume_role_policy) end

---@class iam.roles.update.Options
---@field description? string What it is for. (0-1000 characters)
---@field max_session_duration? integer The longest session, in seconds. (3600-43200)

--- Changes the description of a role, its longest session, or both.
---
--- What is not given stays as it is: the role is read first, because AWS sets what a call leaves
--- out to its default. An empty description is none.
---
--- AWS: [UpdateRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html), [GetRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html)
---
--- ```lua
--- iam.roles.update("web-frontend", { max_session_duration = 7200 })
--- assert(iam.roles.get("web-frontend").max_session_duration == 7200)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.roles.update.Options
---@overload fun(named: { name: string, description?: string, max_session_duration?: integer })
function roles.update(name, options) end

--- Sets the permissions boundary of a role, or replaces it.
---
--- AWS: [PutRolePermissionsBoundary](https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html)
---
--- ```lua
--- local arn = "arn:aws:iam::aws:policy/PowerUserAccess"
--- iam.roles.set_permissions_boundary("web-frontend", arn)
--- assert(iam.roles.get("web-frontend").permissions_boundary == arn)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param permissions_boundary string The ARN of the policy that bounds its permissions. (20-2048 characters)
---@overload fun(named: { name: string, permissions_boundary: string })
function roles.set_permissions_boundary(name, permissions_boundary) end

--- Removes the permissions boundary of a role.
---
--- The role may do more from then on: all that its policies allow.
---
--- AWS: [DeleteRolePermissionsBoundary](https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePermissionsBoundary.html)
---
--- ```lua
--- iam.roles.set_permissions_boundary("web-frontend", "arn:aws:iam::aws:policy/PowerUserAccess")
--- iam.roles.remove_permissions_boundary("web-frontend")
--- assert(iam.roles.get("web-frontend").permissions_boundary == nil)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string })
function roles.remove_permissions_boundary(name) end

--- Sets tags of a role; tags not named stay as they are.
---
--- Other than those of instance profiles, the keys of a role's tags ignore case: `dept` replaces
--- `Dept`.
---
--- AWS: [TagRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html)
---
--- ```lua
--- iam.roles.tag("web-frontend", { Owner = "ops" })
--- assert(iam.roles.get("web-frontend").tags.Owner == "ops")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param tags table<string, string> The tags to set; other tags stay as they are. (at most 50; keys 1-128, values 0-256 characters)
---@overload fun(named: { name: string, tags: table<string, string> })
function roles.tag(name, tags) end

--- Removes tags of a role by key.
---
--- A key that is not there is not an error. More than 50 keys are sent in several calls.
---
--- AWS: [UntagRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html)
---
--- ```lua
--- iam.roles.tag("web-frontend", { Owner = "ops" })
--- iam.roles.untag("web-frontend", { "Owner" })
--- assert(iam.roles.get("web-frontend").tags.Owner == nil)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param keys string[] The keys of the tags to remove. (keys of 1-128 characters)
---@overload fun(named: { name: string, keys: string[] })
function roles.untag(name, keys) end

---@class iam.roles.list_tags.Options
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the tags of a role.
---
--- The array part holds `{ key=, value= }`. `iam.roles.get` has all of them as one table.
---
--- AWS: [ListRoleTags](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html)
---
--- ```lua
--- iam.roles.tag("web-frontend", { Owner = "ops" })
--- assert(iam.roles.list_tags("web-frontend")[1].key)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.roles.list_tags.Options
---@return iam.TagPage
---@overload fun(named: { name: string, marker?: string, max_items?: integer }): iam.TagPage
function roles.list_tags(name, options) end

--- Attaches a managed policy to a role.
---
--- Attaching one that is attached is not an error. At most 10 by default.
---
--- AWS: [AttachRolePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html)
---
--- ```lua
--- iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param policy_arn string The ARN of the managed policy. (20-2048 characters)
---@overload fun(named: { name: string, policy_arn: string })
function roles.attach_policy(name, policy_arn) end

--- Detaches a managed policy from a role.
---
--- Raises `NoSuchEntity` if it is not attached.
---
--- AWS: [DetachRolePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html)
---
--- ```lua
--- iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- iam.roles.detach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param policy_arn string The ARN of the managed policy. (20-2048 characters)
---@overload fun(named: { name: string, policy_arn: string })
function roles.detach_policy(name, policy_arn) end

---@class iam.roles.list_attached_policies.Options
---@field path_prefix? string Only those whose path begins so. Default `/`: all. (begins with `/`, at most 512 characters)
---@field marker? string Where to go on: the `marker` of the page before. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the managed policies that are attached to a role.
---
--- AWS: [ListAttachedRolePolicies](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html)
---
--- ```lua
--- assert(not iam.roles.list_attached_policies("web-frontend").is_truncated)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.roles.list_attached_policies.Options
---@return iam.AttachedPolicyPage
---@overload fun(named: { name: string, path_prefix?: string, marker?: string, max_items?: integer }): iam.AttachedPolicyPage
function roles.list_attached_policies(name, options) end

--- Reads all managed policies that are attached to a role.
---
--- AWS: [ListAttachedRolePolicies](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html)
---
--- ```lua
--- iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- local names = {}
--- for _, attached in ipairs(iam.roles.attached_policies("web-frontend")) do names[attached.name] = true end
--- assert(names.AmazonS3ReadOnlyAccess)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.AttachedPolicy[]
---@overload fun(named: { name: string }): iam.AttachedPolicy[]
function roles.attached_policies(name) end

---@class iam.roles.ensure.Options
---@field assume_role_policy string|table Who may assume it: a table or JSON text; `policy.trust("ec2.amazonaws.com")` makes one.
---@field path? string The path it must have. AWS cannot change it: another one is an error. (`/` or `/…/`, at most 512 characters)
---@field description? string What it is for. (0-1000 characters)
---@field max_session_duration? integer The longest session, in seconds. (3600-43200)
---@field permissions_boundary? string The ARN of a policy that bounds its permissions. (20-2048 characters)
---@field policy_arns? string[] The managed policies that must be attached; others stay.
---@field tags? table<string, string> The tags that it must have. (at most 50; keys 1-128, values 0-256 characters)
---@field exact_tags? boolean Also remove tags that `tags` does not name.

--- Brings a role into a state, creating it if need be, and calls only what differs.
---
--- What is not named stays as it is; `iam.roles.remove_permissions_boundary` removes a boundary.
--- Trust policies of which AWS makes the same are not sent again. Returns the role and what was
--- changed, in words.
---
--- AWS: [GetRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html), [CreateRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html), [UpdateAssumeRolePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html), [UpdateRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html), [PutRolePermissionsBoundary](https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html), [TagRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html), [UntagRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html), [ListAttachedRolePolicies](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html), [AttachRolePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html)
---
--- ```lua
--- local want = {
---   name = "doc-ensure-role",
---   assume_role_policy = policy.trust("ec2.amazonaws.com"),
---   policy_arns = { "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" },
--- }
--- local _, changes = iam.roles.ensure(want)
--- local _, again = iam.roles.ensure(want)
--- assert(#changes == 2 and #again == 0)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options iam.roles.ensure.Options
---@return iam.Role
---@return string[] changes what was changed, in words
---@overload fun(named: { name: string, assume_role_policy: string|table, path?: string, description?: string, max_session_duration?: integer, permissions_boundary?: string, policy_arns?: string[], tags?: table<string, string>, exact_tags?: boolean }): iam.Role, string[]
function roles.ensure(name, options) end

--- Who uses instance profiles.
---
--- Of the account of its `iam`; for the run's own account there is the shorter `usage`, which says
--- more.
---@class iam.usage
local usage = {}

---@class iam.usage.scan.Options
---@field regions? string|string[] The regions to ask. Default: every region that is enabled; one that is enabled and left out makes `unknown`.
---@field sources? string|string[] The names of the sources to ask, as `usage.sources()` lists them. Default: all; one that is left out makes `unknown`.
---@field role_unused_for? string|number A profile whose role was used in that time is used. Default 90 days; from 1 to 400, because AWS says it hours late and remembers no more. (`"90s"`, `"15m"`, `"2h"`, `"7d"` or seconds)
---@field concurrency? integer How many calls are under way at once. Default 16. (1-256)
---@field timeout? string|number A call that has no answer after that time, however often it was made again, is given up. Default 5 minutes. (`"90s"`, `"15m"`, `"2h"`, `"7d"` or seconds)

--- Asks every service that can name an instance profile, in every enabled region, which profiles it
--- names.
---
--- It only reads, and makes no call per profile. What it cannot check is no error but a gap, and
--- makes verdicts `unknown`. Raises an error if it cannot find out which regions are enabled, or
--- the credentials are not valid.
---
--- AWS: [DescribeRegions](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html), [GetInstanceProfile](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html), [GetRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html), [DescribeInstances](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html), [DescribeIamInstanceProfileAssociations](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeIamInstanceProfileAssociations.html), [DescribeLaunchTemplates](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplates.html), [DescribeLaunchTemplateVersions](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html), [DescribeSpotFleetRequests](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotFleetRequests.html), [DescribeSpotInstanceRequests](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotInstanceRequests.html), [DescribeLaunchConfigurations](https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeLaunchConfigurations.html), [DescribeComputeEnvironments](https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html), [ListClusters](https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListClusters.html), [DescribeCapacityProviders](https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeCapacityProviders.html), [ListInfrastructureConfigurations](https://docs.aws.amazon.com/imagebuilder/latest/APIReference/API_ListInfrastructureConfigurations.html), [ListClusters](https://docs.aws.amazon.com/emr/latest/APIReference/API_ListClusters.html), [DescribeCluster](https://docs.aws.amazon.com/emr/latest/APIReference/API_DescribeCluster.html), [DescribeEnvironments](https://docs.aws.amazon.com/elasticbeanstalk/latest/api/API_DescribeEnvironments.html), [DescribeConfigurationSettings](https://docs.aws.amazon.com/elasticbeanstalk/latest/api/API_DescribeConfigurationSettings.html), [ListClusters](https://docs.aws.amazon.com/eks/latest/APIReference/API_ListClusters.html), [ListNodegroups](https://docs.aws.amazon.com/eks/latest/APIReference/API_ListNodegroups.html), [DescribeNodegroup](https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeNodegroup.html), [DescribeDBInstances](https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html)
---
--- ```lua
--- local scan = iam.usage.scan {}
--- for profile in iam.profiles.each() do
---   local verdict = scan:verdict(profile)
---   print(profile.name, verdict.verdict, verdict.reason)
--- end
--- assert(scan:verdict("web-frontend").verdict == "used")
--- ```
---@param options? iam.usage.scan.Options
---@return usage.Scan
function usage.scan(options) end

--- AWS IAM instance profiles, and the roles in them.
---
--- Most functions take their first arguments by position and the rest in a table; all of them can
--- be named in one table too: `iam.profiles.tag { name = "web", tags = { Owner = "ops" } }`.
--- Arguments are checked before anything is sent. A failure raises an `iam.Error`; `try` returns it
--- instead.
---@class iam
---@field profiles iam.profiles
---@field roles iam.roles
---@field usage iam.usage
iam = {}

--- Says which account this is, who the caller is, and how much of the quota of profiles is used.
---
--- The caller's identity needs no permission. What the caller may not see of the rest is nil.
---
--- AWS: [GetCallerIdentity](https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html), [GetAccountSummary](https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html), [ListAccountAliases](https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccountAliases.html)
---
--- ```lua
--- local account = iam.account()
--- assert(account.id:match("^%d+$") and account.profiles <= account.profiles_quota)
--- ```
---@return iam.Account
function iam.account() end

---@class iam.connect.Options
---@field profile? string The profile of ~/.aws/config whose credentials and region to use. (1-255 characters)
---@field region? string The AWS region. (1-64 characters)
---@field role_arn? string The role to assume, with the credentials found. (`arn:PARTITION:iam::ACCOUNT:role/NAME`)
---@field external_id? string What the role's owner asks for, if anything. (2-1224 characters)
---@field session_name? string The name of the session in the audit log. Default `iamlua`. (2-64 characters)
---@field endpoint_url? string Where to send the calls instead of AWS. (8-2048 characters)

--- Returns another `iam`, for another account or caller.
---
--- What is not named is as in this one. The run's mode and limits hold there too. The role is
--- assumed at the first call. On the local account `profile` and `endpoint_url` are refused,
--- because they lead out of it. An endpoint that is neither AWS's own nor the run's, by
--- `endpoint_url` or by the profile, takes `--allow-net=HOST`, also under a plan.
---
--- AWS: [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html)
---
--- ```lua
--- local other = iam.connect { role_arn = iam.roles.get("reporting").arn }
--- assert(other.account().arn:match(":assumed%-role/reporting/iamlua$"))
--- ```
---@param options? iam.connect.Options
---@return iam
function iam.connect(options) end

return iam
