#!/usr/bin/env python3
"""Runs moto's tests of IAM and STS, in its server mode, on `iamlua account serve`.

    cargo build
    python3 tests/clients/moto_check.py target/debug/iamlua --moto DIR [ARGUMENT …]

DIR is a checkout of https://github.com/getmoto/moto, tried with commit
0af643a5dbfc98797f08ee64f5be3ef8002d56ff. Needs moto[all,server] of about that version, freezegun
and pytest. Most of these tests were not held against AWS. `moto_reasons.py` says for each
difference why AWS is on our side. Tests of actions that the account does not answer are counted
apart. ARGUMENT is one of pytest's. `--calls FILE` keeps all calls and outcomes as JSON lines. Exit
code 1: a test has failed without a reason. Not part of `cargo test`, which needs nothing but Rust.
"""

import argparse
import pathlib
import sys
import tempfile

import moto_reasons
import pytest_suite
from account_server import AccountServer


def run(program, checkout, records, arguments):
    with AccountServer(program) as account:
        environment = account.client_environment() | {
            "TEST_SERVER_MODE": "true",
            "TEST_SERVER_MODE_ENDPOINT": account.url,
            "CHECKED_PROGRAM": str(program),
            "CHECKED_HOME": account.folder.name,
        }
        return pytest_suite.run(
            checkout, records, [checkout], environment, ["-p", "moto_plugin", *arguments]
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument(
        "--moto", required=True, type=pathlib.Path, help="a checkout of getmoto/moto"
    )
    parser.add_argument("--calls", type=pathlib.Path, help="keep calls and outcomes in this file")
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        records = options.calls or pathlib.Path(folder) / "calls.jsonl"
        program, checkout = options.program.resolve(), options.moto.resolve()
        tests = run(program, checkout, records, arguments or ["tests/test_iam", "tests/test_sts"])
    sys.exit(bool(pytest_suite.report(tests, moto_reasons.reason) or not tests))


if __name__ == "__main__":
    main()
