/*
 * What changes from one configuration to the next, and where databases write to.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "config/diff.h"
#include "config/options.h"
#include "test/unit/config/loaded.h"

#define S3 "dbs:\n  - path: /a\n    replica: {url: 's3://b/p', access-key-id: k, "

static bool
same(const char *one, const char *two)
{
    struct config *a = loaded(one), *b = loaded(two);
    bool yes = cfg_db_same(a, &a->dbs[0], b, &b->dbs[0]);

    cr_expect_eq(yes, cfg_db_same(b, &b->dbs[0], a, &a->dbs[0]));
    config_free(a);
    config_free(b);
    return yes;
}

Test(diff, the_place_in_the_file_and_what_no_worker_uses_make_no_difference)
{
    cr_expect(same("dbs: [{path: /a, replica: {path: /r}}]\n",
        "addr: ':90'\nlogging: {level: debug}\ndbs:\n\n  - path: /a\n"
        "    heartbeat-url: http://x/y\n    restore-if-db-not-exists: true\n"
        "    replica:\n      path: /r\n  - {path: /b, replica: {path: /q}}\n"));
    cr_expect(
        same(S3 "secret-access-key: x}\n", "secret-access-key: x\n" S3 "name: ''}\n"),
        "inherited or its own");
}

Test(diff, whatever_a_worker_uses_makes_one)
{
    static const char base[] = S3 "secret-access-key: x}\n";
    static const char *const other[] = {
        S3 "secret-access-key: y}\n",
        S3 "secret-access-key: x, region: eu-west-1}\n",
        S3 "secret-access-key: x, sync-interval: 3s}\n",
        S3 "secret-access-key: x, retention: 3h}\n",
        S3 "secret-access-key: x, snapshot-interval: 3h}\n",
        S3 "secret-access-key: x, sse-kms-key-id: z}\n",
        S3 "secret-access-key: x}\n    busy-timeout: 2s\n",
        S3 "secret-access-key: x}\n    monitor-interval: 2s\n",
        S3 "secret-access-key: x}\n    meta-path: /m\n",
        "levels: [{interval: 1m}]\n" S3 "secret-access-key: x}\n",
        "levels: [{interval: 30s}, {interval: 5m}, {interval: 1h, retention: 2h}]\n" S3
        "secret-access-key: x}\n",
        "snapshot: {interval: 1h}\n" S3 "secret-access-key: x}\n",
        "l0-retention: 1h\n" S3 "secret-access-key: x}\n",
        "verify-compaction: true\n" S3 "secret-access-key: x}\n",
        "retention: {enabled: false}\n" S3 "secret-access-key: x}\n",
        "validation: {interval: 1h}\n" S3 "secret-access-key: x}\n",
        "shutdown-sync-timeout: 1h\n" S3 "secret-access-key: x}\n",
        "dbs:\n  - path: /a\n    replica: {url: 's3://b/q', access-key-id: k, "
        "secret-access-key: x}\n",
        S3 "secret-access-key: x}\n  - {path: /a, replica: {path: /second}}\n",
    };

    cr_expect(same(base, base));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        cr_expect_not(same(base, other[i]), "%s", other[i]);
}

Test(diff, keys_that_are_read_at_start_only_are_named)
{
    struct config *a = loaded("dbs: []\n"), *b;
    struct arena arena;

    arena_init(&arena);
    b = loaded("levels: [{interval: 1m}]\nlogging: {level: debug}\ndbs: []\n");
    cr_expect_str_eq(config_fixed_changes(&arena, a, b), "");
    config_free(b);
    b = loaded("addr: ':90'\nsocket: {enabled: true, path: /s}\nlogging: {type: json}\n"
               "hooks: [{cmd: [x]}]\n");
    cr_expect_str_eq(config_fixed_changes(&arena, a, b),
        "addr, socket.enabled, socket.path, logging.type, hooks");
    cr_expect_str_eq(config_fixed_changes(&arena, b, b), "");
    config_free(b);
    config_free(a);
    arena_deinit(&arena);
}

Test(diff, a_member_of_a_folder_is_compared_like_any_other)
{
    static const char one[] = "dbs: [{dir: /d, pattern: '*', replica: {path: /r}}]\n";
    static const char two[] =
        "dbs: [{dir: /d, pattern: '*.db', watch: true, recursive: true, "
        "replica: {path: /r}}]\n";
    static const char three[] = "dbs: [{dir: /d, pattern: '*', replica: {path: /q}}]\n";
    struct config *c[3] = { loaded(one), loaded(two), loaded(three) }, *m[3];
    struct err e;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(config_member(c[i], &c[i]->dbs[0], "/d/x.db", &m[i], &e), 0);
    cr_expect(cfg_db_same(m[0], m[0]->dbs, m[1], m[1]->dbs));
    cr_expect_not(cfg_db_same(m[0], m[0]->dbs, m[2], m[2]->dbs));
    for (int i = 0; i < 3; i++) {
        config_free(m[i]);
        config_free(c[i]);
    }
}

Test(diff, a_folder_is_found_by_the_name_of_a_member)
{
    struct config *c = loaded(
        "dbs:\n"
        "  - {dir: /flat, pattern: '*.db', replica: {path: /r1}}\n"
        "  - {dir: /deep, pattern: '[ab]*', recursive: true, replica: {path: /r2}}\n"
        "  - {dir: /, pattern: root, replica: {path: /r3}}\n");
    static const struct {
        const char *path;
        int entry; /* from 1, 0: none */
    } cases[] = {
        { "/flat/x.db", 1 },
        { "/flat/y/x.db", 0 },
        { "/flat/x.sqlite", 0 },
        { "/flat", 0 },
        { "/flatter/x.db", 0 },
        { "/deep/a", 2 },
        { "/deep/x/y/b1", 2 },
        { "/deep/x/y/c1", 0 },
        { "/deep/a-wal", 0 },
        { "/deep/a-shm", 0 },
        { "/deep/a-journal", 0 },
        { "/root", 3 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cfg_db *dir = config_find_dir(c, cases[i].path);

        cr_expect_eq(dir != NULL ? dir->entry : 0, cases[i].entry, "%s", cases[i].path);
    }
    config_free(c);
}

Test(diff, state_and_replicas_inside_a_folder_are_not_looked_into)
{
    struct config *c = loaded("dbs:\n"
                              "  - dir: /d\n    pattern: '*'\n    recursive: true\n"
                              "    meta-dir: /d/meta\n    replica: {path: /d/backup}\n");
    const struct cfg_db *dir = &c->dbs[0];

    cr_expect(cfg_dir_skips(dir, "/d/.x.db-litestream"));
    cr_expect(cfg_dir_skips(dir, "/d/y/.x.db-litestream"));
    cr_expect(cfg_dir_skips(dir, "/d/meta"));
    cr_expect(cfg_dir_skips(dir, "/d/backup"));
    cr_expect_not(cfg_dir_skips(dir, "/d/y"));
    cr_expect_not(cfg_dir_skips(dir, "/d/x-litestream"));
    cr_expect_not(cfg_dir_skips(dir, "/d/y/backup"));
    config_free(c);
}

Test(places, one_name_for_each_place_equal_when_the_place_is)
{
    struct config *c = loaded(
        "dbs:\n"
        "  - {path: /a, meta-path: /m, replicas: [{path: /r/x}, {url: 's3://b/p'}]}\n"
        "  - {path: /b, meta-path: /r/y, replica: {path: /r/./z}}\n"
        "  - {path: /c, replica: {url: 'nats://h/b', jwt: one, seed: s}}\n"
        "  - {path: /d, replica: {url: 'nats://h/b', jwt: two, seed: s}}\n");
    const char *a[4], *b[4], *n[2][4];
    struct arena arena;

    arena_init(&arena);
    cr_expect_eq(cfg_db_places(&arena, &c->dbs[0], a, 4), 3);
    cr_expect_eq(cfg_db_places(&arena, &c->dbs[1], b, 4), 2);
    cr_expect_eq(cfg_db_places(&arena, &c->dbs[0], a, 2), 2, "no more than asked for");
    cr_expect_str_eq(a[0], "file   /m");
    cr_expect_str_eq(a[1], "file   /r/x");
    cr_expect_str_eq(b[1], "file   /r/z");
    cr_assert_eq(cfg_db_places(&arena, &c->dbs[2], n[0], 4), 2);
    cr_assert_eq(cfg_db_places(&arena, &c->dbs[3], n[1], 4), 2);
    cr_expect_str_neq(n[0][1], n[1][1], "another account, another bucket");
    cr_expect_null(strstr(n[0][1], "one"), "a secret is no part of a name");
    arena_deinit(&arena);
    config_free(c);
}
