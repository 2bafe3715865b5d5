#!/usr/bin/env python3
"""Runs the official tests of Lua 5.4.8 by iamlua: `tests/clients/lua_suite.py FOLDER [IAMLUA]`.

FOLDER holds the unpacked tests (`lua-5.4.8-tests.tar.gz` of lua.org, or `testes/` of Lua's
repository at the tag v5.4.8); they are not part of this repository. What the sandbox removes on
purpose is cut out of a copy: each cut is named below, with its reason. A cut that no longer fits
its file is an error, and so is a file that fails.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = """strings tpack math sort vararg pm code big utf8 closure goto constructs literals bitwise
events nextvar locals coroutine calls errors cstack gengc api heavy verybig""".split()

# Reasons of cuts.
UPVALUES = "debug.upvalueid and debug.upvaluejoin reach into other functions"
LOCALS = "debug.getlocal, setlocal, getupvalue and setupvalue reach into other functions"
HOOKS = "debug.sethook could keep a script from being stopped"
BYTECODE = "string.dump and bytecode can break the VM"
FINALIZERS = "finalizers (__gc) run where a script cannot be stopped"
METATABLES = "metatables of basic types are shared with the program"

# File, first line of the cut, last line of the cut (both part of it), text instead, reason. Lines
# are compared without leading and trailing blanks, a last line behind "^" with the leading ones; ""
# is the same line as the first.
CUTS = [    (
        "closure",
        "assert(debug.upvalueid(foo1, 1))",
        "assert(not pcall(debug.upvaluejoin, foo1, 1, print, 1))",
        "",
        UPVALUES,
    ),
    ("goto", "assert(debug.upvalueid(a[1], 1) == debug.upvalueid(a[i], 1))", "", "", UPVALUES),
    (
        "goto",
        "assert(debug.upvalueid(a[1], 2) ~= debug.upvalueid(a[i], 2))",
        "assert(debug.upvalueid(a[1], 3) ~= debug.upvalueid(a[i], 3))",
        "",
        UPVALUES,
    ),
    (
        "goto",
        "assert(debug.upvalueid(a[i], 2) == debug.upvalueid(a[i - 1], 2))",
        "assert(debug.upvalueid(a[i], 3) ~= debug.upvalueid(a[i + 1], 3))",
        "",
        UPVALUES,
    ),
    ("goto", "assert(debug.upvalueid(a[1], 4) == debug.upvalueid(a[i], 4))", "", "", UPVALUES),
    (
        "goto",
        "assert((debug.upvalueid(a[i], 4) == debug.upvalueid(a[j], 4))",
        "== (i == j))",
        "",
        UPVALUES,
    ),
    ("bitwise", 'require "bwcoercion"', "", "", METATABLES),
    (
        "bitwise",
        'a = 0xF0.0; b = 0xCC.0; c = "0xAA.0"; d = "0xFD.0"',
        "assert(a | b ~ c & d == 0xF4)",
        "",
        METATABLES,
    ),
    ("bitwise", "-- coercion from strings to integers", "^end", "", METATABLES),
    (
        "events",
        "mt = {__index = function (a,b) return a+b end,",
        "debug.setmetatable(nil, {})",
        "",
        METATABLES,
    ),
    (
        "locals",
        "local a,b = debug.getupvalue(f, 1)",
        "return b",
        "return f == c and {} or _G",
        LOCALS,
    ),
    ("locals", "assert(getenv(f) == c)", "", "", LOCALS),
    ("locals", "do   -- '__close' vs. return hooks in Lua functions", "^end", "", HOOKS),
    ("locals", "assert(getenv(foo) == mt)", "", "", LOCALS),
    ("coroutine", "debug.setupvalue(f, 1, g)", "assert(g.k.AAA == 11)", "", LOCALS),
    ("coroutine", "do   -- testing single trace of coroutines", "^end", "", HOOKS),
    (
        "calls",
        'f = load(string.dump(function () return 1 end), nil, "b", {})',
        'assert(type(f) == "function" and f() == 1)',
        "",
        BYTECODE,
    ),
    (
        "calls",
        "do   -- another bug (in 5.4.0)",
        "assert(not pcall(string.dump, print))  -- no dump of C functions",
        "",
        BYTECODE,
    ),
    ("calls", "local d = string.dump(h)", "assert(x() == 123)", "", BYTECODE),
    ("calls", "x = string.dump(a)", "assert(a()(2)(3)(10) == 15)", "", BYTECODE),
    ("calls", "x = load(string.dump(function (x)", "assert(x() == 24)", "", BYTECODE),
    (
        "calls",
        "f = load(string.dump(f))   -- main chunk now has many upvalues",
        "assert(f() == 10 * nup)",
        "",
        BYTECODE,
    ),
    ("calls", 'print("testing binary chunks")', "^end", "", BYTECODE),
    ("errors", "_G.D = debug", "_G.D = nil", "", UPVALUES),
    (
        "errors",
        "f = assert(load(string.dump(f, true)))",
        'checkerr("^%?:%-1:.*table value", f)',
        "",
        BYTECODE,
    ),
    ("errors", 'checkmessage("getmetatable(io.stdin).__gc()", "no value")', "", "", METATABLES),
    (
        "gengc",
        "setmetatable(getmetatable(old), {__gc = foo})  -- get it out of allgc list",
        "",
        "",
        FINALIZERS,
    ),
    (
        "gengc",
        'setmetatable(obj, {__gc = gcf, x = "+"})   -- create its metatable',
        "",
        "",
        FINALIZERS,
    ),
    ("tracegc", "setmetatable({}, mt)    -- create initial object", "", "", FINALIZERS),
]


def cut(name, text, cuts):
    """Text of a test file without the cuts."""
    lines = text.split("\n")
    for first, last, instead, _ in cuts:
        starts = [n for n, line in enumerate(lines) if line.strip() == first]
        if not starts:
            raise SystemExit(f"{name}.lua has no line {first!r}: are these the tests of 5.4.8?")
        start = starts[0]
        end = start
        if last:
            exact = last.startswith("^")
            ends = [
                n
                for n in range(start, len(lines))
                if (lines[n].rstrip() == last[1:] if exact else lines[n].strip() == last)
            ]
            if not ends:
                raise SystemExit(f"{name}.lua has no line {last!r} after {first!r}")
            end = ends[0]
        # Lines keep their numbers, which some tests look at.
        lines[start : end + 1] = [instead] + [""] * (end - start)
    return "\n".join(lines)


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    suite = Path(sys.argv[1])
    iamlua = Path(sys.argv[2] if len(sys.argv) > 2 else "target/debug/iamlua").resolve()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        home = folder / "home"
        home.mkdir()
        for path in suite.glob("*.lua"):
            cuts = [entry[1:] for entry in CUTS if entry[0] == path.stem]
            text = path.read_text(encoding="latin-1")
            (folder / path.name).write_text(cut(path.stem, text, cuts), encoding="latin-1")
        for name in FILES:
            main = folder / f"run_{name}.lua"
            text = (folder / f"{name}.lua").read_text(encoding="latin-1")
            text = re.sub(r"^#.*", "", text)
            # As `lua -e "_U=true"` sets them for the suite: portable, without long tests.
            settings = "_soft = true; _port = true; _nomsg = true; "
            main.write_text(settings + text, encoding="latin-1")
            begin = time.monotonic()
            run = subprocess.run(
                [iamlua, "run", main.name],
                cwd=folder,
                env={"HOME": str(home), "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=600,
            )
            seconds = time.monotonic() - begin
            count = sum(1 for entry in CUTS if entry[0] == name)
            verdict = "passed" if run.returncode == 0 else f"FAILED ({run.returncode})"
            print(f"{name:12} {verdict:12} {count:2} cuts {seconds:6.1f} s", flush=True)
            if run.returncode != 0:
                failed += 1
                sys.stdout.write(run.stderr.decode(errors="replace")[-1500:])
    print(f"{len(FILES) - failed} passed, {failed} failed")
    for entry in CUTS:
        print(f"  cut {entry[0]}.lua at {entry[1]!r}: {entry[4]}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
