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

use crate::error::Result;

pub use clock::CorrectedClock;
pub use environment::Environment;
pub(crate) use errors::{from_call, from_sdk};
pub(crate) use settings::is_region;
pub use settings::{ExplicitSettings, ServiceEndpoints, Setting, SettingOrigin, Settings};

/// Default region. IAM is one service per partition, so the region only selects the partition.
pub const DEFAULT_REGION: &str = "us-east-1";

/// Names of the profiles in the shared configuration files of this process, with their regions.
///
/// # Errors
/// A configuration error that names the file and line that cannot be read.
pub fn configured_profiles() -> Result<Vec<(String, Option<String>)>> {
    let files = shared_config::SharedConfig::load(&environment::Environment::of_process())?;
    let profile = |name: &str| {
        let region = files.profile(name).and_then(|profile| profile.get("region"));
        (name.to_owned(), region.map(|region| region.value.clone()))
    };
    Ok(files.profile_names().map(profile).collect())
}
