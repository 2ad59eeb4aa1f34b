/*
 * suggest - the known word that was probably meant.
 */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_MAX 64 /* longer words have no neighbour */

/*
 * Insertions, deletions, replacements and swaps of neighbours that turn a into b; more
 * than `most` reads as most + 1.
 */
size_t suggest_distance(const char *a, const char *b, size_t most);

/* How far a word may be off to be taken for another: a third of its letters. */
size_t suggest_tolerance(const char *word);

#endif
