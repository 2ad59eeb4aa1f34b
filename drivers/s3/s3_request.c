#include "drivers/s3/s3_request.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/auth/digest.h"
#include "drivers/auth/sigv4.h"

#define MAX_URL ((size_t)16 << 10)

void
s3_add_query(struct s3_op *op, const char *name, const char *value)
{
    must(op->n_query < S3_MAX_QUERY);
    op->query[op->n_query++] = (struct uri_pair){ name, value };
}

void
s3_add_header(struct s3_op *op, const char *name, const char *value)
{
    must(op->n_headers < S3_MAX_HEADERS);
    op->headers[op->n_headers++] = (struct uri_pair){ name, value };
}

static const char *
payload(const struct s3_attempt *a, char hex[DIGEST_SHA256_HEX_SIZE])
{
    const struct s3_op *op = a->op;

    if (op->body_bytes == 0)
        return sigv4_empty_payload;
    if (!a->client->address.sign_payload &&
        (op->call == S3_PUT || op->call == S3_UPLOAD_PART))
        return SIGV4_UNSIGNED;
    if (op->body_hash != NULL)
        return op->body_hash;
    digest_sha256_hex(op->body, op->body_bytes, hex);
    return hex;
}

/* Headers that are signed; out has room for all. */
static size_t
gather(const struct s3_attempt *a, struct uri_pair *out)
{
    const struct s3_op *op = a->op;
    size_t n = 0;

    for (; n < op->n_headers; n++)
        out[n] = op->headers[n];
    n += s3_sse_headers(&a->client->sse, op->call, out + n);
    if (a->client->address.provider->consistent)
        out[n++] = (struct uri_pair){ "X-Tigris-Consistent", "true" };
    return n;
}

static int
send_signed(struct s3_attempt *a, const struct sigv4_keys *keys, const char *path,
    const char *url, struct http_request *req, struct err *e)
{
    struct uri_pair headers[S3_MAX_HEADERS + S3_SSE_HEADERS + 1 + 4];
    const struct s3_op *op = a->op;
    const struct s3_address *to = &a->client->address;
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct sigv4_request sign = { .method = op->method,
        .host = to->host,
        .path = path,
        .query = op->query,
        .n_query = op->n_query,
        .headers = headers,
        .n_headers = gather(a, headers),
        .payload = payload(a, hex),
        .region = a->region,
        .service = "s3",
        .time = s3_client_now(a->client) };
    struct sigv4_headers more;
    int rc = sigv4_sign(keys, &sign, &more, e);

    if (rc != 0)
        return rc;
    req->method = op->method;
    req->url = url;
    req->headers = headers;
    req->n_headers = sign.n_headers;
    for (size_t i = 0; i < more.n; i++)
        headers[req->n_headers++] = more.list[i];
    req->body = op->body;
    req->body_bytes = op->body_bytes;
    if (op->xml == NULL && op->data == NULL)
        req->data = NULL;
    req->arg = a;
    req->insecure = !to->verify_tls;
    req->timeout_ms = op->timeout_ms;
    a->http = http_start(a->client->http, req);
    sigv4_headers_deinit(&more);
    return 0;
}

int
s3_request_send(struct s3_attempt *a, const struct sigv4_keys *keys,
    int (*data)(
        void *arg, struct http_op *http, const void *bytes, size_t n, struct err *e),
    void (*done)(void *arg, struct http_op *http, const struct http_result *res),
    struct err *e)
{
    const struct s3_op *op = a->op;
    struct http_request req = { .data = data, .done = done };
    const struct s3_address *to = &a->client->address;
    struct buf path, url;
    int rc = 0;

    buf_init(&path, MAX_URL);
    buf_init(&url, MAX_URL);
    mem_free(a->region);
    a->region = mem_strdup(s3_address_region(to));
    if ((op->key != NULL && strlen(op->key) > S3_KEY_MAX) ||
        !s3_address_path(to, op->key, &path) || !s3_address_url(to, op->key, &url) ||
        (op->n_query > 0 &&
            (!buf_add_char(&url, '?') || !uri_add_query(&url, op->query, op->n_query))))
        rc = err_set(e, ERR_CONFIG,
            "the key is longer than the %d bytes that S3 takes; shorten `path`",
            S3_KEY_MAX);
    else
        rc = send_signed(a, keys, buf_str(&path), buf_str(&url), &req, e);
    buf_deinit(&path);
    buf_deinit(&url);
    return rc;
}
