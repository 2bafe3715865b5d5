//! Error replies with AWS's own messages: status, code and message of every error of the account.
//! The sources are listed in `iam-semantics.md`; messages without a recording are marked as ours.

use std::fmt::Display;

use super::service::{Protocol, Service};

/// Error reply to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Early end of a call: a refusal that the caller sees, or an error of the file.
#[derive(Debug)]
pub(super) enum CallFailure {
    Refused(Refusal),
    Storage(rusqlite::Error),
}

pub(super) type ApiResult<T> = Result<T, CallFailure>;

impl From<Refusal> for CallFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for CallFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn no_such_entity(message: String) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    pub(super) fn no_profile(name: &str) -> Self {
        Self::no_such_entity(format!("Instance Profile {name} cannot be found."))
    }

    pub(super) fn no_role(name: &str) -> Self {
        Self::no_such_entity(format!("The role with name {name} cannot be found."))
    }

    pub(super) fn role_not_in_profile(role: &str, profile: &str) -> Self {
        Self::no_such_entity(format!("Role {role} in Instance Profile {profile} cannot be found."))
    }

    pub(super) fn policy_not_attachable(arn: &str) -> Self {
        Self::no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
    }

    pub(super) fn policy_not_attached(arn: &str) -> Self {
        Self::no_such_entity(format!("Policy {arn} was not found."))
    }

    pub(super) fn boundary_not_attachable(arn: &str) -> Self {
        Self::no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable."))
    }

    pub(super) fn no_role_policy(name: &str) -> Self {
        Self::no_such_entity(format!("The role policy with name {name} cannot be found."))
    }

    pub(super) fn no_policy_version(arn: &str, id: &str) -> Self {
        let message = format!("Policy {arn} version {id} does not exist or is not attachable.");
        Self::no_such_entity(message)
    }

    pub(super) fn no_user(name: &str) -> Self {
        Self::no_such_entity(format!("The user with name {name} cannot be found."))
    }

    pub(super) fn not_a_user() -> Self {
        Self::validation("Must specify userName when calling with non-User credentials")
    }

    pub(super) fn policy_exists(name: &str) -> Self {
        let message =
            format!("A policy called {name} already exists. Duplicate names are not allowed.");
        Self::new(409, "EntityAlreadyExists", message)
    }

    pub(super) fn policy_attached() -> Self {
        Self::new(409, "DeleteConflict", "Cannot delete a policy attached to entities.")
    }

    pub(super) fn policy_has_versions() -> Self {
        let message = "This policy has more than one version. Before you delete a policy, you must \
                       delete the policy's versions. The default version is deleted with the \
                       policy.";
        Self::new(409, "DeleteConflict", message)
    }

    pub(super) fn default_version() -> Self {
        Self::new(409, "DeleteConflict", "Cannot delete the default version of a policy.")
    }

    pub(super) fn too_many_versions(most: usize) -> Self {
        let message = format!(
            "A managed policy can have up to {most} versions. Before you create a new version, you \
             must delete an existing version."
        );
        Self::new(409, "LimitExceeded", message)
    }

    pub(super) fn inline_policies_too_large(most: usize, role: &str) -> Self {
        let message = format!("Maximum policy size of {most} bytes exceeded for role {role}");
        Self::new(409, "LimitExceeded", message)
    }

    /// Write to a policy of AWS. `what` is the operation, in AWS's words.
    pub(super) fn foreign_policy(what: &str) -> Self {
        let message = format!("Cannot {what} policies outside your own account.");
        Self::new(403, "AccessDenied", message)
    }

    /// Read of a policy whose document is unknown. The message is ours. The status is one that
    /// clients do not retry.
    pub(super) fn unknown_document(arn: &str) -> Self {
        let message = format!(
            "The local account does not know the document of {arn}. It keeps the documents of \
             customer managed policies that were created in it or imported with a document."
        );
        Self::new(501, "NotImplemented", message)
    }

    pub(super) fn service_role_policy() -> Self {
        let message = "Cannot attach a Service Role Policy to a Customer Role.";
        Self::new(400, "PolicyNotAttachable", message)
    }

    pub(super) fn profile_exists(name: &str) -> Self {
        let message = format!("Instance Profile {name} already exists.");
        Self::new(409, "EntityAlreadyExists", message)
    }

    pub(super) fn role_exists(name: &str) -> Self {
        Self::new(409, "EntityAlreadyExists", format!("Role with name {name} already exists."))
    }

    /// Exceeded quota; `name` is AWS's name of it in the message, such as
    /// `InstanceProfilesPerAccount`.
    pub(super) fn quota(name: &str, limit: impl Display) -> Self {
        Self::new(409, "LimitExceeded", format!("Cannot exceed quota for {name}: {limit}"))
    }

    pub(super) fn too_many_tags() -> Self {
        Self::new(409, "LimitExceeded", "The number of tags has reached the maximum limit.")
    }

    /// Deletion of an entity in use. `what` must be removed first, in AWS's words.
    pub(super) fn delete_conflict(what: &str) -> Self {
        Self::new(409, "DeleteConflict", format!("Cannot delete entity, must {what} first."))
    }

    pub(super) fn duplicate_tag_keys(keys_ignore_case: bool) -> Self {
        let note = " Please note that Tag keys are case insensitive.";
        let note = if keys_ignore_case { note } else { "" };
        Self::new(400, "InvalidInput", format!("Duplicate tag keys found.{note}"))
    }

    /// Our message: AWS's is not recorded.
    pub(super) fn reserved_tag_key() -> Self {
        let message = "Tag keys that begin with aws: are reserved for AWS.";
        Self::new(400, "InvalidInput", message)
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// Violated constraints, in one answer.
    pub(super) fn violations(violations: &[String]) -> Self {
        let (count, s) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
        Self::validation(format!("{count} validation error{s} detected: {}", violations.join("; ")))
    }

    pub(super) fn invalid_marker() -> Self {
        Self::validation("Invalid Marker.")
    }

    pub(super) fn invalid_arn(arn: &str) -> Self {
        Self::validation(format!("ARN {arn} is not valid."))
    }

    /// Our message: AWS's is not recorded.
    pub(super) fn not_a_number(parameter: &str) -> Self {
        Self::new(400, "MalformedInput", format!("The value of {parameter} is not a whole number."))
    }

    /// Our message: AWS's is not recorded.
    pub(super) fn not_a_boolean(parameter: &str) -> Self {
        Self::new(400, "MalformedInput", format!("The value of {parameter} is not a boolean."))
    }

    pub(super) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    /// Exceeded request rate of the service.
    pub(super) fn throttled(service: Service) -> Self {
        let (status, code, message) = service.row().throttled;
        Self::new(status, code, message)
    }

    /// Missing permission of the caller for an action.
    pub(super) fn denied(service: Service, caller: &str, action: &str) -> Self {
        let action = format!("{}:{action}", service.name());
        let message = format!(
            "User: {caller} is not authorized to perform: {action} because no identity-based \
             policy allows the {action} action"
        );
        let (status, code) = match service.protocol() {
            Protocol::Ec2 { .. } => {
                let message =
                    format!("You are not authorized to perform this operation. {message}");
                return Self::new(403, "UnauthorizedOperation", message);
            }
            Protocol::Query { .. } => (403, "AccessDenied"),
            Protocol::Json { .. } => (400, "AccessDeniedException"),
            Protocol::RestJson => (403, "AccessDeniedException"),
        };
        Self::new(status, code, message)
    }

    /// Region that is not enabled; such a region does not recognise any caller.
    pub(super) fn region_disabled(service: Service) -> Self {
        Self::unknown_credentials(service)
    }

    /// Page token that does not belong to the list.
    pub(super) fn invalid_token(service: Service) -> Self {
        let (status, code, message) = service.row().invalid_token;
        Self::new(status, code, message)
    }

    /// Invalid parameter value.
    pub(super) fn invalid_value(service: Service, message: impl Into<String>) -> Self {
        Self::new(400, service.row().invalid_value, message)
    }

    /// Entity that does not exist, with the message of its service.
    pub(super) fn not_there(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message)
    }

    /// `DryRun`: EC2 reports success with an error.
    pub(super) fn dry_run() -> Self {
        let message = "Request would have succeeded, but DryRun flag is set.";
        Self::new(412, "DryRunOperation", message)
    }

    /// Unknown operation of a JSON protocol. AWS sends only the code.
    pub(super) fn unknown_operation(service: Service, name: &str) -> Self {
        let status = if service.protocol() == Protocol::RestJson { 404 } else { 400 };
        let message = format!("The local account does not answer this operation of {name}.");
        Self::new(status, "UnknownOperationException", message)
    }

    pub(super) fn unreadable_value(name: &str, what: &str) -> Self {
        Self::new(400, "SerializationException", format!("{name} must be {what}."))
    }

    pub(super) fn unreadable_json() -> Self {
        Self::new(400, "SerializationException", "The body is not a JSON object.")
    }

    pub(super) fn unknown_action(service: Service, action: &str, version: &str) -> Self {
        // EC2 has a message of its own, which Terraform's AWS provider matches.
        let message = if matches!(service.protocol(), Protocol::Ec2 { .. }) {
            format!("The action {action} is not valid for this web service.")
        } else {
            format!("Could not find operation {action} for version {version}")
        };
        Self::new(400, "InvalidAction", message)
    }

    pub(super) fn missing_action() -> Self {
        let message = "The request is missing an action or a required parameter.";
        Self::new(400, "MissingAction", message)
    }

    pub(super) fn missing_credentials() -> Self {
        Self::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    }

    pub(super) fn malformed_credentials() -> Self {
        let message = "Authorization header requires 'Credential' parameter.";
        Self::new(403, "IncompleteSignature", message)
    }

    pub(super) fn unknown_credentials(service: Service) -> Self {
        let message = "The security token included in the request is invalid.";
        match service.protocol() {
            Protocol::Ec2 { .. } => Self::new(
                401,
                "AuthFailure",
                "AWS was not able to validate the provided access credentials",
            ),
            Protocol::Query { .. } => Self::new(403, "InvalidClientTokenId", message),
            Protocol::Json { .. } => Self::new(400, "UnrecognizedClientException", message),
            Protocol::RestJson => Self::new(403, "UnrecognizedClientException", message),
        }
    }

    pub(super) fn expired_credentials(service: Service) -> Self {
        let message = "The security token included in the request is expired";
        match service.protocol() {
            Protocol::Ec2 { .. } => Self::new(400, "RequestExpired", "Request has expired."),
            Protocol::Query { .. } => Self::new(403, "ExpiredToken", message),
            Protocol::Json { .. } => Self::new(400, "ExpiredTokenException", message),
            Protocol::RestJson => Self::new(403, "ExpiredTokenException", message),
        }
    }

    /// Role that the caller may not assume. `note` follows the role's ARN, and begins with a space.
    pub(super) fn may_not_assume(caller: &str, action: &str, role_arn: &str, note: &str) -> Self {
        let message = format!(
            "User: {caller} is not authorized to perform: {action} on resource: {role_arn}{note}"
        );
        Self::new(403, "AccessDenied", message)
    }

    /// Write to a read-only file, which no retry can fix. The message is ours.
    pub(super) fn read_only(place: &str) -> Self {
        let message = format!("{place} is read-only: nothing in it can be changed.");
        Self::new(403, "AccessDenied", message)
    }

    /// Failure of the service. The message is ours if the account's file is the cause.
    pub(super) fn service_failure(service: Service, message: impl Into<String>) -> Self {
        let code = service.row().failure;
        Self::new(500, code, message)
    }

    /// AWS's message for an internal failure.
    pub(super) fn unknown_failure(service: Service) -> Self {
        Self::service_failure(
            service,
            "The request processing has failed because of an unknown error, exception or failure.",
        )
    }
}
