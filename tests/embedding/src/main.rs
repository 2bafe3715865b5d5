//! Every public type of iamlua, used by a program outside of its crate.

use std::time::{Duration, SystemTime};

use iamlua::{
    Access, AwsConfig, CancelHandle, Change, ChangeStatus, Clock, Error, Format, Host, HostBuilder,
    Journal, Kind, Mode, Outcome, Plan, Target,
};
use serde_json::{Value, json};

fn settings() -> HostBuilder {
    Host::builder()
        .target(Target::in_memory())
        .mode(Mode::Plan)
        .allow(Access::Read, "/proc/self")
        .clock(Clock::fixed(SystemTime::UNIX_EPOCH))
        .format(Format::Json)
        .journal(Journal::Memory)
        .max_changes(10)
        .max_memory(64 << 20)
        .protect("prod-*")
        .timeout(Duration::from_secs(60))
}

fn approves(change: &Change) -> bool {
    change.status == ChangeStatus::Planned && change.name == "demo"
}

fn main() -> iamlua::Result<()> {
    let host = settings().build()?;
    host.function("name", |args: &[Value]| match args {
        [] => Ok(json!("demo")),
        _ => Err(Error::new(Kind::Argument, "name takes no arguments")),
    })?;
    let outcome: Outcome = host.run_code("iam.profiles.create(name()) return os.time()", &[])?;
    assert_eq!(outcome.exit_code(), 0, "{:?}", outcome.error());
    assert_eq!(outcome.value(), Some(&json!(0)));
    let plan: &Plan = outcome.plan().expect("the host plans");
    assert!(plan.changes().iter().all(approves), "{plan}");
    let applied = host.apply(plan)?.into_result()?;
    assert_eq!(applied.changes().len(), 1);
    let undone = host.undo(applied.run_id().expect("a run"))?.into_result()?;
    assert_eq!(undone.changes().len(), 1);

    let cancel: CancelHandle = host.cancel_handle();
    cancel.cancel();
    let outcome = host.run_code("while true do end", &[])?;
    assert_eq!(outcome.error().map(|error| error.kind), Some(Kind::Interrupted));

    let config = AwsConfig::new().region("eu-central-1").credentials("AKID", "secret", None);
    let aws = Host::builder().target(Target::aws(config)).mode(Mode::ReadOnly).build()?;
    assert_eq!(aws.run_code("return 1 + 1", &[])?.value(), Some(&json!(2)));
    println!("a program outside of the crate embeds iamlua");
    Ok(())
}
