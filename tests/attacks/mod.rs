//! Attacks: what a hostile runbook, project, server or terminal can do must be nothing. Each module
//! is a table of scripts, command lines, files and requests. A row says what is tried, and what must
//! become of it: which words refuse it, and what stays as it was.
//!
//! `IAMLUA_TEST_UNDER="valgrind -q --error-exitcode=99"` runs the program of the attacks on the
//! sandbox under another one.

mod permissions;
mod sandbox;
mod servers;
mod terminals;
