#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/common/wal/made_wal.h"
#include "test/unit/support/tmp.h"
#include "workers/sync/look.h"

#define FRAME 536

/* A WAL of 3 frames, commits at 2 and 3, all captured. */
static struct made_wal w;
static struct mark mark;
static struct wal_index ix;
static struct look_rest rest;
static struct wal_scan *scan;
static int fd;

static void
put(size_t from, size_t n)
{
    cr_assert_eq(pwrite(fd, w.bytes + from, n, (off_t)from), (ssize_t)n);
}

static void
set_up(void)
{
    fd = open(tmp_path("wal"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    scan = wal_scan_new(NULL);
    made_wal_begin(&w, false, 512, 4, 100, 7);
    made_wal_frame(&w, 1, 0, 1);
    made_wal_frame(&w, 2, 2, 2);
    made_wal_frame(&w, 1, 2, 3);
    put(0, w.size);
    mark = (struct mark){ .set = true,
        .proven = true,
        .salt = { 100, 7 },
        .place = { (int64_t)w.size, { w.a, w.b } } };
    ix = (struct wal_index){ 3, { 100, 7 }, { w.a, w.b } };
}

TestSuite(look, .init = set_up);

static struct look
look_with(bool sealed, const struct wal_index *index)
{
    struct look_in in = { .wal_fd = fd,
        .index = index,
        .mark = &mark,
        .sealed = sealed,
        .page_size = 512,
        .scan = scan };
    struct look l;
    struct err e;

    cr_assert_eq(look_at_wal(&in, &l, &e), 0, "%s", e.text);
    return l;
}

static bool
news(bool sealed)
{
    return look_has_news(fd, &ix, &mark, sealed, &rest);
}

Test(look, nothing_new)
{
    struct look l = look_with(false, &ix);

    cr_assert_eq(l.action, DECIDE_CONTINUE);
    cr_assert_eq(l.n_frames, 3);
    cr_assert_not(news(false));
    cr_assert_eq(look_again_ms(fd, &mark, &rest, mono_now()), 0);
}

Test(look, a_commit_is_news_when_the_wal_index_has_it)
{
    made_wal_frame(&w, 5, 5, 5);
    put(w.size - FRAME, FRAME);
    ix.last_frame_no = 4;
    ix.sum = (struct wal_sum){ w.a, w.b };
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).n_frames, 4);
}

/* Header, page, fsync, wal-index: a look may fall between any two of these. */
Test(look, a_commit_under_way_is_not_forgotten_at_any_point)
{
    struct mono now = mono_now();

    made_wal_frame(&w, 5, 5, 5);
    put(w.size - FRAME, WAL_FRAME_HEADER_SIZE); /* its page is not there yet */
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).n_frames, 3);
    cr_assert_gt(look_again_ms(fd, &mark, &rest, now), 0);
    cr_assert(news(false));
    put(w.size - 512, 512); /* all of it, but it does not count yet */
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).n_frames, 3);
    cr_assert_gt(look_again_ms(fd, &mark, &rest, now), 0);
    ix.last_frame_no = 4; /* no write to the file goes with that */
    ix.sum = (struct wal_sum){ w.a, w.b };
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).n_frames, 4);
}

Test(look, what_never_commits_is_given_up_until_something_moves)
{
    struct mono now = mono_now();
    int64_t wait, sum = 0;
    unsigned n = 0;

    made_wal_frame(&w, 5, 0, 5);
    put(w.size - FRAME, FRAME);
    while ((wait = look_again_ms(fd, &mark, &rest, now)) > 0) {
        cr_assert(news(false));
        cr_assert_leq(wait, 250);
        now = mono_add_ms(now, wait);
        sum += wait;
        n++;
    }
    cr_assert_geq(sum, LOOK_REST_MS);
    cr_assert_leq(sum, LOOK_REST_MS + 250);
    cr_assert_lt(n, 200);
    cr_assert_not(news(false));

    ix.last_frame_no = 4; /* it counts after all */
    cr_assert(news(false));
    ix.last_frame_no = 3;
    cr_assert_not(news(false));
    made_wal_frame(&w, 6, 0, 6); /* it goes on */
    put(w.size - FRAME, FRAME);
    cr_assert(news(false));
    cr_assert_gt(look_again_ms(fd, &mark, &rest, now), 0);
}

Test(look, salts_that_are_left_out_until_the_commit_are_under_way_too)
{
    made_wal_frame(&w, 5, 5, 5);
    memset(w.bytes + w.size - FRAME + 8, 0, 16);
    put(w.size - FRAME, FRAME);
    cr_assert(news(false));
    cr_assert_gt(look_again_ms(fd, &mark, &rest, mono_now()), 0);
}

Test(look, frames_of_an_older_wal_behind_the_position_are_not_under_way)
{
    struct made_wal *old = malloc(sizeof(*old));

    made_wal_begin(old, false, 512, 3, 99, 3);
    for (int i = 0; i < 6; i++)
        made_wal_frame(old, 1, 1, 1);
    cr_assert_eq(
        pwrite(fd, old->bytes + mark.place.off, 3 * FRAME, mark.place.off), 3 * FRAME);
    cr_assert_not(news(false));
    cr_assert_eq(look_again_ms(fd, &mark, &rest, mono_now()), 0);
    free(old);
}

Test(look, a_roll_back_behind_the_position_needs_an_image)
{
    ix.last_frame_no = 2;
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
    ix.last_frame_no = 3; /* as many frames, others than those captured */
    ix.sum.a++;
    cr_assert(news(false));
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
}

Test(look, a_wal_index_that_cannot_be_read_or_is_of_another_wal_is_looked_at_again)
{
    cr_assert_eq(look_with(false, NULL).action, DECIDE_AGAIN);
    cr_assert(look_has_news(fd, NULL, &mark, false, &rest));
    ix.salt.s1++; /* a writer restarts the WAL: header not written yet */
    ix.last_frame_no = 0;
    cr_assert_eq(look_with(false, &ix).action, DECIDE_AGAIN);
    cr_assert(news(false));
    /* Nothing of this WAL is missing. */
    cr_assert_eq(look_with(true, &ix).action, DECIDE_NOTHING);
    cr_assert_not(news(true));
}

Test(look, a_restart_that_was_sealed_goes_on)
{
    made_wal_begin(&w, false, 512, 5, 101, 55);
    made_wal_frame(&w, 4, 4, 4);
    put(0, w.size);
    ix = (struct wal_index){ 1, { 101, 55 }, { w.a, w.b } };
    cr_assert(news(true));
    cr_assert_eq(look_with(true, &ix).action, DECIDE_RESTARTED);
    cr_assert_eq(look_with(true, &ix).n_frames, 1);
    /* Without the seal: the old WAL is seen to end at the position. */
    cr_assert_eq(look_with(false, &ix).action, DECIDE_RESTARTED);
}

/* Whether that commit counts cannot be known any more. */
Test(look, a_commit_of_the_old_wal_behind_the_position_needs_an_image)
{
    made_wal_frame(&w, 6, 6, 6);
    put(w.size - FRAME, FRAME);
    made_wal_begin(&w, false, 512, 5, 101, 55);
    made_wal_frame(&w, 4, 4, 4);
    put(0, w.size);
    ix = (struct wal_index){ 1, { 101, 55 }, { w.a, w.b } };
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
    cr_assert_eq(look_with(true, &ix).action, DECIDE_RESTARTED);
}

Test(look, an_unfinished_rest_of_the_old_wal_is_no_commit)
{
    made_wal_frame(&w, 6, 0, 6);
    put(w.size - FRAME, FRAME);
    made_wal_begin(&w, false, 512, 5, 101, 55);
    made_wal_frame(&w, 4, 4, 4);
    put(0, w.size);
    ix = (struct wal_index){ 1, { 101, 55 }, { w.a, w.b } };
    cr_assert_eq(look_with(false, &ix).action, DECIDE_RESTARTED);
    mark.proven = false; /* right after a start: the chain comes from the file */
    cr_assert_eq(look_with(false, &ix).action, DECIDE_RESTARTED);
}

Test(look, new_frames_up_to_the_position_destroy_the_proof)
{
    made_wal_begin(&w, false, 512, 5, 101, 55);
    made_wal_frame(&w, 4, 0, 4);
    made_wal_frame(&w, 4, 0, 4);
    put(0, w.size);
    ix = (struct wal_index){ 0, { 101, 55 }, { 0, 0 } };
    cr_assert_eq(look_with(false, &ix).action, DECIDE_RESTARTED);
    made_wal_frame(&w, 4, 4, 4); /* where the last captured frame was */
    put(0, w.size);
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
}

/*
 * A TRUNCATE checkpoint, then frames of a transaction that was rolled back up to where
 * the old WAL had ended, and a short commit over them: the size of the file proves
 * nothing.
 */
Test(look, a_file_that_was_cut_and_has_grown_again_destroys_the_proof)
{
    made_wal_begin(&w, false, 512, 5, 101, 55);
    for (uint8_t i = 0; i < 3; i++)
        made_wal_frame(&w, 4, 0, i);
    put(0, w.size);
    cr_assert_eq(w.size, (size_t)mark.place.off);
    made_wal_begin(&w, false, 512, 5, 101, 55);
    made_wal_frame(&w, 4, 4, 4);
    put(0, w.size);
    ix = (struct wal_index){ 1, { 101, 55 }, { w.a, w.b } };
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
    mark.proven = false;
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
}

Test(look, torn_missing_short_and_foreign)
{
    struct look_in in = { .wal_fd = -1, .mark = &mark, .page_size = 512, .scan = scan };
    struct look l;
    struct err e;

    cr_assert_eq(look_at_wal(&in, &l, &e), 0);
    cr_assert_eq(l.action, DECIDE_BUMP_IMAGE);
    cr_assert(look_has_news(-1, &ix, &mark, false, &rest));
    cr_assert_not(look_has_news(-1, &ix, &mark, true, &rest));
    w.bytes[20] ^= 1;
    put(0, 32);
    cr_assert_eq(look_with(true, &ix).action, DECIDE_AGAIN);
    cr_assert(news(true));
    w.bytes[20] ^= 1;
    put(0, 32);
    cr_assert_eq(ftruncate(fd, mark.place.off - 1), 0);
    cr_assert_eq(look_with(false, &ix).action, DECIDE_IMAGE);
    made_wal_begin(&w, false, 1024, 4, 100, 7);
    put(0, 32);
    cr_assert(look_with(false, &ix).page_size_differs);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_assert_eq(look_with(false, &ix).action, DECIDE_BUMP_IMAGE);
    cr_assert_eq(look_with(true, &ix).action, DECIDE_NOTHING);
}
