/*
 * supervisor_impl - the state that supervisor.c (loop, signals, end) and reload.c (which
 * databases there are to be) share.
 */
#ifndef SUPERVISOR_SUPERVISOR_IMPL_H
#define SUPERVISOR_SUPERVISOR_IMPL_H

#include <uv.h>

#include "common/base/arena.h"
#include "config/share.h"
#include "supervisor/control/control.h"
#include "supervisor/db_table.h"
#include "supervisor/dirs.h"
#include "supervisor/heartbeat.h"
#include "supervisor/supervisor.h"

/* A database that waits until another one has left its place. */
struct late_add {
    struct late_add *next;
    struct cfg_share *share;
    const struct cfg_db *db;
    enum db_origin origin;
};

struct supervisor {
    const struct supervisor_options *options;
    struct cfg_share *share; /* the configuration in effect */
    struct db_table *table;
    struct dirs *dirs;
    struct control *control;
    struct heartbeat *heartbeat; /* NULL: once, at the end */
    struct late_add *late;
    char *ignored; /* of the last reload */
    uv_loop_t loop;
    uv_signal_t sigint, sigterm, sighup, sigusr2, sigchld;
    uv_timer_t kill_timer, late_timer;
    int signals; /* SIGINT and SIGTERM so far */
    bool stopping, closing;
    size_t n_failed;
};

/* All databases of `share`, its folders included, and no others. At start, too. */
int reload_apply(struct supervisor *s, struct cfg_share *share,
    struct reload_report *report, struct err *e);

/* A database has left: another one may have waited for its place. */
void reload_retry_late(struct supervisor *s);
void reload_drop_late(struct supervisor *s);

#endif
