//! Bindings between the registry and Lua: reading the arguments of a call, starting it, and paging
//! through a listing. The prelude combines these into the `iam` table.

use std::sync::{Arc, PoisonError};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use mlua::{MultiValue, Table, UserData, Value as LuaValue};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::convert::from_lua;
use crate::aws::client::{Backend, Role};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::Subject;
use crate::iam::{self, Enrich, Entry, Implementation, Invoke, Iterate, Markers};
use crate::session::{Gate, prefetch_next_page};
use crate::spec::{Args, Page, Value};

/// Maximum number of concurrent calls that load the fields that a listing leaves out (`with_tags`).
const ENRICH_AT_ONCE: usize = 16;
/// Maximum number of pages that are prefetched.
const PAGES_AHEAD: usize = 2;

/// Gate as a Lua value.
pub struct Connected(pub Gate);

impl UserData for Connected {}

/// Arguments of a call: a lone table of named ones, or positional ones followed by a table with the
/// rest.
///
/// # Errors
/// An argument error; see [`crate::spec::Function::check`].
pub fn arguments(entry: &Entry, given: MultiValue) -> Result<Args> {
    let spec = &entry.spec;
    let wrong = |why: &str| {
        Error::argument(format!("{}: {why}", spec.lua_name()))
            .hint(format!("it is called as {}", spec.signature()))
    };
    let mut given = given.into_iter().peekable();
    let mut named = Vec::new();
    if let Some(LuaValue::Table(first)) = given.peek() {
        if first.raw_get::<LuaValue>(spec.name).is_ok_and(|own| own.is_function()) {
            return Err(wrong("called with \":\"; write \".\" instead"));
        }
        if let (Some(name), true) = (spec.positional.first(), is_record(first))
            && spec.param("arn").is_none()
        {
            return Err(wrong(&format!("got a whole record as {name}; pass its .name")));
        }
    } else {
        for name in spec.positional {
            match given.peek() {
                None => break,
                // Options follow too few positional arguments: the check reports the missing one.
                Some(LuaValue::Table(_)) if !takes_table(entry, name) => break,
                Some(_) => {}
            }
            if let Some(value) = given.next() {
                named.push(((*name).to_owned(), from_lua(&value)));
            }
        }
    }
    match given.next() {
        None | Some(LuaValue::Nil) => {}
        Some(LuaValue::Table(options)) => match from_lua(&LuaValue::Table(options)) {
            Value::Map(map) => named.extend(map),
            Value::List(_) => return Err(wrong("got an array where named arguments belong")),
            other => return Err(wrong(&format!("got a {}", other.type_name()))),
        },
        Some(other) => {
            let what = from_lua(&other);
            let error = wrong(&format!("got a {} where a table belongs", what.type_name()));
            // `tag(name, "Owner", "ops")`
            return Err(match (named.last(), what) {
                (Some((name, Value::Str(key))), Value::Str(value)) if name == "tags" => {
                    error.hint(format!("tags are a table: {{ [{key:?}] = {value:?} }}"))
                }
                _ => error,
            });
        }
    }
    if given.next().is_some_and(|extra| !extra.is_nil()) {
        return Err(wrong("got too many arguments"));
    }
    for at in 1..named.len() {
        if named[..at].iter().any(|(name, _)| *name == named[at].0) {
            return Err(wrong(&format!("{} is given twice", named[at].0)));
        }
    }
    spec.check(named)
}

/// Check for a record of a profile, role or policy.
fn is_record(table: &Table) -> bool {
    ["name", "arn"].iter().all(|key| table.raw_get::<LuaValue>(*key).is_ok_and(|v| v.is_string()))
}

fn takes_table(entry: &Entry, name: &str) -> bool {
    entry
        .spec
        .param(name)
        .is_some_and(|param| param.ty.lua().contains("table") || param.ty.lua().ends_with("[]"))
}

/// Gate for `iam.connect`: settings that are not named are taken from the given gate.
///
/// # Errors
/// If it would take a run on the local account out of that account.
pub fn connect(gate: &Gate, args: &Args) -> Result<Gate> {
    let mut connection = gate.connection().clone();
    let is_local = matches!(connection.target, Backend::Local(_));
    for way in ["endpoint_url", "profile"] {
        if is_local && args.has(way) {
            let refusal =
                format!("iam.connect: this run is on the local account, and {way} leads out of it");
            return Err(Error::new(Kind::Refused, refusal).hint("run it with --aws"));
        }
    }
    if let Some(profile) = args.text("profile") {
        connection.profile = Some(profile);
        connection.roles.clear();
    }
    if let Some(region) = args.text("region") {
        connection.region = Some(region);
    }
    if let Some(url) = args.text("endpoint_url") {
        connection.endpoint_url = Some(url);
    }
    match (args.text("role_arn"), args.text("external_id"), args.text("session_name")) {
        (Some(arn), external_id, session_name) => {
            let role = Role::new(arn);
            let session_name = session_name.unwrap_or(role.session_name);
            connection.roles.push(Role { arn: role.arn, external_id, session_name });
        }
        (None, None, None) => {}
        _ => {
            return Err(Error::argument(
                "iam.connect: external_id and session_name belong to a role_arn, which is missing",
            ));
        }
    }
    connection.check()?;
    Ok(Gate::new(Arc::clone(gate.session()), connection))
}

/// Iterator over the pages of a listing. The next page is requested as soon as the bytes of a page
/// have arrived, before they are parsed.
#[derive(Clone)]
pub struct Pager(Arc<PagerState>);

struct PagerState {
    gate: Gate,
    iterate: &'static Iterate,
    with_extra: bool,
    place: Mutex<PageCursor>,
    /// Permits for prefetched pages, to limit their number.
    room: Arc<Semaphore>,
}

/// Position of a pager.
struct PageCursor {
    /// Arguments of the next page; none after the last one.
    next: Option<Args>,
    /// The next page, if it is being fetched already.
    coming: Option<Loading>,
    /// Markers so far.
    markers: Markers,
}

/// A page that is being fetched; dropping it cancels the request.
struct Loading(JoinHandle<Result<LoadedPage>>);

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A page, and the next one, if it is being fetched already.
struct LoadedPage {
    page: Page,
    next: Option<Loading>,
    _room: OwnedSemaphorePermit,
}

impl UserData for Pager {}

impl Pager {
    /// Opens a pager for the iterator `entry`, at the first page.
    ///
    /// # Errors
    /// If `entry` is no iterator.
    pub fn open(gate: Gate, entry: &'static Entry, mut args: Args) -> Result<Self> {
        let Implementation::Iterate(iterate) = &entry.run else {
            let message = format!("{} is not an iterator", entry.spec.lua_name());
            return Err(Error::new(Kind::Bug, message));
        };
        let with_extra = args.take("with_tags") == Some(Value::Bool(true));
        // A page with extra fields is delivered only when all of them are loaded, so it is smaller.
        let default = Value::Int(if with_extra { 100 } else { 1000 });
        let size = args.take("page_size").unwrap_or(default);
        args.set("max_items", size);
        let markers = Markers::default();
        let place = Mutex::new(PageCursor { next: Some(args), coming: None, markers });
        let room = Arc::new(Semaphore::new(PAGES_AHEAD));
        Ok(Self(Arc::new(PagerState { gate, iterate, with_extra, place, room })))
    }

    /// Fetches the next page; `Nil` after the last one. A failed page can be fetched again.
    pub async fn fetch(self) -> Result<Value> {
        let mut place = self.0.place.lock().await;
        let Some(next) = &place.next else { return Ok(Value::Nil) };
        let next = next.clone();
        let mut coming = match place.coming.take() {
            Some(coming) => coming,
            None => self.0.load(next.clone()),
        };
        let loaded = (&mut coming.0).await.map_err(|panic| {
            Error::new(Kind::Bug, format!("a listing ended in an unexpected way: {panic}"))
        })??;
        let marker = place.markers.after(&loaded.page)?;
        place.next = marker.map(|marker| after(&next, &marker));
        place.coming = loaded.next;
        if let (Some(next), None) = (&place.next, &place.coming) {
            place.coming = Some(self.0.load(next.clone()));
        }
        Ok(Value::Page(Box::new(loaded.page)))
    }
}

/// Arguments of the page that begins at a marker.
fn after(args: &Args, marker: &str) -> Args {
    let mut args = args.clone();
    args.set("marker", Value::Str(marker.to_owned()));
    args
}

impl PagerState {
    fn load(self: &Arc<Self>, args: Args) -> Loading {
        let paging = Arc::clone(self);
        // On the heap, because each future contains the next one.
        Loading(tokio::spawn(Box::pin(paging.loaded(args)) as BoxFuture<'static, _>))
    }

    async fn loaded(self: Arc<Self>, args: Args) -> Result<LoadedPage> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|closed| Error::new(Kind::Bug, closed.to_string()))?;
        let next = Arc::new(std::sync::Mutex::new(None));
        let ahead = {
            let (paging, args, next) = (Arc::clone(&self), args.clone(), Arc::clone(&next));
            Arc::new(move |marker: &str| {
                let loading = paging.load(after(&args, marker));
                *next.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((marker.to_owned(), loading));
            })
        };
        let page = self.gate.invoke(iam::entry(self.iterate.page), args);
        let Value::Page(mut page) = prefetch_next_page(ahead, page).await? else {
            return Err(Error::new(Kind::Bug, format!("{} made no page", self.iterate.page)));
        };
        if let (true, Some(enrich)) = (self.with_extra, self.iterate.enrich) {
            page.items = enriched(&self.gate, page.items, enrich).await?;
            for item in &page.items {
                self.gate.remember(Subject::Profile, item);
            }
        }
        let next = next.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The overlay of a plan can end a listing elsewhere than the account does.
        let next = next.filter(|(marker, _)| page.marker.as_ref() == Some(marker));
        Ok(LoadedPage { page: *page, next: next.map(|(_, loading)| loading), _room: room })
    }
}

/// Loads the fields that a listing leaves out, concurrently and in order. Resources that were
/// deleted meanwhile are left out.
async fn enriched(gate: &Gate, items: Vec<Value>, enrich: Enrich) -> Result<Vec<Value>> {
    let via: Arc<dyn Invoke> = Arc::new(gate.clone());
    let calls = items.into_iter().map(|item| enrich(Arc::clone(&via), item));
    let mut calls = futures_util::stream::iter(calls).buffered(ENRICH_AT_ONCE);
    let mut items = Vec::new();
    while let Some(item) = calls.next().await {
        items.extend(Some(item?).filter(|item| *item != Value::Nil));
    }
    Ok(items)
}
