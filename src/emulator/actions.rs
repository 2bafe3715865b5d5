//! The table of actions: name, parameters and the function that carries it out. Dispatch, validation and
//! [`actions`] all read this one table; an action is supported when it has a row here.

use super::account;
use super::call::Call;
use super::constraints::{
    ARN, EXTERNAL_ID, MARKER, MAX_ITEMS, MAX_SESSION_DURATION, PATH, PATH_PREFIX, POLICY_DOCUMENT,
    POLICY_PATH_PREFIX, PROFILE_NAME, Parameter, ROLE_DESCRIPTION, ROLE_NAME, SERIAL_NUMBER,
    SESSION_CONTEXTS, SESSION_DURATION, SESSION_NAME, SESSION_POLICY, SESSION_POLICY_ARNS,
    TAG_KEYS, TAGS, TOKEN_CODE, optional, required,
};
use super::edit::Edit;
use super::profiles;
use super::refusal::Outcome;
use super::roles;
use super::security_tokens;
use super::view::View;
use super::xml::Xml;

/// The two services that the account speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Iam,
    Sts,
}

impl Service {
    /// The name in a request's credential scope.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The only API version that the service has.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    /// The XML namespace of its answers.
    pub(super) const fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// The service that the credential scope names, else the one with that API version.
    pub(super) fn of(scope: Option<&str>, version: Option<&str>) -> Option<Self> {
        let either = [Self::Iam, Self::Sts];
        let named = either.into_iter().find(|service| scope == Some(service.name()));
        named.or_else(|| either.into_iter().find(|service| version == Some(service.version())))
    }
}

/// One action.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) service: Service,
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) run: Run,
}

/// How an action is carried out: what it is given, and that it writes its result.
#[derive(Debug)]
pub(super) enum Run {
    /// It only looks.
    Read(fn(&View<'_>, &Call<'_>, &mut Xml) -> Outcome<()>),
    /// It looks at the truth and changes it, all or nothing.
    Write(fn(&Edit<'_>, &Call<'_>, &mut Xml) -> Outcome<()>),
}

const fn read(
    name: &'static str,
    parameters: &'static [Parameter],
    run: fn(&View<'_>, &Call<'_>, &mut Xml) -> Outcome<()>,
) -> Action {
    Action { service: Service::Iam, name, parameters, run: Run::Read(run) }
}

const fn write(
    name: &'static str,
    parameters: &'static [Parameter],
    run: fn(&Edit<'_>, &Call<'_>, &mut Xml) -> Outcome<()>,
) -> Action {
    Action { service: Service::Iam, name, parameters, run: Run::Write(run) }
}

const PROFILE: Parameter = required("InstanceProfileName", &PROFILE_NAME);
const ROLE: Parameter = required("RoleName", &ROLE_NAME);
const START: Parameter = optional("Marker", &MARKER);
const LIMIT: Parameter = optional("MaxItems", &MAX_ITEMS);
const PREFIX: Parameter = optional("PathPrefix", &PATH_PREFIX);
const NEW_PATH: Parameter = optional("Path", &PATH);
const NEW_TAGS: Parameter = optional("Tags", &TAGS);
const POLICY: Parameter = required("PolicyArn", &ARN);

pub(super) static ACTIONS: &[Action] = &[
    write("CreateInstanceProfile", &[PROFILE, NEW_PATH, NEW_TAGS], profiles::create),
    read("GetInstanceProfile", &[PROFILE], profiles::get),
    read("ListInstanceProfiles", &[PREFIX, START, LIMIT], profiles::list),
    read("ListInstanceProfilesForRole", &[ROLE, START, LIMIT], profiles::list_for_role),
    write("AddRoleToInstanceProfile", &[PROFILE, ROLE], profiles::add_role),
    write("RemoveRoleFromInstanceProfile", &[PROFILE, ROLE], profiles::remove_role),
    write("DeleteInstanceProfile", &[PROFILE], profiles::delete),
    write("TagInstanceProfile", &[PROFILE, required("Tags", &TAGS)], profiles::tag),
    write("UntagInstanceProfile", &[PROFILE, required("TagKeys", &TAG_KEYS)], profiles::untag),
    read("ListInstanceProfileTags", &[PROFILE, START, LIMIT], profiles::list_tags),
    write(
        "CreateRole",
        &[
            NEW_PATH,
            ROLE,
            required("AssumeRolePolicyDocument", &POLICY_DOCUMENT),
            optional("Description", &ROLE_DESCRIPTION),
            optional("MaxSessionDuration", &MAX_SESSION_DURATION),
            optional("PermissionsBoundary", &ARN),
            NEW_TAGS,
        ],
        roles::create,
    ),
    read("GetRole", &[ROLE], roles::get),
    read("ListRoles", &[PREFIX, START, LIMIT], roles::list),
    write("DeleteRole", &[ROLE], roles::delete),
    write("TagRole", &[ROLE, required("Tags", &TAGS)], roles::tag),
    write("UntagRole", &[ROLE, required("TagKeys", &TAG_KEYS)], roles::untag),
    read("ListRoleTags", &[ROLE, START, LIMIT], roles::list_tags),
    write("AttachRolePolicy", &[ROLE, POLICY], roles::attach_policy),
    write("DetachRolePolicy", &[ROLE, POLICY], roles::detach_policy),
    read(
        "ListAttachedRolePolicies",
        &[ROLE, optional("PathPrefix", &POLICY_PATH_PREFIX), START, LIMIT],
        roles::list_attached_policies,
    ),
    write(
        "UpdateAssumeRolePolicy",
        &[ROLE, required("PolicyDocument", &POLICY_DOCUMENT)],
        roles::update_trust,
    ),
    read("GetAccountSummary", &[], account::summary),
    read("ListAccountAliases", &[START, LIMIT], account::aliases),
    Action {
        service: Service::Sts,
        name: "GetCallerIdentity",
        parameters: &[],
        run: Run::Read(security_tokens::caller_identity),
    },
    Action {
        service: Service::Sts,
        name: "AssumeRole",
        parameters: &[
            required("RoleArn", &ARN),
            required("RoleSessionName", &SESSION_NAME),
            optional("PolicyArns", &SESSION_POLICY_ARNS),
            optional("Policy", &SESSION_POLICY),
            optional("DurationSeconds", &SESSION_DURATION),
            NEW_TAGS,
            optional("TransitiveTagKeys", &TAG_KEYS),
            optional("ExternalId", &EXTERNAL_ID),
            optional("SerialNumber", &SERIAL_NUMBER),
            optional("TokenCode", &TOKEN_CODE),
            optional("SourceIdentity", &SESSION_NAME),
            optional("ProvidedContexts", &SESSION_CONTEXTS),
        ],
        run: Run::Write(security_tokens::assume_role),
    },
];

/// Every action that the local account answers: service (`iam` or `sts`) and name.
pub fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
    ACTIONS.iter().map(|action| (action.service.name(), action.name))
}

/// The row of that action.
pub(super) fn find(service: Service, name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.service == service && action.name == name)
}
