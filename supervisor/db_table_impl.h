/*
 * db_table_impl - what the parts of the table share: db_table.c (entries: who is known,
 * added, removed), db_life.c (the processes: starts, deaths, stops) and db_ask.c
 * (requests and who waits for what).
 */
#ifndef SUPERVISOR_DB_TABLE_IMPL_H
#define SUPERVISOR_DB_TABLE_IMPL_H

#include <uv.h>

#include "common/base/mono.h"
#include "supervisor/db_table.h"
#include "supervisor/restart_policy.h"
#include "supervisor/slot_pool.h"
#include "supervisor/watch/hub.h"
#include "workers/link.h"

#define STOP_REQUEST 1 /* the id of STOP; those of other requests are above */
#define FIRST_REQUEST 2
#define LAST_REQUEST 0xff00 /* the worker has some above for itself */

/* A key of the trees; `text` is owned by whom it is in. */
struct db_key {
    char *text;
};

/* A place that an entry writes to, or will when it starts anew; see cfg_db_places. */
struct db_place {
    struct db_key key;
    struct db_entry *owner;
    unsigned n; /* 2: of the present and of the next configuration */
};

/* How many workers are forked in a row, before the loop looks at anything else. */
#define DB_START_BATCH 32

#define DB_MAX_PLACES (1 + SLOT_MAX_REPLICAS)

/* What an entry runs by. */
struct db_setup {
    struct cfg_share *share; /* NULL: none */
    const struct cfg_db *db;
    enum db_origin origin;
    struct db_place *places[DB_MAX_PLACES];
    size_t n_places;
};

enum ask_kind {
    ASK_PLAIN, /* sent to the worker */
    ASK_START, /* a SYNC for the worker that will be started, or was */
    ASK_STOP,  /* waits for its end */
};

struct db_ask {
    struct db_ask *next;
    struct db_entry *entry; /* NULL: answered, its timer is closing */
    enum ask_kind kind;
    uint16_t id; /* 0: not sent */
    bool already;
    bool due; /* nothing to wait for: answered from the loop */
    uv_timer_t timer;
    db_answer_cb *done;
    void *arg;
};

struct db_entry {
    struct db_table *table;
    struct db_key path;
    struct db_entry *prev, *next;             /* in the order of addition */
    struct db_entry *queue_prev, *queue_next; /* waiting for its turn in on_work */
    bool queued;
    struct db_setup now, then; /* then: after the stop under way */
    struct slot *slot;

    bool wanted;    /* it should run */
    bool removing;  /* to be forgotten when it has stopped */
    bool announced; /* its replicas were logged */
    bool restore;   /* first, if its file is missing */
    bool behind;    /* its last stop did not bring everything to every replica */
    bool restoring; /* pid is that of the restore */
    bool active;    /* counted in n_active */

    /* the process */
    bool starting; /* it is one of the next forks */
    pid_t pid;     /* 0: not running */
    uint32_t incarnation;
    struct link *link;
    struct mono started;
    struct wall started_at;
    bool ready, own_watch;
    bool stopping;    /* STOP was asked for; until all is over */
    bool answered;    /* it told how its final sync went */
    bool failed;      /* its status says that it did not go well */
    bool second_stop; /* it died during its final sync and makes it again */
    int64_t stop_timeout_ms;
    struct db_answer farewell; /* how the final sync went */
    struct restart_policy policy;
    char *obituary; /* NULL: none */
    struct wall died_at;
    uv_timer_t restart;
    struct hub_watch watch;

    struct db_ask *asks;
    unsigned n_asks;
    uint16_t last_request;
};

struct db_table {
    struct db_table_options opt;
    uv_idle_t work; /* active while something is queued */
    struct slot_pool slots;
    struct db_entry *first, *last;
    struct db_entry *queue_first, *queue_last;
    struct db_entry *starts[DB_START_BATCH];
    size_t n_starts;
    void *by_path, *by_place, *by_pid; /* tsearch trees */
    size_t n_entries, n_alive, n_failed;
    size_t n_active;   /* entries with a process, a channel, or something to do */
    size_t n_handles;  /* not closed yet */
    unsigned own_left; /* inotify instances that workers may still have */
    bool running;      /* the loop has run: what is added now was not restored at start */
    bool ending, skip, idle_told, closing;
    void (*freed)(void *arg);
    void *freed_arg;
};

/* db_table.c */
struct db_entry *db_find(const struct db_table *t, const char *path);
void db_tell(struct db_entry *d, enum db_event event);
void db_enqueue(struct db_entry *d); /* db_work() comes from the loop */
void db_settle(struct db_entry *d);  /* after every change: is it at rest? */
void db_stopped(struct db_entry *d); /* its stop is over: forget, start anew, or rest */
void db_handle_closed(struct db_table *t); /* the last thing with a handle of it */
void db_tell_idle(struct db_table *t);     /* from the loop, if nothing is active then */
bool db_is_active(const struct db_entry *d);

/* db_life.c */
void db_work(struct db_entry *d); /* its turn: starts what is wanted, ends what is over */
void db_start_all(struct db_table *t); /* forks those whose turn it was */
void db_begin_stop(struct db_entry *d, int64_t timeout_ms, bool skip);

/* db_ask.c */
struct db_ask *db_ask_new(struct db_entry *d, enum ask_kind kind, int64_t timeout_ms,
    db_answer_cb *done, void *arg);
void db_ask_answer(struct db_entry *d, const struct msg *m); /* a DONE */
void db_ask_send_starts(struct db_entry *d);                 /* a worker is there */
void db_ask_answer_due(struct db_entry *d); /* those with nothing to wait for */

/* Answers all of the kinds (an or of 1u << enum ask_kind). */
void db_ask_end(struct db_entry *d, unsigned kinds, const struct db_answer *with);
void db_ask_fail(struct db_entry *d, unsigned kinds, const struct err *e);

#endif
