//! Locks on jobs, so that a job never runs twice at once in any process. A lock is a file lock in
//! the state folder, which the system releases when the process ends.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Lock on a job, held until it is dropped. The system releases it if the process is killed.
#[derive(Debug)]
pub struct JobLock {
    _file: Option<File>,
}

impl JobLock {
    /// Takes the lock of a job; `None` if it is held. `what` separates locks for different
    /// purposes.
    ///
    /// # Errors
    /// If the lock file cannot be created.
    pub fn take(folder: &Path, path: &str, what: &str) -> Result<Option<Self>> {
        let locks = folder.join("jobs");
        let failed = |error| {
            Error::io(format!("cannot make a lock in {}", locks.display()), error)
                .hint("make the state folder writable, or set IAMLUA_HOME to another folder")
        };
        crate::state::make_private(&locks).map_err(failed)?;
        let file = Self::file(folder, path, what);
        // The file is never removed: a process that has opened it would lock a deleted file.
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Returns true if the job is running in any process.
    #[must_use]
    pub fn is_held(folder: &Path, path: &str) -> bool {
        let file = File::open(Self::file(folder, path, "run"));
        file.is_ok_and(|file| file.try_lock_shared().is_err())
    }

    fn file(folder: &Path, path: &str, what: &str) -> PathBuf {
        let hash = Sha256::digest(path);
        let number =
            hash.iter().take(12).fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        folder.join("jobs").join(format!("{number:024x}-{what}"))
    }

    /// Lock for a scheduler without other processes, as in tests.
    #[must_use]
    pub fn alone() -> Self {
        Self { _file: None }
    }
}
