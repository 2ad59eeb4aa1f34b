#include "workers/restore/restore.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/json/json_text.h"
#include "common/ltx/ltx_name.h"
#include "config/url.h"
#include "supervisor/commands/command.h"
#include "workers/restore/follow.h"

static const struct command_help help = {
    .about = "Restores a database from a replica.",
    .usage = "\tlitestream restore [flags] DB_PATH\n\n"
             "\tlitestream restore [flags] REPLICA_URL",
};

#define PARALLELISM_MAX 64
#define FOLLOW_INTERVAL_NS INT64_C(1000000000)

struct restore_args {
    struct config_flags cf;
    const char *source;
    const char *shown_source; /* without a password */
    const char *output;       /* -o, NULL: where the database is */
    uint64_t txid;
    bool by_txid;
    const char *timestamp;
    int64_t parallelism;
    bool if_db_not_exists, if_replica_exists, dry_run, force, json, follow;
    int64_t follow_interval_ns;
    const char *integrity_text;
    const char *replica; /* -replica, NULL: the one that reaches furthest */

    enum restore_integrity integrity;
    struct restore_target target;
};

static const char *
parse_txid(const char *text, void *value)
{
    struct restore_args *a = value;
    struct err e;

    if (ltx_txid_parse(text, &a->txid, &e) != 0)
        return "invalid txid format";
    a->by_txid = true;
    return NULL;
}

static const char *
integrity_name(enum restore_integrity mode)
{
    switch (mode) {
    case INTEGRITY_NONE:
        return "none";
    case INTEGRITY_QUICK:
        return "quick";
    case INTEGRITY_FULL:
        return "full";
    }
    return "none";
}

static int
check_integrity_flag(struct restore_args *a, struct err *e)
{
    for (int mode = INTEGRITY_NONE; mode <= INTEGRITY_FULL; mode++)
        if (strcmp(a->integrity_text, integrity_name((enum restore_integrity)mode)) ==
            0) {
            a->integrity = (enum restore_integrity)mode;
            return 0;
        }
    return err_set(e, ERR_USAGE, "invalid -integrity-check value: %s", a->integrity_text);
}

static int
check_target(struct restore_args *a, struct err *e)
{
    a->target = (struct restore_target){ .by_txid = a->by_txid, .txid = a->txid };
    if (a->timestamp == NULL)
        return 0;
    if (!wall_parse(a->timestamp, &a->target.timestamp))
        return err_set(e, ERR_USAGE,
            "invalid -timestamp, must specify in ISO 8601 format "
            "(e.g. 2000-01-01T00:00:00Z)");
    a->target.by_time = true;
    return 0;
}

/* --- output ---------------------------------------------------------------------------
 */

static void
text_of(const struct ltx_info *f, char name[LTX_NAME_SIZE], char min[LTX_TXID_SIZE],
    char max[LTX_TXID_SIZE], char created[WALL_TEXT_MAX])
{
    ltx_name_format(f->min_txid, f->max_txid, name);
    ltx_txid_format(f->min_txid, min);
    ltx_txid_format(f->max_txid, max);
    wall_format(f->created, WALL_SECONDS, created);
}

static int
print_plan_json(const struct restore_args *a, const char *target, const char *type,
    const struct restore_result *res, struct err *e)
{
    const struct restore_plan *p = &res->plan;
    char name[LTX_NAME_SIZE], min[LTX_TXID_SIZE], max[LTX_TXID_SIZE],
        created[WALL_TEXT_MAX];
    json_t *files = json_array(), *out = json_object();
    int rc;

    for (size_t i = 0; i < p->n; i++) {
        text_of(&p->files[i], name, min, max, created);
        json_array_append_new(
            files, json_pack("{s:i, s:s, s:s, s:s, s:I, s:s}", "level", p->files[i].level,
                       "name", name, "min_txid", min, "max_txid", max, "size",
                       (json_int_t)p->files[i].size, "timestamp", created));
    }
    ltx_txid_format(p->files[0].min_txid, min);
    ltx_txid_format(res->txid, max);
    json_object_set_new(out, "source", json_text_string(a->shown_source));
    json_object_set_new(out, "target_path", json_text_string(target));
    json_object_set_new(out, "replica", json_string(type));
    json_object_set_new(out, "min_txid", json_string(min));
    json_object_set_new(out, "max_txid", json_string(max));
    json_object_set_new(out, "files", files);
    rc = json_text_print(stdout, out, e);
    json_decref(out);
    return rc;
}

static void
print_plan(const struct restore_args *a, const char *target, const char *type,
    const struct restore_result *res)
{
    static const char *const header[] = { "level", "file", "min_txid", "max_txid", "size",
        "timestamp" };
    const struct restore_plan *p = &res->plan;
    char name[LTX_NAME_SIZE], min[LTX_TXID_SIZE], max[LTX_TXID_SIZE],
        created[WALL_TEXT_MAX];
    struct table *t = table_new(header, 6);

    ltx_txid_format(p->files[0].min_txid, min);
    ltx_txid_format(res->txid, max);
    printf(
        "Restore plan:\n  source: %s\n  target: %s\n  replica: %s\n  txid range: %s - %s\n",
        a->shown_source, target, type, min, max);
    printf("\nFiles to fetch:\n");
    for (size_t i = 0; i < p->n; i++) {
        char level[16], size[32];
        const char *row[] = { level, name, min, max, size, created };

        text_of(&p->files[i], name, min, max, created);
        snprintf(level, sizeof(level), "%d", p->files[i].level);
        snprintf(size, sizeof(size), "%lld", (long long)p->files[i].size);
        table_add(t, row);
    }
    table_print_free(t);
}

static int
print_v03_json(const struct restore_args *a, const char *target, const char *type,
    const struct restore_result *res, struct err *e)
{
    const struct v03_plan *p = &res->v03;
    json_t *files = json_array(), *out = json_object();
    char generation[LTX_TXID_SIZE];
    int rc;

    for (size_t i = 0; i < p->n; i++) {
        const struct v03_object *o = &p->files[i];
        char key[V03_KEY_SIZE], created[WALL_TEXT_MAX];

        v03_key_format(o, key);
        wall_format(o->created, WALL_SECONDS, created);
        json_array_append_new(
            files, json_pack("{s:s, s:I, s:I, s:I, s:s}", "name", key + V03_KEY_SHORT,
                       "index", (json_int_t)o->index, "offset", (json_int_t)o->off,
                       "size", (json_int_t)o->size, "timestamp", created));
    }
    snprintf(generation, sizeof(generation), "%016llx",
        (unsigned long long)p->files[0].generation);
    json_object_set_new(out, "source", json_text_string(a->shown_source));
    json_object_set_new(out, "target_path", json_text_string(target));
    json_object_set_new(out, "replica", json_string(type));
    json_object_set_new(out, "min_txid", json_string(""));
    json_object_set_new(out, "max_txid", json_string(""));
    json_object_set_new(out, "generation", json_string(generation));
    json_object_set_new(out, "files", files);
    rc = json_text_print(stdout, out, e);
    json_decref(out);
    return rc;
}

static void
print_v03(const struct restore_args *a, const char *target, const char *type,
    const struct restore_result *res)
{
    static const char *const header[] = { "file", "index", "offset", "size",
        "timestamp" };
    const struct v03_plan *p = &res->v03;
    struct table *t = table_new(header, 5);

    printf("Restore plan:\n  source: %s\n  target: %s\n  replica: %s\n"
           "  v0.3 generation: %016llx\n",
        a->shown_source, target, type, (unsigned long long)p->files[0].generation);
    printf("\nFiles to fetch:\n");
    for (size_t i = 0; i < p->n; i++) {
        const struct v03_object *o = &p->files[i];
        char key[V03_KEY_SIZE], index[16], off[32] = "", size[32];
        char created[WALL_TEXT_MAX];
        const char *row[] = { key + V03_KEY_SHORT, index, off, size, created };

        v03_key_format(o, key);
        wall_format(o->created, WALL_SECONDS, created);
        snprintf(index, sizeof(index), "%u", o->index);
        if (o->kind == V03_SEGMENT)
            snprintf(off, sizeof(off), "%lld", (long long)o->off);
        snprintf(size, sizeof(size), "%lld", (long long)o->size);
        table_add(t, row);
    }
    table_print_free(t);
}

static int
show_plan(const struct restore_args *a, const char *target, const char *type,
    const struct restore_result *res, struct err *e)
{
    bool v03 = res->v03.n > 0;

    if (a->json)
        return v03 ? print_v03_json(a, target, type, res, e)
                   : print_plan_json(a, target, type, res, e);
    if (v03)
        print_v03(a, target, type, res);
    else
        print_plan(a, target, type, res);
    return 0;
}

/* A v0.3 backup has no TXID: an empty one then, as for other restores without. */
static int
print_result_json(const struct restore_args *a, const char *output, const char *type,
    const struct restore_result *res, struct mono t0, struct err *e)
{
    char txid[LTX_TXID_SIZE];
    json_t *out;
    int rc;

    ltx_txid_format(res->txid, txid);
    if (res->v03.n > 0)
        txid[0] = '\0';
    out = json_pack("{s:o, s:s, s:s, s:I, s:s}", "db_path", json_text_string(output),
        "replica", type, "txid", txid, "duration_ms", (json_int_t)mono_since_ms(t0),
        "integrity_check", integrity_name(a->integrity));
    rc = json_text_print(stdout, out, e);
    json_decref(out);
    return rc;
}

/* --- the work -------------------------------------------------------------------------
 */

/* Those that -replica allows, and of these the one that leads to the latest moment. */
static int
choose_replica(const struct restore_args *a, const struct command_source *src,
    const struct cfg_replica **out, struct err *e)
{
    const struct cfg_replica **asked = mem_new_array(src->n_replicas + 1, sizeof(*asked));
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < src->n_replicas; i++)
        if (command_is_replica(&src->replicas[i], a->replica))
            asked[n++] = &src->replicas[i];
    rc = n == 0 ? command_no_replica(a->replica, e)
                : restore_choose(asked, n, &a->target, out, e);
    mem_free(asked);
    return rc;
}

/* Nothing there that fits: an error, or what -if-replica-exists is for. */
static int
nothing_found(
    const struct restore_args *a, const struct restore_result *res, struct err *e)
{
    bool empty = res->n_ltx == 0 && res->n_v03 == 0;

    if (a->if_replica_exists && empty) {
        log_info("no matching backups found");
        e->code = ERR_OK;
        return 0;
    }
    if (res->n_ltx == 0 && res->n_v03 > 0 && a->by_txid)
        return err_set(e, ERR_NOT_FOUND,
            "no matching backup files available: those of Litestream v0.3 have no TXIDs; "
            "use -timestamp");
    if (res->n_ltx > 0 || (empty && !a->target.by_time))
        err_set(e, ERR_NOT_FOUND, "no matching backup files available");
    return err_code(e);
}

static struct cancel cancelled;

static void
on_signal(int signo)
{
    (void)signo;
    cancel_ask(&cancelled);
}

/* The first SIGINT or SIGTERM ends the work and removes what is half made; the next one
 * kills. */
static void
listen_to_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    struct sigaction old;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

static void
log_result(const char *output, const char *type, const struct restore_result *res,
    struct mono t0)
{
    struct log_field at = LF_TXID("txid", res->txid);

    if (res->v03.n > 0)
        at = LF_TXID("generation", res->v03.files[0].generation);
    log_info("restored database", LF_STR("replica", type), LF_STR("path", output), at,
        LF_INT("size", res->bytes), LF_MS("duration", mono_since_ms(t0)));
}

/* Until a signal comes; what is there in the end is the result. */
static int
follow(const struct restore_args *a, const struct cfg_replica *replica,
    const char *output, bool resumed, struct restore_result *res, struct err *e)
{
    struct follow_options options = { .replica = replica,
        .output = output,
        .interval_ms = (a->follow_interval_ns + 999999) / 1000000,
        .parallelism = (unsigned)a->parallelism,
        .resumed = resumed,
        .cancel = &cancelled };

    return follow_run(&options, &res->txid, e);
}

static int
restore(const struct restore_args *a, const struct cfg_replica *replica,
    const char *output, struct err *e)
{
    struct restore_options options = { .replica = replica,
        .target = a->target,
        .output = output,
        .parallelism = (unsigned)a->parallelism,
        .force = a->force,
        .plan_only = a->dry_run,
        .check_bounds = true,
        .integrity = a->integrity,
        .cancel = &cancelled,
        .ltx_only = a->follow,
        .finish = a->follow ? follow_prepare : NULL };
    const char *type = cfg_replica_type_name(replica->type);
    struct mono t0 = mono_now();
    struct restore_result res;
    int rc = restore_run(&options, &res, e);

    if (rc == ERR_NOT_FOUND && res.plan.n == 0 && res.v03.n == 0) {
        rc = nothing_found(a, &res, e);
    } else if (rc == 0 && a->dry_run) {
        rc = show_plan(a, output, type, &res, e);
    } else if (rc == 0) {
        if (a->integrity != INTEGRITY_NONE)
            log_info("post-restore integrity check passed", LF_STR("replica", type));
        log_result(output, type, &res, t0);
        if (a->follow)
            rc = follow(a, replica, output, false, &res, e);
        if (rc == 0 && a->json)
            rc = print_result_json(a, output, type, &res, t0, e);
    }
    restore_result_deinit(&res);
    return rc;
}

static int
resume(const struct restore_args *a, const struct cfg_replica *replica,
    const char *output, struct err *e)
{
    struct restore_result res = { 0 };
    struct mono t0 = mono_now();
    int rc = follow(a, replica, output, true, &res, e);

    if (rc == 0 && a->json)
        rc = print_result_json(
            a, output, cfg_replica_type_name(replica->type), &res, t0, e);
    return rc;
}

/* A database that is there is followed on; an empty file is none. */
static bool
can_resume(const struct restore_args *a, const char *output)
{
    struct stat st;

    return a->follow && !a->force && stat(output, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size > 0;
}

static int
restore_or_resume(const struct restore_args *a, const struct command_source *src,
    const char *output, struct err *e)
{
    const struct cfg_replica *replica = NULL;
    bool resumes = can_resume(a, output);
    int rc = resumes || a->dry_run ? 0 : output_check(output, a->force, e);

    if (rc == 0)
        rc = choose_replica(a, src, &replica, e);
    if (rc != 0)
        return rc;
    must(replica != NULL);
    listen_to_signals();
    return resumes ? resume(a, replica, output, e) : restore(a, replica, output, e);
}

static int
run(struct restore_args *a, struct err *e)
{
    struct command_source src = { 0 };
    char *db_path = NULL;
    const char *output = a->output;
    struct stat st;
    int rc = check_integrity_flag(a, e);

    if (rc == 0)
        rc = check_target(a, e);
    if (rc == 0)
        rc = command_source_open(a->source, &a->cf, a->json || a->dry_run, &src, e);
    if (rc == 0 && output == NULL) {
        rc = path_expand_db(a->source, &db_path, e);
        output = db_path;
    }
    if (rc == 0 && !a->dry_run && a->if_db_not_exists && stat(output, &st) == 0)
        log_info("database already exists, skipping", LF_STR("path", output));
    else if (rc == 0)
        rc = restore_or_resume(a, &src, output, e);
    command_source_close(&src);
    mem_free(db_path);
    return rc;
}

/* The command as it would be right, but without a password. */
static void
hint_output(const char *url, struct err *e)
{
    struct arena scratch;

    arena_init(&scratch);
    err_hint(
        e, "litestream restore -o /path/to/db %s", url_without_password(&scratch, url));
    arena_deinit(&scratch);
}

/* A follower goes on from the newest state. */
static int
check_follow(const struct restore_args *a, struct err *e)
{
    if (a->dry_run)
        return err_set(e, ERR_USAGE, "cannot use -dry-run with -f");
    if (a->by_txid && a->timestamp != NULL)
        return err_set(e, ERR_USAGE, "cannot specify index & timestamp to restore");
    if (a->by_txid)
        return err_set(e, ERR_USAGE, "cannot use follow mode with -txid");
    if (a->timestamp != NULL)
        return err_set(e, ERR_USAGE, "cannot use follow mode with -timestamp");
    return 0;
}

static int
check_arguments(struct restore_args *a, int argc, char **argv, int used, struct err *e)
{
    if (argc == used) {
        err_set(e, ERR_USAGE, "database path or replica URL required");
        return err_hint(e, "litestream restore -o /path/to/db s3://bucket/prefix");
    }
    if (argc > used + 1)
        return err_set(e, ERR_USAGE, "too many arguments");
    a->source = argv[used];
    if (command_is_url(a->source) && a->output == NULL) {
        err_set(e, ERR_USAGE, "-o is required when restoring from a replica URL");
        hint_output(a->source, e);
        return (int)e->code;
    }
    /* Any number is accepted: for Litestream it means nothing, and scripts have all
     * kinds. */
    if (a->parallelism < 1)
        a->parallelism = 1;
    if (a->parallelism > PARALLELISM_MAX)
        a->parallelism = PARALLELISM_MAX;
    if (a->follow_interval_ns <= 0)
        a->follow_interval_ns = FOLLOW_INTERVAL_NS;
    return a->follow ? check_follow(a, e) : 0;
}

int
cmd_restore(int argc, char **argv, struct err *e)
{
    struct restore_args a = { .parallelism = 8, .integrity_text = "none" };
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(a.cf),
        { .name = "o",
            .type = FLAG_STRING,
            .value = &a.output,
            .arg = "PATH",
            .doc = "Where the restored database goes; default: DB_PATH." },
        { .name = "txid",
            .type = FLAG_CUSTOM,
            .value = &a,
            .parse = parse_txid,
            .arg = "TXID",
            .doc = "Restore up to this transaction (16 hex digits)." },
        { .name = "timestamp",
            .type = FLAG_STRING,
            .value = &a.timestamp,
            .arg = "TIMESTAMP",
            .doc = "Restore what was committed before this time (RFC 3339)." },
        { .name = "parallelism",
            .type = FLAG_INT,
            .value = &a.parallelism,
            .arg = "N",
            .doc = "Parts of files that are fetched at the same time; default 8." },
        { .name = "if-db-not-exists",
            .type = FLAG_BOOL,
            .value = &a.if_db_not_exists,
            .doc = "Do nothing, successfully, when the database exists." },
        { .name = "if-replica-exists",
            .type = FLAG_BOOL,
            .value = &a.if_replica_exists,
            .doc = "Do nothing, successfully, when there are no backups." },
        { .name = "dry-run",
            .type = FLAG_BOOL,
            .value = &a.dry_run,
            .doc = "Print what would be restored from which files." },
        { .name = "force",
            .type = FLAG_BOOL,
            .value = &a.force,
            .doc = "Replace an existing database, once the new one is complete." },
        { .name = "integrity-check",
            .type = FLAG_STRING,
            .value = &a.integrity_text,
            .arg = "MODE",
            .doc = "Check the result before it is put in place: none, quick or full." },
        { .name = "json", .type = FLAG_BOOL, .value = &a.json, .doc = "Print JSON." },
        { .name = "replica",
            .type = FLAG_STRING,
            .value = &a.replica,
            .arg = "NAME",
            .doc = "Of several replicas the one of this name or type; default: the one "
                   "that reaches furthest." },
        { .name = "v", .type = FLAG_BOOL, .value = &(bool){ false } },
        { .name = "f",
            .type = FLAG_BOOL,
            .value = &a.follow,
            .doc =
                "Keep the database up to date with the replica, until a signal comes." },
        { .name = "follow-interval",
            .type = FLAG_DURATION,
            .value = &a.follow_interval_ns,
            .arg = "DURATION",
            .doc = "Time between two looks at the replica with -f; default 1s." },
    };
    struct arena scratch;
    int used, status, rc;

    if (!command_flags(&help, flags, sizeof(flags) / sizeof(flags[0]), argc, argv, &used,
            &status, e))
        return status;
    arena_init(&scratch);
    rc = check_arguments(&a, argc, argv, used, e);
    if (rc == 0) {
        a.shown_source = command_is_url(a.source)
                             ? url_without_password(&scratch, a.source)
                             : a.source;
        rc = run(&a, e);
    }
    arena_deinit(&scratch);
    return rc == 0 ? 0 : command_failed();
}
