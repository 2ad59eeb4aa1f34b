#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"
#include "drivers/sftp/calls.h"
#include "drivers/sftp/names.h"
#include "drivers/sftp/store.h"

/* What every server takes and gives in one packet. */
#define BLOCK ((size_t)32 << 10)

/* Read requests under way for one file. */
#define N_READS 64

/* A temporary file of another life is removed when it is older. */
#define LEFT_OVER_SECONDS (24 * 3600)

/* Less than this is free: a write that failed without words failed for lack of space. */
#define FULL_BYTES ((uint64_t)1 << 20)

/* --- get ------------------------------------------------------------------------------
 */

/* A part of the range that was asked for; `id` 0: nothing under way. */
struct part {
    uint32_t id;
    size_t at, size; /* in the caller's memory */
};

struct reading {
    struct sftp_session *s;
    const struct sftp_handle *h;
    int64_t off;
    uint8_t *buf;
    size_t size; /* shrinks to what there is */
    size_t asked;
    unsigned under_way;
    struct part parts[N_READS];
};

static int
ask_part(struct reading *x, struct part *p, size_t at, size_t size, struct err *e)
{
    struct buf *b = sftp_request_begin(x->s, SFTP_READ, &p->id);

    p->at = at;
    p->size = size;
    sftp_add_string(b, x->h->bytes, x->h->n);
    sftp_add_u64(b, (uint64_t)x->off + at);
    sftp_add_u32(b, (uint32_t)size);
    x->under_way++;
    return sftp_request_send(x->s, e);
}

static struct part *
part_of(struct reading *x, uint32_t id)
{
    for (size_t i = 0; i < N_READS; i++)
        if (x->parts[i].id == id)
            return &x->parts[i];
    return NULL;
}

static int
ask_more(struct reading *x, struct err *e)
{
    struct part *p;
    int rc = 0;

    while (rc == 0 && x->asked < x->size && (p = part_of(x, 0)) != NULL) {
        size_t n = x->size - x->asked < BLOCK ? x->size - x->asked : BLOCK;

        rc = ask_part(x, p, x->asked, n, e);
        x->asked += n;
    }
    return rc;
}

/* Fewer bytes than asked for are allowed anywhere: the rest is asked for again. */
static int
take_part(struct reading *x, struct sftp_reply *r, struct err *e)
{
    struct part *p = part_of(x, r->id);
    const uint8_t *bytes;
    size_t n, at;
    int rc;

    if (p == NULL || r->id == 0)
        return sftp_nonsense(x->s, "it is about another request", e);
    x->under_way--;
    p->id = 0;
    rc = sftp_expect(x->s, r, SFTP_DATA, e);
    if (rc == ERR_END) {
        if (p->at < x->size)
            x->size = p->at;
        return 0;
    }
    if (rc != 0)
        return rc;
    bytes = sftp_get_string(&r->in, &n);
    if (r->in.bad || n == 0 || n > p->size)
        return sftp_nonsense(x->s, "data of the wrong size", e);
    memcpy(x->buf + p->at, bytes, n);
    at = p->at + n;
    if (n < p->size && at < x->size)
        return ask_part(x, p, at, p->size - n, e);
    return 0;
}

/* Answers that nobody waits for any more. */
static void
drain(struct sftp_session *s, unsigned under_way)
{
    struct sftp_reply r;
    struct err ignored;

    while (under_way-- > 0 && sftp_receive(s, &r, &ignored) == 0)
        continue;
}

/* Nothing came: is it the end of the file, or beyond? */
static int
check_end(struct sftp_session *s, const struct sftp_handle *h, int64_t off, struct err *e)
{
    struct sftp_attrs a;
    int rc = sftp_fstat(s, h, &a, e);

    if (rc == 0 && (a.flags & SFTP_ATTR_SIZE) != 0 && (uint64_t)off > a.size)
        rc = err_set(e, ERR_RANGE, "offset %lld is beyond the end", (long long)off);
    return rc;
}

int
sftp_store_get(struct sftp_session *s, const char *path, int64_t off, void *buf,
    size_t size, size_t *got, struct err *e)
{
    struct sftp_handle h = { .n = 0 };
    struct reading *x = MEM_NEW(struct reading);
    struct err failed;
    int rc = sftp_open_file(s, path, SFTP_OPEN_READ, &h, e);

    *got = 0;
    *x = (struct reading){ .s = s, .h = &h, .off = off, .buf = buf, .size = size };
    while (rc == 0) {
        struct sftp_reply r;

        rc = ask_more(x, e);
        if (rc != 0 || x->under_way == 0)
            break;
        rc = sftp_receive(s, &r, e);
        if (rc == 0)
            rc = take_part(x, &r, e);
    }
    drain(s, rc != 0 && !sftp_session_broken(s) ? x->under_way : 0);
    if (rc == 0 && x->size == 0)
        rc = check_end(s, &h, off, e);
    if (sftp_close_handle(s, &h, &failed) != 0 && rc == 0 && sftp_session_broken(s))
        rc = 0; /* all bytes are here */
    if (rc == 0)
        *got = x->size;
    else if (rc != ERR_NOT_FOUND)
        err_wrap(e, "read %s", path);
    mem_free(x);
    return rc;
}

/* --- put: the bytes -------------------------------------------------------------------
 */

struct writing {
    struct sftp_session *s;
    struct sftp_handle h;
    struct drv_source *src;
    unsigned window; /* requests under way at most */
    unsigned under_way;
    uint32_t first_id; /* of the ids that are ours */
    int64_t done;      /* bytes taken from the source */
    uint8_t header[LTX_HEADER_SIZE];
    uint8_t *block;
};

/* A full block but at the end: small packets cost a round trip each. */
static int
fill_block(struct writing *w, const struct cancel *cancel, size_t *size, struct err *e)
{
    *size = 0;
    while (*size < BLOCK) {
        size_t n;
        int rc = cancel_asked(cancel)
                     ? err_set(e, ERR_CANCELLED, "cancelled")
                     : w->src->read(w->src, w->block + *size, BLOCK - *size, true, &n, e);

        if (rc != 0)
            return rc;
        if (n == 0)
            break;
        *size += n;
    }
    return 0;
}

static int
send_block(struct writing *w, size_t n, struct err *e)
{
    uint32_t id;
    struct buf *b = sftp_request_begin(w->s, SFTP_WRITE, &id);

    sftp_add_string(b, w->h.bytes, w->h.n);
    sftp_add_u64(b, (uint64_t)w->done);
    sftp_add_string(b, w->block, n);
    if (w->first_id == 0)
        w->first_id = id;
    w->under_way++;
    return sftp_request_send(w->s, e);
}

static int
receive_written(struct writing *w, struct err *e)
{
    struct sftp_reply r;
    int rc = sftp_receive(w->s, &r, e);

    if (rc != 0)
        return rc;
    w->under_way--;
    if (r.id < w->first_id)
        return sftp_nonsense(w->s, "it is about another request", e);
    rc = sftp_expect(w->s, &r, SFTP_STATUS, e);
    return rc != 0 ? err_wrap(e, "write") : 0;
}

static int
write_all(struct writing *w, const struct cancel *cancel, struct err *e)
{
    int rc = 0;

    for (;;) {
        size_t n, head;

        rc = fill_block(w, cancel, &n, e);
        if (rc != 0 || n == 0)
            break;
        if (w->done < LTX_HEADER_SIZE) { /* blocks are larger than a header */
            head = n < LTX_HEADER_SIZE ? n : LTX_HEADER_SIZE;
            memcpy(w->header, w->block, head);
        }
        rc = send_block(w, n, e);
        w->done += (int64_t)n;
        while (rc == 0 && w->under_way >= w->window)
            rc = receive_written(w, e);
        if (rc != 0)
            break;
    }
    while (rc == 0 && w->under_way > 0)
        rc = receive_written(w, e);
    if (rc == ERR_CANCELLED)
        sftp_session_last_words(w->s);
    if (rc != 0 && !sftp_session_broken(w->s))
        drain(w->s, w->under_way);
    return rc;
}

/* OpenSSH says no more than "failure" when the disk is full. */
static int
explain_full(struct sftp_session *s, const char *folder, struct err *e)
{
    uint64_t left;

    if (e->code == ERR_IO && sftp_free_bytes(s, folder, &left) && left < FULL_BYTES)
        return err_set(e, ERR_NO_SPACE,
            "no space left on the server (%llu bytes are free)",
            (unsigned long long)left);
    return err_code(e);
}

static int
write_file(struct writing *w, const struct drv_put *req, const struct cancel *cancel,
    struct drv_result *res, struct err *e)
{
    int rc = write_all(w, cancel, e);

    res->size = w->done;
    if (rc != 0)
        return rc;
    if (req->size >= 0 && w->done != req->size)
        return err_set(e, ERR_CORRUPT, "%lld bytes came instead of %lld",
            (long long)w->done, (long long)req->size);
    if (w->done < LTX_HEADER_SIZE || memcmp(w->header, "LTX1", 4) != 0)
        return err_set(e, ERR_CORRUPT, "extract timestamp from LTX header: %s",
            w->done < LTX_HEADER_SIZE ? "unexpected EOF" : "invalid LTX file");
    res->created = wall_from_ms((int64_t)ltx_get_u64(w->header + 32));
    rc = sftp_fsync(w->s, &w->h, e);
    if (rc == 0)
        rc = sftp_set_times(w->s, &w->h, res->created.sec, e);
    if (rc == 0)
        rc = sftp_close_handle(w->s, &w->h, e);
    return rc;
}

/* --- put: the names -------------------------------------------------------------------
 */

static bool
is_there(struct sftp_session *s, const char *path, struct sftp_attrs *a)
{
    struct err ignored;

    return sftp_stat(s, path, a, &ignored) == 0;
}

static int
publish_new(struct sftp_session *s, const char *tmp, const char *path, int64_t size,
    struct err *e)
{
    struct sftp_attrs a;
    int rc;

    if (is_there(s, path, &a))
        return err_set(e, ERR_EXISTS, "%s exists already", path);
    rc = sftp_rename(s, tmp, path, false, e);
    if (sftp_session_broken(s))
        return rc;
    if (rc != 0)
        return is_there(s, path, &a) ? err_set(e, ERR_EXISTS, "%s exists already", path)
                                     : rc;
    if (is_there(s, path, &a) && (a.flags & SFTP_ATTR_SIZE) != 0 &&
        a.size != (uint64_t)size)
        return err_set(e, ERR_EXISTS, "%s was written by another writer", path);
    return 0;
}

static int
publish(struct sftp_session *s, const char *tmp, const char *path, struct err *e)
{
    struct sftp_attrs a;
    int rc;

    if (sftp_session_has(s, SFTP_EXT_POSIX_RENAME)) {
        rc = sftp_rename(s, tmp, path, true, e);
        if (rc != ERR_UNSUPPORTED)
            return rc;
    }
    rc = sftp_rename(s, tmp, path, false, e);
    if (rc == 0 || sftp_session_broken(s) || !is_there(s, path, &a))
        return rc;
    /* Nothing replaces in one step here. The source still has the file if we end now. */
    rc = sftp_remove(s, path, e);
    return rc != 0 ? rc : sftp_rename(s, tmp, path, false, e);
}

/* Of this writer, who was killed: one writer per path is assumed. */
static void
tidy(struct sftp_store *st, struct sftp_session *s, int level, const char *folder)
{
    struct sftp_keys keys = { .n = 0 };
    unsigned bit = 1u << level;
    int64_t before = wall_now().sec - LEFT_OVER_SECONDS;
    struct err ignored;

    if ((atomic_fetch_or(&st->tidy, bit) & bit) != 0)
        return;
    arena_init(&keys.names);
    if (sftp_store_keys(s, folder, &keys, &ignored) == 0)
        for (size_t i = 0; i < keys.n; i++)
            if (sftp_tmp_name_is_ours(keys.items[i].name) &&
                keys.items[i].created.sec < before) {
                char *path = path_join(folder, keys.items[i].name);

                sftp_remove(s, path, &ignored);
                mem_free(path);
            }
    mem_free(keys.items);
    arena_deinit(&keys.names);
}

/* Makes the level's folder when it turns out to be missing. */
static int
open_tmp(struct sftp_store *st, struct writing *w, int level, const char *folder,
    const char *tmp, struct err *e)
{
    const uint32_t flags = SFTP_OPEN_WRITE | SFTP_OPEN_CREATE | SFTP_OPEN_EXCLUSIVE;
    unsigned bit = 1u << level;
    int rc;

    if ((atomic_load(&st->made) & bit) == 0 && sftp_make_folders(w->s, folder, e) != 0)
        return err_wrap(e, "sftp: cannot make parent snapshot directory \"%s\"", folder);
    atomic_fetch_or(&st->made, bit);
    rc = sftp_open_file(w->s, tmp, flags, &w->h, e);
    if (rc == ERR_NOT_FOUND) { /* the folder was removed behind our back */
        if (sftp_make_folders(w->s, folder, e) != 0)
            return err_wrap(
                e, "sftp: cannot make parent snapshot directory \"%s\"", folder);
        rc = sftp_open_file(w->s, tmp, flags, &w->h, e);
    }
    if (rc == ERR_NOT_FOUND)
        e->code = ERR_IO; /* a put is never about a file that is absent */
    return rc != 0 ? err_wrap(e, "sftp: cannot open temporary snapshot file for writing")
                   : 0;
}

int
sftp_store_put(struct sftp_store *st, struct sftp_session *s, const struct drv_put *req,
    const struct cancel *cancel, struct drv_result *res, bool *taken, struct err *e)
{
    char *path = ltx_file_path(st->root, req->level, req->min_txid, req->max_txid);
    char *folder = ltx_level_path(st->root, req->level);
    char *tmp = sftp_tmp_path(path);
    struct writing w = { .s = s, .src = req->src, .window = st->n_writes };
    struct sftp_attrs a;
    struct err ignored;
    int rc;

    *taken = false;
    if (req->exclusive && is_there(s, path, &a)) {
        rc = err_set(e, ERR_EXISTS, "%s exists already", path);
        goto out; /* without writing it all in vain */
    }
    rc = open_tmp(st, &w, req->level, folder, tmp, e);
    if (rc != 0)
        goto out;
    tidy(st, s, req->level, folder);
    *taken = true;
    w.block = mem_new(BLOCK);
    rc = write_file(&w, req, cancel, res, e);
    if (rc == ERR_IO && !sftp_session_broken(s))
        rc = explain_full(s, folder, e);
    mem_free(w.block);
    sftp_close_handle(s, &w.h, &ignored);
    if (rc == 0)
        rc = req->exclusive ? publish_new(s, tmp, path, w.done, e)
                            : publish(s, tmp, path, e);
    if (rc != 0 && !sftp_session_broken(s))
        sftp_remove(s, tmp, &ignored);
out:
    mem_free(tmp);
    mem_free(folder);
    mem_free(path);
    return rc != 0 ? err_wrap(e, "write %016llx-%016llx.ltx of level %d",
                         (unsigned long long)req->min_txid,
                         (unsigned long long)req->max_txid, req->level)
                   : 0;
}
