//! A run of a script from its file to its end: environment, signals, plans as text, and what is done
//! with them.

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
