/*
 * secret - a string that is never printed and is wiped before its memory goes back.
 */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stdbool.h>

struct secret {
    char *value; /* NULL: not set; owned */
};

void secret_set(struct secret *s, const char *value); /* NULL or "": not set */
void secret_copy(struct secret *to, const struct secret *from);
bool secret_is_set(const struct secret *s);
const char *secret_reveal(const struct secret *s); /* "" when not set; never log it */
void secret_wipe(struct secret *s);

#endif
