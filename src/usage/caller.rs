//! Calls to any AWS service through the runtime of AWS's SDK. Credentials and their cache, signing,
//! timeouts and the HTTP client are those of the generated clients, each of which would take
//! minutes to build. Retries are up to the caller.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::interceptors::context;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};

use super::endpoint::{self, Address};
use super::extract::{self, RecordPage};
use super::refusal;
use super::request::request;
use super::source::SourceCall;
use crate::aws::from_sdk;
use crate::error::{Error, Kind, Result};
use crate::spec::Protocol;

/// Fetches one page.
///
/// # Errors
/// An error reply of AWS, or an answer that cannot be used.
pub async fn fetch(
    config: &SdkConfig,
    step: &SourceCall,
    region: &str,
    carried: &[String],
    token: Option<&str>,
) -> Result<RecordPage> {
    let protocol = step.action.service.row().protocol;
    let request = request(step, carried, token)?;
    let address = endpoint::address(config, step.action.service, region);
    let operation = operation(config, step, region, address.url())?;
    // On the heap, like all calls of the SDK: their futures take kilobytes each, and would be
    // nested.
    let answer = Box::pin(operation.invoke(SerializedRequest(request))).await;
    let body = answer.map_err(|error| {
        let mut error = from_sdk(step.action.name, error);
        let is_unknown = UNKNOWN_NAMES.iter().any(|words| error.message.contains(words));
        if let (Address::Aws(_), Kind::Connection, true, Some(aws)) =
            (&address, error.kind, is_unknown, &mut error.aws)
        {
            NO_SUCH_HOST.clone_into(&mut aws.code);
        }
        error
    })?;
    extract::page(protocol, step, body).await
}

/// Error code for a service that has no host in a region.
pub const NO_SUCH_HOST: &str = "NoSuchHost";

/// Messages of glibc, musl and macOS for a name that does not exist. A resolver that does not
/// answer gives another message.
const UNKNOWN_NAMES: [&str; 3] =
    ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];

/// Call in the form of the SDK's runtime.
fn operation(
    config: &SdkConfig,
    step: &SourceCall,
    region: &str,
    url: &str,
) -> Result<Operation<SerializedRequest, SdkBody, ServiceError>> {
    let service = step.action.service;
    let missing = |what: &str| Error::new(Kind::Bug, format!("the connection has no {what}"));
    let mut signing = SigningOptions::default();
    signing.double_uri_encode = true;
    signing.normalize_uri_path = true;
    let mut layer = Layer::new("iamlua");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigningRegion::from(Region::new(region.to_owned())));
    // The signing name of all these services is the prefix of their actions.
    layer.store_put(SigningName::from_static(service.prefix()));
    layer.store_put(SigV4OperationSigningConfig {
        signing_options: signing,
        ..SigV4OperationSigningConfig::default()
    });
    let mut components = RuntimeComponentsBuilder::new("iamlua");
    components.set_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
        StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]),
    )));
    components.push_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()));
    let credentials = config.credentials_provider().ok_or_else(|| missing("credentials"))?;
    components.set_identity_resolver(SCHEME_ID, credentials);
    components.set_identity_cache(config.identity_cache());
    let mut builder = Operation::builder()
        .service_name(service.prefix())
        .operation_name(step.action.name)
        .http_client(config.http_client().ok_or_else(|| missing("HTTP client"))?)
        .endpoint_url(url)
        .no_retry()
        .with_connection_poisoning()
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(layer.freeze())
                .with_runtime_components(components),
        );
    if let Some(version) = config.behavior_version() {
        builder = builder.behavior_version(version);
    }
    if let Some(timeouts) = config.timeout_config() {
        builder = builder.timeout_config(timeouts.clone());
    }
    if let Some(sleep) = config.sleep_impl() {
        builder = builder.sleep_impl(sleep);
    }
    if let Some(time) = config.time_source() {
        builder = builder.time_source(time);
    }
    let service = service.row().protocol;
    Ok(builder
        .serializer(|asked: SerializedRequest| Ok(asked.0))
        .deserializer_impl::<SdkBody, ServiceError>(ResponseDeserializer(service))
        .build())
}

/// A request.
struct SerializedRequest(HttpRequest);

impl fmt::Debug for SerializedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

/// Error reply of AWS.
#[derive(Debug)]
struct ServiceError(ErrorMetadata);

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for ServiceError {}

impl ProvideErrorMetadata for ServiceError {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// Deserializer of replies. The body of a successful reply is left to be streamed; that of an error
/// reply is read.
#[derive(Debug)]
struct ResponseDeserializer(Protocol);

impl DeserializeResponse for ResponseDeserializer {
    fn deserialize_streaming_with_config(
        &self,
        response: &mut HttpResponse,
        _: &aws_smithy_types::config_bag::ConfigBag,
    ) -> Option<std::result::Result<context::Output, OrchestratorError<context::Error>>> {
        let body = response.status().is_success().then(|| response.take_body())?;
        Some(Ok(context::Output::erase(body)))
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &aws_smithy_types::config_bag::ConfigBag,
    ) -> std::result::Result<context::Output, OrchestratorError<context::Error>> {
        let header = response.headers().get("x-amzn-errortype");
        let body = response.body().bytes().unwrap_or_default();
        let refused = ServiceError(refusal::of(self.0, header, body));
        Err(OrchestratorError::operation(context::Error::erase(refused)))
    }
}
