/*
 * s3_sse - headers of encryption by the server.
 *
 *     with a customer's key   algorithm, key and MD5 of it with every request that writes
 * or reads an object; the key is nowhere but here and in memory with a key of KMS its id
 * with what creates an object
 *
 * What the bucket encrypts by itself needs nothing.
 */
#ifndef DRIVERS_S3_S3_SSE_H
#define DRIVERS_S3_S3_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "config/config.h"
#include "drivers/auth/uri.h"
#include "drivers/s3/s3_address.h"
#include "drivers/s3/s3_error.h"

#define S3_SSE_HEADERS 3

struct s3_sse {
    const struct cfg_replica *cfg; /* borrowed; it holds key and id */
    char md5[25];                  /* "": no customer's key */
};

/* ERR_CONFIG with what is wrong; a key is never part of the words. */
int s3_sse_make(const struct cfg_replica *cfg, const struct s3_address *address,
    struct s3_sse *out, struct err *e);

/* The headers that a call needs; how many. They live as long as the configuration. */
size_t s3_sse_headers(
    const struct s3_sse *sse, enum s3_call call, struct uri_pair out[S3_SSE_HEADERS]);

#endif
