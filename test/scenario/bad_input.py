"""bad_input - what is wrong with configurations and command lines, and what is said then.


@DB@, @REPLICA@, @DIR@ and @FILE@ stand for the database, the replica folder, the folder of
both and the configuration file; @SECRET@ for a secret.
"""

AGE = (
    "age encryption is not currently supported, if you need encryption please revert back to "
    "Litestream v0.3.x"
)
TYPES = "file, s3, gs, abs, oss, sftp, webdav or nats"
DURATION = "must be a duration such as 500ms, 30s or 24h"
NOT_YET = "this build does not have"


def one(keys, key="replica"):
    """One database with a replica of these keys, which are on line 3."""
    return f"dbs:\n  - path: @DB@\n    {key}: {keys}\n"
def replica(text):
    """What is said of that replica."""
    return "line 3: dbs[@DB@].replica" + text
def top(keys):
    """Keys at the top, from line 1 on, of a file that would be good without them."""
    return keys + "\n" + one("{path: @REPLICA@}")


# Refused by every command that reads the file.
UNREADABLE = {
    "a tab": ("dbs:\n\t- path: x\n", "yaml: line 2: found character that cannot start any token"),
    "an open bracket": ("addr: [\n", "yaml: line 1: did not find expected node content"),
    "an open quote": ('addr: ":9090\n', "yaml: line 2: found unexpected end of stream"),
    "an unknown anchor": ("dbs: *all\n", "line 1: yaml: unknown anchor 'all' referenced"),
    "a list": (
        "- path: x\n",
        "yaml: unmarshal errors:\n"
        "  line 1: cannot unmarshal !!seq into map: the file must be a map of keys",
    ),
    "days": (
        top("snapshot:\n  retention: 7d"),
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `7d` into time.Duration: "
        f"snapshot.retention {DURATION}",
    ),
    "a quoted number as duration": (
        top('l0-retention: "10"'),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `10` into time.Duration: "
        f"l0-retention {DURATION}",
    ),
    "a number as bool": (
        top("verify-compaction: 1"),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` into bool: "
        "verify-compaction must be true or false, without quotes",
    ),
    "a size with a unit where there is none": (
        "dbs:\n  - path: @DB@\n    max-sync-wal-bytes: 64MB\n",
        "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `64MB` into int64: "
        "dbs[0].max-sync-wal-bytes must be a whole number without quotes or unit",
    ),
    "a replica that is only a URL": (
        one("file:///backup"),
        "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `file://...` into map: "
        "dbs[0].replica must be a map of keys",
    ),
    "a database that is only a path": (
        "dbs:\n  - @DB@\n",
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `@DB7@...` into map: "
        "dbs[0] must be a map of keys",
    ),
    "dbs as a map": (
        "dbs:\n  path: @DB@\n",
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!map into list: "
        "dbs must be a list, each entry behind a dash",
    ),
    "several types at once": (
        "l0-retention: 1d\nverify-compaction: 2\n",
        "yaml: unmarshal errors:\n"
        f"  line 1: cannot unmarshal !!str `1d` into time.Duration: l0-retention {DURATION}\n"
        "  line 2: cannot unmarshal !!int `2` into bool: "
        "verify-compaction must be true or false, without quotes",
    ),
    "an empty entry": ("dbs:\n  -\n", "line 2: dbs[0]: an entry must not be empty"),
    "neither path nor dir": (
        "dbs:\n  - replica: {path: @REPLICA@}\n",
        "line 2: database config #1: must specify either 'path' or 'dir'",
    ),
    "path and dir": (
        "dbs:\n  - {path: @DB@, dir: @DIR@}\n",
        "line 2: database config #1: cannot specify both 'path' and 'dir'",
    ),
    "dir without pattern": (
        "dbs:\n  - {dir: @DIR@}\n",
        "line 2: database config #1: 'pattern' is required when using 'dir'",
    ),
    "watch without dir": (
        "dbs:\n  - {path: @DB@, watch: true}\n",
        "line 2: database config #1: 'watch' can only be enabled with a directory",
    ),
    "a snapshot interval of zero": (
        top("snapshot: {interval: 0s}"),
        "line 1: snapshot.interval: snapshot interval must be greater than 0 (got 0s)",
    ),
    "a sync interval of zero": (
        one("{path: @REPLICA@, sync-interval: 0s}"),
        replica(".sync-interval: sync interval must be greater than 0 (got 0s)"),
    ),
    "a level interval of zero": (
        top("levels:\n  - interval: 1m\n  - interval: 0s"),
        "line 3: levels[1].interval: compaction interval must be greater than 0 (got 0s)",
    ),
    "a negative retention": (
        top("l0-retention: -1m"),
        "line 1: l0-retention: l0 retention must not be negative (got -1m0s)",
    ),
    "a heartbeat that is too fast": (
        top("heartbeat-interval: 10s"),
        "line 1: heartbeat-interval: heartbeat interval must be at least 1 minute (got 10s)",
    ),
    "a heartbeat to nowhere": (
        top("heartbeat-url: ftp://hb.example/ping"),
        "line 1: heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL "
        "(got ftp://hb.example)",
    ),
    "an unknown log type": (
        top("logging:\n  type: xml"),
        "line 2: logging.type: must be text, json or pretty (got xml)",
    ),
    "a size with an unknown unit": (
        top("part-size: 5xb"),
        "line 1: part-size: invalid size format: unhandled size name: xb (got 5xb)",
    ),
    "a hook without a command": (
        top("exec:\n  - on: stop"),
        "line 2: exec[0].cmd: a hook must have a command",
    ),
    "one database with two intervals": (
        "dbs:\n  - path: @DB@\n    monitor-interval: 1s\n    replica: {path: @REPLICA@/1}\n"
        "  - path: @DB@\n    monitor-interval: 9s\n    replica: {path: @REPLICA@/2}\n",
        "line 6: dbs[@DB@].monitor-interval: database config #1 and #2 have the same path and "
        "different values: 1s and 9s",
    ),
    "one destination twice": (
        one("[{path: @REPLICA@}, {url: 'file://@REPLICA@/'}]", "replicas"),
        "line 3: dbs[@DB@].replicas[1]: the destination is the same as that of "
        "dbs[@DB@].replicas[0] on line 3",
    ),
}

# Refused where a replica is used or shown.
BAD_REPLICA = {
    "no replica": ("dbs:\n  - path: @DB@\n", "line 2: dbs[@DB@]: must specify replica for database"),
    "both spellings": (
        "dbs:\n  - path: @DB@\n    replica: {path: @REPLICA@/1}\n"
        "    replicas: [{path: @REPLICA@/2}]\n",
        "line 2: dbs[@DB@]: cannot specify 'replica' and 'replicas' on a database",
    ),
    "no place": (one("{type: file}"), replica(": file replica path required")),
    "an unknown type": (
        one("{type: S3, bucket: b}"),
        replica(f': unknown replica type in config: "S3" (must be {TYPES})'),
    ),
    "an unknown scheme": (
        one("{url: 'ftp://h/p'}"),
        replica(f': unknown replica type in config: "ftp" (a URL begins with one of {TYPES})'),
    ),
    "a URL without a scheme": (
        one("{url: /backup}"),
        replica(
            ": replica url scheme required: /backup "
            "(write s3://... or file://..., or use `path` for a folder)"
        ),
    ),
    "a URL as path": (
        one("{path: 'file://@REPLICA@'}"),
        replica(
            ": replica path cannot be a url, please use the 'url' field instead: "
            "file://@REPLICA@"
        ),
    ),
    "url and path": (
        one("{url: 'file://@REPLICA@', path: /x}"),
        replica(": cannot specify url & path for file replica"),
    ),
    "url and bucket": (
        one("{url: 's3://b/p', bucket: b}"),
        replica(": cannot specify url & bucket for s3 replica"),
    ),
    "no bucket": (one("{type: s3}"), replica(": bucket required for s3 replica")),
    "no user": (one("{url: 'sftp://h/p'}"), replica(": user required for sftp replica")),
    "a bad port": (
        one("{url: 'nats://h:port/b'}"),
        replica(
            ": invalid NATS URL: invalid port after host "
            "(in a password, / ? # @ are %2F %3F %23 %40)"
        ),
    ),
    "a bad escape": (
        one("{url: 's3://b/%zz'}"),
        replica(': invalid replica url "s3://b/%zz": invalid URL escape "%zz"'),
    ),
    "a bad parameter": (
        one("{url: 's3://b?partSize=5MB'}"),
        replica(
            ': invalid value for query parameter "partSize": "5MB" '
            "(must be a positive integer)"
        ),
    ),
    "half a certificate": (
        one("{type: nats, bucket: b, client-cert: /c}"),
        replica(
            ": client-cert and client-key must both be specified for mutual TLS authentication"
        ),
    ),
    "a secret and its file": (
        one("{url: 'sftp://u@h/p', password: x, password-file: /f}"),
        replica(": cannot specify both 'password' and 'password-file'"),
    ),
    "the database as replica": (
        one("{path: @DB@}"),
        replica(": the replica is the database itself, give a folder elsewhere: @DB@"),
    ),
    "age on the replica": (
        one("{path: @REPLICA@, age: {recipients: [age1x]}}"),
        replica(": " + AGE),
    ),
    "age on the database": (
        "dbs:\n  - path: @DB@\n    age:\n      identities: [/key]\n"
        "    replica: {path: @REPLICA@}\n",
        "line 4: dbs[@DB@]: " + AGE,
    ),
    "age at the top": (top("age:\n  recipients: [age1x]"), "line 2: dbs[@DB@].replica: " + AGE),
}

# Refused by the daemon alone.
NO_DAEMON = {
    "no port": (
        top("addr: localhost"),
        'line 1: must specify port for bind address: "localhost"',
    ),
    "no pages": (
        "dbs:\n  - path: @DB@\n    min-checkpoint-page-count: 0\n"
        "    replica: {path: @REPLICA@}\n",
        "line 3: dbs[@DB@].min-checkpoint-page-count: cannot open store: "
        "minimum checkpoint page count required (got 0)",
    ),
    "nine levels": (
        top("levels: [" + "{interval: 1h}, " * 9 + "]"),
        "line 1: cannot open store: compaction level cannot exceed 8",
    ),
    "a command for a shell": (
        top("exec: app | tee log"),
        "line 1: cannot parse exec command: `|` needs a shell: put it in quotes, or use "
        "sh -c '...'",
    ),
    "an open quote in a command": (
        top("exec: app 'x"),
        "line 1: cannot parse exec command: invalid command line string",
    ),
    "two databases in one folder": (
        one("{path: @REPLICA@}") + "  - path: @DB@2\n    replica: {path: @REPLICA@/.}\n",
        "line 5: dbs[@DB@2].replica: the destination is the same as that of dbs[@DB@].replica "
        "on line 3; two databases cannot share one, give each its own path",
    ),
    "two databases with one state": (
        "dbs:\n  - {path: @DB@, meta-path: @DIR@/m, replica: {path: @REPLICA@/1}}\n"
        "  - {path: @DB@2, meta-path: @DIR@/m, replica: {path: @REPLICA@/2}}\n",
        "line 3: meta-path collision: databases @DB@ and @DB@2 would share meta-path @DIR@/m, "
        "causing replication state corruption",
    ),
    "a replica in the local state": (
        one("{path: @DIR@/.app.db-litestream}"),
        replica(
            ": the destination is the folder of the local state, dbs[@DB@].meta-path; "
            "give another folder"
        ),
    ),
    "a secret in no file": (
        "mcp-auth-token-file: /nonexistent/token\n",
        'line 1: cannot read mcp-auth-token-file "/nonexistent/token": '
        "open /nonexistent/token: no such file or directory",
    ),
}

# Known, and not there: said by the daemon, with the words behind NOT_YET.
NOT_BUILT = {
    "exec": (top("exec: app -x"), "line 1: exec: app ...", "running a command"),
    "gs": (one("{url: 'gs://b/p'}"), replica(".url: gs://b/p"), "replicas of type gs"),
    "hooks": (top("exec:\n  - cmd: [a]"), "line 2: hooks: 1 of them", "hooks"),
}

WARNINGS = {
    "a key with a slip": (
        top("sync-intervall: 5s"),
        1,
        "unknown key `sync-intervall`, did you mean `sync-interval`?",
    ),
    "a key in the wrong place": (
        "dbs:\n  - path: @DB@\n    sync-interval: 5s\n    replica: {path: @REPLICA@}\n",
        3,
        "unknown key `dbs[0].sync-interval`; `sync-interval` belongs to a replica",
    ),
    "a key twice": (
        top("sync-interval: 5s\nsync-interval: 6s"),
        2,
        "`sync-interval` is there twice; the one on line 1 is not used",
    ),
    "a bare number": (
        top("sync-interval: 10"),
        1,
        "`sync-interval: 10` is a number of nanoseconds; write a unit, as in `10s`",
    ),
    "a key of another type": (
        one("{path: @REPLICA@, region: eu}"),
        3,
        "`region` has no effect on a replica of type file",
    ),
    "an old key": (
        one("{path: @REPLICA@, validation-interval: 1h}"),
        3,
        "`dbs[0].replica.validation-interval` is a key of an older version and has no effect; "
        "see `validation.interval` at the top level",
    ),
}

URL = "file://@REPLICA@"
NEW = "@DIR@/new.db"

# Words, message, hint.
ARGUMENTS = {
    "unknown command": (["backup"], "litestream backup: unknown command", None),
    "replicate: no URL": (
        ["replicate", "@DB@"],
        "must specify at least one replica URL for DB_PATH",
        None,
    ),
    "replicate: URL and file": (
        ["replicate", "-config", "x.yml", "@DB@", URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
    "replicate: flag behind": (
        ["replicate", "@DB@", URL, "-exec", "app"],
        'flag "-exec" must be positioned before DB_PATH and REPLICA_URL arguments',
        None,
    ),
    "replicate: snapshot": (
        ["replicate", "-force-snapshot", "@DB@", URL],
        "cannot specify -force-snapshot flag without -once",
        None,
    ),
    "replicate: retention": (
        ["replicate", "-enforce-retention", "@DB@", URL],
        "cannot specify -enforce-retention flag without -once",
        None,
    ),
    "replicate: once and exec": (
        ["replicate", "-once", "-exec", "app", "@DB@", URL],
        "cannot specify -once flag with -exec",
        None,
    ),
    "replicate: exec": (
        ["replicate", "-exec", "app", "@DB@", URL],
        f"-exec: {NOT_YET} this feature yet; leave the flag out",
        None,
    ),
    "replicate: not a URL": (
        ["replicate", "@DB@", "@REPLICA@"],
        "@REPLICA@: replica url scheme required: @REPLICA@ "
        "(write s3://... or file://..., or use `path` for a folder)",
        None,
    ),
    "replicate: to gs": (
        ["replicate", "@DB@", "gs://b/p"],
        f"gs://b/p: {NOT_YET} replicas of type gs yet; use a folder, file:///PATH",
        None,
    ),
    "replicate: twice to one place": (
        ["replicate", "@DB@", URL, URL + "/"],
        f"{URL}/: the destination is the same as that of {URL}",
        None,
    ),
    "restore: nothing": (
        ["restore"],
        "database path or replica URL required",
        "litestream restore -o /path/to/db s3://bucket/prefix",
    ),
    "restore: no output": (
        ["restore", URL],
        "-o is required when restoring from a replica URL",
        "litestream restore -o /path/to/db " + URL,
    ),
    "restore: too much": (["restore", "-o", NEW, URL, "x"], "too many arguments", None),
    "restore: URL and file": (
        ["restore", "-config", "x.yml", "-o", NEW, URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
    "restore: no time": (
        ["restore", "-timestamp", "yesterday", "-o", NEW, URL],
        "invalid -timestamp, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)",
        None,
    ),
    "restore: no such check": (
        ["restore", "-integrity-check", "some", "-o", NEW, URL],
        "invalid -integrity-check value: some",
        None,
    ),
    "restore: onto a database": (
        ["restore", "-o", "@DB@", URL],
        "cannot restore, output path already exists and is not empty: @DB@. "
        "Use -force to overwrite",
        None,
    ),
    "restore: onto a folder": (
        ["restore", "-o", "@DIR@", URL],
        "cannot restore, output path is a directory: @DIR@",
        None,
    ),
    "restore: unknown scheme": (
        ["restore", "-o", NEW, "ftp://h/p"],
        f'ftp://h/p: unknown replica type in config: "ftp" (a URL begins with one of {TYPES})',
        None,
    ),
    "restore: empty replica": (
        ["restore", "-o", NEW, URL + "/empty"],
        "no matching backup files available",
        None,
    ),
    "restore: follow to a TXID": (
        ["restore", "-f", "-txid", "0000000000000001", "-o", NEW, URL],
        "cannot use follow mode with -txid",
        None,
    ),
    "restore: follow to a time": (
        ["restore", "-f", "-timestamp", "2026-01-01T00:00:00Z", "-o", NEW, URL],
        "cannot use follow mode with -timestamp",
        None,
    ),
    "restore: follow and show": (
        ["restore", "-f", "-dry-run", "-o", NEW, URL],
        "cannot use -dry-run with -f",
        None,
    ),
    "restore: follow an empty replica": (
        ["restore", "-f", "-o", NEW, URL + "/empty"],
        "no matching backup files available",
        None,
    ),
    "databases: too much": (["databases", "x"], "too many arguments", None),
    "ltx: nothing": (
        ["ltx"],
        "database path or replica URL required",
        "litestream ltx /path/to/db",
    ),
    "ltx: too much": (["ltx", URL, "x"], "too many arguments", None),
    "ltx: URL and file": (
        ["ltx", "-config", "x.yml", URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
}

# Words, message: said before and after the usage.
FLAGS = {
    "replicate: unknown": (["replicate", "-x"], "flag provided but not defined: -x"),
    "replicate: no value": (["replicate", "-config"], "flag needs an argument: -config"),
    "replicate: bool": (
        ["replicate", "-once=maybe"],
        'invalid boolean value "maybe" for -once: parse error',
    ),
    "restore: unknown": (["restore", "--nope=1"], "flag provided but not defined: -nope"),
    "restore: txid": (
        ["restore", "-txid", "12", URL],
        'invalid value "12" for flag -txid: invalid txid format',
    ),
    "restore: number": (
        ["restore", "-parallelism", "many", URL],
        'invalid value "many" for flag -parallelism: parse error',
    ),
    "restore: large number": (
        ["restore", "-parallelism", "99999999999999999999", URL],
        'invalid value "99999999999999999999" for flag -parallelism: value out of range',
    ),
    "restore: duration": (
        ["restore", "-follow-interval", "5", URL],
        'invalid value "5" for flag -follow-interval: parse error',
    ),
    "databases: bool": (
        ["databases", "-json=yes"],
        'invalid boolean value "yes" for -json: parse error',
    ),
    "ltx: level": (
        ["ltx", "-level", "x", URL],
        'invalid value "x" for flag -level: invalid level: must be 0-9 or "all"',
    ),
    "ltx: level out of range": (
        ["ltx", "-level", "10", URL],
        'invalid value "10" for flag -level: level must be between 0 and 9',
    ),
    "version: unknown": (["version", "-short"], "flag provided but not defined: -short"),
    "version: syntax": (["version", "---verbose"], "bad flag syntax: ---verbose"),
}

# None of these may repeat the secret.
SECRET_CONFIGS = [
    one("{url: 'sftp://u:@SECRET@@h:port/p'}"),
    one("{url: 'sftp://u:@SECRET@%zz@h/p'}"),
    one("{url: 'sftp://u:pass/@SECRET@@h/p'}"),
    one("{url: 'sftp://u:p@@SECRET@/x@h/%zz'}"),
    one("{url: 'sftp:/u:@SECRET@@h/p'}"),
    one("{url: 'u:@SECRET@@h/p'}"),
    one("{url: 'ftp://u:@SECRET@@h/p'}"),
    one("{url: 'sftp://:@SECRET@@h/p'}"),
    one("{url: 'webdavs://u:@SECRET@@h/p', path: /x}"),
    one("{url: 'nats://@SECRET@@h:x/b'}"),
    one("{url: 'nats://u:@SECRET@@h'}"),
    one("{url: 's3://b/p?sseCustomerKey=@SECRET@&partSize=x'}"),
    one("{url: 's3://b/p', bucket: b, secret-access-key: @SECRET@}"),
    one("{path: 's3://u:@SECRET@@b/p'}"),
    one("{type: s3, secret-access-key: @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: @SECRET@, sync-interval: x}"),
    one("{type: s3, bucket: b, secret-access-key: !!int @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: !!binary @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: *@SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: [@SECRET@]}"),
    one("{type: s3, bucket: b, secret-access-key: {@SECRET@: 1}}"),
    one("{type: s3, bucket: b, secret-access-key:@SECRET@, sync-interval: x}"),
    one("{type: s3, bucket: b, secret-access-key=@SECRET@, sync-interval: x}"),
    one("{type: abs, account-key: @SECRET@, sas-token: '?sig=@SECRET@'}"),
    one("{type: sftp, host: h, user: u, password: @SECRET@, password-file: /f}"),
    one("{type: nats, bucket: b, jwt: @SECRET@, seed: @SECRET@, nkey: @SECRET@, client-key: k}"),
    top("heartbeat-url: http:/hb.example/@SECRET@"),
    top("heartbeat-url: https://hb.example/@SECRET@\nheartbeat-interval: 1s"),
    top("mcp-addr: ':1'\nmcp-auth-token: @SECRET@\nsnapshot: 7"),
    top("mcp-auth-token: [@SECRET@]"),
    top("secret-access-key: @SECRET@\nsnapshot: {interval: x}"),
    top("exec: app --password @SECRET@"),
    "secret-access-key: |\n  @SECRET@\n\tx\n",
    "secret-access-key: '@SECRET@\n",
    "secret-access-key: @SECRET@: x\n",
    "secret-access-key: @@SECRET@\n",
]
