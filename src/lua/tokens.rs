//! Lexer of Lua source, including text that is being typed: it never fails, and every byte belongs
//! to a token or to the white space between two. Used for colours, brackets, completion and the
//! locals of the REPL; for everything else Lua itself decides.

use std::ops::Range;

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name.
    Name,
    /// A reserved word.
    Keyword,
    /// A number.
    Number,
    /// Text in quotes or long brackets.
    Text {
        /// Presence of its end.
        is_closed: bool,
    },
    /// A comment.
    Comment {
        /// Presence of its end; a line comment is closed by the end of the line.
        is_closed: bool,
    },
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// Any other sign.
    Sign,
}

/// A token: its kind and its byte range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Kind of the token.
    pub kind: TokenKind,
    /// Byte range of the token.
    pub at: Range<usize>,
}

impl Token {
    /// Text of the token.
    #[must_use]
    pub fn text<'s>(&self, source: &'s str) -> &'s str {
        &source[self.at.clone()]
    }

    /// Check for that keyword or sign.
    #[must_use]
    pub fn is(&self, source: &str, word: &str) -> bool {
        !matches!(self.kind, TokenKind::Text { .. } | TokenKind::Comment { .. })
            && self.text(source) == word
    }
}

/// Reserved words of Lua 5.4.
pub const KEYWORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// Tokens of a text.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = token(&source[at..], first);
        tokens.push(Token { kind, at: at..at + length });
        at += length;
    }
    tokens
}

/// Token at the beginning of a text, and its length.
fn token(text: &str, first: char) -> (TokenKind, usize) {
    let length_of = |is_part: fn(char) -> bool| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let next = text[first.len_utf8()..].chars().next();
    match first {
        'a'..='z' | 'A'..='Z' | '_' => {
            let length = length_of(|c| c.is_ascii_alphanumeric() || c == '_');
            let is_keyword = KEYWORDS.contains(&&text[..length]);
            (if is_keyword { TokenKind::Keyword } else { TokenKind::Name }, length)
        }
        '0'..='9' => (TokenKind::Number, number(text)),
        '.' if next.is_some_and(|c| c.is_ascii_digit()) => (TokenKind::Number, number(text)),
        '"' | '\'' => {
            let (length, is_closed) = quoted(text, first);
            (TokenKind::Text { is_closed }, length)
        }
        '-' if next == Some('-') => {
            if let Some((length, is_closed)) = long_brackets(&text[2..]) {
                return (TokenKind::Comment { is_closed }, 2 + length);
            }
            (TokenKind::Comment { is_closed: true }, text.find('\n').unwrap_or(text.len()))
        }
        '[' => match long_brackets(text) {
            Some((length, is_closed)) => (TokenKind::Text { is_closed }, length),
            None => (TokenKind::Open, 1),
        },
        '(' | '{' => (TokenKind::Open, 1),
        ')' | ']' | '}' => (TokenKind::Close, 1),
        _ => {
            const LONG: [&str; 10] = ["...", "..", "::", "==", "~=", "<=", ">=", "//", "<<", ">>"];
            let long = LONG.into_iter().find(|sign| text.starts_with(sign));
            (TokenKind::Sign, long.map_or(first.len_utf8(), str::len))
        }
    }
}

/// Length of a number: digits, and a sign where it belongs to an exponent.
fn number(text: &str) -> usize {
    let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let exponent = if is_hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let is_part = c.is_ascii_alphanumeric()
            || c == '.'
            || (matches!(c, '+' | '-') && exponent.contains(&before));
        // Lua reads `1..2` as a malformed number; here the dots are an operator.
        if !is_part || (c == '.' && text[at..].starts_with("..")) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// Length of a quoted text, and the presence of its end. It ends with its line at the latest,
/// unless a backslash continues it.
fn quoted(text: &str, quote: char) -> (usize, bool) {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                // `\z` skips the white space after it, line breaks too.
                Some((_, 'z')) => {
                    let mut rest = chars.clone();
                    while rest.next().is_some_and(|(_, c)| c.is_whitespace()) {
                        chars.next();
                    }
                }
                Some(_) => {}
                None => return (text.len(), false),
            },
            '\n' => return (at, false),
            c if c == quote => return (at + 1, true),
            _ => {}
        }
    }
    (text.len(), false)
}

/// Length of a text or comment in long brackets, and the presence of its end; `None` if it does not
/// begin with them.
fn long_brackets(text: &str) -> Option<(usize, bool)> {
    let inner = text.strip_prefix('[')?;
    let level = inner.find(|c| c != '=').unwrap_or(inner.len());
    if !inner[level..].starts_with('[') {
        return None;
    }
    let end = format!("]{}]", "=".repeat(level));
    Some(match text[level + 2..].find(&end) {
        Some(at) => (level + 2 + at + end.len(), true),
        None => (text.len(), false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<(&str, TokenKind)> {
        tokens(source).into_iter().map(|token| (&source[token.at.clone()], token.kind)).collect()
    }

    #[test]
    fn every_kind_is_told_from_the_others() {
        use TokenKind::{Close, Comment, Keyword, Name, Number, Open, Sign, Text};
        assert_eq!(
            words("local a<const> = f{1, 0x1p-4, 'b\\'', [[c\n]]} -- d"),
            [
                ("local", Keyword),
                ("a", Name),
                ("<", Sign),
                ("const", Name),
                (">", Sign),
                ("=", Sign),
                ("f", Name),
                ("{", Open),
                ("1", Number),
                (",", Sign),
                ("0x1p-4", Number),
                (",", Sign),
                ("'b\\''", Text { is_closed: true }),
                (",", Sign),
                ("[[c\n]]", Text { is_closed: true }),
                ("}", Close),
                ("-- d", Comment { is_closed: true }),
            ]
        );
    }

    #[test]
    fn what_is_not_finished_is_said_to_be_so() {
        let last = |source: &str| words(source).pop().expect("a token").1;
        assert_eq!(last("x = 'abc"), TokenKind::Text { is_closed: false });
        assert_eq!(last("x = [==[ a ]]"), TokenKind::Text { is_closed: false });
        assert_eq!(last("--[[ a"), TokenKind::Comment { is_closed: false });
        assert_eq!(last("--[==[ a ]==]"), TokenKind::Comment { is_closed: true });
        assert_eq!(words("'a\nb'").len(), 3);
        assert_eq!(words("'a\\\nb'").len(), 1);
        assert_eq!(words("'a\\z\n  b' c").len(), 2);
    }

    #[test]
    fn inspect_knows_the_same_keywords() {
        let inspect = crate::stdlib::source("inspect.lua").expect("a module");
        let words: Vec<_> = inspect.split_whitespace().collect();
        assert!(words.join(" ").contains(&KEYWORDS.join(" ")), "{KEYWORDS:?}");
    }

    #[test]
    fn no_byte_is_lost_whatever_is_typed() {
        let pieces = [
            "[",
            "=",
            "]",
            "\"",
            "'",
            "\\",
            "\n",
            "--",
            "é",
            "\u{1f980}",
            "a",
            "1",
            ".",
            "e",
            "+",
            " ",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let source: String =
                (0..random.usize(0..12)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
            let mut end = 0;
            for token in tokens(&source) {
                assert!(source[end..token.at.start].chars().all(char::is_whitespace), "{source:?}");
                assert!(token.at.end > token.at.start, "{source:?}");
                end = token.at.end;
            }
            assert!(source[end..].chars().all(char::is_whitespace), "{source:?}");
        }
    }
}
