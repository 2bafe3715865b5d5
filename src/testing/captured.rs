//! What tests and their runbooks print: kept, and shown where it is asked for, but never more than there is room for.

use std::collections::VecDeque;
use std::io::{Error, Result, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ui::format::number;

/// The most bytes of each end of what a test prints.
const ENDS_OF_TEST: usize = 64 << 10;
/// The most bytes that a runbook may write on standard output, or that are kept of each end of what it writes elsewhere.
const RUNBOOK: usize = 16 << 20;

/// What happens to what is too much.
#[derive(Clone, Copy)]
enum Beyond {
    /// The middle is left out.
    LeftOut,
    /// It is not taken: half a result would be no result.
    Refused,
}

/// Output that is kept; clones are hands on the same one.
#[derive(Clone)]
pub(super) struct Captured(Arc<Mutex<Buffer>>);

struct Buffer {
    /// The most bytes of each end.
    most: usize,
    beyond: Beyond,
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: u64,
}

impl Captured {
    fn new(most: usize, beyond: Beyond) -> Self {
        let (first, last) = (Vec::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Buffer { most, beyond, first, last, left_out: 0 })))
    }

    /// For what a test prints: its two ends.
    pub fn of_test() -> Self {
        Self::new(ENDS_OF_TEST, Beyond::LeftOut)
    }

    /// For the results of a runbook: it fails if they are too many.
    pub fn results() -> Self {
        Self::new(RUNBOOK, Beyond::Refused)
    }

    /// For everything else that a runbook says: its two ends.
    pub fn notes() -> Self {
        Self::new(RUNBOOK, Beyond::LeftOut)
    }

    /// Takes out what was written.
    pub fn take(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = std::mem::take(&mut kept.first);
        let left_out = std::mem::take(&mut kept.left_out);
        if left_out > 0 {
            let note = format!("\n… {} bytes are left out …\n", number(left_out));
            bytes.extend_from_slice(note.as_bytes());
        }
        bytes.extend(std::mem::take(&mut kept.last));
        drop(kept);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        let room = kept.most - kept.first.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        if matches!(kept.beyond, Beyond::Refused) && !rest.is_empty() {
            let most = kept.most >> 20;
            return Err(Error::other(format!("a test keeps no more than {most} MiB of it")));
        }
        kept.first.extend_from_slice(first);
        // What would be pushed out again at once is not copied.
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(kept.most));
        let surplus = (kept.last.len() + rest.len()).saturating_sub(kept.most);
        kept.last.drain(..surplus);
        kept.last.extend(rest);
        kept.left_out += (skipped.len() + surplus) as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Beyond, Captured};

    #[test]
    fn both_ends_are_kept_however_it_is_written() {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz";
        for pieces in [1, 2, 3, 5, 7, 8, 9, 36] {
            let mut captured = Captured::new(8, Beyond::LeftOut);
            for piece in text.as_bytes().chunks(pieces) {
                captured.write_all(piece).expect("it is taken");
            }
            assert_eq!(captured.take(), "01234567\n… 20 bytes are left out …\nstuvwxyz");
            captured.write_all(b"next").expect("it is taken");
            assert_eq!(captured.take(), "next");
        }
        let mut captured = Captured::new(18, Beyond::LeftOut);
        captured.write_all(text.as_bytes()).expect("it is taken");
        assert_eq!(captured.take(), text, "all of it has room");
    }

    #[test]
    fn what_must_be_whole_is_refused_when_it_is_too_much() {
        let mut captured = Captured::new(8, Beyond::Refused);
        captured.write_all(b"12345678").expect("there is room");
        assert!(captured.write_all(b"9").is_err());
        assert_eq!(captured.take(), "12345678");
    }
}
