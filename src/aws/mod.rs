//! Identity and network, as the AWS CLI has them: which profile and credentials sign, in which
//! region, through which endpoint, proxy and trust store. Settings are resolved from flags,
//! environment variables and AWS's configuration files, each with its origin; no call is made for
//! that. Nothing here knows IAM's operations.

pub mod client;
mod clock;
pub(crate) mod config_file;
pub mod credentials;
mod environment;
mod errors;
pub mod hints;
pub mod network;
mod settings;
mod shared_config;

pub use clock::CorrectedClock;
pub use environment::Environment;
pub(crate) use errors::{from_call, from_sdk};
pub(crate) use settings::is_region;
pub use settings::{Origin, Request, ServiceEndpoints, Setting, Settings};

/// Region of calls for which none is configured. IAM is one service for a whole partition, so it
/// only chooses the partition.
pub const DEFAULT_REGION: &str = "us-east-1";
