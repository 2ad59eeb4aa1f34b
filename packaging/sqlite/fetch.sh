#!/bin/sh
# Puts the pinned SQLite amalgamation into a cache outside the source tree and prints the
# folder that holds sqlite3.c and sqlite3.h. The source is an npm package that ships the
# official amalgamation; the package is checked against the hash below before it is opened,
# and the cached files are checked again each time.
#
# LITESTREAM_CACHE names another cache folder (default: $XDG_CACHE_HOME or ~/.cache).
set -eu

package=better-sqlite3
version=13.2.0
sqlite=3.54.1
package_sha512=67c43ff71fee3722b1035bf814da1dc88b51551c354de281ae68f7d89871851d1c78d70163ec0ca1bb7f06fecced3cf03c05e39d946d35a12c0139d465229665
source_sha256=75a4760a7b9727a4c4c877aec92eacf39e52a8f2921ce00bd33be6d3a8e8e254
header_sha256=d6c84557261893439b341d2e6c35187ae3ea24fbfd843ad94616f72d89242b8c

cache=${LITESTREAM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/litestream-c}
dir=$cache/sqlite-$sqlite

good() {
    [ -f "$1/sqlite3.c" ] && [ -f "$1/sqlite3.h" ] &&
        printf '%s  %s\n%s  %s\n' "$source_sha256" "$1/sqlite3.c" "$header_sha256" \
            "$1/sqlite3.h" | sha256sum -c --status -
}

if good "$dir"; then
    printf '%s\n' "$dir"
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "fetch.sh: npm is needed to fetch SQLite $sqlite ($package $version): apt-get install npm" >&2
    exit 1
fi

mkdir -p "$cache"
tmp=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
echo "fetching SQLite $sqlite ($package $version)" >&2
if ! (cd "$tmp" && npm pack --silent --pack-destination "$tmp" "$package@$version") >/dev/null; then
    echo "fetch.sh: npm could not fetch $package@$version; is the npm registry reachable?" >&2
    exit 1
fi
archive=$tmp/$package-$version.tgz
if ! printf '%s  %s\n' "$package_sha512" "$archive" | sha512sum -c --status -; then
    echo "fetch.sh: $package-$version.tgz is not the file that was pinned (SHA-512 differs)" >&2
    exit 1
fi
tar -xzf "$archive" -C "$tmp" package/deps/sqlite3/sqlite3.c package/deps/sqlite3/sqlite3.h
if ! good "$tmp/package/deps/sqlite3"; then
    echo "fetch.sh: the sources inside $package-$version.tgz are not the ones that were pinned" >&2
    exit 1
fi
rm -rf "$dir"
mv -T "$tmp/package/deps/sqlite3" "$dir"
printf '%s\n' "$dir"
