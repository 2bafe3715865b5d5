---@meta iam
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Instance profile: the container that passes a role's credentials to EC2 instances.
---@class iam.Profile
---@field name string Its name, unique in the account ignoring case.
---@field path string Its path, `/` unless it was created with another.
---@field id string Its unique id, `AIPA…`; a profile made again has a new one.
---@field arn string Its ARN, with the path in it.
---@field create_date string Date of creation: ISO 8601, UTC, seconds.
---@field roles iam.Role[] The roles in it: none or one.
---@field role string? The name of the role in it, or nil.
--- Its tags, `{}` without any; nil if AWS did not send them, as in every listing.
---@field tags table<string, string>?

--- The same, loaded with its tags.
---@class iam.TaggedProfile: iam.Profile
---@field tags table<string, string>

--- Page of a listing, with the entries as its array part.
---@class iam.ProfilePage: { [integer]: iam.Profile }
---@field is_truncated boolean True if there is a next page.
---@field marker string? Start of the next page.

--- IAM role. Roles in a listing or in a profile have fewer fields than from `iam.roles.get`.
---@class iam.Role
---@field name string Its name, unique in the account ignoring case.
---@field path string Its path.
---@field id string Its unique id, `AROA…`.
---@field arn string Its ARN.
---@field create_date string Date of creation: ISO 8601, UTC, seconds.
--- Its trust policy: JSON text, percent-decoded, for `json.decode`.
---@field assume_role_policy string?
---@field description string? Its description.
---@field max_session_duration integer? The maximum duration of a session, in seconds.
---@field permissions_boundary string? The ARN of its permissions boundary; only from `get`.
---@field last_used string? Its last request in the last 400 days; nil without one. Only from `get`.
---@field last_used_region string? Region of the last request.
---@field tags table<string, string>? Its tags from `get`, `{}` without any; nil in a listing.

--- The same, loaded with its tags.
---@class iam.TaggedRole: iam.Role
---@field tags table<string, string>

--- Page of a listing, with the entries as its array part.
---@class iam.RolePage: { [integer]: iam.Role }
---@field is_truncated boolean True if there is a next page.
---@field marker string? Start of the next page.

--- Managed policy attached to a role.
---@class iam.AttachedPolicy
---@field name string Its name.
---@field arn string Its ARN.

--- Page of a listing, with the entries as its array part.
---@class iam.AttachedPolicyPage: { [integer]: iam.AttachedPolicy }
---@field is_truncated boolean True if there is a next page.
---@field marker string? Start of the next page.

--- Account of the connection, and its caller.
---@class iam.Account
---@field id string The account's 12 digits.
---@field arn string The ARN of the caller: a user or an assumed role.
---@field user_id string The unique id of the caller.
---@field alias string? The account's alias; nil without one, or if the caller may not see it.
---@field profiles integer? Number of instance profiles; nil if the caller may not see it.
---@field profiles_quota integer? Quota of instance profiles: 1,000 unless AWS raised it.
---@field roles integer? Number of roles.
---@field roles_quota integer? Quota of roles.
--- Source of the credentials, with file and line, or variable; never a secret.
---@field credentials string
--- Expiration of the credentials: ISO 8601, UTC; nil without one.
---@field credentials_expiration string?
---@field region string The region of the connection.
---@field endpoint_url string? The endpoint of IAM; nil if it is AWS's own.
---@field proxy string? The proxy of `https:` addresses, without its password; nil if there is none.
---@field ca_bundle string? The file of trusted certificates; nil if they are the system's.

--- Tag in a page of tags.
---@class iam.Tag
---@field key string Its key.
---@field value string Its value; may be empty.

--- Page of a listing, with the entries as its array part.
---@class iam.TagPage: { [integer]: iam.Tag }
---@field is_truncated boolean True if there is a next page.
---@field marker string? Start of the next page.

--- Error that functions raise. `tostring` returns it as text.
---@class iam.Error
--- Category: `aws`, `connection`, `credentials`, `argument`, `usage`, `configuration`, `script`,
--- `permission`, `refused`, `protected`, `io`, `state`, `interrupted`, `timeout` or `bug`.
---@field kind string
---@field code string? AWS's error code, such as `NoSuchEntity`.
---@field message string Description of the failure.
---@field operation string? The AWS action.
---@field status integer? The HTTP status.
---@field request_id string? The id to give to AWS support.
---@field retryable boolean True if the same call may succeed later.
---@field hint string? Suggested next step.
---@field where string? The position in the script.
---@field traceback string? Call stack at the raise.
---@field value any Raised value, if it was not text.
---@field item any Item of `bulk` that ended the operation.

--- Instance profiles: the containers that pass a role's credentials to EC2 instances.
---@class iam.profiles
local profiles = {}

---@class (exact) iam.profiles.create.Options
--- Its path, which cannot be changed later. Default `/`. (`/` or `/…/`, at most 512 characters)
---@field path? string
--- Its initial tags. (at most 50; keys 1-128, values 0-256 characters)
---@field tags? table<string, string>

--- Creates an instance profile without a role.
---
--- Raises `EntityAlreadyExists` if the name is taken (ignoring case) and `LimitExceeded` at the
--- account's quota (1,000 by default). EC2 may not see a new profile for some seconds.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html
---
--- ```lua
--- local tags = { Owner = "ops" }
--- local profile = iam.profiles.create { name = "doc-web", path = "/ec2/", tags = tags }
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
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
---
--- ```lua
--- local profile = iam.profiles.get("web-frontend")
--- assert(profile.path == "/ec2/web/" and profile.tags)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Profile
---@overload fun(named: { name: string }): iam.Profile
function profiles.get(name) end

--- Reads one instance profile; nil if there is none of that name.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
---
--- ```lua
--- assert(iam.profiles.find("web-frontend").name == "web-frontend")
--- assert(iam.profiles.find("no-such-profile") == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Profile?
---@overload fun(named: { name: string }): iam.Profile?
function profiles.find(name) end

---@class (exact) iam.profiles.list.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of instance profiles.
---
--- The array part of the page holds the profiles, without tags; `marker` is nil on the last page.
--- `iam.profiles.each` iterates over all pages.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html
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

---@class (exact) iam.profiles.each.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field page_size? integer Entries in each call. Default 1000, with `with_tags` 100. (1-1000)
---@field with_tags? boolean Also load each profile's tags, many at once, in order.

---@class (exact) iam.profiles.each.WithTags: iam.profiles.each.Options
---@field with_tags true

--- Iterates over all instance profiles.
---
--- The next page is prefetched while the script works on this one. Memory use does not grow with
--- the account. Without `with_tags` `profile.tags` is nil, because listings do not include tags;
--- with it each profile costs one more call.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html
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
---@overload fun(options: iam.profiles.each.WithTags): fun(): iam.TaggedProfile
function profiles.each(options) end

---@class (exact) iam.profiles.pages.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all pages of instance profiles.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html
---
--- ```lua
--- local count = 0
--- for page in iam.profiles.pages { page_size = 10 } do count = count + #page end
--- assert(count > 20)
--- ```
---@param options? iam.profiles.pages.Options
---@return fun(): iam.ProfilePage iterator
function profiles.pages(options) end

---@class (exact) iam.profiles.list_for_role.Options
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the instance profiles that a role is in.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html
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

---@class (exact) iam.profiles.each_for_role.Options
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all instance profiles that a role is in.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html
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

--- Adds a role to an instance profile.
---
--- A profile holds one role: if it already has one, even the same, AWS answers `LimitExceeded`. The
--- caller also needs `iam:PassRole` for the role. AWS may answer `NoSuchEntity` for some seconds
--- after the role was created.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html
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

--- Removes a role from an instance profile.
---
--- Instances that use the profile lose the role's permissions, up to an hour later. Raises
--- `NoSuchEntity` if the role is not in it.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html
---
--- ```lua
--- iam.profiles.remove_role("web-frontend", iam.profiles.get("web-frontend").role)
--- assert(iam.profiles.get("web-frontend").role == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param role string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string, role: string })
function profiles.remove_role(name, role) end

---@class (exact) iam.profiles.delete.Options
---@field detach? boolean Take the role out first. Default false: a profile with a role is refused.

--- Deletes an instance profile.
---
--- AWS does not check for instances that use it: they fail when their credentials expire, hours
--- later. With a role in it AWS answers `DeleteConflict`, unless `detach` is given. If the second
--- half of a detach-and-delete fails, calling it again completes it.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html
---
--- ```lua
--- iam.profiles.delete("web-frontend", { detach = true })
--- assert(iam.profiles.find("web-frontend") == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.delete.Options
---@overload fun(named: { name: string, detach?: boolean })
function profiles.delete(name, options) end

--- Sets tags of an instance profile; other tags are unchanged.
---
--- Keys are case-sensitive. A profile has at most 50 tags: more in one call are refused before
--- anything is sent, more in total raise `LimitExceeded`. Tags that are already set, by reads of
--- the last two minutes, are not sent.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html
---
--- ```lua
--- iam.profiles.tag("web-frontend", { Owner = "ops", Stage = "prod" })
--- assert(iam.profiles.tags("web-frontend").Stage == "prod")
--- ```
---
--- `tags`: The tags to set; other tags are unchanged. (at most 50; keys 1-128, values 0-256
--- characters)
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param tags table<string, string>
---@overload fun(named: { name: string, tags: table<string, string> })
function profiles.tag(name, tags) end

--- Removes tags of an instance profile by key.
---
--- A missing key is not an error. More than 50 keys are sent in several calls.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html
---
--- ```lua
--- iam.profiles.untag("web-frontend", { "Owner" })
--- assert(iam.profiles.tags("web-frontend").Owner == nil)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param keys string[] The keys of the tags to remove. (keys of 1-128 characters)
---@overload fun(named: { name: string, keys: string[] })
function profiles.untag(name, keys) end

---@class (exact) iam.profiles.list_tags.Options
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the tags of an instance profile.
---
--- The array part holds `{ key=, value= }`. `iam.profiles.tags` returns all of them as one table.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html
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
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html
---
--- ```lua
--- for key, value in pairs(iam.profiles.tags("web-frontend")) do print(key, value) end
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@return table<string, string>
---@overload fun(named: { name: string }): table<string, string>
function profiles.tags(name) end

---@class (exact) iam.profiles.ensure.Options
--- Its required path. A different path is an error, because AWS cannot change it. (`/` or `/…/`, at
--- most 512 characters)
---@field path? string
--- Its required role; a different one is removed. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@field role? string
--- Its required tags. (at most 50; keys 1-128, values 0-256 characters)
---@field tags? table<string, string>
---@field exact_tags? boolean Also remove tags that `tags` does not name.

---@class (exact) iam.profiles.ensure.Named: iam.profiles.ensure.Options
---@field name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)

--- Brings an instance profile into a state, or creates it; sends only differences.
---
--- Options that are left out stay unchanged. Returns the profile and descriptions of the changes,
--- an empty array without any.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html
---
--- ```lua
--- local want = { name = "doc-ensure", role = "web-frontend", tags = { Owner = "ops" } }
--- local _, changes = iam.profiles.ensure(want)
--- assert(#changes > 0)
--- local _, again = iam.profiles.ensure(want)
--- assert(#again == 0)
--- ```
---@param name string The name of the instance profile. (1-128 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.profiles.ensure.Options
---@return iam.Profile
---@return string[] changes what was changed, in words
---@overload fun(named: iam.profiles.ensure.Named): iam.Profile, string[]
function profiles.ensure(name, options) end

---@class (exact) iam.profiles.wait.Options
--- Maximum wait. Default `"60s"`. (`"90s"`, `"15m"`, `"2h"`, `"7d"` or seconds)
---@field timeout? string|number

--- Waits until reads of an instance profile show all changes of this run.
---
--- IAM is eventually consistent: reads may miss recent changes. Other functions need no waiting,
--- because they know the changes of this run; other programs do. EC2 may take some more seconds. At
--- the timeout it raises `NoSuchEntity`, or an error of kind `timeout` if the profile exists but
--- without the changes.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
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

---@class (exact) iam.roles.create.Options
---@field assume_role_policy string|table Trust policy, as a table or JSON text; see `policy.trust`.
--- Its path, which cannot be changed later. Default `/`. (`/` or `/…/`, at most 512 characters)
---@field path? string
---@field description? string Its description. (0-1000 characters)
---@field max_session_duration? integer The longest session, in seconds. Default 3600. (3600-43200)
---@field permissions_boundary? string ARN of its permissions boundary. (20-2048 characters)
--- Its initial tags. (at most 50; keys 1-128, values 0-256 characters)
---@field tags? table<string, string>

---@class (exact) iam.roles.create.Named: iam.roles.create.Options
---@field name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)

--- Creates a role.
---
--- Raises `EntityAlreadyExists`, `MalformedPolicyDocument` or `LimitExceeded`. Other calls may not
--- see the role for some seconds after its creation.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
---
--- ```lua
--- local trust = policy.trust("ec2.amazonaws.com")
--- local role = iam.roles.create { name = "doc-role", assume_role_policy = trust }
--- assert(json.decode(role.assume_role_policy).Statement[1].Effect == "Allow")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options iam.roles.create.Options
---@return iam.Role
---@overload fun(named: iam.roles.create.Named): iam.Role
function roles.create(name, options) end

--- Reads one role, with its tags and last use.
---
--- Raises `NoSuchEntity` if there is none of that name; `iam.roles.find` returns nil instead.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
---
--- ```lua
--- local role = iam.roles.get("web-frontend")
--- assert(role.max_session_duration >= 3600 and role.tags)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Role
---@overload fun(named: { name: string }): iam.Role
function roles.get(name) end

--- Reads one role; nil if there is none of that name.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
---
--- ```lua
--- assert(iam.roles.find("no-such-role") == nil)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.Role?
---@overload fun(named: { name: string }): iam.Role?
function roles.find(name) end

---@class (exact) iam.roles.list.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of roles.
---
--- The roles of a listing have no tags, no boundary and no `last_used`.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
---
--- ```lua
--- local page = iam.roles.list { max_items = 1 }
--- assert(#page == 1 and page.marker)
--- ```
---@param options? iam.roles.list.Options
---@return iam.RolePage
function roles.list(options) end

---@class (exact) iam.roles.each.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field page_size? integer Entries in each call. Default 1000. (1-1000)

--- Iterates over all roles.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
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
--- Raises `DeleteConflict` while the role is in a profile or has policies.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
---
--- ```lua
--- iam.roles.create { name = "doc-delete", assume_role_policy = policy.trust("ec2.amazonaws.com") }
--- iam.roles.delete("doc-delete")
--- assert(not iam.roles.find("doc-delete"))
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string })
function roles.delete(name) end

--- Replaces the trust policy of a role.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html
---
--- ```lua
--- local trust = policy.trust("ec2.amazonaws.com", "ssm.amazonaws.com")
--- iam.roles.set_assume_role_policy("web-frontend", trust)
--- assert(policy.trusts(iam.roles.get("web-frontend"), "ssm.amazonaws.com"))
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param assume_role_policy string|table Trust policy, as a table or JSON text; see `policy.trust`.
---@overload fun(named: { name: string, assume_role_policy: string|table })
function roles.set_assume_role_policy(name, assume_role_policy) end

---@class (exact) iam.roles.update.Options
---@field description? string Its description. (0-1000 characters)
---@field max_session_duration? integer The maximum duration of a session, in seconds. (3600-43200)

--- Changes the description of a role, its maximum session duration, or both.
---
--- Options that are left out stay unchanged. The role is read first for that, because AWS resets
--- omitted ones to their defaults. An empty description means none.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
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
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html
---
--- ```lua
--- local arn = "arn:aws:iam::aws:policy/PowerUserAccess"
--- iam.roles.set_permissions_boundary("web-frontend", arn)
--- assert(iam.roles.get("web-frontend").permissions_boundary == arn)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param permissions_boundary string ARN of its permissions boundary. (20-2048 characters)
---@overload fun(named: { name: string, permissions_boundary: string })
function roles.set_permissions_boundary(name, permissions_boundary) end

--- Removes the permissions boundary of a role.
---
--- The role then has all permissions of its policies.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePermissionsBoundary.html
---
--- ```lua
--- iam.roles.set_permissions_boundary("web-frontend", "arn:aws:iam::aws:policy/PowerUserAccess")
--- iam.roles.remove_permissions_boundary("web-frontend")
--- assert(iam.roles.get("web-frontend").permissions_boundary == nil)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@overload fun(named: { name: string })
function roles.remove_permissions_boundary(name) end

--- Sets tags of a role; other tags are unchanged.
---
--- Unlike those of instance profiles, the keys of a role's tags ignore case: `dept` replaces
--- `Dept`.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html
---
--- ```lua
--- iam.roles.tag("web-frontend", { Owner = "ops" })
--- assert(iam.roles.get("web-frontend").tags.Owner == "ops")
--- ```
---
--- `tags`: The tags to set; other tags are unchanged. (at most 50; keys 1-128, values 0-256
--- characters)
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param tags table<string, string>
---@overload fun(named: { name: string, tags: table<string, string> })
function roles.tag(name, tags) end

--- Removes tags of a role by key.
---
--- A missing key is not an error. More than 50 keys are sent in several calls.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html
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

---@class (exact) iam.roles.list_tags.Options
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

--- Reads one page of the tags of a role.
---
--- The array part holds `{ key=, value= }`. `iam.roles.get` has all of them as one table.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html
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
--- Attaching it again is not an error. A role has at most 10 by default.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
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
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html
---
--- ```lua
--- iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- iam.roles.detach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param policy_arn string The ARN of the managed policy. (20-2048 characters)
---@overload fun(named: { name: string, policy_arn: string })
function roles.detach_policy(name, policy_arn) end

---@class (exact) iam.roles.list_attached_policies.Options
--- Filter by the start of the path. Default `/`: all. (begins with `/`, at most 512 characters)
---@field path_prefix? string
---@field marker? string Start of the page: the `marker` of the previous page. (1-320 characters)
---@field max_items? integer The most entries in the page. Default 100. (1-1000)

---@class (exact) iam.roles.list_attached_policies.Named: iam.roles.list_attached_policies.Options
---@field name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)

--- Reads one page of the managed policies that are attached to a role.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html
---
--- ```lua
--- assert(not iam.roles.list_attached_policies("web-frontend").is_truncated)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@param options? iam.roles.list_attached_policies.Options
---@return iam.AttachedPolicyPage
---@overload fun(named: iam.roles.list_attached_policies.Named): iam.AttachedPolicyPage
function roles.list_attached_policies(name, options) end

--- Reads all managed policies that are attached to a role.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html
---
--- ```lua
--- iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
--- local names = {}
--- for _, attached in ipairs(iam.roles.attached_policies("web-frontend")) do
---   names[attached.name] = true
--- end
--- assert(names.AmazonS3ReadOnlyAccess)
--- ```
---@param name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)
---@return iam.AttachedPolicy[]
---@overload fun(named: { name: string }): iam.AttachedPolicy[]
function roles.attached_policies(name) end

---@class (exact) iam.roles.ensure.Options
---@field assume_role_policy string|table Trust policy, as a table or JSON text; see `policy.trust`.
--- Its required path. A different path is an error, because AWS cannot change it. (`/` or `/…/`, at
--- most 512 characters)
---@field path? string
---@field description? string Its description. (0-1000 characters)
---@field max_session_duration? integer The maximum duration of a session, in seconds. (3600-43200)
---@field permissions_boundary? string ARN of its permissions boundary. (20-2048 characters)
---@field policy_arns? string[] The managed policies that must be attached; others stay.
--- Its required tags. (at most 50; keys 1-128, values 0-256 characters)
---@field tags? table<string, string>
---@field exact_tags? boolean Also remove tags that `tags` does not name.

---@class (exact) iam.roles.ensure.Named: iam.roles.ensure.Options
---@field name string The name of the role. (1-64 characters of `[A-Za-z0-9_+=,.@-]`)

--- Brings a role into a state, or creates it; sends only differences.
---
--- Options that are left out stay unchanged; `iam.roles.remove_permissions_boundary` removes a
--- boundary. An equivalent trust policy is not sent again. Returns the role and descriptions of the
--- changes.
---
--- AWS:
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
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
---@overload fun(named: iam.roles.ensure.Named): iam.Role, string[]
function roles.ensure(name, options) end

--- Usage of instance profiles.
---
--- Of the account of its `iam`; for the run's own account there is the shorter `usage`, which says
--- more.
---@class iam.usage
local usage = {}

---@class (exact) iam.usage.scan.Options
--- The regions to scan. Default: every enabled one. Leaving one out makes verdicts `unknown`.
---@field regions? string|string[]
--- The sources to query, by their names in `usage.sources()`. Default: all. Leaving one out makes
--- verdicts `unknown`.
---@field sources? string|string[]
--- A role that was used in this time counts as use of its profiles. Default 90 days, from 1 to 400:
--- AWS reports the last use hours late, and keeps it for 400 days. (`"90s"`, `"15m"`, `"2h"`,
--- `"7d"` or seconds)
---@field role_unused_for? string|number
---@field concurrency? integer Maximum number of calls at once. Default 16. (1-256)
--- Maximum time of a call, retries included. Default 5 minutes. (`"90s"`, `"15m"`, `"2h"`, `"7d"`
--- or seconds)
---@field timeout? string|number

--- Scans every service that can name an instance profile, in every enabled region.
---
--- A scan only reads, and makes no call per profile. A check that fails is a gap, not an error, and
--- makes verdicts `unknown`. Raises an error if the enabled regions cannot be determined, or the
--- credentials are not valid.
---
--- AWS:
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeIamInstanceProfileAssociations.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplates.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotFleetRequests.html
--- - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotInstanceRequests.html
--- - https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeLaunchConfigurations.html
--- - https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html
--- - https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListClusters.html
--- - https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeCapacityProviders.html
--- - https://docs.aws.amazon.com/imagebuilder/latest/APIReference/API_ListInfrastructureConfigurations.html
--- - https://docs.aws.amazon.com/emr/latest/APIReference/API_ListClusters.html
--- - https://docs.aws.amazon.com/emr/latest/APIReference/API_DescribeCluster.html
--- - https://docs.aws.amazon.com/elasticbeanstalk/latest/api/API_DescribeEnvironments.html
--- - https://docs.aws.amazon.com/elasticbeanstalk/latest/api/API_DescribeConfigurationSettings.html
--- - https://docs.aws.amazon.com/eks/latest/APIReference/API_ListClusters.html
--- - https://docs.aws.amazon.com/eks/latest/APIReference/API_ListNodegroups.html
--- - https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeNodegroup.html
--- - https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
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

--- AWS IAM instance profiles and their roles.
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

--- Returns the account, the caller, and the use of the quotas.
---
--- The caller's identity needs no permission. Other fields that the caller may not see are nil.
---
--- AWS:
--- - https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
--- - https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccountAliases.html
---
--- ```lua
--- local account = iam.account()
--- assert(account.id:match("^%d+$") and account.profiles <= account.profiles_quota)
--- ```
---@return iam.Account
function iam.account() end

---@class (exact) iam.connect.Options
---@field profile? string Profile of ~/.aws/config for credentials and region. (1-255 characters)
---@field region? string The AWS region. (1-64 characters)
--- Role to assume with the selected credentials. (`arn:PARTITION:iam::ACCOUNT:role/NAME`)
---@field role_arn? string
--- External id that the role's trust policy requires, if any. (2-1224 characters)
---@field external_id? string
--- Name of the session in the audit log. Default `iamlua`. (2-64 characters)
---@field session_name? string
---@field endpoint_url? string Endpoint that replaces AWS's. (8-2048 characters)

--- Returns another `iam`, for another account or caller.
---
--- Options that are left out are taken from this `iam`. The run's mode and limits apply there too.
--- The role is assumed at the first call. On the local account `profile` and `endpoint_url` are
--- refused, because they lead out of it. An endpoint other than AWS's own or the run's, set by
--- `endpoint_url` or by the profile, needs `--allow-net=HOST`, also under a plan.
---
--- AWS:
--- - https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
---
--- ```lua
--- local other = iam.connect { role_arn = iam.roles.get("reporting").arn }
--- assert(other.account().arn:match(":assumed%-role/reporting/iamlua$"))
--- ```
---@param options? iam.connect.Options
---@return iam
function iam.connect(options) end

return iam
