//! Table of actions: name, parameters and handler. Dispatch, validation and [`actions`] all read
//! this table and those of the other services. An action is supported if it has a row.

use serde_json::Value;

use super::account;
use super::call::Call;
use super::constraints::{
    ARN, CUSTOM_SUFFIX, DELETION_TASK_ID, EXTERNAL_ID, MARKER, MAX_ITEMS, MAX_SESSION_DURATION,
    PATH, PATH_PREFIX, POLICY_DOCUMENT, POLICY_PATH_PREFIX, PROFILE_NAME, PROVIDER_ID, Parameter,
    ROLE_DESCRIPTION, ROLE_NAME, SERIAL_NUMBER, SERVICE_NAME, SESSION_CONTEXTS, SESSION_DURATION,
    SESSION_NAME, SESSION_POLICY, SESSION_POLICY_ARNS, TAG_KEYS, TAGS, TOKEN_CODE, TOKEN_DURATION,
    WEB_IDENTITY_TOKEN, optional, required,
};
use super::constraints::{
    BOOLEAN, ENTITY_KIND, POLICY_DESCRIPTION, POLICY_NAME, POLICY_PATH, POLICY_SCOPE, POLICY_USAGE,
    USER_NAME, VERSION_ID,
};
use super::policies::{inline, listing, managed, versions};
use super::profiles;
use super::read_txn::ReadTxn;
use super::refusal::ApiResult;
use super::role_updates;
use super::roles;
use super::security_tokens;
use super::service::Service;
use super::service_linked_roles;
use super::services::SERVICES;
use super::users;
use super::web_identity;
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// Row of the table of actions.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) service: Service,
    pub(super) name: &'static str,
    /// Parameters checked before the handler runs. Only IAM and STS actions have them; the handlers
    /// of other services check their own.
    pub(super) parameters: &'static [Parameter],
    /// Method and path pattern, for REST protocols.
    pub(super) route: Option<(&'static str, &'static str)>,
    pub(super) run: Handler,
}

/// Handler of an action. It writes its result to the XML, or returns it as JSON.
#[derive(Debug)]
pub(super) enum Handler {
    /// Read that answers XML.
    Read(fn(&ReadTxn<'_>, &Call<'_>, &mut Xml) -> ApiResult<()>),
    /// Read that answers JSON.
    ReadJson(fn(&ReadTxn<'_>, &Call<'_>) -> ApiResult<Value>),
    /// Write to the current state, in one transaction.
    Write(fn(&WriteTxn<'_>, &Call<'_>, &mut Xml) -> ApiResult<()>),
}

const fn read(
    name: &'static str,
    parameters: &'static [Parameter],
    run: fn(&ReadTxn<'_>, &Call<'_>, &mut Xml) -> ApiResult<()>,
) -> Action {
    Action { service: Service::IAM, name, parameters, route: None, run: Handler::Read(run) }
}

const fn write(
    name: &'static str,
    parameters: &'static [Parameter],
    run: fn(&WriteTxn<'_>, &Call<'_>, &mut Xml) -> ApiResult<()>,
) -> Action {
    Action { service: Service::IAM, name, parameters, route: None, run: Handler::Write(run) }
}

/// Row of a read action of a service that answers XML.
pub(super) const fn describe(
    service: Service,
    name: &'static str,
    run: fn(&ReadTxn<'_>, &Call<'_>, &mut Xml) -> ApiResult<()>,
) -> Action {
    Action { service, name, parameters: &[], route: None, run: Handler::Read(run) }
}

/// Row of a read action of a service that answers JSON.
pub(super) const fn describe_json(
    service: Service,
    name: &'static str,
    run: fn(&ReadTxn<'_>, &Call<'_>) -> ApiResult<Value>,
) -> Action {
    Action { service, name, parameters: &[], route: None, run: Handler::ReadJson(run) }
}

/// Row of a JSON read action that is routed by method and path.
pub(super) const fn describe_json_at(
    service: Service,
    name: &'static str,
    route: (&'static str, &'static str),
    run: fn(&ReadTxn<'_>, &Call<'_>) -> ApiResult<Value>,
) -> Action {
    Action { service, name, parameters: &[], route: Some(route), run: Handler::ReadJson(run) }
}

const PROFILE: Parameter = required("InstanceProfileName", &PROFILE_NAME);
const ROLE: Parameter = required("RoleName", &ROLE_NAME);
const START: Parameter = optional("Marker", &MARKER);
const LIMIT: Parameter = optional("MaxItems", &MAX_ITEMS);
const PREFIX: Parameter = optional("PathPrefix", &PATH_PREFIX);
const NEW_PATH: Parameter = optional("Path", &PATH);
const NEW_TAGS: Parameter = optional("Tags", &TAGS);
const POLICY: Parameter = required("PolicyArn", &ARN);
const INLINE: Parameter = required("PolicyName", &POLICY_NAME);
const DOCUMENT: Parameter = required("PolicyDocument", &POLICY_DOCUMENT);
const VERSION: Parameter = required("VersionId", &VERSION_ID);

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
    write(
        "UpdateRole",
        &[
            ROLE,
            optional("Description", &ROLE_DESCRIPTION),
            optional("MaxSessionDuration", &MAX_SESSION_DURATION),
        ],
        role_updates::update,
    ),
    write(
        "UpdateRoleDescription",
        &[ROLE, required("Description", &ROLE_DESCRIPTION)],
        role_updates::update_description,
    ),
    write(
        "PutRolePermissionsBoundary",
        &[ROLE, required("PermissionsBoundary", &ARN)],
        role_updates::put_boundary,
    ),
    write("DeleteRolePermissionsBoundary", &[ROLE], role_updates::delete_boundary),
    write(
        "CreateServiceLinkedRole",
        &[
            required("AWSServiceName", &SERVICE_NAME),
            optional("Description", &ROLE_DESCRIPTION),
            optional("CustomSuffix", &CUSTOM_SUFFIX),
        ],
        service_linked_roles::create,
    ),
    write("DeleteServiceLinkedRole", &[ROLE], service_linked_roles::delete),
    read(
        "GetServiceLinkedRoleDeletionStatus",
        &[required("DeletionTaskId", &DELETION_TASK_ID)],
        service_linked_roles::deletion_status,
    ),
    read("GetAccountSummary", &[], account::summary),
    read("ListAccountAliases", &[START, LIMIT], account::aliases),
    write("PutRolePolicy", &[ROLE, INLINE, DOCUMENT], inline::put),
    read("GetRolePolicy", &[ROLE, INLINE], inline::get),
    read("ListRolePolicies", &[ROLE, START, LIMIT], inline::list),
    write("DeleteRolePolicy", &[ROLE, INLINE], inline::delete),
    write(
        "CreatePolicy",
        &[
            INLINE,
            optional("Path", &POLICY_PATH),
            DOCUMENT,
            optional("Description", &POLICY_DESCRIPTION),
            NEW_TAGS,
        ],
        managed::create,
    ),
    read("GetPolicy", &[POLICY], managed::get),
    read(
        "ListPolicies",
        &[
            optional("Scope", &POLICY_SCOPE),
            optional("OnlyAttached", &BOOLEAN),
            optional("PathPrefix", &POLICY_PATH_PREFIX),
            optional("PolicyUsageFilter", &POLICY_USAGE),
            START,
            LIMIT,
        ],
        listing::policies,
    ),
    read(
        "ListEntitiesForPolicy",
        &[
            POLICY,
            optional("EntityFilter", &ENTITY_KIND),
            optional("PathPrefix", &PATH),
            optional("PolicyUsageFilter", &POLICY_USAGE),
            START,
            LIMIT,
        ],
        listing::entities,
    ),
    write("DeletePolicy", &[POLICY], managed::delete),
    write("TagPolicy", &[POLICY, required("Tags", &TAGS)], managed::tag),
    write("UntagPolicy", &[POLICY, required("TagKeys", &TAG_KEYS)], managed::untag),
    read("ListPolicyTags", &[POLICY, START, LIMIT], managed::list_tags),
    write(
        "CreatePolicyVersion",
        &[POLICY, DOCUMENT, optional("SetAsDefault", &BOOLEAN)],
        versions::create,
    ),
    read("GetPolicyVersion", &[POLICY, VERSION], versions::get),
    read("ListPolicyVersions", &[POLICY, START, LIMIT], versions::list),
    write("DeletePolicyVersion", &[POLICY, VERSION], versions::delete),
    write("SetDefaultPolicyVersion", &[POLICY, VERSION], versions::set_default),
    read("GetUser", &[optional("UserName", &USER_NAME)], users::get),
    read("ListUsers", &[PREFIX, START, LIMIT], users::list),
    Action {
        service: Service::STS,
        name: "GetCallerIdentity",
        parameters: &[],
        route: None,
        run: Handler::Read(security_tokens::caller_identity),
    },
    Action {
        service: Service::STS,
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
        route: None,
        run: Handler::Write(security_tokens::assume_role),
    },
    Action {
        service: Service::STS,
        name: "AssumeRoleWithWebIdentity",
        parameters: &[
            required("RoleArn", &ARN),
            required("RoleSessionName", &SESSION_NAME),
            required("WebIdentityToken", &WEB_IDENTITY_TOKEN),
            optional("ProviderId", &PROVIDER_ID),
            optional("PolicyArns", &SESSION_POLICY_ARNS),
            optional("Policy", &SESSION_POLICY),
            optional("DurationSeconds", &SESSION_DURATION),
        ],
        route: None,
        run: Handler::Write(web_identity::assume_role),
    },
    Action {
        service: Service::STS,
        name: "GetSessionToken",
        parameters: &[
            optional("DurationSeconds", &TOKEN_DURATION),
            optional("SerialNumber", &SERIAL_NUMBER),
            optional("TokenCode", &TOKEN_CODE),
        ],
        route: None,
        run: Handler::Write(security_tokens::session_token),
    },
];

/// Rows of all services.
fn all() -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().chain(SERVICES.iter().flat_map(|table| table.actions))
}

/// All actions that the local account supports, as service and name. The service is its permission
/// prefix, such as `iam` or `ec2`. Several services may have an action of the same name.
pub fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().map(|action| (action.service.name(), action.name))
}

/// Row of an action.
pub(super) fn find(service: Service, name: &str) -> Option<&'static Action> {
    of(service).find(|action| action.name == name)
}

/// Rows of a service.
pub(super) fn of(service: Service) -> impl Iterator<Item = &'static Action> {
    all().filter(move |action| action.service == service)
}
