#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ipc/slot.h"

/* Every number of the slot is the same: a mixture of two writes shows. */
static void
fill(struct slot_data *d, uint64_t v)
{
    uint64_t words[SLOT_WORDS];

    for (size_t i = 0; i < SLOT_WORDS; i++)
        words[i] = v;
    memcpy(d, words, sizeof(*d));
}

static bool
uniform(const struct slot_data *d, uint64_t *v)
{
    uint64_t words[SLOT_WORDS];

    memcpy(words, d, sizeof(words));
    *v = words[0];
    /* the ends of the two texts are set by the reader */
    for (size_t i = 0; i < SLOT_WORDS; i++)
        if ((words[i] ^ *v) << 8 >> 8 != 0)
            return false;
    return true;
}

Test(slot, what_is_written_in_a_child_is_read_by_the_parent)
{
    struct slot *area = slot_area_new(3);
    struct slot_data d = { .txid = 7 };
    pid_t child;
    int status;

    cr_assert_not_null(area);
    child = fork();
    if (child == 0) {
        memcpy(d.last_error, "no space", 9);
        d.replica[7].txid = 9;
        slot_write(&area[2], &d);
        _exit(0);
    }
    waitpid(child, &status, 0);
    memset(&d, 0, sizeof(d));
    cr_assert(slot_read(&area[2], &d));
    cr_assert_eq(d.txid, 7u);
    cr_assert_eq(d.replica[7].txid, 9u);
    cr_assert_str_eq(d.last_error, "no space");
    cr_assert(slot_read(&area[0], &d));
    cr_assert_eq(d.txid, 0u);
    slot_area_free(area, 3);
}

Test(slot, a_reader_never_sees_half_of_a_write)
{
    struct slot *s = slot_area_new(1);
    struct slot_data d;
    pid_t child = fork();
    uint64_t v, last = 0, n_good = 0;
    int status;

    if (child == 0) {
        for (uint64_t i = 1;; i++) {
            fill(&d, i & 0x00ffffffffffffff);
            slot_write(s, &d);
        }
    }
    for (int i = 0; i < 20000; i++) {
        if (!slot_read(s, &d))
            continue;
        cr_assert(uniform(&d, &v));
        cr_assert_geq(v, last);
        last = v;
        n_good++;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    cr_assert_gt(n_good, 0u);
    slot_area_free(s, 1);
}

Test(slot, a_writer_that_died_in_the_middle_is_noticed_and_overcome)
{
    struct slot *s = slot_area_new(1);
    struct slot_data d = { .txid = 1 };

    slot_write(s, &d);
    atomic_fetch_add(&s->seq, 1); /* as a killed writer leaves it */
    cr_assert_not(slot_read(s, &d));
    d.txid = 2;
    slot_write(s, &d);
    cr_assert(slot_read(s, &d));
    cr_assert_eq(d.txid, 2u);
    slot_area_free(s, 1);
}

Test(slot, a_part_is_read_like_the_whole)
{
    struct slot *area = slot_area_new(1);
    struct slot_data d = { .txid = 7 };
    struct slot_failure f = { 0 }, got[SLOT_N_FAILURES];
    size_t at = offsetof(struct slot_data, replica[3].failures);

    memcpy(f.code, "AccessDenied", 13);
    f.op = SLOT_LIST;
    f.n = 5;
    d.replica[3].failures[SLOT_N_FAILURES - 1] = f;
    slot_write(area, &d);
    cr_assert(slot_read_part(area, at, got, sizeof(got)));
    cr_expect_str_eq(got[SLOT_N_FAILURES - 1].code, "AccessDenied");
    cr_expect_eq(got[SLOT_N_FAILURES - 1].op, (uint32_t)SLOT_LIST);
    cr_expect_eq(got[SLOT_N_FAILURES - 1].n, 5u);
    cr_expect_eq(got[0].n, 0u);
    atomic_fetch_add(&area->seq, 1); /* as of a writer in the middle */
    cr_expect_not(slot_read_part(area, at, got, sizeof(got)));
    slot_area_free(area, 1);
}

Test(slot, every_phase_has_words)
{
    for (uint64_t i = 0; i < PHASE_N; i++)
        cr_assert_neq(strcmp(slot_phase_name(i), "unknown"), 0);
    cr_assert_str_eq(slot_phase_name(PHASE_N), "unknown");
}
