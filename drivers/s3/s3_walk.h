/*
 * s3_walk - all pages of a listing of objects.
 */
#ifndef DRIVERS_S3_S3_WALK_H
#define DRIVERS_S3_S3_WALK_H

#include "drivers/s3/s3_client.h"

/* Memory of the caller, zeroed but for what it sets. */
struct s3_walk {
    const char *prefix, *start_after, *delimiter; /* borrowed; NULL: none but prefix */
    s3_entry_cb *entry;
    /* A page is complete: its entries stay. Without it they come again, from `forget`. */
    void (*keep)(void *arg);
    void (*forget)(void *arg);
    void (*done)(void *arg, const struct err *e); /* e NULL: all pages came */
    void *arg;

    struct s3_client *client;
    struct s3_op call;
    char *token;
};

void s3_walk_start(struct s3_walk *w, struct s3_client *c);
void s3_walk_cancel(struct s3_walk *w); /* also when it is over */

#endif
