#!/usr/bin/env python3
"""How soon a script runs again after a save, and what a storm of files nobody asked for costs the watcher.

    cargo build --profile dist && python3 benches/watch.py [--iamlua PATH] [--files N]

From the moment before the save to the line that says why the script runs, with the default debounce of 50 ms: the median and the worst of
several tries, in milliseconds. A storm makes, writes and deletes files beside the script as fast as it can, then a thousand a second: the
watcher's processor time, as a share of one core for as long as the storm lasts, and its memory before and after. Needs nothing but Python.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRIES = 50
RUNBOOK = "print(require('value'))\n"


def in_place(path, text):
    path.write_text(text)


def rename(path, text):
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.rename(beside, path)


def delete_and_create(path, text):
    path.unlink()
    path.write_text(text)


def swap_link(path, text):
    target, link = path.with_suffix(f".{time.monotonic_ns()}"), path.with_suffix(".link")
    target.write_text(text)
    os.symlink(target, link)
    os.rename(link, path)


class Watcher:
    def __init__(self, program, folder):
        environment = {"IAMLUA_HOME": str(folder / "state"), "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [program, "watch", "a.lua"], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=1,
        )

    def until(self, what):
        """Milliseconds since 1970 of some start at which it says that."""
        for line in self.process.stderr:
            if what in line:
                return time.perf_counter()
        raise SystemExit(f"{what!r} was not said")

    def processor_time(self):
        """Seconds of processor time of all its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory(self, what):
        """MiB: VmRSS now, VmHWM at most so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"no {what}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def latencies(watcher, file):
    for style in (in_place, rename, delete_and_create, swap_link):
        took = []
        for n in range(TRIES):
            time.sleep(0.02)
            began = time.perf_counter()
            style(file, f"return '{style.__name__} {n}'\n")
            ended = watcher.until("value.lua changed")
            took.append((ended - began) * 1000)
            watcher.until("done in")
        name = style.__name__.replace("_", " ")
        print(f"| {name} | {statistics.median(took):.0f} ms | {max(took):.0f} ms |")


def storm(watcher, folder, files, a_second):
    time.sleep(0.5)
    before, memory, began = watcher.processor_time(), watcher.memory("VmRSS"), time.perf_counter()
    for n in range(files):
        path = folder / f"unrelated-{n}"
        path.write_text("x")
        path.unlink()
        if a_second:
            time.sleep(max(0.0, began + n / a_second - time.perf_counter()))
    lasted = time.perf_counter() - began
    time.sleep(0.5)
    used = watcher.processor_time() - before
    name = f"{a_second:,} a second" if a_second else "as fast as it can"
    after, most = watcher.memory("VmRSS"), watcher.memory("VmHWM")
    print(f"| {files:,} files, {name} | {lasted:.2f} s | {used * 1000:.0f} ms | {100 * used / lasted:.1f} % "
          f"| {memory:.1f} → {after:.1f} MiB (at most {most:.1f}) |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iamlua", default=str(ROOT / "target/dist/iamlua"))
    parser.add_argument("--files", type=int, default=10_000)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "a.lua").write_text(RUNBOOK)
        (folder / "value.lua").write_text("return 0\n")
        watcher = Watcher(args.iamlua, folder)
        watcher.until("done in")
        print("| save | median | worst |\n| --- | --- | --- |")
        latencies(watcher, folder / "value.lua")
        print("\n| storm | lasts | processor | of a core | memory |\n| --- | --- | --- | --- | --- |")
        storm(watcher, folder, args.files, None)
        storm(watcher, folder, args.files, 1000)
        storm(watcher, folder, args.files, None)
        watcher.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
