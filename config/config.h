/*
 * config - one validated configuration: what the file says, with defaults, inheritance
 * and replica URLs resolved.
 *
 *     config_load -> [config_check_daemon] -> config_check_replicas ->
 * config_read_secrets
 *
 * Loading reads the file, expands `$`, decodes the YAML by the option table (options.h),
 * checks structure and values, merges entries of one database and gives every replica its
 * global settings. What only a replica can be wrong about is found then too, but said by
 * cfg_check_replicas, so that a command fails only for the databases it touches.
 *
 * A struct config is constant once its secrets are read. All strings are its own and
 * never NULL; "" means not set. Intervals are nanoseconds. Nothing here logs: what should
 * be said is in `notices`, for the caller to log when logging is set up.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/secret.h"

#define CFG_DEFAULT_PATH "/etc/litestream.yml"
#define CFG_DEFAULT_SOCKET "/var/run/litestream.sock"
#define CFG_MAX_LEVELS 8 /* compaction levels, L1.. */

enum cfg_replica_type {
    CFG_REPLICA_FILE,
    CFG_REPLICA_S3,
    CFG_REPLICA_GS,
    CFG_REPLICA_ABS,
    CFG_REPLICA_OSS,
    CFG_REPLICA_SFTP,
    CFG_REPLICA_WEBDAV,
    CFG_REPLICA_NATS,
};

#define CFG_N_REPLICA_TYPES 8

/* A bool whose default is decided later, by what the destination is. */
enum cfg_tri { CFG_UNSET, CFG_OFF, CFG_ON };

struct cfg_strings {
    const char *const *items;
    size_t n;
};

/* Which keys the file gives for an object and where; see cfg_line_of. */
struct cfg_mark {
    uint16_t option; /* index in cfg_options */
    int line;
};

struct cfg_obj {
    int line;               /* where the object begins, from 1; 0: not from a file */
    struct cfg_mark *marks; /* keys present with a value */
    size_t n_marks;
};

struct cfg_snapshot {
    int64_t interval_ns;
    int64_t retention_ns;
};

struct cfg_age {
    struct cfg_strings identities;
    struct cfg_strings recipients;
};

/* One destination. Which fields count depends on the type. */
struct cfg_replica {
    struct cfg_obj obj;
    const char *field; /* "dbs[/data/app.db].replica", in front of messages */
    enum cfg_replica_type type;
    const char *type_text; /* the `type` key as written */
    const char *name;      /* label, as written */
    const char *url;       /* as written, without password and secret parameters */
    struct secret url_text;
    /* Prefix or folder, also when it came from the URL; file: absolute. May be "." */
    const char *path;
    bool path_escaped; /* a file:// URL: the path is used percent-encoded */

    int64_t sync_interval_ns;
    int64_t validation_interval_ns; /* no effect */
    int64_t max_sync_ltx_files;     /* 0: all */
    bool auto_recover;
    /* Of this replica, else of its database, else global; own_* tell the first case. */
    struct cfg_snapshot snapshot;
    int64_t own_snapshot_interval_ns; /* 0: not set */
    int64_t own_retention_ns;
    struct cfg_age age;

    /* s3 gs abs oss nats */
    const char *bucket;   /* abs: the container; s3: maybe an access point ARN */
    const char *region;   /* "": to be found out */
    const char *endpoint; /* "": the provider's own; s3, oss: always with a scheme */
    const char *access_key_id;
    const char *access_key_id_file;
    struct secret secret_access_key;
    const char *secret_access_key_file;
    enum cfg_tri force_path_style; /* on when an endpoint is given by key or parameter */
    enum cfg_tri sign_payload;
    enum cfg_tri require_content_md5;
    bool skip_verify;
    const char *storage_class;
    int64_t part_size_bytes; /* 0: the driver's default */
    int64_t concurrency;     /* 0: the driver's default */
    const char *sse_customer_algorithm;
    struct secret sse_customer_key;
    const char *sse_customer_key_path;
    const char *sse_customer_key_md5; /* from a URL parameter only */
    const char *sse_kms_key_id;

    /* abs */
    const char *account_name;
    struct secret account_key;
    const char *account_key_file;
    struct secret sas_token;
    const char *sas_token_file;

    /* sftp; `password` is nats' too */
    const char *host; /* HOST[:PORT] */
    const char *user;
    struct secret password;
    const char *password_file;
    const char *key_path;
    struct secret key_passphrase;
    const char *key_passphrase_file;
    const char *host_key; /* one authorized_keys line */
    bool concurrent_writes;

    /* webdav */
    const char *webdav_url; /* server root, http or https */
    const char *webdav_username;
    struct secret webdav_password;
    const char *webdav_password_file;

    /* nats */
    struct cfg_strings servers; /* "nats://HOST[:PORT]", at least one */
    const char *username;
    struct secret jwt;
    const char *jwt_file;
    struct secret seed;
    const char *seed_file;
    const char *creds;
    struct secret nkey; /* public key, or the seed itself */
    struct secret token;
    const char *token_file;
    bool tls;
    struct cfg_strings root_cas;
    const char *client_cert;
    const char *client_key;
    int64_t max_reconnects; /* -1: for ever */
    int64_t reconnect_wait_ns;
    int64_t timeout_ns; /* of connecting */

    const struct err *fault; /* what cfg_check_replicas will say; NULL: nothing */
};

/* One database, or one folder whose databases are found by pattern. */
struct cfg_db {
    struct cfg_obj obj;
    int entry;            /* first dbs[] entry it comes from, from 1; 0: not of a file */
    const char *path;     /* absolute; "": a folder entry */
    const char *dir;      /* as written; "": a database entry */
    const char *dir_path; /* absolute */
    const char *pattern;  /* of base names */
    bool recursive;
    bool watch;
    /* Absolute. Database: its meta folder. Folder: base of the meta folders, or "". */
    const char *meta_path;
    const char *meta_dir; /* absolute, or "" */
    bool enabled;
    int64_t monitor_interval_ns;    /* <= 0: never by time */
    int64_t checkpoint_interval_ns; /* <= 0: never by time */
    int64_t busy_timeout_ns;
    int64_t min_checkpoint_pages;
    int64_t truncate_pages;     /* < 0: never */
    int64_t max_sync_wal_bytes; /* 0: no limit */
    bool restore_if_db_not_exists;
    struct cfg_snapshot snapshot; /* effective */
    const char *heartbeat_url;    /* of its own; set but "": none for this database */
    int64_t heartbeat_interval_ns;
    struct cfg_age age;

    struct cfg_replica *replicas;
    size_t n_replicas;
    bool both_spellings; /* an entry has `replica` and `replicas` */

    const struct err *fault; /* what cfg_check_replicas will say; NULL: nothing */
    const struct err *clash; /* the same of config_check_daemon: shares a place */
};

struct cfg_level {
    struct cfg_obj obj;
    int64_t interval_ns;
    int64_t retention_ns; /* 0: until covered by a snapshot that is kept */
};

enum cfg_event {
    CFG_ON_START = 1,
    CFG_ON_STOP = 2,
    CFG_ON_ERROR = 4,
    CFG_ON_RECOVERED = 8,
    CFG_ON_SNAPSHOT = 16,
    CFG_ON_RESTORE = 32,
};

struct cfg_hook {
    struct cfg_obj obj;
    struct cfg_strings argv; /* at least one */
    unsigned on;             /* an or of enum cfg_event */
    int64_t timeout_ns;
};

struct cfg_socket {
    bool enabled;
    const char *path; /* as written */
    int64_t permissions;
};

struct cfg_logging {
    const char *level; /* as written; see config_log_level */
    enum log_format type;
    bool to_stderr;
    bool source;
    const char *path; /* "": no file */
};

/* Something to say about the configuration that does not stop it. */
struct cfg_notice {
    bool info;       /* else a warning */
    int line;        /* 0: none */
    const char *key; /* full path of the key, or "" */
    const char *text;
};

struct config {
    struct cfg_obj obj;
    const char *file; /* absolute name, or "" */

    const char *addr;
    const char *mcp_addr;
    struct secret mcp_auth_token;
    const char *mcp_auth_token_file;
    const char *exec; /* command to run and supervise */
    struct cfg_hook *hooks;
    size_t n_hooks;
    struct cfg_socket socket;
    struct cfg_level *levels; /* entry i is level i + 1 */
    size_t n_levels;
    struct cfg_snapshot snapshot;   /* for databases without their own */
    int64_t validation_interval_ns; /* <= 0: off */
    int64_t l0_retention_ns;        /* 0: L0 files stay for ever */
    int64_t l0_retention_check_interval_ns;
    bool verify_compaction;
    bool retention_enabled;
    const char *heartbeat_url;
    int64_t heartbeat_interval_ns;
    int64_t shutdown_sync_timeout_ns; /* 0: one attempt, no limit */
    int64_t shutdown_sync_interval_ns;
    struct cfg_logging logging;

    struct cfg_replica global; /* replica settings of the top level */
    struct cfg_db *dbs;
    size_t n_dbs;

    const struct cfg_notice *notices;
    size_t n_notices;

    struct arena arena; /* holds all of it but the secrets */
};

struct config_options {
    bool no_expand_env;
    const char *(*env)(const char *name); /* NULL: getenv */
};

/* Where the local files of a database are unless the configuration says otherwise; owned.
 */
char *config_default_meta_path(const char *db_path);

/* $LITESTREAM_CONFIG, else the file in /etc; borrowed. */
const char *config_default_path(void);

/*
 * Reads a file.
 *
 *   path     as given by the user: `~` and relative paths are fine
 *   options  NULL: expansion on, getenv
 *   returns  0; ERR_NOT_FOUND; ERR_CONFIG with file, line, key and value in the text
 */
int config_load(const char *path, const struct config_options *options,
    struct config **out, struct err *e);

/* The same from text; `file` is the name for messages. Touches no file. */
int config_parse(const char *text, size_t size, const char *file,
    const struct config_options *options, struct config **out, struct err *e);

/* What `replicate DB URL...` means: built-in defaults and nothing else. */
int config_from_args(const char *db_path, const char *const *urls, size_t n_urls,
    const struct config_options *options, struct config **out, struct err *e);

void config_free(struct config *c); /* NULL is fine; wipes the secrets */

/* One replica with defaults, from a command line; free with cfg_replica_free. */
int cfg_replica_from_url(const char *url, const struct config_options *options,
    struct cfg_replica **out, struct err *e);
void cfg_replica_free(struct cfg_replica *r);

/* The configuration behind such a replica, for its notices; lives as long. */
const struct config *cfg_replica_config(struct cfg_replica *r);

/*
 * A database that is added while we run: `replica` settings of the top level of c apply,
 * and what c says for all databases. The result is a configuration of its own with one
 * database.
 */
int config_for_added_db(const struct config *c, const char *db_path, const char *url,
    const struct config_options *options, struct config **out, struct err *e);

/*
 * A database that was found in the folder of an entry: `path` is an absolute name below
 * dir->dir_path. Its name relative to the folder is added to the path of each replica and
 * tells where its meta folder is. The result is a configuration of its own with one
 * database.
 */
int config_member(const struct config *c, const struct cfg_db *dir, const char *path,
    struct config **out, struct err *e);

/*
 * What must hold before a replica is used or shown: kind, required and conflicting keys,
 * URL, age. Every command that reads a configuration calls one of the two.
 */
int cfg_check_replicas(const struct cfg_db *db, struct err *e);
int config_check_replicas(const struct config *c, struct err *e);

/*
 * What only the daemon refuses: addresses, compaction levels, checkpoint limits, exec,
 * two databases that would write to one place.
 */
int config_check_daemon(const struct config *c, struct err *e);

/* Reads the files that `*-file` keys and sse-customer-key-path name. */
int cfg_read_secrets(struct config *c, struct cfg_db *db, struct err *e);
int config_read_secrets(struct config *c, struct err *e);

/* Wipes every secret but those of `keep` (NULL: all). */
void config_wipe_secrets(struct config *c, const struct cfg_db *keep);

/*
 * A forked child has no secrets. Those of the database that it will serve are packed
 * before the fork and unpacked in it, into the same replicas; both sides forget the pack.
 */
void config_pack_secrets(const struct cfg_db *db, struct buf *out);
void config_unpack_secrets(struct cfg_replica *replicas, size_t n, const struct buf *in);
void config_forget_pack(struct buf *pack);

/* NULL when there is none. `path` is an absolute name. */
struct cfg_db *config_find_db(struct config *c, const char *path);

/*
 * The entry of a folder that a database of this absolute name would belong to: below
 * dir_path, directly or `recursive`, with a base name that `pattern` matches and that is
 * not one of SQLite's side files. The first one of the file; NULL: none. Nothing is
 * looked at on disk.
 */
const struct cfg_db *config_find_dir(const struct config *c, const char *path);

/* Could this base name be a database of the entry? */
bool cfg_dir_wants(const struct cfg_db *dir, const char *name);

/* A folder of local state or a replica; no database is looked for in it. Absolute. */
bool cfg_dir_skips(const struct cfg_db *dir, const char *path);

/* LITESTREAM_ACCESS_KEY_ID and its like go to AWS_* where those are unset. */
void config_export_env(void);

/* $LOG_LEVEL, else logging.level, else info; c may be NULL. */
enum log_level config_log_level(const struct config *c);

/* Line of a key of an object by its full name ("snapshot.interval"); 0: not set there. */
int cfg_line_of(const struct cfg_obj *obj, const char *option);
bool cfg_is_set(const struct cfg_obj *obj, const char *option);

const char *cfg_replica_type_name(enum cfg_replica_type type); /* "s3" */
bool cfg_replica_type_parse(const char *text, enum cfg_replica_type *type);

const char *config_yaml_version(void); /* of the library, "0.2.5" */

#endif
