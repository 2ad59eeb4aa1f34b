#include <string.h>

#include <criterion/criterion.h>

#include "supervisor/control/db_view.h"

#define NOW INT64_C(1700000000000)

static struct cfg_replica replicas[3];
static struct cfg_db db = { .path = "/x.db", .replicas = replicas, .n_replicas = 1 };

/* One that is in sync. */
static struct db_view
good(unsigned n)
{
    struct db_view v = { .n_replicas = n };

    for (unsigned i = 0; i < n; i++) {
        replicas[i].name = "";
        v.slot.replica[i].txid = 7;
    }
    db.n_replicas = n;
    v.info = (struct db_info){ .path = "/x.db",
        .db = &db,
        .state = DB_RUNNING,
        .pid = 5,
        .obituary = "",
        .started_at = wall_from_ms(NOW - 5000) };
    v.slot.state = WS_RUNNING;
    v.slot.txid = 7;
    v.slot.n_replicas = n;
    return v;
}

Test(db_view, in_sync_is_now_and_has_no_lag)
{
    struct db_view v = good(2);

    cr_expect(db_view_in_sync(&v));
    cr_expect_eq(db_view_last_sync_ms(&v, NOW), NOW);
    cr_expect_eq(db_view_lag_ms(&v, NOW), 0);
    cr_expect_eq(db_view_replicated_txid(&v), 7);
    cr_expect_str_eq(db_view_error(&v), "");
    cr_expect_str_eq(db_view_status(&v, false), "replicating");
    cr_expect_str_eq(db_view_status(&v, true), "open");
    cr_expect_str_eq(db_view_state(&v), "running");
}

Test(db_view, the_slowest_replica_counts)
{
    struct db_view v = good(2);

    v.slot.replica[1].txid = 6;
    v.slot.replica[1].last_ok_ms = NOW - 1234;
    cr_expect_not(db_view_in_sync(&v));
    cr_expect(db_view_replica_in_sync(&v, 0));
    cr_expect_eq(db_view_last_sync_ms(&v, NOW), NOW - 1234);
    cr_expect_eq(db_view_lag_ms(&v, NOW), 1234);
    cr_expect_eq(db_view_replicated_txid(&v), 6);
    v.slot.replica[1].last_ok_ms = 0; /* never: as long as its worker tries */
    cr_expect_eq(db_view_last_sync_ms(&v, NOW), 0);
    cr_expect_eq(db_view_lag_ms(&v, NOW), 5000);
}

Test(db_view, nothing_is_in_sync_that_may_not_be)
{
    struct db_view v;

    v = good(1), v.info.pid = 0;
    cr_expect_not(db_view_in_sync(&v), "no worker");
    v = good(1), v.slot.state = WS_STARTING;
    cr_expect_not(db_view_in_sync(&v), "not open yet");
    v = good(1), v.slot.txid = 0;
    cr_expect_not(db_view_in_sync(&v), "nothing captured");
    v = good(1), v.slot.sync_errors_in_row = 1;
    cr_expect_not(db_view_in_sync(&v), "changes may not be captured");
    v = good(1), v.slot.replica[0].errors_in_row = 1;
    cr_expect_not(db_view_in_sync(&v), "the replica does not answer");
    v = good(1);
    memcpy(v.slot.replica[0].error, "held", 5);
    cr_expect_not(db_view_in_sync(&v), "the replica is stopped");
    cr_expect_str_eq(db_view_error(&v), "held");
    v = good(1), v.slot.n_replicas = 0;
    cr_expect_not(db_view_in_sync(&v), "the worker has not told yet");
    v = good(0);
    cr_expect_not(db_view_in_sync(&v), "there is no replica");
}

Test(db_view, what_is_stopped_has_no_lag_and_no_error)
{
    struct db_view v = good(1);

    v.info.state = DB_DISABLED;
    v.info.pid = 0;
    v.info.obituary = "signal 9";
    cr_expect_eq(db_view_lag_ms(&v, NOW), -1);
    cr_expect_str_eq(db_view_status(&v, false), "stopped");
    cr_expect_str_eq(db_view_state(&v), "stopped");
    cr_expect_str_eq(db_view_error(&v), "");
    v.info.state = DB_WAITING;
    v.info.restarts = 1;
    cr_expect_str_eq(db_view_state(&v), "restarting");
    cr_expect_str_eq(db_view_error(&v), "signal 9");
    cr_expect_gt(db_view_lag_ms(&v, NOW), 0);
}

Test(db_view, labels_of_one_database_differ)
{
    char a[DB_VIEW_LABEL_MAX], b[DB_VIEW_LABEL_MAX], c[DB_VIEW_LABEL_MAX];

    good(3);
    replicas[2].name = "third";
    db_view_replica_label(&db, 0, a);
    db_view_replica_label(&db, 1, b);
    db_view_replica_label(&db, 2, c);
    cr_expect_str_eq(a, "file-1");
    cr_expect_str_eq(b, "file-2");
    cr_expect_str_eq(c, "third");
    replicas[1].name = "third";
    db_view_replica_label(&db, 0, a);
    db_view_replica_label(&db, 1, b);
    cr_expect_str_eq(a, "file");
    cr_expect_str_eq(b, "third-2");
}
