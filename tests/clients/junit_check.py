#!/usr/bin/env python3
"""Holds the reports of `iamlua test` against other readers: JUnit against the schema of Jenkins'
xUnit plugin, TAP against tap.py.

    cargo build && python3 tests/clients/junit_check.py target/debug/iamlua junit-10.xsd

Needs the Python packages lxml, tap.py, PyYAML and more-itertools, and the schema from a checkout
of https://github.com/jenkinsci/xunit-plugin, where it lies in
src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd. Not part of `cargo test`, which
holds the elements and attributes against a list of them.
"""

import pathlib
import subprocess
import sys
import tempfile

from lxml import etree
from tap.parser import Parser

TESTS = {
    "a_test.lua": r"""
        it("passes", function() end)
        it("prints \27[1m and <b> ]]> \0", function() print("\27[1m\0 ]]> <b>") end)
        it("fails", function()
          expect({ a = 1, b = "\t<x>" }):to_equal({ a = 2, b = "\1\n&" })
        end)
        it.skip("is skipped # TODO later", function() end)
        it("a # SKIP in its name", function() end)
        it("ends with {", function() end)
        it("has a\\b and a\\\\b", function() end)
        it("runs a runbook", function()
          expect(run_runbook("bad.lua").code):to_equal(0)
        end)
    """,
    "syntax_test.lua": "this is no Lua",
    "bad.lua": "iam.profiles.get('nope')",
}


def report(program, folder, kind):
    command = [program, "test", f"--output={kind}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, env={"HOME": str(folder)})
    assert ran.returncode == 1, ran.stderr
    return ran.stdout


def main():
    program, schema = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, code in TESTS.items():
            (folder / name).write_text(code)
        junit, tap = report(program, folder, "junit"), report(program, folder, "tap").decode()

    document = etree.fromstring(junit)
    etree.XMLSchema(etree.parse(str(schema))).assertValid(document)
    message = document.find(".//failure").get("message")
    assert "\n" in message and "actual (+)" in message, message
    output = document.findall(".//system-out")[-1].text
    assert "its standard error" in output and "NoSuchEntity" in output, output

    lines = list(Parser().parse_text(tap))
    results = [line for line in lines if line.category == "test"]
    assert len(results) == 9, tap
    skipped = [line.description for line in results if line.skip]
    assert skipped == ["- a_test.lua › is skipped ＃ TODO later"], skipped
    assert not [line for line in results if line.todo]
    assert [line.ok for line in results].count(False) == 3
    failed = next(line for line in results if line.description.endswith("› fails"))
    block = failed.yaml_block
    assert block["severity"] == "fail" and block["at"]["line"] == 5, block
    assert not [line for line in lines if line.category == "unknown"], tap
    assert next(line for line in lines if line.category == "plan").expected_tests == 9
    print("JUnit and TAP are read as they are meant")


main()
