//! Numbers and times as people read them.

/// A number with commas between thousands.
#[must_use]
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 change", "4,812 changes".
#[must_use]
pub fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// "a", "a and b", "a, b and c".
#[must_use]
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A length of time for people: `0.42 s`, `12.3 s`, `4m 05s`, `1h 02m`.
#[must_use]
pub fn time(seconds: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and no run is that long"
    )]
    let whole = seconds.round() as u64;
    match whole {
        ..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// Text with all in it visible that acts on a terminal or hides something from its reader, as
/// `inspect.visible` of Lua has it: control characters (`\n`, `\x1b`), bytes that are not UTF-8
/// (`\xff`), marks that turn the direction of writing (`\u{202e}`), and characters without a shape
/// (`\u{200b}`). Names and values of accounts, plans and journals are shown by this alone.
#[must_use]
pub fn visible(text: impl AsRef<[u8]>) -> String {
    visible_but(text.as_ref(), |_| false)
}

/// The same, but characters of which `stays` says so are left as they are.
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

fn push_byte(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u8| char::from(DIGITS[usize::from(at & 15)]);
    text.extend(['\\', 'x', digit(byte >> 4), digit(byte)]);
}

/// Presence of a character that acts on a terminal, or hides text from its reader: controls, line
/// and paragraph separators, and all that Unicode calls ignorable by default
/// (`Default_Ignorable_Code_Point`), which has the marks of direction.
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
    use super::visible;

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
