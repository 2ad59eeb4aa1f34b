/*
 * Every configuration of the migration guide, as printed there: what it promises to work
 * works, what it says is refused is refused. The files are seeds of the fuzz target too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "config/config.h"
#include "test/unit/support/tmp.h"

#define H DURATION_HOUR
#define ABS CFG_REPLICA_ABS
#define NATS CFG_REPLICA_NATS
#define S3 CFG_REPLICA_S3
#define GS CFG_REPLICA_GS
#define FOLDER CFG_REPLICA_FILE
#define MAX_REPLICAS 3

static const char *
guide_env(const char *name)
{
    static const char *const vars[][2] = {
        { "AZURE_STORAGE_KEY", "azure key" },
        { "AZURE_STORAGE_ACCOUNT", "azureaccount" },
        { "NATS_PASSWORD", "nats password" },
    };

    for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static char *
guide_text(const char *name)
{
    char path[4096];
    size_t n;
    char *text;

    snprintf(path, sizeof(path), "%s/../fuzz/corpus/config/guide-%s.yml", FIXTURES, name);
    text = (char *)tmp_read(path, &n);
    cr_assert_not_null(text, "%s", path);
    text = realloc(text, n + 1);
    text[n] = '\0';
    return text;
}

static int
load(const char *text, struct config **c, struct err *e)
{
    const struct config_options options = { .env = guide_env };

    return config_parse(text, strlen(text), "g.yml", &options, c, e);
}

/* What the daemon starts with. */
static struct config *
guide(const char *name)
{
    char *text = guide_text(name);
    struct config *c = NULL;
    struct err e = ERR_NONE;

    cr_assert_eq(load(text, &c, &e), 0, "%s: %s", name, e.text);
    cr_expect_eq(config_check_replicas(c, &e), 0, "%s: %s", name, e.text);
    cr_expect_eq(config_check_daemon(c, &e), 0, "%s: %s", name, e.text);
    free(text);
    return c;
}

Test(guide, databases_and_replicas_are_those_of_the_text)
{
    static const struct {
        const char *name;
        size_t n;
        struct {
            enum cfg_replica_type type;
            const char *bucket, *path;
        } replicas[MAX_REPLICAS];
    } rows[] = {
        { "01a-old-format", 1, { { S3, "my-bucket", "app" } } },
        { "01b-new-format", 1, { { S3, "my-bucket", "app" } } },
        { "04-unencrypted", 1, { { S3, "my-bucket", "app" } } },
        { "05-managed-identity", 1, { { ABS, "CONTAINERNAME", "PATH" } } },
        { "06-shared-key-url", 1, { { ABS, "CONTAINERNAME", "PATH" } } },
        { "07-shared-key", 1, { { ABS, "mycontainer", "backups/app" } } },
        { "08-managed-identity-keys", 1, { { ABS, "mycontainer", "backups/app" } } },
        { "09-service-principal", 1, { { ABS, "mycontainer", "backups/app" } } },
        { "10-timeout-errors", 1, { { ABS, "mycontainer", "backups/app" } } },
        { "11a-replicas-list", 3,
            { { S3, "primary-bucket", "app" }, { S3, "secondary-bucket", "app" },
                { FOLDER, "", "/local/backup" } } },
        { "11b-replicas-entries", 3,
            { { S3, "primary-bucket", "app" }, { S3, "secondary-bucket", "app" },
                { FOLDER, "", "/local/backup" } } },
        { "12-global-sections", 1, { { S3, "my-bucket", "app" } } },
        { "13-file-to-s3", 1, { { S3, "my-litestream-backups", "app" } } },
        { "14-s3-to-nats", 1, { { NATS, "my-app-bucket", "" } } },
        { "15-s3-to-gcs", 1, { { GS, "gcs-bucket", "app" } } },
        { "16-s3-to-azure", 1, { { ABS, "storage-account", "container/app" } } },
        { "17-parallel", 2, { { S3, "old-bucket", "app" }, { NATS, "new-bucket", "" } } },
        { "18-switched", 1, { { NATS, "new-bucket", "" } } },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config *c = guide(rows[i].name);
        const struct cfg_db *db = &c->dbs[0];

        cr_assert_eq(c->n_dbs, 1, "%s", rows[i].name);
        cr_expect_str_eq(db->path, "/var/lib/app.db");
        cr_assert_eq(db->n_replicas, rows[i].n, "%s", rows[i].name);
        for (size_t k = 0; k < rows[i].n; k++) {
            cr_expect_eq(
                db->replicas[k].type, rows[i].replicas[k].type, "%s", rows[i].name);
            cr_expect_str_eq(
                db->replicas[k].bucket, rows[i].replicas[k].bucket, "%s", rows[i].name);
            cr_expect_str_eq(
                db->replicas[k].path, rows[i].replicas[k].path, "%s", rows[i].name);
        }
        cr_expect_eq(c->n_notices, 0, "%s: %s", rows[i].name,
            c->n_notices > 0 ? c->notices[0].text : "");
        config_free(c);
    }
}

Test(guide, retention_of_a_replica_counts)
{
    static const char *const names[] = { "01a-old-format", "01b-new-format",
        "04-unencrypted" };

    for (size_t i = 0; i < 3; i++) {
        struct config *c = guide(names[i]);

        cr_expect_eq(c->dbs[0].replicas[0].snapshot.retention_ns, 72 * H, "%s", names[i]);
        cr_expect_eq(c->dbs[0].replicas[0].snapshot.interval_ns, 24 * H, "%s", names[i]);
        config_free(c);
    }
}

Test(guide, global_sections)
{
    struct config *c = guide("02-override-defaults");

    cr_expect_str_eq(c->mcp_addr, ":3001");
    cr_expect_eq(c->snapshot.interval_ns, 24 * H);
    cr_expect_eq(c->snapshot.retention_ns, 168 * H);
    cr_assert_eq(c->n_levels, 2);
    cr_expect_eq(c->levels[0].interval_ns, H);
    cr_expect_eq(c->levels[0].retention_ns, 24 * H);
    cr_expect_eq(c->levels[1].interval_ns, 24 * H);
    cr_expect_eq(c->levels[1].retention_ns, 168 * H);
    cr_expect_eq(c->n_dbs, 0);
    config_free(c);
    c = guide("12-global-sections");
    cr_assert_eq(c->n_levels, 3);
    cr_expect_eq(c->levels[0].interval_ns, 5 * DURATION_MIN);
    cr_assert_eq(c->n_hooks, 1, "a list under exec is hooks");
    cr_expect_str_eq(c->exec, "");
    cr_assert_eq(c->hooks[0].argv.n, 2);
    cr_expect_str_eq(c->hooks[0].argv.items[0], "/usr/local/bin/notify");
    cr_expect_str_eq(c->hooks[0].argv.items[1], "Litestream started");
    cr_expect_eq(c->hooks[0].on, CFG_ON_START);
    config_free(c);
}

Test(guide, credentials)
{
    struct config *c = guide("05-managed-identity");
    const struct cfg_replica *r = &c->dbs[0].replicas[0];

    cr_expect_str_eq(r->account_name, "STORAGEACCOUNT");
    cr_expect_not(secret_is_set(&r->account_key));
    config_free(c);
    c = guide("06-shared-key-url");
    cr_expect_str_eq(secret_reveal(&c->dbs[0].replicas[0].account_key), "ACCOUNTKEY");
    config_free(c);
    c = guide("07-shared-key");
    r = &c->dbs[0].replicas[0];
    cr_expect_str_eq(r->account_name, "mystorageaccount");
    cr_expect_str_eq(secret_reveal(&r->account_key), "azure key");
    config_free(c);
    c = guide("13-file-to-s3");
    cr_expect_str_eq(c->dbs[0].replicas[0].region, "us-east-1");
    config_free(c);
    c = guide("14-s3-to-nats");
    r = &c->dbs[0].replicas[0];
    cr_expect_str_eq(r->servers.items[0], "nats://localhost:4222");
    cr_expect_str_eq(r->username, "litestream");
    cr_expect_str_eq(secret_reveal(&r->password), "nats password");
    config_free(c);
    c = guide("16-s3-to-azure");
    r = &c->dbs[0].replicas[0];
    cr_expect_str_eq(r->account_name, "azureaccount");
    cr_expect_str_eq(secret_reveal(&r->account_key), "azure key");
    config_free(c);
}

/* A text with two samples has `dbs` twice. */
Test(guide, of_two_samples_in_one_text_the_last_counts_and_that_is_said)
{
    struct config *c = guide("01-old-format");

    cr_assert_eq(c->n_notices, 1);
    cr_expect_str_eq(
        c->notices[0].text, "`dbs` is there twice; the one on line 2 is not used");
    cr_expect_eq(c->dbs[0].obj.line, 10);
    config_free(c);
    c = guide("11-multiple-replicas");
    cr_assert_eq(c->n_dbs, 1);
    cr_expect_eq(c->dbs[0].n_replicas, 3);
    cr_expect_eq(c->n_notices, 1);
    config_free(c);
}

Test(guide, age_is_refused_by_name)
{
    static const char age[] = "age encryption is not currently supported, if you need "
                              "encryption please revert back to Litestream v0.3.x";
    char *sample = guide_text("03-remove-age"), *rest, text[2048];
    size_t n;
    struct config *c;
    struct err e = ERR_NONE;

    /* The sample is a part of an entry: put there, with its lines indented. */
    n = (size_t)snprintf(text, sizeof(text), "dbs:\n  - path: /var/lib/app.db\n");
    for (char *line = strtok_r(sample, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "    %s\n", line);
    cr_assert_eq(load(text, &c, &e), 0, "%s", e.text);
    cr_expect_eq(config_check_replicas(c, &e), ERR_CONFIG);
    cr_expect(strstr(e.text, age) != NULL, "%s", e.text);
    cr_expect(
        strstr(e.text, "g.yml: line 5: dbs[/var/lib/app.db]: ") == e.text, "%s", e.text);
    free(sample);
    config_free(c);
}

Test(guide, a_top_level_replica_is_said_to_be_in_the_wrong_place)
{
    struct config *c = guide("03-remove-age");

    cr_expect_eq(c->n_dbs, 0);
    cr_assert_eq(c->n_notices, 1);
    cr_expect_str_eq(c->notices[0].text,
        "unknown key `replica`; `replica` belongs to an entry of `dbs`");
    config_free(c);
}
