//! Findings: what is wrong, where, and the rule that says so.

use std::path::PathBuf;

use super::syntax::Span;

/// Weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that fails whenever it runs.
    Error,
    /// Something that is most likely a mistake.
    Warning,
}

impl Severity {
    /// Word for it, as in SARIF.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Defines the rules: each with its name and its description.
macro_rules! rules {
    ($($variant:ident $name:literal $text:literal)*) => {
        /// Kind of a finding. Rules that the Lua language server has too share its names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $variant,)*
        }

        impl Rule {
            /// All rules, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in reports and in comments that suppress it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Description in a sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

rules! {
    SyntaxError "syntax-error" "Text that Lua cannot compile."
    Unreadable "unreadable" "File that is no script: binary, compiled, too large or unreadable."
    NotChecked "not-checked" "Script of which only the syntax was checked."
    UndefinedGlobal "undefined-global" "Global that nothing defines."
    UndefinedField "undefined-field"
        "Field that a table of iamlua, a module, a record or the parameters of a runbook lack."
    Unavailable "unavailable" "Function of plain Lua that is not available in scripts."
    ModuleNotFound "module-not-found" "Module that `require` cannot find."
    ColonCall "colon-call" "Function of a module that is called as a method."
    UnknownOption "unknown-option" "Key that a table of options or a manifest does not have."
    MissingFields "missing-fields" "Table without a key that it needs."
    AssignTypeMismatch "assign-type-mismatch" "Value of the wrong type for an option."
    ParamTypeMismatch "param-type-mismatch" "Argument of the wrong type."
    NeedCheckNil "need-check-nil" "Field of a value that is nil."
    NotIterable "not-iterable" "Loop over a value that is no iterator."
    InvalidOperand "invalid-operand" "Operand that an operator cannot take."
    ConstantComparison "constant-comparison" "Comparison whose result never changes."
    MissingParameter "missing-parameter" "Call without an argument that it needs."
    RedundantParameter "redundant-parameter" "Call with more arguments than the function takes."
    InvalidManifest "invalid-manifest" "Manifest that its runbook refuses."
    UnknownFunction "unknown-function" "Entry of `allow` that is no function of `iam`."
    NotAllowed "not-allowed" "Call of a function of `iam` that `allow` lacks."
    UnusedAllow "unused-allow" "Entry of `allow` that nothing calls."
}

impl Rule {
    /// Rule of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// Position in a file, from 1. Columns are counted in characters (Unicode scalar values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Something that is wrong in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File, as it was named.
    pub path: PathBuf,
    /// Beginning.
    pub start: Position,
    /// End: the position after the last character, which may be on a later line.
    pub end: Position,
    /// Text of the line at the beginning.
    pub line: String,
    /// Weight.
    pub severity: Severity,
    /// Rule.
    pub rule: Rule,
    /// Description of what is wrong.
    pub message: String,
    /// Next step; may be empty.
    pub hint: String,
}

/// Finding in a file whose positions are still bytes.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub span: Span,
    pub severity: Severity,
    pub rule: Rule,
    pub message: String,
    pub hint: String,
    /// Facts about the files that run together, each of which makes the finding uncertain.
    pub unless: Vec<Doubt>,
}

impl Draft {
    pub fn error(rule: Rule, span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { span, severity: Severity::Error, rule, message, hint: String::new(), unless: vec![] }
    }

    pub fn warning(rule: Rule, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(rule, span, message) }
    }

    /// Error or warning.
    pub fn of(is_certain: bool, rule: Rule, span: Span, message: impl Into<String>) -> Self {
        if is_certain {
            Self::error(rule, span, message)
        } else {
            Self::warning(rule, span, message)
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds "did you mean", if there is a similar word.
    pub fn near(self, word: Option<&str>) -> Self {
        match word {
            Some(word) => self.hint(format!("did you mean `{word}`?")),
            None => self,
        }
    }

    pub fn unless(mut self, doubt: Doubt) -> Self {
        self.unless.push(doubt);
        self
    }
}

/// Fact about the files that run together that makes a finding uncertain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A file assigns this global, or can define globals in ways that are not followed.
    Global(String),
    /// A file assigns this global of the library.
    Replaced(String),
    /// A file assigns a field of that name.
    Field(String),
    /// A table of the library is handed on, so that others can change it.
    Table(String),
    /// The file is a module of a test.
    Test,
    /// The file tests a name before it uses it.
    Tested(String),
}

/// Positions of bytes in a text.
pub(super) struct Lines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Lines<'s> {
    pub fn of(source: &'s str) -> Self {
        let ends = memchr::memchr_iter(b'\n', source.as_bytes()).map(|at| at + 1);
        Self { source, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Number of the line of a byte, from 0.
    pub fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    pub fn position(&self, at: usize) -> Position {
        let line = self.number(at);
        let before = self.source.get(self.starts[line]..at).unwrap_or_default();
        Position { line: line + 1, column: before.chars().count() + 1 }
    }

    /// Text of a line without its end.
    pub fn text(&self, number: usize) -> &'s str {
        let start = self.starts.get(number).copied().unwrap_or(self.source.len());
        let end = self.starts.get(number + 1).copied().unwrap_or(self.source.len());
        self.source[start..end].trim_end_matches(['\n', '\r'])
    }

    /// First byte of a line, from 0.
    pub fn start(&self, number: usize) -> usize {
        self.starts.get(number).copied().unwrap_or(self.source.len())
    }

    /// Number of lines.
    pub fn count(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let lines = Lines::of("a\nä🦀b\r\n\nx");
        for (at, line, column) in
            [(0, 1, 1), (2, 2, 1), (4, 2, 2), (8, 2, 3), (11, 3, 1), (12, 4, 1), (13, 4, 2)]
        {
            assert_eq!(lines.position(at), Position { line, column }, "{at}");
        }
        assert_eq!(lines.text(1), "ä🦀b");
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_name(rule.name()), Some(*rule));
            assert!(rule.text().ends_with('.'), "{}", rule.text());
        }
    }
}
