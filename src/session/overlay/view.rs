//! What reads see of an account in which something is planned.

use super::{Copy, Overlay};
use crate::error::{Error, Kind, Result};
use crate::iam::image::{Image, State, Subject};
use crate::iam::{Call, Entry, POLICY};
use crate::session::memory::Key;
use crate::session::{Gate, locked, reading, subject_of};
use crate::spec::{Args, Page, Returns, Value};

/// How the marker of a page of planned things begins; after it come two numbers.
const MARKER: &str = "iamlua-plan.";

impl Overlay {
    /// Reads from AWS, with what is planned in it.
    pub async fn read(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        call: Call,
        args: Args,
    ) -> Result<Value> {
        let subject = subject_of(entry);
        if let Some(name) = args.text("name") {
            let of_policies = matches!(entry.spec.returns, Returns::Page(record) if std::ptr::eq(record, &raw const POLICY));
            let is_here = self.now(&Key::new(subject, &name)).is_some_and(|now| {
                !of_policies || now.is_none_or(|image| image.policies.is_some())
            });
            if is_here {
                return call(self.clients.clone(), args).await.map(|answer| self.shown(answer));
            }
            return Ok(self.adjusted(gate.read_really(entry, call, args).await?));
        }
        match entry.spec.returns {
            Returns::Page(_) => self.listing(gate, entry, call, args, subject).await,
            Returns::One(_) => Ok(self.counted(gate.read_really(entry, call, args).await?)),
            _ => gate.read_really(entry, call, args).await,
        }
    }

    /// One page of a listing. What is planned stands where it really is; what is really elsewhere, or nowhere, comes in pages of its own at the
    /// end.
    async fn listing(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        call: Call,
        args: Args,
        subject: Subject,
    ) -> Result<Value> {
        let filter = Filter { prefix: args.text("path_prefix"), role: args.text("role") };
        let size = args.int("max_items").and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
        if let Some(place) = args.text("marker").and_then(|marker| Place::read(&marker)) {
            return self.planned_page(subject, &filter, place, size).await;
        }
        if let Some(role) = &filter.role {
            let copy = {
                let inner = locked(&self.inner);
                let copy = inner.copies.get(&Key::new(Subject::Role, role));
                copy.map(|copy| (copy.base.is_some(), copy.now.is_some()))
            };
            match copy {
                // It says that there is no such role.
                Some((_, false)) => return call(self.clients.clone(), args).await,
                Some((false, true)) => {
                    let place = Place { upto: u64::MAX, after: None };
                    return self.planned_page(subject, &filter, place, size).await;
                }
                _ => {}
            }
        }
        let answer = gate.read_really(entry, call, args).await?;
        let Value::Page(page) = answer else { return Ok(answer) };
        let Page { items, mut marker, mut is_truncated } = *page;
        let mut merged = Vec::with_capacity(items.len());
        for item in items {
            let name = item.field("name").as_str().unwrap_or_default();
            match self.now(&Key::new(subject, name)) {
                None => merged.push(self.adjusted(item)),
                Some(Some(image)) if filter.matches(&image) => {
                    merged.push(self.listed(subject, name).await?);
                }
                Some(_) => {}
            }
        }
        if !is_truncated {
            let upto = locked(&self.inner).copies.len() as u64;
            if !self.additions(subject, &filter, &Place { upto, after: None }).is_empty() {
                is_truncated = true;
                marker = Some(Place { upto, after: None }.write());
            }
        }
        Ok(Value::page(merged, marker, is_truncated))
    }

    /// The names of what is planned to be in a listing and is really not, in the order in which the plan has met them.
    fn additions(&self, subject: Subject, filter: &Filter, place: &Place) -> Vec<(u64, String)> {
        let inner = locked(&self.inner);
        let mut found: Vec<_> = inner
            .copies
            .iter()
            .filter(|(key, copy)| {
                let is_there =
                    |state: &State| state.as_ref().is_some_and(|image| filter.matches(image));
                key.subject == subject
                    && copy.order < place.upto
                    && place.after.is_none_or(|after| copy.order > after)
                    && is_there(&copy.now)
                    && !is_there(&copy.base)
            })
            .map(|(key, copy)| (copy.order, key.name.clone()))
            .collect();
        found.sort_unstable();
        found
    }

    async fn planned_page(
        &self,
        subject: Subject,
        filter: &Filter,
        place: Place,
        size: usize,
    ) -> Result<Value> {
        let mut names = self.additions(subject, filter, &place);
        let more = names.len() > size;
        names.truncate(size);
        let last = names.last().map(|(order, _)| *order);
        let mut items = Vec::with_capacity(names.len());
        for (_, name) in names {
            items.push(self.listed(subject, &name).await?);
        }
        let marker = more.then(|| Place { upto: place.upto, after: last }.write());
        Ok(Value::page(items, marker, more))
    }

    /// A record as listings have it.
    async fn listed(&self, subject: Subject, name: &str) -> Result<Value> {
        let args = Args::of([("name", Value::Str(name.to_owned()))]);
        let (_, call) = reading::read_of(subject.get());
        let record = self.shown(call(self.clients.clone(), args).await?);
        let Value::Record(mut fields) = record else {
            return Err(Error::new(Kind::Bug, "a record is none"));
        };
        fields.retain(|(name, _)| {
            !["tags", "permissions_boundary", "last_used", "last_used_region"].contains(name)
        });
        Ok(Value::Record(fields))
    }

    /// A record from AWS with the planned trust policies of the roles in it.
    fn adjusted(&self, mut record: Value) -> Value {
        let inner = locked(&self.inner);
        let Value::Record(fields) = &mut record else { return record };
        let roles = fields.iter_mut().find(|(name, _)| *name == "roles");
        let Some((_, Value::List(roles))) = roles else { return record };
        for role in roles {
            let key = Key::new(Subject::Role, role.field("name").as_str().unwrap_or_default());
            let Some(Copy { base: Some(base), now: Some(now), .. }) = inner.copies.get(&key) else {
                continue;
            };
            if base.assume_role_policy == now.assume_role_policy {
                continue;
            }
            if let Value::Record(fields) = role
                && let Some((_, policy)) =
                    fields.iter_mut().find(|(name, _)| *name == "assume_role_policy")
            {
                *policy = Value::text(now.assume_role_policy.clone());
            }
        }
        record
    }

    /// The account's record with what is planned counted in.
    fn counted(&self, mut record: Value) -> Value {
        let (profiles, roles) = (self.surplus(Subject::Profile), self.surplus(Subject::Role));
        if let Value::Record(fields) = &mut record {
            for (name, value) in fields {
                match (*name, value) {
                    ("profiles", Value::Int(n)) => *n += profiles,
                    ("roles", Value::Int(n)) => *n += roles,
                    _ => {}
                }
            }
        }
        record
    }
}

/// What a listing is of.
struct Filter {
    prefix: Option<String>,
    role: Option<String>,
}

impl Filter {
    fn matches(&self, image: &Image) -> bool {
        let has_role =
            |role: &String| image.role.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(role));
        self.prefix.as_ref().is_none_or(|prefix| image.path.starts_with(prefix.as_str()))
            && self.role.as_ref().is_none_or(has_role)
    }
}

/// Where the pages of what is planned go on. What is copied after the last real page was read does not show any more, so that a script that
/// creates one thing for each that it meets comes to an end.
#[derive(Clone, Copy)]
struct Place {
    upto: u64,
    after: Option<u64>,
}

impl Place {
    fn read(marker: &str) -> Option<Self> {
        let (upto, after) = marker.strip_prefix(MARKER)?.split_once('.')?;
        Some(Self { upto: upto.parse().ok()?, after: after.parse().ok() })
    }

    fn write(self) -> String {
        let after = self.after.map_or_else(|| "-".into(), |after| after.to_string());
        format!("{MARKER}{}.{after}", self.upto)
    }
}
