//! Terminal output: messages, progress bars, prompts, and the formatting of tables, numbers and
//! differences; HTML pages.

pub mod diff;
pub mod format;
pub mod hidden_input;
pub mod html;
pub mod table;
pub mod terminal;
