//! Conversion of the SDK's errors. Code and message are read from the error metadata, because some
//! of AWS's codes (`ValidationError`) are not modelled and arrive as `Unhandled`.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_iam::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use super::hints::{self, Refusal};
use super::network::NetworkError;
use crate::error::{AwsDetail, Error, Kind};

/// Header that keeps the HTTP status of an answer with an error document, whose status is changed
/// so that the SDK reads it as an error.
pub const ORIGINAL_STATUS: &str = "x-iamlua-said";

/// Retryable codes, besides those of throttling.
const RETRYABLE: [&str; 6] = [
    "ServiceFailure",
    "InternalFailure",
    "ServiceUnavailable",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "RequestTimeout",
];

/// Check for a message with words; that of a truncated answer can be empty.
fn has_words(message: &&str) -> bool {
    message.chars().any(char::is_alphanumeric)
}

/// Converts the error of a failed call of an action.
pub fn from_sdk<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let said = error.raw_response().and_then(|response| response.headers().get(ORIGINAL_STATUS));
    let said = said.and_then(|said| said.parse::<u16>().ok());
    let status = said.or(error.raw_response().map(|response| response.status().as_u16()));
    let request_id = error.request_id().map(str::to_owned);
    let meta: ErrorMetadata = error.meta().clone();
    let detail = |code: &str, retryable| {
        Box::new(AwsDetail {
            code: code.to_owned(),
            operation: action.to_owned(),
            status,
            request_id: request_id.clone(),
            retryable,
        })
    };
    match &error {
        SdkError::ServiceError(_) => {
            let code = meta.code().unwrap_or("Unknown");
            let nothing = status.map_or_else(
                || "AWS gave no message".to_owned(),
                |status| {
                    format!("the answer, with HTTP status {status}, is not one that AWS gives")
                },
            );
            let message = meta.message().filter(has_words).unwrap_or(&nothing);
            let retryable = RETRYABLE.contains(&code) || status.is_some_and(|status| status >= 500);
            let mut out = Error::new(Kind::Aws, message.trim_end_matches('.'));
            out.aws = Some(detail(code, retryable));
            if out.is_throttling() {
                out.aws = Some(detail(code, true));
            }
            out.hints.extend(hints::hints(&Refusal { action, code, message }));
            if let Some(said) = said {
                let what = if is_read(action) {
                    "nothing was changed"
                } else {
                    "the call may have been carried out all the same: look before you repeat it"
                };
                out = out
                    .hint(format!("the answer had HTTP status {said}, and an error in it; {what}"));
            }
            if meta.code().is_none() && meta.message().is_none() {
                out = out.hint(
                    "check the endpoint, and whether a proxy or a sign-in page of the network \
                     answers instead",
                );
            }
            out.caused_by(error)
        }
        SdkError::ResponseError(_) => {
            let mut out = Error::new(
                Kind::Connection,
                format!("{action}: the answer is not one of AWS IAM{}", chain(&error)),
            )
            .hint("check the endpoint: --endpoint-url or AWS_ENDPOINT_URL");
            out.aws = Some(detail("", false));
            out.caused_by(error)
        }
        _ if own_error(&error).is_some() => {
            // Missing credentials: the cause has been described where it occurred.
            let mut out = own_error(&error).map_or_else(|| no_credentials(&error), Error::copied);
            if out.kind == Kind::Credentials {
                out = out.hint(hints::WHOAMI);
            }
            if out.aws.is_none() {
                out.aws = Some(detail("", false));
            }
            out.caused_by(error)
        }
        _ if has_credentials_error(&error) => {
            let mut out = no_credentials(&error);
            out.aws = Some(detail("", false));
            out.caused_by(error)
        }
        _ => {
            let why = chain(&error);
            let network = causes(&error).find_map(|cause| cause.downcast_ref::<NetworkError>());
            let mut out = match network {
                Some(network) => Error::new(
                    Kind::Connection,
                    format!("{action}: no answer from {}: {}", network.place(), network.cause()),
                ),
                None => Error::new(
                    Kind::Connection,
                    format!("{action}: no answer from the endpoint{why}"),
                ),
            };
            out.hints.extend(network.into_iter().flat_map(NetworkError::hints).map(str::to_owned));
            let may_pass = match &error {
                // Only an error in the request itself is permanent.
                SdkError::DispatchFailure(failure) => !failure.is_user(),
                SdkError::TimeoutError(_) => true,
                _ => false,
            };
            if may_pass && !is_read(action) && !why.contains("(Connect)") {
                out = out.hint(
                    "the call may have been carried out all the same: look before you repeat it",
                );
            }
            out.aws = Some(detail("", may_pass));
            out.caused_by(error)
        }
    }
}

/// Check for a read-only action.
fn is_read(action: &str) -> bool {
    ["Get", "List", "Describe", "Assume", "Create"].iter().any(|read| action.starts_with(read))
        && !["CreateRole", "CreateInstanceProfile"].contains(&action)
}

/// The SDK's own message lists the sources that it tried.
fn no_credentials(error: &(dyn StdError + 'static)) -> Error {
    Error::new(Kind::Credentials, format!("no AWS credentials could be used{}", chain(error)))
        .hint("name a profile of ~/.aws/config with --profile or AWS_PROFILE (one that is not there is passed over: check its name)")
        .hint("or sign in with `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        .hint("without --aws the script runs on the local account, which needs none")
        .hint(hints::WHOAMI)
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Our own error, if the credentials of a call could not be fetched.
fn own_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn has_credentials_error(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(<dyn std::error::Error + 'static>::is::<CredentialsError>)
}

/// Underlying causes, outermost first, without repetition: `: dispatch failure: connection
/// refused`.
fn chain(error: &(dyn StdError + 'static)) -> String {
    const MAX_LENGTH: usize = 800;
    let mut text = String::new();
    let mut last = String::new();
    for cause in causes(error).skip(1) {
        let mut said = cause.to_string();
        // Some of the SDK's messages contain a dump of the request.
        if let Some(dump) = said.find(" to request `Request {") {
            said.truncate(dump);
        }
        if !said.is_empty() && !last.contains(&said) && text.len() + said.len() < MAX_LENGTH {
            text.push_str(": ");
            text.push_str(&said);
        }
        last = said;
    }
    text
}
