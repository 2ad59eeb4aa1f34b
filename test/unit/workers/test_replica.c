/* When uploads start: the pace of a destination next to that of the syncs that feed it.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mono.h"
#include "common/base/proc.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/support/tmp.h"
#include "workers/replica/replica.h"

#define MS INT64_C(1000000)

static struct test {
    uv_loop_t loop;
    uv_timer_t limit;
    struct cfg_replica cfg;
    struct replica *r;
    uint64_t wanted;       /* the loop stops when this one is there */
    uint64_t add_in_round; /* 0: nothing is made when a round is due */
    unsigned n_rounds;
    bool timed_out;
} t;

/* A local file that the driver takes: it looks at the header's timestamp only. */
static void
make_file(uint64_t txid)
{
    uint8_t bytes[LTX_HEADER_SIZE] = "LTX1";
    char name[LTX_NAME_SIZE], path[64];

    ltx_name_format(txid, txid, name);
    snprintf(path, sizeof(path), "l0/%s", name);
    tmp_write(tmp_path(path), bytes, sizeof(bytes));
}

static void
add(uint64_t txid)
{
    make_file(txid);
    replica_set_target(t.r, txid);
}

static void
on_changed(void *arg, struct replica *r)
{
    (void)arg;
    if (replica_txid(r) >= t.wanted)
        uv_stop(&t.loop);
}

static void
on_round(void *arg)
{
    (void)arg;
    t.n_rounds++;
    if (t.add_in_round != 0)
        add(t.add_in_round);
    t.add_in_round = 0;
}

static void
on_limit(uv_timer_t *h)
{
    t.timed_out = h == &t.limit;
    uv_stop(&t.loop);
}

/* Runs until this one is there, or for so long; was it there? */
static bool
arrives(uint64_t txid, uint64_t limit_ms)
{
    t.wanted = txid;
    t.timed_out = false;
    if (replica_txid(t.r) >= txid)
        return true;
    uv_timer_start(&t.limit, on_limit, limit_ms, 0);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    uv_timer_stop(&t.limit);
    return !t.timed_out;
}

static void
open_with(int64_t sync_ms, int64_t feed_ms)
{
    struct replica_options options = { .loop = &t.loop,
        .cfg = &t.cfg,
        .l0_dir = tmp_path("l0"),
        .db_path = tmp_path("app.db"),
        .owner = SYS_OWNER_DEFAULT,
        .feed_interval_ns = feed_ms * MS,
        .changed = on_changed,
        .round = on_round };
    struct err e;

    proc_set_role(PROC_WORKER);
    t.cfg = (struct cfg_replica){ .type = CFG_REPLICA_FILE,
        .path = tmp_path("replica"),
        .sync_interval_ns = sync_ms * MS };
    cr_assert_eq(sys_mkdirs(options.l0_dir, &options.owner, &e), 0);
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    uv_timer_init(&t.loop, &t.limit);
    cr_assert_eq(replica_open(&options, &t.r, &e), 0, "%s", e.text);
}

static void
end(void)
{
    replica_close(t.r, NULL, NULL);
    uv_close((uv_handle_t *)&t.limit, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0);
}

Test(replica, the_first_file_goes_at_once_and_the_next_waits_for_its_turn)
{
    open_with(600000, 600000);
    add(1);
    cr_expect(arrives(1, 60000));
    add(2);
    cr_expect_not(arrives(2, 300));
    replica_push(t.r);
    cr_expect(arrives(2, 60000), "unless it is pushed");
    end();
}

Test(replica, files_that_are_made_during_a_round_join_it)
{
    open_with(600000, 600000);
    add(1);
    while (!replica_known(t.r))
        uv_run(&t.loop, UV_RUN_ONCE);
    cr_assert_eq(replica_txid(t.r), 0, "the first one is under way");
    add(2);
    cr_expect(arrives(2, 60000));
    end();
}

/* By time it would go a second later. */
Test(replica, a_file_that_is_made_shortly_before_the_next_round_starts_it)
{
    open_with(2000, 2000);
    add(1);
    cr_assert(arrives(1, 60000));
    cr_assert_not(arrives(2, 1100));
    add(2);
    cr_assert(arrives(2, 60000));
    cr_expect_eq(t.n_rounds, 0, "it did not wait for the timer");
    end();
}

/* Many files are made in an interval of ours: half of theirs is early enough. */
Test(replica, a_file_of_a_fast_feeder_does_not_start_a_round_far_ahead)
{
    open_with(2000, 100);
    add(1);
    cr_assert(arrives(1, 60000));
    cr_assert_not(arrives(2, 1100));
    add(2);
    cr_assert(arrives(2, 60000));
    cr_expect_eq(t.n_rounds, 1, "it waited for the timer");
    end();
}

Test(replica, what_is_made_when_a_round_is_due_goes_with_it)
{
    open_with(300, 300);
    add(1);
    cr_assert(arrives(1, 60000));
    add(2);
    t.add_in_round = 3;
    cr_assert(arrives(3, 60000));
    cr_expect_eq(t.n_rounds, 1);
    end();
}
