#include "config/expand.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

struct expander {
    expand_env_cb *env;
    struct expanded *out;
    int line;
    size_t index;
    bool unclosed; /* no } follows: known once for all later ${ */
};

/* What stands behind a $: the name (size 0: none) and how much is used up. */
struct reference {
    const char *name;
    size_t size;
    size_t used; /* 0: not a reference, the $ stays */
    bool braces;
};

static bool
is_special(char c)
{
    return c != '\0' && strchr("*#$@!?-0123456789", c) != NULL;
}

static bool
is_name_char(char c)
{
    return c == '_' || isalnum((unsigned char)c);
}

static struct reference
find_braced(struct expander *x, const char *s, size_t n)
{
    const char *close = x->unclosed ? NULL : memchr(s, '}', n);

    if (n > 2 && is_special(s[1]) && s[2] == '}')
        return (struct reference){ s + 1, 1, 3, true };
    if (close == NULL) {
        x->unclosed = true;
        return (struct reference){ s, 0, 1, true };
    }
    return (struct reference){ s + 1, (size_t)(close - s) - 1, (size_t)(close - s) + 1,
        true };
}

/* s: behind the $, n > 0 bytes. */
static struct reference
find_reference(struct expander *x, const char *s, size_t n)
{
    size_t len = 0;

    if (s[0] == '{')
        return find_braced(x, s, n);
    if (is_special(s[0]))
        return (struct reference){ s, 1, 1, false };
    while (len < n && is_name_char(s[len]))
        len++;
    return (struct reference){ s, len, len, false };
}

/* Characters and lines, as libyaml counts them. */
static void
count(struct expander *x, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x->line += s[i] == '\n';
        x->index += ((unsigned char)s[i] & 0xc0) != 0x80;
    }
}

static bool
add(struct expander *x, const char *s, size_t n)
{
    count(x, s, n);
    return buf_add(&x->out->text, s, n);
}

static void
note_gap(struct expander *x, const struct reference *ref)
{
    struct expanded *out = x->out;
    struct expand_gap *gap;
    size_t i = 0;

    if (out->n_gaps == EXPAND_MAX_GAPS)
        return;
    if ((out->n_gaps & (out->n_gaps - 1)) == 0)
        out->gaps =
            mem_resize(out->gaps, (out->n_gaps * 2 + 1) * sizeof(struct expand_gap));
    gap = &out->gaps[out->n_gaps++];
    *gap = (struct expand_gap){ .line = x->line, .index = x->index };
    while (i < ref->size && is_name_char(ref->name[i]))
        i++;
    if (ref->braces && i == ref->size && i < sizeof(gap->name))
        memcpy(gap->name, ref->name, i);
}

static bool
add_value(struct expander *x, const struct reference *ref)
{
    char pid[24], *name;
    const char *value;
    bool ok;

    if (ref->size == 3 && memcmp(ref->name, "PID", 3) == 0) {
        snprintf(pid, sizeof(pid), "%ld", (long)getpid());
        return add(x, pid, strlen(pid));
    }
    name = mem_strndup(ref->name, ref->size);
    value = strlen(name) == ref->size ? x->env(name) : NULL;
    if (value == NULL)
        note_gap(x, ref);
    ok = value == NULL || add(x, value, strlen(value));
    mem_free(name);
    return ok;
}

static bool
expand_all(struct expander *x, const char *text, size_t size)
{
    size_t done = 0, i = 0;

    while (i < size) {
        const char *dollar = memchr(text + i, '$', size - i);
        struct reference ref;

        if (dollar == NULL || (size_t)(dollar - text) + 1 == size)
            break;
        i = (size_t)(dollar - text);
        ref = find_reference(x, dollar + 1, size - i - 1);
        if (ref.used == 0) {
            i++;
            continue;
        }
        if (!add(x, text + done, i - done) || (ref.size > 0 && !add_value(x, &ref)))
            return false;
        i += 1 + ref.used;
        done = i;
    }
    return add(x, text + done, size - done);
}

int
expand_text(const char *text, size_t size, expand_env_cb *env, struct expanded *out,
    struct err *e)
{
    struct expander x = { .env = env, .out = out, .line = 1 };
    bool bom = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;

    buf_init(&out->text, EXPAND_MAX);
    if (size > EXPAND_MAX)
        return err_set(e, ERR_CONFIG, "larger than %zu bytes", EXPAND_MAX);
    if (env == NULL) {
        buf_add(&out->text, text, size);
        return 0;
    }
    if (!expand_all(&x, text, size))
        return err_set(
            e, ERR_CONFIG, "larger than %zu bytes with its variables", EXPAND_MAX);
    for (size_t i = 0; bom && i < out->n_gaps; i++)
        out->gaps[i].index--;
    return 0;
}

void
expanded_deinit(struct expanded *x)
{
    if (x->text.data != NULL)
        explicit_bzero(x->text.data, x->text.size);
    buf_deinit(&x->text);
    mem_free(x->gaps);
    *x = (struct expanded){ .gaps = NULL };
}
