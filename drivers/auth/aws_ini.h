/*
 * aws_ini - one of the shared files of AWS, ~/.aws/config or ~/.aws/credentials.
 *
 *     [profile NAME]            ; comments begin with # or ;, also behind a blank
 *     key = value
 *     s3 =
 *       endpoint_url = http://h
 *
 * Keys without case, blanks around names and values cut. An indented line belongs to a
 * key without value above it ("s3.endpoint_url"), else it is a key like others. Of equal
 * keys of one section the last counts. Lines that mean nothing are skipped. Values may be
 * secrets: the memory is wiped.
 */
#ifndef DRIVERS_AUTH_AWS_INI_H
#define DRIVERS_AUTH_AWS_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

#define AWS_INI_MAX_BYTES ((size_t)1 << 20)

struct aws_ini; /* opaque */

/* ERR_CONFIG: too large. */
int aws_ini_parse(const char *bytes, size_t n, struct aws_ini **out, struct err *e);

/* The same of a file; ERR_NOT_FOUND when there is none. */
int aws_ini_read(const char *path, struct aws_ini **out, struct err *e);

void aws_ini_free(struct aws_ini *ini); /* NULL is fine */

/* section: with one blank between its words, without quotes. NULL: not there, or empty.
 */
const char *aws_ini_get(const struct aws_ini *ini, const char *section, const char *key);
bool aws_ini_has(const struct aws_ini *ini, const char *section);

#endif
