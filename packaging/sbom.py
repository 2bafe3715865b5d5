#!/usr/bin/env python3
"""Completes the bill of materials of cargo-cyclonedx, and prints it.

    packaging/sbom.py FILE TARGET

It adds what comes in no crate or inside of one: Lua, SQLite, musl, Rust's standard library. It
leaves out paths of this machine and what differs from build to build.
"""

import datetime
import json
import os
import re
import sys

import packages


def main():
    path, target = sys.argv[1:]
    text = open(path, encoding="utf-8").read()
    # References to the project itself begin with its folder.
    text = re.sub(r'path\+file://[^"#]*#(?:iamlua@)?', "iamlua@", text)
    text = re.sub(r"\?download_url=file:[^\"#]*", "", text)
    bom = json.loads(text)
    bom.pop("serialNumber", None)
    moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bom["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    linked = packages.linked(target)
    # Name, version, maker in CPE, licence, and the crate that compiles it.
    added = [
        ("lua", packages.lua(linked)[0], "lua:lua", "MIT", "lua-src"),
        ("sqlite", packages.sqlite(linked), "sqlite:sqlite", "blessing", "libsqlite3-sys"),
        ("musl", packages.musl(target), "musl-libc:musl", "MIT", None),
        ("rust-std", packages.rust(), "rust-lang:rust", "MIT", None),
    ]
    root = bom["metadata"]["component"]["bom-ref"]
    for name, version, cpe, license, crate in added:
        ref = f"{name}@{version}"
        bom["components"].append({
            "type": "library",
            "bom-ref": ref,
            "name": name,
            "version": version,
            "scope": "required",
            "licenses": [{"license": {"id": license}}],
            "cpe": f"cpe:2.3:a:{cpe}:{version}:*:*:*:*:*:*:*",
            "purl": f"pkg:generic/{ref}",
        })
        by = next((c["bom-ref"] for c in bom["components"] if c["name"] == crate), root)
        entry = next((d for d in bom["dependencies"] if d["ref"] == by), None)
        if entry is None:
            bom["dependencies"].append(entry := {"ref": by})
        entry.setdefault("dependsOn", []).append(ref)
        bom["dependencies"].append({"ref": ref})
    bom["components"].sort(key=lambda c: (c["name"], c["version"]))
    bom["dependencies"].sort(key=lambda d: d["ref"])
    json.dump(bom, sys.stdout, indent=2, sort_keys=True)
    print()


main()
