#!/usr/bin/env python3
"""What the journal costs: tags 2,000 profiles at a delay of 20 ms, 16 calls at once, and prints the time of the tagging beside the ideal.

    benches/journal.py [--runs N] [--delay MS] [--profiles N]

The profiles are listed with their tags first, so that what is there before each change is known; that part is not timed. The state folder is once on the
disk and once in memory (/dev/shm), which shows what is the disk's; the bare Rust SDK and boto3, where they are there, tag without a journal.
Needs what `compare.py` needs.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import compare

TAG = """
local names, at, failed = {}, 0, 0
for profile in iam.profiles.each { with_tags = true } do names[#names + 1] = profile.name end
local workers = {}
for worker = 1, 16 do
  workers[worker] = function()
    while at < #names do
      at = at + 1
      local _, err = try(iam.profiles.tag, names[at], { Owner = "ops" })
      failed = failed + (err and 1 or 0)
    end
  end
end
log.info("start")
task.all(workers)
log.info("end")
print("failed " .. failed)
"""


def tag_phase(command, env):
    """Seconds between the two log lines of the script, as they arrive."""
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    start = end = None
    for line in child.stderr:
        if re.search(r"\bstart$", line.strip()):
            start = time.monotonic()
        elif re.search(r"\bend$", line.strip()):
            end = time.monotonic()
    out = child.stdout.read()
    if child.wait() != 0 or "failed 0" not in out:
        sys.exit(f"{command}: {out}")
    return end - start


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--delay", type=int, default=20)
    options.add_argument("--profiles", type=int, default=2000)
    options.add_argument("--also", action="append", default=[], help="another iamlua to measure beside, such as an older one")
    options = options.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--release"], check=True, cwd=compare.ROOT)
    env = os.environ | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{compare.PORT}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    iamlua = str(compare.ROOT / "target" / "release" / "iamlua")
    count = str(options.profiles)
    disk, memory = tempfile.mkdtemp(dir=pathlib.Path.home()), tempfile.mkdtemp(dir="/dev/shm")
    jobs = {
        "iamlua, journal on disk": (tag_phase, [iamlua, "--aws", "--apply", "-e", TAG], {"IAMLUA_HOME": disk}),
        "iamlua, journal in memory": (tag_phase, [iamlua, "--aws", "--apply", "-e", TAG], {"IAMLUA_HOME": memory}),
    }
    for other in options.also:
        jobs[other] = (tag_phase, [other, "--aws", "--apply", "-e", TAG], {"IAMLUA_HOME": disk})
    for who, command in compare.peers().items():
        whole = lambda command, env: compare.measure(command, env)[0]
        jobs[who + " (whole process)"] = (whole, [*command, "tag", count, "16"], {})
    ideal = options.profiles / 16 * options.delay / 1000
    compare.endpoint(options.profiles, options.delay)
    results = {who: [] for who in jobs}
    try:
        for _ in range(options.runs):
            for who, (measure, command, more) in jobs.items():
                results[who].append(measure(command, env | more))
    finally:
        compare.stop()
        shutil.rmtree(disk)
        shutil.rmtree(memory)
    print(f"tag {count} profiles, {options.delay} ms, 16 at once: ideal {ideal:.2f} s")
    for who, times in results.items():
        median = statistics.median(times)
        print(f"{who:36}{median:8.3f}s{min(times):8.3f}s{max(times):8.3f}s{median / ideal:7.3f} x ideal")


if __name__ == "__main__":
    main()
