#!/usr/bin/env python3
"""What a scheduler costs that has nothing to do, and how soon a job begins once it is due.

    cargo build --profile dist && python3 benches/schedule.py [--iamlua PATH] [--jobs N] [--seconds N]

Idle: N jobs, none of which is due for months; how long it takes until all are taken over, the processor time as a share of one core, and
the memory. Late: a job that is due every second says how many milliseconds after the moment it runs. Needs nothing but Python on Linux.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IDLE = """runbook {{
  description = "Job {n}, which has nothing to do.",
  params = {{ path = {{ default = "/", help = "path prefix" }} }},
  allow = {{ "profiles.each" }},
  schedule = "{minute} 3 29 2 *", timezone = "Europe/Berlin", jitter = "10m", retries = 2,
}}
"""
LATE = 'runbook { every = "1s" }\nprint(os.time())\n'


def start(program, folder, *options):
    environment = {"IAMLUA_HOME": str(folder / "state"), "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [program, "schedule", "--log-format", "json", *options, "jobs"], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1,
    )


def until(process, *words):
    for line in process.stderr:
        if all(word in line for word in words):
            return line
    raise SystemExit(f"{words} was not said")


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process, name):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def end(process):
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def idle(program, jobs, seconds, *options):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jobs").mkdir()
        for n in range(jobs):
            (folder / "jobs" / f"job{n:04}.lua").write_text(IDLE.format(n=n, minute=n % 60))
        began = time.perf_counter()
        process = start(program, folder, *options)
        until(process, f"schedules {jobs:,} jobs")
        started = time.perf_counter() - began
        time.sleep(2)
        before, since = processor_seconds(process), time.perf_counter()
        time.sleep(seconds)
        share = (processor_seconds(process) - before) / (time.perf_counter() - since)
        now, most = memory(process, "VmRSS"), memory(process, "VmHWM")
        end(process)
        what = " ".join(["idle", *options])
        print(f"| {jobs:,} jobs, {what} | {started:.1f} s | {share:.2%} | {now:.0f} MiB, at most {most:.0f} |")


def late(program, times):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jobs").mkdir()
        (folder / "jobs" / "second.lua").write_text(LATE)
        process = start(program, folder)
        delays = []
        for _ in range(times):
            until(process, '"message":"begins')
            delays.append(time.time() % 1 * 1000)
        end(process)
        delays.sort()
        print(f"\nA job begins {statistics.median(delays):.0f} ms after it is due, at most {delays[-1]:.0f} ms ({times} times).")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--iamlua", default=ROOT / "target/dist/iamlua", type=Path)
    parser.add_argument("--jobs", default=1000, type=int)
    parser.add_argument("--seconds", default=60, type=int)
    options = parser.parse_args()
    program = options.iamlua.resolve()
    print("| what | until taken over | of a core | memory |\n| --- | --- | --- | --- |")
    idle(program, options.jobs, options.seconds)
    idle(program, options.jobs, options.seconds, "--listen", "127.0.0.1:0")
    late(program, 20)


if __name__ == "__main__":
    main()
