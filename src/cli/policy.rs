//! `iamlua policy`: the minimal IAM policy of a runbook.

use std::path::PathBuf;

use clap::Parser;

use super::output::print_json;
use crate::app::policy::{self, PolicyScope};
use crate::app::run;
use crate::app::script::Script;
use crate::error::{Error, Kind, Result};
use crate::session::allowed;

/// `iamlua policy`.
#[derive(Debug, Parser)]
pub struct PolicyCommand {
    /// Runbook, or `-` for standard input.
    #[arg(add = super::complete::runbooks())]
    script: PathBuf,
    /// Account in the policy's ARNs: 12 digits.
    #[arg(long, value_name = "ID", default_value = "*", value_parser = account)]
    account: String,
    /// Partition in the policy's ARNs.
    #[arg(long, value_name = "NAME", default_value = "aws", value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    partition: String,
}

fn account(text: &str) -> std::result::Result<String, String> {
    if text == "*" || (text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit())) {
        Ok(text.to_owned())
    } else {
        Err("must be the 12 digits of an account".into())
    }
}

impl PolicyCommand {
    /// Prints the policy.
    pub fn execute(self) -> Result<u8> {
        let script = if self.script.as_os_str() == "-" {
            Script::Stdin
        } else {
            Script::File(self.script.clone())
        };
        let shown = self.script.display();
        let manifest = run::manifest(&script)?;
        let allow = manifest.allow.ok_or_else(|| {
            Error::new(Kind::Script, format!("{shown} does not say what it may call")).hint(
                "add `allow = { \"profiles.list\", … }` to its manifest: nothing less than everything would do without",
            )
        })?;
        let entries = allowed(&allow)?;
        if entries.is_empty() {
            return Err(Error::new(
                Kind::Script,
                format!("{shown} may call nothing of iam, so it needs no policy"),
            ));
        }
        let policy = policy::of(
            &entries,
            manifest.has_share,
            &PolicyScope { account: self.account, partition: self.partition },
        );
        print_json(&format!("{policy:#}\n"))
    }
}
