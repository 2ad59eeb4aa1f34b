/*
 * secret - a string that is never printed, is wiped before its memory goes back, and is
 * not there in a forked child: all secrets of the parent are unset in it. What a child
 * needs has to be handed to it (config_pack_secrets).
 */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stdbool.h>

struct secret {
    char *value; /* NULL: not set; owned, in memory of secret.c */
};

void secret_set(struct secret *s, const char *value); /* NULL or "": not set */
void secret_copy(struct secret *to, const struct secret *from);
bool secret_is_set(const struct secret *s);
const char *secret_reveal(const struct secret *s); /* "" when not set; never log it */
void secret_wipe(struct secret *s);

/* In a child, right after the fork. */
void secret_forked(void);

#endif
