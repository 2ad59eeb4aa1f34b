/*
 * wall - timestamps that are stored or shown (UTC, nanoseconds).
 *
 * Text forms: RFC 3339. WALL_TRIMMED drops trailing zeros of the fraction (object
 * metadata, logs in JSON), WALL_MS has always three decimals, WALL_SECONDS none.
 */
#ifndef COMMON_BASE_WALL_H
#define COMMON_BASE_WALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct wall {
    int64_t sec;  /* since 1970-01-01T00:00:00Z */
    int32_t nsec; /* 0..999999999, also before 1970 */
};

enum wall_form { WALL_SECONDS, WALL_MS, WALL_TRIMMED };

#define WALL_TEXT_MAX 96

struct wall wall_now(void);
struct wall wall_from_ms(int64_t ms);
int64_t wall_to_ms(struct wall t); /* rounded down; limited to int64_t */
int wall_cmp(struct wall a, struct wall b);
bool wall_is_zero(struct wall t);

/* UTC with Z; years outside 0..9999 show as many digits as they need. */
void wall_format(struct wall t, enum wall_form form, char out[WALL_TEXT_MAX]);

/* The same in the zone of this process, with Z or +hh:mm. */
void wall_format_local(struct wall t, enum wall_form form, char out[WALL_TEXT_MAX]);

/*
 * Parses RFC 3339 with a mandatory zone: date, T or t or a space, time, fraction of any
 * length (beyond nanoseconds cut), Z, z or +hh:mm. Returns false for anything else, also
 * for a day that does not exist.
 */
bool wall_parse(const char *text, struct wall *out);

void wall_set_source(struct wall (*now)(void)); /* NULL: the real clock */

#endif
