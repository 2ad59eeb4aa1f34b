/*
 * Replies in the forms that all endpoints have in common, and which endpoints there are.
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/json/json_text.h"
#include "supervisor/control/control_impl.h"
#include "supervisor/control/gzip.h"

#define PIECE_MAX ((size_t)1 << 26)
#define PIECE_GOOD ((size_t)1 << 14) /* so much at a time is worth sending */

void
api_reply_json(struct http_request *r, unsigned status, json_t *value)
{
    char *text = json_text_compact(value, 1);
    char *line = mem_printf("%s\n", text);

    json_decref(value);
    mem_free(text);
    http_reply_take(r, status, "application/json", line, strlen(line));
}

void
api_reply_error(
    struct http_request *r, unsigned status, const char *error, const char *details)
{
    json_t *body = json_object();

    json_object_set_new(body, "error", json_text_string(error));
    if (details != NULL && details[0] != '\0')
        json_object_set_new(body, "details", json_text_string(details));
    api_reply_json(r, status, body);
}

void
api_reply_err(struct http_request *r, unsigned status, const struct err *e)
{
    api_reply_error(r, status, e->text, e->hint);
}

bool
api_is_open(struct control *c, struct http_request *r)
{
    if (c->table != NULL)
        return true;
    api_reply_error(r, 503, "the daemon is ending", NULL);
    return false;
}

/* --- text in pieces -------------------------------------------------------------------
 */

struct text_stream {
    struct text_source source;
    struct buf piece;
    size_t sent; /* bytes of it */
    bool over;
};

static size_t
read_text(void *arg, char *out, size_t max)
{
    struct text_stream *t = arg;
    size_t n;

    if (t->sent == t->piece.size) {
        buf_reset(&t->piece);
        t->sent = 0;
    }
    while (t->piece.size < PIECE_GOOD && !t->over)
        t->over = !t->source.fill(t->source.arg, &t->piece);
    n = t->piece.size - t->sent;
    if (n > max)
        n = max;
    if (n > 0)
        memcpy(out, t->piece.data + t->sent, n);
    t->sent += n;
    return n;
}

static void
free_text(void *arg)
{
    struct text_stream *t = arg;

    t->source.free(t->source.arg);
    buf_deinit(&t->piece);
    mem_free(t);
}

void
api_reply_text(struct http_request *r, const char *type, const struct text_source *source)
{
    struct text_stream *t = MEM_NEW(struct text_stream);
    struct http_stream stream = { .read = read_text, .free = free_text, .arg = t };

    t->source = *source;
    buf_init(&t->piece, PIECE_MAX);
    http_reply_header(r, "Vary", "Accept-Encoding");
    if (gzip_is_accepted(http_get_header(r, "Accept-Encoding")) && gzip_wrap(&stream))
        http_reply_header(r, "Content-Encoding", "gzip");
    http_reply_stream(r, 200, type, &stream);
}

/* --- endpoints ------------------------------------------------------------------------
 */

const struct http_route control_socket_routes[] = {
    { "POST", "/start", false, api_start },
    { "POST", "/stop", false, api_stop },
    { "POST", "/sync", false, api_sync },
    { "POST", "/register", false, api_register },
    { "POST", "/unregister", false, api_unregister },
    { "GET", "/txid", false, api_txid },
    { "GET", "/list", false, api_list },
    { "GET", "/info", false, api_info },
    { "GET", "/debug/sync-status", false, api_sync_status },
    { NULL, "/debug/pprof/", true, api_profiling },
    /* ours */
    { "POST", "/snapshot", false, api_snapshot },
    { "POST", "/checkpoint", false, api_checkpoint },
    { "POST", "/reload", false, api_reload },
    { "GET", "/log-level", false, api_get_log_level },
    { "POST", "/log-level", false, api_set_log_level },
    { "GET", "/metrics", false, api_metrics },
    { "GET", "/healthz", false, api_healthz },
    { "GET", "/readyz", false, api_readyz },
};

const size_t n_control_socket_routes =
    sizeof(control_socket_routes) / sizeof(control_socket_routes[0]);

/* Whoever can reach the address reads them: nothing here changes anything. */
const struct http_route control_metrics_routes[] = {
    { "GET", "/", false, api_page },
    { "GET", "/status.json", false, api_status },
    { "GET", "/metrics", false, api_metrics },
    { "GET", "/healthz", false, api_healthz },
    { "GET", "/readyz", false, api_readyz },
    { NULL, "/debug/pprof/", true, api_profiling },
};

const size_t n_control_metrics_routes =
    sizeof(control_metrics_routes) / sizeof(control_metrics_routes[0]);
