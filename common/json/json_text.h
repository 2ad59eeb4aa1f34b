/*
 * json_text - jansson values as text in the conventions of our output.
 *
 * `<`, `>`, `&`, U+2028 and U+2029 are escaped as \u003c ... where asked, as Go's encoder
 * does.
 */
#ifndef COMMON_JSON_JSON_TEXT_H
#define COMMON_JSON_JSON_TEXT_H

#include <stdio.h>

#include <jansson.h>

#include "common/base/err.h"

/* A JSON string of text that may not be UTF-8: bad bytes become U+FFFD. Never NULL. */
json_t *json_text_string(const char *s);

/* Compact, HTML characters escaped when html is not 0; the caller's, mem_free(). */
char *json_text_compact(const json_t *value, int html);

/* Indented by two spaces, escaped, one newline at the end; the caller's, mem_free(). */
char *json_text_indented(const json_t *value);

/* Prints json_text_indented to a stream. */
int json_text_print(FILE *out, const json_t *value, struct err *e);

#endif
