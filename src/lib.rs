//! A Lua host for AWS IAM instance profiles, with an emulated account inside. The program `iamlua` is a thin command line
//! around this library.

pub mod app;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cron;
pub mod docs;
pub mod emulator;
pub mod error;
pub mod escape;
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http_server;
pub mod iam;
pub mod lua;
pub mod redaction;
pub mod repl;
pub mod schedule;
pub mod session;
pub mod signature;
pub mod spec;
pub mod state;
pub mod stdlib;
pub mod testing;
pub mod ui;
pub mod usage;
pub mod watch;
