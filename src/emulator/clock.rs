//! How the local account writes moments.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// A moment in seconds since 1970 as AWS writes it: ISO 8601, second precision, `Z`.
pub(super) fn iso8601(seconds: i64) -> String {
    // Every stored second came from a `Timestamp`, so it is in range; the fallback only keeps this total.
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// A moment in milliseconds since 1970 as HTTP writes it (RFC 9110).
pub(super) fn http_date(milliseconds: i64) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    // Fails only for years before 0, which no clock shows.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}
