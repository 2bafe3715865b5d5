//! Identity and network settings, compatible with the AWS CLI: profile, credentials, region,
//! endpoint, proxy and trust store. Settings are resolved from flags, environment variables and
//! AWS's configuration files, each with its origin; this makes no call. This module does not know
//! IAM's operations.

pub mod client;
mod clock;
pub(crate) mod config_file;
pub mod credentials;
mod environment;
pub(crate) mod errors;
pub mod hints;
pub mod network;
mod settings;
mod shared_config;

pub use clock::CorrectedClock;
pub use environment::Environment;
pub(crate) use errors::{from_call, from_sdk};
pub(crate) use settings::is_region;
pub use settings::{ExplicitSettings, ServiceEndpoints, Setting, SettingOrigin, Settings};

/// Default region. IAM is one service per partition, so the region only selects the partition.
pub const DEFAULT_REGION: &str = "us-east-1";
