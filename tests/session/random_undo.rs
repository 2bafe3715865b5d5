//! Undo of random runs over two accounts: newest first, and again, also after one call of an undo
//! was refused or its process was killed. Changes that others have made meanwhile stay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iamlua::aws::client::Connection;
use iamlua::lua::Format;
use iamlua::session::apply::{self, Summary};
use iamlua::session::destination::Destination;
use iamlua::session::journal::records::Run;
use iamlua::session::journal::{JournalLocation, RunStatus};
use iamlua::session::plan::Plan;
use iamlua::session::recover;
use iamlua::session::undo::{self, UndoPlan};
use iamlua::session::{Gate, Mode, Session, SessionConfig};
use serde_json::Value;
use tokio::sync::Notify;

use super::line::{self, Fate};
use super::planned_reads::account;
use super::random_scripts::{Dice, random_script};
use super::{World, contents};
use crate::lua::Bench;

/// Disturbance of an undo at one of its writes.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// AWS refuses that write.
    Refused(usize),
    /// The process is killed when that write was made and is not answered yet.
    KilledAfter(usize),
    /// The process is killed before that write reaches AWS.
    KilledBefore(usize),
}

#[derive(Clone, Default)]
struct Line {
    trouble: Arc<Mutex<Option<Trouble>>>,
    writes: Arc<Mutex<usize>>,
    kill: Arc<Notify>,
}

impl Line {
    fn of(trouble: Option<Trouble>) -> Self {
        Self { trouble: Arc::new(Mutex::new(trouble)), ..Self::default() }
    }

    fn fate(&self, action: &str) -> Fate {
        if action.starts_with("Get") || action.starts_with("List") {
            return Fate::Pass;
        }
        let mut writes = self.writes.lock().expect("a count");
        *writes += 1;
        let mut trouble = self.trouble.lock().expect("a trouble");
        match *trouble {
            Some(Trouble::Refused(at)) if at == *writes => {
                *trouble = None;
                Fate::Refuse(403, "AccessDenied")
            }
            Some(Trouble::KilledAfter(at)) if at <= *writes => {
                self.kill.notify_one();
                Fate::Lose
            }
            Some(Trouble::KilledBefore(at)) if at <= *writes => {
                self.kill.notify_one();
                Fate::Fail
            }
            _ => Fate::Pass,
        }
    }
}

/// Two accounts and one journal.
struct Accounts {
    world: World,
    other: Bench,
    ids: [&'static str; 2],
}

impl Accounts {
    fn new(partition: &str) -> Self {
        let (world, other) = (World::new(), Bench::new());
        let ids = ["123456789012", "210987654321"];
        let json = account(partition, [12, 12, 4]);
        world.account().import(json.as_bytes()).expect("an account");
        let json = json.replace(ids[0], ids[1]);
        other.account.import(json.as_bytes()).expect("an account");
        Self { world, other, ids }
    }

    fn connection(&self, at: usize, line: &Line) -> Connection {
        let account = if at == 0 { self.world.account() } else { &self.other.account };
        let line = line.clone();
        line::connection(account, move |asked| line.fate(asked.action))
    }

    fn gates(&self, session: &Arc<Session>, sites: &[Destination], line: &Line) -> Vec<Gate> {
        let gate = |site: &Destination| {
            let at = usize::from(site.account.as_deref() == Some(self.ids[1]));
            Gate::new(Arc::clone(session), self.connection(at, line))
        };
        sites.iter().map(gate).collect()
    }

    /// Runs a script in each account, in one run. `None` if nothing was changed.
    fn run(&self, rules: SessionConfig, sources: &[String; 2]) -> Option<String> {
        let session = Session::with(rules);
        for (at, source) in sources.iter().enumerate() {
            let bench = Bench { session: Arc::clone(&session), ..self.world.bench.clone() };
            let connection = self.connection(at, &Line::default());
            let source = source.replace(self.ids[0], self.ids[at]);
            bench.run_through(connection, &source, "random.lua", Vec::new(), Format::Table);
        }
        self.world.bench.runtime.block_on(session.end(RunStatus::Done, None)).expect("the journal");
        session.journal().run()
    }

    fn contents(&self) -> [Value; 2] {
        [self.world.contents(), contents(&self.other.export())]
    }

    fn find(&self, run: &str) -> Run {
        self.world.records().run(run).expect("a run")
    }

    /// Undoes a run as the command does. No summary: it was killed.
    fn undo(&self, run: &str, trouble: Option<Trouble>) -> (UndoPlan, Option<Summary>) {
        let records = self.world.records();
        let mut unsettled = records.runs_that_undo(run).expect("runs");
        unsettled.push(self.find(run));
        let sane = Line::default();
        let runtime = &self.world.bench.runtime;
        for run in unsettled.iter().filter(|run| run.counts.in_doubt > 0) {
            let session = Session::with(self.world.rules(Mode::ReadOnly));
            let gates = self.gates(&session, &run.sites, &sane);
            let settled = runtime.block_on(recover::recover(&records, run, &gates, Duration::ZERO));
            settled.expect("it can be settled");
        }
        let (earlier, changes) = (self.find(run), records.changes(run).expect("changes"));
        let options = undo::UndoSettings::of(&records).expect("the journal");
        let session = Session::with(self.world.rules(Mode::Plan));
        let gates = self.gates(&session, &earlier.sites, &sane);
        let planned = undo::plan(&earlier, &changes, &gates, &options);
        let undoing = runtime.block_on(planned).expect("a plan");
        let plan = session.recorder().plan(None, None, Some(run.to_owned()), None);
        let plan = Plan { moot: undoing.moot.clone(), ..plan };
        let summary = self.apply(&plan, trouble);
        (undoing, summary)
    }

    fn apply(&self, plan: &Plan, trouble: Option<Trouble>) -> Option<Summary> {
        let mut rules = self.world.rules(Mode::Apply);
        rules.about.plan = Some(plan.id.clone());
        rules.about.undoes.clone_from(&plan.undoes);
        let session = Session::with(rules);
        let line = Line::of(trouble);
        let gates = self.gates(&session, &plan.sites, &line);
        let summary = self.world.bench.runtime.block_on(async {
            let options = apply::ApplyOptions { skip_drifted: true, patience: Duration::ZERO };
            let records = self.world.records();
            let earlier = apply::done_before(Some(&records), plan, &gates, options).await;
            let earlier = earlier.expect("nothing is open");
            let work = apply::apply(plan, &session, &gates, &earlier, options, |_| {});
            tokio::select! {
                biased;
                () = line.kill.notified() => None,
                summary = work => {
                    session.end(RunStatus::Done, None).await.expect("the journal");
                    Some(summary)
                }
            }
        });
        let run = session.journal().run();
        drop((session, gates));
        // The journal of a killed process has no writer any more.
        while let Some(run) = &run
            && self.find(run).status == RunStatus::Running
        {
            std::thread::yield_now();
        }
        summary
    }
}

#[track_caller]
fn assert_holds(accounts: &Accounts, expected: &[Value; 2], why: &str) {
    let (held, expected) = (values(&accounts.contents()), values(expected));
    let places = held.keys().chain(expected.keys());
    let differing: Vec<_> = places
        .filter(|place| held.get(*place) != expected.get(*place))
        .map(|place| (place, held.get(place), expected.get(place)))
        .collect();
    assert!(differing.is_empty(), "{why}: {differing:#?}");
}

fn seeds() -> u64 {
    std::env::var("IAMLUA_TEST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

fn partition(dice: &mut Dice) -> String {
    dice.pick(&["aws", "aws", "aws-cn", "aws-us-gov"]).to_owned()
}

/// Runs three random scripts. Returns the runs, and the content of the accounts before each and at
/// the end.
fn three_runs(
    accounts: &Accounts,
    dice: &mut Dice,
    partition: &str,
) -> (Vec<Option<String>>, Vec<[Value; 2]>) {
    let (mut runs, mut states) = (Vec::new(), vec![accounts.contents()]);
    for _ in 0..3 {
        let sources = [(); 2].map(|()| random_script(dice, partition, false));
        runs.push(accounts.run(accounts.world.rules(Mode::Apply), &sources));
        states.push(accounts.contents());
    }
    (runs, states)
}

#[test]
fn three_runs_are_undone_newest_first_and_the_undos_again() {
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        let partition = partition(&mut dice);
        let accounts = Accounts::new(&partition);
        let (runs, states) = three_runs(&accounts, &mut dice, &partition);
        let mut undos = Vec::new();
        for at in (0..3).rev() {
            let Some(run) = &runs[at] else { continue };
            let (undoing, summary) = accounts.undo(run, None);
            assert!(undoing.left_out.is_empty(), "seed {seed}: {:?}", undoing.left_out);
            let summary = summary.expect("it was not killed");
            assert!(summary.stopped.is_none() && summary.failed.is_empty(), "{seed}: {summary:?}");
            assert_holds(&accounts, &states[at], &format!("seed {seed}, undo of run {at}"));
            assert_eq!(accounts.find(run).counts.standing, 0, "seed {seed}");
            if summary.done > 0 {
                undos.push((at, accounts.world.last_run().id));
            }
        }
        for (at, undo) in undos.into_iter().rev() {
            let (undoing, summary) = accounts.undo(&undo, None);
            assert!(undoing.left_out.is_empty(), "seed {seed}: {:?}", undoing.left_out);
            assert!(summary.is_some_and(|summary| summary.stopped.is_none()), "seed {seed}");
            assert_holds(&accounts, &states[at + 1], &format!("seed {seed}, undo of undo {at}"));
        }
    }
}

#[test]
fn an_undo_that_was_refused_or_killed_is_finished_by_the_same_command() {
    for seed in 0..seeds() {
        let mut dice = Dice(1000 + seed);
        let partition = partition(&mut dice);
        let accounts = Accounts::new(&partition);
        let (runs, states) = three_runs(&accounts, &mut dice, &partition);
        for at in (0..3).rev() {
            let Some(run) = &runs[at] else { continue };
            let number = 1 + dice.below(8);
            let trouble = match dice.below(3) {
                0 => Trouble::Refused(number),
                1 => Trouble::KilledAfter(number),
                _ => Trouble::KilledBefore(number),
            };
            let (undoing, summary) = accounts.undo(run, Some(trouble));
            assert!(undoing.left_out.is_empty(), "seed {seed}: {:?}", undoing.left_out);
            if let Some(summary) = summary {
                assert!(summary.failed.len() <= 1, "seed {seed}: {summary:?}");
                assert!(summary.stopped.is_none(), "seed {seed}: {summary:?}");
            }
            let (undoing, summary) = accounts.undo(run, None);
            assert!(
                undoing.left_out.is_empty(),
                "seed {seed}, {trouble:?} in the undo of run {at}: {:?}",
                undoing.left_out
            );
            let summary = summary.expect("it was not killed");
            assert!(summary.stopped.is_none() && summary.failed.is_empty(), "{seed}: {summary:?}");
            assert_holds(&accounts, &states[at], &format!("seed {seed}, {trouble:?}, run {at}"));
        }
    }
}

/// Every value in an account, by its path.
fn values(contents: &[Value; 2]) -> BTreeMap<String, String> {
    fn walk(place: &str, value: &Value, all: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(&format!("{place}/{name}"), value, all);
                }
            }
            Value::Array(items) => {
                for item in items {
                    let id = item["name"].as_str().or_else(|| item.as_str()).unwrap_or_default();
                    let id = id.to_lowercase();
                    all.insert(format!("{place}/{id}"), "there".to_owned());
                    walk(&format!("{place}/{id}"), item, all);
                }
            }
            other => {
                all.insert(place.to_owned(), other.to_string());
            }
        }
    }
    let mut all = BTreeMap::new();
    for (at, contents) in contents.iter().enumerate() {
        for section in ["profiles", "roles"] {
            walk(&format!("{at}/{section}"), &contents[section], &mut all);
        }
    }
    all
}

#[test]
fn what_others_have_changed_is_not_overwritten() {
    for seed in 0..seeds() {
        let mut dice = Dice(2000 + seed);
        let partition = partition(&mut dice);
        let accounts = Accounts::new(&partition);
        let mut script = || [(); 2].map(|()| random_script(&mut dice, &partition, false));
        let Some(run) = accounts.run(accounts.world.rules(Mode::Apply), &script()) else {
            continue;
        };
        let after = values(&accounts.contents());
        let somebody =
            SessionConfig { journal: JournalLocation::Memory, ..accounts.world.rules(Mode::Apply) };
        accounts.run(somebody, &script());
        let drifted = values(&accounts.contents());
        let (undoing, summary) = accounts.undo(&run, None);
        let summary = summary.expect("it was not killed");
        assert!(summary.stopped.is_none(), "seed {seed}: {summary:?}");
        let undone = values(&accounts.contents());
        let places = after.keys().chain(drifted.keys());
        for place in places.filter(|place| after.get(*place) != drifted.get(*place)) {
            assert_eq!(
                undone.get(place),
                drifted.get(place),
                "seed {seed}: {place} was {:?} after the run; left out: {:?}",
                after.get(place),
                undoing.left_out
            );
        }
        // A second undo changes nothing.
        let (_, summary) = accounts.undo(&run, None);
        assert_eq!(summary.expect("it was not killed").done, 0, "seed {seed}");
        assert_eq!(values(&accounts.contents()), undone, "seed {seed}");
    }
}
