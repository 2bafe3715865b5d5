//! Page of an item for a terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::item::{Item, ItemKind, ParamDoc};
use super::members;
use crate::spec::Effect;

const TITLE: Style = Style::new().bold();
const CODE: Style = AnsiColor::Cyan.on_default();
/// Minimum width of lines; a narrower terminal gets lines that are too long for it, because shorter
/// ones are unreadable.
const MIN_WIDTH: usize = 30;

/// Page of an item, in lines of at most `width` columns; code and types are not broken. `styled`
/// adds bold and colours.
#[must_use]
pub fn to_text(item: &Item, width: usize, styled: bool) -> String {
    let mut page = TextPage { out: String::new(), width: width.max(MIN_WIDTH), styled };
    page.line(0, &page.style(TITLE, &item.signature));
    if item.kind != ItemKind::Function {
        let extends = if item.ty.is_empty() { String::new() } else { format!(": {}", item.ty) };
        page.line(0, &format!("{}{extends}", item.kind.name()));
    }
    page.paragraphs(&item.summary);
    page.paragraphs(&item.text);
    let (positional, named): (Vec<_>, Vec<_>) =
        item.params.iter().partition(|param| param.is_positional);
    page.list(if named.is_empty() { "Parameters" } else { "By position" }, &positional);
    page.list(if positional.is_empty() { "In a table" } else { "Then in a table" }, &named);
    page.list("Fields", &item.fields.iter().collect::<Vec<_>>());
    page.returns(item);
    if item.kind == ItemKind::Alias && !item.values.is_empty() {
        page.heading("Values");
        let values: Vec<_> = item.values.iter().map(|value| format!("{value:?}")).collect();
        page.wrapped(2, &values.join(", "));
    }
    page.calls(item);
    for (at, example) in item.examples.iter().enumerate() {
        if at == 0 {
            page.heading(if item.examples.len() == 1 { "Example" } else { "Examples" });
        } else {
            page.out.push('\n');
        }
        for line in example.code.lines() {
            page.line(2, &page.style(CODE, line));
        }
    }
    page.members(item);
    page.out
}

/// List of items: the signature and the one-sentence description of each.
#[must_use]
pub fn to_lines<'a>(
    items: impl IntoIterator<Item = &'a Item>,
    width: usize,
    styled: bool,
) -> String {
    let items: Vec<_> = items.into_iter().collect();
    let mut page = TextPage { out: String::new(), width: width.max(MIN_WIDTH), styled };
    let longest = items.iter().map(|item| item.name.chars().count()).max().unwrap_or_default();
    let indent = (longest + 4).min(width / 2);
    for item in items {
        let from = page.out.len();
        page.wrapped(
            indent,
            if item.summary.is_empty() { item.kind.name() } else { &item.summary },
        );
        page.colour(from);
        let text = page.out.split_off(from);
        let used = item.name.chars().count() + 2;
        let _ = write!(page.out, "  {}", page.style(TITLE, &item.name));
        if used < indent {
            // The margin of the first line is replaced by the name.
            let rest = text.strip_prefix(&" ".repeat(used)).unwrap_or(&text);
            page.out.push_str(rest);
        } else {
            page.out.push('\n');
            page.out.push_str(&text);
        }
    }
    page.out
}

struct TextPage {
    out: String,
    width: usize,
    styled: bool,
}

impl TextPage {
    fn style(&self, style: Style, text: &str) -> String {
        if self.styled && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{}", format!("{:indent$}{text}", "").trim_end());
    }

    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.line(0, &self.style(TITLE, text));
    }

    /// Wrapped Markdown, with coloured code where there is colour.
    fn wrapped(&mut self, indent: usize, text: &str) {
        let margin = " ".repeat(indent);
        let options = textwrap::Options::new(self.width)
            .initial_indent(&margin)
            .subsequent_indent(&margin)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            let _ = writeln!(self.out, "{line}");
        }
    }

    fn paragraphs(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|text| !text.is_empty()) {
            self.out.push('\n');
            for line in paragraph.lines() {
                let from = self.out.len();
                self.wrapped(0, line);
                self.colour(from);
            }
        }
    }

    /// Colours code in backquotes from that offset on. Applied after wrapping, which would count
    /// the escapes as text.
    fn colour(&mut self, from: usize) {
        if !self.styled {
            return;
        }
        let text = self.out.split_off(from);
        for (at, piece) in text.split('`').enumerate() {
            if at % 2 == 0 {
                self.out.push_str(piece);
            } else {
                // Each line by itself: a pager would lose the colour at the end of a line.
                let lines: Vec<_> = piece.split('\n').map(|line| self.style(CODE, line)).collect();
                self.out.push_str(&lines.join("\n"));
            }
        }
    }

    fn list(&mut self, title: &str, list: &[&ParamDoc]) {
        if list.is_empty() {
            return;
        }
        self.heading(title);
        for one in list {
            let bare = one.ty.trim_end_matches('?');
            let optional = if one.is_optional { ", optional" } else { "" };
            let ty = if one.is_optional { bare } else { &one.ty };
            self.line(2, &format!("{}  {ty}{optional}", self.style(CODE, &one.name)));
            let mut words = one.doc.clone();
            if !one.limits.is_empty() {
                words = format!("{words} ({})", one.limits);
            }
            if !words.is_empty() {
                let from = self.out.len();
                self.wrapped(6, &words);
                self.colour(from);
            }
        }
    }

    fn returns(&mut self, item: &Item) {
        if item.returns.is_empty() {
            return;
        }
        self.heading("Returns");
        for one in &item.returns {
            let words: Vec<_> = [&one.ty, &one.name, &one.doc]
                .into_iter()
                .filter(|word| !word.is_empty() && *word != "iterator")
                .map(String::as_str)
                .collect();
            self.line(2, &words.join("  "));
        }
    }

    fn calls(&mut self, item: &Item) {
        if item.actions.is_empty() {
            return;
        }
        self.heading("AWS");
        for action in &item.actions {
            self.line(2, &format!("{}  {}", action.name, action.reference()));
        }
        if item.effect == Some(Effect::Write) {
            self.line(2, "It can change the account.");
        }
    }

    fn members(&mut self, item: &Item) {
        let mut list: Vec<_> = members(&item.name).collect();
        // Functions before the types that they use.
        list.sort_by_key(|item| matches!(item.kind, ItemKind::Class | ItemKind::Alias));
        if list.is_empty() {
            return;
        }
        self.heading("In it");
        for item in list {
            self.line(2, &self.style(CODE, &item.signature));
            if !item.summary.is_empty() {
                let from = self.out.len();
                self.wrapped(6, &item.summary);
                self.colour(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::{item, items};

    #[test]
    fn a_page_says_everything_about_a_function() {
        let page = to_text(item("iam.profiles.create").expect("an item"), 80, false);
        for part in [
            "iam.profiles.create(name, { path=, tags= })\n",
            "By position\n  name  string\n",
            "Then in a table\n  path  string, optional\n",
            "1-128 characters",
            "Returns\n  iam.Profile\n",
            "  CreateInstanceProfile  https://docs.aws.amazon.com/",
            "It can change the account.",
            "Example\n",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
    }

    #[test]
    fn no_line_of_text_is_wider_than_the_terminal() {
        for item in items() {
            let code: Vec<_> =
                item.examples.iter().flat_map(|example| example.code.lines()).collect();
            for line in to_text(item, 60, false).lines() {
                let is_text = line.trim().contains(' ')
                    && !line.contains("https://")
                    && !line.starts_with("  ") | line.starts_with("      ")
                    && !code.contains(&line.trim());
                // A page begins with the signature, which is code.
                if is_text && line != item.signature && !code.iter().any(|c| line.ends_with(c)) {
                    assert!(line.chars().count() <= 60, "{}: {line}", item.name);
                }
            }
        }
    }

    #[test]
    fn style_changes_nothing_but_the_looks() {
        for item in items() {
            let plain = to_text(item, 72, false);
            assert!(!plain.contains('\u{1b}'), "{}", item.name);
            let styled = to_text(item, 72, true);
            assert!(styled.contains('\u{1b}'), "{}", item.name);
            let stripped = anstream::adapter::strip_str(&styled).to_string();
            assert_eq!(stripped.replace('`', ""), plain.replace('`', ""), "{}", item.name);
        }
    }
}
