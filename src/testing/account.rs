//! State that a test and its runbooks share: an account in memory, a clock, temporary folders, and
//! cancellation.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::aws::client::{Backend, Connection};
use crate::clock::{Clock, HeldClock};
use crate::emulator::{self, Emulator, Faults};
use crate::error::{Error, Kind, Result};
use crate::lua::Waker;
use crate::lua::cancel::{Canceller, Stop};
use crate::lua::fakes::{Fakes, MadeUp};
use crate::lua::sandbox::{Access, Permissions};
use crate::session::Session;

/// Seed of the ids, so that they are the same in every run of a test.
const SEED: u64 = 1;

/// Environment of one test.
pub(super) struct TestContext {
    /// Account.
    pub account: Emulator,
    /// Clock.
    pub clock: HeldClock,
    /// Folder of the test file.
    pub folder: PathBuf,
    /// Runtime for calls.
    pub runtime: Handle,
    /// Memory limit of each VM, in bytes.
    pub max_memory: usize,
    /// Names that parameters of runbooks cannot have.
    pub reserved: Vec<String>,
    /// Default lag of reads behind writes.
    pub lag: Duration,
    /// Permissions for the real machine, for the test and its runbooks: those of every test, and
    /// those that the operator has granted.
    real: Mutex<Permissions>,
    /// Fakes of the machine that the test has set.
    fakes: Mutex<MadeUp>,
    running: Mutex<Running>,
    /// Temporary folders; `None` once the test is over.
    folders: Mutex<Option<Vec<TempDir>>>,
}

#[derive(Default)]
struct Running {
    stopped: Option<Stop>,
    vms: Vec<RunningVm>,
}

/// Running VM of the test.
pub(super) struct RunningVm {
    /// Cancels the VM.
    pub canceller: Canceller,
    /// Wakes the VM.
    pub waker: Waker,
    /// Session of the VM.
    pub session: Arc<Session>,
}

impl RunningVm {
    fn stop(&self, reason: Stop) {
        self.session.close();
        self.canceller.stop(reason);
        self.waker.wake();
    }
}

impl fmt::Debug for TestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TestContext {
    /// Creates an environment with the example account, at the current time in whole seconds.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn new(
        folder: PathBuf,
        runtime: Handle,
        options: &super::TestSettings,
    ) -> Result<Arc<Self>> {
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let clock = HeldClock::new(now);
        let options_of_account = emulator::EmulatorSettings {
            clock: Clock::Held(clock.clone()),
            seed: Some(SEED),
            faults: Faults { lag: options.lag, ..Faults::default() },
        };
        let mut real = options.permissions.clone();
        real.allow(Access::Read, &folder.display().to_string())?;
        Ok(Arc::new(Self {
            real: Mutex::new(real),
            fakes: Mutex::default(),
            account: Emulator::in_memory(options_of_account)?,
            clock,
            folder,
            runtime,
            max_memory: options.max_memory,
            reserved: options.reserved.clone(),
            lag: options.lag,
            running: Mutex::default(),
            folders: Mutex::new(Some(Vec::new())),
        }))
    }

    /// Permissions for the real machine.
    pub fn real(&self) -> Permissions {
        locked(&self.real).clone()
    }

    /// Fakes for a run of a runbook.
    pub fn fakes(&self) -> Fakes {
        Fakes::new(locked(&self.fakes).clone(), self.real())
    }

    /// Changes the fakes of the machine.
    pub fn change_fakes(&self, change: impl FnOnce(&mut MadeUp)) {
        change(&mut locked(&self.fakes));
    }

    /// Connection to the account.
    pub fn connection(&self) -> Connection {
        Connection { target: Backend::local(self.account.http_client()), ..Connection::default() }
    }

    /// Adds a VM, and stops it if the environment was stopped already.
    pub fn add(&self, vm: RunningVm) {
        let mut running = locked(&self.running);
        if let Some(reason) = running.stopped {
            vm.stop(reason);
        }
        running.vms.push(vm);
    }

    /// Ends the lag of all writes so far. A runbook starts some time after the writes of the test,
    /// and the test reads some time after the end of the runbook.
    pub fn settle(&self) {
        self.clock.let_pass(self.lag);
        for vm in &locked(&self.running).vms {
            vm.session.forget_changes();
        }
    }

    /// Stops every VM, runbooks first, because the test waits for them.
    pub fn stop(&self, reason: Stop) {
        let mut running = locked(&self.running);
        running.stopped.get_or_insert(reason);
        for vm in running.vms.iter().rev() {
            vm.stop(reason);
        }
    }

    /// Ends the environment, and removes its folders.
    pub fn end(&self) {
        drop(locked(&self.folders).take());
    }

    /// Reason why it was stopped, if it was.
    pub fn stopped(&self) -> Option<Stop> {
        locked(&self.running).stopped
    }

    /// Number of requests of all VMs, by AWS action.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for vm in &locked(&self.running).vms {
            for (action, n) in vm.session.calls() {
                *all.entry(action).or_default() += n;
            }
        }
        all
    }

    /// Path of a file that a test names: relative to the test file if it exists there, else to the
    /// current folder.
    pub fn find(&self, path: &str) -> PathBuf {
        let beside = self.folder.join(path);
        let found = if beside.exists() { beside } else { PathBuf::from(path) };
        match found.strip_prefix(".") {
            Ok(plain) if plain.as_os_str().is_empty() => PathBuf::from("."),
            Ok(plain) => plain.to_owned(),
            Err(_) => found,
        }
    }

    /// Checks that a file is in the folder of the test or in the current folder, or that the
    /// operator has granted it.
    ///
    /// # Errors
    /// A permission error that names the flag.
    pub fn check_readable(&self, path: &Path) -> Result<()> {
        let mut real = self.real();
        real.allow(Access::Read, ".")?;
        real.path(Access::Read, &path.display().to_string()).map(|_| ())
    }

    /// Creates a folder that exists until the end of the test, with empty files of those names.
    ///
    /// # Errors
    /// If a name leads out of the folder, the disk is full, or the test is over.
    pub fn temporary<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix("iamlua-test-").tempdir();
        let folder =
            folder.map_err(|error| Error::io("temp_folder: cannot make a folder", error))?;
        for name in names {
            let is_plain = Path::new(name)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !is_plain || name.is_empty() {
                return Err(Error::argument(format!("temp_folder: {name:?} leads out of it"))
                    .hint("names are like \"a.txt\" or \"a/b.txt\""));
            }
            let path = folder.path().join(name);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&path, ""))
                .map_err(|error| Error::io(format!("temp_folder: cannot write {name}"), error))?;
        }
        let path = folder.path().to_owned();
        for access in [Access::Read, Access::Write] {
            locked(&self.real).allow(access, &path.display().to_string())?;
        }
        match &mut *locked(&self.folders) {
            Some(folders) => folders.push(folder),
            None => return Err(Error::new(Kind::Interrupted, "temp_folder: the test is over")),
        }
        Ok(path)
    }
}
