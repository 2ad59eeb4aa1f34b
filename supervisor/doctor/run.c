#include "supervisor/doctor/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/loop/job.h"
#include "supervisor/dirs.h"
#include "supervisor/doctor/look.h"
#include "supervisor/doctor/trial.h"

#define MAX_AT_ONCE 16

/* What is kept of a finding until all are there. */
struct note {
    const char *check;
    enum doctor_verdict verdict;
    char *text, *advice;
};

enum unit_kind { UNIT_NOTES, UNIT_DB, UNIT_REPLICA };
enum unit_state { UNIT_WAITING, UNIT_ACTIVE, UNIT_HANGS, UNIT_ENDED };

/* One thing that is examined. */
struct unit {
    struct run *run;
    enum unit_kind kind;
    enum unit_state state;
    char *subject;
    const struct cfg_db *entry;
    struct note *notes;
    size_t n_notes;

    uv_timer_t timer; /* UNIT_DB, while it is active */
    char *path, *meta;
    struct doctor_db *db; /* the job's while it runs */

    const struct cfg_replica *cfg;
    struct doctor_trial *trial;
    struct doctor_replica *replica;
};

struct run {
    struct config *config;
    struct doctor_options opt;
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    struct doctor_host host;
    struct unit **units;
    size_t n_units, cap;
    size_t next; /* the first that waits, or later */
    size_t n_active, n_hang;
    bool stopping;
};

/* What hangs keeps using its run, which must not be taken for lost. */
static struct run *left_behind;

/* --- notes ----------------------------------------------------------------------------
 */

static void
note(struct unit *u, const char *check, const struct doctor_finding *f)
{
    u->notes = mem_resize(u->notes, (u->n_notes + 1) * sizeof(*u->notes));
    u->notes[u->n_notes++] = (struct note){ .check = check,
        .verdict = f->verdict,
        .text = mem_strdup(f->text),
        .advice = mem_strdup(f->advice) };
}

static void
note_fault(
    struct unit *u, const char *check, const struct err *e, const char *else_advise)
{
    struct doctor_finding f;

    doctor_say(&f, DOCTOR_FAIL, "%s", e->text);
    doctor_advise(&f, "%s", e->hint[0] != '\0' ? e->hint : else_advise);
    note(u, check, &f);
}

static void
judge_db(struct unit *u)
{
    struct doctor_finding f;

    u->db->restored_if_missing = u->entry->restore_if_db_not_exists;
    for (size_t i = 0; i < doctor_n_db_checks; i++)
        if (doctor_db_checks[i].judge(u->db, &f))
            note(u, doctor_db_checks[i].name, &f);
}

static void
judge_replica(struct unit *u)
{
    struct doctor_host *h = &u->run->host;
    struct doctor_finding f;

    u->replica->of_folder = u->entry->path[0] == '\0';
    if (wall_cmp(u->replica->newest, h->newest) > 0)
        h->newest = u->replica->newest;
    for (size_t i = 0; i < doctor_n_replica_checks; i++)
        if (doctor_replica_checks[i].judge(u->replica, &f))
            note(u, doctor_replica_checks[i].name, &f);
}

/* --- units ----------------------------------------------------------------------------
 */

static struct unit *
unit_add(
    struct run *r, enum unit_kind kind, const struct cfg_db *entry, const char *subject)
{
    struct unit *u = MEM_NEW(struct unit);

    if (r->n_units == r->cap) {
        r->cap = r->cap > 0 ? 2 * r->cap : 64;
        r->units = mem_resize(r->units, r->cap * sizeof(struct unit *));
    }
    r->units[r->n_units++] = u;
    u->run = r;
    u->kind = kind;
    u->entry = entry;
    u->subject = mem_strdup(subject);
    return u;
}

static void
unit_free(struct unit *u)
{
    for (size_t i = 0; i < u->n_notes; i++) {
        mem_free(u->notes[i].text);
        mem_free(u->notes[i].advice);
    }
    mem_free(u->notes);
    mem_free(u->subject);
    mem_free(u->path);
    mem_free(u->meta);
    mem_free(u->db);
    mem_free(u->replica);
    mem_free(u);
}

static void start_more(struct run *r);

static void
unit_end(struct unit *u, enum unit_state state)
{
    struct run *r = u->run;

    u->state = state;
    r->n_active--;
    r->n_hang += state == UNIT_HANGS;
    start_more(r);
}

/* --- databases ------------------------------------------------------------------------
 */

static void
look(void *arg, const struct cancel *cancel)
{
    struct unit *u = arg;

    (void)cancel;
    doctor_look_db(u->path, u->meta, u->db);
}

static void
on_looked(void *arg)
{
    struct unit *u = arg;

    if (u->state == UNIT_HANGS) /* all was said */
        return;
    uv_close((uv_handle_t *)&u->timer, NULL);
    judge_db(u);
    mem_free(u->db);
    u->db = NULL;
    unit_end(u, UNIT_ENDED);
}

static void
on_look_late(uv_timer_t *h)
{
    struct unit *u = container_of(h, struct unit, timer);
    struct doctor_finding f;

    doctor_say(&f, DOCTOR_FAIL, "its disk has not answered within %g s",
        (double)u->run->opt.timeout_ms / 1000);
    doctor_advise(&f, "check the disk, or the server of its network file system");
    note(u, "database", &f);
    unit_end(u, UNIT_HANGS);
}

static int
start_look(struct unit *u, struct err *e)
{
    struct run *r = u->run;
    int rc;

    u->db = MEM_NEW(struct doctor_db);
    rc = job_start(&r->loop, look, on_looked, u, NULL, e);
    if (rc != 0)
        return rc;
    must(uv_timer_init(&r->loop, &u->timer) == 0);
    uv_timer_start(&u->timer, on_look_late, (uint64_t)r->opt.timeout_ms, 0);
    return 0;
}

/* --- replicas -------------------------------------------------------------------------
 */

static void
on_tried(void *arg, bool ended)
{
    struct unit *u = arg;

    judge_replica(u);
    if (ended) {
        mem_free(u->replica);
        u->replica = NULL;
    }
    unit_end(u, ended ? UNIT_ENDED : UNIT_HANGS);
}

static void
start_trial(struct unit *u)
{
    struct doctor_trial_options opt = {
        .step_ms = u->run->opt.timeout_ms, .done = on_tried, .arg = u
    };

    u->replica = MEM_NEW(struct doctor_replica);
    u->trial = doctor_trial_start(&u->run->loop, u->cfg, &opt, u->replica);
}

/* --- several at a time ----------------------------------------------------------------
 */

static bool
start_unit(struct unit *u)
{
    struct err e;

    switch (u->kind) {
    case UNIT_NOTES:
        break;
    case UNIT_DB:
        if (start_look(u, &e) == 0)
            return true;
        note_fault(u, "database", &e, "raise the limits of processes and memory");
        break;
    case UNIT_REPLICA:
        start_trial(u);
        return true;
    }
    u->state = UNIT_ENDED;
    return false;
}

static void
start_more(struct run *r)
{
    while (!r->stopping && r->next < r->n_units && r->n_active < MAX_AT_ONCE) {
        struct unit *u = r->units[r->next++];

        u->state = UNIT_ACTIVE;
        if (start_unit(u))
            r->n_active++;
    }
}

static void
on_signal(uv_signal_t *h, int number)
{
    struct run *r = h->data;

    (void)number;
    r->stopping = true;
    /* A second one ends the process at once. */
    uv_signal_stop(&r->interrupt);
    uv_signal_stop(&r->terminate);
    for (size_t i = 0; i < r->n_units; i++) {
        struct unit *u = r->units[i];

        if (u->state == UNIT_ACTIVE && u->kind == UNIT_REPLICA)
            doctor_trial_stop(u->trial);
    }
}

static void
work(struct run *r)
{
    must(uv_signal_init(&r->loop, &r->interrupt) == 0);
    must(uv_signal_init(&r->loop, &r->terminate) == 0);
    r->interrupt.data = r->terminate.data = r;
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
    uv_signal_start(&r->terminate, on_signal, SIGTERM);
    start_more(r);
    while (r->n_active > 0)
        uv_run(&r->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
    uv_close((uv_handle_t *)&r->terminate, NULL);
}

/* --- what there is --------------------------------------------------------------------
 */

static void
add_db(struct run *r, const struct cfg_db *entry, const char *path, const char *meta)
{
    struct unit *u = unit_add(r, UNIT_DB, entry, path);

    u->path = mem_strdup(path);
    u->meta = mem_strdup(meta);
    r->host.n_dbs++;
}

struct scan {
    struct run *run;
    const struct cfg_db *dir;
    size_t n;
};

/* One that another entry has is not counted again. */
static int
on_member(void *arg, const char *path, struct err *e)
{
    struct scan *s = arg;
    struct run *r = s->run;
    struct config *member;
    int rc;

    if (config_find_db(r->config, path) != NULL ||
        config_find_dir(r->config, path) != s->dir)
        return 0;
    rc = config_member(r->config, s->dir, path, &member, e);
    if (rc != 0)
        return rc;
    add_db(r, s->dir, path, member->dbs[0].meta_path);
    config_free(member);
    s->n++;
    return 0;
}

static void
add_folder(struct run *r, const struct cfg_db *dir)
{
    struct unit *u = unit_add(r, UNIT_NOTES, dir, dir->dir_path);
    struct scan s = { .run = r, .dir = dir };
    struct doctor_finding f;
    struct err e;

    r->host.n_dirs++;
    if (dirs_scan(dir, on_member, &s, &e) != 0) {
        note_fault(u, "directory", &e, "check its path, and let the daemon read it");
        return;
    }
    if (s.n > 0 || dir->watch)
        doctor_say(&f, DOCTOR_OK, "%zu %s", s.n, s.n == 1 ? "database" : "databases");
    else
        doctor_say(&f, DOCTOR_FAIL, "no database, and it is not watched");
    doctor_advise(&f, "%s",
        s.n > 0 ? ""
                : "check its path and pattern; watch: true waits for databases to come");
    note(u, "directory", &f);
}

static void
add_replicas(struct run *r, const struct cfg_db *db, const char *subject)
{
    for (size_t i = 0; i < db->n_replicas; i++) {
        const struct cfg_replica *cfg = &db->replicas[i];
        const char *label =
            cfg->name[0] != '\0' ? cfg->name : cfg_replica_type_name(cfg->type);
        char *text = mem_printf("%s: %s", subject, label);
        struct unit *u = unit_add(r, UNIT_REPLICA, db, text);

        u->cfg = cfg;
        mem_free(text);
    }
}

static void
add_entry(struct run *r, struct cfg_db *db)
{
    const char *subject = db->path[0] != '\0' ? db->path : db->dir_path;
    struct err e;

    if (db->path[0] != '\0')
        add_db(r, db, db->path, db->meta_path);
    else
        add_folder(r, db);
    if (cfg_check_replicas(db, &e) != 0 || cfg_read_secrets(r->config, db, &e) != 0)
        note_fault(unit_add(r, UNIT_NOTES, db, subject), "configuration", &e,
            "correct the configuration");
    else
        add_replicas(r, db, subject);
}

static void
find_units(struct run *r)
{
    for (size_t i = 0; i < r->config->n_dbs; i++)
        if (r->config->dbs[i].enabled)
            add_entry(r, &r->config->dbs[i]);
}

/* --- the whole ------------------------------------------------------------------------
 */

static void
say_host(struct run *r)
{
    struct doctor_line line = { .subject = "" };

    for (size_t i = 0; i < doctor_n_host_checks; i++) {
        line.check = doctor_host_checks[i].name;
        if (doctor_host_checks[i].judge(&r->host, &line.finding))
            r->opt.say(r->opt.arg, &line);
    }
}

static void
say_unit(struct run *r, const struct unit *u)
{
    struct doctor_line line = { .subject = u->subject };

    for (size_t i = 0; i < u->n_notes; i++) {
        const struct note *n = &u->notes[i];

        line.check = n->check;
        doctor_say(&line.finding, n->verdict, "%s", n->text);
        doctor_advise(&line.finding, "%s", n->advice);
        r->opt.say(r->opt.arg, &line);
    }
}

static void
run_end(struct run *r, struct config **c)
{
    for (size_t i = 0; i < r->n_units; i++)
        if (r->units[i]->state == UNIT_ENDED) {
            doctor_trial_free(r->units[i]->trial);
            r->units[i]->trial = NULL;
        }
    if (r->n_hang > 0) {
        left_behind = r;
        *c = NULL;
        return;
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&r->loop) == 0);
    for (size_t i = 0; i < r->n_units; i++)
        unit_free(r->units[i]);
    mem_free(r->units);
    mem_free(r);
}

int
doctor_run(struct config **c, const struct doctor_options *options, struct err *e)
{
    struct run *r = MEM_NEW(struct run);
    int rc = 0;

    r->config = *c;
    r->opt = *options;
    must(uv_loop_init(&r->loop) == 0);
    doctor_look_host(*c, options->timeout_ms, &r->host);
    r->host.problem = options->problem;
    find_units(r);
    work(r);
    if (r->stopping) {
        rc = err_set(e, ERR_CANCELLED, "interrupted");
    } else {
        say_host(r);
        for (size_t i = 0; i < r->n_units; i++)
            say_unit(r, r->units[i]);
    }
    run_end(r, c);
    return rc;
}
