//! A scan in a file, for later: JSON, versioned.

use std::io::{Read, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::findings::Scan;
use crate::error::Result;

/// A scan in a file may be so old, unless something else is said.
pub const MAX_AGE: Duration = Duration::from_hours(6);

impl Scan {
    /// Writes the scan as JSON.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn save(&self, _out: impl Write) -> std::io::Result<()> {
        todo!()
    }

    /// Reads a scan that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If it is damaged, of another version, interrupted, older than `max_age`, or of the future.
    pub fn load(_input: impl Read, _now: Timestamp, _max_age: Duration) -> Result<Self> {
        todo!()
    }
}
