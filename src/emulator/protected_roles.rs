//! Roles that only AWS changes: service-linked roles and those of IAM Identity Center. Their paths
//! tell them apart, which nobody else can choose.
//!
//! Which actions refuse them is in the service model: those with `UnmodifiableEntityException`. The
//! text is that of public reports (rebuy-de/aws-nuke issues 331 and 441, gruntwork-io/cloud-nuke
//! issue 880).

use super::records::Role;
use super::refusal::Refusal;

/// The path of service-linked roles. IAM User Guide, "Create a service-linked role".
pub(super) const SERVICE_LINKED: &str = "/aws-service-role/";
/// The path of other roles that AWS makes, such as those of permission sets.
const RESERVED: &str = "/aws-reserved/";

impl Role {
    /// Check for a role that a service made for itself.
    pub(super) fn is_service_linked(&self) -> bool {
        self.path.starts_with(SERVICE_LINKED)
    }
}

/// Refuses a change of a role that only AWS may change.
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
