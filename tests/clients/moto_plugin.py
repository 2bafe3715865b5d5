"""A pytest plugin for moto's tests: empties the account between them, and mends their inputs.

Many of moto's tests send input that AWS refuses and moto does not check: a trust policy of
`some policy` or `{}`, a path without slashes. They would all end there. A valid input takes its
place, so that the rest of the test is run. They also expect a dot at the end of texts that AWS ends
without one (LocalStack's recordings, test_iam_roles.py::TestRoleTags::test_role_tag_errors).
"""

import json
import os
import re
import subprocess

import botocore.client
from botocore.exceptions import ClientError
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
    try:
        return made(client, operation, arguments)
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ValidationError" and re.search(r"equal to [0-9]+$|\\-@\]\+$", text):
            error.response["Error"]["Message"] += "."
        raise


botocore.client.BaseClient._make_api_call = make_with_valid_inputs
