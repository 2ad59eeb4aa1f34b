/*
 * The page, line of the table by line, and for each of them database by database.
 */
#include "supervisor/control/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "supervisor/control/metrics_impl.h"

/* --- the text format ------------------------------------------------------------------
 */

/* As a label value; what is not UTF-8 becomes U+FFFD. */
static void
add_escaped(struct buf *out, const char *s)
{
    size_t left = strlen(s);

    while (left > 0) {
        uint32_t rune;
        size_t n = utf8_decode(s, left, &rune);

        if (n == 0) {
            buf_add_str(out, "\xef\xbf\xbd");
            n = 1;
        } else if (*s == '\\' || *s == '"') {
            buf_add_char(out, '\\');
            buf_add_char(out, *s);
        } else if (*s == '\n') {
            buf_add_str(out, "\\n");
        } else {
            buf_add(out, s, n);
        }
        s += n;
        left -= n;
    }
}

static void
add_label(struct buf *out, const char *name, const char *value, bool first)
{
    buf_add_str(out, first ? "{" : ",");
    buf_add_str(out, name);
    buf_add_str(out, "=\"");
    add_escaped(out, value);
    buf_add_char(out, '"');
}

void
metrics_name(struct buf *out, const char *name, const char *db, const char *replica,
    const char *labels)
{
    bool first = true;

    buf_add_str(out, name);
    if (db != NULL) {
        add_label(out, "db", db, first);
        first = false;
    }
    if (replica != NULL) {
        add_label(out, "replica", replica, first);
        first = false;
    }
    if (labels != NULL) {
        buf_add_str(out, first ? "{" : ",");
        buf_add_str(out, labels);
        first = false;
    }
    buf_add_str(out, first ? " " : "} ");
}

void
metrics_uint(struct buf *out, uint64_t n)
{
    buf_printf(out, "%" PRIu64 "\n", n);
}

void
metrics_seconds(struct buf *out, uint64_t n, enum metric_unit unit)
{
    switch (unit) {
    case METRIC_NS:
        buf_printf(out, "%" PRIu64 ".%09" PRIu64 "\n", n / 1000000000, n % 1000000000);
        return;
    case METRIC_MS:
        buf_printf(out, "%" PRIu64 ".%03" PRIu64 "\n", n / 1000, n % 1000);
        return;
    case METRIC_PLAIN:
        metrics_uint(out, n);
        return;
    }
}

static const char *
type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_COUNTER:
        return "counter";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

static void
add_head(struct buf *out, const struct metric *m)
{
    if (m > metrics_table && strcmp(m->name, m[-1].name) == 0)
        return;
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
        type_name(m->type));
}

/* --- numbers of the slots -------------------------------------------------------------
 */

static void
add_db(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    const struct slot *s = db_entry_live_slot(d);
    const struct metrics_past *past;
    struct db_info info;
    uint64_t n = 0;

    db_entry_info(d, &info);
    past = metrics_past_of(run->c->metrics, info.path);
    if (m->type != METRIC_COUNTER || !metrics_counted(past, s))
        n = slot_peek(s, m->offset);
    metrics_name(out, m->name, info.path, NULL, m->labels);
    metrics_seconds(out, n + metrics_past_db(past, m), m->unit);
}

static void
add_replicas(struct metrics_run *run, const struct metric *m, const struct db_entry *d,
    struct buf *out)
{
    const struct slot *s = db_entry_live_slot(d);
    const struct metrics_past *past;
    char label[DB_VIEW_LABEL_MAX];
    struct db_info info;

    db_entry_info(d, &info);
    past = metrics_past_of(run->c->metrics, info.path);
    for (unsigned i = 0; i < info.db->n_replicas && i < SLOT_MAX_REPLICAS; i++) {
        uint64_t n = 0;

        if (m->type != METRIC_COUNTER || !metrics_counted(past, s))
            n = slot_peek(s, offsetof(struct slot_data, replica) +
                                 i * sizeof(struct slot_replica) + m->offset);
        db_view_replica_label(info.db, i, label);
        metrics_name(out, m->name, info.path, label, m->labels);
        metrics_seconds(out, n + metrics_past_replica(past, m, i), m->unit);
    }
}

/* --- the page -------------------------------------------------------------------------
 */

/* One database of the line that we are at; false: it has no more. */
static bool
add_next(struct metrics_run *run, struct buf *out)
{
    const struct metric *m = &metrics_table[run->i];
    const struct db_entry *d = run->cur.at;

    if (m->scope == METRIC_ALL) {
        if (run->c->table != NULL)
            m->all(run, m, out);
        return false;
    }
    if (d == NULL)
        return false;
    db_cursor_step(&run->cur);
    switch (m->scope) {
    case METRIC_DB:
        add_db(run, m, d, out);
        break;
    case METRIC_REPLICA:
        add_replicas(run, m, d, out);
        break;
    case METRIC_DB_TEXT:
        m->db(run, m, d, out);
        break;
    case METRIC_ALL:
        break;
    }
    return true;
}

static bool
fill_page(void *arg, struct buf *out)
{
    struct metrics_run *run = arg;

    if (!run->in_line) {
        if (run->i == n_metrics)
            return false;
        add_head(out, &metrics_table[run->i]);
        db_cursor_deinit(&run->cur);
        db_cursor_init(&run->cur, run->c);
        run->in_line = true;
    }
    if (!add_next(run, out)) {
        run->in_line = false;
        run->i++;
    }
    return true;
}

static void
free_page(void *arg)
{
    struct metrics_run *run = arg;

    db_cursor_deinit(&run->cur);
    mem_free(run->totals);
    mem_free(run);
}

void
metrics_page(struct control *c, struct text_source *out)
{
    struct metrics_run *run = MEM_NEW(struct metrics_run);

    run->c = c;
    run->now_ms = wall_to_ms(wall_now());
    db_cursor_init(&run->cur, c);
    *out = (struct text_source){ .fill = fill_page, .free = free_page, .arg = run };
}
