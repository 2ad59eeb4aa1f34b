#include "drivers/http/http_range.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX ((INT64_MAX - 9) / 10) /* before one digit more */

void
http_range_init(struct http_range *r, int64_t off, int64_t size)
{
    *r = (struct http_range){ .off = off, .size = size, .total = -1 };
}

bool
http_range_is_complete(const struct http_range *r)
{
    if (r->size >= 0 && r->got >= r->size)
        return true;
    return r->total >= 0 && r->off + r->got >= r->total;
}

void
http_range_ask(const struct http_range *r, char out[64])
{
    int64_t from = r->off + r->got, last = r->off + r->size - 1;

    if (r->size >= 0)
        snprintf(out, 64, "bytes=%lld-%lld", (long long)from, (long long)last);
    else if (from > 0)
        snprintf(out, 64, "bytes=%lld-", (long long)from);
    else
        out[0] = '\0';
}

const char *
http_range_if_match(const struct http_range *r)
{
    return r->etag[0] == '"' ? r->etag : ""; /* a weak one never matches */
}

/* --- reading headers
 * ---------------------------------------------------------------------- */

/* Digits; NULL: there are none, or too many. */
static const char *
number(const char *at, int64_t *out)
{
    const char *begin = at;

    for (*out = 0; *at >= '0' && *at <= '9'; at++) {
        if (*out > NUMBER_MAX)
            return NULL;
        *out = *out * 10 + (*at - '0');
    }
    return at > begin ? at : NULL;
}

struct content_range {
    int64_t first, last; /* -1: none, the range is not satisfied */
    int64_t total;       /* -1: not said */
};

/* "bytes 0-9/100", "bytes 0-9/" "*", "bytes " "*" "/100" */
static bool
parse(const char *at, struct content_range *c)
{
    *c = (struct content_range){ -1, -1, -1 };
    if (at == NULL || strncasecmp(at, "bytes", 5) != 0)
        return false;
    at += 5 + strspn(at + 5, " =");
    if (*at == '*')
        at++;
    else if ((at = number(at, &c->first)) == NULL || *at != '-' ||
             (at = number(at + 1, &c->last)) == NULL || c->last < c->first)
        return false;
    if (*at != '/')
        return false;
    if (strcmp(at + 1, "*") == 0)
        return true;
    at = number(at + 1, &c->total);
    return at != NULL && *at == '\0' && (c->first < 0 || c->last < c->total);
}

/* --- the same file
 * ------------------------------------------------------------------------ */

/* Apache calls a file weak while it is younger than a second. */
static const char *
strong(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

static bool
differ(const char *kept, const char *now)
{
    return kept[0] != '\0' && now != NULL && strcmp(strong(kept), strong(now)) != 0;
}

static void
keep(char out[HTTP_PIN_MAX], const char *value)
{
    if (value != NULL && strlen(value) < HTTP_PIN_MAX)
        snprintf(out, HTTP_PIN_MAX, "%s", value);
}

static int
pin(struct http_range *r, const struct http_part *p, int64_t total, struct err *e)
{
    bool other = differ(r->etag, p->etag) ||
                 (r->etag[0] == '\0' && differ(r->modified, p->modified)) ||
                 (total >= 0 && r->total >= 0 && total != r->total);

    if (r->pinned && other)
        return err_set(e, ERR_MOVED, "the file changed while it was read");
    if (!r->pinned) {
        keep(r->etag, p->etag);
        keep(r->modified, p->modified);
    }
    r->pinned = true;
    if (total >= 0)
        r->total = total;
    return 0;
}

/* --- answers
 * ------------------------------------------------------------------------------ */

static int
beyond(struct err *e)
{
    return err_set(e, ERR_RANGE, "the range lies beyond the end of the file");
}

int
http_range_begin(
    struct http_range *r, const struct http_part *p, int64_t *skip, struct err *e)
{
    struct content_range c = { -1, -1, -1 };
    int64_t length = -1;
    int rc;

    *skip = 0;
    if (p->status == 206 && !parse(p->content_range, &c))
        return err_set(e, ERR_CORRUPT,
            "the answer does not say which bytes it holds (Content-Range: %.64s)",
            p->content_range != NULL ? p->content_range : "none");
    if (p->status != 206 && p->content_length != NULL &&
        number(p->content_length, &length) != NULL)
        c.total = length;
    if (p->status == 206 && c.first != r->off + r->got)
        return err_set(e, ERR_CORRUPT, "the answer begins at byte %lld in place of %lld",
            (long long)c.first, (long long)(r->off + r->got));
    rc = pin(r, p, c.total, e);
    if (rc != 0)
        return rc;
    if (p->status != 206)
        *skip = r->off + r->got; /* this server knows no ranges */
    if (r->off > 0 && r->total >= 0 && r->off >= r->total)
        return beyond(e);
    return 0;
}

int
http_range_refused(struct http_range *r, const struct http_part *p, struct err *e)
{
    struct content_range c = { -1, -1, -1 };

    if (r->pinned && r->got > 0) {
        bool knows = parse(p->content_range, &c) && c.total >= 0;

        if (!knows || c.total != r->off + r->got)
            return err_set(e, ERR_MOVED, "the file changed while it was read");
        r->total = c.total;
        return 0;
    }
    return beyond(e);
}
