//! Settings of a host.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::output::SharedWriter;
use super::target::{Clock, Target};
use super::{CancelHandle, Host, Io, Journal, Shared};
use crate::app::run;
use crate::error::{Error, Result};
use crate::lua::Format;
use crate::lua::sandbox::{Access, Permissions};
use crate::session::journal::{JournalLocation, MemoryJournal};
use crate::session::{AccountLimiter, Mode, RecentChanges};
use crate::state;

/// Settings of a [`Host`]. Without any, a host has an example account in memory, plans instead of
/// changing, gives scripts no permission, 256 MiB and no timeout, captures up to 64 MiB of output,
/// and keeps its journal in memory.
#[must_use = "a builder makes nothing before `build`"]
pub struct HostBuilder {
    target: Target,
    mode: Mode,
    allowed: Vec<(Access, String)>,
    max_memory: usize,
    timeout: Option<Duration>,
    format: Format,
    log_level: &'static str,
    max_changes: Option<u64>,
    protect: Vec<String>,
    accounts: Vec<String>,
    journal: Journal,
    clock: Clock,
    stdout: Option<SharedWriter>,
    stderr: Option<SharedWriter>,
    max_output: usize,
    runtime: Option<Handle>,
}

impl Default for HostBuilder {
    fn default() -> Self {
        Self {
            target: Target::in_memory(),
            mode: Mode::Plan,
            allowed: Vec::new(),
            max_memory: 256 << 20,
            timeout: None,
            format: Format::Table,
            log_level: "info",
            max_changes: None,
            protect: Vec::new(),
            accounts: Vec::new(),
            journal: Journal::default(),
            clock: Clock::default(),
            stdout: None,
            stderr: None,
            max_output: 64 << 20,
            runtime: None,
        }
    }
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("target", &self.target)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl HostBuilder {
    /// Sets the account.
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Sets what becomes of changes that scripts ask for; the default is [`Mode::Plan`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Gives scripts a permission: a file or folder to read or write, the name of an environment
    /// variable or a program, or a host on the network. An empty text means all of that kind.
    pub fn allow(mut self, access: Access, what: impl Into<String>) -> Self {
        self.allowed.push((access, what.into()));
        self
    }

    /// Sets the maximum memory of the Lua values of one run, in bytes.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Sets the maximum duration of one run. Applying and undoing have none.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Sets the format of `report` and other results; the default is a table.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Shows the `log.debug` messages of scripts too.
    pub fn verbose(mut self) -> Self {
        self.log_level = "debug";
        self
    }

    /// Sets the maximum number of changes of one run. A plan beyond it cannot be applied.
    pub fn max_changes(mut self, changes: u64) -> Self {
        self.max_changes = Some(changes);
        self
    }

    /// Protects profiles of that name, which may have `*` and `?`, from every change.
    pub fn protect(mut self, name: impl Into<String>) -> Self {
        self.protect.push(name.into());
        self
    }

    /// Restricts the host to that AWS account, or to several. Emulated accounts are not checked.
    pub fn account(mut self, number: impl Into<String>) -> Self {
        self.accounts.push(number.into());
        self
    }

    /// Sets the place of the journal.
    pub fn journal(mut self, journal: Journal) -> Self {
        self.journal = journal;
        self
    }

    /// Sets the clock of scripts and of an emulated account.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes the standard output of scripts there, instead of capturing it.
    pub fn stdout(mut self, writer: impl Write + Send + 'static) -> Self {
        self.stdout = Some(Arc::new(Mutex::new(writer)));
        self
    }

    /// Writes messages and notices there, instead of capturing them.
    pub fn stderr(mut self, writer: impl Write + Send + 'static) -> Self {
        self.stderr = Some(Arc::new(Mutex::new(writer)));
        self
    }

    /// Sets the maximum of captured output, in bytes. A script that prints more fails.
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }

    /// Makes all calls on that tokio runtime, instead of one of the host's own. It must be a
    /// multi-thread runtime, and a host must not be called directly on its worker threads.
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// Makes the host.
    ///
    /// # Errors
    /// If the account or the journal cannot be opened, the configuration of AWS cannot be used, a
    /// permission names a path that cannot be resolved, or the runtime has one thread only.
    pub fn build(self) -> Result<Host> {
        let mut permissions = Permissions::default();
        for (access, what) in &self.allowed {
            permissions.allow(*access, what)?;
        }
        let runtime = match self.runtime {
            Some(handle) if handle.runtime_flavor() == RuntimeFlavor::CurrentThread => {
                return Err(Error::usage("a runtime with one thread cannot serve a host")
                    .hint("give the handle of a multi-thread runtime, or none"));
            }
            Some(handle) => Io::Given(handle),
            None => Io::Own(Some(run::runtime()?)),
        };
        let journal = match self.journal {
            Journal::Memory => JournalLocation::Shared(MemoryJournal::new()?),
            Journal::Folder(folder) => {
                state::make_private(&folder).map_err(|error| {
                    Error::io(format!("cannot make the folder {}", folder.display()), error)
                })?;
                JournalLocation::Folder(folder)
            }
        };
        Ok(Host(Arc::new(Shared {
            connection: self.target.connection(&self.clock)?,
            runtime,
            mode: self.mode,
            permissions,
            max_memory: self.max_memory,
            timeout: self.timeout,
            format: self.format,
            log_level: self.log_level,
            max_changes: self.max_changes,
            protect: self.protect,
            accounts: self.accounts,
            journal,
            clock: self.clock.0,
            stdout: self.stdout,
            stderr: self.stderr,
            max_output: self.max_output,
            functions: Mutex::default(),
            cancel: CancelHandle::default(),
            rates: AccountLimiter::default(),
            recent: RecentChanges::default(),
        })))
    }
}
