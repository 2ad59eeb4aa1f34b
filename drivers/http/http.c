#include "drivers/http/http.h"

#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"

#define IDLE_MS 60000
#define CONNECT_MS 30000
#define STALL_S 60
#define KEPT_BODY ((size_t)64 << 10)
#define MAX_HEADERS ((size_t)32 << 10) /* bytes of all that an answer may have */
#define MAX_CONNECTIONS 8L
#define USER_AGENT "litestream"

struct http {
    uv_loop_t *loop;
    char *ca_file;
    CURLM *multi; /* NULL: nothing was asked for a while */
    CURLSH *share;
    uv_timer_t timer; /* curl's */
    uv_timer_t idle;
    size_t n_ops, n_sockets;
    int n_closing; /* handles of ours whose close callback is due */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* A descriptor that curl wants to be watched. */
struct watched {
    struct http *http;
    uv_poll_t poll;
    curl_socket_t fd;
};

struct http_op {
    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    struct http_request req;
    struct buf head; /* "name\0value\0"... of the answer */
    struct buf kept;
    int status;
    char words[CURL_ERROR_SIZE];
    struct err err; /* of `data`, or of us */
};

/* --- answers
 * ------------------------------------------------------------------------------ */

static bool
is_begin(const char *line, size_t n)
{
    return n >= 5 && strncmp(line, "HTTP/", 5) == 0;
}

static size_t
on_header(char *line, size_t one, size_t n, void *arg)
{
    struct http_op *op = arg;
    const char *colon = memchr(line, ':', n);
    size_t all = n * one;

    if (is_begin(line, n)) { /* another answer: what came was 100 Continue or a proxy's */
        buf_reset(&op->head);
        buf_reset(&op->kept);
        return all;
    }
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    if (colon == NULL || colon > line + n)
        return all;
    buf_add(&op->head, line, (size_t)(colon - line));
    buf_add_char(&op->head, '\0');
    for (colon++; colon < line + n && isspace((unsigned char)*colon);)
        colon++;
    buf_add(&op->head, colon, (size_t)(line + n - colon));
    buf_add_char(&op->head, '\0');
    if (!buf_failed(&op->head))
        return all;
    err_set(&op->err, ERR_PROTOCOL, "the answer has more than %zu bytes of headers",
        (size_t)MAX_HEADERS);
    return 0;
}

static size_t
on_data(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_op *op = arg;
    size_t room;

    n *= one;
    if (op->req.data != NULL && http_status(op) < 300)
        return op->req.data(op->req.arg, op, bytes, n, &op->err) == 0 ? n : 0;
    room = op->kept.limit - op->kept.size;
    buf_add(&op->kept, bytes, n < room ? n : room);
    return n;
}

int
http_status(const struct http_op *op)
{
    long status = op->status;

    if (status == 0)
        curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *
http_header(const struct http_op *op, const char *name)
{
    const char *at = (const char *)op->head.data, *end = at + op->head.size;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

/* --- the end of a request
 * ------------------------------------------------------------------ */

static void
op_free(struct http_op *op)
{
    curl_easy_cleanup(op->easy);
    curl_slist_free_all(op->headers);
    buf_deinit(&op->head);
    if (op->kept.data != NULL)
        explicit_bzero(op->kept.data, op->kept.cap); /* credentials come this way, too */
    buf_deinit(&op->kept);
    mem_free(op);
}

static void on_idle(uv_timer_t *t);

static void
remove_op(struct http_op *op)
{
    struct http *h = op->http;

    curl_multi_remove_handle(h->multi, op->easy);
    must(h->n_ops-- > 0);
    if (h->n_ops == 0 && !h->closing)
        uv_timer_start(&h->idle, on_idle, IDLE_MS, 0);
}

static enum err_code
code_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
        code == CURLE_SSL_ISSUER_ERROR)
        return ERR_CONFIG;
    return ERR_NETWORK;
}

static void
finish(struct http_op *op, CURLcode code)
{
    struct http_result res = { .status = http_status(op) };

    op->status = res.status;
    if (code != CURLE_OK && op->err.code == ERR_OK) {
        err_set(&op->err, code_of(code), "%s",
            op->words[0] != '\0' ? op->words : curl_easy_strerror(code));
        if (code == CURLE_PEER_FAILED_VERIFICATION)
            err_hint(
                &op->err, "name the file of your certificate authority in SSL_CERT_FILE");
    }
    res.err = op->err.code != ERR_OK ? &op->err : NULL;
    res.body = buf_str(&op->kept);
    res.body_bytes = op->kept.size;
    remove_op(op);
    op->req.done(op->req.arg, op, &res);
    op_free(op);
}

/* A callback may start and cancel others, so curl is asked anew each time. */
static void
take_finished(struct http *h)
{
    CURLMsg *m;
    int left;

    while (h->multi != NULL && (m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct http_op *op = NULL;

        must(m->msg == CURLMSG_DONE);
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&op);
        finish(op, m->data.result);
    }
}

/* --- curl on the loop
 * ---------------------------------------------------------------------- */

static void
on_poll(uv_poll_t *p, int status, int events)
{
    struct watched *w = container_of(p, struct watched, poll);
    struct http *h = w->http;
    int running, flags = 0;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(h->multi, w->fd, flags, &running);
    take_finished(h);
}

static void
on_timeout(uv_timer_t *t)
{
    struct http *h = container_of(t, struct http, timer);
    int running;

    if (h->multi == NULL)
        return;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(h);
}

static int
set_timer(CURLM *multi, long ms, void *arg)
{
    struct http *h = arg;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&h->timer);
    else if (!h->closing)
        uv_timer_start(&h->timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

static void
close_if_empty(struct http *h)
{
    void (*closed)(void *) = h->closed;
    void *arg = h->closed_arg;

    if (!h->closing || h->n_closing > 0)
        return;
    mem_free(h->ca_file);
    mem_free(h);
    if (closed != NULL)
        closed(arg);
}

static void
on_watched_closed(uv_handle_t *handle)
{
    struct watched *w = container_of((uv_poll_t *)handle, struct watched, poll);
    struct http *h = w->http;

    mem_free(w);
    h->n_closing--;
    close_if_empty(h);
}

static int
watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct http *h = arg;
    struct watched *w = of_socket;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            curl_multi_assign(h->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            h->n_closing++;
            uv_close((uv_handle_t *)&w->poll, on_watched_closed);
        }
        return 0;
    }
    if (w == NULL) {
        w = MEM_NEW(struct watched);
        w->http = h;
        w->fd = fd;
        must(uv_poll_init_socket(h->loop, &w->poll, fd) == 0);
        curl_multi_assign(h->multi, fd, w);
    }
    if ((what & CURL_POLL_IN) != 0)
        events |= UV_READABLE;
    if ((what & CURL_POLL_OUT) != 0)
        events |= UV_WRITABLE;
    uv_poll_start(&w->poll, events, on_poll);
    return 0;
}

static void
close_connections(struct http *h)
{
    if (h->multi == NULL)
        return;
    curl_multi_cleanup(h->multi);
    curl_share_cleanup(h->share);
    h->multi = NULL;
    h->share = NULL;
}

static void
on_idle(uv_timer_t *t)
{
    struct http *h = container_of(t, struct http, idle);

    uv_timer_stop(&h->timer);
    close_connections(h);
}

static void
open_multi(struct http *h)
{
    static bool curl_is_up; /* workers are forked without exec; see the architecture */

    if (!curl_is_up)
        must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    curl_is_up = true;
    h->multi = curl_multi_init();
    h->share = curl_share_init();
    must(h->multi != NULL && h->share != NULL);
    curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, MAX_CONNECTIONS);
}

struct http *
http_open(const struct http_options *options)
{
    struct http *h = MEM_NEW(struct http);
    const char *ca = options->ca_file;

    if (ca == NULL || ca[0] == '\0')
        ca = getenv("SSL_CERT_FILE");
    h->loop = options->loop;
    h->ca_file = ca != NULL && ca[0] != '\0' ? mem_strdup(ca) : NULL;
    uv_timer_init(h->loop, &h->timer);
    uv_timer_init(h->loop, &h->idle);
    uv_unref((uv_handle_t *)&h->idle);
    return h;
}

static void
on_timer_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;

    h->n_closing--;
    close_if_empty(h);
}

void
http_close(struct http *h, void (*closed)(void *arg), void *arg)
{
    must(h->n_ops == 0 && !h->closing);
    h->closing = true;
    h->closed = closed;
    h->closed_arg = arg;
    close_connections(h);
    h->timer.data = h->idle.data = h;
    h->n_closing += 2;
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
    uv_close((uv_handle_t *)&h->idle, on_timer_closed);
}

/* --- requests
 * ----------------------------------------------------------------------------- */

/* A path that goes nowhere any more is noticed, also in the middle of an upload. */
static int
on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
#ifdef TCP_USER_TIMEOUT
    unsigned ms = STALL_S * 1000;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#else
    (void)fd;
#endif
    (void)arg;
    (void)purpose;
    return CURL_SOCKOPT_OK;
}

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

static void
set_headers(struct http_op *op)
{
    const struct http_request *req = &op->req;

    for (size_t i = 0; i < req->n_headers; i++) {
        const struct uri_pair *p = &req->headers[i];
        /* without a value curl wants it this way */
        char *line = p->value[0] != '\0' ? mem_printf("%s: %s", p->name, p->value)
                                         : mem_printf("%s;", p->name);

        add_header(op, line);
        explicit_bzero(line, strlen(line));
        mem_free(line);
    }
    if (!names(req, "Content-Type")) /* else curl has an idea of its own */
        add_header(op, "Content-Type:");
    add_header(op, "Accept:");
    if (req->body == NULL || req->body_bytes < (size_t)2 << 20)
        add_header(op, "Expect:");
    curl_easy_setopt(op->easy, CURLOPT_HTTPHEADER, op->headers);
}

static void
set_method(struct http_op *op)
{
    const struct http_request *req = &op->req;
    bool has_body = strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0;

    if (strcmp(req->method, "HEAD") == 0) {
        curl_easy_setopt(op->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (has_body || req->body != NULL) {
        curl_easy_setopt(
            op->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_bytes);
        curl_easy_setopt(op->easy,
            req->copy_body ? CURLOPT_COPYPOSTFIELDS : CURLOPT_POSTFIELDS,
            req->body != NULL ? req->body : "");
    }
    curl_easy_setopt(op->easy, CURLOPT_CUSTOMREQUEST, req->method);
}

/* As others read the environment; curl leaves out HTTP_PROXY and proxies this machine. */
static void
set_proxy(struct http_op *op)
{
    const char *url = op->req.url, *host = strstr(url, "://");
    const char *proxy = getenv("HTTP_PROXY");

    host = host != NULL ? host + 3 : url;
    if (op->req.direct || strncmp(host, "localhost", 9) == 0 ||
        strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0)
        curl_easy_setopt(op->easy, CURLOPT_PROXY, "");
    else if (strncmp(url, "http:", 5) == 0 && getenv("http_proxy") == NULL &&
             proxy != NULL && proxy[0] != '\0')
        curl_easy_setopt(op->easy, CURLOPT_PROXY, proxy);
}

static void
set_tls(struct http_op *op)
{
    const char *folder = getenv("SSL_CERT_DIR");

    curl_easy_setopt(op->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(op->easy, CURLOPT_SSL_VERIFYPEER, op->req.insecure ? 0L : 1L);
    curl_easy_setopt(op->easy, CURLOPT_SSL_VERIFYHOST, op->req.insecure ? 0L : 2L);
    if (op->http->ca_file != NULL)
        curl_easy_setopt(op->easy, CURLOPT_CAINFO, op->http->ca_file);
    if (folder != NULL && folder[0] != '\0')
        curl_easy_setopt(op->easy, CURLOPT_CAPATH, folder);
}

static void
set_rest(struct http_op *op)
{
    int64_t connect = op->req.connect_timeout_ms;
    CURL *c = op->easy;

    curl_easy_setopt(c, CURLOPT_PRIVATE, op);
    curl_easy_setopt(c, CURLOPT_URL, op->req.url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_SHARE, op->http->share);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, op->words);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, op);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, op);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, 30L);
    curl_easy_setopt(
        c, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect > 0 ? connect : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)op->req.timeout_ms);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
}

struct http_op *
http_start(struct http *h, const struct http_request *req)
{
    struct http_op *op = MEM_NEW(struct http_op);

    must(!h->closing);
    if (h->multi == NULL)
        open_multi(h);
    op->http = h;
    op->req = *req;
    buf_init(&op->head, MAX_HEADERS);
    buf_init(&op->kept, req->answer_limit > 0 ? req->answer_limit : KEPT_BODY);
    op->easy = curl_easy_init();
    must(op->easy != NULL);
    set_rest(op);
    set_method(op);
    set_headers(op);
    set_proxy(op);
    set_tls(op);
    op->req.headers = NULL; /* they were borrowed */
    op->req.method = op->req.url = NULL;
    h->n_ops++;
    uv_timer_stop(&h->idle);
    must(curl_multi_add_handle(h->multi, op->easy) == CURLM_OK);
    return op;
}

void
http_cancel(struct http_op *op)
{
    remove_op(op);
    op_free(op);
}
