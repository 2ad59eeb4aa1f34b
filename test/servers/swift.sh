#!/bin/sh
# swift.sh COMMAND... - runs a command with an S3 server: OpenStack Swift with s3api.
#
#   S3_ENDPOINT S3_REGION S3_BUCKET   http, the region is checked, a bucket
#   S3_KEY S3_SECRET                  who may do everything in it; the key has a colon
#   S3_OTHER_KEY S3_OTHER_SECRET      who may do nothing in it
#
#   SWIFT_CLOCK  "+2h": what the server takes for the time, seen from the real one
#   SWIFT_S3API  more lines for its S3 part
#
# It checks signatures, the region, hashes of bodies and clocks; it knows no If-None-Match
# and no encryption. One disk, which is a folder on a file system with extended attributes.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")

port=$(free_port)
clock=
[ -z "${SWIFT_CLOCK:-}" ] || clock="env FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f $SWIFT_CLOCK"
# shellcheck disable=SC2086
serve $clock /usr/bin/python3 -B "$here/swift_cluster.py" "$T/swift" "$port" >"$T/log" 2>&1 &
server=$!
trap 'stop $server; rm -rf "$T"' EXIT

export S3_ENDPOINT="http://127.0.0.1:$port" S3_REGION=us-east-1 S3_BUCKET=test-bucket
export S3_KEY=test:tester S3_SECRET=testing S3_PID="$server"
export S3_OTHER_KEY=test:other S3_OTHER_SECRET=otherkey
# shellcheck disable=SC2086
wait_for 60 $server $clock /usr/bin/python3 -B "$here/s3client.py" mkbucket "$S3_ENDPOINT" \
    "$S3_KEY" "$S3_SECRET" "$S3_REGION" "$S3_BUCKET" || fail "$T/log"
"$@"
