//! What follows from a scan for one profile: whether it is used, and the evidence.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::findings::{Gap, Scan, Why};
use super::matching::By;
use crate::error::Result;

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
    Unreadable(Why),
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
    /// Nothing that refers to it was found, but not everything was checked.
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
    /// The source's name, such as `ec2.instances`; `iam.roles` for the role's use.
    pub source: Arc<str>,
    /// The region.
    pub region: Arc<str>,
    /// What the resource is called.
    pub resource: Box<str>,
    /// Its state; empty where the source has none.
    pub state: Arc<str>,
    /// By what it means the profile.
    pub by: By,
    /// The text that does.
    pub text: Box<str>,
}

impl Reference {
    /// The prefix of the service's actions, such as `ec2`.
    #[must_use]
    pub fn service(&self) -> &str {
        todo!()
    }

    /// What the resource is, such as `instance`.
    #[must_use]
    pub fn kind(&self) -> &str {
        todo!()
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
    /// What refers to it.
    pub references: Vec<Reference>,
    /// What may refer to it: a text with placeholders that can mean it.
    pub doubts: Vec<Reference>,
    /// What the scan has not checked; the same for all verdicts of a scan.
    pub gaps: Arc<[Gap]>,
    /// That the role could not be asked.
    pub role_gap: Option<Gap>,
    /// What `GetRole` said, if it was asked.
    pub role: Option<RoleUse>,
    /// When the scan began.
    pub at: Timestamp,
}

impl fmt::Display for Verdict {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl Scan {
    /// Whether a profile is used, or that its role must be asked to say so.
    ///
    /// # Errors
    /// If the profile is one of another account.
    pub fn judge(&self, _subject: &Subject, _role: &RoleKnown) -> Result<Judgement> {
        todo!()
    }
}
