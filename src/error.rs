//! The error type of the crate. It is built where the cause is known, passed on unchanged through
//! all layers, and printed in one place ([`Error::describe`]). A Lua script sees the same fields as
//! a table. Nothing here prints or exits.

use std::error::Error as StdError;
use std::fmt;

use crate::escape;

/// Result with the crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Category of an error. It determines the heading, the exit code and the `kind` field in scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Error reply of AWS or of the local account; see [`Error::aws`].
    Aws,
    /// No answer: no route, refused, reset or timed out.
    Connection,
    /// No usable credentials or region.
    Credentials,
    /// Wrong argument of a function, in a script.
    Argument,
    /// Wrong command line.
    Usage,
    /// Wrong configuration file or environment variable.
    Configuration,
    /// Failure of the script itself: a syntax error, a Lua error, a raised value.
    Script,
    /// Operation that the sandbox does not allow.
    Permission,
    /// Refusal by a guard: a limit, an allow-list, a read-only mode.
    Refused,
    /// Change of a protected entity.
    Protected,
    /// Error reading or writing a file or stream.
    Io,
    /// Unusable state on disk: corrupt, read-only, of a newer version.
    State,
    /// Interruption by the user.
    Interrupted,
    /// Exceeded time limit of a run.
    Timeout,
    /// Internal error of the program.
    Bug,
}

impl Kind {
    /// Name in scripts, as `err.kind`.
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

    /// Kind with a [`name`](Self::name); `None` for an unknown one.
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
        // Completeness: the kinds are in the order of the enum, whose last one is `Bug`.
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

    /// Exit code of a command that ends with such an error.
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

/// Throttling codes of AWS.
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

/// Details of an error reply of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsDetail {
    /// Error code, such as `NoSuchEntity`.
    pub code: String,
    /// AWS action that was called, such as `GetInstanceProfile`.
    pub operation: String,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Request id, for AWS support.
    pub request_id: Option<String>,
    /// True if a retry may succeed.
    pub retryable: bool,
    /// True if the answer was truncated.
    pub is_cut_off: bool,
}

/// Error with its message, hints, details of AWS and cause.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// Category.
    pub kind: Kind,
    /// One sentence about what failed and where, without a full stop.
    pub message: String,
    /// Position in a script, such as `tag.lua:12`, if the message does not contain it.
    pub place: Option<Box<str>>,
    /// Next steps, one sentence each.
    pub hints: Vec<String>,
    /// Details of an error reply of AWS.
    pub aws: Option<Box<AwsDetail>>,
    /// Lua traceback, if a script was running.
    pub traceback: Option<Box<str>>,
    /// Underlying cause, if another library reported one.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Error with a kind and a message.
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

    /// Error of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Error of an argument of a Lua function.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Kind::Argument, message)
    }

    /// Error of a file: `what` describes the operation, with the path.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(Kind::Io, format!("{what}: {source}")).caused_by(source)
    }

    /// Adds a next step, as one sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the underlying cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Copy of the error for another waiter; the cause is not copied.
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

    /// True if AWS refused the call by throttling, so that it certainly had no effect.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        let status = self.aws.as_ref().and_then(|aws| aws.status);
        THROTTLING.contains(&self.code()) || status == Some(429)
    }

    /// True if a retry may succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.aws.as_ref().is_some_and(|aws| aws.retryable)
    }

    /// AWS error code; `""` if there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.aws.as_ref().map_or("", |aws| aws.code.as_str())
    }

    /// Formats the error for people: what failed, where, why, and what to do next.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("error: {self}\n");
        let shown = |place: &str| self.to_string().contains(place);
        // One frame is worth a line where the message does not begin with its place.
        let says_more = |trace: &&str| {
            let mut lines = trace.lines();
            let place = lines.next().and_then(|line| line.trim().split(": ").next());
            lines.next().is_some() || place.is_some_and(|place| !shown(place))
        };
        if let Some(traceback) = self.traceback.as_deref().filter(says_more)
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
        // Names and messages of AWS, files and scripts must not control the terminal.
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
