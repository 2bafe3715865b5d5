#!/usr/bin/env python3
"""Who uses 1,000 instance profiles: iamlua against the same calls by boto3, on an account of 17 regions and 50,000 instances.

    cargo build --profile dist && python3 benches/usage.py

`iamlua account serve` is the endpoint of both. A first run of each goes through a proxy that counts its requests: they must be as many as there are
pages, and one for the role of each profile that was not seen used. Then they take turns without it.
"""

import argparse
import collections
import contextlib
import http.client
import http.server
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.parse

from rig import HERE, ROOT, Runner

ACCOUNT = "123456789012"
REGIONS = (
    "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1 "
    "eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
).split()
PROFILES = 1000
# The others have a role that nothing in AWS names, so that GetRole is asked.
SEEN = 700
THREADS = 16
MEMORY = 64

SCRIPT = """
local scan = usage.scan { %s }
local counts = { used = 0, unused = 0, unknown = 0 }
for profile in iam.profiles.each() do
  local verdict = scan:verdict(profile).verdict
  counts[verdict] = counts[verdict] + 1
end
print("used", counts.used, "unused", counts.unused, "unknown", counts.unknown)
assert(scan.complete)
"""


# ------------------------------------------------------------------------------------------------------------- The account


def of_region(region, at, instances):
    """What there is in one region, and the calls that it takes to read it."""
    profile = lambda i: f"profile-{(at * 97 + i) % SEEN:04d}"
    made = [{"kind": "ec2.instance", "id": f"i-{at:04x}{i:013x}", "profile": profile(i)} for i in range(instances)]
    made += [
        {"kind": "ec2.association", "id": f"iip-assoc-{at:04x}{i:013x}", "instance_id": f"i-{at:04x}{i:013x}", "profile": profile(i)}
        for i in range(100)
    ]
    made += [
        {"kind": "ec2.launch_template", "id": f"lt-{at:04x}{i:013x}", "name": f"template-{i}", "versions": [{"profile": profile(i + v)} for v in range(3)]}
        for i in range(20)
    ]
    made += [{"kind": "ec2.spot_fleet", "profiles": [profile(i)]} for i in range(5)]
    made += [{"kind": "ec2.spot_request", "profile": profile(i)} for i in range(5)]
    made += [{"kind": "autoscaling.launch_configuration", "name": f"lc-{i}", "profile": profile(i)} for i in range(120)]
    made += [{"kind": "batch.compute_environment", "name": f"ce-{i}", "profile": profile(i)} for i in range(3)]
    made += [{"kind": "ecs.capacity_provider", "name": f"managed-{i}", "cluster": f"c-{i}", "profile": profile(i)} for i in range(2)]
    made += [{"kind": "imagebuilder.infrastructure_configuration", "name": f"ib-{i}", "profile": profile(i)} for i in range(3)]
    made += [{"kind": "emr.cluster", "name": f"emr-{i}", "profile": profile(i)} for i in range(3)]
    made += [
        {"kind": "elasticbeanstalk.environment", "name": f"env-{i}", "application": "shop", "profile": profile(i)} for i in range(3)
    ]
    made += [{"kind": "eks.node_group", "name": f"group-{i}", "cluster": "main", "role": "node"} for i in range(2)]
    made += [{"kind": "rds.instance", "id": f"db-{i}", "profile": profile(i)} for i in range(2)]
    calls = {
        "DescribeInstances": math.ceil(instances / 1000),
        "DescribeIamInstanceProfileAssociations": 1,
        "DescribeLaunchTemplates": 1,
        "DescribeLaunchTemplateVersions": 20,
        "DescribeSpotFleetRequests": 1,
        "DescribeSpotInstanceRequests": 1,
        "DescribeLaunchConfigurations": 2,
        "DescribeComputeEnvironments": 1,
        "ecs:ListClusters": 1,
        "DescribeCapacityProviders": 2,
        "ListInfrastructureConfigurations": 1,
        "emr:ListClusters": 1,
        "DescribeCluster": 3,
        "DescribeEnvironments": 1,
        "DescribeConfigurationSettings": 3,
        "eks:ListClusters": 1,
        "ListNodegroups": 1,
        "DescribeNodegroup": 2,
        "DescribeDBInstances": 1,
    }
    return [resource | {"region": region} for resource in made], calls


def account(instances):
    """The account in the export format, and the calls of a scan with verdicts by action."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    dates = {"create_date": "2024-01-01T00:00:00Z"}
    roles = [{"name": "node", "path": "/", "assume_role_policy": trust} | dates]
    roles += [{"name": f"role-{i:04d}", "path": "/", "assume_role_policy": trust} | dates for i in range(SEEN, PROFILES)]
    profiles = []
    for i in range(PROFILES):
        profiles.append({"name": f"profile-{i:04d}", "path": "/"} | dates | ({"role": f"role-{i:04d}"} if i >= SEEN else {}))
    resources, calls = [], collections.Counter(DescribeRegions=1, ListInstanceProfiles=1, GetRole=PROFILES - SEEN)
    for at, region in enumerate(REGIONS):
        share = instances // len(REGIONS) + (1 if at < instances % len(REGIONS) else 0)
        made, needed = of_region(region, at, share)
        resources += made
        calls.update(needed)
    contents = {"format": "iamlua-account", "version": 1, "account": {"id": ACCOUNT}, "roles": roles, "profiles": profiles}
    return contents | {"resources": resources}, calls


# ------------------------------------------------------------------------------------------------------------ The endpoint


class Served:
    """`iamlua account serve`; what a `rig.Runner` wants of an endpoint."""

    def __init__(self, program, home):
        environment = {"PATH": os.environ["PATH"], "IAMLUA_HOME": home}
        self.process = subprocess.Popen([program, "account", "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            sys.exit("The endpoint does not start.")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, _):
        return ""

    def counts(self):
        return {}

    def seconds(self):
        """Processor time that it has used so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.terminate()
        self.process.wait()


EKS = ((r"/node-groups/[^/]+$", "DescribeNodegroup"), (r"/node-groups$", "ListNodegroups"), (r"/clusters$", "eks:ListClusters"))
REST = {"/v1/describecomputeenvironments": "DescribeComputeEnvironments", "/ListInfrastructureConfigurations": "ListInfrastructureConfigurations"}
LISTS = {"AmazonEC2ContainerServiceV20141113": "ecs:", "ElasticMapReduce": "emr:"}


def action_of(path, headers, body):
    path = urllib.parse.urlsplit(path).path
    if target := headers.get("X-Amz-Target"):
        service, _, action = target.partition(".")
        return LISTS[service] + action if action == "ListClusters" else action
    if path in REST:
        return REST[path]
    for pattern, action in EKS:
        if re.search(pattern, path):
            return action
    return urllib.parse.parse_qs(body.decode())["Action"][0]


@contextlib.contextmanager
def counting(port):
    """A proxy that counts requests by action: its address and the counter."""
    counts, lock = collections.Counter(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                counts[action_of(self.path, self.headers, body)] += 1
            inner = http.client.HTTPConnection("127.0.0.1", port)
            inner.request(self.command, self.path, body, dict(self.headers))
            answer = inner.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            inner.close()

        do_GET = do_POST = forward

        def log_message(self, *_):
            pass

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}", counts
    finally:
        proxy.shutdown()


# ---------------------------------------------------------------------------------------------------------------- The runs


def used(run):
    return int(re.search(r"used\s+(\d+)", run.out)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iamlua", default=str(ROOT / "target/dist/iamlua"))
    parser.add_argument("--instances", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--disk", default=tempfile.gettempdir())
    given = parser.parse_args()
    program = str(pathlib.Path(given.iamlua).resolve())
    contents, expected = account(given.instances)
    with tempfile.TemporaryDirectory(dir=given.disk) as folder:
        file = pathlib.Path(folder, "account.json")
        file.write_text(json.dumps(contents))
        environment = {"PATH": os.environ["PATH"], "IAMLUA_HOME": f"{folder}/served"}
        subprocess.run([program, "account", "import", str(file)], env=environment, check=True, capture_output=True)
        script = pathlib.Path(folder, "usage.lua")
        script.write_text(SCRIPT % "")
        wide = pathlib.Path(folder, "usage16.lua")
        wide.write_text(SCRIPT % f"concurrency = {THREADS}")
        run_script = lambda path: [program, "run", "--aws", "--read-only", "--progress", "none", str(path)]
        commands = {
            "iamlua": run_script(script),
            f"iamlua, {THREADS} at once": run_script(wide),
            f"boto3, {THREADS} threads": [sys.executable, str(HERE / "peers" / "usage.py"), str(THREADS)],
        }
        served = Served(program, f"{folder}/served")
        runner = Runner(served, given.disk)
        try:
            print(f"{PROFILES:,} profiles, {len(REGIONS)} regions, {given.instances:,} instances; {sum(expected.values()):,} requests are needed\n")
            for name, argv in commands.items():
                with counting(served.port) as (url, counts):
                    run = runner._run(argv, runner.env | {"AWS_ENDPOINT_URL": url})
                # Who it is that asks is neither a page nor a profile.
                counts.pop("GetCallerIdentity", None)
                more = {action: counts[action] - expected[action] for action in counts.keys() | expected.keys() if counts[action] != expected[action]}
                print(f"{name:24} {sum(counts.values()):,} requests, {used(run)} used{'; more or less: ' + str(more) if more else ''}")
                if name.startswith("iamlua") and more:
                    sys.exit("iamlua must ask for pages and roles, and nothing else.")
            figures = {name: [] for name in commands}
            for _ in range(given.rounds):
                for name, argv in commands.items():
                    before = served.seconds()
                    run = runner._run(argv, runner.env)
                    figures[name].append((run.seconds, run.peak, served.seconds() - before))
        finally:
            runner.close()
            served.close()
    print(f"\n{'':24} {'seconds':>8} {'worst':>8} {'ratio':>6} {'MiB':>6} {'endpoint busy':>14}")
    first = statistics.median(seconds for seconds, *_ in figures["iamlua"])
    for name, runs in figures.items():
        median = statistics.median(seconds for seconds, *_ in runs)
        worst = max(seconds for seconds, *_ in runs)
        peak = max(peak for _, peak, _ in runs)
        busy = statistics.median(busy for *_, busy in runs)
        print(f"{name:24} {median:8.2f} {worst:8.2f} {median / first:6.2f} {peak:6.1f} {busy:12.2f} s")
        if name.startswith("iamlua") and peak > MEMORY:
            sys.exit(f"{name} must stay under {MEMORY} MiB.")


if __name__ == "__main__":
    main()
