//! The one error type. It is built where the cause is known, carried unchanged through every floor, and printed in one
//! place ([`Error::describe`]); a Lua script sees the same fields as a table. Nothing here prints or exits.

use std::error::Error as StdError;
use std::fmt;

use crate::escape;

/// A result with the crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarsely. It decides the heading, the exit code and the `kind` field that a script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// AWS (or the local account) answered with an error; see [`Error::aws`].
    Aws,
    /// No answer arrived: no route, refused, reset or timed out.
    Connection,
    /// No usable credentials or region were found.
    Credentials,
    /// A script called a function with a wrong argument.
    Argument,
    /// The command line is wrong.
    Usage,
    /// A configuration file or an environment variable is wrong.
    Configuration,
    /// The script failed by itself: a syntax error, a Lua error, a raised value.
    Script,
    /// The sandbox does not allow it.
    Permission,
    /// A guard refused it: a limit, an allow-list, a mode that does not write.
    Refused,
    /// What it would change is protected.
    Protected,
    /// A file or stream could not be read or written.
    Io,
    /// The state on disk cannot be used: corrupt, read-only, of a newer version.
    State,
    /// The user interrupted it.
    Interrupted,
    /// The run took longer than it was allowed to.
    Timeout,
    /// Something that cannot happen happened.
    Bug,
}

impl Kind {
    /// The name that a script sees in `err.kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Connection => "connection",
            Self::Credentials => "credentials",
            Self::Argument => "argument",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Script => "script",
            Self::Permission => "permission",
            Self::Refused => "refused",
            Self::Protected => "protected",
            Self::Io => "io",
            Self::State => "state",
            Self::Interrupted => "interrupted",
            Self::Timeout => "timeout",
            Self::Bug => "bug",
        }
    }

    /// The kind of that [`name`](Self::name); `None` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [Kind; 15] = [
            Kind::Aws,
            Kind::Connection,
            Kind::Credentials,
            Kind::Argument,
            Kind::Usage,
            Kind::Configuration,
            Kind::Script,
            Kind::Permission,
            Kind::Refused,
            Kind::Protected,
            Kind::Io,
            Kind::State,
            Kind::Interrupted,
            Kind::Timeout,
            Kind::Bug,
        ];
        // None is forgotten: they are all there, in the order of the enum, whose last one is `Bug`.
        const {
            assert!(ALL.len() == Kind::Bug as usize + 1);
            let mut at = 0;
            while at < ALL.len() {
                assert!(ALL[at] as usize == at);
                at += 1;
            }
        }
        ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The exit code of a command that ends with such an error.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Configuration => 2,
            Self::Refused | Self::Protected | Self::Permission => 4,
            Self::Bug => 70,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

/// The codes by which AWS refuses a call because there were too many.
pub(crate) const THROTTLING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "PriorRequestNotComplete",
    "SlowDown",
];

/// What AWS said, when it was AWS that said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsDetail {
    /// The error code, such as `NoSuchEntity`.
    pub code: String,
    /// The AWS action that was called, such as `GetInstanceProfile`.
    pub operation: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The request id to give to AWS support.
    pub request_id: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// An error: what failed, what to do about it, what AWS said, and what caused it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// What went wrong, coarsely.
    pub kind: Kind,
    /// One sentence that says what failed and where, without a final stop.
    pub message: String,
    /// Where in a script it happened, such as `tag.lua:12`, if the message does not say so itself.
    pub place: Option<Box<str>>,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
    /// What AWS said, if it was AWS.
    pub aws: Option<Box<AwsDetail>>,
    /// The Lua traceback, if a script was running.
    pub traceback: Option<Box<str>>,
    /// The cause underneath, if another library reported one.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of that kind with that message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            place: None,
            hints: Vec::new(),
            aws: None,
            traceback: None,
            source: None,
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A wrong argument of a Lua function.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Kind::Argument, message)
    }

    /// A file that could not be read or written: `what` says what was tried, with the path.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(Kind::Io, format!("{what}: {source}")).caused_by(source)
    }

    /// Adds a sentence that says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the cause underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error for another who waited for it; what caused it stays with this one.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            place: self.place.clone(),
            hints: self.hints.clone(),
            aws: self.aws.clone(),
            traceback: self.traceback.clone(),
            source: None,
        }
    }

    /// Whether AWS refused the call because there were too many, so that it has certainly done nothing.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        let status = self.aws.as_ref().and_then(|aws| aws.status);
        THROTTLING.contains(&self.code()) || status == Some(429)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.aws.as_ref().is_some_and(|aws| aws.retryable)
    }

    /// The AWS error code, or `""` if AWS said nothing.
    #[must_use]
    pub fn code(&self) -> &str {
        self.aws.as_ref().map_or("", |aws| aws.code.as_str())
    }

    /// An error for people: what failed, where, why, and what to do next.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("error: {self}\n");
        if let Some(traceback) = self.traceback.as_deref().filter(|trace| trace.lines().count() > 1)
            && matches!(
                self.kind,
                Kind::Script | Kind::Aws | Kind::Argument | Kind::Connection | Kind::Bug
            )
        {
            text.push_str(traceback);
            text.push('\n');
        }
        for hint in &self.hints {
            if let Some(block) = hint.strip_prefix('\n') {
                text.push_str(block);
            } else {
                text.push_str("hint: ");
                text.push_str(hint);
            }
            text.push('\n');
        }
        if self.kind == Kind::Bug {
            text.push_str("hint: this is a bug in iamlua; please report it with what you ran\n");
        }
        // Names and texts of AWS, files and scripts must not act on the terminal.
        escape::visible_but(text.as_bytes(), |c| matches!(c, '\n' | '\t'))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match &self.aws {
            Some(aws) if !aws.code.is_empty() => {
                write!(f, "{}: {} ({}", aws.code, self.message, aws.operation)?;
                if let Some(id) = &aws.request_id {
                    write!(f, ", request {id}")?;
                }
                f.write_str(")")
            }
            _ => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
