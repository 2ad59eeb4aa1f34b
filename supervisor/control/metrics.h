/*
 * metrics - the numbers of the daemon in the text format of Prometheus, 0.0.4.
 *
 * Which there are is a table (metrics_table.c): a line there is a series for each
 * database or replica. Values come from the slots at the moment they are written out.
 * Counters do not go back when a worker is started again: what earlier lives counted is
 * kept here, per database while it is known, and in sum for the series without one.
 *
 * The text is made database by database; memory does not grow with their number, but for
 * lives that have ended (some 100 bytes each) and the base names of databases.
 */
#ifndef SUPERVISOR_CONTROL_METRICS_H
#define SUPERVISOR_CONTROL_METRICS_H

#include "supervisor/db_table.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics; /* opaque */
struct control;
struct text_source;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
void metrics_event(struct metrics *m, const struct db_entry *d, enum db_event event);

/* One page; *out is for api_reply_text. */
void metrics_page(struct control *c, struct text_source *out);

#endif
