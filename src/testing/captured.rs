//! Captured output of tests and runbooks, limited in size.

use std::collections::VecDeque;
use std::io::{Error, Result, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ui::format::number;

/// Upper bound on the bytes that are kept of each end of the output of a test.
const MAX_TEST_OUTPUT: usize = 64 << 10;
/// Upper bound on the bytes of standard output of a runbook, and on each end of its other output.
const MAX_RUNBOOK_OUTPUT: usize = 16 << 20;

/// Handling of output beyond the limit.
#[derive(Clone, Copy)]
enum Overflow {
    /// Leaves out the middle.
    LeftOut,
    /// Fails the write: a truncated result would be wrong.
    Refused,
}

/// Captured output. Clones share it.
#[derive(Clone)]
pub(super) struct Captured(Arc<Mutex<Buffer>>);

struct Buffer {
    /// Upper bound on the bytes of each end.
    most: usize,
    beyond: Overflow,
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: u64,
}

impl Captured {
    fn new(most: usize, beyond: Overflow) -> Self {
        let (first, last) = (Vec::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Buffer { most, beyond, first, last, left_out: 0 })))
    }

    /// Capture of the output of a test: its two ends.
    pub fn of_test() -> Self {
        Self::new(MAX_TEST_OUTPUT, Overflow::LeftOut)
    }

    /// Capture of the results of a runbook: writes beyond the limit fail.
    pub fn results() -> Self {
        Self::new(MAX_RUNBOOK_OUTPUT, Overflow::Refused)
    }

    /// Capture of the other output of a runbook: its two ends.
    pub fn notes() -> Self {
        Self::new(MAX_RUNBOOK_OUTPUT, Overflow::LeftOut)
    }

    /// Takes the output.
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
        if matches!(kept.beyond, Overflow::Refused) && !rest.is_empty() {
            let most = kept.most >> 20;
            return Err(Error::other(format!("a test keeps no more than {most} MiB of it")));
        }
        kept.first.extend_from_slice(first);
        // Bytes that would be removed at once are not copied.
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

    use super::{Captured, Overflow};

    #[test]
    fn both_ends_are_kept_however_it_is_written() {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz";
        for pieces in [1, 2, 3, 5, 7, 8, 9, 36] {
            let mut captured = Captured::new(8, Overflow::LeftOut);
            for piece in text.as_bytes().chunks(pieces) {
                captured.write_all(piece).expect("it is taken");
            }
            assert_eq!(captured.take(), "01234567\n… 20 bytes are left out …\nstuvwxyz");
            captured.write_all(b"next").expect("it is taken");
            assert_eq!(captured.take(), "next");
        }
        let mut captured = Captured::new(18, Overflow::LeftOut);
        captured.write_all(text.as_bytes()).expect("it is taken");
        assert_eq!(captured.take(), text, "all of it has room");
    }

    #[test]
    fn what_must_be_whole_is_refused_when_it_is_too_much() {
        let mut captured = Captured::new(8, Overflow::Refused);
        captured.write_all(b"12345678").expect("there is room");
        assert!(captured.write_all(b"9").is_err());
        assert_eq!(captured.take(), "12345678");
    }
}
