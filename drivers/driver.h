/*
 * driver - the one interface to every kind of replica.
 *
 * All calls start work and return at once; the answer comes from the loop, exactly once,
 * also when the work is cancelled. No callback runs inside the call that started it.
 * Several operations may run at the same time on one drv. Loop thread only.
 *
 * Errors: ERR_NOT_FOUND is an absent file and nothing else. An absent level is an empty
 * list. Classes follow common/base/errors.def; the text keeps the store's own code and
 * words.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_format.h"
#include "config/config.h"
#include "drivers/source.h"

struct drv;    /* one destination; opaque */
struct drv_op; /* one operation under way; dead once its `done` has run */

/* What the surroundings give to a driver. */
struct drv_env {
    uv_loop_t *loop;
    struct sys_owner owner; /* for drivers that create files */
    bool isolate; /* others share the loop: a slow disk of this one must not hold it */
};

struct drv_result {
    const struct err *err; /* NULL: success; borrowed */
    int64_t size;          /* bytes read (get) or taken from the source (put) */
    struct wall created;   /* put: the header's timestamp */
};

typedef void drv_done_cb(void *arg, const struct drv_result *res);
typedef void drv_closed_cb(void *arg);

/*
 * Files of one level with min_txid >= seek, ascending by (min, max). Files are put in the
 * order of their TXIDs: a listing that holds one holds all that were there before it.
 */
struct drv_list {
    int level;
    uint64_t seek;
    bool exact_times; /* created = the LTX timestamp, even if that costs requests */

    /* Zero or more times before `done`, from the loop; borrowed for the call. */
    void (*entries)(void *arg, const struct ltx_info *infos, size_t n);
    drv_done_cb *done;
    void *arg;
};

/* Bytes off..off+size of one file into buf, fewer at its end; beyond it: ERR_RANGE. */
struct drv_get {
    int level;
    uint64_t min_txid, max_txid;
    int64_t off;
    size_t size; /* > 0 */
    void *buf;   /* borrowed until done */
    drv_done_cb *done;
    void *arg;
};

/*
 * After success the whole file is readable under its name and durable, before nothing is.
 * So is the one that an ERR_EXISTS is about. ERR_BUSY: somebody else is writing it.
 *
 * What `exclusive` asks for is one step of the store, never a look and then a write that
 * replaces: the finished temporary file is linked to its name (file), the request carries
 * If-None-Match: * (s3, abs, webdav), ifGenerationMatch=0 (gs), x-oss-forbid-overwrite
 * (oss), a message subject that must be new (nats), or a rename that does not replace
 * (sftp). A server that does not honour it gets a look before the write and a comparison
 * after it, which finds another writer too late to spare its file but not unseen.
 */
struct drv_put {
    int level;
    uint64_t min_txid, max_txid;
    int64_t size;           /* bytes; -1 while they are still being made; a source that
                               gives another number is ERR_CORRUPT */
    int64_t bound;          /* with -1: it will not be much more than this; 0: no idea */
    bool exclusive;         /* a file of that name stays as it is: ERR_EXISTS */
    struct drv_source *src; /* borrowed until done; goes back for a retry if it can */
    drv_done_cb *done;
    void *arg;
};

/* Absent files count as deleted. */
struct drv_del {
    const struct ltx_info *files; /* borrowed until done */
    size_t n;
    drv_done_cb *done;
    void *arg;
};

/*
 * Optional: reading what else is kept below the replica's path, the backups of Litestream
 * v0.3 (common/v03/v03_name.h). Keys are relative to that path, joined with one slash.
 */

/* What lies directly below a folder, in any order. An absent folder is empty. */
struct drv_key {
    const char *name; /* the last element; borrowed for the call */
    bool is_folder;   /* then without size and time */
    int64_t size;
    struct wall created; /* when the store got it */
};

struct drv_list_keys {
    const char *folder; /* borrowed until done */
    void (*entries)(void *arg, const struct drv_key *keys, size_t n); /* as drv_list */
    drv_done_cb *done;
    void *arg;
};

/* As drv_get. */
struct drv_get_key {
    const char *key; /* borrowed until done */
    int64_t off;
    size_t size; /* > 0 */
    void *buf;   /* borrowed until done */
    drv_done_cb *done;
    void *arg;
};

enum drv_kind { DRV_LIST, DRV_GET, DRV_PUT, DRV_DELETE, DRV_N_KINDS };

/* How long operations take: those of at most 0.01 0.05 0.1 0.5 1 5 10 30 60 s, each
 * counted once. */
#define DRV_N_BUCKETS 9
extern const int64_t drv_bucket_ms[DRV_N_BUCKETS];

struct drv_stats {
    uint64_t count;
    uint64_t errors;
    uint64_t bytes; /* get, put */
    uint64_t ns;    /* time under way */
    uint64_t le[DRV_N_BUCKETS];
};

/* How often operations of a kind failed in one way. */
struct drv_failure {
    char code[ERR_PROVIDER_MAX]; /* err.provider, else "auth" for ERR_AUTH; or "other" */
    uint32_t kind;               /* enum drv_kind */
    uint64_t n;                  /* 0: this entry is not used */
};

/* The first ways that there were, then one "other" for each kind. */
#define DRV_N_WAYS 4
#define DRV_N_FAILURES (DRV_N_WAYS + DRV_N_KINDS)

/* Checks the configuration; connects later. cfg is borrowed until drv_close is through.
 */
int drv_open(const struct cfg_replica *cfg, const struct drv_env *env, struct drv **out,
    struct err *e);

/*
 * Cancels what is under way; `closed` comes from the loop when nothing is left and d is
 * gone. NULL: `closed` may be NULL. A second call does nothing.
 */
void drv_close(struct drv *d, drv_closed_cb *closed, void *arg);

/* NULL: nothing was started and *e says why. */
struct drv_op *drv_list(struct drv *d, const struct drv_list *req, struct err *e);
struct drv_op *drv_get(struct drv *d, const struct drv_get *req, struct err *e);
struct drv_op *drv_put(struct drv *d, const struct drv_put *req, struct err *e);
struct drv_op *drv_del(struct drv *d, const struct drv_del *req, struct err *e);

/* Only of a driver that has them. */
bool drv_has_keys(const struct drv *d);
struct drv_op *drv_list_keys(
    struct drv *d, const struct drv_list_keys *req, struct err *e);
struct drv_op *drv_get_key(struct drv *d, const struct drv_get_key *req, struct err *e);

/* Removes every LTX file of this replica, and nothing else. For tests and administration.
 */
struct drv_op *drv_del_all(struct drv *d, drv_done_cb *done, void *arg, struct err *e);

/* `done` follows with ERR_CANCELLED, or with the result when it was too late. NULL is
 * fine. */
void drv_cancel(struct drv_op *op);

const char *drv_type(const struct drv *d); /* "file", "s3" ... */
const struct drv_stats *drv_stats(const struct drv *d, enum drv_kind kind);
const struct drv_failure *drv_failures(const struct drv *d); /* DRV_N_FAILURES */

#endif
