/*
 * Any bytes as a stored object of a v0.3 backup, and as a name in one: what is decoded is
 * the same in small portions and in large ones, and a key leads back to its name.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc64/crc64.h"
#include "common/v03/v03_lz4.h"
#include "common/v03/v03_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT ((size_t)8 << 20) /* of what one input may expand to */

struct feed {
    const uint8_t *data;
    size_t left, piece;
};

static int
feed_read(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct feed *f = arg;

    (void)e;
    *n = f->left < cap ? f->left : cap;
    *n = *n < f->piece ? *n : f->piece;
    memcpy(buf, f->data, *n);
    f->data += *n;
    f->left -= *n;
    return 0;
}

/* The answer at the end; *sum is over the bytes before, *total their number. */
static int
decode(struct feed f, size_t portion, uint64_t *sum, size_t *total)
{
    static uint8_t out[65536];
    struct v03_source src = { feed_read, &f };
    struct v03_lz4 *z = NULL;
    struct err e = ERR_NONE;
    size_t n = 0;
    int rc = v03_lz4_open(src, &z, &e);

    *sum = *total = 0;
    while (rc == 0 && *total < LIMIT) {
        rc = v03_lz4_read(z, out, portion, &n, &e);
        if (rc != 0 || n == 0)
            break;
        *sum = crc64_update(*sum, out, n);
        *total += n;
    }
    v03_lz4_free(z);
    return rc;
}

static void
try_name(const uint8_t *data, size_t size)
{
    struct v03_object o = { 0 };
    char name[64], key[V03_KEY_SIZE];

    if (size >= sizeof(name))
        return;
    memcpy(name, data, size);
    name[size] = '\0';
    v03_generation_parse(name, &o.generation);
    for (int kind = V03_SNAPSHOT; kind <= V03_SEGMENT; kind++) {
        if (!v03_object_parse((enum v03_kind)kind, name, &o))
            continue;
        v03_key_format(&o, key);
        if (strcmp(strrchr(key, '/') + 1, name) != 0)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed whole = { data, size, SIZE_MAX }, pieces = { data, size, 7 };
    uint64_t a, b;
    size_t n, m;
    int rc = decode(whole, 65536, &a, &n);

    if (n < LIMIT && size < 4096 && (decode(pieces, 1000, &b, &m) != rc))
        abort();
    if (rc == 0 && n < LIMIT && size < 4096 && (a != b || n != m))
        abort();
    try_name(data, size);
    return 0;
}
