#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <lz4frame.h>
#include <sqlite3.h>

#include "common/base/arena.h"
#include "common/base/sys.h"
#include "common/wal/wal_format.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/v03_replay.h"

#define PAGE 1024
#define FRAME (PAGE + WAL_FRAME_HEADER_SIZE)
#define MAX_COMMITS 20

struct bytes {
    uint8_t *data;
    size_t size;
};

/* What was in a database after each commit of one WAL. */
struct wal {
    struct bytes file;
    size_t n;                            /* commits */
    size_t end[MAX_COMMITS + 1];         /* of the WAL after commit i, from 1 */
    struct bytes state[MAX_COMMITS + 1]; /* of the database; [0]: before the WAL */
};

static sqlite3 *db;
static const char *app_db, *app_wal, *out_db, *out_wal;
static struct arena kept; /* all bytes of a test */

static void
clean_up(void)
{
    sqlite3_close(db);
    arena_deinit(&kept);
}

static void
prepare(void)
{
    app_db = tmp_path("app.db");
    app_wal = tmp_path("app.db-wal");
    out_db = tmp_path("out.db");
    out_wal = tmp_path("out.db-wal");
}

TestSuite(v03_replay, .init = prepare, .fini = clean_up);

static struct bytes
keep(const uint8_t *bytes, size_t size)
{
    struct bytes b = { arena_alloc(&kept, size + 1), size };

    memcpy(b.data, bytes, size);
    return b;
}

static void
sql(const char *text)
{
    char *error = NULL;

    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, &error), SQLITE_OK, "%s: %s", text,
        error != NULL ? error : "");
}

static struct bytes
file(const char *path)
{
    struct bytes b;
    size_t size;
    uint8_t *bytes = tmp_read(path, &size);

    cr_assert_not_null(bytes, "%s", path);
    b = keep(bytes, size);
    free(bytes);
    return b;
}

static struct bytes
state(void)
{
    sqlite3_int64 size;
    unsigned char *bytes = sqlite3_serialize(db, "main", &size, 0);
    struct bytes b;

    cr_assert_not_null(bytes);
    b = keep(bytes, (size_t)size);
    sqlite3_free(bytes);
    return b;
}

static void
open_db(int page_size)
{
    char text[64];

    cr_assert_eq(sqlite3_open(app_db, &db), SQLITE_OK);
    snprintf(text, sizeof(text), "PRAGMA page_size = %d", page_size);
    sql(text);
    sql("PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = wal;"
        "PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n, fill);"
        "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void
commit(struct wal *w, const char *text)
{
    sql(text);
    w->file = file(app_wal);
    w->end[++w->n] = w->file.size;
    w->state[w->n] = state();
}

/* Some commits that grow, change and shrink the database, then a new WAL. */
static struct wal
one_wal(void)
{
    struct wal w = { 0 };

    w.state[0] = state();
    commit(&w, "INSERT INTO t VALUES (1, randomblob(5000)), (2, randomblob(5000))");
    commit(&w, "UPDATE t SET fill = randomblob(4000) WHERE n = 1");
    commit(&w, "INSERT INTO t SELECT n + 10, randomblob(9000) FROM t");
    commit(&w, "DELETE FROM t WHERE n > 2");
    commit(&w, "UPDATE t SET n = n + 5");
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    return w;
}

/* --- replaying ------------------------------------------------------------------------
 */

struct feed {
    struct bytes stored;
    size_t at;
};

static int
feed_read(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct feed *f = arg;

    (void)e;
    *n = f->stored.size - f->at < cap ? f->stored.size - f->at : cap;
    memcpy(buf, f->stored.data + f->at, *n);
    f->at += *n;
    return 0;
}

static struct bytes
compressed(const uint8_t *plain, size_t size)
{
    LZ4F_preferences_t prefs = { .frameInfo.contentChecksumFlag = 1 };
    struct bytes b = { malloc(LZ4F_compressFrameBound(size, &prefs)), 0 };

    b.size = LZ4F_compressFrame(
        b.data, LZ4F_compressFrameBound(size, &prefs), plain, size, &prefs);
    return b;
}

static struct v03_replay *replay;
static int image = -1;

static int
begin(struct err *e)
{
    image = open(out_db, O_RDWR | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(image, 0);
    return v03_replay_new(image, out_wal, tmp_dir(), &replay, e);
}

static int
snapshot(struct bytes plain, struct err *e)
{
    struct feed f = { compressed(plain.data, plain.size), 0 };
    struct v03_lz4 *z = NULL;
    int rc = v03_lz4_open((struct v03_source){ feed_read, &f }, &z, e);

    if (rc == 0)
        rc = v03_replay_snapshot(replay, z, NULL, e);
    v03_lz4_free(z);
    free(f.stored.data);
    return rc;
}

/* Bytes from..to of a WAL as the segment that says it begins at `off`. */
static int
segment_at(
    uint32_t index, size_t off, struct bytes wal, size_t from, size_t to, struct err *e)
{
    struct v03_object o = { .kind = V03_SEGMENT,
        .generation = 0xabc,
        .index = index,
        .off = (int64_t)off,
        .off_digits = 8 };
    struct feed f = { compressed(wal.data + from, to - from), 0 };
    struct v03_lz4 *z = NULL;
    int rc = v03_lz4_open((struct v03_source){ feed_read, &f }, &z, e);

    if (rc == 0)
        rc = v03_replay_segment(replay, &o, z, NULL, e);
    v03_lz4_free(z);
    free(f.stored.data);
    return rc;
}

static int
segment(uint32_t index, struct bytes wal, size_t from, size_t to, struct err *e)
{
    return segment_at(index, from, wal, from, to, e);
}

static void
end(void)
{
    v03_replay_free(replay);
    replay = NULL;
    close(image);
}

/* Is the image this state? The lock page and nothing else may differ. */
static bool
image_is(struct bytes want)
{
    struct bytes got = file(out_db);

    return got.size == want.size && v03_replay_size(replay) == (int64_t)got.size &&
           memcmp(got.data, want.data, got.size) == 0;
}

static struct bytes
joined(struct bytes a, struct bytes b)
{
    struct bytes c = { arena_alloc(&kept, a.size + b.size), a.size + b.size };

    memcpy(c.data, a.data, a.size);
    memcpy(c.data + a.size, b.data, b.size);
    return c;
}

#define OK(call) cr_assert_eq((call), 0, "%s", e.text)

Test(v03_replay, snapshot_alone_is_the_database)
{
    struct err e = ERR_NONE;

    open_db(PAGE);
    OK(begin(&e));
    OK(snapshot(state(), &e));
    OK(v03_replay_finish(replay, NULL, &e));
    cr_expect(image_is(state()));
    end();
}

Test(v03_replay, every_commit_comes_back_as_it_was)
{
    static const int sizes[] = { 512, PAGE, 4096, 65536 };
    struct err e = ERR_NONE;

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct wal w;

        unlink(app_db);
        open_db(sizes[s]);
        w = one_wal();
        for (size_t to = 1; to <= w.n; to++) {
            OK(begin(&e));
            OK(snapshot(w.state[0], &e));
            for (size_t i = 0; i < to; i++)
                OK(segment(7, w.file, w.end[i], w.end[i + 1], &e));
            OK(v03_replay_finish(replay, NULL, &e));
            cr_expect(image_is(w.state[to]), "page size %d, commit %zu", sizes[s], to);
            cr_expect_eq(v03_replay_left_out(replay), 0);
            end();
        }
        sqlite3_close(db);
        db = NULL;
    }
}

Test(v03_replay, wals_follow_each_other)
{
    struct err e = ERR_NONE;
    struct wal a, b;

    open_db(PAGE);
    a = one_wal();
    b = one_wal();
    OK(begin(&e));
    OK(snapshot(a.state[0], &e));
    OK(segment(0, a.file, 0, a.end[2], &e));
    OK(segment(0, a.file, a.end[2], a.end[5], &e));
    OK(segment(1, b.file, 0, 100, &e)); /* cut anywhere */
    OK(segment(1, b.file, 100, b.end[3], &e));
    OK(v03_replay_finish(replay, NULL, &e));
    cr_expect(image_is(b.state[3]));
    cr_expect_not(tmp_exists(out_wal));
    end();
}

Test(v03_replay, snapshot_that_has_part_of_the_wal_already_is_fine)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(w.state[3], &e));
    OK(segment(0, w.file, 0, w.end[4], &e));
    OK(v03_replay_finish(replay, NULL, &e));
    cr_expect(image_is(w.state[4]));
    end();
}

Test(v03_replay, transaction_without_its_commit_is_left_out)
{
    static const size_t cuts[] = { 1, 23, 24, 25, FRAME - 1, FRAME };
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    for (size_t i = 0, cut; (cut = w.end[2] + i / 6 * FRAME + cuts[i % 6]) < w.end[3];
         i++) {
        OK(begin(&e));
        OK(snapshot(w.state[0], &e));
        OK(segment(0, w.file, 0, cut, &e));
        OK(v03_replay_finish(replay, NULL, &e));
        cr_expect(image_is(w.state[2]), "cut at %zu", cut);
        cr_expect_eq(v03_replay_left_out(replay), (int64_t)(cut - w.end[2]));
        end();
    }
}

Test(v03_replay, wal_that_ends_inside_a_transaction_before_the_next_is_an_error)
{
    struct err e = ERR_NONE;
    struct wal a, b;

    open_db(PAGE);
    a = one_wal();
    b = one_wal();
    OK(begin(&e));
    OK(snapshot(a.state[0], &e));
    OK(segment(4, a.file, 0, a.end[3] - FRAME, &e));
    cr_expect_eq(segment(5, b.file, 0, b.end[1], &e), ERR_CORRUPT);
    cr_expect_neq(strstr(e.text, "WAL 4 ends inside a transaction"), NULL, "%s", e.text);
    end();
}

Test(v03_replay, missing_segment_is_named)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(w.state[0], &e));
    OK(segment(2, w.file, 0, w.end[1], &e));
    cr_expect_eq(segment(2, w.file, w.end[2], w.end[3], &e), ERR_CORRUPT);
    {
        char want[200];

        snprintf(want, sizeof(want),
            "missing WAL segment: expected 2/%zu, got 2/%zu (no "
            "generations/0000000000000abc/wal/00000002_%08zx.wal.lz4)",
            w.end[1], w.end[2], w.end[1]);
        cr_expect_str_eq(e.text, want);
    }
    end();
}

Test(v03_replay, segment_of_another_wal_with_a_fitting_offset_is_refused)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(w.state[0], &e));
    cr_expect_eq(segment(0, w.file, w.end[1], w.end[2], &e), ERR_CORRUPT);
    OK(segment(0, w.file, 0, w.end[1], &e));
    cr_expect_eq(segment(1, w.file, w.end[1], w.end[2], &e), ERR_CORRUPT);
    cr_expect_neq(strstr(e.text, "missing WAL segment"), NULL, "%s", e.text);
    end();
}

Test(v03_replay, segment_that_is_shorter_than_it_was_is_noticed_at_the_next)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(w.state[0], &e));
    OK(segment(0, w.file, 0, w.end[1] - FRAME, &e));
    cr_expect_eq(segment(0, w.file, w.end[1], w.end[2], &e), ERR_CORRUPT);
    end();
}

Test(v03_replay, damaged_frame_is_an_error_and_not_an_end)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    for (size_t at = WAL_HEADER_SIZE; at < w.end[4]; at += 991) {
        int rc;

        w.file.data[at] ^= 0x10;
        OK(begin(&e));
        OK(snapshot(w.state[0], &e));
        OK(segment(0, w.file, 0, w.end[5], &e));
        rc = v03_replay_finish(replay, NULL, &e);
        cr_expect_eq(rc, ERR_CORRUPT, "byte %zu", at);
        end();
        w.file.data[at] ^= 0x10;
    }
}

Test(v03_replay, damaged_header_is_an_error)
{
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    for (size_t at = 0; at < WAL_HEADER_SIZE; at++) {
        w.file.data[at] ^= 0x10;
        OK(begin(&e));
        OK(snapshot(w.state[0], &e));
        OK(segment(0, w.file, 0, w.end[1], &e));
        cr_expect_eq(v03_replay_finish(replay, NULL, &e), ERR_CORRUPT, "byte %zu", at);
        end();
        w.file.data[at] ^= 0x10;
    }
    OK(begin(&e));
    OK(snapshot(w.state[0], &e));
    OK(segment(0, w.file, 0, 31, &e));
    cr_expect_eq(v03_replay_finish(replay, NULL, &e), ERR_CORRUPT);
    end();
}

Test(v03_replay, frames_left_from_an_earlier_wal_are_no_damage)
{
    struct err e = ERR_NONE;
    struct wal a, b;
    struct bytes both;

    open_db(PAGE);
    a = one_wal();
    b = one_wal();
    both = joined((struct bytes){ b.file.data, b.end[2] },
        (struct bytes){ a.file.data + b.end[2], 4 * FRAME + 50 });
    OK(begin(&e));
    OK(snapshot(b.state[0], &e));
    OK(segment(0, both, 0, both.size, &e));
    OK(v03_replay_finish(replay, NULL, &e));
    cr_expect(image_is(b.state[2]));
    cr_expect_eq(v03_replay_left_out(replay), 4 * FRAME + 50);
    end();
}

Test(v03_replay, wal_of_another_page_size_is_refused)
{
    struct err e = ERR_NONE;
    struct bytes base;
    struct wal w;

    open_db(512);
    base = state();
    sqlite3_close(db);
    unlink(app_db);
    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(base, &e));
    OK(segment(3, w.file, 0, w.end[1], &e));
    cr_expect_eq(v03_replay_finish(replay, NULL, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "WAL 3 has pages of 1024 bytes, the database of 512");
    end();
}

Test(v03_replay, what_is_no_database_is_refused)
{
    struct err e = ERR_NONE;
    struct bytes whole;

    open_db(PAGE);
    whole = state();
    {
        struct bytes bad[] = { { whole.data, 0 }, { whole.data, 99 },
            { whole.data, whole.size - 1 }, { whole.data + 1, whole.size - 1 } };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            OK(begin(&e));
            OK(snapshot(bad[i], &e));
            cr_expect_eq(v03_replay_finish(replay, NULL, &e), ERR_CORRUPT, "%zu", i);
            end();
        }
    }
}

Test(v03_replay, cancel_ends_it)
{
    struct cancel cancel = { 0 };
    struct err e = ERR_NONE;
    struct wal w;

    open_db(PAGE);
    w = one_wal();
    OK(begin(&e));
    OK(snapshot(w.state[0], &e));
    OK(segment(0, w.file, 0, w.end[5], &e));
    cancel_ask(&cancel);
    cr_expect_eq(v03_replay_finish(replay, &cancel, &e), ERR_CANCELLED);
    end();
}

/* Each call that can fail: the error comes out, or the image is whole. */
Test(v03_replay, failing_system_call_is_never_taken_for_success)
{
    struct wal a, b;

    open_db(PAGE);
    a = one_wal();
    b = one_wal();
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        struct err e = ERR_NONE;
        int rc = begin(&e);

        if (rc != 0) {
            close(image);
            continue;
        }
        rc = snapshot(a.state[0], &e);
        if (rc == 0)
            rc = segment(0, a.file, 0, a.end[5], &e);
        if (rc == 0)
            rc = segment(1, b.file, 0, b.end[4], &e);
        if (rc == 0)
            rc = v03_replay_finish(replay, NULL, &e);
        cr_expect(rc != 0 || fault_calls() < nth || image_is(b.state[4]), "call %d", nth);
        cr_expect(rc == 0 || e.text[0] != '\0');
        end();
    }
    fault_off();
}
