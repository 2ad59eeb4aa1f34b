#include <string.h>

#include <criterion/criterion.h>

#include "test/unit/config/loaded.h"

#define DB(keys) "dbs:\n  - path: /data/app.db\n    replica: {" keys "}\n"

Test(notice, says_what_has_no_effect)
{
    static const char *const rows[][2] = {
        { "monitor-intervall: 1s\n",
            "1: unknown key `monitor-intervall`; `monitor-interval` belongs to an entry of "
            "`dbs`\n" },
        { "adr: x\n", "1: unknown key `adr`, did you mean `addr`?\n" },
        { "snapshot:\n  intervall: 1h\n",
            "2: unknown key `snapshot.intervall`, did you mean `interval`?\n" },
        { "Addr: x\n", "1: unknown key `Addr`, did you mean `addr`?\n" },
        { "quite-something-else: x\n", "1: unknown key `quite-something-else`\n" },
        { "snapshot.interval: x\n",
            "1: unknown key `snapshot.interval`; write `interval` in a map under "
            "`snapshot`\n" },
        { "{addr:9090, x=y: z}\n",
            "1: unknown key: a space is missing behind `addr:`, or this is not a key\n"
            "1: unknown key: a space is missing behind `x:`, or this is not a key\n" },
        { "logging: {level: loud}\n",
            "1: `logging.level: loud` is no level and means info; there are trace, debug, info, warn and error\n" },
        { "max-sync-ltx-files: 5\n",
            "1: `max-sync-ltx-files` has no effect: an upload never holds up the look at the WAL\n" },
        { DB("url: 'file:///a?b'"),
            "3: what follows the `?` of a file URL is not used; for a name with a `?` give `path` instead of `url`\n" },
        { "levels: [{interval: 1m, every: 2}]\n", "1: unknown key `levels[0].every`\n" },
        { "hooks: [{cmd: a, time-out: 2s}]\n",
            "1: unknown key `hooks[0].time-out`, did you mean `timeout`?\n" },
        { DB("path: /r, buckett: b"),
            "3: unknown key `dbs[0].replica.buckett`, did you mean `bucket`?\n" },
        { "dbs:\n  - path: /a\n    sync-interval: 1s\n    replica: {path: /r}\n",
            "3: unknown key `dbs[0].sync-interval`; `sync-interval` belongs to a replica\n" },
        { "addr: ':1'\nmcp-addr: ':2'\naddr: ':3'\n",
            "3: `addr` is there twice; the one on line 1 is not used\n" },
        { DB("path: /r, region: x, bucket: y"),
            "3: `region` has no effect on a replica of type file\n"
            "3: `bucket` has no effect on a replica of type file\n" },
        { DB("url: 's3://b', type: file"),
            "3: `type: file` has no effect: the URL says s3\n" },
        { DB("url: 's3://b?colour=red'"), "3: URL parameter `colour` has no effect\n" },
        { DB("url: 'gs://b?region=x'"), "3: URL parameter `region` has no effect\n" },
        { DB("url: 's3://b', access-key-id: a"),
            "3: `access-key-id` has no effect without `secret-access-key`\n" },
        { "secret-access-key: x\n" DB("url: 's3://b'"),
            "1: `secret-access-key` has no effect without `access-key-id`\n" },
        { DB("path: /r, retention-check-interval: 1h, validation-interval: 1h"),
            "3: `dbs[0].replica.retention-check-interval` is a key of an older version and has "
            "no effect; see `l0-retention-check-interval` at the top level\n"
            "3: `dbs[0].replica.validation-interval` is a key of an older version and has no "
            "effect; see `validation.interval` at the top level\n" },
        { "dbs: [{path: /a, max-checkpoint-page-count: 5, replica: {path: /r}}]\n",
            "1: `dbs[0].max-checkpoint-page-count` is a key of an older version and has no "
            "effect; see `truncate-page-n`\n" },
        { "snapshot: {interval: 1h}\ndbs:\n  - {path: /a, snapshot: {interval: 2h}, replica: "
          "{path: /r}}\n",
            "3: `snapshot.interval` of this database has no effect: the top level has it "
            "too\n" },
        { "a: 1\n---\naddr: x\n",
            "1: unknown key `a`\n2: only the first document of the file is used: nothing from "
            "here on is\n" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(noticed(rows[i][0]), rows[i][1], "%s\ngot:  %s", rows[i][0],
            noticed(rows[i][0]));
}

Test(notice, says_what_is_dangerous)
{
    static const char *const rows[][2] = {
        { "l0-retention: 10\n",
            "1: `l0-retention: 10` is a number of nanoseconds; write a "
            "unit, as in `10s`\n" },
        { "l0-retention: 0\nshutdown-sync-interval: 1000000\n", "" },
        { "socket: {permissions: 600}\n",
            "1: `socket.permissions: 600` is a decimal number and "
            "means mode 01130; write 0600 for an octal one\n" },
        { "socket: {permissions: 0600}\n", "" },
        { "socket: {permissions: 384}\n", "" },
        { "snapshot:\n  interval: 24h\n  retention: 1h\n",
            "3: snapshot retention (1h0m0s) is shorter than the snapshot interval (24h0m0s): "
            "only what follows the newest snapshot can be restored\n" },
        { DB("path: /r, retention: 2h"),
            "3: snapshot retention (2h0m0s) is shorter than the snapshot interval (24h0m0s): "
            "only what follows the newest snapshot can be restored\n" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(noticed(rows[i][0]), rows[i][1], "%s\ngot:  %s", rows[i][0],
            noticed(rows[i][0]));
}

Test(notice, secrets_that_lost_something)
{
    static const char dollar[] =
        ": a `$` in `secret-access-key` was taken for a variable that is not set and was "
        "replaced by nothing; use -no-expand-env or a file for a value with a `$`\n";
    static const struct {
        const char *text;
        int line; /* 0: nothing is said */
    } rows[] = {
        { "secret-access-key: pa$$word\n", 1 },
        { "x-a: 1\nsecret-access-key: 'pa$9word'\n", 2 },
        { "secret-access-key: $NOPE\n", 1 },
        { "secret-access-key: pa$KEY\n", 0 },
        { "secret-access-key: abc # $NOPE\n", 0 },
        { "# $NOPE\nsecret-access-key: abc\n", 0 },
        { "secret-access-key: $EMPTY\n", 0 },
        { "access-key-id: $NOPE\n", 0 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *got = strstr(noticed(rows[i].text), ": a `$`");

        cr_expect_eq(got != NULL, rows[i].line != 0, "%s", rows[i].text);
        cr_expect(got == NULL || strncmp(got, dollar, strlen(dollar)) == 0, "%s", got);
        cr_expect(got == NULL || got[-1] == '0' + rows[i].line, "%s", rows[i].text);
    }
    cr_expect_str_eq(noticed("mcp-auth-token: ${MCP_TOKEN}\n"),
        "1: the variable MCP_TOKEN in `mcp-auth-token` is not set and was replaced by "
        "nothing\n");
}

Test(notice, says_how_a_url_was_read)
{
    struct config *c = loaded(DB("url: 'abs://acct.blob.core.windows.net/cont/p'"));

    cr_assert_eq(c->n_notices, 1);
    cr_expect(c->notices[0].info);
    cr_expect_str_eq(
        c->notices[0].text, "URL read as account `acct`, container `cont`, path `p`");
    config_free(c);
}

Test(notice, are_bounded_and_in_the_order_of_lines)
{
    char text[300 * 8 + 1] = "";
    struct config *c;

    for (int i = 0; i < 300; i++)
        memcpy(text + i * 8, "qqqqq: 1", 8);
    for (int i = 0; i < 300; i++)
        text[i * 8 + 7] = '\n';
    c = loaded(text);
    cr_assert_eq(c->n_notices, 201);
    cr_expect_str_eq(c->notices[200].text, "100 more warnings");
    for (size_t i = 1; i < 200; i++)
        cr_expect_leq(c->notices[i - 1].line, c->notices[i].line);
    config_free(c);
}

Test(notice, good_files_are_silent)
{
    cr_expect_str_eq(noticed(DB("path: /r")), "");
    cr_expect_str_eq(
        noticed("access-key-id: a\nsecret-access-key: b\nhost: h\nuser: u\n" DB(
            "url: 's3://b/p', region: eu, skip-verify: true")),
        "");
}
