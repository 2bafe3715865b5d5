//! The vocabulary of the table of sources: what a call is, where in its answer things stand, and what they mean. The table itself is in
//! `sources.rs`; to add a source is to add an entry there.

use crate::spec::Action;

/// Something on AWS that can name an instance profile, and the calls that find out.
#[derive(Debug)]
pub struct Source {
    /// Its name, such as `ec2.instances`.
    pub name: &'static str,
    /// What one of its resources is, such as `instance`.
    pub kind: &'static str,
    /// What a reference from it means.
    pub doc: &'static str,
    /// A call whose answer lists the resources; or several, of which each is made for every record of the one before.
    pub steps: &'static [SourceCall],
}

impl Source {
    /// The actions that it calls, in order. Each needs the IAM permission of the same name.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.steps.iter().map(|step| step.action)
    }

    /// The step whose records are the resources.
    ///
    /// # Panics
    /// Never: a test sees to it that every source has one.
    #[must_use]
    pub fn last(&self) -> &'static SourceCall {
        self.steps.last().expect("a source has a step")
    }
}

/// One call: the request, and what is read out of the answer.
#[derive(Debug)]
pub struct SourceCall {
    /// The action.
    pub action: Action,
    /// Where it is sent. Only REST protocols have more than one way.
    pub route: Route,
    /// Its parameters, besides those of paging.
    pub parameters: &'static [(&'static str, Given)],
    /// How further pages are asked for; `None` where the answer is whole.
    pub paging: Option<Paging>,
    /// Where the records stand in the answer: names joined by dots. Lists are passed through: the elements of the list at
    /// `reservationSet.instancesSet`, in all reservations, are the records there.
    pub records: &'static str,
    /// What is read of each record.
    pub fields: &'static [Field],
    /// Only records in which this stands at that path.
    pub only: &'static [(&'static str, &'static str)],
    /// The states of resources that will never use the profile again.
    pub over: &'static [&'static str],
    /// The error codes by which AWS says that what the step before has listed is gone meanwhile.
    pub gone: &'static [&'static str],
}

/// The place of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /`, with the action in the body or a header.
    Root,
    /// `POST` of a JSON body to that path.
    Post(&'static str),
    /// `GET` of that path, in which `{0}` is what the first step's record is called, `{1}` that of the second; parameters go into the query.
    Get(&'static str),
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Text.
    Text(&'static str),
    /// Yes or no.
    Bool(bool),
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// The field [`Means::Carry`] of that number in the record of the step before.
    Carried(usize),
}

/// How a listing is cut into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The parameter that takes the token.
    pub ask: &'static str,
    /// Where the token for the next page stands in the answer; empty or missing in the last one.
    pub answer: &'static str,
    /// The parameter for the size of a page, and the largest size.
    pub size: Option<(&'static str, u32)>,
}

/// Something that is read of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it stands below the record; empty for the record itself, where that is a text.
    pub path: &'static str,
    /// What it is.
    pub means: Means,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// A part of what the resource is called. Several are joined with `/`, those of earlier steps before.
    Id,
    /// What the calls of the next step need.
    Carry,
    /// Value of the steps before that the call has asked for: the field [`Means::Carry`] of that
    /// number. A record that has something else there belongs to another answer.
    Echo(usize),
    /// The state of the resource.
    State,
    /// An instance profile: its ARN, name or id.
    Profile,
    /// A role: its ARN or name. The service makes the instance profile that holds it.
    Role,
}
