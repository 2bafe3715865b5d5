//! `iamlua watch`: changes of files, and the runs that follow.

mod busy;
mod files;
mod keys;
mod modes;
mod saves;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use crate::commands::Desk;
use crate::patience::{Heard, until, until_some};

/// Watcher at a desk.
struct Watching {
    desk: Desk,
    child: Child,
    out: Heard,
    err: Heard,
}

impl Watching {
    /// Starts `iamlua watch`, and waits until it watches.
    fn new(desk: Desk, args: &[&str]) -> Self {
        let watching = Self::start(desk, args);
        watching.says("watching ");
        watching
    }

    fn start(desk: Desk, args: &[&str]) -> Self {
        let args: Vec<_> = ["watch"].iter().chain(args).copied().collect();
        let mut child = desk.command(&args).spawn().expect("the program starts");
        let out = Heard::from(child.stdout.take().expect("a pipe"));
        let err = Heard::from(child.stderr.take().expect("a pipe"));
        Self { desk, child, out, err }
    }

    fn out(&self) -> String {
        self.out.text()
    }

    fn err(&self) -> String {
        self.err.text()
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let why = || format!("{what} did not come:\n{}\n{}", self.out(), self.err());
        until(|| is_there(self), why);
    }

    /// Waits for a text on standard error.
    #[track_caller]
    fn says(&self, text: &str) {
        self.wait(text, |watching| watching.err().contains(text));
    }

    /// Waits until scripts have printed exactly that. Standard output is read separately, so it may
    /// arrive later.
    #[track_caller]
    fn printed(&self, text: &str) {
        self.wait(&format!("{text:?}"), |watching| watching.out() == text);
    }

    /// Waits until that many runs have ended.
    #[track_caller]
    fn has_run(&self, times: usize) {
        self.wait(&format!("run {times}"), |watching| watching.ends().len() >= times);
        assert_eq!(self.ends().len(), times, "{}\n{}", self.out(), self.err());
    }

    /// Lines that report the end of a run.
    fn ends(&self) -> Vec<String> {
        const ENDS: [&str; 3] = [": done in ", ": failed after ", ": ended with exit code "];
        let is_end = |line: &&str| ENDS.iter().any(|end| line.contains(end));
        self.err().lines().filter(is_end).map(str::to_owned).collect()
    }

    /// Reasons of the runs of a script.
    fn reasons(&self, script: &str) -> Vec<String> {
        let start = format!("{script}: ");
        let ends = ["done in ", "failed after ", "ended with ", "stopped after "];
        let is_reason = |rest: &&str| !ends.iter().any(|end| rest.starts_with(end));
        let err = self.err();
        let lines = err.lines().filter_map(|line| line.strip_prefix(&start));
        lines.filter(is_reason).map(str::to_owned).collect()
    }

    /// Writes a file atomically.
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        replace(&self.path(name), text);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    /// Sends a signal.
    fn tell(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Sends a signal, and waits for the end.
    fn is_told(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        self.tell(signal);
        self.ends_with_status()
    }

    #[track_caller]
    fn ends_with_status(&mut self) -> ExitStatus {
        let (child, err) = (&mut self.child, &self.err);
        let look = || child.try_wait().expect("it is a child");
        let status = until_some(look, || format!("it has not ended:\n{}", err.text()));
        // The last output may not have arrived yet.
        self.out.all();
        self.err.all();
        status
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replaces a file by a rename, as editors do.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("a file");
    fs::rename(beside, path).expect("a rename");
}
