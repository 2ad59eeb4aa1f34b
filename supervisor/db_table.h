/*
 * db_table - the databases that the supervisor knows, each with its worker process, its
 * slot and its requests under way.
 *
 *               start                    ready, or not            STOP answered, reaped
 *   DISABLED ----------> WAITING -fork-> RUNNING -----> STOPPING ----------------->
 * DISABLED ^                  ^  | ^           |  ^            | or gone
 *      '------ stop ------'  | '-- death --'  |            '-- a death: once more -----'
 *                            '--- FAILED -----'
 *
 * A database is known by its path. It may be added, removed, stopped, started or get
 * another configuration at any time; what cannot be done before its worker has ended is
 * done then. A worker that is stopped for whatever reason first makes its final sync.
 *
 * Everything runs on the loop thread and nothing blocks. Every call returns at once: an
 * error at once means that nothing was begun and that no callback will come; after 0 the
 * callback comes exactly once, from the loop, never from inside the call, also when the
 * worker dies or the table is freed. A callback may call anything here but
 * db_table_free. Lookups by path or pid take O(log n); an idle database costs its
 * configuration, its slot (8 KB) and well under 1 KB of its own.
 *
 * Role PROC_SUPERVISOR.
 */
#ifndef SUPERVISOR_DB_TABLE_H
#define SUPERVISOR_DB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/base/wall.h"
#include "common/ipc/messages.h"
#include "common/ipc/slot.h"
#include "config/share.h"

struct db_table; /* opaque */
struct db_entry; /* opaque: one database; good until the loop goes on */

#define DB_MAX_ASKS MSG_MAX_REQUESTS /* requests under way to one worker */

enum db_state {
    DB_DISABLED, /* known, no process: stopped by request, or enabled: false */
    DB_WAITING,  /* a worker will be started: at once, or after a death */
    DB_RUNNING,  /* its worker lives (what that does is in the slot: enum worker_state) */
    DB_STOPPING, /* final sync under way; disabled, gone or started anew afterwards */
    DB_FAILED,   /* the worker dies again and again while it starts; tried slowly */
};

const char *db_state_name(enum db_state s); /* "running" */

/* Where a database comes from: a reload leaves registered ones alone. */
enum db_origin {
    DB_FROM_CONFIG,    /* a `path` entry */
    DB_FROM_DIRECTORY, /* a member of a `dir` entry */
    DB_REGISTERED,     /* added while running, gone after a restart */
};

/* What became of a worker or a request. */
struct db_answer {
    struct err err;           /* ERR_OK: good; else why not, with hint */
    bool already;             /* start: it was running; stop: it was stopped */
    uint64_t txid;            /* local position, 0: none */
    uint64_t replicated_txid; /* lowest over the replicas */
    bool complete;            /* CHECKPOINT: the whole WAL is in the database */
};

/* `a` is the caller's for the call; arg as given with the request. */
typedef void db_answer_cb(void *arg, const struct db_answer *a);

enum db_event {
    DB_EVENT_ADDED,
    DB_EVENT_STARTED, /* a worker was forked */
    DB_EVENT_READY,   /* its first sync is done; once a life */
    DB_EVENT_DIED,    /* unexpected; the obituary says why */
    DB_EVENT_STOPPED, /* ended as it was told to */
    DB_EVENT_REMOVED, /* the entry goes after this call */
};

struct db_table_options {
    uv_loop_t *loop;

    /* Workers bring everything up to date once and end; they are not started again. */
    bool once, force_snapshot, enforce_retention;

    /* Told of every event and whenever the last process has ended; may be NULL. */
    void (*event)(void *arg, const struct db_entry *d, enum db_event event);
    void (*idle)(void *arg); /* no process is left and none is to be started */
    void *arg;
};

/* NULL when there is no memory. */
struct db_table *db_table_new(const struct db_table_options *options);

/*
 * No process may be left. Requests under way are answered with ERR_CANCELLED. `freed`
 * comes from the loop when the last handle is closed.
 */
void db_table_free(struct db_table *t, void (*freed)(void *arg), void *arg);

/* --- looking --------------------------------------------------------------------------
 */

const struct db_entry *db_table_find(const struct db_table *t, const char *path);

/* In the order of addition; NULL begins, NULL ends. */
const struct db_entry *db_table_next(
    const struct db_table *t, const struct db_entry *after);

struct db_info {
    const char *path;

    /* What it is to run by: where it starts anew after a stop under way, the next one.
       Borrowed until the loop goes on. */
    const struct config *config;
    const struct cfg_db *db;
    enum db_origin origin;
    enum db_state state;
    bool removing; /* it will be gone when it has stopped (and was not added again) */
    pid_t pid;     /* 0: no process */
    bool ready;    /* this life's first sync is done */
    uint32_t incarnation;
    uint32_t restarts;    /* deaths so far */
    const char *obituary; /* of the last death, "": none; borrowed */
    struct wall died_at;  /* 0: never */
    struct wall started_at;
};

void db_entry_info(const struct db_entry *d, struct db_info *out);

/* The worker's numbers as they are now; those of the last life when none runs. */
void db_entry_slot(const struct db_entry *d, struct slot_data *out);
const struct slot *db_entry_live_slot(const struct db_entry *d); /* for slot_peek */

size_t db_table_size(const struct db_table *t);    /* databases */
size_t db_table_n_alive(const struct db_table *t); /* processes */

/* Databases whose last changes are known not to have reached every replica: at the end,
 * or when they were stopped or removed before and were not started since. */
size_t db_table_n_failed(const struct db_table *t);

/* --- changing -------------------------------------------------------------------------
 */

/*
 * Adds a database; an enabled one is started soon (many are started in batches, so that
 * the loop stays responsive).
 *
 *   share    gets one more owner, as long as the entry uses it
 *   db       of share's configuration; path not empty
 *   returns  0; ERR_EXISTS: the path is known already; ERR_CONFLICT: another database
 *            has the same local folder or the same destination; ERR_MEMORY
 *
 * A path that is being removed may be added again: the new one starts when the old one
 * is gone.
 */
int db_table_add(struct db_table *t, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, struct err *e);

/*
 * Gives a known database another configuration.
 *
 *   restart  false: what the worker uses is the same in both, it is not disturbed;
 *            true: final sync, end, start with the new one (if db->enabled, and it was
 * not stopped by db_table_stop before) returns  0; ERR_NOT_FOUND; ERR_CONFLICT and
 * ERR_MEMORY as above
 */
int db_table_replace(struct db_table *t, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, bool restart, struct err *e);

/*
 * Final sync, stop, forget: the replica is left as it is. The entry is gone when done is
 * called, whatever became of the sync.
 *
 *   timeout_ms  for the uploads, at most shutdown-sync-timeout; <= 0: that one
 *   done        may be NULL; err: the sync did not get through
 *   returns     0; ERR_NOT_FOUND
 */
int db_table_remove(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e);

/*
 * Starts a stopped database. Answered when its worker has looked at the database, with
 * its position (0: the file is not there yet, which is no error), or with what keeps it
 * from doing so; the worker stays and tries on then.
 *
 *   timeout_ms  for the answer; <= 0: none
 *   returns     0; ERR_NOT_FOUND
 */
int db_table_start(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e);

/* Final sync, stop, stay known. As db_table_remove. */
int db_table_stop(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e);

/*
 * A request to a worker: MSG_SYNC, MSG_SNAPSHOT or MSG_CHECKPOINT; head.id and the
 * payload are the caller's, the rest is filled in.
 *
 *   timeout_ms  for the answer (ERR_TIMEOUT; the worker goes on with it); <= 0: none
 *   done        ERR_CANCELLED when the worker was stopped, ERR_IO with its obituary when
 *               it died
 *   returns     0; ERR_NOT_FOUND: unknown path; ERR_BUSY: no worker runs just now (state
 *               in the text); ERR_LIMIT: DB_MAX_ASKS are under way
 */
int db_table_ask(struct db_table *t, const char *path, const struct msg *request,
    int64_t timeout_ms, db_answer_cb *done, void *arg, struct err *e);

/* To all workers, and those that are started later. */
void db_table_set_log_level(struct db_table *t, enum log_level level);

/* Opens the log file again, here and in all workers. */
void db_table_reopen_log(struct db_table *t);

/* --- the end --------------------------------------------------------------------------
 */

/*
 * Ends all workers with a final sync, also those that wait to be started: what was
 * committed while they were away is captured even now. Nothing can be added or started
 * any more. `idle` tells when all have ended.
 *
 *   skip  uploads are not waited for any more (a second call, after a second signal)
 */
void db_table_end(struct db_table *t, bool skip);

/* SIGKILL to those that are still there. */
void db_table_kill(struct db_table *t);

/* A child has ended: reaps those that are workers. Other children are left alone. */
void db_table_on_sigchld(struct db_table *t);

#endif
