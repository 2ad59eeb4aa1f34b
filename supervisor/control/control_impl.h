/*
 * control_impl - what control.c (life, cursors), api*.c (requests) and metrics*.c share.
 */
#ifndef SUPERVISOR_CONTROL_CONTROL_IMPL_H
#define SUPERVISOR_CONTROL_CONTROL_IMPL_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/mono.h"
#include "common/base/wall.h"
#include "supervisor/control/control.h"
#include "supervisor/control/http_server.h"
#include "supervisor/control/metrics.h"
#include "supervisor/mcp/mcp.h"

/*
 * A place in the table that stays good while databases come and go. `at` is the next
 * one, NULL at the end.
 */
struct db_cursor {
    struct db_cursor *prev, *next;
    struct control *control;
    const struct db_entry *at;
};

struct control {
    struct control_options opt;
    struct db_table *table; /* NULL: at the end */
    struct http_server *socket, *metrics_server;
    struct mcp *mcp;
    unsigned n_servers; /* not closed yet */
    bool starting, ended;
    struct wall started_at;
    struct mono started;
    struct db_cursor *cursors;
    struct metrics *metrics;
    bool was_ready;
};

/* control.c */
void db_cursor_init(struct db_cursor *cur, struct control *c); /* at the first one */
void db_cursor_step(struct db_cursor *cur);
void db_cursor_deinit(struct db_cursor *cur);

/* api.c */
extern const struct http_route control_socket_routes[];
extern const size_t n_control_socket_routes;
extern const struct http_route control_metrics_routes[];
extern const size_t n_control_metrics_routes;

/* `value` is taken over. */
void api_reply_json(struct http_request *r, unsigned status, json_t *value);

/* {"error":...,"details":...}; details may be NULL. */
void api_reply_error(
    struct http_request *r, unsigned status, const char *error, const char *details);
void api_reply_err(struct http_request *r, unsigned status, const struct err *e);

/* false: 503 was replied, the daemon is ending. */
bool api_is_open(struct control *c, struct http_request *r);

/* Text that is made piece by piece: fill adds some, or says false: nothing more. */
struct text_source {
    bool (*fill)(void *arg, struct buf *out);
    void (*free)(void *arg);
    void *arg;
};
void api_reply_text(
    struct http_request *r, const char *type, const struct text_source *source);

/* api_daemon.c; {"databases":[...]}, an object each, made while it is sent. */
struct db_view;
void api_reply_list(struct control *c, struct http_request *r,
    json_t *(*make)(const struct db_view *v, bool once));

/* api_page.c */
http_handler_cb api_page, api_status;

/* api_db.c: requests about one database */
http_handler_cb api_start, api_stop, api_sync, api_register, api_unregister, api_snapshot,
    api_checkpoint;

/* api_daemon.c: about all of it */
http_handler_cb api_list, api_info, api_txid, api_sync_status, api_healthz, api_readyz,
    api_metrics, api_reload, api_get_log_level, api_set_log_level, api_profiling;

/* api_db.c; the expanded path of a request, or false: an error was replied. */
struct api_body;
bool api_take_path(struct http_request *r, const char *text, char **path);
bool api_take_body(struct http_request *r, struct api_body *out);

#endif
