/*
 * Broken configurations and what the user reads, exactly.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "test/unit/config/loaded.h"

/* A database with one replica of these keys. */
#define DB(keys) "dbs:\n  - path: /data/app.db\n    replica: {" keys "}\n"
#define R "t.yml: line 3: dbs[/data/app.db].replica"
#define AGE                                                                              \
    "age encryption is not currently supported, if you need encryption please revert "   \
    "back to Litestream v0.3.x"

struct row {
    const char *text, *error;
};

static void
expect_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = refused(rows[i].text);

        cr_expect_str_eq(got, rows[i].error, "%s\ngot:  %s\nwant: %s", rows[i].text, got,
            rows[i].error);
    }
}

#define EXPECT_ALL(rows) expect_all((rows), sizeof(rows) / sizeof((rows)[0]))

Test(refused, syntax)
{
    static const struct row rows[] = {
        { "dbs:\n\t- path: x\n",
            "t.yml: yaml: line 2: found character that cannot start any token" },
        { "addr: [\n", "t.yml: yaml: line 1: did not find expected node content" },
        { "addr: \"x\n", "t.yml: yaml: line 2: found unexpected end of stream" },
        { "dbs: *nope\n", "t.yml: line 1: yaml: unknown anchor 'nope' referenced" },
        { "x: 1\na: &a {<<: *a}\n",
            "t.yml: line 2: yaml: anchor 'a' value contains itself" },
        { "<<: 5\n",
            "t.yml: line 1: yaml: map merge requires map or sequence of maps as the value" },
        { "<<: [5]\n",
            "t.yml: line 1: yaml: map merge requires map or sequence of maps as the value" },
        { "addr: !!binary aGk=\n",
            "t.yml: line 1: addr: yaml: !!binary is not supported" },
        { "l0-retention: !!int x\n",
            "t.yml: line 1: l0-retention: yaml: cannot decode !!str as a !!int" },
        { "secret-access-key: *hunter2\n",
            "t.yml: line 1: secret-access-key: yaml: unknown anchor referenced; a value that "
            "begins with * must be in quotes" },
        { "secret-access-key: !!int hunter2\n",
            "t.yml: line 1: secret-access-key: yaml: cannot decode !!str as a !!int" },
        { "addr: \"a\\0b\"\n", "t.yml: line 1: addr: value with a NUL character" },
    };

    EXPECT_ALL(rows);
}

/* A type error: a line of the list that Litestream makes, and what we add to it. */
#define LIST "t.yml: yaml: unmarshal errors:"
#define BAD(line, what, must) "\n  line " line ": cannot unmarshal " what ": " must
#define DURATION " must be a duration such as 500ms, 30s or 24h"
#define BOOL " must be true or false, without quotes"
#define NUMBER " must be a whole number without quotes or unit"
#define MODE " must be a file mode such as 0600"
#define SINGLE " must be a single value"
#define MAP " must be a map of keys"
#define ENTRIES " must be a list, each entry behind a dash"

Test(refused, types)
{
    static const struct row rows[] = {
        { "- a\n", LIST BAD("1", "!!seq into map", "the file" MAP) },
        { "text\n", LIST BAD("1", "!!str `text` into map", "the file" MAP) },
        { "l0-retention: 1d\n",
            LIST BAD("1", "!!str `1d` into time.Duration", "l0-retention" DURATION) },
        { "l0-retention: \"10\"\n",
            LIST BAD("1", "!!str `10` into time.Duration", "l0-retention" DURATION) },
        { "verify-compaction: \"true\"\n",
            LIST BAD("1", "!!str `true` into bool", "verify-compaction" BOOL) },
        { "verify-compaction: 1\n",
            LIST BAD("1", "!!int `1` into bool", "verify-compaction" BOOL) },
        { "exec: {a: b}\n", LIST BAD("1", "!!map into string", "exec" SINGLE) },
        { "addr: [a]\n", LIST BAD("1", "!!seq into string", "addr" SINGLE) },
        { "socket: 5\n", LIST BAD("1", "!!int `5` into map", "socket" MAP) },
        { "socket: {permissions: rw-rw-rw-rw}\n",
            LIST BAD("1", "!!str `rw-rw-r...` into uint32", "socket.permissions" MODE) },
        { "socket:\n  permissions: -1\n",
            LIST BAD("2", "!!int `-1` into uint32", "socket.permissions" MODE) },
        { "dbs: {path: x}\n", LIST BAD("1", "!!map into list", "dbs" ENTRIES) },
        { "dbs: [x]\n", LIST BAD("1", "!!str `x` into map", "dbs[0]" MAP) },
        { "levels: 5m\n", LIST BAD("1", "!!str `5m` into list", "levels" ENTRIES) },
        { DB("url: [x]"),
            LIST BAD("3", "!!seq into string", "dbs[0].replica.url" SINGLE) },
        { "dbs:\n  - path: /a\n    replica: s3://bucket/b\n",
            LIST BAD("3", "!!str `s3://bu...` into map", "dbs[0].replica" MAP) },
        { DB("type: nats, root-cas: /ca.pem"),
            LIST BAD("3", "!!str `/ca.pem` into []string",
                "dbs[0].replica.root-cas must be a list, as in [one, two]") },
        { DB("root-cas: [{a: b}]"), LIST BAD("3", "!!map into string",
                                        "an item of dbs[0].replica.root-cas" SINGLE) },
        { DB("concurrency: two"),
            LIST BAD("3", "!!str `two` into int", "dbs[0].replica.concurrency" NUMBER) },
        { "dbs:\n  - path: a\n    max-sync-wal-bytes: 64MB\n",
            LIST BAD(
                "3", "!!str `64MB` into int64", "dbs[0].max-sync-wal-bytes" NUMBER) },
        { "? [a]\n: b\n", LIST BAD("1", "!!seq into string", "a key" SINGLE) },
        { "l0-retention: 1d\nverify-compaction: 2\nsnapshot: {interval: x}\n",
            LIST BAD("1", "!!str `1d` into time.Duration", "l0-retention" DURATION)
                BAD("2", "!!int `2` into bool", "verify-compaction" BOOL) BAD(
                    "3", "!!str `x` into time.Duration", "snapshot.interval" DURATION) },
        { "levels: [1,1,1,1,1,1,1,1,1,1]\n",
            LIST BAD("1", "!!int `1` into map", "levels[0]" MAP) BAD(
                "1", "!!int `1` into map", "levels[1]" MAP) BAD("1", "!!int `1` into map",
                "levels[2]" MAP) BAD("1", "!!int `1` into map", "levels[3]" MAP)
                BAD("1", "!!int `1` into map", "levels[4]" MAP)
                    BAD("1", "!!int `1` into map", "levels[5]" MAP)
                        BAD("1", "!!int `1` into map", "levels[6]" MAP)
                            BAD("1", "!!int `1` into map", "levels[7]" MAP) "\n  and 2 "
                                                                            "more" },
    };

    EXPECT_ALL(rows);
}

Test(refused, values_at_the_top)
{
    static const struct row rows[] = {
        { "addr: localhost\n",
            "t.yml: line 1: must specify port for bind address: \"localhost\"" },
        { "addr: \"[::1]\"\n",
            "t.yml: line 1: must specify port for bind address: \"[::1]\"" },
        { "addr: 'host:'\n",
            "t.yml: line 1: must specify port for bind address: \"host:\"" },
        { "levels: [{interval: 0}]\n",
            "t.yml: line 1: levels[0].interval: compaction interval "
            "must be greater than 0 (got 0s)" },
        { "levels:\n  - interval: 1m\n  - interval: -1s\n",
            "t.yml: line 3: levels[1].interval: compaction interval must be greater than 0 "
            "(got -1s)" },
        { "levels:\n  - {}\n",
            "t.yml: line 2: levels[0].interval: compaction interval must be "
            "greater than 0 (got 0s)" },
        { "levels: [null]\n", "t.yml: line 1: levels[0]: an entry must not be empty" },
        { "levels: [{interval: 1m, retention: -1h}]\n",
            "t.yml: line 1: levels[0].retention: level retention must not be negative (got "
            "-1h0m0s)" },
        { "levels: [{interval: 1m}, {interval: 1m}, {interval: 1m}, {interval: 1m}, {interval: "
          "1m}, {interval: 1m}, {interval: 1m}, {interval: 1m}, {interval: 1m}]\n",
            "t.yml: line 1: cannot open store: compaction level cannot exceed 8" },
        { "snapshot:\n  interval: 0\n",
            "t.yml: line 2: snapshot.interval: snapshot interval "
            "must be greater than 0 (got 0s)" },
        { "snapshot: {retention: -90s}\n",
            "t.yml: line 1: snapshot.retention: snapshot "
            "retention must be greater than 0 (got -1m30s)" },
        { "l0-retention: -1s\n",
            "t.yml: line 1: l0-retention: l0 retention must not be negative (got -1s)" },
        { "l0-retention-check-interval: 0s\n",
            "t.yml: line 1: l0-retention-check-interval: l0 retention check interval must be "
            "greater than 0 (got 0s)" },
        { "heartbeat-url: ftp://x\n",
            "t.yml: line 1: heartbeat-url: heartbeat URL must be a "
            "valid HTTP or HTTPS URL (got ftp://x)" },
        { "heartbeat-interval: 59s\n",
            "t.yml: line 1: heartbeat-interval: heartbeat interval "
            "must be at least 1 minute (got 59s)" },
        { "shutdown-sync-timeout: -1ns\n",
            "t.yml: line 1: shutdown-sync-timeout: shutdown-sync-timeout must be >= 0 (got "
            "-1ns)" },
        { "shutdown-sync-interval: 0\n",
            "t.yml: line 1: shutdown-sync-interval: shutdown sync interval must be greater than "
            "0 (got 0s)" },
        { "logging: {type: xml}\n",
            "t.yml: line 1: logging.type: must be text, json or pretty (got xml)" },
        { "part-size: 5xb\n",
            "t.yml: line 1: part-size: invalid size format: unhandled size "
            "name: xb (got 5xb)" },
        { "part-size: ''\n", "t.yml: line 1: part-size: empty size string (got )" },
        { "part-size: 10EB\n",
            "t.yml: line 1: part-size: size 10000000000000000000 exceeds maximum allowed value "
            "(9223372036854775807) (got 10EB)" },
        { "exec: app; rm\n",
            "t.yml: line 1: cannot parse exec command: `;` needs a shell: put "
            "it in quotes, or use sh -c '...'" },
        { "exec: \"app 'x\"\n",
            "t.yml: line 1: cannot parse exec command: invalid command line string" },
        { "exec: ' '\n", "t.yml: line 1: cannot parse exec command: command is empty" },
        { "hooks: [{on: stop}]\n",
            "t.yml: line 1: hooks[0].cmd: a hook must have a command" },
        { "hooks: [null]\n", "t.yml: line 1: hooks[0].cmd: a hook must have a command" },
        { "exec:\n  - cmd: []\n",
            "t.yml: line 2: exec[0].cmd: a hook must have a command" },
        { "hooks: ['a | b']\n",
            "t.yml: line 1: hooks[0].cmd: `|` needs a shell: put it in "
            "quotes, or use sh -c '...'" },
        { "hooks: [{cmd: a, on: boot}]\n",
            "t.yml: line 1: hooks[0].on: must be start, stop, error, recovered, snapshot or "
            "restore (got boot)" },
        { "hooks: [{cmd: a, on: [stop, boot]}]\n",
            "t.yml: line 1: hooks[0].on: must be start, stop, error, recovered, snapshot or "
            "restore (got boot)" },
        { "hooks: [{cmd: a, timeout: 0}]\n",
            "t.yml: line 1: hooks[0].timeout: hook timeout "
            "must be greater than 0 (got 0s)" },
    };

    EXPECT_ALL(rows);
}

#define SHARED "two databases cannot share one, give each its own path"

Test(refused, structure_of_databases)
{
    static const struct row rows[] = {
        { "dbs: [null]\n", "t.yml: line 1: dbs[0]: an entry must not be empty" },
        { "dbs:\n  - {}\n",
            "t.yml: line 2: database config #1: must specify either 'path' or "
            "'dir'" },
        { "dbs:\n  - path: a\n  - {path: a, dir: b}\n",
            "t.yml: line 3: database config #2: cannot specify both 'path' and 'dir'" },
        { "dbs: [{dir: b}]\n",
            "t.yml: line 1: database config #1: 'pattern' is required when using 'dir'" },
        { "dbs: [{path: b, watch: true}]\n",
            "t.yml: line 1: database config #1: 'watch' can "
            "only be enabled with a directory" },
        { "dbs: [{path: b, meta-dir: c}]\n",
            "t.yml: line 1: database config #1: 'meta-dir' can "
            "only be used with a directory" },
        { "dbs: [{dir: b, pattern: '*', meta-dir: c, meta-path: d}]\n",
            "t.yml: line 1: database config #1: cannot specify both 'meta-path' and "
            "'meta-dir'" },
        { "dbs: [{path: /a}]\n",
            "t.yml: line 1: dbs[/a]: must specify replica for database" },
        { "dbs: [{path: /a, replicas: []}]\n",
            "t.yml: line 1: dbs[/a]: must specify replica for database" },
        { "dbs:\n  - path: /a\n    replica: {path: /x}\n    replicas: [{path: /y}]\n",
            "t.yml: line 2: dbs[/a]: cannot specify 'replica' and 'replicas' on a database" },
        { "dbs:\n  - path: /a\n    replicas: [{path: /x}, null]\n",
            "t.yml: line 3: dbs[0].replicas[1]: an entry must not be empty" },
        { "dbs: [{path: /a, snapshot: {interval: 0}}]\n",
            "t.yml: line 1: dbs[/a].snapshot.interval: snapshot interval must be greater than 0 "
            "(got 0s)" },
        { "dbs: [{dir: /d, pattern: '*', snapshot: {retention: -1}}]\n",
            "t.yml: line 1: dbs[/d].snapshot.retention: snapshot retention must be greater than "
            "0 (got -1ns)" },
        { "dbs: [{path: /a, heartbeat-url: x}]\n",
            "t.yml: line 1: dbs[/a].heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS "
            "URL (got x)" },
        { "dbs: [{path: /a, heartbeat-interval: 1s}]\n",
            "t.yml: line 1: dbs[/a].heartbeat-interval: heartbeat interval must be at least 1 "
            "minute (got 1s)" },
        { "dbs: [{path: /a, min-checkpoint-page-count: 0, replica: {path: /r}}]\n",
            "t.yml: line 1: dbs[/a].min-checkpoint-page-count: cannot open store: minimum "
            "checkpoint page count required (got 0)" },
        { DB("path: /r, sync-interval: 0s"),
            R ".sync-interval: sync interval must be greater than 0 (got 0s)" },
        { "sync-interval: -1s\n" DB("path: /r"),
            "t.yml: line 1: dbs[/data/app.db].replica.sync-interval: sync interval must be "
            "greater than 0 (got -1s)" },
        { "dbs:\n  - path: /a\n    replicas:\n      - path: /x\n      - path: /y\n        "
          "sync-interval: 0\n",
            "t.yml: line 6: dbs[/a].replicas[1].sync-interval: sync interval must be greater "
            "than 0 (got 0s)" },
        { DB("path: /r, retention: 0s"),
            R ".retention: snapshot retention must be greater than 0 (got 0s)" },
        { DB("path: /r, snapshot-interval: -1h"), R
            ".snapshot-interval: snapshot interval must be greater than 0 (got -1h0m0s)" },
        { "dbs:\n  - path: /a\n    monitor-interval: 1s\n    replica: {path: /x}\n  - path: "
          "/a\n    monitor-interval: 10s\n    replica: {path: /y}\n",
            "t.yml: line 6: dbs[/a].monitor-interval: database config #1 and #2 have the same "
            "path and different values: 1s and 10s" },
        { "dbs:\n  - {path: /a, enabled: false, replica: {path: /x}}\n  - {path: /a, replica: "
          "{path: /y}}\n",
            "t.yml: line 3: dbs[/a].enabled: database config #1 and #2 have the same path and "
            "different values: false and true" },
        { "dbs:\n  - {path: /a, replica: {path: /x}}\n  - {path: /./a, replica: {path: /x/}}\n",
            "t.yml: line 3: dbs[/a].replica: the destination is the same as that of "
            "dbs[/a].replica on line 2" },
        { "dbs:\n  - path: /a\n    replicas:\n      - url: s3://b/p\n      - {type: s3, bucket: "
          "b, path: p}\n",
            "t.yml: line 5: dbs[/a].replicas[1]: the destination is the same as that of "
            "dbs[/a].replicas[0] on line 4" },
        { "dbs:\n  - {path: /a, replica: {url: 'nats://h/bkt'}}\n  - {path: /b, replica: {url: "
          "'nats://h/bkt'}}\n",
            "t.yml: line 3: dbs[/b].replica: the destination is the same as that of dbs[/a].replica on line 2; " SHARED },
        { "dbs:\n  - {path: /a, replica: {path: /r}}\n  - {path: /b, replica: {path: /r/}}\n",
            "t.yml: line 3: dbs[/b].replica: the destination is the same as that of dbs[/a].replica on line 2; " SHARED },
        { "dbs:\n  - {path: /a, replica: {path: /r}}\n  - {path: /b, enabled: no, replica: {path: /r}}\n",
            "" },
        { "dbs:\n  - {path: /a, replica: {url: 'nats://u:p@h/b'}}\n  - {path: /b, replica: {url: 'nats://v:p@h/b'}}\n",
            "" },
        { "dbs:\n  - {path: /a, meta-path: /m, replica: {path: /r}}\n  - {path: /b, meta-path: /m/, replica: {path: /s}}\n",
            "t.yml: line 3: meta-path collision: databases /a and /b would share meta-path /m, causing replication state corruption" },
        { DB("path: /data/.app.db-litestream"), R
            ": the destination is the folder of the local state, dbs[/data/app.db].meta-path; give another folder" },
        { "dbs:\n  - {path: /a, replica: {path: /m}}\n  - {path: /b, meta-path: /m, replica: {path: /s}}\n",
            "t.yml: line 2: dbs[/a].replica: the destination is the folder of the local state, dbs[/b].meta-path; give another folder" },
        { DB("path: /data/app.db"), R
            ": the replica is the database itself, give a folder elsewhere: /data/app.db" },
        { "dbs: [{path: /a, heartbeat-url: 'hb.example/secret'}]\n",
            "t.yml: line 1: dbs[/a].heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL (got hb.example/...)" },
    };

    EXPECT_ALL(rows);
}

Test(refused, age_at_every_place)
{
    static const struct row rows[] = {
        { DB("path: /r, age: {identities: [/k]}"), R ": " AGE },
        { DB("path: /r, age: {recipients: [age1x]}"), R ": " AGE },
        { "age:\n  recipients: [age1x]\n" DB("path: /r"),
            "t.yml: line 2: dbs[/data/app.db].replica: " AGE },
        { "dbs:\n  - path: /a\n    age:\n      identities:\n        - /k\n    replica: {path: "
          "/r}\n",
            "t.yml: line 4: dbs[/a]: " AGE },
        { "age:\n  recipients: [age1x]\n", "" }, /* no replica that it would touch */
        { DB("path: /r, age: {}"), "" },
        { DB("path: /r, age: "), "" },
        { DB("path: /r, age: {identities: []}"), "" },
    };

    EXPECT_ALL(rows);
}

#define TYPES "(must be file, s3, gs, abs, oss, sftp, webdav or nats)"
#define WRITE "(write s3://... or file://..., or use `path` for a folder)"

Test(refused, replicas)
{
    static const struct row rows[] = {
        { DB(""), R ": file replica path required" },
        { DB("type: FILE"), R ": unknown replica type in config: \"FILE\" " TYPES },
        { DB("type: ftp, path: x"),
            R ": unknown replica type in config: \"ftp\" " TYPES },
        { DB("url: 'FTP://h/x'"), R
            ": unknown replica type in config: \"ftp\" (a URL begins with one of file, s3, gs, abs, oss, sftp, webdav or nats)" },
        { DB("url: /backup"), R ": replica url scheme required: /backup " WRITE },
        { DB("type: s3, url: bkt/p"), R ": replica url scheme required: bkt/p " WRITE },
        { DB("path: 's3://b/p'"), R
            ": replica path cannot be a url, please use the 'url' field instead: s3://b/p" },
        { DB("path: 'sftp://u:secret@b/p'"),
            R ": replica path cannot be a url, please use the 'url' field instead: "
              "sftp://u:xxxxx@b/p" },
        { DB("url: 'file:///x', path: /y"),
            R ": cannot specify url & path for file replica" },
        { DB("url: 's3://b/x', path: y"),
            R ": cannot specify url & path for s3 replica" },
        { DB("url: 's3://b/x', bucket: b"),
            R ": cannot specify url & bucket for s3 replica" },
        { DB("url: 'gs://b/x', path: y"),
            R ": cannot specify url & path for gs replica" },
        { DB("url: 'gs://b/x', bucket: b"),
            R ": cannot specify url & bucket for gs replica" },
        { DB("url: 'abs://b/x', path: y"),
            R ": cannot specify url & path for abs replica" },
        { DB("url: 'abs://b/x', bucket: b"),
            R ": cannot specify url & bucket for abs replica" },
        { DB("url: 'oss://b/x', path: y"),
            R ": cannot specify url & path for oss replica" },
        { DB("url: 'oss://b/x', bucket: b"),
            R ": cannot specify url & bucket for oss replica" },
        { DB("url: 'sftp://u@h/x', path: y"),
            R ": cannot specify url & path for sftp replica" },
        { DB("url: 'sftp://u@h/x', host: h"),
            R ": cannot specify url & host for sftp replica" },
        { DB("url: 'webdav://h/x', path: y"),
            R ": cannot specify url & path for webdav replica" },
        { DB("url: 'webdav://h/x', webdav-url: 'http://h'"),
            R ": cannot specify url & webdav-url for webdav replica" },
        { DB("type: s3"), R ": bucket required for s3 replica" },
        { DB("url: 's3://localhost:9000/b'"), R ": bucket required for s3 replica" },
        { DB("type: gs"), R ": bucket required for gs replica" },
        { DB("type: abs"), R ": bucket required for abs replica" },
        { DB("type: oss"), R ": bucket required for oss replica" },
        { DB("type: sftp"), R ": host required for sftp replica" },
        { DB("type: sftp, host: h"), R ": user required for sftp replica" },
        { DB("url: 'sftp://h/x'"), R ": user required for sftp replica" },
        { DB("type: webdav"), R ": webdav-url required for webdav replica" },
        { DB("type: nats"), R ": bucket required for NATS replica" },
        { DB("url: 'nats://h:4222'"), R ": bucket required for NATS replica" },
        { "dbs:\n  - path: /a\n    replica:\n      bucket: key\n      url: nats://h/u.l\n",
            "t.yml: line 5: dbs[/a].replica.bucket: a NATS bucket has letters, digits, _ and - "
            "only (got u.l)" },
        { "bucket: a.b\ndbs:\n  - path: /a\n    replica:\n      url: nats://h\n",
            "t.yml: line 1: dbs[/a].replica.bucket: a NATS bucket has letters, digits, _ and - "
            "only (got a.b)" },
        { DB("type: nats, bucket: a.b"),
            R ".bucket: a NATS bucket has letters, digits, _ and - only (got a.b)" },
        { DB("type: nats, bucket: b, client-cert: /c"),
            R ": client-cert and client-key must both be specified for mutual TLS "
              "authentication" },
        { DB("url: 'nats://h:x/b'"), R
            ": invalid NATS URL: invalid port after host (in a password, / ? # @ are %2F %3F "
            "%23 %40)" },
        { DB("url: 's3://b/%zz'"),
            R ": invalid replica url \"s3://b/%zz\": invalid URL escape \"%zz\"" },
        { DB("url: 'sftp://u:se/cret@h/x'"), R
            ": invalid replica url \"sftp://u:xxxxx@h/x\": invalid port after host (in a "
            "password, / ? # @ are %2F %3F %23 %40)" },
        { DB("url: 's3://arn:aws:s3:eu-west-1:1:accesspoint'"),
            R ": invalid s3 access point arn: arn:aws:s3:eu-west-1:1:accesspoint" },
        { DB("url: 's3://arn:aws:s3:eu-west-1:1:accesspoint//x'"),
            R ": invalid s3 access point arn: arn:aws:s3:eu-west-1:1:accesspoint//x" },
        { DB("url: 's3://b?partSize=5MB'"), R
            ": invalid value for query parameter \"partSize\": \"5MB\" (must be a positive "
            "integer)" },
        { DB("url: 's3://b?concurrency=0'"), R
            ": invalid value for query parameter \"concurrency\": \"0\" (must be a positive "
            "integer)" },
        { DB("type: sftp, host: h, user: u, password: p, password-file: /f"),
            R ": cannot specify both 'password' and 'password-file'" },
    };

    EXPECT_ALL(rows);
}

Test(refused, only_what_is_used)
{
    const char *text = "dbs:\n  - {path: /good, replica: {path: /r}}\n  - {path: /bad}\n";
    struct config *c = loaded(text);
    struct err e = ERR_NONE;

    cr_expect_eq(cfg_check_replicas(config_find_db(c, "/good"), &e), 0);
    cr_expect_eq(cfg_check_replicas(config_find_db(c, "/bad"), &e), ERR_CONFIG);
    cr_expect_eq(config_check_replicas(c, &e), ERR_CONFIG);
    cr_expect_null(config_find_db(c, "/none"));
    config_free(c);
}

Test(refused, aliases_that_multiply, .timeout = 60)
{
    const char *text =
        "a: &a [{path: /a}, {path: /a}, {path: /a}, {path: /a}, {path: /a}, {path: /a}]\n"
        "l: &l {interval: 1m}\n"
        "b: &b {<<: [*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l,*l]}\n"
        "c: &c {<<: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]}\n"
        "d: &d {<<: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]}\n"
        "e: &e {<<: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]}\n"
        "levels: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n";

    cr_expect_str_eq(refused(text), "t.yml: yaml: document contains excessive aliasing",
        "%s", refused(text));
}
