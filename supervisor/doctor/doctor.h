/*
 * doctor - is this machine, is each database and each replica fit for replication?
 *
 * Facts are found out in one place (look.h: machine and databases, trial.h: replicas;
 * they touch disk and network, and may wait) and judged in another: the checks of the
 * tables below are plain functions of facts that touch nothing. What a check has to say
 * is a finding. run.h brings them together.
 */
#ifndef SUPERVISOR_DOCTOR_DOCTOR_H
#define SUPERVISOR_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/wall.h"
#include "config/config.h"

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

const char *doctor_verdict_name(enum doctor_verdict v); /* "ok", "warn", "fail" */

#define DOCTOR_TEXT_MAX 600

struct doctor_finding {
    enum doctor_verdict verdict;
    char text[DOCTOR_TEXT_MAX];   /* what is, and what that means */
    char advice[DOCTOR_TEXT_MAX]; /* what to do; "": nothing */
};

/* --- the machine ----------------------------------------------------------------------
 */

enum doctor_socket { DOCTOR_SOCKET_OFF, DOCTOR_SOCKET_SILENT, DOCTOR_SOCKET_LIVE };

struct doctor_host {
    int sqlite_version;  /* 3054001 */
    const char *problem; /* of the configuration as a whole; NULL: none */
    size_t n_dbs, n_dirs;
    /* Limits; < 0: none, or unknown. */
    bool of_daemon;                             /* else those of this process */
    int64_t nofile;                             /* descriptors of a process */
    int64_t n_procs;                            /* processes, the lowest limit there is */
    int64_t inotify_instances, inotify_watches; /* of a user */
    struct wall now;
    struct wall newest; /* of all files on the replicas, zero: none */
    enum doctor_socket socket;
    const char *socket_path;
    int64_t daemon_pid; /* DOCTOR_SOCKET_LIVE */
};

/* false: nothing to say. */
struct doctor_host_check {
    const char *name;
    bool (*judge)(const struct doctor_host *h, struct doctor_finding *out);
};

extern const struct doctor_host_check doctor_host_checks[];
extern const size_t doctor_n_host_checks;

/* --- a database -----------------------------------------------------------------------
 */

struct doctor_space {
    bool known;
    uint64_t free_bytes, total_bytes; /* free: for us */
    uint64_t fs_magic;                /* Linux, statfs; 0: unknown */
};

#define DOCTOR_HEADER_SIZE 100
#define DOCTOR_NAME_MAX 32

/* Another process that has the database open in WAL mode. */
struct doctor_user {
    int64_t pid;
    char name[DOCTOR_NAME_MAX]; /* of its program; "": unknown */
};

#define DOCTOR_MAX_USERS 6

struct doctor_db {
    bool restored_if_missing; /* restore-if-db-not-exists */
    int open_errno;           /* of the database for reading and writing; 0: good */
    uint8_t header[DOCTOR_HEADER_SIZE];
    size_t header_size; /* bytes read of it */
    int folder_errno;   /* of making files beside it; 0: good */
    int meta_errno;     /* of making the local folder, or files in it; 0: good */
    uint64_t size, wal_size;
    /* Generations, first salt: of the WAL, and the one that the newest local file ends
     * in. */
    bool has_wal, has_mark;
    uint32_t wal_salt1, mark_salt1;
    struct doctor_space space, meta_space;
    bool locked;                  /* somebody replicates it */
    char holder[DOCTOR_NAME_MAX]; /* its pid; "": unknown */
    struct doctor_user users[DOCTOR_MAX_USERS];
    size_t n_users;
};

struct doctor_db_check {
    const char *name;
    bool (*judge)(const struct doctor_db *d, struct doctor_finding *out);
};

extern const struct doctor_db_check doctor_db_checks[];
extern const size_t doctor_n_db_checks;

/* "NFS", or NULL: a local file system, or an unknown one; *no_wal: WAL mode cannot work
 */
const char *doctor_fs_name(uint64_t magic, bool *no_wal);

/* --- a replica ------------------------------------------------------------------------
 */

/* What became of each step; one that was not reached has ERR_CANCELLED. */
struct doctor_replica {
    struct err list;  /* of the replica itself */
    struct err put;   /* of a file of our own */
    struct err again; /* of a second one with its name, which must stay out */
    struct err get;   /* of the first one */
    struct err find;  /* of a listing that has it */
    struct err del;   /* of it */
    struct err clean; /* of whatever is left of the trial */
    bool same;        /* what was read is what was written first */
    bool found;       /* the listing had the file */
    bool gone;        /* after the deletion it had not */
    bool of_folder;   /* of a `dir` entry: the files are those of no database */
    size_t n_files;   /* level 0 and snapshots */
    size_t n_snapshots;
    struct wall newest;        /* of those files; zero: none */
    struct doctor_space space; /* known: a folder of this machine */
    uint64_t db_size;          /* bytes, 0: unknown */
    const char *probe;         /* where the file was; borrowed */
};

struct doctor_replica_check {
    const char *name;
    bool (*judge)(const struct doctor_replica *r, struct doctor_finding *out);
};

extern const struct doctor_replica_check doctor_replica_checks[];
extern const size_t doctor_n_replica_checks;

/* --- for the checks -------------------------------------------------------------------
 */

/* Both return true: a check ends with one of them. advise comes behind say. */
bool doctor_say(struct doctor_finding *f, enum doctor_verdict v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool doctor_advise(struct doctor_finding *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* More than is free is little: warns, or fails where next to nothing is left. */
bool doctor_judge_space(const struct doctor_space *s, uint64_t want, const char *what,
    struct doctor_finding *f);

#endif
