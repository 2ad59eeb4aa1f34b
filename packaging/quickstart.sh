#!/bin/sh
# From nothing to a proven backup, on a bare Debian 12 machine (as root or with sudo):
# installs what is missing, builds litestream, replicates a database while it is written to,
# restores it from the replica and proves that both are equal.
#
#   packaging/quickstart.sh [options]
#
#   --build FOLDER  where to build (build/quickstart, below the root of the source tree)
#   --keep          leave database, replica, copy and log where they are
#   --no-install    do not touch packages
#   --help          this text
#
# Everything else happens in a new folder below $TMPDIR or /tmp that is removed at the end.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=$root/build/quickstart
keep=false
install=true
work=
daemon=
step="start"
begin=$(date +%s)

# Each step with the seconds since the start.
say() {
    step=$*
    printf '[%3d s] %s\n' $(($(date +%s) - begin)) "$*"
}

note() {
    printf '        %s\n' "$*"
}

die() {
    printf '%s\n' "quickstart: $*" >&2
    exit 1
}

clean_up() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null; then
        kill -TERM "$daemon" 2>/dev/null || :
        wait "$daemon" 2>/dev/null || :
    fi
    if [ "$status" -ne 0 ]; then
        printf '%s\n' "quickstart: FAILED while: $step" >&2
        if [ -n "$work" ] && [ -s "$work/daemon.log" ]; then
            printf '%s\n' "quickstart: the daemon's last words:" >&2
            tail -n 20 "$work/daemon.log" >&2
        fi
    fi
    if [ -n "$work" ]; then
        if $keep; then
            note "kept: $work"
        else
            rm -rf "$work"
        fi
    fi
    exit "$status"
}

while [ $# -gt 0 ]; do
    case $1 in
    --build)
        [ $# -gt 1 ] || die "--build needs a folder"
        mkdir -p "$2"
        build=$(CDPATH='' cd -- "$2" && pwd -P)
        shift
        ;;
    --keep) keep=true ;;
    --no-install) install=false ;;
    --help | -h)
        sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$root/packaging/quickstart.sh"
        exit 0
        ;;
    *) die "unknown option: $1 (see --help)" ;;
    esac
    shift
done
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- packages ----------------------------------------------------------------------------

packages="build-essential cmake ninja-build pkg-config ca-certificates libuv1-dev libyaml-dev
    liblz4-dev libjansson-dev libcurl4-openssl-dev libmicrohttpd-dev libssh-dev libexpat1-dev
    libssl-dev zlib1g-dev sqlite3"

missing_packages() {
    for package in $packages; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) printf '%s ' "$package" ;;
        esac
    done
    command -v npm >/dev/null 2>&1 || printf 'nodejs npm ' # fetches the pinned SQLite
}

if $install && command -v dpkg-query >/dev/null 2>&1; then
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        say "installing $missing"
        note "this may take a minute"
        as_root=
        if [ "$(id -u)" -ne 0 ]; then
            command -v sudo >/dev/null 2>&1 || die "not root and no sudo; install: $missing"
            as_root=sudo
        fi
        $as_root apt-get update -qq
        # shellcheck disable=SC2086
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends $missing >/dev/null
    fi
fi
for program in cmake ninja sqlite3; do
    command -v $program >/dev/null 2>&1 || die "$program is not installed"
done

# --- build -------------------------------------------------------------------------------

say "building litestream in $build"
mkdir -p "$build"
if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF &&
    cmake --build "$build"; } >"$build/quickstart.log" 2>&1; then
    tail -n 40 "$build/quickstart.log" >&2
    die "the build failed; all of it is in $build/quickstart.log"
fi
litestream=$build/supervisor/litestream
[ -x "$litestream" ] || die "$litestream was not built"
note "litestream $("$litestream" version)"

# --- replicate ---------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/litestream-quickstart.XXXXXX")
db=$work/packages.db
replica=$work/replica
copy=$work/restored.db

# Waits up to $1 seconds until the command behind it succeeds.
wait_for() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        kill -0 "$daemon" 2>/dev/null || die "the daemon has ended by itself"
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# The shell waits for locks, as an application should.
sql() {
    sqlite3 -batch -bail -cmd ".timeout 30000" "$@"
}

# Of what the application has written; litestream keeps two small tables of its own.
fingerprint() {
    sql "$1" ".sha3sum package" ".sha3sum note" | tr -d '\n'
}

has_files() {
    [ -n "$(find "$replica" -name '*.ltx' 2>/dev/null | head -n 1)" ]
}

restore_to() {
    rm -f "$1" "$1-wal" "$1-shm"
    "$litestream" restore -o "$1" "file://$replica" >"$work/restore.log" 2>&1
}

caught_up() {
    restore_to "$work/probe.db" && [ "$(fingerprint "$work/probe.db")" = "$wanted" ]
}

# The package index of this machine as SQL, a transaction for each 4,000 packages; a machine
# that has no index gets made-up packages.
package_index() {
    { apt-cache dumpavail 2>/dev/null || :; } | awk '
        function text(s) { gsub(/\047/, "\047\047", s); return "\047" s "\047" }
        function flush() {
            if (name == "") return
            if (n++ % 4000 == 0) print (n > 1 ? "COMMIT; " : "") "BEGIN IMMEDIATE;"
            print "INSERT INTO package VALUES (" n ", " text(name) ", " text(version) ", " \
                text(section) ", " size + 0 ", " text(about) ");"
            name = version = section = size = about = ""
        }
        /^Package: / { flush(); name = substr($0, 10) }
        /^Version: / { version = substr($0, 10) }
        /^Section: / { section = substr($0, 10) }
        /^Installed-Size: / { size = $2 }
        /^Description(-en)?: / { about = $0; sub(/^[^ ]* /, "", about) }
        END {
            flush()
            made_up = n < 20000
            while (made_up && n < 60000) {
                name = "package-" n
                version = n % 7 "." n % 13
                about = "made up"
                flush()
            }
            print "COMMIT;"
        }'
}

say "creating a database"
sql "$db" "PRAGMA journal_mode = wal;
    CREATE TABLE package (id INTEGER PRIMARY KEY, name TEXT, version TEXT, section TEXT,
        size INTEGER, about TEXT);
    CREATE INDEX package_name ON package (name);
    CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);
    INSERT INTO note (text) VALUES ('written before litestream was started');" >/dev/null

say "starting: litestream replicate DB file://REPLICA"
"$litestream" replicate "$db" "file://$replica" >"$work/daemon.log" 2>&1 &
daemon=$!
wait_for 30 has_files || die "nothing arrived on the replica within 30 s"

say "writing to it while it is replicated"
package_index >"$work/index.sql"
sql "$db" <"$work/index.sql"
sql "$db" "INSERT INTO note (text) SELECT 'about ' || section || ': ' || count(*)
        FROM package GROUP BY section;
    UPDATE package SET about = upper(about) WHERE id % 100 = 0;
    DELETE FROM package WHERE id % 1000 = 999;"
rows=$(sql "$db" "SELECT (SELECT count(*) FROM package) + (SELECT count(*) FROM note);")
transactions=$(($(grep -c '^BEGIN\|; BEGIN' "$work/index.sql") + 3))
note "$rows rows in $transactions transactions"

say "waiting until the replica has all of it"
wanted=$(fingerprint "$db")
wait_for 120 caught_up || die "the replica did not catch up within 120 s"

say "stopping the daemon"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
[ "$status" -eq 0 ] || die "the daemon ended with status $status"

# --- restore and compare -----------------------------------------------------------------

say "restoring: litestream restore -o COPY file://REPLICA"
start=$(date +%s%N)
restore_to "$copy" || { cat "$work/restore.log" >&2; die "restore failed"; }
took=$((($(date +%s%N) - start) / 1000000))

say "comparing source and copy"
for file in "$db" "$copy"; do
    check=$(sql "$file" "PRAGMA integrity_check;")
    [ "$check" = ok ] || die "integrity_check of $file: $check"
    sql "$file" .dump >"$file.sql"
done
cmp -s "$db.sql" "$copy.sql" ||
    die "source and copy differ: $(diff "$db.sql" "$copy.sql" | head -n 5)"
source_sum=$(sha256sum <"$db.sql" | cut -d ' ' -f 1)
copy_sum=$(sha256sum <"$copy.sql" | cut -d ' ' -f 1)
[ "$source_sum" = "$copy_sum" ] || die "the SHA-256 sums differ"
found=$(sql "$copy" "SELECT (SELECT count(*) FROM package) + (SELECT count(*) FROM note);")
[ "$found" = "$rows" ] || die "the copy has $found rows, not $rows"

size() {
    du -sk "$@" | awk '{ kb += $1 } END { printf "%.1f MB", kb / 1024 }'
}
note "source  integrity_check ok, SHA-256 of its content $source_sum"
note "copy    integrity_check ok, SHA-256 of its content $copy_sum"
note "replica $(find "$replica" -name '*.ltx' | wc -l) files, $(size "$replica")"

say "done"
cat <<EOF

OK: $rows rows ($(size "$db")) were written while litestream replicated them, restored in
$took ms, and are equal to the source.

What to do next
    install         sudo cmake --install $build
    configure       copy share/doc/litestream/examples/litestream.yml to /etc/litestream.yml
                    and name your databases (man litestream.yml)
    replicate       litestream replicate
    restore         litestream restore -o COPY DB
    test the build  test/run.sh --quick
EOF
