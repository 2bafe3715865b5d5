#!/bin/sh
# Checks the declarations for editors, the scripts and the template with EmmyLua's analyzer:
# `tests/clients/editor_check.sh [FOLDER]`. It is installed into FOLDER, by default a temporary one;
# the first build takes minutes. Any diagnostic fails the check, and so does a mistake that the
# declarations are there to show, if the analyzer does not see it.
set -eu
cd "$(dirname "$0")/../.."
version=0.25.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=${1:-$work/tools}
if [ ! -x "$tools/bin/emmylua_check" ]; then
  cargo install --quiet --debug --locked --root "$tools" "emmylua_check@$version"
fi

# A folder of runbooks, with the declarations in it.
mkdir -p "$work/ops/meta"
cp stdlib/meta/*.lua "$work/ops/meta"
cp -r scripts template/runbooks examples/runbooks "$work/ops"
echo '{ "runtime.version": "Lua 5.4", "workspace.library": ["meta"] }' > "$work/ops/.luarc.json"
(cd "$work/ops" && "$tools/bin/emmylua_check" --warnings-as-errors .)

# The declarations themselves, as files of the workspace.
mkdir "$work/meta"
cp stdlib/meta/*.lua "$work/meta"
echo '{ "runtime.version": "Lua 5.4" }' > "$work/meta/.luarc.json"
(cd "$work/meta" && "$tools/bin/emmylua_check" --warnings-as-errors .)

# Mistakes, one a line. Each must have its diagnostic, and the other lines none.
rm -r "$work/ops/scripts" "$work/ops/runbooks"
cat > "$work/ops/mistakes.lua" << 'LUA'
local p = runbook { description = "x", params = { owner = { required = true } } }
print(p.owner)
print(p.ownr)
runbook { timeout = true }
runbook { timeout = true, params = { owner = {} } }
for profile in iam.profiles.each { with_tags = true } do
  print(profile.tags.Owner)
  print(profile.nmae)
end
for profile in iam.profiles.each() do
  print(profile.tags.Owner)
end
bulk.each(iam.profiles.each { with_tags = true }, nil, function(profile)
  print(profile.tags.Owner, profile.name)
end)
bulk.each({}, { concurrency = "5" }, print)
LUA
found=$(cd "$work/ops" && "$tools/bin/emmylua_check" . | sed -n 's/^  --> mistakes.lua:\([0-9]*\):.*/\1/p' |
  sort -nu | tr '\n' ' ')
expected="3 4 5 8 11 16 "
if [ "$found" != "$expected" ]; then
  echo "diagnostics are at the lines $found, and not at $expected" >&2
  exit 1
fi
echo "no diagnostics, and every mistake has one"
