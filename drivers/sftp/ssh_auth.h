/*
 * ssh_auth - who the server is and who we are: the two checks before an SSH connection is
 * of use. Part of ssh_conn.
 */
#ifndef DRIVERS_SFTP_SSH_AUTH_H
#define DRIVERS_SFTP_SSH_AUTH_H

#include <libssh/libssh.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "config/config.h"

/* Waits until the session can go on; not 0: it cannot any more. */
typedef int ssh_wait_cb(void *arg, struct err *e);

struct ssh_auth {
    ssh_session session;
    const struct cfg_replica *cfg;
    ssh_wait_cb *wait;
    void *arg;
};

/* The key of a `host-key` line; the caller's (ssh_key_free). ERR_CONFIG. */
int ssh_auth_parse_host_key(const char *line, ssh_key *out, struct err *e);

/* Asks for the type of key that is pinned; before the handshake. */
int ssh_auth_want_host_key(ssh_session session, const char *line, struct err *e);

/* After the handshake. *verified: the key is the one that is expected here. */
int ssh_auth_check_server(const struct ssh_auth *a, bool *verified, struct err *e);

int ssh_auth_login(const struct ssh_auth *a, struct err *e);

#endif
