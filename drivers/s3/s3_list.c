/*
 * Listings. What a page has is complete before it counts; all of it is sorted, since not
 * every server does.
 *
 * S3 does not tell the metadata of what it lists. Who wants exact times gets them from
 * the first bytes of each object: the answer to one request for those has the metadata
 * and the LTX header, which serves where the metadata was lost on the way (a copied
 * bucket).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/ltx/ltx_name.h"
#include "drivers/s3/s3_impl.h"

/* Doubles an array of which n elements are in use. */
static int
grow(void *items, size_t n, size_t *cap, size_t size, struct err *e)
{
    void **array = items, *more;
    size_t wanted = *cap > 0 ? *cap * 2 : 64;

    if (n < *cap)
        return 0;
    more = mem_try(wanted, size);
    if (more == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a listing of %zu files", wanted);
    if (n > 0)
        memcpy(more, *array, n * size);
    mem_free(*array);
    *array = more;
    *cap = wanted;
    return 0;
}

/* --- timestamps
 * ---------------------------------------------------------------------------- */

/* One object that is asked. */
struct s3_stamp {
    struct s3_task *task;
    struct s3_op call;
    char *key;
    size_t i; /* in infos */
    uint8_t head[LTX_HEADER_SIZE];
    size_t got;
};

static void ask_stamps(struct s3_task *t);

static void
free_stamps(struct s3_list *l)
{
    for (size_t i = 0; l->stamps != NULL && i < S3_STAMPS; i++) {
        s3_cancel(&l->stamps[i].call);
        mem_free(l->stamps[i].key);
    }
    mem_free(l->stamps);
    l->stamps = NULL;
}

static int
on_stamp_data(void *arg, const void *bytes, size_t n, struct err *e)
{
    struct s3_stamp *s = arg;
    size_t room = sizeof(s->head) - s->got;

    (void)e;
    memcpy(s->head + s->got, bytes, n < room ? n : room);
    s->got += n < room ? n : room;
    return 0;
}

static void
on_stamp_begin(void *arg)
{
    struct s3_stamp *s = arg;

    s->got = 0;
}

/* The time of the upload stays where there is nothing better. */
static void
take_stamp(struct s3_stamp *s)
{
    struct ltx_info *info = &s->task->u.list.infos[s->i];
    const char *text = s3_header(&s->call, S3_TIMESTAMP);
    struct ltx_header h;
    struct wall when;
    struct err ignored;

    if (text != NULL && wall_parse(text, &when))
        info->created = when;
    else if (s->got == sizeof(s->head) && ltx_header_decode(s->head, &h, &ignored) == 0)
        info->created = wall_from_ms(h.timestamp_ms);
}

static void
on_stamp(void *arg)
{
    struct s3_stamp *s = arg;
    struct s3_task *t = s->task;
    struct s3_list *l = &t->u.list;

    l->n_stamps--;
    mem_free(s->key);
    s->key = NULL;
    if (s->call.err.code == ERR_OK)
        take_stamp(s);
    else if (s->call.err.code != ERR_NOT_FOUND && l->err.code == ERR_OK) {
        l->err = s->call.err; /* a restore to a moment would take the wrong files */
        l->next_stamp = l->n;
    }
    ask_stamps(t);
}

static void
ask_stamp(struct s3_task *t, struct s3_stamp *s, size_t i)
{
    struct s3_list *l = &t->u.list;
    const struct ltx_info *info = &l->infos[i];

    s->task = t;
    s->i = i;
    s->key = s3_ltx_key(s3_drv_of(t), info->level, info->min_txid, info->max_txid);
    s->call = (struct s3_op){ .call = S3_GET,
        .method = "GET",
        .key = s->key,
        .begin = on_stamp_begin,
        .data = on_stamp_data,
        .done = on_stamp,
        .arg = s };
    s3_add_header(&s->call, "Range", "bytes=0-99");
    l->n_stamps++;
    s3_start(s3_drv_of(t)->client, &s->call);
}

static void
ask_stamps(struct s3_task *t)
{
    struct s3_list *l = &t->u.list;

    for (size_t i = 0; i < S3_STAMPS && l->next_stamp < l->n; i++)
        if (l->stamps[i].key == NULL)
            ask_stamp(t, &l->stamps[i], l->next_stamp++);
    if (l->n_stamps == 0) {
        free_stamps(l);
        s3_task_finish(t, l->err.code != ERR_OK ? &l->err : NULL);
    }
}

/* --- LTX files
 * ----------------------------------------------------------------------------- */

static void
forget_page(void *arg)
{
    struct s3_list *l = &((struct s3_task *)arg)->u.list;

    l->n = l->kept;
}

static void
keep_page(void *arg)
{
    struct s3_list *l = &((struct s3_task *)arg)->u.list;

    l->kept = l->n;
}

static int
on_object(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_task *t = arg;
    struct s3_list *l = &t->u.list;
    uint64_t min, max;
    int rc;

    if (entry->is_prefix ||
        s3_parse_key(s3_drv_of(t), entry->key, &min, &max) != l->req.level ||
        min < l->req.seek)
        return 0;
    rc = grow(&l->infos, l->n, &l->cap, sizeof(*l->infos), e);
    if (rc == 0)
        l->infos[l->n++] = (struct ltx_info){ .level = l->req.level,
            .min_txid = min,
            .max_txid = max,
            .size = entry->size,
            .created = entry->modified };
    return rc;
}

static void
sort(struct s3_list *l)
{
    size_t n = 0;

    if (l->n == 0)
        return;
    qsort(l->infos, l->n, sizeof(*l->infos), ltx_info_cmp);
    for (size_t i = 1; i < l->n; i++)
        if (ltx_info_cmp(&l->infos[n], &l->infos[i]) != 0)
            l->infos[++n] = l->infos[i];
    l->n = n + 1;
}

static void
on_listed(void *arg, const struct err *e)
{
    struct s3_task *t = arg;
    struct s3_list *l = &t->u.list;

    if (e != NULL) {
        s3_task_finish(t, e);
        return;
    }
    sort(l);
    if (!l->req.exact_times || l->n == 0) {
        s3_task_finish(t, NULL);
        return;
    }
    l->stamps = mem_new_array(S3_STAMPS, sizeof(*l->stamps));
    ask_stamps(t);
}

static void
deliver_list(struct drv_op *op)
{
    struct s3_list *l = &s3_task_of(op)->u.list;

    if (l->n > 0)
        l->req.entries(l->req.arg, l->infos, l->n);
}

static void
release_list(struct drv_op *op)
{
    struct s3_list *l = &s3_task_of(op)->u.list;

    mem_free(l->infos);
    mem_free(l->prefix);
    mem_free(l->start_after);
}

static void
stop_list(struct s3_task *t)
{
    struct err e;

    s3_walk_cancel(&t->u.list.walk);
    free_stamps(&t->u.list);
    err_set(&e, ERR_CANCELLED, "cancelled");
    s3_task_finish(t, &e);
}

/* Sorts behind all names that begin with the TXID before `seek`. */
static char *
name_before(const char *prefix, uint64_t seek)
{
    char txid[LTX_TXID_SIZE];

    if (seek <= 1)
        return NULL;
    ltx_txid_format(seek - 1, txid);
    return mem_printf("%s%s-g", prefix, txid);
}

int
s3_list(struct drv_op *op, const struct drv_list *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);
    struct s3_list *l = &t->u.list;

    (void)e;
    l->req = *req;
    l->prefix = s3_level_prefix(s3_drv_of(t), req->level);
    l->start_after = name_before(l->prefix, req->seek);
    l->walk = (struct s3_walk){ .prefix = l->prefix,
        .start_after = l->start_after,
        .entry = on_object,
        .keep = keep_page,
        .forget = forget_page,
        .done = on_listed,
        .arg = t };
    op->deliver = deliver_list;
    op->release = release_list;
    t->stop = stop_list;
    s3_walk_start(&l->walk, s3_drv_of(t)->client);
    return 0;
}

/* --- other keys
 * ---------------------------------------------------------------------------- */

static void
forget_keys(void *arg)
{
    struct s3_list_keys *l = &((struct s3_task *)arg)->u.list_keys;

    l->n = l->kept;
}

static void
keep_keys(void *arg)
{
    struct s3_list_keys *l = &((struct s3_task *)arg)->u.list_keys;

    l->kept = l->n;
}

static int
on_key(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct s3_list_keys *l = &((struct s3_task *)arg)->u.list_keys;
    size_t n = strlen(l->prefix), len = strlen(entry->key);
    int rc;

    if (strncmp(entry->key, l->prefix, n) != 0)
        return 0;
    len -= n;
    if (entry->is_prefix && len > 0 && entry->key[n + len - 1] == '/')
        len--;
    if (len == 0 || memchr(entry->key + n, '/', len) != NULL)
        return 0;
    rc = grow(&l->keys, l->n, &l->cap, sizeof(*l->keys), e);
    if (rc == 0)
        l->keys[l->n++] =
            (struct drv_key){ .name = arena_strndup(&l->names, entry->key + n, len),
                .is_folder = entry->is_prefix,
                .size = entry->size,
                .created = entry->modified };
    return rc;
}

static void
on_keys_listed(void *arg, const struct err *e)
{
    s3_task_finish(arg, e);
}

static void
deliver_keys(struct drv_op *op)
{
    struct s3_list_keys *l = &s3_task_of(op)->u.list_keys;

    if (l->n > 0)
        l->req.entries(l->req.arg, l->keys, l->n);
}

static void
release_keys(struct drv_op *op)
{
    struct s3_list_keys *l = &s3_task_of(op)->u.list_keys;

    mem_free(l->keys);
    mem_free(l->prefix);
    arena_deinit(&l->names);
}

static void
stop_keys(struct s3_task *t)
{
    struct err e;

    s3_walk_cancel(&t->u.list_keys.walk);
    err_set(&e, ERR_CANCELLED, "cancelled");
    s3_task_finish(t, &e);
}

int
s3_list_keys(struct drv_op *op, const struct drv_list_keys *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);
    struct s3_list_keys *l = &t->u.list_keys;

    (void)e;
    l->req = *req;
    l->prefix = s3_other_folder(s3_drv_of(t), req->folder);
    arena_init(&l->names);
    l->walk = (struct s3_walk){ .prefix = l->prefix,
        .delimiter = "/",
        .entry = on_key,
        .keep = keep_keys,
        .forget = forget_keys,
        .done = on_keys_listed,
        .arg = t };
    op->deliver = deliver_keys;
    op->release = release_keys;
    t->stop = stop_keys;
    s3_walk_start(&l->walk, s3_drv_of(t)->client);
    return 0;
}
