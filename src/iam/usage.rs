//! `iam.usage`: usage of instance profiles. Scans are implemented in `crate::usage`. This file is
//! their place in the registry, for allow-lists, policies and the documentation.

use super::profiles::GET_INSTANCE_PROFILE;
use super::roles::GET_ROLE;
use super::{Entry, Implementation};
use crate::spec::{Action, Effect, Function, Param, Returns, Type};
use crate::usage::ACTIONS;

/// Actions that a scan and its verdicts call: those of the sources, and for a verdict the profile
/// and its role.
static CALLED: [Action; ACTIONS.len() + 2] = {
    let mut all = [ACTIONS[0]; ACTIONS.len() + 2];
    (all[1], all[2]) = (GET_INSTANCE_PROFILE, GET_ROLE);
    let mut at = 1;
    while at < ACTIONS.len() {
        all[at + 2] = ACTIONS[at];
        at += 1;
    }
    all
};

/// The functions of `iam.usage`.
pub static ENTRIES: &[Entry] = &[Entry {
    spec: Function {
        module: "usage",
        name: "scan",
        actions: &CALLED,
        effect: Effect::Read,
        params: &[
            Param::optional(
                "regions",
                Type::Texts,
                "The regions to scan. Default: every enabled one. Leaving one out makes verdicts `unknown`.",
            ),
            Param::optional(
                "sources",
                Type::Texts,
                "The sources to query, by their names in `usage.sources()`. Default: all. Leaving one out makes verdicts `unknown`.",
            ),
            Param::optional(
                "role_unused_for",
                Type::Duration,
                "A role that was used in this time counts as use of its profiles. Default 90 days, from 1 to 400: AWS reports the last use hours late, and keeps it for 400 days.",
            ),
            Param::optional(
                "concurrency",
                Type::Int { min: 1, max: 256 },
                "Maximum number of calls at once. Default 16.",
            ),
            Param::optional(
                "timeout",
                Type::Duration,
                "Maximum time of a call, retries included. Default 5 minutes.",
            ),
        ],
        positional: &[],
        returns: Returns::Scan,
        doc: "Scans every service that can name an instance profile, in every enabled region.",
        long: "A scan only reads, and makes no call per profile. A check that fails is a gap, \
               not an error, and makes verdicts `unknown`. Raises an error if the enabled \
               regions cannot be determined, or the credentials are not valid.",
        example: r#"
local scan = iam.usage.scan {}
for profile in iam.profiles.each() do
  local verdict = scan:verdict(profile)
  print(profile.name, verdict.verdict, verdict.reason)
end
assert(scan:verdict("web-frontend").verdict == "used")"#,
    },
    run: Implementation::Host,
}];
