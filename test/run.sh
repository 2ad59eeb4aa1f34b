#!/bin/sh
# Builds and tests everything on a bare Debian 12 machine, as root or with sudo.
#
#   test/run.sh [options]
#
#   --quick           for developers: dev build and all its tests but torture; no clang
#   --soak MINUTES    build and run storms for so long (test/torture/soak.py), nothing else
#   --fuzz-seconds N  time for each fuzz target (60; 0: none)
#   --jobs N          parallel jobs (all processors)
#   --build FOLDER    build trees and logs (build, below the root of the source tree)
#   --no-install      do not touch packages
#   --help            this text
#
# In this order: packages that are missing are installed with apt, others are fetched with
# npm; release, dev (ASan and UBSan) and fuzz (clang) are built with warnings as errors;
# release and dev run the unit, corpus, scenario and torture tests, and lint is run once; each
# fuzz target runs for a while; cppcheck, clang-tidy and gcc -fanalyzer go over the program's
# sources. The output of what fails is shown. At the end comes a table, and a last line
# "N passed, N failed"; the exit status is 0 only if something ran and nothing failed. What
# was skipped counts as failed (but with --quick). Logs are in FOLDER/log.
#
# LITESTREAM_TEST_SLOW=N multiplies the deadlines of scenarios (3).
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
python=/usr/bin/python3 # the system's, which has the system's pytest

quick=false
soak_minutes=0
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
    --fuzz-seconds | --jobs | --build | --soak)
        [ $# -gt 1 ] || die "$1 needs a value"
        case $1 in
        --build) mkdir -p "$2" && build=$(CDPATH='' cd -- "$2" && pwd -P) || exit 2 ;;
        --fuzz-seconds) fuzz_seconds=$2 ;;
        --soak) soak_minutes=$2 ;;
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
case $fuzz_seconds$jobs$soak_minutes in
*[!0-9]*) die "--fuzz-seconds, --jobs and --soak take a number" ;;
esac

log=$build/log
rows=$log/rows
trouble=$log/trouble # a line for each thing that failed
mkdir -p "$log" && : >"$rows" && : >"$trouble" || exit 2
LITESTREAM_TEST_SLOW=${LITESTREAM_TEST_SLOW:-3}
export LITESTREAM_TEST_SLOW

# --- packages ----------------------------------------------------------------------------

packages="build-essential cmake ninja-build pkg-config ca-certificates git libuv1-dev
    libyaml-dev liblz4-dev libjansson-dev libcurl4-openssl-dev libmicrohttpd-dev libssh-dev
    libexpat1-dev libssl-dev zlib1g-dev libcriterion-dev python3 python3-pytest sqlite3 strace gdb procps
    util-linux man-db perl openssh-server openssh-client libpam-wrapper libnss-wrapper
    chromium radosgw ceph-mon ceph-osd ceph-common swift-proxy swift-account swift-container
    swift-object faketime openssl"
$quick || packages="$packages clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14
    cppcheck shellcheck"

missing_packages() {
    for package in $packages; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) printf '%s ' "$package" ;;
        esac
    done
    # Fetches the pinned SQLite and the peers; npm of another origin is as good.
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
        $as_root env DEBIAN_FRONTEND=noninteractive sh -c "$install_without_services" sh $missing
}

# Servers are installed for tests, which start their own: none of them becomes a service.
install_without_services='
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf "#!/bin/sh\nexit 101\n" >"$policy" && chmod 755 "$policy"
        trap "rm -f $policy" EXIT
    fi
    apt-get install -q -y --no-install-recommends "$@"'

# Fetched here, so that no test has to wait for it.
fetch_packages() {
    for set in "$root"/test/servers/npm/*/; do
        "$root/test/servers/npm.sh" "$(basename "$set")" || return 1
    done
    "$root/test/servers/promtool.sh"
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

# failed WHAT: remembered for the list at the end
failed() {
    printf '%s\n' "$*" >>"$trouble"
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
    failed "$name (see $file)"
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
    report=$log/$1_$2.xml
    counted=$log/$1_$2.count
    rm -f "$report"
    wrap=
    [ "$1" = release ] || wrap=$fixed_addresses
    $wrap ctest --test-dir "$build/$1" -L "^$2\$" --parallel "$jobs" --output-on-failure \
        --no-tests=error --test-output-size-passed 1000000 --test-output-size-failed 4000000 \
        --output-junit "$report"
    rc=$?
    "$python" -B "$root/test/count.py" "$report" >"$counted" || echo 0 1 0 >"$counted"
    sed -n "2,\$s/^/$1 /p" "$counted" >>"$trouble"
    read -r good bad skipped <"$counted"
    $quick || bad=$((bad + skipped))
    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then # nothing was run, or the count is wrong
        bad=1
        failed "$1 $2: ctest ended with status $rc"
    fi
    row "$1 $2" "$good" "$bad" $(($(now) - start))
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
        failed "fuzz $target (see $log/fuzz_$target.log)"
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
    [ -s "$log/fuzz.result" ] || echo failed >"$log/fuzz.result" # there are no targets
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
    read -r good bad <<end
$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log/$1.log")
end
    if [ -z "$bad" ] || { [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        good=0
        bad=1
    fi
    [ "$bad" -eq 0 ] || failed "$1: $bad files (see $log/$1.log)"
    row "$1" "$good" "$bad" $(($(now) - start))
}

# The table, what failed, and the sum; ends the program.
finish() {
    awk -F'|' '
        BEGIN { print ""; format = "%-22s %8s %8s %8s\n"
            printf format, "suite", "passed", "failed", "seconds" }
        { printf format, $1, $2, $3, $4; p += $2; f += $3; s += $4 }
        END { printf format, "all", p, f, s }
    ' "$rows"
    if [ -s "$trouble" ]; then
        printf '\nNot passed:\n'
        sed 's/^/    /' "$trouble"
    fi
    echo
    awk -F'|' '{ p += $2; f += $3 } END { print p + 0 " passed, " f + 0 " failed"
        exit f > 0 || p == 0 }' "$rows"
    exit
}

# --- all of it ---------------------------------------------------------------------------

if $install; then
    run_logged packages install_packages || finish
fi
run_logged "npm packages" fetch_packages

if [ "$soak_minutes" -gt 0 ]; then
    if run_logged "build release" build_preset release; then
        say "soak, $soak_minutes minutes"
        start=$(now)
        if LITESTREAM_BIN=$build/release/supervisor/litestream "$python" -B \
            "$root/test/torture/soak.py" "$soak_minutes"; then
            row soak 1 0 $(($(now) - start))
        else
            row soak 0 1 $(($(now) - start))
            failed soak
        fi
    fi
    finish
fi

if $quick; then
    if run_logged "build dev" build_preset dev; then
        for label in unit corpus scenario lint; do
            test_label dev $label
        done
    fi
    finish
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
finish
