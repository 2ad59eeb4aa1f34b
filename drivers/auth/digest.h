/*
 * digest - hashes, HMAC and their text forms, by OpenSSL.
 *
 * Nothing here can fail but for want of memory, which ends the process (mem.h).
 */
#ifndef DRIVERS_AUTH_DIGEST_H
#define DRIVERS_AUTH_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_BYTES 32
#define DIGEST_SHA256_HEX_SIZE 65 /* with the NUL */
#define DIGEST_MD5_BASE64_SIZE 25 /* with the NUL */
#define DIGEST_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

void digest_sha256(const void *bytes, size_t n, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_sha256_hex(const void *bytes, size_t n, char out[DIGEST_SHA256_HEX_SIZE]);
void digest_md5_base64(const void *bytes, size_t n, char out[DIGEST_MD5_BASE64_SIZE]);
void digest_hmac_sha256(const void *key, size_t n_key, const void *bytes, size_t n,
    uint8_t out[DIGEST_SHA256_BYTES]);

/* Lower case, with a NUL: 2 * n + 1 bytes. */
void digest_hex(const uint8_t *bytes, size_t n, char *out);

/* With padding and a NUL: DIGEST_BASE64_SIZE(n) bytes. */
void digest_base64(const void *bytes, size_t n, char *out);

/* Standard alphabet, padding required, nothing else allowed; *n bytes go to out. */
bool digest_base64_decode(const char *text, uint8_t *out, size_t cap, size_t *n);

/* The SHA-256 of what comes in pieces. */
struct digest_stream; /* opaque */

struct digest_stream *digest_stream_new(void);
void digest_stream_add(struct digest_stream *s, const void *bytes, size_t n);
void digest_stream_hex(
    struct digest_stream *s, char out[DIGEST_SHA256_HEX_SIZE]); /* once */
void digest_stream_free(struct digest_stream *s);               /* NULL is fine */

#endif
