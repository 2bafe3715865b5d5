//! Scripting host for AWS IAM instance profiles: Lua scripts that list, tag, create and delete
//! profiles and roles, with plans, limits, a journal and undo, and an emulated account to try them
//! on.
//!
//! ```
//! use iamlua::{Host, Mode, Target};
//! use serde_json::json;
//!
//! fn main() -> iamlua::Result<()> {
//!     let host = Host::builder().target(Target::in_memory()).mode(Mode::Plan).build()?;
//!     host.function("team_of", |args| Ok(json!({ "name": args[0], "team": "web" })))?;
//!
//!     let code = r#"
//!         local profile = iam.profiles.create("demo")
//!         iam.profiles.tag("demo", { Team = team_of("demo").team })
//!         print("planned " .. profile.name)
//!         return { planned = 1 }
//!     "#;
//!     let outcome = host.run_code(code, &[])?.into_result()?;
//!     assert_eq!(outcome.stdout(), "planned demo\n");
//!     assert_eq!(outcome.value(), Some(&json!({ "planned": 1 })));
//!
//!     let plan = outcome.plan().expect("the host plans");
//!     println!("{plan}"); // for somebody to approve
//!     let applied = host.apply(plan)?.into_result()?;
//!     assert_eq!(applied.changes().len(), 2);
//!
//!     let run = applied.run_id().expect("it has changed something");
//!     let undone = host.undo(run)?.into_result()?;
//!     assert_eq!(undone.changes().len(), 1); // the profile goes, and its tag with it
//!     Ok(())
//! }
//! ```
//!
//! # Where to begin
//!
//! - [`Host::builder`] has every setting: [account](Target), [mode](Mode), permissions, limits,
//!   [clock](Clock), [journal](Journal), output. Nothing comes from the process; two hosts in one
//!   process do not meet.
//! - [`Host::run_script`] and [`Host::run_code`] run Lua and give an [`Outcome`].
//! - [`Host::apply`] makes the changes of a [`Plan`], [`Host::undo`] takes back those of a run.
//! - [`CancelHandle`] stops a host from another thread.
//! - Calls block. [Async code](Host#threads-and-async-code) uses `spawn_blocking`.
//!
//! The program `iamlua` is a command line around the same library. Its documentation has the
//! language in `docs/reference.md`; `docs/embedding.md` is about this API.
//!
//! # Stability
//!
//! What this page lists is the public API. Modules that it does not list are public only for the
//! program and its tests, and change without notice.
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
//! | 11 | `embed` | the public API: the host in another program |
//! | 12 | `lint`, `repl`, `schedule`, `testing`, `watch` | ways to check and to run scripts |
//! | 13 | `cli` | the command line |

#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod aws;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod cron;
#[doc(hidden)]
pub mod docs;
mod embed;
#[doc(hidden)]
pub mod emulator;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod escape;
#[doc(hidden)]
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod http_server;
#[doc(hidden)]
pub mod iam;
#[doc(hidden)]
pub mod lint;
#[doc(hidden)]
pub mod lua;
#[doc(hidden)]
pub mod redaction;
#[doc(hidden)]
pub mod repl;
#[doc(hidden)]
pub mod schedule;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod signature;
#[doc(hidden)]
pub mod spec;
#[doc(hidden)]
pub mod state;
#[doc(hidden)]
pub mod stdlib;
#[doc(hidden)]
pub mod testing;
#[doc(hidden)]
pub mod ui;
#[doc(hidden)]
pub mod usage;
#[doc(hidden)]
pub mod watch;

/// The example of the guide, which runs with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingGuide;

pub use embed::{
    AwsConfig, CancelHandle, Change, ChangeStatus, Clock, Host, HostBuilder, Journal, Outcome,
    Plan, Target,
};
pub use error::{AwsDetail, Error, Kind, Result};
pub use lua::Format;
pub use lua::sandbox::Access;
pub use session::Mode;
