#include "config/options.h"

#include <string.h>

#include "common/base/must.h"

#define INHERITED (CFG_GLOBAL | CFG_REPLICA)
#define KIND(type) (1u << CFG_REPLICA_##type)
#define KEYS (KIND(S3) | KIND(OSS))

#define IN_CONFIG(field) .offset = offsetof(struct config, field)
#define IN_DB(field) .offset = offsetof(struct cfg_db, field)
#define IN_REPLICA(field) .offset = offsetof(struct cfg_replica, field)
#define IN_LEVEL(field) .offset = offsetof(struct cfg_level, field)
#define IN_HOOK(field) .offset = offsetof(struct cfg_hook, field)

/* clang-format off */
const struct cfg_option cfg_options[] = {
    /* ---- top level ---- */
    { .name = "addr", .type = CFG_STRING, .scope = CFG_GLOBAL, IN_CONFIG(addr),
      .feature = CFG_F_METRICS,
      .doc = "Address ([host]:port) of status page, metrics and health checks; empty: none." },
    { .name = "mcp-addr", .type = CFG_STRING, .scope = CFG_GLOBAL, IN_CONFIG(mcp_addr),
      .feature = CFG_F_MCP,
      .doc = "Address ([host]:port) of the MCP server, loopback without a host; empty: none." },
    { .name = "mcp-auth-token", .type = CFG_SECRET, .scope = CFG_GLOBAL,
      IN_CONFIG(mcp_auth_token), .feature = CFG_F_MCP, .gate = "mcp-addr",
      .doc = "Bearer token that MCP clients must send." },
    { .name = "mcp-auth-token-file", .type = CFG_STRING, .scope = CFG_GLOBAL,
      IN_CONFIG(mcp_auth_token_file), .feature = CFG_F_MCP, .gate = "mcp-addr",
      .doc = "File with the MCP bearer token." },
    { .name = "exec", .type = CFG_EXEC, .scope = CFG_GLOBAL, IN_CONFIG(exec),
      .feature = CFG_F_EXEC,
      .doc = "Command to run and supervise while replicating; a list is read as hooks." },
    { .name = "hooks", .type = CFG_HOOKS, .scope = CFG_GLOBAL, .feature = CFG_F_HOOKS,
      .doc = "Commands to run when something happens." },
    { .name = "socket", .type = CFG_SECTION, .scope = CFG_GLOBAL,
      .doc = "The control socket." },
    { .name = "socket.enabled", .type = CFG_BOOL, .scope = CFG_GLOBAL,
      IN_CONFIG(socket.enabled), .def = "false", .feature = CFG_F_SOCKET,
      .doc = "Listen on the control socket." },
    { .name = "socket.path", .type = CFG_STRING, .scope = CFG_GLOBAL, IN_CONFIG(socket.path),
      .def = CFG_DEFAULT_SOCKET, .feature = CFG_F_SOCKET, .gate = "socket.enabled",
      .doc = "Where the control socket is, used as written." },
    { .name = "socket.permissions", .type = CFG_MODE, .scope = CFG_GLOBAL,
      IN_CONFIG(socket.permissions), .def = "0600", .feature = CFG_F_SOCKET,
      .gate = "socket.enabled", .doc = "Mode of the socket file, in octal with a leading 0." },
    { .name = "levels", .type = CFG_LEVELS, .scope = CFG_GLOBAL, .def = "30s 5m 1h",
      .feature = CFG_F_COMPACTION, .doc = "Compaction levels, replacing the default ones." },
    { .name = "snapshot", .type = CFG_SECTION, .scope = CFG_GLOBAL | CFG_DB,
      .doc = "When snapshots are taken and how long they are kept." },
    { .name = "snapshot.interval", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(snapshot.interval_ns), .def = "24h", .rule = CFG_POSITIVE,
      .rule_text = "snapshot interval must be greater than 0", .feature = CFG_F_SNAPSHOT,
      .doc = "Time between two snapshots of a database." },
    { .name = "snapshot.retention", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(snapshot.retention_ns), .def = "24h", .rule = CFG_POSITIVE,
      .rule_text = "snapshot retention must be greater than 0", .feature = CFG_F_RETENTION,
      .doc = "How long snapshots and what follows them are kept." },
    { .name = "validation", .type = CFG_SECTION, .scope = CFG_GLOBAL,
      .doc = "Periodic check of what is on the replicas." },
    { .name = "validation.interval", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(validation_interval_ns), .feature = CFG_F_VALIDATION,
      .doc = "Time between two checks; 0: none." },
    { .name = "l0-retention", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(l0_retention_ns), .def = "5m", .rule = CFG_NOT_NEGATIVE,
      .rule_text = "l0 retention must not be negative", .feature = CFG_F_RETENTION,
      .doc = "How long compacted L0 files are kept; 0: for ever." },
    { .name = "l0-retention-check-interval", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(l0_retention_check_interval_ns), .def = "15s", .rule = CFG_POSITIVE,
      .rule_text = "l0 retention check interval must be greater than 0",
      .feature = CFG_F_RETENTION, .doc = "Time between two looks for L0 files to delete." },
    { .name = "verify-compaction", .type = CFG_BOOL, .scope = CFG_GLOBAL,
      IN_CONFIG(verify_compaction), .def = "false", .feature = CFG_F_COMPACTION,
      .doc = "Check after each compaction that no transaction is missing." },
    { .name = "retention", .type = CFG_SECTION, .scope = CFG_GLOBAL,
      .doc = "Deletion of old files on the replicas." },
    { .name = "retention.enabled", .type = CFG_BOOL, .scope = CFG_GLOBAL,
      IN_CONFIG(retention_enabled), .def = "true", .feature = CFG_F_RETENTION,
      .doc = "Delete old files on the replicas; false leaves that to the provider." },
    { .name = "heartbeat-url", .type = CFG_STRING, .scope = CFG_GLOBAL,
      IN_CONFIG(heartbeat_url), .rule = CFG_HTTP_URL, .private = true,
      .rule_text = "heartbeat URL must be a valid HTTP or HTTPS URL",
      .feature = CFG_F_HEARTBEAT,
      .doc = "Address that is asked regularly while all databases are replicated." },
    { .name = "heartbeat-interval", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(heartbeat_interval_ns), .def = "5m", .rule = CFG_MINUTE,
      .rule_text = "heartbeat interval must be at least 1 minute",
      .feature = CFG_F_HEARTBEAT, .gate = "heartbeat-url",
      .doc = "Time between two heartbeats." },
    { .name = "shutdown-sync-timeout", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(shutdown_sync_timeout_ns), .def = "30s", .rule = CFG_NOT_NEGATIVE,
      .rule_text = "shutdown-sync-timeout must be >= 0",
      .doc = "How long the final upload is tried; 0: once, without a limit." },
    { .name = "shutdown-sync-interval", .type = CFG_DURATION, .scope = CFG_GLOBAL,
      IN_CONFIG(shutdown_sync_interval_ns), .def = "500ms", .rule = CFG_POSITIVE,
      .rule_text = "shutdown sync interval must be greater than 0",
      .doc = "Time between two tries of the final upload." },
    { .name = "logging", .type = CFG_SECTION, .scope = CFG_GLOBAL, .doc = "The log." },
    { .name = "logging.level", .type = CFG_STRING, .scope = CFG_GLOBAL,
      IN_CONFIG(logging.level), .doc = "trace, debug, info (default), warn or error." },
    { .name = "logging.type", .type = CFG_LOG_TYPE, .scope = CFG_GLOBAL,
      IN_CONFIG(logging.type), .def = "text", .doc = "text, json or pretty." },
    { .name = "logging.stderr", .type = CFG_BOOL, .scope = CFG_GLOBAL,
      IN_CONFIG(logging.to_stderr), .def = "false",
      .doc = "Log to standard error instead of standard output." },
    { .name = "logging.source", .type = CFG_BOOL, .scope = CFG_GLOBAL,
      IN_CONFIG(logging.source), .def = "false", .doc = "Add the place in the code." },
    { .name = "logging.path", .type = CFG_STRING, .scope = CFG_GLOBAL,
      IN_CONFIG(logging.path), .feature = CFG_F_LOG_FILE,
      .doc = "File to append the log to instead; opened again on SIGHUP and SIGUSR2." },
    { .name = "dbs", .type = CFG_DBS, .scope = CFG_GLOBAL,
      .doc = "The databases; entries with the same path are one database." },

    /* ---- levels[] ---- */
    { .name = "interval", .type = CFG_DURATION, .scope = CFG_LEVEL, IN_LEVEL(interval_ns),
      .def = "0s", .rule = CFG_POSITIVE,
      .rule_text = "compaction interval must be greater than 0",
      .feature = CFG_F_COMPACTION, .doc = "Time between two compactions into this level." },
    { .name = "retention", .type = CFG_DURATION, .scope = CFG_LEVEL, IN_LEVEL(retention_ns),
      .rule = CFG_NOT_NEGATIVE, .rule_text = "level retention must not be negative",
      .feature = CFG_F_RETENTION,
      .doc = "Age at which files are deleted once a higher level has their changes." },

    /* ---- hooks[] ---- */
    { .name = "cmd", .type = CFG_COMMAND, .scope = CFG_HOOK, IN_HOOK(argv),
      .feature = CFG_F_HOOKS, .doc = "Program and arguments, as a list or as one string." },
    { .name = "on", .type = CFG_EVENTS, .scope = CFG_HOOK, IN_HOOK(on), .def = "start",
      .feature = CFG_F_HOOKS,
      .doc = "start, stop, error, recovered, snapshot or restore; a list for several." },
    { .name = "timeout", .type = CFG_DURATION, .scope = CFG_HOOK, IN_HOOK(timeout_ns),
      .def = "30s", .rule = CFG_POSITIVE, .rule_text = "hook timeout must be greater than 0",
      .feature = CFG_F_HOOKS, .doc = "When a hook that does not end is killed." },

    /* ---- dbs[] ---- */
    { .name = "path", .type = CFG_STRING, .scope = CFG_DB, IN_DB(path),
      .doc = "The database file." },
    { .name = "dir", .type = CFG_STRING, .scope = CFG_DB, IN_DB(dir),
      .feature = CFG_F_DIRECTORY, .doc = "A folder to search for databases." },
    { .name = "pattern", .type = CFG_STRING, .scope = CFG_DB, IN_DB(pattern), .gate = "dir",
      .feature = CFG_F_DIRECTORY, .doc = "What the base name of a database must match." },
    { .name = "recursive", .type = CFG_BOOL, .scope = CFG_DB, IN_DB(recursive),
      .def = "false", .gate = "dir", .feature = CFG_F_DIRECTORY,
      .doc = "Search folders inside the folder too." },
    { .name = "watch", .type = CFG_BOOL, .scope = CFG_DB, IN_DB(watch), .def = "false",
      .gate = "dir", .feature = CFG_F_DIRECTORY,
      .doc = "Take up and drop databases as files come and go." },
    { .name = "meta-path", .type = CFG_STRING, .scope = CFG_DB, IN_DB(meta_path),
      .doc = "Folder for local state; default .NAME-litestream beside the database." },
    { .name = "meta-dir", .type = CFG_STRING, .scope = CFG_DB, IN_DB(meta_dir),
      .gate = "dir", .feature = CFG_F_DIRECTORY,
      .doc = "Folder that mirrors the searched one with the local state." },
    { .name = "enabled", .type = CFG_BOOL, .scope = CFG_DB, IN_DB(enabled), .def = "true",
      .doc = "Replicate this database." },
    { .name = "monitor-interval", .type = CFG_DURATION, .scope = CFG_DB,
      IN_DB(monitor_interval_ns), .def = "1s",
      .doc = "Shortest time between two looks at the WAL." },
    { .name = "checkpoint-interval", .type = CFG_DURATION, .scope = CFG_DB,
      IN_DB(checkpoint_interval_ns), .def = "1m",
      .doc = "Time between two checkpoints; 0: not by time." },
    { .name = "busy-timeout", .type = CFG_DURATION, .scope = CFG_DB, IN_DB(busy_timeout_ns),
      .def = "1s", .doc = "How long to wait for a lock of the database." },
    { .name = "min-checkpoint-page-count", .type = CFG_INT, .scope = CFG_DB,
      IN_DB(min_checkpoint_pages), .def = "1000",
      .doc = "Pages in the WAL from which a passive checkpoint is tried." },
    { .name = "truncate-page-n", .type = CFG_INT, .scope = CFG_DB, IN_DB(truncate_pages),
      .def = "121359", .feature = CFG_F_TRUNCATE, .negative_is_off = true,
      .doc = "Pages in the WAL from which it is truncated; 0: the default, negative: never." },
    { .name = "max-sync-wal-bytes", .type = CFG_INT64, .scope = CFG_DB,
      IN_DB(max_sync_wal_bytes), .def = "67108864",
      .doc = "Bytes of WAL that go into one LTX file; 0: no limit." },
    { .name = "max-checkpoint-page-count", .type = CFG_IGNORED, .scope = CFG_DB,
      .instead = "`truncate-page-n`" },
    { .name = "restore-if-db-not-exists", .type = CFG_BOOL, .scope = CFG_DB,
      IN_DB(restore_if_db_not_exists), .def = "false", .feature = CFG_F_RESTORE_ON_START,
      .doc = "Restore the database at start when its file is missing." },
    { .name = "snapshot.interval", .type = CFG_DURATION, .scope = CFG_DB,
      IN_DB(snapshot.interval_ns), .rule = CFG_POSITIVE,
      .rule_text = "snapshot interval must be greater than 0", .feature = CFG_F_SNAPSHOT,
      .doc = "Time between two snapshots, unless the top level says it." },
    { .name = "snapshot.retention", .type = CFG_DURATION, .scope = CFG_DB,
      IN_DB(snapshot.retention_ns), .rule = CFG_POSITIVE,
      .rule_text = "snapshot retention must be greater than 0", .feature = CFG_F_RETENTION,
      .doc = "How long snapshots are kept, unless the top level says it." },
    { .name = "heartbeat-url", .type = CFG_STRING, .scope = CFG_DB, IN_DB(heartbeat_url),
      .rule = CFG_HTTP_URL, .private = true,
      .rule_text = "heartbeat URL must be a valid HTTP or HTTPS URL",
      .feature = CFG_F_HEARTBEAT, .doc = "Heartbeat address of this database." },
    { .name = "heartbeat-interval", .type = CFG_DURATION, .scope = CFG_DB,
      IN_DB(heartbeat_interval_ns), .rule = CFG_MINUTE,
      .rule_text = "heartbeat interval must be at least 1 minute",
      .feature = CFG_F_HEARTBEAT, .gate = "heartbeat-url",
      .doc = "Time between two heartbeats of this database." },
    { .name = "age", .type = CFG_SECTION, .scope = CFG_DB },
    { .name = "age.identities", .type = CFG_STRINGS, .scope = CFG_DB, IN_DB(age.identities) },
    { .name = "age.recipients", .type = CFG_STRINGS, .scope = CFG_DB, IN_DB(age.recipients) },
    { .name = "replica", .type = CFG_REPLICA_MAP, .scope = CFG_DB,
      .doc = "The destination." },
    { .name = "replicas", .type = CFG_REPLICA_LIST, .scope = CFG_DB,
      .doc = "Several destinations." },

    /* ---- replicas ---- */
    { .name = "type", .type = CFG_STRING, .scope = CFG_REPLICA, IN_REPLICA(type_text),
      .doc = "file (default), s3, gs, abs, oss, sftp, webdav or nats; with a URL its scheme." },
    { .name = "url", .type = CFG_SECRET, .scope = CFG_REPLICA, IN_REPLICA(url_text),
      .doc = "Destination as SCHEME://HOST/PATH." },
    { .name = "path", .type = CFG_STRING, .scope = CFG_REPLICA, IN_REPLICA(path),
      .doc = "Folder, or prefix in the bucket." },
    { .name = "name", .type = CFG_STRING, .scope = CFG_REPLICA, IN_REPLICA(name),
      .doc = "Label of this replica in status and metrics." },
    { .name = "sync-interval", .type = CFG_DURATION, .scope = INHERITED,
      IN_REPLICA(sync_interval_ns), .def = "1s", .rule = CFG_POSITIVE,
      .rule_text = "sync interval must be greater than 0",
      .doc = "Shortest time between two uploads." },
    { .name = "max-sync-ltx-files", .type = CFG_INT, .scope = INHERITED,
      IN_REPLICA(max_sync_ltx_files), .def = "256",
      .unused = "an upload never holds up the look at the WAL",
      .doc = "LTX files uploaded in one go; 0: all." },
    { .name = "auto-recover", .type = CFG_BOOL, .scope = INHERITED, IN_REPLICA(auto_recover),
      .def = "false", .feature = CFG_F_AUTO_RECOVER,
      .doc = "Reset the local state when a local LTX file is damaged or lost before it went "
             "up." },
    { .name = "validation-interval", .type = CFG_DURATION, .scope = INHERITED,
      IN_REPLICA(validation_interval_ns), .instead = "`validation.interval` at the top level" },
    { .name = "retention-check-interval", .type = CFG_IGNORED, .scope = CFG_REPLICA,
      .instead = "`l0-retention-check-interval` at the top level" },
    { .name = "snapshot-interval", .type = CFG_DURATION, .scope = CFG_REPLICA,
      IN_REPLICA(own_snapshot_interval_ns), .rule = CFG_POSITIVE,
      .rule_text = "snapshot interval must be greater than 0", .feature = CFG_F_SNAPSHOT,
      .doc = "Time between two snapshots on this replica." },
    { .name = "retention", .type = CFG_DURATION, .scope = CFG_REPLICA,
      IN_REPLICA(own_retention_ns), .rule = CFG_POSITIVE,
      .rule_text = "snapshot retention must be greater than 0", .feature = CFG_F_RETENTION,
      .doc = "How long snapshots are kept on this replica." },
    { .name = "age", .type = CFG_SECTION, .scope = INHERITED },
    { .name = "age.identities", .type = CFG_STRINGS, .scope = INHERITED,
      IN_REPLICA(age.identities) },
    { .name = "age.recipients", .type = CFG_STRINGS, .scope = INHERITED,
      IN_REPLICA(age.recipients) },

    /* object stores */
    { .name = "bucket", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(bucket),
      .kinds = KEYS | KIND(GS) | KIND(ABS) | KIND(NATS),
      .doc = "Bucket; with abs the container." },
    { .name = "region", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(region),
      .kinds = KEYS, .doc = "Region of the bucket; s3 looks it up when it is not given." },
    { .name = "endpoint", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(endpoint),
      .kinds = KEYS | KIND(ABS), .doc = "Address of the service, for other providers." },
    { .name = "access-key-id", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(access_key_id), .kinds = KEYS, .doc = "Name of the access key." },
    { .name = "access-key-id-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(access_key_id_file), .kinds = KEYS,
      .doc = "File with the name of the access key." },
    { .name = "secret-access-key", .type = CFG_SECRET, .scope = INHERITED,
      IN_REPLICA(secret_access_key), .kinds = KEYS, .doc = "The access key itself." },
    { .name = "secret-access-key-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(secret_access_key_file), .kinds = KEYS, .doc = "File with the access key." },
    { .name = "access-key-secret", .type = CFG_SECRET, .scope = INHERITED,
      IN_REPLICA(secret_access_key), .kinds = KIND(OSS), .alias_of = "secret-access-key" },
    { .name = "force-path-style", .type = CFG_TRI, .scope = INHERITED,
      IN_REPLICA(force_path_style), .kinds = KIND(S3),
      .doc = "Bucket in the path of requests; default: when an endpoint is given." },
    { .name = "sign-payload", .type = CFG_TRI, .scope = INHERITED, IN_REPLICA(sign_payload),
      .kinds = KIND(S3), .doc = "Sign the content of uploads; default true." },
    { .name = "require-content-md5", .type = CFG_TRI, .scope = INHERITED,
      IN_REPLICA(require_content_md5), .kinds = KIND(S3),
      .doc = "Send Content-MD5 with deletions; default true, with Tigris false." },
    { .name = "skip-verify", .type = CFG_BOOL, .scope = INHERITED, IN_REPLICA(skip_verify),
      .def = "false", .kinds = KIND(S3), .doc = "Do not check the TLS certificate." },
    { .name = "storage-class", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(storage_class), .kinds = KIND(S3), .doc = "Storage class of uploads." },
    { .name = "part-size", .type = CFG_BYTESIZE, .scope = INHERITED,
      IN_REPLICA(part_size_bytes), .kinds = KEYS,
      .doc = "Size of the parts of a large upload; default 5MiB (s3), 6MiB (oss)." },
    { .name = "concurrency", .type = CFG_INT, .scope = INHERITED, IN_REPLICA(concurrency),
      .kinds = KEYS, .doc = "Parts of one upload under way; default 5 (s3), 3 (oss)." },
    { .name = "sse-customer-algorithm", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(sse_customer_algorithm), .kinds = KIND(S3),
      .doc = "Algorithm of the customer key; AES256." },
    { .name = "sse-customer-key", .type = CFG_SECRET, .scope = INHERITED,
      IN_REPLICA(sse_customer_key), .kinds = KIND(S3),
      .doc = "Key for encryption by the server, 32 bytes in base64." },
    { .name = "sse-customer-key-path", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(sse_customer_key_path), .kinds = KIND(S3),
      .doc = "File with that key; it wins over the key itself." },
    { .name = "sse-kms-key-id", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(sse_kms_key_id), .kinds = KIND(S3), .doc = "KMS key of uploads." },
    { .name = "account-name", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(account_name), .kinds = KIND(ABS), .doc = "Azure storage account." },
    { .name = "account-key", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(account_key),
      .kinds = KIND(ABS), .doc = "Key of the storage account." },
    { .name = "account-key-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(account_key_file), .kinds = KIND(ABS), .doc = "File with the account key." },
    { .name = "sas-token", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(sas_token),
      .kinds = KIND(ABS), .doc = "Shared access signature, used before the account key." },
    { .name = "sas-token-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(sas_token_file), .kinds = KIND(ABS), .doc = "File with the SAS token." },

    /* servers */
    { .name = "host", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(host),
      .kinds = KIND(SFTP), .doc = "SFTP server, HOST or HOST:PORT." },
    { .name = "user", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(user),
      .kinds = KIND(SFTP), .doc = "SFTP user." },
    { .name = "password", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(password),
      .kinds = KIND(SFTP) | KIND(NATS), .doc = "Password of the user." },
    { .name = "password-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(password_file), .kinds = KIND(SFTP) | KIND(NATS),
      .doc = "File with the password." },
    { .name = "key-path", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(key_path),
      .kinds = KIND(SFTP), .doc = "Private key file." },
    { .name = "key-passphrase", .type = CFG_SECRET, .scope = INHERITED,
      IN_REPLICA(key_passphrase), .kinds = KIND(SFTP), .gate = "key-path",
      .doc = "Passphrase of the private key." },
    { .name = "key-passphrase-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(key_passphrase_file), .kinds = KIND(SFTP), .gate = "key-path",
      .doc = "File with the passphrase of the private key." },
    { .name = "host-key", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(host_key),
      .kinds = KIND(SFTP), .doc = "Key the server must have, one authorized_keys line." },
    { .name = "concurrent-writes", .type = CFG_BOOL, .scope = INHERITED,
      IN_REPLICA(concurrent_writes), .def = "true", .kinds = KIND(SFTP),
      .doc = "Have several write requests of a file under way." },
    { .name = "webdav-url", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(webdav_url),
      .kinds = KIND(WEBDAV), .doc = "Root of the WebDAV server." },
    { .name = "webdav-username", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(webdav_username), .kinds = KIND(WEBDAV), .doc = "WebDAV user." },
    { .name = "webdav-password", .type = CFG_SECRET, .scope = INHERITED,
      IN_REPLICA(webdav_password), .kinds = KIND(WEBDAV), .doc = "WebDAV password." },
    { .name = "webdav-password-file", .type = CFG_STRING, .scope = INHERITED,
      IN_REPLICA(webdav_password_file), .kinds = KIND(WEBDAV),
      .doc = "File with the WebDAV password." },
    { .name = "username", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(username),
      .kinds = KIND(NATS), .doc = "NATS user." },
    { .name = "jwt", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(jwt),
      .kinds = KIND(NATS), .doc = "NATS user JWT; needs a seed." },
    { .name = "jwt-file", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(jwt_file),
      .kinds = KIND(NATS), .doc = "File with the NATS user JWT." },
    { .name = "seed", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(seed),
      .kinds = KIND(NATS), .doc = "NATS seed that signs for the JWT or nkey." },
    { .name = "seed-file", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(seed_file),
      .kinds = KIND(NATS), .doc = "File with the NATS seed." },
    { .name = "creds", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(creds),
      .kinds = KIND(NATS), .doc = "NATS credentials file with JWT and seed." },
    { .name = "nkey", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(nkey),
      .kinds = KIND(NATS), .doc = "NATS user key: public with a seed, or the seed itself." },
    { .name = "token", .type = CFG_SECRET, .scope = INHERITED, IN_REPLICA(token),
      .kinds = KIND(NATS), .doc = "NATS token." },
    { .name = "token-file", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(token_file),
      .kinds = KIND(NATS), .doc = "File with the NATS token." },
    { .name = "tls", .type = CFG_BOOL, .scope = INHERITED, IN_REPLICA(tls), .def = "false",
      .kinds = KIND(NATS), .doc = "Insist on TLS." },
    { .name = "root-cas", .type = CFG_STRINGS, .scope = INHERITED, IN_REPLICA(root_cas),
      .kinds = KIND(NATS), .doc = "PEM files with the authorities to trust; implies TLS." },
    { .name = "client-cert", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(client_cert),
      .kinds = KIND(NATS), .doc = "PEM file with our certificate; implies TLS." },
    { .name = "client-key", .type = CFG_STRING, .scope = INHERITED, IN_REPLICA(client_key),
      .kinds = KIND(NATS), .doc = "PEM file with the key of our certificate." },
    { .name = "max-reconnects", .type = CFG_INT, .scope = INHERITED,
      IN_REPLICA(max_reconnects), .def = "-1", .kinds = KIND(NATS),
      .doc = "Tries to connect again; -1: for ever." },
    { .name = "reconnect-wait", .type = CFG_DURATION, .scope = INHERITED,
      IN_REPLICA(reconnect_wait_ns), .def = "2s", .kinds = KIND(NATS),
      .doc = "Time between two tries to connect again." },
    { .name = "timeout", .type = CFG_DURATION, .scope = INHERITED, IN_REPLICA(timeout_ns),
      .def = "10s", .kinds = KIND(NATS), .doc = "How long connecting may take." },
};
/* clang-format on */

const size_t cfg_n_options = sizeof(cfg_options) / sizeof(cfg_options[0]);

_Static_assert(sizeof(cfg_options) / sizeof(cfg_options[0]) <= CFG_MAX_OPTIONS,
    "raise CFG_MAX_OPTIONS");

const struct cfg_option *
cfg_option_find(enum cfg_scope scope, const char *name)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        if ((cfg_options[i].scope & scope) != 0 && strcmp(cfg_options[i].name, name) == 0)
            return &cfg_options[i];
    return NULL;
}

size_t
cfg_option_index(const struct cfg_option *o)
{
    must(o >= cfg_options && o < cfg_options + cfg_n_options);
    return (size_t)(o - cfg_options);
}

const char *
cfg_type_name(enum cfg_type type)
{
    switch (type) {
    case CFG_BOOL:
    case CFG_TRI:
        return "bool";
    case CFG_INT:
        return "int";
    case CFG_INT64:
        return "int64";
    case CFG_MODE:
        return "uint32";
    case CFG_DURATION:
        return "time.Duration";
    case CFG_STRINGS:
    case CFG_COMMAND:
    case CFG_EVENTS:
        return "[]string";
    case CFG_BYTESIZE:
    case CFG_STRING:
    case CFG_SECRET:
    case CFG_LOG_TYPE:
    case CFG_EXEC:
    case CFG_IGNORED:
        return "string";
    case CFG_SECTION:
    case CFG_REPLICA_MAP:
        return "map";
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_LIST:
        return "list";
    }
    return "";
}

bool
cfg_type_is_container(enum cfg_type type)
{
    switch (type) {
    case CFG_SECTION:
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_MAP:
    case CFG_REPLICA_LIST:
    case CFG_IGNORED:
        return true;
    case CFG_BOOL:
    case CFG_TRI:
    case CFG_INT:
    case CFG_INT64:
    case CFG_MODE:
    case CFG_DURATION:
    case CFG_BYTESIZE:
    case CFG_STRING:
    case CFG_SECRET:
    case CFG_STRINGS:
    case CFG_LOG_TYPE:
    case CFG_COMMAND:
    case CFG_EVENTS:
    case CFG_EXEC:
        return false;
    }
    return false;
}

void *
cfg_field(void *base, const struct cfg_option *o)
{
    return (char *)base + o->offset;
}

const void *
cfg_field_const(const void *base, const struct cfg_option *o)
{
    return (const char *)base + o->offset;
}

const struct cfg_option *
cfg_option_partner(const struct cfg_option *o)
{
    size_t len = strlen(o->name);

    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *p = &cfg_options[i];
        size_t n = strlen(p->name);

        if (p->scope != o->scope || p->alias_of != NULL)
            continue;
        if (n == len + 5 && strncmp(p->name, o->name, len) == 0 &&
            strcmp(p->name + len, "-file") == 0)
            return p;
        if (len == n + 5 && strncmp(p->name, o->name, n) == 0 &&
            strcmp(o->name + n, "-file") == 0)
            return p;
    }
    return NULL;
}
