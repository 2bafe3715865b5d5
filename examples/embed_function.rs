//! Functions of the embedding program that scripts call: JSON in and out, errors that scripts can
//! catch.
//!
//!     cargo run --example embed_function

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::mpsc::channel;

use iamlua::{Host, Kind, Mode, Target};
use serde_json::json;

const SCRIPT: &str = r#"
    for _, name in ipairs { "web", "search", "nobody" } do
      local ok, team = pcall(team_of, name)
      if ok then
        notify { service = name, lead = team.lead, channels = team.channels }
      else
        print(name .. ": " .. team.message)
      end
    end
"#;

/// Gives the host its functions, runs a script that calls them, and shows their arguments.
///
/// # Errors
/// If the script fails, or the arguments cannot be written.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let host = Host::builder().target(Target::in_memory()).mode(Mode::ReadOnly).build()?;

    let teams = BTreeMap::from([
        ("web", json!({ "lead": "ada", "channels": ["#web", "#oncall"] })),
        ("search", json!({ "lead": "alan", "channels": [] })),
    ]);
    host.function("team_of", move |args| {
        let name = args.first().and_then(|name| name.as_str()).unwrap_or_default();
        teams
            .get(name)
            .cloned()
            .ok_or_else(|| iamlua::Error::new(Kind::Argument, format!("no team owns {name:?}")))
    })?;

    let (sender, messages) = channel();
    host.function("notify", move |args| {
        for message in args {
            // Sending fails only without the receiver, which outlives the script.
            let _ = sender.send(message.clone());
        }
        Ok(json!(null))
    })?;

    let outcome = host.run_code(SCRIPT, &[])?.into_result()?;
    write!(out, "{}", outcome.stdout())?;
    for message in messages.try_iter() {
        writeln!(out, "told: {message}")?;
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}
