//! The account as the HTTP client of the AWS SDK. It sits below the SDK's clients, so that
//! serialisation, signing, retries, paging and error parsing are the SDK's own, in tests as on AWS.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::truncated_body::TruncatedBody;
use super::{Answer, Emulator, Reply, Request};

#[derive(Clone, Debug)]
struct EmulatorConnector {
    emulator: Emulator,
    /// Read timeout of the SDK. Only the fault `latency` can exceed it.
    read_timeout: Option<Duration>,
}

pub(super) fn shared_client(emulator: Emulator) -> SharedHttpClient {
    SharedHttpClient::new(EmulatorConnector { emulator, read_timeout: None })
}

impl HttpClient for EmulatorConnector {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let read_timeout = settings.read_timeout();
        SharedHttpConnector::new(Self { emulator: self.emulator.clone(), read_timeout })
    }
}

impl HttpConnector for EmulatorConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let (authorization, target) = (header("authorization"), header("x-amz-target"));
        let method = request.method().to_owned();
        let path = path_and_query(request.uri()).to_owned();
        let body = request.body().bytes().map(<[u8]>::to_vec);
        let Self { emulator, read_timeout } = self.clone();
        HttpConnectorFuture::new(async move {
            let body = body.ok_or_else(|| {
                ConnectorError::user("the local account takes no streamed bodies".into())
            })?;
            let request = Request { method, path, target, authorization, body };
            // Time spent on hold does not count towards the timeout.
            let held = emulator.hold(&request).await;
            let answer = async {
                match held {
                    Some(answer) => answer,
                    None => emulator.answer_unheld(request).await,
                }
            };
            let answer = match read_timeout {
                None => answer.await,
                Some(read_timeout) => tokio::time::timeout(read_timeout, answer)
                    .await
                    .map_err(|late| ConnectorError::timeout(late.into()))?,
            };
            match answer {
                Answer::Reply(mut reply) => {
                    let body = SdkBody::from(std::mem::take(&mut reply.body));
                    response(&reply, body, emulator.date())
                }
                Answer::Cut(mut reply) => {
                    let body = TruncatedBody::of(std::mem::take(&mut reply.body));
                    response(&reply, SdkBody::from_body_1_x(body), emulator.date())
                }
                Answer::Lost => Err(ConnectorError::io(
                    "the connection was closed before an answer came (fault: lost)".into(),
                )),
            }
        })
    }
}

fn response(reply: &Reply, body: SdkBody, date: String) -> Result<HttpResponse, ConnectorError> {
    let status = reply.status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
    let mut response = HttpResponse::new(status, body);
    let headers = response.headers_mut();
    headers.insert("content-type", reply.content_type);
    headers.insert("date", date);
    headers.insert("x-amzn-requestid", reply.request_id.clone());
    if let Some(error_type) = reply.error_type {
        headers.insert("x-amzn-errortype", error_type);
    }
    Ok(response)
}

/// Path and query of a URL.
fn path_and_query(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::path_and_query;

    #[test]
    fn the_path_is_what_follows_the_host() {
        assert_eq!(
            path_and_query("https://eks.eu-west-1.amazonaws.com/clusters?a=/b"),
            "/clusters?a=/b"
        );
        assert_eq!(path_and_query("https://iam.amazonaws.com"), "/");
        assert_eq!(path_and_query("/clusters"), "/clusters");
    }
}
