#!/usr/bin/env python3
"""Runs LocalStack's IAM and STS suites, with their recordings of AWS, on `iamlua account serve`.

    cargo build
    python3 tests/clients/localstack_check.py target/debug/iamlua --localstack DIR [ARGUMENT …]

DIR is a checkout of https://github.com/localstack/localstack. The suites by subject are in the head
of pull request 13720, commit 708a15e6aa0ecfc5dc8e91c2290d7b0abca73b41:

    git fetch origin pull/13720/head && git checkout FETCH_HEAD

Needs Python 3.13, LocalStack's `requirements-base-runtime.txt`, localstack-snapshot, pytest,
pytest-httpserver, jinja2, joserfc, moto and pyotp. The suites are told that they run on AWS, so
that a comparison includes the fields which LocalStack itself answers in another way. ARGUMENT is
one of pytest's, such as a file of tests; without it the suites of roles and instance profiles run.
`--calls FILE` keeps all calls and outcomes as JSON lines. Exit code 1: a test has failed. Not part
of `cargo test`, which needs nothing but Rust.
"""

import argparse
import pathlib
import sys
import tempfile

import pytest_suite
from account_server import AccountServer

SUITES = [
    "tests/aws/services/iam/test_iam_roles.py",
    "tests/aws/services/iam/test_iam_instance_profiles.py",
]

# LocalStack's build writes this module, which its tests import.
VERSION_PLUGIN = """
import sys, types
sys.modules["localstack.version"] = types.ModuleType("localstack.version")
sys.modules["localstack.version"].__version__ = "0"
"""


def run(program, checkout, records, scratch, arguments):
    (scratch / "version_plugin.py").write_text(VERSION_PLUGIN)
    # LocalStack's plugin that notes the date of each success on AWS would write into the checkout.
    plugins = ["-p", "version_plugin", "-p", "no:localstack.testing.pytest.validation_tracking"]
    with AccountServer(program) as account:
        environment = account.client_environment() | {
            "TEST_TARGET": "AWS_CLOUD",
            "LOCALSTACK_VOLUME_DIR": str(scratch / "volume"),
        }
        paths = [scratch, checkout / "localstack-core"]
        return pytest_suite.run(checkout, records, paths, environment, [*plugins, *arguments])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument(
        "--localstack", required=True, type=pathlib.Path, help="a checkout of localstack/localstack"
    )
    parser.add_argument("--calls", type=pathlib.Path, help="keep calls and outcomes in this file")
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        records = options.calls or scratch / "calls.jsonl"
        program, checkout = options.program.resolve(), options.localstack.resolve()
        tests = run(program, checkout, records, scratch, arguments or SUITES)
    unexplained = pytest_suite.report(tests)
    needs = any(pytest_suite.outcome(test) == pytest_suite.MISSING for test in tests)
    sys.exit(bool(unexplained or needs or not tests))


if __name__ == "__main__":
    main()
