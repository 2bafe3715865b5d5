//! Attacks: what a hostile runbook, project, server or terminal can do must be nothing. Each module is a table of them, with what must come of each.
//!
//! `IAMLUA_TEST_UNDER="valgrind -q --error-exitcode=99"` runs the program of the attacks on the sandbox under another one.

mod sandbox;
