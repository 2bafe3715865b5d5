//! `iam.roles`: the role calls that a working instance profile needs.

use std::sync::Arc;

use aws_sdk_iam::types::Role;
use percent_encoding::percent_decode_str;

use super::documents::same_policy;
use super::profiles::{
    EXACT_TAGS, MARKER, MAX_ITEMS, PAGE_SIZE, created_if_missing, ensured, max_items,
    refuse_other_path, set_tags,
};
use super::snapshot::{Snapshot, Subject, described};
use super::{
    Entry, Implementation, Invoke, Iterate, Reads, Sdk, Stride, Write, call, call_all,
    call_if_there, date, tags,
};
use crate::error::{Error, Kind, Result};
use crate::spec::{Action, Args, Effect, Field, Function, Param, Record, Returns, Type, Value};

// The actions, each named once.
pub(super) const CREATE_ROLE: Action = Action::role("CreateRole");
/// The call that reads a role.
pub const GET_ROLE: Action = Action::role("GetRole");
pub(super) const LIST_ROLES: Action = Action::iam("ListRoles");
pub(super) const DELETE_ROLE: Action = Action::role("DeleteRole");
/// The call that sets a trust policy.
pub const UPDATE_ASSUME_ROLE_POLICY: Action = Action::role("UpdateAssumeRolePolicy");
pub(super) const UPDATE_ROLE: Action = Action::role("UpdateRole");
pub(super) const PUT_ROLE_PERMISSIONS_BOUNDARY: Action = Action::role("PutRolePermissionsBoundary");
pub(super) const DELETE_ROLE_PERMISSIONS_BOUNDARY: Action =
    Action::role("DeleteRolePermissionsBoundary");
pub(super) const TAG_ROLE: Action = Action::role("TagRole");
pub(super) const UNTAG_ROLE: Action = Action::role("UntagRole");
pub(super) const LIST_ROLE_TAGS: Action = Action::role("ListRoleTags");
pub(super) const ATTACH_ROLE_POLICY: Action = Action::role("AttachRolePolicy");
pub(super) const DETACH_ROLE_POLICY: Action = Action::role("DetachRolePolicy");
pub(super) const LIST_ATTACHED_ROLE_POLICIES: Action = Action::role("ListAttachedRolePolicies");

/// A role as scripts see it.
pub static ROLE: Record = Record {
    name: "iam.Role",
    doc: "IAM role. Roles in a listing or in a profile have fewer fields than from `iam.roles.get`.",
    fields: &[
        Field { name: "name", ty: "string", doc: "Its name, unique in the account ignoring case." },
        Field { name: "path", ty: "string", doc: "Its path." },
        Field { name: "id", ty: "string", doc: "Its unique id, `AROA…`." },
        Field { name: "arn", ty: "string", doc: "Its ARN." },
        Field {
            name: "create_date",
            ty: "string",
            doc: "Date of creation: ISO 8601, UTC, seconds.",
        },
        Field {
            name: "assume_role_policy",
            ty: "string?",
            doc: "Its trust policy: JSON text, percent-decoded, for `json.decode`.",
        },
        Field { name: "description", ty: "string?", doc: "Its description." },
        Field {
            name: "max_session_duration",
            ty: "integer?",
            doc: "The maximum duration of a session, in seconds.",
        },
        Field {
            name: "permissions_boundary",
            ty: "string?",
            doc: "The ARN of its permissions boundary; only from `get`.",
        },
        Field {
            name: "last_used",
            ty: "string?",
            doc: "Its last request in the last 400 days; nil without one. Only from `get`.",
        },
        Field { name: "last_used_region", ty: "string?", doc: "Region of the last request." },
        Field {
            name: "tags",
            ty: "table<string, string>?",
            doc: "Its tags from `get`, `{}` without any; nil in a listing.",
        },
    ],
};

/// A policy that is attached to a role.
pub static POLICY: Record = Record {
    name: "iam.AttachedPolicy",
    doc: "Managed policy attached to a role.",
    fields: &[
        Field { name: "name", ty: "string", doc: "Its name." },
        Field { name: "arn", ty: "string", doc: "Its ARN." },
    ],
};

pub(super) const ROLE_NAME: Type = Type::Name { max: 64 };
const NAME: Param = Param::required("name", ROLE_NAME, "The name of the role.");
const PATH_PREFIX: Param = Param::optional(
    "path_prefix",
    Type::PathPrefix,
    "Filter by the start of the path. Default `/`: all.",
);
const POLICY_ARN: Param =
    Param::required("policy_arn", Type::PolicyArn, "The ARN of the managed policy.");
const DESCRIPTION: Param =
    Param::optional("description", Type::Text { min: 0, max: 1000 }, "Its description.");
const MAX_SESSION: Param = Param::optional(
    "max_session_duration",
    Type::Int { min: 3600, max: 43_200 },
    "The longest session, in seconds. Default 3600.",
);
const NEW_MAX_SESSION: Param = Param::optional(
    MAX_SESSION.name,
    MAX_SESSION.ty,
    "The maximum duration of a session, in seconds.",
);
const BOUNDARY: Param =
    Param::optional("permissions_boundary", Type::PolicyArn, "ARN of its permissions boundary.");
const TRUST: Param = Param::required(
    "assume_role_policy",
    Type::Policy,
    "Trust policy, as a table or JSON text; see `policy.trust`.",
);

pub(super) fn record(role: Role) -> Value {
    let document = role.assume_role_policy_document.map(|encoded| {
        // The wire form is percent-encoded (RFC 3986) and the SDK leaves it so.
        percent_decode_str(&encoded).decode_utf8_lossy().into_owned()
    });
    let (used, region) =
        role.role_last_used.map_or((None, None), |used| (used.last_used_date, used.region));
    Value::record([
        ("name", Value::Str(role.role_name)),
        ("path", Value::Str(role.path)),
        ("id", Value::Str(role.role_id)),
        ("arn", Value::Str(role.arn)),
        ("create_date", date(role.create_date)),
        ("assume_role_policy", Value::text(document)),
        // AWS keeps an empty one that an update has set; it is none.
        ("description", Value::text(described(role.description))),
        (
            "max_session_duration",
            role.max_session_duration.map_or(Value::Nil, |n| Value::Int(n.into())),
        ),
        (
            "permissions_boundary",
            Value::text(
                role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
            ),
        ),
        ("last_used", used.map_or(Value::Nil, date)),
        ("last_used_region", Value::text(region)),
        ("tags", role.tags.map_or(Value::Nil, tags::to_value)),
    ])
}

/// Path and name in the ARN of a policy: `/service-role/` and `X` of
/// `arn:aws:iam::aws:policy/service-role/X`.
#[must_use]
pub fn path_and_name(arn: &str) -> (String, &str) {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let path_and_name = resource.strip_prefix("policy").unwrap_or(resource);
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    (format!("{path}/"), name)
}

fn missing(sdk: &Sdk) -> Error {
    let action = sdk.action();
    Error::new(Kind::Connection, format!("{action}: the answer has no role in it"))
}

/// The functions of `iam.roles`.
pub static ENTRIES: &[Entry] = &[
    Entry {
        spec: Function {
            module: "roles",
            name: "create",
            actions: &[CREATE_ROLE],
            effect: Effect::Write,
            params: &[
                NAME,
                TRUST,
                Param::optional(
                    "path",
                    Type::Path,
                    "Its path, which cannot be changed later. Default `/`.",
                ),
                DESCRIPTION,
                MAX_SESSION,
                BOUNDARY,
                tags::NEW_TAGS,
            ],
            positional: &["name"],
            returns: Returns::One(&ROLE),
            doc: "Creates a role.",
            long: "Raises `EntityAlreadyExists`, `MalformedPolicyDocument` or `LimitExceeded`. \
                   Other calls may not see the role for some seconds after its creation.",
            example: r#"
local trust = policy.trust("ec2.amazonaws.com")
local role = iam.roles.create { name = "doc-role", assume_role_policy = trust }
assert(json.decode(role.assume_role_policy).Statement[1].Effect == "Allow")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "create",
            call: |sdk, args| {
                Box::pin(async move {
                    let out = sdk
                        .iam
                        .create_role()
                        .set_role_name(args.text("name"))
                        .set_assume_role_policy_document(args.text("assume_role_policy"))
                        .set_path(args.text("path"))
                        .set_description(args.text("description"))
                        .set_max_session_duration(
                            args.int("max_session_duration").and_then(|n| i32::try_from(n).ok()),
                        )
                        .set_permissions_boundary(args.text("permissions_boundary"))
                        .set_tags(tags::from_args(&args)?)
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    let mut role = out.role.ok_or_else(|| missing(&sdk))?;
                    // AWS omits the list without tags; a new role certainly has no others.
                    role.tags.get_or_insert_default();
                    Ok(record(role))
                })
            },
            after: |args, _| Some(Snapshot::new(args)),
            repeated: Some("EntityAlreadyExists"),
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "get",
            actions: &[GET_ROLE],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::One(&ROLE),
            doc: "Reads one role, with its tags and last use.",
            long: "Raises `NoSuchEntity` if there is none of that name; `iam.roles.find` returns nil instead.",
            example: r#"
local role = iam.roles.get("web-frontend")
assert(role.max_session_duration >= 3600 and role.tags)"#,
        },
        run: Implementation::Read(Reads::One(Subject::Role), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .get_role()
                    .set_role_name(args.text("name"))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let mut role = out.role.ok_or_else(|| missing(&sdk))?;
                // AWS sends the list only if there are any.
                role.tags.get_or_insert_default();
                Ok(record(role))
            })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "find",
            actions: &[GET_ROLE],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::Maybe(&ROLE),
            doc: "Reads one role; nil if there is none of that name.",
            long: "",
            example: r#"
assert(iam.roles.find("no-such-role") == nil)"#,
        },
        run: Implementation::Compose(|via, args| {
            Box::pin(async move { call_if_there(&via, "roles.get", args).await })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "list",
            actions: &[LIST_ROLES],
            effect: Effect::Read,
            params: &[PATH_PREFIX, MARKER, MAX_ITEMS],
            positional: &[],
            returns: Returns::Page(&ROLE),
            doc: "Reads one page of roles.",
            long: "The roles of a listing have no tags, no boundary and no `last_used`.",
            example: r"
local page = iam.roles.list { max_items = 1 }
assert(#page == 1 and page.marker)",
        },
        run: Implementation::Read(Reads::Page(Subject::Role), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_roles()
                    .set_path_prefix(args.text("path_prefix"))
                    .set_marker(args.text("marker"))
                    .set_max_items(max_items(&args))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let mut roles = out.roles;
                if let Some(prefix) = args.text("path_prefix") {
                    roles.retain(|role| role.path.starts_with(&prefix));
                }
                let items = roles.into_iter().map(record).collect();
                sdk.paged(&args, items, out.marker, out.is_truncated)
            })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "each",
            actions: &[LIST_ROLES],
            effect: Effect::Read,
            params: &[PATH_PREFIX, PAGE_SIZE],
            positional: &[],
            returns: Returns::Each(&ROLE),
            doc: "Iterates over all roles.",
            long: "",
            example: r#"
local count = 0
for role in iam.roles.each { path_prefix = "/" } do count = count + #role.name end
assert(count > 0)"#,
        },
        run: Implementation::Iterate(Iterate {
            page: "roles.list",
            by: Stride::Item,
            enrich: None,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "delete",
            actions: &[DELETE_ROLE],
            effect: Effect::Write,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::Nothing,
            doc: "Deletes a role.",
            long: "Raises `DeleteConflict` while the role is in a profile or has policies.",
            example: r#"
iam.roles.create { name = "doc-delete", assume_role_policy = policy.trust("ec2.amazonaws.com") }
iam.roles.delete("doc-delete")
assert(not iam.roles.find("doc-delete"))"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "delete",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .delete_role()
                        .set_role_name(args.text("name"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |_, _| None,
            repeated: Some("NoSuchEntity"),
            needs_policies: true,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "set_assume_role_policy",
            actions: &[UPDATE_ASSUME_ROLE_POLICY],
            effect: Effect::Write,
            params: &[NAME, TRUST],
            positional: &["name", "assume_role_policy"],
            returns: Returns::Nothing,
            doc: "Replaces the trust policy of a role.",
            long: "",
            example: r#"
local trust = policy.trust("ec2.amazonaws.com", "ssm.amazonaws.com")
iam.roles.set_assume_role_policy("web-frontend", trust)
assert(policy.trusts(iam.roles.get("web-frontend"), "ssm.amazonaws.com"))"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "set trust policy of",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .update_assume_role_policy()
                        .set_role_name(args.text("name"))
                        .set_policy_document(args.text("assume_role_policy"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| {
                before.map(|image| Snapshot {
                    assume_role_policy: args.text("assume_role_policy"),
                    ..image
                })
            },
            repeated: None,
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "update",
            actions: &[UPDATE_ROLE, GET_ROLE],
            effect: Effect::Write,
            params: &[NAME, DESCRIPTION, NEW_MAX_SESSION],
            positional: &["name"],
            returns: Returns::Nothing,
            doc: "Changes the description of a role, its maximum session duration, or both.",
            long: "Options that are left out stay unchanged. The role is read first for that, \
                   because AWS resets omitted ones to their defaults. An empty description means \
                   none.",
            example: r#"
iam.roles.update("web-frontend", { max_session_duration = 7200 })
assert(iam.roles.get("web-frontend").max_session_duration == 7200)"#,
        },
        run: Implementation::Compose(|via, args| Box::pin(update(via, args))),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "set_permissions_boundary",
            actions: &[PUT_ROLE_PERMISSIONS_BOUNDARY],
            effect: Effect::Write,
            params: &[
                NAME,
                Param::required(BOUNDARY.name, BOUNDARY.ty, "ARN of its permissions boundary."),
            ],
            positional: &["name", "permissions_boundary"],
            returns: Returns::Nothing,
            doc: "Sets the permissions boundary of a role, or replaces it.",
            long: "",
            example: r#"
local arn = "arn:aws:iam::aws:policy/PowerUserAccess"
iam.roles.set_permissions_boundary("web-frontend", arn)
assert(iam.roles.get("web-frontend").permissions_boundary == arn)"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "set permissions boundary of",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .put_role_permissions_boundary()
                        .set_role_name(args.text("name"))
                        .set_permissions_boundary(args.text("permissions_boundary"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| {
                before.map(|image| Snapshot {
                    permissions_boundary: args.text("permissions_boundary"),
                    ..image
                })
            },
            repeated: None,
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "remove_permissions_boundary",
            actions: &[DELETE_ROLE_PERMISSIONS_BOUNDARY],
            effect: Effect::Write,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::Nothing,
            doc: "Removes the permissions boundary of a role.",
            long: "The role then has all permissions of its policies.",
            example: r#"
iam.roles.set_permissions_boundary("web-frontend", "arn:aws:iam::aws:policy/PowerUserAccess")
iam.roles.remove_permissions_boundary("web-frontend")
assert(iam.roles.get("web-frontend").permissions_boundary == nil)"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "remove permissions boundary of",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .delete_role_permissions_boundary()
                        .set_role_name(args.text("name"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |_, before| before.map(|image| Snapshot { permissions_boundary: None, ..image }),
            repeated: None,
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "tag",
            actions: &[TAG_ROLE],
            effect: Effect::Write,
            params: &[NAME, tags::TAGS],
            positional: &["name", "tags"],
            returns: Returns::Nothing,
            doc: "Sets tags of a role; other tags are unchanged.",
            long: "Unlike those of instance profiles, the keys of a role's tags ignore case: \
                   `dept` replaces `Dept`.",
            example: r#"
iam.roles.tag("web-frontend", { Owner = "ops" })
assert(iam.roles.get("web-frontend").tags.Owner == "ops")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "tag",
            call: |sdk, args| {
                Box::pin(async move {
                    let Some(tags) = tags::from_args(&args)? else { return Ok(Value::Nil) };
                    sdk.iam
                        .tag_role()
                        .set_role_name(args.text("name"))
                        .set_tags(Some(tags))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.tagged(args, Subject::Role)),
            repeated: None,
            needs_policies: false,
            idle_without: Some(tags::TAGS.name),
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "untag",
            actions: &[UNTAG_ROLE],
            effect: Effect::Write,
            params: &[NAME, tags::KEYS],
            positional: &["name", "keys"],
            returns: Returns::Nothing,
            doc: "Removes tags of a role by key.",
            long: "A missing key is not an error. More than 50 keys are sent in several calls.",
            example: r#"
iam.roles.tag("web-frontend", { Owner = "ops" })
iam.roles.untag("web-frontend", { "Owner" })
assert(iam.roles.get("web-frontend").tags.Owner == nil)"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "untag",
            call: |sdk, args| {
                Box::pin(async move {
                    for keys in args.texts("keys").chunks(tags::KEYS_IN_A_CALL) {
                        sdk.iam
                            .untag_role()
                            .set_role_name(args.text("name"))
                            .set_tag_keys(Some(keys.to_vec()))
                            .send()
                            .await
                            .map_err(|error| sdk.failed(error))?;
                    }
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.untagged(args, Subject::Role)),
            repeated: None,
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "list_tags",
            actions: &[LIST_ROLE_TAGS],
            effect: Effect::Read,
            params: &[NAME, MARKER, MAX_ITEMS],
            positional: &["name"],
            returns: Returns::TagPage,
            doc: "Reads one page of the tags of a role.",
            long: "The array part holds `{ key=, value= }`. `iam.roles.get` has all of them as one table.",
            example: r#"
iam.roles.tag("web-frontend", { Owner = "ops" })
assert(iam.roles.list_tags("web-frontend")[1].key)"#,
        },
        run: Implementation::Read(Reads::Tags(Subject::Role), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_role_tags()
                    .set_role_name(args.text("name"))
                    .set_marker(args.text("marker"))
                    .set_max_items(max_items(&args))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let items = tags::to_list(out.tags);
                sdk.paged(&args, items, out.marker, out.is_truncated)
            })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "attach_policy",
            actions: &[ATTACH_ROLE_POLICY],
            effect: Effect::Write,
            params: &[NAME, POLICY_ARN],
            positional: &["name", "policy_arn"],
            returns: Returns::Nothing,
            doc: "Attaches a managed policy to a role.",
            long: "Attaching it again is not an error. A role has at most 10 by default.",
            example: r#"
iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "attach policy to",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .attach_role_policy()
                        .set_role_name(args.text("name"))
                        .set_policy_arn(args.text("policy_arn"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.attached(args)),
            repeated: None,
            needs_policies: true,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "detach_policy",
            actions: &[DETACH_ROLE_POLICY],
            effect: Effect::Write,
            params: &[NAME, POLICY_ARN],
            positional: &["name", "policy_arn"],
            returns: Returns::Nothing,
            doc: "Detaches a managed policy from a role.",
            long: "Raises `NoSuchEntity` if it is not attached.",
            example: r#"
iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
iam.roles.detach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Role,
            words: "detach policy from",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .detach_role_policy()
                        .set_role_name(args.text("name"))
                        .set_policy_arn(args.text("policy_arn"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.detached(args)),
            repeated: Some("NoSuchEntity"),
            needs_policies: true,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "list_attached_policies",
            actions: &[LIST_ATTACHED_ROLE_POLICIES],
            effect: Effect::Read,
            params: &[NAME, PATH_PREFIX, MARKER, MAX_ITEMS],
            positional: &["name"],
            returns: Returns::Page(&POLICY),
            doc: "Reads one page of the managed policies that are attached to a role.",
            long: "",
            example: r#"
assert(not iam.roles.list_attached_policies("web-frontend").is_truncated)"#,
        },
        run: Implementation::Read(Reads::Policies(Subject::Role), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_attached_role_policies()
                    .set_role_name(args.text("name"))
                    .set_path_prefix(args.text("path_prefix"))
                    .set_marker(args.text("marker"))
                    .set_max_items(max_items(&args))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let mut policies = out.attached_policies.unwrap_or_default();
                if let Some(prefix) = args.text("path_prefix") {
                    policies.retain(|policy| {
                        let arn = policy.policy_arn.as_deref().unwrap_or_default();
                        path_and_name(arn).0.starts_with(&prefix)
                    });
                }
                let items = policies.into_iter().map(|policy| {
                    Value::record([
                        ("name", Value::text(policy.policy_name)),
                        ("arn", Value::text(policy.policy_arn)),
                    ])
                });
                let items = items.collect();
                sdk.paged(&args, items, out.marker, out.is_truncated)
            })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "attached_policies",
            actions: &[LIST_ATTACHED_ROLE_POLICIES],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::All(&POLICY),
            doc: "Reads all managed policies that are attached to a role.",
            long: "",
            example: r#"
iam.roles.attach_policy("web-frontend", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
local names = {}
for _, attached in ipairs(iam.roles.attached_policies("web-frontend")) do
  names[attached.name] = true
end
assert(names.AmazonS3ReadOnlyAccess)"#,
        },
        run: Implementation::Compose(|via, args| {
            Box::pin(async move {
                Ok(Value::List(call_all(&via, "roles.list_attached_policies", args).await?))
            })
        }),
    },
    Entry {
        spec: Function {
            module: "roles",
            name: "ensure",
            actions: &[
                GET_ROLE,
                CREATE_ROLE,
                UPDATE_ASSUME_ROLE_POLICY,
                UPDATE_ROLE,
                PUT_ROLE_PERMISSIONS_BOUNDARY,
                TAG_ROLE,
                UNTAG_ROLE,
                LIST_ATTACHED_ROLE_POLICIES,
                ATTACH_ROLE_POLICY,
            ],
            effect: Effect::Write,
            params: &[
                NAME,
                TRUST,
                Param::optional(
                    "path",
                    Type::Path,
                    "Its required path. A different path is an error, because AWS cannot change it.",
                ),
                DESCRIPTION,
                NEW_MAX_SESSION,
                BOUNDARY,
                Param::optional(
                    "policy_arns",
                    Type::PolicyArns,
                    "The managed policies that must be attached; others stay.",
                ),
                Param::optional("tags", Type::Tags, "Its required tags."),
                EXACT_TAGS,
            ],
            positional: &["name"],
            returns: Returns::Ensured(&ROLE),
            doc: "Brings a role into a state, or creates it; sends only differences.",
            long: "Options that are left out stay unchanged; \
                   `iam.roles.remove_permissions_boundary` removes a boundary. An equivalent \
                   trust policy is not sent again. Returns the role and descriptions of the \
                   changes.",
            example: r#"
local want = {
  name = "doc-ensure-role",
  assume_role_policy = policy.trust("ec2.amazonaws.com"),
  policy_arns = { "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" },
}
local _, changes = iam.roles.ensure(want)
local _, again = iam.roles.ensure(want)
assert(#changes == 2 and #again == 0)"#,
        },
        run: Implementation::Compose(|via, args| Box::pin(ensure(via, args))),
    },
];

/// The bare operation under `roles.update`. AWS takes a session duration that is not given for an
/// hour (service model, `UpdateRole`), so that both values are always sent.
pub(super) static UPDATE: Entry = Entry {
    spec: Function {
        module: "roles",
        name: "update",
        actions: &[UPDATE_ROLE],
        effect: Effect::Write,
        params: &[
            NAME,
            Param::required(DESCRIPTION.name, DESCRIPTION.ty, DESCRIPTION.doc),
            Param::required(MAX_SESSION.name, MAX_SESSION.ty, NEW_MAX_SESSION.doc),
        ],
        positional: &["name"],
        returns: Returns::Nothing,
        doc: "",
        long: "",
        example: "",
    },
    run: Implementation::Write(Write {
        subject: Subject::Role,
        words: "update",
        call: |sdk, args| {
            Box::pin(async move {
                sdk.iam
                    .update_role()
                    .set_role_name(args.text("name"))
                    .set_description(args.text("description"))
                    .set_max_session_duration(
                        args.int("max_session_duration").and_then(|n| i32::try_from(n).ok()),
                    )
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                Ok(Value::Nil)
            })
        },
        after: |args, before| {
            before.map(|image| Snapshot {
                description: described(args.text("description")),
                max_session_duration: args.int("max_session_duration"),
                ..image
            })
        },
        repeated: None,
        needs_policies: false,
        idle_without: None,
        passes_role: false,
    }),
};

/// Default of the longest session, in seconds.
const DEFAULT_MAX_SESSION: i64 = 3600;

/// The arguments of [`UPDATE`]: what is wanted, and the rest as it is.
fn updated(role: &Value, want: &Args) -> Args {
    let kept = |name: &'static str, default: Value| {
        let own = role.field(name).clone();
        let own = if own == Value::Nil { default } else { own };
        want.get(name).cloned().unwrap_or(own)
    };
    Args::of([
        ("name", role.field("name").clone()),
        ("description", kept("description", Value::Str(String::new()))),
        ("max_session_duration", kept("max_session_duration", Value::Int(DEFAULT_MAX_SESSION))),
    ])
}

async fn update(via: Arc<dyn Invoke>, args: Args) -> Result<Value> {
    if !args.has("description") && !args.has("max_session_duration") {
        return Err(Error::argument("iam.roles.update: there is nothing to change")
            .hint("give it description, max_session_duration, or both"));
    }
    let name = Args::of([("name", args.get("name").cloned().unwrap_or(Value::Nil))]);
    let role = call(&via, "roles.get", name).await?;
    via.invoke(&UPDATE, updated(&role, &args)).await
}

async fn ensure(via: Arc<dyn Invoke>, mut args: Args) -> Result<Value> {
    let exact = args.flag("exact_tags");
    args.take("exact_tags");
    let policies = args.texts("policy_arns");
    args.take("policy_arns");
    let name = Args::of([("name", args.get("name").cloned().unwrap_or(Value::Nil))]);

    let mut changes = Vec::new();
    let found = call_if_there(&via, "roles.get", name.clone()).await?;
    let (is_new, found) = created_if_missing(&via, Subject::Role, &name, found, &args).await?;
    let role = if is_new {
        changes.push("created".to_owned());
        // The answer to a creation lacks some fields.
        call(&via, "roles.get", name.clone()).await?
    } else {
        refuse_other_path(&found, &args)?;
        set_properties(&via, &name, &found, &args, &mut changes).await?;
        let have = found.field("tags").clone();
        set_tags(&via, Subject::Role, &name, &have, args.tags("tags"), exact, &mut changes).await?;
        if changes.is_empty() { found } else { call(&via, "roles.get", name.clone()).await? }
    };
    let attached = if policies.is_empty() || is_new {
        Vec::new()
    } else {
        call_all(&via, "roles.list_attached_policies", name.clone()).await?
    };
    for arn in policies {
        if !attached.iter().any(|policy| policy.field("arn").as_str() == Some(&arn)) {
            changes.push(format!("policy {arn} attached"));
            let mut attach = name.clone();
            attach.set("policy_arn", Value::Str(arn));
            call(&via, "roles.attach_policy", attach).await?;
        }
    }
    Ok(ensured(role, changes))
}

/// Brings trust policy, description, longest session and boundary of a role into a state.
async fn set_properties(
    via: &Arc<dyn Invoke>,
    name: &Args,
    found: &Value,
    want: &Args,
    changes: &mut Vec<String>,
) -> Result<()> {
    let with = |field: &'static str, value: String| {
        let mut args = name.clone();
        args.set(field, Value::Str(value));
        args
    };
    let trust = want.text("assume_role_policy").unwrap_or_default();
    if !same_policy(found.field("assume_role_policy").as_str().unwrap_or_default(), &trust) {
        let args = with("assume_role_policy", trust);
        call(via, "roles.set_assume_role_policy", args).await?;
        changes.push("assume_role_policy replaced".to_owned());
    }
    // A boundary first: it never lets a longer session do more.
    let (boundary, now) = (want.text("permissions_boundary"), found.field("permissions_boundary"));
    if let Some(arn) = boundary.filter(|arn| now.as_str() != Some(arn)) {
        changes.push(changed("permissions_boundary", now.as_str(), &arn));
        let args = with("permissions_boundary", arn);
        call(via, "roles.set_permissions_boundary", args).await?;
    }
    let update = updated(found, want);
    let (text, length) = (update.text("description"), update.int("max_session_duration"));
    let old_text = found.field("description").as_str().unwrap_or_default();
    let old_length = match found.field("max_session_duration") {
        Value::Int(length) => *length,
        _ => DEFAULT_MAX_SESSION,
    };
    let (text, length) = (text.unwrap_or_default(), length.unwrap_or(old_length));
    if text == old_text && length == old_length {
        return Ok(());
    }
    if text != old_text {
        changes.push(changed("description", Some(old_text).filter(|old| !old.is_empty()), &text));
    }
    if length != old_length {
        let (old, new) = (old_length.to_string(), length.to_string());
        changes.push(changed("max_session_duration", Some(&old), &new));
    }
    via.invoke(&UPDATE, update).await.map(|_| ())
}

/// A changed value, in words.
fn changed(field: &str, old: Option<&str>, new: &str) -> String {
    let old = old.map_or(String::new(), |old| format!("{old} -> "));
    format!("{field} set: {old}{new}")
}
