/*
 * metrics_impl - what metrics.c (the page), metrics_base.c (earlier lives) and
 * metrics_table.c (which series there are) share.
 */
#ifndef SUPERVISOR_CONTROL_METRICS_IMPL_H
#define SUPERVISOR_CONTROL_METRICS_IMPL_H

#include "common/base/buf.h"
#include "supervisor/control/control_impl.h"
#include "supervisor/control/db_view.h"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM };

enum metric_scope {
    METRIC_DB,      /* a number of the slot, {db} */
    METRIC_REPLICA, /* one of a replica of it, {db,replica} */
    METRIC_DB_TEXT, /* a function of the database */
    METRIC_ALL,     /* a function, once */
};

enum metric_unit { METRIC_PLAIN, METRIC_NS, METRIC_MS };

struct metrics_run;

/* One series, or more, of each database; lines of one name stand together. */
struct metric {
    const char *name;
    const char *help; /* of the first line of a name */
    enum metric_type type;
    enum metric_scope scope;
    enum metric_unit unit; /* of the number; seconds are shown */
    size_t offset;         /* in struct slot_data, or struct slot_replica */
    const char *labels;    /* more of them, "mode=\"PASSIVE\"", or NULL */
    void (*db)(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
        struct buf *out);
    void (*all)(struct metrics_run *run, const struct metric *m, struct buf *out);
};

extern const struct metric metrics_table[];
extern const size_t n_metrics;

/* --- lives that have ended ------------------------------------------------------------
 */

#define METRICS_MAX_COUNTERS 32 /* of each scope */

/* What the drivers did, by kind of replica. */
struct metrics_ops {
    uint64_t count, bytes;
    struct slot_op_stats more;
};

/*
 * In what ways operations failed. Codes come from outside: when there are too many, the
 * rest counts as "other", for which there is room.
 */
#define METRICS_N_FAILURES 256
#define METRICS_N_CODES (METRICS_N_FAILURES - CFG_N_REPLICA_TYPES * SLOT_N_OPS)

struct metrics_failures {
    struct metrics_failure {
        enum cfg_replica_type type;
        struct slot_failure of;
    } list[METRICS_N_FAILURES];
    size_t n;
};

/* How long checkpoints kept writers out. */
#define METRICS_N_HELD 8 /* the last one has no limit */

struct metrics_held {
    uint64_t below[METRICS_N_HELD]; /* each without those before it */
    uint64_t ns;
};

struct metrics_totals {
    struct metrics_held held;
    struct metrics_ops op[CFG_N_REPLICA_TYPES][SLOT_N_OPS];
    struct metrics_failures failures;
};

/* Of a database one of whose workers has ended. */
struct metrics_past {
    const char *path;     /* first: the key */
    uint32_t incarnation; /* the last one that is in here */
    unsigned n_replicas;
    uint64_t *counters; /* of the database, then of each replica */
};

struct metrics {
    void *pasts; /* tsearch tree */
    struct metrics_totals past;
    double cpu_s; /* the largest that was shown: it never goes back */
};

/* NULL: all of its lives are in its slot. */
const struct metrics_past *metrics_past_of(const struct metrics *m, const char *path);

/* Are the numbers of the slot those of a life that is in `past` already? */
bool metrics_counted(const struct metrics_past *past, const struct slot *s);

uint64_t metrics_past_db(const struct metrics_past *past, const struct metric *m);
uint64_t metrics_past_replica(
    const struct metrics_past *past, const struct metric *m, unsigned i);

/* Adds what a database has done in the life that is in its slot. */
void metrics_add_ops(struct metrics_totals *t, const struct db_entry *d);

/* --- a page ---------------------------------------------------------------------------
 */

struct metrics_run {
    struct control *c;
    struct db_cursor cur;
    size_t i; /* in the table */
    bool in_line;
    int64_t now_ms;
    uint64_t worker_memory, worker_cpu_ticks; /* of those seen so far */
    struct metrics_totals *totals;            /* made when they are first needed */
};

/* name{db="PATH",replica="R",LABELS} ; NULLs are left out. */
void metrics_name(struct buf *out, const char *name, const char *db, const char *replica,
    const char *labels);
void metrics_uint(struct buf *out, uint64_t n); /* and the newline */
void metrics_seconds(struct buf *out, uint64_t n, enum metric_unit unit); /* too */

/* metrics_all.c */
typedef void metrics_all_cb(
    struct metrics_run *run, const struct metric *m, struct buf *out);
typedef void metrics_db_cb(struct metrics_run *run, const struct metric *m,
    const struct db_entry *d, struct buf *out);

metrics_db_cb metrics_worker_memory, metrics_worker_cpu;
metrics_all_cb metrics_held_seconds, metrics_l0_files, metrics_op_total, metrics_op_bytes,
    metrics_op_seconds, metrics_op_errors, metrics_databases, metrics_build_info,
    metrics_process_cpu, metrics_process_memory, metrics_process_virtual,
    metrics_process_fds, metrics_process_max_fds, metrics_process_start;

#endif
