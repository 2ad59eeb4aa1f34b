#include "workers/restore/follow_apply.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/spool.h"
#include "common/base/sys.h"

#define COMPARE_BYTES ((size_t)256 << 10)

/* --- a set of pages -------------------------------------------------------------------
 */

struct page_set {
    uint64_t *bits; /* page n: bit n */
};

static int
page_set_init(struct page_set *s, uint32_t max, struct err *e)
{
    s->bits = mem_try((size_t)max / 64 + 1, sizeof(s->bits[0]));
    return s->bits != NULL ? 0 : err_set(e, ERR_MEMORY, "no memory for %u pages", max);
}

static void
page_set_add(struct page_set *s, uint32_t pgno)
{
    s->bits[pgno / 64] |= UINT64_C(1) << (pgno % 64);
}

static bool
page_set_has(const struct page_set *s, uint32_t pgno)
{
    return (s->bits[pgno / 64] >> (pgno % 64) & 1) != 0;
}

/* --- taking a file --------------------------------------------------------------------
 */

struct follow_file {
    struct ltx_header h;
    struct page_set pages;
    struct spool *spool;
    int64_t read_off;      /* of the spool, while it is decoded again */
    struct ltx_source src; /* while it is taken */
};

static int
read_and_keep(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct follow_file *f = arg;
    int rc = f->src.read(f->src.arg, buf, cap, n, e);

    return rc == 0 && *n > 0 ? spool_append(f->spool, buf, *n, e) : rc;
}

static int
check_header(const struct ltx_header *h, const struct ltx_info *info, struct err *e)
{
    if (h->min_txid != info->min_txid || h->max_txid != info->max_txid)
        return err_set(e, ERR_CORRUPT, "its header names transactions %016llx-%016llx",
            (unsigned long long)h->min_txid, (unsigned long long)h->max_txid);
    if (h->commit == 0)
        return err_set(e, ERR_CORRUPT, "it leaves a database without pages");
    return 0;
}

static int
take_pages(struct follow_file *f, struct ltx_decoder *dec, const struct cancel *cancel,
    struct err *e)
{
    uint8_t *page = mem_new(f->h.page_size);
    struct ltx_page info;
    int rc;

    while ((rc = ltx_decoder_page(dec, &info, page, e)) == 0) {
        page_set_add(&f->pages, info.pgno);
        if (cancel_asked(cancel)) {
            rc = err_set(e, ERR_CANCELLED, "cancelled");
            break;
        }
    }
    mem_free(page);
    return rc == ERR_END ? 0 : rc;
}

int
follow_file_take(struct ltx_source src, const struct ltx_info *info, const char *dir,
    const struct cancel *cancel, struct follow_file **out, struct err *e)
{
    struct follow_file *f = MEM_NEW(struct follow_file);
    struct ltx_source keep = { .read = read_and_keep, .arg = f };
    struct ltx_decoder *dec = NULL;
    int rc;

    f->src = src;
    f->spool = spool_new(dir);
    rc = ltx_decoder_open(keep, &dec, e);
    if (rc == 0) {
        f->h = *ltx_decoder_header(dec);
        rc = check_header(&f->h, info, e);
    }
    if (rc == 0)
        rc = page_set_init(&f->pages, f->h.commit, e);
    if (rc == 0)
        rc = take_pages(f, dec, cancel, e);
    if (rc == 0)
        rc = ltx_decoder_close(dec, NULL, e);
    ltx_decoder_free(dec);
    if (rc == 0)
        *out = f;
    else
        follow_file_free(f);
    return rc;
}

void
follow_file_free(struct follow_file *f)
{
    if (f == NULL)
        return;
    spool_free(f->spool);
    mem_free(f->pages.bits);
    mem_free(f);
}

/* --- applying it ----------------------------------------------------------------------
 */

static int
check_page_size(const struct follow_db *db, uint32_t page_size, struct err *e)
{
    if (page_size == follow_db_page_size(db))
        return 0;
    return err_set(e, ERR_UNSUPPORTED,
        "the page size has changed from %u to %u bytes: readers cannot be kept; delete "
        "the database and its -txid file, or use -force, to restore it again",
        follow_db_page_size(db), page_size);
}

/* A database that grows gets all new pages at once; the one with the lock byte is in no
 * file. */
static int
check_growth(const struct follow_file *f, const struct follow_db *db, struct err *e)
{
    uint32_t lock = ltx_lock_pgno(f->h.page_size);

    for (uint64_t n = (uint64_t)follow_db_n_pages(db) + 1; n <= f->h.commit; n++)
        if (n != lock && !page_set_has(&f->pages, (uint32_t)n))
            return err_set(e, ERR_CORRUPT,
                "page %llu of %u is neither in the file nor in the database",
                (unsigned long long)n, f->h.commit);
    return 0;
}

static int
save_set(const struct page_set *s, uint32_t max, struct follow_db *db,
    const struct cancel *cancel, struct err *e)
{
    int rc = 0;

    for (uint64_t n = 1; rc == 0 && n <= max; n++) {
        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        if (s->bits[n / 64] == 0)
            n |= 63; /* none of these */
        else if (page_set_has(s, (uint32_t)n))
            rc = follow_db_save(db, (uint32_t)n, e);
    }
    return rc;
}

static int
read_kept(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct follow_file *f = arg;
    int rc = spool_read(f->spool, f->read_off, buf, cap, n, e);

    f->read_off += (int64_t)*n;
    return rc;
}

static int
write_pages(struct follow_file *f, struct follow_db *db, struct err *e)
{
    struct ltx_source src = { .read = read_kept, .arg = f };
    struct ltx_decoder *dec = NULL;
    uint8_t *page = mem_new(f->h.page_size);
    struct ltx_page info;
    int rc;

    f->read_off = 0;
    rc = ltx_decoder_open(src, &dec, e);
    while (rc == 0) {
        rc = ltx_decoder_page(dec, &info, page, e);
        if (rc == 0)
            rc = follow_db_write(db, info.pgno, page, e);
    }
    if (rc == ERR_END)
        rc = ltx_decoder_close(dec, NULL, e);
    ltx_decoder_free(dec);
    mem_free(page);
    return rc;
}

/* The change ends here, one way or the other. */
static int
end(struct follow_db **db, int rc)
{
    if (rc != 0 && !follow_db_abort(*db)) {
        follow_db_close(*db);
        *db = NULL;
    }
    return rc;
}

int
follow_file_apply(struct follow_file *f, struct follow_db **db,
    const struct cancel *cancel, struct err *e)
{
    int rc = check_page_size(*db, f->h.page_size, e);

    if (rc != 0)
        return rc;
    rc = follow_db_begin(*db, f->h.commit, cancel, e);
    if (rc == 0)
        rc = check_growth(f, *db, e);
    if (rc == 0)
        rc = save_set(&f->pages, f->h.commit, *db, cancel, e);
    if (rc == 0)
        rc = follow_db_seal(*db, cancel, e);
    if (rc == 0)
        rc = write_pages(f, *db, e);
    if (rc == 0)
        rc = follow_db_commit(*db, f->h.max_txid, e);
    return end(db, rc);
}

/* --- a whole image --------------------------------------------------------------------
 */

struct comparing {
    int image;
    uint32_t page_size, commit, step; /* step: pages at a time */
    uint8_t *theirs, *ours;
    struct page_set differ;
};

/* Saves what will be overwritten and notes what differs or is new. */
static int
compare_some(
    struct comparing *c, uint32_t from, uint32_t n, struct follow_db *db, struct err *e)
{
    uint32_t have = follow_db_n_pages(db);
    uint32_t common = from > have ? 0 : have - from + 1;
    int rc = sys_pread_all(c->image, c->theirs, (size_t)n * c->page_size,
        (int64_t)(from - 1) * c->page_size, e);

    if (common > n)
        common = n;
    if (rc == 0 && common > 0)
        rc = follow_db_read(db, from, common, c->ours, e);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        size_t at = (size_t)i * c->page_size;

        if (i < common && memcmp(c->theirs + at, c->ours + at, c->page_size) == 0)
            continue;
        page_set_add(&c->differ, from + i);
        rc = follow_db_save(db, from + i, e);
    }
    return rc;
}

static int
compare(
    struct comparing *c, struct follow_db *db, const struct cancel *cancel, struct err *e)
{
    int rc = 0;

    for (uint64_t from = 1; rc == 0 && from <= c->commit; from += c->step) {
        uint64_t left = c->commit - from + 1;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        rc = compare_some(
            c, (uint32_t)from, (uint32_t)(left < c->step ? left : c->step), db, e);
    }
    return rc;
}

static int
write_differing(struct comparing *c, struct follow_db *db, struct err *e)
{
    uint32_t lock = ltx_lock_pgno(c->page_size);
    int rc = 0;

    for (uint64_t n = 1; rc == 0 && n <= c->commit; n++) {
        if (c->differ.bits[n / 64] == 0)
            n |= 63;
        else if (page_set_has(&c->differ, (uint32_t)n) && n != lock) {
            rc = sys_pread_all(
                c->image, c->theirs, c->page_size, (int64_t)(n - 1) * c->page_size, e);
            if (rc == 0)
                rc = follow_db_write(db, (uint32_t)n, c->theirs, e);
        }
    }
    return rc;
}

static int
image_apply(struct comparing *c, struct follow_db *db, uint64_t txid,
    const struct cancel *cancel, struct err *e)
{
    int rc = page_set_init(&c->differ, c->commit, e);

    if (rc == 0)
        rc = follow_db_begin(db, c->commit, cancel, e);
    if (rc == 0)
        rc = compare(c, db, cancel, e);
    if (rc == 0)
        rc = follow_db_seal(db, cancel, e);
    if (rc == 0)
        rc = write_differing(c, db, e);
    return rc == 0 ? follow_db_commit(db, txid, e) : rc;
}

int
follow_image_apply(int image, uint32_t page_size, uint32_t commit, uint64_t txid,
    struct follow_db **db, const struct cancel *cancel, struct err *e)
{
    struct comparing c = { .image = image, .page_size = page_size, .commit = commit };
    int rc = check_page_size(*db, page_size, e);

    if (rc != 0)
        return rc;
    c.step = (uint32_t)(COMPARE_BYTES / page_size);
    c.theirs = mem_new(COMPARE_BYTES);
    c.ours = mem_new(COMPARE_BYTES);
    rc = end(db, image_apply(&c, *db, txid, cancel, e));
    mem_free(c.theirs);
    mem_free(c.ours);
    mem_free(c.differ.bits);
    return rc;
}
