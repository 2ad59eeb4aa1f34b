#!/bin/sh
# Prints the path of promtool, which checks what /metrics says.
#
#   test/servers/promtool.sh
#
# One that is in PATH is taken. Else it comes from Debian's package prometheus, which is not
# installed (it would bring 300 MB and a service) but unpacked in the cache: LITESTREAM_CACHE,
# else $XDG_CACHE_HOME/litestream-c or ~/.cache/litestream-c.
set -eu

die() {
    printf '%s\n' "promtool.sh: $*" >&2
    exit 1
}

if command -v promtool; then
    exit 0
fi
cache=${LITESTREAM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/litestream-c}
dir=$cache/promtool

# The folder gets its name when all is in it.
if [ ! -x "$dir/promtool" ]; then
    command -v apt-get >/dev/null 2>&1 || die "no promtool, and no apt-get to fetch it with"
    mkdir -p "$cache"
    tmp=$(mktemp -d "$cache/promtool.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    echo "fetching promtool" >&2
    (cd "$tmp" && apt-get download -q prometheus >apt.log 2>&1 &&
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool) || {
        cat "$tmp/apt.log" >&2
        die "prometheus cannot be downloaded; try apt-get update"
    }
    mv "$tmp/usr/bin/promtool" "$tmp/promtool"
    rm -rf "${tmp:?}"/usr "$tmp"/prometheus_*.deb
    chmod 755 "$tmp"
    # Somebody else may have been faster.
    mv -T "$tmp" "$dir" 2>/dev/null || [ -x "$dir/promtool" ] || die "cannot put $dir in place"
fi
printf '%s\n' "$dir/promtool"
