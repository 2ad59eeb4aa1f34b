#include "config/notice.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTICE_TEXT_MAX 512

static void __attribute__((format(printf, 6, 0))) add(struct notices *list,
    struct arena *a, bool info, int line, const char *key, const char *fmt, va_list ap)
{
    struct notice_item *item;
    char text[NOTICE_TEXT_MAX];

    if (list->n++ >= NOTICES_MAX)
        return;
    vsnprintf(text, sizeof(text), fmt, ap);
    item = ARENA_NEW(a, struct notice_item);
    item->notice = (struct cfg_notice){
        .info = info,
        .line = line,
        .key = key,
        .text = arena_strdup(a, text),
    };
    if (list->last != NULL)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
}

void
notice_warn(struct notices *list, struct arena *a, int line, const char *key,
    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(list, a, false, line, key, fmt, ap);
    va_end(ap);
}

void
notice_info(struct notices *list, struct arena *a, int line, const char *key,
    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(list, a, true, line, key, fmt, ap);
    va_end(ap);
}

/* Those without a line come last; equal lines keep their order: they lie that way. */
static int
by_line(const void *a, const void *b)
{
    const struct cfg_notice *const *x = a, *const *y = b;
    unsigned lx = (unsigned)(*x)->line - 1, ly = (unsigned)(*y)->line - 1;

    if (lx != ly)
        return lx < ly ? -1 : 1;
    return (uintptr_t)*x < (uintptr_t)*y ? -1 : 1;
}

const struct cfg_notice *
notices_array(const struct notices *list, struct arena *a, size_t *n)
{
    size_t kept = list->n < NOTICES_MAX ? list->n : NOTICES_MAX, i = 0;
    struct cfg_notice *in = arena_alloc(a, (kept + 1) * sizeof(*in));
    struct cfg_notice *out = arena_alloc(a, (kept + 1) * sizeof(*out));
    const struct cfg_notice **order = arena_alloc(a, (kept + 1) * sizeof(*order));

    for (const struct notice_item *item = list->first; item != NULL; item = item->next) {
        in[i] = item->notice;
        order[i] = &in[i];
        i++;
    }
    qsort(order, i, sizeof(order[0]), by_line);
    for (size_t k = 0; k < i; k++)
        out[k] = *order[k];
    if (list->n > kept)
        out[i++] = (struct cfg_notice){
            .key = "",
            .text = arena_printf(a, "%zu more warnings", list->n - kept),
        };
    *n = i;
    return out;
}
