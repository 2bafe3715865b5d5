//! Holds on jobs: that a job never runs twice at once, whoever runs it. A hold is a lock on a file in the state folder, which the system takes away from
//! a process that is killed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A job that is held for as long as this lives, so that no other process and nobody else in this one executes it. A process that is killed lets
/// go of it.
#[derive(Debug)]
pub struct JobLock {
    _file: Option<File>,
}

impl JobLock {
    /// Takes a job; `None` if somebody else has it. `what` tells holds for different purposes apart.
    ///
    /// # Errors
    /// If there is no place for the lock.
    pub fn take(folder: &Path, path: &str, what: &str) -> Result<Option<Self>> {
        let locks = folder.join("jobs");
        let failed = |error| {
            Error::io(format!("cannot make a lock in {}", locks.display()), error)
                .hint("make the state folder writable, or set IAMLUA_HOME to another folder")
        };
        crate::state::make_private(&locks).map_err(failed)?;
        let file = Self::file(folder, path, what);
        // It stays there: one that is removed while others open it would be two.
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether somebody executes a job right now.
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

    /// A hold where there is nobody else.
    #[must_use]
    pub fn alone() -> Self {
        Self { _file: None }
    }
}
