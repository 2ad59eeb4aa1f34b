/*
 * aws_files - both shared files of AWS as one set of profiles.
 *
 *     credentials   AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials: [NAME]
 *     config        AWS_CONFIG_FILE, else ~/.aws/config: [profile NAME], [default],
 *                   [services NAME], [sso-session NAME]
 *
 * For a key that is in both, the credentials file wins. Absent files are fine.
 */
#ifndef DRIVERS_AUTH_AWS_FILES_H
#define DRIVERS_AUTH_AWS_FILES_H

#include <stdbool.h>

#include "common/base/err.h"

/* A variable of the environment; NULL or "": not set. */
typedef const char *aws_env_cb(const char *name);

const char *aws_getenv(const char *name); /* the one of this process */

struct aws_files; /* opaque */

/* Never fails: what cannot be read is as if it were not there, and aws_files_fault says
 * why. */
struct aws_files *aws_files_read(aws_env_cb *env);
void aws_files_free(struct aws_files *f); /* NULL is fine */

/* Why a file that is there could not be used; NULL: no such fault. */
const struct err *aws_files_fault(const struct aws_files *f);

/* The names of the files, for messages. */
const char *aws_files_credentials_path(const struct aws_files *f);
const char *aws_files_config_path(const struct aws_files *f);

/* The profile to be used; *named: it was asked for by a variable and has to be there. */
const char *aws_files_profile(const struct aws_files *f, bool *named);

bool aws_files_has(const struct aws_files *f, const char *profile);
const char *aws_files_get(
    const struct aws_files *f, const char *profile, const char *key); /* NULL: not set */

/* A key of another kind of section, e.g. "sso-session", NAME. */
const char *aws_files_get_in(
    const struct aws_files *f, const char *kind, const char *name, const char *key);

/* One of the files is not what it was when it was read. */
bool aws_files_changed(const struct aws_files *f);

/* --- settings that are no credentials --------------------------------------------------
 */

/*
 * Where a service ("s3", "sts") is to be reached instead: AWS_ENDPOINT_URL_S3,
 * AWS_ENDPOINT_URL, then the profile; NULL: where it always is. Borrowed from env or f.
 */
const char *aws_files_endpoint(
    const struct aws_files *f, aws_env_cb *env, const char *service);

/* AWS_USE_FIPS_ENDPOINT and use_fips_endpoint, and the same of dualstack. */
bool aws_files_fips(const struct aws_files *f, aws_env_cb *env);
bool aws_files_dualstack(const struct aws_files *f, aws_env_cb *env);

/* AWS_REGION, AWS_DEFAULT_REGION, then the profile; NULL. Not for buckets. */
const char *aws_files_region(const struct aws_files *f, aws_env_cb *env);

#endif
