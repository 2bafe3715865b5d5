//! Pairs of calls: the second follows the first, whatever happens between them.

use std::sync::{Arc, Mutex};

use iamlua::lua::Format;
use iamlua::session::journal::RunStatus;
use iamlua::session::{Mode, Session};

use super::World;
use super::line::{self, Fate};
use crate::lua::Bench;

/// Runs a script, and closes the session for changes when an action arrives. Returns the write
/// actions, in order.
fn closed_at(action: &'static str, script: &str) -> (Vec<String>, World) {
    let world = World::new();
    let session = Session::with(world.rules(Mode::Apply));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (closes, list) = (Arc::clone(&session), Arc::clone(&sent));
    let connection = line::connection(world.account(), move |asked| {
        if !asked.action.starts_with("Get") && !asked.action.starts_with("List") {
            list.lock().expect("one at a time").push(asked.action.to_owned());
        }
        if asked.action == action {
            closes.close();
        }
        Fate::Pass
    });
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(connection, script, "test.lua", Vec::new(), Format::Table);
    assert_ne!(ran.stdout, "went on\n", "what comes after the pair does not begin");
    world
        .bench
        .runtime
        .block_on(session.end(RunStatus::Interrupted, None))
        .expect("the journal is written");
    let sent = sent.lock().expect("one at a time").clone();
    (sent, world)
}

const AFTER: &str = "iam.profiles.tag('worker', { A = '1' }) print('went on')";

#[test]
fn a_stop_between_detaching_and_deleting_lets_the_profile_be_deleted() {
    let script = format!("iam.profiles.delete('web-frontend', {{ detach = true }}) {AFTER}");
    let (sent, world) = closed_at("RemoveRoleFromInstanceProfile", &script);
    assert_eq!(sent, ["RemoveRoleFromInstanceProfile", "DeleteInstanceProfile"]);
    let outcomes = world.records().changes(&world.last_run().id).expect("its changes");
    assert_eq!(outcomes.len(), 2, "both are in the journal");
    let contents = world.contents();
    let profiles = contents["profiles"].as_array().expect("a list");
    assert!(!profiles.iter().any(|profile| profile["name"] == "web-frontend"));
    // Before the pair, nothing of it is started.
    let (sent, _) =
        closed_at("TagRole", &format!("iam.roles.tag('worker', {{ A = '1' }}) {script}"));
    assert_eq!(sent, ["TagRole"]);
}

#[test]
fn a_stop_between_one_role_and_the_next_lets_the_next_one_come() {
    let script = format!(
        "iam.profiles.ensure {{ name = 'web-frontend', role = 'worker', tags = {{ New = '1' }} }} {AFTER}"
    );
    let (sent, world) = closed_at("RemoveRoleFromInstanceProfile", &script);
    // Other differences come before the pair.
    let pair = ["TagInstanceProfile", "RemoveRoleFromInstanceProfile", "AddRoleToInstanceProfile"];
    assert_eq!(sent, pair);
    let contents = world.contents();
    let profiles = contents["profiles"].as_array().expect("a list");
    let profile = profiles.iter().find(|profile| profile["name"] == "web-frontend");
    assert_eq!(profile.expect("it is there")["role"], "worker");
}
