#!/bin/sh
# Builds and tests everything on a bare Debian 12 machine, as root or with sudo.
#
#   test/run.sh [options]
#
#   --quick           for developers: dev build, unit and scenario tests; needs no clang
#   --fuzz-seconds N  time for each fuzz target (60; 0: none)
#   --jobs N          parallel jobs (all processors)
#   --build FOLDER    build trees and logs (build, below the root of the source tree)
#   --no-install      do not touch packages
#   --help            this text
#
# In this order: packages that are missing are installed with apt; release, dev (ASan and
# UBSan) and fuzz (clang) are built with warnings as errors; release and dev run the unit,
# corpus, scenario, torture and lint tests; each fuzz target runs for a while; cppcheck,
# clang-tidy and gcc -fanalyzer go over the program's sources. A table at the end tells what
# passed; the exit status is 0 only if all of it did. Logs are in FOLDER/log.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
python=/usr/bin/python3 # the system's, which has the system's pytest

quick=false
fuzz_seconds=60
jobs=$(nproc)
build=$root/build
install=true

usage() {
    sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p;}' "$root/test/run.sh"
}

die() {
    echo "run.sh: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=true ;;
    --no-install) install=false ;;
    --fuzz-seconds | --jobs | --build)
        [ $# -gt 1 ] || die "$1 needs a value"
        case $1 in
        --build) mkdir -p "$2" && build=$(CDPATH='' cd -- "$2" && pwd -P) || exit 2 ;;
        --fuzz-seconds) fuzz_seconds=$2 ;;
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
case $fuzz_seconds$jobs in
*[!0-9]*) die "--fuzz-seconds and --jobs take a number" ;;
esac

log=$build/log
rows=$log/rows
mkdir -p "$log" && : >"$rows" || exit 2

# --- packages ----------------------------------------------------------------------------

packages="build-essential cmake ninja-build pkg-config ca-certificates git libuv1-dev
    libyaml-dev liblz4-dev libjansson-dev libcriterion-dev python3 python3-pytest sqlite3
    strace gdb procps util-linux"
$quick || packages="$packages clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14
    cppcheck"

missing_packages() {
    for package in $packages; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) printf '%s ' "$package" ;;
        esac
    done
    # Fetches the pinned SQLite; a newer one of another origin is as good.
    command -v npm >/dev/null 2>&1 || printf 'nodejs npm '
}

install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "no Debian: trusting that everything is installed"
        return 0
    fi
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    echo "installing: $missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || die "not root and no sudo; install: $missing"
        as_root="sudo"
    fi
    $as_root apt-get update -q &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends $missing
}

# --- rows of the table -------------------------------------------------------------------

now() {
    date +%s
}

# row NAME PASSED FAILED SECONDS
row() {
    printf '%s|%s|%s|%s\n' "$@" >>"$rows"
}

say() {
    printf '\n=== %s\n' "$*"
}

# run_logged NAME COMMAND...: one row, output in a file that is shown when it fails
run_logged() {
    name=$1
    file=$log/$(printf '%s' "$1" | tr ' /' '__').log
    shift
    say "$name"
    start=$(now)
    if "$@" >"$file" 2>&1; then
        row "$name" 1 0 $(($(now) - start))
        return 0
    fi
    row "$name" 0 1 $(($(now) - start))
    grep -E '(error|Error|FAILED|undefined reference)' "$file" | head -n 40
    echo "... end of $file:"
    tail -n 30 "$file"
    return 1
}

# --- suites ------------------------------------------------------------------------------

build_preset() {
    (cd "$root" && cmake --preset "$1" -B "$build/$1" -DLITESTREAM_WERROR=ON) &&
        cmake --build "$build/$1" --parallel "$jobs"
}

# Cases inside Criterion and pytest programs are counted one by one, other tests as one.
count_cases() {
    awk '
        function number_before(word,  m) {
            return match($0, "[0-9]+ " word) ? substr($0, RSTART, RLENGTH) + 0 : 0
        }
        /^[0-9]+\/[0-9]+ Testing: / { p = 0; f = 0 }
        /Synthesis: Tested:/ {
            gsub(/[|:]/, " ")
            for (i = 1; i < NF; i++) {
                if ($i == "Passing") p += $(i + 1)
                if ($i == "Failing" || $i == "Crashing") f += $(i + 1)
            }
        }
        /^[0-9]+ (passed|failed|error|skipped).* in [0-9.]+s/ {
            p += number_before("passed")
            f += number_before("failed") + number_before("error")
        }
        /^Test Passed\./ { passed += p > 0 ? p : 1 }
        /^Test Failed\./ { passed += p; failed += f > 0 ? f : 1 }
        END { print passed + 0, failed + 0 }
    ' "$1"
}

# A program built with a sanitizer of an older compiler may die at its start where the kernel
# randomises addresses widely.
fixed_addresses=
if setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed_addresses="setarch $(uname -m) -R"
fi

# test_label PRESET LABEL
test_label() {
    say "$1: $2 tests"
    start=$(now)
    file=$build/$1/Testing/Temporary/LastTest.log
    rm -f "$file"
    wrap=
    [ "$1" = release ] || wrap=$fixed_addresses
    $wrap ctest --test-dir "$build/$1" -L "^$2\$" --parallel "$jobs" --output-on-failure \
        --no-tests=ignore
    rc=$?
    set -- "$1" "$2" $(if [ -f "$file" ]; then count_cases "$file"; else echo 0 0; fi)
    failed=$4
    [ $rc -eq 0 ] || [ "$failed" -gt 0 ] || failed=1 # could not even be run
    cp -f "$file" "$log/$1_$2.log" 2>/dev/null
    [ $(($3 + failed)) -eq 0 ] || row "$1 $2" "$3" "$failed" $(($(now) - start))
}

# One fuzz target; called through xargs: fuzz_one PROGRAM
fuzz_one() {
    target=$(basename "$1")
    target=${target#fuzz_}
    found=$build/fuzz/found/$target
    seeds=$root/test/fuzz/corpus/$target
    mkdir -p "$found"
    [ -d "$seeds" ] || seeds=
    if timeout $((fuzz_seconds + 120)) $fixed_addresses "$1" -max_total_time="$fuzz_seconds" \
        -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$log/fuzz_$target-" "$found" ${seeds:+"$seeds"} \
        >"$log/fuzz_$target.log" 2>&1; then
        echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' \
            "$log/fuzz_$target.log") runs"
        echo passed >>"$log/fuzz.result"
    else
        echo "fuzz $target failed, end of $log/fuzz_$target.log:"
        tail -n 40 "$log/fuzz_$target.log"
        echo failed >>"$log/fuzz.result"
    fi
}

fuzz_all() {
    say "fuzz targets, $fuzz_seconds s each"
    start=$(now)
    : >"$log/fuzz.result"
    rm -f "$log"/fuzz_*
    running=0
    for target in $(find "$build/fuzz/test" -type f -name 'fuzz_*' -perm -u+x | sort); do
        fuzz_one "$target" &
        running=$((running + 1))
        if [ $running -ge "$jobs" ]; then
            wait
            running=0
        fi
    done
    wait
    row fuzz "$(grep -c passed "$log/fuzz.result")" "$(grep -c failed "$log/fuzz.result")" \
        $(($(now) - start))
}

# analyse TOOL PRESET
analyse() {
    say "$1"
    start=$(now)
    "$python" -B "$root/test/lint/static.py" "$1" "$build/$2" "$jobs" >"$log/$1.log" 2>&1
    rc=$?
    cat "$log/$1.log"
    set -- "$1" $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log/$1.log")
    if [ $# -ne 3 ] || { [ $rc -ne 0 ] && [ "$3" -eq 0 ]; }; then
        set -- "$1" "${2:-0}" 1
    fi
    row "$1" "$2" "$3" $(($(now) - start))
}

table() {
    awk -F'|' '
        BEGIN { print ""; format = "%-22s %8s %8s %8s\n"
            printf format, "suite", "passed", "failed", "seconds" }
        { printf format, $1, $2, $3, $4; p += $2; f += $3; s += $4 }
        END { printf format, "all", p, f, s; exit f > 0 || NR == 0 }
    ' "$rows"
}

# --- all of it ---------------------------------------------------------------------------

if $install; then
    run_logged packages install_packages || { table; exit 1; }
fi

if $quick; then
    if run_logged "build dev" build_preset dev; then
        test_label dev unit
        test_label dev scenario
    fi
    table
    exit
fi

for preset in release dev; do
    if run_logged "build $preset" build_preset $preset; then
        for label in unit corpus scenario torture; do
            test_label $preset $label
        done
    fi
done
test_label dev lint

if run_logged "build fuzz" build_preset fuzz && [ "$fuzz_seconds" -gt 0 ]; then
    fuzz_all
fi
analyse cppcheck release
analyse clang-tidy fuzz
analyse gcc-analyzer release
table
exit
