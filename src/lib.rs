//! A Lua host for AWS IAM instance profiles, with an emulated account inside. The program `iamlua`
//! is a thin command line around this library.
//!
//! # Map
//! A module imports only from layers above its own in this table. A test holds the code against it.
//!
//! | layer | modules | contents |
//! | --- | --- | --- |
//! | 0 | `escape`, `clock`, `redaction`, `stdlib` | what depends on nothing |
//! | 1 | `error` | the one error type |
//! | 2 | `spec`, `cron` | values, parameters, results; schedules |
//! | 3 | `ui`, `state` | terminal, tables, numbers; state folder, SQLite |
//! | 4 | `files`, `signature`, `http_server` | files and watching, minisign, limits of servers |
//! | 5 | `aws` | identity, network, clients, errors and their hints |
//! | 6 | `config`, `usage`, `emulator` | `iamlua.toml`, scans, the local account |
//! | 7 | `iam` | the registry of operations |
//! | 8 | `session` | the gate: limits, journal, plans, apply, undo |
//! | 9 | `lua`, `docs` | the VM and its host functions; documentation |
//! | 10 | `app` | a run from its file to its end |
//! | 11 | `repl`, `schedule`, `testing`, `watch` | ways to run scripts |
//! | 12 | `cli` | the command line |

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
