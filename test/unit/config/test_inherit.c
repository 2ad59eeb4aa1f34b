/*
 * Where a setting of a replica comes from: its own key, its URL, the top level, the
 * default.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "config/options.h"
#include "config/scalar.h"
#include "config/value.h"
#include "test/unit/config/loaded.h"

/* Two different values for any option that replicas have. */
static const char *const samples[][2] = {
    [CFG_BOOL] = { "true", "false" },
    [CFG_TRI] = { "true", "false" },
    [CFG_INT] = { "7", "8" },
    [CFG_DURATION] = { "7s", "8s" },
    [CFG_BYTESIZE] = { "7MB", "8MB" },
    [CFG_STRING] = { "'http://one'", "'http://two'" },
    [CFG_SECRET] = { "one", "two" },
    [CFG_STRINGS] = { "[one]", "[two, three]" },
};

/* A kind of replica that uses the option, with what it needs. */
static const char *
base_of(const struct cfg_option *o)
{
    static const char *const bases[CFG_N_REPLICA_TYPES] = {
        [CFG_REPLICA_FILE] = "type: file, path: /r",
        [CFG_REPLICA_S3] = "type: s3, bucket: b",
        [CFG_REPLICA_GS] = "type: gs, bucket: b",
        [CFG_REPLICA_ABS] = "type: abs, bucket: b",
        [CFG_REPLICA_OSS] = "type: oss, bucket: b",
        [CFG_REPLICA_SFTP] = "type: sftp, host: h, user: u",
        [CFG_REPLICA_WEBDAV] = "type: webdav, webdav-url: 'http://h'",
        [CFG_REPLICA_NATS] = "type: nats, bucket: b",
    };

    for (size_t i = 0; i < CFG_N_REPLICA_TYPES; i++)
        if (o->kinds == 0 || (o->kinds & (1u << i)) != 0)
            return bases[i];
    return "";
}

static bool
is_base_key(const struct cfg_option *o)
{
    static const char *const names[] = { "bucket", "host", "user", "webdav-url" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(o->name, names[i]) == 0)
            return true;
    return false;
}

/* The field of the one replica is what the text means. */
static void
expect_value(const char *config, const struct cfg_option *o, const char *text)
{
    struct config *c = loaded(config), *want;
    char key[256];
    const void *field = cfg_field_const(&c->dbs[0].replicas[0], o);

    snprintf(key, sizeof(key), "%s: %s\n", o->name, text);
    want = loaded(key);
    cr_expect(cfg_value_equal(o, field, cfg_field_const(&want->global, o)), "%s: %s\n%s",
        o->name, text, config);
    config_free(want);
    config_free(c);
}

Test(inherit, every_setting_of_the_top_level_holds_for_replicas_without_their_own)
{
    size_t n = 0;

    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        const char *one, *two;
        char text[1024];

        if (o->scope != (CFG_GLOBAL | CFG_REPLICA) || cfg_type_is_container(o->type) ||
            o->alias_of != NULL || is_base_key(o) || strncmp(o->name, "age.", 4) == 0)
            continue;
        cr_assert_lt(o->type, sizeof(samples) / sizeof(samples[0]));
        one = samples[o->type][0];
        two = samples[o->type][1];
        cr_assert_not_null(one, "%s: a sample for its type is missing", o->name);
        snprintf(text, sizeof(text), "%s: %s\ndbs:\n  - {path: /a, replica: {%s}}\n",
            o->name, one, base_of(o));
        expect_value(text, o, one);
        snprintf(text, sizeof(text),
            "%s: %s\ndbs:\n  - {path: /a, replica: {%s, %s: %s}}\n", o->name, one,
            base_of(o), o->name, two);
        expect_value(text, o, two);
        n++;
    }
    cr_expect_gt(n, 40, "%zu", n);
}

Test(inherit, required_keys_may_stand_at_the_top)
{
    struct config *c = loaded("bucket: b\nhost: h\nuser: u\nwebdav-url: http://dav\n"
                              "dbs:\n"
                              "  - {path: /a, replica: {type: s3, path: a}}\n"
                              "  - {path: /b, replica: {type: sftp, path: /b}}\n"
                              "  - {path: /c, replica: {type: webdav, path: /c}}\n");
    struct err e = ERR_NONE;

    cr_expect_eq(config_check_replicas(c, &e), 0, "%s", e.text);
    cr_expect_str_eq(c->dbs[0].replicas[0].bucket, "b");
    cr_expect_str_eq(c->dbs[1].replicas[0].host, "h");
    cr_expect_str_eq(c->dbs[1].replicas[0].user, "u");
    cr_expect_str_eq(c->dbs[2].replicas[0].webdav_url, "http://dav");
    config_free(c);
}

Test(inherit, a_url_wins_over_the_top_level_and_does_not_collide_with_it)
{
    struct config *c =
        loaded("bucket: global\nregion: global\nhost: global\nuser: global\n"
               "password: global\nwebdav-url: http://global\n"
               "dbs:\n"
               "  - {path: /a, replica: {url: 's3://b/p?region=eu'}}\n"
               "  - {path: /b, replica: {url: 'sftp://u:pw@h/p'}}\n"
               "  - {path: /c, replica: {url: 'webdavs://h/p'}}\n"
               "  - {path: /d, replica: {url: 'sftp://h/p'}}\n");
    struct err e = ERR_NONE;

    cr_assert_eq(config_check_replicas(c, &e), 0, "%s", e.text);
    cr_expect_str_eq(c->dbs[0].replicas[0].bucket, "b");
    cr_expect_str_eq(c->dbs[0].replicas[0].region, "eu");
    cr_expect_str_eq(c->dbs[1].replicas[0].host, "h");
    cr_expect_str_eq(c->dbs[1].replicas[0].user, "u");
    cr_expect_str_eq(secret_reveal(&c->dbs[1].replicas[0].password), "pw");
    cr_expect_str_eq(c->dbs[2].replicas[0].webdav_url, "https://h");
    cr_expect_str_eq(c->dbs[3].replicas[0].user, "global");
    cr_expect_str_eq(secret_reveal(&c->dbs[3].replicas[0].password), "global");
    config_free(c);
}

Test(inherit, an_own_key_wins_over_the_url)
{
    struct config *c =
        loaded_replica("      url: s3://b/p?region=eu&skipVerify=true&partSize=5"
                       "\n      region: us\n      skip-verify: false\n"
                       "      part-size: 9\n");

    cr_expect_str_eq(c->dbs[0].replicas[0].region, "us");
    cr_expect_not(c->dbs[0].replicas[0].skip_verify);
    cr_expect_eq(c->dbs[0].replicas[0].part_size_bytes, 9);
    config_free(c);
}

Test(inherit, false_and_zero_of_a_replica_win_but_empty_strings_do_not)
{
    struct config *c = loaded(
        "skip-verify: true\nauto-recover: true\nsign-payload: true\n"
        "max-reconnects: 5\nregion: eu\nroot-cas: [a]\n"
        "dbs:\n  - path: /a\n    replica: {type: s3, bucket: b, skip-verify: false, "
        "auto-recover: false, sign-payload: false, max-reconnects: 0, region: '', "
        "root-cas: []}\n");
    const struct cfg_replica *r = &c->dbs[0].replicas[0];

    cr_expect_not(r->skip_verify);
    cr_expect_not(r->auto_recover);
    cr_expect_eq(r->sign_payload, CFG_OFF);
    cr_expect_eq(r->max_reconnects, 0);
    cr_expect_str_eq(r->region, "eu");
    cr_expect_eq(r->root_cas.n, 1);
    config_free(c);
}

Test(inherit, a_secret_and_its_file_are_one_setting)
{
    struct config *c =
        loaded("password-file: /global\nsecret-access-key: global\n"
               "dbs:\n"
               "  - {path: /a, replica: {type: sftp, host: h, user: u, password: own}}\n"
               "  - {path: /b, replica: {type: sftp, host: h2, user: u}}\n"
               "  - {path: /c, replica: {type: s3, bucket: b, access-key-id: x, "
               "secret-access-key-file: /own}}\n"
               "  - {path: /d, replica: {url: 'sftp://u:own@h4/'}}\n");

    cr_expect_str_eq(c->dbs[0].replicas[0].password_file, "");
    cr_expect_str_eq(secret_reveal(&c->dbs[0].replicas[0].password), "own");
    cr_expect_str_eq(c->dbs[1].replicas[0].password_file, "/global");
    cr_expect_not(secret_is_set(&c->dbs[2].replicas[0].secret_access_key));
    cr_expect_str_eq(c->dbs[2].replicas[0].secret_access_key_file, "/own");
    cr_expect_str_eq(c->dbs[3].replicas[0].password_file, "");
    config_free(c);
}

Test(inherit, an_alias_is_the_key_it_stands_for)
{
    struct config *c =
        loaded("access-key-secret: global\n"
               "dbs:\n"
               "  - {path: /a, replica: {url: 'oss://b/a', access-key-id: x}}\n"
               "  - {path: /b, replica: {url: 'oss://b/b', access-key-id: x, "
               "access-key-secret: own}}\n");

    cr_expect_str_eq(secret_reveal(&c->dbs[0].replicas[0].secret_access_key), "global");
    cr_expect_str_eq(secret_reveal(&c->dbs[1].replicas[0].secret_access_key), "own");
    config_free(c);
}
