//! Scope analysis of Lua source. For each statement: the names that it declares and assigns for the
//! following code, the names that it reads, and the functions that it calls. Locals of blocks,
//! loops and functions are resolved and left out. The text must have been compiled by Lua before,
//! which reports the errors.

use std::collections::BTreeSet;
use std::ops::Range;

use super::tokens::{Token, TokenKind, tokens};

/// Maximum nesting of statements and expressions, which is Lua's own limit (`LUAI_MAXCCALLS`).
const MAX_DEPTH: usize = 200;

/// Outermost statements of a piece of Lua.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Statements, in order.
    pub statements: Vec<Statement>,
}

/// A statement outside of every block.
#[allow(clippy::struct_excessive_bools, reason = "they are facts that do not exclude each other")]
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// Byte range of the statement.
    pub at: Range<usize>,
    /// Names that it declares with `local` for the following statements.
    pub locals: Vec<String>,
    /// Presence of a `<close>` local, which ends with its chunk.
    pub has_close: bool,
    /// Presence of a label or `goto`, which are known in the whole of their block.
    pub has_label: bool,
    /// Presence of a `return` outside of functions.
    pub returns: bool,
    /// A definition: `local`, `function`, or an assignment to plain names.
    pub is_definition: bool,
    /// Names in it, except locals of blocks and functions.
    pub names: Vec<Name>,
    /// Functions that it calls: `iam.profiles.get`, or `?` where the callee is not a chain of
    /// names.
    pub calls: BTreeSet<String>,
    /// Presence of calls outside of function bodies, which happen when the statement runs.
    pub calls_now: bool,
}

/// An occurrence of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Offset of its first byte.
    pub at: usize,
    /// Assignment of a new value, rather than a use.
    pub is_assigned: bool,
    /// Occurrence in the body of a function, which may run later.
    pub in_function: bool,
}

impl Statement {
    /// Names that it declares or assigns when it runs.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        let assigned = self.names.iter().filter(|name| name.is_assigned && !name.in_function);
        self.locals.iter().map(String::as_str).chain(assigned.map(|name| name.text.as_str()))
    }
}

impl Chunk {
    /// Names in all of its statements.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.statements.iter().flat_map(|statement| &statement.names)
    }

    /// Names that its statements declare or assign when they run.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(Statement::defined)
    }
}

/// Statements of a text; `None` if it cannot be parsed, as with a text that Lua refuses.
#[must_use]
pub fn parse(text: &str) -> Option<Chunk> {
    let all = tokens(text);
    let all =
        all.into_iter().filter(|token| !matches!(token.kind, TokenKind::Comment { .. })).collect();
    let mut parser =
        Parser { text, all, at: 0, scopes: Vec::new(), functions: 0, depth: 0, now: Vec::new() };
    let mut statements = Vec::new();
    while parser.at < parser.all.len() {
        let start = parser.all[parser.at].at.start;
        parser.now.push(Statement::default());
        parser.statement(true)?;
        let mut statement = parser.now.pop()?;
        statement.at = start..parser.all[parser.at - 1].at.end;
        statements.push(statement);
    }
    Some(Chunk { statements })
}

/// Left side of an assignment, or a call.
struct AssignmentTarget {
    /// Index of its plain name in the names of the statement; none if the name is bound.
    name: Option<usize>,
    is_plain: bool,
    is_call: bool,
}

struct Parser<'t> {
    text: &'t str,
    all: Vec<Token>,
    at: usize,
    /// Locals of the enclosing blocks; none outside of all blocks.
    scopes: Vec<Vec<&'t str>>,
    functions: usize,
    /// Number of the enclosing statements and expressions.
    depth: usize,
    now: Vec<Statement>,
}

impl<'t> Parser<'t> {
    fn word(&self) -> &'t str {
        self.word_at(self.at)
    }

    fn word_at(&self, at: usize) -> &'t str {
        match self.all.get(at) {
            Some(token) if matches!(token.kind, TokenKind::Text { .. }) => "",
            Some(token) => token.text(self.text),
            None => "",
        }
    }

    fn kind(&self) -> Option<TokenKind> {
        self.all.get(self.at).map(|token| token.kind)
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_there = self.word() == word && self.kind().is_some();
        self.at += usize::from(is_there);
        is_there
    }

    fn need(&mut self, word: &str) -> Option<()> {
        self.skip(word).then_some(())
    }

    fn name(&mut self) -> Option<&'t str> {
        let name = (self.kind()? == TokenKind::Name).then(|| self.word())?;
        self.at += 1;
        Some(name)
    }

    fn statement_now(&mut self) -> Option<&mut Statement> {
        self.now.last_mut()
    }

    /// Records a use of the name at `at`; returns its index in the names if it is free.
    fn use_name(&mut self, name: &str, at: usize) -> Option<usize> {
        if self.scopes.iter().any(|scope| scope.contains(&name)) {
            return None;
        }
        let in_function = self.functions > 0;
        let names = &mut self.now.last_mut()?.names;
        names.push(Name { text: name.to_owned(), at, is_assigned: false, in_function });
        Some(names.len() - 1)
    }

    fn assign(&mut self, name: Option<usize>) {
        if let (Some(name), Some(statement)) = (name, self.now.last_mut()) {
            statement.names[name].is_assigned = true;
        }
    }

    /// Parses a block up to its closing word, which is not consumed.
    fn block(&mut self, locals: Vec<&'t str>) -> Option<()> {
        self.scopes.push(locals);
        self.statements()?;
        self.scopes.pop();
        Some(())
    }

    fn statements(&mut self) -> Option<()> {
        while !matches!(self.word(), "end" | "else" | "elseif" | "until") {
            self.kind()?;
            self.statement(false)?;
        }
        Some(())
    }

    fn statement(&mut self, is_outermost: bool) -> Option<()> {
        self.nested(|parser| parser.statement_here(is_outermost))
    }

    /// Parses a construct that may nest; fails if it is too deep.
    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        let read = (self.depth <= MAX_DEPTH).then(|| read(self)).flatten();
        self.depth -= 1;
        read
    }

    fn statement_here(&mut self, is_outermost: bool) -> Option<()> {
        match self.word() {
            ";" | "break" => self.at += 1,
            "if" => {
                self.at += 1;
                self.expression()?;
                self.need("then")?;
                self.block(Vec::new())?;
                while self.skip("elseif") {
                    self.expression()?;
                    self.need("then")?;
                    self.block(Vec::new())?;
                }
                if self.skip("else") {
                    self.block(Vec::new())?;
                }
                self.need("end")?;
            }
            "while" => {
                self.at += 1;
                self.expression()?;
                self.need("do")?;
                self.block(Vec::new())?;
                self.need("end")?;
            }
            "do" => {
                self.at += 1;
                self.block(Vec::new())?;
                self.need("end")?;
            }
            "for" => self.for_loop()?,
            "repeat" => {
                self.at += 1;
                self.scopes.push(Vec::new());
                self.statements()?;
                self.need("until")?;
                // The condition can use the locals of the block.
                self.expression()?;
                self.scopes.pop();
            }
            "function" => self.function_statement(is_outermost)?,
            "local" => self.local(is_outermost)?,
            "return" => {
                self.at += 1;
                let in_function = self.functions > 0;
                self.statement_now()?.returns |= !in_function;
                if !matches!(self.word(), "" | ";" | "end" | "else" | "elseif" | "until")
                    || matches!(self.kind(), Some(TokenKind::Text { .. }))
                {
                    self.expressions()?;
                }
                self.skip(";");
            }
            "goto" => {
                self.at += 1;
                self.name()?;
                self.statement_now()?.has_label |= is_outermost;
            }
            "::" => {
                self.at += 1;
                self.name()?;
                self.need("::")?;
                self.statement_now()?.has_label |= is_outermost;
            }
            _ => self.expression_statement(is_outermost)?,
        }
        Some(())
    }

    fn for_loop(&mut self) -> Option<()> {
        self.at += 1;
        let mut names = vec![self.name()?];
        while self.skip(",") {
            names.push(self.name()?);
        }
        if !self.skip("=") {
            self.need("in")?;
        }
        self.expressions()?;
        self.need("do")?;
        self.block(names)?;
        self.need("end")
    }

    fn function_statement(&mut self, is_outermost: bool) -> Option<()> {
        self.at += 1;
        let at = self.all.get(self.at)?.at.start;
        let first = self.name()?;
        let name = self.use_name(first, at);
        let (mut is_plain, mut is_method) = (true, false);
        while self.skip(".") {
            self.name()?;
            is_plain = false;
        }
        if self.skip(":") {
            self.name()?;
            (is_plain, is_method) = (false, true);
        }
        if is_plain {
            self.assign(name);
        }
        self.statement_now()?.is_definition = is_outermost && is_plain;
        self.function_body(is_method)
    }

    fn local(&mut self, is_outermost: bool) -> Option<()> {
        self.at += 1;
        if self.skip("function") {
            let name = self.name()?;
            self.declare(vec![name], is_outermost)?;
            self.statement_now()?.is_definition = is_outermost;
            return self.function_body(false);
        }
        let mut names = vec![self.name()?];
        let mut has_close = self.attribute()?;
        while self.skip(",") {
            names.push(self.name()?);
            has_close |= self.attribute()?;
        }
        if self.skip("=") {
            self.expressions()?;
        }
        let statement = self.statement_now()?;
        statement.has_close |= is_outermost && has_close;
        statement.is_definition = is_outermost && !has_close;
        self.declare(names, is_outermost)
    }

    /// Parses an attribute, if there is one; returns true for `<close>`.
    fn attribute(&mut self) -> Option<bool> {
        if !self.skip("<") {
            return Some(false);
        }
        let name = self.name()?;
        self.need(">")?;
        Some(name == "close")
    }

    fn declare(&mut self, names: Vec<&'t str>, is_outermost: bool) -> Option<()> {
        if is_outermost {
            let names = names.into_iter().map(str::to_owned);
            self.now.last_mut()?.locals.extend(names);
        } else {
            self.scopes.last_mut()?.extend(names);
        }
        Some(())
    }

    fn expression_statement(&mut self, is_outermost: bool) -> Option<()> {
        let mut targets = vec![self.suffixed()?];
        while self.skip(",") {
            targets.push(self.suffixed()?);
        }
        if self.skip("=") {
            self.expressions()?;
            let are_plain = targets.iter().all(|target| target.is_plain);
            self.statement_now()?.is_definition = is_outermost && are_plain;
            for target in targets.iter().filter(|target| target.is_plain) {
                self.assign(target.name);
            }
            return Some(());
        }
        // A lone value is no statement.
        matches!(targets.as_slice(), [one] if one.is_call).then_some(())
    }

    /// Parses the parameters and the body of a function.
    fn function_body(&mut self, is_method: bool) -> Option<()> {
        self.need("(")?;
        let mut parameters = if is_method { vec!["self"] } else { Vec::new() };
        while !self.skip(")") {
            if !self.skip("...") {
                parameters.push(self.name()?);
            }
            self.skip(",");
        }
        self.functions += 1;
        self.block(parameters)?;
        self.functions -= 1;
        self.need("end")
    }

    fn expressions(&mut self) -> Option<()> {
        self.expression()?;
        while self.skip(",") {
            self.expression()?;
        }
        Some(())
    }

    fn expression(&mut self) -> Option<()> {
        self.nested(Self::expression_here)
    }

    fn expression_here(&mut self) -> Option<()> {
        const BETWEEN: [&str; 21] = [
            "+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<=", ">=", "<", ">", "<<", ">>",
            "&", "|", "~", "and", "or",
        ];
        loop {
            while matches!(self.word(), "not" | "-" | "#" | "~") {
                self.at += 1;
            }
            self.simple()?;
            if !BETWEEN.contains(&self.word()) {
                return Some(());
            }
            self.at += 1;
        }
    }

    fn simple(&mut self) -> Option<()> {
        match (self.kind()?, self.word()) {
            (TokenKind::Number | TokenKind::Text { .. }, _)
            | (_, "nil" | "true" | "false" | "...") => {
                self.at += 1;
                Some(())
            }
            (_, "function") => {
                self.at += 1;
                self.function_body(false)
            }
            (_, "{") => self.table(),
            _ => self.suffixed().map(|_| ()),
        }
    }

    fn table(&mut self) -> Option<()> {
        self.need("{")?;
        while !self.skip("}") {
            if self.skip("[") {
                self.expression()?;
                self.need("]")?;
                self.need("=")?;
            } else if self.kind()? == TokenKind::Name && self.word_at(self.at + 1) == "=" {
                self.at += 2;
            }
            self.expression()?;
            if !self.skip(",") {
                self.skip(";");
            }
        }
        Some(())
    }

    /// Parses a name or an expression in parentheses, with the fields, indices and calls after it.
    fn suffixed(&mut self) -> Option<AssignmentTarget> {
        let mut target = AssignmentTarget { name: None, is_plain: false, is_call: false };
        // Names that lead to the function; none after an index or a call.
        let mut chain = None;
        if self.skip("(") {
            self.expression()?;
            self.need(")")?;
        } else {
            let at = self.all.get(self.at)?.at.start;
            let name = self.name()?;
            target =
                AssignmentTarget { name: self.use_name(name, at), is_plain: true, is_call: false };
            let is_bound = target.name.is_none();
            chain = (!is_bound).then(|| name.to_owned());
        }
        loop {
            target.is_call = match self.word() {
                "." => {
                    self.at += 1;
                    let field = self.name()?;
                    chain = chain.map(|chain| format!("{chain}.{field}"));
                    false
                }
                "[" => {
                    self.at += 1;
                    self.expression()?;
                    self.need("]")?;
                    chain = None;
                    false
                }
                ":" => {
                    self.at += 1;
                    self.name()?;
                    chain = None;
                    self.call(None)?;
                    true
                }
                _ if self.is_at_arguments() => {
                    self.call(chain.take())?;
                    true
                }
                _ => return Some(target),
            };
            target.is_plain = false;
        }
    }

    fn is_at_arguments(&self) -> bool {
        matches!(self.word(), "(" | "{") || matches!(self.kind(), Some(TokenKind::Text { .. }))
    }

    /// Parses the arguments of a call of that function.
    fn call(&mut self, chain: Option<String>) -> Option<()> {
        let is_now = self.functions == 0;
        let statement = self.statement_now()?;
        statement.calls.insert(chain.unwrap_or_else(|| "?".into()));
        statement.calls_now |= is_now;
        match self.word() {
            "{" => self.table(),
            "(" => {
                self.at += 1;
                if !self.skip(")") {
                    self.expressions()?;
                    self.need(")")?;
                }
                Some(())
            }
            _ if matches!(self.kind(), Some(TokenKind::Text { .. })) => {
                self.at += 1;
                Some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_lua_refuses_for_its_depth_does_not_end_the_program() {
        for (open, close) in [("(", ")"), ("{", "}"), ("f(function() ", " end)"), ("do ", " end")] {
            let nested = |n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
            assert!(parse(&format!("f = {}", nested(100_000))).is_none(), "{open}");
            assert!(parse(&nested(100_000)).is_none(), "{open}");
        }
        assert!(parse(&format!("f({}1{})", "{".repeat(190), "}".repeat(190))).is_some());
    }

    /// Each statement as `text: declared; assigned; read; calls`, with `'` after names in function
    /// bodies.
    fn shown(text: &str) -> Vec<String> {
        let chunk = parse(text).unwrap_or_else(|| panic!("{text}"));
        let of = |statement: &super::Statement| {
            let names = |is_assigned: bool| {
                let names = statement.names.iter().filter(|name| name.is_assigned == is_assigned);
                let names = names.map(|name| {
                    format!("{}{}", name.text, if name.in_function { "'" } else { "" })
                });
                names.collect::<Vec<_>>().join(" ")
            };
            let calls: Vec<_> = statement.calls.iter().map(String::as_str).collect();
            format!(
                "{}; {}; {}; {}",
                statement.locals.join(" "),
                names(true),
                names(false),
                calls.join(" ")
            )
        };
        chunk.statements.iter().map(of).collect()
    }

    #[test]
    fn names_of_blocks_and_functions_are_resolved() {
        for (text, statements) in [
            ("local x = y", vec!["x; ; y; "]),
            ("local a <const>, b = f()", vec!["a b; ; f; f"]),
            ("x, t.y = 1, _", vec!["; x; t _; "]),
            ("for _, p in ipairs(t) do print(_, p) end", vec!["; ; ipairs t print; ipairs print"]),
            ("for i = 1, n do local m = i g = m end", vec!["; g; n; "]),
            ("local function f(a) return f(a) .. b end", vec!["f; ; f' b'; f"]),
            ("function t.g(...) x = ... end", vec!["; x'; t; "]),
            ("function t:g() return self.x, y end", vec!["; ; t y'; "]),
            ("function g() end", vec!["; g; ; "]),
            ("f { name = name, [k] = 1; 'v' }", vec!["; ; f name k; f"]),
            ("iam.profiles.get 'a'.tags.Owner = _", vec!["; ; iam _; iam.profiles.get"]),
            ("('x'):rep(n)", vec!["; ; n; ?"]),
            ("repeat local x = f() until x > y", vec!["; ; f y; f"]),
            ("if a then local b = 1 elseif b then c() else d = #e end", vec!["; d; a b c e; c"]),
            ("while not x do break end", vec!["; ; x; "]),
            ("do local x = 1; x = 2 end x = 3", vec!["; ; ; ", "; x; ; "]),
            ("return function(...) return _ end, -x ^ 2 // 1 ~ ~3", vec!["; ; _' x; "]),
            ("goto a ::a:: f'' return", vec!["; ; ; ", "; ; ; ", "; ; f; f", "; ; ; "]),
            ("return 'x'", vec!["; ; ; "]),
            ("a.b.c(1)(2) -- d", vec!["; ; a; ? a.b.c"]),
        ] {
            assert_eq!(shown(text), statements, "{text}");
        }
    }

    #[test]
    fn what_is_no_lua_is_said_to_be_so() {
        for text in ["x = = 1", "local", "f(", "end", "for x do", "a:b", "a:b c", "1", "function f"]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn statements_are_told_apart_by_what_they_do() {
        let chunk = parse("local x <close> = f() y = 1; print(y) return y").expect("Lua");
        let all: Vec<_> = (chunk.statements.iter())
            .map(|s| (s.has_close, s.is_definition, s.calls_now, s.returns))
            .collect();
        assert_eq!(
            all,
            [
                (true, false, true, false),
                (false, true, false, false),
                (false, false, false, false),
                (false, false, true, false),
                (false, false, false, true)
            ]
        );
        let chunk = parse("local f = function() return g() end").expect("Lua");
        assert!(!chunk.statements[0].calls_now && chunk.statements[0].calls.contains("g"));
    }
}
