//! A run of a script from its file to its end: environment, signals, and plans, with their text and
//! their application.

pub mod account;
pub mod apply;
pub mod init;
pub mod plan_markdown;
pub mod plan_text;
pub mod policy;
pub mod run;
pub mod script;
pub mod signals;
pub mod trust;
