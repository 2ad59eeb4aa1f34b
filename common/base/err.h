/*
 * err - the one error pattern.
 *
 * A function that can fail returns 0 or an `enum err_code` and takes `struct err *e` as
 * its last parameter. The place that finds the fault sets *e (err_set, err_errno), each
 * level that adds meaning puts its words in front (err_wrap), and the level that decides
 * what to do (retry, skip, give up) logs the whole chain once. A struct err owns nothing:
 * it is copied by assignment and needs no clean-up. e is never NULL.
 */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_EXPECTED,
    ERR_CLASS_TRANSIENT,
    ERR_CLASS_PERMANENT,
    ERR_CLASS_USER,
    ERR_CLASS_BUG,
};

enum err_code {
    ERR_OK = 0,
#define ERR(code, class, exit_status, text) code,
#include "common/base/errors.def"
#undef ERR
    ERR_N_CODES,
};

#define ERR_TEXT_MAX 1024 /* bytes with the NUL; a longer chain keeps its beginning */
#define ERR_HINT_MAX 256
#define ERR_PROVIDER_MAX 28

struct err {
    enum err_code code;
    int sys_errno;           /* errno behind it, 0: none */
    char text[ERR_TEXT_MAX]; /* outermost meaning first, ": " between levels */
    char hint[ERR_HINT_MAX]; /* a command line that helps, or empty */
    /* What a store calls it, "AccessDenied"; letters, digits and ._- only; or empty */
    char provider[ERR_PROVIDER_MAX];
};

#define ERR_NONE                                                                         \
    {                                                                                    \
        .code = ERR_OK                                                                   \
    }

/* Sets *e and returns code (never 0). As everywhere below, arguments may point into *e.
 */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Sets *e from an errno value; the words of the system, lower-cased as in Go, follow the
 * message. ENOSPC and EDQUOT give ERR_NO_SPACE, ENOENT ERR_NOT_FOUND, EACCES, EPERM and
 * EROFS ERR_PERMISSION, ENOMEM ERR_MEMORY, EMFILE and ENFILE ERR_LIMIT, EEXIST
 * ERR_EXISTS, anything else ERR_IO.
 */
int err_errno(struct err *e, int sys_errno, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "words: " in front of the text; keeps the rest; returns the code. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets the hint unless one is there; returns the code. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Notes what the store behind it calls this error; returns the code. A name that is too
 * long or has other characters is not taken: it comes from outside.
 */
int err_provider(struct err *e, const char *name);

/*
 * What "never 0" means, in a form that compilers and static analysers believe: without it
 * they follow paths on which a fault that was found is returned as success. A macro,
 * since analysers stop looking into functions at some depth.
 */
#define ERR_NEVER_0(call)                                                                \
    __extension__({                                                                      \
        int never_0_ = (int)(call);                                                      \
        if (never_0_ == 0)                                                               \
            __builtin_unreachable();                                                     \
        never_0_;                                                                        \
    })

#define err_set(...) ERR_NEVER_0(err_set(__VA_ARGS__))
#define err_errno(...) ERR_NEVER_0(err_errno(__VA_ARGS__))
#define err_wrap(...) ERR_NEVER_0(err_wrap(__VA_ARGS__))
#define err_hint(...) ERR_NEVER_0(err_hint(__VA_ARGS__))
#define err_provider(...) ERR_NEVER_0(err_provider(__VA_ARGS__))

/* The code of an error that is set, for a function that did not set it itself. */
#define err_code(e) ERR_NEVER_0((e)->code)

enum err_class err_class_of(enum err_code code);
int err_exit_status(enum err_code code);
const char *err_code_name(enum err_code code); /* "ERR_IO" */

/*
 * The system's words for an errno, first letter lower-cased unless it begins an
 * abbreviation; valid until the next call on this thread.
 */
const char *err_errno_text(int sys_errno);

#endif
