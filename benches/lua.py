#!/usr/bin/env python3
"""Small Lua programs, and the functions that iamlua replaces, beside the lua5.4 of the system.

    benches/lua.py                      # with the profile dist, which it builds
    benches/lua.py --iamlua PATH        # with a program that is built already
    benches/lua.py --only coroutine     # what has that word in its name
    benches/lua.py --rounds 9

Prints the processor time of each (median of the rounds, in which both take turns), their ratio, and
the time until `-e ''` has ended. It needs python3 and Debian's `lua5.4`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in (HERE / "lua").glob("*.lua"))

# Body of a loop, and how often it runs. `N` is the number of the round.
WRAPPERS = {
    "io.write, 1 argument": ("io.write('name\\n')", 2_000_000),
    "io.write, 4 arguments": ("io.write('name', '\\t', N, '\\n')", 1_000_000),
    "io.stdout:write": ("out:write('name', '\\n')", 1_000_000),
    "print": ("print('name', N)", 500_000),
    "io.lines": ("for _ in io.lines(FILE) do end", 20),
    "file:read": ("local f = io.open(FILE) while f:read() do end f:close()", 20),
    "coroutine.create": ("create(f)", 1_000_000),
    "coroutine.create, run": ("resume(create(f))", 500_000),
    "coroutine.wrap, run": ("wrap(f)()", 500_000),
    "coroutine.yield": ("generator()", 2_000_000),
    "coroutine.status": ("status(co)", 2_000_000),
    "coroutine.running": ("running()", 2_000_000),
    "setmetatable": ("setmetatable({}, meta)", 2_000_000),
    "pcall": ("pcall(f)", 2_000_000),
    "pcall, error": ("pcall(error, 'x')", 500_000),
    "xpcall": ("xpcall(f, handler)", 1_000_000),
    "load": ("load('return 1')", 200_000),
    "require": ("require 'string'", 1_000_000),
    "string.find": ("find(text, 'name', 1, true)", 2_000_000),
    "string.match": ("match(text, '(%w+)=(%w+)')", 1_000_000),
    "string.gsub": ("gsub(text, '%w+', 'x')", 500_000),
    "string.rep": ("rep('x', 10)", 2_000_000),
    "table.concat": ("concat(list, ',')", 300_000),
    "table.insert, remove": ("insert(list, 1) remove(list)", 1_000_000),
    "table.unpack": ("unpack(list)", 1_000_000),
    "os.time": ("os.time()", 1_000_000),
    "os.date": ("os.date('!%Y-%m-%d', 0)", 300_000),
    "tostring": ("tostring(N)", 1_000_000),
}

PRELUDE = """
local create, resume, wrap, yield, status, running = coroutine.create, coroutine.resume,
  coroutine.wrap, coroutine.yield, coroutine.status, coroutine.running
local find, match, gsub, rep = string.find, string.match, string.gsub, string.rep
local concat, insert, remove, unpack = table.concat, table.insert, table.remove, table.unpack
local function f() end
local function handler(e) return e end
local meta, out, text = { __index = f }, io.stdout, "tag=owner name=web-frontend"
local list = { "a", "b", "c", "d", "e", "f", "g", "h" }
local co = create(f)
local generator = wrap(function() while true do yield(1) end end)
local FILE = "LINES"
"""


def processor_time(command, cwd, home):
    """Processor time of a command in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != 0:
        raise SystemExit(f"{command}: {run.stderr.decode(errors='replace')}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iamlua", type=Path)
    parser.add_argument("--lua", default="lua5.4")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    iamlua = options.iamlua
    if iamlua is None:
        subprocess.run(["cargo", "build", "--profile", "dist"], cwd=HERE.parent, check=True)
        iamlua = HERE.parent / "target/dist/iamlua"
    iamlua = iamlua.resolve()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        home = folder / "home"
        home.mkdir()
        lines = folder / "lines.txt"
        lines.write_text("instance-profile/app/web-0\n" * 20_000)
        jobs = [(name, HERE / "lua" / f"{name}.lua") for name in PROGRAMS]
        for name, (body, count) in WRAPPERS.items():
            script = folder / f"{len(jobs)}.lua"
            loop = f"for N = 1, {count} do {body} end\n"
            script.write_text(PRELUDE.replace("LINES", str(lines)) + loop)
            jobs.append((name, script))
        empty = folder / "empty.lua"
        empty.write_text("")
        own = [str(iamlua), "run", f"--allow-read={folder}"]
        start = {
            "lua": statistics.median(
                processor_time([options.lua, empty], folder, home) for _ in range(21)
            ),
            "iamlua": statistics.median(
                processor_time(own + [empty], folder, home) for _ in range(21)
            ),
        }
        print(f"{'':24} {'lua5.4':>9} {'iamlua':>9} {'ratio':>6}")
        worst = ("", 0.0)
        for name, script in jobs:
            if options.only not in name:
                continue
            times = {"lua": [], "iamlua": []}
            for _ in range(options.rounds):
                times["lua"].append(processor_time([options.lua, script], folder, home))
                times["iamlua"].append(processor_time(own + [script], folder, home))
            lua, other = (
                max(statistics.median(times[who]) - start[who], 1e-4) for who in ("lua", "iamlua")
            )
            ratio = other / lua
            worst = max(worst, (name, ratio), key=lambda pair: pair[1])
            print(f"{name:24} {lua * 1e3:6.0f} ms {other * 1e3:6.0f} ms {ratio:6.2f}", flush=True)
        print(f"worst ratio: {worst[1]:.2f} ({worst[0]})")
        whole = []
        for _ in range(21):
            begin = time.monotonic()
            processor_time([str(iamlua), "-e", ""], folder, home)
            whole.append((time.monotonic() - begin) * 1e3)
        print(f"-e '': median {statistics.median(whole):.1f} ms, least {min(whole):.1f} ms")


if __name__ == "__main__":
    main()
