# shellcheck shell=bash disable=SC2034
# Settings and functions of packaging/build and packaging/test. They run in the project's root.

TARGET=x86_64-unknown-linux-musl
CYCLONEDX_VERSION=0.5.9
TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
TOOLS=$TARGET_DIR/tools
OUT=$TARGET_DIR/packages

fail() {
    echo "packaging: $*" >&2
    exit 1
}

# The version is that of Cargo.toml.
VERSION=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["packages"][0]["version"])')
# A pre-release sorts before its release.
DEB_VERSION=${VERSION/-/\~}-1

: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)}"
export SOURCE_DATE_EPOCH
export PYTHONDONTWRITEBYTECODE=1

# Installs Debian packages; fails where that is not possible.
apt_install() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    local install=("${apt[@]}" install -y --no-install-recommends "$@")
    # The lists of packages can be old or missing.
    "${install[@]}" >/dev/null 2>&1 || { "${apt[@]}" update && "${install[@]}"; } >/dev/null
}

# Python packages: Mozilla's CA certificates, and the schemas of CycloneDX.
python_tools() {
    [[ -e "$TOOLS/python/done" ]] && return
    python3 -m venv "$TOOLS/python" ||
        fail "python3 has no venv: install it (python3-venv on Debian)"
    "$TOOLS/python/bin/pip" install --quiet --disable-pip-version-check certifi \
        'cyclonedx-python-lib[json-validation]>=11' ||
        fail "pip cannot install certifi and cyclonedx-python-lib, which needs network"
    touch "$TOOLS/python/done"
}

# The same modes and times wherever and whenever the packages are built.
normalize() {
    find "$1" -type d -exec chmod 0755 {} +
    find "$1" -type f -perm /111 -exec chmod 0755 {} +
    find "$1" -type f ! -perm /111 -exec chmod 0644 {} +
    find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

# A tar stream of an entry of a folder, with the same bytes for the same files.
archive() {
    tar --create --directory "$1" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" "$2"
}
