#include "drivers/sftp/store.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"
#include "drivers/sftp/calls.h"
#include "drivers/sftp/names.h"

/* Requests of one kind that are under way at a time. */
#define BATCH 32

/* --- folders --------------------------------------------------------------------------
 */

typedef int entry_cb(
    void *arg, const char *name, const struct sftp_attrs *a, struct err *e);

/* A name of a listing; longer ones are not ours. */
#define NAME_MAX_LEN 255

static int
take_names(struct sftp_session *s, struct sftp_reply *r, entry_cb *entry, void *arg,
    struct err *e)
{
    uint32_t n = sftp_get_u32(&r->in);
    int rc = 0;

    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct sftp_attrs a;
        char name[NAME_MAX_LEN + 1];
        size_t len, ignored;
        const uint8_t *p = sftp_get_string(&r->in, &len);

        sftp_get_string(&r->in, &ignored); /* the line of `ls -l` */
        sftp_get_attrs(&r->in, &a);
        if (r->in.bad)
            return sftp_nonsense(s, "a listing cut short", e);
        if (len == 0 || len > NAME_MAX_LEN || memchr(p, 0, len) != NULL ||
            memchr(p, '/', len) != NULL)
            continue;
        memcpy(name, p, len);
        name[len] = '\0';
        rc = entry(arg, name, &a, e);
    }
    return rc;
}

/* Every entry of a folder; none when it is absent. */
static int
walk(struct sftp_session *s, const char *path, entry_cb *entry, void *arg, struct err *e)
{
    struct sftp_handle h = { .n = 0 };
    struct err ignored;
    int rc = sftp_open_folder(s, path, &h, e);

    if (rc == ERR_NOT_FOUND)
        return 0;
    while (rc == 0) {
        struct sftp_reply r;
        uint32_t id;

        sftp_add_string(sftp_request_begin(s, SFTP_READDIR, &id), h.bytes, h.n);
        rc = sftp_call(s, &r, e);
        if (rc == 0)
            rc = sftp_expect(s, &r, SFTP_NAME, e);
        if (rc == 0)
            rc = take_names(s, &r, entry, arg, e);
    }
    if (rc == ERR_END)
        return sftp_close_handle(s, &h, e);
    sftp_close_handle(s, &h, &ignored);
    return err_wrap(e, "read folder %s", path);
}

/* --- LTX files ------------------------------------------------------------------------
 */

struct found {
    int level;
    uint64_t seek, highest;
    struct ltx_info *infos;
    size_t n, cap;
};

/* Doubles an array of which n elements are in use. */
static int
grow(void *items, size_t n, size_t *cap, size_t size, struct err *e)
{
    void **array = items, *more;

    if (n < *cap)
        return 0;
    *cap = *cap > 0 ? *cap * 2 : 64;
    more = mem_try(*cap, size);
    if (more == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a listing of %zu files", *cap);
    if (n > 0)
        memcpy(more, *array, n * size);
    mem_free(*array);
    *array = more;
    return 0;
}

static int
add_file(void *arg, const char *name, const struct sftp_attrs *a, struct err *e)
{
    struct found *f = arg;
    uint64_t min, max;
    int rc;

    if (!ltx_name_parse(name, &min, &max) || min < f->seek || max > f->highest ||
        sftp_attrs_folder(a))
        return 0;
    if ((a->flags & SFTP_ATTR_SIZE) == 0 || a->size > INT64_MAX)
        return err_set(e, ERR_NETWORK, "sftp: the server tells no size of %s", name);
    rc = grow(&f->infos, f->n, &f->cap, sizeof(*f->infos), e);
    if (rc != 0)
        return rc;
    f->infos[f->n++] = (struct ltx_info){ .level = f->level,
        .min_txid = min,
        .max_txid = max,
        .size = (int64_t)a->size,
        .created = { .sec = a->mtime } };
    return 0;
}

static int
find_highest(void *arg, const char *name, const struct sftp_attrs *a, struct err *e)
{
    struct found *f = arg;
    uint64_t min, max;

    (void)a;
    (void)e;
    if (ltx_name_parse(name, &min, &max) && max > f->highest)
        f->highest = max;
    return 0;
}

/* The answers to n requests whose ids begin at `first`, each to its place. */
static int
receive_batch(struct sftp_session *s, uint32_t first, size_t n,
    void (*take)(void *arg, size_t i, struct sftp_reply *r), void *arg, struct err *e)
{
    for (size_t left = n; left > 0; left--) {
        struct sftp_reply r;
        int rc = sftp_receive(s, &r, e);

        if (rc != 0)
            return rc;
        if (r.id - first >= n)
            return sftp_nonsense(s, "it is about another request", e);
        take(arg, r.id - first, &r);
    }
    return 0;
}

/* Headers of up to BATCH files are read in two rounds. */
struct headers {
    struct sftp_session *s;
    struct ltx_info *infos;
    struct sftp_handle handles[BATCH];
};

static void
take_handle(void *arg, size_t i, struct sftp_reply *r)
{
    struct headers *h = arg;
    struct err ignored;

    sftp_take_handle(h->s, r, &h->handles[i], &ignored);
}

/* Reads are answered in even places, closings in odd ones. */
static void
take_header(void *arg, size_t i, struct sftp_reply *r)
{
    struct headers *h = arg;
    const uint8_t *p;
    size_t n;

    if (r->type != SFTP_DATA)
        return;
    p = sftp_get_string(&r->in, &n);
    if (n >= LTX_HEADER_SIZE && memcmp(p, "LTX1", 4) == 0)
        h->infos[i / 2].created = wall_from_ms((int64_t)ltx_get_u64(p + 32));
}

static int
open_batch(struct sftp_session *s, const char *folder, struct headers *h, size_t n,
    struct err *e)
{
    uint32_t id, first = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        char name[LTX_NAME_SIZE];
        char *path;
        struct buf *b = sftp_request_begin(s, SFTP_OPEN, &id);

        ltx_name_format(h->infos[i].min_txid, h->infos[i].max_txid, name);
        path = path_join(folder, name);
        sftp_add_text(b, path);
        sftp_add_u32(b, SFTP_OPEN_READ);
        sftp_add_no_attrs(b);
        mem_free(path);
        first = i == 0 ? id : first;
        h->handles[i].n = 0;
        rc = sftp_request_send(s, e);
    }
    return rc != 0 ? rc : receive_batch(s, first, n, take_handle, h, e);
}

static int
read_batch(struct sftp_session *s, struct headers *h, size_t n, struct err *e)
{
    uint32_t id, first = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        /* A file that could not be opened is asked for all the same: the server refuses,
         * and every answer has its place. */
        struct buf *b = sftp_request_begin(s, SFTP_READ, &id);

        sftp_add_string(b, h->handles[i].bytes, h->handles[i].n);
        sftp_add_u64(b, 0);
        sftp_add_u32(b, LTX_HEADER_SIZE);
        first = i == 0 ? id : first;
        rc = sftp_request_send(s, e);
        if (rc != 0)
            break;
        b = sftp_request_begin(s, SFTP_CLOSE, &id);
        sftp_add_string(b, h->handles[i].bytes, h->handles[i].n);
        rc = sftp_request_send(s, e);
    }
    return rc != 0 ? rc : receive_batch(s, first, 2 * n, take_header, h, e);
}

/* The server keeps seconds, the header milliseconds; a file whose header cannot be read
 * keeps the former. */
static int
read_times(struct sftp_session *s, const char *folder, struct found *f, struct err *e)
{
    struct headers *h = MEM_NEW(struct headers);
    int rc = 0;

    h->s = s;
    for (size_t i = 0; rc == 0 && i < f->n; i += BATCH) {
        size_t n = f->n - i < BATCH ? f->n - i : BATCH;

        h->infos = f->infos + i;
        rc = open_batch(s, folder, h, n, e);
        if (rc == 0)
            rc = read_batch(s, h, n, e);
    }
    mem_free(h);
    return rc;
}

int
sftp_store_list(const struct sftp_store *st, struct sftp_session *s,
    const struct drv_list *req, struct ltx_info **infos, size_t *n, struct err *e)
{
    struct found f = { .level = req->level, .seek = req->seek };
    char *folder = ltx_level_path(st->root, req->level);
    int rc = walk(s, folder, find_highest, &f, e);

    /* A folder that grows while it is read may show a file and not one that came before
     * it: what is there now is known whole the second time. */
    if (rc == 0 && f.highest > 0)
        rc = walk(s, folder, add_file, &f, e);
    if (rc == 0 && req->exact_times)
        rc = read_times(s, folder, &f, e);
    mem_free(folder);
    if (rc != 0) {
        mem_free(f.infos);
        return rc;
    }
    if (f.n > 0)
        qsort(f.infos, f.n, sizeof(*f.infos), ltx_info_cmp);
    *infos = f.infos;
    *n = f.n;
    return 0;
}

/* --- delete ---------------------------------------------------------------------------
 */

struct removal {
    struct sftp_session *s;
    struct err first; /* the first that failed */
};

static void
take_removed(void *arg, size_t i, struct sftp_reply *r)
{
    struct removal *x = arg;
    struct err e;
    int rc = sftp_expect(x->s, r, SFTP_STATUS, &e);

    (void)i;
    if (rc != 0 && rc != ERR_NOT_FOUND && x->first.code == ERR_OK)
        x->first = e;
}

int
sftp_store_del(const struct sftp_store *st, struct sftp_session *s,
    const struct ltx_info *files, size_t n, struct err *e)
{
    struct removal x = { .s = s };
    uint32_t id, first = 0;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0 && x.first.code == ERR_OK; i += BATCH) {
        size_t batch = n - i < BATCH ? n - i : BATCH;

        for (size_t k = 0; rc == 0 && k < batch; k++) {
            const struct ltx_info *f = &files[i + k];
            char *path = ltx_file_path(st->root, f->level, f->min_txid, f->max_txid);

            sftp_add_text(sftp_request_begin(s, SFTP_REMOVE, &id), path);
            mem_free(path);
            first = k == 0 ? id : first;
            rc = sftp_request_send(s, e);
        }
        if (rc == 0)
            rc = receive_batch(s, first, batch, take_removed, &x, e);
    }
    if (rc == 0 && x.first.code != ERR_OK) {
        *e = x.first;
        rc = err_wrap(e, "sftp: cannot delete ltx file in \"%s\"", st->root);
    }
    return rc;
}

struct names {
    char **items;
    size_t n, cap;
};

static int
add_name(void *arg, const char *name, const struct sftp_attrs *a, struct err *e)
{
    struct names *x = arg;
    uint64_t min, max;
    int rc;

    (void)a;
    if (!ltx_name_parse(name, &min, &max) && !sftp_tmp_name_is_ours(name))
        return 0;
    rc = grow(&x->items, x->n, &x->cap, sizeof(*x->items), e);
    if (rc == 0)
        x->items[x->n++] = mem_strdup(name);
    return rc;
}

static int
empty_level(struct sftp_session *s, const char *folder, struct err *e)
{
    struct names x = { .n = 0 };
    int rc = walk(s, folder, add_name, &x, e);

    for (size_t i = 0; i < x.n; i++) {
        char *path = path_join(folder, x.items[i]);

        if (rc == 0)
            rc = sftp_remove(s, path, e);
        if (rc == ERR_NOT_FOUND)
            rc = 0;
        mem_free(path);
        mem_free(x.items[i]);
    }
    mem_free(x.items);
    return rc;
}

int
sftp_store_del_all(struct sftp_store *st, struct sftp_session *s, struct err *e)
{
    char *ltx = path_join(st->root, "ltx");
    struct err ignored;
    int rc = 0;

    atomic_store(&st->made, 0);
    for (int level = 0; rc == 0 && level < LTX_N_LEVELS; level++) {
        char *folder = ltx_level_path(st->root, level);

        rc = empty_level(s, folder, e);
        if (rc == 0)
            sftp_rmdir(s, folder, &ignored); /* stays when something foreign is in it */
        mem_free(folder);
    }
    if (rc == 0) {
        int gone = sftp_rmdir(s, ltx, &ignored);

        /* Without ltx a write has failed in between, and may have made the folder. */
        if ((gone == 0 || gone == ERR_NOT_FOUND) && st->root[0] != '\0')
            sftp_rmdir(s, st->root, &ignored);
    }
    mem_free(ltx);
    return rc;
}

/* --- other files ----------------------------------------------------------------------
 */

static int
add_key(void *arg, const char *name, const struct sftp_attrs *a, struct err *e)
{
    struct sftp_keys *k = arg;
    int rc;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    rc = grow(&k->items, k->n, &k->cap, sizeof(*k->items), e);
    if (rc != 0)
        return rc;
    k->items[k->n++] = (struct drv_key){ .name = arena_strdup(&k->names, name),
        .is_folder = sftp_attrs_folder(a),
        .size = a->size <= INT64_MAX ? (int64_t)a->size : INT64_MAX,
        .created = { .sec = a->mtime } };
    return 0;
}

int
sftp_store_keys(
    struct sftp_session *s, const char *folder, struct sftp_keys *keys, struct err *e)
{
    return walk(s, folder, add_key, keys, e);
}
