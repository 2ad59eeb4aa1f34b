/*
 * aws_plan - where the credentials of a replica come from: a decision without any
 * request.
 *
 * The first complete source wins, in the order of the SDKs of AWS:
 *
 *     1. access-key-id and secret-access-key of the replica
 *     2. AWS_ACCESS_KEY_ID (or AWS_ACCESS_KEY), AWS_SECRET_ACCESS_KEY (or
 * AWS_SECRET_KEY), AWS_SESSION_TOKEN
 *     3. AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN
 *     4. the profile of the shared files (aws_files): source_profile, keys,
 *        credential_source, web_identity_token_file, SSO, credential_process; if it has a
 *        role_arn as well, that role is assumed with them
 *     5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or ..._FULL_URI
 *     6. instance metadata, unless AWS_EC2_METADATA_DISABLED is true
 *
 * What leads there is a list of steps: the first gives credentials by itself, each other
 * one assumes a role with those of the step before.
 */
#ifndef DRIVERS_AUTH_AWS_PLAN_H
#define DRIVERS_AUTH_AWS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/secret.h"
#include "drivers/auth/aws_files.h"

enum aws_kind {
    AWS_KEYS,         /* access_key, secret, token */
    AWS_WEB_IDENTITY, /* token_file, role_arn, session_name */
    AWS_ASSUME_ROLE,  /* role_arn, session_name, external_id, duration_s */
    AWS_CONTAINER,    /* url, secret (sent as Authorization) or token_file */
    AWS_INSTANCE,     /* url, without_token */
    AWS_SSO,          /* url, token_file (the cache), account, role_arn (its name) */
};

struct aws_step {
    enum aws_kind kind;
    char *from; /* for people: "the environment", "profile \"x\"" */
    char *access_key;
    struct secret secret, token;
    char *role_arn, *session_name, *external_id;
    char *token_file;
    char *url;
    char *account;
    int64_t duration_s;
    bool without_token; /* instance metadata of version 1 is fine, too */
};

#define AWS_MAX_STEPS 8

struct aws_plan {
    struct aws_step steps[AWS_MAX_STEPS];
    size_t n;
    bool from_files; /* other files would make another plan */
    char *sts_url;   /* with a slash at the end */
    char *sts_region;
    struct buf tried; /* why what comes before did not serve: "A; B; C" */
};

struct aws_plan_input {
    const char *access_key; /* of the replica; "": none */
    const struct secret *secret;
    const char *region; /* of the replica; "": not known */
    aws_env_cb *env;
    const struct aws_files *files;
};

/*
 * ERR_AUTH with everything that was tried when there is no source, ERR_CONFIG when one is
 * described wrongly, ERR_UNSUPPORTED when it is of a kind that cannot be used here.
 */
int aws_plan_make(const struct aws_plan_input *in, struct aws_plan *out, struct err *e);
void aws_plan_deinit(struct aws_plan *plan);

/*
 * May a URL of a container's credentials be asked? Only with TLS, or on this machine, or
 * at the addresses of ECS and EKS: what answers gets the token.
 */
bool aws_plan_url_is_safe(const char *url);

#endif
