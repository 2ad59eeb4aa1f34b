#include "drivers/auth/digest.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/mem.h"
#include "common/base/must.h"

static void
hash(const EVP_MD *md, const void *bytes, size_t n, uint8_t *out)
{
    must(EVP_Digest(bytes, n, out, NULL, md, NULL) == 1);
}

void
digest_sha256(const void *bytes, size_t n, uint8_t out[DIGEST_SHA256_BYTES])
{
    hash(EVP_sha256(), bytes, n, out);
}

void
digest_sha256_hex(const void *bytes, size_t n, char out[DIGEST_SHA256_HEX_SIZE])
{
    uint8_t sum[DIGEST_SHA256_BYTES];

    digest_sha256(bytes, n, sum);
    digest_hex(sum, sizeof(sum), out);
}

void
digest_md5_base64(const void *bytes, size_t n, char out[DIGEST_MD5_BASE64_SIZE])
{
    uint8_t sum[16];

    hash(EVP_md5(), bytes, n, sum);
    digest_base64(sum, sizeof(sum), out);
}

void
digest_hmac_sha256(const void *key, size_t n_key, const void *bytes, size_t n,
    uint8_t out[DIGEST_SHA256_BYTES])
{
    must(n_key <= INT_MAX);
    must(HMAC(EVP_sha256(), key, (int)n_key, bytes, n, out, NULL) != NULL);
}

void
digest_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void
digest_base64(const void *bytes, size_t n, char *out)
{
    must(n <= INT_MAX / 2);
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);
}

/* OpenSSL skips blanks and counts the padding as bytes. */
bool
digest_base64_decode(const char *text, uint8_t *out, size_t cap, size_t *n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789+/";
    size_t len = strlen(text), body = strspn(text, alphabet), pad = len - body;
    uint8_t *all;
    bool good;

    if (len == 0 || len % 4 != 0 || len > INT_MAX || pad > 2 ||
        strspn(text + body, "=") != pad || len / 4 * 3 - pad > cap)
        return false;
    all = mem_try(len / 4 * 3, 1);
    if (all == NULL)
        return false;
    good = EVP_DecodeBlock(all, (const unsigned char *)text, (int)len) >= 0;
    if (good) {
        *n = len / 4 * 3 - pad;
        memcpy(out, all, *n);
    }
    explicit_bzero(all, len / 4 * 3);
    mem_free(all);
    return good;
}

struct digest_stream {
    EVP_MD_CTX *ctx;
};

struct digest_stream *
digest_stream_new(void)
{
    struct digest_stream *s = MEM_NEW(struct digest_stream);

    s->ctx = EVP_MD_CTX_new();
    must(s->ctx != NULL && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1);
    return s;
}

void
digest_stream_add(struct digest_stream *s, const void *bytes, size_t n)
{
    must(EVP_DigestUpdate(s->ctx, bytes, n) == 1);
}

void
digest_stream_hex(struct digest_stream *s, char out[DIGEST_SHA256_HEX_SIZE])
{
    uint8_t sum[DIGEST_SHA256_BYTES];

    must(EVP_DigestFinal_ex(s->ctx, sum, NULL) == 1);
    digest_hex(sum, sizeof(sum), out);
}

void
digest_stream_free(struct digest_stream *s)
{
    if (s == NULL)
        return;
    EVP_MD_CTX_free(s->ctx);
    mem_free(s);
}
