/*
 * s3_address - where the requests of one replica go and with which habits.
 *
 *     AWS, virtual-hosted    BUCKET.s3.REGION.amazonaws.com         /KEY
 *     AWS, path style        s3.REGION.amazonaws.com                /BUCKET/KEY
 *     endpoint, path style   ENDPOINT                               [/PATH]/BUCKET/KEY
 *     endpoint, virtual      BUCKET.ENDPOINT                        [/PATH]/KEY
 *     access point           NAME-ACCOUNT.s3-accesspoint.REGION...  /KEY
 *
 * A bucket that cannot be a host name (letters, length, a dot under TLS, an endpoint that
 * is an IP address) is put in the path whatever was asked for. AWS in China is at
 * amazonaws.com.cn. Keys are sent as they are: no dot or slash is folded, so the client
 * must not do it either.
 */
#ifndef DRIVERS_S3_S3_ADDRESS_H
#define DRIVERS_S3_S3_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "config/config.h"
#include "drivers/s3/s3_provider.h"

#define S3_MIN_PART_BYTES ((int64_t)5 << 20)
#define S3_MAX_PART_BYTES ((int64_t)5 << 30)
#define S3_KEY_MAX 1024 /* bytes of a key */

/* What the environment and the shared files of AWS say, where the replica says nothing.
 */
struct s3_surroundings {
    const char *endpoint; /* "" or NULL: none */
    bool fips, dualstack;
};

struct s3_address {
    const struct s3_provider *provider;
    char *scheme; /* "http" or "https" */
    char *host;   /* with the port unless it is the scheme's own: signed and sent */
    char *base;   /* "" or "/PATH/BUCKET", percent-encoded, in front of "/KEY" */
    char *region; /* for signatures; "": to be found out, signed for us-east-1 */
    char *bucket; /* for messages */
    bool path_style;
    bool access_point;
    bool sign_payload;
    bool content_md5; /* with DeleteObjects */
    bool checksums;   /* x-amz-checksum-crc32 is understood: AWS only */
    bool verify_tls;
    int64_t part_bytes;
    int64_t concurrency;

    /* How the host was made, for another region. */
    char *account; /* of an access point */
    char *name;    /* bucket, or name of the access point */
    char *endpoint_host, *endpoint_path;
    bool fips, dualstack;
};

/* ERR_CONFIG with what is wrong and what to do. */
int s3_address_make(const struct cfg_replica *cfg, const struct s3_surroundings *around,
    struct s3_address *out, struct err *e);
void s3_address_deinit(struct s3_address *a);

/*
 * Takes a region that was looked up or that a server names ("EU" and "" have meanings of
 * their own there). ERR_PROTOCOL when it is no name of a region.
 */
int s3_address_set_region(struct s3_address *a, const char *region, struct err *e);
const char *s3_address_region(const struct s3_address *a); /* never "" */

/*
 * The path of a request: of a key, or of the bucket itself (NULL). Percent-encoded,
 * begins with "/"; false when it is too long.
 */
bool s3_address_path(const struct s3_address *a, const char *key, struct buf *out);

/* SCHEME://HOST and the path; a query follows with "?". */
bool s3_address_url(const struct s3_address *a, const char *key, struct buf *out);

/*
 * Bytes of each part but the last of an upload of at most `bound` bytes (-1: not known):
 * the configured size unless that makes too many parts, then in steps of 1 MiB.
 */
int64_t s3_address_part_bytes(const struct s3_address *a, int64_t bound);

#endif
