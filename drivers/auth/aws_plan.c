#include "drivers/auth/aws_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "drivers/auth/digest.h"

#define MAX_TRIED ((size_t)2048)
#define DEFAULT_DURATION_S 900

struct making {
    const struct aws_plan_input *in;
    struct aws_plan *plan;
    struct err *e;
};

/* NULL when not set. */
static const char *
get(const struct making *m, const char *name)
{
    const char *value = m->in->env(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *
get2(const struct making *m, const char *name, const char *other)
{
    const char *value = get(m, name);

    return value != NULL ? value : get(m, other);
}

static void tried(struct making *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
tried(struct making *m, const char *fmt, ...)
{
    struct buf *b = &m->plan->tried;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(b, "%s%s", b->size > 0 ? "; " : "", text);
}

/* A new step, or NULL with the error set: the chain is too long. */
static struct aws_step *
add(struct making *m, enum aws_kind kind, const char *from)
{
    struct aws_step *s = &m->plan->steps[m->plan->n];

    if (m->plan->n == AWS_MAX_STEPS) {
        err_set(m->e, ERR_CONFIG,
            "more than %d roles are to be assumed one after another", AWS_MAX_STEPS - 1);
        return NULL;
    }
    m->plan->n++;
    s->kind = kind;
    s->from = mem_strdup(from);
    return s;
}

static int
add_keys(struct making *m, const char *from, const char *access_key, const char *secret,
    const char *token)
{
    struct aws_step *s = add(m, AWS_KEYS, from);

    if (s == NULL)
        return err_code(m->e);
    s->access_key = mem_strdup(access_key);
    secret_set(&s->secret, secret);
    secret_set(&s->token, token);
    return 0;
}

static int
add_web_identity(struct making *m, const char *from, const char *token_file,
    const char *role_arn, const char *session_name)
{
    struct aws_step *s = add(m, AWS_WEB_IDENTITY, from);

    if (s == NULL)
        return err_code(m->e);
    s->token_file = mem_strdup(token_file);
    s->role_arn = mem_strdup(role_arn);
    s->session_name = mem_strdup(session_name);
    return 0;
}

/* --- the environment
 * ---------------------------------------------------------------------- */

/* These find a source and return 0 with a step, or 0 without one and say why. */

static int
try_replica(struct making *m)
{
    const char *key = m->in->access_key;
    const char *in_environment = get(m, "AWS_ACCESS_KEY_ID");
    bool same = in_environment != NULL && strcmp(in_environment, key) == 0;
    bool secret = m->in->secret != NULL && secret_is_set(m->in->secret);

    if (key[0] != '\0' && secret)
        return add_keys(m, "the replica", key, secret_reveal(m->in->secret),
            same ? get(m, "AWS_SESSION_TOKEN") : NULL);
    tried(m, "the replica has no %s",
        key[0] != '\0' ? "`secret-access-key`"
        : secret       ? "`access-key-id`"
                       : "`access-key-id` and `secret-access-key`");
    return 0;
}

static int
try_environment(struct making *m)
{
    const char *key = get2(m, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
    const char *secret = get2(m, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY");

    if (key != NULL && secret != NULL)
        return add_keys(m, "the environment", key, secret, get(m, "AWS_SESSION_TOKEN"));
    tried(m, "%s",
        key != NULL      ? "AWS_SECRET_ACCESS_KEY is not set"
        : secret != NULL ? "AWS_ACCESS_KEY_ID is not set"
                         : "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
    return 0;
}

static int
try_web_identity(struct making *m)
{
    const char *file = get(m, "AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *role = get(m, "AWS_ROLE_ARN");

    if (file == NULL) {
        tried(m, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
        return 0;
    }
    if (role == NULL)
        return err_set(m->e, ERR_CONFIG,
            "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    return add_web_identity(
        m, "the environment", file, role, get(m, "AWS_ROLE_SESSION_NAME"));
}

bool
aws_plan_url_is_safe(const char *url)
{
    static const char *const hosts[] = { "localhost", "169.254.170.2", "169.254.170.23",
        "[fd00:ec2::23]", "[::1]" };
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool safe = false;

    must(u != NULL);
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK) {
        safe = strcmp(scheme, "https") == 0;
        if (strcmp(scheme, "http") == 0) {
            /* curl writes an IPv4 address of any notation with four numbers */
            safe = strncmp(host, "127.", 4) == 0 &&
                   strspn(host, "0123456789.") == strlen(host);
            for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
                safe = safe || strcasecmp(host, hosts[i]) == 0;
        }
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(u);
    return safe;
}

static int
try_container(struct making *m, const char *from)
{
    const char *relative = get(m, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = get(m, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct aws_step *s;

    if (relative == NULL && full == NULL) {
        tried(m, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
        return 0;
    }
    if (relative != NULL && relative[0] != '/')
        return err_set(m->e, ERR_CONFIG,
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a slash");
    if (relative == NULL && !aws_plan_url_is_safe(full))
        return err_set(m->e, ERR_CONFIG,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must begin with https://, or be on this "
            "machine (127.0.0.1, [::1], localhost) or at 169.254.170.2, 169.254.170.23 or "
            "[fd00:ec2::23]");
    s = add(m, AWS_CONTAINER, from);
    if (s == NULL)
        return err_code(m->e);
    s->url = relative != NULL ? mem_printf("http://169.254.170.2%s", relative)
                              : mem_strdup(full);
    s->token_file = mem_strdup(get(m, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
    secret_set(&s->secret, get(m, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    return 0;
}

static int
try_instance(struct making *m, const char *from)
{
    const char *off = get(m, "AWS_EC2_METADATA_DISABLED");
    const char *url = get(m, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = get(m, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    const char *no_v1 = get(m, "AWS_EC2_METADATA_V1_DISABLED");
    struct aws_step *s;
    size_t n;

    if (off != NULL && strcasecmp(off, "true") == 0) {
        tried(m, "instance metadata is switched off (AWS_EC2_METADATA_DISABLED)");
        return 0;
    }
    if (url == NULL)
        url = mode != NULL && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
                                                            : "http://169.254.169.254";
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return err_set(m->e, ERR_CONFIG,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT must begin with http:// or https://");
    s = add(m, AWS_INSTANCE, from);
    if (s == NULL)
        return err_code(m->e);
    n = strlen(url);
    s->url = mem_strndup(url, url[n - 1] == '/' ? n - 1 : n);
    s->without_token = no_v1 == NULL || strcasecmp(no_v1, "true") != 0;
    return 0;
}

/* --- profiles
 * ----------------------------------------------------------------------------- */

/* The file in which the login of SSO is kept; the caller's. */
static char *
sso_cache(struct making *m, const char *name)
{
    const char *home = get(m, "HOME");
    uint8_t sum[20];
    char hex[41];

    must(EVP_Digest(name, strlen(name), sum, NULL, EVP_sha1(), NULL) == 1);
    digest_hex(sum, sizeof(sum), hex);
    return mem_printf("%s/.aws/sso/cache/%s.json", home != NULL ? home : "", hex);
}

static int
add_sso(struct making *m, const char *profile, const char *from)
{
    const struct aws_files *f = m->in->files;
    const char *session = aws_files_get(f, profile, "sso_session");
    const char *account = aws_files_get(f, profile, "sso_account_id");
    const char *role = aws_files_get(f, profile, "sso_role_name");
    const char *region = session != NULL
                             ? aws_files_get_in(f, "sso-session", session, "sso_region")
                             : aws_files_get(f, profile, "sso_region");
    const char *start = aws_files_get(f, profile, "sso_start_url");
    struct aws_step *s;

    if (account == NULL || role == NULL || region == NULL)
        return err_set(m->e, ERR_CONFIG, "%s has SSO without %s", from,
            account == NULL ? "sso_account_id"
            : role == NULL  ? "sso_role_name"
                            : "sso_region");
    s = add(m, AWS_SSO, from);
    if (s == NULL)
        return err_code(m->e);
    s->url = mem_printf("https://portal.sso.%s.amazonaws.com", region);
    s->token_file = sso_cache(m, session != NULL ? session : start);
    s->account = mem_strdup(account);
    s->role_arn = mem_strdup(role);
    return 0;
}

static int
add_named_source(struct making *m, const char *source, const char *from)
{
    int rc = 0;

    if (strcasecmp(source, "Environment") == 0) {
        rc = try_environment(m);
        if (rc == 0 && m->plan->n == 0)
            rc = err_set(m->e, ERR_AUTH,
                "%s takes its credentials from the environment, but AWS_ACCESS_KEY_ID or "
                "AWS_SECRET_ACCESS_KEY is not set",
                from);
    } else if (strcasecmp(source, "Ec2InstanceMetadata") == 0) {
        rc = try_instance(m, from);
    } else if (strcasecmp(source, "EcsContainer") == 0) {
        rc = try_container(m, from);
        if (rc == 0 && m->plan->n == 0)
            rc = err_set(m->e, ERR_AUTH,
                "%s takes its credentials from the container, but "
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set",
                from);
    } else
        rc = err_set(m->e, ERR_CONFIG,
            "%s: credential_source must be Environment, Ec2InstanceMetadata or "
            "EcsContainer",
            from);
    return rc;
}

static int
add_role(struct making *m, const char *profile, const char *from, const char *role)
{
    const struct aws_files *f = m->in->files;
    const char *duration = aws_files_get(f, profile, "duration_seconds");
    struct aws_step *s;

    if (aws_files_get(f, profile, "mfa_serial") != NULL)
        return err_set(m->e, ERR_UNSUPPORTED,
            "%s wants a code of a device (mfa_serial), and there is nobody to ask", from);
    s = add(m, AWS_ASSUME_ROLE, from);
    if (s == NULL)
        return err_code(m->e);
    s->role_arn = mem_strdup(role);
    s->session_name = mem_strdup(aws_files_get(f, profile, "role_session_name"));
    s->external_id = mem_strdup(aws_files_get(f, profile, "external_id"));
    s->duration_s = duration != NULL ? strtol(duration, NULL, 10) : DEFAULT_DURATION_S;
    if (s->duration_s < 900 || s->duration_s > 43200)
        return err_set(
            m->e, ERR_CONFIG, "%s: duration_seconds must be 900 to 43200", from);
    return 0;
}

static int add_profile(struct making *m, const char *profile, size_t depth);

/* What the profile starts from; no step: nothing in it leads anywhere. */
static int
add_base(struct making *m, const char *profile, const char *from, size_t depth)
{
    const struct aws_files *f = m->in->files;
    const char *source = aws_files_get(f, profile, "source_profile");
    const char *role = aws_files_get(f, profile, "role_arn");
    const char *key = aws_files_get(f, profile, "aws_access_key_id");
    const char *secret = aws_files_get(f, profile, "aws_secret_access_key");
    const char *named = aws_files_get(f, profile, "credential_source");
    const char *token = aws_files_get(f, profile, "web_identity_token_file");

    if (source != NULL && role != NULL && strcmp(source, profile) != 0) {
        int rc;

        if (named != NULL)
            return err_set(m->e, ERR_CONFIG,
                "%s has both source_profile and credential_source", from);
        if (!aws_files_has(f, source))
            return err_set(
                m->e, ERR_CONFIG, "%s: there is no source_profile \"%s\"", from, source);
        rc = add_profile(m, source, depth + 1);
        if (rc == 0 && m->plan->n == 0)
            rc = err_set(m->e, ERR_CONFIG,
                "%s: the source_profile \"%s\" has no credentials", from, source);
        return rc;
    }
    if (key != NULL && secret != NULL)
        return add_keys(
            m, from, key, secret, aws_files_get(f, profile, "aws_session_token"));
    if (named != NULL)
        return add_named_source(m, named, from);
    if (token != NULL && role != NULL)
        return add_web_identity(
            m, from, token, role, aws_files_get(f, profile, "role_session_name"));
    if (aws_files_get(f, profile, "sso_session") != NULL ||
        aws_files_get(f, profile, "sso_start_url") != NULL)
        return add_sso(m, profile, from);
    if (aws_files_get(f, profile, "credential_process") != NULL)
        return err_set(m->e, ERR_UNSUPPORTED,
            "%s has a credential_process, which is not supported: no program is run for "
            "credentials",
            from);
    return 0;
}

static int
add_profile(struct making *m, const char *profile, size_t depth)
{
    const char *role = aws_files_get(m->in->files, profile, "role_arn");
    char *from = mem_printf("profile \"%s\"", profile);
    int rc;

    if (depth == AWS_MAX_STEPS)
        rc = err_set(m->e, ERR_CONFIG,
            "%s: the source_profile of profiles leads in a circle, or is too long a chain",
            from);
    else
        rc = add_base(m, profile, from, depth);
    if (rc == 0 && depth == 0 && role != NULL && m->plan->n == 0) {
        rc = try_container(m, from); /* a role needs somebody to begin with */
        if (rc == 0 && m->plan->n == 0)
            rc = try_instance(m, from);
    }
    if (rc == 0 && role != NULL && m->plan->n > 0 &&
        m->plan->steps[m->plan->n - 1].kind != AWS_WEB_IDENTITY)
        rc = add_role(m, profile, from, role);
    mem_free(from);
    return rc;
}

static int
try_files(struct making *m)
{
    const struct aws_files *f = m->in->files;
    const struct err *fault = aws_files_fault(f);
    const char *key;
    bool named;
    const char *profile = aws_files_profile(f, &named);
    int rc;

    m->plan->from_files = true;
    if (fault != NULL)
        tried(m, "%s", fault->text);
    if (!aws_files_has(f, profile)) {
        if (named)
            return err_set(m->e, ERR_CONFIG,
                "the profile \"%s\" that AWS_PROFILE names is neither in \"%s\" nor in "
                "\"%s\"%s%s%s",
                profile, aws_files_credentials_path(f), aws_files_config_path(f),
                fault != NULL ? " (" : "", fault != NULL ? fault->text : "",
                fault != NULL ? ")" : "");
        if (fault == NULL)
            tried(m, "there is no profile \"%s\" in \"%s\" or \"%s\"", profile,
                aws_files_credentials_path(f), aws_files_config_path(f));
        return 0;
    }
    rc = add_profile(m, profile, 0);
    if (rc != 0 || m->plan->n > 0)
        return rc;
    key = aws_files_get(f, profile, "aws_access_key_id");
    tried(m, "the profile \"%s\" has no %s", profile,
        key != NULL ? "aws_secret_access_key"
        : aws_files_get(f, profile, "aws_secret_access_key") != NULL ? "aws_access_key_id"
                                                                     : "credentials");
    return 0;
}

/* --- the whole
 * ---------------------------------------------------------------------------- */

/* Not "auto" or "default" of another provider: it becomes a host name of AWS. */
static bool
is_aws_region(const char *region)
{
    size_t n = strlen(region);
    const char *hyphen = strchr(region, '-');

    return n > 0 && n < 64 && hyphen != NULL && strchr(hyphen + 1, '-') != NULL &&
           region[n - 1] >= '0' && region[n - 1] <= '9' &&
           strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void
set_sts(struct making *m)
{
    struct aws_plan *plan = m->plan;
    const char *url = aws_files_endpoint(m->in->files, m->in->env, "sts");
    const char *region = m->in->region;
    size_t n;

    if (!is_aws_region(region))
        region = aws_files_region(m->in->files, m->in->env);
    if (region == NULL || !is_aws_region(region))
        region = "us-east-1";
    plan->sts_region = mem_strdup(region);
    if (url == NULL) {
        plan->sts_url = mem_printf("https://sts.%s.amazonaws.com%s/", region,
            strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
        return;
    }
    n = strlen(url);
    plan->sts_url = mem_printf("%s%s", url, n > 0 && url[n - 1] == '/' ? "" : "/");
}

static int
choose(struct making *m)
{
    int rc = try_replica(m);

    if (rc == 0 && m->plan->n == 0)
        rc = try_environment(m);
    if (rc == 0 && m->plan->n == 0)
        rc = try_web_identity(m);
    if (rc == 0 && m->plan->n == 0)
        rc = try_files(m);
    if (rc == 0 && m->plan->n == 0)
        rc = try_container(m, "the container");
    if (rc == 0 && m->plan->n == 0)
        rc = try_instance(m, "the instance");
    if (rc == 0 && m->plan->n == 0)
        rc = err_set(
            m->e, ERR_AUTH, "there are no credentials: %s", buf_str(&m->plan->tried));
    if (rc == ERR_AUTH)
        err_hint(m->e, "give `access-key-id` and `secret-access-key`, or set "
                       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    return rc;
}

int
aws_plan_make(const struct aws_plan_input *in, struct aws_plan *out, struct err *e)
{
    struct making m = { .in = in, .plan = out, .e = e };
    int rc;

    *out = (struct aws_plan){ 0 };
    *e = (struct err)ERR_NONE;
    buf_init(&out->tried, MAX_TRIED);
    rc = choose(&m);
    if (rc == 0)
        set_sts(&m);
    else
        aws_plan_deinit(out);
    return rc;
}

void
aws_plan_deinit(struct aws_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        struct aws_step *s = &plan->steps[i];

        mem_free(s->from);
        mem_free(s->access_key);
        secret_wipe(&s->secret);
        secret_wipe(&s->token);
        mem_free(s->role_arn);
        mem_free(s->session_name);
        mem_free(s->external_id);
        mem_free(s->token_file);
        mem_free(s->url);
        mem_free(s->account);
    }
    mem_free(plan->sts_url);
    mem_free(plan->sts_region);
    buf_deinit(&plan->tried);
    *plan = (struct aws_plan){ 0 };
}
