//! Output of scripts: captured, or written where the embedding program says.

use std::fmt;
use std::io::{Error, Result, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writer that the runs of a host share.
pub(super) type SharedWriter = Arc<Mutex<dyn Write + Send>>;

/// Output of one run; clones write to the same place.
#[derive(Clone)]
pub(super) enum Sink {
    /// Kept, up to so many bytes.
    Captured(Arc<Mutex<Vec<u8>>>, usize),
    /// Written there.
    Given(SharedWriter),
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    pub fn new(given: Option<&SharedWriter>, most: usize) -> Self {
        match given {
            Some(writer) => Self::Given(Arc::clone(writer)),
            None => Self::Captured(Arc::default(), most),
        }
    }

    /// Text that was captured.
    pub fn text(&self) -> String {
        match self {
            Self::Captured(kept, _) => String::from_utf8_lossy(&locked(kept)).into_owned(),
            Self::Given(_) => String::new(),
        }
    }

    /// Writes a line; a failure shows at the next write of the script.
    pub fn say(&self, text: &str) {
        let _ = writeln!(self.clone(), "{text}");
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Captured(kept, most) => {
                let mut kept = locked(kept);
                if kept.len() + bytes.len() > *most {
                    let what = format!("more than the {most} bytes that the host captures");
                    return Err(Error::other(what));
                }
                kept.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Given(writer) => locked(writer).write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Captured(..) => Ok(()),
            Self::Given(writer) => locked(writer).flush(),
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captured(..) => "Captured",
            Self::Given(_) => "Given",
        })
    }
}
