//! Paging of resource lists: page size and page tokens.

use super::super::call::Call;
use super::super::marker::{Point, Seal};
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{self, Resource, ResourceKind, ResourceScope};

/// Paging of an action: parameter names and bounds of the page size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    /// Parameter for the page size; empty if the service decides.
    pub(super) limit: &'static str,
    pub(super) min: i64,
    pub(super) max: i64,
    /// Default page size.
    pub(super) default_limit: usize,
    /// Parameter for the page token.
    pub(super) token: &'static str,
}

/// Requested page of a list.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    call: &'a Call<'a>,
    salt: u64,
    scope: String,
    token: Option<String>,
    pub(super) limit: usize,
}

impl<'a> Listing<'a> {
    /// Reads the paging parameters of a call. `within` identifies the list besides its region, such
    /// as by cluster or filters.
    pub(super) fn of(
        view: &ReadTxn<'_>,
        call: &'a Call<'a>,
        paging: &Paging,
        within: &str,
    ) -> ApiResult<Self> {
        let limit = match number(call, paging)? {
            None => paging.default_limit,
            Some(number) => usize::try_from(number).unwrap_or(paging.default_limit),
        };
        let token = match call.json_text(paging.token)? {
            Some(token) => Some(token),
            None => call.optional_text(paging.token),
        };
        let token = token.filter(|token| !token.is_empty()).map(str::to_owned);
        let scope = format!("{} {} {within}", call.action.service.name(), call.region);
        Ok(Self { call, salt: view.account.salt, scope, token, limit })
    }

    fn seal(&self) -> Seal<'_> {
        Seal { salt: self.salt, action: self.call.action.name, scope: &self.scope }
    }

    /// True if the call continues a list.
    pub(super) fn is_continued(&self) -> bool {
        self.token.is_some()
    }

    /// Start of the page.
    pub(super) fn start(&self) -> ApiResult<Point> {
        let Some(token) = &self.token else {
            return Ok(Point { number: 0, key: String::new() });
        };
        let point = self.seal().open(token);
        Ok(point.ok_or_else(|| Refusal::invalid_token(self.call.action.service))?)
    }

    /// Token of the page after a position.
    pub(super) fn token(&self, number: u64, key: &str) -> String {
        self.seal().close(&Point { number, key: key.to_owned() })
    }

    /// Resources on the page that `keep` accepts, and the token of the next page.
    pub(super) fn page(
        &self,
        view: &ReadTxn<'_>,
        place: ResourceScope<'_>,
        keep: impl Fn(&Resource) -> bool,
    ) -> ApiResult<(Vec<Resource>, Option<String>)> {
        let start = self.start()?;
        let mut found: Vec<Resource> = Vec::new();
        let mut more = false;
        resources::scan(view.connection, place, &start.key, |resource| {
            if keep(&resource) {
                more = found.len() == self.limit;
                if !more {
                    found.push(resource);
                }
            }
            Ok(!more)
        })?;
        let last = found.last().filter(|_| more);
        let token = last.map(|last| self.token(0, &last.key));
        Ok((found, token))
    }

    /// Page of parents, such as clusters, and the token of the next page.
    pub(super) fn parents(
        &self,
        view: &ReadTxn<'_>,
        kind: ResourceKind,
    ) -> ApiResult<(Vec<String>, Option<String>)> {
        let start = self.start()?;
        let (connection, region) = (view.connection, self.call.region);
        let mut found = resources::parents(connection, kind, region, &start.key, self.limit + 1)?;
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| more);
        let token = last.map(|last| self.token(0, last));
        Ok((found, token))
    }
}

/// Page size that the call requests.
fn number(call: &Call<'_>, paging: &Paging) -> ApiResult<Option<i64>> {
    let service = call.action.service;
    let name = paging.limit;
    if name.is_empty() {
        return Ok(None);
    }
    let number = match call.json_number(name)? {
        Some(number) => number,
        None => match call.optional_text(name).filter(|text| !text.is_empty()) {
            None => return Ok(None),
            Some(text) => text.parse().map_err(|_| {
                Refusal::invalid_value(service, format!("{name} must be a number, not {text}"))
            })?,
        },
    };
    let shown = super::camel(name);
    if number < paging.min {
        let min = paging.min;
        let message = format!(
            "Value ( {number} ) for parameter {shown} is invalid. Expecting a value greater than or equal to {min}."
        );
        return Err(Refusal::invalid_value(service, message).into());
    }
    if number > paging.max {
        let max = paging.max;
        let message = format!(
            "Value ( {number} ) for parameter {shown} is invalid. Expecting a value smaller than or equal to {max}."
        );
        return Err(Refusal::invalid_value(service, message).into());
    }
    Ok(Some(number))
}
