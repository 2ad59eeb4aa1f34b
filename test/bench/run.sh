#!/bin/sh
# Measures what the program promises about time and memory and prints one table. Nothing is
# asserted: other load on the machine shows in every figure.
#
#   test/bench/run.sh [options]
#
#   --quick         smaller data: about a minute instead of several, 2 GB of disk not 12
#   --only NAME     one of: commit_delay idle many large peaks backlog small_files app
#   --build FOLDER  a Release build to use or to make (one that is thrown away afterwards)
#   --tmp FOLDER    where the data goes; its disk is what is measured (/tmp)
#   --jobs N        for the build (all processors)
#   --help          this text
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
python=/usr/bin/python3
build=
tmp=${TMPDIR:-/tmp}
jobs=$(nproc)
quick=
only=

usage() {
    sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p;}' "$root/test/bench/run.sh"
}

die() {
    echo "run.sh: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=--quick ;;
    --only | --build | --tmp | --jobs)
        [ $# -gt 1 ] || die "$1 needs a value"
        case $1 in
        --only) only=$2 ;;
        --build) build=$2 ;;
        --tmp) tmp=$2 ;;
        --jobs) jobs=$2 ;;
        esac
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        die "unknown option: $1"
        ;;
    esac
    shift
done

data=$(mktemp -d "$tmp/litestream-bench.XXXXXX") || exit 2
measuring=
# shellcheck disable=SC2317 # called by a trap
# Daemons end when bench.py does, which stops them on its way out.
clean_up() {
    trap '' INT TERM
    if [ -n "$measuring" ]; then
        kill "$measuring" 2>/dev/null
        wait "$measuring"
    fi
    rm -rf "$data"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ -n "$build" ] || build=$data/build
{
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release >"$data/build.log" &&
        cmake --build "$build" --target bench --parallel "$jobs" >>"$data/build.log"
} 2>&1 || {
    tail -n 30 "$data/build.log" >&2
    die "the build failed"
}

"$python" -B "$root/test/bench/bench.py" --bin "$build" --tmp "$data" $quick \
    ${only:+--only "$only"} &
measuring=$!
wait "$measuring"
status=$?
measuring=
exit $status
