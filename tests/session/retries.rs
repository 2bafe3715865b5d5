//! Retries: calls that are repeated, and calls that are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use iamlua::lua::Format;
use iamlua::session::{Mode, Session};

use super::World;
use super::line::{self, Fate};
use crate::lua::{Bench, Ran};

/// Runs a script whose first requests for an action are refused; returns the number of requests
/// that arrived, and the session.
fn refused(
    times: u32,
    action: &'static str,
    refusal: (u16, &'static str),
    script: &str,
) -> (u32, Ran, Arc<Session>) {
    let world = World::new();
    let arrived = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&arrived);
    let connection = line::connection(world.account(), move |asked| {
        if asked.action == action && count.fetch_add(1, Ordering::SeqCst) < times {
            Fate::Refuse(refusal.0, refusal.1)
        } else {
            Fate::Pass
        }
    });
    let session = Session::with(world.rules(Mode::Apply));
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(connection, script, "test.lua", Vec::new(), Format::Table);
    (arrived.load(Ordering::SeqCst), ran, session)
}

const TAG: &str = "iam.profiles.tag('worker', { Owner = 'ops' })";

#[test]
fn a_throttled_call_waits_for_its_turn_however_often_it_is_throttled() {
    let (arrived, ran, session) = refused(5, "TagInstanceProfile", (400, "Throttling"), TAG);
    assert_eq!((ran.code(), arrived), (0, 6), "{:?}", ran.result);
    assert_eq!(session.throttled(), 5);
    assert_eq!((session.changes(), session.failed()), (1, 0));
}

#[test]
fn what_failed_because_of_somebody_else_at_the_same_time_is_made_again() {
    let (arrived, ran, _) = refused(6, "TagInstanceProfile", (409, "ConcurrentModification"), TAG);
    assert_eq!((ran.code(), arrived), (0, 7), "{:?}", ran.result);
}

#[test]
fn a_failure_of_the_servers_is_made_again_some_times() {
    let get = "iam.profiles.get('worker')";
    let (arrived, ran, _) = refused(3, "GetInstanceProfile", (500, "ServiceFailure"), get);
    assert_eq!((ran.code(), arrived), (0, 4), "{:?}", ran.result);
    let (arrived, ran, _) = refused(99, "GetInstanceProfile", (500, "ServiceFailure"), get);
    assert_eq!((ran.code(), arrived), (1, 4), "{:?}", ran.result);
}

#[test]
fn what_would_fail_again_is_not_made_again() {
    for (status, code) in [
        (409, "LimitExceeded"),
        (409, "EntityAlreadyExists"),
        (409, "DeleteConflict"),
        (403, "AccessDenied"),
        (400, "ValidationError"),
        (404, "NoSuchEntity"),
    ] {
        let (arrived, ran, _) = refused(99, "TagInstanceProfile", (status, code), TAG);
        assert_eq!((ran.code(), arrived), (1, 1), "{code}");
    }
}
