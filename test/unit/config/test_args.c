#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "test/unit/config/loaded.h"

static const struct config_options options = { .env = loaded_env };

Test(args, one_database_with_a_replica_for_each_url)
{
    static const char *const urls[] = { "file:///r", "s3://b/p" };
    struct config *c;
    struct err e = ERR_NONE;

    cr_assert_eq(config_from_args("sqlite:///data/x/../a.db", urls, 2, &options, &c, &e),
        0, "%s", e.text);
    cr_expect_eq(config_check_replicas(c, &e), 0, "%s", e.text);
    cr_expect_eq(config_check_daemon(c, &e), 0, "%s", e.text);
    cr_assert_eq(c->n_dbs, 1);
    cr_expect_str_eq(c->dbs[0].path, "/data/a.db");
    cr_expect_str_eq(c->dbs[0].meta_path, "/data/.a.db-litestream");
    cr_assert_eq(c->dbs[0].n_replicas, 2);
    cr_expect_str_eq(c->dbs[0].replicas[0].path, "/r");
    cr_expect_str_eq(c->dbs[0].replicas[1].bucket, "b");
    cr_expect_eq(c->dbs[0].replicas[1].sync_interval_ns, DURATION_SEC);
    cr_expect_eq(c->dbs[0].monitor_interval_ns, DURATION_SEC);
    cr_expect_eq(c->n_levels, 3);
    cr_expect_str_eq(c->addr, "");
    cr_expect_not(c->socket.enabled);
    cr_expect_str_eq(c->file, "");
    config_free(c);
}

Test(args, says_what_is_wrong_without_line_or_file)
{
    static const struct {
        const char *url, *error;
    } rows[] = {
        { "/r",
            "/r: replica url scheme required: /r (write s3://... or file://..., or use "
            "`path` for a folder)" },
        { "sftp://h/x", "sftp://h/x: user required for sftp replica" },
        { "file://", "file://: file replica path required" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config *c;
        struct err e = ERR_NONE;

        cr_assert_eq(
            config_from_args("/a", &rows[i].url, 1, &options, &c, &e), 0, "%s", e.text);
        cr_expect_eq(config_check_replicas(c, &e), ERR_CONFIG);
        cr_expect_str_eq(e.text, rows[i].error, "%s", e.text);
        config_free(c);
    }
}

Test(args, what_has_no_effect_is_noticed)
{
    struct cfg_replica *r;
    struct err e = ERR_NONE;

    cr_assert_eq(cfg_replica_from_url("s3://b/p?colour=red", &options, &r, &e), 0);
    cr_assert_eq(cfg_replica_config(r)->n_notices, 1);
    cr_expect_str_eq(
        cfg_replica_config(r)->notices[0].text, "URL parameter `colour` has no effect");
    cfg_replica_free(r);
}

Test(args, the_same_place_twice_is_refused)
{
    static const char *const urls[] = { "file:///r", "file:///r/" };
    struct config *c;
    struct err e = ERR_NONE;

    cr_expect_eq(config_from_args("/a", urls, 2, &options, &c, &e), ERR_CONFIG);
    cr_expect(
        strstr(e.text, "the destination is the same as that of") != NULL, "%s", e.text);
}

Test(args, an_added_database_gets_the_settings_of_the_top_level)
{
    struct config *c =
        loaded("access-key-id: id\nsecret-access-key: key\nsync-interval: 9s\n"
               "levels: [{interval: 2m, retention: 3m}]\n"
               "snapshot: {interval: 7h}\nl0-retention: 8m\n"
               "dbs:\n  - {path: /a, replica: {path: /r}}\n");
    struct config *added;
    struct err e = ERR_NONE;

    cr_assert_eq(
        config_for_added_db(c, "/b", "s3://b/p", &options, &added, &e), 0, "%s", e.text);
    config_free(c);
    cr_assert_eq(added->n_dbs, 1);
    cr_expect_str_eq(added->dbs[0].path, "/b");
    cr_expect_eq(added->dbs[0].snapshot.interval_ns, 7 * DURATION_HOUR);
    cr_expect_eq(added->l0_retention_ns, 8 * DURATION_MIN);
    cr_expect_eq(added->n_levels, 1);
    cr_expect_eq(added->levels[0].retention_ns, 3 * DURATION_MIN);
    cr_expect_str_eq(added->dbs[0].replicas[0].access_key_id, "id");
    cr_expect_str_eq(secret_reveal(&added->dbs[0].replicas[0].secret_access_key), "key");
    cr_expect_eq(added->dbs[0].replicas[0].sync_interval_ns, 9 * DURATION_SEC);
    config_free(added);
}
