#include "workers/restore/v03.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "workers/restore/v03_replay.h"

struct v03_work {
    const struct v03_plan *plan;
    struct v03_replay *replay;
    struct fetch *fetch;
    size_t at; /* the object being read */
};

static int
read_fetched(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct v03_work *w = arg;

    return fetch_read(w->fetch, w->at, buf, cap, n, e);
}

static int
replay_object(struct v03_work *w, const struct cancel *cancel, struct err *e)
{
    const struct v03_object *o = &w->plan->files[w->at];
    struct v03_source src = { .read = read_fetched, .arg = w };
    struct v03_lz4 *z = NULL;
    char key[V03_KEY_SIZE];
    int rc = v03_lz4_open(src, &z, e);

    if (rc != 0)
        return rc;
    if (o->kind == V03_SNAPSHOT)
        rc = v03_replay_snapshot(w->replay, z, cancel, e);
    else
        rc = v03_replay_segment(w->replay, o, z, cancel, e);
    v03_lz4_free(z);
    if (rc == 0 || rc == ERR_CANCELLED)
        return rc;
    v03_key_format(o, key);
    err_wrap(e, "%s", key);
    return err_wrap(
        e, o->kind == V03_SNAPSHOT ? "download snapshot" : "apply WAL segments");
}

/* On the job's thread. */
static int
replay_all(void *arg, struct fetch *f, const struct cancel *cancel, struct err *e)
{
    struct v03_work *w = arg;
    int rc = 0;

    w->fetch = f;
    for (w->at = 0; rc == 0 && w->at < w->plan->n; w->at++)
        rc = replay_object(w, cancel, e);
    if (rc != 0)
        return rc;
    rc = v03_replay_finish(w->replay, cancel, e);
    return rc != 0 ? err_wrap(e, "apply WAL segments") : 0;
}

static int
open_replay(struct output *output, struct v03_replay **out, struct err *e)
{
    char *wal = mem_printf("%s-wal", output_tmp_path(output));
    char *dir = path_dir(wal);
    int rc = v03_replay_new(output_fd(output), wal, dir, out, e);

    mem_free(dir);
    mem_free(wal);
    return rc;
}

int
v03_restore(struct session *s, const struct v03_plan *plan, unsigned parallelism,
    struct output *output, int64_t *size, struct err *e)
{
    struct fetch_files files = session_v03_files(plan->files, plan->n);
    struct v03_work w = { .plan = plan };
    int rc = v03_plan_check(plan, e);

    if (rc != 0)
        return err_wrap(e, "apply WAL segments");
    rc = open_replay(output, &w.replay, e);
    if (rc == 0)
        rc = session_fetch(s, &files, parallelism, replay_all, &w, e);
    if (rc == 0) {
        *size = v03_replay_size(w.replay);
        if (v03_replay_left_out(w.replay) > 0)
            log_warn("no commit follows the last bytes of a WAL: they were left out",
                LF_INT("size", v03_replay_left_out(w.replay)));
    }
    v03_replay_free(w.replay);
    return rc;
}
