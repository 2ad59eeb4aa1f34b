#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/spool.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

/* Writes `total` bytes in odd pieces and reads them back in others. */
static int
there_and_back(struct spool *s, size_t total, struct err *e)
{
    uint8_t piece[977], back[1409];
    size_t at = 0, got;
    int rc = 0;

    while (rc == 0 && at < total) {
        size_t n = total - at < sizeof(piece) ? total - at : sizeof(piece);

        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)((at + i) * 31 >> 3);
        rc = spool_append(s, piece, n, e);
        at += n;
    }
    cr_assert(rc != 0 || spool_size(s) == (int64_t)total);
    for (at = 0; rc == 0 && at < total; at += got) {
        rc = spool_read(s, (int64_t)at, back, sizeof(back), &got, e);
        if (rc != 0)
            break;
        cr_assert(got > 0 && got <= total - at);
        for (size_t i = 0; i < got; i++)
            cr_assert_eq(back[i], (uint8_t)((at + i) * 31 >> 3), "byte %zu", at + i);
    }
    if (rc == 0) {
        rc = spool_read(s, (int64_t)total, back, sizeof(back), &got, e);
        cr_assert(rc != 0 || got == 0);
    }
    return rc;
}

Test(spool, gives_back_what_it_got)
{
    static const size_t sizes[] = { 0, 1, 1000, SPOOL_MEMORY - 1, SPOOL_MEMORY,
        SPOOL_MEMORY + 1, 3 * SPOOL_MEMORY + 17 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct spool *s = spool_new(tmp_dir()), *memory = spool_new(NULL);
        struct err e;

        cr_assert_eq(there_and_back(s, sizes[i], &e), 0, "%s", e.text);
        cr_assert_eq(there_and_back(memory, sizes[i], &e), 0);
        spool_reset(s);
        cr_expect_eq(spool_size(s), 0);
        cr_assert_eq(there_and_back(s, sizes[i], &e), 0, "again: %s", e.text);
        spool_free(s);
        spool_free(memory);
    }
}

Test(spool, reports_errors_of_its_file)
{
    int nth = 1;

    for (; fault_nth(nth, ENOSPC); nth++) {
        struct spool *s = spool_new(tmp_dir());
        struct err e = { 0 };
        int rc = there_and_back(s, 3 * SPOOL_MEMORY, &e);

        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_NO_SPACE, "call %d: %d", nth, rc);
        else
            cr_expect_eq(rc, 0);
        spool_free(s);
        if (nth > 40)
            break;
    }
    fault_off();
    cr_expect_gt(nth, 3);
}

Test(spool, a_missing_folder_is_an_error_only_when_it_is_needed)
{
    struct spool *s = spool_new("/nonexistent/folder");
    struct err e;

    cr_expect_eq(there_and_back(s, 1000, &e), 0);
    spool_reset(s);
    cr_expect_eq(there_and_back(s, 2 * SPOOL_MEMORY, &e), ERR_NOT_FOUND);
    spool_free(s);
}
