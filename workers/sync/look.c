#include "workers/sync/look.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/base/sys.h"

/* Between looks for a commit under way: a part of the time that it takes already. */
#define REST_AGE_PART 16
#define REST_WAIT_MAX_MS 250

/* In frame headers behind a page that was overwritten, until the commit. */
static const struct wal_salt no_salt = { 0, 0 };

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

/* The chain at the mark; false when the frame before it is not the captured one any
 * more. */
static bool
place_of_mark(const struct look_in *in, struct wal_place *place)
{
    struct wal_frame before;
    struct err e;

    *place = in->mark->place;
    if (place->off == WAL_HEADER_SIZE)
        return in->mark->proven; /* the chain started in a header that is gone */
    if (wal_read_frame(
            in->wal_fd, place->off - wal_frame_size(in->page_size), &before, &e) != 0 ||
        !wal_salt_equal(before.salt, in->mark->salt) || before.commit == 0)
        return false;
    if (in->mark->proven)
        return wal_sum_equal(before.sum, place->sum);
    place->sum = before.sum;
    return true;
}

static int
classify_slot(
    const struct look_in *in, const struct look *l, struct decide_in *d, struct err *e)
{
    struct wal_header old = old_header(&l->h, in->mark);
    struct wal_range range = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_place place;
    struct wal_frame at;
    bool start = in->mark->place.off == WAL_HEADER_SIZE;
    bool known = place_of_mark(in, &place);
    int rc = wal_read_frame(in->wal_fd, in->mark->place.off, &at, e);

    d->slot = DECIDE_SLOT_NEW; /* what cannot be judged is no proof */
    if (rc == ERR_END) {
        if (l->wal_size < in->mark->place.off)
            d->slot = DECIDE_SLOT_SHORT;
        else if (known || start)
            d->slot = DECIDE_SLOT_END;
        return 0;
    }
    if (rc != 0)
        return rc;
    /* A transaction under way may leave salts out until it commits. */
    if (wal_salt_equal(at.salt, l->h.salt) || wal_salt_equal(at.salt, no_salt))
        return 0;
    if (!wal_salt_equal(at.salt, in->mark->salt)) {
        if (known || start)
            d->slot = DECIDE_SLOT_OTHER;
        return 0;
    }
    if (!known)
        return 0;
    range.from = place;
    rc = wal_scan_run(in->scan, in->wal_fd, &old, &range, NULL, &res, e);
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
    struct wal_range all = { { WAL_HEADER_SIZE, l->h.sum }, WAL_SCAN_ALL, 0 };
    int rc = wal_scan_run(in->scan, in->wal_fd, &l->h, &all, NULL, &res, e);

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

/* The wal-index says how much of this generation is committed. */
static void
read_index(const struct look_in *in, struct look *out, struct decide_in *d)
{
    const struct mark *m = in->mark;

    if (in->index == NULL || !wal_index_committed(in->index, &out->h, &out->n_frames)) {
        d->wal = DECIDE_WAL_TORN;
        return;
    }
    d->committed_end = wal_size_of(in->page_size, out->n_frames);
    d->chain_differs = m->proven && wal_salt_equal(out->h.salt, m->salt) &&
                       out->n_frames > 0 && d->committed_end == m->place.off &&
                       !wal_sum_equal(in->index->sum, m->place.sum);
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
    if (d.wal == DECIDE_WAL_OK)
        read_index(in, out, &d);
    /* All of this generation is captured, whatever a writer makes of the next one. */
    if (d.wal == DECIDE_WAL_TORN && in->sealed && in->mark->set &&
        wal_salt_equal(out->h.salt, in->mark->salt))
        return 0;
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

/* Is there a frame at the mark that may become part of a commit? */
static bool
unfinished_at(int wal_fd, const struct mark *mark)
{
    struct wal_frame f;
    struct err e;

    return wal_read_frame(wal_fd, mark->place.off, &f, &e) == 0 &&
           (wal_salt_equal(f.salt, mark->salt) || wal_salt_equal(f.salt, no_salt));
}

static bool
same_file_state(const struct look_rest *rest, const struct stat *st)
{
    return rest->size == st->st_size && rest->mtime.tv_sec == st->st_mtim.tv_sec &&
           rest->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

int64_t
look_again_ms(
    int wal_fd, const struct mark *mark, struct look_rest *rest, struct mono now)
{
    bool known = rest->set && rest->mark_off == mark->place.off;
    struct mono began = known ? rest->began : now;
    int64_t wait_ms;
    struct stat st;

    if (!unfinished_at(wal_fd, mark) || fstat(wal_fd, &st) != 0) {
        rest->set = false;
        return 0;
    }
    if (!known || !same_file_state(rest, &st))
        *rest = (struct look_rest){ .set = true,
            .mark_off = mark->place.off,
            .size = st.st_size,
            .mtime = st.st_mtim,
            .began = began,
            .moved = now };
    rest->given_up = now.ns - rest->moved.ns >= LOOK_REST_MS * INT64_C(1000000);
    if (rest->given_up)
        return 0;
    wait_ms = (now.ns - rest->began.ns) / 1000000 / REST_AGE_PART;
    return wait_ms < 1 ? 1 : wait_ms < REST_WAIT_MAX_MS ? wait_ms : REST_WAIT_MAX_MS;
}

/* Nothing moved since it was given up. */
static bool
at_rest(int wal_fd, const struct mark *mark, const struct look_rest *rest)
{
    struct stat st;

    return rest->set && rest->given_up && rest->mark_off == mark->place.off &&
           fstat(wal_fd, &st) == 0 && same_file_state(rest, &st);
}

bool
look_has_news(int wal_fd, const struct wal_index *index, const struct mark *mark,
    bool sealed, const struct look_rest *rest)
{
    struct wal_header h;
    uint32_t n_frames;
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
    if (index == NULL || !wal_index_committed(index, &h, &n_frames))
        return !sealed;
    if (wal_size_of(h.page_size, n_frames) != mark->place.off ||
        (n_frames > 0 && !wal_sum_equal(index->sum, mark->place.sum)))
        return true;
    return unfinished_at(wal_fd, mark) && !at_rest(wal_fd, mark, rest);
}
