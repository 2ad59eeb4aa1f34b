/*
 * scalar - what a YAML scalar is: null, bool, int, float, timestamp or string.
 *
 * The YAML 1.1 flavour of Litestream: yes/no/on/off/y/n are bools, 0x, 0b, 0o and a
 * leading 0 give ints, `_` separates digits, quotes make a string of anything. The
 * conversions answer whether the peer takes the value for that type.
 */
#ifndef CONFIG_SCALAR_H
#define CONFIG_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "config/yaml_tree.h"

enum yscalar_type {
    YSCALAR_NULL,
    YSCALAR_BOOL,
    YSCALAR_INT,
    YSCALAR_UINT, /* above INT64_MAX */
    YSCALAR_FLOAT,
    YSCALAR_TIME,
    YSCALAR_STR,
};

struct yscalar {
    enum yscalar_type type;
    const char *tag; /* "!!int"; an explicit one wins */
    bool flag;
    int64_t i64;
    double real;
    const char *text; /* borrowed from the node */
};

/* ERR_CONFIG: an explicit tag that the text does not fit. The text, which may be a
 * secret, is not repeated; the caller knows key and line. */
int yscalar_resolve(const struct ynode *n, struct yscalar *out, struct err *e);

bool yscalar_to_bool(const struct yscalar *s, bool *out);
bool yscalar_to_int(const struct yscalar *s, int64_t *out); /* floats are truncated */
bool yscalar_to_duration(const struct yscalar *s, int64_t *ns);
bool yscalar_to_mode(const struct yscalar *s, int64_t *mode);

#endif
