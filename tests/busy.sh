#!/usr/bin/env bash
# Runs the tests on a busy machine, and at moments of the clock at which tests of time may fail.
#
#   tests/busy.sh                     # five runs beside four busy loops, then each moment
#   tests/busy.sh --runs 1 --loops 8  # how often, and beside how many busy loops
#   tests/busy.sh --only moments      # or: busy
#   tests/busy.sh schedule:: lua::    # only tests with these texts in their names
#
# The moments need libfaketime (Debian: apt install faketime). It says which tests failed in which
# setting, and ends with 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.."

wrong() {
  echo "$0: $1" >&2
  exit 2
}

runs=5 loops=4 only=all filters=()
while [ $# -gt 0 ]; do
  case "$1" in
    --runs) runs=${2:?"--runs needs a number"}; shift ;;
    --loops) loops=${2:?"--loops needs a number"}; shift ;;
    --only) only=${2:?"--only needs busy or moments"}; shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit ;;
    -*) wrong "$1 is no option; --help says more" ;;
    *) filters+=("$1") ;;
  esac
  shift
done
case "$only" in
  all | busy | moments) ;;
  *) wrong "--only takes busy or moments" ;;
esac

# Schedules are the tests of time: each of them meets the moment by itself.
by_themselves=schedule::

logs=$(mktemp -d)
failures=$logs/failures
touch "$failures"
busy=()
calm() {
  [ ${#busy[@]} -eq 0 ] || kill "${busy[@]}" 2>/dev/null
  busy=()
}
trap 'calm; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# The program of the tests; the text before the first tab is its kind.
echo "building"
programs=$(cargo test --locked --no-run --message-format=json 2>"$logs/build" |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u | grep '/deps/')
[ -n "$programs" ] || { cat "$logs/build" >&2; exit 1; }

# Runs all programs once, with the words before the filters in front; `setting` names the run.
number=0
all_programs() {
  local setting=$1 program log code began=$SECONDS
  shift
  for program in $programs; do
    number=$((number + 1))
    log=$logs/$number
    "$@" "$program" "${filters[@]}" >"$log" 2>&1
    code=$?
    note "$setting" "$log" "$code"
  done
  echo "$setting: $((SECONDS - began)) s, $(grep -c "^$setting: " "$failures") failed"
}

# Notes the tests that a log says have failed.
note() {
  local setting=$1 log=$2 code=$3 failed
  [ "$code" -eq 0 ] && return
  failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
  # A program that was killed says nothing of its tests.
  [ -n "$failed" ] || failed="the program ended with $code"
  sed "s/^/$setting: /" <<<"$failed" >>"$failures"
  sed -n '/^failures:$/,$p' "$log"
}

if [ "$only" != moments ]; then
  for _ in $(seq "$loops"); do
    (while :; do :; done) &
    busy+=($!)
  done
  for run in $(seq "$runs"); do
    all_programs "run $run beside $loops busy loops"
  done
  calm
fi

# A moment in a time zone, two seconds before what may disturb a test.
moments=(
  "UTC 2026-05-13 23:59:58"             # midnight
  "UTC 2026-05-13 12:09:58"             # ten minutes
  "UTC 2026-12-31 23:59:58"             # a year
  "Europe/Berlin 2026-03-29 01:59:58"   # an hour is skipped
  "Europe/Berlin 2026-10-25 02:59:58"   # an hour is repeated: the first of the two
)

# The library of libfaketime, for programs with several threads.
library() {
  local file
  for file in /usr/lib{/*,,64}/faketime/libfaketimeMT.so.1 /usr/local/lib/faketime/*MT.so.1; do
    [ -e "$file" ] && echo "$file" && return
  done
}

# Runs a command with the clock at a moment, which goes on from there for all of its processes.
at_moment() {
  local zone=$1 moment=$2 epoch
  shift 2
  # The first of two, where clocks are put back.
  epoch=$(TZ=$zone date -d "$moment" +%s) || exit 2
  if [ "$(TZ=$zone date -d "@$((epoch - 3600))" '+%F %T')" = "$moment" ]; then
    epoch=$((epoch - 3600))
  fi
  env TZ="$zone" LD_PRELOAD="$faketime" FAKETIME="$(printf '%+d' $((epoch - $(date +%s))))" \
    FAKETIME_DONT_FAKE_MONOTONIC=1 "$@"
}

if [ "$only" != busy ]; then
  faketime=$(library)
  [ -n "$faketime" ] || wrong "libfaketime is not there (Debian: apt install faketime)"
  for line in "${moments[@]}"; do
    zone=${line%% *} moment=${line#* }
    all_programs "$moment $zone" at_moment "$zone" "$moment"
    for program in $programs; do
      tests=$("$program" --list "${filters[@]}" | sed -n "s/^\($by_themselves.*\): test$/\1/p")
      for test in $tests; do
        number=$((number + 1))
        at_moment "$zone" "$moment" "$program" --exact "$test" >"$logs/$number" 2>&1
        note "$moment $zone, by itself" "$logs/$number" $?
      done
    done
  done
fi

if [ -s "$failures" ]; then
  echo "failed:"
  sort "$failures" | uniq -c
  exit 1
fi
echo "all passed"
