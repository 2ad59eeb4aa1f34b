#include "supervisor/control/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"

#define BACKLOG SOMAXCONN /* a client that does not wait is refused behind it */
#define LOCK_TRIES 50
#define LOCK_WAIT_US 20000

static int
new_socket(int family, struct err *e)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        err_errno(e, errno, "create socket");
    return fd;
}

/* --- Unix sockets ---------------------------------------------------------------------
 */

static int
set_name(struct sockaddr_un *addr, const char *path, struct err *e)
{
    *addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (path[0] == '\0')
        return err_set(e, ERR_USAGE, "socket path required");
    if (strlen(path) >= sizeof(addr->sun_path))
        return err_set(e, ERR_USAGE, "socket path is longer than %zu bytes: %s",
            sizeof(addr->sun_path) - 1, path);
    memcpy(addr->sun_path, path, strlen(path));
    return 0;
}

/* 0: nobody listens there. */
static int
probe(const struct sockaddr_un *addr, struct err *e)
{
    int fd = new_socket(AF_UNIX, e);
    int rc = 0;

    if (fd < 0)
        return (int)e->code;
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
        rc = err_set(e, ERR_CONFLICT,
            "another daemon listens on %s; stop it, or give this one its own socket.path",
            addr->sun_path);
    else if (errno != ECONNREFUSED && errno != ENOENT)
        rc = err_errno(e, errno, "check socket path: connect %s", addr->sun_path);
    sys_close(&fd);
    return rc;
}

static int
remove_stale(const struct sockaddr_un *addr, struct err *e)
{
    const char *path = addr->sun_path;
    struct stat st;
    int rc;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "check socket path: %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(
            e, ERR_CONFLICT, "socket path exists but is not a socket: %s", path);
    rc = probe(addr, e);
    if (rc == 0 && unlink(path) != 0 && errno != ENOENT)
        rc = err_errno(e, errno, "remove existing socket: %s", path);
    return rc;
}

/*
 * Between the look at an old file and our own one no other daemon may do the same: the
 * folder is locked. -1: it cannot be, then it goes without.
 */
static int
lock_folder(const char *path)
{
    char *dir = path_dir(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    mem_free(dir);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && i < LOCK_TRIES; i++)
        usleep(LOCK_WAIT_US);
    return fd;
}

static int
bind_unix(struct listener *l, const struct sockaddr_un *addr, mode_t mode, struct err *e)
{
    mode_t before = umask(~mode & 0777);
    int rc = 0;
    struct stat st;

    if (bind(l->fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
        rc = err_errno(e, errno, "listen on unix socket: bind %s", addr->sun_path);
    umask(before);
    if (rc != 0)
        return rc;
    if (lstat(addr->sun_path, &st) != 0)
        return err_errno(e, errno, "listen on unix socket: %s", addr->sun_path);
    l->path = mem_strdup(addr->sun_path);
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    if (chmod(addr->sun_path, mode) != 0)
        return err_errno(e, errno, "chmod socket: %s", addr->sun_path);
    if (listen(l->fd, BACKLOG) != 0)
        return err_errno(e, errno, "listen on unix socket: %s", addr->sun_path);
    return 0;
}

int
listener_open_unix(struct listener *l, const char *path, mode_t mode, struct err *e)
{
    struct sockaddr_un addr;
    int lock = -1;
    int rc;

    *l = (struct listener){ .fd = -1, .owner_only = (mode & 077) == 0 };
    rc = set_name(&addr, path, e);
    if (rc != 0)
        return rc;
    l->fd = new_socket(AF_UNIX, e);
    if (l->fd < 0)
        return (int)e->code;
    lock = lock_folder(path);
    rc = remove_stale(&addr, e);
    if (rc == 0)
        rc = bind_unix(l, &addr, mode & 07777, e);
    sys_close(&lock);
    if (rc != 0)
        listener_close(l);
    return rc;
}

/* --- TCP ------------------------------------------------------------------------------
 */

/* "[::1]:90" -> "::1", "90" */
static int
split(const char *address, char *host, size_t size, const char **port, struct err *e)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;

    if (colon == NULL || colon[1] == '\0')
        return err_set(
            e, ERR_USAGE, "must specify port for bind address: \"%s\"", address);
    *port = colon + 1;
    if (strspn(*port, "0123456789") == strlen(*port) &&
        (strlen(*port) > 5 || strtol(*port, NULL, 10) > 65535))
        return err_set(e, ERR_USAGE, "invalid port in bind address: \"%s\"", address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len >= size)
        return err_set(e, ERR_USAGE, "host name is too long: \"%s\"", address);
    memcpy(host, address, len);
    host[len] = '\0';
    return 0;
}

static int
lookup(const char *host, const char *port, struct addrinfo **out, struct err *e)
{
    struct addrinfo want = { .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST };
    int rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &want, out);

    if (rc == EAI_NONAME && host[0] != '\0') {
        want.ai_flags = AI_PASSIVE;
        rc = getaddrinfo(host, port, &want, out);
    }
    if (rc != 0)
        return err_set(
            e, ERR_NETWORK, "listen tcp: lookup %s:%s: %s", host, port, gai_strerror(rc));
    return 0;
}

static int
bind_tcp(struct listener *l, const struct addrinfo *a, const char *address, bool all,
    struct err *e)
{
    int on = 1, off = 0;

    l->fd = new_socket(a->ai_family, e);
    if (l->fd < 0)
        return (int)e->code;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6)
        setsockopt(
            l->fd, IPPROTO_IPV6, IPV6_V6ONLY, all ? &off : &on, (socklen_t)sizeof(on));
    if (bind(l->fd, a->ai_addr, a->ai_addrlen) == 0 && listen(l->fd, BACKLOG) == 0)
        return 0;
    err_errno(e, errno, "listen tcp %s: bind", address);
    sys_close(&l->fd);
    return (int)e->code;
}

static void
set_url(struct listener *l, const char *host)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr = { .v6 = { .sin6_port = 0 } };
    socklen_t len = sizeof(addr);
    unsigned port = 0;

    if (getsockname(l->fd, &addr.any, &len) == 0)
        port =
            ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port);
    l->url = mem_printf(strchr(host, ':') != NULL ? "http://[%s]:%u" : "http://%s:%u",
        host[0] != '\0' ? host : "localhost", port);
}

/* One socket: for all addresses the one that takes both kinds, for a name its IPv4. */
int
listener_open_tcp(struct listener *l, const char *address, struct err *e)
{
    char host[NI_MAXHOST];
    struct addrinfo *found = NULL;
    const char *port;
    int rc;

    *l = (struct listener)LISTENER_CLOSED;
    rc = split(address, host, sizeof(host), &port, e);
    if (rc == 0)
        rc = lookup(host, port, &found, e);
    if (rc != 0)
        return rc;
    rc = ERR_NETWORK;
    for (int pass = 0; pass < 2 && rc != 0; pass++)
        for (const struct addrinfo *a = found; a != NULL && rc != 0; a = a->ai_next) {
            bool first = (a->ai_family == AF_INET6) == (host[0] == '\0');

            if (first == (pass == 0))
                rc = bind_tcp(l, a, address, host[0] == '\0', e);
        }
    freeaddrinfo(found);
    if (rc == 0)
        set_url(l, host);
    return rc;
}

/* --- both -----------------------------------------------------------------------------
 */

/* Whoever could connect before the mode was narrowed, or got a descriptor handed over. */
static bool
is_welcome(const struct listener *l, int fd)
{
    uid_t uid;

    if (l->path == NULL || !l->owner_only)
        return true;
#ifdef SO_PEERCRED
    {
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
            return false;
        uid = peer.uid;
    }
#else
    {
        gid_t gid;

        if (getpeereid(fd, &uid, &gid) != 0)
            return false;
    }
#endif
    return uid == 0 || uid == geteuid();
}

int
listener_accept(struct listener *l, struct err *e)
{
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0 && is_welcome(l, fd))
            return fd;
        if (fd >= 0) {
            sys_close(&fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return -1;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            err_errno(e, errno, "accept connection");
            return -1;
        }
    }
}

void
listener_close(struct listener *l)
{
    struct stat st;

    if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
        st.st_ino == l->ino)
        unlink(l->path);
    sys_close(&l->fd);
    mem_free(l->path);
    mem_free(l->url);
    *l = (struct listener)LISTENER_CLOSED;
}
