"""What the benchmarks stand on: the fake endpoint, the programs that are compared, and one measured run of one of them."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import typing
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SDK = "bare Rust SDK"
PACKAGES = {
    "/usr/sbin/nginx": "nginx",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/share/lua/5.1/resty/core.lua": "lua-resty-core",
    "/usr/share/lua/5.1/resty/lrucache.lua": "lua-resty-lrucache",
}

# Starts a program and says as its last words the seconds, the peak resident KiB and the exit code. It is a process of its own because Linux reckons the
# memory of whoever starts a program to the program: this one has 8 MiB, less than any that is measured.
LAUNCHER = """
import posix, sys, time
start = time.monotonic()
child = posix.posix_spawn(sys.argv[1], sys.argv[2:], posix.environ)
_, status, usage = posix.wait4(child, 0)
print("\\n", time.monotonic() - start, usage.ru_maxrss, posix.waitstatus_to_exitcode(status), file=sys.stderr)
"""


@dataclasses.dataclass
class Run:
    """What one run of a program came to."""

    seconds: float  # of the whole process
    peak: float  # resident MiB
    out: str
    marks: dict  # when the lines `bench: NAME` arrived on standard error, by name
    calls: int = 0  # tag calls that the endpoint answered
    throttled: int = 0  # tag calls that it refused
    inflight: int = 0  # the most tag calls at once
    reads: int = 0  # calls that read one profile

    def between(self, start, end):
        return self.marks[end] - self.marks[start]

    @property
    def failed(self):
        """Items that the program gave up, by its own account."""
        found = re.findall(r"^failed (\d+)$", self.out, re.MULTILINE)
        return int(found[-1]) if found else 0


def whole(run):
    """Seconds of the whole process."""
    return run.seconds


def tagging(run):
    """Seconds from just before the first tag call until just after the last."""
    return run.between("start", "end")


@dataclasses.dataclass
class Command:
    """A program with its arguments; `read` takes from a run the figure that counts, `home` is where a fresh state folder goes for each run."""

    argv: list
    read: typing.Callable = whole
    home: str | None = None


class Endpoint:
    """The fake endpoint on a port of its own; see `fake_iam.sh`."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        missing = [package for file, package in PACKAGES.items() if not os.path.exists(file)]
        if missing:
            sys.exit(f"The endpoint needs Debian's {' '.join(missing)}.")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def answers(self):
        try:
            self.get("/__count")
        except (urllib.error.URLError, OSError):
            return False
        return True

    @contextlib.contextmanager
    def serving(self, profiles, delay=0, bucket=()):
        """Answers inside the block: with that many profiles, a delay in milliseconds, and RATE, BURST, RATE2 and AT_SECONDS of a bucket."""
        if self.answers():
            sys.exit(f"Something answers on port {self.port} already: `{HERE}/fake_iam.sh stop {self.port}`, or choose another --port.")
        start = [HERE / "fake_iam.sh", "start", self.port, profiles, delay, *bucket]
        if subprocess.run([str(word) for word in start]).returncode != 0:
            sys.exit("The endpoint does not start.")
        try:
            for _ in range(100):
                if self.answers():
                    break
                time.sleep(0.05)
            else:
                sys.exit("The endpoint does not answer.")
            yield
        finally:
            subprocess.run([HERE / "fake_iam.sh", "stop", str(self.port)], check=True)

    def counts(self):
        """Calls since the last reset by action: answered, throttled, most in flight."""
        found = re.findall(r"^(\w+) ok (\d+) throttled (\d+) peak (\d+)$", self.get("/__count"), re.MULTILINE)
        return {action: tuple(map(int, numbers)) for action, *numbers in found}


class Runner:
    """Runs commands against an endpoint, in an environment that nothing of the user's own configuration reaches."""

    def __init__(self, endpoint, disk):
        self.endpoint = endpoint
        self.scratch = tempfile.mkdtemp(prefix="iamlua-bench.", dir=disk)
        self.folders = {"disk": self.scratch, "memory": "/dev/shm"}
        empty = os.path.join(self.scratch, "empty")
        pathlib.Path(empty).touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IAMLUA_"))}
        self.env = kept | {
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": empty,
            "AWS_SHARED_CREDENTIALS_FILE": empty,
            "XDG_CONFIG_HOME": os.path.join(self.scratch, "config"),
            "IAMLUA_HOME": os.path.join(self.scratch, "state"),
        }

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, command):
        """One measured run, with the endpoint's counters at zero and its bucket full at the start."""
        self.endpoint.get("/__reset")
        if not command.home:
            run = self._run(command.argv, self.env)
        else:
            with tempfile.TemporaryDirectory(prefix="iamlua-bench.", dir=self.folders[command.home]) as home:
                run = self._run(command.argv, self.env | {"IAMLUA_HOME": home})
        counts = self.endpoint.counts()
        run.calls, run.throttled, run.inflight = counts.get("TagInstanceProfile", (0, 0, 0))
        run.reads = counts.get("GetInstanceProfile", (0, 0, 0))[0]
        return run

    def _run(self, argv, env):
        marks, err = {}, []
        with tempfile.TemporaryFile() as out:
            start = [sys.executable, "-I", "-S", "-c", LAUNCHER, shutil.which(argv[0]), *argv]
            child = subprocess.Popen(start, env=env, cwd=self.scratch, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True)
            for line in child.stderr:
                now = time.monotonic()
                err.append(line)
                if mark := re.search(r"\bbench: (\w+)$", line.rstrip()):
                    marks[mark[1]] = now
            if child.wait() != 0:
                sys.exit(f"{argv[0]} does not start: {''.join(err)}")
            out.seek(0)
            seconds, peak, code = err.pop().split()
            run = Run(float(seconds), int(peak) / 1024, out.read().decode(), marks)
        # A job in which items failed ends with 1, and is a result like any other.
        if code != "0" and not (code == "1" and run.failed):
            sys.exit(f"{' '.join(argv)}\nended with {code}:\n{''.join(err[-20:])}{run.out[-2000:]}")
        return run


def check_disk(folder):
    """Refuses a memory file system where the disk is to be measured."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"{folder} is in memory ({kind}): name a folder on a disk with --disk.")


def iamluas(given):
    """Paths of the programs to measure by name: those given, else the one built here."""
    if not given:
        subprocess.run(["cargo", "build", "--quiet", "--profile", "dist"], check=True, cwd=ROOT)
        given = [str(ROOT / "target" / "dist" / "iamlua")]
    for path in given:
        if not os.access(path, os.X_OK):
            sys.exit(f"{path} is not a program.")
    paths = [str(pathlib.Path(path).resolve()) for path in given]
    return {"iamlua": paths[0]} if len(paths) == 1 else {f"iamlua {given[at]}": path for at, path in enumerate(paths)}


def peers():
    """Commands of the peers that are here, by name; each takes the job and its arguments. What is missing is said on standard error."""
    found, missing = {}, []
    if shutil.which("cargo"):
        target = os.environ.get("PEER_TARGET_DIR", str(ROOT / "target" / "peers"))
        manifest = HERE / "peers" / "rust" / "Cargo.toml"
        build = ["cargo", "build", "--quiet", "--release", "--manifest-path", manifest]
        subprocess.run(build, check=True, env=os.environ | {"CARGO_TARGET_DIR": target})
        found[SDK] = [os.path.join(os.path.abspath(target), "release", "limit")]
    else:
        missing.append(f"{SDK} (needs cargo)")
    if subprocess.run([sys.executable, "-c", "import boto3"], capture_output=True).returncode == 0:
        found["boto3"] = [sys.executable, str(HERE / "peers" / "boto.py")]
    else:
        missing.append(f"boto3 (not there for {sys.executable})")
    node = os.environ.get("NODE_PEER_DIR")
    if node and shutil.which("node"):
        shutil.copy(HERE / "peers" / "node.mjs", node)
        found["JS SDK v3"] = ["node", os.path.join(os.path.abspath(node), "node.mjs")]
    else:
        missing.append("JS SDK v3 (needs node, and NODE_PEER_DIR)")
    if not shutil.which("wrk"):
        missing.append("wrk, the floor of the rig")
    if missing:
        print("Not measured:", "; ".join(missing), file=sys.stderr)
    return found


WRK = """wrk.method = "POST"
wrk.body = "Action=TagInstanceProfile&Version=2010-05-08&InstanceProfileName=profile-0000001&Tags.member.1.Key=Owner&Tags.member.1.Value=ops"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""


def floor(runner, items, at_once):
    """How soon the endpoint itself would be through with the tag calls, if their client took no time: wrk's rate for two seconds."""
    script = pathlib.Path(runner.scratch, "tag.wrk.lua")
    script.write_text(WRK)
    argv = ["wrk", "--threads", "1", "--connections", str(at_once), "--duration", "2s", "--script", str(script), runner.endpoint.url]
    return Command(argv, lambda run: items / float(re.search(r"Requests/sec:\s*([\d.]+)", run.out)[1]))
