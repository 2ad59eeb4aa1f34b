#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "test/unit/config/loaded.h"
#include "test/unit/support/tmp.h"

Test(load, empty_files_are_valid_and_have_the_defaults)
{
    static const char *const texts[] = { "", "# nothing\n", "---\n", "~\n", "{}\n" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *c = loaded(texts[i]);

        cr_expect_eq(c->n_dbs, 0);
        cr_expect_eq(c->n_notices, 0);
        cr_expect_eq(c->n_levels, 3);
        cr_expect_eq(c->levels[0].interval_ns, 30 * DURATION_SEC);
        cr_expect_eq(c->levels[1].interval_ns, 5 * DURATION_MIN);
        cr_expect_eq(c->levels[2].interval_ns, DURATION_HOUR);
        cr_expect_eq(c->snapshot.interval_ns, 24 * DURATION_HOUR);
        cr_expect_str_eq(c->socket.path, "/var/run/litestream.sock");
        cr_expect_eq(c->socket.permissions, 0600);
        cr_expect_not(c->socket.enabled);
        cr_expect(c->retention_enabled);
        cr_expect_eq(c->l0_retention_ns, 5 * DURATION_MIN);
        cr_expect_eq(c->logging.type, LOG_TEXT);
        config_free(c);
    }
}

Test(load, lists_replace_the_default_ones)
{
    struct config *c = loaded("levels: [{interval: 1h, retention: 24h}]\n");

    cr_assert_eq(c->n_levels, 1);
    cr_expect_eq(c->levels[0].retention_ns, 24 * DURATION_HOUR);
    config_free(c);
    c = loaded("levels:\n");
    cr_expect_eq(c->n_levels, 0);
    config_free(c);
    c = loaded("levels: []\n");
    cr_expect_eq(c->n_levels, 0);
    config_free(c);
}

Test(load, null_is_absent_but_empties_strings_and_lists)
{
    struct config *c =
        loaded("snapshot:\n"
               "socket:\n  path:\n  enabled:\n  permissions:\n"
               "l0-retention:\nretention:\n  enabled: ~\nlogging: null\n"
               "addr:\nexec: NULL\nvalidation: {interval: }\n"
               "dbs:\n  - path: /a\n    monitor-interval:\n"
               "    min-checkpoint-page-count:\n    snapshot:\n"
               "    replica: {path: /r, sync-interval: , auto-recover: }\n");

    cr_expect_eq(c->snapshot.interval_ns, 24 * DURATION_HOUR);
    cr_expect_str_eq(c->socket.path, "");
    cr_expect_eq(c->socket.permissions, 0600);
    cr_expect_eq(c->l0_retention_ns, 5 * DURATION_MIN);
    cr_expect(c->retention_enabled);
    cr_expect_str_eq(c->addr, "");
    cr_expect_str_eq(c->exec, "");
    cr_expect_eq(c->dbs[0].monitor_interval_ns, DURATION_SEC);
    cr_expect_eq(c->dbs[0].min_checkpoint_pages, 1000);
    cr_expect_eq(c->dbs[0].replicas[0].sync_interval_ns, DURATION_SEC);
    cr_expect_not(cfg_is_set(&c->obj, "l0-retention"));
    cr_expect_eq(c->n_notices, 0);
    config_free(c);
}

Test(load, strings_keep_their_spelling)
{
    struct config *c = loaded("addr: 0600\nmcp-addr: 1_000\nexec: yes\n"
                              "access-key-id: 2001-01-01\nregion: 1.50\nuser: ~\n"
                              "secret-access-key: \"a\\nb\"\nstorage-class: |\n  x\n");

    cr_expect_str_eq(c->addr, "0600");
    cr_expect_str_eq(c->mcp_addr, "1_000");
    cr_expect_str_eq(c->exec, "yes");
    cr_expect_str_eq(c->global.access_key_id, "2001-01-01");
    cr_expect_str_eq(c->global.region, "1.50");
    cr_expect_str_eq(c->global.user, "");
    cr_expect_str_eq(secret_reveal(&c->global.secret_access_key), "a\nb");
    cr_expect_str_eq(c->global.storage_class, "x\n");
    config_free(c);
}

Test(load, variables_are_expanded_unless_told_not_to)
{
    const char *text = "addr: ${HOST}:9090\nsecret-access-key: $KEY\n";
    struct config_options plain = { .no_expand_env = true, .env = loaded_env };
    struct config *c = loaded(text);
    struct err e = ERR_NONE;

    cr_expect_str_eq(c->addr, "example.com:9090");
    cr_expect_str_eq(secret_reveal(&c->global.secret_access_key), "k$y");
    config_free(c);
    cr_assert_eq(config_parse(text, strlen(text), "t.yml", &plain, &c, &e), 0);
    cr_expect_str_eq(c->addr, "${HOST}:9090");
    cr_expect_str_eq(secret_reveal(&c->global.secret_access_key), "$KEY");
    config_free(c);
}

Test(load, databases_have_defaults_and_absolute_paths)
{
    struct config *c;
    char cwd[4096], want[8192];
    const struct cfg_db *db;

    setenv("HOME", "/home/me", 1);
    cr_assert_not_null(getcwd(cwd, sizeof(cwd)));
    c = loaded(
        "dbs:\n"
        "  - {path: 'sqlite:///data//x/../a.db', replica: {path: '~/backup'}}\n"
        "  - {path: ~/b.db, meta-path: ~/meta, replica: {path: rel/./p}}\n"
        "  - {path: c.db, truncate-page-n: 0, replica: {url: 'file://host/p%20q#f'}}\n"
        "  - {dir: ~/dbs, pattern: '*.db', meta-dir: /m, replica: {path: /r}}\n");
    cr_assert_eq(c->n_dbs, 4);
    db = &c->dbs[0];
    cr_expect_str_eq(db->path, "/data/a.db");
    cr_expect_str_eq(db->meta_path, "/data/.a.db-litestream");
    cr_expect_str_eq(db->replicas[0].path, "/home/me/backup");
    cr_expect_str_eq(db->replicas[0].field, "dbs[/data/a.db].replica");
    cr_expect(db->enabled);
    cr_expect_eq(db->monitor_interval_ns, DURATION_SEC);
    cr_expect_eq(db->checkpoint_interval_ns, DURATION_MIN);
    cr_expect_eq(db->truncate_pages, 121359);
    cr_expect_eq(db->max_sync_wal_bytes, 67108864);
    cr_expect_eq(db->heartbeat_interval_ns, 5 * DURATION_MIN);
    db = &c->dbs[1];
    cr_expect_str_eq(db->path, "/home/me/b.db");
    cr_expect_str_eq(db->meta_path, "/home/me/meta");
    snprintf(want, sizeof(want), "%s/rel/p", cwd);
    cr_expect_str_eq(db->replicas[0].path, want);
    db = &c->dbs[2];
    snprintf(want, sizeof(want), "%s/c.db", cwd);
    cr_expect_str_eq(db->path, want);
    cr_expect_eq(db->truncate_pages, 121359);
    cr_expect_str_eq(db->replicas[0].path, "/host/p%20q#f");
    db = &c->dbs[3];
    cr_expect_str_eq(db->dir, "~/dbs");
    cr_expect_str_eq(db->dir_path, "/home/me/dbs");
    cr_expect_str_eq(db->meta_dir, "/m");
    cr_expect_str_eq(db->meta_path, "");
    config_free(c);
}

Test(load, hooks_come_in_every_form)
{
    struct config *c = loaded("exec:\n  - cmd: [\"/usr/bin/notify\", \"a b\"]\n"
                              "hooks:\n  - cmd: notify 'x y' z\n    on: [stop, error]\n"
                              "    timeout: 5s\n  - notify it\n  - [notify, them]\n");

    cr_assert_eq(c->n_hooks, 4);
    cr_expect_str_eq(c->exec, "");
    cr_expect_eq(c->hooks[0].argv.n, 2);
    cr_expect_str_eq(c->hooks[0].argv.items[1], "a b");
    cr_expect_eq(c->hooks[0].on, CFG_ON_START);
    cr_expect_eq(c->hooks[0].timeout_ns, 30 * DURATION_SEC);
    cr_expect_eq(c->hooks[0].obj.line, 2);
    cr_expect_eq(c->hooks[1].argv.n, 3);
    cr_expect_str_eq(c->hooks[1].argv.items[1], "x y");
    cr_expect_eq(c->hooks[1].on, CFG_ON_STOP | CFG_ON_ERROR);
    cr_expect_eq(c->hooks[1].timeout_ns, 5 * DURATION_SEC);
    cr_expect_str_eq(c->hooks[2].argv.items[1], "it");
    cr_expect_str_eq(c->hooks[3].argv.items[1], "them");
    config_free(c);
    c = loaded("exec: app -x 'y z'\n");
    cr_expect_str_eq(c->exec, "app -x 'y z'");
    cr_expect_eq(c->n_hooks, 0);
    config_free(c);
}

Test(load, maps_may_be_merged_and_own_keys_win)
{
    struct config *c =
        loaded("x-base: &base\n  type: s3\n  bucket: base\n  region: r1\n"
               "x-more: &more\n  <<: *base\n  region: r2\n"
               "dbs:\n  - path: /a\n    replica:\n      path: p\n      bucket: own\n"
               "      <<: *more\n"
               "  - path: /b\n    replica:\n      <<: [{bucket: first}, *base]\n"
               "      path: q\n"
               "  - &c\n    path: /c\n    replica: {path: /r}\n    watch: no\n");

    cr_expect_str_eq(c->dbs[0].replicas[0].bucket, "own");
    cr_expect_str_eq(c->dbs[0].replicas[0].region, "r2");
    cr_expect_eq(c->dbs[0].replicas[0].type, CFG_REPLICA_S3);
    cr_expect_str_eq(c->dbs[1].replicas[0].bucket, "first");
    cr_expect_str_eq(c->dbs[1].replicas[0].region, "r1");
    config_free(c);
}

Test(load, remembers_which_keys_were_given_and_where)
{
    struct config *c = loaded("addr: ':1'\nsnapshot:\n  interval: 1h\nregion: eu\n"
                              "dbs:\n  - path: /a\n    replica:\n      url: s3://b\n");
    const struct cfg_replica *r = &c->dbs[0].replicas[0];

    cr_expect_eq(cfg_line_of(&c->obj, "addr"), 1);
    cr_expect_eq(cfg_line_of(&c->obj, "snapshot.interval"), 3);
    cr_expect_eq(cfg_line_of(&c->obj, "snapshot.retention"), 0);
    cr_expect_eq(cfg_line_of(&c->obj, "region"), 4);
    cr_expect(cfg_is_set(&c->obj, "dbs"));
    cr_expect_eq(c->dbs[0].obj.line, 6);
    cr_expect_eq(cfg_line_of(&c->dbs[0].obj, "path"), 6);
    cr_expect_eq(r->obj.line, 8);
    cr_expect_eq(cfg_line_of(&r->obj, "url"), 8);
    cr_expect_not(cfg_is_set(&r->obj, "region"));
    config_free(c);
}

Test(load, reads_a_file_and_names_it)
{
    const char *good = tmp_path("good.yml"), *bad = tmp_path("bad.yml");
    struct config *c = NULL;
    struct err e = ERR_NONE;
    char want[4096];

    tmp_write(good, "addr: ':1'\n", 11);
    tmp_write(bad, "addr: [1]\n", 10);
    cr_assert_eq(config_load(good, NULL, &c, &e), 0, "%s", e.text);
    cr_expect_str_eq(c->file, good);
    cr_expect_str_eq(c->addr, ":1");
    config_free(c);
    cr_expect_eq(config_load(bad, NULL, &c, &e), ERR_CONFIG);
    snprintf(want, sizeof(want),
        "%s: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string: addr must be a single value",
        bad);
    cr_expect_str_eq(e.text, want);
    cr_expect_eq(config_load(tmp_path("./x/../none.yml"), NULL, &c, &e), ERR_NOT_FOUND);
    snprintf(want, sizeof(want), "config file not found: %s", tmp_path("none.yml"));
    cr_expect_str_eq(e.text, want);
    cr_expect_neq(config_load(tmp_dir(), NULL, &c, &e), 0);
    cr_expect(strstr(e.text, "cannot read config: ") == e.text, "%s", e.text);
    cr_expect_neq(config_load(tmp_path("good.yml/x"), NULL, &c, &e), 0);
}

Test(load, the_environment_decides_path_and_level)
{
    struct config *c = loaded("logging: {level: Debug}\n");

    unsetenv("LOG_LEVEL");
    unsetenv("LITESTREAM_CONFIG");
    cr_expect_str_eq(config_default_path(), "/etc/litestream.yml");
    setenv("LITESTREAM_CONFIG", "", 1);
    cr_expect_str_eq(config_default_path(), "/etc/litestream.yml");
    setenv("LITESTREAM_CONFIG", "/x.yml", 1);
    cr_expect_str_eq(config_default_path(), "/x.yml");
    cr_expect_eq(config_log_level(NULL), LOG_INFO);
    cr_expect_eq(config_log_level(c), LOG_DEBUG);
    setenv("LOG_LEVEL", "error", 1);
    cr_expect_eq(config_log_level(c), LOG_ERROR);
    cr_expect_eq(config_log_level(NULL), LOG_ERROR);
    setenv("LOG_LEVEL", "loud", 1);
    cr_expect_eq(config_log_level(c), LOG_INFO, "unknown: info");
    config_free(c);
}

Test(load, credentials_are_handed_on_to_aws_names)
{
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("AWS_SECRET_ACCESS_KEY", "kept", 1);
    setenv("LITESTREAM_ACCESS_KEY_ID", "id", 1);
    setenv("LITESTREAM_SECRET_ACCESS_KEY", "key", 1);
    config_export_env();
    cr_expect_str_eq(getenv("AWS_ACCESS_KEY_ID"), "id");
    cr_expect_str_eq(getenv("AWS_SECRET_ACCESS_KEY"), "kept");
}
