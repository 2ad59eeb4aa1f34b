#include "common/base/secret.h"

#include <string.h>

#include "common/base/mem.h"

void
secret_wipe(struct secret *s)
{
    if (s->value != NULL) {
        explicit_bzero(s->value, strlen(s->value));
        mem_free(s->value);
        s->value = NULL;
    }
}

void
secret_set(struct secret *s, const char *value)
{
    /* value may be the one that s holds */
    char *copy = value != NULL && value[0] != '\0' ? mem_strdup(value) : NULL;

    secret_wipe(s);
    s->value = copy;
}

void
secret_copy(struct secret *to, const struct secret *from)
{
    secret_set(to, from->value);
}

bool
secret_is_set(const struct secret *s)
{
    return s->value != NULL;
}

const char *
secret_reveal(const struct secret *s)
{
    return s->value != NULL ? s->value : "";
}
