#!/usr/bin/env python3
"""Runs the tests of well-known Lua libraries by iamlua, beside the lua5.4 of the system.

    tests/clients/lua_libraries.py FOLDER [IAMLUA]

FOLDER holds check-outs of luaunit, Penlight, serpent, argparse, middleclass and inspect.lua, each
in a folder of that name; they are not part of this repository. What lua5.4 fails as well says
nothing. What iamlua alone fails must be in EXPECTED, with the reason. Specs for busted, which needs
C, run on a small stand-in for it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

LFS = """
package.preload.lfs = function()
  local function none() return nil, "not available" end
  local lfs = { currentdir = function() return "." end }
  return setmetatable(lfs, { __index = function() return none end })
end
"""

BUSTED = r"""
local befores, failures, count = {}, {}, 0
local function equal(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  seen = seen or {}
  if seen[a] == b then return true end
  seen[a] = b
  for k, v in pairs(a) do if not equal(v, b[k], seen) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end
local function show(v) return type(v) == "string" and string.format("%q", v) or tostring(v) end
local function check(ok, ...) if not ok then error(table.concat({ ... }, " "), 3) end end
local function raises(f, expected)
  local ok, why = pcall(f)
  check(not ok, "no error was raised")
  if type(why) == "table" and why.message then why = why.message end
  if type(expected) == "string" then
    local text = tostring(why):gsub("^[^:]*:%d+: ", "")
    check(text == expected or why == expected, show(why), "is not", show(expected))
  end
end
local assertions
assertions = {
  equal = function(a, b) check(a == b, show(a), "is not", show(b)) end,
  same = function(a, b) check(equal(a, b), show(a), "differs from", show(b)) end,
  is_true = function(v) check(v == true, show(v), "is not true") end,
  is_false = function(v) check(v == false, show(v), "is not false") end,
  is_nil = function(v) check(v == nil, show(v), "is not nil") end,
  is_falsy = function(v) check(not v, show(v), "is truthy") end,
  not_table = function(v) check(type(v) ~= "table", "it is a table") end,
  error = raises,
  has_error = raises,
  error_matches = function(f, pattern)
    local ok, why = pcall(f)
    check(not ok and tostring(why):find(pattern), "no such error")
  end,
}
assertions.equals, assertions.are, assertions.True = assertions.equal, assertions, assertions.is_true
assertions.is, assertions.has = assertions, assertions
local plain = assert
assert = setmetatable(assertions, { __call = function(_, ...) return plain(...) end })
function describe(_, f)
  local depth = #befores
  f()
  while #befores > depth do table.remove(befores) end
end
context = describe
function before_each(f) befores[#befores + 1] = f end
setup = before_each
function it(name, f)
  count = count + 1
  for _, before in ipairs(befores) do before() end
  local ok, why = pcall(f)
  if not ok then
    why = type(why) == "table" and why.message or why
    failures[#failures + 1] = name .. ": " .. tostring(why)
  end
end
function finish()
  for _, failure in ipairs(failures) do io.stderr:write(failure, "\n") end
  print(count .. " tests, " .. #failures .. " failures")
  os.exit(#failures == 0 and 0 or 1)
end
"""

# Library, glob of its tests, folders of its modules below the library.
LIBRARIES = [
    ("luaunit", "run_unit_tests.lua", ["."]),
    ("serpent", "t/test.lua", ["src"]),
    ("Penlight", "tests/test-*.lua", ["lua", "tests/lua"]),
    ("argparse", "spec/*_spec.lua", ["src"]),
    ("middleclass", "spec/*_spec.lua", ["."]),
    ("inspect.lua", "spec/*_spec.lua", ["."]),
]

ENV = "getfenv and setfenv of Penlight need debug.getupvalue"
TEMPORARY = "os.tmpname is not available"
PROGRAM = "it runs another Lua by os.execute"
EXPECTED = {
    "serpent/t/test.lua": "it writes functions by string.dump",
    "luaunit/run_unit_tests.lua": "one of its 214 tests looks at the words of a refused io.open",
    "Penlight/tests/test-__vector.lua": ENV,
    "Penlight/tests/test-class.lua": ENV,
    "Penlight/tests/test-class2.lua": ENV,
    "Penlight/tests/test-comprehension.lua": ENV,
    "Penlight/tests/test-pretty.lua": "its paranoid mode counts instructions by debug.sethook",
    "Penlight/tests/test-strict.lua": "it changes the metatables of all global tables",
    "Penlight/tests/test-utils2.lua": TEMPORARY,
    "Penlight/tests/test-utils3.lua": PROGRAM,
    "Penlight/tests/test-xml.lua": TEMPORARY,
}


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    iamlua = Path(sys.argv[2] if len(sys.argv) > 2 else "target/debug/iamlua").resolve()
    passed, unexpected = 0, 0
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": os.environ["PATH"]}
        for library, glob, modules in LIBRARIES:
            root = folder / library
            if not root.is_dir():
                raise SystemExit(f"{root} is missing: check the library out there")
            for test in sorted(root.glob(glob)):
                name = f"{library}/{test.relative_to(root)}"
                is_spec = test.name.endswith("_spec.lua")
                path = ";".join(f"./{m}/?.lua;./{m}/?/init.lua" for m in modules)
                runner = root / "iamlua_runner.lua"
                runner.write_text(
                    f'package.path = "{path};" .. package.path\n{LFS}'
                    + (BUSTED if is_spec else "")
                    + f"arg[0] = {str(test.relative_to(root))!r}\n"
                    + "local file = assert(io.open(arg[0]))\n"
                    + 'local source = file:read("a"):gsub("^#[^\\n]*", "")\n'
                    + "file:close()\n"
                    + 'assert(load(source, "@" .. arg[0]))()\n'
                    + ("finish()\n" if is_spec else "")
                )
                allow = [f"--allow-read={root}", "--allow-write=/tmp", "--allow-env"]
                runs = [
                    subprocess.run(
                        command,
                        cwd=root,
                        env=env,
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        timeout=120,
                    )
                    for command in (
                        ["lua5.4", runner.name],
                        [iamlua, "run", runner.name, *allow],
                    )
                ]
                runner.unlink()
                lua, own = (run.returncode for run in runs)
                if own == 0:
                    passed += 1
                elif lua != 0:
                    print(f"{name}: fails on lua5.4 too")
                elif name in EXPECTED:
                    print(f"{name}: {EXPECTED[name]}")
                else:
                    unexpected += 1
                    text = (runs[1].stderr + runs[1].stdout).decode(errors="replace")
                    print(f"{name}: FAILED\n{text[-1000:]}")
    print(f"{passed} passed, {unexpected} failed")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
