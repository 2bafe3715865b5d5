//! All sources of credentials on one port: STS, the SSO portal, OIDC, sign-in, instance metadata,
//! container credentials and a proxy. Requests are recorded as in `oracle.py`.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

const FAR: &str = "2099-01-01T00:00:00Z";
/// Parameters of STS that are recorded; the others are the same for every caller.
const PARAMETERS: [&str; 9] = [
    "RoleArn",
    "RoleSessionName",
    "ExternalId",
    "DurationSeconds",
    "SerialNumber",
    "TokenCode",
    "SourceIdentity",
    "WebIdentityToken",
    "Policy",
];

type Requests = Arc<Mutex<Vec<Value>>>;

/// Server for one case.
pub(super) struct Endpoint {
    /// URL, without a slash at the end.
    pub(super) url: String,
    requests: Requests,
    server: AbortHandle,
}

impl Endpoint {
    pub(super) fn start(runtime: &Runtime) -> Self {
        let requests = Requests::default();
        let address = (Ipv4Addr::LOCALHOST, 0);
        let listener = runtime.block_on(TcpListener::bind(address)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let shared = Arc::clone(&requests);
        let server = runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let requests = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(&requests, request));
                    // An error of a connection concerns only its client.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, requests, server: server.abort_handle() }
    }

    /// Requests so far, in order.
    pub(super) fn requests(&self) -> Vec<Value> {
        self.requests.lock().expect("no handler has failed").clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Reply {
    status: u16,
    content_type: &'static str,
    error_type: Option<&'static str>,
    body: String,
}

impl Reply {
    fn text(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain", error_type: None, body: body.into() }
    }

    fn xml(body: String) -> Self {
        Self { content_type: "text/xml", ..Self::text(body) }
    }

    fn json(body: &Value) -> Self {
        Self { content_type: "application/json", ..Self::text(body.to_string()) }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Parts of a request that the handlers use.
struct Asked {
    method: Method,
    /// Destination for a proxy: a host for CONNECT, a URL for plain HTTP.
    beyond: Option<String>,
    path: String,
    query: String,
    headers: hyper::HeaderMap,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn form(text: &[u8]) -> Vec<(String, String)> {
        form_urlencoded::parse(text).into_owned().collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn field(form: &[(String, String)], name: &str) -> Option<String> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

/// Records a request, without fields that are null or empty.
fn note(requests: &Requests, call: &str, fields: Value) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let mut request = Map::from_iter([("call".to_owned(), json!(call))]);
    request.extend(fields.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }));
    requests.lock().expect("no handler has failed").push(Value::Object(request));
}

async fn answer(
    requests: &Requests,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let asked = Asked {
        method: parts.method,
        beyond: parts.uri.authority().map(|_| parts.uri.to_string()),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    let reply = match asked.method {
        Method::CONNECT => {
            let authorization = asked.header("proxy-authorization");
            let fields = json!({"host": asked.beyond, "authorization": authorization});
            note(requests, "connect", fields);
            Reply::text("no way out").status(403)
        }
        Method::PUT if asked.path == "/latest/api/token" => Reply::text("metadata-token"),
        Method::GET => get(requests, &asked),
        Method::POST => post(requests, &asked),
        _ => Reply::text("").status(404),
    };
    let mut response = Response::builder()
        .status(reply.status)
        .header("content-type", reply.content_type)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    if let Some(error_type) = reply.error_type {
        response = response.header("x-amzn-errortype", error_type);
    }
    Ok(response.body(Full::from(reply.body)).expect("a response"))
}

fn get(requests: &Requests, asked: &Asked) -> Reply {
    let path = asked.path.as_str();
    if let Some(rest) = path.strip_prefix("/latest/") {
        return metadata(requests, asked, rest);
    }
    if path.starts_with("/container") {
        let authorization = asked.header("authorization");
        let fields = json!({"path": path, "authorization": authorization});
        note(requests, "container:credentials", fields);
        if path == "/container/denied" {
            return Reply::json(&json!({"Code": "AccessDenied", "Message": "no"})).status(403);
        }
        return Reply::json(&json!({
            "AccessKeyId": "ASIACONTAINER0000000", "SecretAccessKey": "secret",
            "Token": "token-of-container", "Expiration": FAR,
        }));
    }
    if path.ends_with("/federation/credentials") {
        let query = Asked::form(asked.query.as_bytes());
        let token = asked.header("x-amz-sso_bearer_token");
        let role = field(&query, "role_name").unwrap_or_default();
        let account = field(&query, "account_id");
        let fields = json!({"token": token, "role": role, "account": account});
        note(requests, "sso:GetRoleCredentials", fields);
        if token == Some("revoked") {
            let body = json!({"message": "Session token not found or invalid"});
            return Reply {
                error_type: Some("UnauthorizedException"),
                ..Reply::json(&body).status(401)
            };
        }
        return Reply::json(&json!({"roleCredentials": {
            "accessKeyId": access_key(&format!("SSO{role}")), "secretAccessKey": "secret",
            "sessionToken": format!("token-of-{role}"), "expiration": 4_070_908_800_000_i64,
        }}));
    }
    Reply::text("").status(404)
}

fn metadata(requests: &Requests, asked: &Asked, path: &str) -> Reply {
    if asked.header("x-aws-ec2-metadata-token") != Some("metadata-token") {
        return Reply::text("").status(401);
    }
    match path.trim_end_matches('/') {
        "meta-data/iam/security-credentials" => Reply::text("instance-role"),
        "meta-data/iam/security-credentials/instance-role" => {
            note(requests, "metadata:credentials", json!({}));
            Reply::json(&json!({
                "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
                "AccessKeyId": "ASIAMETADATA00000000", "SecretAccessKey": "secret",
                "Token": "token-of-metadata", "Expiration": FAR,
            }))
        }
        "meta-data/placement/region" => {
            note(requests, "metadata:region", json!({}));
            Reply::text("ap-south-1")
        }
        "meta-data/placement/availability-zone" => {
            note(requests, "metadata:region", json!({}));
            Reply::text("ap-south-1a")
        }
        _ => Reply::text("").status(404),
    }
}

fn post(requests: &Requests, asked: &Asked) -> Reply {
    let path = asked.path.trim_end_matches('/');
    if path.ends_with("/v1/token") {
        return sign_in(requests, asked);
    }
    if path.ends_with("/token") {
        let form = asked.json();
        note(
            requests,
            "sso-oidc:CreateToken",
            json!({
                "client": form["clientId"], "grant": form["grantType"],
                "refresh": form["refreshToken"],
            }),
        );
        if form["refreshToken"] == "revoked" {
            let body = json!({"error": "invalid_grant", "error_description": "revoked"});
            return Reply {
                error_type: Some("InvalidGrantException"),
                ..Reply::json(&body).status(400)
            };
        }
        return Reply::json(&json!({
            "accessToken": "refreshed", "tokenType": "Bearer", "expiresIn": 28800,
            "refreshToken": "refresh-2",
        }));
    }
    let form = Asked::form(&asked.body);
    let action = field(&form, "Action").unwrap_or_default();
    if field(&form, "Version").as_deref() == Some("2010-05-08") {
        return iam(requests, &action);
    }
    // Credential=KEY/DATE/REGION/SERVICE/aws4_request
    let scope = asked.header("authorization").and_then(|text| text.split_once("Credential="));
    let mut scope = scope.map(|(_, rest)| rest.split('/')).into_iter().flatten();
    let (key, region) = (scope.next(), scope.nth(1));
    let mut parameters = Map::new();
    for name in PARAMETERS {
        if let Some(value) = field(&form, name) {
            let is_generated = name == "RoleSessionName" && is_generated(&value);
            let value = if is_generated { "*generated*".to_owned() } else { value };
            parameters.insert(name.to_owned(), Value::String(value));
        }
    }
    let at = asked.beyond.as_deref().map_or(path, |url| url.trim_end_matches('/'));
    note(
        requests,
        &format!("sts:{action}"),
        json!({
            "at": at, "key": key, "region": region,
            "token": asked.header("x-amz-security-token"), "parameters": parameters,
        }),
    );
    sts(&form, &action)
}

/// Returns true for a generated session name.
fn is_generated(name: &str) -> bool {
    name.starts_with("iamlua")
}

fn sign_in(requests: &Requests, asked: &Asked) -> Reply {
    let form = asked.json();
    let part = |index: usize| -> Value {
        let part = asked.header("dpop").and_then(|proof| proof.split('.').nth(index));
        let bytes = part.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    let (head, claims) = (part(0), part(1));
    let word = |value: &Value| value.as_str().unwrap_or("None").to_owned();
    note(
        requests,
        "signin:CreateOAuth2Token",
        json!({
            "client": form["clientId"], "grant": form["grantType"],
            "refresh": form["refreshToken"],
            "proof": format!("{} {}", word(&head["alg"]), word(&claims["htm"])),
        }),
    );
    if form["refreshToken"] == "revoked" {
        let body = json!({"error": "TOKEN_EXPIRED", "message": "expired"});
        return Reply {
            error_type: Some("AccessDeniedException"),
            ..Reply::json(&body).status(403)
        };
    }
    Reply::json(&json!({
        "accessToken": {
            "accessKeyId": "ASIALOGINREFRESHED00", "secretAccessKey": "secret",
            "sessionToken": "token-of-login-refreshed",
        },
        "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": "refresh-2",
    }))
}

fn sts(form: &[(String, String)], action: &str) -> Reply {
    if action == "GetCallerIdentity" {
        return Reply::xml(success(
            "https://sts.amazonaws.com/doc/2011-06-15/",
            action,
            "<Arn>arn:aws:iam::123456789012:user/jo</Arn><UserId>AIDAEXAMPLE</UserId>\
             <Account>123456789012</Account>",
        ));
    }
    if action != "AssumeRole" && action != "AssumeRoleWithWebIdentity" {
        return refusal(400, "InvalidAction", &format!("no {action}"));
    }
    let arn = field(form, "RoleArn").unwrap_or_default();
    let Some(name) = role_name(&arn) else {
        return refusal(400, "ValidationError", &format!("{arn} is invalid"));
    };
    if name == "denied" {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/jo is not authorized to perform: \
             sts:AssumeRole on resource: {arn}"
        );
        return refusal(403, "AccessDenied", &message);
    }
    let session = field(form, "RoleSessionName").unwrap_or_default();
    let assumed = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
    Reply::xml(success(
        "https://sts.amazonaws.com/doc/2011-06-15/",
        action,
        &format!(
            "<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{name}</AssumedRoleId>\
             <Arn>{assumed}/{session}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{}\
             </AccessKeyId><SecretAccessKey>secret-of-{name}</SecretAccessKey>\
             <SessionToken>token-of-{name}</SessionToken><Expiration>{FAR}</Expiration>\
             </Credentials>",
            access_key(name)
        ),
    ))
}

/// Answers IAM, which only this program calls; its requests are not compared.
fn iam(requests: &Requests, action: &str) -> Reply {
    note(requests, &format!("iam:{action}"), json!({}));
    let result = match action {
        "ListAccountAliases" => "<IsTruncated>false</IsTruncated><AccountAliases/>",
        "GetAccountSummary" => "<SummaryMap/>",
        _ => return refusal(403, "AccessDenied", "not in this test"),
    };
    Reply::xml(success("https://iam.amazonaws.com/doc/2010-05-08/", action, result))
}

/// Last part of the path in the ARN of a role, if it is one.
fn role_name(arn: &str) -> Option<&str> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [prefix, partition, "iam", "", account, resource] = parts[..] else { return None };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_role = prefix == "arn" && partition.starts_with("aws") && is_account;
    let path = resource.strip_prefix("role/").filter(|_| is_role)?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Access key id of a role, derived from its name.
fn access_key(name: &str) -> String {
    let letters: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    format!("{:0<20.20}", format!("ASIA{letters}"))
}

fn success(namespace: &str, action: &str, result: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::xml(format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>1</RequestId></ErrorResponse>"
    ))
    .status(status)
}
