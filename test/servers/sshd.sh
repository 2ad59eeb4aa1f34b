#!/bin/sh
# sshd.sh COMMAND... - runs a command with an OpenSSH server that has SFTP only.
#
#   SFTP_PORT SFTP_USER SFTP_PASS   where, and who
#   SFTP_KEYS    folder of keys: user (Ed25519), user_enc (the same, passphrase `key pass`),
#                user_rsa, user_ecdsa, other (which the server does not know)
#   SFTP_KNOWN   a known_hosts file with the server's keys
#   SFTP_HOST_KEYS  folder of the server's keys, host_TYPE.pub
#   SFTP_HOME    where relative paths begin
#   SFTP_LOG, SFTP_PID
#
#   HOST_KEYS    "ed25519 rsa ecdsa": types of keys that the server has (ed25519)
#   SFTP_AUTH    password, key or interactive: the only way to log in; both: key and then
#                password (any)
#
# The account comes from nss_wrapper, its password from pam_wrapper: no root, no real account.
. "$(dirname "$0")/lib.sh"

port=$(free_port)
user=alice
password=secret
host_keys=${HOST_KEYS:-ed25519}
wrappers=/usr/lib/$(uname -m)-linux-gnu

mkdir -m 700 "$T/home" "$T/keys" "$T/hostkeys" "$T/pam.d"
for type in $host_keys; do
    ssh-keygen -q -t "$type" -N '' -C host -f "$T/hostkeys/host_$type"
done
ssh-keygen -q -t ed25519 -N '' -C user -f "$T/keys/user"
ssh-keygen -q -t ed25519 -N 'key pass' -C user -f "$T/keys/user_enc"
ssh-keygen -q -t rsa -b 2048 -N '' -C user -f "$T/keys/user_rsa"
ssh-keygen -q -t ecdsa -N '' -C user -f "$T/keys/user_ecdsa"
cat "$T"/keys/user*.pub >"$T/authorized_keys"
ssh-keygen -q -t ed25519 -N '' -C other -f "$T/keys/other"

{
    printf '%s:x:%s:%s::%s:/bin/sh\n' "$user" "$(id -u)" "$(id -g)" "$T/home"
    grep -E '^(root|sshd|nobody):' /etc/passwd
} >"$T/passwd"
cp /etc/group "$T/group"
printf '%s:%s:sshd\n' "$user" "$password" >"$T/passdb"
printf '%s required %s\n' auth "$wrappers/pam_wrapper/pam_matrix.so passdb=$T/passdb" \
    account "$wrappers/pam_wrapper/pam_matrix.so passdb=$T/passdb" \
    session pam_permit.so >"$T/pam.d/sshd"
cp "$T/pam.d/sshd" "$T/pam.d/other"

by_key=yes by_password=yes by_prompt=no methods=any
case ${SFTP_AUTH:-any} in
password) by_key=no ;;
key) by_password=no ;;
interactive) by_key=no by_password=no by_prompt=yes ;;
both) methods=publickey,password ;;
esac
{
    cat <<CONF
ListenAddress 127.0.0.1:$port
PidFile none
AuthorizedKeysFile $T/authorized_keys
StrictModes no
PubkeyAuthentication $by_key
PasswordAuthentication $by_password
KbdInteractiveAuthentication $by_prompt
AuthenticationMethods $methods
UsePAM yes
PermitRootLogin yes
Subsystem sftp internal-sftp -d $T/home
ForceCommand internal-sftp -d $T/home
DisableForwarding yes
MaxStartups 100
LogLevel VERBOSE
CONF
    for type in $host_keys; do echo "HostKey $T/hostkeys/host_$type"; done
} >"$T/sshd_config"
for type in $host_keys; do
    sed "s/^\([^ ]* [^ ]*\).*/[127.0.0.1]:$port \1/" "$T/hostkeys/host_$type.pub"
done >"$T/known_hosts"

[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
serve env LD_PRELOAD="$wrappers/libpam_wrapper.so $wrappers/libnss_wrapper.so" \
    PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR="$T/pam.d" \
    NSS_WRAPPER_PASSWD="$T/passwd" NSS_WRAPPER_GROUP="$T/group" \
    /usr/sbin/sshd -D -e -f "$T/sshd_config" 2>"$T/log" &
server=$!
trap 'stop $server; rm -rf "$T"' EXIT
wait_for 10 $server tcp_open "$port" || fail "$T/log"

export SFTP_PORT="$port" SFTP_USER="$user" SFTP_PASS="$password" SFTP_KEYS="$T/keys"
export SFTP_KNOWN="$T/known_hosts" SFTP_HOST_KEYS="$T/hostkeys" SFTP_HOME="$T/home"
export SFTP_LOG="$T/log" SFTP_PID="$server"
"$@"
