//! Permissions, the command line, and secrets on it.

mod command_line;
mod folders;
mod network;
mod secrets;
mod testing;
