/*
 * A build refuses what it cannot do yet, and nothing else.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "config/features.h"
#include "test/unit/config/loaded.h"

#define DB(keys) "dbs:\n  - path: /data/app.db\n    replica: {" keys "}\n"
#define FILE_ONLY (CFG_FEATURE(CFG_F_CORE) | CFG_DRIVER(CFG_REPLICA_FILE))

/* "": the build can do it. */
static const char *
missing(const char *text, uint64_t built)
{
    static struct err e;
    struct config *c = loaded(text);

    e = (struct err)ERR_NONE;
    if (cfg_require_features(c, built, &e) != 0)
        cr_expect_eq(e.code, ERR_UNSUPPORTED);
    config_free(c);
    return e.text;
}

Test(features, names_the_key_and_what_is_missing)
{
    static const char *const rows[][2] = {
        { "addr: ':9090'\n",
            "t.yml: line 1: addr: :9090: this build does not have the metrics "
            "server yet; remove the key" },
        { "mcp-addr: ':1'\n",
            "t.yml: line 1: mcp-addr: :1: this build does not have the MCP "
            "server yet; remove the key" },
        { "exec: app --token hunter2\n",
            "t.yml: line 1: exec: app ...: this build does not have "
            "running a command yet; remove the key" },
        { "exec:\n  - cmd: [a]\n",
            "t.yml: line 2: hooks: 1 of them: this build does not have hooks yet; remove the "
            "key" },
        { "socket:\n  enabled: true\n",
            "t.yml: line 2: socket.enabled: true: this build does not have the control socket "
            "yet; remove the key" },
        { "levels: [{interval: 1m}]\n",
            "t.yml: line 1: levels: 1 of them: this build does not "
            "have compaction yet; remove the key" },
        { "snapshot:\n  interval: 12h\n",
            "t.yml: line 2: snapshot.interval: 12h0m0s: this build does not have snapshots yet; "
            "remove the key" },
        { "l0-retention: 1h\n",
            "t.yml: line 1: l0-retention: 1h0m0s: this build does not have "
            "retention yet; remove the key" },
        { "validation: {interval: 1h}\n",
            "t.yml: line 1: validation.interval: 1h0m0s: this build does not have validation "
            "yet; remove the key" },
        { "heartbeat-url: https://hb.example/hunter2\n",
            "t.yml: line 1: heartbeat-url: https://hb.example: this build does not have "
            "heartbeats yet; remove the key" },
        { "logging: {path: /var/log/x}\n",
            "t.yml: line 1: logging.path: /var/log/x: this build does not have log files yet; "
            "remove the key" },
        { "auto-recover: true\n",
            "t.yml: line 1: auto-recover: true: this build does not have "
            "automatic recovery yet; remove the key" },
        { "dbs:\n  - dir: /d\n    pattern: '*'\n    replica: {path: /r}\n",
            "t.yml: line 2: dbs[/d].dir: /d: this build does not have folders of databases yet; "
            "remove the key" },
        { "dbs:\n  - path: /a\n    truncate-page-n: 5\n    replica: {path: /r}\n",
            "t.yml: line 3: dbs[/a].truncate-page-n: 5: this build does not have truncation of "
            "the WAL yet; remove the key" },
        { "dbs:\n  - path: /a\n    restore-if-db-not-exists: true\n    replica: {path: /r}\n",
            "t.yml: line 3: dbs[/a].restore-if-db-not-exists: true: this build does not have "
            "restoring at start yet; remove the key" },
        { "dbs:\n  - path: /a\n    replicas:\n      - path: /r\n      - path: /s\n",
            "t.yml: line 5: dbs[/a].replicas: 2 of them: this build does not have several "
            "replicas of a database yet; remove the key" },
        { DB("path: /r, retention: 72h"),
            "t.yml: line 3: dbs[/data/app.db].replica.retention: 72h0m0s: this build does not "
            "have retention yet; remove the key" },
        { DB("url: 'sftp://u:hunter2@h/p'"),
            "t.yml: line 3: dbs[/data/app.db].replica.url: sftp://u:xxxxx@h/p: this build does "
            "not have replicas of type sftp yet; use a folder, file:///PATH" },
        { DB("type: s3, bucket: b"),
            "t.yml: line 3: dbs[/data/app.db].replica.type: s3: this build does not have "
            "replicas of type s3 yet; use a folder, file:///PATH" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(missing(rows[i][0], FILE_ONLY), rows[i][1], "%s\ngot: %s",
            rows[i][0], missing(rows[i][0], FILE_ONLY));
}

Test(features, what_asks_for_nothing_is_fine)
{
    static const char *const texts[] = {
        "",
        "addr: ''\nexec:\nhooks: []\nlevels: []\n",
        "socket: {enabled: false, path: /x, permissions: 0660}\n",
        "snapshot: {interval: 24h, retention: 24h}\n",
        "l0-retention: 5m\nretention: {enabled: false}\nverify-compaction: false\n",
        "validation: {interval: 0}\nheartbeat-interval: 10m\n",
        "mcp-auth-token: t\n",
        "auto-recover: false\n",
        "dbs:\n  - path: /a\n    watch: false\n    restore-if-db-not-exists: no\n    "
        "truncate-page-n: -1\n    replica: {path: /r}\n",
        "dbs:\n  - path: /a\n    truncate-page-n: 0\n    replica: {path: /r}\n",
        "region: eu\naccess-key-id: x\n" DB("path: /r"),
        "dbs: [{path: /a, enabled: false, replica: {url: 's3://b'}}]\n",
        "sync-interval: 5s\nshutdown-sync-timeout: 1s\nlogging: {level: debug, type: json, "
        "stderr: true, source: true}\n" DB("path: /r, name: n"),
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        cr_expect_str_eq(missing(texts[i], FILE_ONLY), "", "%s\ngot: %s", texts[i],
            missing(texts[i], FILE_ONLY));
}

Test(features, the_first_line_is_named)
{
    const char *text = "mcp-addr: ':2'\n" DB("url: 's3://b'") "addr: ':1'\n";

    cr_expect(strstr(missing(text, FILE_ONLY), "line 1: mcp-addr") != NULL);
    cr_expect(
        strstr(missing(text, FILE_ONLY | CFG_FEATURE(CFG_F_MCP)), "line 4: ") != NULL);
    cr_expect(strstr(missing(text,
                         FILE_ONLY | CFG_FEATURE(CFG_F_MCP) | CFG_DRIVER(CFG_REPLICA_S3)),
                  "line 5: addr") != NULL);
    cr_expect_str_eq(
        missing(text, FILE_ONLY | CFG_FEATURE(CFG_F_MCP) | CFG_DRIVER(CFG_REPLICA_S3) |
                          CFG_FEATURE(CFG_F_METRICS)),
        "");
}

Test(features, a_command_line_has_no_keys)
{
    static const char *const urls[] = { "s3://b/p" };
    struct config *c;
    struct err e = ERR_NONE;

    cr_assert_eq(config_from_args("/a", urls, 1, NULL, &c, &e), 0, "%s", e.text);
    cr_expect_eq(cfg_require_features(c, FILE_ONLY, &e), ERR_UNSUPPORTED);
    cr_expect_str_eq(e.text,
        "s3://b/p: this build does not have replicas of type s3 yet; use "
        "a folder, file:///PATH");
    config_free(c);
}

Test(features, all_have_words)
{
    for (int f = 0; f < CFG_F_COUNT; f++)
        cr_expect_not_null(cfg_feature_words((enum cfg_feature)f), "%d", f);
    for (int t = 0; t < CFG_N_REPLICA_TYPES; t++) {
        const char *words =
            cfg_feature_words((enum cfg_feature)(CFG_F_DRIVER_FILE + (unsigned)t));

        cr_expect(strstr(words, cfg_replica_type_name((enum cfg_replica_type)t)) != NULL);
    }
}
