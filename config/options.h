/*
 * options - the one table of every key there is, at every level of the file.
 *
 * Decoding, defaults, inheritance, checks, printing, feature refusal, documentation and
 * tests walk it. A key inside a section carries the section's name: "snapshot.interval".
 *
 * A key with null as its value is as if absent, except that strings and lists become
 * empty.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum cfg_type {
    CFG_BOOL,     /* bool */
    CFG_TRI,      /* enum cfg_tri */
    CFG_INT,      /* int64_t */
    CFG_INT64,    /* int64_t; only the name in messages differs */
    CFG_MODE,     /* int64_t: file permissions */
    CFG_DURATION, /* int64_t nanoseconds */
    CFG_BYTESIZE, /* int64_t */
    CFG_STRING,   /* const char * */
    CFG_SECRET,   /* struct secret */
    CFG_STRINGS,  /* struct cfg_strings */
    CFG_LOG_TYPE, /* enum log_format */
    CFG_COMMAND,  /* struct cfg_strings: a list, or one string that is split */
    CFG_EVENTS,   /* unsigned: one or several of enum cfg_event */
    CFG_EXEC,     /* a string, or a list of hooks */
    CFG_SECTION,  /* a map whose keys have rows of their own */
    CFG_LEVELS,   /* lists and maps of objects */
    CFG_HOOKS,
    CFG_DBS,
    CFG_REPLICA_MAP,
    CFG_REPLICA_LIST,
    CFG_IGNORED, /* known, without effect; `instead` says what replaced it */
};

/* Where a key may stand. The innermost of them tells the struct that `offset` is in. */
enum cfg_scope {
    CFG_GLOBAL = 1,
    CFG_DB = 2,
    CFG_REPLICA = 4, /* with CFG_GLOBAL: every replica inherits it */
    CFG_LEVEL = 8,
    CFG_HOOK = 16,
};

enum cfg_rule {
    CFG_ANY,
    CFG_POSITIVE,
    CFG_NOT_NEGATIVE,
    CFG_MINUTE, /* at least one */
    CFG_HTTP_URL,
};

/* What a build may not have yet; see features.h. */
enum cfg_feature {
    CFG_F_CORE,
    CFG_F_METRICS,
    CFG_F_MCP,
    CFG_F_EXEC,
    CFG_F_HOOKS,
    CFG_F_SOCKET,
    CFG_F_TRUNCATE,
    CFG_F_COMPACTION,
    CFG_F_SNAPSHOT,
    CFG_F_VALIDATION,
    CFG_F_RETENTION,
    CFG_F_HEARTBEAT,
    CFG_F_DIRECTORY,
    CFG_F_RESTORE_ON_START,
    CFG_F_AUTO_RECOVER,
    CFG_F_LOG_FILE,
    CFG_F_MULTI_REPLICA,
    CFG_F_DRIVER_FILE, /* in the order of enum cfg_replica_type */
    CFG_F_DRIVER_S3,
    CFG_F_DRIVER_GS,
    CFG_F_DRIVER_ABS,
    CFG_F_DRIVER_OSS,
    CFG_F_DRIVER_SFTP,
    CFG_F_DRIVER_WEBDAV,
    CFG_F_DRIVER_NATS,
    CFG_F_COUNT,
};

struct cfg_option {
    const char *name;
    enum cfg_type type;
    unsigned scope; /* an or of enum cfg_scope */
    size_t offset;
    const char *def; /* as written in a file; NULL: zero, empty, unset */
    enum cfg_rule rule;
    const char *rule_text; /* "snapshot interval must be greater than 0" */
    unsigned kinds;        /* replica types that use it, 1 << type; 0: all */
    enum cfg_feature feature;
    const char *gate;     /* without this key (of the same object) it has no effect */
    const char *alias_of; /* another spelling of that key */
    const char *instead;  /* CFG_IGNORED and deprecated keys: what to use */
    const char *unused;   /* why the key has no effect in this program */
    bool negative_is_off; /* a negative value asks for nothing */
    bool private;         /* not secret, but shown without its details */
    const char *doc;      /* one sentence; NULL: not for documentation */
};

#define CFG_MAX_OPTIONS 192 /* for bitmaps and tables on the stack */

extern const struct cfg_option cfg_options[];
extern const size_t cfg_n_options;

/* The option of that full name in a scope; NULL: none. */
const struct cfg_option *cfg_option_find(enum cfg_scope scope, const char *name);
size_t cfg_option_index(const struct cfg_option *o);

/* "int", "[]string", "time.Duration": how messages call a type. */
const char *cfg_type_name(enum cfg_type type);

/* A value of the innermost struct; base is a struct config for purely global keys. */
void *cfg_field(void *base, const struct cfg_option *o);
const void *cfg_field_const(const void *base, const struct cfg_option *o);

/* The key that gives the same secret by a file, or the reverse; NULL: none. */
const struct cfg_option *cfg_option_partner(const struct cfg_option *o);

/* A container has no value of its own in an object. */
bool cfg_type_is_container(enum cfg_type type);

#endif
