/*
 * notice - collects what should be said about a configuration without stopping it.
 */
#ifndef CONFIG_NOTICE_H
#define CONFIG_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "config/config.h"

#define NOTICES_MAX ((size_t)200) /* more are counted only */

struct notice_item {
    struct cfg_notice notice;
    struct notice_item *next;
};

struct notices {
    struct notice_item *first, *last;
    size_t n;
};

/* key: full path of the key, borrowed as long as the arena; "" when there is none. */
void notice_warn(struct notices *list, struct arena *a, int line, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void notice_info(struct notices *list, struct arena *a, int line, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* As one array, in the order of the lines. */
const struct cfg_notice *notices_array(
    const struct notices *list, struct arena *a, size_t *n);

#endif
