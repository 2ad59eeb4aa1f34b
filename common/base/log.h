/*
 * log - structured log lines in text, JSON or for a person at a terminal.
 *
 * A message is constant, lower case, without values; values are typed fields. One line is
 * one write(2) of at most LOG_LINE_MAX bytes, so that lines of several processes on one
 * stream are never torn; a value that is too long for that is cut and ends in "...". A
 * key with a dot ("txid.min") is a group: nested in JSON, spelled out elsewhere.
 *
 *     log_info("compaction finished", LF_INT("level", level), LF_TXID("txid.max", max));
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/wall.h"

#define LOG_LINE_MAX 4096 /* with the newline; what a Linux pipe takes as a whole */

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON, LOG_PRETTY };

struct log_options {
    enum log_level level;
    enum log_format format;
    int fd;      /* 1 or 2 as a rule; borrowed */
    bool source; /* add file and line of the call */
};

enum log_type {
    LOG_T_END,
    LOG_T_STR,
    LOG_T_INT,
    LOG_T_UINT,
    LOG_T_BOOL,
    LOG_T_TXID,
    LOG_T_DURATION,
    LOG_T_WALL,
};

struct log_field {
    const char *key; /* constant; borrowed */
    enum log_type type;
    union {
        const char *str; /* borrowed for the call; NULL shows as "" */
        int64_t i64;     /* LOG_T_DURATION: nanoseconds */
        uint64_t u64;
        bool flag;
        struct wall wall;
    } v;
};

#define LF_STR(k, x) ((struct log_field){ .key = (k), .type = LOG_T_STR, .v.str = (x) })
#define LF_INT(k, x) ((struct log_field){ .key = (k), .type = LOG_T_INT, .v.i64 = (x) })
#define LF_UINT(k, x) ((struct log_field){ .key = (k), .type = LOG_T_UINT, .v.u64 = (x) })
#define LF_BOOL(k, x)                                                                    \
    ((struct log_field){ .key = (k), .type = LOG_T_BOOL, .v.flag = (x) })
#define LF_TXID(k, x) ((struct log_field){ .key = (k), .type = LOG_T_TXID, .v.u64 = (x) })
#define LF_NS(k, x)                                                                      \
    ((struct log_field){ .key = (k), .type = LOG_T_DURATION, .v.i64 = (x) })
#define LF_MS(k, x) LF_NS(k, (x)*INT64_C(1000000))
#define LF_WALL(k, x)                                                                    \
    ((struct log_field){ .key = (k), .type = LOG_T_WALL, .v.wall = (x) })
#define LF_ERR(e) LF_STR("error", (e)->text)
#define LF_END ((struct log_field){ .type = LOG_T_END })

void log_setup(const struct log_options *options);
const struct log_options *log_options(void);
void log_set_level(enum log_level level);

/*
 * Fields put in front of those of every line of this process, at most LOG_PREFIX_MAX;
 * string values are copied. Ends with LF_END.
 */
#define LOG_PREFIX_MAX 4
void log_set_prefix(const struct log_field *fields);

/* "trace debug info warn warning error" in any case; anything else: false, LOG_INFO. */
bool log_level_parse(const char *text, enum log_level *level);
const char *log_level_name(enum log_level level); /* "INFO" */

bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *file, int line, const char *func,
    const char *msg, ... /* struct log_field ..., LF_END */);

/* The same with the fields in an array that ends with LF_END. */
void log_write_fields(enum log_level level, const char *file, int line, const char *func,
    const char *msg, const struct log_field *fields);

#define LOG_AT(level, ...)                                                               \
    do {                                                                                 \
        if (log_enabled(level))                                                          \
            log_write((level), __FILE__, __LINE__, __func__, __VA_ARGS__, LF_END);       \
    } while (0)

#define log_trace(...) LOG_AT(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)

#endif
