/*
 * decode - between the files of the decoding step.
 *
 *     decode.c       maps and scalars, by the option table
 *     decode_list.c  lists: strings, levels, hooks, replicas, databases
 *     decode_say.c   errors of type, and what is only said
 */
#ifndef CONFIG_DECODE_H
#define CONFIG_DECODE_H

#include "config/build.h"
#include "config/scalar.h"

/* The object that keys go to. */
struct target {
    enum cfg_scope scope;
    void *base;
    const char *where; /* "dbs[0].", in front of keys in messages */
    struct cfg_mark marks[CFG_MAX_OPTIONS];
    size_t n_marks;
};

/* Counts a node; ERR_CONFIG when the budget is spent. */
int decode_visit(struct build *b, struct err *e);

/* line: of the key. */
int decode_value(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, int line, struct err *e);

/* One object, its keys, marks and line. */
int decode_object(struct build *b, enum cfg_scope scope, void *base, struct cfg_obj *obj,
    const char *where, struct ynode *map, struct err *e);

/* Any list; a type error for options that take none. */
int decode_seq(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, int line, struct err *e);
int decode_replicas(struct build *b, struct target *t, struct ynode *n, struct err *e);

void *decode_field(struct build *b, struct target *t, const struct cfg_option *o);
void decode_mark(struct target *t, const struct cfg_option *o, int line);
int decode_is_null(const struct ynode *n, bool *null, struct err *e);

/* *ok: the text may be used; else that was said. */
int decode_check_text(struct build *b, const struct ynode *n, const char *where,
    const char *key, bool *ok, struct err *e);

/* A copy of a scalar that lives as long as the configuration, made once for a node. */
const char *decode_keep_text(struct build *b, struct ynode *n);

/* ---- decode_say.c ---- */

/* tag: NULL, what the node is; key: full path of what it is the value of. */
void decode_type_error(struct build *b, const struct ynode *n, const char *tag,
    const char *key, const char *into);
void decode_value_error(
    struct build *b, int line, const char *where, const char *key, const char *why);

/* All collected errors, if there are any. */
int decode_report(struct build *b, struct err *e);

const char *decode_key(
    struct build *b, const struct target *t, const struct cfg_option *o);
void decode_warn_unknown(struct build *b, const struct target *t, const char *section,
    const struct ynode *key);
void decode_warn_value(struct build *b, const struct target *t,
    const struct cfg_option *o, const struct ynode *n, const struct yscalar *s,
    const void *field);
/* A secret in which an unset variable left a hole. */
void decode_warn_gaps(struct build *b, const struct target *t, const struct cfg_option *o,
    const struct ynode *n);
void decode_warn_deprecated(
    struct build *b, const struct target *t, const struct cfg_option *o, int line);

#endif
