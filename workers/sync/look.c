#include "workers/sync/look.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/crc64/crc64.h"

struct mark
mark_at_start(const struct wal_header *h)
{
    return (struct mark){ .set = true,
        .proven = true,
        .big_endian = h->big_endian,
        .salt = h->salt,
        .place = { WAL_HEADER_SIZE, h->sum } };
}

/* The header as it was in the generation of the mark, as far as a scan needs it. */
static struct wal_header
old_header(const struct wal_header *h, const struct mark *m)
{
    struct wal_header old = *h;

    old.salt = m->salt;
    if (m->proven)
        old.big_endian = m->big_endian;
    return old;
}

/* The chain at the mark; false when the frame before it is not of its generation any
 * more. */
static bool
place_of_mark(const struct look_in *in, struct wal_place *place)
{
    struct wal_frame before;
    struct err e;

    *place = in->mark->place;
    if (in->mark->proven)
        return true;
    if (place->off == WAL_HEADER_SIZE)
        return false; /* the chain started in a header that is gone */
    if (wal_read_frame(
            in->wal_fd, place->off - wal_frame_size(in->page_size), &before, &e) != 0 ||
        !wal_salt_equal(before.salt, in->mark->salt) || before.commit == 0)
        return false;
    place->sum = before.sum;
    return true;
}

static int
classify_slot(
    const struct look_in *in, const struct look *l, struct decide_in *d, struct err *e)
{
    struct wal_header old = old_header(&l->h, in->mark);
    struct wal_scan_result res;
    struct wal_place place;
    struct wal_frame at;
    int rc = wal_read_frame(in->wal_fd, in->mark->place.off, &at, e);

    if (rc == ERR_END) {
        d->slot =
            l->wal_size >= in->mark->place.off ? DECIDE_SLOT_END : DECIDE_SLOT_SHORT;
        return 0;
    }
    if (rc != 0)
        return rc;
    if (wal_salt_equal(at.salt, l->h.salt)) {
        d->slot = DECIDE_SLOT_NEW;
        return 0;
    }
    if (!wal_salt_equal(at.salt, in->mark->salt)) {
        d->slot = DECIDE_SLOT_OTHER;
        return 0;
    }
    if (!place_of_mark(in, &place)) {
        d->slot = DECIDE_SLOT_NEW; /* frames that cannot be judged: no proof */
        return 0;
    }
    *in->scan_used = true;
    wal_scan_start(in->scan, &old, place);
    rc = wal_scan_run(in->scan, in->wal_fd, 0, NULL, &res, e);
    d->slot = rc == 0 && res.n_commits > 0 ? DECIDE_SLOT_TAIL : DECIDE_SLOT_OLD;
    return rc;
}

/* After the slot: frames are written in order, so what ends before it did not touch it.
 */
static int
find_new_end(
    const struct look_in *in, const struct look *l, struct decide_in *d, struct err *e)
{
    struct wal_scan_result res;
    struct wal_place start = { WAL_HEADER_SIZE, l->h.sum };
    int rc;

    *in->scan_used = true;
    wal_scan_start(in->scan, &l->h, start);
    rc = wal_scan_run(in->scan, in->wal_fd, 0, NULL, &res, e);
    d->new_end = res.valid_end.off;
    return rc;
}

static int
read_header(
    const struct look_in *in, struct look *out, struct decide_in *d, struct err *e)
{
    struct stat st;
    int rc;

    d->wal = DECIDE_WAL_ABSENT;
    if (in->wal_fd < 0)
        return 0;
    if (fstat(in->wal_fd, &st) != 0)
        return err_errno(e, errno, "stat WAL");
    out->wal_size = st.st_size;
    rc = wal_read_header(in->wal_fd, &out->h, e);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == ERR_AGAIN) {
        d->wal = DECIDE_WAL_TORN;
        return 0;
    }
    if (rc != 0)
        return rc;
    d->wal = DECIDE_WAL_OK;
    d->wal_salt = out->h.salt;
    d->wal_size = out->wal_size;
    return 0;
}

int
look_at_wal(const struct look_in *in, struct look *out, struct err *e)
{
    struct decide_in d = { .have_mark = in->mark->set,
        .torn_too_long = in->torn_too_long,
        .sealed = in->sealed,
        .db_untouched = in->db_untouched,
        .mark_salt = in->mark->salt,
        .mark_off = in->mark->place.off,
        .frame_size = wal_frame_size(in->page_size) };
    int rc;

    *out = (struct look){ .action = DECIDE_NOTHING };
    rc = read_header(in, out, &d, e);
    if (rc != 0)
        return rc;
    if (d.wal == DECIDE_WAL_OK && out->h.page_size != in->page_size) {
        out->page_size_differs = true;
        return 0;
    }
    if (decide_needs_slot(&d)) {
        rc = classify_slot(in, out, &d, e);
        if (rc == 0)
            rc = find_new_end(in, out, &d, e);
        if (rc != 0)
            return rc;
    }
    out->action = decide(&d, &out->reason);
    /* Without a mark the image still needs a WAL with a good header. */
    if (out->action == DECIDE_IMAGE && d.wal != DECIDE_WAL_OK)
        out->action = d.wal == DECIDE_WAL_TORN && !in->torn_too_long ? DECIDE_AGAIN
                                                                     : DECIDE_BUMP_IMAGE;
    return 0;
}

/* Checksum of up to n bytes at off and how many there are; SIZE_MAX: they cannot be read.
 */
static size_t
peek(int fd, int64_t off, size_t n, uint64_t *crc)
{
    uint8_t *bytes = mem_new(n);
    struct err e;
    size_t got;

    if (sys_pread(fd, bytes, n, off, &got, &e) != 0)
        got = SIZE_MAX;
    else
        *crc = crc64_update(0, bytes, got);
    mem_free(bytes);
    return got;
}

void
look_remember(int wal_fd, int64_t mark_off, int64_t end_off, uint32_t page_size,
    struct look_seen *seen)
{
    *seen = (struct look_seen){ .mark_off = mark_off,
        .end_off = end_off,
        .frame_size = (size_t)wal_frame_size(page_size) };
    seen->mark_size = peek(wal_fd, mark_off, WAL_FRAME_HEADER_SIZE, &seen->mark_crc);
    seen->end_size = peek(wal_fd, end_off, seen->frame_size, &seen->end_crc);
    seen->set = seen->mark_size != SIZE_MAX && seen->end_size != SIZE_MAX;
}

static bool
unchanged(int wal_fd, const struct look_seen *seen)
{
    uint64_t crc = 0;

    if (peek(wal_fd, seen->mark_off, WAL_FRAME_HEADER_SIZE, &crc) != seen->mark_size ||
        crc != seen->mark_crc)
        return false;
    return peek(wal_fd, seen->end_off, seen->frame_size, &crc) == seen->end_size &&
           crc == seen->end_crc;
}

bool
look_has_news(
    int wal_fd, const struct mark *mark, bool sealed, const struct look_seen *seen)
{
    struct wal_header h;
    struct wal_frame f;
    struct err e;
    int rc;

    if (!mark->set)
        return true;
    if (wal_fd < 0)
        return !sealed;
    rc = wal_read_header(wal_fd, &h, &e);
    if (rc == ERR_NOT_FOUND)
        return !sealed;
    if (rc != 0 || !mark->proven || !wal_salt_equal(h.salt, mark->salt))
        return true;
    if (seen->set && seen->mark_off == mark->place.off)
        return !unchanged(wal_fd, seen);
    rc = wal_read_frame(wal_fd, mark->place.off, &f, &e);
    return rc == 0 ? wal_salt_equal(f.salt, mark->salt) : rc != ERR_END;
}
