#!/bin/sh
# Installs a set of npm packages that tests need and prints the folder that holds its
# node_modules.
#
#   test/servers/npm.sh SET
#
# SET is a folder below test/servers/npm with package.json and package-lock.json. The lock
# file pins versions and SHA-512 sums, which npm checks, and names no registry: whichever npm
# is set up for is used. To make it anew, in the folder of the set:
#
#   npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts
#
# Packages are kept in a cache outside of the source tree, a folder for each content of the
# lock file. LITESTREAM_CACHE names another cache (default: $XDG_CACHE_HOME or ~/.cache).
# Scripts of packages are not run.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

die() {
    printf '%s\n' "npm.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || die "one argument is needed, a folder below $here/npm"
lock=$here/npm/$1/package-lock.json
[ -f "$lock" ] || die "there is no $lock"
if grep -q '"resolved"' "$lock"; then
    die "$lock names a registry; see above how to make it without"
fi

cache=${LITESTREAM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/litestream-c}
sum=$(cat "$here/npm/$1/package.json" "$lock" | sha256sum | cut -c 1-16)
dir=$cache/npm-$1-$sum

# The folder gets its name when all is in it.
if [ ! -d "$dir" ]; then
    command -v npm >/dev/null 2>&1 || die "npm is needed: apt-get install npm"
    mkdir -p "$cache"
    tmp=$(mktemp -d "$cache/npm.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    cp "$here/npm/$1/package.json" "$lock" "$tmp"
    echo "fetching npm packages: $1" >&2
    (cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1) || {
        cat "$tmp/npm.log" >&2
        die "npm ci failed in the set $1; is the npm registry reachable?"
    }
    chmod 755 "$tmp"
    # Somebody else may have been faster.
    mv -T "$tmp" "$dir" 2>/dev/null || [ -d "$dir" ] || die "cannot put $dir in place"
fi
printf '%s\n' "$dir"
