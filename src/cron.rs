//! Schedules: a cron expression in a time zone, or an interval. This module computes due times
//! only; the scheduler acts on them.
//!
//! Clock changes are handled as by the cron of Vixie and Debian. An expression with a fixed hour
//! runs once for each time of day that it matches. A time that a change skips is due at the change;
//! a time that a change repeats is due at the first of the two. An expression whose hour begins
//! with `*` follows local time: skipped times are not due, and repeated ones are due twice.

use std::fmt::Write;
use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::clock::milliseconds;

/// Maximum number of clock changes to search for the next due time: more than eight years of them,
/// the maximum distance between 29 Februaries.
const MAX_CHANGES: usize = 64;

/// Fields of a cron expression.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

/// Abbreviations of cron expressions.
const ABBREVIATIONS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Schedule of due times.
#[derive(Clone, Debug)]
pub struct Timing(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<Cron>),
    Every(Duration),
}

#[derive(Clone, Debug)]
struct Cron {
    text: String,
    crontab: Crontab,
    zone: TimeZone,
    zone_name: String,
    /// True if it follows local time, also across clock changes.
    follows_local_time: bool,
}

impl PartialEq for Timing {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

impl Timing {
    /// Cron expression of five fields in a time zone, such as `Europe/Berlin`; the default is UTC.
    ///
    /// # Errors
    /// A message about the invalid argument, with a suggestion.
    pub fn cron(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let text = text.trim();
        let long =
            ABBREVIATIONS.iter().find(|(short, _)| *short == text).map_or(text, |(_, long)| long);
        let fields: Vec<_> = long.split_whitespace().collect();
        let long = fields.join(" ");
        if fields.len() != 5 {
            let shorts: Vec<_> = ABBREVIATIONS.iter().map(|(short, _)| *short).collect();
            return Err(format!(
                "schedule must have five fields ({}), such as \"0 3 * * *\", or be one of {}; \
                 got {text:?}",
                FIELDS.join(", "),
                shorts.join(", ")
            ));
        }
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let crontab = cronexpr::parse_crontab_with(&long, options).map_err(|error| {
            let (field, why) = explain_error(&fields, &error.to_string());
            format!("schedule {text:?} is no cron expression: {field}{why}")
        })?;
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let zone = TimeZone::get(&zone_name).map_err(|_| {
            format!("timezone {zone_name:?} is not known; it takes names such as \"Europe/Berlin\" or \"UTC\"")
        })?;
        let follows_local_time = fields[1].starts_with('*');
        let cron = Cron { text: text.to_owned(), crontab, zone, zone_name, follows_local_time };
        let timing = Self(Rule::Cron(Box::new(cron)));
        // Any eight years include a leap year.
        if timing.after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(format!("schedule {text:?} never comes: there is no such day"));
        }
        Ok(timing)
    }

    /// Interval. Due times are its multiples since the beginning of 1970 in UTC, so that they do
    /// not depend on the start of the program.
    ///
    /// # Errors
    /// If it is less than a second, or not a whole number of milliseconds.
    pub fn every(time: Duration) -> Result<Self, String> {
        if time < Duration::from_secs(1) || time > Duration::from_hours(366 * 24) {
            return Err("every must be at least a second and at most a year".into());
        }
        Ok(Self(Rule::Every(Duration::from_millis(milliseconds(time).unsigned_abs()))))
    }

    /// First due time after a moment; `None` if there is none that can be represented.
    #[must_use]
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron(cron) => cron.after(moment),
            Rule::Every(time) => {
                let (time, at) = (milliseconds(*time), moment.as_millisecond());
                let next = at.div_euclid(time).checked_add(1)?.checked_mul(time)?;
                Timestamp::from_millisecond(next).ok()
            }
        }
    }

    /// Description: `0 3 * * * (Europe/Berlin)`, `every 15m`.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.0 {
            Rule::Cron(cron) => format!("{} ({})", cron.text, cron.zone_name),
            Rule::Every(time) => format!("every {}", spelled(*time)),
        }
    }

    /// Time zone in which its due times are shown.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        match &self.0 {
            Rule::Cron(cron) => cron.zone.clone(),
            Rule::Every(_) => TimeZone::UTC,
        }
    }
}

/// Field that an error of the parser points to, and the reason. The last line of the error has a
/// caret below the field, and the reason.
fn explain_error(fields: &[&str], error: &str) -> (String, String) {
    let Some((before, why)) = error.lines().last().unwrap_or_default().split_once("^ ") else {
        return (String::new(), error.to_owned());
    };
    let mut end = 0;
    let at = fields.iter().position(|field| {
        end += field.len() + 1;
        before.len() < end
    });
    let field = at.map_or(String::new(), |at| format!("{}: ", FIELDS[at]));
    (field, why.to_owned())
}

/// Duration as in a manifest: `15m`, `36h`, `1d12h`.
#[must_use]
pub fn spelled(time: Duration) -> String {
    let mut rest = time.as_millis();
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
    {
        if rest >= size {
            let _ = write!(text, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Period between two clock changes of a zone.
struct OffsetPeriod {
    /// Beginning, and the UTC offset before it; `None` if there was no change before.
    began: Option<(Timestamp, Offset)>,
    offset: Offset,
    end: Option<Timestamp>,
}

impl Cron {
    fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut from = moment.checked_add(1.nanosecond()).ok()?;
        for _ in 0..MAX_CHANGES {
            let period = self.period(from)?;
            if period.began.is_some_and(|(began, _)| began == from)
                && self.is_due_at_change(&period)
            {
                return Some(from);
            }
            if let Some(due) = self.within(&period, from) {
                return Some(due);
            }
            from = period.end?;
        }
        None
    }

    fn period(&self, at: Timestamp) -> Option<OffsetPeriod> {
        let next = at.checked_add(1.nanosecond()).ok()?;
        let began = self.zone.preceding(next).next().map(|change| change.timestamp());
        let began = began.and_then(|began| {
            let before = began.checked_sub(1.nanosecond()).ok()?;
            Some((began, self.zone.to_offset(before)))
        });
        let end = self.zone.following(at).next().map(|change| change.timestamp());
        Some(OffsetPeriod { began, offset: self.zone.to_offset(at), end })
    }

    /// Check for a time of day that the change skipped and that is due at the change.
    fn is_due_at_change(&self, period: &OffsetPeriod) -> bool {
        let Some((began, before)) = period.began.filter(|_| !self.follows_local_time) else {
            return false;
        };
        let (skipped, resumed) = (before.to_datetime(began), period.offset.to_datetime(began));
        skipped < resumed && self.local_time(skipped).is_some_and(|due| due < resumed)
    }

    /// First due time in a period, from a moment of it on.
    fn within(&self, period: &OffsetPeriod, from: Timestamp) -> Option<Timestamp> {
        let mut local_time = period.offset.to_datetime(from);
        if let Some((began, before)) = period.began.filter(|_| !self.follows_local_time) {
            // Local times before the change were due then.
            local_time = local_time.max(before.to_datetime(began));
        }
        let due = period.offset.to_timestamp(self.local_time(local_time)?).ok()?;
        period.end.is_none_or(|end| due < end).then_some(due)
    }

    /// First local time that the expression matches, at or after a given one.
    fn local_time(&self, from: DateTime) -> Option<DateTime> {
        let before =
            Offset::UTC.to_timestamp(from).ok()?.checked_sub(SignedDuration::from_nanos(1)).ok()?;
        let start = MakeTimestamp::from_nanosecond(before.as_nanosecond()).ok()?;
        let due = self.crontab.find_next(start).ok()?.timestamp().as_second();
        Some(Offset::UTC.to_datetime(Timestamp::from_second(due).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Timing, spelled};

    fn moments(timing: &Timing, from: &str, n: usize) -> Vec<String> {
        let mut at: Timestamp = from.parse().expect("a moment");
        (0..n)
            .map(|_| {
                at = timing.after(at).expect("a next moment");
                at.to_zoned_datetime(timing.zone()).strftime("%m-%d %H:%M%:z").to_string()
            })
            .collect()
    }

    fn berlin(text: &str) -> Timing {
        Timing::cron(text, Some("Europe/Berlin")).expect("an expression")
    }

    #[test]
    fn a_fixed_time_that_is_skipped_is_due_at_the_change_and_one_that_is_repeated_once() {
        let spring = moments(&berlin("30 2 * * *"), "2026-03-27T23:00:00Z", 3);
        assert_eq!(spring, ["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"]);
        let autumn = moments(&berlin("30 2 * * *"), "2026-10-23T23:00:00Z", 3);
        assert_eq!(autumn, ["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"]);
    }

    #[test]
    fn several_skipped_times_are_due_once() {
        let spring = moments(&berlin("0,15,30 2,3 * * *"), "2026-03-29T00:00:00Z", 4);
        assert_eq!(
            spring,
            ["03-29 03:00+02:00", "03-29 03:15+02:00", "03-29 03:30+02:00", "03-30 02:00+02:00"]
        );
    }

    #[test]
    fn what_follows_the_wall_skips_and_repeats_with_it() {
        let spring = moments(&berlin("30 * * * *"), "2026-03-29T00:00:00Z", 2);
        assert_eq!(spring, ["03-29 01:30+01:00", "03-29 03:30+02:00"]);
        let autumn = moments(&berlin("30 * * * *"), "2026-10-24T23:45:00Z", 3);
        assert_eq!(autumn, ["10-25 02:30+02:00", "10-25 02:30+01:00", "10-25 03:30+01:00"]);
    }

    #[test]
    fn a_change_of_half_an_hour_and_a_day_that_never_was() {
        let howe = Timing::cron("15 2 * * *", Some("Australia/Lord_Howe")).expect("an expression");
        let days = moments(&howe, "2026-10-02T12:00:00Z", 3);
        assert_eq!(days, ["10-03 02:15+10:30", "10-04 02:30+11:00", "10-05 02:15+11:00"]);
        let apia = Timing::cron("0 12 * * *", Some("Pacific/Apia")).expect("an expression");
        let days = moments(&apia, "2011-12-29T12:00:00Z", 3);
        assert_eq!(days, ["12-29 12:00-10:00", "12-31 00:00+14:00", "12-31 12:00+14:00"]);
    }

    #[test]
    fn every_so_often_counts_from_the_beginning_of_1970() {
        let timing = Timing::every(Duration::from_mins(15)).expect("an interval");
        assert_eq!(
            moments(&timing, "2026-11-24T17:07:31Z", 2),
            ["11-24 17:15+00:00", "11-24 17:30+00:00"]
        );
        assert_eq!(timing.words(), "every 15m");
        assert_eq!(spelled(Duration::from_millis(129_600_500)), "1d12h500ms");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let why = |text: &str, zone| Timing::cron(text, zone).expect_err("it is wrong");
        assert!(why("0 3 * *", None).contains("five fields"), "{}", why("0 3 * *", None));
        let out_of_range = why("0  3 * 13 *", None);
        assert!(
            out_of_range.contains("expression: month: ") && out_of_range.contains("13"),
            "{out_of_range}"
        );
        assert!(why("x 3 * * *", None).contains("expression: minute: "));
        assert!(why("0 0 30 2 *", None).contains("never comes"), "{}", why("0 0 30 2 *", None));
        assert!(why("0 3 * * *", Some("Europe/Berln")).contains("is not known"));
        assert!(Timing::cron("@daily", None).is_ok() && Timing::cron("0 0 29 2 *", None).is_ok());
    }
}
