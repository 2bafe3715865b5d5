//! Journal: its content and order, and failures to write it.

use std::sync::{Arc, Mutex};

use iamlua::lua::Format;
use iamlua::session::journal::RunStatus;
use iamlua::session::{Mode, Session};

use super::World;
use super::line::{self, Fate};
use crate::lua::Bench;

const JOB: &str = "
local jobs = {}
for profile in iam.profiles.each {} do
  jobs[#jobs + 1] = function() try(iam.profiles.tag, profile.name, { A = profile.name }) end
end
task.all(jobs)";

#[test]
fn a_change_is_on_the_disk_before_it_is_sent() {
    let world = World::new();
    let journal = world.folder.path().join("journal.db");
    let unannounced = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&unannounced);
    let connection = line::connection(world.account(), move |asked| {
        if asked.action == "TagInstanceProfile" {
            // Another connection sees only committed data.
            let name = asked.parameter("InstanceProfileName").expect("a name");
            let known = rusqlite::Connection::open(&journal).and_then(|journal| {
                journal.query_row(
                    "SELECT count(*) FROM change WHERE name = ?1 AND outcome IS NULL",
                    [name],
                    |row| row.get::<_, i64>(0),
                )
            });
            if known != Ok(1) {
                found.lock().expect("a list").push(format!("{name}: {known:?}"));
            }
        }
        Fate::Pass
    });
    let session = Session::with(world.rules(Mode::Apply));
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(connection, JOB, "test.lua", Vec::new(), Format::Table);
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    assert!(unannounced.lock().expect("a list").is_empty(), "{unannounced:?}");
    world.bench.runtime.block_on(session.end(RunStatus::Done, None)).expect("it is written");
    assert_eq!(world.last_run().counts.done, 23, "all but the protected one");
}

#[test]
fn a_run_can_be_explained_by_somebody_who_was_not_there() {
    let world = World::new();
    world.run(
        Mode::Apply,
        "iam.profiles.tag('worker', { A = '1' }) try(iam.profiles.delete, 'worker')",
    );
    let run = world.last_run();
    assert_eq!((run.counts.done, run.counts.failed), (1, 1));
    assert_eq!(run.status, RunStatus::Done);
    assert_eq!(run.sites[0].account.as_deref(), Some("123456789012"));
    assert!(run.sites[0].caller.as_deref().is_some_and(|arn| arn.ends_with("user/local-operator")));
    assert!(run.operator.contains('@') && run.program.starts_with("iamlua "), "{run:?}");
    assert_eq!(run.calls.as_ref().expect("calls")["TagInstanceProfile"], 1);
    let changes = world.records().changes(&run.id).expect("changes");
    assert_eq!(changes[0].arguments.to_string(), r#"{"name":"worker","tags":{"A":"1"}}"#);
    let (before, after) = (
        changes[0].before.as_ref().expect("an image"),
        changes[0].after.as_ref().expect("an image"),
    );
    assert!(!before.tags.contains_key("A") && after.tags["A"] == "1" && before.id.is_some());
    assert!(changes[1].error.as_deref().is_some_and(|error| error.contains("DeleteConflict")));
}

#[test]
fn without_a_journal_nothing_is_sent() {
    let world = World::new();
    std::fs::write(
        world.folder.path().join("journal.db"),
        "this is a text, and long enough to be read as the header of a database; it is none",
    )
    .expect("a file");
    let before = world.bench.export();
    let session = Session::with(world.rules(Mode::Apply));
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(
        world.connection(),
        "iam.profiles.tag('worker', { A = '1' })",
        "test.lua",
        Vec::new(),
        Format::Table,
    );
    let error = ran.result.expect_err("there is no journal");
    assert!(error.message.contains("journal") && !error.hints.is_empty(), "{error:?}");
    assert_eq!(world.bench.export(), before);
    assert_eq!(world.count("TagInstanceProfile"), 0);
}

#[test]
fn runs_write_at_the_same_time() {
    let world = World::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let own = World {
                bench: world.bench.clone(),
                folder: tempfile::tempdir().expect("a folder"),
                counts: world.counts.clone(),
            };
            let mut rules = world.rules(Mode::Apply);
            rules.about.command = format!("worker {worker}");
            scope.spawn(move || {
                let source = format!("for n = 1, 20 do iam.profiles.create('w{worker}-' .. n) end");
                let (_, ran) = own.run_with(rules, &source, "test.lua", &[]);
                assert_eq!(ran.code(), 0, "{:?}", ran.result);
            });
        }
    });
    let runs = world.records().runs(10).expect("runs");
    assert_eq!(runs.len(), 4);
    assert!(
        runs.iter().all(|run| run.counts.done == 20 && run.status == RunStatus::Done),
        "{runs:?}"
    );
}

#[test]
fn an_undo_is_refused_where_the_account_has_moved_on() {
    let world = World::new();
    world.run(
        Mode::Apply,
        "iam.profiles.tag('worker', { Owner = 'a' }) iam.profiles.tag('bastion', { Owner = 'a' })
         iam.profiles.create('new') iam.profiles.delete('ci-sandbox')",
    );
    let run = world.last_run();
    // Changes to other fields do not matter.
    world.run(Mode::Apply, "iam.profiles.tag('worker', { Other = 'x' })");
    let (plan, undoing) = world.undo(&run, &[]).expect("it can be planned");
    assert!(undoing.left_out.is_empty(), "{:?}", undoing.left_out);
    assert_eq!(plan.changes.len(), 4);
    assert!(undoing.lost.iter().any(|note| note.contains("new id")), "{:?}", undoing.lost);
    let (plan, _) = world.undo(&run, &["BASTION"]).expect("a part of it");
    assert_eq!(plan.changes.len(), 1);

    world.run(
        Mode::Apply,
        "iam.profiles.tag('worker', { Owner = 'b' }) iam.profiles.tag('new', { A = '1' }) iam.profiles.create('ci-sandbox')",
    );
    let (plan, undoing) = world.undo(&run, &[]).expect("it can be planned");
    assert_eq!(undoing.left_out.len(), 3, "{:?}", undoing.left_out);
    assert_eq!(plan.changes.len(), 1, "what can still be taken back");
}

#[test]
fn what_a_run_has_made_and_deleted_itself_is_not_made_again_to_be_deleted() {
    let world = World::new();
    world.run(
        Mode::Apply,
        "iam.profiles.create('short-lived') iam.profiles.tag('short-lived', { A = '1' })
         iam.profiles.tag('worker', { A = '1' }) iam.profiles.delete('short-lived')",
    );
    let run = world.last_run();
    let (plan, _) = world.undo(&run, &[]).expect("it can be planned");
    assert_eq!(plan.changes.len(), 1, "{:?}", plan.changes);
    world.apply(&plan, false).expect("it is done");
    assert_eq!(world.records().run(&run.id).expect("the run").counts.standing, 0);
}

#[test]
fn an_undo_refuses_a_change_that_it_does_not_know() {
    let world = World::new();
    let (_, ran) = world.run(Mode::Apply, r#"iam.profiles.tag("web-frontend", { A = "1" })"#);
    assert!(ran.result.is_ok(), "{:?}", ran.result);
    let run = world.last_run();
    assert!(world.undo(&run, &[]).is_ok());
    let change = |column: &str, value: &str| {
        let path = world.folder.path().join("journal.db");
        let journal = rusqlite::Connection::open(path).expect("the journal");
        let sql = format!("UPDATE change SET {column} = ?1");
        assert_eq!(journal.execute(&sql, [value]).expect("changed"), 1);
    };
    change("action", "PutRolePolicy");
    let error = world.undo(&run, &[]).expect_err("an unknown action");
    assert!(error.message.contains("the unknown action PutRolePolicy"), "{error}");
    change("action", "TagInstanceProfile");
    change("subject", "association");
    let error = world.undo(&run, &[]).expect_err("an unknown subject");
    assert!(error.message.contains("association"), "{error}");
}
