#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "common/base/sys.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/follow_state.h"

static const char *out, *txid_file, *txid_tmp;

static void
prepare(void)
{
    out = tmp_path("out.db");
    txid_file = tmp_path("out.db-txid");
    txid_tmp = tmp_path("out.db-txid.tmp");
}

static void
clean_up(void)
{
    fault_off();
}

TestSuite(follow_state, .init = prepare, .fini = clean_up);

static bool
txid_file_is(const char *text)
{
    size_t n;
    uint8_t *bytes = tmp_read(txid_file, &n);
    bool is = bytes != NULL && n == strlen(text) && memcmp(bytes, text, n) == 0;

    free(bytes);
    return is;
}

Test(follow_state, a_mark_tells_its_txid)
{
    static const uint64_t txids[] = { 1, 2, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0x100000001, 0xfffffffffffffff0 };

    for (size_t i = 0; i < sizeof(txids) / sizeof(txids[0]); i++) {
        uint8_t page[FOLLOW_HEADER_SIZE] = { 0 };
        uint64_t t = txids[i], got = 0;

        follow_mark_set(page, t);
        cr_expect(page[18] == 1 && page[19] == 1);
        cr_expect_neq(memcmp(page + 24, page + 92, 4), 0, "readers would trust the size");
        /* what OUT-txid says may be behind, or before it, by many */
        for (int64_t d = -1000000; d <= 1000000; d += 250000) {
            uint64_t near = t + (uint64_t)d;

            if ((d < 0 && near > t) || (d > 0 && near < t))
                continue; /* beyond the ends */
            got = 0;
            cr_expect_eq(follow_mark_get(page, near, &got), FOLLOW_MARK_OURS);
            cr_expect_eq(got, t);
        }
        /* another history: the same low bits are not enough */
        cr_expect_eq(
            follow_mark_get(page, t ^ UINT64_C(0x700000000), &got), FOLLOW_MARK_NONE);
    }
}

Test(follow_state, each_txid_has_another_change_counter)
{
    uint8_t a[FOLLOW_HEADER_SIZE] = { 0 }, b[FOLLOW_HEADER_SIZE] = { 0 };

    for (uint64_t t = 1; t < 5000; t++) {
        follow_mark_set(a, t);
        follow_mark_set(b, t + 1);
        cr_assert_neq(memcmp(a + 24, b + 24, 4), 0);
    }
}

static void
sql(sqlite3 *db, const char *text)
{
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s: %s", text,
        sqlite3_errmsg(db));
}

static enum follow_mark
mark_of(const char *path, uint64_t near, uint64_t *txid)
{
    size_t n;
    uint8_t *bytes = tmp_read(path, &n);
    enum follow_mark mark;

    cr_assert(bytes != NULL && n > FOLLOW_HEADER_SIZE);
    mark = follow_mark_get(bytes, near, txid);
    free(bytes);
    return mark;
}

static void
set_mark(const char *path, uint64_t txid)
{
    size_t n;
    uint8_t *bytes = tmp_read(path, &n);

    follow_mark_set(bytes, txid);
    tmp_write(path, bytes, n);
    free(bytes);
}

Test(follow_state, a_commit_by_sqlite_is_noticed_and_reading_changes_nothing)
{
    sqlite3 *db;
    uint64_t txid = 0;

    sqlite3_open(out, &db);
    sql(db, "PRAGMA journal_mode = wal; CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    sqlite3_close(db);
    cr_expect_eq(mark_of(out, 7, &txid), FOLLOW_MARK_NONE, "WAL mode: as restored");
    set_mark(out, 7);
    cr_expect_eq(mark_of(out, 6, &txid), FOLLOW_MARK_OURS);
    cr_expect_eq(txid, 7);
    sqlite3_open(out, &db);
    sql(db, "SELECT * FROM t; PRAGMA integrity_check");
    sqlite3_close(db);
    cr_expect_eq(mark_of(out, 7, &txid), FOLLOW_MARK_OURS);
    sqlite3_open(out, &db);
    sql(db, "INSERT INTO t VALUES (2)");
    sqlite3_close(db);
    cr_expect_eq(mark_of(out, 7, &txid), FOLLOW_MARK_WRITER);
    cr_expect_eq(mark_of(out, 8, &txid), FOLLOW_MARK_WRITER);
}

Test(follow_state, the_file_holds_16_digits_and_a_newline)
{
    struct err e;
    uint64_t txid = 1;

    cr_assert_eq(follow_txid_read(out, &txid, &e), 0);
    cr_expect_eq(txid, 0, "missing");
    cr_assert_eq(follow_txid_write(out, 0xabcdef, &e), 0, "%s", e.text);
    cr_expect(txid_file_is("0000000000abcdef\n"));
    cr_expect_not(tmp_exists(txid_tmp));
    cr_assert_eq(follow_txid_read(out, &txid, &e), 0);
    cr_expect_eq(txid, 0xabcdef);
}

Test(follow_state, white_space_around_the_digits_is_ignored_and_nothing_else)
{
    static const char *const good[] = { " 000000000000000a\r\n", "\n\t000000000000000A",
        "000000000000000a" };
    static const char *const bad[] = { "", "\n", "a", "000000000000000a x",
        "00000000000000000a", "000000000000000g",
        "000000000000000a"
        "000000000000000a0000000000000000"
        "000000000000000000000000000000000" };
    struct err e;
    uint64_t txid;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        tmp_write(txid_file, good[i], strlen(good[i]));
        cr_expect_eq(follow_txid_read(out, &txid, &e), 0, "%zu", i);
        cr_expect_eq(txid, 10);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tmp_write(txid_file, bad[i], strlen(bad[i]));
        cr_expect_neq(follow_txid_read(out, &txid, &e), 0, "'%s'", bad[i]);
        cr_expect_eq(strncmp(e.text, "parse txid file: ", 17), 0, "%s", e.text);
    }
}

Test(follow_state, a_failing_call_leaves_the_old_file_or_the_new_one)
{
    struct err e;

    for (int nth = 1;; nth++) {
        int rc;

        fault_off();
        cr_assert_eq(follow_txid_write(out, 1, &e), 0);
        cr_assert(fault_nth(nth, EIO));
        rc = follow_txid_write(out, 2, &e);
        if (fault_calls() < nth) {
            cr_expect_eq(rc, 0);
            cr_expect(nth > 4, "no call was failed");
            break;
        }
        fault_off();
        cr_expect_neq(rc, 0, "call %d", nth);
        cr_expect(
            txid_file_is("0000000000000001\n") || txid_file_is("0000000000000002\n"),
            "call %d", nth);
        cr_expect_not(tmp_exists(txid_tmp), "call %d", nth);
    }
}
