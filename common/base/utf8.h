/*
 * utf8 - one character of UTF-8 at a time.
 */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at s (1..4) and its number; 0 when it is not valid UTF-8. */
size_t utf8_decode(const char *s, size_t n, uint32_t *rune);

/*
 * False for controls, blanks other than ' ', formatting characters, private use and what
 * is no character; what Unicode has not assigned yet counts as printable.
 */
bool utf8_is_printable(uint32_t rune);

/* Characters in a string; an invalid byte counts as one. */
size_t utf8_len(const char *s);

#endif
