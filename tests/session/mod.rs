//! Gate, in process and on the emulator: plans, their application, the journal, and undo.

mod exactly_once;
mod filters;
mod journal;
mod lag;
mod line;
mod modes;
mod pairs;
mod planned_reads;
mod plans;
mod random_scripts;
mod random_undo;
mod retries;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use iamlua::aws::client::Connection;
use iamlua::emulator::{Emulator, EmulatorSettings};
use iamlua::error::Result;
use iamlua::lua::Format;
use iamlua::session::apply::{self, Summary};
use iamlua::session::journal::records::{Records, Run};
use iamlua::session::journal::{About, JournalLocation, RunStatus};
use iamlua::session::plan::Plan;
use iamlua::session::undo::{self, UndoPlan};
use iamlua::session::{Gate, Mode, Session, SessionConfig};

use crate::lua::{Bench, Ran};
use line::Fate;

/// Number of requests for each action.
pub type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// Account with a journal, which counts every request.
pub struct World {
    pub bench: Bench,
    pub folder: tempfile::TempDir,
    pub counts: Counts,
}

impl World {
    pub fn new() -> Self {
        Self::with(EmulatorSettings::default())
    }

    pub fn with(options: EmulatorSettings) -> Self {
        Self {
            bench: Bench::with(options),
            folder: tempfile::tempdir().expect("a temporary folder"),
            counts: Counts::default(),
        }
    }

    pub fn account(&self) -> &Emulator {
        &self.bench.account
    }

    pub fn connection(&self) -> Connection {
        let counts = self.counts.clone();
        line::connection(self.account(), move |asked| {
            *counts.lock().expect("counts").entry(asked.action.to_owned()).or_default() += 1;
            Fate::Pass
        })
    }

    pub fn rules(&self, mode: Mode) -> SessionConfig {
        SessionConfig {
            mode,
            journal: JournalLocation::Folder(self.folder.path().to_owned()),
            about: About { command: "test".into(), ..About::default() },
            ..SessionConfig::default()
        }
    }

    /// Runs Lua code in its own session, and records the end of the run in the journal.
    pub fn run(&self, mode: Mode, source: &str) -> (Arc<Session>, Ran) {
        self.run_with(self.rules(mode), source, "test.lua", &[])
    }

    pub fn run_with(
        &self,
        rules: SessionConfig,
        source: &str,
        name: &str,
        args: &[&str],
    ) -> (Arc<Session>, Ran) {
        let session = Session::with(rules);
        let bench = Bench { session: Arc::clone(&session), ..self.bench.clone() };
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ran = bench.run_through(self.connection(), source, name, args, Format::Table);
        self.bench
            .runtime
            .block_on(session.end(RunStatus::Done, None))
            .expect("the journal is written");
        (session, ran)
    }

    /// Plans a script.
    pub fn plan(&self, source: &str) -> (Plan, Ran) {
        let (session, ran) = self.run(Mode::Plan, source);
        (session.recorder().plan(None, None, None, None), ran)
    }

    /// Applies a plan, as the command does.
    pub fn apply(&self, plan: &Plan, skip_drifted: bool) -> Result<(Arc<Session>, Summary)> {
        self.apply_with(self.rules(Mode::Apply), plan, skip_drifted)
    }

    pub fn apply_with(
        &self,
        mut rules: SessionConfig,
        plan: &Plan,
        skip_drifted: bool,
    ) -> Result<(Arc<Session>, Summary)> {
        rules.about.plan = Some(plan.id.clone());
        rules.about.undoes.clone_from(&plan.undoes);
        let session = Session::with(rules);
        let gates = self.gates(&session, plan.sites.len());
        let patience = std::time::Duration::ZERO;
        let summary = self.bench.runtime.block_on(async {
            apply::check_accounts(&plan.sites, &gates).await?;
            let records = Records::open(self.folder.path())?;
            let options = apply::ApplyOptions { skip_drifted, patience };
            let earlier = apply::done_before(records.as_ref(), plan, &gates, options).await?;
            let summary = apply::apply(plan, &session, &gates, &earlier, options, |_| {}).await;
            session.end(RunStatus::Done, None).await?;
            Ok(summary)
        })?;
        Ok((session, summary))
    }

    /// Plans the undo of a run.
    pub fn undo(&self, run: &Run, only: &[&str]) -> Result<(Plan, UndoPlan)> {
        let changes = self.records().changes(&run.id)?;
        let session = Session::with(self.rules(Mode::Plan));
        let gates = self.gates(&session, run.sites.len());
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        let options = undo::UndoSettings { only, ..undo::UndoSettings::of(&self.records())? };
        let planned = undo::plan(run, &changes, &gates, &options);
        let undoing = self.bench.runtime.block_on(planned)?;
        let plan = session.recorder().plan(None, None, Some(run.id.clone()), None);
        Ok((Plan { moot: undoing.moot.clone(), ..plan }, undoing))
    }

    pub fn gates(&self, session: &Arc<Session>, count: usize) -> Vec<Gate> {
        (0..count.max(1)).map(|_| Gate::new(Arc::clone(session), self.connection())).collect()
    }

    pub fn records(&self) -> Records {
        Records::open(self.folder.path()).expect("a journal").expect("something was changed")
    }

    pub fn last_run(&self) -> Run {
        self.records().run("last").expect("a run")
    }

    /// Content of the account, without values that differ after something was created again.
    pub fn contents(&self) -> serde_json::Value {
        contents(&self.bench.export())
    }

    /// Number of write requests that have arrived.
    pub fn writes(&self) -> u64 {
        let counts = self.counts.lock().expect("counts");
        let is_write = |action: &&String| {
            !action.starts_with("Get") && !action.starts_with("List") && *action != "AssumeRole"
        };
        counts.iter().filter(|(action, _)| is_write(action)).map(|(_, n)| n).sum()
    }

    pub fn count(&self, action: &str) -> u64 {
        self.counts.lock().expect("counts").get(action).copied().unwrap_or_default()
    }

    pub fn total(&self) -> u64 {
        self.counts.lock().expect("counts").values().sum()
    }
}

/// Export without ids, dates and uses, in sorted order.
pub fn contents(export: &str) -> serde_json::Value {
    // The principal of a deleted role is an id.
    let id = regex::Regex::new("AROA[A-Z2-7]{17}").expect("a pattern");
    let export = id.replace_all(export, "AROA");
    let mut json: serde_json::Value = serde_json::from_str(&export).expect("JSON");
    for section in ["profiles", "roles"] {
        for entry in json[section].as_array_mut().expect("a list") {
            let entry = entry.as_object_mut().expect("an object");
            for key in ["id", "create_date", "arn", "last_used"] {
                entry.remove(key);
            }
            if entry.get("description").is_some_and(|text| text == "") {
                entry.remove("description");
            }
            if let Some(tags) = entry.get_mut("tags").and_then(|tags| tags.as_object_mut()) {
                tags.sort_keys();
            }
            if let Some(list) = entry.get_mut("attached_policies").and_then(|p| p.as_array_mut()) {
                list.sort_by_key(ToString::to_string);
            }
        }
    }
    json
}

/// Scripts of the project, with arguments that make them change something.
pub fn scripts() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("scripts/inventory.lua", vec![]),
        ("scripts/untagged.lua", vec!["--require", "Owner"]),
        ("scripts/bulk_tag.lua", vec!["--owner", "ops", "--tag", "Stage=prod"]),
        ("scripts/cleanup_orphans.lua", vec!["--quarantine", "--delete"]),
        ("scripts/quota.lua", vec!["--scan"]),
        ("scripts/swap_role.lua", vec!["--from", "web-frontend", "--to", "web-frontend-staging"]),
        ("scripts/ensure.lua", vec!["--file", "{dir}/profiles.json"]),
    ]
}

/// Source of a script of the project.
pub fn script(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a script")
}
