//! Connection to an account on which a test chooses the fate of each request.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use iamlua::aws::client::{Backend, Connection};
use iamlua::emulator::Emulator;

/// Fate of a request.
pub enum Fate {
    /// Arrives and is answered.
    Pass,
    /// Arrives, and the response is lost.
    Lose,
    /// Fails before it has an effect.
    Fail,
    /// Is refused with that status and code, without an effect.
    Refuse(u16, &'static str),
    /// Is refused with a message.
    RefuseSaying(u16, &'static str, &'static str),
    /// Is answered with that body, whatever the request.
    Answer(String),
}

/// Request: the action and the whole form.
pub struct Asked<'a> {
    pub action: &'a str,
    pub form: &'a str,
}

impl Asked<'_> {
    /// Parameter of the form, URL-encoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

type Decide = Arc<Mutex<dyn FnMut(&Asked<'_>) -> Fate + Send>>;

/// Connection to an account on which `decide` chooses the fate of each request, one at a time.
pub fn connection(
    account: &Emulator,
    decide: impl FnMut(&Asked<'_>) -> Fate + Send + 'static,
) -> Connection {
    let line = Line { below: account.http_client(), decide: Arc::new(Mutex::new(decide)) };
    Connection { target: Backend::local(SharedHttpClient::new(line)), ..Connection::default() }
}

struct Line {
    below: SharedHttpClient,
    decide: Decide,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl HttpClient for Line {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let below = self.below.http_connector(settings, components);
        SharedHttpConnector::new(End { below, decide: Arc::clone(&self.decide) })
    }
}

struct End {
    below: SharedHttpConnector,
    decide: Decide,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End")
    }
}

fn answer_with(status: u16, body: String) -> HttpConnectorFuture {
    let status = status.try_into().expect("a status");
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
}

fn refusal(status: u16, code: &str, message: &str) -> HttpConnectorFuture {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    answer_with(status, body)
}

impl HttpConnector for End {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let form = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let action = form.strip_prefix("Action=").and_then(|rest| rest.split('&').next());
        // A scan calls services whose requests name the action elsewhere.
        let asked = Asked { action: action.unwrap_or("GetOfAnotherService"), form: &form };
        let fate = (self.decide.lock().expect("one at a time"))(&asked);
        let answer = match fate {
            Fate::Fail => {
                return HttpConnectorFuture::ready(Ok(HttpResponse::new(
                    503.try_into().expect("a status"),
                    SdkBody::from("<ErrorResponse/>"),
                )));
            }
            Fate::Refuse(status, code) => return refusal(status, code, "No."),
            Fate::RefuseSaying(status, code, message) => return refusal(status, code, message),
            Fate::Answer(body) => return answer_with(200, body),
            Fate::Pass => return self.below.call(request),
            Fate::Lose => self.below.call(request),
        };
        HttpConnectorFuture::new(async move {
            answer.await?;
            Err(ConnectorError::io("the line broke".into()))
        })
    }
}
