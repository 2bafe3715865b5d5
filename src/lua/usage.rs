//! Usage scans in Lua: starting a scan, asking for verdicts, and keeping it in a file.
//! `stdlib/usage.lua` is the module on top.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mlua::{Lua, MultiValue, Table, UserData, Value as LuaValue};
use rustix::fs::OFlags;

use super::bind;
use super::bulk::{ItemOutcome as Progress, ProgressBoard, Tally};
use super::convert::{self, from_lua};
use super::host::{
    Host, add, entry_arg, handle_arg, internal, text_arg, to_read, userdata, write_file,
};
use super::sandbox::Access;
use crate::error::{Error, Kind, Result};
use crate::iam::{self, Invoke};
use crate::session::Gate;
use crate::spec::{Args, Value, nearest};
use crate::usage::{
    self, Asking, CheckOutcome, Gap, GapCause, Judgement, Reason, Reference, RegionState,
    RoleKnown, RoleUse, SOURCES, Scan, Source, Verdict, VerdictSubject, Watch, kind_of, service_of,
};

/// A scan, in progress or done, and the roles that were read since.
#[derive(Clone, Default)]
struct Scanned(Arc<Inner>);

#[derive(Default)]
struct Inner {
    scan: OnceLock<Scan>,
    roles: Mutex<HashMap<String, RoleKnown>>,
}

impl UserData for Scanned {}

impl Scanned {
    fn scan(&self) -> Result<&Scan> {
        self.0.scan.get().ok_or_else(|| Error::new(Kind::Bug, "the scan is not over"))
    }

    fn roles(&self) -> MutexGuard<'_, HashMap<String, RoleKnown>> {
        self.0.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Progress display of a scan, in the form of bulk work.
struct ScanProgress {
    board: Arc<ProgressBoard>,
    tally: OnceLock<Arc<Tally>>,
    /// Numbers of failed checks, by reason.
    gaps: Mutex<Vec<(Reason, u64)>>,
}

impl Watch for ScanProgress {
    fn begins(&self, checks: usize) {
        let total = u64::try_from(checks).ok();
        let _ = self.tally.set(self.board.begin("usage.scan".into(), total, false));
    }

    fn checked(&self, gap: Option<&GapCause>) {
        let Some(tally) = self.tally.get() else { return };
        tally.count(Progress::Begun);
        let Some(why) = gap else { return tally.count(Progress::Done) };
        tally.count(Progress::Skipped);
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        match gaps.iter_mut().find(|(reason, _)| *reason == why.reason) {
            Some((_, count)) => *count += 1,
            None => gaps.push((why.reason, 1)),
        }
    }
}

impl ScanProgress {
    /// Summary, if one is to be shown.
    fn end(&self) -> Option<String> {
        let gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let gaps: Vec<_> =
            gaps.iter().map(|(reason, count)| format!("{count} {}", reason.name())).collect();
        self.board.end(self.tally.get()?, None, &gaps.join(", "))
    }
}

/// Host functions.
pub(super) fn functions(
    lua: &Lua,
    host: &Rc<Host>,
    table: &Table,
    fallible: &Table,
) -> mlua::Result<()> {
    let sources = lua.create_function(|lua, ()| {
        convert::to_lua(lua, &Value::List(SOURCES.iter().map(source_record).collect()))
    })?;
    table.set("usage_sources", sources)?;
    scanning(lua, host, fallible)?;
    judging(lua, host, fallible)?;
    keeping(lua, host, fallible)
}

fn scanned(args: &MultiValue, at: usize) -> Result<Scanned> {
    let scanned = handle_arg(args, at)?.borrow::<Scanned>().map_err(|error| internal(&error))?;
    Ok(scanned.clone())
}

fn to_lua(lua: &Lua, value: &Value) -> Result<LuaValue> {
    convert::to_lua(lua, value).map_err(|error| internal(&error))
}

fn scanning(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    // Returns the scan, and a handle that completes with the summary.
    add(lua, host, fallible, "usage_scan", |lua, host, mut args| {
        let (gate, entry) = entry_arg(&mut args)?;
        let asking = asking(&bind::arguments(entry, args)?)?;
        host.check_arguments()?;
        gate.session().allows(entry)?;
        let scanned = Scanned::default();
        let shown = Arc::new(ScanProgress {
            board: Arc::clone(&host.board),
            tally: OnceLock::new(),
            gaps: Mutex::default(),
        });
        let (inner, watch) = (Arc::clone(&scanned.0), Arc::clone(&shown));
        let clock = host.setup.borrow().clock.clone();
        let session = Arc::clone(gate.session());
        let making = async move {
            let scan = usage::scan(Arc::new(gate), asking, watch, clock).await;
            let summary = shown.end();
            let scan = scan?;
            session.recorder().rests_on(scan.scope().started);
            let _ = inner.scan.set(scan);
            Ok(Value::text(summary))
        };
        let handle = host.driver.start(lua, false, making).map_err(|error| internal(&error))?;
        let both = lua.create_table().map_err(|error| internal(&error))?;
        let set =
            both.set("raw", userdata(lua, scanned)?).and_then(|()| both.set("handle", handle));
        set.map(|()| LuaValue::Table(both)).map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "usage_summary", |lua, _, args| {
        to_lua(lua, &summary(scanned(&args, 0)?.scan()?))
    })?;
    add(lua, host, fallible, "usage_checks", |lua, _, args| {
        let scanned = scanned(&args, 0)?;
        let checks = scanned.scan()?.checks().iter().map(|check| {
            Value::record([
                ("source", Value::Str(check.source.to_string())),
                ("region", Value::Str(check.region.to_string())),
                ("at", date(check.at)),
                ("resources", count(check.resources)),
                (
                    "outcome",
                    Value::Str(match &check.outcome {
                        CheckOutcome::Whole => "checked".into(),
                        CheckOutcome::NotOffered => "not offered".into(),
                        CheckOutcome::Gap(why) => why.reason.name().into(),
                    }),
                ),
            ])
        });
        to_lua(lua, &Value::List(checks.collect()))
    })?;
    add(lua, host, fallible, "usage_gaps", |lua, _, args| {
        let scanned = scanned(&args, 0)?;
        let gaps = scanned.scan()?.gaps().iter().map(gap_record);
        to_lua(lua, &Value::List(gaps.collect()))
    })?;
    add(lua, host, fallible, "usage_told_gaps", |lua, _, args| {
        let scanned = scanned(&args, 0)?;
        let told = scanned.scan()?.told_gaps().iter().cloned().map(Value::Str);
        to_lua(lua, &Value::List(told.collect()))
    })?;
    // Resource by index from 0 among those that name a profile or role; nil after the last one.
    add(lua, host, fallible, "usage_found", |lua, _, args| {
        let scanned = scanned(&args, 0)?;
        let number = args.get(1).and_then(LuaValue::as_usize).unwrap_or(usize::MAX);
        let Some(found) = scanned.scan()?.found(number) else { return Ok(LuaValue::Nil) };
        let names = found.names.iter().map(|named| Value::Str(named.text().to_owned()));
        to_lua(
            lua,
            &Value::record([
                ("source", Value::Str(found.source.to_string())),
                ("service", Value::Str(service_of(found.source).to_owned())),
                ("region", Value::Str(found.region.to_string())),
                ("kind", Value::Str(kind_of(found.source).to_owned())),
                ("resource", Value::Str(found.resource.to_owned())),
                ("state", non_empty(found.state)),
                ("names", Value::List(names.collect())),
            ]),
        )
    })
}

fn judging(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    // Returns the verdict, or the name of a role that must be read first.
    add(lua, host, fallible, "usage_judge", |lua, _, args| {
        let scanned = scanned(&args, 0)?;
        let subject = subject(args.get(1).unwrap_or(&LuaValue::Nil))?;
        let role = subject.roles.first();
        let known = role.and_then(|role| scanned.roles().get(role).cloned());
        match scanned.scan()?.judge(&subject, &known.unwrap_or(RoleKnown::NotAsked))? {
            Judgement::Given(verdict) => to_lua(lua, &verdict_record(&verdict)),
            Judgement::AskRole(role) => {
                lua.create_string(role).map(LuaValue::String).map_err(|error| internal(&error))
            }
        }
    })?;
    add(lua, host, fallible, "usage_ask_role", |lua, host, args| {
        let scanned = scanned(&args, 0)?;
        let gate = handle_arg(&args, 1)?.borrow::<bind::Connected>();
        let gate = gate.map_err(|error| internal(&error))?.0.clone();
        let name = text_arg(&args, 2, "the role")?;
        let asking = async move {
            let known = ask_role(&gate, &name, &scanned.scan()?.scope().account).await?;
            scanned.roles().insert(name, known);
            Ok(Value::Nil)
        };
        host.driver
            .start(lua, false, asking)
            .map(LuaValue::UserData)
            .map_err(|error| internal(&error))
    })
}

fn keeping(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    add(lua, host, fallible, "usage_save", |_, host, args| {
        let scanned = scanned(&args, 0)?;
        let given = text_arg(&args, 1, "scan:save: the path")?;
        host.setup.borrow().permissions.path(Access::Write, &given)?;
        let scan = scanned.scan()?;
        write_file(host, &given, crate::files::PRIVATE, |out| scan.save(out))?;
        Ok(LuaValue::Nil)
    })?;
    add(lua, host, fallible, "usage_load", |lua, host, args| {
        let given = text_arg(&args, 0, "usage.load: the path")?;
        let max_age = args.get(1).and_then(LuaValue::as_number);
        let max_age = max_age.map_or(Ok(usage::MAX_AGE), Duration::try_from_secs_f64);
        let max_age = max_age
            .map_err(|_| Error::argument("usage.load: max_age must be a duration from 0 on"))?;
        let setup = host.setup.borrow();
        let path = to_read(&setup, &given)?;
        let now = Timestamp::from_millisecond(setup.clock.milliseconds()).unwrap_or_default();
        let canceller = setup.canceller.clone();
        let file = path.open(OFlags::RDONLY, &move || canceller.reason().is_some());
        let file = file.map_err(|error| Error::io(format!("cannot read {given}"), error))?;
        let file = std::fs::File::from(file);
        let scan = Scan::load(std::io::BufReader::new(file), now, max_age);
        let scan = scan.map_err(|mut error| {
            error.message = format!("usage.load: {given}: {}", error.message);
            error
        })?;
        setup.gate.session().recorder().rests_on(scan.scope().started);
        let inner = Inner { scan: OnceLock::from(scan), roles: Mutex::default() };
        userdata(lua, Scanned(Arc::new(inner)))
    })
}

fn asking(args: &Args) -> Result<Asking> {
    let mut asking = Asking::default();
    if args.has("regions") {
        let mut regions = args.texts("regions");
        regions.sort_unstable();
        regions.dedup();
        asking.regions = Some(regions);
    }
    if args.has("sources") {
        let mut sources: Vec<&'static Source> = Vec::new();
        for name in args.texts("sources") {
            let source = usage::source(&name).ok_or_else(|| unknown_source(&name))?;
            if !sources.iter().any(|known| known.name == source.name) {
                sources.push(source);
            }
        }
        asking.sources = sources;
    }
    if let Some(unused_for) = duration(args, "role_unused_for") {
        const DAY: Duration = Duration::from_hours(24);
        if unused_for > 400 * DAY {
            return Err(Error::argument(
                "iam.usage.scan: role_unused_for is more than 400 days, and AWS remembers no more",
            ));
        } else if unused_for < DAY {
            return Err(Error::argument(
                "iam.usage.scan: role_unused_for is less than a day, and AWS says of a role only hours later that it was used",
            ));
        }
        asking.role_unused_for = unused_for;
    }
    if let Some(at_once) = args.int("concurrency").and_then(|n| usize::try_from(n).ok()) {
        asking.concurrency = at_once;
    }
    if let Some(patience) = duration(args, "timeout") {
        asking.patience = patience;
    }
    Ok(asking)
}

/// Duration argument, which is given in milliseconds.
fn duration(args: &Args, name: &str) -> Option<Duration> {
    args.int(name).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

fn unknown_source(name: &str) -> Error {
    let error = Error::argument(format!("iam.usage.scan: there is no source {name:?}"));
    let names = || SOURCES.iter().map(|source| source.name);
    match nearest(name, names()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint(format!("there is {}", names().collect::<Vec<_>>().join(", "))),
    }
}

/// Answer of `GetRole`. An error that would be the same for every role is returned as an error. So
/// is a role of that name in another account than the scan's, which may come from a file.
async fn ask_role(gate: &Gate, name: &str, account: &str) -> Result<RoleKnown> {
    let args = Args::of([("name", Value::Str(name.to_owned()))]);
    match gate.invoke(iam::entry("roles.get"), args).await {
        Ok(role) => {
            let text = |field: &str| role.field(field).as_str().map(str::to_owned);
            let arn = text("arn").unwrap_or_default();
            let found = arn.split(':').nth(4).unwrap_or_default();
            if !found.is_empty() && found != account {
                return Err(Error::argument(format!(
                    "the role {name:?} is one of account {found}, and the scan is one of account {account}"
                ))
                .hint("load the scan in a run that leads to its account"));
            }
            Ok(RoleKnown::Read(RoleUse {
                name: text("name").unwrap_or_default(),
                create_date: text("create_date").unwrap_or_default(),
                last_used: text("last_used"),
                region: text("last_used_region"),
            }))
        }
        Err(error) if usage::is_everywhere(&error) => Err(error),
        Err(error) => Ok(RoleKnown::Unreadable(usage::why(&error))),
    }
}

/// Profile to be judged: a table as in listings.
fn subject(profile: &LuaValue) -> Result<VerdictSubject> {
    let value = from_lua(profile);
    let text = |name: &str| value.field(name).as_str().map(str::to_owned);
    let missing = |what: &str| {
        Error::argument(format!("scan:verdict: the profile has no {what}"))
            .hint("it takes a profile of iam.profiles.each, list or get, or a profile's name")
    };
    let roles = match value.field("roles") {
        Value::List(roles) => roles.iter().map(|role| role.field("name").as_str()).collect(),
        Value::Map(map) if map.is_empty() => Some(Vec::new()),
        _ => None,
    };
    let roles = roles.ok_or_else(|| missing("roles"))?;
    Ok(VerdictSubject {
        name: text("name").ok_or_else(|| missing("name"))?,
        id: text("id").ok_or_else(|| missing("id"))?,
        arn: text("arn").ok_or_else(|| missing("arn"))?,
        create_date: text("create_date").ok_or_else(|| missing("create_date"))?,
        roles: roles.into_iter().map(str::to_owned).collect(),
    })
}

fn source_record(source: &Source) -> Value {
    let actions = source
        .actions()
        .map(|action| Value::Str(format!("{}:{}", action.service.prefix(), action.name)));
    let last = source.last().action;
    Value::Record(vec![
        ("name", Value::Str(source.name.into())),
        ("service", Value::Str(last.service.prefix().into())),
        ("kind", Value::Str(source.kind.into())),
        ("actions", Value::List(actions.collect())),
        ("doc", Value::Str(source.doc.into())),
        ("reference_url", Value::Str(last.reference())),
    ])
}

fn summary(scan: &Scan) -> Value {
    let scope = scan.scope();
    let asked = scope.regions.iter().filter(|region| region.standing == RegionState::Asked);
    let resources = scan.checks().iter().map(|check| check.resources).sum();
    Value::record([
        ("account", Value::Str(scope.account.clone())),
        ("started", date(scope.started)),
        ("ended", scan.ended().map_or(Value::Nil, date)),
        ("complete", Value::Bool(scan.is_complete())),
        ("regions", Value::List(asked.map(|region| Value::Str(region.name.clone())).collect())),
        ("resources", count(resources)),
    ])
}

fn gap_record(gap: &Gap) -> Value {
    let text = |text: &Option<Arc<str>>| Value::text(text.as_deref());
    Value::record([
        ("source", text(&gap.source)),
        ("region", text(&gap.region)),
        ("reason", Value::Str(gap.why.reason.name().into())),
        ("code", non_empty(&gap.why.code)),
        ("message", non_empty(&gap.why.message)),
        ("text", Value::Str(gap.to_string())),
    ])
}

fn reference_record(reference: &Reference) -> Value {
    Value::record([
        ("source", Value::Str(reference.source.to_string())),
        ("service", Value::Str(reference.service().to_owned())),
        ("region", non_empty(&reference.region)),
        ("kind", Value::Str(reference.kind().to_owned())),
        ("resource", Value::Str(reference.resource.to_string())),
        ("state", non_empty(&reference.state)),
        ("by", Value::Str(reference.by.name().into())),
        ("text", Value::Str(reference.text.to_string())),
    ])
}

fn verdict_record(verdict: &Verdict) -> Value {
    let references = |list: &[Reference]| Value::List(list.iter().map(reference_record).collect());
    let role = verdict.role.as_ref().map_or(Value::Nil, |role| {
        Value::record([
            ("name", Value::Str(role.name.clone())),
            ("create_date", Value::Str(role.create_date.clone())),
            ("last_used", Value::text(role.last_used.clone())),
            ("region", Value::text(role.region.clone())),
        ])
    });
    Value::record([
        ("verdict", Value::Str(verdict.ruling.name().into())),
        ("reason", Value::Str(verdict.reason.clone())),
        ("profile", Value::Str(verdict.profile.clone())),
        ("id", Value::Str(verdict.id.clone())),
        ("arn", Value::Str(verdict.arn.clone())),
        ("references", references(&verdict.references)),
        ("doubts", references(&verdict.doubts)),
        ("role", role),
        ("role_gap", verdict.role_gap.as_ref().map_or(Value::Nil, gap_record)),
        ("at", date(verdict.at)),
        ("text", Value::Str(verdict.to_string())),
    ])
}

/// Text, or nil if it is empty.
fn non_empty(text: &str) -> Value {
    if text.is_empty() { Value::Nil } else { Value::Str(text.to_owned()) }
}

fn count(n: u64) -> Value {
    i64::try_from(n).map_or(Value::Nil, Value::Int)
}

/// Date in the form of the Lua API: ISO 8601, UTC, whole seconds.
fn date(at: Timestamp) -> Value {
    Value::Str(Timestamp::from_second(at.as_second()).unwrap_or(at).to_string())
}
