//! Plan file, read once: the bytes that are hashed, verified and shown are those that are applied.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::app::run::quoted;
use crate::error::{Error, Kind, Result};
use crate::session::plan::{Plan, sha256};
use crate::signature::{self, TrustedKey};
use crate::ui::terminal;

/// Number of digits of a SHA-256 in hexadecimal: minimum and maximum.
const DIGITS: (usize, usize) = (16, 64);

/// Content of a plan file.
#[derive(Debug)]
pub struct PlanFile {
    path: PathBuf,
    content: Vec<u8>,
}

impl PlanFile {
    /// Reads a plan file, or standard input for `-`.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::usage(format!("there is no plan {shown}"))
                .hint("`iamlua plan SCRIPT -o FILE` makes one"),
            _ => Error::io(format!("cannot read the plan {shown}"), error),
        };
        let content = if is_stdin(path) {
            let mut content = Vec::new();
            std::io::stdin().lock().read_to_end(&mut content).map_err(failed)?;
            content
        } else {
            std::fs::read(path).map_err(failed)?
        };
        Ok(Self { path: path.to_owned(), content })
    }

    /// Parses the plan.
    pub fn plan(&self) -> Result<Plan> {
        if self.is_script() {
            let word = self.word();
            let refused = format!("{} is a script, not a plan", self.name());
            return Err(Error::new(Kind::Refused, refused).hint(format!(
                "`iamlua plan {word} -o FILE` makes a plan of it, and `iamlua run {word}` runs it"
            )));
        }
        Plan::from_file(&self.name(), &String::from_utf8_lossy(&self.content))
    }

    /// Returns true for a file that is named like a script and is no JSON.
    fn is_script(&self) -> bool {
        let is_lua = self.path.extension().is_some_and(|ending| ending == "lua");
        is_lua && !self.content.trim_ascii_start().starts_with(b"{")
    }

    /// SHA-256 of the file, as `sha256sum` prints it.
    pub fn sha256(&self) -> String {
        sha256(&self.content)
    }

    /// Name in messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Name quoted for a shell.
    pub fn word(&self) -> String {
        quoted(&self.name())
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Options for the approval of a plan: its hash, and its signature.
#[derive(Args, Debug)]
pub struct Approval {
    /// Accept only the file with this SHA-256 (at least 16 digits), as printed by `iamlua show` and
    /// `sha256sum`.
    #[arg(long, value_name = "HEX", value_parser = digits, help_heading = "Approval")]
    sha256: Option<String>,
    /// Accept only a plan signed (in PLAN.minisig) by this minisign public key: 56 characters or a
    /// file. Repeatable: any of them. `require_signature` in iamlua.toml holds too.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath, help_heading = "Approval")]
    require_signature: Vec<String>,
}

fn digits(text: &str) -> std::result::Result<String, String> {
    let digits = text.trim().to_ascii_lowercase();
    let (least, most) = DIGITS;
    if (least..=most).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    Err(format!("must be {least} to {most} hexadecimal digits"))
}

impl Approval {
    /// Presence of an approval for this plan: a hash or a required signature.
    pub fn is_given(&self, by_config: &[String]) -> bool {
        self.sha256.is_some() || !self.require_signature.is_empty() || !by_config.is_empty()
    }

    /// Refuses a file whose hash is not the approved one.
    pub fn check_hash(&self, file: &PlanFile) -> Result<()> {
        let Some(approved) = &self.sha256 else { return Ok(()) };
        let hash = file.sha256();
        if hash.starts_with(approved) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "{} is not the plan that was approved: its SHA-256 is {hash}, and must be \
                 {approved}",
                file.name()
            ),
        )
        .hint(format!(
            "get the plan that was approved, or review this one with `iamlua show {}`",
            file.word()
        )))
    }

    /// Refuses a file without a signature by a key of the command line, or without one by a key of
    /// the configuration.
    pub fn check_signature(&self, file: &PlanFile, by_config: &[String]) -> Result<()> {
        let demands: Vec<&[String]> = [&self.require_signature[..], by_config]
            .into_iter()
            .filter(|keys| !keys.is_empty())
            .collect();
        if demands.is_empty() {
            return Ok(());
        }
        if is_stdin(&file.path) {
            return Err(Error::new(
                Kind::Refused,
                "the plan must be signed, and on standard input it has no signature",
            )
            .hint("name the plan's file: its signature is beside it, in FILE.minisig"));
        }
        let path = signature::beside(&file.path);
        let name = path.display().to_string();
        let signature = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let message = format!("{} must be signed, and there is no {name}", file.name());
                Error::new(Kind::Refused, message).hint(format!(
                    "`minisign -S -m {}` signs it, `iamlua plan SCRIPT -o FILE --sign KEY` a new \
                     one",
                    file.word()
                ))
            }
            _ => Error::io(format!("cannot read the signature {name}"), error),
        })?;
        let signature = String::from_utf8_lossy(&signature);
        let mut signed_by = String::new();
        for keys in demands {
            let keys: Vec<_> =
                keys.iter().map(|key| TrustedKey::read(key)).collect::<Result<_>>()?;
            signed_by = signature::verify(&file.content, &signature, &name, &keys)?;
        }
        terminal::say(&format!("signed with the key {signed_by}"));
        Ok(())
    }
}
