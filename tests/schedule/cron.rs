//! Oracle for cron expressions: finds due times minute by minute, without code of the program.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Expression: for each field the values that match.
pub(super) struct Expression {
    fields: [u64; 5],
    is_any_day: bool,
    is_any_weekday: bool,
    follows_wall: bool,
}

const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];

impl Expression {
    pub(super) fn parse(text: &str) -> Self {
        let parts: Vec<_> = text.split(' ').collect();
        let mut fields = [0; 5];
        for (at, (part, (low, high))) in parts.iter().zip(BOUNDS).enumerate() {
            for piece in part.split(',') {
                let (range, step) = piece.split_once('/').unwrap_or((piece, "1"));
                let (from, to) = match (range, range.split_once('-')) {
                    ("*", _) => (low, high),
                    (_, Some((from, to))) => (number(from), number(to)),
                    (one, None) => (number(one), number(one)),
                };
                for value in (from..=to).step_by(number(step) as usize) {
                    fields[at] |= 1 << value;
                }
            }
        }
        Self {
            fields,
            is_any_day: parts[2] == "*",
            is_any_weekday: parts[4] == "*",
            follows_wall: parts[1].starts_with('*'),
        }
    }

    /// Returns true if it matches a minute of local time: minutes since 1970, as if there were no
    /// time zones.
    fn names(&self, wall: i64) -> bool {
        let [minutes, hours, days, months, weekdays] = self.fields;
        let has = |set: u64, value: i64| set >> value & 1 == 1;
        if !has(minutes, wall.rem_euclid(60)) || !has(hours, wall.div_euclid(60).rem_euclid(24)) {
            return false;
        }
        let day = wall.div_euclid(24 * 60);
        let (month, day_of_month) = date(day);
        // 1970 began on a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let (on_day, on_weekday) = (has(days, day_of_month), has(weekdays, weekday));
        let is_day = if self.is_any_day || self.is_any_weekday {
            on_day && on_weekday
        } else {
            on_day || on_weekday
        };
        has(months, month) && is_day
    }

    /// Due times, in seconds since 1970.
    pub(super) fn moments(&self, walls: &Walls) -> BTreeSet<i64> {
        let mut due = BTreeSet::new();
        let mut latest = walls.minutes[0];
        for (minute, wall) in (walls.first..).zip(&walls.minutes) {
            let is_due = if self.follows_wall {
                self.names(*wall)
            } else {
                (latest + 1..=*wall).any(|skipped| self.names(skipped))
            };
            latest = latest.max(*wall);
            if is_due && minute > walls.from {
                due.insert(minute * 60);
            }
        }
        due
    }
}

/// Local time of each minute of an interval, in minutes since 1970 as if there were no time zones.
pub(super) struct Walls {
    from: i64,
    first: i64,
    minutes: Vec<i64>,
}

impl Walls {
    /// Local times after `from`, up to `to`.
    pub(super) fn of(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Self {
        let (from, to) = (from.as_second().div_euclid(60), to.as_second().div_euclid(60));
        // Starts some days earlier, so that repeated local times are known.
        let first = from - 3000;
        let wall = |minute: i64| {
            let at = Timestamp::from_second(minute * 60).expect("a moment");
            minute + i64::from(zone.to_offset(at).seconds()) / 60
        };
        Self { from, first, minutes: (first..=to).map(wall).collect() }
    }
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

/// Month and day of month of a day since 1970, by counting.
fn date(day: i64) -> (i64, i64) {
    let (mut year, mut left) = (1970, day);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while left >= 365 + i64::from(is_leap(year)) {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (month, left + 1)
}
