/*
 * expand - `$` in the raw text of a configuration, comments included, before it is YAML.
 *
 * $NAME and ${NAME} become the variable's value, or nothing when it is unset; a bare NAME
 * is the longest run of letters, digits and _, or one of * # $ @ ! ? - 0..9. $PID is this
 * process. ${} and an unclosed ${ vanish, a $ before anything else stays; there are no
 * operators and there is no escape. (The rules of Go's os.Expand.)
 */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define EXPAND_MAX ((size_t)16 << 20) /* bytes of a document, before and after */
#define EXPAND_MAX_GAPS 4096
#define EXPAND_NAME_MAX 64

/* Where an unset variable was replaced by nothing. */
struct expand_gap {
    int line;     /* of the result, from 1 */
    size_t index; /* characters of the result in front of it, a BOM not counted */
    char name[EXPAND_NAME_MAX]; /* "" unless it was ${NAME} with an ordinary name */
};

struct expanded {
    struct buf text;
    struct expand_gap *gaps; /* the first EXPAND_MAX_GAPS */
    size_t n_gaps;
};

typedef const char *expand_env_cb(const char *name); /* NULL: unset */

/*
 *   env      NULL: nothing is expanded
 *   out      must be empty; expanded_deinit() in every case
 *   returns  0 or ERR_CONFIG (too large)
 */
int expand_text(const char *text, size_t size, expand_env_cb *env, struct expanded *out,
    struct err *e);

void expanded_deinit(struct expanded *x); /* wipes the text: it holds secrets */

#endif
