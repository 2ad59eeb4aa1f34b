/*
 * Series without a database, and what the kernel tells of processes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "drivers/driver.h"
#include "supervisor/control/metrics_impl.h"
#include "supervisor/version.h"

/* --- files of level 0, by base name ---------------------------------------------------
 */

enum { L0_ELIGIBLE, L0_NOT_COMPACTED, L0_TOO_RECENT, N_L0 };

struct l0_files {
    const char *base; /* first: the key; borrowed from the table */
    struct l0_files *next;
    uint64_t n[N_L0];
};

static int
compare_bases(const void *a, const void *b)
{
    return strcmp(((const struct l0_files *)a)->base, ((const struct l0_files *)b)->base);
}

static void
keep(void *node)
{
    (void)node; /* it is in the list as well */
}

static void
add_l0(struct l0_files *f, const struct db_entry *d, const struct db_info *info)
{
    static const size_t offsets[N_L0] = {
        [L0_ELIGIBLE] = offsetof(struct slot_replica, l0_eligible),
        [L0_NOT_COMPACTED] = offsetof(struct slot_replica, l0_not_compacted),
        [L0_TOO_RECENT] = offsetof(struct slot_replica, l0_too_recent),
    };

    for (unsigned i = 0; i < info->db->n_replicas && i < SLOT_MAX_REPLICAS; i++)
        for (int k = 0; k < N_L0; k++)
            f->n[k] += slot_peek(
                db_entry_live_slot(d), offsetof(struct slot_data, replica) +
                                           i * sizeof(struct slot_replica) + offsets[k]);
}

static void
show_l0(const struct metric *m, struct l0_files *list, struct buf *out)
{
    static const char *const labels[N_L0] = { "status=\"eligible\"",
        "status=\"not_compacted\"", "status=\"too_recent\"" };
    struct l0_files *next;

    for (; list != NULL; list = next) {
        next = list->next;
        for (int k = 0; k < N_L0; k++) {
            metrics_name(out, m->name, list->base, NULL, labels[k]);
            metrics_uint(out, list->n[k]);
        }
        mem_free(list);
    }
}

/* Equal base names are one series. */
void
metrics_l0_files(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    struct l0_files *list = NULL, **found;
    void *tree = NULL;

    for (const struct db_entry *d = db_table_next(run->c->table, NULL); d != NULL;
         d = db_table_next(run->c->table, d)) {
        struct l0_files *f = mem_try(1, sizeof(*f));
        struct db_info info;

        if (f == NULL)
            break;
        db_entry_info(d, &info);
        f->base = path_base(info.path);
        found = tsearch(f, &tree, compare_bases);
        if (found == NULL || *found != f) {
            mem_free(f);
        } else {
            f->next = list;
            list = f;
        }
        if (found != NULL)
            add_l0(*found, d, &info);
    }
    tdestroy(tree, keep);
    show_l0(m, list, out);
}

/* --- operations of the drivers --------------------------------------------------------
 */

static const char *const op_names[SLOT_N_OPS] = {
    [SLOT_PUT] = "PUT", [SLOT_GET] = "GET", [SLOT_DELETE] = "DELETE", [SLOT_LIST] = "LIST"
};

/* All of one page are of one moment, and so never less than on the page before. */
static const struct metrics_totals *
totals(struct metrics_run *run)
{
    const struct metrics *m = run->c->metrics;

    if (run->totals != NULL)
        return run->totals;
    run->totals = MEM_NEW(struct metrics_totals);
    *run->totals = m->past;
    for (const struct db_entry *d = db_table_next(run->c->table, NULL); d != NULL;
         d = db_table_next(run->c->table, d)) {
        struct db_info info;

        db_entry_info(d, &info);
        if (!metrics_counted(metrics_past_of(m, info.path), db_entry_live_slot(d)))
            metrics_add_ops(run->totals, d);
    }
    return run->totals;
}

typedef void show_op_cb(const struct metric *m, const struct metrics_ops *o,
    const char *labels, enum slot_op kind, struct buf *out);

/* Each kind of replica and operation that was used. */
static void
each_op(
    struct metrics_run *run, const struct metric *m, show_op_cb *show, struct buf *out)
{
    const struct metrics_totals *t = totals(run);
    char labels[64];

    for (unsigned type = 0; type < CFG_N_REPLICA_TYPES; type++)
        for (unsigned kind = 0; kind < SLOT_N_OPS; kind++) {
            if (t->op[type][kind].count == 0)
                continue;
            snprintf(labels, sizeof(labels), "replica_type=\"%s\",operation=\"%s\"",
                cfg_replica_type_name((enum cfg_replica_type)type), op_names[kind]);
            show(m, &t->op[type][kind], labels, (enum slot_op)kind, out);
        }
}

static void
show_count(const struct metric *m, const struct metrics_ops *o, const char *labels,
    enum slot_op kind, struct buf *out)
{
    (void)kind;
    metrics_name(out, m->name, NULL, NULL, labels);
    metrics_uint(out, o->count);
}

void
metrics_op_total(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    each_op(run, m, show_count, out);
}

static void
show_bytes(const struct metric *m, const struct metrics_ops *o, const char *labels,
    enum slot_op kind, struct buf *out)
{
    if (kind != SLOT_PUT && kind != SLOT_GET)
        return;
    metrics_name(out, m->name, NULL, NULL, labels);
    metrics_uint(out, o->bytes);
}

void
metrics_op_bytes(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    each_op(run, m, show_bytes, out);
}

static void
show_seconds(const struct metric *m, const struct metrics_ops *o, const char *labels,
    enum slot_op kind, struct buf *out)
{
    uint64_t so_far = 0, all = o->count;

    (void)kind;
    for (int i = 0; i < SLOT_N_BUCKETS; i++) {
        so_far += o->more.le[i];
        buf_printf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", m->name, labels,
            (double)drv_bucket_ms[i] / 1000, so_far);
    }
    if (all < so_far)
        all = so_far; /* read while its worker was counting */
    buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", m->name, labels, all);
    buf_printf(out, "%s_sum{%s} ", m->name, labels);
    metrics_seconds(out, o->more.ns, METRIC_NS);
    buf_printf(out, "%s_count{%s} %" PRIu64 "\n", m->name, labels, all);
}

void
metrics_op_seconds(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    each_op(run, m, show_seconds, out);
}

void
metrics_held_seconds(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    static const char *const limits[METRICS_N_HELD] = { "0.001", "0.005", "0.01", "0.02",
        "0.05", "0.1", "0.5", "+Inf" };
    const struct metrics_held *h = &totals(run)->held;
    uint64_t so_far = 0;

    for (size_t i = 0; i < METRICS_N_HELD; i++) {
        so_far += h->below[i];
        buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", m->name, limits[i], so_far);
    }
    buf_printf(out, "%s_sum ", m->name);
    metrics_seconds(out, h->ns, METRIC_NS);
    buf_printf(out, "%s_count %" PRIu64 "\n", m->name, so_far);
}

void
metrics_op_errors(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    const struct metrics_failures *all = &totals(run)->failures;

    for (size_t i = 0; i < all->n; i++) {
        const struct metrics_failure *f = &all->list[i];
        char labels[128];

        snprintf(labels, sizeof(labels),
            "replica_type=\"%s\",operation=\"%s\",code=\"%s\"",
            cfg_replica_type_name(f->type), op_names[f->of.op], f->of.code);
        metrics_name(out, m->name, NULL, NULL, labels);
        metrics_uint(out, f->of.n);
    }
}

/* --- processes ------------------------------------------------------------------------
 */

/* A file of /proc as text; false: there is none. */
static bool
read_proc(pid_t pid, const char *file, char *out, size_t size)
{
    char name[64];
    ssize_t n;
    int fd;

    snprintf(name, sizeof(name), "/proc/%ld/%s", (long)pid, file);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The n-th word behind `at`, from 0, as a number; 0 when there is none. */
static uint64_t
number_in(const char *at, int n)
{
    at += strspn(at, " ");
    for (; n > 0; n--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return strtoull(at, NULL, 10);
}

struct memory {
    uint64_t address_space, resident, of_files; /* bytes */
};

static bool
read_memory(pid_t pid, struct memory *out)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char text[256];

    if (!read_proc(pid, "statm", text, sizeof(text)))
        return false;
    out->address_space = number_in(text, 0) * page;
    out->resident = number_in(text, 1) * page;
    out->of_files = number_in(text, 2) * page;
    return true;
}

/* In user mode and in the kernel: words 14 and 15, the name being the second. */
static bool
read_cpu_ticks(pid_t pid, uint64_t *ticks)
{
    char text[1024], *after;

    if (!read_proc(pid, "stat", text, sizeof(text)))
        return false;
    after = strrchr(text, ')'); /* the name may hold anything */
    if (after == NULL)
        return false;
    *ticks = number_in(after + 1, 11) + number_in(after + 1, 12);
    return true;
}

void
metrics_worker_memory(struct metrics_run *run, const struct metric *m,
    const struct db_entry *d, struct buf *out)
{
    struct memory memory;
    struct db_info info;

    db_entry_info(d, &info);
    if (info.pid <= 0 || !read_memory(info.pid, &memory))
        return;
    memory.resident -= memory.of_files < memory.resident ? memory.of_files : 0;
    run->worker_memory += memory.resident;
    metrics_name(out, m->name, info.path, NULL, NULL);
    metrics_uint(out, memory.resident);
}

static double
seconds_of_ticks(uint64_t ticks)
{
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void
metrics_worker_cpu(struct metrics_run *run, const struct metric *m,
    const struct db_entry *d, struct buf *out)
{
    struct db_info info;
    uint64_t ticks;

    db_entry_info(d, &info);
    if (info.pid <= 0 || !read_cpu_ticks(info.pid, &ticks))
        return;
    run->worker_cpu_ticks += ticks;
    metrics_name(out, m->name, info.path, NULL, NULL);
    buf_printf(out, "%.2f\n", seconds_of_ticks(ticks));
}

static double
cpu_of(int who)
{
    struct rusage u;

    if (getrusage(who, &u) != 0)
        return 0;
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A worker that has ended while the page was made is counted twice or not at all. */
void
metrics_process_cpu(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    struct metrics *all = run->c->metrics;
    double s = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) +
               seconds_of_ticks(run->worker_cpu_ticks);

    if (s > all->cpu_s)
        all->cpu_s = s;
    buf_printf(out, "%s %.2f\n", m->name, all->cpu_s);
}

void
metrics_process_memory(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    struct memory memory;

    if (read_memory(getpid(), &memory))
        buf_printf(out, "%s %" PRIu64 "\n", m->name,
            (uint64_t)memory.resident + run->worker_memory);
}

void
metrics_process_virtual(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    struct memory memory;

    (void)run;
    if (read_memory(getpid(), &memory))
        buf_printf(out, "%s %" PRIu64 "\n", m->name, memory.address_space);
}

void
metrics_process_fds(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    uint64_t n = 0;

    (void)run;
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        n += entry->d_name[0] != '.';
    closedir(dir);
    buf_printf(out, "%s %" PRIu64 "\n", m->name, n - 1); /* but for this one */
}

void
metrics_process_max_fds(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    struct rlimit limit;

    (void)run;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        buf_printf(out, "%s %llu\n", m->name, (unsigned long long)limit.rlim_cur);
}

void
metrics_process_start(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    buf_printf(out, "%s ", m->name);
    metrics_seconds(out, (uint64_t)wall_to_ms(run->c->started_at), METRIC_MS);
}

/* --- the daemon -----------------------------------------------------------------------
 */

void
metrics_databases(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    static const enum db_state states[] = { DB_DISABLED, DB_WAITING, DB_RUNNING,
        DB_STOPPING, DB_FAILED };
    uint64_t n[DB_FAILED + 1] = { 0 };

    for (const struct db_entry *d = db_table_next(run->c->table, NULL); d != NULL;
         d = db_table_next(run->c->table, d)) {
        struct db_info info;

        db_entry_info(d, &info);
        n[info.state]++;
    }
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        buf_printf(out, "%s{state=\"%s\"} %" PRIu64 "\n", m->name,
            db_state_name(states[i]), n[states[i]]);
}

void
metrics_build_info(struct metrics_run *run, const struct metric *m, struct buf *out)
{
    (void)run;
    buf_printf(out, "%s{version=\"%s\"} 1\n", m->name, LITESTREAM_VERSION);
}
