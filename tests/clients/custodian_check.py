#!/usr/bin/env python3
"""Runs Cloud Custodian's policies for profiles, roles and policies against `iamlua account serve`.

    cargo build && python3 tests/clients/custodian_check.py target/debug/iamlua

Needs c7n, tried with 0.9.53. Each scenario is one policy file, which `custodian run` carries out on
an account of its own. The resources that its filters keep, and the state that its actions leave,
are compared with Cloud Custodian's documentation. Exit code 1: a scenario has failed. Not part of
`cargo test`, which needs nothing but Rust.

The filter `used` of roles also asks for Lambda functions and ECS services, and a list of policies
for the tags that Resource Groups knows. The local account has none, and does not answer these
calls: this script does, with empty lists. Left out are the filters `usage` and `check-permissions`:
the account does not know when a service was last used, and simulates no policies.
"""

import argparse
import contextlib
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import boto3
from account_server import AccountServer

READ_S3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
MANAGED_CORE = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
OWN = "arn:aws:iam::123456789012:policy/deployers"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


EC2 = trust({"Service": "ec2.amazonaws.com"})
ACCOUNT = {
    "roles": [
        {
            "name": "web",
            "assume_role_policy": EC2,
            "attached_policies": [READ_S3, MANAGED_CORE],
            "tags": {"Team": "web"},
        },
        {"name": "worker", "assume_role_policy": EC2, "attached_policies": [MANAGED_CORE]},
        {"name": "idle", "assume_role_policy": EC2},
        {"name": "spare", "assume_role_policy": EC2},
        {"name": "partner", "assume_role_policy": trust({"AWS": "arn:aws:iam::210987654321:root"})},
    ],
    "profiles": [
        {"name": "web", "path": "/ec2/", "role": "web", "tags": {"Team": "web"}},
        {"name": "worker", "role": "worker"},
        {"name": "old-web", "role": "web"},
        {"name": "empty"},
        {"name": "gone"},
    ],
    "resources": [
        {
            "kind": "ec2.instance",
            "region": "us-east-1",
            "id": "i-0a1f3c5e7b9d20461",
            "profile": "web",
        },
        {
            "kind": "ec2.instance",
            "region": "us-east-1",
            "id": "i-0a1f3c5e7b9d20462",
            "state": "terminated",
            "profile": "gone",
        },
        {
            "kind": "autoscaling.launch_configuration",
            "region": "us-east-1",
            "name": "workers",
            "profile": "worker",
        },
    ],
}


def named(name, key="RoleName"):
    return {"type": "value", "key": key, "value": name}


def scenarios():
    """Name, resource, filters, actions, names to be found, and a check of the state afterwards."""
    profile = lambda name: named(name, "InstanceProfileName")
    yield "all profiles", "iam-profile", [], [], {"web", "worker", "old-web", "empty", "gone"}, None
    yield "used profiles", "iam-profile", [{"type": "used"}], [], {"web", "worker"}, None
    yield (
        "unused profiles",
        "iam-profile",
        [{"type": "unused"}],
        [],
        {"old-web", "empty", "gone"},
        None,
    )
    yield (
        "profiles by the policy of their role",
        "iam-profile",
        [{"type": "has-specific-managed-policy", "value": "AmazonS3ReadOnlyAccess"}],
        [],
        {"web", "old-web"},
        None,
    )
    yield (
        "profiles by a pattern of policies",
        "iam-profile",
        [
            {
                "type": "has-specific-managed-policy",
                "key": "PolicyArn",
                "op": "regex",
                "value": ".*AmazonSSM.*",
            }
        ],
        [],
        {"web", "worker", "old-web"},
        None,
    )
    yield (
        "set the role of an empty profile",
        "iam-profile",
        [profile("empty")],
        [{"type": "set-role", "role": "idle"}],
        {"empty"},
        lambda iam: role_of(iam, "empty") == "idle",
    )
    yield (
        "set another role",
        "iam-profile",
        [profile("old-web")],
        [{"type": "set-role", "role": "idle"}],
        {"old-web"},
        lambda iam: role_of(iam, "old-web") == "idle",
    )
    yield (
        "take a role out",
        "iam-profile",
        [profile("old-web")],
        [{"type": "set-role", "role": ""}],
        {"old-web"},
        lambda iam: role_of(iam, "old-web") is None,
    )
    yield (
        "attach a policy to the role of a profile",
        "iam-profile",
        [profile("worker")],
        [{"type": "set-policy", "state": "attached", "arn": READ_S3}],
        {"worker"},
        lambda iam: attached(iam, "worker") == {READ_S3, MANAGED_CORE},
    )
    yield (
        "detach all policies from the role of a profile",
        "iam-profile",
        [profile("web")],
        [{"type": "set-policy", "state": "detached", "arn": "*"}],
        {"web"},
        lambda iam: not attached(iam, "web"),
    )
    yield "all roles", "iam-role", [], [], {"web", "worker", "idle", "spare", "partner"}, None
    yield "roles by tag", "iam-role", [{"tag:Team": "web"}], [], {"web"}, None
    yield "used roles", "iam-role", [{"type": "used", "state": True}], [], {"web", "worker"}, None
    yield (
        "unused roles",
        "iam-role",
        [{"type": "used", "state": False}],
        [],
        {"idle", "spare", "partner"},
        None,
    )
    yield (
        "roles that another account may assume",
        "iam-role",
        [{"type": "cross-account"}],
        [],
        {"partner"},
        None,
    )
    yield (
        "roles with inline policies",
        "iam-role",
        [{"type": "has-inline-policy", "value": True}],
        [],
        {"idle"},
        None,
    )
    yield (
        "roles without inline policies",
        "iam-role",
        [{"type": "has-inline-policy", "value": False}],
        [],
        {"web", "worker", "spare", "partner"},
        None,
    )
    yield (
        "roles by policy",
        "iam-role",
        [{"type": "has-specific-managed-policy", "value": "AmazonS3ReadOnlyAccess"}],
        [],
        {"web"},
        None,
    )
    yield (
        "roles that lack a policy",
        "iam-role",
        [{"type": "no-specific-managed-policy", "value": "AmazonS3ReadOnlyAccess"}],
        [],
        {"worker", "idle", "spare", "partner"},
        None,
    )
    yield (
        "tag a role",
        "iam-role",
        [named("idle")],
        [{"type": "tag", "key": "Owner", "value": "ops"}],
        {"idle"},
        lambda iam: tags(iam, "idle") == {"Owner": "ops"},
    )
    yield (
        "remove a tag",
        "iam-role",
        [named("web")],
        [{"type": "remove-tag", "tags": ["Team"]}],
        {"web"},
        lambda iam: tags(iam, "web") == {},
    )
    yield (
        "mark a role for later",
        "iam-role",
        [named("idle")],
        [{"type": "mark-for-op", "op": "delete", "days": 4}],
        {"idle"},
        lambda iam: "delete@" in tags(iam, "idle")["maid_status"],
    )
    yield (
        "attach a policy of the account",
        "iam-role",
        [named("idle")],
        [{"type": "set-policy", "state": "attached", "arn": OWN}],
        {"idle"},
        lambda iam: attached(iam, "idle") == {OWN},
    )
    yield (
        "set a boundary",
        "iam-role",
        [named("idle"), {"PermissionsBoundary": "absent"}],
        [{"type": "set-boundary", "policy": OWN}],
        {"idle"},
        lambda iam: boundary(iam, "idle") == OWN,
    )
    yield (
        "set a boundary by its name",
        "iam-role",
        [named("idle")],
        [{"type": "set-boundary", "policy": "deployers"}],
        {"idle"},
        lambda iam: boundary(iam, "idle") == OWN,
    )
    yield (
        "remove a boundary",
        "iam-role",
        [named("worker"), {"PermissionsBoundary": "present"}],
        [{"type": "set-boundary", "state": "absent"}],
        {"worker"},
        lambda iam: boundary(iam, "worker") is None,
    )
    yield (
        "delete a role",
        "iam-role",
        [named("spare")],
        [{"type": "delete"}],
        {"spare"},
        lambda iam: "spare" not in roles(iam),
    )
    yield (
        "delete a role with all that hangs on it",
        "iam-role",
        [{"type": "value", "key": "RoleName", "op": "in", "value": ["web", "idle"]}],
        [{"type": "delete", "force": True}],
        {"web", "idle"},
        lambda iam: (
            roles(iam) == {"worker", "spare", "partner"}
            and profiles(iam) == {"worker", "empty", "gone"}
        ),
    )
    yield "policies of the account", "iam-policy", [], [], {"deployers", "unattached"}, None
    yield "attached policies", "iam-policy", [{"type": "used"}], [], {"deployers"}, None
    yield (
        "policies that allow everything",
        "iam-policy",
        [{"type": "has-allow-all"}],
        [],
        {"unattached"},
        None,
    )
    yield (
        "delete unattached policies",
        "iam-policy",
        [{"type": "unused"}],
        [{"type": "delete"}],
        {"unattached"},
        lambda iam: (
            {policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]}
            == {"deployers"}
        ),
    )


def prepare(iam):
    """Makes the policies of the account. Returns the errors of calls that are not answered."""
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
        }
    )
    calls = [
        lambda: iam.create_policy(PolicyName="deployers", PolicyDocument=document),
        lambda: iam.create_policy(PolicyName="unattached", PolicyDocument=json.dumps(EVERYTHING)),
        lambda: iam.create_policy_version(
            PolicyArn=OWN.replace("deployers", "unattached"),
            PolicyDocument=json.dumps(EVERYTHING),
            SetAsDefault=True,
        ),
        lambda: iam.attach_role_policy(RoleName="partner", PolicyArn=OWN),
        lambda: iam.put_role_policy(RoleName="idle", PolicyName="inline", PolicyDocument=document),
        lambda: iam.put_role_permissions_boundary(RoleName="worker", PermissionsBoundary=OWN),
    ]
    trouble = set()
    for call in calls:
        try:
            call()
        except iam.exceptions.ClientError as error:
            trouble.add(str(error))
    return trouble


def role_of(iam, name):
    found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    return found[0]["RoleName"] if found else None


def attached(iam, role):
    return {
        policy["PolicyArn"]
        for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    }


def tags(iam, role):
    return {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role)["Tags"]}


def boundary(iam, role):
    return (
        iam.get_role(RoleName=role)["Role"]
        .get("PermissionsBoundary", {})
        .get("PermissionsBoundaryArn")
    )


def roles(iam):
    return {role["RoleName"] for role in iam.list_roles()["Roles"]}


def profiles(iam):
    return {
        profile["InstanceProfileName"]
        for profile in iam.list_instance_profiles()["InstanceProfiles"]
    }


class EmptyLists(http.server.BaseHTTPRequestHandler):
    """Answers the calls of other services that the local account has nothing of."""

    def do_GET(self):
        self.answer({"Functions": []})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["X-Amz-Target"].endswith(".GetResources"):
            self.answer({"ResourceTagMappingList": []})
        else:
            self.answer({"clusters": [], "failures": []})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def empty_lists():
    """The URL of a server of `EmptyLists`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyLists)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def custodian(account, others, scratch, resource, filters, actions):
    """The names of the resources that a policy has found, and the errors that it has met."""
    policy = {"name": "check", "resource": resource, "filters": filters, "actions": actions}
    (scratch / "policy.json").write_text(json.dumps({"policies": [policy]}))
    command = [
        pathlib.Path(sys.executable).parent / "custodian",
        "run",
        "--cache-period",
        "0",
        "-s",
        scratch,
        scratch / "policy.json",
    ]
    environment = account.client_environment() | {
        "HOME": str(scratch),
        "AWS_ENDPOINT_URL_LAMBDA": others,
        "AWS_ENDPOINT_URL_ECS": others,
        "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": others,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = scratch / "check" / "resources.json"
    names = ("RoleName", "InstanceProfileName", "PolicyName")
    resources = json.loads(found.read_text()) if found.exists() else []
    # A role names no profile and a profile no role at its top.
    return {next(each[name] for name in names if name in each) for each in resources}, errors(done)


def errors(done):
    lines = [
        line for line in done.stderr.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)
    ]
    return lines[-1:] or (done.stderr.splitlines()[-3:] if done.returncode else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument(
        "--only", default="", help="run the scenarios whose names contain this text"
    )
    options = parser.parse_args()
    passed, failed = 0, 0
    with AccountServer(options.program.resolve()) as account, empty_lists() as others:
        iam = boto3.client(
            "iam",
            region_name="us-east-1",
            endpoint_url=account.url,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        for name, resource, filters, actions, expected, look in scenarios():
            if options.only not in name:
                continue
            account.load(ACCOUNT)
            trouble = prepare(iam)
            with tempfile.TemporaryDirectory() as scratch:
                found, problems = custodian(
                    account, others, pathlib.Path(scratch), resource, filters, actions
                )
            wrong = problems[:]
            if not problems and found != expected:
                wrong.append(f"found {sorted(found)}, not {sorted(expected)}")
            try:
                if not problems and look and not look(iam):
                    wrong.append("the account is not what the action should leave")
            except iam.exceptions.ClientError as error:
                wrong.append(str(error))
            passed, failed = passed + (not wrong), failed + bool(wrong)
            if wrong:
                print(f"{name}:")
                print("".join(f"    {line[:300]}\n" for line in wrong), end="")
    print(f"{passed} of {passed + failed} scenarios pass")
    if trouble:
        print("not prepared: " + "; ".join(sorted(trouble)))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
