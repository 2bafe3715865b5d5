//! Line-by-line difference of two texts.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::ui::format::number;

/// Number of unchanged lines around a difference.
const CONTEXT: usize = 3;
/// Maximum number of lines shown.
const MAX_LINES: usize = 200;
/// Maximum length of a line; longer ones are cut.
const MAX_LINE_LENGTH: usize = 1000;
/// Time after which the difference need no longer be the shortest.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Changed lines with their context: `-` marks lines of the first text, `+` those of the second,
/// two spaces those of both. `  …` stands for omitted lines.
#[must_use]
pub fn lines(before: &str, after: &str) -> String {
    let diff = TextDiff::configure().timeout(TIMEOUT).diff_lines(before, after);
    let mut lines = Vec::new();
    let mut end = 0;
    for group in diff.grouped_ops(CONTEXT) {
        if group.first().is_some_and(|first| first.old_range().start > end) {
            lines.push("  …".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign} {}", cut(change.value().trim_end_matches('\n'))));
        }
        end = group.last().map_or(end, |last| last.old_range().end);
    }
    if end < before.lines().count() {
        lines.push("  …".to_owned());
    }
    if before.trim_end_matches('\n') == after.trim_end_matches('\n') {
        lines.push("only the line ends at the end differ".to_owned());
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("  … and {} lines more", number(more as u64)));
    }
    lines.join("\n")
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn what_is_far_from_a_difference_is_left_out() {
        let numbers: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        let before = numbers.join("\n");
        let after = before.replace("10\n", "ten\n");
        let shown = lines(&before, &after);
        assert_eq!(shown, "  …\n  7\n  8\n  9\n- 10\n+ ten\n  11\n  12\n  13\n  …");
    }

    #[test]
    fn lines_that_were_added_stand_alone() {
        assert_eq!(lines("a\nb", "a\nx\nb"), "  a\n+ x\n  b");
    }
}
