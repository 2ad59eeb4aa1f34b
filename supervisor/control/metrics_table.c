/*
 * Which series there are. Those without "ours" have the names of Litestream, also where
 * others are the custom nowadays.
 */
#include <stdio.h>

#include "supervisor/control/metrics_impl.h"

#define REPLICA_FIELD(name) offsetof(struct slot_replica, name)
#define DB_FIELD(name) offsetof(struct slot_data, name)

/* --- of a database --------------------------------------------------------------------
 */

static void
one_db(const struct metric *m, const struct db_info *info, uint64_t n, struct buf *out)
{
    metrics_name(out, m->name, info->path, NULL, m->labels);
    metrics_seconds(out, n, m->unit);
}

/* The line that shows a number. */
static const struct metric *
counter(enum metric_scope scope, size_t offset)
{
    const struct metric *m = metrics_table;

    while (m->scope != scope || m->type != METRIC_COUNTER || m->offset != offset)
        m++;
    return m;
}

/* The sum over its replicas of what another line shows one by one. */
static void
replica_sum(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    const struct metric *each = counter(METRIC_REPLICA, m->offset);
    const struct slot *s = db_entry_live_slot(d);
    const struct metrics_past *past;
    struct db_info info;
    uint64_t n = 0;

    db_entry_info(d, &info);
    past = metrics_past_of(run->c->metrics, info.path);
    for (unsigned i = 0; i < info.db->n_replicas && i < SLOT_MAX_REPLICAS; i++) {
        if (!metrics_counted(past, s))
            n += slot_peek(
                s, DB_FIELD(replica) + i * sizeof(struct slot_replica) + m->offset);
        n += metrics_past_replica(past, each, i);
    }
    one_db(m, &info, n, out);
}

static void
blocked_seconds(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    int64_t since =
        (int64_t)slot_peek(db_entry_live_slot(d), DB_FIELD(checkpoint_blocked_ms));
    struct db_info info;

    db_entry_info(d, &info);
    metrics_name(out, m->name, info.path, NULL, NULL);
    metrics_seconds(out,
        since > 0 && since < run->now_ms && info.pid > 0 ? (uint64_t)(run->now_ms - since)
                                                         : 0,
        METRIC_MS);
}

static void
restarts(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    struct db_info info;

    (void)run;
    db_entry_info(d, &info);
    one_db(m, &info, info.restarts, out);
}

static void
worker_up(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    struct db_info info;

    (void)run;
    db_entry_info(d, &info);
    one_db(m, &info, info.pid > 0, out);
}

/* --- of a replica ---------------------------------------------------------------------
 */

static void
replica_times(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    int64_t (*ms_of)(const struct db_view *v, unsigned i, int64_t now_ms),
    struct buf *out)
{
    char label[DB_VIEW_LABEL_MAX];
    struct db_view v;

    db_view_of(d, &v);
    for (unsigned i = 0; i < v.n_replicas; i++) {
        int64_t ms = ms_of(&v, i, run->now_ms);

        if (ms < 0)
            continue; /* nothing is followed */
        db_view_replica_label(v.info.db, i, label);
        metrics_name(out, m->name, v.info.path, label, m->labels);
        metrics_seconds(out, (uint64_t)ms, METRIC_MS);
    }
}

static void
replica_lag(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    replica_times(run, m, d, db_view_replica_lag_ms, out);
}

static void
replica_last_sync(struct metrics_run *run, const struct metric *m,
    const struct db_entry *d, struct buf *out)
{
    replica_times(run, m, d, db_view_replica_last_sync_ms, out);
}

/* --- the table ------------------------------------------------------------------------
 */

/* clang-format off */
#define DB_GAUGE(name, help, unit, field) \
    { name, help, METRIC_GAUGE, METRIC_DB, unit, DB_FIELD(field), NULL, NULL, NULL }
#define DB_COUNTER(name, help, unit, field, labels) \
    { name, help, METRIC_COUNTER, METRIC_DB, unit, DB_FIELD(field), labels, NULL, NULL }
#define REPLICA_GAUGE(name, help, field) \
    { name, help, METRIC_GAUGE, METRIC_REPLICA, METRIC_PLAIN, REPLICA_FIELD(field), NULL, NULL, NULL }
#define REPLICA_COUNTER(name, help, field) \
    { name, help, METRIC_COUNTER, METRIC_REPLICA, METRIC_PLAIN, REPLICA_FIELD(field), NULL, NULL, NULL }
#define DB_MADE(name, help, type, field, function) \
    { name, help, type, METRIC_DB_TEXT, METRIC_PLAIN, field, NULL, function, NULL }
#define ALL(name, help, type, function) \
    { name, help, type, METRIC_ALL, METRIC_PLAIN, 0, NULL, NULL, function }

#define PASSIVE "mode=\"PASSIVE\""
#define TRUNCATE "mode=\"TRUNCATE\""

const struct metric metrics_table[] = {
    DB_GAUGE("litestream_db_size", "Size of the database file in bytes, at the last sync.",
        METRIC_PLAIN, db_size_bytes),
    DB_GAUGE("litestream_wal_size", "End of the part of the WAL that is captured, in bytes.",
        METRIC_PLAIN, wal_size_bytes),
    DB_COUNTER("litestream_total_wal_bytes", "Bytes of the WAL that became LTX files.",
        METRIC_PLAIN, total_wal_bytes, NULL),
    DB_GAUGE("litestream_txid", "Newest transaction in a local LTX file.",
        METRIC_PLAIN, txid),
    DB_COUNTER("litestream_sync_count", "Looks at the WAL, idle ones included.",
        METRIC_PLAIN, sync_count, NULL),
    DB_COUNTER("litestream_sync_error_count",
        "Syncs that failed, opening the database included.", METRIC_PLAIN, sync_errors, NULL),
    DB_COUNTER("litestream_sync_seconds", "Time spent in syncs.", METRIC_NS, sync_ns, NULL),
    DB_GAUGE("litestream_disk_full", "1: the last sync failed for lack of disk space.",
        METRIC_PLAIN, disk_full),
    DB_COUNTER("litestream_checkpoint_count", "Checkpoints that ran.",
        METRIC_PLAIN, checkpoint_count, PASSIVE),
    DB_COUNTER("litestream_checkpoint_count", NULL, METRIC_PLAIN, checkpoint_forced, TRUNCATE),
    DB_COUNTER("litestream_checkpoint_error_count", "Checkpoints that failed.",
        METRIC_PLAIN, checkpoint_errors, PASSIVE),
    DB_COUNTER("litestream_checkpoint_seconds", "Time spent in checkpoints.",
        METRIC_NS, checkpoint_ns, PASSIVE),
    DB_MADE("litestream_compaction_verify_error_count",
        "Gaps and overlaps that were found after compactions.", METRIC_COUNTER,
        REPLICA_FIELD(verify_errors), replica_sum),
    ALL("litestream_l0_retention_files_total",
        "Files of level 0 by what retention says of them.", METRIC_GAUGE, metrics_l0_files),
    ALL("litestream_replica_operation_total", "Operations on replicas.", METRIC_COUNTER,
        metrics_op_total),
    ALL("litestream_replica_operation_bytes", "Bytes moved by operations on replicas.",
        METRIC_COUNTER, metrics_op_bytes),
    ALL("litestream_replica_operation_duration_seconds",
        "How long operations on replicas took.", METRIC_HISTOGRAM, metrics_op_seconds),
    ALL("litestream_replica_operation_errors_total", "Operations on replicas that failed.",
        METRIC_COUNTER, metrics_op_errors),

    /* ours */
    REPLICA_GAUGE("litestream_replica_txid", "Newest transaction that the replica holds.", txid),
    DB_MADE("litestream_replica_lag_seconds",
        "For how long there have been changes that the replica does not hold; 0: none.",
        METRIC_GAUGE, 0, replica_lag),
    DB_MADE("litestream_replica_last_sync_timestamp_seconds",
        "When the replica was last known to hold everything; 0: not yet.", METRIC_GAUGE, 0,
        replica_last_sync),
    REPLICA_COUNTER("litestream_replica_errors_total", "Uploads and listings that failed.",
        errors),
    REPLICA_COUNTER("litestream_replica_written_bytes_total", "Bytes written to the replica.",
        put_bytes),
    REPLICA_GAUGE("litestream_replica_snapshot_txid",
        "Newest snapshot that the replica holds.", snapshot_txid),
    REPLICA_COUNTER("litestream_replica_snapshots_total", "Snapshots written.", snapshot_count),
    REPLICA_COUNTER("litestream_replica_compactions_total", "Compactions written.",
        compaction_count),
    REPLICA_COUNTER("litestream_replica_compaction_errors_total",
        "Compactions, snapshots and retention passes that failed.", compaction_errors),
    REPLICA_COUNTER("litestream_replica_verify_errors_total",
        "Gaps and overlaps that were found after compactions of the replica.", verify_errors),
    DB_COUNTER("litestream_checkpoint_held_seconds_total",
        "Time for which writers were kept out by checkpoints.", METRIC_NS, held_ns, NULL),
    DB_MADE("litestream_checkpoint_blocked_seconds",
        "For how long readers have kept the WAL from being restarted; 0: they do not.",
        METRIC_GAUGE, 0, blocked_seconds),
    DB_COUNTER("litestream_full_images_total", "LTX files of level 0 that hold all pages.",
        METRIC_PLAIN, image_count, NULL),
    ALL("litestream_checkpoint_write_lock_seconds",
        "For how long checkpoints kept writers out, of all databases.", METRIC_HISTOGRAM,
        metrics_held_seconds),
    DB_MADE("litestream_worker_up", "1: the database has a worker process.", METRIC_GAUGE, 0,
        worker_up),
    DB_MADE("litestream_worker_restarts_total", "Workers that died and were started again.",
        METRIC_COUNTER, 0, restarts),
    DB_MADE("litestream_worker_resident_memory_bytes",
        "Memory of the worker, without pages of files.", METRIC_GAUGE, 0, metrics_worker_memory),
    DB_MADE("litestream_worker_cpu_seconds_total",
        "Processor time of the worker, from anew when it was started again.", METRIC_COUNTER, 0,
        metrics_worker_cpu),
    ALL("litestream_databases", "Databases by state.", METRIC_GAUGE, metrics_databases),
    ALL("litestream_build_info", "The version of the program.", METRIC_GAUGE,
        metrics_build_info),
    ALL("process_cpu_seconds_total", "Processor time of the daemon and its workers.",
        METRIC_COUNTER, metrics_process_cpu),
    ALL("process_resident_memory_bytes",
        "Memory of the daemon and its workers, without pages of files in the workers.",
        METRIC_GAUGE, metrics_process_memory),
    ALL("process_virtual_memory_bytes", "Address space of the daemon.", METRIC_GAUGE,
        metrics_process_virtual),
    ALL("process_open_fds", "Open descriptors of the daemon.", METRIC_GAUGE,
        metrics_process_fds),
    ALL("process_max_fds", "How many descriptors the daemon may have.", METRIC_GAUGE,
        metrics_process_max_fds),
    ALL("process_start_time_seconds", "When the daemon was started.", METRIC_GAUGE,
        metrics_process_start),
};
/* clang-format on */

const size_t n_metrics = sizeof(metrics_table) / sizeof(metrics_table[0]);
