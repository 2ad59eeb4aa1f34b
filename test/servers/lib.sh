# shellcheck shell=sh disable=SC2034
# lib.sh - what the scripts of this folder share: sourced, POSIX sh.
#
# A script starts one real server on 127.0.0.1, waits until it answers, exports what a client
# needs, runs the command given as its arguments, stops the server and removes its folder:
#
#   test/servers/sshd.sh COMMAND...
#
# Scripts nest. Nothing needs root and nothing is written outside of $TMPDIR. The kernel ends
# the server when the script dies.
set -eu
umask 077

T=$(mktemp -d "${TMPDIR:-/tmp}/srv.XXXXXX") # not exported: nested scripts have their own
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM # so that the EXIT trap runs

# A TCP port that is free right now, and none that the kernel gives to a client until a server
# has it.
free_port() {
    perl -MIO::Socket::INET -e 'my $s; for (1 .. 1000) { last if $s = IO::Socket::INET->new(
        LocalAddr => "127.0.0.1", LocalPort => 10000 + int(rand(22000)), Proto => "tcp",
        Listen => 1) } die unless $s; print $s->sockport, "\n"'
}

# serve COMMAND... &: $! is the command itself.
serve() {
    exec setpriv --pdeathsig TERM "$@"
}

# wait_for SECONDS PID COMMAND...: until the command succeeds; not when PID is gone.
wait_for() {
    _left=$(($1 * 20))
    _pid=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        kill -0 "$_pid" 2>/dev/null || {
            echo "server $_pid died" >&2
            return 1
        }
        _left=$((_left - 1))
        [ "$_left" -gt 0 ] || {
            echo "not ready: $*" >&2
            return 1
        }
        sleep 0.05
    done
}

# fail LOG...: shows the logs and ends.
fail() {
    tail -n 20 "$@" >&2
    exit 1
}

tcp_open() {
    perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(PeerAddr => "127.0.0.1",
        PeerPort => shift, Proto => "tcp", Timeout => 1)' "$1"
}

# stop PID: TERM, then KILL after 10 s; this pid only.
stop() {
    kill -TERM "$1" 2>/dev/null || return 0
    _left=200
    while kill -0 "$1" 2>/dev/null && [ "$_left" -gt 0 ]; do
        sleep 0.05
        _left=$((_left - 1))
    done
    kill -KILL "$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
}

# certificate CERT KEY: a self-signed one for 127.0.0.1, localhost and all below localhost.
certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$2" -out "$1" -days 2 -subj /CN=localhost \
        -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost' 2>/dev/null
}
