#!/usr/bin/env python3
"""Runs the same jobs with iamlua and every peer that is installed, against a fast fake endpoint, and prints medians, ratios and ideals.

    benches/compare.py [--only GROUP]… [--runs N] [--quick]

Needs python3 and Debian's nginx, libnginx-mod-http-lua, lua-resty-core and lua-resty-lrucache. Peers: the bare Rust SDK (built here when
cargo is there; it is what the ratios are taken against), boto3 and the AWS SDK for JavaScript v3 where they are installed; wrk, where it is
installed, shows what the endpoint itself takes. Each job's commands alternate, so that a noisy machine is noisy for all of them.
What the jobs are: benches/README.md.
"""

import argparse
import dataclasses
import pathlib
import shutil
import sys
import typing
from statistics import median

import rig
from rig import SDK, Command, tagging, whole

AT_ONCE = 16
BUCKETS = {(5, 10): 300, (50, 100): 1_000, (200, 400): 2_000}  # calls a second and burst: items
TURNS = {"halves": (100, 50), "doubles": (50, 100)}
TURN_BURST = 100

ONE = "for _, p in ipairs(iam.profiles.list { max_items = 100 }) do print(p.name) end"
LIST = "local n = 0 for p in iam.profiles.each {} do n = n + #p.name end print(n)"
STREAM = "print(bulk.each(iam.profiles.each {}, {}, function(profile) end).ok)"

# The profiles are listed with their tags first, so that what is there before each change is known; that part is not timed.
TAG = """
local names = {}
for profile in iam.profiles.each { with_tags = true } do names[#names + 1] = profile.name end
log.info("bench: start")
local done = bulk.each(names, { %slabel = "tag", on_error = "continue" }, function(name)
  iam.profiles.tag(name, { Owner = "ops" })
end)
log.info("bench: end")
print("failed " .. done.failed)
"""

OVERHEAD = """
local count = %d
local function numbers()
  local at = 0
  return function() if at < count then at = at + 1 return at end end
end
local array = {}
for number in numbers() do array[number] = number end
log.info("bench: loop")
%s
log.info("bench: start")
print(bulk.each(%s, {}, function(number) end).ok)
log.info("bench: end")
"""
SOURCES = {"an array": ("for _, number in ipairs(array) do end", "array"), "an iterator": ("for number in numbers() do end", "numbers()")}


@dataclasses.dataclass
class Job:
    """One comparison: its commands take turns, in front of one endpoint."""

    name: str
    commands: dict  # by who runs it
    endpoint: tuple  # what `Endpoint.serving` takes
    runs: int
    items: int
    ideal: float | None = None
    unit: str = "s"
    warm: bool = False  # whether each command runs once before it counts
    expect: typing.Callable = lambda run: True  # whether a run did the job


@dataclasses.dataclass
class Bench:
    """What the jobs are made of."""

    runner: rig.Runner
    iamluas: dict
    peers: dict
    options: argparse.Namespace

    def size(self, full, quick):
        return quick if self.options.quick else full

    def lua(self, script, *flags, **more):
        """The script for every iamlua."""
        return {who: Command([path, "--aws", *flags, "-e", script], **more) for who, path in self.iamluas.items()}

    def tag(self, note, concurrency=None, home="disk"):
        """Tagging by every iamlua; without a concurrency it finds one itself."""
        script = TAG % (f"concurrency = {concurrency}, " if concurrency else "")
        return {who + note: command for who, command in self.lua(script, "--apply", read=tagging, home=home).items()}

    def floor(self, items, at_once):
        return {"wrk (floor of the rig)": rig.floor(self.runner, items, at_once)} if shutil.which("wrk") else {}


def one(bench):
    """One page of 100 profiles, the whole process."""
    commands = bench.lua(ONE) | {who: Command([*peer, "one"]) for who, peer in bench.peers.items()}
    names = "".join(f"profile-{number:07d}\n" for number in range(1, 101))
    yield Job("one page of 100, whole process", commands, (100_000,), 15, 100, warm=True, expect=lambda run: run.out == names)


def listing(bench):
    """All profiles of accounts of three sizes, the whole process."""
    for count, runs in ((10_000, 7), (100_000, 5), (1_000_000, 3)):
        if count <= bench.size(1_000_000, 100_000):
            commands = bench.lua(LIST)
            # The others would take minutes for a million.
            commands |= {who: Command([*peer, "list"]) for who, peer in bench.peers.items() if count < 1_000_000 or who == SDK}
            length = str(count * len("profile-0000001"))
            yield Job(f"list {count:,} profiles", commands, (count,), runs, count, warm=True, expect=lambda run, n=length: run.out.strip() == n)


def tag(bench):
    """Tagging with a delay, 16 at once: the journal on the disk and in memory, the peers without one."""
    count, delay = bench.size(2_000, 500), bench.options.delay
    commands = bench.tag(", journal on disk", AT_ONCE) | bench.tag(", journal in memory", AT_ONCE, "memory")
    commands |= {who: Command([*peer, "tag", str(count), str(AT_ONCE)], tagging) for who, peer in bench.peers.items()}
    commands |= bench.floor(count, AT_ONCE)
    ideal = count / AT_ONCE * delay / 1000
    yield Job(f"tag {count:,}, {delay} ms, {AT_ONCE} at once", commands, (count, delay), 5, count, ideal)


def sweep(bench):
    """The same at other concurrencies, and at the one that iamlua finds itself."""
    delay = bench.options.delay
    most = bench.size(4_000, 2_000)  # iamlua keeps about 4,000 profiles in mind, and would read others again before it tags them
    for at_once in bench.size([1, 2, 4, 8, 16, 32, 64, 128, 256], [1, 16, 256]):
        count = min(bench.size(100, 50) * at_once, most)
        commands = bench.tag("", at_once)
        commands |= {who: Command([*peer, "tag", str(count), str(at_once)], tagging) for who, peer in bench.peers.items() if who == SDK}
        commands |= bench.floor(count, at_once)
        ideal = count / at_once * delay / 1000
        yield Job(f"tag {count:,}, {delay} ms, {at_once} at once", commands, (count, delay), 3, count, ideal)
    for count in (most // 2, most):
        yield Job(f"tag {count:,}, {delay} ms, automatic", bench.tag(""), (count, delay), 3, count)


def under_bucket(bench, count):
    """Commands that tag under a token bucket: iamlua's own concurrency and 16, the peers' ways to retry."""
    commands = bench.tag(", automatic") | bench.tag(f", {AT_ONCE} at once", AT_ONCE)
    for mode in ("standard", "adaptive"):
        commands |= {f"{who}, {mode}": Command([*peer, "tag", str(count), str(AT_ONCE), mode], tagging) for who, peer in bench.peers.items()}
    return commands


def ideal_seconds(calls, rate, burst, rate2=None, at=0):
    """When a token bucket that is full at the start has let all calls through, at `rate` until `at` seconds and then at `rate2`."""
    left = max(0, calls - burst)
    if rate2 is None or left <= rate * at:
        return left / rate
    return at + (left - rate * at) / rate2


def buckets(bench):
    """Tagging under three token buckets."""
    delay = bench.options.bucket_delay
    for (rate, burst), count in BUCKETS.items():
        count = bench.size(count, burst + 5 * rate)
        if rate == 5:
            count = bench.options.slow_items or count
        name = f"tag {count:,}, bucket {rate}/s + {burst}" + (f", {delay} ms" if delay else "")
        runs = 1 if rate == 5 else 3
        yield Job(name, under_bucket(bench, count), (count, delay, (rate, burst)), runs, count, ideal_seconds(count, rate, burst))


def turns(bench):
    """Tagging while the rate that the account allows halves or doubles."""
    delay, at = bench.options.bucket_delay, bench.size(10, 3)
    for what, (rate, rate2) in TURNS.items():
        count = TURN_BURST + (rate + rate2) * at
        name = f"tag {count:,}, rate {what}: {rate} → {rate2}/s" + (f", {delay} ms" if delay else "")
        ideal = ideal_seconds(count, rate, TURN_BURST, rate2, at)
        yield Job(name, under_bucket(bench, count), (count, delay, (rate, TURN_BURST, rate2, at)), 3, count, ideal)


def overhead(bench):
    """What `bulk.each` adds to an item: around an empty function, less an empty loop over the same source."""
    count = bench.size(1_000_000, 100_000)

    def nanoseconds(run):
        return (run.between("start", "end") - run.between("loop", "start")) / count * 1e9

    for source, (loop, argument) in SOURCES.items():
        commands = bench.lua(OVERHEAD % (count, loop, argument), read=nanoseconds)
        yield Job(f"bulk.each, per item of {source}", commands, (1,), 5, count, unit="ns", expect=lambda run: run.out.strip() == str(count))


def stream(bench):
    """Profiles streamed from a listing through `bulk.each` with an empty function."""
    for count in (100_000, bench.size(1_000_000, 200_000)):
        commands = bench.lua(STREAM)
        yield Job(f"stream {count:,} through bulk.each", commands, (count,), 3, count, warm=True, expect=lambda run, n=count: run.out.strip() == str(n))


GROUPS = {
    "one": one,
    "list": listing,
    "tag": tag,
    "sweep": sweep,
    "bucket": buckets,
    "turn": turns,
    "overhead": overhead,
    "stream": stream,
}

COLUMNS = [("job", 44), ("who", 28), ("median", 10), ("min", 9), ("max", 9), ("whole", 9), ("MiB", 8), ("items/s", 9), ("x SDK", 7), ("x ideal", 8)]
COLUMNS += [("failed", 7), ("throttled", 10), ("share", 7), ("at once", 8)]


def line(cells):
    """One line of the table: the first two columns to the left, the others to the right."""
    texts = [f"{cell:<{width}}" if at < 2 else f"{cell:>{width}}" for at, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))]
    return "".join(texts).rstrip()


def figure(value, unit):
    return f"{value:.0f} ns" if unit == "ns" else f"{value:.3f} s"


def row(job, who, runs, base):
    """The medians of one command; `base` is the bare SDK's time, `whole` the time of the whole process where it is not what counts."""
    read = job.commands[who].read
    times = [read(run) for run in runs]
    time = median(times)
    cells = [job.name, who, figure(time, job.unit), *(figure(value, job.unit) for value in (min(times), max(times)))]
    tags = read is tagging
    cells.append(f"{median(run.seconds for run in runs):.3f} s" if tags else "")
    cells.append(f"{max(run.peak for run in runs):.1f}" if read in (whole, tagging) else "")
    cells.append(f"{job.items / time:,.0f}" if job.unit == "s" else "")
    cells.append(f"{time / base:.2f}" if base else "")
    cells.append(f"{time / job.ideal:.3f}" if job.ideal else "")
    if tags:
        refused = median(run.throttled for run in runs)
        share = median(run.throttled / max(1, run.calls + run.throttled) for run in runs)
        cells += [f"{median(run.failed for run in runs):.0f}", f"{refused:.0f}", f"{share:.1%}"]
        # Without a delay the endpoint answers each call before it takes the next.
        cells.append(f"{median(run.inflight for run in runs):.0f}" if job.endpoint[1] else "")
    return cells + [""] * (len(COLUMNS) - len(cells))


def check(job, who, run):
    """Stops where a run did something else than the job: then its time says nothing."""
    done = job.expect(run)
    if job.commands[who].read is tagging:
        done = run.calls == job.items - run.failed
        if run.reads:
            print(f"{job.name}: {who} read {run.reads:,} profiles again before it tagged them; the ideal has no such calls", file=sys.stderr)
    if not done:
        sys.exit(f"{job.name}: {who} did not do it: {run.out[:200]!r}, {run.calls} tag calls answered")


def measure(bench, job):
    """All runs of a job, by who ran it."""
    runs = {who: [] for who in job.commands}
    rounds = bench.options.runs or bench.size(job.runs, 1)
    with bench.runner.endpoint.serving(*job.endpoint):
        for at in range(-1 if job.warm else 0, rounds):
            for who, command in job.commands.items():
                run = bench.runner.run(command)
                check(job, who, run)
                if at >= 0:
                    runs[who].append(run)
    return runs


def report(job, runs):
    """The job's lines of the table."""
    base = median(job.commands[SDK].read(run) for run in runs[SDK]) if SDK in runs else None
    for who in runs:
        print(line(row(job, who, runs[who], base)), flush=True)


def growth(small, large):
    """How much longer the larger of two jobs takes, and how much more memory; both are a job and its runs."""
    (small, before), (large, after) = small, large
    for who in large.commands:
        longer = median(run.seconds for run in after[who]) / median(run.seconds for run in before[who])
        bigger = max(run.peak for run in after[who]) / max(run.peak for run in before[who])
        print(f"{large.name}, {who}: {longer:.2f} times as long as {small.items:,} (linear: {large.items / small.items:.0f}), {bigger:.2f} times the memory")


def arguments():
    options = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="groups: " + " ".join(f"{name}: {make.__doc__}" for name, make in GROUPS.items()),
    )
    options.add_argument("--only", action="append", metavar="GROUP", choices=GROUPS, help=f"only these: {', '.join(GROUPS)}")
    options.add_argument("--job", default="", metavar="WORD", help="only jobs whose name contains this")
    options.add_argument("--who", action="append", default=[], metavar="WORD", help="only commands whose name contains one of these words")
    options.add_argument("--runs", type=int, help="rounds of each job; without it 1 to 15, by how long they take")
    options.add_argument("--quick", action="store_true", help="smaller jobs, one round: to see that all works")
    options.add_argument("--delay", type=int, default=20, metavar="MS", help="of the groups tag and sweep (default 20)")
    options.add_argument("--bucket-delay", type=int, default=0, metavar="MS", help="of the groups bucket and turn (default 0)")
    options.add_argument("--slow-items", type=int, metavar="N", help=f"items under the bucket of 5/s (default {BUCKETS[5, 10]})")
    options.add_argument("--iamlua", action="append", default=[], metavar="PATH", help="measure this program instead of a build; several stand beside each other")
    options.add_argument("--disk", default=pathlib.Path.home(), metavar="DIR", help="where the journal is on a disk (default: the home folder)")
    options.add_argument("--port", type=int, default=7102)
    return options.parse_args()


def compare(bench):
    """Measures what the options choose, and prints each job as soon as it is done."""
    options = bench.options
    print(line([name for name, _ in COLUMNS]), flush=True)
    notes = []
    for group in options.only or GROUPS:
        done = []
        for job in GROUPS[group](bench):
            job.commands = {who: command for who, command in job.commands.items() if not options.who or any(word in who for word in options.who)}
            if job.commands and options.job in job.name:
                done.append((job, measure(bench, job)))
                report(*done[-1])
        if group in ("list", "stream") and len(done) > 1:
            notes.append(done[-2:])
    for small, large in notes:
        growth(small, large)


def main():
    options = arguments()
    rig.check_disk(options.disk)
    runner = rig.Runner(rig.Endpoint(options.port), options.disk)
    try:
        compare(Bench(runner, rig.iamluas(options.iamlua), rig.peers(), options))
    finally:
        runner.close()


if __name__ == "__main__":
    main()
