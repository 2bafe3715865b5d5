//! `iamlua.toml`, the operator's defaults: its location, keys and checks, and the merge of the
//! user's file with the project's. Flags, which this module does not know, take precedence over the
//! file. It makes no decision about a run. No file can allow writing to AWS.

mod redirection;

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::signature::TrustedKey;
use crate::spec::{check_role_arn, nearest, parse_duration};

pub use redirection::Redirection;

/// Name of the file.
pub(crate) const FILE_NAME: &str = "iamlua.toml";

/// Account that calls go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Local account.
    Local,
    /// AWS, or the endpoint URL.
    Aws,
}

/// `mode`: default treatment of changes by a run. No value allows writing to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultMode {
    /// Changes are planned and not made.
    Plan,
    /// Changes are refused.
    ReadOnly,
}

/// `max_changes`: limit on the changes of a run, as text `500` or `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxChanges {
    /// Number of changes.
    Count(u64),
    /// Share of the existing entities, 0 to 100.
    Percent(f64),
}

const MAX_CHANGES: &str = "a whole number such as 500, or a share from \"0%\" to \"100%\"";

impl FromStr for MaxChanges {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let limit = match text.strip_suffix('%') {
            Some(share) => share.parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        // Rust's number format also allows signs, exponents and infinity.
        let plain = text.chars().all(|c| c.is_ascii_digit() || ".%".contains(c));
        match limit {
            Some(Self::Percent(share)) if share > 100.0 => None,
            limit => limit.filter(|_| plain),
        }
        .ok_or_else(|| format!("must be {MAX_CHANGES}, got {text:?}"))
    }
}

impl fmt::Display for MaxChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// Defaults of the operator. `None` or an empty list is a key that no file has.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Account to work on.
    pub target: Option<Target>,
    /// Profile in `~/.aws/config`.
    pub profile: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// ARN of the role to assume.
    pub role_arn: Option<String>,
    /// `http://` or `https://` endpoint for calls, instead of AWS.
    pub endpoint_url: Option<String>,
    /// AWS accounts that runs may access (key `account`), 12 digits each.
    pub accounts: Vec<String>,
    /// Treatment of changes by a run.
    pub mode: Option<DefaultMode>,
    /// Limits on the changes of a run; all of them apply.
    pub max_changes: Vec<MaxChanges>,
    /// Time limit of a run.
    pub timeout: Option<Duration>,
    /// Names that no run may change, as patterns with `*` and `?`, from all files.
    pub protect: Vec<String>,
    /// Public keys of minisign, each as its 56 characters or the path of its file. A plan is
    /// applied only if one of them has signed it.
    pub require_signature: Vec<String>,
    /// Files that were read, the user's before the project's.
    pub files: Vec<PathBuf>,
    /// Settings of the project's file that redirect calls, compared with the user's own.
    pub redirection: Option<Redirection>,
}

impl Config {
    /// Files that were read, as text.
    #[must_use]
    pub fn shown_files(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        files.join(" and ")
    }

    /// Reads the user's file (`$XDG_CONFIG_HOME/iamlua/iamlua.toml`, else
    /// `$HOME/.config/iamlua/iamlua.toml`) and the project's (`iamlua.toml` in the current folder,
    /// else in the nearest folder above it), if they exist. The project's values override the
    /// user's, key by key; its guards can only tighten those of the user. With `explicit` only that
    /// file is read. With an empty path the two files are read, but only their guards apply:
    /// `account`, `mode`, `max_changes` and `protect`.
    ///
    /// # Errors
    /// A usage error that names file, line and key: a file that cannot be read or is not TOML, an
    /// unknown key (with the most similar known key), a wrong type or value. The explicit file must
    /// exist.
    pub fn load(explicit: Option<&Path>) -> Result<Self> {
        let mut config = Self::default();
        match explicit {
            Some(path) if !path.as_os_str().is_empty() => config.read(path).map(|()| config),
            _ => {
                let current = std::env::current_dir().map_err(|error| {
                    Error::io(format!("cannot look for {FILE_NAME} from the current folder"), error)
                        .hint("go to another folder, or name another file with --config")
                })?;
                let user = user_folder(|name| std::env::var_os(name));
                let found = Self::find(&current, user.as_deref())?;
                Ok(if explicit.is_some() { found.guards() } else { found })
            }
        }
    }

    /// Guards of a run, without the defaults.
    fn guards(self) -> Self {
        let Self { accounts, mode, max_changes, protect, files, .. } = self;
        Self { accounts, mode, max_changes, protect, files, ..Self::default() }
    }

    /// [`load`](Self::load) without an explicit file, from these two folders.
    fn find(current: &Path, user: Option<&Path>) -> Result<Self> {
        let there = |folder: &Path| Some(folder.join(FILE_NAME)).filter(|path| is_there(path));
        let mut config = Self::default();
        let project = current.ancestors().find_map(there);
        if let Some(path) = &project {
            check_owner(path)?;
        }
        let user = user.and_then(there);
        if let Some(path) = &user {
            config.read(path)?;
        }
        // Below the user's own folder both searches find the same file.
        match project.filter(|path| user.as_ref() != Some(path)) {
            Some(path) => config.tightened(&path),
            None => Ok(config),
        }
    }

    /// Adds the guards of a project's file, which may have another author. The existing guards
    /// still apply.
    fn tightened(self, path: &Path) -> Result<Self> {
        self.tightened_by(path, &read(path)?)
    }

    /// Adds the guards of a project's file, given its bytes.
    pub(crate) fn tightened_by(self, path: &Path, bytes: &[u8]) -> Result<Self> {
        let user = self.clone();
        let mut config = Self {
            accounts: Vec::new(),
            mode: None,
            timeout: None,
            require_signature: Vec::new(),
            ..self
        };
        config.take(path, bytes)?;
        config.mode = match (user.mode, config.mode) {
            (Some(DefaultMode::ReadOnly), _) | (_, Some(DefaultMode::ReadOnly)) => {
                Some(DefaultMode::ReadOnly)
            }
            (user, project) => project.or(user),
        };
        config.timeout = match (user.timeout, config.timeout) {
            (Some(user), Some(project)) => Some(user.min(project)),
            (user, project) => project.or(user),
        };
        if config.accounts.is_empty() {
            config.accounts = user.accounts;
        } else if !user.accounts.is_empty() {
            let wanted = std::mem::take(&mut config.accounts);
            config.accounts =
                wanted.iter().filter(|id| user.accounts.contains(id)).cloned().collect();
            if config.accounts.is_empty() {
                return Err(Error::usage(format!(
                    "{}: account is {}, and your own configuration allows only {}",
                    path.display(),
                    wanted.join(", "),
                    user.accounts.join(", ")
                ))
                .hint("name another file with --config, or change one of the two"));
            }
        }
        if !user.require_signature.is_empty() {
            config.require_signature = user.require_signature;
        }
        let mut redirection = config.redirection_of(path);
        let own = [
            ("profile", &user.profile),
            ("role_arn", &user.role_arn),
            ("endpoint_url", &user.endpoint_url),
        ];
        redirection.settings.retain(|key, value| {
            !own.iter().any(|own| own.0 == key && own.1.as_ref() == Some(value))
        });
        config.redirection = Some(redirection).filter(|found| !found.settings.is_empty());
        Ok(config)
    }

    /// Settings of one file that affect the endpoint or the identity of calls.
    #[must_use]
    pub fn redirection_of(&self, file: &Path) -> Redirection {
        let settings = [
            ("profile", &self.profile),
            ("role_arn", &self.role_arn),
            ("endpoint_url", &self.endpoint_url),
        ];
        let set =
            settings.into_iter().filter_map(|(key, value)| Some((key.into(), value.clone()?)));
        Redirection { file: file.to_owned(), settings: set.collect() }
    }

    /// Reads a file, whose values override the existing ones.
    fn read(&mut self, path: &Path) -> Result<()> {
        self.take(path, &read(path)?)
    }

    /// Reads the bytes of a file, whose values override the existing ones.
    pub(crate) fn take(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let keys = std::mem::take(&mut self.require_signature);
        let parsed = self.parse(bytes);
        for key in self.require_signature.iter_mut().filter(|key| !TrustedKey::is_key(key)) {
            // Paths are relative to the folder of the file.
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            *key = folder.join(&*key).to_string_lossy().into_owned();
        }
        if self.require_signature.is_empty() {
            self.require_signature = keys;
        }
        parsed.map_err(|wrong| {
            let line = bytes[..wrong.at.min(bytes.len())].split(|byte| *byte == b'\n').count();
            let mut error = Error::usage(format!("{}:{line}: {}", path.display(), wrong.why));
            error.hints.extend(wrong.hint);
            error
        })?;
        self.files.push(path.to_owned());
        Ok(())
    }

    fn parse(&mut self, bytes: &[u8]) -> Checked<()> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Invalid::new(error.valid_up_to(), "this is not UTF-8 text"))?;
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Invalid::new(at, format!("this is not TOML: {}", error.message()))
                .hint("a line is KEY = VALUE, with text in quotes: region = \"eu-west-1\"")
        })?;
        let table = table.as_ref();
        let local = table.get("target").is_some_and(|item| item.as_ref().as_str() == Some("local"));
        if local {
            // These settings say how to reach AWS, and the target of this file is the local
            // account.
            (self.profile, self.region, self.role_arn, self.endpoint_url) = Default::default();
        }
        let mut items: Vec<_> = table.iter().collect();
        items.sort_by_key(|(key, _)| key.span().start);
        for (key, item) in items {
            let (at, key) = (key.span().start, &**key.as_ref());
            if !KEYS.contains(&key) {
                let near = nearest(key, KEYS).map(|near| format!("; did you mean {near:?}?"));
                let why = format!("there is no key {key:?}{}", near.unwrap_or_default());
                let hint = format!("the keys, none of them in a table, are {}", KEYS.join(", "));
                return Err(Invalid::new(at, why).hint(hint));
            }
            if local && ["profile", "role_arn", "endpoint_url"].contains(&key) {
                let why = format!("{key} is for AWS, but target is \"local\" in this file");
                let hint = "take one of the two out, or write target = \"aws\"";
                return Err(Invalid::new(at, why).hint(hint));
            }
            self.set(key, item)
                .map_err(|wrong| Invalid { why: format!("{key} {}", wrong.why), ..wrong })?;
        }
        Ok(())
    }

    /// Validates and stores the value of one of [`KEYS`]. The error message does not contain the
    /// key.
    fn set(&mut self, key: &str, item: &Item<'_>) -> Checked<()> {
        let string = item.as_ref().as_str();
        let text = |what: &str, beginnings: &[&str]| match string {
            Some(text) if beginnings.iter().any(|begin| text.starts_with(begin)) => {
                Ok(Some(text.to_owned()))
            }
            _ => Err(must_be(item, what)),
        };
        match (key, string) {
            ("target", Some("local")) => self.target = Some(Target::Local),
            ("target", Some("aws")) => self.target = Some(Target::Aws),
            ("target", _) => return Err(must_be(item, "\"local\" or \"aws\"")),
            ("profile" | "region", Some("")) => return Err(must_be(item, "a name")),
            ("profile", _) => self.profile = text("a name in quotes", &[""])?,
            ("region", _) => self.region = text("a name in quotes", &[""])?,
            ("role_arn", _) => {
                let arn = text("the ARN of a role in quotes", &[""])?;
                if let Some(Err(why)) = arn.as_deref().map(check_role_arn) {
                    return Err(Invalid::new(item.span().start, why));
                }
                self.role_arn = arn;
            }
            ("endpoint_url", _) => {
                let what = "an address that begins with \"http://\" or \"https://\"";
                self.endpoint_url = text(what, &["http://", "https://"])?;
            }
            // An empty list looks like "no account", but would allow all.
            ("account", _) if item.as_ref().as_array().is_some_and(|items| items.is_empty()) => {
                return Err(must_be(item, "at least one account"));
            }
            ("account", _) => {
                let items = item.as_ref().as_array().map_or(std::slice::from_ref(item), |all| all);
                let right = |id: &str| id.len() == 12 && id.bytes().all(|c| c.is_ascii_digit());
                self.accounts = all(items, "12 digits in quotes, such as \"123456789012\"", right)?;
            }
            ("mode", Some("plan")) => self.mode = Some(DefaultMode::Plan),
            ("mode", Some("read-only")) => self.mode = Some(DefaultMode::ReadOnly),
            ("mode", Some("apply")) => {
                return Err(must_be(item, "\"plan\" or \"read-only\"")
                    .hint("writing to AWS takes the flag --apply, at every run"));
            }
            ("mode", _) => return Err(must_be(item, "\"plan\" or \"read-only\"")),
            ("max_changes", _) => {
                let limit = match item.as_ref() {
                    DeValue::Integer(n) => {
                        u64::from_str_radix(n.as_str(), n.radix()).ok().map(MaxChanges::Count)
                    }
                    _ => string.and_then(|text| text.parse().ok()),
                };
                self.max_changes.push(limit.ok_or_else(|| must_be(item, MAX_CHANGES))?);
            }
            ("timeout", Some(text)) => {
                let seconds =
                    parse_duration(text).map_err(|why| Invalid::new(item.span().start, why))?;
                let timeout = Duration::try_from_secs_f64(seconds);
                self.timeout = Some(timeout.map_err(|_| must_be(item, "a shorter time"))?);
            }
            ("timeout", None) => return Err(must_be(item, "a duration such as \"30m\" in quotes")),
            ("protect", _) => {
                let items = item.as_ref().as_array();
                let items = items.ok_or_else(|| must_be(item, "an array, such as [\"prod-*\"]"))?;
                let what =
                    "names of letters, digits and _+=,.@- in quotes, or patterns with * and ?";
                let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-*?".contains(c);
                let mut new = all(items, what, |name| name.chars().all(allowed))?;
                new.retain(|name| !self.protect.contains(name));
                self.protect.append(&mut new);
            }
            ("require_signature", _) => {
                let items = item.as_ref().as_array().map_or(std::slice::from_ref(item), |all| all);
                // An empty list looks like "no signer", but would allow all.
                if items.is_empty() {
                    return Err(must_be(item, "at least one key"));
                }
                let what = "public keys of minisign, or their files, in quotes";
                self.require_signature = all(items, what, |_| true)?;
            }
            _ => unreachable!("`parse` lets only KEYS in, and a test tries each"),
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::usage(format!("cannot read the configuration {}: {error}", path.display()))
            .hint("it must be a TOML file that you can read; --config FILE reads another")
            .caused_by(error)
    })
}

const KEYS: [&str; 11] = [
    "target",
    "profile",
    "region",
    "role_arn",
    "endpoint_url",
    "account",
    "mode",
    "max_changes",
    "timeout",
    "protect",
    "require_signature",
];

/// Error at a byte of a file.
struct Invalid {
    at: usize,
    why: String,
    hint: Option<String>,
}

impl Invalid {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Self { at, why: why.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

type Checked<T> = std::result::Result<T, Invalid>;
type Item<'text> = Spanned<DeValue<'text>>;

fn must_be(item: &Item<'_>, what: &str) -> Invalid {
    let got = match item.as_ref() {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Array(items) if items.is_empty() => "none".into(),
        other => format!("a value of type {}", other.type_str()),
    };
    Invalid::new(item.span().start, format!("must be {what}, got {got}"))
}

/// Strings of an array. Each must be non-empty and valid.
fn all(items: &[Item<'_>], what: &str, right: impl Fn(&str) -> bool) -> Checked<Vec<String>> {
    let checked = |item: &Item<'_>| match item.as_ref().as_str() {
        Some(text) if !text.is_empty() && right(text) => Ok(text.to_owned()),
        _ => Err(must_be(item, what)),
    };
    items.iter().map(checked).collect()
}

fn user_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification declares relative paths invalid.
    let base = folder("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
    let config = base.or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("iamlua"))
}

/// Refuses a file that belongs to another user. A file in a folder that others can write to could
/// redirect calls.
fn check_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let ours = rustix::process::geteuid().as_raw();
    match path.metadata() {
        Ok(about) if about.uid() != ours && about.uid() != 0 => Err(Error::usage(format!(
            "the configuration {} belongs to somebody else (user {})",
            path.display(),
            about.uid()
        ))
        .hint("name it with --config if you trust it, or another file if you do not")),
        // An inaccessible file fails when it is read.
        _ => Ok(()),
    }
}

/// Check for an existing file. An inaccessible one counts as existing, because it may protect
/// names.
fn is_there(path: &Path) -> bool {
    let absent = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
    path.symlink_metadata().map_or_else(|error| !absent(error.kind()), |_| true)
}

#[cfg(test)]
mod tests {
    use super::{
        Config, DefaultMode, Duration, FILE_NAME, KEYS, MaxChanges, PathBuf, Target, user_folder,
    };
    use crate::error::Kind;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    /// Folder of a user and a nested folder of a project, with these files unless they are empty.
    fn files(user: &str, project: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let (config, work) = (home.path().join("config"), home.path().join("project/deep/down"));
        std::fs::create_dir_all(&work).unwrap();
        std::fs::create_dir(&config).unwrap();
        for (folder, text) in [(&*config, user), (work.ancestors().nth(2).unwrap(), project)] {
            if !text.is_empty() {
                std::fs::write(folder.join(FILE_NAME), text).unwrap();
            }
        }
        (home, config, work)
    }

    fn merged(user: &str, project: &str) -> Config {
        let (_home, config, work) = files(user, project);
        Config::find(&work, Some(&config)).unwrap()
    }

    /// Line, message and hints of the error about a file.
    fn refused(text: impl AsRef<[u8]>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let error = Config::load(Some(file.path())).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        let message = error.message.strip_prefix(&format!("{}:", file.path().display())).unwrap();
        format!("{message} | {}", error.hints.join("; "))
    }

    #[test]
    fn the_project_wins_key_by_key_and_its_guards_add_up() {
        let user = "profile = 'mine'\nregion = 'us-east-1'\naccount = ['222222222222', '111111111111']\nmode = 'plan'
            max_changes = '5%'\ntimeout = '2h'\nprotect = ['a', 'b']";
        let project =
            "target = 'aws'\nregion = 'eu-west-1'\nrole_arn = 'arn:aws:iam::111111111111:role/r'
            endpoint_url = 'https://x'\naccount = ['222222222222', '000000000001']
            mode = 'read-only'\nmax_changes = 1_000\ntimeout = '1h30m'\nprotect = ['b', 'prod-*']";
        let user = &format!("{user}\nrequire_signature = 'mine.pub'");
        let config = merged(user, project);
        assert!(config.require_signature[0].ends_with("/config/mine.pub"), "from its own folder");
        let project = &format!("{project}\nrequire_signature = ['keys/ours.pub', '{KEY}']");
        let (_home, folder, work) = files(user, project);
        let config = Config::find(&work, Some(&folder)).unwrap();
        assert_eq!(config.target, Some(Target::Aws));
        assert_eq!(config.profile.as_deref(), Some("mine"));
        assert_eq!(config.region.as_deref(), Some("eu-west-1"));
        assert_eq!(config.role_arn.as_deref(), Some("arn:aws:iam::111111111111:role/r"));
        assert_eq!(config.endpoint_url.as_deref(), Some("https://x"));
        assert_eq!(config.accounts, ["222222222222"]);
        assert_eq!(config.mode, Some(DefaultMode::ReadOnly));
        assert_eq!(config.max_changes, [MaxChanges::Percent(5.0), MaxChanges::Count(1000)]);
        assert_eq!(config.timeout, Some(Duration::from_mins(90)));
        assert_eq!(config.protect, ["a", "b", "prod-*"]);
        assert!(config.require_signature[0].ends_with("/config/mine.pub"), "the user's own hold");
        let (_home, folder, work) = files("", project);
        let alone = Config::find(&work, Some(&folder)).unwrap();
        let project_key = work.ancestors().nth(2).unwrap().join("keys/ours.pub");
        let project_key = project_key.display().to_string();
        assert_eq!(alone.require_signature, [project_key.as_str(), KEY]);
        assert!(config.files[0].ends_with("config/iamlua.toml"), "{:?}", config.files);
        assert!(config.files[1].ends_with("project/iamlua.toml"), "{:?}", config.files);
    }

    #[test]
    fn a_project_cannot_loosen_what_the_user_says() {
        for (user, project, mode) in [
            ("mode = 'read-only'", "mode = 'plan'", DefaultMode::ReadOnly),
            ("mode = 'read-only'", "", DefaultMode::ReadOnly),
            ("mode = 'plan'", "mode = 'read-only'", DefaultMode::ReadOnly),
            ("mode = 'plan'", "region = 'x'", DefaultMode::Plan),
        ] {
            assert_eq!(merged(user, project).mode, Some(mode), "{user} and {project}");
        }
        assert_eq!(
            merged("timeout = '1m'", "timeout = '1h'").timeout,
            Some(Duration::from_mins(1))
        );
        let user = "account = '111111111111'";
        assert_eq!(merged(user, "region = 'x'").accounts, ["111111111111"]);
        let (_home, config, work) = files(user, "account = '222222222222'");
        let error = Config::find(&work, Some(&config)).unwrap_err();
        assert!(
            error.message.contains("your own configuration allows only 111111111111"),
            "{error}"
        );
    }

    #[test]
    fn a_local_project_drops_how_the_user_reaches_aws() {
        let user = "profile = 'p'\nregion = 'r'\nrole_arn = 'arn:aws:iam::111111111111:role/x'\nendpoint_url = 'http://x'
            max_changes = '5%'";
        let config = merged(user, "target = 'local'");
        assert_eq!((config.profile, config.region), (None, None));
        assert_eq!((config.role_arn, config.endpoint_url), (None, None));
        assert_eq!(config.target, Some(Target::Local));
        assert_eq!(config.max_changes, [MaxChanges::Percent(5.0)]);
        let config = merged(user, "region = 'mine'\ntarget = 'local'");
        assert_eq!(config.region.as_deref(), Some("mine"), "the project's own stays");
    }

    #[test]
    fn files_need_not_be_there_but_what_is_there_must_be_readable() {
        let (home, config, work) = files("region = 'r'", "");
        assert!(Config::find(&work, None).unwrap().files.is_empty());
        assert!(Config::find(&work, Some(&work)).unwrap().files.is_empty());
        assert_eq!(Config::find(&config, Some(&config)).unwrap().files.len(), 1, "not twice");
        for folder in [work.parent().unwrap(), work.ancestors().nth(2).unwrap()] {
            std::fs::write(folder.join(FILE_NAME), "").unwrap();
        }
        let nearest = work.parent().unwrap().join(FILE_NAME);
        assert_eq!(Config::find(&work, None).unwrap().files, [nearest]);
        let all = "region = 'r'\ntarget = 'aws'\nprofile = 'p'\ntimeout = '1m'\nprotect = ['a']
            mode = 'plan'\nmax_changes = 5\naccount = '111111111111'";
        let guards = merged(all, "").guards();
        assert_eq!((guards.region, guards.target, guards.profile), (None, None, None));
        assert_eq!((guards.timeout, guards.protect), (None, vec!["a".to_owned()]));
        assert_eq!(guards.mode, Some(DefaultMode::Plan));
        assert_eq!(guards.max_changes, [MaxChanges::Count(5)]);
        assert_eq!(guards.accounts, ["111111111111"]);
        let error = Config::load(Some(&home.path().join("none.toml"))).unwrap_err();
        assert!(error.message.contains("none.toml: No such file"), "{error}");
        std::fs::create_dir(work.join(FILE_NAME)).unwrap();
        let error = Config::find(&work, Some(&config)).unwrap_err();
        assert!(error.kind == Kind::Usage && error.message.contains("Is a directory"), "{error}");
    }

    #[test]
    fn the_user_s_folder_is_that_of_the_environment() {
        let folder = |xdg: &'static str, home: &'static str| {
            user_folder(|name| Some(if name == "HOME" { home } else { xdg }.into()))
        };
        assert_eq!(folder("/x", "/h"), Some("/x/iamlua".into()));
        assert_eq!(folder("", "/h"), Some("/h/.config/iamlua".into()));
        assert_eq!(folder("relative", "/h"), Some("/h/.config/iamlua".into()));
        assert_eq!(folder("", ""), None);
        assert_eq!(user_folder(|_| None), None);
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_what_it_must_be() {
        // Contents of the file, with `;` for a new line, and the beginning of the error.
        let mistakes = r#"
            ;regoin = 'x' => 2: there is no key "regoin"; did you mean "region"? | the keys, none
            [aws];region = 'x' => 1: there is no key "aws" | the keys, none of them in a table, are
            region = eu => 1: this is not TOML:
            region = 'x';region = 'y' => 2: this is not TOML: duplicate key | a line is KEY = VALUE
            target = 'gcp' => 1: target must be "local" or "aws", got "gcp"
            profile = 5 => 1: profile must be a name in quotes, got 5
            region = '' => 1: region must be a name, got ""
            role_arn = 'ops' => 1: role_arn must be the ARN of a role, such as "arn:aws:iam::1234567890
            role_arn = 'arn:aws:iam::1:role/r' => 1: role_arn must be the ARN of a role, such as
            role_arn = 7 => 1: role_arn must be the ARN of a role in quotes, got 7
            endpoint_url = 'x.com' => 1: endpoint_url must be an address that begins with "http://"
            profile = 'p';target = 'local' => 1: profile is for AWS, but target is "local" in
            account = 123456789012 => 1: account must be 12 digits in quotes, such as "123456789012",
            account = [;'123456789012',;'1'] => 3: account must be 12 digits
            account = [] => 1: account must be at least one account, got none
            mode = 'write' => 1: mode must be "plan" or "read-only", got "write" |
            mode = 'apply' => 1: mode must be "plan" or "read-only", got "apply" | writing to AWS
            max_changes = -1 => 1: max_changes must be a whole number such as 500, or a share from
            max_changes = '101%' => 1: max_changes must be a whole number
            timeout = 30 => 1: timeout must be a duration such as "30m" in quotes, got 30
            timeout = 'soon' => 1: timeout must be a duration such as
            timeout = '99999999999999999999s' => 1: timeout must be a shorter time
            protect = 'prod-*' => 1: protect must be an array, such as ["prod-*"], got "prod-*"
            protect = ['a',;'/b'] => 2: protect must be names of letters, digits and _+=,.@- in
            protect = [''] => 1: protect must be names
            require_signature = [] => 1: require_signature must be at least one key, got none
            require_signature = [''] => 1: require_signature must be public keys of minisign"#;
        for line in mistakes.trim().lines() {
            let (text, expected) = line.trim_start().split_once(" => ").unwrap();
            let message = refused(text.replace(';', "\n"));
            assert!(message.starts_with(expected), "{text}\n got {message}\nwant {expected}");
        }
        assert!(refused(b"\n\n\xff").starts_with("3: this is not UTF-8 text"));
        for key in KEYS {
            assert!(refused(format!("{key} = true")).starts_with(&format!("1: {key} must be ")));
        }
    }

    #[test]
    fn a_limit_reads_back_as_it_was_written() {
        for text in ["0", "500", "5%", "0.5%", "100%"] {
            assert_eq!(text.parse::<MaxChanges>().unwrap().to_string(), text);
        }
        for text in ["", "%", "-1", "+1", "1.5", "100.1%", "1e1%", "inf%", "NaN%", " 5", "5%%"] {
            assert!(text.parse::<MaxChanges>().unwrap_err().ends_with(&format!("got {text:?}")));
        }
    }
}
