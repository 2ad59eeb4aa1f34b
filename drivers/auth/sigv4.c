#include "drivers/auth/sigv4.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/must.h"
#include "drivers/auth/digest.h"

#define MAX_BYTES ((size_t)64 << 10) /* of a canonical request, and of what is sent */
#define ALGORITHM "AWS4-HMAC-SHA256"

const char sigv4_empty_payload[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

void
sigv4_date(struct wall time, char out[SIGV4_DATE_SIZE])
{
    time_t t = (time_t)time.sec;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        memset(&tm, 0, sizeof(tm)); /* no such clock; refused by every server */
    must(strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_SIZE - 1);
}

/* A line break in a value would make another header of it. */
static bool
fits_in_header(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Lower case name, ":", the value trimmed with runs of blanks as one, newline. */
static bool
add_header(struct buf *out, const struct uri_pair *h)
{
    bool gap = false, begun = false;

    for (const char *s = h->name; *s != '\0'; s++)
        if (!buf_add_char(out, (char)tolower((unsigned char)*s)))
            return false;
    if (!buf_add_char(out, ':'))
        return false;
    for (const char *s = h->value; *s != '\0'; s++) {
        if (*s == ' ') {
            gap = begun;
            continue;
        }
        if ((gap && !buf_add_char(out, ' ')) || !buf_add_char(out, *s))
            return false;
        gap = false;
        begun = true;
    }
    return buf_add_char(out, '\n');
}

static int
by_name(const void *a, const void *b)
{
    const struct uri_pair *x = a, *y = b;

    return strcasecmp(x->name, y->name);
}

static int
too_long(struct err *e)
{
    return err_set(
        e, ERR_LIMIT, "a request to be signed is larger than %zu bytes", MAX_BYTES);
}

/* The headers to be signed, sorted. */
static int
collect(const struct sigv4_request *r, const char *date, const char *token,
    struct uri_pair out[SIGV4_MAX_HEADERS], size_t *n, struct err *e)
{
    must(r->n_headers + 4 <= SIGV4_MAX_HEADERS);
    *n = 0;
    out[(*n)++] = (struct uri_pair){ "host", r->host };
    out[(*n)++] = (struct uri_pair){ "x-amz-content-sha256", r->payload };
    out[(*n)++] = (struct uri_pair){ "x-amz-date", date };
    if (token != NULL && token[0] != '\0')
        out[(*n)++] = (struct uri_pair){ "x-amz-security-token", token };
    for (size_t i = 0; i < r->n_headers; i++)
        out[(*n)++] = r->headers[i];
    for (size_t i = 0; i < *n; i++)
        if (!fits_in_header(out[i].name) || !fits_in_header(out[i].value))
            return err_set(e, ERR_CONFIG,
                "the value of the header %s has a line break or another control character "
                "in it",
                out[i].name);
    qsort(out, *n, sizeof(out[0]), by_name);
    return 0;
}

int
sigv4_canonical(const struct sigv4_request *r, const char *token, struct buf *out,
    struct buf *names, struct err *e)
{
    struct uri_pair headers[SIGV4_MAX_HEADERS];
    char date[SIGV4_DATE_SIZE];
    size_t n;
    int rc;

    must(r->path[0] == '/');
    sigv4_date(r->time, date);
    rc = collect(r, date, token, headers, &n, e);
    if (rc != 0)
        return rc;
    buf_printf(out, "%s\n%s\n", r->method, r->path);
    uri_add_query(out, r->query, r->n_query);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < n; i++) {
        add_header(out, &headers[i]);
        if (i > 0)
            buf_add_char(names, ';');
        for (const char *s = headers[i].name; *s != '\0'; s++)
            buf_add_char(names, (char)tolower((unsigned char)*s));
    }
    buf_printf(out, "\n%s\n%s", buf_str(names), r->payload);
    return buf_failed(out) || buf_failed(names) ? too_long(e) : 0;
}

/* The key of a day, a region and a service. */
static int
derive(const char *secret, const char *date, const struct sigv4_request *r,
    uint8_t key[DIGEST_SHA256_BYTES], struct err *e)
{
    const char *const parts[] = { r->region, r->service, "aws4_request" };
    char first[512];
    int n = snprintf(first, sizeof(first), "AWS4%s", secret);

    if (n < 0 || (size_t)n >= sizeof(first)) {
        explicit_bzero(first, sizeof(first));
        return err_set(e, ERR_CONFIG, "the secret access key is too long to be one");
    }
    digest_hmac_sha256(first, (size_t)n, date, 8, key);
    explicit_bzero(first, sizeof(first));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint8_t next[DIGEST_SHA256_BYTES];

        digest_hmac_sha256(key, DIGEST_SHA256_BYTES, parts[i], strlen(parts[i]), next);
        memcpy(key, next, sizeof(next));
        explicit_bzero(next, sizeof(next));
    }
    return 0;
}

static int
authorize(const struct sigv4_keys *keys, const struct sigv4_request *r,
    const struct buf *canonical, struct buf *names, struct sigv4_headers *out,
    struct err *e)
{
    uint8_t key[DIGEST_SHA256_BYTES], sum[DIGEST_SHA256_BYTES];
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct buf text;
    int rc = 0;

    buf_init(&text, MAX_BYTES);
    digest_sha256_hex(canonical->data, canonical->size, hex);
    buf_printf(&text, ALGORITHM "\n%s\n%.8s/%s/%s/aws4_request\n%s", out->date, out->date,
        r->region, r->service, hex);
    if (buf_failed(&text))
        rc = too_long(e);
    if (rc == 0)
        rc = derive(keys->secret, out->date, r, key, e);
    if (rc == 0) {
        digest_hmac_sha256(key, sizeof(key), text.data, text.size, sum);
        digest_hex(sum, sizeof(sum), hex);
        buf_printf(&out->authorization,
            ALGORITHM " Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, "
                      "Signature=%s",
            keys->access_key, out->date, r->region, r->service, buf_str(names), hex);
        if (buf_failed(&out->authorization))
            rc = too_long(e);
    }
    explicit_bzero(key, sizeof(key));
    buf_deinit(&text);
    return rc;
}

int
sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *r,
    struct sigv4_headers *out, struct err *e)
{
    const char *token = keys->token != NULL ? keys->token : "";
    struct buf canonical, names;
    int rc;

    *out = (struct sigv4_headers){ 0 };
    buf_init(&out->authorization, MAX_BYTES);
    buf_init(&canonical, MAX_BYTES);
    buf_init(&names, MAX_BYTES);
    sigv4_date(r->time, out->date);
    if (!fits_in_header(keys->access_key) || !fits_in_header(r->region))
        rc = err_set(e, ERR_CONFIG,
            "the access key id or the region has a line break or another control "
            "character in it");
    else
        rc = sigv4_canonical(r, token, &canonical, &names, e);
    if (rc == 0)
        rc = authorize(keys, r, &canonical, &names, out, e);
    if (canonical.data != NULL)
        explicit_bzero(canonical.data, canonical.cap); /* the token is in it */
    buf_deinit(&canonical);
    buf_deinit(&names);
    if (rc != 0) {
        sigv4_headers_deinit(out);
        return rc;
    }
    out->list[out->n++] = (struct uri_pair){ "x-amz-date", out->date };
    out->list[out->n++] = (struct uri_pair){ "x-amz-content-sha256", r->payload };
    out->list[out->n++] =
        (struct uri_pair){ "Authorization", buf_str(&out->authorization) };
    if (token[0] != '\0')
        out->list[out->n++] = (struct uri_pair){ "x-amz-security-token", token };
    return 0;
}

void
sigv4_headers_deinit(struct sigv4_headers *h)
{
    buf_deinit(&h->authorization);
    *h = (struct sigv4_headers){ 0 };
}
