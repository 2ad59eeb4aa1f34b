/*
 * sigv4 - AWS Signature Version 4 in the Authorization header.
 *
 *     canonical request   METHOD \n PATH \n QUERY \n NAME:VALUE \n ... \n NAMES \n
 * PAYLOAD to be signed        AWS4-HMAC-SHA256 \n TIME \n DAY/REGION/SERVICE/aws4_request
 * \n hex(SHA-256(canonical request)) key                 HMAC chain "AWS4" + secret ->
 * DAY -> REGION -> SERVICE -> "aws4_request"
 *
 * The path is signed as it is sent, encoded once, which is what S3 wants (other services
 * encode it twice; a path of "/" is the same for all). Signed are Host, all x-amz-*
 * headers, and of the request's own those that no proxy changes: Content-MD5,
 * Content-Type, Range, If-Match, If-None-Match and the like. Never User-Agent, Expect,
 * Connection or Accept-Encoding (Google's front end rewrites it): the caller leaves them
 * out.
 */
#ifndef DRIVERS_AUTH_SIGV4_H
#define DRIVERS_AUTH_SIGV4_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/wall.h"
#include "drivers/auth/uri.h"

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_MAX_HEADERS 32
#define SIGV4_DATE_SIZE 17 /* YYYYMMDDTHHMMSSZ and a NUL */

/* The SHA-256 of no bytes, in hex. */
extern const char sigv4_empty_payload[];

struct sigv4_keys {
    const char *access_key;
    const char *secret;
    const char *token; /* of a session; "" or NULL: none */
};

struct sigv4_request {
    const char *method;
    const char *host; /* as sent: with the port unless it is the scheme's own */
    const char *path; /* as sent: begins with "/", percent-encoded */
    const struct uri_pair *query; /* not encoded; sent as uri_add_query makes it */
    size_t n_query;
    const struct uri_pair *headers; /* more headers to sign, any case and order */
    size_t n_headers;
    const char *payload; /* hex SHA-256 of the body, or SIGV4_UNSIGNED */
    const char *region;
    const char *service; /* "s3", "sts" */
    struct wall time;
};

/*
 * What goes out besides the headers of the request itself; Host is the client's matter.
 * The strings live until sigv4_headers_deinit.
 */
struct sigv4_headers {
    struct uri_pair list[4]; /* x-amz-date, x-amz-content-sha256, Authorization, token */
    size_t n;
    char date[SIGV4_DATE_SIZE];
    struct buf authorization;
};

/*
 * Signs. ERR_CONFIG when a header, key or region holds what cannot be sent in a header
 * (a line break), ERR_LIMIT when it is all too long.
 */
int sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *r,
    struct sigv4_headers *out, struct err *e);
void sigv4_headers_deinit(struct sigv4_headers *h);

/* "20130524T000000Z" */
void sigv4_date(struct wall time, char out[SIGV4_DATE_SIZE]);

/* The parts, for tests: canonical request, and the signature of one at a date. */
int sigv4_canonical(const struct sigv4_request *r, const char *token, struct buf *out,
    struct buf *names, struct err *e);

#endif
