//! `iamlua completions` and `iamlua man`: shell completion and manual pages.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Command, Parser};
use clap_complete::env::Shells;

use super::output::{print, print_data};
use crate::error::{Error, Result};
use crate::files;

/// `iamlua completions`.
#[derive(Debug, Parser)]
#[command(after_help = "bash:        source <(iamlua completions bash)\n\n\
                        zsh:         iamlua completions zsh > ~/.zfunc/_iamlua, with ~/.zfunc in fpath\n\n\
                        fish:        iamlua completions fish > ~/.config/fish/completions/iamlua.fish\n\n\
                        powershell:  iamlua completions powershell | Out-String | Invoke-Expression")]
pub struct CompletionsCommand {
    /// Shell.
    #[arg(value_parser = PossibleValuesParser::new(SHELLS))]
    shell: String,
}

/// Shells with tests.
const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// Environment variable with which a shell requests completions.
pub const COMPLETE_VARIABLE: &str = "IAMLUA_COMPLETE";

/// Addition to clap's script for bash, which splits `--output=json` into three words.
const BASH_WORDS: &[u8] = br#"
_iamlua_words() {
    local words=() at index=0 glued=false reply
    for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
        if [[ $glued == true ]] || [[ "${COMP_WORDS[at]}" == "=" && "${words[-1]-}" == --* ]]; then
            words[-1]+="${COMP_WORDS[at]}"
            [[ $glued == true ]] && glued=false || glued=true
        else
            words+=("${COMP_WORDS[at]}")
        fi
        ((at == COMP_CWORD)) && index=$((${#words[@]} - 1))
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$index
    local word="${words[index]-}"
    _clap_complete_iamlua "$1" "$word" "$3"
    if [[ "$word" == --*=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
    elif [[ -z "$word" ]]; then
        # Options would be in the way of files and names.
        local replies=("${COMPREPLY[@]}")
        COMPREPLY=()
        for reply in "${replies[@]}"; do
            [[ "$reply" == -* ]] || COMPREPLY+=("$reply")
        done
        [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=("${replies[@]}")
    fi
    # Names of files and values of a runbook are words, whatever they contain.
    for at in "${!COMPREPLY[@]}"; do
        [[ "${COMPREPLY[at]}" == *[!A-Za-z0-9_./=:,@%+~-]* ]] &&
            printf -v "COMPREPLY[at]" %q "${COMPREPLY[at]}"
    done
}
complete -F _iamlua_words -o nosort -o bashdefault -o default iamlua 2>/dev/null ||
    complete -F _iamlua_words -o bashdefault -o default iamlua
"#;

impl CompletionsCommand {
    /// Prints the script for the shell.
    pub fn execute(self) -> Result<u8> {
        let mut script = Vec::new();
        let shells = Shells::builtins();
        let failed = |error| Error::io("cannot write the script", error);
        if let Some(shell) = shells.completer(&self.shell) {
            shell
                .write_registration(
                    COMPLETE_VARIABLE,
                    "iamlua",
                    "iamlua",
                    &completer(),
                    &mut script,
                )
                .map_err(failed)?;
        }
        if self.shell == "bash" {
            script.extend_from_slice(BASH_WORDS);
        }
        print_data(&script)
    }
}

/// Path of the program in the script: its name, if `PATH` resolves it to this executable.
fn completer() -> String {
    let Ok(own) = std::env::current_exe() else { return "iamlua".into() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("iamlua"));
    let is_own = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == own);
    match found.into_iter().find(|path| path.exists()) {
        Some(path) if is_own(&path) => "iamlua".into(),
        _ => own.display().to_string(),
    }
}

/// `iamlua man`.
#[derive(Debug, Parser)]
#[command(after_help = "iamlua man | man -l -                     shows it\n\n\
                        iamlua man ~/.local/share/man/man1        installs all pages for `man iamlua`")]
pub struct ManCommand {
    /// Write the pages of all commands into this folder, which is created if needed. Without it the
    /// main page is printed.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl ManCommand {
    /// Prints the page, or writes all of them.
    pub fn execute(self, command: Command) -> Result<u8> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let Some(folder) = self.folder else {
            let (_, page) = page(command)?;
            return print_data(page.as_bytes());
        };
        let failed =
            |error| Error::io(format!("cannot write pages to {}", folder.display()), error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut pages = Vec::new();
        add_pages(&mut pages, command)?;
        for (name, page) in &pages {
            files::write_whole(&folder.join(name), page.as_bytes()).map_err(failed)?;
        }
        print(&format!("{} pages in {}\n", pages.len(), folder.display()))
    }
}

/// Adds the pages of a command and its subcommands.
fn add_pages(pages: &mut Vec<(String, String)>, command: Command) -> Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()).cloned() {
        add_pages(pages, below)?;
    }
    pages.push(page(command)?);
    Ok(())
}

/// Renders a page; returns its file name and its content.
fn page(command: Command) -> Result<(String, String)> {
    let title = command.get_display_name().unwrap_or("iamlua").to_uppercase();
    let man = clap_mangen::Man::new(command);
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| Error::io("cannot make the page", error))?;
    let page = String::from_utf8_lossy(&page);
    // `clap_mangen` omits an empty date, and the next field would take its place.
    let heading = format!(".TH {title} 1 \"\" \"iamlua {}\" \"iamlua\"", env!("CARGO_PKG_VERSION"));
    let lines = page.lines().map(|line| if line.starts_with(".TH ") { &heading } else { line });
    let text = lines.flat_map(|line| [line.trim_end(), "\n"]).collect();
    Ok((man.get_filename(), text))
}
