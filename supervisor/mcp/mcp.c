#include "supervisor/mcp/mcp.h"

#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/json/json_text.h"
#include "supervisor/control/http_server.h"
#include "supervisor/mcp/rpc.h"
#include "supervisor/mcp/self_run.h"
#include "supervisor/mcp/tools.h"

/* Tools at work at a time, and how long one may take. */
#define MAX_RUNS 8
#define RUN_MS (3600 * 1000)

/* One tool at work. A report is several commands, one after the other. */
struct mcp_run {
    struct mcp *mcp; /* NULL: it has stopped */
    struct mcp_run *prev, *next;
    struct http_request *request;
    struct rpc_request rpc;
    const struct tool *tool;
    struct self_run *run;
    struct tool_defaults defaults;
    struct {
        int step;
        struct buf text;
        json_t *databases; /* rows of `databases -json` */
        size_t at;
    } report;
};

struct mcp {
    uv_loop_t *loop;
    struct http_server *server;
    char *config_file;
    struct secret token;
    struct mcp_run *runs;
    unsigned n_runs;
    unsigned n_open; /* the server, the timer */
    bool stopping;
    uv_timer_t grace;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* --- replies --------------------------------------------------------------------------
 */

static void
reply_json(struct http_request *r, unsigned status, const json_t *value)
{
    char *text = json_text_compact(value, 1);

    http_reply_take(r, status, "application/json", text, strlen(text));
}

static void
reply_plain(struct http_request *r, unsigned status, const char *text)
{
    http_reply(r, status, "text/plain; charset=utf-8", text);
}

/* --- tools at work --------------------------------------------------------------------
 */

static void
free_if_over(struct mcp *m)
{
    void (*closed)(void *arg) = m->closed;
    void *arg = m->closed_arg;

    if (m->n_open > 0 || m->n_runs > 0)
        return;
    secret_wipe(&m->token);
    mem_free(m->config_file);
    mem_free(m);
    if (closed != NULL)
        closed(arg);
}

static void
end_run(struct mcp_run *x)
{
    struct mcp *m = x->mcp;

    if (x->prev != NULL)
        x->prev->next = x->next;
    else
        m->runs = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    m->n_runs--;
    buf_deinit(&x->report.text);
    json_decref(x->report.databases);
    rpc_deinit(&x->rpc);
    mem_free(x);
    free_if_over(m);
}

static void
answer(struct mcp_run *x, const char *text, bool is_error)
{
    json_t *reply = rpc_text(x->rpc.id, text, is_error);

    reply_json(x->request, 200, reply);
    json_decref(reply);
    end_run(x);
}

/* The end of a text without spaces and line ends. */
static char *
trimmed(const char *text)
{
    size_t n = strlen(text);

    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
        n--;
    return mem_strndup(text, n);
}

static void
answer_failure(struct mcp_run *x, const char *prefix, const char *said, const char *why)
{
    char *end = trimmed(said);
    char *text = mem_printf("%s%s%s%s", prefix, end, end[0] != '\0' ? ": " : "", why);

    answer(x, text, true);
    mem_free(text);
    mem_free(end);
}

static bool
start(struct mcp_run *x, const struct tool_argv *argv, self_run_done_cb *done)
{
    const char *items[TOOL_ARGS_MAX + 1];
    struct err e;

    for (unsigned i = 0; i <= argv->n; i++)
        items[i] = argv->items[i];
    if (self_run_start(x->mcp->loop, items, RUN_MS, done, x, &x->run, &e) == 0)
        return true;
    answer_failure(x, "", e.text, "the command was not started");
    return false;
}

static void
on_command_done(void *arg, const struct self_run_result *res)
{
    struct mcp_run *x = arg;
    char *summary;

    x->run = NULL;
    if (res->status != 0) {
        answer_failure(x, "", res->text, res->why);
    } else if (res->size > 0) {
        answer(x, res->text, false);
    } else {
        summary = tool_summary(x->tool, x->rpc.arguments);
        answer(x, summary, false);
        mem_free(summary);
    }
}

static void
run_command(struct mcp_run *x)
{
    const char *missing;
    struct tool_argv argv;
    char *text;

    if (!tool_command(x->tool, x->rpc.arguments, &x->defaults, &argv, &missing)) {
        text = mem_printf("required argument \"%s\" not found", missing);
        answer(x, text, true);
        mem_free(text);
        return;
    }
    start(x, &argv, on_command_done);
    tool_argv_deinit(&argv);
}

/* --- the report -----------------------------------------------------------------------
 */

enum { REPORT_VERSION, REPORT_ROWS, REPORT_DATABASES, REPORT_LTX };

static void next_of_report(struct mcp_run *x);

static const char *
row_path(const struct mcp_run *x)
{
    return json_string_value(
        json_object_get(json_array_get(x->report.databases, x->report.at), "path"));
}

/* Those of several replicas have several rows. */
static void
skip_same_path(struct mcp_run *x)
{
    const char *path = row_path(x);

    do
        x->report.at++;
    while (x->report.at < json_array_size(x->report.databases) && path != NULL &&
           row_path(x) != NULL && strcmp(row_path(x), path) == 0);
}

static void
took_ltx(struct mcp_run *x, const struct self_run_result *res)
{
    struct buf *b = &x->report.text;
    const char *path = row_path(x);

    if (res->status == 0)
        buf_printf(b, "Database: %s\n%s\n", path, res->text);
    else
        buf_printf(
            b, "Failed to get LTX files for %s: %s\n%s\n", path, res->why, res->text);
    skip_same_path(x);
}

static void
on_report_done(void *arg, const struct self_run_result *res)
{
    struct mcp_run *x = arg;
    struct buf *b = &x->report.text;
    const char *config = tool_config(x->rpc.arguments, &x->defaults);

    x->run = NULL;
    if (res->status != 0 && x->report.step != REPORT_LTX) {
        answer_failure(x,
            x->report.step == REPORT_VERSION ? "Failed to get version info: "
                                             : "Failed to get databases info: ",
            res->text, res->why);
        return;
    }
    switch (x->report.step) {
    case REPORT_VERSION:
        buf_printf(b, "=== Litestream Status Report ===\n\nVersion Information:\n%s\n",
            res->text);
        buf_printf(b, "Current Config Path:\n%s\n\n", config);
        break;
    case REPORT_ROWS:
        x->report.databases =
            json_loadb(res->text, res->size, JSON_DISABLE_EOF_CHECK, NULL);
        break;
    case REPORT_DATABASES:
        buf_printf(b, "Databases:\n%s\nLTX Files:\n", res->text);
        break;
    default:
        took_ltx(x, res);
        break;
    }
    if (x->report.step != REPORT_LTX)
        x->report.step++;
    next_of_report(x);
}

static void
next_of_report(struct mcp_run *x)
{
    const char *config = tool_config(x->rpc.arguments, &x->defaults), *path = NULL;
    static const char *const commands[] = { "version", "databases", "databases", "ltx" };
    struct tool_argv argv;

    if (x->report.step == REPORT_LTX) {
        path = x->report.at < json_array_size(x->report.databases) ? row_path(x) : NULL;
        if (path == NULL || buf_failed(&x->report.text)) {
            answer(x, buf_str(&x->report.text), false);
            return;
        }
    }
    tool_argv_begin(&argv, commands[x->report.step]);
    if (x->report.step != REPORT_VERSION && config[0] != '\0') {
        tool_argv_add(&argv, "-config");
        tool_argv_add(&argv, config);
    }
    if (x->report.step == REPORT_ROWS)
        tool_argv_add(&argv, "-json");
    if (path != NULL) {
        tool_argv_add(&argv, "--");
        tool_argv_add(&argv, path);
    }
    start(x, &argv, on_report_done);
    tool_argv_deinit(&argv);
}

/* --- requests -------------------------------------------------------------------------
 */

static void
call_tool(struct mcp *m, struct http_request *r, struct rpc_request *rpc)
{
    struct mcp_run *x;
    json_t *reply;

    if (m->stopping || m->n_runs == MAX_RUNS) {
        reply = rpc_error(rpc->id, RPC_INTERNAL,
            m->stopping ? "the daemon is ending" : "too many tools are at work");
        reply_json(r, 200, reply);
        json_decref(reply);
        rpc_deinit(rpc);
        return;
    }
    x = MEM_NEW(struct mcp_run);
    x->mcp = m;
    x->request = r;
    x->rpc = *rpc;
    x->tool = tool_find(rpc->tool);
    x->defaults.config = m->config_file;
    buf_init(&x->report.text, SELF_RUN_OUTPUT_MAX * 2);
    x->next = m->runs;
    if (m->runs != NULL)
        m->runs->prev = x;
    m->runs = x;
    m->n_runs++;
    log_info("mcp tool called", LF_STR("tool", rpc->tool));
    if (tool_is_report(x->tool))
        next_of_report(x);
    else
        run_command(x);
}

static bool
is_json(const char *type)
{
    static const char json[] = "application/json";

    return type != NULL && strncasecmp(type, json, strlen(json)) == 0 &&
           strchr("; \t", type[strlen(json)]) != NULL;
}

/* The name of a host without its port. */
static bool
is_loopback(const char *host, size_t n)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
            return true;
    return false;
}

/*
 * A page from elsewhere can make a browser send requests here, also under a name of its
 * own that it lets point to us. Programs send no Origin.
 */
static bool
origin_is_good(const struct http_request *r)
{
    const char *origin = http_get_header(r, "Origin"), *host;

    if (origin == NULL)
        return true;
    host = strstr(origin, "://");
    if (host == NULL)
        return false;
    host += 3;
    if (host[0] == '[')
        return is_loopback(host, strcspn(host, "]") + 1);
    return is_loopback(host, strcspn(host, ":/"));
}

/* Takes the same time wherever they differ. */
static bool
same_bytes(const char *a, const char *b, size_t n)
{
    unsigned char different = 0;

    for (size_t i = 0; i < n; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return different == 0;
}

static bool
token_is_good(const struct mcp *m, const struct http_request *r)
{
    static const char bearer[] = "Bearer ";
    const char *given = http_get_header(r, "Authorization");
    const char *token = secret_reveal(&m->token);
    size_t n = strlen(token);

    if (!secret_is_set(&m->token))
        return true;
    if (given == NULL || strncasecmp(given, bearer, strlen(bearer)) != 0)
        return false;
    given += strlen(bearer);
    return strlen(given) == n && same_bytes(given, token, n);
}

/* False: a refusal was replied. */
static bool
admit(const struct mcp *m, struct http_request *r)
{
    if (!origin_is_good(r)) {
        reply_plain(r, 403, "Forbidden: this Origin may not use the MCP server");
        return false;
    }
    if (!token_is_good(m, r)) {
        http_reply_header(r, "WWW-Authenticate", "Bearer");
        reply_plain(r, 401, "Unauthorized: the token of mcp-auth-token is needed");
        return false;
    }
    return true;
}

static void
post(struct mcp *m, struct http_request *r)
{
    char session[RPC_SESSION_SIZE];
    struct rpc_request rpc;
    const char *body;
    size_t size;

    if (!is_json(http_get_header(r, "Content-Type"))) {
        reply_plain(r, 400, "Invalid content type: must be 'application/json'");
        return;
    }
    body = http_body(r, &size);
    rpc_read(body, size, &rpc);
    if (rpc.kind == RPC_BAD) {
        reply_json(r, 400, rpc.reply);
    } else if (rpc.kind == RPC_INITIALIZE) {
        rpc_new_session(session);
        http_reply_header(r, "Mcp-Session-Id", session);
        reply_json(r, 200, rpc.reply);
    } else if (!rpc_is_session(http_get_header(r, "Mcp-Session-Id"))) {
        reply_plain(r, 400, "Invalid session ID");
    } else if (rpc.kind == RPC_NOTIFICATION) {
        reply_plain(r, 202, "");
    } else if (rpc.kind == RPC_CALL) {
        call_tool(m, r, &rpc); /* takes it over */
        return;
    } else {
        reply_json(r, 200, rpc.reply);
    }
    rpc_deinit(&rpc);
}

static void
handle(void *arg, struct http_request *r)
{
    struct mcp *m = arg;
    const char *method = http_method(r);

    if (!admit(m, r))
        return;
    if (strcmp(method, "POST") == 0) {
        post(m, r);
    } else if (strcmp(method, "DELETE") == 0) {
        reply_plain(r, 200, "");
    } else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        http_reply_header(r, "Allow", "POST, DELETE");
        reply_plain(r, 405, "There is no stream of events: use POST");
    } else {
        reply_plain(r, 404, "404 page not found\n");
    }
}

/* --- life -----------------------------------------------------------------------------
 */

/* ":3001" is loopback: there is no other check of who asks. */
static char *
with_host(const char *address)
{
    return address[0] == ':' ? mem_printf("127.0.0.1%s", address) : mem_strdup(address);
}

static void
on_server_closed(void *arg)
{
    struct mcp *m = arg;

    m->server = NULL;
    m->n_open--;
    free_if_over(m);
}

static void
on_timer_closed(uv_handle_t *h)
{
    struct mcp *m = h->data;

    m->n_open--;
    free_if_over(m);
}

static void
on_grace_over(uv_timer_t *h)
{
    struct mcp *m = h->data;

    for (struct mcp_run *x = m->runs; x != NULL; x = x->next)
        self_run_kill(x->run);
    uv_close((uv_handle_t *)h, on_timer_closed);
}

static int
listen_on(struct mcp *m, const char *address, struct err *e)
{
    static const struct http_route routes[] = { { NULL, "/", true, handle } };
    struct http_options options = {
        .loop = m->loop, .routes = routes, .n_routes = 1, .arg = m
    };
    int rc = http_server_new(&options, &m->server, e);

    if (rc != 0)
        return rc;
    m->n_open++;
    return http_server_listen_tcp(m->server, address, e);
}

struct mcp *
mcp_start(const struct mcp_options *options)
{
    struct mcp *m = MEM_NEW(struct mcp);
    char *address = with_host(options->address);
    struct err e;
    int rc;

    m->loop = options->loop;
    m->config_file = mem_strdup(options->config_file);
    secret_copy(&m->token, options->token);
    must(uv_timer_init(m->loop, &m->grace) == 0);
    m->grace.data = m;
    m->n_open = 1;
    rc = listen_on(m, address, &e);
    if (rc == 0)
        log_info("Starting MCP Streamable HTTP server", LF_STR("addr", address),
            LF_STR("url", http_server_url(m->server)));
    else
        log_error("cannot start MCP server", LF_STR("addr", address), LF_ERR(&e));
    mem_free(address);
    if (rc == 0)
        return m;
    mcp_stop(m, 0, NULL, NULL);
    return NULL;
}

void
mcp_stop(struct mcp *m, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (m == NULL)
        return;
    m->stopping = true;
    m->closed = closed;
    m->closed_arg = arg;
    if (m->server != NULL)
        http_server_stop(m->server, grace_ms, on_server_closed, m);
    if (!uv_is_closing((uv_handle_t *)&m->grace))
        uv_timer_start(&m->grace, on_grace_over, (uint64_t)grace_ms, 0);
}
