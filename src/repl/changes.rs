//! Planned and made changes of the REPL, and their undo: `.changes`, `.commit`, `.undo`, `.redo`,
//! `.discard`.

use std::sync::Arc;
use std::time::Duration;

use super::editor::Confirmation;
use super::saving::EntryStatus;
use super::{Repl, entries};
use crate::app::apply::{Report, carry_out};
use crate::app::plan_text::{self, ChangeText};
use crate::app::run;
use crate::aws::client::Backend;
use crate::config::Target;
use crate::error::{Error, Kind, Result};
use crate::session::apply::{self, ApplyOptions};
use crate::session::destination::{Destination, Places, describe_accounts};
use crate::session::journal::records::{RecordedChange, Records, Run};
use crate::session::journal::{About, ChangeOutcome, LeftOut};
use crate::session::plan::{Change, Plan};
use crate::session::{Gate, Mode, Session, SessionConfig, recover, undo};
use crate::ui::format::count;
use crate::ui::terminal::{self, say};
use crate::{spec, state};

/// Changes that are undone together.
#[derive(Clone, Debug)]
pub enum UndoUnit {
    /// Changes that an entry has planned: those after that many.
    Planned(usize),
    /// Changes that an entry has made: numbers in the run of this REPL, the first excluded.
    Changed(u64, u64),
    /// Run that has applied a plan.
    Committed(String),
}

/// Numbers of changes before an entry.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Number of planned changes.
    pub planned: usize,
    /// Number of changes in the run of this REPL.
    pub changed: u64,
}

impl Repl {
    /// Numbers of changes so far.
    pub(super) fn mark(&self) -> Mark {
        Mark { planned: self.session.recorder().len(), changed: self.session.journal().changes() }
    }

    /// Records the changes of an entry, to be undone later.
    pub(super) fn note_step(&mut self, before: Mark) {
        let now = self.mark();
        if now.planned > before.planned || now.changed > before.changed {
            self.undone.clear();
        }
        if now.planned > before.planned {
            self.steps.push(UndoUnit::Planned(before.planned));
            if let Some(refusal) = self.session.exceeded() {
                say(&format!("note: .commit would refuse this plan: {refusal}"));
            }
        }
        if now.changed > before.changed {
            self.steps.push(UndoUnit::Changed(before.changed, now.changed));
        }
    }

    /// Changes of a run of this REPL in the journal, as far as they can be read.
    pub(super) fn recorded_by(&self, run: &entries::EntryRun<'_>) -> Option<Vec<RecordedChange>> {
        let run = match run {
            entries::EntryRun::Own => self.session.journal().run()?,
            entries::EntryRun::Committed(run) => (*run).to_owned(),
        };
        self.recorded(&run).ok().map(|(_, changes, _)| changes)
    }

    fn plan(&self) -> Plan {
        self.session.recorder().plan(None, None, None, None)
    }

    /// Shows the plan, or keeps it in a file for `iamlua apply`; without a plan, shows the changes
    /// that were made.
    pub(super) fn show_changes(&self, file: &str) -> Result<()> {
        let plan = self.plan();
        if !file.is_empty() {
            if plan.is_empty() {
                return Err(Error::usage("nothing is planned, so there is nothing to keep"));
            }
            return run::keep_plan(&plan, &super::commands::path(file), None);
        }
        if !plan.is_empty() {
            print(&plan_text::plan(&plan, false));
            say(
                "Plan only. .commit makes these changes, .undo drops the last, .discard drops all.",
            );
            return Ok(());
        }
        let committed = self.steps.iter().filter_map(|step| match step {
            UndoUnit::Committed(run) => Some(run.clone()),
            _ => None,
        });
        let runs: Vec<String> = self.session.journal().run().into_iter().chain(committed).collect();
        if runs.is_empty() {
            say("nothing is planned, and nothing was changed");
        }
        let mut stand = false;
        for run in &runs {
            let (recorded, changes, _) = self.recorded(run)?;
            let places = Places::of(&recorded.sites);
            let stands = |change: &&RecordedChange| {
                change.undone.is_none() && change.outcome != Some(ChangeOutcome::Failed)
            };
            let done: Vec<_> = (changes.iter().filter(stands))
                .map(|change| ChangeText::recorded(change, places.account(change.site)))
                .collect();
            if done.is_empty() {
                continue;
            }
            stand = true;
            print(&(plan_text::lines(&done, false).join("\n") + "\n"));
            let all = count(done.len() as u64, "change");
            let accounts = plan_text::places(&done);
            say(&format!("{all}{accounts} made by this prompt, run {run}"));
        }
        if !runs.is_empty() && !stand {
            say("nothing is planned, and what was changed was undone");
        }
        Ok(())
    }

    /// Run of the journal with its changes, as far as they are known.
    fn recorded(&self, run: &str) -> Result<(Run, Vec<RecordedChange>, undo::UndoSettings)> {
        self.runtime.block_on(self.session.journal().sync())?;
        let missing = || Error::new(Kind::State, format!("run {run} is not in the journal"));
        let records = Records::open(&state::folder()?)?.ok_or_else(missing)?;
        Ok((records.run(run)?, records.changes(run)?, undo::UndoSettings::of(&records)?))
    }

    /// Applies the plan.
    pub(super) fn commit(&mut self) -> Result<()> {
        let plan = self.plan();
        if plan.is_empty() {
            say("nothing is planned");
            return Ok(());
        }
        print(&plan_text::plan(&plan, false));
        if !plan.outside.is_empty() {
            let are = if plan.outside.len() == 1 { "is" } else { "are" };
            say(&format!(
                "{} {are} not part of .commit: enter them again after .apply to have them",
                plan_text::outside_count(&plan.outside)
            ));
        }
        if plan.changes.is_empty() {
            return Ok(());
        }
        let what = format!("Make {}", count(plan.changes.len() as u64, "change"));
        self.may_write(&what, &plan.sites, false)?;
        let about =
            About { command: "prompt".into(), plan: Some(plan.id.clone()), ..About::default() };
        let (session, result) = self.apply_plan(&plan, about, ".commit");
        let Some(run) = session.journal().run() else {
            let is_drift = matches!(&result, Err(error) if error.kind == Kind::Refused);
            if is_drift && plan.exceeds.is_none() {
                let left = self.replan(&plan.sites, &plan.changes);
                self.steps.retain(|step| !matches!(step, UndoUnit::Planned(_)));
                self.steps.push(UndoUnit::Planned(0));
                let still = count(left as u64, "change");
                say(&format!("{still} planned again on what is there now: .changes shows them"));
            }
            return result.map(|_| ()).map_err(without_options);
        };
        let left = self.remaining(&plan, &session);
        self.entries.commit(&run, &plan, &left);
        let left = self.replan(&plan.sites, &left);
        self.steps.retain(|step| !matches!(step, UndoUnit::Planned(_)));
        self.steps.push(UndoUnit::Committed(run));
        self.session.recorder().outside().clear();
        if left > 0 {
            // Only undoable together: their entries are no longer known.
            self.steps.push(UndoUnit::Planned(0));
            say(&format!("{} still planned", count(left as u64, "change")));
        }
        result.map(|_| ()).map_err(without_options)
    }

    /// Changes of a plan that a session has not made.
    fn remaining(&self, plan: &Plan, session: &Arc<Session>) -> Vec<Change> {
        let gates = self.gates(session, &plan.sites);
        let done = || -> Result<_> {
            let records = Records::open(&state::folder()?)?;
            let options = ApplyOptions { skip_drifted: true, patience: patience() };
            let done = apply::done_before(records.as_ref(), plan, &gates, options);
            self.runtime.block_on(done)
        };
        match done() {
            Ok(done) => plan
                .changes
                .iter()
                .filter(|change| !done.done.contains(&change.number))
                .cloned()
                .collect(),
            Err(error) => {
                // A change of unknown outcome must not be planned again.
                say(&format!("note: what is left of the plan cannot be told: {error}"));
                Vec::new()
            }
        }
    }

    /// Plans these changes, and nothing else, on the current state. Returns the number of those
    /// that can still be made.
    fn replan(&self, sites: &[Destination], changes: &[Change]) -> usize {
        self.runtime.block_on(self.session.forget_plan());
        self.session.reopen();
        let gates = self.gates(&self.session, sites);
        // The plan must be complete, so no session is stopped here; ending the program takes two
        // signals here too.
        let nothing = Session::new(Mode::ReadOnly);
        let planned = self.interrupts.during(&nothing, || {
            self.runtime.block_on(crate::session::plan_again(&gates, changes))
        });
        let places = Places::of(sites);
        for (change, planned) in changes.iter().zip(&planned) {
            if let Err(error) = planned {
                let what = places.describe(change.site, change.subject, &change.name);
                say(&format!("no longer planned: {} {what}: {error}", change.action));
            }
        }
        planned.iter().filter(|planned| planned.is_ok()).count()
    }

    /// Forgets the plan.
    pub(super) fn discard(&mut self) {
        let planned = self.session.recorder().len();
        self.runtime.block_on(self.session.forget_plan());
        self.steps.retain(|step| !matches!(step, UndoUnit::Planned(_)));
        self.entries.discard();
        let outside = self.session.recorder().outside().clear();
        let mut parts = vec![count(planned as u64, "planned change")];
        parts.extend((!outside.is_empty()).then(|| plan_text::outside_count(&outside)));
        say(&format!("{} forgotten", parts.join(", ")));
    }

    /// Undoes the changes that the last entry has planned or made.
    pub(super) fn undo(&mut self) -> Result<()> {
        let Some(step) = self.steps.last().cloned() else {
            return Err(Error::usage("this prompt has made no change that could be undone")
                .hint("`iamlua undo RUN` undoes an earlier run; `iamlua runs` lists them"));
        };
        let made = match step.clone() {
            UndoUnit::Planned(before) => {
                let plan = self.plan();
                let (kept, dropped) = plan.changes.split_at(before.min(plan.changes.len()));
                self.replan(&plan.sites, kept);
                say(&format!("{} no longer planned", count(dropped.len() as u64, "change")));
                None
            }
            UndoUnit::Changed(after, last) => {
                let run = self.session.journal().run().unwrap_or_default();
                let is_meant =
                    |change: &RecordedChange| change.number > after && change.number <= last;
                self.invert(".undo", &run, is_meant)?
            }
            UndoUnit::Committed(run) => self.invert(".undo", &run, |_| true)?,
        };
        self.steps.pop();
        self.entries.set_fate(&step, EntryStatus::Undone);
        self.undone.extend(made.map(|run| (step, run)));
        Ok(())
    }

    /// Makes the changes of the last `.undo` again.
    pub(super) fn redo(&mut self) -> Result<()> {
        let Some((step, run)) = self.undone.last().cloned() else {
            return Err(Error::usage("there is no .undo whose changes could be made again")
                .hint("what was only planned is entered again"));
        };
        self.invert(".redo", &run, |_| true)?;
        self.undone.pop();
        self.entries.set_fate(&step, EntryStatus::Stands);
        self.steps.push(step);
        Ok(())
    }

    /// Makes the inverse of a run's changes. Returns the run that has made it, if there was
    /// something to undo.
    fn invert(
        &mut self,
        command: &str,
        run: &str,
        is_meant: impl Fn(&RecordedChange) -> bool,
    ) -> Result<Option<String>> {
        let verb = command.trim_start_matches('.');
        if !self.session.recorder().is_empty() {
            return Err(pending(&format!("{command} of what was changed")));
        }
        let (run, mut changes, options) = self.recorded(run)?;
        changes.retain(is_meant);
        let planning = Session::with(SessionConfig { mode: Mode::Plan, ..self.rules.clone() });
        let gates = self.gates(&planning, &run.sites);
        let undoing = self.interrupts.during(&planning, || {
            self.runtime.block_on(undo::plan(&run, &changes, &gates, &options))
        })?;
        if !undoing.left_out.is_empty() {
            // A step that cannot be undone must not block the steps before it.
            if verb == "undo" {
                self.steps.pop();
            } else {
                self.undone.pop();
            }
            let describe = |left_out: &LeftOut| left_out.describe(&run.sites);
            let left_out: Vec<_> = undoing.left_out.iter().map(describe).collect();
            let refusal = format!("nothing is changed: {}", left_out.join("; "));
            return Err(Error::new(Kind::Refused, refusal)
                .hint(format!("{command} again goes on with what came before")));
        }
        let plan = planning.recorder().plan(None, None, Some(run.id.clone()), None);
        let plan = Plan { moot: undoing.moot, ..plan };
        for lost in &undoing.lost {
            say(&format!("note: {lost}"));
        }
        if plan.changes.is_empty() {
            say(&format!("there is nothing to {verb}: it is as it was already"));
            return Ok(None);
        }
        print(&plan_text::plan(&plan, false));
        let question = if verb == "undo" { "Undo this" } else { "Make this again" };
        self.may_write(question, &plan.sites, true)?;
        let about = About {
            command: verb.into(),
            plan: Some(plan.id.clone()),
            undoes: Some(run.id),
            ..About::default()
        };
        let (session, result) = self.apply_plan(&plan, about, command);
        self.session.forget_read();
        result.map(|_| session.journal().run())
    }

    /// Applies a plan in a session of its own.
    fn apply_plan(&self, plan: &Plan, about: About, again: &str) -> (Arc<Session>, Result<u8>) {
        let rules = SessionConfig { mode: Mode::Apply, about, ..self.rules.clone() };
        let session = Session::with(rules);
        let gates = self.gates(&session, &plan.sites);
        let result = state::folder().and_then(|folder| {
            let options = ApplyOptions { skip_drifted: false, patience: patience() };
            let records = Records::open(&folder)?;
            let report = Report::on_terminal(again);
            let work = carry_out(plan, &session, &gates, records.as_ref(), options, &report);
            self.interrupts.during(&session, || self.runtime.block_on(work))
        });
        run::tell_changes(&session);
        (session, result)
    }

    /// Gates to the destinations of a plan or run.
    fn gates(&self, session: &Arc<Session>, sites: &[Destination]) -> Vec<Gate> {
        let own = self.runtime.block_on(self.gate.site());
        sites
            .iter()
            .map(|site| {
                let connection = match (&own, site.target) {
                    (Ok(own), _) if own == site => self.gate.connection().clone(),
                    (_, Target::Local) => self.gate.connection().clone(),
                    (_, Target::Aws) => site.connection(Backend::Aws),
                };
                Gate::new(Arc::clone(session), connection)
            })
            .collect()
    }

    /// Asks before a write that the mode does not allow anyway: always on AWS, and on the local
    /// account `if_local`. The question names the accounts of `sites`; without any, that of the
    /// REPL.
    fn may_write(&self, what: &str, sites: &[Destination], if_local: bool) -> Result<()> {
        if self.is_read_only_by_config {
            return Err(Error::new(
                Kind::Refused,
                "the configuration says `mode = \"read-only\"`, so nothing is changed",
            )
            .hint("change it, or name another file with --config"));
        }
        if self.session.mode() == Mode::Apply || (self.account.is_local() && !if_local) {
            return Ok(());
        }
        if super::editor::ask(&format!("{what} in {}?", self.accounts(sites)))
            == Some(Confirmation::Yes)
        {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, "nothing was changed"))
    }

    /// Accounts of destinations in words; that of the REPL as the prompt names it.
    fn accounts(&self, sites: &[Destination]) -> String {
        let own = self.runtime.block_on(self.gate.site());
        let is_own = |site: &Destination| {
            own.as_ref().is_ok_and(|own| own.account_key() == site.account_key())
        };
        if sites.iter().all(is_own) { self.account.describe() } else { describe_accounts(sites) }
    }

    /// Changes the mode.
    pub(super) fn switch(&mut self, mode: Mode) -> Result<()> {
        if self.session.mode() == mode {
            say(&format!("it is {} already", mode.name()));
            return Ok(());
        }
        if !self.session.recorder().is_empty() {
            return Err(pending("changing the mode"));
        }
        if mode == Mode::Apply {
            self.may_write("Make changes from now on", &[], false)?;
        }
        self.session.switch(mode);
        self.session.forget_read();
        let outside = self.session.recorder().outside().clear();
        if !outside.is_empty() {
            say(&format!("{} of the plan forgotten", plan_text::outside_count(&outside)));
        }
        say(match mode {
            Mode::Apply => "changes are made from now on",
            Mode::Plan => "changes are planned from now on: .commit makes them",
            Mode::ReadOnly => "changes are refused from now on",
        });
        Ok(())
    }
}

/// Minimum age of an interrupted attempt's change before its absence from the account counts.
fn patience() -> Duration {
    let seconds = spec::parse_duration(recover::PATIENCE).unwrap_or_default();
    Duration::from_secs_f64(seconds)
}

fn pending(what: &str) -> Error {
    Error::new(Kind::Refused, format!("changes are planned, which come before {what}"))
        .hint(".commit makes them, .undo drops the last, .discard drops all")
}

/// Prints a requested text.
fn print(text: &str) {
    // A closed standard output needs no text.
    let _ = terminal::print(text);
}

/// Error without the hints that name command-line options.
fn without_options(mut error: Error) -> Error {
    error.hints.retain(|hint| !hint.contains("--"));
    error
}
