//! Commands of the REPL, which begin with a dot: names, effects and arguments.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use super::editor::Confirmation;
use super::saving::{self, EntryStatus, Lua, SavedEntry};
use super::{Next, Repl};
use crate::app::script::{Loaded, Script};
use crate::docs;
use crate::error::{Error, Result};
use crate::files;
use crate::lua::Ending;
use crate::lua::arguments::without_separator;
use crate::session::Mode;
use crate::spec;
use crate::ui::terminal::{print, say};

/// Command of the REPL.
pub struct ReplCommand {
    /// Name, with the dot.
    pub name: &'static str,
    /// Argument, as help shows it.
    pub takes: &'static str,
    /// Kind of the argument, for completion.
    pub argument: Argument,
    /// Effect, in one sentence.
    pub doc: &'static str,
    run: fn(&mut Repl, &str) -> Result<Next>,
}

/// Kind of a command's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A file.
    File,
    /// Name of a documented item.
    Documented,
    /// Lua.
    Code,
}

const fn command(
    name: &'static str,
    takes: &'static str,
    argument: Argument,
    doc: &'static str,
    run: fn(&mut Repl, &str) -> Result<Next>,
) -> ReplCommand {
    ReplCommand { name, takes, argument, doc, run }
}

fn go(done: Result<()>) -> Result<Next> {
    done.map(|()| Next::Entry)
}

/// All commands, in the order of the help.
pub static COMMANDS: &[ReplCommand] = &[
    command(
        ".plan",
        "",
        Argument::None,
        "Plan changes from now on, instead of making them.",
        |repl, _| go(repl.switch(Mode::Plan)),
    ),
    command(
        ".apply",
        "",
        Argument::None,
        "Make changes from now on; on AWS it asks first.",
        |repl, _| go(repl.switch(Mode::Apply)),
    ),
    command(".read-only", "", Argument::None, "Refuse changes from now on.", |repl, _| {
        go(repl.switch(Mode::ReadOnly))
    }),
    command(
        ".changes",
        "[FILE]",
        Argument::File,
        "Show what is planned, or else what was changed; with a file, keep the plan there for `iamlua apply`.",
        |repl, file| go(repl.show_changes(file)),
    ),
    command(
        ".commit",
        "",
        Argument::None,
        "Make the planned changes.",
        |repl, _| go(repl.commit()),
    ),
    command(
        ".undo",
        "",
        Argument::None,
        "Undo what the last entry has planned or changed, or the last commit; again for the one before.",
        |repl, _| go(repl.undo()),
    ),
    command(
        ".redo",
        "",
        Argument::None,
        "Make the changes again that the last .undo has undone.",
        |repl, _| go(repl.redo()),
    ),
    command(".discard", "", Argument::None, "Forget the planned changes.", |repl, _| {
        repl.discard();
        Ok(Next::Entry)
    }),
    command(".more", "", Argument::None, "Show what did not fit on the screen.", |repl, _| {
        repl.more()
    }),
    command(
        ".load",
        "FILE [ARGS]",
        Argument::File,
        "Run a script here, with its arguments; its globals stay.",
        Repl::load,
    ),
    command(
        ".save",
        "FILE",
        Argument::File,
        "Write the entries that stand into a file, as a script: without those that failed, were undone or were discarded.",
        |repl, file| go(repl.save(file)),
    ),
    command(
        ".doc",
        "[NAME]",
        Argument::Documented,
        "Say what a function does: by its name, its AWS action, or a word.",
        |_, name| go(Repl::doc(name)),
    ),
    command(
        ".time",
        "[CODE]",
        Argument::Code,
        "Say of every entry how long it took and what it called, or no longer; with code, of that alone.",
        Repl::time,
    ),
    command(".help", "", Argument::None, "Show this.", |_, _| go(help())),
    command(".exit", "", Argument::None, "Leave, as Ctrl-D does.", |_, _| Ok(Next::Leave(0))),
];

/// Commands as a table in Markdown, for the documentation.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| command | does |\n| --- | --- |\n");
    for ReplCommand { name, takes, doc, .. } in COMMANDS {
        let call = format!("{name} {takes}");
        let _ = writeln!(text, "| `{}` | {doc} |", call.trim_end());
    }
    text
}

/// Check for a command. In Lua nothing begins with a dot and a letter.
#[must_use]
pub fn is_command(text: &str) -> bool {
    let text = text.trim_start();
    text.strip_prefix('.')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Command at the beginning of a text, and its argument.
#[must_use]
pub fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(name, rest)| (name, rest.trim()))
}

/// Command that an entry without a dot means, or the answer to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Meant {
    /// Command to run, with its argument.
    Command(String),
    /// Way to do it.
    Answer(&'static str),
    /// Command, with its dot, that was probably meant.
    Near(String),
}

/// Meaning of an entry that begins with a word that shells and other prompts know, such as `help`
/// or `quit`. `is_lua` tells if it means something in Lua.
pub fn meant(text: &str, is_lua: impl Fn(&str) -> bool) -> Option<Meant> {
    let text = text.trim();
    let text = text.strip_suffix("()").unwrap_or(text);
    let (word, rest) = split(text);
    let is_known = |words: &[&str]| words.contains(&word);
    let is_plain = word.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '?' | ':' | '-'));
    if !is_plain || is_lua(text) {
        return None;
    }
    let help = is_known(&["help", "h", "?", "doc", "man"]);
    Some(match rest {
        "" if is_known(&["help", "h", "?", "man"]) => Meant::Command(".help".into()),
        _ if help => Meant::Command(format!(".doc {rest}").trim_end().to_owned()),
        "" if is_known(&["exit", "quit", "q", ":q", ":q!", "bye", "logout"]) => {
            Meant::Command(".exit".into())
        }
        "" if is_known(&["ls", "dir", "list"]) => {
            Meant::Answer("iam.profiles.each() lists the profiles, iam.roles.each() the roles")
        }
        "" if is_known(&["clear", "cls"]) => Meant::Answer("Ctrl-L clears the screen"),
        "" if is_known(&["history"]) => {
            Meant::Answer("the up arrow and Ctrl-R find what was entered, .save FILE writes it")
        }
        _ => {
            let command =
                COMMANDS.iter().find(|command| command.name.strip_prefix('.') == Some(word))?;
            Meant::Near(format!("{} {rest}", command.name).trim_end().to_owned())
        }
    })
}

/// Typed path, with `~` for the home folder.
pub(super) fn path(text: &str) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

fn help() -> Result<()> {
    let columns = usize::from(super::screen_size().1);
    let paragraph = |text: &str| textwrap::fill(text, columns.max(10)) + "\n";
    let rows: Vec<_> = COMMANDS
        .iter()
        .map(|command| {
            let call = format!("{} {}", command.name, command.takes);
            vec![call.trim_end().to_owned(), command.doc.to_owned()]
        })
        .collect();
    print(&[
        paragraph("An entry is Lua: what it returns is shown, and is then in `_`; the last error is in `_error`. Locals live on."),
        listed(&rows, columns),
        paragraph(
            "Tab completes, the right arrow takes the hint, Ctrl-R searches in what was entered, Alt-Enter begins a new line, Ctrl-C stops what \
             runs or clears the line, Ctrl-D leaves. An entry that begins with a space is not kept in the history.",
        ),
    ]
    .join("\n"))
}

/// Rows of a name and a sentence, with the sentences aligned as far as there is room.
fn listed(rows: &[Vec<String>], columns: usize) -> String {
    const MIN_TEXT: usize = 24;
    let widest = rows.iter().map(|row| row[0].len()).max().unwrap_or_default() + 2;
    let is_narrow = columns < widest + MIN_TEXT;
    let indent = " ".repeat(if is_narrow { 4 } else { widest });
    let mut text = String::new();
    for row in rows {
        let first = format!("{:width$}", row[0], width = widest);
        let options = textwrap::Options::new(columns.max(10)).subsequent_indent(&indent);
        if is_narrow {
            text.push_str(row[0].trim_end());
            text.push('\n');
            text.push_str(&textwrap::fill(&row[1], options.initial_indent(&indent)));
        } else {
            text.push_str(&textwrap::fill(&row[1], options.initial_indent(&first)));
        }
        text.push('\n');
    }
    text
}

impl Repl {
    /// Does what an entry without a dot means if it is no Lua; see [`meant`].
    pub(super) fn plain_word(&mut self, text: &str) -> Option<Result<Next>> {
        let prompt = &self.prompt;
        let is_lua = |text: &str| match split(text) {
            (word, "") => prompt.is_defined(word),
            _ => prompt.is_statement(text) || prompt.is_statement(&format!("return {text}")),
        };
        Some(match meant(text, is_lua)? {
            Meant::Command(command) => self.command(&command),
            Meant::Answer(answer) => {
                say(answer);
                Ok(Next::Entry)
            }
            Meant::Near(command) => {
                let word = split(text).0;
                Err(Error::usage(format!("{word} is a command here, which begins with a dot"))
                    .hint(format!("did you mean {command}?")))
            }
        })
    }

    /// Runs a command.
    pub(super) fn command(&mut self, text: &str) -> Result<Next> {
        let (name, rest) = split(text);
        let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
            let unknown = Error::usage(format!("there is no command {name}"));
            let names = COMMANDS.iter().map(|command| command.name);
            return Err(unknown.hint(match spec::nearest(name, names) {
                Some(near) => format!("did you mean {near}? .help lists them"),
                None => ".help lists them".into(),
            }));
        };
        if command.takes.is_empty() && !rest.is_empty() {
            return Err(Error::usage(format!("{name} takes nothing, got {rest:?}")));
        }
        if rest.is_empty() && !command.takes.is_empty() && !command.takes.starts_with('[') {
            return Err(Error::usage(format!("{name} needs {}", command.takes)));
        }
        (command.run)(self, rest)
    }

    fn more(&mut self) -> Result<Next> {
        let ending = self.prompt.more(super::screen_size())?;
        Ok(Self::after(ending))
    }

    fn load(&mut self, words: &str) -> Result<Next> {
        let split =
            shlex::split(words).ok_or_else(|| Error::usage("a quotation mark has no partner"))?;
        let Some((file, args)) = split.split_first() else {
            return Err(Error::usage(".load needs FILE"));
        };
        let loaded = Loaded::read(&Script::File(path(file)))?;
        let before = self.mark();
        let globals = self.prompt.globals();
        let ending = self.prompt.load(&loaded.source, &loaded.name, args, super::screen_size());
        self.note_step(before);
        let entry = SavedEntry {
            text: format!(".load {words}"),
            loaded: Some(saving::LoadedScript {
                name: loaded.name,
                source: String::from_utf8_lossy(&loaded.source).into_owned(),
                args: without_separator(args),
            }),
            values: if ending.is_ok() { self.prompt.shown() } else { 0 },
            fate: if ending.is_ok() { EntryStatus::Stands } else { EntryStatus::Failed },
            defined: self.prompt.changed(&globals, true),
            ..SavedEntry::default()
        };
        self.entries.push(entry, before, self.mark());
        match ending? {
            // The end of the script is not the end of the REPL.
            Ending::Exit(code) if code != 0 => say(&format!("it ended with exit code {code}")),
            Ending::Exit(_) | Ending::Finished => {}
            Ending::OutputClosed => return Ok(Next::Leave(0)),
        }
        Ok(Next::Entry)
    }

    fn save(&self, file: &str) -> Result<()> {
        let file = path(file);
        let entries = self.entries.standing(|run| self.recorded_by(run));
        if entries.is_empty() {
            return Err(Error::usage("nothing was entered yet, so there is nothing to save"));
        }
        let prompt = &self.prompt;
        let lua = Lua {
            compiles: &|text| prompt.check(text, "(saved)").is_ok(),
            is_global: &|name| prompt.is_global(name),
        };
        let script = saving::script(&entries, &lua);
        let left_out = script.left_out();
        if script.saved == 0 {
            return Err(Error::usage(format!(
                "no entry stands, so there is nothing to save: there was {left_out}"
            )));
        }
        if file.exists()
            && super::editor::ask(&format!("{} is there already. Replace it?", file.display()))
                != Some(Confirmation::Yes)
        {
            return Err(Error::usage(format!("{} was left as it is", file.display())));
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let text = format!("-- Entered at a prompt of iamlua on {now}.\n{}", script.text);
        files::write_whole(&file, text.as_bytes())
            .map_err(|error| Error::io(format!("cannot write {}", file.display()), error))?;
        let word = crate::app::run::quoted(&file.display().to_string());
        let without =
            if left_out.is_empty() { String::new() } else { format!("; left out {left_out}") };
        let said = format!("{} saved in {word}{without}", script.saved());
        if let Err(error) = self.prompt.check(&text, &file.display().to_string()) {
            say(&format!("{said}; they do not run as one script: {error}"));
            return Ok(());
        }
        say(&format!("{said}; `iamlua run {word}` runs it"));
        Ok(())
    }

    fn doc(name: &str) -> Result<()> {
        let columns = usize::from(super::screen_size().1);
        if name.is_empty() {
            print(&docs::to_lines(docs::modules(), columns, true))?;
            say(
                ".doc NAME says more: of a function, a module, an AWS action, or what a word is in",
            );
            return Ok(());
        }
        match docs::find(name) {
            docs::SearchResult::One(item) => print(&docs::to_text(item, columns, true)),
            docs::SearchResult::Several(items) => print(&docs::to_lines(items, columns, true)),
            docs::SearchResult::Nothing(near) => {
                let error = Error::usage(format!("nothing is named {name}, and no text has it"));
                Err(if near.is_empty() {
                    error.hint(".doc lists the modules")
                } else {
                    error.hint(format!("did you mean {}?", near.join(" or ")))
                })
            }
        }
    }

    fn time(&mut self, code: &str) -> Result<Next> {
        if code.is_empty() {
            self.is_timed = !self.is_timed;
            let word = if self.is_timed { "is said from now on" } else { "is no longer said" };
            say(&format!("how long an entry takes {word}"));
            return Ok(Next::Entry);
        }
        let (began, calls) = (Instant::now(), self.session.calls());
        let next = self.enter(code);
        self.report_time(began, &calls);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_lua() {
        for text in [".help", "  .load a b", ".", ".unknown"] {
            assert!(is_command(text), "{text}");
        }
        for text in ["...", "..x", ".5 + 1", "x.y", ""] {
            assert!(!is_command(text), "{text}");
        }
        assert_eq!(split(" .load  a  b "), (".load", "a  b"));
    }

    #[test]
    fn words_of_other_prompts_are_understood_unless_they_are_lua() {
        let command = |text: &str| Some(Meant::Command(text.into()));
        let no_lua = |_: &str| false;
        for (text, is) in [
            ("help", ".help"),
            (" ? ", ".help"),
            ("help()", ".help"),
            ("help iam.profiles.get", ".doc iam.profiles.get"),
            ("doc", ".doc"),
            ("quit", ".exit"),
            ("exit()", ".exit"),
            (":q", ".exit"),
        ] {
            assert_eq!(meant(text, no_lua), command(is), "{text}");
        }
        assert_eq!(meant("load x.lua", no_lua), Some(Meant::Near(".load x.lua".into())));
        assert_eq!(meant("commit", no_lua), Some(Meant::Near(".commit".into())));
        assert!(matches!(meant("ls", no_lua), Some(Meant::Answer(_))));
        for text in ["help", "ls", "quit()", "load x"] {
            assert_eq!(meant(text, |_| true), None, "{text}");
        }
        for text in ["x = 1", "print(1)", "helper", "1 + 1", "iam", "_"] {
            assert_eq!(meant(text, no_lua), None, "{text}");
        }
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
        for command in COMMANDS {
            assert!(command.name.starts_with('.') && command.doc.ends_with('.'));
            assert_eq!(command.takes.is_empty(), command.argument == Argument::None);
        }
    }
}
