#include "drivers/sftp/ssh_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "drivers/sftp/ssh_auth.h"

/* How long a cancelled call may go on. */
#define LOOK_MS 50

#define SSH_PORT "22"

struct ssh_conn {
    ssh_session session;
    ssh_channel channel;
    int fd;   /* ours, to wait on */
    int lent; /* a second descriptor of the socket, given to the session */
    bool verified;
    int stall_ms;

    /* Of the call under way. */
    const struct cancel *cancel;
    struct mono deadline;
};

/* --- waiting --------------------------------------------------------------------------
 */

/* Until `fd` is ready for one of `events`, or the call has to end. */
static int
wait_fd(int fd, short events, struct mono deadline, const struct cancel *cancel,
    struct err *e)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        uint64_t left = mono_wait_ms(deadline);
        int n;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        if (left == 0)
            return err_set(e, ERR_TIMEOUT, "ssh: no answer from the server");
        n = poll(&p, 1, left < LOOK_MS ? (int)left : LOOK_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(e, errno, "ssh: poll");
    }
}

static int
wait_session(void *arg, struct err *e)
{
    struct ssh_conn *c = arg;
    short events = POLLIN;

    if ((ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING) != 0)
        events |= POLLOUT;
    return wait_fd(c->fd, events, c->deadline, c->cancel, e);
}

static void
begin(struct ssh_conn *c, int ms, const struct cancel *cancel)
{
    c->cancel = cancel;
    c->deadline = mono_add_ms(mono_now(), ms);
}

/* --- TCP ------------------------------------------------------------------------------
 */

/* HOST, HOST:PORT, [V6]:PORT; both results are the caller's. */
static int
split_host(const char *text, char **host, char **port, struct err *e)
{
    const char *colon = strrchr(text, ':'), *end;
    char *rest;
    long n = 22;

    if (text[0] == '[') {
        end = strchr(text, ']');
        colon = end != NULL && end[1] == ':' ? end + 1 : NULL;
        *host = mem_strndup(text + 1, end != NULL ? (size_t)(end - text - 1) : 0);
    } else if (colon != NULL && strchr(text, ':') == colon) {
        *host = mem_strndup(text, (size_t)(colon - text));
    } else { /* no port, or an address of version 6 without brackets */
        colon = NULL;
        *host = mem_strdup(text);
    }
    *port = mem_strdup(colon != NULL && colon[1] != '\0' ? colon + 1 : SSH_PORT);
    n = strtol(*port, &rest, 10);
    if ((*host)[0] != '\0' && *rest == '\0' && n > 0 && n < 65536)
        return 0;
    mem_free(*host);
    mem_free(*port);
    *host = *port = NULL;
    return err_set(
        e, ERR_CONFIG, "sftp host \"%s\" is not HOST, HOST:PORT or [V6]:PORT", text);
}

static void
tune_socket(int fd)
{
    int on = 1, idle = 30, user_timeout = SSH_CONN_STALL_MS;

    /* All best effort: without them a dead link is noticed later. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
#ifdef TCP_KEEPIDLE
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
#endif
#ifdef TCP_USER_TIMEOUT
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
#endif
    (void)idle;
    (void)user_timeout;
}

/* One address; *fd is -1 after an error. */
static int
connect_address(const struct addrinfo *a, struct mono deadline,
    const struct cancel *cancel, int *fd, struct err *e)
{
    int failed = 0, rc;
    socklen_t size = sizeof(failed);

    *fd =
        socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (*fd < 0)
        return err_errno(e, errno, "socket");
    if (connect(*fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS) {
        rc = err_set(e, ERR_NETWORK, "%s", err_errno_text(errno));
    } else {
        rc = wait_fd(*fd, POLLOUT, deadline, cancel, e);
        if (rc == 0)
            getsockopt(*fd, SOL_SOCKET, SO_ERROR, &failed, &size);
        if (failed != 0)
            rc = err_set(e, ERR_NETWORK, "%s", err_errno_text(failed));
    }
    if (rc != 0)
        sys_close(fd);
    return rc;
}

static int
connect_tcp(struct ssh_conn *c, const char *host, const char *port, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);

    if (rc != 0)
        return err_set(e, ERR_NETWORK, "lookup %s: %s", host,
            rc == EAI_SYSTEM ? err_errno_text(errno) : gai_strerror(rc));
    rc = err_set(e, ERR_NETWORK, "lookup %s: no address", host);
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        rc = connect_address(a, c->deadline, c->cancel, &c->fd, e);
        if (rc == 0 || rc == ERR_CANCELLED)
            break;
    }
    freeaddrinfo(list);
    if (rc != 0)
        return err_wrap(e, "dial tcp %s:%s", host, port);
    tune_socket(c->fd);
    return 0;
}

/* --- SSH ------------------------------------------------------------------------------
 */

static int
set_options(struct ssh_conn *c, const struct cfg_replica *cfg, const char *host,
    const char *port, struct err *e)
{
    unsigned number = (unsigned)strtoul(port, NULL, 10);
    char *known = NULL;
    int no = 0, bad;

    c->lent = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (c->lent < 0)
        return err_errno(e, errno, "ssh: duplicate a descriptor");
    ssh_set_blocking(c->session, 0);
    /* libssh by itself asks the user database, not $HOME. */
    if (path_expand("~/.ssh/known_hosts", &known, e) == 0)
        ssh_options_set(c->session, SSH_OPTIONS_KNOWNHOSTS, known);
    mem_free(known);
    bad = ssh_options_set(c->session, SSH_OPTIONS_HOST, host) != 0 ||
          ssh_options_set(c->session, SSH_OPTIONS_PORT, &number) != 0 ||
          ssh_options_set(c->session, SSH_OPTIONS_USER, cfg->user) != 0 ||
          ssh_options_set(c->session, SSH_OPTIONS_FD, &c->lent) != 0 ||
          ssh_options_set(c->session, SSH_OPTIONS_PROCESS_CONFIG, &no) != 0;
    if (bad)
        return err_set(e, ERR_CONFIG, "sftp host or user: %s", ssh_get_error(c->session));
    return cfg->host_key[0] != '\0' ? ssh_auth_want_host_key(c->session, cfg->host_key, e)
                                    : 0;
}

static int
shake_hands(struct ssh_conn *c, struct err *e)
{
    int rc = 0, result;

    while ((result = ssh_connect(c->session)) == SSH_AGAIN && rc == 0)
        rc = wait_session(c, e);
    if (rc == 0 && result != SSH_OK)
        rc = err_set(
            e, ERR_NETWORK, "ssh: handshake failed: %s", ssh_get_error(c->session));
    return rc;
}

static int
open_channel(struct ssh_conn *c, struct err *e)
{
    int rc = 0, result;

    c->channel = ssh_channel_new(c->session);
    if (c->channel == NULL)
        return err_set(e, ERR_MEMORY, "ssh: no memory for a channel");
    while ((result = ssh_channel_open_session(c->channel)) == SSH_AGAIN && rc == 0)
        rc = wait_session(c, e);
    while (rc == 0 && result == SSH_OK &&
           (result = ssh_channel_request_subsystem(c->channel, "sftp")) == SSH_AGAIN) {
        rc = wait_session(c, e);
        result = SSH_OK;
    }
    if (rc == 0 && result != SSH_OK)
        rc = err_set(e, ERR_UNSUPPORTED, "ssh: the server has no sftp for this user: %s",
            ssh_get_error(c->session));
    return rc;
}

int
ssh_conn_check(const struct cfg_replica *cfg, struct err *e)
{
    char *host, *port;
    ssh_key key = NULL;
    int rc = 0;

    if (cfg->user[0] == '\0')
        return err_set(e, ERR_CONFIG, "sftp user required");
    if (cfg->host[0] == '\0')
        return err_set(e, ERR_CONFIG, "host required for sftp replica");
    rc = split_host(cfg->host, &host, &port, e);
    if (rc != 0)
        return rc;
    mem_free(host);
    mem_free(port);
    if (cfg->host_key[0] != '\0')
        rc = ssh_auth_parse_host_key(cfg->host_key, &key, e);
    ssh_key_free(key);
    return rc;
}

int
ssh_conn_open(const struct cfg_replica *cfg, const struct cancel *cancel,
    struct ssh_conn **out, struct err *e)
{
    struct ssh_conn *c = MEM_NEW(struct ssh_conn);
    struct ssh_auth auth = { .cfg = cfg, .wait = wait_session, .arg = c };
    char *host = NULL, *port = NULL;
    int rc;

    c->fd = c->lent = -1;
    c->stall_ms = SSH_CONN_STALL_MS;
    begin(c, SSH_CONN_OPEN_MS, cancel);
    rc = split_host(cfg->host, &host, &port, e);
    if (rc == 0)
        rc = connect_tcp(c, host, port, e);
    if (rc != 0)
        goto out;
    c->session = auth.session = ssh_new();
    if (c->session == NULL)
        rc = err_set(e, ERR_MEMORY, "ssh: no memory for a session");
    if (rc == 0)
        rc = set_options(c, cfg, host, port, e);
    if (rc == 0)
        rc = shake_hands(c, e);
    if (rc == 0)
        rc = ssh_auth_check_server(&auth, &c->verified, e);
    if (rc == 0)
        rc = ssh_auth_login(&auth, e);
    if (rc == 0)
        rc = open_channel(c, e);
out:
    mem_free(host);
    mem_free(port);
    if (rc != 0) {
        ssh_conn_close(c);
        return err_wrap(e, "sftp %s", cfg->host);
    }
    *out = c;
    return 0;
}

bool
ssh_conn_verified(const struct ssh_conn *c)
{
    return c->verified;
}

void
ssh_conn_hurry(struct ssh_conn *c)
{
    c->stall_ms = SSH_CONN_HURRY_MS;
}

/* --- bytes ----------------------------------------------------------------------------
 */

static int
lost(const struct ssh_conn *c, struct err *e)
{
    const char *words = ssh_get_error(c->session);

    return err_set(
        e, ERR_NETWORK, "ssh: connection lost%s%s", words[0] != '\0' ? ": " : "", words);
}

/* What the socket does not take at once waits in libssh and goes out with later calls;
 * the server's window bounds it. */
int
ssh_conn_write(struct ssh_conn *c, const void *bytes, size_t n,
    const struct cancel *cancel, struct err *e)
{
    const uint8_t *p = bytes;
    int rc = 0;

    begin(c, c->stall_ms, cancel);
    while (n > 0 && rc == 0) {
        int sent = ssh_channel_write(c->channel, p, (uint32_t)n);

        if (sent < 0 || ssh_channel_is_closed(c->channel))
            return lost(c, e);
        p += sent;
        n -= (size_t)sent;
        if (sent > 0)
            begin(c, c->stall_ms, cancel);
        else
            rc = wait_session(c, e);
    }
    return rc;
}

int
ssh_conn_read(struct ssh_conn *c, void *buf, size_t cap, size_t *n,
    const struct cancel *cancel, struct err *e)
{
    int rc = 0;

    begin(c, c->stall_ms, cancel);
    for (;;) {
        int got = ssh_channel_read_nonblocking(c->channel, buf, (uint32_t)cap, 0);

        if (got > 0) {
            *n = (size_t)got;
            return 0;
        }
        if (got == SSH_ERROR || got == SSH_EOF || ssh_channel_is_eof(c->channel) ||
            ssh_channel_is_closed(c->channel))
            return lost(c, e);
        rc = wait_session(c, e);
        if (rc != 0)
            return rc;
    }
}

/*
 * libssh 0.10 closes a descriptor that it was given, or not, depending on how the session
 * ended. Its number may be somebody else's by now; then it is another file.
 */
static void
close_lent(struct ssh_conn *c)
{
    struct stat ours, now;

    if (c->lent >= 0 && fstat(c->fd, &ours) == 0 && fstat(c->lent, &now) == 0 &&
        ours.st_ino == now.st_ino && ours.st_dev == now.st_dev)
        sys_close(&c->lent);
}

void
ssh_conn_close(struct ssh_conn *c)
{
    if (c == NULL)
        return;
    if (c->session != NULL) {
        if (c->channel != NULL)
            ssh_channel_free(c->channel);
        ssh_disconnect(c->session);
        ssh_free(c->session);
    }
    close_lent(c);
    sys_close(&c->fd);
    mem_free(c);
}
