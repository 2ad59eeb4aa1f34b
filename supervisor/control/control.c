#include "supervisor/control/control.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "supervisor/control/control_impl.h"

/* --- places in the table --------------------------------------------------------------
 */

void
db_cursor_init(struct db_cursor *cur, struct control *c)
{
    *cur = (struct db_cursor){ .control = c,
        .next = c->cursors,
        .at = c->table != NULL ? db_table_next(c->table, NULL) : NULL };
    if (c->cursors != NULL)
        c->cursors->prev = cur;
    c->cursors = cur;
}

void
db_cursor_step(struct db_cursor *cur)
{
    if (cur->at != NULL)
        cur->at = db_table_next(cur->control->table, cur->at);
}

void
db_cursor_deinit(struct db_cursor *cur)
{
    if (cur->prev != NULL)
        cur->prev->next = cur->next;
    else
        cur->control->cursors = cur->next;
    if (cur->next != NULL)
        cur->next->prev = cur->prev;
}

void
control_event(struct control *c, const struct db_entry *d, enum db_event event)
{
    if (c == NULL || c->table == NULL)
        return;
    if (event == DB_EVENT_REMOVED)
        for (struct db_cursor *cur = c->cursors; cur != NULL; cur = cur->next)
            if (cur->at == d)
                db_cursor_step(cur);
    metrics_event(c->metrics, d, event);
}

/* --- life -----------------------------------------------------------------------------
 */

static void
free_if_over(struct control *c)
{
    if (c->n_servers > 0 || !c->ended)
        return;
    must(c->cursors == NULL);
    metrics_free(c->metrics);
    mem_free(c);
}

static void
on_socket_closed(void *arg)
{
    struct control *c = arg;

    c->socket = NULL;
    c->n_servers--;
    free_if_over(c);
}

static void
on_metrics_closed(void *arg)
{
    struct control *c = arg;

    c->metrics_server = NULL;
    c->n_servers--;
    free_if_over(c);
}

static void
start_socket(struct control *c, const struct cfg_socket *cfg)
{
    struct http_options options = { .loop = c->opt.loop,
        .routes = control_socket_routes,
        .n_routes = n_control_socket_routes,
        .arg = c };
    struct err e;
    int rc = http_server_new(&options, &c->socket, &e);

    if (rc == 0) {
        c->n_servers++;
        rc = http_server_listen_unix(c->socket, cfg->path, (mode_t)cfg->permissions, &e);
    }
    if (rc == 0) {
        log_info("control socket listening", LF_STR("path", cfg->path));
        return;
    }
    log_warn("failed to start control server", LF_ERR(&e));
    http_server_stop(c->socket, 0, on_socket_closed, c);
}

static void
start_metrics(struct control *c, const char *addr)
{
    struct http_options options = { .loop = c->opt.loop,
        .routes = control_metrics_routes,
        .n_routes = n_control_metrics_routes,
        .arg = c };
    struct err e;
    int rc = http_server_new(&options, &c->metrics_server, &e);
    char *url;

    if (rc == 0) {
        c->n_servers++;
        rc = http_server_listen_tcp(c->metrics_server, addr, &e);
    }
    if (rc == 0) {
        url = mem_printf("%s/metrics", http_server_url(c->metrics_server));
        log_info("serving metrics on", LF_STR("url", url));
        mem_free(url);
        return;
    }
    log_error("cannot start metrics server", LF_ERR(&e));
    http_server_stop(c->metrics_server, 0, on_metrics_closed, c);
}

static void
on_mcp_closed(void *arg)
{
    struct control *c = arg;

    c->mcp = NULL;
    c->n_servers--;
    free_if_over(c);
}

static void
start_mcp(struct control *c, const struct config *cfg)
{
    const struct mcp_options options = { .loop = c->opt.loop,
        .address = cfg->mcp_addr,
        .config_file = cfg->file,
        .token = &cfg->mcp_auth_token };

    c->mcp = mcp_start(&options);
    if (c->mcp != NULL)
        c->n_servers++;
}

struct control *
control_start(const struct control_options *options)
{
    const struct config *cfg = supervisor_config(options->sup);
    struct control *c = MEM_NEW(struct control);

    c->opt = *options;
    c->table = supervisor_table(options->sup);
    c->started_at = wall_now();
    c->started = mono_now();
    c->metrics = metrics_new();
    if (cfg->socket.enabled)
        start_socket(c, &cfg->socket);
    if (cfg->addr[0] != '\0')
        start_metrics(c, cfg->addr);
    if (cfg->mcp_addr[0] != '\0')
        start_mcp(c, cfg);
    return c;
}

void
control_stop(struct control *c, int64_t grace_ms)
{
    if (c == NULL)
        return;
    http_server_stop(c->socket, grace_ms, on_socket_closed, c);
    http_server_stop(c->metrics_server, grace_ms, on_metrics_closed, c);
    mcp_stop(c->mcp, grace_ms, on_mcp_closed, c);
}

void
control_end(struct control *c, int64_t grace_ms)
{
    if (c == NULL || c->ended)
        return;
    control_stop(c, grace_ms);
    c->table = NULL;
    c->ended = true;
    for (struct db_cursor *cur = c->cursors; cur != NULL; cur = cur->next)
        cur->at = NULL;
    free_if_over(c);
}
