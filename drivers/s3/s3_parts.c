/*
 * An upload in parts.
 *
 *     [sweep] -> create -> parts, several at a time -> complete -> [look again] -> done
 *                   |        |                            |
 *                   +--------+--- a failure, a cancel ----+--> abort -> done
 *
 * All parts but the last have the same size. A part is in memory from its first byte
 * until the server has it, so that it can be sent again; how many there are at a time
 * follows from their size. Where the bytes come faster than they go the source waits.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "drivers/s3/s3_impl.h"

/* Of all parts in memory, unless more is configured. */
#define MEMORY_BYTES ((int64_t)32 << 20)

#define COMPLETE_MAX ((size_t)4 << 20)
#define SWEEP_EVERY_MS INT64_C(86400000)

/* An abort is not waited for as long as other calls; the sweep of another day does it. */
#define ABORT_MS 10000
#define ABORT_CANCELLED_MS 2000

enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_SENT };

struct slot {
    struct s3_put *put;
    enum slot_state state;
    struct s3_op call;
    struct s3_piece piece; /* of a free one: memory for the next */
    size_t no;             /* from 1 */
    char no_text[24];
};

struct s3_parts {
    struct slot *slots;
    size_t n_slots;
    struct s3_op call; /* of the upload as a whole */
    struct s3_sweep sweep;
    char *upload_id; /* NULL: it is not there yet */
    char **etags;
    size_t n, cap;
    struct buf body; /* of CompleteMultipartUpload */
    bool completing, failing;
    struct err err;
};

static void complete(struct s3_put *p);

static void
parts_free(struct s3_put *p)
{
    struct s3_parts *up = p->up;

    for (size_t i = 0; i < up->n_slots; i++)
        s3_piece_free(&up->slots[i].piece);
    for (size_t i = 0; i < up->n; i++)
        mem_free(up->etags[i]);
    mem_free(up->slots);
    mem_free(up->etags);
    mem_free(up->upload_id);
    buf_deinit(&up->body);
    mem_free(up);
    p->up = NULL;
}

static void
finish(struct s3_put *p, const struct err *e)
{
    struct err copy = *(e != NULL ? e : &(struct err)ERR_NONE);

    parts_free(p);
    s3_put_finish(p, e != NULL ? &copy : NULL);
}

/* --- giving up
 * ------------------------------------------------------------------------------- */

static void
on_aborted(void *arg)
{
    struct s3_put *p = arg;
    struct s3_parts *up = p->up;

    if (up->call.err.code != ERR_OK && up->call.status != 404)
        log_warn("an unfinished upload is left on the server for a day",
            LF_STR("key", p->key), LF_ERR(&up->call.err));
    finish(p, &up->err);
}

void
s3_parts_fail(struct s3_put *p, const struct err *e)
{
    struct s3_parts *up = p->up;
    bool cancelled = e->code == ERR_CANCELLED;

    if (up->failing)
        return;
    up->failing = true;
    up->err = *e;
    for (size_t i = 0; i < up->n_slots; i++)
        s3_cancel(&up->slots[i].call);
    s3_sweep_cancel(&up->sweep);
    s3_cancel(&up->call);
    s3_cancel(&p->call);
    if (up->upload_id == NULL) {
        finish(p, &up->err);
        return;
    }
    up->call = (struct s3_op){ .call = S3_ABORT_UPLOAD,
        .method = "DELETE",
        .key = p->key,
        .max_tries = cancelled ? 1 : 3,
        .timeout_ms = cancelled ? ABORT_CANCELLED_MS : ABORT_MS,
        .done = on_aborted,
        .arg = p };
    s3_add_query(&up->call, "uploadId", up->upload_id);
    s3_start(s3_drv_of(p->task)->client, &up->call);
}

/* --- parts
 * ----------------------------------------------------------------------------------- */

static void
on_part(void *arg)
{
    struct slot *s = arg;
    struct s3_put *p = s->put;
    const char *etag = s3_header(&s->call, "ETag");
    struct err e;

    if (s->call.err.code != ERR_OK) {
        s3_parts_fail(p, &s->call.err);
        return;
    }
    if (etag == NULL || etag[0] == '\0') {
        err_set(&e, ERR_PROTOCOL, "s3: upload failed: no ETag returned: %s, part %zu",
            p->key, s->no);
        s3_parts_fail(p, &e);
        return;
    }
    p->up->etags[s->no - 1] = mem_strdup(etag);
    s->state = SLOT_FREE;
    s->piece.n = 0;
    s3_parts_go_on(p);
}

static void
send_part(struct slot *s)
{
    struct s3_put *p = s->put;

    s->state = SLOT_SENT;
    snprintf(s->no_text, sizeof(s->no_text), "%zu", s->no);
    s->call = (struct s3_op){ .call = S3_UPLOAD_PART,
        .method = "PUT",
        .key = p->key,
        .body = s->piece.bytes,
        .body_bytes = s->piece.n,
        .body_hash = s->piece.hash,
        .done = on_part,
        .arg = s };
    s3_add_query(&s->call, "partNumber", s->no_text);
    s3_add_query(&s->call, "uploadId", p->up->upload_id);
    s3_start(s3_drv_of(p->task)->client, &s->call);
}

static struct slot *
find_slot(struct s3_parts *up, enum slot_state state)
{
    for (size_t i = 0; i < up->n_slots; i++)
        if (up->slots[i].state == state)
            return &up->slots[i];
    return NULL;
}

/* The next part is there. */
static int
put_in_slot(struct s3_put *p, struct slot *s, struct err *e)
{
    struct s3_parts *up = p->up;
    struct s3_piece spare = s->piece; /* another slot was free when the reading began */
    size_t most =
        (size_t)s3_client_address(s3_drv_of(p->task)->client)->provider->max_parts;

    if (up->n == most)
        return err_set(e, ERR_LIMIT,
            "s3: upload to %s: more than %zu parts of %lld bytes; set a larger part-size",
            p->key, most, (long long)p->part_bytes);
    if (up->n == up->cap) {
        up->cap = up->cap > 0 ? up->cap * 2 : 64;
        up->etags = mem_resize(up->etags, up->cap * sizeof(*up->etags));
    }
    up->etags[up->n++] = NULL;
    s->no = up->n;
    s->state = SLOT_FULL;
    s->piece = p->piece;
    p->piece = spare;
    return 0;
}

/* Reads as long as there is a place for it. */
static int
fill_slots(struct s3_put *p, struct err *e)
{
    struct slot *s;
    int rc = 0;

    while (rc == 0 && !p->ended && (s = find_slot(p->up, SLOT_FREE)) != NULL) {
        if (p->piece.bytes == NULL) {
            p->piece = s->piece;
            s->piece = (struct s3_piece){ .n = 0 };
        }
        rc = s3_put_read(p, (size_t)p->part_bytes, e);
        if (rc == 0 && p->piece.n > 0)
            rc = put_in_slot(p, s, e);
    }
    return rc;
}

void
s3_parts_go_on(struct s3_put *p)
{
    struct s3_parts *up = p->up;
    struct slot *s;
    struct err e;
    int rc;

    if (up->failing || up->completing)
        return;
    rc = fill_slots(p, &e);
    if (rc != 0 && rc != ERR_AGAIN) {
        s3_parts_fail(p, &e);
        return;
    }
    if (up->upload_id == NULL)
        return;
    while ((s = find_slot(up, SLOT_FULL)) != NULL)
        send_part(s);
    if (p->ended && find_slot(up, SLOT_SENT) == NULL)
        complete(p);
}

/* --- the end
 * --------------------------------------------------------------------------------- */

static void
exists(struct s3_put *p)
{
    struct err e;

    err_set(&e, ERR_EXISTS, "s3://%s/%s already exists", s3_drv_of(p->task)->cfg->bucket,
        p->key);
    s3_parts_fail(p, &e);
}

/* Is it what was sent? An ETag of ours is not known when the answer was lost. */
static bool
is_ours(const struct s3_put *p)
{
    const char *etag = s3_header(&p->call, "ETag"),
               *length = s3_header(&p->call, "Content-Length"),
               *time = s3_header(&p->call, S3_TIMESTAMP);
    char size[24];

    if (p->etag[0] != '\0' && etag != NULL)
        return s3_same_etag(etag, p->etag);
    snprintf(size, sizeof(size), "%lld", (long long)p->total);
    return length != NULL && strcmp(length, size) == 0 && time != NULL &&
           strcmp(time, p->timestamp) == 0;
}

static void
on_looked_after(void *arg)
{
    struct s3_put *p = arg;

    if (p->call.err.code != ERR_OK)
        finish(p, &p->call.err);
    else if (is_ours(p))
        finish(p, NULL);
    else
        exists(p);
}

/* The upload is gone: an earlier try may have completed it. */
static void
on_looked_for_lost(void *arg)
{
    struct s3_put *p = arg;

    if (p->call.err.code == ERR_OK && is_ours(p) && !p->req.exclusive)
        finish(p, NULL);
    else if (p->call.err.code == ERR_OK && p->req.exclusive)
        exists(p); /* whoever asked compares */
    else
        s3_parts_fail(p, &p->up->call.err);
}

static void
on_completed(void *arg)
{
    struct s3_put *p = arg;
    struct s3_parts *up = p->up;
    const struct s3_op *c = &up->call;

    if (c->err.code == ERR_OK) {
        s3_put_etag(p, s3_answer(c)->etag);
        if (p->req.exclusive)
            s3_put_look(p, on_looked_after);
        else
            finish(p, NULL);
    } else if (p->conditional && c->verdict.precondition && c->status == 412) {
        exists(p);
    } else if (p->conditional && c->verdict.unsupported) {
        s3_conditions_ignored(s3_drv_of(p->task));
        complete(p);
    } else if (c->tries > 1 && (c->status == 404 || c->status == 412)) {
        s3_put_look(p, on_looked_for_lost);
    } else {
        s3_parts_fail(p, &c->err);
    }
}

static void
send_complete(struct s3_put *p)
{
    struct s3_drv *sd = s3_drv_of(p->task);
    struct s3_parts *up = p->up;
    struct err e;

    buf_reset(&up->body);
    if (!s3_xml_write_complete(&up->body, (const char *const *)up->etags, up->n)) {
        err_set(&e, ERR_PROTOCOL, "s3: the ETags of %s cannot be sent back", p->key);
        s3_parts_fail(p, &e);
        return;
    }
    p->conditional = p->req.exclusive && sd->conditions != S3_COND_IGNORED;
    up->call = (struct s3_op){ .call = S3_COMPLETE_UPLOAD,
        .method = "POST",
        .key = p->key,
        .body = up->body.data,
        .body_bytes = up->body.size,
        .doc = S3_DOC_COMPLETED,
        .done = on_completed,
        .arg = p };
    s3_add_query(&up->call, "uploadId", up->upload_id);
    s3_add_header(&up->call, "Content-Type", "application/xml");
    if (p->conditional)
        s3_add_header(&up->call, "If-None-Match", "*");
    s3_start(sd->client, &up->call);
}

static void
on_looked_before(void *arg)
{
    struct s3_put *p = arg;

    if (p->call.err.code == ERR_OK)
        exists(p);
    else if (p->call.err.code == ERR_NOT_FOUND)
        send_complete(p);
    else
        s3_parts_fail(p, &p->call.err);
}

/* Not every server that honours a condition for an object does so for parts. */
static void
complete(struct s3_put *p)
{
    p->up->completing = true;
    if (p->req.exclusive)
        s3_put_look(p, on_looked_before);
    else
        send_complete(p);
}

/* --- the beginning
 * --------------------------------------------------------------------------- */

static void
on_created(void *arg)
{
    struct s3_put *p = arg;
    struct s3_parts *up = p->up;

    if (up->call.err.code != ERR_OK) {
        s3_parts_fail(p, &up->call.err);
        return;
    }
    up->upload_id = mem_strdup(s3_answer(&up->call)->upload_id);
    s3_parts_go_on(p);
}

static void
create(void *arg)
{
    struct s3_put *p = arg;
    struct s3_parts *up = p->up;

    up->call = (struct s3_op){ .call = S3_CREATE_UPLOAD,
        .method = "POST",
        .key = p->key,
        .doc = S3_DOC_CREATED,
        .done = on_created,
        .arg = p };
    s3_add_query(&up->call, "uploads", "");
    s3_put_headers(p, &up->call);
    s3_start(s3_drv_of(p->task)->client, &up->call);
}

static size_t
slots_for(const struct s3_put *p)
{
    const struct s3_drv *sd = s3_drv_of(p->task);
    const struct s3_address *a = s3_client_address(sd->client);
    int64_t most = MEMORY_BYTES, n;

    if (a->part_bytes * a->concurrency > most && sd->cfg->part_size_bytes > 0)
        most = a->part_bytes * a->concurrency;
    n = most / p->part_bytes;
    if (n > a->concurrency)
        n = a->concurrency;
    return n > 0 ? (size_t)n : 1;
}

void
s3_parts_begin(struct s3_put *p)
{
    struct s3_drv *sd = s3_drv_of(p->task);
    struct s3_parts *up = MEM_NEW(struct s3_parts);
    struct err e;

    p->up = up;
    up->n_slots = slots_for(p);
    up->slots = mem_new_array(up->n_slots, sizeof(*up->slots));
    for (size_t i = 0; i < up->n_slots; i++)
        up->slots[i].put = p;
    buf_init(&up->body, COMPLETE_MAX);
    if (put_in_slot(p, &up->slots[0], &e) != 0) {
        s3_parts_fail(p, &e);
        return;
    }
    if (sd->swept.ns == 0 || mono_since_ms(sd->swept) > SWEEP_EVERY_MS) {
        sd->swept = mono_now();
        s3_sweep_start(&up->sweep, sd, create, p);
    } else {
        create(p);
    }
    s3_parts_go_on(p);
}
