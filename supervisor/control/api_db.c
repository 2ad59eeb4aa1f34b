/*
 * Requests about one database. What its worker has to do is answered when that answers;
 * the client is held so long, with the deadline that it asked for.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/json/json_text.h"
#include "config/features.h"
#include "config/share.h"
#include "supervisor/control/api_body.h"
#include "supervisor/control/control_impl.h"

#define DEFAULT_TIMEOUT_S 30

/* A request that waits for a worker; nothing else is borrowed. */
struct waiting {
    struct http_request *r;
    char *path;
    uint64_t txid_before;
    bool wait;
};

static struct waiting *
hold(struct http_request *r, char *path)
{
    struct waiting *w = MEM_NEW(struct waiting);

    w->r = r;
    w->path = path;
    return w;
}

static void
release(struct waiting *w)
{
    mem_free(w->path);
    mem_free(w);
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct http_request *r, unsigned status, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    api_reply_error(r, status, text, NULL);
}

bool
api_take_path(struct http_request *r, const char *text, char **path)
{
    struct err e;

    if (text[0] == '\0') {
        api_reply_error(r, 400, "path required", NULL);
        return false;
    }
    if (path_expand_db(text, path, &e) == 0)
        return true;
    refuse(r, 400, "invalid path: %s", e.text);
    return false;
}

bool
api_take_body(struct http_request *r, struct api_body *out)
{
    size_t size;
    const char *text = http_body(r, &size);
    struct err e;

    if (api_body_parse(text, size, out, &e) == 0)
        return true;
    api_reply_error(r, 400, "invalid request body", e.text);
    return false;
}

/* Body and path of a request, or everything is said. */
static bool
begin(struct control *c, struct http_request *r, struct api_body *body, char **path)
{
    if (!api_is_open(c, r) || !api_take_body(r, body))
        return false;
    if (api_take_path(r, body->path, path))
        return true;
    api_body_deinit(body);
    return false;
}

static json_t *
status_json(const char *status, const char *path)
{
    json_t *o = json_object();

    json_object_set_new(o, "status", json_string(status));
    json_object_set_new(o, "path", json_text_string(path));
    return o;
}

static json_t *
txid_json(const char *status, const char *path, uint64_t txid)
{
    json_t *o = status_json(status, path);

    json_object_set_new(o, "txid", json_integer((json_int_t)txid));
    return o;
}

/* --- start, stop ----------------------------------------------------------------------
 */

static void
on_started(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;

    if (a->err.code != ERR_OK)
        refuse(w->r, 500, "open database: %s", a->err.text);
    else
        api_reply_json(w->r, 200,
            txid_json(a->already ? "already_running" : "started", w->path, a->txid));
    release(w);
}

void
api_start(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    struct waiting *w;
    char *path;
    struct err e;

    if (!begin(c, r, &body, &path))
        return;
    w = hold(r, path);
    if (db_table_start(c->table, path, body.timeout_s * 1000, on_started, w, &e) != 0) {
        api_reply_err(r, 500, &e);
        release(w);
    }
    api_body_deinit(&body);
}

static void
on_stopped(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;

    if (a->err.code != ERR_OK)
        refuse(w->r, 500, "close database: %s", a->err.text);
    else
        api_reply_json(w->r, 200,
            txid_json(a->already ? "already_stopped" : "stopped", w->path, a->txid));
    release(w);
}

static int64_t
timeout_ms(const struct api_body *body)
{
    return (body->timeout_s > 0 ? body->timeout_s : DEFAULT_TIMEOUT_S) * 1000;
}

void
api_stop(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    struct waiting *w;
    char *path;
    struct err e;

    if (!begin(c, r, &body, &path))
        return;
    w = hold(r, path);
    if (db_table_stop(c->table, path, timeout_ms(&body), on_stopped, w, &e) != 0) {
        api_reply_err(r, 500, &e);
        release(w);
    }
    api_body_deinit(&body);
}

/* --- register, unregister -------------------------------------------------------------
 */

static int
make_config(struct control *c, const char *path, const char *url, struct config **out,
    struct err *e)
{
    int rc = config_for_added_db(supervisor_config(c->opt.sup), path, url, NULL, out, e);

    if (rc != 0)
        return rc;
    rc = config_check_replicas(*out, e);
    if (rc == 0)
        rc = config_check_daemon(*out, e);
    if (rc == 0)
        rc = cfg_require_features(*out, c->opt.features, e);
    if (rc == 0)
        rc = config_read_secrets(*out, e);
    if (rc != 0) {
        config_free(*out);
        *out = NULL;
    }
    return rc;
}

static void
register_db(struct control *c, struct http_request *r, const char *path, const char *url)
{
    const struct db_entry *d = db_table_find(c->table, path);
    struct db_info info = { .removing = true };
    struct config *config;
    struct cfg_share *share;
    struct err e;
    int rc;

    if (d != NULL)
        db_entry_info(d, &info);
    if (!info.removing) {
        api_reply_json(r, 200, status_json("already_registered", path));
        return;
    }
    if (make_config(c, path, url, &config, &e) != 0) {
        refuse(r, 400, "invalid replica url: %s", e.text);
        return;
    }
    share = cfg_share_new(config, true);
    rc = db_table_add(c->table, share, &config->dbs[0], DB_REGISTERED, &e);
    cfg_share_put(share);
    if (rc != 0)
        refuse(r, 500, "failed to register database: open db: %s", e.text);
    else
        api_reply_json(r, 200, status_json("registered", path));
}

void
api_register(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    char *path;

    if (!begin(c, r, &body, &path))
        return;
    if (body.replica_url[0] == '\0')
        api_reply_error(r, 400, "replica_url required", NULL);
    else
        register_db(c, r, path, body.replica_url);
    mem_free(path);
    api_body_deinit(&body);
}

static void
on_unregistered(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;

    if (a->err.code != ERR_OK)
        refuse(w->r, 500, "failed to unregister database: close db: %s", a->err.text);
    else
        api_reply_json(w->r, 200, txid_json("unregistered", w->path, a->txid));
    release(w);
}

void
api_unregister(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    struct waiting *w;
    char *path;
    struct err e;
    int rc;

    if (!begin(c, r, &body, &path))
        return;
    w = hold(r, path);
    rc = db_table_remove(c->table, path, timeout_ms(&body), on_unregistered, w, &e);
    if (rc == ERR_NOT_FOUND)
        api_reply_json(r, 200, txid_json("already_unregistered", path, 0));
    else if (rc != 0)
        refuse(r, 500, "failed to unregister database: close db: %s", e.text);
    if (rc != 0)
        release(w);
    api_body_deinit(&body);
}

/* --- what a running worker does -------------------------------------------------------
 */

static void
refuse_ask(struct http_request *r, const char *path, const struct err *e)
{
    if (e->code == ERR_NOT_FOUND)
        refuse(r, 404, "database not found: %s", path);
    else if (e->code == ERR_BUSY)
        refuse(r, 409, "database not open: %s", path);
    else
        api_reply_err(r, 503, e);
}

static void
ask(struct control *c, struct waiting *w, const struct msg *m, int64_t limit_ms,
    db_answer_cb *done)
{
    struct err e;

    if (db_table_ask(c->table, w->path, m, limit_ms, done, w, &e) == 0)
        return;
    refuse_ask(w->r, w->path, &e);
    release(w);
}

static json_t *
synced_json(const char *status, const char *path, const struct db_answer *a)
{
    json_t *o = txid_json(status, path, a->txid);

    json_object_set_new(
        o, "replicated_txid", json_integer((json_int_t)a->replicated_txid));
    return o;
}

static void
on_synced(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;
    const char *status = a->txid == w->txid_before ? "no_change"
                         : w->wait                 ? "synced"
                                                   : "synced_local";

    if (a->err.code == ERR_NOT_FOUND && w->wait && a->txid == 0)
        refuse(w->r, 500, "sync database: no position, waiting for data");
    else if (a->err.code != ERR_OK)
        refuse(w->r, 500, "sync database: %s", a->err.text);
    else
        api_reply_json(w->r, 200, synced_json(status, w->path, a));
    release(w);
}

void
api_sync(void *arg, struct http_request *r)
{
    struct control *c = arg;
    const struct db_entry *d;
    struct api_body body;
    struct msg m = { .head.id = MSG_SYNC };
    struct waiting *w;
    struct slot_data slot;
    char *path;

    if (!begin(c, r, &body, &path))
        return;
    w = hold(r, path);
    w->wait = body.wait;
    d = db_table_find(c->table, path);
    if (d != NULL) {
        db_entry_slot(d, &slot);
        w->txid_before = slot.txid;
    }
    m.u.sync.wait = body.wait;
    ask(c, w, &m, body.wait || body.timeout_s > 0 ? timeout_ms(&body) : 0, on_synced);
    api_body_deinit(&body);
}

static void
on_snapshot(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;

    if (a->err.code != ERR_OK)
        refuse(w->r, 500, "snapshot: %s", a->err.text);
    else
        api_reply_json(w->r, 200, synced_json("snapshot", w->path, a));
    release(w);
}

void
api_snapshot(void *arg, struct http_request *r)
{
    static const struct msg m = { .head.id = MSG_SNAPSHOT };
    struct control *c = arg;
    struct api_body body;
    char *path;

    if (!begin(c, r, &body, &path))
        return;
    ask(c, hold(r, path), &m, body.timeout_s * 1000, on_snapshot);
    api_body_deinit(&body);
}

static void
on_checkpoint(void *arg, const struct db_answer *a)
{
    struct waiting *w = arg;
    json_t *o;

    if (a->err.code != ERR_OK) {
        refuse(w->r, 500, "checkpoint: %s", a->err.text);
    } else {
        o = txid_json("checkpoint", w->path, a->txid);
        json_object_set_new(o, "complete", json_boolean(a->complete));
        api_reply_json(w->r, 200, o);
    }
    release(w);
}

static bool
parse_mode(const char *text, uint32_t *mode)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } modes[] = { { "", MSG_CHECKPOINT_PASSIVE }, { "passive", MSG_CHECKPOINT_PASSIVE },
        { "full", MSG_CHECKPOINT_FULL }, { "restart", MSG_CHECKPOINT_RESTART },
        { "truncate", MSG_CHECKPOINT_TRUNCATE } };

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcasecmp(modes[i].name, text) == 0) {
            *mode = modes[i].mode;
            return true;
        }
    return false;
}

void
api_checkpoint(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    struct msg m = { .head.id = MSG_CHECKPOINT };
    char *path;

    if (!begin(c, r, &body, &path))
        return;
    if (parse_mode(body.mode, &m.u.checkpoint.mode)) {
        ask(c, hold(r, path), &m, timeout_ms(&body), on_checkpoint);
    } else {
        api_reply_error(
            r, 400, "mode must be passive, full, restart or truncate", body.mode);
        mem_free(path);
    }
    api_body_deinit(&body);
}
