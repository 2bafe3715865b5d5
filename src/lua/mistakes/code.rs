//! Text of a script around the line of an error.

use super::super::tokens::{Token, TokenKind, tokens};
use super::MAX_NAMES;

/// Text of a script, and the line of an error in it.
pub(super) struct Code<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    /// First token of the line of the error, and the first one after it.
    from: usize,
    to: usize,
}

impl<'a> Code<'a> {
    pub fn new(source: &'a str, line: usize) -> Self {
        let is_code = |token: &Token| !matches!(token.kind, TokenKind::Comment { .. });
        let tokens: Vec<_> = tokens(source).into_iter().filter(is_code).collect();
        let mut lines = source.split_inclusive('\n');
        let start: usize = lines.by_ref().take(line - 1).map(str::len).sum();
        let end = start + lines.next().map_or(0, str::len);
        let before = |place: usize| tokens.partition_point(|token| token.at.start < place);
        let (from, to) = (before(start), before(end));
        Self { source, tokens, from, to }
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| &self.source[token.at.clone()])
    }

    fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == TokenKind::Name)
    }

    fn line_of(&self, at: usize) -> usize {
        self.source[..self.tokens[at].at.start].matches('\n').count() + 1
    }

    /// Names with dots and colons that end before a token: `iam.profiles` before `.lst`.
    fn path_before(&self, dot: usize) -> Option<String> {
        let mut first = dot.checked_sub(1)?;
        if !self.is_name(first) {
            return None;
        }
        while first >= 2 && self.text(first - 1) == "." && self.is_name(first - 2) {
            first -= 2;
        }
        // `f().x.y` and `a[1].x.y` have no path.
        if first >= 1 && matches!(self.text(first - 1), "." | ":") {
            return None;
        }
        Some((first..dot).map(|at| self.text(at)).collect())
    }

    /// Owner of the field of that name in the line of the error: a path of names. `None` if the
    /// line has none, or several.
    pub fn base_of(&self, field: &str, dot: &str) -> Option<String> {
        let mut bases = (self.from..self.to)
            .filter(|at| *at > 0 && self.text(*at) == field && self.text(at - 1) == dot)
            .map(|at| self.path_before(at - 1));
        let base = bases.next()??;
        bases.all(|other| other.as_ref() == Some(&base)).then_some(base)
    }

    /// Presence of these tokens in the line of the error, one after the other.
    pub fn has(&self, words: &[&str]) -> bool {
        (self.from..self.to).any(|at| self.is_at(at, words))
    }

    fn is_at(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.text(at + n) == *word)
    }

    /// Presence of the name right before a text in the line of the error, as in `f"…"`.
    pub fn touches_text(&self, name: &str) -> bool {
        (self.from..self.to).any(|at| {
            let is_text = |next: &Token| {
                matches!(next.kind, TokenKind::Text { .. })
                    && next.at.start == self.tokens[at].at.end
            };
            self.text(at) == name && self.tokens.get(at + 1).is_some_and(is_text)
        })
    }

    /// Function whose result is indexed at once in the line of the error, as in `find(x).name`;
    /// `None` if there are several.
    pub fn indexed_call(&self) -> Option<&'a str> {
        let is_call =
            |at: &usize| self.text(*at) == ")" && matches!(self.text(*at + 1), "." | ":" | "[");
        let mut functions = (self.from..self.to).filter(is_call).map(|close| {
            let mut depth = 0_usize;
            let open = (self.from..=close).rev().find(|at| {
                match self.text(*at) {
                    ")" => depth += 1,
                    "(" => depth -= 1,
                    _ => {}
                }
                depth == 0
            })?;
            open.checked_sub(1).filter(|at| self.is_name(*at)).map(|at| self.text(at))
        });
        let first = functions.next()??;
        functions.all(|other| other == Some(first)).then_some(first)
    }

    /// Presence of a local or a parameter of that name anywhere in the text.
    pub fn shadows(&self, name: &str) -> bool {
        (1..self.tokens.len()).any(|at| {
            let before = self.text(at - 1);
            self.text(at) == name
                && (matches!(before, "local" | "for")
                    || (self.text(at + 1) == "=" && before != ".")
                    || (matches!(before, "(" | ",") && self.is_parameter(at)))
        })
    }

    /// Check for a name between the parentheses of a function's parameters.
    fn is_parameter(&self, at: usize) -> bool {
        /// Upper bound on the tokens of a header.
        const HEADER: usize = 200;
        let names = |at: &usize| self.is_name(*at) || matches!(self.text(*at), "," | "." | ":");
        let open = (0..at).rev().take(HEADER).find(|at| !names(at));
        let Some(open) = open.filter(|open| self.text(*open) == "(") else { return false };
        let header = (0..open).rev().take(HEADER).find(|at| !names(at));
        header.is_some_and(|at| self.text(at) == "function")
    }

    /// Line of a `local function` of that name below the line of the error, if there is none above.
    pub fn local_function_below(&self, name: &str) -> Option<usize> {
        let words = ["local", "function", name];
        let mut places = (0..self.tokens.len()).filter(|at| self.is_at(*at, &words));
        let first = places.next()?;
        (first >= self.to).then(|| self.line_of(first))
    }

    /// Loop around or before the line of the error that declares a name: its variables, and the
    /// path of the first name after `in`.
    pub fn loop_of(&self, name: &str) -> Option<(Vec<&'a str>, String)> {
        let start = (0..self.to)
            .rev()
            .find(|at| self.text(*at) == "for" && self.variables(*at).0.contains(&name))?;
        // A later declaration of the name would hide the loop's.
        let (variables, after) = self.variables(start);
        if (after..self.to).any(|at| self.text(at) == name && self.text(at - 1) == "local") {
            return None;
        }
        if self.text(after) != "in" {
            return None;
        }
        let last = (after + 1..self.tokens.len())
            .take_while(|at| self.is_name(*at) || self.text(*at) == ".")
            .last()?;
        Some((variables, (after + 1..=last).map(|at| self.text(at)).collect()))
    }

    /// Names of all locals and parameters.
    pub fn declared(&self) -> Vec<String> {
        let mut names = Vec::new();
        for at in 0..self.tokens.len() {
            let (start, is_list) = match self.text(at) {
                "local" if self.text(at + 1) == "function" => (at + 1, false),
                "local" | "for" => (at, true),
                "function" => {
                    let is_name =
                        |at: &usize| self.is_name(*at) || matches!(self.text(*at), "." | ":");
                    ((at + 1..self.tokens.len()).find(|at| !is_name(at)).unwrap_or(at), true)
                }
                _ => continue,
            };
            let found = if is_list { self.variables(start).0 } else { vec![self.text(start + 1)] };
            names.extend(found.into_iter().map(str::to_owned));
            if names.len() > MAX_NAMES {
                break;
            }
        }
        names
    }

    /// Variables of a `for`, and the token after them.
    fn variables(&self, start: usize) -> (Vec<&'a str>, usize) {
        let mut at = start + 1;
        let mut names = Vec::new();
        while self.is_name(at) {
            names.push(self.text(at));
            if self.text(at + 1) != "," {
                return (names, at + 1);
            }
            at += 2;
        }
        (names, at)
    }

    /// Function whose first result was assigned to a name last: its own name, such as `match`.
    pub fn assigned_from(&self, name: &str) -> Option<&'a str> {
        let is_assignment = |at: &usize| {
            self.is_name(*at) && self.text(*at) == name && {
                let before = at.checked_sub(1).map_or("", |before| self.text(before));
                let after = self.text(at + 1);
                !matches!(before, "." | ":" | ",") && (after == "=" || after == ",")
            }
        };
        let at = (0..self.to).rev().find(is_assignment)?;
        let equals = (at..self.to).find(|at| self.text(*at) == "=")?;
        let of_statement = |at: &usize| self.is_name(*at) || matches!(self.text(*at), "," | "=");
        if !(at..equals).all(|at| of_statement(&at)) {
            return None;
        }
        self.last_call(equals + 1)
    }

    /// Function that is called last in an expression: `match` in `("x"):upper():match("a")`.
    fn last_call(&self, start: usize) -> Option<&'a str> {
        /// Upper bound on the tokens of an expression.
        const EXPRESSION: usize = 200;
        let (mut depth, mut called) = (0_usize, None);
        for at in start..self.tokens.len().min(start + EXPRESSION) {
            let text = self.text(at);
            match self.tokens[at].kind {
                TokenKind::Open => {
                    if depth == 0 && text == "(" && at > start && self.is_name(at - 1) {
                        called = Some(self.text(at - 1));
                    }
                    depth += 1;
                }
                TokenKind::Close => depth = depth.checked_sub(1)?,
                _ if depth > 0 => {}
                _ if matches!(text, "." | ":") => called = None,
                // The first token, or a name after a dot; everything else is another expression.
                _ if at == start || matches!(self.text(at - 1), "." | ":") => {}
                TokenKind::Keyword if matches!(text, "or" | "and") => return None,
                // The next statement begins with a name or keyword.
                TokenKind::Name | TokenKind::Keyword if called.is_some() => return called,
                _ => return None,
            }
        }
        called
    }
}
