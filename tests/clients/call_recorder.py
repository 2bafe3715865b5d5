"""A pytest plugin that records the outcome of each test and its calls of botocore.

The file `CALL_RECORDS` gets one line of JSON a test. Calls of its fixtures are among them.
"""

import json
import os

import botocore.client
import pytest
from botocore.exceptions import ClientError

calls = []
outcomes = {}

made = botocore.client.BaseClient._make_api_call


def make_and_record(client, operation, arguments):
    call = {
        "service": client.meta.service_model.service_name,
        "operation": operation,
        "arguments": arguments,
    }
    calls.append(call)
    try:
        call["answer"] = made(client, operation, arguments)
        return call["answer"]
    except ClientError as error:
        call["error"] = error.response.get("Error")
        raise


botocore.client.BaseClient._make_api_call = make_and_record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    calls.clear()
    outcomes.pop(item.nodeid, None)
    done = yield
    record = {"test": item.nodeid, "calls": list(calls)} | outcomes.get(
        item.nodeid, {"outcome": "skipped", "why": ""}
    )
    with open(os.environ["CALL_RECORDS"], "a") as file:
        file.write(json.dumps(record, default=str) + "\n")
    return done


@pytest.hookimpl
def pytest_runtest_logreport(report):
    """Keeps the outcome of the body, or of the first phase that does not pass."""
    earlier = outcomes.get(report.nodeid, {"outcome": "passed"})
    if earlier["outcome"] == "passed" and (report.when == "call" or not report.passed):
        outcomes[report.nodeid] = {
            "outcome": report.outcome,
            "phase": report.when,
            "why": str(report.longrepr or ""),
        }
