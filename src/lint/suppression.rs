//! Comments that suppress findings, in the notation of the Lua language server:
//! `---@diagnostic disable-next-line: undefined-global`.

use super::findings::{Lines, Rule};
use crate::lua::tokens::{TokenKind, tokens};

/// Rules that are suppressed in parts of a file.
#[derive(Debug, Default)]
pub(super) struct Suppressions(Vec<Suppression>);

/// One comment: the rules, or all of them, and the lines from 0. `None` is the end of the file.
#[derive(Debug)]
struct Suppression {
    rules: Vec<Rule>,
    is_all: bool,
    from: usize,
    to: Option<usize>,
}

impl Suppressions {
    /// Reads the comments of a script.
    pub fn of(source: &str, lines: &Lines) -> Self {
        let mut found = Self::default();
        if !source.contains("@diagnostic") {
            return found;
        }
        for token in tokens(source) {
            if !matches!(token.kind, TokenKind::Comment { .. }) {
                continue;
            }
            let text = token.text(source).trim_start_matches('-').trim();
            if let Some(rest) = text.strip_prefix("@diagnostic") {
                found.read(rest.trim(), lines.number(token.at.start));
            }
        }
        found
    }

    fn read(&mut self, text: &str, line: usize) {
        let (action, names) = text.split_once(':').unwrap_or((text, ""));
        let names: Vec<_> =
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_all = names.is_empty();
        // Names of other tools are theirs.
        let rules: Vec<_> = names.into_iter().filter_map(Rule::from_name).collect();
        let (from, to) = match action.trim() {
            "disable" => (line, None),
            "disable-line" => (line, Some(line)),
            "disable-next-line" => (line + 1, Some(line + 1)),
            "enable" => {
                let ends = |one: &Suppression| {
                    is_all || (!one.is_all && one.rules.iter().all(|rule| rules.contains(rule)))
                };
                for one in self.0.iter_mut().filter(|one| one.to.is_none() && ends(one)) {
                    one.to = Some(line);
                }
                return;
            }
            _ => return,
        };
        self.0.push(Suppression { rules, is_all, from, to });
    }

    /// Check for a suppressed finding on a line, from 0.
    pub fn cover(&self, rule: Rule, line: usize) -> bool {
        self.0.iter().any(|one| {
            (one.is_all || one.rules.contains(&rule))
                && one.from <= line
                && one.to.is_none_or(|to| line <= to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_suppresses_what_it_names_where_it_says() {
        let source = "a()\n---@diagnostic disable-next-line: undefined-global, need-check-nil\nb()\n\
                      c() ---@diagnostic disable-line\n---@diagnostic disable: undefined-field\nd()\n\
                      ---@diagnostic enable: undefined-field\ne()\nlocal s = '---@diagnostic disable'\n";
        let found = Suppressions::of(source, &Lines::of(source));
        let covers = |rule| (0..9).filter(|line| found.cover(rule, *line)).collect::<Vec<_>>();
        assert_eq!(covers(Rule::UndefinedGlobal), [2, 3]);
        assert_eq!(covers(Rule::UndefinedField), [3, 4, 5, 6]);
        assert_eq!(covers(Rule::NotAllowed), [3]);
    }
}
