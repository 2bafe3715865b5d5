//! `iamlua trust`: acceptance of the target and credential settings in the `iamlua.toml` of a
//! project.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueHint};

use super::output::print;
use crate::app::trust::TrustStore;
use crate::config::{Config, FILE_NAME, Redirection};
use crate::error::{Error, Kind, Result};
use crate::ui::terminal::say;

/// `iamlua trust`.
#[derive(Debug, Parser)]
pub struct TrustCommand {
    /// Project folder, or its iamlua.toml.
    #[arg(default_value = ".", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    project: PathBuf,
    /// Revoke the trust.
    #[arg(long)]
    revoke: bool,
    /// List trusted projects.
    #[arg(long, conflicts_with_all = ["project", "revoke"])]
    list: bool,
}

impl TrustCommand {
    /// Runs the command.
    pub fn execute(&self) -> Result<u8> {
        let mut store = TrustStore::open()?;
        if self.list {
            let line = |project: Redirection| {
                format!("{}  {}\n", project.file.display(), project.in_words())
            };
            return print(&store.projects().map(line).collect::<String>());
        }
        let file =
            if self.project.is_dir() { self.project.join(FILE_NAME) } else { self.project.clone() };
        if self.revoke {
            let is_revoked = store.revoke(&file)?;
            say(&if is_revoked {
                format!("{} is not trusted any more", file.display())
            } else {
                format!("{} was not trusted", file.display())
            });
            return Ok(0);
        }
        let redirection = Config::load(Some(&file))?.redirection_of(&file);
        if redirection.settings.is_empty() {
            say(&format!(
                "{} sets no profile, role or endpoint: it needs no trust",
                file.display()
            ));
            return Ok(0);
        }
        store.accept(&redirection)?;
        say(&format!("trusted: {} sets {}", file.display(), redirection.in_words()));
        Ok(0)
    }
}

/// Checks that the settings of a project are trusted, or that the user accepts them at the
/// terminal.
///
/// # Errors
/// A refusal, if nobody has accepted these settings.
pub(super) fn check(redirection: &Redirection) -> Result<()> {
    if redirection.is_of_administrator() {
        return Ok(());
    }
    let mut store = TrustStore::open()?;
    if store.accepts(redirection) {
        return Ok(());
    }
    let sets = format!("{} sets {}", redirection.file.display(), redirection.in_words());
    if crate::app::run::confirm(&format!("{sets}. Trust it?"), false) == Some(true) {
        return store.accept(redirection);
    }
    let folder = redirection.file.parent().unwrap_or_else(|| Path::new("."));
    Err(Error::new(Kind::Refused, format!("{sets}, and is not trusted yet")).hint(format!(
        "if you know who wrote it, `iamlua trust {}` accepts it; --config \"\" leaves it out",
        crate::app::run::quoted(&folder.display().to_string())
    )))
}
