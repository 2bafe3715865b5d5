//! What follows from a scan for one profile: whether it is used, and the evidence.
//!
//! What refers to the profile makes it used, whatever else was not checked. Unused is only what nothing refers to in a scan without a gap, with a role
//! that is known to have rested for long enough. Everything else is unknown: so is every doubt, and everything that cannot be read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::findings::{Found, Gap, GapCause, Scan, kind_of, service_of};
use super::matching::By;
use super::reasons;
use crate::error::{Error, Result};

/// The source of what `GetRole` says.
pub(super) const ROLES: &str = "iam.roles";

/// So long AWS remembers when a role was used: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html>.
pub(super) const MEMORY: Duration = Duration::from_hours(400 * 24);

/// Clocks differ: a profile that was made so shortly before the scan may have been made after it.
const SHORTLY: Duration = Duration::from_mins(1);

/// The profile that is asked about, as IAM has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its unique id, `AIPA…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made: ISO 8601.
    pub create_date: String,
    /// The names of the roles in it: one at most, until AWS changes that.
    pub roles: Vec<String>,
}

/// What is known of the role in the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleKnown {
    /// Nobody has asked yet.
    NotAsked,
    /// What `GetRole` says.
    Read(RoleUse),
    /// `GetRole` gave no answer.
    Unreadable(GapCause),
}

/// When a role was last used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleUse {
    /// Its name.
    pub name: String,
    /// When it was made: ISO 8601.
    pub create_date: String,
    /// When it was last used: ISO 8601; `None` if it was not, in the 400 days that AWS remembers.
    pub last_used: Option<String>,
    /// In which region that was.
    pub region: Option<String>,
}

/// A verdict, or what is missing for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The verdict.
    Given(Box<Verdict>),
    /// The role of that name must be asked first; nothing else says that the profile is used.
    AskRole(String),
}

/// Whether a profile is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// Something refers to it.
    Used,
    /// Everything was checked, and nothing refers to it.
    Unused,
    /// Nothing that refers to it was found, but nobody can say that there is nothing.
    Unknown,
}

impl Ruling {
    /// Its name in scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Unknown => "unknown",
        }
    }
}

/// A resource that refers to the profile, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The source's name, such as `ec2.instances`; `iam.roles` for the use of the profile's role.
    pub source: Arc<str>,
    /// The region; may be empty for a role.
    pub region: Arc<str>,
    /// What the resource is called.
    pub resource: Box<str>,
    /// Its state; empty where the source has none.
    pub state: Arc<str>,
    /// By what it means the profile.
    pub by: By,
    /// The text that does; of a role, when it was used.
    pub text: Box<str>,
}

impl Reference {
    fn new(found: &Found<'_>, by: By, text: &str) -> Self {
        Self {
            source: Arc::clone(found.source),
            region: Arc::clone(found.region),
            resource: found.resource.into(),
            state: Arc::clone(found.state),
            by,
            text: text.into(),
        }
    }

    /// The prefix of the service's actions, such as `ec2`.
    #[must_use]
    pub fn service(&self) -> &str {
        service_of(&self.source)
    }

    /// What the resource is, such as `instance`.
    #[must_use]
    pub fn kind(&self) -> &str {
        if &*self.source == ROLES { "role" } else { kind_of(&self.source) }
    }
}

/// Whether a profile is used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub ruling: Ruling,
    /// One sentence that says why, without a final stop.
    pub reason: String,
    /// The profile's name.
    pub profile: String,
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// What refers to it, each resource once.
    pub references: Vec<Reference>,
    /// What may refer to it: a text that can mean it.
    pub doubts: Vec<Reference>,
    /// What the scan has not checked; the same for all verdicts of a scan.
    pub scan_gaps: Arc<[Gap]>,
    /// That the role could not be asked.
    pub role_gap: Option<Gap>,
    /// What `GetRole` said, if it was asked.
    pub role: Option<RoleUse>,
    /// When the scan began.
    pub at: Timestamp,
}

impl Verdict {
    /// Everything that was not checked.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.scan_gaps.iter().chain(&self.role_gap)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reasons::write_verdict(self, f)
    }
}

/// Why nobody can say that a profile is unused, besides gaps of the scan and doubts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Something about the profile itself cannot be true or cannot be read.
    Profile(&'static str),
    /// It was made after the scan began, or shortly before.
    TooNew,
    /// It holds so many roles.
    Roles(usize),
    /// The role could not be read.
    RoleUnreadable(GapCause),
    /// What is known of the role cannot be true or cannot be read.
    Role(&'static str),
    /// The role was never used, and is that old.
    RoleTooYoung(SignedDuration),
    /// The role was not used for as long as AWS remembers, which is shorter than what is asked.
    Forgotten,
}

/// What is known of the use of a profile's role.
enum Rest {
    /// It does not matter: the profile is used anyway.
    NotAsked,
    /// It was used lately.
    Used(Reference),
    /// It was not: as a part of a sentence.
    Unused(String),
    /// Nobody can say.
    Unknown(Obstacle),
}

impl Scan {
    /// Whether a profile is used, or that its role must be asked to say so.
    ///
    /// # Errors
    /// If the profile is one of another account.
    pub fn judge(&self, subject: &Subject, role: &RoleKnown) -> Result<Judgement> {
        let mut obstacles = self.obstacles(subject)?;
        let (mut references, doubts) = self.references_of(subject);
        let mut rested = String::new();
        let rest = match (&subject.roles[..], role) {
            ([], _) => Rest::Unused("it holds no role".to_owned()),
            ([name], RoleKnown::NotAsked) => {
                if references.is_empty() {
                    return Ok(Judgement::AskRole(name.clone()));
                }
                Rest::NotAsked
            }
            ([name], RoleKnown::Read(role)) => self.rest(name, role),
            ([_], RoleKnown::Unreadable(why)) => {
                Rest::Unknown(Obstacle::RoleUnreadable(why.clone()))
            }
            (roles, _) => Rest::Unknown(Obstacle::Roles(roles.len())),
        };
        match rest {
            Rest::NotAsked => {}
            Rest::Used(reference) => references.push(reference),
            Rest::Unused(how) => rested = how,
            Rest::Unknown(obstacle) => obstacles.push(obstacle),
        }
        let gaps = self.gaps();
        let (ruling, reason) = if !references.is_empty() {
            (Ruling::Used, reasons::used(&references, self.scope().started))
        } else if gaps.is_empty() && doubts.is_empty() && obstacles.is_empty() {
            (Ruling::Unused, reasons::unused(self, &rested))
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

    /// What about the profile itself stands against a verdict.
    fn obstacles(&self, subject: &Subject) -> Result<Vec<Obstacle>> {
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
            Some(made) if made < before(scope.started, SHORTLY) => {}
            Some(_) => obstacles.push(Obstacle::TooNew),
            None => obstacles.push(Obstacle::Profile("nobody can read when it was made")),
        }
        Ok(obstacles)
    }

    /// What refers to a profile, and what may.
    fn references_of(&self, subject: &Subject) -> (Vec<Reference>, Vec<Reference>) {
        let mut all: Vec<Reference> = Vec::new();
        let mut places = HashMap::new();
        for group in self.index().candidates(subject) {
            let (names, found) = self.group(group);
            let Some((by, text)) = self.index().means(names, subject) else { continue };
            for found in found {
                // A resource that names it twice, such as a fleet, refers to it once.
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
        // Answers come in any order; two scans of the same account must read the same.
        all.sort_by(|a, b| {
            let place = |reference: &Reference| self.place_of(&reference.source);
            place(a)
                .cmp(&place(b))
                .then_with(|| (&a.region, &a.resource).cmp(&(&b.region, &b.resource)))
        });
        all.into_iter().partition(|reference| reference.by != By::Pattern)
    }

    /// For how long the role has rested.
    fn rest(&self, name: &str, role: &RoleUse) -> Rest {
        let scope = self.scope();
        let (started, wanted) = (scope.started, scope.role_unused_for);
        if !role.name.eq_ignore_ascii_case(name) {
            return Rest::Unknown(Obstacle::Role("what is known of a role is not about its role"));
        }
        let Some(last_used) = &role.last_used else {
            let Some(made) = made(&role.create_date) else {
                return Rest::Unknown(Obstacle::Role("nobody can read when its role was made"));
            };
            if made > before(started, wanted) {
                return Rest::Unknown(Obstacle::RoleTooYoung(started.duration_since(made)));
            }
            if made >= before(started, MEMORY) {
                return Rest::Unused("its role was never used".to_owned());
            }
            if wanted > MEMORY {
                return Rest::Unknown(Obstacle::Forgotten);
            }
            return Rest::Unused("its role was not used for 400 days".to_owned());
        };
        let Ok(used) = last_used.parse::<Timestamp>() else {
            return Rest::Unknown(Obstacle::Role("nobody can read when its role was last used"));
        };
        if used >= before(started, wanted) {
            return Rest::Used(Reference {
                source: ROLES.into(),
                region: role.region.as_deref().unwrap_or_default().into(),
                resource: role.name.as_str().into(),
                state: "".into(),
                by: By::Role,
                text: last_used.as_str().into(),
            });
        }
        let rested = reasons::length(started.duration_since(used));
        Rest::Unused(format!("its role was not used for {rested}"))
    }
}

/// When something was made. AWS's SDK puts the beginning of 1970 where an answer does not say it.
fn made(date: &str) -> Option<Timestamp> {
    date.parse().ok().filter(|made| *made > Timestamp::UNIX_EPOCH)
}

/// So long before a moment; as early as can be if that is before all time.
fn before(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_sub(by).unwrap_or(Timestamp::MIN)
}
