//! Times and durations on the status page.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::record::{Execution, ExecutionOutcome};
use crate::session::Mode;
use crate::ui::format;
use crate::ui::html::{Html, all, element, text};

/// Time in a time zone, and its distance from now: `2026-11-25 03:00:00 CET (in 9 h)`.
pub(super) fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> Html {
    let shown = at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let exact = format!("{at:.0}");
    all([
        element("time", &[("datetime", &exact)], [text(shown)]),
        text(" "),
        element("span", &[("class", "soft nowrap")], [text(format!("({})", distance(at, now)))]),
    ])
}

/// Distance of a time from now: `in 3 h`, `2 min ago`.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(now.as_second());
    let length = match seconds.unsigned_abs() {
        0 => return "now".into(),
        n @ ..120 => format!("{n} s"),
        n @ ..7200 => format!("{} min", n / 60),
        n @ ..172_800 => format!("{} h", n / 3600),
        n => format!("{} days", format::number(n / 86_400)),
    };
    if seconds > 0 { format!("in {length}") } else { format!("{length} ago") }
}

/// Duration of an execution, up to now if it is running.
pub(super) fn duration(execution: &Execution, now: Timestamp) -> Html {
    let end = execution.ended.unwrap_or(now);
    let time = format::time(end.duration_since(execution.started).as_secs_f64().max(0.0));
    element("span", &[("class", "nowrap")], [text(time)])
}

/// Outcome of an execution.
pub(super) fn outcome(execution: &Execution) -> Html {
    let name = execution.outcome.map_or("running", ExecutionOutcome::name);
    element("span", &[("class", name)], [text(name)])
}

/// Number of changes of an execution.
pub(super) fn changes(execution: &Execution) -> String {
    let planned = if execution.mode == Mode::Plan { " planned" } else { "" };
    let failed = match execution.failed {
        0 => String::new(),
        n => format!(" ({} failed)", format::number(n)),
    };
    format!("{}{planned}{failed}", format::number(execution.changes))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::distance;

    #[test]
    fn distances_are_said_in_their_unit() {
        let now: Timestamp = "2026-11-24T17:00:00Z".parse().expect("a moment");
        let at = |text: &str| distance(text.parse().expect("a moment"), now);
        assert_eq!(at("2026-11-24T17:00:00Z"), "now");
        assert_eq!(at("2026-11-24T17:01:59Z"), "in 119 s");
        assert_eq!(at("2026-11-24T16:58:00Z"), "2 min ago");
        assert_eq!(at("2026-11-24T20:30:00Z"), "in 3 h");
        assert_eq!(at("2026-11-22T17:00:00Z"), "2 days ago");
    }
}
