#include <string.h>

#include <criterion/criterion.h>
#include <zlib.h>

#include "common/base/mem.h"
#include "supervisor/control/gzip.h"

struct source {
    size_t size, at, step; /* at most so much at a time */
    bool freed;
};

static char
byte_at(size_t i)
{
    return (char)((i * 2654435761u) >> 13);
}

static size_t
read_source(void *arg, char *out, size_t max)
{
    struct source *s = arg;
    size_t n = s->size - s->at;

    if (n > s->step)
        n = s->step;
    if (n > max)
        n = max;
    for (size_t i = 0; i < n; i++)
        out[i] = byte_at(s->at + i);
    s->at += n;
    return n;
}

static void
free_source(void *arg)
{
    struct source *s = arg;

    cr_expect_not(s->freed);
    s->freed = true;
}

/* What comes out of the stream, read in pieces of `max`, inflated and compared. */
static void
check(size_t size, size_t step, size_t max)
{
    struct source s = { .size = size, .step = step };
    struct http_stream stream = { .read = read_source, .free = free_source, .arg = &s };
    char *in = mem_new_array(max, 1);
    unsigned char out[4096];
    z_stream z = { 0 };
    size_t at = 0, n;
    int rc = Z_OK;

    cr_assert(gzip_wrap(&stream));
    cr_assert_eq(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
    while ((n = stream.read(stream.arg, in, max)) > 0) {
        cr_assert_leq(n, max);
        z.next_in = (unsigned char *)in;
        z.avail_in = (uInt)n;
        do {
            z.next_out = out;
            z.avail_out = sizeof(out);
            rc = inflate(&z, Z_NO_FLUSH);
            cr_assert(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
            for (size_t i = 0; i < sizeof(out) - z.avail_out; i++, at++)
                cr_assert_eq((char)out[i], byte_at(at));
        } while (z.avail_out == 0);
    }
    cr_expect_eq(rc, Z_STREAM_END);
    cr_expect_eq(at, size);
    inflateEnd(&z);
    cr_expect_not(s.freed);
    stream.free(stream.arg);
    cr_expect(s.freed);
    mem_free(in);
}

Test(gzip, gives_the_bytes_compressed)
{
    check(0, 1, 1024);
    check(1, 1, 1024);
    check(100000, 7, 1024);
    check(1000000, 100000, 1024);
    check(1000000, 16384, 100000);
}

Test(gzip, may_be_freed_before_the_end)
{
    struct source s = { .size = 1000000, .step = 5000 };
    struct http_stream stream = { .read = read_source, .free = free_source, .arg = &s };
    char out[1024];

    cr_assert(gzip_wrap(&stream));
    cr_expect_gt(stream.read(stream.arg, out, sizeof(out)), 0);
    stream.free(stream.arg);
    cr_expect(s.freed);
}

Test(gzip, knows_who_wants_it)
{
    static const char *const yes[] = { "gzip", "GZip", "deflate, gzip", "x-gzip", "*",
        "gzip;q=0.5", "br;q=1.0, gzip ; q=0.8, *;q=0.1", "identity;q=0, *", "gzip;q=1",
        "\tgzip ", "gzip;", "gzip;level=0" };
    static const char *const no[] = { "", " ", "deflate", "gzip;q=0", "gzip; q=0.000",
        "*;q=0", "gzipped", "gz", "identity", "*, gzip;q=0", "deflate;gzip", ",,,", ";",
        "=" };

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        cr_expect(gzip_is_accepted(yes[i]), "\"%s\"", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        cr_expect_not(gzip_is_accepted(no[i]), "\"%s\"", no[i]);
    cr_expect_not(gzip_is_accepted(NULL));
}
