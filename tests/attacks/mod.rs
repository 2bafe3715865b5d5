//! Attacks by hostile runbooks, projects, servers and terminals. None may have an effect.
//!
//! Each module is a table of scripts, command lines, files and requests. A row names the attack,
//! the refusal, and the state that must not change.
//!
//! `IAMLUA_TEST_UNDER="valgrind -q --error-exitcode=99"` runs the program under another one in the
//! attacks on the sandbox.

mod permissions;
mod sandbox;
mod servers;
mod terminals;
