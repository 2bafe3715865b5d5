//! The account as the HTTP client of the AWS SDK's own clients: below them, so that serialisation, signing, retries,
//! paging and error parsing are the SDK's in tests as on AWS.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::{Answer, Emulator, Reply, Request};

#[derive(Clone, Debug)]
struct Plug {
    emulator: Emulator,
    /// How long the SDK wants to wait for an answer, which only the fault `latency` can make too long.
    patience: Option<Duration>,
}

pub(super) fn plug(emulator: Emulator) -> SharedHttpClient {
    SharedHttpClient::new(Plug { emulator, patience: None })
}

impl HttpClient for Plug {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let patience = settings.read_timeout();
        SharedHttpConnector::new(Self { emulator: self.emulator.clone(), patience })
    }
}

impl HttpConnector for Plug {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let authorization = request.headers().get("authorization").map(str::to_owned);
        let form = request.body().bytes().map(<[u8]>::to_vec);
        let Self { emulator, patience } = self.clone();
        HttpConnectorFuture::new(async move {
            let form = form.ok_or_else(|| {
                ConnectorError::user("the local account takes no streamed bodies".into())
            })?;
            let answer = emulator.answer(Request { authorization, form });
            let answer = match patience {
                None => answer.await,
                Some(patience) => tokio::time::timeout(patience, answer)
                    .await
                    .map_err(|late| ConnectorError::timeout(late.into()))?,
            };
            match answer {
                Answer::Reply(reply) => response(reply, emulator.date()),
                Answer::Lost => Err(ConnectorError::io(
                    "the connection was closed before an answer came (fault: lost)".into(),
                )),
            }
        })
    }
}

fn response(reply: Reply, date: String) -> Result<HttpResponse, ConnectorError> {
    let status = reply.status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    response.headers_mut().insert("content-type", "text/xml");
    response.headers_mut().insert("date", date);
    response.headers_mut().insert("x-amzn-requestid", reply.request_id);
    Ok(response)
}
