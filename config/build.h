/*
 * build - what the steps of making a struct config share. Only for this folder.
 *
 *     expand -> yaml_tree -> decode -> entries -> merge -> snapshots
 *            -> resolve (type, URL, inherited settings; faults) -> check
 *
 * A step returns an error for what ends loading. What concerns one replica or one
 * database only becomes its fault instead.
 */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "config/config.h"
#include "config/expand.h"
#include "config/notice.h"
#include "config/options.h"
#include "config/yaml_tree.h"

#define BUILD_MAX_VISITS ((size_t)1000000)  /* nodes decoded, through aliases too */
#define BUILD_MAX_VALUE ((size_t)64 << 10)  /* bytes of one value */
#define BUILD_MAX_TEXT ((size_t)64 << 20)   /* of all, aliased and inherited ones too */
#define BUILD_MAX_DBS ((size_t)65536)       /* entries of dbs */
#define BUILD_MAX_REPLICAS ((size_t)131072) /* of all databases */

struct build {
    struct config *c;
    struct arena *a; /* c's */
    expand_env_cb *env;
    const struct expanded *expanded; /* NULL: not from a file */
    struct cfg_db blank_db;
    struct cfg_replica blank_replica; /* nothing set, not even defaults */
    const struct cfg_option *partners[CFG_MAX_OPTIONS]; /* of secrets: see options.h */

    size_t visits;
    size_t text_bytes;
    size_t n_replicas;
    bool levels_given;
    struct err value_error; /* of decoding, the first one; ERR_OK: none */
    struct buf type_errors;
    size_t n_type_errors;
    struct notices notices;
};

/* Gives b a new configuration with all defaults. env: NULL, the process's. */
void build_init(struct build *b, expand_env_cb *env);

/* Frees what is not c's, and c unless it was taken away (set to NULL). */
void build_deinit(struct build *b);

/* Defaults of one scope into a zeroed struct; without_inherited: those keys stay unset.
 */
void build_defaults(
    struct build *b, enum cfg_scope scope, void *base, bool without_inherited);

/* The settings of the top level of another configuration, without their lines. */
void build_copy_global(struct build *b, const struct config *from);

/* All steps behind decoding. */
int build_finish(struct build *b, struct err *e);

int build_decode(struct build *b, struct ynode *root, struct err *e);
int build_entries(struct build *b, struct err *e); /* structure and paths of dbs[] */
int build_merge(struct build *b, struct err *e);   /* entries with the same path */
void build_snapshots(struct build *b);             /* what holds for which database */
int build_resolve(struct build *b, struct err *e);
int build_check_values(struct build *b, struct err *e); /* before merging */
int build_check(struct build *b, struct err *e);

/* ---- helpers ---- */

/* ERR_CONFIG with "line N: " in front when there is a line. */
int build_fail(struct err *e, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same as a fault, with the file in front. */
const struct err *build_fault(struct build *b, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define build_warn(b, line, key, ...)                                                    \
    notice_warn(&(b)->notices, (b)->a, (line), (key), __VA_ARGS__)
#define build_inform(b, line, key, ...)                                                  \
    notice_info(&(b)->notices, (b)->a, (line), (key), __VA_ARGS__)

/* Counts bytes that a value takes; false: the limit is reached. */
bool build_take_text(struct build *b, size_t bytes);

/* Set on the replica itself: present, and for strings and lists not empty. */
bool build_own(const struct cfg_replica *r, const struct cfg_option *o);

/*
 * Settings of the top level, or defaults, for what neither the replica nor its URL says
 * (`taken`, by option index).
 */
int build_inherit(
    struct build *b, struct cfg_replica *r, const bool *taken, struct err *e);

/*
 * Line of a setting in effect: the URL's when it gave it (`taken`, NULL: nothing), its
 * own key, the global one, else that of the URL or the replica.
 */
int build_replica_line(const struct config *c, const struct cfg_replica *r,
    const bool *taken, const char *option);

#endif
