/*
 * value - one setting as the option table describes it: from text, to text, compared,
 * copied, wiped. `field` points at the member of the struct.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "config/options.h"
#include "config/scalar.h"

enum cfg_value_result {
    CFG_VALUE_OK,
    CFG_VALUE_TYPE, /* a value of another type */
    CFG_VALUE_BAD,  /* the right type, but *e says what is wrong */
};

/*
 * Takes a scalar that is not null. Strings are borrowed from s->text; lists, commands
 * and events take it as their only item.
 */
enum cfg_value_result cfg_value_take(struct arena *a, const struct cfg_option *o,
    const struct yscalar *s, void *field, struct err *e);

/* Adds an event by its name to the mask; false: unknown. */
bool cfg_event_parse(const char *text, unsigned *events);

/* The default of the table, or what "not set" is for the type. */
void cfg_value_default(struct arena *a, const struct cfg_option *o, void *field);

/* As in a file; secrets show as "***", private addresses without their details. */
const char *cfg_value_text(
    struct arena *a, const struct cfg_option *o, const void *field);

bool cfg_value_equal(const struct cfg_option *o, const void *a, const void *b);
bool cfg_value_is_zero(const struct cfg_option *o, const void *field);

/* Strings and lists are shared, secrets copied; `to` holds a value. */
void cfg_value_copy(const struct cfg_option *o, void *to, const void *from);

/* Replaces shared strings by copies in the arena. */
void cfg_value_own(struct arena *a, const struct cfg_option *o, void *field);

#endif
