#!/usr/bin/env python3
"""Runs the same jobs with iamlua and every peer that is installed, against a fast fake endpoint, and prints medians and ratios.

    benches/compare.py [--runs N] [--only JOB]

Needs python3 and Debian's nginx, libnginx-mod-http-lua, lua-resty-core and lua-resty-lrucache. Peers: the bare Rust SDK (built here when
cargo is there; it is what the ratios are taken against), boto3 and the AWS SDK for JavaScript v3 where they are installed.
Each job's commands alternate, so that a noisy machine is noisy for all of them.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PORT = 7102


def measure(command, env):
    """Wall-clock seconds and peak resident MiB of one run, and its standard output."""
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        child = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.PIPE)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        err = child.stderr.read().decode()
        out.seek(0)
        text = out.read().decode()
    if status != 0:
        sys.exit(f"{command} failed: {err}{text}")
    return seconds, usage.ru_maxrss / 1024, text


def endpoint(profiles, delay):
    subprocess.run([HERE / "fake_iam.sh", "start", str(PORT), str(profiles), str(delay)], check=True)
    time.sleep(0.3)


def stop():
    subprocess.run([HERE / "fake_iam.sh", "stop", str(PORT)], check=True)


def peers():
    """Commands by name; each takes the job's arguments."""
    found = {}
    if shutil.which("cargo"):
        target = ROOT / "target" / "peers"
        manifest = HERE / "peers" / "rust" / "Cargo.toml"
        build = ["cargo", "build", "--quiet", "--release", "--manifest-path", manifest]
        subprocess.run(build, check=True, env=os.environ | {"CARGO_TARGET_DIR": os.environ.get("PEER_TARGET_DIR", str(target))})
        found["bare Rust SDK"] = [os.environ.get("PEER_TARGET_DIR", str(target)) + "/release/limit"]
    if subprocess.run([sys.executable, "-c", "import boto3"], capture_output=True).returncode == 0:
        found["boto3"] = [sys.executable, str(HERE / "peers" / "boto.py")]
    node = os.environ.get("NODE_PEER_DIR")
    if node:
        shutil.copy(HERE / "peers" / "node.mjs", node)
        found["JS SDK v3"] = ["node", node + "/node.mjs"]
    return found


LUA = {
    "one": "for _, p in ipairs(iam.profiles.list { max_items = 100 }) do print(p.name) end",
    "list": "local n = 0 for p in iam.profiles.each {} do n = n + #p.name end print(n)",
}

JOBS = [
    # name, job, profiles at the endpoint, runs at most
    ("one page of 100, whole process", "one", 100_000, 100),
    ("list 10,000 profiles", "list", 10_000, 20),
    ("list 100,000 profiles", "list", 100_000, 7),
    ("list 1,000,000 profiles", "list", 1_000_000, 1),
]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--only", help="jobs whose name contains this")
    options = options.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--release"], check=True, cwd=ROOT)
    env = os.environ | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "IAMLUA_TARGET": "aws",
    }
    iamlua = str(ROOT / "target" / "release" / "iamlua")
    others = peers()
    print(f"{'job':34}{'who':16}{'median':>10}{'min':>10}{'max':>10}{'peak MiB':>10}{'ratio':>8}")
    for name, job, profiles, most in JOBS:
        if options.only and options.only not in name:
            continue
        commands = {"iamlua": [iamlua, "-e", LUA[job]]}
        commands |= {who: [*command, job] for who, command in others.items()}
        if profiles >= 1_000_000:
            commands = {who: command for who, command in commands.items() if who in ("iamlua", "bare Rust SDK")}
        endpoint(profiles, 0)
        results = {who: [] for who in commands}
        outputs = {}
        try:
            for command in commands.values():
                measure(command, env)
            for _ in range(min(options.runs, most)):
                for who, command in commands.items():
                    seconds, peak, outputs[who] = measure(command, env)
                    results[who].append((seconds, peak))
        finally:
            stop()
        if len(set(outputs.values())) != 1:
            sys.exit(f"{name}: the answers differ: { {who: text[:80] for who, text in outputs.items()} }")
        base = statistics.median(s for s, _ in results.get("bare Rust SDK", results["iamlua"]))
        for who, runs in results.items():
            times = [s for s, _ in runs]
            median = statistics.median(times)
            peak = max(p for _, p in runs)
            print(f"{name:34}{who:16}{median:9.3f}s{min(times):9.3f}s{max(times):9.3f}s{peak:10.1f}{median / base:8.2f}")


if __name__ == "__main__":
    main()
