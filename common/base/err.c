#include "common/base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/must.h"

/* The functions behind the macros. */
#undef err_set
#undef err_errno
#undef err_wrap
#undef err_hint
#undef err_provider

struct err_info {
    const char *name;
    enum err_class class;
    int exit_status;
    const char *text;
};

static const struct err_info err_table[ERR_N_CODES] = {
    [ERR_OK] = { "ERR_OK", ERR_CLASS_NONE, 0, "ok" },
#define ERR(code, class, exit_status, text)                                              \
    [code] = { #code, ERR_CLASS_##class, exit_status, text },
#include "common/base/errors.def"
#undef ERR
};

static const struct err_info *
info_of(enum err_code code)
{
    must((unsigned)code < ERR_N_CODES);
    return &err_table[code];
}

enum err_class
err_class_of(enum err_code code)
{
    return info_of(code)->class;
}

int
err_exit_status(enum err_code code)
{
    return info_of(code)->exit_status;
}

const char *
err_code_name(enum err_code code)
{
    return info_of(code)->name;
}

const char *
err_errno_text(int sys_errno)
{
    static _Thread_local char text[128];
    char tmp[128];
    /* The GNU variant: may return a string of its own instead of filling tmp. */
    const char *s = strerror_r(sys_errno, tmp, sizeof(tmp));

    snprintf(text, sizeof(text), "%s", s);
    if (!isupper((unsigned char)text[1])) /* an abbreviation stays as it is */
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

static enum err_code
code_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOMEM:
        return ERR_MEMORY;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

/* Appends to a NUL-terminated text, cutting what does not fit. */
static void
text_add(char *text, size_t size, const char *more)
{
    size_t len = strlen(text);

    snprintf(text + len, size - len, "%s", more);
}

/* The arguments may point into *e, so the text is made beside it. */
__attribute__((format(printf, 3, 0))) static void
text_set(char *text, size_t size, const char *fmt, va_list ap)
{
    char made[ERR_TEXT_MAX];

    vsnprintf(made, size, fmt, ap);
    memcpy(text, made, strlen(made) + 1);
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    must(code != ERR_OK);
    va_start(ap, fmt);
    text_set(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    e->code = code;
    e->sys_errno = 0;
    e->hint[0] = '\0';
    e->provider[0] = '\0';
    return (int)code;
}

int
err_errno(struct err *e, int sys_errno, const char *fmt, ...)
{
    enum err_code code = code_of_errno(sys_errno);
    va_list ap;

    va_start(ap, fmt);
    text_set(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    e->code = code;
    e->sys_errno = sys_errno;
    e->hint[0] = '\0';
    e->provider[0] = '\0';
    text_add(e->text, sizeof(e->text), ": ");
    text_add(e->text, sizeof(e->text), err_errno_text(sys_errno));
    return (int)code;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
    char old[ERR_TEXT_MAX];
    va_list ap;

    must(e->code != ERR_OK);
    memcpy(old, e->text, strlen(e->text) + 1);
    va_start(ap, fmt);
    text_set(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    text_add(e->text, sizeof(e->text), ": ");
    text_add(e->text, sizeof(e->text), old);
    return (int)e->code;
}

int
err_hint(struct err *e, const char *fmt, ...)
{
    va_list ap;

    must(e->code != ERR_OK);
    if (e->hint[0] == '\0') {
        va_start(ap, fmt);
        text_set(e->hint, sizeof(e->hint), fmt, ap);
        va_end(ap);
    }
    return (int)e->code;
}

int
err_provider(struct err *e, const char *name)
{
    static const char good[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strnlen(name, sizeof(e->provider));

    must(e->code != ERR_OK);
    if (len < sizeof(e->provider) && strspn(name, good) == len)
        memcpy(e->provider, name, len + 1);
    return (int)e->code;
}
