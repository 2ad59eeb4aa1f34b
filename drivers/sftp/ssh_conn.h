/*
 * ssh_conn - an SSH connection whose one channel is a server's SFTP subsystem: bytes in,
 * bytes out (libssh).
 *
 * Calls wait, at most as long as said here, and end soon after *cancel is asked: for the
 * threads of jobs, never the loop. One thread at a time. After an error other than
 * ERR_CANCELLED of ssh_conn_open nothing but ssh_conn_close is of use.
 *
 * The server's key must be the one of `host-key`; without that the one that known_hosts
 * has for it (~/.ssh, /etc/ssh). A key that differs is an error, one of an unknown server
 * is taken and told by ssh_conn_verified.
 *
 * Ways of logging in, each where the server offers it: password, the same as answer to a
 * keyboard-interactive prompt, the key of `key-path`, the keys of an agent if there is
 * neither password nor key. A server that wants two of them gets them in its order.
 */
#ifndef DRIVERS_SFTP_SSH_CONN_H
#define DRIVERS_SFTP_SSH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "config/config.h"

#define SSH_CONN_OPEN_MS 30000  /* until logged in */
#define SSH_CONN_STALL_MS 60000 /* without a byte in either direction */
#define SSH_CONN_HURRY_MS 2000

struct ssh_conn; /* opaque */

/* What of the configuration can be wrong by itself: host, user, host-key. ERR_CONFIG. */
int ssh_conn_check(const struct cfg_replica *cfg, struct err *e);

/*
 * cfg is borrowed for the call. ERR_AUTH: the server's key or our credentials do not
 * match, ERR_CONFIG: a key file, a name; ERR_NETWORK, ERR_TIMEOUT.
 */
int ssh_conn_open(const struct cfg_replica *cfg, const struct cancel *cancel,
    struct ssh_conn **out, struct err *e);

bool ssh_conn_verified(const struct ssh_conn *c);

/* All n bytes. What the server sends meanwhile waits for ssh_conn_read. */
int ssh_conn_write(struct ssh_conn *c, const void *bytes, size_t n,
    const struct cancel *cancel, struct err *e);

/* At least one byte; the end of the stream is ERR_NETWORK. */
int ssh_conn_read(struct ssh_conn *c, void *buf, size_t cap, size_t *n,
    const struct cancel *cancel, struct err *e);

/* What follows are last words: no wait is longer than SSH_CONN_HURRY_MS. */
void ssh_conn_hurry(struct ssh_conn *c);

void ssh_conn_close(struct ssh_conn *c); /* any thread; NULL is fine */

#endif
