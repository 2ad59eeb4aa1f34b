/*
 * flags - command-line flags as Go's flag package has them.
 *
 * -name, --name, -name=value, -name value; a bool takes no separate word. Parsing stops
 * at the first word that is no flag, and after "--"; a single "-" is an argument.
 */
#ifndef SUPERVISOR_FLAGS_H
#define SUPERVISOR_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

enum flag_type {
    FLAG_BOOL,     /* bool */
    FLAG_INT,      /* int64_t; 0x, 0o, 0b and _ are understood */
    FLAG_STRING,   /* const char *, borrowed from argv */
    FLAG_DURATION, /* int64_t nanoseconds; a unit is required */
    FLAG_CUSTOM,   /* parsed by a function */
};

struct flag {
    const char *name;
    enum flag_type type;
    void *value;
    /* FLAG_CUSTOM: the words behind `invalid value "V" for flag -name: `, or NULL if good
     */
    const char *(*parse)(const char *text, void *value);
    bool *given;     /* may be NULL: set when the flag occurs */
    const char *arg; /* name of the value in the help: "PATH"; NULL: a bool */
    const char *doc; /* one sentence; NULL: hidden */
};

/*
 *   argv      words behind the command's name
 *   n_used    words that were flags; the rest are arguments
 *   returns   0; ERR_USAGE with Go's words; ERR_END: help was asked for
 */
int flags_parse(const struct flag *flags, size_t n, int argc, char **argv, int *n_used,
    struct err *e);

/* "\t-name VALUE\n\t    doc\n" for each flag, to stdout. */
void flags_print(const struct flag *flags, size_t n);

/* An integer as Go's strconv has it with base 0; NULL, or "parse error" and the like. */
const char *flags_parse_int(const char *text, int64_t *value);

#endif
