//! Changes that the embedding program approves: a script plans, a rule of the program looks at each
//! change, and only then are they made. The run can be undone.
//!
//!     cargo run --example embed_approval

use std::error::Error;
use std::io::Write;

use iamlua::{Change, Host, Mode, Plan, Target};

const TAG: &str = r#"
    for profile in iam.profiles.each { path_prefix = "/batch/" } do
      iam.profiles.tag(profile.name, { Owner = "data" })
    end
"#;

const DELETE: &str = r#"iam.profiles.delete((iam.profiles.create("mistake")).name)"#;

/// Rule of this program: tags may be set, and nothing else may be done.
fn approves(change: &Change) -> bool {
    change.action == "TagInstanceProfile"
}

/// Runs a script and applies its plan, if all of it is approved.
fn change(host: &Host, script: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let outcome = host.run_code(script, &[])?.into_result()?;
    let plan = outcome.plan().ok_or("the host does not plan")?;
    if let Some(refused) = plan.changes().iter().find(|change| !approves(change)) {
        writeln!(out, "refused: {} {}", refused.action, refused.name)?;
        return Ok(());
    }
    // A plan can wait for its approval: as JSON in a queue or a file, with a checksum.
    let plan = Plan::from_json(&plan.to_json()?)?;
    writeln!(out, "{plan}")?;
    let applied = host.apply(&plan)?.into_result()?;
    writeln!(out, "approved: {} changes made", applied.changes().len())?;

    let run = applied.run_id().ok_or("nothing was changed")?;
    let undone = host.undo(run)?.into_result()?;
    writeln!(out, "undone: {} changes made", undone.changes().len())?;
    Ok(())
}

/// Plans, approves, applies and undoes.
///
/// # Errors
/// If a step fails, or its outcome cannot be written.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let host = Host::builder().target(Target::in_memory()).mode(Mode::Plan).build()?;
    change(&host, TAG, out)?;
    change(&host, DELETE, out)
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}
