"""What a build for a target consists of, by `cargo metadata`."""

import json
import pathlib
import re
import subprocess

# Crates of the build that bring C code for the program.
C_CODE = {"lua-src"}


def linked(target):
    """Packages whose code is in the program, sorted: without macros and tools of the build."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    data = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    is_macro = {
        name: any("proc-macro" in kind["kind"] for kind in package["targets"])
        for name, package in packages.items()
    }
    found, todo = set(), [data["resolve"]["root"]]
    while todo:
        name = todo.pop()
        if name in found or is_macro[name]:
            continue
        found.add(name)
        for dependency in nodes[name]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            brings_code = packages[dependency["pkg"]]["name"] in C_CODE
            if None in kinds or ("build" in kinds and brings_code):
                todo.append(dependency["pkg"])
    # The first one is the project.
    found.remove(data["resolve"]["root"])
    return sorted((packages[name] for name in found), key=lambda p: (p["name"], p["version"]))


def folder(package):
    """Folder of a package's source."""
    return pathlib.Path(package["manifest_path"]).parent


def lua(packages):
    """Version of the Lua inside, and its licence."""
    source = folder(next(package for package in packages if package["name"] == "lua-src"))
    header = (next(source.glob("lua-5.4*")) / "lua.h").read_text("latin-1")
    number = {
        name: re.search(rf"#define LUA_VERSION_{name}\s+\"?(\d+)", header).group(1)
        for name in ("MAJOR", "MINOR", "RELEASE")
    }
    license = re.search(r"/\*{20,}\s*\n(\* Copyright \(C\).*?)\n\*{20,}/", header, re.DOTALL).group(1)
    license = re.sub(r"(?m)^\* ?", "", license)
    return f"{number['MAJOR']}.{number['MINOR']}.{number['RELEASE']}", license


def sqlite(packages):
    """Version of the SQLite inside."""
    source = folder(next(package for package in packages if package["name"] == "libsqlite3-sys"))
    header = (source / "sqlite3" / "sqlite3.h").read_text()
    return re.search(r'#define SQLITE_VERSION\s+"([\d.]+)"', header).group(1)


def musl(target):
    """Version of the C library inside, which comes with Rust's standard library."""
    command = ["rustc", "--print", "target-libdir", "--target", target]
    folder = pathlib.Path(subprocess.check_output(command, text=True).strip())
    library = (folder / "self-contained" / "libc.a").read_bytes()
    return re.search(rb"\0?(1\.\d+\.\d+)\0", library).group(1).decode()


def rust():
    """Version of Rust's standard library inside."""
    return subprocess.check_output(["rustc", "--version"], text=True).split()[1]
