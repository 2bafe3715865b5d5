"""Runs another project's pytest suite, and reports passed, failed and unanswered tests."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

MISSING = "need actions that are not answered"


def run(folder, records, paths, environment, arguments):
    """Runs pytest in `folder`. Returns one record a test, as written by `call_recorder`."""
    records.write_text("")
    here = pathlib.Path(__file__).resolve().parent
    environment = environment | {
        "CALL_RECORDS": str(records.resolve()),
        "PYTHONPATH": os.pathsep.join(map(str, [here, *paths])),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-p",
        "call_recorder",
    ]
    subprocess.run([*pytest, *arguments], cwd=folder, env=environment, check=False)
    return [json.loads(line) for line in records.read_text().splitlines()]


def report(tests, reason=lambda test: None):
    """Prints counts and failures by file. Returns the number of failures without a reason."""
    suites = collections.defaultdict(list)
    for test in tests:
        suites[pathlib.PurePath(test["test"].partition("::")[0]).name].append(test)
    unexplained = 0
    for suite, group in suites.items():
        counts = collections.Counter(outcome(test) for test in group)
        print(f"{suite}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        absent = collections.Counter(
            action for test in group if outcome(test) == MISSING for action in missing(test)
        )
        if absent:
            print(
                "  not answered: "
                + ", ".join(f"{action} ({count})" for action, count in sorted(absent.items()))
            )
        for test in group:
            if outcome(test) == "fail":
                name = test["test"].partition("::")[2]
                unexplained += not reason(name)
                print(f"  {name} ({test['phase']})")
                lines = [f"AWS: {reason(name)}"] if reason(name) else explained(test)
                print("".join(f"      {line}\n" for line in lines), end="")
    return unexplained


def outcome(test):
    if test["outcome"] == "failed":
        return MISSING if missing(test) else "fail"
    return {"passed": "pass", "skipped": "skipped"}[test["outcome"]]


def missing(test):
    """The actions of a test that the account does not answer."""
    unknown = [
        call for call in test["calls"] if call.get("error", {}).get("Code") == "InvalidAction"
    ]
    other = [
        call for call in test["calls"] if call["service"] not in ("iam", "sts") and "error" in call
    ]
    return sorted({f"{call['service']}:{call['operation']}" for call in unknown + other})


def explained(test):
    """The differences from a snapshot, or the end of a traceback."""
    lines = re.sub("\x1b\\[[0-9]+m", "", test["why"]).splitlines()
    differences = [line.strip() for line in lines if re.match(r"\s*(>> match key|\([~+-]\))", line)]
    return differences or [line for line in lines if line.startswith("E ")][-8:] or lines[-8:]
