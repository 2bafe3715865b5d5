//! Types of the table of sources: the calls, the places of values in their answers, and the meaning
//! of those values. The table itself is in `sources.rs`; a new source is an entry there.

use crate::spec::Action;

/// Kind of AWS resource that can reference an instance profile, and the calls that list it.
#[derive(Debug)]
pub struct Source {
    /// Name, such as `ec2.instances`.
    pub name: &'static str,
    /// Kind of its resources, such as `instance`.
    pub kind: &'static str,
    /// Meaning of a reference from it.
    pub doc: &'static str,
    /// Call that lists the resources; or several calls, each of which is made for every record of
    /// the previous one.
    pub steps: &'static [SourceCall],
}

impl Source {
    /// Actions that it calls, in order. Each needs the IAM permission of the same name.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.steps.iter().map(|step| step.action)
    }

    /// Step whose records are the resources.
    ///
    /// # Panics
    /// Never: a test checks that every source has one.
    #[must_use]
    pub fn last(&self) -> &'static SourceCall {
        self.steps.last().expect("a source has a step")
    }
}

/// One call: the request, and the values to extract from the answer.
#[derive(Debug)]
pub struct SourceCall {
    /// Action.
    pub action: Action,
    /// HTTP method and path. Only REST protocols have others than the default.
    pub route: Route,
    /// Parameters, besides those of paging.
    pub parameters: &'static [(&'static str, Given)],
    /// Paging; `None` if the answer has all records.
    pub paging: Option<Paging>,
    /// Path of the records in the answer: names joined by dots. Lists are traversed: the records at
    /// `reservationSet.instancesSet` are the elements of that list, in all reservations.
    pub records: &'static str,
    /// Fields to extract from each record.
    pub fields: &'static [SourceField],
    /// Required values at paths of a record; other records are ignored.
    pub only: &'static [(&'static str, &'static str)],
    /// States of resources that will never use the profile again.
    pub over: &'static [&'static str],
    /// Error codes that mean that a resource of the previous step has been deleted meanwhile.
    pub gone: &'static [&'static str],
}

/// HTTP method and path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /`, with the action in the body or a header.
    Root,
    /// `POST` of a JSON body to this path.
    Post(&'static str),
    /// `GET` of this path. `{0}` is the value carried from the first step's record, `{1}` that of
    /// the second; parameters go into the query.
    Get(&'static str),
}

/// Value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// String.
    Text(&'static str),
    /// Boolean.
    Bool(bool),
    /// List of strings.
    Texts(&'static [&'static str]),
    /// Field [`Means::Carry`] with this index, of the previous step's record.
    Carried(usize),
}

/// Paging of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Parameter for the page token.
    pub ask: &'static str,
    /// Path of the next page's token in the answer; empty or missing on the last page.
    pub answer: &'static str,
    /// Parameter for the page size, and its maximum.
    pub size: Option<(&'static str, u32)>,
}

/// Field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceField {
    /// Path below the record; empty for a record that is a string.
    pub path: &'static str,
    /// Meaning of the value.
    pub means: Means,
}

/// Meaning of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Part of the resource's id. Several are joined with `/`, those of earlier steps first.
    Id,
    /// Value for the calls of the next step.
    Carry,
    /// Value of the previous steps that the call requested: the field [`Means::Carry`] with this
    /// index. A record with another value belongs to another answer.
    Echo(usize),
    /// State of the resource.
    State,
    /// Instance profile: its ARN, name or id.
    Profile,
    /// Role: its ARN or name. The service creates the instance profile that contains it.
    Role,
}
