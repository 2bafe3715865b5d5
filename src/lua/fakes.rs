//! Fake machine for a runbook under test: programs, files and variables that the test defines in
//! place of the real ones, which are inaccessible unless the operator has granted them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use url::Url;
use wildmatch::WildMatch;

use super::sandbox::{Access, Permissions};
use crate::error::{Error, Kind, Result};
use crate::session::outside::{self, Recorder};
use crate::spec::Value;

/// A fake program.
#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    /// Name or path, as runbooks give it.
    pub program: String,
    /// Expected arguments; any if unset.
    pub args: Option<Vec<String>>,
    /// Results of successive runs; the last one applies to all further runs.
    pub ends: Vec<FakeResult>,
}

/// Result of a fake program.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct FakeResult {
    /// Exit code; 0 by default.
    #[serde(default)]
    code: u8,
    /// Text on standard output.
    #[serde(default)]
    stdout: String,
    /// Text on standard error.
    #[serde(default)]
    stderr: String,
    /// Error of starting it, if it cannot be started.
    error: Option<String>,
}

/// Record of a program run by a runbook.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    program: String,
    args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdin: Option<String>,
}

/// A fake web server.
#[derive(Clone, Debug, Deserialize)]
pub struct FakeServer {
    /// Method; any if unset.
    pub method: Option<String>,
    /// Address, in which `*` is any text.
    pub url: String,
    /// Successive answers; the last one applies to all further requests.
    pub answers: Vec<FakeAnswer>,
}

/// Answer of a fake web server.
#[derive(Clone, Debug, Deserialize)]
pub struct FakeAnswer {
    /// Status; 200 by default.
    #[serde(default = "ok")]
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body.
    #[serde(default)]
    pub body: String,
    /// Error in place of an answer.
    pub error: Option<String>,
}

impl Default for FakeAnswer {
    fn default() -> Self {
        Self { status: ok(), headers: BTreeMap::new(), body: String::new(), error: None }
    }
}

const fn ok() -> u16 {
    200
}

/// Record of a request that a runbook sent.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// Fake programs, files and variables of a test.
#[derive(Clone, Debug, Default)]
pub struct MadeUp {
    /// Programs, the latest last.
    pub programs: Vec<Program>,
    /// Web servers, the latest last.
    pub servers: Vec<FakeServer>,
    /// Files by their resolved paths; `None` for a file that does not exist.
    pub files: BTreeMap<PathBuf, Option<String>>,
    /// Variables by their names.
    pub env: BTreeMap<String, String>,
}

/// Fake machine of one run of a runbook. Cheap to clone.
#[derive(Clone)]
pub struct Fakes(Arc<Inner>);

struct Inner {
    made_up: MadeUp,
    /// Real permissions: those that the operator has granted, and the test's own files.
    real: Permissions,
    ran: Mutex<Vec<Ran>>,
    /// Number of runs so far of each fake program.
    runs: Mutex<BTreeMap<usize, usize>>,
    sent: Mutex<Vec<Sent>>,
    /// Number of requests so far to each fake server.
    requests: Mutex<BTreeMap<usize, usize>>,
}

impl fmt::Debug for Fakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fakes").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fakes {
    /// Fake machine for one run.
    #[must_use]
    pub fn new(made_up: MadeUp, real: Permissions) -> Self {
        Self(Arc::new(Inner {
            made_up,
            real,
            ran: Mutex::default(),
            runs: Mutex::default(),
            sent: Mutex::default(),
            requests: Mutex::default(),
        }))
    }

    /// Programs that were run, in order.
    #[must_use]
    pub fn ran(&self) -> Vec<Ran> {
        locked(&self.0.ran).clone()
    }

    /// Requests that were sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        locked(&self.0.sent).clone()
    }

    /// Check for a resolved path whose file on the disk is hidden.
    pub(super) fn hides(&self, access: Access, path: &Path) -> bool {
        if outside::is_stream(path) {
            return false;
        }
        self.0.made_up.files.contains_key(path) || !self.0.real.covers_path(access, path)
    }

    /// Adds a fake file to the recorder, which holds the files of the run.
    fn provide(&self, recorder: &Recorder, path: &Path) -> std::io::Result<()> {
        match self.0.made_up.files.get(path) {
            Some(Some(text)) => recorder.provide(path, text.as_bytes()),
            _ => Ok(()),
        }
    }

    /// File with the content of a hidden file.
    ///
    /// # Errors
    /// If the test does not define it.
    pub(super) fn to_read(&self, recorder: &Recorder, path: &Path, given: &str) -> Result<PathBuf> {
        let failed = |error| Error::io(format!("cannot read {given}"), error);
        self.provide(recorder, path).map_err(failed)?;
        if let Some(content) = recorder.planned(path).map_err(failed)? {
            return Ok(content);
        } else if self.0.made_up.files.contains_key(path) {
            return recorder.nothing().map_err(failed);
        }
        let error = format!("cannot read {given}: a test does not read the files of this machine");
        Err(Error::new(Kind::Io, error).hint(format!(
            "make it up with fake.file({given:?}, \"…\"), or `iamlua test {}` reads it",
            Access::Read.flag(given)
        )))
    }

    /// Names of the entries of a hidden folder.
    ///
    /// # Errors
    /// If the test does not define it.
    pub(super) fn names_in(
        &self,
        recorder: &Recorder,
        path: &Path,
        given: &str,
    ) -> Result<Vec<String>> {
        let files = self.0.made_up.files.iter().filter(|(_, text)| text.is_some());
        let inside = files.filter_map(|(file, _)| file.strip_prefix(path).ok());
        let names = inside.filter_map(|rest| rest.components().next()).map(|name| {
            let name: &Path = name.as_ref();
            name.display().to_string()
        });
        let names = recorder.names_in(path, names.collect());
        if names.is_empty() {
            let error =
                format!("cannot list {given}: a test does not list folders of this machine");
            return Err(Error::new(Kind::Io, error).hint(format!(
                "make a file in it up with fake.file, or `iamlua test {}` lists it",
                Access::Read.flag(given)
            )));
        }
        Ok(names)
    }

    /// Check that a hidden file exists.
    pub(super) fn has_file(&self, recorder: &Recorder, path: &Path) -> bool {
        matches!(self.0.made_up.files.get(path), Some(Some(_)))
            || recorder.planned(path).is_ok_and(|content| content.is_some())
    }

    /// Prepares a hidden file for writing.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(super) fn before_write(&self, recorder: &Recorder, path: &Path) -> std::io::Result<()> {
        self.provide(recorder, path)
    }

    /// Check for a variable whose real value is hidden.
    pub(super) fn hides_variable(&self, name: &str) -> bool {
        self.0.made_up.env.contains_key(name) || !self.0.real.covers(Access::Env, name)
    }

    /// Value of a fake variable.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.0.made_up.env.get(name).map(String::as_str)
    }

    /// Records the run of a program; returns its result, or `None` for a real program.
    ///
    /// # Errors
    /// If the test makes starting it fail, or does not define it.
    pub(super) fn run(
        &self,
        program: &str,
        args: &[String],
        stdin: Option<&[u8]>,
    ) -> Result<Option<Value>> {
        let is_meant = |made_up: &&Program| {
            made_up.program == program && made_up.args.as_ref().is_none_or(|own| own == args)
        };
        let all = || self.0.made_up.programs.iter().enumerate();
        let exact = all().rfind(|(_, made_up)| made_up.args.is_some() && is_meant(made_up));
        let found = exact.or_else(|| all().rfind(|(_, made_up)| is_meant(made_up)));
        if found.is_none() && !self.0.real.covers(Access::Run, program) {
            let error = format!("cannot run {program}: a test runs no programs of this machine");
            return Err(Error::new(Kind::Io, error).hint(format!(
                "make it up with fake.process({program:?}, {{ stdout = \"…\" }}), or `iamlua test \
                 {}` runs it",
                Access::Run.flag(program)
            )));
        }
        locked(&self.0.ran).push(Ran {
            program: program.to_owned(),
            args: args.to_vec(),
            stdin: stdin.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        });
        let Some((at, made_up)) = found else { return Ok(None) };
        let run = {
            let mut runs = locked(&self.0.runs);
            let run = runs.entry(at).or_default();
            *run += 1;
            *run - 1
        };
        let end = made_up.ends.get(run).or(made_up.ends.last()).cloned().unwrap_or_default();
        if let Some(error) = end.error {
            return Err(Error::new(Kind::Io, format!("cannot run {program}: {error}")));
        }
        Ok(Some(Value::Record(vec![
            ("code", Value::Int(end.code.into())),
            ("ok", Value::Bool(end.code == 0)),
            ("stdout", Value::Str(end.stdout)),
            ("stderr", Value::Str(end.stderr)),
        ])))
    }

    /// Records a request; returns its answer, or `None` for a real server.
    ///
    /// # Errors
    /// If the test does not define it.
    pub(super) fn request(
        &self,
        method: &str,
        url: &Url,
        headers: &[(String, String)],
        body: Option<&[u8]>,
    ) -> Result<Option<FakeAnswer>> {
        let is_meant = |made_up: &FakeServer| {
            made_up.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method))
                && WildMatch::new(&made_up.url).matches(url.as_str())
        };
        let all = self.0.made_up.servers.iter().enumerate();
        let found = all.rev().find(|(_, made_up)| is_meant(made_up));
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        if found.is_none() && !self.0.real.covers_host(host, port.unwrap_or_default()) {
            let error = format!("cannot send {method} to {host}: a test reaches no servers");
            return Err(Error::new(Kind::Connection, error).hint(format!(
                "make it up with fake.http(\"https://{host}/*\", {{ body = \"…\" }}), or `iamlua \
                 test {}` reaches it",
                Access::Net.flag(host)
            )));
        }
        locked(&self.0.sent).push(Sent {
            method: method.to_owned(),
            url: url.to_string(),
            headers: headers.iter().cloned().collect(),
            body: body.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        });
        let Some((at, made_up)) = found else { return Ok(None) };
        let mut requests = locked(&self.0.requests);
        let request = requests.entry(at).or_default();
        *request += 1;
        let answer = made_up.answers.get(*request - 1).or(made_up.answers.last());
        Ok(Some(answer.cloned().unwrap_or_default()))
    }

    /// Check for a program that need not exist on the machine.
    pub(super) fn hides_program(&self, program: &str) -> bool {
        self.0.made_up.programs.iter().any(|made_up| made_up.program == program)
            || !self.0.real.covers(Access::Run, program)
    }
}
