#include "supervisor/control/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "common/base/mem.h"
#include "common/base/must.h"

#define PIECE 16384
#define GZIP_WRAPPER 16 /* to be added to the bits of the window */
#define MEMORY_LEVEL 8

struct gzip {
    struct http_stream from;
    z_stream z;
    bool from_over, over;
    char piece[PIECE];
};

/* --- Accept-Encoding ------------------------------------------------------------------
 */

/* "gzip" in "gzip;q=0.5" */
static bool
is_coding(const char *at, size_t len, const char *name)
{
    size_t n = strcspn(at, "; \t");

    if (n > len)
        n = len;
    return n == strlen(name) && strncasecmp(at, name, n) == 0;
}

/* Its weight is 0: never this one. */
static bool
is_refused(const char *at, size_t len)
{
    const char *end = at + len, *weight = memchr(at, ';', len);

    if (weight == NULL)
        return false;
    weight++;
    while (weight < end && (*weight == ' ' || *weight == '\t'))
        weight++;
    if (end - weight < 3 || strncasecmp(weight, "q=", 2) != 0)
        return false;
    return strtod(weight + 2, NULL) <= 0;
}

bool
gzip_is_accepted(const char *accept_encoding)
{
    bool any = false;

    for (const char *at = accept_encoding; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");
        const char *next = at + len;

        while (len > 0 && (*at == ' ' || *at == '\t')) {
            at++;
            len--;
        }
        if (is_coding(at, len, "gzip") || is_coding(at, len, "x-gzip"))
            return !is_refused(at, len);
        if (is_coding(at, len, "*"))
            any = !is_refused(at, len);
        at = *next == ',' ? next + 1 : next;
    }
    return any;
}

/* --- the stream -----------------------------------------------------------------------
 */

static size_t
read_gzip(void *arg, char *out, size_t max)
{
    struct gzip *g = arg;

    g->z.next_out = (unsigned char *)out;
    g->z.avail_out = max < PIECE ? (uInt)max : PIECE;
    max = g->z.avail_out;
    while (g->z.avail_out == max && !g->over) {
        int rc;

        if (g->z.avail_in == 0 && !g->from_over) {
            size_t n = g->from.read(g->from.arg, g->piece, sizeof(g->piece));

            g->from_over = n == 0;
            g->z.next_in = (unsigned char *)g->piece;
            g->z.avail_in = (uInt)n;
        }
        rc = deflate(&g->z, g->from_over ? Z_FINISH : Z_NO_FLUSH);
        must(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
        g->over = rc == Z_STREAM_END;
    }
    return max - g->z.avail_out;
}

static void
free_gzip(void *arg)
{
    struct gzip *g = arg;

    deflateEnd(&g->z);
    g->from.free(g->from.arg);
    mem_free(g);
}

bool
gzip_wrap(struct http_stream *stream)
{
    struct gzip *g = MEM_NEW(struct gzip);

    if (deflateInit2(&g->z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER,
            MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        mem_free(g);
        return false;
    }
    g->from = *stream;
    *stream = (struct http_stream){ .read = read_gzip, .free = free_gzip, .arg = g };
    return true;
}
