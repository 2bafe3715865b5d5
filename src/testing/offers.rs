//! Host functions of `stdlib/testing.lua`.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::account::TestContext;
use super::runbook;
use crate::emulator::{Contents, Faults};
use crate::error::{Error, Kind, Result};
use crate::lua::fakes::{FakeServer, Program};
use crate::lua::{Offer, sandbox};
use crate::ui::diff;

/// Test that a file has defined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Definition {
    /// Full name.
    pub name: String,
    /// Mode.
    pub mode: Mode,
    /// Place of its definition.
    #[serde(default)]
    pub place: String,
}

/// Mode of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Run it.
    Run,
    /// Skip it.
    Skip,
    /// Run it, and skip the others.
    Only,
}

/// Collector of definitions.
pub(super) type Definitions = Rc<RefCell<Vec<Definition>>>;

fn text(args: &[Json], at: usize) -> &str {
    args.get(at).and_then(Json::as_str).unwrap_or_default()
}

fn out_of_range(what: &str) -> Error {
    Error::argument(format!("{what}: that is out of the years that are known here"))
}

/// Host functions, by name.
pub(super) fn offers(
    context: &Arc<TestContext>,
    definitions: &Definitions,
) -> Vec<(&'static str, Offer)> {
    let definitions = Rc::clone(definitions);
    let defined = move |args: &[Json]| {
        let list = args.first().cloned().unwrap_or_default();
        *definitions.borrow_mut() = serde_json::from_value(list)
            .map_err(|error| Error::new(Kind::Bug, format!("the tests of the file: {error}")))?;
        Ok(Json::Null)
    };
    let ask = |f: fn(&Arc<TestContext>, &[Json]) -> Result<Json>| {
        let context = Arc::clone(context);
        Offer::AtOnce(Box::new(move |args| f(&context, args)))
    };
    let own = Arc::clone(context);
    let run: crate::lua::Background = Box::new(move |args| {
        let request = runbook::RunRequest::read(&own, args)?;
        Ok(runbook::run(Arc::clone(&own), request).boxed())
    });
    vec![
        ("defined", Offer::AtOnce(Box::new(defined))),
        ("diff", ask(|_, args| Ok(diff::lines(text(args, 0), text(args, 1)).into()))),
        ("import", ask(import)),
        ("export", ask(export)),
        ("reset", ask(reset)),
        ("faults", ask(faults)),
        ("calls", ask(|context, _| Ok(json!(context.calls())))),
        ("clock_set", ask(set_clock)),
        ("clock_advance", ask(advance_clock)),
        ("temp_folder", ask(temp_folder)),
        ("fake_process", ask(fake_process)),
        ("fake_file", ask(fake_file)),
        ("fake_env", ask(fake_env)),
        ("fake_http", ask(fake_http)),
        ("runbook", Offer::Background(run)),
    ]
}

fn import(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    match args.first() {
        Some(Json::String(path)) => {
            let found = context.find(path);
            context.check_readable(&found)?;
            let file = std::fs::File::open(&found).map_err(|error| {
                Error::io(format!("account.import: cannot read {}", found.display()), error)
                    .hint("the file is looked for beside the test file, then in the current folder")
            })?;
            context
                .account
                .import(file)
                .map_err(|error| told(error, &found.display().to_string()))?;
        }
        Some(table) => {
            let text = completed(table.clone()).to_string();
            context.account.import(text.as_bytes()).map_err(|error| told(error, "the table"))?;
        }
        None => {}
    }
    context.settle();
    Ok(Json::Null)
}

fn told(mut error: Error, what: &str) -> Error {
    error.message = format!("account.import: {what}: {}", error.message);
    error
}

/// Completes an account from Lua: adds the format, and restores empty lists, which Lua cannot tell
/// from empty tables.
fn completed(mut account: Json) -> Json {
    fn as_list(value: &mut Json) {
        if value.as_object().is_some_and(serde_json::Map::is_empty) {
            *value = Json::Array(Vec::new());
        }
    }
    let Some(fields) = account.as_object_mut() else { return account };
    for list in ["policies", "roles", "profiles", "resources"] {
        if let Some(list) = fields.get_mut(list) {
            as_list(list);
        }
    }
    for role in fields.get_mut("roles").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(attached) = role.get_mut("attached_policies") {
            as_list(attached);
        }
    }
    // The format must be the first field.
    let mut whole = serde_json::Map::new();
    whole.insert("format".into(), "iamlua-account".into());
    whole.insert("version".into(), 1.into());
    whole.append(fields);
    Json::Object(whole)
}

fn export(context: &Arc<TestContext>, _: &[Json]) -> Result<Json> {
    let mut text = Vec::new();
    context.account.export(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| Error::new(Kind::Bug, error.to_string()))
}

fn reset(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let contents = match args.first() {
        Some(Json::String(text)) if text == "empty" => Contents::Empty,
        Some(Json::String(text)) if text == "example" => Contents::Example,
        other => {
            let got = other.unwrap_or(&Json::Null);
            return Err(Error::argument(format!(
                "account.reset: \"empty\" or \"example\" belongs here, got {got}"
            )));
        }
    };
    context.account.reset(contents)?;
    context.settle();
    Ok(Json::Null)
}

fn faults(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let mut faults: Faults = text(args, 0).parse().map_err(|mut error: Error| {
        error.kind = Kind::Argument;
        error.message = format!("account.faults: {}", error.message);
        error
    })?;
    if !text(args, 0).contains("lag=") {
        faults.lag = context.lag;
    }
    context.account.set_faults(faults);
    Ok(Json::Null)
}

fn set_clock(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let second = args.first().and_then(Json::as_i64).unwrap_or_default();
    let moment = Timestamp::from_second(second).map_err(|_| out_of_range("clock.set"))?;
    context.clock.set(moment);
    Ok(Json::Null)
}

fn advance_clock(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let seconds = args.first().and_then(Json::as_f64).unwrap_or_default();
    let by = Duration::try_from_secs_f64(seconds).map_err(|_| out_of_range("clock.advance"))?;
    let now = Timestamp::from_millisecond(context.clock.milliseconds()).unwrap_or_default();
    let moment = now.checked_add(by).map_err(|_| out_of_range("clock.advance"))?;
    context.clock.set(moment);
    Ok(Json::Null)
}

fn fake_process(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let program: Program = serde_json::from_value(args.first().cloned().unwrap_or_default())
        .map_err(|error| Error::argument(format!("fake.process: {error}")))?;
    context.change_fakes(|fakes| fakes.programs.push(program));
    Ok(Json::Null)
}

fn fake_file(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let given = text(args, 0);
    let path = sandbox::resolve(Path::new(given))
        .map_err(|error| Error::io(format!("fake.file: {given}"), error))?;
    let body = args.get(1).and_then(Json::as_str).map(str::to_owned);
    context.change_fakes(|fakes| {
        fakes.files.insert(path, body);
    });
    Ok(Json::Null)
}

#[allow(clippy::unnecessary_wraps, reason = "all of them have this type")]
fn fake_env(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let (name, value) = (text(args, 0).to_owned(), text(args, 1).to_owned());
    context.change_fakes(|fakes| {
        fakes.env.insert(name, value);
    });
    Ok(Json::Null)
}

fn fake_http(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let server: FakeServer = serde_json::from_value(args.first().cloned().unwrap_or_default())
        .map_err(|error| Error::argument(format!("fake.http: {error}")))?;
    context.change_fakes(|fakes| fakes.servers.push(server));
    Ok(Json::Null)
}

fn temp_folder(context: &Arc<TestContext>, args: &[Json]) -> Result<Json> {
    let names = args.first().and_then(Json::as_array).into_iter().flatten();
    let path = context.temporary(names.filter_map(Json::as_str))?;
    Ok(path.display().to_string().into())
}
