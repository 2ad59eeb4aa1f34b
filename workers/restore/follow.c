#include "workers/restore/follow.h"

#include <signal.h>
#include <string.h>
#include <sys/select.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/path.h"
#include "common/base/rand.h"
#include "common/base/retry.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"
#include "workers/restore/follow_apply.h"
#include "workers/restore/follow_plan.h"
#include "workers/restore/follow_state.h"
#include "workers/restore/restore.h"
#include "workers/restore/session.h"

#define LOOK_EVERY_MS 60000 /* at all levels, while nothing is wrong */
#define BACKOFF_MAX_MS 30000
#define SAY_EVERY_MS 1000
#define SLEEP_MAX_MS 1000 /* a signal that another thread got is seen then */

struct follow {
    struct follow_options o;
    char *dir; /* of the output */
    struct session *session;
    struct follow_db *db; /* NULL: to be opened */
    uint64_t saved;       /* as OUT-txid says */

    struct mono next_look; /* at all levels */
    struct retry gap;      /* when to look again */
    uint64_t gap_said;     /* the TXID the last warning was about, 0: none */
    struct retry errors;   /* of whole rounds */
    uint64_t said_txid;    /* the last that was logged, in this round */
    struct mono said;
    struct ltx_info bad; /* a damaged file of this round; size 0: none */
    unsigned n_vanished; /* rounds in a row in which a listed file was not there */
};

/* --- the database ---------------------------------------------------------------------
 */

int
follow_prepare(const char *output, int fd, uint64_t txid, struct err *e)
{
    uint8_t header[FOLLOW_HEADER_SIZE];
    int rc = sys_pread_all(fd, header, sizeof(header), 0, e);

    if (rc == 0) {
        follow_mark_set(header, txid);
        rc = sys_pwrite_all(fd, header, sizeof(header), 0, e);
    }
    /* Before the database is in place: one without this file could not be resumed. */
    if (rc == 0)
        rc = follow_txid_write(output, txid, e);
    return rc == 0 ? 0 : err_wrap(e, "write initial txid file");
}

/* After a change, and when the file was found to be behind. */
static int
save_txid(struct follow *f, struct err *e)
{
    uint64_t txid = follow_db_txid(f->db);
    int rc;

    if (txid == 0 || txid == f->saved)
        return 0;
    rc = follow_txid_write(f->o.output, txid, e);
    if (rc == 0)
        f->saved = txid;
    return rc;
}

static int
open_db(struct follow *f, struct err *e)
{
    int rc = follow_txid_read(f->o.output, &f->saved, e);

    if (rc != 0)
        return err_wrap(e, "read txid file for crash recovery");
    if (f->saved == 0)
        return err_set(e, ERR_CONFLICT,
            "cannot resume follow mode: database exists but no -txid file found; delete "
            "the database to re-restore: %s",
            f->o.output);
    rc = follow_db_open(f->o.output, f->saved, &f->db, e);
    if (rc == 0)
        rc = save_txid(f, e);
    return rc;
}

/* What is known of it, also where its own mark is missing. */
static uint64_t
position(const struct follow *f)
{
    uint64_t txid = f->db != NULL ? follow_db_txid(f->db) : 0;

    return txid > 0 ? txid : f->saved;
}

static void
log_applied(const struct follow *f, uint64_t from)
{
    log_info("follow: applied updates", LF_TXID("from_txid", from),
        LF_TXID("to_txid", follow_db_txid(f->db)), LF_STR("output", f->o.output));
}

/* --- one file -------------------------------------------------------------------------
 */

struct taking {
    const struct follow *follow;
    const struct ltx_info *info;
    struct fetch *fetch;
    struct follow_file *file;
};

static int
read_fetched(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct taking *t = arg;

    return fetch_read(t->fetch, 0, buf, cap, n, e);
}

/* On the job's thread. */
static int
take_file(void *arg, struct fetch *fetch, const struct cancel *cancel, struct err *e)
{
    struct taking *t = arg;
    struct ltx_source src = { .read = read_fetched, .arg = t };

    t->fetch = fetch;
    return follow_file_take(src, t->info, t->follow->dir, cancel, &t->file, e);
}

static int
fetch_file(struct follow *f, struct taking *t, struct err *e)
{
    struct fetch_files files = fetch_ltx_files(t->info, 1);

    if (t->info->size < LTX_HEADER_SIZE)
        return err_set(e, ERR_CORRUPT, "it has %lld bytes (minimum %d)",
            (long long)t->info->size, LTX_HEADER_SIZE);
    if (t->info->size < (int64_t)FETCH_CHUNK)
        files.chunk = (size_t)t->info->size;
    return session_fetch(f->session, &files, f->o.parallelism, take_file, t, e);
}

static int
apply_file(struct follow *f, const struct ltx_info *info, struct err *e)
{
    struct taking t = { .follow = f, .info = info };
    int rc = fetch_file(f, &t, e);

    if (rc == 0)
        rc = follow_file_apply(t.file, &f->db, f->o.cancel, e);
    follow_file_free(t.file);
    if (rc == 0)
        rc = save_txid(f, e);
    if (rc == ERR_CORRUPT)
        f->bad = *info;
    if (rc != 0 && rc != ERR_CANCELLED)
        err_wrap(e, "ltx file level=%d min=%016llx max=%016llx", info->level,
            (unsigned long long)info->min_txid, (unsigned long long)info->max_txid);
    return rc;
}

/* --- the newest state, from a snapshot ------------------------------------------------
 */

static int
apply_image(struct follow *f, int image, int64_t size, uint64_t txid, struct err *e)
{
    uint8_t header[FOLLOW_HEADER_SIZE];
    int rc = sys_pread_all(image, header, sizeof(header), 0, e);
    uint32_t page_size = 0;

    if (rc != 0)
        return rc;
    page_size = ltx_get_u16(header + 16);
    page_size = page_size == 1 ? 65536 : page_size;
    if (!ltx_page_size_valid(page_size) || size % page_size != 0)
        return err_set(e, ERR_CORRUPT, "page size %u in a database of %lld bytes",
            page_size, (long long)size);
    return follow_image_apply(
        image, page_size, (uint32_t)(size / page_size), txid, &f->db, f->o.cancel, e);
}

static int
rebase(struct follow *f, const struct restore_plan *plan, struct err *e)
{
    uint64_t from = position(f), to = plan->files[plan->n - 1].max_txid;
    struct output *output = NULL;
    int64_t size = 0;
    int rc = restore_plan_check(plan, e);

    log_warn("follow: what comes next is not on the replica any more, or what is here is "
             "not known: taking the newest state",
        LF_TXID("txid", from), LF_TXID("newest", to), LF_STR("output", f->o.output));
    if (rc == 0)
        rc = output_open(f->o.output, false, &output, e);
    if (rc == 0)
        rc = restore_plan_run(f->session, plan, f->o.parallelism, output, &size, e);
    if (rc == 0)
        rc = apply_image(f, output_fd(output), size, to, e);
    output_free(output);
    if (rc == 0)
        rc = save_txid(f, e);
    if (rc == 0)
        log_applied(f, from);
    return rc;
}

/* --- one round ------------------------------------------------------------------------
 */

/* Level by level upwards: a file that is merged meanwhile is seen above, if not below. */
static int
list(struct follow *f, bool all, struct restore_files *files, struct err *e)
{
    int rc = 0;

    if (!all)
        return session_list_from(f->session, 0, follow_db_txid(f->db) + 1, files, e);
    for (int level = 0; rc == 0 && level < LTX_N_LEVELS; level++)
        rc = session_list(f->session, level, false, files, e);
    if (f->bad.size > 0)
        follow_leave_out(files, &f->bad);
    return rc;
}

/* In a long row of files now and then. */
static void
say_applied(struct follow *f, bool over)
{
    uint64_t txid = f->db != NULL ? follow_db_txid(f->db) : 0;

    if (txid <= f->said_txid || (!over && mono_since_ms(f->said) < SAY_EVERY_MS))
        return;
    log_applied(f, f->said_txid);
    f->said_txid = txid;
    f->said = mono_now();
}

/* Applies what follows; *step is what is left to do then, owned. */
static int
apply_files(struct follow *f, const struct restore_files *files, bool complete,
    struct follow_step *step, struct err *e)
{
    int rc = 0;

    f->said = mono_now();
    f->said_txid = follow_db_txid(f->db);
    while (rc == 0) {
        follow_decide(files, follow_db_txid(f->db), complete, step);
        if (step->what != FOLLOW_FILE)
            break;
        if (cancel_asked(f->o.cancel))
            rc = err_set(e, ERR_CANCELLED, "cancelled");
        else
            rc = apply_file(f, &step->file, e);
        say_applied(f, false);
    }
    say_applied(f, true);
    return rc;
}

static int
list_and_apply(struct follow *f, bool all, struct follow_step *step, struct err *e)
{
    struct restore_files files = { 0 };
    int rc = list(f, all, &files, e);

    *step = (struct follow_step){ .what = FOLLOW_NOTHING };
    if (rc == 0)
        rc = apply_files(f, &files, all, step, e);
    restore_files_deinit(&files);
    return rc;
}

static void
say_gap(struct follow *f, const struct follow_step *step)
{
    if (f->gap_said == position(f))
        return;
    f->gap_said = position(f);
    if (step->what == FOLLOW_BEHIND)
        log_warn(
            "follow: the replica ends before what is here: waiting; if its history was "
            "started again, delete the database and its -txid file",
            LF_TXID("txid", position(f)), LF_TXID("newest", step->newest),
            LF_STR("output", f->o.output));
    else
        log_warn("follow: the next file is missing on the replica: waiting for it",
            LF_TXID("txid", position(f)), LF_TXID("next_min", step->next_min),
            LF_TXID("newest", step->newest), LF_STR("output", f->o.output));
}

/* After a look at all levels: what could not be done file by file. */
static int
finish_look(struct follow *f, const struct follow_step *step, struct err *e)
{
    if (step->what == FOLLOW_GAP || step->what == FOLLOW_BEHIND) {
        say_gap(f, step);
        f->next_look = mono_add_ms(mono_now(), retry_failed(&f->gap));
        return 0;
    }
    retry_succeeded(&f->gap);
    f->gap_said = 0;
    f->next_look = mono_add_ms(mono_now(), LOOK_EVERY_MS);
    return step->what == FOLLOW_REBASE ? rebase(f, &step->plan, e) : 0;
}

/* A damaged file: is there another way? 0 when there was; *why stays what is told. */
static int
go_around(struct follow *f, const struct err *why, struct err *e)
{
    uint64_t from = position(f);
    struct follow_step step;
    struct err other;
    int rc;

    rc = list_and_apply(f, true, &step, &other);
    if (rc == 0 && step.what == FOLLOW_REBASE)
        rc = rebase(f, &step.plan, &other);
    follow_step_deinit(&step);
    if (rc == 0 && position(f) > from) {
        log_warn("follow: went around a damaged file", LF_ERR(why));
        return 0;
    }
    *e = rc == ERR_CANCELLED ? other : *why;
    return err_code(e);
}

static int
round_of(struct follow *f, struct err *e)
{
    bool all = mono_reached(f->next_look);
    uint64_t from = follow_db_txid(f->db);
    struct follow_step step;
    int rc;

    if (from == 0 && !all)
        return 0; /* only the newest state will do, and it was looked for */
    rc = list_and_apply(f, all, &step, e);
    if (rc == 0 && step.what == FOLLOW_LOOK && f->gap.failures == 0) {
        follow_step_deinit(&step);
        all = true;
        rc = list_and_apply(f, true, &step, e);
    }
    if (rc == 0 && all)
        rc = finish_look(f, &step, e);
    else if (rc == 0 && position(f) > from && f->gap.failures > 0)
        f->next_look = mono_now(); /* is the gap gone? */
    follow_step_deinit(&step);
    return rc;
}

static int
poll_once(struct follow *f, struct err *e)
{
    struct err why;
    int rc = f->db == NULL ? open_db(f, e) : 0;

    f->bad.size = 0;
    if (rc == 0)
        rc = round_of(f, e);
    if (rc == ERR_CORRUPT && f->bad.size > 0 && f->db != NULL) {
        why = *e;
        rc = go_around(f, &why, e);
    }
    if (rc != 0)
        f->next_look = mono_now();
    /* A file that was merged away between listing and reading is looked for elsewhere. */
    if (rc != ERR_NOT_FOUND)
        f->n_vanished = 0;
    else if (f->n_vanished++ == 0)
        rc = 0;
    return rc;
}

/* --- the loop -------------------------------------------------------------------------
 */

/* Until then, or a signal: those wait while the flag is looked at. */
static void
sleep_until(const struct follow *f, struct mono end)
{
    sigset_t block, old;

    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    while (!cancel_asked(f->o.cancel) && !mono_reached(end)) {
        uint64_t ms = mono_wait_ms(end);
        struct timespec t;

        if (ms > SLEEP_MAX_MS)
            ms = SLEEP_MAX_MS;
        t.tv_sec = (time_t)(ms / 1000);
        t.tv_nsec = (long)(ms % 1000) * 1000000;
        pselect(0, NULL, NULL, NULL, &t, &old);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Nothing that waiting heals. */
static bool
is_final(int rc)
{
    return rc == ERR_CONFLICT || err_class_of((enum err_code)rc) == ERR_CLASS_USER;
}

/* How long to wait after a failed round. */
static int64_t
poll_failed(struct follow *f, const struct err *e)
{
    int64_t ms = retry_failed(&f->errors);

    if (retry_should_log(&f->errors, mono_now()))
        log_error("follow: error applying updates", LF_STR("err", e->text),
            LF_UINT("consecutive_errors", f->errors.failures),
            LF_STR("output", f->o.output));
    return ms > f->o.interval_ms ? ms : f->o.interval_ms;
}

static int
loop(struct follow *f, struct err *e)
{
    while (!cancel_asked(f->o.cancel)) {
        struct mono begin = mono_now();
        int64_t ms = f->o.interval_ms;
        uint32_t n;
        int rc = poll_once(f, e);

        if (rc == ERR_CANCELLED)
            break;
        if (is_final(rc))
            return rc;
        if (rc != 0)
            ms = poll_failed(f, e);
        else if ((n = retry_succeeded(&f->errors)) > 0)
            log_info("follow: works again", LF_UINT("errors", n),
                LF_STR("output", f->o.output));
        sleep_until(f, mono_add_ms(rc != 0 ? mono_now() : begin, ms));
    }
    return 0;
}

/* What is here must be something the replica knows of. */
static int
check_resumable(struct follow *f, struct err *e)
{
    struct restore_files files = { 0 };
    struct follow_step step;
    int rc = list(f, true, &files, e);

    if (rc != 0) {
        restore_files_deinit(&files);
        return err_wrap(e, "cannot validate saved TXID for crash recovery");
    }
    follow_decide(&files, position(f), true, &step);
    if (step.what == FOLLOW_BEHIND && step.newest > 0)
        rc = err_set(e, ERR_CONFLICT,
            "cannot resume follow mode: saved TXID %016llx is ahead of the newest file of "
            "the replica (max TXID %016llx); delete %s and %s-txid to re-restore",
            (unsigned long long)position(f), (unsigned long long)step.newest, f->o.output,
            f->o.output);
    follow_step_deinit(&step);
    restore_files_deinit(&files);
    return rc;
}

static int
start(struct follow *f, struct err *e)
{
    int rc = open_db(f, e);

    if (rc == 0)
        rc = session_open(f->o.replica, f->o.cancel, &f->session, e);
    if (rc == 0 && f->o.resumed)
        rc = check_resumable(f, e);
    if (rc != 0)
        return rc;
    f->next_look = mono_now();
    if (f->o.resumed)
        log_info("resuming follow mode from crash recovery",
            LF_STR("output", f->o.output), LF_TXID("txid", position(f)));
    log_info("entering follow mode", LF_STR("output", f->o.output),
        LF_TXID("txid", position(f)), LF_MS("interval", f->o.interval_ms));
    return 0;
}

int
follow_run(const struct follow_options *options, uint64_t *txid, struct err *e)
{
    struct follow f = { .o = *options, .dir = path_dir(options->output) };
    int rc;

    rand_seed();
    retry_init(&f.gap, f.o.interval_ms, BACKOFF_MAX_MS);
    retry_init(&f.errors, f.o.interval_ms, BACKOFF_MAX_MS);
    rc = start(&f, e);
    if (rc == 0)
        rc = loop(&f, e);
    if (rc == 0 || (rc == ERR_CANCELLED && cancel_asked(f.o.cancel))) {
        log_info("follow mode stopped", LF_STR("output", f.o.output),
            LF_TXID("txid", f.saved));
        rc = 0;
    }
    *txid = f.saved;
    follow_db_close(f.db);
    session_close(f.session);
    mem_free(f.dir);
    return rc;
}
