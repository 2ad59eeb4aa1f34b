/*
 * s3_impl - what the operations of the driver share. Only they include this header.
 */
#ifndef DRIVERS_S3_S3_IMPL_H
#define DRIVERS_S3_S3_IMPL_H

#include <uv.h>

#include "common/base/arena.h"
#include "common/base/mono.h"
#include "drivers/driver_impl.h"
#include "drivers/s3/s3_client.h"
#include "drivers/s3/s3_walk.h"

#define S3_LTX_NAME_MAX 44 /* "0000/" and the name of a file, with the NUL */
#define S3_TIMESTAMP "x-amz-meta-litestream-timestamp"

/* Does the server refuse to replace an object when it is asked to? */
enum s3_conditions {
    S3_COND_UNKNOWN,
    S3_COND_HONOURED,
    S3_COND_IGNORED, /* it has to be looked before and after */
};

struct s3_drv {
    struct drv *drv;
    struct s3_client *client;
    const struct cfg_replica *cfg;
    enum s3_conditions conditions;
    bool no_batches;     /* DeleteObjects is not there */
    bool told_refusal;   /* that objects may not be deleted */
    struct mono swept;   /* when abandoned uploads were looked for; 0: never */
    struct s3_put *puts; /* under way */
    uv_timer_t turn;     /* for those that want one */
};

/* --- listing (s3_list.c)
 */

#define S3_STAMPS 16 /* objects that are asked for their timestamps at a time */

struct s3_list {
    struct drv_list req;
    struct s3_walk walk;
    char *prefix, *start_after;
    struct ltx_info *infos;
    size_t n, cap, kept;
    struct s3_stamp *stamps; /* S3_STAMPS; NULL: none are asked for */
    size_t next_stamp, n_stamps;
    struct err err;
};

struct s3_list_keys {
    struct drv_list_keys req;
    struct s3_walk walk;
    char *prefix;
    struct arena names;
    struct drv_key *keys;
    size_t n, cap, kept;
};

/* --- reading (s3_get.c) */

struct s3_get {
    struct s3_op call;
    char *key;
    int64_t off;
    uint8_t *buf;
    size_t size;
    size_t got;
    int64_t expected;  /* bytes that there are of the range; -1: not known */
    char etag[128];    /* of what came so far */
    char range[64];    /* the header */
    size_t got_before; /* this request */
    int fruitless;     /* requests that brought nothing */
    int changes;       /* of the object meanwhile */
    bool checked;      /* the head of this answer was looked at */
    bool enough;
};

/* --- writing (s3_put.c, s3_parts.c) */

/* Bytes of the source in memory, with their hash. */
struct s3_piece {
    uint8_t *bytes;
    size_t n, cap;
    struct digest_stream *sum; /* NULL: nothing came yet, or it is finished */
    char hash[65];
};

/* Looks for uploads that a killed process left behind; see s3_sweep.c. */
struct s3_sweep {
    struct s3_drv *sd;
    struct s3_op call;
    struct s3_orphan *orphans;
    size_t n, next;
    void (*done)(void *arg);
    void *arg;
};

struct s3_put {
    struct drv_put req;
    struct s3_task *task;
    struct s3_put *next; /* of s3_drv.puts */
    char *key;
    struct s3_op call;     /* about the whole object */
    struct s3_piece piece; /* all of it, or the part that is being filled */
    int64_t part_bytes;    /* of each part but the last */
    int64_t total;         /* bytes taken from the source */
    bool ended;            /* the source has */
    bool wants_turn;       /* goes on reading in the next turn of the loop */
    char timestamp[WALL_TEXT_MAX];
    char checksum[45];
    char etag[128];      /* that the server gave */
    bool conditional;    /* the request said If-None-Match */
    struct s3_parts *up; /* NULL: one piece */
};

/* --- deleting (s3_delete.c) */

#define S3_SINGLES 8

struct s3_single; /* a deletion of one object */

struct s3_delete {
    char **keys; /* of all; owned */
    size_t n, next, batch;
    struct s3_op call;
    struct buf body;
    char md5[25];
    bool with_md5;
    char checksum[45];
    size_t n_faults;
    struct err err; /* the first fault, then lines of others */
    struct s3_single *singles;
    size_t n_singles; /* under way */
    struct mono began;
    /* of delete-all */
    struct s3_walk walk;
    char *prefix;
    int level;
    size_t cap, kept;
};

struct s3_task {
    struct drv_op op;
    void (*stop)(struct s3_task *t); /* gives everything back; then it is finished */
    union {
        struct s3_list list;
        struct s3_list_keys list_keys;
        struct s3_get get;
        struct s3_put put;
        struct s3_delete del;
    } u;
};

struct s3_task *s3_task_of(struct drv_op *op);
struct s3_drv *s3_drv_of(const struct s3_task *t);

/* Ends a task; e NULL: it went well. */
void s3_task_finish(struct s3_task *t, const struct err *e);

/* PATH/LLLL/ and a name behind it; owned. */
char *s3_level_prefix(const struct s3_drv *sd, int level);
char *s3_ltx_key(const struct s3_drv *sd, int level, uint64_t min, uint64_t max);

/* A key that is kept beside, by its cleaned name; a folder ends in a slash. Owned. */
char *s3_other_key(const struct s3_drv *sd, const char *key);
char *s3_other_folder(const struct s3_drv *sd, const char *folder);

/* The level, or -1: no LTX file of ours. */
int s3_parse_key(const struct s3_drv *sd, const char *key, uint64_t *min, uint64_t *max);

/* --- between s3_put.c and s3_parts.c */

/* Reads on until there are `want` bytes in the piece or no more: ERR_AGAIN, p->wants_turn
 * or a `wake` tell when to go on. */
int s3_put_read(struct s3_put *p, size_t want, struct err *e);
void s3_put_finish(struct s3_put *p, const struct err *e);
void s3_put_headers(struct s3_put *p, struct s3_op *call); /* of what creates an object */
void s3_put_etag(struct s3_put *p, const char *etag);
void s3_piece_free(struct s3_piece *piece);
void s3_conditions_ignored(struct s3_drv *sd);
bool s3_same_etag(const char *a, const char *b);

/* Is there an object of that name? `done` finds the answer in p->call. */
void s3_put_look(struct s3_put *p, void (*done)(void *arg));

/* The first part is full. */
void s3_parts_begin(struct s3_put *p);
void s3_parts_go_on(struct s3_put *p); /* more of the source has come */
void s3_parts_fail(
    struct s3_put *p, const struct err *e); /* gives up; tells the server */

void s3_sweep_start(
    struct s3_sweep *s, struct s3_drv *sd, void (*done)(void *arg), void *arg);
void s3_sweep_cancel(struct s3_sweep *s);

/* drv_ops */
int s3_list(struct drv_op *op, const struct drv_list *req, struct err *e);
int s3_list_keys(struct drv_op *op, const struct drv_list_keys *req, struct err *e);
int s3_get(struct drv_op *op, const struct drv_get *req, struct err *e);
int s3_get_key(struct drv_op *op, const struct drv_get_key *req, struct err *e);
int s3_put(struct drv_op *op, const struct drv_put *req, struct err *e);
int s3_delete(struct drv_op *op, const struct drv_del *req, struct err *e);
int s3_delete_all(struct drv_op *op, struct err *e);

#endif
