#!/usr/bin/env python3
"""Prints licences and notices of everything that is linked into the program.

    packaging/licenses.py TARGET
"""

import collections
import pathlib
import re
import sys

import packages

NAME = re.compile(r"(?i)^(unlicense|licen[cs]e|copying|copyright|notice)([-._].*)?$")


def main():
    linked = packages.linked(sys.argv[1])
    lua_version, lua_license = packages.lua(linked)
    users = collections.defaultdict(list)
    texts = {}
    print("iamlua contains the work of others, with these licences:\n")
    for package in linked:
        label = f"{package['name']} {package['version']}"
        # A crate in one file of a workspace can lack the text.
        license = package["license"] or "see its text below"
        print(f"  {label}: {license}  {package['repository'] or ''}".rstrip())
        for path in sorted(packages.folder(package).iterdir()):
            if path.is_file() and NAME.match(path.name) and not path.name.endswith(".rs"):
                text = path.read_text("utf-8", "replace").strip()
                key = " ".join(text.split())
                texts.setdefault(key, text)
                if label not in users[key]:
                    users[key].append(label)
    print(f"  Lua {lua_version}: MIT  https://www.lua.org")
    print(f"  SQLite {packages.sqlite(linked)}: public domain  https://www.sqlite.org")
    musl, rust = packages.musl(sys.argv[1]), packages.rust()
    print(f"  musl {musl}: MIT  https://musl.libc.org")
    print(f"  Rust's standard library {rust}: MIT OR Apache-2.0  https://www.rust-lang.org")
    mit = pathlib.Path("LICENSE-MIT").read_text().split("The iamlua authors\n\n", 1)[1].strip()
    for name, text in [
        (f"Lua {lua_version}", lua_license),
        (f"musl {musl}", f"Copyright © 2005-2020 Rich Felker, et al.\n\n{mit}"),
        (f"Rust {rust}", f"Copyright (c) The Rust Project Contributors\n\n{mit}"),
    ]:
        texts[name] = text
        users[name].append(name)
    for key, text in texts.items():
        print(f"\n{'-' * 80}\n{', '.join(users[key])}:\n\n{text}")


main()
