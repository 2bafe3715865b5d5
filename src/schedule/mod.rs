//! The scheduler: runbooks that run themselves, at the moments that their manifests name.

pub mod log;
pub mod record;
