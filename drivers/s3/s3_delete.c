/*
 * Deleting: batches of a thousand keys, or one by one where a server has no batches. An
 * answer of 200 may still name keys that were not deleted; the batch at hand is finished,
 * and no other begun.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "drivers/auth/digest.h"
#include "drivers/s3/s3_impl.h"

#define BODY_MAX ((size_t)8 << 20)
#define FAULTS_TOLD 5

static void next_batch(struct s3_task *t);
static void next_singles(struct s3_task *t);

static void
end(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;

    if (d->n_faults > FAULTS_TOLD)
        log_warn("additional delete errors suppressed",
            LF_UINT("count", d->n_faults - FAULTS_TOLD));
    if (d->n_faults > 0)
        err_wrap(&d->err, "failed to delete files");
    s3_task_finish(t, d->err.code != ERR_OK ? &d->err : NULL);
}

/* One key that is still there. */
static void
note_fault(struct s3_delete *d, const struct err *e, const char *key, const char *code)
{
    if (d->n_faults++ == 0)
        d->err = *e;
    if (d->n_faults <= FAULTS_TOLD)
        log_warn("delete object failed", LF_STR("key", key), LF_STR("code", code),
            LF_STR("error", e->text));
}

/* --- one by one
 * ---------------------------------------------------------------------------- */

struct s3_single {
    struct s3_task *task;
    struct s3_op call;
    bool busy;
};

static void
free_singles(struct s3_delete *d)
{
    for (size_t i = 0; d->singles != NULL && i < S3_SINGLES; i++)
        s3_cancel(&d->singles[i].call);
    mem_free(d->singles);
    d->singles = NULL;
}

static void
on_single(void *arg)
{
    struct s3_single *s = arg;
    struct s3_task *t = s->task;
    struct s3_delete *d = &t->u.del;
    const struct err *e = &s->call.err;

    s->busy = false;
    d->n_singles--;
    if (e->code != ERR_OK && e->code != ERR_NOT_FOUND && s->call.status != 404) {
        note_fault(d, e, s->call.key, err_code_name(e->code));
        d->next = d->n;
    }
    next_singles(t);
}

static void
next_singles(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;

    if (d->singles == NULL)
        d->singles = mem_new_array(S3_SINGLES, sizeof(*d->singles));
    for (size_t i = 0; i < S3_SINGLES && d->next < d->n; i++) {
        struct s3_single *s = &d->singles[i];

        if (s->busy)
            continue;
        s->task = t;
        s->busy = true;
        s->call = (struct s3_op){ .call = S3_DELETE,
            .method = "DELETE",
            .key = d->keys[d->next++],
            .done = on_single,
            .arg = s };
        d->n_singles++;
        s3_start(s3_drv_of(t)->client, &s->call);
    }
    if (d->n_singles == 0) {
        free_singles(d);
        end(t);
    }
}

/* --- batches
 * ------------------------------------------------------------------------------- */

static int
on_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_delete *d = &((struct s3_task *)arg)->u.del;
    struct s3_verdict v;
    struct err fault;

    (void)e;
    if (entry->code[0] == '\0' || strcmp(entry->code, "NoSuchKey") == 0)
        return 0;
    s3_judge(S3_DELETE_MANY, 200, entry->code, &v);
    err_set(&fault, v.code != ERR_OK ? v.code : ERR_NETWORK, "%s: %s: %s", entry->key,
        entry->code, entry->message);
    if (v.code == ERR_PERMISSION)
        err_hint(&fault, "allow s3:DeleteObject for the account of these credentials");
    note_fault(d, &fault, entry->key, entry->code);
    return 0;
}

/* The faults of an answer that broke off come again. */
static void
on_begin(void *arg)
{
    struct s3_delete *d = &((struct s3_task *)arg)->u.del;

    d->n_faults = 0;
    d->err = (struct err)ERR_NONE;
}

static bool
wants_md5(const struct s3_op *c)
{
    return c->err.code != ERR_OK && c->status == 400 &&
           (strstr(c->err.text, "InvalidRequest") != NULL ||
               strstr(c->err.text, "MissingContentMD5") != NULL ||
               strstr(c->err.text, "Content-MD5") != NULL);
}

static void
on_batch(void *arg)
{
    struct s3_task *t = arg;
    struct s3_delete *d = &t->u.del;
    struct s3_drv *sd = s3_drv_of(t);

    buf_reset(&d->body);
    if (d->call.err.code != ERR_OK) {
        if (d->call.verdict.unsupported) {
            log_info("this s3 server deletes one object at a time",
                LF_STR("bucket", sd->cfg->bucket), LF_ERR(&d->call.err));
            sd->no_batches = true;
            next_singles(t);
        } else if (wants_md5(&d->call) && !d->with_md5) {
            d->with_md5 = true;
            next_batch(t);
        } else {
            d->err = d->call.err;
            end(t);
        }
        return;
    }
    log_debug("delete batch completed", LF_UINT("requested", d->batch),
        LF_UINT("errors", d->n_faults), LF_INT("duration_ms", mono_since_ms(d->began)));
    d->next += d->batch;
    if (d->next < d->n && d->n_faults == 0)
        next_batch(t);
    else
        end(t);
}

static void
ask_batch(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;
    const struct s3_address *a = s3_client_address(s3_drv_of(t)->client);
    uint8_t sum[DIGEST_SHA256_BYTES];

    d->call = (struct s3_op){ .call = S3_DELETE_MANY,
        .method = "POST",
        .body = d->body.data,
        .body_bytes = d->body.size,
        .doc = S3_DOC_DELETED,
        .entry = on_entry,
        .begin = on_begin,
        .done = on_batch,
        .arg = t };
    s3_add_query(&d->call, "delete", "");
    s3_add_header(&d->call, "Content-Type", "application/xml");
    if (a->content_md5 || d->with_md5) {
        digest_md5_base64(d->body.data, d->body.size, d->md5);
        s3_add_header(&d->call, "Content-MD5", d->md5);
    } else if (a->checksums) { /* AWS wants one or the other */
        digest_sha256(d->body.data, d->body.size, sum);
        digest_base64(sum, sizeof(sum), d->checksum);
        s3_add_header(&d->call, "x-amz-checksum-sha256", d->checksum);
    }
    d->began = mono_now();
    s3_start(s3_drv_of(t)->client, &d->call);
}

static void
next_batch(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;
    size_t left = d->n - d->next;

    d->batch = left < S3_MAX_DELETE ? left : S3_MAX_DELETE;
    buf_reset(&d->body);
    if (s3_xml_write_delete(
            &d->body, (const char *const *)d->keys + d->next, d->batch, false)) {
        log_debug("deleting ltx files batch", LF_UINT("count", d->batch));
        ask_batch(t);
        return;
    }
    next_singles(t); /* a path that XML cannot carry */
}

/* --- tasks
 * --------------------------------------------------------------------------------- */

static void
release(struct drv_op *op)
{
    struct s3_delete *d = &s3_task_of(op)->u.del;

    for (size_t i = 0; i < d->n; i++)
        mem_free(d->keys[i]);
    mem_free(d->keys);
    mem_free(d->prefix);
    buf_deinit(&d->body);
}

static void
stop(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;
    struct err e;

    s3_walk_cancel(&d->walk);
    s3_cancel(&d->call);
    free_singles(d);
    err_set(&e, ERR_CANCELLED, "cancelled");
    s3_task_finish(t, &e);
}

static void
begin(struct s3_task *t)
{
    if (t->u.del.n == 0)
        s3_task_finish(t, NULL);
    else if (s3_drv_of(t)->no_batches)
        next_singles(t);
    else
        next_batch(t);
}

static void
setup(struct s3_task *t)
{
    t->op.release = release;
    t->stop = stop;
    buf_init(&t->u.del.body, BODY_MAX);
}

int
s3_delete(struct drv_op *op, const struct drv_del *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);
    struct s3_delete *d = &t->u.del;

    setup(t);
    d->keys = mem_try(req->n, sizeof(*d->keys));
    if (req->n > 0 && d->keys == NULL)
        return err_set(e, ERR_MEMORY, "no memory to delete %zu files", req->n);
    for (; d->n < req->n; d->n++) {
        const struct ltx_info *f = &req->files[d->n];

        d->keys[d->n] = s3_ltx_key(s3_drv_of(t), f->level, f->min_txid, f->max_txid);
        log_debug("deleting ltx file", LF_INT("level", f->level),
            LF_TXID("minTXID", f->min_txid), LF_TXID("maxTXID", f->max_txid),
            LF_STR("key", d->keys[d->n]));
    }
    begin(t);
    return 0;
}

/* --- everything that is ours
 * --------------------------------------------------------------- */

static void
forget_page(void *arg)
{
    struct s3_delete *d = &((struct s3_task *)arg)->u.del;

    while (d->n > d->kept)
        mem_free(d->keys[--d->n]);
}

static void
keep_page(void *arg)
{
    struct s3_delete *d = &((struct s3_task *)arg)->u.del;

    d->kept = d->n;
}

static int
on_object(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_task *t = arg;
    struct s3_delete *d = &t->u.del;
    uint64_t min, max;

    if (entry->is_prefix || s3_parse_key(s3_drv_of(t), entry->key, &min, &max) < 0)
        return 0;
    if (d->n == d->cap) {
        size_t cap = d->cap > 0 ? d->cap * 2 : 64;
        char **more = mem_try(cap, sizeof(*more));

        if (more == NULL)
            return err_set(e, ERR_MEMORY, "no memory to delete %zu files", cap);
        if (d->n > 0)
            memcpy(more, d->keys, d->n * sizeof(*more));
        mem_free(d->keys);
        d->keys = more;
        d->cap = cap;
    }
    d->keys[d->n++] = mem_strdup(entry->key);
    return 0;
}

static void list_level(struct s3_task *t);

static void
on_listed(void *arg, const struct err *e)
{
    struct s3_task *t = arg;

    if (e != NULL)
        s3_task_finish(t, e);
    else if (++t->u.del.level < LTX_N_LEVELS)
        list_level(t);
    else
        begin(t);
}

static void
list_level(struct s3_task *t)
{
    struct s3_delete *d = &t->u.del;

    mem_free(d->prefix);
    d->prefix = s3_level_prefix(s3_drv_of(t), d->level);
    d->walk = (struct s3_walk){ .prefix = d->prefix,
        .entry = on_object,
        .keep = keep_page,
        .forget = forget_page,
        .done = on_listed,
        .arg = t };
    s3_walk_start(&d->walk, s3_drv_of(t)->client);
}

int
s3_delete_all(struct drv_op *op, struct err *e)
{
    struct s3_task *t = s3_task_of(op);

    (void)e;
    setup(t);
    list_level(t);
    return 0;
}
