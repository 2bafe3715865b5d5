//! The terminal: messages, progress bars, questions, and the looks of tables, numbers and differences.

pub mod diff;
pub mod format;
pub mod hidden_input;
pub mod table;
pub mod terminal;
