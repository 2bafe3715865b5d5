//! A Lua host for AWS IAM instance profiles, with an emulated account inside.

pub mod emulator;
pub mod error;
