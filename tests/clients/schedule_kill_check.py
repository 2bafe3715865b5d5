#!/usr/bin/env python3
"""Kills the scheduler (SIGKILL) at random moments, and holds what it keeps against its promises.

    tests/clients/schedule_kill_check.py [--kills N] [--seed N] [IAMLUA]

Four jobs are due each second or two, each makes some changes on the local account, which answers slowly. Every third time two schedulers run on the one state, and one of
them or both are killed. At the end one runs undisturbed for a while and is told to end. Then: no moment of a job was done twice; each that was begun was done, or
was killed three times, or is of the job that leaves such out; no two executions of a job overlap; nothing is open, nothing is in doubt; and the profiles in the account
are those that the journal says were made. By hand, because it takes minutes; needs python3 and a built program.
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

JOB = """
runbook {{ every = "{every}", catch_up = "{catch_up}", retries = {retries}, retry_delay = "1s" }}
local n = #iam.profiles.list {{ path_prefix = "/{name}/", max_items = 1000 }}
for step = 1, 3 do
  iam.profiles.create {{ name = ("{name}-%d-%d"):format(n, step), path = "/{name}/", tags = {{ Step = tostring(step) }} }}
end
"""

JOBS = {
    "once": dict(every="1s", catch_up="once", retries=0),
    "slow": dict(every="2s", catch_up="once", retries=0),
    "skips": dict(every="1s", catch_up="skip", retries=0),
    "again": dict(every="2s", catch_up="once", retries=2),
}


class Desk:
    """A state folder of its own, and the program on it."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.env = {"PATH": os.environ["PATH"], "IAMLUA_HOME": str(self.folder / "state"), "AWS_EC2_METADATA_DISABLED": "true"}
        (self.folder / "jobs").mkdir()
        for name, options in JOBS.items():
            (self.folder / "jobs" / f"{name}.lua").write_text(JOB.format(name=name, **options))
        self.run("account", "reset", "--empty")
        self.run("account", "quota", "profiles=100000")

    def run(self, *args):
        return subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True, check=True)

    def start(self):
        command = [self.program, "schedule", str(self.folder / "jobs"), "--faults", "latency=15ms"]
        log = open(self.folder / "log", "a")
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=log)


def problems(desk):
    state = sqlite3.connect(desk.folder / "state" / "schedule.db")
    found = []
    rows = state.execute("SELECT job, due, attempt, started, ended, outcome FROM execution ORDER BY number").fetchall()
    tries, spans = {}, {}
    for job, due, attempt, started, ended, outcome in rows:
        if ended is None:
            found.append(f"{job} for {due} is open")
            continue
        if outcome == "skipped":
            continue
        tries.setdefault((job, due), []).append((attempt, outcome))
        spans.setdefault(job, []).append((started, ended))
    latest = {job: max(due for other, due in tries if other == job) for job, _ in tries}
    for (job, due), of_moment in tries.items():
        outcomes = [outcome for _, outcome in of_moment]
        if [attempt for attempt, _ in of_moment] != list(range(1, len(of_moment) + 1)):
            # The first ones may have been removed, because only the last hundred of a job are kept.
            if of_moment[0][0] == 1:
                found.append(f"{job} for {due}: tries {of_moment}")
        if outcomes.count("done") > 1:
            found.append(f"{job} for {due} was done {outcomes.count('done')} times")
        is_over = outcomes[-1] == "done" or outcomes.count("killed") + outcomes.count("interrupted") >= 3
        is_over = is_over or JOBS[job]["catch_up"] == "skip" or outcomes.count("failed") > JOBS[job]["retries"]
        if not is_over and due != latest[job]:
            found.append(f"{job} for {due} was begun and is not done: {outcomes}")
    for job, of_job in spans.items():
        of_job.sort()
        for (_, ended), (started, _) in zip(of_job, of_job[1:]):
            if started < ended:
                found.append(f"{job}: one began at {started}, before the end of another at {ended}")
    journal = sqlite3.connect(desk.folder / "state" / "journal.db")
    open_changes = journal.execute("SELECT count(*) FROM change WHERE outcome IS NULL OR outcome = 'in doubt'").fetchone()[0]
    if open_changes:
        found.append(f"{open_changes} changes are open or in doubt")
    made = journal.execute("SELECT name FROM change WHERE action = 'CreateInstanceProfile' AND outcome = 'done'").fetchall()
    there = {profile["name"] for profile in json.loads(desk.run("account", "export").stdout)["profiles"]}
    if len(made) != len(there) or {name for (name,) in made} != there:
        found.append(f"the journal says {len(made)} were made, and {len(there)} are there")
    return found, rows


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=40)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("program", nargs="?", default=str(ROOT / "target" / "release" / "iamlua"))
    options = options.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(options.program, folder)
        running = []
        try:
            for number in range(options.kills):
                while len(running) < (2 if number % 3 == 2 else 1):
                    running.append(desk.start())
                time.sleep(dice.uniform(0.05, 2.5))
                for _ in range(dice.randint(1, len(running))):
                    victim = running.pop(dice.randrange(len(running)))
                    if victim.poll() is not None:
                        sys.exit(f"kill {number}: a scheduler has ended by itself: {(desk.folder / 'log').read_text()[-2000:]}")
                    victim.send_signal(signal.SIGKILL)
                    victim.wait()
            for left in running:
                left.send_signal(signal.SIGTERM)
                left.wait()
            last = desk.start()
            # As long as it takes to settle what is in doubt, for which a change must be ten seconds old.
            time.sleep(30)
            last.send_signal(signal.SIGTERM)
            if last.wait() != 0:
                sys.exit(f"told to end, it ended with {last.returncode}")
            # What it was told to stop is done at the next start; nothing is due for long then.
            for path in (desk.folder / "jobs").iterdir():
                path.write_text(path.read_text().replace('every = "1s"', 'every = "1d"').replace('every = "2s"', 'every = "1d"'))
            last = desk.start()
            time.sleep(20)
            last.send_signal(signal.SIGTERM)
            last.wait()
        finally:
            for left in running:
                left.kill()
        found, rows = problems(desk)
        if found:
            print((desk.folder / "log").read_text()[-5000:])
    for problem in found:
        print(problem)
    outcomes = [row[5] for row in rows]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes), key=str))
    print(f"{options.kills} kills, {len(rows)} executions kept ({counts}), {len(found)} wrong")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
