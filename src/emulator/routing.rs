//! Routing of a request to a call: service, action and parameters. Each protocol has them in
//! another place. Service and region are always in the credential scope of the `Authorization`
//! header.

use std::borrow::Cow;
use std::sync::OnceLock;

use percent_encoding::percent_decode_str;
use rusqlite::Connection;
use serde_json::{Map, Value};

use super::Request;
use super::actions::{self, Action};
use super::call::{Call, Caller, Credential};
use super::constraints;
use super::form::Form;
use super::partition;
use super::read_txn::AccountRow;
use super::refusal::{ApiResult, Refusal};
use super::service::{Protocol, Service};
use super::services::{batch, ecs};
use super::sessions::Context;

/// Request whose action is known.
pub(super) struct Routed<'a> {
    pub(super) action: &'static Action,
    input: Input,
    /// Input with the ARNs of `aws`, in an account of another partition.
    translated: OnceLock<Input>,
    pub(super) credential: Credential<'a>,
}

/// Input of a request: one of the two, the other is empty.
#[derive(Debug, Default)]
struct Input {
    form: Form,
    json: Map<String, Value>,
}

impl<'a> Routed<'a> {
    pub(super) fn of(request: &'a Request) -> Result<Self, (Service, Refusal)> {
        let header = request.authorization.as_deref();
        let credential = header.and_then(Credential::parse);
        let scope = credential.and_then(|credential| credential.service);
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let form = if request.method == "GET" { query.as_bytes() } else { &request.body };
        let form = Form::parse(form);
        let Some(service) = Service::of_request(scope, form.get("Version")) else {
            return Err(unknown_service(request, scope, &form));
        };
        let refused = |refusal| (service, refusal);
        let (action, input) = match service.protocol() {
            Protocol::Query { version, .. } | Protocol::Ec2 { version, .. } => (
                by_form(service, version, &form).map_err(refused)?,
                Input { form, ..Input::default() },
            ),
            Protocol::Json { target } => {
                let action = by_target(service, target, request).map_err(refused)?;
                let json = read_json(&request.body).map_err(refused)?;
                (action, Input { json, ..Input::default() })
            }
            Protocol::RestJson => {
                let (action, in_path) = by_path(service, &request.method, path).map_err(refused)?;
                let mut json = read_json(&request.body).map_err(refused)?;
                json.extend(in_path);
                for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                    json.insert(name.into_owned(), Value::String(value.into_owned()));
                }
                (action, Input { json, ..Input::default() })
            }
        };
        match (header, credential) {
            // The request has an identity provider's token instead.
            (None, _) if action.name == "AssumeRoleWithWebIdentity" => {
                Ok(Self::new(action, input, Credential::NONE))
            }
            (None, _) => Err(refused(Refusal::missing_credentials())),
            (Some(_), None) => Err(refused(Refusal::malformed_credentials())),
            (Some(_), Some(credential)) => Ok(Self::new(action, input, credential)),
        }
    }

    fn new(action: &'static Action, input: Input, credential: Credential<'a>) -> Self {
        Self { action, input, translated: OnceLock::new(), credential }
    }

    fn input(&self, account: &AccountRow) -> &Input {
        if account.partition == partition::AWS {
            return &self.input;
        }
        self.translated.get_or_init(|| {
            let form = self.input.form.translated(&account.partition);
            let mut json = self.input.json.clone();
            json.values_mut().for_each(|value| partition::swap_json(value, &account.partition));
            Input { form, json }
        })
    }

    pub(super) fn service(&self) -> Service {
        self.action.service
    }

    /// Region that the request was signed for.
    pub(super) fn region(&self) -> &'a str {
        self.credential.region.unwrap_or("us-east-1")
    }

    pub(super) fn caller(
        &self,
        account: &AccountRow,
        now: i64,
        connection: &Connection,
    ) -> ApiResult<(Caller, Context)> {
        let access_key = self.credential.access_key;
        Caller::of(access_key, self.service(), account, now, connection)
    }

    /// The call, once the caller is known and the parameters are valid.
    pub(super) fn call(
        &self,
        account: &AccountRow,
        now: i64,
        connection: &Connection,
    ) -> ApiResult<Call<'_>> {
        let (caller, context) = self.caller(account, now, connection)?;
        let Input { form, json } = self.input(account);
        constraints::check(self.service(), self.action.parameters, form)?;
        let region = self.region();
        Ok(Call { action: self.action, form, json, caller, context, region })
    }
}

/// Refusal of a request for an unknown service. Its format follows the request's protocol, through
/// another service of the same protocol.
fn unknown_service(request: &Request, scope: Option<&str>, form: &Form) -> (Service, Refusal) {
    let version = form.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
    match (form.get("Action").filter(|action| !action.is_empty()), scope) {
        (Some(action), _) => (Service::IAM, Refusal::unknown_action(Service::IAM, action, version)),
        (None, Some(scope)) if request.target.is_some() => {
            (ecs::SERVICE, Refusal::unknown_operation(ecs::SERVICE, scope))
        }
        (None, Some(scope)) if request.method != "POST" || request.path != "/" => {
            (batch::SERVICE, Refusal::unknown_operation(batch::SERVICE, scope))
        }
        _ => (Service::IAM, Refusal::missing_action()),
    }
}

fn by_form(service: Service, own: &str, form: &Form) -> Result<&'static Action, Refusal> {
    let Some(name) = form.get("Action").filter(|name| !name.is_empty()) else {
        return Err(Refusal::missing_action());
    };
    let version = form.get("Version");
    actions::find(service, name).filter(|_| version == Some(own)).ok_or_else(|| {
        let version = version.unwrap_or("NO_VERSION_SPECIFIED");
        Refusal::unknown_action(service, name, version)
    })
}

fn by_target(
    service: Service,
    prefix: &str,
    request: &Request,
) -> Result<&'static Action, Refusal> {
    let target = request.target.as_deref().unwrap_or_default();
    let name = target.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
    name.and_then(|name| actions::find(service, name))
        .ok_or_else(|| Refusal::unknown_operation(service, service.name()))
}

/// Values of the variables in a path pattern.
type PathVariables = Vec<(String, Value)>;

/// Action for a method and path, with the path's variables.
fn by_path(
    service: Service,
    method: &str,
    path: &str,
) -> Result<(&'static Action, PathVariables), Refusal> {
    let parts: Vec<_> = path.split('/').collect();
    actions::of(service)
        .find_map(|action| {
            let (own_method, own_path) = action.route?;
            let own_parts: Vec<_> = own_path.split('/').collect();
            if own_method != method || own_parts.len() != parts.len() {
                return None;
            }
            let mut held = Vec::new();
            for (own, part) in own_parts.iter().zip(&parts) {
                match own.strip_prefix('{').and_then(|own| own.strip_suffix('}')) {
                    Some(name) => {
                        let value: Cow<'_, str> = percent_decode_str(part).decode_utf8_lossy();
                        held.push((name.to_owned(), Value::String(value.into_owned())));
                    }
                    None if own == part => {}
                    None => return None,
                }
            }
            Some((action, held))
        })
        .ok_or_else(|| Refusal::unknown_operation(service, service.name()))
}

fn read_json(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|_| Refusal::unreadable_json())
}
