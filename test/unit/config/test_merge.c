/*
 * Entries of one database, and snapshot settings of several.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "test/unit/config/loaded.h"

#define H DURATION_HOUR

Test(merge, entries_with_one_path_are_one_database_with_all_replicas)
{
    struct config *c =
        loaded("dbs:\n"
               "  - {path: /a, replica: {path: /one, name: first}}\n"
               "  - {path: /b, replica: {path: /other}}\n"
               "  - {path: /x/../a, replicas: [{path: /two}, {path: /three}]}\n"
               "  - {path: 'sqlite:///a', replica: {path: /four}}\n");
    struct cfg_db *db = config_find_db(c, "/a");

    cr_assert_eq(c->n_dbs, 2);
    cr_assert_eq(db, &c->dbs[0], "the place of the first entry");
    cr_assert_eq(db->n_replicas, 4);
    cr_expect_eq(db->entry, 1);
    cr_expect_str_eq(db->replicas[0].path, "/one");
    cr_expect_str_eq(db->replicas[0].name, "first");
    cr_expect_str_eq(db->replicas[1].path, "/two");
    cr_expect_str_eq(db->replicas[1].field, "dbs[/a].replicas[0]");
    cr_expect_str_eq(db->replicas[2].path, "/three");
    cr_expect_str_eq(db->replicas[3].path, "/four");
    cr_expect_str_eq(c->dbs[1].path, "/b");
    config_free(c);
}

Test(merge, keys_of_the_entries_are_united)
{
    struct config *c =
        loaded("dbs:\n"
               "  - {path: /a, monitor-interval: 2s, replica: {path: /one}}\n"
               "  - {path: /a, busy-timeout: 3s, meta-path: /m, "
               "monitor-interval: 2s, replica: {path: /two}}\n");
    const struct cfg_db *db = &c->dbs[0];

    cr_assert_eq(c->n_dbs, 1);
    cr_expect_eq(db->monitor_interval_ns, 2 * DURATION_SEC);
    cr_expect_eq(db->busy_timeout_ns, 3 * DURATION_SEC);
    cr_expect_str_eq(db->meta_path, "/m");
    cr_expect_eq(db->checkpoint_interval_ns, DURATION_MIN);
    cr_expect_eq(cfg_line_of(&db->obj, "busy-timeout"), 3);
    cr_expect_eq(cfg_line_of(&db->obj, "monitor-interval"), 2);
    config_free(c);
}

Test(merge, an_entry_without_a_replica_only_adds_keys)
{
    struct config *c = loaded("dbs:\n  - {path: /a, replica: {path: /r}}\n"
                              "  - {path: /a, busy-timeout: 3s}\n");
    struct err e = ERR_NONE;

    cr_expect_eq(config_check_replicas(c, &e), 0, "%s", e.text);
    cr_expect_eq(c->dbs[0].busy_timeout_ns, 3 * DURATION_SEC);
    config_free(c);
}

Test(merge, folders_are_never_merged)
{
    struct config *c =
        loaded("dbs:\n  - {dir: /d, pattern: '*.db', replica: {path: /one}}\n"
               "  - {dir: /d, pattern: '*.sqlite', replica: {path: /two}}\n");

    cr_expect_eq(c->n_dbs, 2);
    config_free(c);
}

struct snapshots {
    const char *text;
    int64_t global, a, b; /* hours of the interval */
};

Test(merge, snapshot_settings_find_their_databases)
{
    static const struct snapshots rows[] = {
        { "dbs:\n  - {path: /a, replica: {path: /r}}\n  - {path: /b, replica: {path: /s}}\n",
            24, 24, 24 },
        /* one value among the databases holds for all */
        { "dbs:\n  - {path: /a, snapshot: {interval: 2h}, replica: {path: /r}}\n  - {path: /b, "
          "replica: {path: /s}}\n",
            2, 2, 2 },
        { "dbs:\n  - {path: /a, snapshot: {interval: 2h}, replica: {path: /r}}\n  - {path: /b, "
          "snapshot: {interval: 120m}, replica: {path: /s}}\n",
            2, 2, 2 },
        /* several: each its own */
        { "dbs:\n  - {path: /a, snapshot: {interval: 2h}, replica: {path: /r}}\n  - {path: /b, "
          "snapshot: {interval: 3h}, replica: {path: /s}}\n",
            24, 2, 3 },
        /* the top level wins */
        { "snapshot: {interval: 1h}\ndbs:\n  - {path: /a, snapshot: {interval: 2h}, replica: "
          "{path: /r}}\n  - {path: /b, snapshot: {interval: 3h}, replica: {path: /s}}\n",
            1, 1, 1 },
        { "snapshot: {interval: 1h}\ndbs:\n  - {path: /a, snapshot: , replica: {path: /r}}\n  "
          "- {path: /b, snapshot: {interval: }, replica: {path: /s}}\n",
            1, 1, 1 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config *c = loaded(rows[i].text);

        cr_expect_eq(c->snapshot.interval_ns, rows[i].global * H, "%s", rows[i].text);
        cr_expect_eq(c->dbs[0].snapshot.interval_ns, rows[i].a * H, "%s", rows[i].text);
        cr_expect_eq(c->dbs[1].snapshot.interval_ns, rows[i].b * H, "%s", rows[i].text);
        cr_expect_eq(c->dbs[1].replicas[0].snapshot.interval_ns, rows[i].b * H);
        cr_expect_eq(c->dbs[1].snapshot.retention_ns, 24 * H);
        config_free(c);
    }
}

Test(merge, a_third_database_without_a_value_keeps_the_default_when_values_differ)
{
    struct config *c =
        loaded("dbs:\n"
               "  - {path: /a, snapshot: {retention: 48h}, replica: {path: /r}}\n"
               "  - {path: /b, snapshot: {retention: 72h}, replica: {path: /s}}\n"
               "  - {path: /c, replica: {path: /t}}\n");

    cr_expect_eq(c->dbs[0].snapshot.retention_ns, 48 * H);
    cr_expect_eq(c->dbs[1].snapshot.retention_ns, 72 * H);
    cr_expect_eq(c->dbs[2].snapshot.retention_ns, 24 * H);
    config_free(c);
}

Test(merge, a_replica_has_the_last_word_about_its_snapshots)
{
    struct config *c = loaded("snapshot: {interval: 6h, retention: 48h}\n"
                              "dbs:\n  - path: /a\n    replicas:\n"
                              "      - {path: /r, retention: 72h}\n"
                              "      - {path: /s, snapshot-interval: 1h}\n");
    const struct cfg_replica *r = c->dbs[0].replicas;

    cr_expect_eq(r[0].snapshot.interval_ns, 6 * H);
    cr_expect_eq(r[0].snapshot.retention_ns, 72 * H);
    cr_expect_eq(r[0].own_retention_ns, 72 * H);
    cr_expect_eq(r[1].snapshot.interval_ns, H);
    cr_expect_eq(r[1].snapshot.retention_ns, 48 * H);
    cr_expect_eq(r[1].own_retention_ns, 0);
    config_free(c);
}
