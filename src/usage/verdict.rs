//! Verdict of a scan on one profile: its ruling, and the evidence.
//!
//! A profile with a reference is used, even if there are gaps. A profile is unused only if the scan
//! has no gap and no reference, and its role is known to be unused for long enough. Everything else
//! is unknown, including every doubt and every value that cannot be parsed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::findings::{Gap, GapCause, ReferencingResource, Scan, kind_of, service_of};
use super::matching::By;
use super::reasons;
use crate::error::{Error, Result};

/// Name of the source for results of `GetRole`.
pub(super) const ROLES: &str = "iam.roles";

/// Time for which AWS records the last use of a role:
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html>.
pub(super) const LAST_USE_RETENTION: Duration = Duration::from_hours(400 * 24);

/// Tolerance for clock differences: a profile created this shortly before the scan may have been
/// created after it.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// Profile to judge, as IAM returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictSubject {
    /// Name.
    pub name: String,
    /// Unique id, `AIPA…`.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Creation date, in ISO 8601.
    pub create_date: String,
    /// Names of its roles: at most one, by AWS's current quota.
    pub roles: Vec<String>,
}

/// Knowledge about the role in the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleKnown {
    /// Not requested yet.
    NotAsked,
    /// Result of `GetRole`.
    Read(RoleUse),
    /// Failure of `GetRole`.
    Unreadable(GapCause),
}

/// Last use of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleUse {
    /// Name.
    pub name: String,
    /// Creation date, in ISO 8601.
    pub create_date: String,
    /// Date of the last use, in ISO 8601; `None` without use in the 400 days that AWS records.
    pub last_used: Option<String>,
    /// Region of the last use.
    pub region: Option<String>,
}

/// Verdict, or the data that it still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Verdict.
    Given(Box<Verdict>),
    /// Name of a role to read first, because no other evidence shows that the profile is used.
    AskRole(String),
}

/// Usage of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// Referenced by a resource.
    Used,
    /// Completely checked, and not referenced.
    Unused,
    /// Not referenced by the resources found, but possibly by others.
    Unknown,
}

impl Ruling {
    /// Name in scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Unknown => "unknown",
        }
    }
}

/// Resource that references the profile, or may do so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Name of the source, such as `ec2.instances`; `iam.roles` for the use of the profile's role.
    pub source: Arc<str>,
    /// Region; may be empty for a role.
    pub region: Arc<str>,
    /// Id of the resource.
    pub resource: Box<str>,
    /// State; empty for sources without states.
    pub state: Arc<str>,
    /// Criterion of the match.
    pub by: By,
    /// Matching text; for a role, the date of its last use.
    pub text: Box<str>,
}

impl Reference {
    fn new(found: &ReferencingResource<'_>, by: By, text: &str) -> Self {
        Self {
            source: Arc::clone(found.source),
            region: Arc::clone(found.region),
            resource: found.resource.into(),
            state: Arc::clone(found.state),
            by,
            text: text.into(),
        }
    }

    /// Permission prefix of the service, such as `ec2`.
    #[must_use]
    pub fn service(&self) -> &str {
        service_of(&self.source)
    }

    /// Kind of the resource, such as `instance`.
    #[must_use]
    pub fn kind(&self) -> &str {
        if &*self.source == ROLES { "role" } else { kind_of(&self.source) }
    }
}

/// Usage of a profile, with the reason and the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Ruling.
    pub ruling: Ruling,
    /// Reason, as one sentence without a full stop.
    pub reason: String,
    /// Name of the profile.
    pub profile: String,
    /// Id of the profile.
    pub id: String,
    /// ARN of the profile.
    pub arn: String,
    /// References to the profile, one per resource.
    pub references: Vec<Reference>,
    /// Possible references: texts that may match the profile.
    pub doubts: Vec<Reference>,
    /// Gaps of the scan, common to all its verdicts.
    pub scan_gaps: Arc<[Gap]>,
    /// Gap for a role that could not be read.
    pub role_gap: Option<Gap>,
    /// Result of `GetRole`, if it was called.
    pub role: Option<RoleUse>,
    /// Start of the scan.
    pub at: Timestamp,
}

impl Verdict {
    /// All gaps.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.scan_gaps.iter().chain(&self.role_gap)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reasons::write_verdict(self, f)
    }
}

/// Obstacle to the verdict `unused`, besides gaps of the scan and doubts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Implausible or malformed property of the profile.
    Profile(&'static str),
    /// Profile created after the start of the scan, or shortly before.
    TooNew,
    /// Several roles; their number.
    Roles(usize),
    /// Role that could not be read.
    RoleUnreadable(GapCause),
    /// Implausible or malformed property of the role.
    Role(&'static str),
    /// Role without any use that is too young; its age.
    RoleTooYoung(SignedDuration),
    /// Requested period longer than AWS's records of last use.
    Forgotten,
}

/// Evidence from the role's last use.
enum RoleEvidence {
    /// Irrelevant, because the profile is used anyway.
    NotAsked,
    /// Recently used.
    Used(Reference),
    /// Not recently used; the text is a part of a sentence.
    Unused(String),
    /// Undetermined.
    Unknown(Obstacle),
}

impl Scan {
    /// Judges a profile, or returns the role that must be read first.
    ///
    /// # Errors
    /// If the profile belongs to another account.
    pub fn judge(&self, subject: &VerdictSubject, role: &RoleKnown) -> Result<Judgement> {
        let mut obstacles = self.obstacles(subject)?;
        let (mut references, doubts) = self.references_of(subject);
        let mut role_idle = String::new();
        let role_evidence = match (&subject.roles[..], role) {
            ([], _) => RoleEvidence::Unused("it holds no role".to_owned()),
            ([name], RoleKnown::NotAsked) => {
                if references.is_empty() {
                    return Ok(Judgement::AskRole(name.clone()));
                }
                RoleEvidence::NotAsked
            }
            ([name], RoleKnown::Read(role)) => self.role_evidence(name, role),
            ([_], RoleKnown::Unreadable(why)) => {
                RoleEvidence::Unknown(Obstacle::RoleUnreadable(why.clone()))
            }
            (roles, _) => RoleEvidence::Unknown(Obstacle::Roles(roles.len())),
        };
        match role_evidence {
            RoleEvidence::NotAsked => {}
            RoleEvidence::Used(reference) => references.push(reference),
            RoleEvidence::Unused(how) => role_idle = how,
            RoleEvidence::Unknown(obstacle) => obstacles.push(obstacle),
        }
        let gaps = self.gaps();
        let (ruling, reason) = if !references.is_empty() {
            (Ruling::Used, reasons::used(&references, self.scope().started))
        } else if gaps.is_empty() && doubts.is_empty() && obstacles.is_empty() {
            (Ruling::Unused, reasons::unused(self, &role_idle))
        } else {
            (Ruling::Unknown, reasons::unknown(self, subject, &obstacles, &doubts))
        };
        let role_gap = match role {
            RoleKnown::Unreadable(why) => {
                Some(Gap { source: Some(ROLES.into()), region: None, why: why.clone() })
            }
            _ => None,
        };
        Ok(Judgement::Given(Box::new(Verdict {
            ruling,
            reason,
            profile: subject.name.clone(),
            id: subject.id.clone(),
            arn: subject.arn.clone(),
            references,
            doubts,
            scan_gaps: Arc::clone(gaps),
            role_gap,
            role: match role {
                RoleKnown::Read(role) => Some(role.clone()),
                _ => None,
            },
            at: self.scope().started,
        })))
    }

    /// Obstacles in the properties of the profile itself.
    fn obstacles(&self, subject: &VerdictSubject) -> Result<Vec<Obstacle>> {
        let scope = self.scope();
        let mut obstacles = Vec::new();
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit());
        match subject.arn.splitn(6, ':').collect::<Vec<_>>()[..] {
            ["arn", partition, "iam", "", account, resource] if is_account(account) => {
                if (partition, account) != (&scope.partition, &scope.account) {
                    return Err(Error::argument(format!(
                        "the profile {:?} is one of account {account}, and the scan is one of account {}",
                        subject.name, scope.account
                    ))
                    .hint("make a scan of that account: `iam.connect { … }.usage.scan()`"));
                }
                let name = resource.rsplit('/').next().unwrap_or_default();
                if !resource.starts_with("instance-profile/") {
                    obstacles.push(Obstacle::Profile("its ARN is none of a profile"));
                } else if !name.eq_ignore_ascii_case(&subject.name) {
                    obstacles.push(Obstacle::Profile("its name and its ARN do not agree"));
                }
            }
            _ => obstacles.push(Obstacle::Profile("its ARN cannot be read")),
        }
        if subject.id.is_empty() {
            obstacles.push(Obstacle::Profile("its id is not known"));
        }
        match made(&subject.create_date) {
            Some(made) if made < before(scope.started, CLOCK_TOLERANCE) => {}
            Some(_) => obstacles.push(Obstacle::TooNew),
            None => obstacles.push(Obstacle::Profile("nobody can read when it was made")),
        }
        Ok(obstacles)
    }

    /// References to a profile, and possible ones.
    fn references_of(&self, subject: &VerdictSubject) -> (Vec<Reference>, Vec<Reference>) {
        let mut all: Vec<Reference> = Vec::new();
        let mut places = HashMap::new();
        for group in self.index().candidates(subject) {
            let (names, found) = self.group(group);
            let Some((by, text)) = self.index().means(names, subject) else { continue };
            for found in found {
                // A resource that names the profile twice, such as a fleet, counts once.
                let place = (Arc::as_ptr(found.source), Arc::as_ptr(found.region), found.resource);
                let at = *places.entry(place).or_insert_with(|| {
                    all.push(Reference::new(&found, by, text));
                    all.len() - 1
                });
                if by < all[at].by {
                    all[at] = Reference::new(&found, by, text);
                }
            }
        }
        // Answers come in any order; two scans of the same account must give the same result.
        all.sort_by(|a, b| {
            let place = |reference: &Reference| self.place_of(&reference.source);
            place(a)
                .cmp(&place(b))
                .then_with(|| (&a.region, &a.resource).cmp(&(&b.region, &b.resource)))
        });
        all.into_iter().partition(|reference| reference.by != By::Pattern)
    }

    /// Evidence from the last use of the role.
    fn role_evidence(&self, name: &str, role: &RoleUse) -> RoleEvidence {
        let scope = self.scope();
        let (started, wanted) = (scope.started, scope.role_unused_for);
        if !role.name.eq_ignore_ascii_case(name) {
            return RoleEvidence::Unknown(Obstacle::Role(
                "what is known of a role is not about its role",
            ));
        }
        let Some(last_used) = &role.last_used else {
            let Some(made) = made(&role.create_date) else {
                return RoleEvidence::Unknown(Obstacle::Role(
                    "nobody can read when its role was made",
                ));
            };
            if made > before(started, wanted) {
                return RoleEvidence::Unknown(Obstacle::RoleTooYoung(started.duration_since(made)));
            }
            if made >= before(started, LAST_USE_RETENTION) {
                return RoleEvidence::Unused("its role was never used".to_owned());
            }
            if wanted > LAST_USE_RETENTION {
                return RoleEvidence::Unknown(Obstacle::Forgotten);
            }
            return RoleEvidence::Unused("its role was not used for 400 days".to_owned());
        };
        let Ok(used) = last_used.parse::<Timestamp>() else {
            return RoleEvidence::Unknown(Obstacle::Role(
                "nobody can read when its role was last used",
            ));
        };
        if used >= before(started, wanted) {
            return RoleEvidence::Used(Reference {
                source: ROLES.into(),
                region: role.region.as_deref().unwrap_or_default().into(),
                resource: role.name.as_str().into(),
                state: "".into(),
                by: By::Role,
                text: last_used.as_str().into(),
            });
        }
        let role_idle = reasons::length(started.duration_since(used));
        RoleEvidence::Unused(format!("its role was not used for {role_idle}"))
    }
}

/// Parses a creation date. AWS's SDK returns the beginning of 1970 if an answer has none.
fn made(date: &str) -> Option<Timestamp> {
    date.parse().ok().filter(|made| *made > Timestamp::UNIX_EPOCH)
}

/// Point in time before another; saturates at the minimum.
fn before(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_sub(by).unwrap_or(Timestamp::MIN)
}
