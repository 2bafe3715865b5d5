#!/usr/bin/env python3
"""Kills the program (SIGKILL) at random moments of a bulk job, and holds what the journal says against what the account shows.

    tests/clients/kill_check.py [--kills N] [--seed N] [--endpoint] [IAMLUA]

Every other job is an `apply`, which must do the rest when it is started again, and nothing twice. After the others `runs recover` must settle every change, and
the changes that are done then, made one after the other, must give what the account holds. With --endpoint the job runs through `account serve`, which loses
2 % of its answers and fails 2 % of the calls. By hand, because it takes minutes; needs python3 and a built program.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS, EACH = 8, 10

JOB = f"""
local jobs = {{}}
for worker = 1, {WORKERS} do
  jobs[worker] = function()
    for n = 1, {EACH} do
      local name = ("k-%d-%d"):format(worker, n)
      iam.profiles.create {{ name = name, tags = {{ A = "1" }} }}
      iam.profiles.add_role(name, "worker")
      iam.profiles.tag(name, {{ B = "2" }})
      iam.profiles.untag(name, {{ "A" }})
      if n % 2 == 0 then iam.profiles.delete(name, {{ detach = true }}) end
    end
  end
end
task.all(jobs)
"""


class Desk:
    """A state folder of its own, and the program on it."""

    def __init__(self, program, folder, through_endpoint):
        self.program, self.folder = program, pathlib.Path(folder)
        self.env = {
            "PATH": os.environ["PATH"],
            "IAMLUA_HOME": str(self.folder / "state"),
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.job, self.plan = str(self.folder / "job.lua"), str(self.folder / "plan.json")
        pathlib.Path(self.job).write_text(JOB)
        self.target, self.serve = [], None
        self.reset()
        if through_endpoint:
            faults = "lost=2%,error=2%,latency=3ms,seed=5"
            command = [program, "account", "serve", "--port", "0", "--faults", faults]
            self.serve = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.target = ["--endpoint-url", self.serve.stdout.readline().strip()]

    def run(self, *args):
        return subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True)

    def reset(self):
        self.run("account", "reset")
        self.run("account", "quota", "profiles=100000")
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (self.folder / "state" / name).unlink(missing_ok=True)

    def contents(self):
        """Path, role and tags of every profile, by name."""
        held = json.loads(self.run("account", "export").stdout)["profiles"]
        return {p["name"]: (p["path"], p.get("role"), tuple(sorted((p.get("tags") or {}).items()))) for p in held}

    def kill(self, command, after):
        child = subprocess.Popen([self.program, *command], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        was_alive = child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(0.05)
        return was_alive


def check_apply(desk, before):
    """What is wrong after the plan was started again."""
    again = desk.run("apply", desk.plan, "--settle-after", "300ms")
    if again.returncode != 0:
        return f"the second try ended with {again.returncode}: {again.stderr}"
    expected = dict(before)
    for worker in range(1, WORKERS + 1):
        for n in range(1, EACH + 1, 2):
            expected[f"k-{worker}-{n}"] = ("/", "worker", (("B", "2"),))
    if desk.contents() != expected:
        return "the account is not as planned"
    journal = sqlite3.connect(desk.folder / "state" / "journal.db")
    done = journal.execute("SELECT plan_change FROM change WHERE outcome = 'done'").fetchall()
    planned = len(json.loads(pathlib.Path(desk.plan).read_text())["changes"])
    if sorted(done) != [(n,) for n in range(1, planned + 1)]:
        return f"{len(done)} changes done of {planned}, or some twice"
    return None


def check_run(desk, before):
    """What is wrong after what was open is settled."""
    recovered = desk.run("runs", "recover", "last", "--settle-after", "300ms")
    if recovered.returncode != 0:
        return f"recover ended with {recovered.returncode}: {recovered.stderr}{recovered.stdout}"
    model = dict(before)
    for change in json.loads(desk.run("runs", "show", "last", "--output", "json").stdout)["changes"]:
        if change["outcome"] not in ("done", "failed"):
            return f"still open: {change}"
        if change["outcome"] == "done" and change["after"] is None:
            model.pop(change["name"], None)
        elif change["outcome"] == "done":
            after = change["after"]
            model[change["name"]] = (after["path"], after.get("role"), tuple(sorted(after["tags"].items())))
    now = desk.contents()
    differing = [name for name in model.keys() | now.keys() if model.get(name) != now.get(name)]
    return f"the journal and the account differ about {differing[:5]}" if differing else None


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--endpoint", action="store_true", help="through a faulty endpoint")
    options.add_argument("program", nargs="?", default=str(ROOT / "target" / "release" / "iamlua"))
    options = options.parse_args()
    dice = random.Random(options.seed)
    alive = opened = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(options.program, folder, options.endpoint)
        try:
            for number in range(options.kills):
                desk.reset()
                before = desk.contents()
                is_apply = number % 2 == 1
                if is_apply:
                    planned = desk.run("plan", desk.job, "-o", desk.plan, *desk.target)
                    assert planned.returncode == 0, planned.stderr
                    command = ["apply", desk.plan, "--settle-after", "300ms"]
                else:
                    command = ["run", desk.job, "--apply", *desk.target]
                alive += desk.kill(command, dice.uniform(0.02, 1.5 if options.endpoint else 0.25))
                runs = json.loads(desk.run("runs", "--output", "json").stdout)
                if not runs:
                    problem = None if desk.contents() == before else "changed without a run in the journal"
                else:
                    opened += runs[0]["counts"]["in_doubt"]
                    problem = (check_apply if is_apply else check_run)(desk, before)
                if problem:
                    wrong += 1
                    print(f"kill {number}: {problem}", flush=True)
        finally:
            if desk.serve:
                desk.serve.kill()
    print(f"{options.kills} kills, {alive} of a program that was still at work, {opened} changes left open, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
