#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "test/unit/config/loaded.h"

static struct config *
member(const char *keys, const char *path)
{
    char text[2048];
    struct config *c, *m = NULL;
    struct err e = ERR_NONE;

    snprintf(text, sizeof(text),
        "secret-access-key: key\naccess-key-id: id\nl0-retention: 9m\n"
        "dbs:\n  - dir: /data\n    pattern: '*.db'\n%s",
        keys);
    c = loaded(text);
    cr_assert_eq(config_member(c, &c->dbs[0], path, &m, &e), 0, "%s", e.text);
    config_free(c); /* the member must not need it */
    return m;
}

Test(member, has_its_own_place_below_that_of_the_folder)
{
    static const struct {
        const char *keys, *path, *meta, *replica;
    } rows[] = {
        { "    replica: {path: /r}\n", "/data/a.db", "/data/.a.db-litestream",
            "/r/a.db" },
        { "    replica: {path: /r}\n", "/data/t/a.db", "/data/t/.a.db-litestream",
            "/r/t/a.db" },
        { "    replica: {path: /r}\n    meta-dir: /m\n", "/data/t/a.db",
            "/m/t/a.db-litestream", "/r/t/a.db" },
        { "    replica: {path: /r}\n    meta-path: /m\n", "/data/t/a.db",
            "/m/t/.a.db-litestream", "/r/t/a.db" },
        { "    replica: {url: 's3://b/p'}\n", "/data/t/a b.db",
            "/data/t/.a b.db-litestream", "p/t/a b.db" },
        { "    replica: {url: 's3://b'}\n", "/data/a.db", "/data/.a.db-litestream",
            "a.db" },
        { "    replica: {url: 'file:///r%20s'}\n", "/data/a b.db",
            "/data/.a b.db-litestream", "/r%20s/a%20b.db" },
        { "    replica: {url: 'sftp://u@h/p'}\n", "/data/a.db", "/data/.a.db-litestream",
            "/p/a.db" },
        { "    replica: {url: 'nats://h/b/p'}\n", "/data/a.db", "/data/.a.db-litestream",
            "p/a.db" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config *m = member(rows[i].keys, rows[i].path);
        const struct cfg_db *db = &m->dbs[0];

        cr_assert_eq(m->n_dbs, 1);
        cr_expect_str_eq(db->path, rows[i].path);
        cr_expect_str_eq(db->dir, "");
        cr_expect_str_eq(
            db->meta_path, rows[i].meta, "%s: %s", rows[i].keys, db->meta_path);
        cr_expect_str_eq(db->replicas[0].path, rows[i].replica, "%s: %s", rows[i].keys,
            db->replicas[0].path);
        config_free(m);
    }
}

Test(member, keeps_all_settings_and_secrets)
{
    struct config *m =
        member("    monitor-interval: 4s\n    recursive: true\n    watch: true\n"
               "    replica: {url: 's3://b/p', sync-interval: 3s, retention: 72h}\n",
            "/data/a.db");
    const struct cfg_replica *r = &m->dbs[0].replicas[0];

    cr_expect_eq(m->l0_retention_ns, 9 * DURATION_MIN);
    cr_expect_eq(m->dbs[0].monitor_interval_ns, 4 * DURATION_SEC);
    cr_expect_not(m->dbs[0].watch);
    cr_expect_not(m->dbs[0].recursive);
    cr_expect_eq(r->sync_interval_ns, 3 * DURATION_SEC);
    cr_expect_eq(r->snapshot.retention_ns, 72 * DURATION_HOUR);
    cr_expect_str_eq(r->bucket, "b");
    cr_expect_str_eq(r->access_key_id, "id");
    cr_expect_str_eq(secret_reveal(&r->secret_access_key), "key");
    cr_expect_str_eq(r->field, "dbs[/data].replica");
    cr_expect_eq(cfg_line_of(&r->obj, "sync-interval"), 10);
    cr_expect_str_eq(m->file, "t.yml");
    config_free(m);
}

Test(member, must_be_in_the_folder)
{
    static const char *const paths[] = { "/other/a.db", "/data", "/data/",
        "/database/a.db" };
    struct config *c =
        loaded("dbs:\n  - {dir: /data, pattern: '*', replica: {path: /r}}\n"
               "  - {dir: /, pattern: '*', replica: {path: /s}}\n"
               "  - {dir: /bad, pattern: '*'}\n");
    struct config *m = NULL;
    struct err e = ERR_NONE;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        cr_expect_eq(
            config_member(c, &c->dbs[0], paths[i], &m, &e), ERR_CONFIG, "%s", paths[i]);
    cr_expect_eq(config_member(c, &c->dbs[2], "/bad/a.db", &m, &e), ERR_CONFIG);
    cr_expect(strstr(e.text, "must specify replica") != NULL, "%s", e.text);
    cr_assert_eq(config_member(c, &c->dbs[1], "/a.db", &m, &e), 0, "%s", e.text);
    cr_expect_str_eq(m->dbs[0].meta_path, "/.a.db-litestream");
    cr_expect_str_eq(m->dbs[0].replicas[0].path, "/s/a.db");
    config_free(m);
    config_free(c);
}
