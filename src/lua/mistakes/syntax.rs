//! Hints for syntax errors: constructs of other languages, and words that are missing.

use super::super::tokens::{Token, TokenKind, tokens};
use super::{LIBRARIES, words};
use crate::{iam, stdlib};

/// Syntax error of Lua, and the text that has it.
pub struct SyntaxProblem<'a> {
    /// Whole text.
    pub source: &'a str,
    /// Message, with its position.
    pub message: &'a str,
    /// Place of the offending token in the text; its length for the end of the text.
    pub place: usize,
    /// Compiler of a changed text, which returns the place of its first error.
    pub compile: &'a dyn Fn(&str) -> Option<usize>,
}

/// Hint for a syntax error, if it is a known mistake.
pub fn hint(problem: &SyntaxProblem<'_>) -> Option<String> {
    let all = tokens(problem.source);
    let is_code = |token: &&Token| !matches!(token.kind, TokenKind::Comment { .. });
    let code: Vec<Token> = all.iter().filter(is_code).cloned().collect();
    let at = code.partition_point(|token| token.at.start < problem.place);
    let (mut lines, mut line, mut end) = (Vec::with_capacity(code.len()), 1, 0);
    for token in &code {
        line += problem.source[end..token.at.start].matches('\n').count();
        lines.push(line);
        end = token.at.start;
    }
    let text = Text { problem, all: &all, code: &code, lines: &lines, at };
    text.operator()
        .or_else(|| text.comment())
        .or_else(|| text.choice())
        .or_else(|| text.argument())
        .or_else(|| text.keyword())
        .or_else(|| text.quote())
        .or_else(|| text.block())
        .or_else(|| text.missing())
}

const FUNCTION: &str = "a function is written function(x) return … end";
const BLOCKS: &str = "a block is written `if … then … end`, `for … do … end`, `function(…) … end`";

/// Check for a module that scripts have without `require`.
fn is_there(module: &str) -> bool {
    LIBRARIES.contains(&module) || stdlib::modules().contains(&module)
}

/// Advice for a module of another language.
fn of_others(module: &str) -> Option<&'static str> {
    words::advice(words::GLOBALS, module).or_else(|| words::advice(words::MODULES, module))
}

struct Text<'a> {
    problem: &'a SyntaxProblem<'a>,
    /// All tokens.
    all: &'a [Token],
    /// Tokens without comments.
    code: &'a [Token],
    /// Their lines.
    lines: &'a [usize],
    /// The offending one among them.
    at: usize,
}

impl<'a> Text<'a> {
    fn says(&self, words: &str) -> bool {
        self.problem.message.contains(words)
    }

    fn text(&self, at: usize) -> &'a str {
        self.code.get(at).map_or("", |token| token.text(self.problem.source))
    }

    fn before(&self, distance: usize) -> &'a str {
        self.at.checked_sub(distance).map_or("", |at| self.text(at))
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.code.get(at).map(|token| token.kind)
    }

    fn is_name(&self, at: usize) -> bool {
        self.kind(at) == Some(TokenKind::Name)
    }

    fn is_text(&self, at: usize) -> bool {
        matches!(self.kind(at), Some(TokenKind::Text { .. }))
    }

    /// Check for two tokens without space between them.
    fn touch(&self, left: usize, right: usize) -> bool {
        match (self.code.get(left), self.code.get(right)) {
            (Some(left), Some(right)) => left.at.end == right.at.start,
            _ => false,
        }
    }

    fn line_of(&self, at: usize) -> usize {
        let end = || self.problem.source.matches('\n').count() + 1;
        self.lines.get(at).copied().unwrap_or_else(end)
    }

    /// First token of the line of a token.
    fn first_on_line(&self, at: usize) -> usize {
        let line = self.line_of(at);
        (0..at).rev().take_while(|at| self.line_of(*at) == line).last().unwrap_or(at)
    }

    fn begins_line(&self, at: usize) -> bool {
        at.checked_sub(1).is_none_or(|before| self.line_of(before) != self.line_of(at))
    }

    /// Indentation of the line of a token, in characters.
    fn indentation(&self, at: usize) -> usize {
        let start = self.code[at].at.start;
        let line = &self.problem.source[..start];
        let line = &self.problem.source[line.rfind('\n').map_or(0, |end| end + 1)..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// Signs of other languages.
    fn operator(&self) -> Option<String> {
        let (at, token) = (self.at, self.text(self.at));
        let next = if self.touch(at, at + 1) { self.text(at + 1) } else { "" };
        let previous = match at.checked_sub(1) {
            Some(before) if self.touch(before, at) => self.text(before),
            _ => "",
        };
        let advice = match (previous, token, next) {
            (_, "!", next) if next.starts_with('=') => "`~=` means \"not equal\" in Lua".into(),
            (_, "!", _) => "`not` negates in Lua".into(),
            ("==" | "~=", "=", _) => "`==` compares, `~=` means \"not equal\"".into(),
            (_, "=", ">") | ("=", ">", _) => FUNCTION.into(),
            ("=", "<", _) => "\"at most\" is written `<=`".into(),
            ("<", ">", _) => "`~=` means \"not equal\" in Lua".into(),
            ("*", "*", _) => "a power is written x ^ y".into(),
            ("+", "+", _) | (_, "+", "+") => {
                let name = self.counted(if previous == "+" { at - 1 } else { at });
                format!("Lua has no `++`: {name} = {name} + 1")
            }
            (sign @ ("+" | "-" | "*" | "/" | "//" | "%" | "^" | ".." | "&" | "|"), "=", _)
            | (_, sign @ ("+" | "-" | "*" | "/" | "//" | "%" | "^" | ".." | "&" | "|"), "=") => {
                let name = self.counted(if token == "=" { at - 1 } else { at });
                format!("Lua has no `{sign}=`: {name} = {name} {sign} …")
            }
            ("&", "&", _) | (_, "&", "&") => "`and` connects conditions in Lua".into(),
            ("|", "|", _) | (_, "|", "|") => "`or` connects conditions in Lua".into(),
            (_, "?", ".") => "Lua has no `?.`: (x or {}).field".into(),
            (_, "?", "?") => "Lua has no `??`: x or other".into(),
            (_, "?", _) => "Lua has no `a ? b : c`: a and b or c, or if … then … else … end".into(),
            (_, "$", _) => "variables have no `$` in Lua".into(),
            (_, "`", _) => "texts stand in \"…\", '…' or [[…]] in Lua".into(),
            (_, "@", _) => "Lua has no `@`".into(),
            (_, "[", _) if self.says("unexpected symbol near '['") => {
                "a list is written { 1, 2, 3 }, in braces".into()
            }
            _ => return None,
        };
        Some(advice)
    }

    /// Name before an operator, to show the statement that is meant.
    fn counted(&self, operator: usize) -> &'a str {
        let before = operator.checked_sub(1).filter(|before| self.is_name(*before));
        let is_alone = |at: &usize| {
            at.checked_sub(1).is_none_or(|before| !matches!(self.text(before), "." | ":"))
        };
        before.filter(is_alone).map_or("x", |before| self.text(before))
    }

    /// Comments of other languages, and a comment that was none.
    fn comment(&self) -> Option<String> {
        const HINT: &str = "a comment begins with `--` in Lua, or stands in --[[ … ]]";
        let (at, token) = (self.at, self.text(self.at));
        if token == "/" && self.text(at + 1) == "*" && self.touch(at, at + 1) {
            return Some(HINT.into());
        }
        if matches!(token, "//" | "#") && self.begins_line(at) {
            return Some(HINT.into());
        }
        // `n--`: the rest of the line is a comment.
        let start = self.problem.place;
        let last = self.all.iter().rposition(|token| token.at.start < start)?;
        let comment = &self.all[last];
        if matches!(comment.kind, TokenKind::Comment { .. })
            && comment.text(self.problem.source).trim_end() == "--"
            && last > 0
            && self.all[last - 1].at.end == comment.at.start
            && self.all[last - 1].kind == TokenKind::Name
        {
            let name = self.all[last - 1].text(self.problem.source);
            return Some(format!("Lua has no `--`, which begins a comment: {name} = {name} - 1"));
        }
        // `x = 1 // comment`: possible if the text is right without it.
        let before = at.checked_sub(1)?;
        let line = self.line_of(before);
        let slashes = (0..at)
            .rev()
            .take_while(|at| self.line_of(*at) == line)
            .filter(|at| self.text(*at) == "//")
            .last()?;
        let place = self.code[slashes].at.start;
        let (left, right) = self.problem.source.split_at(place);
        let fixed = format!("{left}--{}", &right[2..]);
        self.is_better(&fixed).then(|| format!("if `// …` is a comment: {HINT}"))
    }

    /// Check that a changed text has no error, or a later one.
    fn is_better(&self, fixed: &str) -> bool {
        (self.problem.compile)(fixed).is_none_or(|line| line > self.line_of(self.at))
    }

    /// Keywords of other languages.
    fn keyword(&self) -> Option<String> {
        let at = self.at;
        let first = self.text(self.first_on_line(at));
        let (before, token) = (self.before(1), self.text(at));
        if matches!(first, "elif" | "elsif" | "elseIf") && self.first_on_line(at) < at {
            return Some(format!("`{first}` is written `elseif` in Lua"));
        }
        if before == "continue" && self.begins_line(at - 1) {
            return Some(
                "Lua has no `continue`: `goto continue`, with `::continue::` before the `end` of \
                 the loop"
                    .into(),
            );
        }
        let declares = self.says("syntax error near") && self.is_name(at);
        match before {
            "var" | "let" | "const" | "int" | "string" | "float" | "double" | "bool" | "auto"
            | "my" | "val"
                if declares =>
            {
                Some(format!("a variable is declared by `local {token} = …`"))
            }
            "def" | "func" | "fn" | "fun" | "sub" if declares => {
                Some(format!("a function is written function {token}(…) … end"))
            }
            "import" | "include" | "using" | "from" if declares && is_there(token) => {
                Some(format!("{token} is there without `{before}`"))
            }
            "import" | "include" | "using" | "from" if declares && of_others(token).is_some() => {
                of_others(token).map(str::to_owned)
            }
            "with" if declares => Some(
                "Lua has no `with`: fs.read(path) reads a file, fs.write(path, text) writes one, \
                 and io.open(path) opens one"
                    .into(),
            ),
            "except" | "catch" | "finally" if declares || token == "{" => Some(words::TRY.into()),
            "import" | "include" | "using" | "from" if declares => {
                Some(format!("a module is loaded by local {token} = require(\"{token}\")"))
            }
            "class" if declares => {
                Some("Lua has no classes; tables hold data and functions".into())
            }
            "new" if declares => Some(format!("Lua has no `new`: {token}(…)")),
            "lambda" => Some(FUNCTION.into()),
            "foreach" | "forEach" => Some("for _, x in ipairs(list) do … end".into()),
            "for" if token == "(" => Some("a loop that counts is written for i = 1, 10 do".into()),
            _ if self.says("malformed number near") && self.says("..") => {
                Some("a loop that counts is written for i = 1, 10 do".into())
            }
            _ if self.says("expected near 'in'") && first != "for" => Some(
                "`in` belongs to loops; map[key] ~= nil tests for a key, a loop for an element"
                    .into(),
            ),
            _ => self.call_without_parentheses(),
        }
    }

    /// `a if c else b`.
    fn choice(&self) -> Option<String> {
        let at = self.at;
        let line = self.line_of(at);
        let on_line = |at: &usize| *at < self.code.len() && self.line_of(*at) == line;
        let is_choice = match self.text(at) {
            // `print("a" if c else "b")`
            "if" => {
                let starts = ["", ";", "else", "then", "do", "end", "repeat", "return"];
                let mut rest = (at + 1..self.code.len()).take_while(on_line);
                let next = rest.find(|at| matches!(self.text(*at), "else" | "then"));
                !self.begins_line(at)
                    && !starts.contains(&self.before(1))
                    && next.is_some_and(|next| self.text(next) == "else")
            }
            // `x = "a" if c else "b"`
            "else" if self.says("'then' expected") => {
                let mut before = (0..at).rev().take_while(on_line);
                before.find(|at| self.text(*at) == "if").is_some_and(|at| !self.begins_line(at))
            }
            _ => false,
        };
        is_choice.then(|| {
            "Lua has no `a if c else b`: c and a or b, or if c then … else … end".to_owned()
        })
    }

    /// Last bracket before a token that is open there.
    fn open_bracket(&self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..at.min(self.code.len())).rev() {
            match self.kind(at) {
                Some(TokenKind::Close) => depth += 1,
                Some(TokenKind::Open) if depth == 0 => return Some(at),
                Some(TokenKind::Open) => depth -= 1,
                _ => {}
            }
        }
        None
    }

    /// `{ name: value }` and `f(name = value)`.
    fn argument(&self) -> Option<String> {
        let at = self.at;
        let open = self.open_bracket(at)?;
        let is_first = |at: usize| at == open || matches!(self.text(at), "," | ";");
        // `name:` looks like a call of a method.
        let colon = if self.says("<name> expected near") {
            at.checked_sub(1)
        } else if self.says("function arguments expected near") {
            at.checked_sub(2)
        } else {
            None
        };
        if let Some(colon) = colon.filter(|colon| self.text(*colon) == ":" && *colon >= open + 2)
            && self.text(open) == "{"
            && self.is_name(colon - 1)
            && is_first(colon - 2)
        {
            return Some(format!("a field is written {} = …", self.text(colon - 1)));
        }
        if self.text(at) != "="
            || !self.says("')' expected near '='")
            || self.text(open) != "("
            || at < open + 2
            || !self.is_name(at - 1)
            || !is_first(at - 2)
        {
            return None;
        }
        let is_part = |at: &usize| self.is_name(*at) || matches!(self.text(*at), "." | ":");
        let first = (0..open).rev().take_while(is_part).last()?;
        let path: String = (first..open).map(|at| self.text(at)).collect();
        // The parameters of a definition, and conditions, are told by `block`.
        let conditions = ["if", "elseif", "while", "until"];
        let before = first.checked_sub(1).map_or("", |before| self.text(before));
        if before == "function" || conditions.contains(&self.text(self.first_on_line(at))) {
            return None;
        }
        let name = self.before(1);
        let function = path.rsplit(['.', ':']).next().unwrap_or(&path);
        if let Some(entry) = path.strip_prefix("iam.").and_then(iam::find) {
            let own = words::advice(words::AWS_FIELDS, name).unwrap_or(name);
            let own = if entry.spec.param(own).is_some() { own } else { name };
            return Some(format!(
                "named arguments stand in a table: {function} {{ {own} = … }}; it is called as {}",
                entry.spec.signature()
            ));
        }
        Some(format!(
            "Lua has no named arguments: pass the values in their order, or a table if {function} \
             takes one: {function} {{ {name} = … }}"
        ))
    }

    /// `print "a" .. b`, and a method in place of a field.
    fn call_without_parentheses(&self) -> Option<String> {
        let at = self.at;
        if at >= 2 && self.text(at) == ".." && self.is_text(at - 1) && self.is_name(at - 2) {
            let function = self.before(2);
            return Some(format!(
                "without parentheses only the text is the argument: {function}({} .. …)",
                self.before(1)
            ));
        }
        if self.says("function arguments expected") && self.before(2) == ":" {
            return Some(format!("a field is reached with a dot: .{}", self.before(1)));
        }
        None
    }

    /// Texts without their end.
    fn quote(&self) -> Option<String> {
        if self.says("unfinished string near") {
            return Some(
                "a text in quotes ends in its line: close it, or write it in [[ … ]]".into(),
            );
        }
        if self.says("unfinished long ") {
            return Some("the `]]` that ends it is missing".into());
        }
        if self.says("invalid escape sequence") {
            return Some("a backslash in a text is written \\\\, or the text in [[ … ]]".into());
        }
        let before = self.at.checked_sub(1)?;
        let is_after_text = self.is_text(before) && self.touch(before, self.at);
        let quote = self.text(before).chars().next()?;
        let other = if quote == '"' { '\'' } else { '"' };
        (is_after_text && self.is_name(self.at) && quote != '[').then(|| {
            format!("the text ends at the {quote} before: write it in {other}, or \\{quote} in it")
        })
    }

    /// Blocks of other languages, and a statement after `return`.
    fn block(&self) -> Option<String> {
        let (at, before, token) = (self.at, self.before(1), self.text(self.at));
        let first = self.text(self.first_on_line(at));
        let misses_condition_end = self.says("'then' expected") || self.says("'do' expected");
        let conditions = ["if", "elseif", "while", "until"];
        let in_condition = self.says("')' expected") && conditions.contains(&first);
        if token == "=" && (misses_condition_end || in_condition) {
            return Some("`==` compares; `=` assigns".into());
        }
        if token == "=" && self.says("')' expected") && self.is_in_parameters(at) {
            return Some(format!("a parameter has no default: {before} = {before} or …, inside"));
        }
        let opens_block = matches!(before, ")" | "else" | "then" | "do");
        if token == "{" && (misses_condition_end || opens_block) {
            return Some(BLOCKS.into());
        }
        if misses_condition_end && before == "}" && self.is_block_in_braces(at - 1) {
            return Some(BLOCKS.into());
        }
        let opener = self.opener();
        if let Some(("{", line)) = opener
            && self.is_braced_block(line)
        {
            return Some(BLOCKS.into());
        }
        if (token == ":" || before == ":")
            && matches!(first, "if" | "else" | "while" | "for" | "elseif")
        {
            return Some(BLOCKS.into());
        }
        if misses_condition_end && self.is_block_with_colon() {
            return Some(BLOCKS.into());
        }
        let ends_early = self.says("'end' expected") || self.says("<eof> expected");
        if ends_early && token != "end" && at < self.code.len() && self.begins_statement() {
            let statement = (0..at).rev().take_while(|at| {
                let ends = ["then", "do", "else", "end", "until", "repeat", "function"];
                !ends.contains(&self.text(*at))
            });
            if statement.into_iter().any(|at| self.text(at) == "return") {
                return Some(
                    "`return` is the last statement of its block: do return … end in the middle"
                        .into(),
                );
            }
        }
        if self.says("<eof> expected near 'end'") {
            return Some(
                "this `end` closes nothing: every block before it is closed already".into(),
            );
        }
        None
    }

    /// Check for a name or keyword at the beginning of a line, or after a `;`.
    fn begins_statement(&self) -> bool {
        let is_word = self.is_name(self.at) || self.kind(self.at) == Some(TokenKind::Keyword);
        is_word && (self.begins_line(self.at) || self.before(1) == ";")
    }

    /// Word and line of "(to close 'if' at line 2)" in the message.
    fn opener(&self) -> Option<(&'a str, usize)> {
        let Some((_, rest)) = self.problem.message.split_once("(to close '") else {
            // Lua names no line that is that of the error.
            return self.says("'}' expected").then(|| ("{", self.line_of(self.at)));
        };
        let (word, rest) = rest.split_once("' at line ")?;
        Some((word, rest.split(')').next()?.parse().ok()?))
    }

    fn is_in_parameters(&self, at: usize) -> bool {
        let inside = |at: &usize| self.is_name(*at) || matches!(self.text(*at), "," | "=");
        let open =
            (0..at).rev().find(|at| !inside(at) && self.kind(*at) != Some(TokenKind::Number));
        open.is_some_and(|open| {
            let name = |at: &usize| self.is_name(*at) || matches!(self.text(*at), "." | ":");
            let header = (0..open).rev().find(|at| !name(at));
            self.text(open) == "(" && header.is_some_and(|at| self.text(at) == "function")
        })
    }

    /// Check for a `}` whose `{` ends the line of a condition.
    fn is_block_in_braces(&self, close: usize) -> bool {
        let mut depth = 0;
        let open = (0..=close).rev().find(|at| {
            match self.text(*at) {
                "}" => depth += 1,
                "{" => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        open.is_some_and(|open| self.is_braced_block(self.line_of(open)))
    }

    /// Check for a head such as `for x in list:` in an earlier line, whose colon Lua takes for that
    /// of a method.
    fn is_block_with_colon(&self) -> bool {
        let begins = |at: &usize| {
            self.begins_line(*at) && matches!(self.text(*at), "if" | "elseif" | "while" | "for")
        };
        let Some(first) = (0..self.at).rev().find(begins) else { return false };
        let line = self.line_of(first);
        let last = (first..self.code.len()).take_while(|at| self.line_of(*at) == line).last();
        last.is_some_and(|last| last < self.at && self.text(last) == ":")
    }

    /// Check for a line such as `while (x) {`.
    fn is_braced_block(&self, line: usize) -> bool {
        let first = (0..self.code.len()).find(|at| self.line_of(*at) == line);
        let Some(first) = first else { return false };
        let last = (first..self.code.len()).take_while(|at| self.line_of(*at) == line).last();
        let begins = ["if", "while", "for", "elseif", "else"];
        begins.contains(&self.text(first)) && last.is_some_and(|last| self.text(last) == "{")
    }

    /// Words and signs that are missing.
    fn missing(&self) -> Option<String> {
        if self.says("'end' expected") && self.at >= self.code.len() {
            return Some(self.missing_end());
        }
        if self.says("'then' expected") {
            return Some("a condition ends with `then`: if x then … end".into());
        }
        if self.says("'do' expected") {
            return Some("the head of a loop ends with `do`: for i = 1, 3 do … end".into());
        }
        let (opener, line) = self.opener()?;
        match opener {
            "{" if self.text(self.at) == ":" => {
                Some("a field of a table is written name = value".into())
            }
            "{" if self.at < self.code.len() && self.starts_field() => {
                Some("fields of a table are separated by commas: one is missing before this".into())
            }
            "{" if self.text(self.at) == "="
                && self.at.checked_sub(1).is_some_and(|at| self.is_text(at)) =>
            {
                let key = self.before(1);
                Some(format!("a key that is no name stands in brackets: [{key}] = …"))
            }
            "{" if self.at < self.code.len() => None,
            "(" | "[" | "{" => Some(format!("the `{opener}` of line {line} is not closed")),
            _ => None,
        }
    }

    fn starts_field(&self) -> bool {
        self.is_name(self.at)
            || self.is_text(self.at)
            || self.kind(self.at) == Some(TokenKind::Number)
            || matches!(self.text(self.at), "{" | "[")
    }

    /// Block that is not closed.
    fn missing_end(&self) -> String {
        if let Some(line) = self.else_if() {
            return format!(
                "`else if` in line {line} opens a second block, with an `end` of its own: write \
                 `elseif`"
            );
        }
        if let Some((word, line)) = self.unclosed_by_indentation() {
            return format!(
                "by the indentation, the `{word}` of line {line} is the one without an `end`"
            );
        }
        let (word, line) = self.opener().unwrap_or(("block", 1));
        format!("each `{word}` has an `end` of its own: the one of line {line} has none")
    }

    /// Line of the first `else if`, if the text is right with `elseif` in its place.
    fn else_if(&self) -> Option<usize> {
        let mut fixed = self.problem.source.to_owned();
        let mut first = None;
        for at in (1..self.code.len()).rev() {
            if self.text(at - 1) == "else"
                && self.text(at) == "if"
                && self.line_of(at) == self.line_of(at - 1)
            {
                fixed.replace_range(self.code[at - 1].at.end..self.code[at].at.start, "");
                first = Some(self.line_of(at));
            }
        }
        first.filter(|_| (self.problem.compile)(&fixed).is_none())
    }

    /// First block that ends at a line with less indentation than its own.
    fn unclosed_by_indentation(&self) -> Option<(&'a str, usize)> {
        let mut open: Vec<usize> = Vec::new();
        let mut is_loop = false;
        for at in 0..self.code.len() {
            if self.code[at].kind != TokenKind::Keyword {
                continue;
            }
            match self.text(at) {
                "for" | "while" => {
                    open.push(at);
                    is_loop = true;
                }
                "do" if is_loop => is_loop = false,
                "function" | "if" | "repeat" | "do" => open.push(at),
                "end" | "until" => {
                    let opener = open.pop()?;
                    if self.begins_line(at) && self.indentation(at) < self.indentation(opener) {
                        return Some((self.text(opener), self.line_of(opener)));
                    }
                }
                _ => {}
            }
        }
        None
    }
}
