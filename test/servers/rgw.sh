#!/bin/sh
# rgw.sh COMMAND... - runs a command with an S3 server: the gateway of Ceph, kept in memory.
#
#   S3_ENDPOINT S3_REGION S3_BUCKET   http, any region will do, a bucket
#   S3_KEY S3_SECRET                  who may do everything in it
#   S3_OTHER_KEY S3_OTHER_SECRET      who may do nothing in it
#   S3_TLS S3_CA                      the same server with TLS, and its certificate
#   CEPH_CONF                         for radosgw-admin
#
#   RGW_STS=1   temporary credentials: STS on the same port, role arn:aws:iam:::role/backup,
#               which both may assume and which may do everything
#
# It checks signatures, hashes of bodies, clocks, If-None-Match and session tokens; it takes
# an ETag in If-Match only without quotes, and it does not look at the region.
#
# A monitor, one OSD and the gateway; with the intervals of a real monitor their start would
# take 10 s instead of one.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")

dir=$T/ceph
mon_port=$(free_port)
old_mon_port=$(free_port)
port=$(free_port)
tls_port=$(free_port)
mkdir -p "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/run"
: >"$dir/keyring"
cluster=$(cat /proc/sys/kernel/random/uuid)
disk=$(cat /proc/sys/kernel/random/uuid)
certificate "$dir/cert.pem" "$dir/key.pem"
sts=
[ -z "${RGW_STS:-}" ] || sts='rgw sts key = abcdefghijklmnop
rgw s3 auth use sts = true'

CEPH_CONF=$dir/ceph.conf
export CEPH_CONF
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon host = [v2:127.0.0.1:$mon_port,v1:127.0.0.1:$old_mon_port]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc secure
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
run dir = $dir/run
crash dir = $dir/run
log file = $dir/\$name.log
admin socket = $dir/run/\$name.asok
pid file =
keyring = $dir/keyring
mon data = $dir/mon
osd data = $dir/osd
rgw data = $dir/rgw
mon allow pool size one = true
mon max pg per osd = 4000
mon data avail crit = -1
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = ${RGW_BYTES:-4294967296}
rgw frontends = beast endpoint=127.0.0.1:$port ssl_endpoint=127.0.0.1:$tls_port ssl_certificate=$dir/cert.pem ssl_private_key=$dir/key.pem
rgw thread pool size = 32
rgw dns name = localhost
rgw crypt require ssl = false
$sts
CONF

pids=
# There is nothing to save, and on TERM they take 5 s.
trap 'kill -KILL $pids 2>/dev/null || :; wait; rm -rf "$T"' EXIT
monmaptool --create --fsid "$cluster" \
    --addv a "[v2:127.0.0.1:$mon_port,v1:127.0.0.1:$old_mon_port]" "$dir/monmap" >"$T/log" 2>&1
ceph-mon -i a --mkfs --monmap "$dir/monmap" >>"$T/log" 2>&1 || fail "$T/log"
serve ceph-mon -i a -f >>"$T/log" 2>&1 &
pids="$! $pids"
wait_for 30 $! ceph --connect-timeout 2 -s || fail "$T/log" "$dir"/mon.a.log
ceph osd new "$disk" >>"$T/log" 2>&1
ceph-osd -i 0 --mkfs --osd-uuid "$disk" >>"$T/log" 2>&1 || fail "$T/log"
serve ceph-osd -i 0 -f >>"$T/log" 2>&1 &
pids="$! $pids"
serve radosgw -n client.rgw -f >>"$T/log" 2>&1 &
gateway=$!
pids="$gateway $pids"
wait_for 60 $gateway tcp_open "$port" || fail "$T/log" "$dir/client.rgw.log"
for user in test other; do
    upper=$(echo $user | tr '[:lower:]' '[:upper:]')
    radosgw-admin user create --uid=$user --display-name=$user --access-key="${upper}KEY" \
        --secret="${upper}SECRET" >>"$T/log" 2>&1 || fail "$T/log"
done

export S3_ENDPOINT="http://127.0.0.1:$port" S3_REGION=default S3_BUCKET=test-bucket
export S3_KEY=TESTKEY S3_SECRET=TESTSECRET S3_OTHER_KEY=OTHERKEY S3_OTHER_SECRET=OTHERSECRET
export S3_TLS="https://127.0.0.1:$tls_port" S3_CA="$dir/cert.pem" S3_PID="$gateway"
wait_for 60 $gateway /usr/bin/python3 -B "$here/s3client.py" mkbucket "$S3_ENDPOINT" "$S3_KEY" \
    "$S3_SECRET" "$S3_REGION" "$S3_BUCKET" || fail "$T/log" "$dir/client.rgw.log"

if [ -n "${RGW_STS:-}" ]; then
    radosgw-admin role create --role-name=backup --path=/ --assume-role-policy-doc='{
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/test", "arn:aws:iam:::user/other"]},
        "Action": ["sts:AssumeRole"]}]}' >>"$T/log" 2>&1 || fail "$T/log"
    radosgw-admin role-policy put --role-name=backup --policy-name=all --policy-doc='{
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"]}]}' >>"$T/log" 2>&1 || fail "$T/log"
    radosgw-admin caps add --uid=test --caps="roles=*" >>"$T/log" 2>&1
    export S3_ROLE=arn:aws:iam:::role/backup
fi
"$@"
