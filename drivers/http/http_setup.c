#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/http/http_impl.h"
#include "drivers/http/http_url.h"

#define SMALL_BODY                                                                       \
    ((size_t)64 << 10)                 /* copied, and sent in one piece with the headers \
                                        */
#define EXPECT_FROM ((int64_t)2 << 20) /* bytes that are worth a question before */
#define PIECE (64L << 10)
#define USER_AGENT "litestream/" LITESTREAM_LEVEL

/* A path that goes nowhere any more is noticed, also in the middle of an upload. */
static int
on_open(void *arg, curl_socket_t fd, curlsocktype purpose)
{
#ifdef TCP_USER_TIMEOUT
    const struct http_op *op = arg;
    unsigned ms = (unsigned)op->http->stall_ms;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#endif
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)arg;
    (void)purpose;
    return CURL_SOCKOPT_OK;
}

/* --- headers
 * ------------------------------------------------------------------------------ */

static void
add_header(struct http_op *op, const char *line)
{
    struct curl_slist *more = curl_slist_append(op->headers, line);

    must(more != NULL);
    op->headers = more;
}

static bool
names(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++)
        if (strcasecmp(req->headers[i].name, name) == 0)
            return true;
    return false;
}

/* What comes from a configuration, a key or a token must not become headers of its own.
 */
static void
add_pair(struct http_op *op, const struct uri_pair *p)
{
    char *line;

    if (strpbrk(p->name, "\r\n:") != NULL || strpbrk(p->value, "\r\n") != NULL) {
        err_set(&op->err, ERR_CONFIG,
            "the value of the header %.64s has a line break in it",
            strpbrk(p->name, "\r\n:") != NULL ? "" : p->name);
        return;
    }
    /* without a value libcurl wants it this way */
    line = p->value[0] != '\0' ? mem_printf("%s: %s", p->name, p->value)
                               : mem_printf("%s;", p->name);
    add_header(op, line);
    explicit_bzero(line, strlen(line));
    mem_free(line);
}

/* Also one that would be sent twice since the first answer is most likely a challenge. */
static bool
is_large(const struct http_request *req)
{
    int64_t from =
        req->user != NULL && !req->basic ? (int64_t)SMALL_BODY + 1 : EXPECT_FROM;

    if (req->fill != NULL)
        return req->fill_bytes < 0 || req->fill_bytes >= from;
    return req->body != NULL && (int64_t)req->body_bytes >= from;
}

static void
set_headers(struct http_op *op)
{
    const struct http_request *req = &op->req;

    for (size_t i = 0; i < req->n_headers; i++)
        add_pair(op, &req->headers[i]);
    if (!names(req, "Content-Type")) /* else libcurl has an idea of its own */
        add_header(op, "Content-Type:");
    if (!names(req, "Accept"))
        add_header(op, "Accept:");
    if (!names(req, "Expect") && !is_large(req))
        add_header(op, "Expect:");
    curl_easy_setopt(op->transfer.easy, CURLOPT_HTTPHEADER, op->headers);
}

/* --- the body
 * ----------------------------------------------------------------------------- */

static void
set_body_of_pieces(struct http_op *op)
{
    const struct http_request *req = &op->req;
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
        (curl_off_t)(req->fill != NULL ? req->fill_bytes : (int64_t)req->body_bytes));
    curl_easy_setopt(c, CURLOPT_READFUNCTION, http_on_read);
    curl_easy_setopt(c, CURLOPT_READDATA, op);
    curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, http_on_seek);
    curl_easy_setopt(c, CURLOPT_SEEKDATA, op);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, PIECE);
}

/* A borrowed body is read through us, so that nobody looks at it after a cancellation. */
static void
set_method(struct http_op *op)
{
    const struct http_request *req = &op->req;
    CURL *c = op->transfer.easy;
    bool has_body = strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0;

    if (strcmp(req->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
        return;
    }
    if (req->fill != NULL || (!req->copy_body && req->body_bytes > SMALL_BODY)) {
        set_body_of_pieces(op);
    } else if (has_body || req->body != NULL) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_bytes);
        curl_easy_setopt(
            c, CURLOPT_COPYPOSTFIELDS, req->body != NULL ? req->body : (const void *)"");
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, req->method);
}

/* --- the way there
 * ------------------------------------------------------------------------ */

/* As others read the environment; libcurl leaves out HTTP_PROXY. */
static void
set_proxy(struct http_op *op)
{
    const char *url = op->req.url, *proxy = getenv("HTTP_PROXY");
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (op->req.direct || http_url_is_local(url))
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    else if (strncasecmp(url, "http:", 5) == 0 && getenv("http_proxy") == NULL &&
             proxy != NULL && proxy[0] != '\0')
        curl_easy_setopt(c, CURLOPT_PROXY, proxy);
}

static void
set_tls(struct http_op *op)
{
    const char *folder = getenv("SSL_CERT_DIR");
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, op->req.insecure ? 0L : 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, op->req.insecure ? 0L : 2L);
    if (op->http->ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, op->http->ca_file);
    if (folder != NULL && folder[0] != '\0')
        curl_easy_setopt(c, CURLOPT_CAPATH, folder);
}

/*
 * HTTP/2 puts many requests on one connection. A body that waits for somebody would hold
 * up the others there, and libcurl before 8.0 spins while the server takes no more of a
 * body that is sent. So whatever has a body of ours to send, or gives the answer away in
 * pieces, has a connection of its own.
 */
static void
set_version(struct http_op *op)
{
    const struct http_request *req = &op->req;
    bool alone = req->fill != NULL || req->data != NULL || req->body_bytes > 0;
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
        (long)(alone ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
    /* Without TLS it would wait for the whole answer of another. */
    if (!alone && strncasecmp(req->url, "https:", 6) == 0)
        curl_easy_setopt(c, CURLOPT_PIPEWAIT, 1L);
    if (req->data != NULL)
        curl_easy_setopt(c, CURLOPT_BUFFERSIZE, PIECE);
}

static void
set_user(struct http_op *op)
{
    CURL *c = op->transfer.easy;

    if (op->req.user == NULL)
        return;
    curl_easy_setopt(c, CURLOPT_USERNAME, op->req.user);
    curl_easy_setopt(
        c, CURLOPT_PASSWORD, op->req.password != NULL ? op->req.password : "");
    curl_easy_setopt(c, CURLOPT_HTTPAUTH,
        (long)(op->req.basic ? CURLAUTH_BASIC : CURLAUTH_BASIC | CURLAUTH_DIGEST));
}

/* In a command SIGPIPE may mean the end; there libcurl holds it off while it writes. */
static bool
pipes_kill(void)
{
    struct sigaction now;

    return sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static void
set_connection(struct http_op *op)
{
    int64_t connect = op->req.connect_timeout_ms;
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_NOSIGNAL, pipes_kill() ? 0L : 1L);
    /* Else giving up on a name that does not resolve would hold the loop. */
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_open);
    curl_easy_setopt(c, CURLOPT_SOCKOPTDATA, op);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, 30L);
    curl_easy_setopt(
        c, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect > 0 ? connect : HTTP_CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)op->req.timeout_ms);
}

void
http_setup(struct http_op *op)
{
    CURL *c = op->transfer.easy;

    curl_easy_setopt(c, CURLOPT_URL, op->req.url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, op->words);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, http_on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, op);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, op);
    set_connection(op);
    set_version(op);
    set_method(op);
    set_headers(op);
    set_user(op);
    set_proxy(op);
    set_tls(op);
}
