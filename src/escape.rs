//! Escaping of untrusted text: characters that control a terminal or hide text are shown by their
//! codes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes everything that controls a terminal or hides text, like `inspect.visible` of Lua:
/// control characters (`\n`, `\x1b`), bytes that are not UTF-8 (`\xff`), bidirectional controls
/// (`\u{202e}`), and invisible characters (`\u{200b}`). Names and values of accounts, plans and
/// journals are always shown by this function.
#[must_use]
pub fn visible(text: impl AsRef<[u8]>) -> String {
    visible_but(text.as_ref(), |_| false)
}

/// Escapes like [`visible`], except for characters that `stays` accepts.
#[must_use]
pub fn visible_but(text: &[u8], stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let named = match c {
                _ if stays(c) || !acts(c) => None,
                '\x07' => Some('a'),
                '\x08' => Some('b'),
                '\x0c' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                '\x0b' => Some('v'),
                '\0'..='\x7f' => {
                    push_byte(&mut shown, c as u8);
                    continue;
                }
                _ => {
                    shown.extend(c.escape_unicode());
                    continue;
                }
            };
            match named {
                Some(name) => shown.extend(['\\', name]),
                None => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut shown, *byte);
        }
    }
    shown
}

/// Check for printable ASCII, which [`visible`] does not change.
#[must_use]
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Escapes text for a terminal, except for line ends, tabs and colours. Other control characters,
/// sequences and bidirectional controls are escaped as by [`visible`]. Single fields go through
/// [`visible`], which has no exceptions; whole texts and the output of scripts go through this.
#[must_use]
pub fn printable(text: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
    if text.iter().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\x1b', rest).unwrap_or(rest.len());
        let (before, sequence) = rest.split_at(end);
        shown.push_str(&visible_but(before, |c| matches!(c, '\n' | '\t') || !steers(c)));
        let style = style_length(sequence);
        // A sequence that is not a style loses its escape character, and the rest is text.
        let (sequence, after) = sequence.split_at(style.max(1).min(sequence.len()));
        if style > 0 {
            shown.push_str(std::str::from_utf8(sequence).unwrap_or_default());
        } else {
            shown.push_str(&visible(sequence));
        }
        rest = after;
    }
    Cow::Owned(shown.into_bytes())
}

/// Length of the colour or style sequence (SGR) at the beginning of a text; 0 if there is none, or
/// if it hides text.
fn style_length(text: &[u8]) -> usize {
    const CONCEAL: &[u8] = b"8";
    let Some(parameters) = text.strip_prefix(b"\x1b[") else { return 0 };
    let is_parameter = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    let length = parameters.iter().take_while(|byte| is_parameter(byte)).count();
    let (parameters, end) = parameters.split_at(length);
    // `38;5;8` is a colour with its number.
    let is_colour = |part: &[u8]| matches!(part, b"38" | b"48" | b"58");
    let mut parts = parameters.split(|byte| *byte == b';');
    let hides = parts.clone().any(|part| part.strip_prefix(b"0").unwrap_or(part) == CONCEAL)
        && !parts.any(is_colour);
    if end.first() == Some(&b'm') && !hides { b"\x1b[".len() + length + 1 } else { 0 }
}

/// JSON text whose strings contain no characters that control a terminal: they are replaced by JSON
/// escapes, which does not change the values.
#[must_use]
pub fn printable_json(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains('\x7f') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c >= '\x7f' && acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Check for a character that moves the cursor, controls a terminal, or changes the direction of
/// writing.
const fn steers(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

fn push_byte(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u8| char::from(DIGITS[usize::from(at & 15)]);
    text.extend(['\\', 'x', digit(byte >> 4), digit(byte)]);
}

/// Check for a character that controls a terminal or hides text: controls, line and paragraph
/// separators, and Unicode's `Default_Ignorable_Code_Point`, which includes bidirectional controls.
#[must_use]
pub const fn acts(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_json, visible};

    #[test]
    fn of_a_whole_text_only_lines_tabs_and_colours_act() {
        let cases: [(&[u8], &str); 9] = [
            (b"a\tb\n", "a\tb\n"),
            (
                b"\x1b[1;31mred\x1b[0m\x1b[38;5;8mgrey\x1b[m",
                "\x1b[1;31mred\x1b[0m\x1b[38;5;8mgrey\x1b[m",
            ),
            (b"\x1b[2J\x1b[1A\x1b]0;title\x07\r", r"\x1b[2J\x1b[1A\x1b]0;title\a\r"),
            (b"\x1b[8mhidden", r"\x1b[8mhidden"),
            (b"\x1b[1;08mhidden", r"\x1b[1;08mhidden"),
            (b"\x1b[31\x1b[31m", "\\x1b[31\x1b[31m"),
            (b"end\x1b", r"end\x1b"),
            ("\u{9b}2J\u{202e}".as_bytes(), r"\u{9b}2J\u{202e}"),
            (
                "Grüße 👩\u{200d}🚀 \u{2764}\u{fe0f}".as_bytes(),
                "Grüße 👩\u{200d}🚀 \u{2764}\u{fe0f}",
            ),
        ];
        for (text, shown) in cases {
            assert_eq!(String::from_utf8_lossy(&printable(text)), shown);
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a\u{9b}\x7f": ["\u{202e}\u{e0041}\x1b", "ü"] });
        let text = value.to_string();
        let shown = printable_json(&text);
        assert!(!shown.chars().any(super::acts), "{shown}");
        assert!(shown.contains(r"\udb40\udc41") && shown.contains('ü'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    #[test]
    fn what_acts_on_a_terminal_or_cannot_be_seen_is_escaped() {
        let cases: [(&[u8], &str); 8] = [
            ("Grüße – 日本 👍".as_bytes(), "Grüße – 日本 👍"),
            (b"a\x1b[2J\x07\n\x7f", r"a\x1b[2J\a\n\x7f"),
            (b"\xff\xfe", r"\xff\xfe"),
            ("\u{9b}".as_bytes(), r"\u{9b}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}".as_bytes(), r"\u{202a}\u{202e}\u{2066}\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}".as_bytes(), r"\u{200e}\u{200f}\u{61c}"),
            ("o\u{200b}ps\u{ad}\u{feff}\u{2060}".as_bytes(), r"o\u{200b}ps\u{ad}\u{feff}\u{2060}"),
            ("\u{e0041}\u{3164}".as_bytes(), r"\u{e0041}\u{3164}"),
        ];
        for (text, shown) in cases {
            assert_eq!(visible(text), shown);
        }
    }
}
