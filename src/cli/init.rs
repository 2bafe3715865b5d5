//! `iamlua init`: a project folder for runbooks.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Parser;

use super::output::print;
use crate::app::init::{self, META};
use crate::error::Result;

/// `iamlua init`.
#[derive(Debug, Parser)]
pub struct InitCommand {
    /// Folder; created if it does not exist.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl InitCommand {
    /// Creates what is missing, and prints the next steps.
    pub fn execute(self) -> Result<u8> {
        let made = init::make(&self.folder)?;
        let mut text = String::new();
        for path in &made.written {
            let _ = writeln!(text, "made      {}", path.display());
        }
        let _ = writeln!(text, "made      {META}/: {} declarations for editors", made.stubs);
        for path in &made.kept {
            let _ = writeln!(text, "left      {}, which was there already", path.display());
        }
        if made.needs_library {
            let _ = writeln!(
                text,
                "\nFor completion in editors add {META:?} to workspace.library in .luarc.json."
            );
        }
        text.push_str("\nNext:\n");
        if self.folder.as_os_str() != "." {
            let _ = writeln!(text, "  cd {}", quoted(&self.folder.display().to_string()));
        }
        text.push_str(
            "  iamlua test                                          # the sample's tests\n  \
             iamlua check                                         # misspelt names and options, without a run\n  \
             iamlua plan runbooks/tag_owner.lua --owner ops       # what it would change in the local account\n  \
             iamlua doc iam.profiles                              # what there is to call\n",
        );
        print(&text)
    }
}

/// Path quoted for a shell.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
