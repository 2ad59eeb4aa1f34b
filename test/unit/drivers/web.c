#include "test/unit/drivers/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "test/unit/support/tmp.h"

struct state {
    int listener;
    pthread_t acceptor;
    pthread_t threads[WEB_MAX_PEERS];
    struct peer *peers[WEB_MAX_PEERS];
    int n;
    atomic_bool closing;
    pthread_mutex_t lock; /* of the peers' descriptors */
    pthread_cond_t changed;
    SSL_CTX *tls;
};

/* --- certificates */

static void
extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    cr_assert(ext != NULL);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static SSL_CTX *
make_tls(enum web_cert kind, const char **ca)
{
    const char *name =
        kind == WEB_CERT_OTHER_NAME ? "DNS:other.example" : "IP:127.0.0.1,DNS:localhost";
    EVP_PKEY *key = EVP_EC_gen("P-256");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    FILE *f;

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), kind == WEB_CERT_EXPIRED ? -3600 : 86400);
    X509_NAME_add_entry_by_txt(
        subject, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    X509_set_pubkey(cert, key);
    extend(cert, NID_basic_constraints, "critical,CA:TRUE");
    extend(cert, NID_subject_alt_name, name);
    cr_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    cr_assert(SSL_CTX_use_certificate(ctx, cert) == 1);
    cr_assert(SSL_CTX_use_PrivateKey(ctx, key) == 1);
    if (ca != NULL) {
        *ca = tmp_path("ca.pem");
        f = fopen(*ca, "w");
        cr_assert(f != NULL && PEM_write_X509(f, cert) == 1);
        fclose(f);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

/* --- bytes */

static ssize_t
some(struct peer *p, void *buf, size_t n)
{
    int got;

    if (p->tls == NULL)
        return recv(p->fd, buf, n, 0);
    got = SSL_read(p->tls, buf, (int)n);
    return got > 0 ? got : 0;
}

size_t
peer_read(struct peer *p, void *buf, size_t n)
{
    char waste[65536];
    size_t all = 0;

    while (all < n) {
        size_t want = n - all;
        char *to = buf != NULL ? (char *)buf + all : waste;
        ssize_t got;

        if (buf == NULL && want > sizeof(waste))
            want = sizeof(waste);
        if (p->n_ahead > 0) {
            got = (ssize_t)(p->n_ahead < want ? p->n_ahead : want);
            memcpy(to, p->ahead, (size_t)got);
            p->n_ahead -= (size_t)got;
            memmove(p->ahead, p->ahead + got, p->n_ahead);
        } else {
            got = some(p, to, want);
        }
        if (got <= 0)
            break;
        all += (size_t)got;
        p->web->n_received += got;
    }
    return all;
}

void
peer_send(struct peer *p, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t sent =
            p->tls != NULL ? SSL_write(p->tls, at, (int)n) : send(p->fd, at, n, 0);

        if (sent <= 0)
            return;
        at += sent;
        n -= (size_t)sent;
    }
}

void
peer_say(struct peer *p, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    peer_send(p, text, (size_t)n);
}

void
peer_answer(struct peer *p, int status, const char *headers, const char *body)
{
    peer_say(p, "HTTP/1.1 %d Words\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
        strlen(body), body);
}

bool
peer_request(struct peer *p)
{
    size_t n = 0;
    char *end;

    while ((end = memmem(p->ahead, p->n_ahead, "\r\n\r\n", 4)) == NULL) {
        ssize_t got;

        if (p->n_ahead == sizeof(p->ahead))
            return false;
        got = some(p, p->ahead + p->n_ahead, sizeof(p->ahead) - p->n_ahead);
        if (got <= 0)
            return false;
        p->n_ahead += (size_t)got;
    }
    n = (size_t)(end - p->ahead) + 4;
    memcpy(p->head, p->ahead, n);
    p->head[n < sizeof(p->head) ? n : sizeof(p->head) - 1] = '\0';
    p->n_ahead -= n;
    memmove(p->ahead, p->ahead + n, p->n_ahead);
    sscanf(p->head, "%15s %1023s", p->method, p->target);
    p->n_requests++;
    p->web->n_requests++;
    return true;
}

const char *
peer_header(struct peer *p, const char *name)
{
    static _Thread_local char value[4096];
    size_t n = strlen(name);

    for (char *at = strstr(p->head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n"))
        if (strncasecmp(at + 2, name, n) == 0 && at[2 + n] == ':') {
            at += 3 + n;
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + 1, "\r"), at + 1);
            return value;
        }
    return "";
}

static size_t
chunked_body(struct peer *p)
{
    size_t all = 0;

    for (;;) {
        char line[32] = "";
        size_t n = 0, size;

        while (n < sizeof(line) - 1 && peer_read(p, line + n, 1) == 1 && line[n] != '\n')
            n++;
        size = strtoul(line, NULL, 16);
        all += peer_read(p, NULL, size);
        peer_read(p, NULL, 2);
        if (size == 0)
            return all;
    }
}

size_t
peer_body(struct peer *p)
{
    if (strcasecmp(peer_header(p, "Transfer-Encoding"), "chunked") == 0)
        return chunked_body(p);
    return peer_read(p, NULL, strtoul(peer_header(p, "Content-Length"), NULL, 10));
}

void
peer_wait_closed(struct peer *p)
{
    char waste[4096];

    while (some(p, waste, sizeof(waste)) > 0)
        continue;
}

void
peer_wait_stage(struct peer *p, int stage)
{
    struct state *s = p->web->state;

    while (p->web->stage < stage && !s->closing)
        usleep(1000);
}

void
peer_reset(struct peer *p)
{
    struct linger now = { .l_onoff = 1 };

    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* --- connections */

static void *
run_peer(void *arg)
{
    struct peer *p = arg;
    struct state *s = p->web->state;
    bool good = true;

    if (s->tls != NULL) {
        p->tls = SSL_new(s->tls);
        SSL_set_fd(p->tls, p->fd);
        good = SSL_accept(p->tls) == 1;
    }
    if (good)
        p->web->serve(p);
    if (good && p->tls != NULL)
        SSL_shutdown(p->tls);
    SSL_free(p->tls);
    pthread_mutex_lock(&s->lock);
    close(p->fd);
    p->fd = -1;
    p->web->n_closed++;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *
run_acceptor(void *arg)
{
    struct web *w = arg;
    struct state *s = w->state;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0 && !s->closing) {
        struct peer *p = calloc(1, sizeof(*p));
        int yes = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        p->web = w;
        p->fd = fd;
        pthread_mutex_lock(&s->lock);
        p->no = s->n;
        if (s->n == WEB_MAX_PEERS)
            abort();
        s->peers[s->n++] = p;
        w->n_peers++;
        pthread_create(&s->threads[p->no], NULL, run_peer, p);
        pthread_mutex_unlock(&s->lock);
    }
    close(fd);
    return NULL;
}

/* Wakes the acceptor, everywhere. */
static void
knock(const struct web *w)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
        .sin_port = htons((uint16_t)w->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
}

void
web_open(
    struct web *w, web_serve_cb *serve, void *arg, enum web_cert cert, const char **ca)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct state *s = calloc(1, sizeof(*s));
    socklen_t n = sizeof(at);

    memset(w, 0, sizeof(*w));
    w->serve = serve;
    w->arg = arg;
    w->state = s;
    pthread_mutex_init(&s->lock, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(s->listener, 64), 0);
    cr_assert_eq(getsockname(s->listener, (struct sockaddr *)&at, &n), 0);
    if (cert != WEB_NO_TLS)
        s->tls = make_tls(cert, ca);
    w->port = ntohs(at.sin_port);
    snprintf(w->url, sizeof(w->url), "http%s://127.0.0.1:%d", s->tls != NULL ? "s" : "",
        w->port);
    cr_assert_eq(pthread_create(&s->acceptor, NULL, run_acceptor, w), 0);
}

void
web_close(struct web *w)
{
    struct state *s = w->state;

    s->closing = true;
    knock(w);
    pthread_join(s->acceptor, NULL);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n; i++)
        if (s->peers[i]->fd >= 0)
            shutdown(s->peers[i]->fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n; i++) {
        pthread_join(s->threads[i], NULL);
        free(s->peers[i]);
    }
    close(s->listener);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
