#!/usr/bin/env python3
"""How soon the prompt is there, and how long a key takes: on the example account and on one of 100,000 profiles.

    cargo build --profile dist && python3 benches/prompt.py [--iamlua PATH] [--profiles N]

Whole process at a pseudo-terminal, from the start to the first prompt, and from a key to the first byte that it draws; the median and the
worst of several tries, in milliseconds. Needs nothing but Python.
"""

import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRIES = 15
# What is typed, and the keys that are timed: where there is more than one possibility, the second Tab shows them.
KEYS = [
    ("", "x"),
    ("iam.pro", "\t"),
    ("iam.profiles.list { ", "\t\t"),
    ("iam.profiles.get('web-", "\t\t"),
    ("iam.profiles.get('app-05", "\t\t"),
    ("iam.profiles.get('app-050001", "\t"),
]


class Prompt:
    def __init__(self, program, home):
        environment = {"IAMLUA_HOME": str(home), "TERM": "xterm-256color", "PATH": os.environ["PATH"]}
        self.began = time.perf_counter()
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            os.execve(program, [program], environment)

    def until(self, what, patience=30):
        seen, end = b"", time.perf_counter() + patience
        while what not in seen:
            if not select.select([self.screen], [], [], end - time.perf_counter())[0]:
                raise SystemExit(f"{what} did not appear: {seen[-400:]}")
            seen += os.read(self.screen, 1 << 16)
        return (time.perf_counter() - self.began) * 1000

    def quiet(self):
        while select.select([self.screen], [], [], 0.1)[0]:
            os.read(self.screen, 1 << 16)

    def key(self, typed, keys):
        """Milliseconds from the keys to what they draw."""
        os.write(self.screen, typed.encode())
        self.quiet()
        began = time.perf_counter()
        os.write(self.screen, keys.encode())
        drawn = bool(select.select([self.screen], [], [], 1)[0])
        took = (time.perf_counter() - began) * 1000
        self.quiet()
        # The answer to a question, if there was one.
        os.write(self.screen, b"n")
        self.quiet()
        os.write(self.screen, b"\x03")
        self.quiet()
        return took if drawn else None

    def memory(self):
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return "?"
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return f"{int(line.split()[1]) / 1024:.1f} MiB"

    def leave(self):
        os.write(self.screen, b"\x04")
        try:
            while os.read(self.screen, 1 << 16):
                pass
        except OSError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.screen)


def account(program, home, profiles):
    """An account of that size; the example account for none."""
    environment = {"IAMLUA_HOME": str(home), "PATH": os.environ["PATH"]}
    run = lambda *args: subprocess.run([program, *args], env=environment, check=True, capture_output=True)
    example = json.loads(run("account", "export").stdout)
    if profiles:
        made = lambda i: {"name": f"app-{i:06d}-profile", "path": f"/p{i % 50}/", "create_date": "2024-01-01T00:00:00Z"}
        example["profiles"] = [made(i) for i in range(profiles)]
        example["account"]["quotas"]["profiles"] = max(1000, profiles)
        file = home / "account.json"
        file.write_text(json.dumps(example))
        run("account", "import", str(file))


def shown(figures):
    return f"{statistics.median(figures):7.2f} {max(figures):7.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iamlua", default=str(ROOT / "target/dist/iamlua"))
    parser.add_argument("--profiles", type=int, default=100_000)
    given = parser.parse_args()
    print(f"{'':50} median   worst  (ms)")
    for profiles in (0, given.profiles):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            account(given.iamlua, home, profiles)
            name = f"{profiles:,} profiles" if profiles else "example account"
            first = []
            for _ in range(TRIES):
                prompt = Prompt(given.iamlua, home)
                first.append(prompt.until(b"> "))
                prompt.leave()
            print(f"{name + ': first prompt':50}{shown(first)}")
            prompt = Prompt(given.iamlua, home)
            prompt.until(b"> ")
            # The names are read by then.
            time.sleep(2 + profiles / 50_000)
            for typed, keys in KEYS:
                took = [prompt.key(typed, keys) for _ in range(TRIES)]
                took = [one for one in took if one is not None]
                what = f"{name}: {typed + keys!r}"
                print(f"{what:50}{shown(took) if took else '  draws nothing'}")
            print(f"{name + ': memory':50}{prompt.memory():>10}")
            prompt.leave()


if __name__ == "__main__":
    main()
