#include "drivers/s3/s3_sse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "drivers/auth/digest.h"

#define KEY_BYTES 32
#define PREFIX "x-amz-server-side-encryption"

_Static_assert(sizeof(((struct s3_sse *)0)->md5) == DIGEST_MD5_BASE64_SIZE, "an MD5");

static bool
is_private_ip(uint32_t ip)
{
    return ip >> 24 == 127 || ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8;
}

static bool
ends_with(const char *host, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len > n && strncasecmp(host + len - n, end, n) == 0;
}

/* This machine, or a network of one's own. */
static bool
is_near(const char *host)
{
    size_t len = strcspn(host, ":");
    char name[256];
    struct in_addr v4;

    if (strncmp(host, "[::1]", 5) == 0)
        return true;
    if (len >= sizeof(name))
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    if (inet_pton(AF_INET, name, &v4) == 1)
        return is_private_ip(ntohl(v4.s_addr));
    return strcasecmp(name, "localhost") == 0 || ends_with(name, len, ".localhost") ||
           ends_with(name, len, ".local");
}

static int
check_key(const struct cfg_replica *cfg, struct s3_sse *out, struct err *e)
{
    const char *text = secret_reveal(&cfg->sse_customer_key);
    uint8_t raw[KEY_BYTES * 2];
    size_t n = 0;

    if (!digest_base64_decode(text, raw, sizeof(raw), &n) && strlen(text) <= 88)
        return err_set(e, ERR_CONFIG, "s3: sse-customer-key must be valid base64");
    if (n != KEY_BYTES) {
        explicit_bzero(raw, sizeof(raw));
        return err_set(e, ERR_CONFIG,
            "s3: sse-customer-key must be 256-bit (32 bytes) when decoded, got %s%zu bytes",
            n == 0 ? "more than " : "", n == 0 ? sizeof(raw) : n);
    }
    digest_md5_base64(raw, n, out->md5);
    explicit_bzero(raw, sizeof(raw));
    if (cfg->sse_customer_key_md5[0] != '\0' &&
        strcmp(cfg->sse_customer_key_md5, out->md5) != 0)
        return err_set(e, ERR_CONFIG,
            "s3: sseCustomerKeyMD5 is not the MD5 of the customer key; leave it out");
    return 0;
}

int
s3_sse_make(const struct cfg_replica *cfg, const struct s3_address *address,
    struct s3_sse *out, struct err *e)
{
    const char *algorithm = cfg->sse_customer_algorithm;

    *out = (struct s3_sse){ .cfg = cfg };
    if (!secret_is_set(&cfg->sse_customer_key))
        return 0;
    if (cfg->sse_kms_key_id[0] != '\0')
        return err_set(e, ERR_CONFIG,
            "s3: cannot use both sse-customer-key and sse-kms-key-id; they are mutually "
            "exclusive");
    if (algorithm[0] != '\0' && strcmp(algorithm, "AES256") != 0)
        return err_set(e, ERR_CONFIG,
            "s3: sse-customer-algorithm must be AES256, got \"%s\"", algorithm);
    if (strcmp(address->scheme, "https") != 0 && !is_near(address->host))
        return err_set(e, ERR_CONFIG,
            "s3: sse-customer-key requires HTTPS endpoint (HTTP only allowed for "
            "localhost/private networks)");
    return check_key(cfg, out, e);
}

size_t
s3_sse_headers(
    const struct s3_sse *sse, enum s3_call call, struct uri_pair out[S3_SSE_HEADERS])
{
    bool creates = call == S3_PUT || call == S3_CREATE_UPLOAD;

    if (sse->md5[0] != '\0' &&
        (creates || call == S3_UPLOAD_PART || call == S3_GET || call == S3_HEAD)) {
        out[0] = (struct uri_pair){ PREFIX "-customer-algorithm", "AES256" };
        out[1] = (struct uri_pair){ PREFIX "-customer-key",
            secret_reveal(&sse->cfg->sse_customer_key) };
        out[2] = (struct uri_pair){ PREFIX "-customer-key-MD5", sse->md5 };
        return 3;
    }
    if (creates && sse->cfg->sse_kms_key_id[0] != '\0') {
        out[0] = (struct uri_pair){ PREFIX, "aws:kms" };
        out[1] = (struct uri_pair){ PREFIX "-aws-kms-key-id", sse->cfg->sse_kms_key_id };
        return 2;
    }
    return 0;
}
