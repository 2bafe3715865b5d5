#!/usr/bin/env python3
"""Runs integration targets of Ansible's amazon.aws collection against `iamlua account serve`.

    cargo build
    python3 tests/clients/ansible_check.py target/debug/iamlua --amazon-aws DIR [TARGET …]

DIR is a checkout of https://github.com/ansible-collections/amazon.aws, tried with commit
59c5d27936c40b2d435b3c84db9796516e0e15e0. Needs ansible (for ansible-core and the collection
community.general), boto3 and jmespath. Exit code 1: a task has failed. Not part of `cargo test`,
which needs nothing but Rust.

Without TARGET the targets of roles and instance profiles run, as the collection runs them on AWS.
A target stops at its first failed task, so the number of passed tasks says how far it came.
`--output FILE` keeps Ansible's output.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from account_server import AccountServer

TARGETS = ["iam_role", "iam_instance_profile"]
# Variables of a target, as `ansible-test integration` sets them for AWS.
VARIABLES = {
    "aws_access_key": "any",
    "aws_secret_key": "any",
    "aws_region": "us-east-1",
    "aws_account": "123456789012",
    "resource_prefix": "ansible-test-check",
    "tiny_prefix": "check",
    "ansible_python_interpreter": sys.executable,
}

# Makes modules call AWS by its own host names, and sends their calls to the account. Targets check
# which calls a module has made, and read the service from the host name. Python loads it at start.
SITE = """
import os
from botocore.httpsession import URLLib3Session

send = URLLib3Session.send

def send_to_account(session, request):
    host, _, path = request.url.removeprefix("https://").partition("/")
    assert host.endswith("amazonaws.com"), request.url
    request.url = os.environ["ACCOUNT_URL"] + "/" + path
    return send(session, request)

URLLib3Session.send = send_to_account
"""


def run(program, collection, target, scratch):
    """Ansible's output for one target on an empty account."""
    root = scratch / "collections" / "ansible_collections" / "amazon"
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "aws").exists():
        (root / "aws").symlink_to(collection)
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": True,
        "vars": VARIABLES,
        "roles": [target],
    }
    # JSON is YAML.
    (scratch / "play.yml").write_text(json.dumps([play]))
    (scratch / "site").mkdir()
    (scratch / "site" / "sitecustomize.py").write_text(SITE)
    with AccountServer(program) as account:
        environment = account.client_environment() | {
            "ACCOUNT_URL": account.url,
            "PYTHONPATH": str(scratch / "site"),
            "ANSIBLE_COLLECTIONS_PATH": str(scratch / "collections"),
            "ANSIBLE_ROLES_PATH": str(collection / "tests" / "integration" / "targets"),
            "ANSIBLE_HOME": str(scratch / "home"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            # Fills `resource_actions`, which targets look at.
            "ANSIBLE_DEBUG_BOTOCORE_LOGS": "True",
        }
        del environment["AWS_ENDPOINT_URL"]
        ansible = pathlib.Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [ansible, "-v", "play.yml"],
            cwd=scratch,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return done.stdout


def failures(output):
    """The tasks that failed, with their messages, less those whose failure a target expects."""
    found = []
    for task in re.split(r"^TASK ", output, flags=re.MULTILINE)[1:]:
        failed = re.search(r"^(?:fatal|failed): .*?=> (.*)", task, flags=re.MULTILINE | re.DOTALL)
        if failed and "...ignoring" not in task:
            found.append((task.splitlines()[0].rstrip("* "), " ".join(failed[1].split())))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument(
        "--amazon-aws", required=True, type=pathlib.Path, help="a checkout of the collection"
    )
    parser.add_argument("--output", type=pathlib.Path, help="keep Ansible's output in this file")
    parser.add_argument("targets", nargs="*", default=TARGETS)
    options = parser.parse_intermixed_args()
    everything, failed = "", False
    for target in options.targets:
        with tempfile.TemporaryDirectory() as scratch:
            output = run(
                options.program.resolve(),
                options.amazon_aws.resolve(),
                target,
                pathlib.Path(scratch),
            )
        everything += output
        recap = re.search(r"^localhost +: (.*)$", output, flags=re.MULTILINE)
        print(f"{target}: {' '.join(recap[1].split()) if recap else 'did not run'}")
        for task, message in failures(output):
            print(f"  {task}: {message[:500]}")
        failed = failed or not recap or "failed=0 " not in recap[1]
    if options.output:
        options.output.write_text(everything)
    sys.exit(failed)


if __name__ == "__main__":
    main()
