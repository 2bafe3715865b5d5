//! Roles that only AWS changes: service-linked roles and those of IAM Identity Center. They are
//! identified by their paths, which callers cannot choose.
//!
//! The actions that refuse them are those with `UnmodifiableEntityException` in the service model.
//! The message is that of public reports (rebuy-de/aws-nuke issues 331 and 441,
//! gruntwork-io/cloud-nuke issue 880).

use super::records::Role;
use super::refusal::Refusal;

/// Path of service-linked roles. IAM User Guide, "Create a service-linked role".
pub(super) const SERVICE_LINKED: &str = "/aws-service-role/";
/// Path of other roles that AWS creates, such as those of permission sets.
const RESERVED: &str = "/aws-reserved/";

impl Role {
    /// Check for a service-linked role.
    pub(super) fn is_service_linked(&self) -> bool {
        self.path.starts_with(SERVICE_LINKED)
    }
}

/// Refuses to change a protected role.
pub(super) fn check(role: &Role) -> Result<(), Refusal> {
    if !role.is_service_linked() && !role.path.starts_with(RESERVED) {
        return Ok(());
    }
    let message = format!(
        "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
        role.name
    );
    Err(Refusal { status: 400, code: "UnmodifiableEntity", message })
}
