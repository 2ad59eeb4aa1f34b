/*
 * listener - listening sockets: where they come from and how they go.
 *
 * A Unix socket never has a wider mode than asked for, not even for a moment. A socket
 * file that nobody listens on is replaced, a living one is never stolen: of two daemons
 * that start at once on one path the second one fails. Only our own file is removed.
 *
 * All descriptors are non-blocking and close-on-exec. Nothing here blocks but the lookup
 * of a host name that is no address, which belongs to the start of the program.
 */
#ifndef SUPERVISOR_CONTROL_LISTENER_H
#define SUPERVISOR_CONTROL_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/err.h"

struct listener {
    int fd;     /* -1: closed */
    char *path; /* of a Unix socket; NULL: TCP */
    dev_t dev;
    ino_t ino;
    bool owner_only; /* its mode lets nobody else in: the peer is checked as well */
    char *url;       /* TCP: "http://localhost:9090" */
};

#define LISTENER_CLOSED                                                                  \
    {                                                                                    \
        .fd = -1                                                                         \
    }

/*
 *   mode     permission bits of the file
 *   returns  0; ERR_USAGE: no path, or too long; ERR_CONFLICT: somebody listens there, or
 *            the file is no socket; else what the system said
 */
int listener_open_unix(struct listener *l, const char *path, mode_t mode, struct err *e);

/*
 * "host:port", ":port" (all addresses), "[::1]:port"; port 0: a free one, see url.
 */
int listener_open_tcp(struct listener *l, const char *address, struct err *e);

/*
 * The next connection, or -1: none now (*e as it was), or it cannot be had (*e is set).
 * One of another user, where only the owner may come in, is closed and not shown.
 */
int listener_accept(struct listener *l, struct err *e);

/* Closes and removes the socket file if it is still ours. Again is fine. */
void listener_close(struct listener *l);

#endif
