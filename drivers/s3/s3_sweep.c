/*
 * Uploads in parts that nobody finished, because a process was killed or the network went
 * away: their parts cost money until somebody aborts them. Looked for before an upload in
 * parts, at most once a day. Only those of LTX files below our path, and only old ones:
 * another process may be at work. Whatever goes wrong does not matter, since not
 * everybody is allowed to list uploads.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "drivers/s3/s3_impl.h"

#define OLD_SECONDS (24 * 3600)
#define MAX_ORPHANS 100 /* in one go */

struct s3_orphan {
    char *key, *upload_id;
};

static void
forget(struct s3_sweep *s)
{
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->orphans[i].key);
        mem_free(s->orphans[i].upload_id);
    }
    s->n = 0;
}

static void
clear(struct s3_sweep *s)
{
    forget(s);
    mem_free(s->orphans);
    s->orphans = NULL;
}

static void next(struct s3_sweep *s);

static void
on_aborted(void *arg)
{
    struct s3_sweep *s = arg;

    if (s->call.err.code == ERR_OK)
        log_info("abandoned upload removed", LF_STR("key", s->call.key));
    s->next++;
    next(s);
}

static void
next(struct s3_sweep *s)
{
    const struct s3_orphan *o;

    if (s->next == s->n) {
        clear(s);
        s->done(s->arg);
        return;
    }
    o = &s->orphans[s->next];
    s->call = (struct s3_op){ .call = S3_ABORT_UPLOAD,
        .method = "DELETE",
        .key = o->key,
        .max_tries = 1,
        .done = on_aborted,
        .arg = s };
    s3_add_query(&s->call, "uploadId", o->upload_id);
    s3_start(s->sd->client, &s->call);
}

static int
on_upload(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_sweep *s = arg;
    struct wall now = s3_client_now(s->sd->client);
    uint64_t min, max;

    (void)e;
    if (s->n == MAX_ORPHANS || entry->is_prefix || entry->upload_id == NULL ||
        s3_parse_key(s->sd, entry->key, &min, &max) < 0 ||
        wall_is_zero(entry->modified) || now.sec - entry->modified.sec < OLD_SECONDS)
        return 0;
    s->orphans[s->n++] =
        (struct s3_orphan){ mem_strdup(entry->key), mem_strdup(entry->upload_id) };
    return 0;
}

static void
on_begin(void *arg)
{
    forget(arg);
}

static void
on_listed(void *arg)
{
    struct s3_sweep *s = arg;

    if (s->call.err.code != ERR_OK)
        log_debug("abandoned uploads cannot be looked for", LF_ERR(&s->call.err));
    next(s);
}

void
s3_sweep_start(struct s3_sweep *s, struct s3_drv *sd, void (*done)(void *), void *arg)
{
    *s = (struct s3_sweep){ .sd = sd, .done = done, .arg = arg };
    s->orphans = mem_new_array(MAX_ORPHANS, sizeof(*s->orphans));
    s->call = (struct s3_op){ .call = S3_LIST_UPLOADS,
        .method = "GET",
        .doc = S3_DOC_UPLOADS,
        .max_tries = 2,
        .entry = on_upload,
        .begin = on_begin,
        .done = on_listed,
        .arg = s };
    s3_add_query(&s->call, "uploads", "");
    s3_add_query(&s->call, "prefix", sd->cfg->path);
    s3_start(sd->client, &s->call);
}

void
s3_sweep_cancel(struct s3_sweep *s)
{
    s3_cancel(&s->call);
    clear(s);
}
