//! Timestamp formats of the local account.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// Formats seconds since 1970 as AWS does: ISO 8601, second precision, `Z`.
pub(super) fn iso8601(seconds: i64) -> String {
    // Every stored second came from a `Timestamp` and is in range. The fallback only makes this
    // total.
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Formats milliseconds since 1970 as an HTTP date (RFC 9110).
pub(super) fn http_date(milliseconds: i64) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    // Fails only for years before 0, which no clock returns.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}
