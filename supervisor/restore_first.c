#include "supervisor/restore_first.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/spawn.h"
#include "workers/restore/restore.h"

#define AT_A_TIME 4
#define PARALLELISM 8 /* files fetched at once, as the command has it */

/* --- the child ------------------------------------------------------------------------
 */

static struct cancel cancelled;

static void
on_signal(int signo)
{
    (void)signo;
    cancel_ask(&cancelled);
}

static void
log_success(const struct cfg_db *db, const struct restore_result *res)
{
    log_info("restore completed", LF_STR("path", db->path), LF_TXID("txid", res->txid),
        LF_INT("size", res->bytes));
}

static int
restore_one(const struct cfg_db *db, struct err *e)
{
    const struct cfg_replica **all = mem_new_array(db->n_replicas, sizeof(*all));
    struct restore_options options = { .output = db->path,
        .parallelism = PARALLELISM,
        .integrity = INTEGRITY_QUICK,
        .cancel = &cancelled };
    struct restore_result res = { 0 };
    int rc;

    for (size_t i = 0; i < db->n_replicas; i++)
        all[i] = &db->replicas[i];
    rc = restore_choose(all, db->n_replicas, &options.target, &options.replica, e);
    if (rc == 0)
        rc = restore_run(&options, &res, e);
    if (rc == 0) {
        log_success(db, &res);
    } else if (rc == ERR_NOT_FOUND && res.n_ltx == 0 && res.n_v03 == 0) {
        log_info("no backup found, starting fresh", LF_STR("path", db->path));
        rc = 0;
    }
    restore_result_deinit(&res);
    mem_free(all);
    return rc;
}

int
restore_first_task(const struct cfg_db *db)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    struct err e;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (restore_one(db, &e) == 0)
        return EXIT_SUCCESS;
    log_error(
        "restore failed", LF_STR("path", db->path), LF_ERR(&e), LF_STR("hint", e.hint));
    return EXIT_FAILURE;
}

/* --- the parent -----------------------------------------------------------------------
 */

struct running {
    const struct cfg_db *db;
    pid_t pid;
};

/* Waits for one of them; *failed gets its database when that failed. */
static void
wait_for_one(struct running *running, size_t *n, const struct cfg_db **failed)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < *n; i++)
        if (running[i].pid == pid) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                *failed = running[i].db;
            running[i] = running[--*n];
            return;
        }
}

bool
restore_first_wanted(const struct cfg_db *db)
{
    struct stat st;

    if (!db->enabled || db->path[0] == '\0' || !db->restore_if_db_not_exists ||
        db->n_replicas == 0)
        return false;
    if (stat(db->path, &st) == 0) {
        log_info("database exists, skipping restore", LF_STR("path", db->path));
        return false;
    }
    log_info("attempting restore before replication", LF_STR("path", db->path));
    return true;
}

int
restore_first(const struct config *c, struct err *e)
{
    struct running running[AT_A_TIME];
    const struct cfg_db *failed = NULL;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && failed == NULL && i < c->n_dbs; i++) {
        if (!restore_first_wanted(&c->dbs[i]))
            continue;
        if (n == AT_A_TIME)
            wait_for_one(running, &n, &failed);
        running[n].db = &c->dbs[i];
        rc = spawn_task(&c->dbs[i], restore_first_task, &running[n].pid, e);
        if (rc == 0)
            n++;
    }
    while (n > 0)
        wait_for_one(running, &n, &failed);
    if (rc == 0 && failed != NULL)
        rc = err_set(e, ERR_IO, "restore failed: %s (see above)", failed->path);
    return rc;
}
