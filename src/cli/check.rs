//! `iamlua check`: checks of scripts that run nothing.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use super::output::{print, print_json};
use crate::error::{Error, Result};
use crate::lint::{self, Input, Settings, Severity};

/// `iamlua check`.
#[derive(Debug, Parser)]
#[allow(clippy::doc_markdown, reason = "what is said of the options is the help")]
pub struct CheckCommand {
    /// Scripts, or folders searched recursively for `*.lua`; `-` is standard input. Default: the
    /// folder of the project's iamlua.toml, else the current folder.
    #[arg(value_name = "PATH", add = super::complete::runbooks())]
    paths: Vec<PathBuf>,
    /// Output format: for people, JSON, or SARIF 2.1.0.
    #[arg(long, value_enum, default_value_t = CheckFormat::Human, value_name = "FORMAT")]
    output: CheckFormat,
    /// Exit with 1 for warnings too.
    #[arg(long)]
    deny_warnings: bool,
    /// Path of standard input in reports. Its folder has the modules.
    #[arg(long, value_name = "PATH", default_value = "stdin.lua")]
    stdin_name: PathBuf,
    /// Global that a program defines which embeds the scripts. Can be repeated.
    #[arg(long = "global", value_name = "NAME")]
    globals: Vec<String>,
}

/// `--output` of this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Human,
    Json,
    Sarif,
}

impl CheckCommand {
    /// Checks the scripts.
    pub fn execute(self) -> Result<u8> {
        let paths = if self.paths.is_empty() { vec![project()] } else { self.paths.clone() };
        let mut inputs = Vec::new();
        for path in &paths {
            if path.as_os_str() == "-" {
                if inputs.iter().any(|input| matches!(input, Input::Stdin(_))) {
                    return Err(Error::usage("`-` is given twice"));
                }
                inputs.push(Input::Stdin(self.stdin_name.clone()));
            } else {
                let found = lint::find(std::slice::from_ref(path))?;
                if found.is_empty() {
                    let message = format!("there is no script in {}", path.display());
                    return Err(Error::usage(message).hint("scripts are files that end in .lua"));
                }
                inputs.extend(found.into_iter().map(Input::File));
            }
        }
        let report = lint::check(
            &inputs,
            &Settings { globals: self.globals, reserved: super::run::reserved() },
        )?;
        match self.output {
            CheckFormat::Human => print(&report.text())?,
            CheckFormat::Json => print_json(&report.json())?,
            CheckFormat::Sarif => print_json(&report.sarif())?,
        };
        let fails = |severity| match severity {
            Severity::Error => true,
            Severity::Warning => self.deny_warnings,
        };
        Ok(u8::from(report.findings.iter().any(|finding| fails(finding.severity))))
    }
}

/// Folder of the project, as a path from the current folder.
fn project() -> PathBuf {
    let here = PathBuf::from(".");
    let Ok(current) = std::env::current_dir() else { return here };
    let has_file = |folder: &Path| folder.join(crate::config::FILE_NAME).is_file();
    match current.ancestors().position(has_file) {
        None | Some(0) => here,
        Some(above) => std::iter::repeat_n("..", above).collect(),
    }
}
