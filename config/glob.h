/*
 * glob - patterns of base names as Go's filepath.Match has them: `*` any number of
 * characters, `?` one, `[a-z]` and `[^a]` one of a set, `\x` x itself. A leading dot is
 * nothing special; `[!a]`, `{a,b}` and `**` mean nothing special either.
 */
#ifndef CONFIG_GLOB_H
#define CONFIG_GLOB_H

#include <stdbool.h>

/* False for a pattern that is not well-formed, too. */
bool glob_match(const char *pattern, const char *name);

/* Well-formed: every set is closed and not empty, every `\` has something behind it. */
bool glob_valid(const char *pattern);

#endif
