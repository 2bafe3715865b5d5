"""A pytest plugin for moto's tests: empties the account between them, and mends their inputs.

Many of moto's tests send input that AWS refuses and moto does not check: a trust policy of
`some policy` or `{}`, a path without slashes. They would all end there. A valid input takes its
place, so that the rest of the test is run.
"""

import json
import os
import subprocess

import botocore.client
from moto.core.models import ServerModeMockAWS

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def reset(self):
    command = [os.environ["CHECKED_PROGRAM"], "account", "reset", "--empty"]
    environment = os.environ | {"IAMLUA_HOME": os.environ["CHECKED_HOME"]}
    subprocess.run(command, env=environment, check=True, capture_output=True)


ServerModeMockAWS.reset = reset

made = botocore.client.BaseClient._make_api_call


def make_with_valid_inputs(client, operation, arguments):
    if operation in (
        "CreateRole",
        "CreateInstanceProfile",
        "CreatePolicy",
        "ListRoles",
        "ListInstanceProfiles",
    ):
        arguments = dict(arguments)
        if "Statement" not in arguments.get("AssumeRolePolicyDocument", "Statement"):
            arguments["AssumeRolePolicyDocument"] = json.dumps(TRUST)
        path = arguments.get("Path")
        if path and not path.startswith("/"):
            arguments["Path"] = f"/{path}/"
    return made(client, operation, arguments)


botocore.client.BaseClient._make_api_call = make_with_valid_inputs
