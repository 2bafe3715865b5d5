//! Text of a documentation comment, which is Markdown: its first sentence, the rest, and its
//! examples.

use super::item::Example;

/// Parts of the text of a comment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// First sentence.
    pub summary: String,
    /// Further text, one line for each paragraph, with empty lines between paragraphs.
    pub text: String,
    /// Lua code in it, without the fences. Words after the `lua` of a fence are the arguments of
    /// the example.
    pub examples: Vec<Example>,
}

/// Splits the lines of a comment. The error describes a problem with its fences.
pub(super) fn parts(lines: &[String]) -> Result<Parts, String> {
    let mut examples = Vec::new();
    let mut paragraphs: Vec<String> = Vec::new();
    let mut is_open = false;
    let mut code: Option<(&str, Vec<&str>)> = None;
    for line in lines {
        if let Some((args, inside)) = &mut code {
            if line == "```" {
                examples.push(Example { code: inside.join("\n"), args: (*args).to_owned() });
                code = None;
            } else {
                inside.push(line);
            }
        } else if let Some(args) = arguments(line) {
            code = Some((args, Vec::new()));
            is_open = false;
        } else if line.starts_with("```") {
            return Err(format!("an example begins with ```lua, not with {line:?}"));
        } else if line.is_empty() {
            is_open = false;
        } else if is_open && !line.starts_with("- ") {
            if let Some(paragraph) = paragraphs.last_mut() {
                paragraph.push(' ');
                paragraph.push_str(line.trim());
            }
        } else {
            paragraphs.push(line.trim().to_owned());
            is_open = true;
        }
    }
    if code.is_some() {
        return Err("an example has no end: ``` is missing".into());
    }
    let mut parts = Parts { examples, ..Parts::default() };
    if !paragraphs.is_empty() {
        let first = paragraphs.remove(0);
        let (summary, rest) = first_sentence(&first);
        summary.clone_into(&mut parts.summary);
        if !rest.is_empty() {
            paragraphs.insert(0, rest.to_owned());
        }
    }
    parts.text = paragraphs.join("\n\n").replace("\n\n- ", "\n- ");
    Ok(parts)
}

/// Text after the `lua` of a fence that opens Lua code; `None` for every other line.
fn arguments(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("```lua")?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim())
}

/// Splits off the first sentence; a full stop in code or in brackets does not end it.
pub(super) fn first_sentence(text: &str) -> (&str, &str) {
    let (mut is_code, mut depth) = (false, 0_usize);
    let mut is_stop = false;
    for (at, c) in text.char_indices() {
        if is_stop && c == ' ' {
            return (&text[..at], text[at..].trim_start());
        }
        is_stop = c == '.' && !is_code && depth == 0;
        match c {
            '`' => is_code = !is_code,
            '(' | '{' if !is_code => depth += 1,
            ')' | '}' if !is_code => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Parts {
        parts(&text.lines().map(str::to_owned).collect::<Vec<_>>()).expect("fences that match")
    }

    #[test]
    fn the_first_sentence_ends_at_a_stop_outside_of_code() {
        assert_eq!(
            first_sentence("Reads `a. b` (i. e. all). Then more."),
            ("Reads `a. b` (i. e. all).", "Then more.")
        );
        assert_eq!(first_sentence("No stop"), ("No stop", ""));
    }

    #[test]
    fn paragraphs_are_joined_and_examples_taken_out() {
        let parts =
            of("One. Two\nthree.\n\n```lua --now yes\na()\n\nb()\n```\n\nFour:\n- five\n- six");
        assert_eq!(parts.summary, "One.");
        assert_eq!(parts.text, "Two three.\n\nFour:\n- five\n- six");
        assert_eq!(parts.examples[0].code, "a()\n\nb()");
        assert_eq!(parts.examples[0].args, "--now yes");
    }

    #[test]
    fn a_fence_that_is_not_closed_is_wrong() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(parts(&lines("A.\n```lua\nx")).is_err());
        assert!(parts(&lines("A.\n```\nx\n```")).is_err());
    }
}
