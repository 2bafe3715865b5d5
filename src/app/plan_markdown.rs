//! Plan as Markdown: a section for a pull request, with the numbers of each account, and the
//! changes in a collapsed block. Names and values cannot end a block, make a link, or mention a
//! person.

use std::fmt::Write;

use crate::app::plan_text::{self, ChangeText};
use crate::escape::visible;
use crate::session::destination::{Destination, Places};
use crate::session::plan::Plan;
use crate::ui::format::{count, number};

/// Writes the section. `sha256` is the hash of the plan file; `full` gives each change a line.
#[must_use]
pub fn plan(plan: &Plan, sha256: &str, full: bool) -> String {
    let places = Places::of(&plan.sites);
    let by_account: Vec<_> = (plan.changes.iter())
        .map(|change| ChangeText::planned(change, plan.sites.get(places.number(change.site))))
        .collect();
    let (all, accounts) = plan_text::totals(&by_account);
    let mut text = format!("### Plan {}\n\n", code(&plan.id));
    let where_to = match accounts.len() as u64 {
        0 => String::new(),
        n => format!(" in {}", count(n, "account")),
    };
    if plan.changes.is_empty() {
        text.push_str("Nothing to change.\n");
    } else {
        let calls = count(plan.changes.len() as u64, "call");
        let _ = writeln!(text, "**{}**{where_to} ({calls} to make)", all.all());
    }
    if let Some(why) = &plan.incomplete {
        let _ = writeln!(
            text,
            "\n**The plan is incomplete: the script did not run to its end:** {}",
            code(why)
        );
    }
    if !accounts.is_empty() {
        text.push_str("\n| Account | Create | Change | Delete |\n| --- | ---: | ---: | ---: |\n");
    }
    for (site, totals) in accounts.values() {
        let cells = [totals.create, totals.change, totals.delete].map(number).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", account(site));
    }
    for left_out in &plan.left_out {
        let _ = writeln!(text, "\n**Left out:** {}", code(&left_out.describe(&plan.sites)));
    }
    let lines: Vec<_> = [
        plan_text::lines(&plan_text::of_plan(plan, &places), full),
        plan_text::outside_lines(&plan.outside, full),
    ]
    .concat()
    .iter()
    .map(|line| anstream::adapter::strip_str(line).to_string())
    .collect();
    if !lines.is_empty() {
        let mut heading = vec![count(plan.changes.len() as u64, "change")];
        if !plan.outside.is_empty() {
            heading.push(plan_text::outside_count(&plan.outside));
        }
        let lines = lines.join("\n");
        let fence = fence(&lines);
        let _ = writeln!(
            text,
            "\n<details>\n<summary>{}</summary>\n\n{fence}diff\n{lines}\n{fence}\n\n</details>",
            heading.join(", ")
        );
    }
    let script = match &plan.script {
        Some((path, hash)) => {
            let short = hash.chars().take(12).collect::<String>();
            format!(" by {}, SHA-256 {}", code(path), code(&short))
        }
        None => String::new(),
    };
    let undoes =
        plan.undoes.as_ref().map_or(String::new(), |run| format!(", undoes run {}", code(run)));
    let _ = writeln!(
        text,
        "\nMade at {}{script}{undoes}. SHA-256 of the file: {}",
        code(&plan.created),
        code(sha256)
    );
    text
}

/// Account in a table cell.
fn account(site: &Destination) -> String {
    code(&site.describe())
}

/// Text as inline code that it cannot end, even in a table cell: every character with a meaning in
/// Markdown is an entity.
fn code(text: &str) -> String {
    let mut shown = String::from("<code>");
    for c in visible(text).chars() {
        match c {
            '.' | ',' | ':' | '/' | '-' | ' ' => shown.push(c),
            c if c.is_ascii_punctuation() => {
                let _ = write!(shown, "&#{};", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown + "</code>"
}

/// Fence that is longer than each row of back ticks in the text.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::{code, fence};

    #[test]
    fn nothing_in_a_value_ends_what_it_stands_in() {
        assert_eq!(
            code("a|b`c</code>@all *x*\u{202e}"),
            "<code>a&#124;b&#96;c&#60;/code&#62;&#64;all &#42;x&#42;&#92;u&#123;202e&#125;</code>"
        );
        assert_eq!(fence("no ticks"), "```");
        assert_eq!(fence("a ``` b ````\n`"), "`````");
    }
}
