/*
 * duration - durations as Go writes them: "1h30m0s", "500ms", "1.5h", "-1s".
 */
#ifndef COMMON_BASE_DURATION_H
#define COMMON_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#define DURATION_TEXT_MAX 40

#define DURATION_MS INT64_C(1000000)
#define DURATION_SEC (1000 * DURATION_MS)
#define DURATION_MIN (60 * DURATION_SEC)
#define DURATION_HOUR (60 * DURATION_MIN)

/*
 * Parses a signed sequence of decimal numbers with a unit each (ns us µs ms s m h), or
 * "0". Returns false for anything else and for what does not fit 64 bits of nanoseconds.
 */
bool duration_parse(const char *text, int64_t *ns);

/* Go's form: largest unit h; below a second the largest unit that keeps digits in front.
 */
void duration_format(int64_t ns, char out[DURATION_TEXT_MAX]);

#endif
