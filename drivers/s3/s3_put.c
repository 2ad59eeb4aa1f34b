/*
 * Uploads. What fits into one part is one request, which the client may send again from
 * memory; what does not goes on in s3_parts.c.
 *
 *     read -> [look] -> PUT -> [probe, or look again] -> done
 *       |
 *       +-> full, and more comes: s3_parts
 *
 * An exclusive file must not replace another. The server is asked to see to that
 * (If-None- Match: *), and whether it does is tried out once: the file just written is
 * written again, the same bytes, which has to be refused. Until that is known, and for
 * ever where it is not so, there is a look before the upload and a comparison after it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "drivers/auth/digest.h"
#include "drivers/s3/s3_impl.h"

#define FIRST_BYTES ((size_t)256 << 10) /* room for a source of unknown size */
#define TURN_BYTES ((size_t)1 << 20)    /* read and hashed in one turn of the loop */

static void send_object(struct s3_put *p);

void
s3_piece_free(struct s3_piece *piece)
{
    digest_stream_free(piece->sum);
    mem_free(piece->bytes);
    *piece = (struct s3_piece){ .n = 0 };
}

bool
s3_same_etag(const char *a, const char *b)
{
    size_t na, nb;

    a += strspn(a, "\"");
    b += strspn(b, "\"");
    na = strcspn(a, "\"");
    nb = strcspn(b, "\"");
    return na == nb && na > 0 && strncmp(a, b, na) == 0;
}

void
s3_put_etag(struct s3_put *p, const char *etag)
{
    snprintf(p->etag, sizeof(p->etag), "%s", etag != NULL ? etag : "");
}

void
s3_conditions_ignored(struct s3_drv *sd)
{
    if (sd->conditions == S3_COND_IGNORED)
        return;
    sd->conditions = S3_COND_IGNORED;
    log_warn("this s3 server replaces objects that are to be new (If-None-Match); "
             "a second writer is noticed only after it has done harm",
        LF_STR("bucket", sd->cfg->bucket));
}

/* --- the source
 * ---------------------------------------------------------------------------- */

static void on_turn(uv_timer_t *h);

static void
want_turn(struct s3_put *p)
{
    struct s3_drv *sd = s3_drv_of(p->task);

    p->wants_turn = true;
    uv_timer_start(&sd->turn, on_turn, 0, 0);
}

static int
make_room(struct s3_put *p, size_t want, struct err *e)
{
    struct s3_piece *x = &p->piece;
    size_t cap = want;
    uint8_t *more;

    if (x->n < x->cap)
        return 0;
    if (p->req.size < 0 && p->up == NULL) /* of an upload in parts most are full */
        cap = x->cap > 0 ? x->cap * 2 : FIRST_BYTES;
    if (cap > want)
        cap = want;
    more = mem_try(cap, 1);
    if (more == NULL)
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of an upload", cap);
    if (x->n > 0)
        memcpy(more, x->bytes, x->n);
    mem_free(x->bytes);
    x->bytes = more;
    x->cap = cap;
    return 0;
}

static int
wrong_size(const struct s3_put *p, struct err *e)
{
    return err_set(e, ERR_CORRUPT,
        "upload %s: the source has %s than the %lld bytes it "
        "should have",
        p->key, p->total < p->req.size ? "less" : "more", (long long)p->req.size);
}

static int
check_end(struct s3_put *p, struct err *e)
{
    size_t n = 0;
    char byte;
    int rc = p->req.src->read(p->req.src, &byte, 1, false, &n, e);

    if (rc != 0)
        return rc;
    if (n > 0) {
        p->total++;
        return wrong_size(p, e);
    }
    p->ended = true;
    return 0;
}

static int
take(struct s3_put *p, size_t want, size_t *budget, struct err *e)
{
    struct s3_piece *x = &p->piece;
    size_t n = 0, room;
    int rc = make_room(p, want, e);

    if (rc != 0)
        return rc;
    room = x->cap - x->n < *budget ? x->cap - x->n : *budget;
    if (p->req.size >= 0 && (int64_t)room > p->req.size - p->total)
        room = (size_t)(p->req.size - p->total);
    rc = p->req.src->read(p->req.src, x->bytes + x->n, room, false, &n, e);
    if (rc != 0)
        return rc;
    if (n == 0 && p->req.size >= 0)
        return wrong_size(p, e);
    if (x->sum == NULL)
        x->sum = digest_stream_new();
    digest_stream_add(x->sum, x->bytes + x->n, n);
    p->ended = n == 0;
    x->n += n;
    p->total += (int64_t)n;
    *budget -= n;
    return 0;
}

static void
seal(struct s3_piece *x)
{
    if (x->sum == NULL)
        return;
    digest_stream_hex(x->sum, x->hash);
    digest_stream_free(x->sum);
    x->sum = NULL;
}

int
s3_put_read(struct s3_put *p, size_t want, struct err *e)
{
    size_t budget = TURN_BYTES;
    int rc = 0;

    while (rc == 0 && !p->ended) {
        if (p->req.size >= 0 && p->total == p->req.size) {
            rc = check_end(p, e);
        } else if (p->piece.n == want) {
            break;
        } else if (budget == 0) {
            want_turn(p);
            return err_set(e, ERR_AGAIN, "more in the next turn");
        } else {
            rc = take(p, want, &budget, e);
        }
    }
    if (rc == 0)
        seal(&p->piece);
    return rc;
}

static int
read_timestamp(struct s3_put *p, struct err *e)
{
    struct ltx_header h;
    struct err why;

    if (p->piece.n < LTX_HEADER_SIZE)
        return err_set(e, ERR_CORRUPT,
            "extract timestamp from LTX header: there are only %zu bytes", p->piece.n);
    if (ltx_header_decode(p->piece.bytes, &h, &why) != 0)
        return err_set(e, ERR_CORRUPT, "extract timestamp from LTX header: %s", why.text);
    p->task->op.res.created = wall_from_ms(h.timestamp_ms);
    wall_format(p->task->op.res.created, WALL_TRIMMED, p->timestamp);
    return 0;
}

/* --- the end
 * ------------------------------------------------------------------------------- */

void
s3_put_finish(struct s3_put *p, const struct err *e)
{
    struct s3_drv *sd = s3_drv_of(p->task);
    struct s3_put **at = &sd->puts;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->req.src->wake = NULL;
    p->task->op.res.size = p->total;
    s3_task_finish(p->task, e);
}

static void
exists(struct s3_put *p)
{
    struct err e;

    err_set(&e, ERR_EXISTS, "s3://%s/%s already exists", s3_drv_of(p->task)->cfg->bucket,
        p->key);
    s3_put_finish(p, &e);
}

/* --- requests
 * ------------------------------------------------------------------------------ */

void
s3_put_headers(struct s3_put *p, struct s3_op *call)
{
    const struct cfg_replica *cfg = s3_drv_of(p->task)->cfg;

    s3_add_header(call, "Content-Type", "application/octet-stream");
    s3_add_header(call, S3_TIMESTAMP, p->timestamp);
    if (cfg->storage_class[0] != '\0')
        s3_add_header(call, "x-amz-storage-class", cfg->storage_class);
}

void
s3_put_look(struct s3_put *p, void (*done)(void *arg))
{
    p->call = (struct s3_op){
        .call = S3_HEAD, .method = "HEAD", .key = p->key, .done = done, .arg = p
    };
    s3_start(s3_drv_of(p->task)->client, &p->call);
}

/* Is what is there now what was sent? */
static void
on_looked_after(void *arg)
{
    struct s3_put *p = arg;
    const char *etag = s3_header(&p->call, "ETag");

    if (p->call.err.code != ERR_OK)
        s3_put_finish(p, &p->call.err);
    else if (etag == NULL || !s3_same_etag(etag, p->etag))
        exists(p);
    else
        s3_put_finish(p, NULL);
}

/* The file is there; only what the server makes of conditions is still to be known. */
static void
on_probed(void *arg)
{
    struct s3_put *p = arg;
    struct s3_drv *sd = s3_drv_of(p->task);

    if (p->call.err.code == ERR_OK) {
        s3_conditions_ignored(sd);
        s3_put_etag(p, s3_header(&p->call, "ETag"));
        s3_put_look(p, on_looked_after);
        return;
    }
    if (p->call.verdict.precondition && p->call.status == 412)
        sd->conditions = S3_COND_HONOURED;
    s3_put_finish(p, NULL);
}

static void
is_stored(struct s3_put *p)
{
    struct s3_drv *sd = s3_drv_of(p->task);
    struct err e;

    s3_put_etag(p, s3_header(&p->call, "ETag"));
    if (p->etag[0] == '\0') {
        err_set(&e, ERR_PROTOCOL, "s3: upload failed: no ETag returned: %s", p->key);
        s3_put_finish(p, &e);
    } else if (!p->req.exclusive || sd->conditions == S3_COND_HONOURED) {
        s3_put_finish(p, NULL);
    } else if (p->conditional) {
        p->call.done = on_probed;
        p->call.max_tries = 2;
        s3_start(sd->client, &p->call);
    } else {
        s3_put_look(p, on_looked_after);
    }
}

static void
on_sent(void *arg)
{
    struct s3_put *p = arg;
    struct s3_drv *sd = s3_drv_of(p->task);
    const struct s3_op *c = &p->call;

    if (c->err.code == ERR_OK) {
        is_stored(p);
    } else if (p->conditional && c->verdict.precondition && c->status == 412) {
        sd->conditions = S3_COND_HONOURED;
        exists(p);
    } else if (p->conditional && c->verdict.unsupported) {
        s3_conditions_ignored(sd);
        send_object(p);
    } else {
        s3_put_finish(p, &p->call.err);
    }
}

static void
send_object(struct s3_put *p)
{
    struct s3_drv *sd = s3_drv_of(p->task);
    const struct s3_address *a = s3_client_address(sd->client);
    uint8_t sum[DIGEST_SHA256_BYTES];

    p->conditional = p->req.exclusive && sd->conditions != S3_COND_IGNORED;
    p->call = (struct s3_op){ .call = S3_PUT,
        .method = "PUT",
        .key = p->key,
        .body = p->piece.bytes,
        .body_bytes = p->piece.n,
        .body_hash = p->piece.hash,
        .done = on_sent,
        .arg = p };
    s3_put_headers(p, &p->call);
    if (p->conditional)
        s3_add_header(&p->call, "If-None-Match", "*");
    if (a->checksums && a->sign_payload) {
        digest_sha256(p->piece.bytes, p->piece.n, sum);
        digest_base64(sum, sizeof(sum), p->checksum);
        s3_add_header(&p->call, "x-amz-checksum-sha256", p->checksum);
    }
    s3_start(sd->client, &p->call);
}

static void
on_looked_before(void *arg)
{
    struct s3_put *p = arg;

    if (p->call.err.code == ERR_OK)
        exists(p);
    else if (p->call.err.code == ERR_NOT_FOUND)
        send_object(p);
    else
        s3_put_finish(p, &p->call.err);
}

/* --- the whole
 * ----------------------------------------------------------------------------- */

static void
go_on(struct s3_put *p)
{
    size_t want = (size_t)p->part_bytes;
    struct err e;
    int rc;

    if (p->up != NULL) {
        s3_parts_go_on(p);
        return;
    }
    if (p->ended)
        return; /* a wake that is late */
    if (p->req.size >= 0 && p->req.size < p->part_bytes)
        want = (size_t)p->req.size;
    rc = s3_put_read(p, want, &e);
    if (rc == ERR_AGAIN)
        return;
    if (rc == 0)
        rc = read_timestamp(p, &e);
    if (rc != 0)
        s3_put_finish(p, &e);
    else if (!p->ended)
        s3_parts_begin(p);
    else if (p->req.exclusive && s3_drv_of(p->task)->conditions != S3_COND_HONOURED)
        s3_put_look(p, on_looked_before);
    else
        send_object(p);
}

static struct s3_put *
find_turn(const struct s3_drv *sd)
{
    struct s3_put *p = sd->puts;

    while (p != NULL && !p->wants_turn)
        p = p->next;
    return p;
}

static void
on_turn(uv_timer_t *h)
{
    struct s3_drv *sd = container_of(h, struct s3_drv, turn);
    struct s3_put *p = find_turn(sd);

    if (p == NULL)
        return;
    p->wants_turn = false;
    go_on(p);
    if (find_turn(sd) != NULL)
        uv_timer_start(h, on_turn, 0, 0);
}

static void
on_wake(void *arg)
{
    go_on(arg);
}

static void
stop(struct s3_task *t)
{
    struct s3_put *p = &t->u.put;
    struct err e;

    err_set(&e, ERR_CANCELLED, "cancelled");
    s3_cancel(&p->call);
    if (p->up != NULL)
        s3_parts_fail(p, &e);
    else
        s3_put_finish(p, &e);
}

static void
release(struct drv_op *op)
{
    struct s3_put *p = &s3_task_of(op)->u.put;

    mem_free(p->key);
    s3_piece_free(&p->piece);
}

/* Who writes the same name at the same time, through the same driver. */
static bool
is_taken(const struct s3_drv *sd, const char *key)
{
    for (const struct s3_put *p = sd->puts; p != NULL; p = p->next)
        if (strcmp(p->key, key) == 0)
            return true;
    return false;
}

static int
check(const struct s3_put *p, bool taken, struct err *e)
{
    if (p->part_bytes < S3_MIN_PART_BYTES)
        return err_set(e, ERR_CONFIG,
            "s3: upload to %s: part size must be at least %lld bytes", p->key,
            (long long)S3_MIN_PART_BYTES);
    if (taken && p->req.exclusive)
        return err_set(e, ERR_BUSY, "s3: %s is being written", p->key);
    return 0;
}

int
s3_put(struct drv_op *op, const struct drv_put *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);
    struct s3_drv *sd = s3_drv_of(t);
    struct s3_put *p = &t->u.put;
    struct err wrong;
    bool taken;

    (void)e;
    p->req = *req;
    p->task = t;
    p->key = s3_ltx_key(sd, req->level, req->min_txid, req->max_txid);
    p->part_bytes = s3_address_part_bytes(
        s3_client_address(sd->client), req->size >= 0 ? req->size : req->bound);
    taken = is_taken(sd, p->key);
    p->next = sd->puts;
    sd->puts = p;
    op->release = release;
    t->stop = stop;
    req->src->wake = on_wake;
    req->src->wake_arg = p;
    if (check(p, taken, &wrong) != 0)
        s3_put_finish(p, &wrong);
    else
        go_on(p);
    return 0;
}
