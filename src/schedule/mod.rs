//! The scheduler: runbooks that run themselves, at the moments that their manifests name.

pub mod failure;
pub mod log;
pub mod quota;
pub mod record;
pub mod status;
