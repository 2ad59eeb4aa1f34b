/*
 * aws_creds - one set of credentials of AWS, and the documents in which they come.
 *
 *     container     { AccessKeyId, SecretAccessKey, Token, Expiration }
 *     instance      the same with Code: "Success"
 *     process       { Version: 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration
 * } SSO           { roleCredentials: { accessKeyId, secretAccessKey, sessionToken,
 *                   expiration: milliseconds } }
 *     STS           <XResponse><XResult><Credentials><AccessKeyId>...<Expiration>
 *
 * What is wrong with a document is told without any of its values.
 */
#ifndef DRIVERS_AUTH_AWS_CREDS_H
#define DRIVERS_AUTH_AWS_CREDS_H

#include <stddef.h>

#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/base/wall.h"
#include "drivers/auth/sigv4.h"

struct aws_creds {
    char *access_key; /* NULL: none */
    struct secret secret, token;
    struct wall expires; /* 0: never */
};

void aws_creds_set(struct aws_creds *c, const char *access_key, const char *secret,
    const char *token, struct wall expires);
void aws_creds_take(struct aws_creds *to, struct aws_creds *from); /* empties from */
void aws_creds_deinit(struct aws_creds *c);

/* Borrowed from c. */
struct sigv4_keys aws_creds_keys(const struct aws_creds *c);

enum aws_document { AWS_DOC_CONTAINER, AWS_DOC_INSTANCE, AWS_DOC_PROCESS, AWS_DOC_SSO };

/* ERR_PROTOCOL; ERR_AUTH when the document says why there are none. */
int aws_creds_json(enum aws_document form, const char *bytes, size_t n,
    struct aws_creds *out, struct err *e);
int aws_creds_sts(const char *bytes, size_t n, struct aws_creds *out, struct err *e);

/* The code of an error of STS, "" when there is none; for deciding about a retry. */
#define AWS_CODE_MAX 96
void aws_creds_sts_fault(
    const char *bytes, size_t n, char code[AWS_CODE_MAX], char *message, size_t size);

#endif
