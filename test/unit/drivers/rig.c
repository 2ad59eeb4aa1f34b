#include "test/unit/drivers/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/support/tmp.h"

void (*rig_bulk)(bool on);

void
rig_open(struct rig *r, rig_open_cb *open)
{
    struct err e;

    cr_assert_eq(uv_loop_init(&r->loop), 0);
    cr_assert_eq(open(&r->loop, &r->drv, &e), 0, "%s", e.text);
}

static void
on_closed(void *arg)
{
    *(bool *)arg = true;
}

void
rig_close(struct rig *r)
{
    bool closed = false;

    drv_close(r->drv, on_closed, &closed);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    cr_assert(closed);
    cr_assert_eq(uv_loop_close(&r->loop), 0, "a handle is left");
}

void
rig_done(void *arg, const struct drv_result *res)
{
    struct answer *a = arg;

    a->done = true;
    a->n++;
    a->rc = res->err != NULL ? (int)res->err->code : 0;
    if (res->err != NULL)
        a->err = *res->err;
    a->size = res->size;
    a->created = res->created;
}

int
rig_wait(struct rig *r, struct answer *a)
{
    while (!a->done)
        cr_assert(uv_run(&r->loop, UV_RUN_ONCE) != 0 || a->done, "the answer never came");
    return a->rc;
}

struct object
object_make(uint64_t min_txid, uint64_t max_txid, size_t n, int64_t time_ms)
{
    struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = 4096,
        .commit = 1,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .timestamp_ms = time_ms };
    struct object o = { malloc(n), n };
    uint32_t state = (uint32_t)(min_txid * 31 + max_txid);

    cr_assert_geq(n, LTX_HEADER_SIZE);
    ltx_header_encode(&h, o.p);
    for (size_t i = LTX_HEADER_SIZE; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        o.p[i] = (uint8_t)(state >> 24);
    }
    return o;
}

/* A file that is gone with its descriptor. */
static int
as_file(const struct object *o)
{
    static char path[4096]; /* tmp_path() keeps every name it makes */
    int fd;

    snprintf(path, sizeof(path), "%s/upload", tmp_dir());
    tmp_write(path, o->p, o->n);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    unlink(path);
    return fd;
}

static int
put(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o, bool exclusive)
{
    struct drv_source src;
    struct answer a = { 0 };
    struct drv_put req = { .level = level,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .size = (int64_t)o->n,
        .exclusive = exclusive,
        .src = &src,
        .done = rig_done,
        .arg = &a };
    struct err e;
    int fd = as_file(o);

    drv_source_file(&src, fd, 0);
    cr_assert_not_null(drv_put(r->drv, &req, &e), "%s", e.text);
    cr_expect_not(a.done, "an answer inside the call");
    rig_wait(r, &a);
    close(fd);
    if (a.rc == 0)
        cr_expect_eq(a.size, (int64_t)o->n);
    return a.rc;
}

int
rig_put(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o)
{
    return put(r, level, min_txid, max_txid, o, false);
}

int
rig_put_new(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o)
{
    return put(r, level, min_txid, max_txid, o, true);
}

int
rig_get(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid, int64_t off,
    void *buf, size_t size, size_t *got)
{
    struct answer a = { 0 };
    struct drv_get req = { .level = level,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .off = off,
        .size = size,
        .buf = buf,
        .done = rig_done,
        .arg = &a };
    struct err e;

    cr_assert_not_null(drv_get(r->drv, &req, &e), "%s", e.text);
    cr_expect_not(a.done, "an answer inside the call");
    rig_wait(r, &a);
    *got = a.rc == 0 ? (size_t)a.size : 0;
    return a.rc;
}

bool
rig_holds(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o)
{
    uint8_t *buf = malloc(o->n + 1);
    size_t got;
    int rc = rig_get(r, level, min_txid, max_txid, 0, buf, o->n + 1, &got);
    bool same = rc == 0 && got == o->n && memcmp(buf, o->p, o->n) == 0;

    free(buf);
    return same;
}

struct collecting {
    struct answer a; /* first: rig_done gets it */
    struct listing *out;
};

static void
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct collecting *c = arg;

    cr_assert_not(c->a.done, "entries after the end");
    cr_assert_gt(n, 0);
    c->out->infos = realloc(c->out->infos, (c->out->n + n) * sizeof(*infos));
    memcpy(c->out->infos + c->out->n, infos, n * sizeof(*infos));
    c->out->n += n;
    c->out->calls++;
}

int
rig_list(struct rig *r, int level, uint64_t seek, bool exact_times, struct listing *out)
{
    struct collecting c = { .out = out };
    struct drv_list req = { .level = level,
        .seek = seek,
        .exact_times = exact_times,
        .entries = on_entries,
        .done = rig_done,
        .arg = &c };
    struct err e;

    *out = (struct listing){ 0 };
    cr_assert_not_null(drv_list(r->drv, &req, &e), "%s", e.text);
    cr_expect_not(c.a.done, "an answer inside the call");
    return rig_wait(r, &c.a);
}

size_t
rig_count(struct rig *r, int level)
{
    struct listing l;

    cr_assert_eq(rig_list(r, level, 0, false, &l), 0);
    free(l.infos);
    return l.n;
}

int
rig_del(struct rig *r, const struct ltx_info *files, size_t n)
{
    struct answer a = { 0 };
    struct drv_del req = { .files = files, .n = n, .done = rig_done, .arg = &a };
    struct err e;

    cr_assert_not_null(drv_del(r->drv, &req, &e), "%s", e.text);
    cr_expect_not(a.done, "an answer inside the call");
    return rig_wait(r, &a);
}
