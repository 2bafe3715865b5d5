//! A Lua host for AWS IAM instance profiles, with an emulated account inside. The program `iamlua` is a thin command line
//! around this library.

pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diff;
pub mod docs;
pub mod emulator;
pub mod error;
pub mod execution;
pub mod files;
pub mod following;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hidden_input;
pub mod iam;
pub mod lua;
pub mod plan_markdown;
pub mod plan_text;
pub mod policy;
pub mod project;
pub mod repl;
pub mod run;
pub mod schedule;
pub mod screen;
pub mod script;
pub mod secrets;
pub mod seen;
pub mod serving;
pub mod session;
pub mod signals;
pub mod signature;
pub mod spec;
mod sqlite;
pub mod state;
pub mod stdlib;
pub mod table;
pub mod testing;
pub mod timing;
pub mod usage;
pub mod watch;
pub mod words;
