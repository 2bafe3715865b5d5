//! `iam.profiles`: the ten instance-profile operations and what is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iam::types::InstanceProfile;

use super::pages::FastPages;
use super::roles::{self, ROLE_NAME};
use super::snapshot::{Functions, Snapshot, Subject};
use super::{
    Entry, Implementation, Invoke, Iterate, Reads, Sdk, Stride, Write, call, call_all,
    call_if_there, date, tags,
};
use crate::error::{Error, Kind, Result};
use crate::spec::{Action, Args, Effect, Field, Function, Param, Record, Returns, Type, Value};

// The actions, each named once.
pub(super) const CREATE_INSTANCE_PROFILE: Action = Action::profile("CreateInstanceProfile");
pub(super) const GET_INSTANCE_PROFILE: Action = Action::profile("GetInstanceProfile");
pub(super) const LIST_INSTANCE_PROFILES: Action = Action::iam("ListInstanceProfiles");
pub(super) const LIST_INSTANCE_PROFILE_TAGS: Action = Action::profile("ListInstanceProfileTags");
pub(super) const LIST_INSTANCE_PROFILES_FOR_ROLE: Action =
    Action::role("ListInstanceProfilesForRole");
pub(super) const ADD_ROLE_TO_INSTANCE_PROFILE: Action = Action::profile("AddRoleToInstanceProfile");
pub(super) const REMOVE_ROLE_FROM_INSTANCE_PROFILE: Action =
    Action::profile("RemoveRoleFromInstanceProfile");
pub(super) const DELETE_INSTANCE_PROFILE: Action = Action::profile("DeleteInstanceProfile");
pub(super) const TAG_INSTANCE_PROFILE: Action = Action::profile("TagInstanceProfile");
pub(super) const UNTAG_INSTANCE_PROFILE: Action = Action::profile("UntagInstanceProfile");

/// An instance profile as scripts see it.
pub static PROFILE: Record = Record {
    name: "iam.Profile",
    doc: "Instance profile: the container that passes a role's credentials to EC2 instances.",
    fields: &[
        Field { name: "name", ty: "string", doc: "Its name, unique in the account ignoring case." },
        Field {
            name: "path",
            ty: "string",
            doc: "Its path, `/` unless it was created with another.",
        },
        Field {
            name: "id",
            ty: "string",
            doc: "Its unique id, `AIPA…`; a profile made again has a new one.",
        },
        Field { name: "arn", ty: "string", doc: "Its ARN, with the path in it." },
        Field {
            name: "create_date",
            ty: "string",
            doc: "Date of creation: ISO 8601, UTC, seconds.",
        },
        Field { name: "roles", ty: "iam.Role[]", doc: "The roles in it: none or one." },
        Field { name: "role", ty: "string?", doc: "The name of the role in it, or nil." },
        Field {
            name: "tags",
            ty: "table<string, string>?",
            doc: "Its tags, `{}` without any; nil if AWS did not send them, as in every listing.",
        },
    ],
};

const PROFILE_NAME: Type = Type::Name { max: 128 };
const NAME: Param = Param::required("name", PROFILE_NAME, "The name of the instance profile.");
const PATH_PREFIX: Param = Param::optional(
    "path_prefix",
    Type::PathPrefix,
    "Filter by the start of the path. Default `/`: all.",
);
pub(super) const MARKER: Param = Param::optional(
    "marker",
    Type::Marker,
    "Start of the page: the `marker` of the previous page.",
);
pub(super) const MAX_ITEMS: Param = Param::optional(
    "max_items",
    Type::Int { min: 1, max: 1000 },
    "The most entries in the page. Default 100.",
);
pub(super) const PAGE_SIZE: Param = Param::optional(
    "page_size",
    Type::Int { min: 1, max: 1000 },
    "Entries in each call. Default 1000.",
);
pub(super) const EXACT_TAGS: Param =
    Param::optional("exact_tags", Type::Bool, "Also remove tags that `tags` does not name.");
const ROLE_PARAM: Param = Param::required("role", ROLE_NAME, "The name of the role.");

fn record(profile: InstanceProfile) -> Value {
    let role = profile.roles.first().map(|role| role.role_name.clone());
    Value::record([
        ("name", Value::Str(profile.instance_profile_name)),
        ("path", Value::Str(profile.path)),
        ("id", Value::Str(profile.instance_profile_id)),
        ("arn", Value::Str(profile.arn)),
        ("create_date", date(profile.create_date)),
        ("roles", Value::List(profile.roles.into_iter().map(roles::record).collect())),
        ("role", Value::text(role)),
        ("tags", profile.tags.map_or(Value::Nil, tags::to_value)),
    ])
}

fn with_tags(profile: Value, tags: Value) -> Value {
    let Value::Record(mut fields) = profile else { return profile };
    fields.retain(|(key, _)| *key != "tags");
    fields.push(("tags", tags));
    Value::Record(fields)
}

fn missing(sdk: &Sdk) -> Error {
    let action = sdk.action();
    Error::new(Kind::Connection, format!("{action}: the answer has no instance profile in it"))
}

/// The functions of `iam.profiles`.
pub static ENTRIES: &[Entry] = &[
    Entry {
        spec: Function {
            module: "profiles",
            name: "create",
            actions: &[CREATE_INSTANCE_PROFILE],
            effect: Effect::Write,
            params: &[
                NAME,
                Param::optional(
                    "path",
                    Type::Path,
                    "Its path, which cannot be changed later. Default `/`.",
                ),
                tags::NEW_TAGS,
            ],
            positional: &["name"],
            returns: Returns::One(&PROFILE),
            doc: "Creates an instance profile without a role.",
            long: "Raises `EntityAlreadyExists` if the name is taken (ignoring case) and \
                   `LimitExceeded` at the account's quota (1,000 by default). EC2 may not see a \
                   new profile for some seconds.",
            example: r#"
local tags = { Owner = "ops" }
local profile = iam.profiles.create { name = "doc-web", path = "/ec2/", tags = tags }
assert(profile.arn:match(":instance%-profile/ec2/doc%-web$"))"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Profile,
            words: "create",
            call: |sdk, args| {
                Box::pin(async move {
                    let out = sdk
                        .iam
                        .create_instance_profile()
                        .set_instance_profile_name(args.text("name"))
                        .set_path(args.text("path"))
                        .set_tags(tags::from_args(&args)?)
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    let mut profile = out.instance_profile.ok_or_else(|| missing(&sdk))?;
                    // AWS leaves the list out when none were given; that a new profile has none is
                    // certain.
                    profile.tags.get_or_insert_default();
                    Ok(record(profile))
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
            module: "profiles",
            name: "get",
            actions: &[GET_INSTANCE_PROFILE],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::One(&PROFILE),
            doc: "Reads one instance profile, with its role and tags.",
            long: "Raises `NoSuchEntity` if there is none of that name; `iam.profiles.find` returns nil instead.",
            example: r#"
local profile = iam.profiles.get("web-frontend")
assert(profile.path == "/ec2/web/" and profile.tags)"#,
        },
        run: Implementation::Read(Reads::One(Subject::Profile), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .get_instance_profile()
                    .set_instance_profile_name(args.text("name"))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                out.instance_profile.map(record).ok_or_else(|| missing(&sdk))
            })
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "find",
            actions: &[GET_INSTANCE_PROFILE],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::Maybe(&PROFILE),
            doc: "Reads one instance profile; nil if there is none of that name.",
            long: "",
            example: r#"
assert(iam.profiles.find("web-frontend").name == "web-frontend")
assert(iam.profiles.find("no-such-profile") == nil)"#,
        },
        run: Implementation::Compose(|via, args| {
            Box::pin(async move { call_if_there(&via, "profiles.get", args).await })
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "list",
            actions: &[LIST_INSTANCE_PROFILES],
            effect: Effect::Read,
            params: &[PATH_PREFIX, MARKER, MAX_ITEMS],
            positional: &[],
            returns: Returns::Page(&PROFILE),
            doc: "Reads one page of instance profiles.",
            long: "The array part of the page holds the profiles, without tags; `marker` is nil \
                   on the last page. `iam.profiles.each` iterates over all pages.",
            example: r#"
local page = iam.profiles.list { path_prefix = "/ec2/", max_items = 2 }
assert(#page == 2 and page.is_truncated)
local rest = iam.profiles.list { path_prefix = "/ec2/", marker = page.marker }
assert(rest[1].name ~= page[1].name)"#,
        },
        run: Implementation::Read(Reads::Page(Subject::Profile), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_instance_profiles()
                    .set_path_prefix(args.text("path_prefix"))
                    .set_marker(args.text("marker"))
                    .set_max_items(max_items(&args))
                    .customize()
                    .interceptor(FastPages)
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let mut profiles = out.instance_profiles;
                // A filter that an endpoint ignores must not widen what is done to its answer.
                if let Some(prefix) = args.text("path_prefix") {
                    profiles.retain(|profile| profile.path.starts_with(&prefix));
                }
                let items = profiles.into_iter().map(record).collect();
                sdk.paged(&args, items, out.marker, out.is_truncated)
            })
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "each",
            actions: &[LIST_INSTANCE_PROFILES, LIST_INSTANCE_PROFILE_TAGS],
            effect: Effect::Read,
            params: &[
                PATH_PREFIX,
                Param::optional(
                    PAGE_SIZE.name,
                    PAGE_SIZE.ty,
                    "Entries in each call. Default 1000, with `with_tags` 100.",
                ),
                Param::optional(
                    "with_tags",
                    Type::Bool,
                    "Also load each profile's tags, many at once, in order.",
                ),
            ],
            positional: &[],
            returns: Returns::Each(&PROFILE),
            doc: "Iterates over all instance profiles.",
            long: "The next page is prefetched while the script works on this one. Memory use \
                   does not grow with the account. Without `with_tags` `profile.tags` is nil, \
                   because listings do not include tags; with it each profile costs one more \
                   call.",
            example: r#"
local names = {}
for profile in iam.profiles.each { path_prefix = "/ec2/", with_tags = true } do
  names[#names + 1] = profile.name .. " " .. (profile.tags.Owner or "-")
end
assert(#names > 2)"#,
        },
        run: Implementation::Iterate(Iterate {
            page: "profiles.list",
            by: Stride::Item,
            enrich: Some(load_tags),
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "pages",
            actions: &[LIST_INSTANCE_PROFILES],
            effect: Effect::Read,
            params: &[PATH_PREFIX, PAGE_SIZE],
            positional: &[],
            returns: Returns::Pages(&PROFILE),
            doc: "Iterates over all pages of instance profiles.",
            long: "",
            example: r"
local count = 0
for page in iam.profiles.pages { page_size = 10 } do count = count + #page end
assert(count > 20)",
        },
        run: Implementation::Iterate(Iterate {
            page: "profiles.list",
            by: Stride::Page,
            enrich: None,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "list_for_role",
            actions: &[LIST_INSTANCE_PROFILES_FOR_ROLE],
            effect: Effect::Read,
            params: &[ROLE_PARAM, MARKER, MAX_ITEMS],
            positional: &["role"],
            returns: Returns::Page(&PROFILE),
            doc: "Reads one page of the instance profiles that a role is in.",
            long: "",
            example: r#"
local page = iam.profiles.list_for_role { role = "web-frontend" }
assert(page[1].role == "web-frontend")"#,
        },
        run: Implementation::Read(Reads::Page(Subject::Profile), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_instance_profiles_for_role()
                    .set_role_name(args.text("role"))
                    .set_marker(args.text("marker"))
                    .set_max_items(max_items(&args))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                let mut profiles = out.instance_profiles;
                let role = args.text("role").unwrap_or_default();
                profiles.retain(|profile| {
                    profile.roles.iter().any(|own| own.role_name.eq_ignore_ascii_case(&role))
                });
                let items = profiles.into_iter().map(record).collect();
                sdk.paged(&args, items, out.marker, out.is_truncated)
            })
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "each_for_role",
            actions: &[LIST_INSTANCE_PROFILES_FOR_ROLE],
            effect: Effect::Read,
            params: &[ROLE_PARAM, PAGE_SIZE],
            positional: &["role"],
            returns: Returns::Each(&PROFILE),
            doc: "Iterates over all instance profiles that a role is in.",
            long: "",
            example: r#"
for profile in iam.profiles.each_for_role("web-frontend") do
  assert(profile.role == "web-frontend")
end"#,
        },
        run: Implementation::Iterate(Iterate {
            page: "profiles.list_for_role",
            by: Stride::Item,
            enrich: None,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "add_role",
            actions: &[ADD_ROLE_TO_INSTANCE_PROFILE],
            effect: Effect::Write,
            params: &[NAME, ROLE_PARAM],
            positional: &["name", "role"],
            returns: Returns::Nothing,
            doc: "Adds a role to an instance profile.",
            long: "A profile holds one role: if it already has one, even the same, AWS answers \
                   `LimitExceeded`. The caller also needs `iam:PassRole` for the role. AWS may \
                   answer `NoSuchEntity` for some seconds after the role was created.",
            example: r#"
iam.profiles.create("doc-add-role")
iam.profiles.add_role("doc-add-role", "web-frontend")
assert(iam.profiles.get("doc-add-role").role == "web-frontend")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Profile,
            words: "add role to",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .add_role_to_instance_profile()
                        .set_instance_profile_name(args.text("name"))
                        .set_role_name(args.text("role"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| Snapshot { role: args.text("role"), ..image }),
            repeated: Some("LimitExceeded"),
            needs_policies: false,
            idle_without: None,
            passes_role: true,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "remove_role",
            actions: &[REMOVE_ROLE_FROM_INSTANCE_PROFILE],
            effect: Effect::Write,
            params: &[NAME, ROLE_PARAM],
            positional: &["name", "role"],
            returns: Returns::Nothing,
            doc: "Removes a role from an instance profile.",
            long: "Instances that use the profile lose the role's permissions, up to an hour \
                   later. Raises `NoSuchEntity` if the role is not in it.",
            example: r#"
iam.profiles.remove_role("web-frontend", iam.profiles.get("web-frontend").role)
assert(iam.profiles.get("web-frontend").role == nil)"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Profile,
            words: "remove role from",
            call: |sdk, args| {
                Box::pin(async move {
                    sdk.iam
                        .remove_role_from_instance_profile()
                        .set_instance_profile_name(args.text("name"))
                        .set_role_name(args.text("role"))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |_, before| before.map(|image| Snapshot { role: None, ..image }),
            repeated: Some("NoSuchEntity"),
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "delete",
            actions: &[
                DELETE_INSTANCE_PROFILE,
                GET_INSTANCE_PROFILE,
                REMOVE_ROLE_FROM_INSTANCE_PROFILE,
            ],
            effect: Effect::Write,
            params: &[
                NAME,
                Param::optional(
                    "detach",
                    Type::Bool,
                    "Take the role out first. Default false: a profile with a role is refused.",
                ),
            ],
            positional: &["name"],
            returns: Returns::Nothing,
            doc: "Deletes an instance profile.",
            long: "AWS does not check for instances that use it: they fail when their \
                   credentials expire, hours later. With a role in it AWS answers \
                   `DeleteConflict`, unless `detach` is given. If the second half of a \
                   detach-and-delete fails, calling it again completes it.",
            example: r#"
iam.profiles.delete("web-frontend", { detach = true })
assert(iam.profiles.find("web-frontend") == nil)"#,
        },
        run: Implementation::Compose(|via, args| Box::pin(delete(via, args))),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "tag",
            actions: &[TAG_INSTANCE_PROFILE],
            effect: Effect::Write,
            params: &[NAME, tags::TAGS],
            positional: &["name", "tags"],
            returns: Returns::Nothing,
            doc: "Sets tags of an instance profile; other tags are unchanged.",
            long: "Keys are case-sensitive. A profile has at most 50 tags: more in one call are \
                   refused before anything is sent, more in total raise `LimitExceeded`. Tags \
                   that are already set, by reads of the last two minutes, are not sent.",
            example: r#"
iam.profiles.tag("web-frontend", { Owner = "ops", Stage = "prod" })
assert(iam.profiles.tags("web-frontend").Stage == "prod")"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Profile,
            words: "tag",
            call: |sdk, args| {
                Box::pin(async move {
                    let Some(tags) = tags::from_args(&args)? else { return Ok(Value::Nil) };
                    sdk.iam
                        .tag_instance_profile()
                        .set_instance_profile_name(args.text("name"))
                        .set_tags(Some(tags))
                        .send()
                        .await
                        .map_err(|error| sdk.failed(error))?;
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.tagged(args, Subject::Profile)),
            repeated: None,
            needs_policies: false,
            idle_without: Some(tags::TAGS.name),
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "untag",
            actions: &[UNTAG_INSTANCE_PROFILE],
            effect: Effect::Write,
            params: &[NAME, tags::KEYS],
            positional: &["name", "keys"],
            returns: Returns::Nothing,
            doc: "Removes tags of an instance profile by key.",
            long: "A missing key is not an error. More than 50 keys are sent in several calls.",
            example: r#"
iam.profiles.untag("web-frontend", { "Owner" })
assert(iam.profiles.tags("web-frontend").Owner == nil)"#,
        },
        run: Implementation::Write(Write {
            subject: Subject::Profile,
            words: "untag",
            call: |sdk, args| {
                Box::pin(async move {
                    for keys in args.texts("keys").chunks(tags::KEYS_IN_A_CALL) {
                        sdk.iam
                            .untag_instance_profile()
                            .set_instance_profile_name(args.text("name"))
                            .set_tag_keys(Some(keys.to_vec()))
                            .send()
                            .await
                            .map_err(|error| sdk.failed(error))?;
                    }
                    Ok(Value::Nil)
                })
            },
            after: |args, before| before.map(|image| image.untagged(args, Subject::Profile)),
            repeated: None,
            needs_policies: false,
            idle_without: None,
            passes_role: false,
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "list_tags",
            actions: &[LIST_INSTANCE_PROFILE_TAGS],
            effect: Effect::Read,
            params: &[NAME, MARKER, MAX_ITEMS],
            positional: &["name"],
            returns: Returns::TagPage,
            doc: "Reads one page of the tags of an instance profile.",
            long: "The array part holds `{ key=, value= }`. `iam.profiles.tags` returns all of them as one table.",
            example: r#"
local page = iam.profiles.list_tags { name = "web-frontend", max_items = 1 }
assert(page[1].key and page[1].value)"#,
        },
        run: Implementation::Read(Reads::Tags(Subject::Profile), |sdk, args| {
            Box::pin(async move {
                let out = sdk
                    .iam
                    .list_instance_profile_tags()
                    .set_instance_profile_name(args.text("name"))
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
            module: "profiles",
            name: "tags",
            actions: &[LIST_INSTANCE_PROFILE_TAGS],
            effect: Effect::Read,
            params: &[NAME],
            positional: &["name"],
            returns: Returns::Tags,
            doc: "Reads all tags of an instance profile as a table.",
            long: "",
            example: r#"
for key, value in pairs(iam.profiles.tags("web-frontend")) do print(key, value) end"#,
        },
        run: Implementation::Compose(|via, args| {
            Box::pin(
                async move { Ok(tags::map_of(call_all(&via, "profiles.list_tags", args).await?)) },
            )
        }),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "ensure",
            actions: &[
                GET_INSTANCE_PROFILE,
                CREATE_INSTANCE_PROFILE,
                ADD_ROLE_TO_INSTANCE_PROFILE,
                REMOVE_ROLE_FROM_INSTANCE_PROFILE,
                TAG_INSTANCE_PROFILE,
                UNTAG_INSTANCE_PROFILE,
            ],
            effect: Effect::Write,
            params: &[
                NAME,
                Param::optional(
                    "path",
                    Type::Path,
                    "Its required path. A different path is an error, because AWS cannot change it.",
                ),
                Param::optional(
                    "role",
                    ROLE_NAME,
                    "Its required role; a different one is removed.",
                ),
                Param::optional("tags", Type::Tags, "Its required tags."),
                EXACT_TAGS,
            ],
            positional: &["name"],
            returns: Returns::Ensured(&PROFILE),
            doc: "Brings an instance profile into a state, or creates it; sends only differences.",
            long: "Options that are left out stay unchanged. Returns the profile and \
                   descriptions of the changes, an empty array without any.",
            example: r#"
local want = { name = "doc-ensure", role = "web-frontend", tags = { Owner = "ops" } }
local _, changes = iam.profiles.ensure(want)
assert(#changes > 0)
local _, again = iam.profiles.ensure(want)
assert(#again == 0)"#,
        },
        run: Implementation::Compose(|via, args| Box::pin(ensure(via, args))),
    },
    Entry {
        spec: Function {
            module: "profiles",
            name: "wait",
            actions: &[GET_INSTANCE_PROFILE],
            effect: Effect::Read,
            params: &[
                NAME,
                Param::optional("timeout", Type::Duration, "Maximum wait. Default `\"60s\"`."),
            ],
            positional: &["name"],
            returns: Returns::One(&PROFILE),
            doc: "Waits until reads of an instance profile show all changes of this run.",
            long: "IAM is eventually consistent: reads may miss recent changes. Other functions \
                   need no waiting, because they know the changes of this run; other programs \
                   do. EC2 may take some more seconds. At the timeout it raises `NoSuchEntity`, \
                   or an error of kind `timeout` if the profile exists but without the changes.",
            example: r#"
iam.profiles.create("doc-wait")
assert(iam.profiles.wait("doc-wait", { timeout = "5s" }).name == "doc-wait")"#,
        },
        run: Implementation::Compose(|via, args| Box::pin(wait(via, args))),
    },
];

/// The page size of an argument, in the SDK's type.
pub(super) fn max_items(args: &Args) -> Option<i32> {
    args.int("max_items").and_then(|n| i32::try_from(n).ok())
}

fn load_tags(via: Arc<dyn Invoke>, profile: Value) -> super::Pending {
    Box::pin(async move {
        let args = Args::of([("name", profile.field("name").clone())]);
        match call_all(&via, "profiles.list_tags", args).await {
            Ok(entries) => Ok(with_tags(profile, tags::map_of(entries))),
            // Deleted between the listing and now: it is not there to be iterated over any more.
            Err(error) if error.code() == "NoSuchEntity" => Ok(Value::Nil),
            Err(error) => Err(error),
        }
    })
}

async fn delete(mut via: Arc<dyn Invoke>, mut args: Args) -> Result<Value> {
    if args.take("detach") == Some(Value::Bool(true)) {
        let profile = call(&via, "profiles.get", args.clone()).await?;
        if let Value::List(roles) = profile.field("roles") {
            for role in roles {
                let mut pair = args.clone();
                pair.set("role", role.field("name").clone());
                call_if_there(&via, "profiles.remove_role", pair).await?;
                // A profile that has lost its role and is still there is of no use to anybody.
                via = via.finishing();
            }
        }
    }
    via.invoke(&DELETE, args).await
}

/// The bare operation under `profiles.delete`.
pub(super) static DELETE: Entry = Entry {
    spec: Function {
        module: "profiles",
        name: "delete",
        actions: &[DELETE_INSTANCE_PROFILE],
        effect: Effect::Write,
        params: &[NAME],
        positional: &["name"],
        returns: Returns::Nothing,
        doc: "",
        long: "",
        example: "",
    },
    run: Implementation::Write(Write {
        subject: Subject::Profile,
        words: "delete",
        call: |sdk, args| {
            Box::pin(async move {
                sdk.iam
                    .delete_instance_profile()
                    .set_instance_profile_name(args.text("name"))
                    .send()
                    .await
                    .map_err(|error| sdk.failed(error))?;
                Ok(Value::Nil)
            })
        },
        after: |_, _| None,
        repeated: Some("NoSuchEntity"),
        needs_policies: false,
        idle_without: None,
        passes_role: false,
    }),
};

async fn ensure(mut via: Arc<dyn Invoke>, mut args: Args) -> Result<Value> {
    let exact = args.flag("exact_tags");
    let role = args.text("role");
    let want = args.tags("tags");
    let name = Args::of([("name", args.get("name").cloned().unwrap_or(Value::Nil))]);
    args.take("exact_tags");
    args.take("role");

    let mut changes = Vec::new();
    let found = call_if_there(&via, "profiles.get", name.clone()).await?;
    let (is_new, found) = created_if_missing(&via, Subject::Profile, &name, found, &args).await?;
    let profile = if is_new {
        changes.push("created".to_owned());
        found
    } else {
        refuse_other_path(&found, &args)?;
        let have = found.field("tags").clone();
        let tags_now =
            set_tags(&via, Subject::Profile, &name, &have, want, exact, &mut changes).await?;
        with_tags(found, tags_now)
    };
    let Some(role) = role else { return Ok(ensured(profile, changes)) };
    // Names of roles ignore case.
    if profile.field("role").as_str().is_some_and(|own| own.eq_ignore_ascii_case(&role)) {
        return Ok(ensured(profile, changes));
    }
    if let Some(old) = profile.field("role").as_str() {
        let mut pair = name.clone();
        pair.set("role", Value::Str(old.to_owned()));
        call(&via, "profiles.remove_role", pair).await?;
        via = via.finishing();
        changes.push(format!("role {old} removed"));
    }
    let mut pair = name.clone();
    pair.set("role", Value::Str(role.clone()));
    call(&via, "profiles.add_role", pair).await?;
    changes.push(format!("role {role} added"));
    Ok(ensured(call(&via, "profiles.get", name).await?, changes))
}

/// The profile or role that `found` is, or that is created now, with whether it is new. Another
/// process may have made it a moment ago, so that the first read did not show it: then it is read
/// again until it shows.
pub(super) async fn created_if_missing(
    via: &Arc<dyn Invoke>,
    subject: Subject,
    name: &Args,
    found: Value,
    args: &Args,
) -> Result<(bool, Value)> {
    const PAUSE: Duration = Duration::from_millis(500);
    const TRIES: usize = 60;
    if found != Value::Nil {
        return Ok((false, found));
    }
    let Functions { create, get, .. } = subject.functions();
    let exists = match call(via, create, args.clone()).await {
        Err(error) if error.code() == "EntityAlreadyExists" => error,
        created => return Ok((true, created?)),
    };
    for _ in 0..TRIES {
        tokio::time::sleep(PAUSE).await;
        let found = call_if_there(via, get, name.clone()).await?;
        if found != Value::Nil {
            return Ok((false, found));
        }
    }
    Err(exists)
}

/// The results of an `ensure`.
pub(super) fn ensured(record: Value, changes: Vec<String>) -> Value {
    Value::Multi(vec![record, Value::List(changes.into_iter().map(Value::Str).collect())])
}

/// An error if something exists at another path than the one wanted.
pub(super) fn refuse_other_path(found: &Value, args: &Args) -> Result<()> {
    let (have, want) = (found.field("path"), args.get("path"));
    if want.is_none_or(|want| want == have) {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, have, want) =
        (text(found.field("name")), text(have), text(want.unwrap_or(&Value::Nil)));
    Err(Error::argument(format!(
        "{name} exists at path {have}, not {want}, and AWS cannot move it"
    ))
    .hint("leave `path` out, or delete it and create it again (it then has a new id)"))
}

/// Brings the tags of a profile or role into a state. Returns the tags as they are then, and adds
/// to `changes` what was done.
pub(super) async fn set_tags(
    via: &Arc<dyn Invoke>,
    subject: Subject,
    name: &Args,
    have: &Value,
    want: Option<BTreeMap<String, String>>,
    exact: bool,
    changes: &mut Vec<String>,
) -> Result<Value> {
    let Some(want) = want else { return Ok(have.clone()) };
    let Functions { tag, untag, .. } = subject.functions();
    let (set, extra) = tags::difference(subject, have, &want, exact);
    let mut now = if let Value::Map(map) = have { map.clone() } else { BTreeMap::new() };
    // Removing first keeps a full resource within its 50 tags.
    if !extra.is_empty() {
        for key in extra.iter().filter_map(Value::as_str) {
            now.remove(key);
            changes.push(format!("tag {key} removed"));
        }
        let mut args = name.clone();
        args.set("keys", Value::List(extra));
        call(via, untag, args).await?;
    }
    if !set.is_empty() {
        changes.extend(set.iter().map(|(key, value)| {
            let old = have.field(key).as_str().map_or(String::new(), |old| format!("{old} -> "));
            format!("tag {key} set: {old}{}", value.as_str().unwrap_or_default())
        }));
        now.extend(set.clone());
        let mut args = name.clone();
        args.set("tags", Value::Map(set));
        call(via, tag, args).await?;
    }
    Ok(Value::Map(now))
}

async fn wait(via: Arc<dyn Invoke>, mut args: Args) -> Result<Value> {
    let timeout = match args.take("timeout") {
        Some(Value::Int(millis)) => Duration::from_millis(millis.unsigned_abs()),
        _ => Duration::from_mins(1),
    };
    let end = tokio::time::Instant::now() + timeout;
    let mut pause = Duration::from_millis(200);
    let shown = via.as_shown();
    loop {
        let missing = match call(&shown, "profiles.get", args.clone()).await {
            Ok(profile) if via.is_shown(Subject::Profile, &profile).await => return Ok(profile),
            Ok(profile) => {
                let name = profile.field("name").as_str().unwrap_or_default();
                let message =
                    format!("AWS does not show yet what this run has changed of profile {name}");
                Error::new(Kind::Timeout, message)
            }
            Err(error) if error.code() == "NoSuchEntity" => error,
            Err(error) => return Err(error),
        };
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Err(missing.hint(format!("waited {} s for it", timeout.as_secs_f64())));
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(2));
    }
}
