#!/bin/sh
# Runs the attacks on the sandbox under Valgrind: `tests/clients/attacks_under_valgrind.sh [TEST]`.
# A read or write of memory that is not the program's ends an attack with exit code 99, which its
# test shows.
set -eu
cd "$(dirname "$0")/../.."
command -v valgrind > /dev/null || { echo "valgrind is not installed" >&2; exit 2; }
IAMLUA_TEST_UNDER="valgrind -q --error-exitcode=99 --leak-check=no --show-mismatched-frees=no" \
    exec cargo test --locked --test tests "attacks::sandbox::${1:-}" -- --nocapture
