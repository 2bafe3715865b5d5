//! Listings of an account in which something is planned. Entries keep AWS's order. What is planned
//! stands before the first entry that comes after it by path and name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::read::{id_of, page_size};
use super::{Filter, Overlay};
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject};
use crate::iam::{Entry, Reads, Trail};
use crate::session::read_cache::Key;
use crate::session::wire::prefetch_next_page;
use crate::session::{Gate, locked};
use crate::spec::{Args, Page, Value};

/// Prefix of the markers of listings with planned entries.
const MARKER: &str = "iamlua-plan.";
/// Maximum number of listings that can be continued.
const MOST: usize = 16_384;

/// Path and name, in lower case, of an entry.
type SortKey = (String, String);

/// Cursors of the listings that a plan reads, by the marker of the next page.
#[derive(Debug, Default)]
pub struct Listings(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    open: HashMap<String, Cursor>,
    order: VecDeque<String>,
}

impl Listings {
    /// A marker that no other listing has.
    pub(super) fn new_marker(&self) -> String {
        let mut inner = locked(&self.0);
        inner.last += 1;
        format!("{MARKER}{}", inner.last)
    }

    fn keep(&self, id: String, cursor: Cursor) {
        let mut inner = locked(&self.0);
        if inner.open.insert(id.clone(), cursor).is_none() {
            inner.order.push_back(id);
        }
        if inner.order.len() > MOST
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.open.remove(&oldest);
        }
    }

    fn cursor(&self, id: &str) -> Option<Cursor> {
        locked(&self.0).open.get(id).cloned()
    }
}

/// Position in a listing.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    /// Number of planned changes when the listing began.
    began: u64,
    /// Entries of AWS that were not handed out yet.
    rest: Vec<Value>,
    /// Marker of AWS's next page; none for the first page.
    marker: Option<String>,
    /// AWS's pages so far.
    trail: Trail,
    /// Existence of a next page of AWS's.
    has_more: bool,
    /// Place of the last entry that was handed out.
    bound: Option<SortKey>,
    /// Planned entries that were handed out; of tags and policies all entries.
    pub(super) seen: HashSet<String>,
}

impl Gate {
    fn cursor_id(&self, entry: &Entry, marker: &str) -> String {
        // Markers of a plan's own are good for every connection.
        let number = if marker.starts_with(MARKER) { 0 } else { self.0.number };
        format!("{number} {} {marker}", entry.spec.path())
    }

    pub(super) fn cursor(&self, entry: &Entry, marker: &str) -> Option<Cursor> {
        self.session().listings.cursor(&self.cursor_id(entry, marker))
    }

    fn keep_cursor(&self, entry: &Entry, marker: &str, cursor: Cursor) {
        self.session().listings.keep(self.cursor_id(entry, marker), cursor);
    }

    /// Notes a page of AWS's that a run in plan mode has read: later pages may have planned
    /// entries.
    pub(in crate::session) fn note_page(
        &self,
        entry: &Entry,
        requested: Option<&str>,
        answer: &Value,
    ) {
        let Some(reads) = entry.reads() else { return };
        let Value::Page(page) = answer else { return };
        let Some(next) = page.marker.as_deref().filter(|_| page.is_truncated) else { return };
        let before = requested.and_then(|marker| self.cursor(entry, marker));
        let mut cursor = before.unwrap_or_default();
        if reads.are_records() {
            cursor.bound = page.items.last().map(place_of).or(cursor.bound);
        } else {
            cursor.seen.extend(page.items.iter().map(|item| id_of(item).to_owned()));
        }
        cursor.marker = Some(next.to_owned());
        cursor.has_more = true;
        self.keep_cursor(entry, next, cursor);
    }

    /// Hands out the first entries of what is left of tags or policies.
    pub(super) fn page_of(
        &self,
        entry: &Entry,
        args: &Args,
        mut seen: HashSet<String>,
        mut items: Vec<Value>,
    ) -> Value {
        let is_sorted = entry.reads().is_some_and(Reads::are_sorted);
        let last = seen.iter().max().filter(|_| is_sorted).cloned();
        items.retain(|item| {
            let id = id_of(item);
            !seen.contains(id) && last.as_deref().is_none_or(|last| id > last)
        });
        let more = items.split_off(items.len().min(page_size(args)));
        if more.is_empty() {
            return Value::page(items, None, false);
        }
        seen.extend(items.iter().map(|item| id_of(item).to_owned()));
        let marker = self.session().listings.new_marker();
        self.keep_cursor(entry, &marker, Cursor { seen, ..Cursor::default() });
        Value::page(items, Some(marker), true)
    }
}

fn place(path: &str, name: &str) -> SortKey {
    (path.to_owned(), name.to_ascii_lowercase())
}

fn place_of(item: &Value) -> SortKey {
    let text = |field| item.field(field).as_str().unwrap_or_default();
    place(text("path"), text("name"))
}

/// Entry of a page that is being made.
struct ListingSlot {
    what: ListedItem,
    place: SortKey,
    /// Number of AWS's entries up to this one.
    used: usize,
}

enum ListedItem {
    /// An entry of AWS's, with its real and planned state if it was copied.
    Shown { item: Value, states: Box<(Option<Snapshot>, Option<Snapshot>)> },
    /// An entry that is only planned.
    Planned(String),
}

impl Overlay {
    /// One page of a listing of profiles or roles.
    pub(super) async fn listing(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        args: Args,
        subject: Subject,
    ) -> Result<Value> {
        let filter = Filter { prefix: args.text("path_prefix"), role: args.text("role") };
        let size = page_size(&args);
        let requested = args.text("marker");
        let known = requested.as_deref().and_then(|marker| gate.cursor(entry, marker));
        if known.is_none() && requested.as_ref().is_some_and(|marker| marker.starts_with(MARKER)) {
            return Err(invalid_marker(entry));
        }
        let is_unknown = known.is_none() && requested.is_some();
        let first = Cursor {
            began: locked(&self.inner).changes,
            marker: requested.clone(),
            has_more: true,
            ..Cursor::default()
        };
        let mut cursor = known.unwrap_or(first);
        if let Some(role) = &filter.role {
            let key = Key::new(Subject::Role, role);
            let state = locked(&self.inner)
                .copies
                .get(&key)
                .map(|copy| (copy.base.is_some(), copy.now.is_some()));
            match state {
                // The answer is that there is no such role.
                Some((_, false)) => return entry.send(self.clients.clone(), args).await,
                // AWS does not know it.
                Some((false, true)) => cursor.has_more = false,
                _ => {}
            }
        }
        let had_rest = !cursor.rest.is_empty();
        let mut is_read = false;
        let slots = loop {
            let (slots, dropped) = self.merged(subject, &filter, &cursor);
            let is_short = slots.len() < size && (dropped > 0 || had_rest);
            // Whether there is another page shows only once it was read.
            let may_end = slots.len() == size && self.removes(subject, &filter);
            let is_empty = cursor.rest.is_empty() && !is_read;
            if !cursor.has_more || !(is_empty || is_short || may_end) {
                break slots;
            }
            let page = self.next_page(gate, entry, &args, &cursor).await?;
            is_read = true;
            if is_unknown && cursor.bound.is_none() {
                // The page before was read at the same time.
                let before = requested.as_deref().and_then(|marker| gate.cursor(entry, marker));
                cursor = before.unwrap_or_else(|| Cursor {
                    bound: page.items.first().map(place_of),
                    began: 0,
                    ..cursor.clone()
                });
            }
            if let Some(next) = page.marker.as_deref().filter(|_| page.is_truncated) {
                cursor.trail.go(&entry.spec.lua_name(), next)?;
            }
            if page.items.is_empty() && page.is_truncated {
                cursor.marker = page.marker;
                break slots;
            }
            cursor.rest.extend(page.items);
            cursor.has_more = page.is_truncated;
            cursor.marker = page.marker;
        };
        self.hand_out(gate, entry, subject, (cursor, slots), size).await
    }

    async fn next_page(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        args: &Args,
        cursor: &Cursor,
    ) -> Result<Page> {
        let mut args = args.clone();
        args.take("marker");
        if let Some(marker) = &cursor.marker {
            args.set("marker", Value::Str(marker.clone()));
        }
        // The next page can only be asked for once this one was handed out.
        let read = prefetch_next_page(Arc::new(|_| {}), gate.read_really(entry, args));
        match read.await? {
            Value::Page(page) => Ok(*page),
            _ => Err(Error::new(Kind::Bug, format!("{} has no pages", entry.spec.path()))),
        }
    }

    /// The first entries of a page, and a marker for the others.
    async fn hand_out(
        &self,
        gate: &Gate,
        entry: &Entry,
        subject: Subject,
        (mut cursor, mut slots): (Cursor, Vec<ListingSlot>),
        size: usize,
    ) -> Result<Value> {
        let more = slots.split_off(slots.len().min(size));
        if more.is_empty() {
            cursor.rest.clear();
        } else if let Some(last) = slots.last() {
            cursor.rest.drain(..last.used);
        }
        if let Some(last) = slots.last() {
            cursor.bound = Some(last.place.clone());
        }
        let mut items = Vec::with_capacity(slots.len());
        for slot in slots {
            items.push(match slot.what {
                ListedItem::Shown { item, states } => {
                    self.patched(item, &states.0, &states.1).await?
                }
                ListedItem::Planned(name) => {
                    let item = self.planned_entry(subject, &name).await?;
                    cursor.seen.insert(name.to_ascii_lowercase());
                    item
                }
            });
        }
        if more.is_empty() && !cursor.has_more {
            return Ok(Value::page(items, None, false));
        }
        let marker = gate.session().listings.new_marker();
        gate.keep_cursor(entry, &marker, cursor);
        Ok(Value::page(items, Some(marker), true))
    }

    /// Entries of AWS's and planned ones in order, and the number of those of AWS's that are
    /// planned to be elsewhere or nowhere.
    fn merged(
        &self,
        subject: Subject,
        filter: &Filter,
        cursor: &Cursor,
    ) -> (Vec<ListingSlot>, usize) {
        let added = self.added(subject, filter, cursor);
        let names: HashSet<_> = added.iter().map(|(place, _)| place.1.clone()).collect();
        let mut added = added.into_iter().peekable();
        let (mut slots, mut dropped) = (Vec::new(), 0);
        let inner = locked(&self.inner);
        for (at, item) in cursor.rest.iter().enumerate() {
            let own = place_of(item);
            while let Some((place, name)) = added.next_if(|(place, _)| *place < own) {
                slots.push(ListingSlot { what: ListedItem::Planned(name), place, used: at });
            }
            let used = at + 1;
            let key = Key { subject, name: own.1.clone() };
            let (base, now) = match inner.copies.get(&key) {
                _ if names.contains(&own.1) => {
                    dropped += 1;
                    continue;
                }
                None => (None, None),
                Some(copy) if !filter.matches(&copy.now) => {
                    dropped += 1;
                    continue;
                }
                // It is planned to be elsewhere.
                Some(copy)
                    if copy.now.as_ref().is_some_and(|now| place(&now.path, &now.name) != own) =>
                {
                    dropped += 1;
                    continue;
                }
                Some(copy) if copy.is_created() => {
                    let name = item.field("name").as_str().unwrap_or_default().to_owned();
                    slots.push(ListingSlot { what: ListedItem::Planned(name), place: own, used });
                    continue;
                }
                Some(copy) => (copy.base.clone(), copy.now.clone()),
            };
            slots.push(ListingSlot {
                what: ListedItem::Shown { item: item.clone(), states: Box::new((base, now)) },
                place: own,
                used,
            });
        }
        if !cursor.has_more {
            let used = cursor.rest.len();
            slots.extend(added.map(|(place, name)| ListingSlot {
                what: ListedItem::Planned(name),
                place,
                used,
            }));
        }
        (slots, dropped)
    }

    /// Planned entries that AWS does not list there, sorted. Those from after the begin of the
    /// listing must stand behind what was handed out, as in a run.
    fn added(&self, subject: Subject, filter: &Filter, cursor: &Cursor) -> Vec<(SortKey, String)> {
        let inner = locked(&self.inner);
        let of = |image: &Snapshot| (place(&image.path, &image.name), image.name.clone());
        let copies = inner.copies.iter().filter(|(key, _)| key.subject == subject);
        let mut added: Vec<_> = copies
            .filter(|(key, copy)| {
                let path =
                    |state: &Option<Snapshot>| state.as_ref().map(|image| image.path.clone());
                filter.matches(&copy.now)
                    && !cursor.seen.contains(&key.name)
                    && (!filter.matches(&copy.base)
                        || copy.is_created() && path(&copy.base) != path(&copy.now))
            })
            .filter_map(|(_, copy)| Some((copy.changed, of(copy.now.as_ref()?))))
            .filter(|(changed, (place, _))| {
                *changed <= cursor.began || cursor.bound.as_ref().is_none_or(|bound| place > bound)
            })
            .map(|(_, added)| added)
            .collect();
        added.sort_unstable();
        added
    }

    /// Check for anything that AWS lists there and that is planned not to be there.
    fn removes(&self, subject: Subject, filter: &Filter) -> bool {
        let inner = locked(&self.inner);
        inner.copies.iter().any(|(key, copy)| {
            key.subject == subject && filter.matches(&copy.base) && !filter.matches(&copy.now)
        })
    }
}

fn invalid_marker(entry: &Entry) -> Error {
    let mut error = Error::new(Kind::Aws, "Invalid Marker.");
    error.aws = Some(Box::new(AwsDetail {
        code: "ValidationError".to_owned(),
        operation: entry.spec.actions[0].name.to_owned(),
        status: Some(400),
        request_id: None,
        retryable: false,
        is_cut_off: false,
    }));
    error
}
