#include "drivers/auth/aws_files.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "drivers/auth/aws_ini.h"

struct one {
    char *path;
    struct aws_ini *ini; /* NULL: not there */
    struct stat stat;    /* all zero: not there */
};

struct aws_files {
    struct one credentials, config;
    char *profile;
    bool named;
    bool has_fault;
    struct err fault;
};

const char *
aws_getenv(const char *name)
{
    return getenv(name);
}

/* NULL when not set. */
static const char *
get(aws_env_cb *env, const char *name)
{
    const char *value = env(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void
look(const char *path, struct stat *out)
{
    if (stat(path, out) != 0)
        memset(out, 0, sizeof(*out));
}

static void
read_one(struct aws_files *f, struct one *o, aws_env_cb *env, const char *variable,
    const char *usual)
{
    const char *named = get(env, variable), *home = get(env, "HOME");
    char *joined = home != NULL ? path_join(home, usual) : NULL;
    struct err e = ERR_NONE;
    int rc;

    if (named != NULL && (named[0] != '~' || home == NULL))
        o->path = mem_strdup(named);
    else if (named != NULL)
        o->path = path_join(home, named + 1);
    else
        o->path = mem_strdup(joined != NULL ? joined : "");
    mem_free(joined);
    if (o->path[0] == '\0')
        return;
    look(o->path, &o->stat); /* before, so that a change while it is read is seen */
    rc = aws_ini_read(o->path, &o->ini, &e);
    if (rc != 0 && rc != ERR_NOT_FOUND && !f->has_fault) {
        f->has_fault = true;
        f->fault = e;
    }
}

struct aws_files *
aws_files_read(aws_env_cb *env)
{
    struct aws_files *f = MEM_NEW(struct aws_files);
    const char *profile = get(env, "AWS_PROFILE");

    if (profile == NULL)
        profile = get(env, "AWS_DEFAULT_PROFILE");
    f->named = profile != NULL;
    f->profile = mem_strdup(profile != NULL ? profile : "default");
    read_one(f, &f->credentials, env, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    read_one(f, &f->config, env, "AWS_CONFIG_FILE", ".aws/config");
    return f;
}

void
aws_files_free(struct aws_files *f)
{
    if (f == NULL)
        return;
    aws_ini_free(f->credentials.ini);
    aws_ini_free(f->config.ini);
    mem_free(f->credentials.path);
    mem_free(f->config.path);
    mem_free(f->profile);
    mem_free(f);
}

const struct err *
aws_files_fault(const struct aws_files *f)
{
    return f->has_fault ? &f->fault : NULL;
}

const char *
aws_files_credentials_path(const struct aws_files *f)
{
    return f->credentials.path;
}

const char *
aws_files_config_path(const struct aws_files *f)
{
    return f->config.path;
}

const char *
aws_files_profile(const struct aws_files *f, bool *named)
{
    *named = f->named;
    return f->profile;
}

const char *
aws_files_get_in(
    const struct aws_files *f, const char *kind, const char *name, const char *key)
{
    char *section = mem_printf("%s %s", kind, name);
    const char *value = aws_ini_get(f->config.ini, section, key);

    mem_free(section);
    return value;
}

bool
aws_files_has(const struct aws_files *f, const char *profile)
{
    char *section = mem_printf("profile %s", profile);
    bool there = aws_ini_has(f->credentials.ini, profile) ||
                 aws_ini_has(f->config.ini, section) ||
                 (strcmp(profile, "default") == 0 && aws_ini_has(f->config.ini, profile));

    mem_free(section);
    return there;
}

const char *
aws_files_get(const struct aws_files *f, const char *profile, const char *key)
{
    const char *value = aws_ini_get(f->credentials.ini, profile, key);

    if (value == NULL)
        value = aws_files_get_in(f, "profile", profile, key);
    if (value == NULL && strcmp(profile, "default") == 0)
        value = aws_ini_get(f->config.ini, profile, key);
    return value;
}

static bool
is_same(const struct one *o)
{
    struct stat now;

    look(o->path, &now);
    return now.st_dev == o->stat.st_dev && now.st_ino == o->stat.st_ino &&
           now.st_size == o->stat.st_size &&
           now.st_mtim.tv_sec == o->stat.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == o->stat.st_mtim.tv_nsec;
}

bool
aws_files_changed(const struct aws_files *f)
{
    return !is_same(&f->credentials) || !is_same(&f->config);
}

static bool
is_true(const char *text)
{
    return text != NULL && strcasecmp(text, "true") == 0;
}

const char *
aws_files_endpoint(const struct aws_files *f, aws_env_cb *env, const char *service)
{
    char name[64], key[64];
    const char *url, *services;

    if (is_true(get(env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")))
        return NULL;
    snprintf(name, sizeof(name), "AWS_ENDPOINT_URL_%s", service);
    for (char *s = name; *s != '\0'; s++)
        *s = (char)toupper((unsigned char)*s);
    url = get(env, name);
    if (url == NULL)
        url = get(env, "AWS_ENDPOINT_URL");
    if (url != NULL ||
        is_true(aws_files_get(f, f->profile, "ignore_configured_endpoint_urls")))
        return url;
    services = aws_files_get(f, f->profile, "services");
    snprintf(key, sizeof(key), "%s.endpoint_url", service);
    if (services != NULL)
        url = aws_files_get_in(f, "services", services, key);
    return url != NULL ? url : aws_files_get(f, f->profile, "endpoint_url");
}

static bool
is_on(const struct aws_files *f, aws_env_cb *env, const char *variable, const char *key)
{
    const char *value = get(env, variable);

    return is_true(value != NULL ? value : aws_files_get(f, f->profile, key));
}

bool
aws_files_fips(const struct aws_files *f, aws_env_cb *env)
{
    return is_on(f, env, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
}

bool
aws_files_dualstack(const struct aws_files *f, aws_env_cb *env)
{
    return is_on(f, env, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
}

const char *
aws_files_region(const struct aws_files *f, aws_env_cb *env)
{
    const char *region = get(env, "AWS_REGION");

    if (region == NULL)
        region = get(env, "AWS_DEFAULT_REGION");
    return region != NULL ? region : aws_files_get(f, f->profile, "region");
}
