#include "common/v03/v03_name.h"

#include <stdio.h>
#include <string.h>

#define SNAPSHOT_SUFFIX ".snapshot.lz4"
#define SEGMENT_SUFFIX ".wal.lz4"

/* How many of at most `max` lower-case hex digits stand at text; *v is their value. */
static int
parse_hex(const char *text, int max, uint64_t *v)
{
    int n = 0;

    *v = 0;
    for (; n < max; n++) {
        char c = text[n];

        if (c >= '0' && c <= '9')
            *v = *v << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *v = *v << 4 | (unsigned)(c - 'a' + 10);
        else
            break;
    }
    return n;
}

bool
v03_generation_parse(const char *name, uint64_t *generation)
{
    return parse_hex(name, 16, generation) == 16 && name[16] == '\0';
}

bool
v03_object_parse(enum v03_kind kind, const char *name, struct v03_object *o)
{
    uint64_t index, off;
    int digits;

    if (parse_hex(name, 8, &index) != 8 || index > INT32_MAX)
        return false;
    o->kind = kind;
    o->index = (uint32_t)index;
    o->off = 0;
    o->off_digits = 0;
    if (kind == V03_SNAPSHOT)
        return strcmp(name + 8, SNAPSHOT_SUFFIX) == 0;
    if (name[8] != '_')
        return false;
    digits = parse_hex(name + 9, 16, &off);
    if (digits < 8 || off > INT64_MAX || strcmp(name + 9 + digits, SEGMENT_SUFFIX) != 0)
        return false;
    o->off = (int64_t)off;
    o->off_digits = (uint8_t)digits;
    return true;
}

void
v03_folder_format(uint64_t generation, enum v03_kind kind, char out[V03_KEY_SIZE])
{
    snprintf(out, V03_KEY_SIZE, V03_GENERATIONS "/%016llx/%s",
        (unsigned long long)generation, kind == V03_SNAPSHOT ? "snapshots" : "wal");
}

void
v03_key_format(const struct v03_object *o, char out[V03_KEY_SIZE])
{
    size_t n;

    v03_folder_format(o->generation, o->kind, out);
    n = strlen(out);
    if (o->kind == V03_SNAPSHOT)
        snprintf(out + n, V03_KEY_SIZE - n, "/%08x" SNAPSHOT_SUFFIX, o->index);
    else
        snprintf(out + n, V03_KEY_SIZE - n, "/%08x_%0*llx" SEGMENT_SUFFIX, o->index,
            o->off_digits < 8 ? 8 : o->off_digits, (unsigned long long)o->off);
}

static int
order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int
v03_object_cmp(const void *a, const void *b)
{
    const struct v03_object *x = a, *y = b;
    int c = order(x->generation, y->generation);

    if (c == 0)
        c = order(x->kind, y->kind);
    if (c == 0)
        c = order(x->index, y->index);
    if (c == 0)
        c = order((uint64_t)x->off, (uint64_t)y->off);
    return c != 0 ? c : order(x->off_digits, y->off_digits);
}
