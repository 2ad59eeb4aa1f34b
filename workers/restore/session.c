#include "workers/restore/session.h"

#include <uv.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/driver.h"
#include "drivers/loop/job.h"

#define CANCEL_LOOK_MS 50

struct fetching {
    struct fetch *fetch;
    struct job *job; /* NULL: it has ended */
    session_work_cb *work;
    void *arg;
    bool done, closed;
    int rc;
    struct err err;
};

struct session {
    uv_loop_t loop;
    uv_timer_t watch; /* looks at cancel while something is under way */
    const struct cancel *cancel;
    struct drv *drv; /* NULL: closed */

    /* the listing under way */
    struct drv_op *op;
    bool done;
    int rc;
    struct err *e;
    struct restore_files *files;

    struct fetching *fetching;
};

static void
on_watch(uv_timer_t *h)
{
    struct session *s = container_of(h, struct session, watch);

    if (!cancel_asked(s->cancel))
        return;
    drv_cancel(s->op);
    if (s->fetching != NULL && !s->fetching->done) {
        job_cancel(s->fetching->job);
        fetch_stop(s->fetching->fetch);
    }
}

/* Runs the loop until *done. */
static void
wait_for(struct session *s, const bool *done)
{
    if (s->cancel != NULL)
        uv_timer_start(&s->watch, on_watch, CANCEL_LOOK_MS, CANCEL_LOOK_MS);
    while (!*done)
        uv_run(&s->loop, UV_RUN_ONCE);
    uv_timer_stop(&s->watch);
}

static void
close_loop(struct session *s)
{
    uv_close((uv_handle_t *)&s->watch, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&s->loop) == 0);
    mem_free(s);
}

int
session_open(const struct cfg_replica *replica, const struct cancel *cancel,
    struct session **out, struct err *e)
{
    struct session *s = MEM_NEW(struct session);
    struct drv_env env = { .loop = &s->loop, .owner = SYS_OWNER_DEFAULT };
    int rc;

    must(uv_loop_init(&s->loop) == 0 && uv_timer_init(&s->loop, &s->watch) == 0);
    s->cancel = cancel;
    rc = drv_open(replica, &env, &s->drv, e);
    if (rc != 0) {
        close_loop(s);
        return rc;
    }
    *out = s;
    return 0;
}

void
session_close(struct session *s)
{
    if (s == NULL)
        return;
    if (s->drv != NULL)
        drv_close(s->drv, NULL, NULL);
    close_loop(s);
}

/* --- listings --------------------------------------------------------------------------
 */

static void
on_listed(void *arg, const struct drv_result *res)
{
    struct session *s = arg;

    s->op = NULL;
    s->done = true;
    if (res->err != NULL && s->rc == 0) {
        *s->e = *res->err;
        s->rc = err_code(res->err);
    }
}

static void
prepare(struct session *s, struct err *e)
{
    s->done = false;
    s->rc = 0;
    s->e = e;
}

static int
wait_list(struct session *s, struct drv_op *op, struct err *e)
{
    if (op == NULL)
        return err_code(e);
    s->op = op;
    wait_for(s, &s->done);
    return s->rc;
}

static void
on_ltx_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct session *s = arg;

    for (size_t i = 0; s->rc == 0 && i < n; i++)
        s->rc = restore_files_add(s->files, &infos[i], s->e);
}

static int
list_ltx(
    struct session *s, struct drv_list req, struct restore_files *files, struct err *e)
{
    req.entries = on_ltx_entries;
    req.done = on_listed;
    req.arg = s;
    prepare(s, e);
    s->files = files;
    return wait_list(s, drv_list(s->drv, &req, e), e);
}

int
session_list(struct session *s, int level, bool exact_times, struct restore_files *files,
    struct err *e)
{
    struct drv_list req = { .level = level, .exact_times = exact_times };

    return list_ltx(s, req, files, e);
}

int
session_list_from(struct session *s, int level, uint64_t seek,
    struct restore_files *files, struct err *e)
{
    struct drv_list req = { .level = level, .seek = seek };

    return list_ltx(s, req, files, e);
}

struct v03_listing {
    struct session *session;
    struct v03_files *files;
    struct v03_object proto; /* what all objects of the folder have in common */
    uint64_t *generations;
    size_t n, cap;
};

static void
on_v03_listed(void *arg, const struct drv_result *res)
{
    struct v03_listing *l = arg;

    on_listed(l->session, res);
}

static int
list_keys(struct v03_listing *l, const char *folder,
    void (*entries)(void *arg, const struct drv_key *keys, size_t n), struct err *e)
{
    struct session *s = l->session;
    struct drv_list_keys req = {
        .folder = folder, .entries = entries, .done = on_v03_listed, .arg = l
    };

    prepare(s, e);
    return wait_list(s, drv_list_keys(s->drv, &req, e), e);
}

static void
on_generations(void *arg, const struct drv_key *keys, size_t n)
{
    struct v03_listing *l = arg;

    for (size_t i = 0; i < n; i++) {
        uint64_t generation;

        if (!keys[i].is_folder || !v03_generation_parse(keys[i].name, &generation))
            continue;
        if (l->n == l->cap) {
            l->cap = l->cap > 0 ? l->cap * 2 : 16;
            l->generations = mem_resize(l->generations, l->cap * sizeof(uint64_t));
        }
        l->generations[l->n++] = generation;
    }
}

static void
on_objects(void *arg, const struct drv_key *keys, size_t n)
{
    struct v03_listing *l = arg;
    struct session *s = l->session;

    for (size_t i = 0; s->rc == 0 && i < n; i++) {
        struct v03_object o = l->proto;

        if (keys[i].is_folder || !v03_object_parse(o.kind, keys[i].name, &o))
            continue;
        o.size = keys[i].size;
        o.created = keys[i].created;
        s->rc = v03_files_add(l->files, &o, s->e);
    }
}

static int
list_objects(
    struct v03_listing *l, uint64_t generation, enum v03_kind kind, struct err *e)
{
    char folder[V03_KEY_SIZE];
    int rc;

    v03_folder_format(generation, kind, folder);
    l->proto = (struct v03_object){ .generation = generation, .kind = kind };
    rc = list_keys(l, folder, on_objects, e);
    if (rc == 0)
        return 0;
    if (kind == V03_SEGMENT)
        return err_wrap(e, "list WAL segments");
    return err_wrap(
        e, "list snapshots for generation %016llx", (unsigned long long)generation);
}

int
session_list_v03(struct session *s, struct v03_files *files, struct err *e)
{
    struct v03_listing l = { .session = s, .files = files };
    int rc;

    if (!drv_has_keys(s->drv))
        return 0;
    rc = list_keys(&l, V03_GENERATIONS, on_generations, e);
    if (rc != 0)
        err_wrap(e, "list generations");
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        rc = list_objects(&l, l.generations[i], V03_SNAPSHOT, e);
        if (rc == 0)
            rc = list_objects(&l, l.generations[i], V03_SEGMENT, e);
    }
    mem_free(l.generations);
    return rc;
}

/* --- fetching --------------------------------------------------------------------------
 */

static int64_t
v03_size(const struct fetch_files *files, size_t i)
{
    const struct v03_object *objects = files->list;

    return objects[i].size;
}

struct key_get {
    char key[V03_KEY_SIZE];
    drv_done_cb *done;
    void *arg;
};

static void
on_key_got(void *arg, const struct drv_result *res)
{
    struct key_get *g = arg;
    struct key_get copy = *g;

    mem_free(g);
    copy.done(copy.arg, res);
}

static struct drv_op *
v03_get(const struct fetch_files *files, struct drv *d, size_t i,
    const struct fetch_range *range, struct err *e)
{
    const struct v03_object *objects = files->list;
    struct key_get *g = MEM_NEW(struct key_get);
    struct drv_get_key req = { .key = g->key,
        .off = range->off,
        .size = range->size,
        .buf = range->buf,
        .done = on_key_got,
        .arg = g };
    struct drv_op *op;

    v03_key_format(&objects[i], g->key);
    g->done = range->done;
    g->arg = range->arg;
    op = drv_get_key(d, &req, e);
    if (op == NULL)
        mem_free(g);
    return op;
}

struct fetch_files
session_v03_files(const struct v03_object *objects, size_t n)
{
    return (
        struct fetch_files){ .n = n, .size = v03_size, .get = v03_get, .list = objects };
}

static void
run_work(void *arg, const struct cancel *cancel)
{
    struct fetching *f = arg;

    f->rc = f->work(f->arg, f->fetch, cancel, &f->err);
}

static void
on_work_done(void *arg)
{
    struct fetching *f = arg;

    f->job = NULL;
    f->done = true;
    fetch_stop(f->fetch);
}

static void
on_fetch_closed(void *arg)
{
    struct fetching *f = arg;

    f->closed = true;
}

int
session_fetch(struct session *s, const struct fetch_files *files, unsigned parallelism,
    session_work_cb *work, void *arg, struct err *e)
{
    struct fetching f = { .work = work, .arg = arg };
    int rc = fetch_open(&s->loop, s->drv, files, parallelism, &f.fetch, e);

    if (rc == 0) {
        rc = job_start(&s->loop, run_work, on_work_done, &f, &f.job, e);
        s->fetching = &f;
        if (rc == 0)
            wait_for(s, &f.done);
        else
            fetch_stop(f.fetch);
        s->fetching = NULL;
    }
    /* What is under way comes to its end before its buffers go. */
    if (f.fetch != NULL) {
        fetch_close(f.fetch, on_fetch_closed, &f);
        wait_for(s, &f.closed);
    }
    if (rc == 0 && f.rc != 0) {
        *e = f.err;
        rc = f.rc;
    }
    return rc;
}
