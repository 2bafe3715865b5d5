//! The answers that say no, in AWS's own words: status, code and message of every error the account gives. Where the
//! words come from is in `iam-semantics.md`; texts that nobody recorded are marked as ours.

use std::fmt::Display;

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What ends a call early: a refusal that the caller sees, or trouble with the file underneath.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    Storage(rusqlite::Error),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Failure {
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

    /// A quota by the name that AWS gives it in the message, such as `InstanceProfilesPerAccount`.
    pub(super) fn quota(name: &str, limit: impl Display) -> Self {
        Self::new(409, "LimitExceeded", format!("Cannot exceed quota for {name}: {limit}"))
    }

    pub(super) fn too_many_tags() -> Self {
        Self::new(409, "LimitExceeded", "The number of tags has reached the maximum limit.")
    }

    /// `what` is what must go first, in AWS's words.
    pub(super) fn delete_conflict(what: &str) -> Self {
        Self::new(409, "DeleteConflict", format!("Cannot delete entity, must {what} first."))
    }

    pub(super) fn duplicate_tag_keys(keys_ignore_case: bool) -> Self {
        let note = " Please note that Tag keys are case insensitive.";
        let note = if keys_ignore_case { note } else { "" };
        Self::new(400, "InvalidInput", format!("Duplicate tag keys found.{note}"))
    }

    /// Our words: nobody recorded AWS's.
    pub(super) fn reserved_tag_key() -> Self {
        let message = "Tag keys that begin with aws: are reserved for AWS.";
        Self::new(400, "InvalidInput", message)
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// Several violated constraints in one answer.
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

    /// Our words: nobody recorded AWS's.
    pub(super) fn not_a_number(parameter: &str) -> Self {
        Self::new(400, "MalformedInput", format!("The value of {parameter} is not a whole number."))
    }

    pub(super) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    pub(super) fn throttled() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    pub(super) fn unknown_action(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
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

    pub(super) fn unknown_credentials() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(403, "InvalidClientTokenId", message)
    }

    pub(super) fn expired_credentials() -> Self {
        let message = "The security token included in the request is expired";
        Self::new(403, "ExpiredToken", message)
    }

    pub(super) fn may_not_assume(caller: &str, role_arn: &str) -> Self {
        let message = format!(
            "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        );
        Self::new(403, "AccessDenied", message)
    }

    /// The file cannot be written, so no retry will help. Our words.
    pub(super) fn read_only(place: &str) -> Self {
        let message = format!("{place} is read-only: nothing in it can be changed.");
        Self::new(403, "AccessDenied", message)
    }

    /// The service itself failed; the message is our own where it is our file that did.
    pub(super) fn service_failure(message: impl Into<String>) -> Self {
        Self::new(500, "ServiceFailure", message)
    }

    /// The words that AWS has for a failure of its own.
    pub(super) fn unknown_failure() -> Self {
        Self::service_failure(
            "The request processing has failed because of an unknown error, exception or failure.",
        )
    }
}
