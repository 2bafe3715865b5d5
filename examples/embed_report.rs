//! Report of instance profiles without an owner, inside of a tokio service. The host blocks, so
//! each request runs it in `spawn_blocking`; requests run at the same time.
//!
//!     cargo run --example embed_report

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use iamlua::{Format, Host, Mode, Target};
use tokio::task::{JoinSet, spawn_blocking};

/// Script of the report; a service would rather keep it in a file and use `run_script`.
const UNOWNED: &str = r#"
    local path = ...
    local rows = {}
    for profile in iam.profiles.each { path_prefix = path, with_tags = true } do
      if not profile.tags.Owner then
        rows[#rows + 1] = { name = profile.name, role = profile.role }
      end
    end
    report(rows, { columns = { "name", "role" } })
    return #rows
"#;

/// Answers one request.
async fn unowned(host: Host, path: String) -> iamlua::Result<(String, String)> {
    let run = move || host.run_code(UNOWNED, &[&path])?.into_result().map(|done| (path, done));
    let (path, outcome) = spawn_blocking(run).await.expect("a host does not panic")?;
    let count = outcome.value().and_then(serde_json::Value::as_u64).unwrap_or(0);
    Ok((format!("{path}: {count} without an owner"), outcome.stdout().to_owned()))
}

/// Runs the service for a few requests.
///
/// # Errors
/// If a report fails, or cannot be written.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    // On AWS: `Target::aws(AwsConfig::from_environment().region("eu-central-1"))`.
    let host = Host::builder()
        .target(Target::in_memory())
        .mode(Mode::ReadOnly)
        .format(Format::Csv)
        .timeout(Duration::from_mins(1))
        .build()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut answers = runtime.block_on(async {
        let mut requests = JoinSet::new();
        for path in ["/ec2/", "/legacy/", "/nothing/"] {
            requests.spawn(unowned(host.clone(), path.to_owned()));
        }
        requests.join_all().await.into_iter().collect::<iamlua::Result<Vec<_>>>()
    })?;
    answers.sort();
    for (heading, rows) in answers {
        writeln!(out, "{heading}\n{rows}")?;
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}
