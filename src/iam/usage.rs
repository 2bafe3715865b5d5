//! `iam.usage`: who uses instance profiles. What a scan asks and how is in `crate::usage`; here is its place in the registry, so that
//! allow-lists, policies and the documentation know it.

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
                "The regions to ask. Default: every region that is enabled; one that is enabled and left out makes `unknown`.",
            ),
            Param::optional(
                "sources",
                Type::Texts,
                "The names of the sources to ask, as `usage.sources()` lists them. Default: all; one that is left out makes `unknown`.",
            ),
            Param::optional(
                "role_unused_for",
                Type::Duration,
                "A profile whose role was used in that time is used. Default 90 days; from 1 to 400, because AWS says it hours late and remembers no more.",
            ),
            Param::optional(
                "concurrency",
                Type::Int { min: 1, max: 256 },
                "How many calls are under way at once. Default 16.",
            ),
            Param::optional(
                "timeout",
                Type::Duration,
                "A call that has no answer after that time, however often it was made again, is given up. Default 5 minutes.",
            ),
        ],
        positional: &[],
        returns: Returns::Scan,
        doc: "Asks every service that can name an instance profile, in every enabled region, which profiles it names.",
        long: "It only reads, and makes no call per profile. What it cannot check is no error but a gap, and makes verdicts `unknown`. \
            Raises an error if it cannot find out which regions are enabled, or the credentials are not valid.",
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
