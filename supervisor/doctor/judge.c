#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytesize.h"
#include "common/ltx/ltx_format.h"
#include "supervisor/doctor/doctor.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Before these SQLite could lose committed pages when a checkpoint met a write. */
#define SQLITE_FIXED 3051003
#define SQLITE_FIXED_3_50 3050007
#define SQLITE_FIXED_3_44 3044006

#define SPACE_FAIL ((uint64_t)16 << 20)
/* Little is less than both. */
#define SPACE_WARN ((uint64_t)1 << 30)
#define SPACE_WARN_PART 20 /* one part of so many */
#define WAL_LARGE ((uint64_t)256 << 20)
#define FD_RESERVE 64    /* of the supervisor, beside one for each worker */
#define PROC_RESERVE 256 /* of everything else on the machine */
#define CLOCK_SLACK_MS (5 * 60 * INT64_C(1000))
#define CLOCK_EARLIEST INT64_C(1735689600) /* 2025: the program is younger */

const char *
doctor_verdict_name(enum doctor_verdict v)
{
    static const char *const names[] = { "ok", "warn", "fail" };

    return names[v];
}

bool
doctor_say(struct doctor_finding *f, enum doctor_verdict v, const char *fmt, ...)
{
    va_list ap;

    f->verdict = v;
    f->advice[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
    return true;
}

bool
doctor_advise(struct doctor_finding *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->advice, sizeof(f->advice), fmt, ap);
    va_end(ap);
    return true;
}

/* --- the machine ----------------------------------------------------------------------
 */

static bool
judge_sqlite(const struct doctor_host *h, struct doctor_finding *f)
{
    int v = h->sqlite_version;

    if (v < SQLITE_FIXED && v != SQLITE_FIXED_3_50 && v != SQLITE_FIXED_3_44) {
        doctor_say(f, DOCTOR_FAIL,
            "linked with %d.%d.%d, which can lose committed pages when a checkpoint meets "
            "a write",
            v / 1000000, v / 1000 % 1000, v % 1000);
        return doctor_advise(
            f, "build litestream with its own SQLite, or with 3.51.3 or newer");
    }
    doctor_say(
        f, DOCTOR_OK, "linked with %d.%d.%d", v / 1000000, v / 1000 % 1000, v % 1000);
    return doctor_advise(f,
        "applications that checkpoint by themselves need 3.51.3 or newer as well (or 3.50.7 "
        "or 3.44.6), or PRAGMA wal_autocheckpoint = 0");
}

static bool
judge_config(const struct doctor_host *h, struct doctor_finding *f)
{
    if (h->problem == NULL)
        return doctor_say(
            f, DOCTOR_OK, "%zu %s", h->n_dbs, h->n_dbs == 1 ? "database" : "databases");
    doctor_say(f, DOCTOR_FAIL, "the daemon will refuse it: %s", h->problem);
    return doctor_advise(f, "correct the configuration");
}

static bool
judge_inotify(const struct doctor_host *h, struct doctor_finding *f)
{
    int64_t need = (int64_t)(h->n_dbs + h->n_dirs);

    if (h->inotify_watches < 0 || h->inotify_instances < 0)
        return false;
    if (h->inotify_instances >= 8 && h->inotify_watches >= need + 64)
        return doctor_say(f, DOCTOR_OK, "%" PRId64 " instances, %" PRId64 " watches",
            h->inotify_instances, h->inotify_watches);
    doctor_say(f, DOCTOR_WARN,
        "%" PRId64 " instances, %" PRId64 " watches for %" PRId64
        " databases and folders: some are polled, which costs time",
        h->inotify_instances, h->inotify_watches, need);
    return doctor_advise(f,
        "sysctl fs.inotify.max_user_instances=128 "
        "fs.inotify.max_user_watches=%" PRId64,
        need + 8192);
}

static const char *
whose(const struct doctor_host *h)
{
    return h->of_daemon ? "the daemon" : "a process started from here";
}

static bool
judge_nofile(const struct doctor_host *h, struct doctor_finding *f)
{
    int64_t need = (int64_t)h->n_dbs + FD_RESERVE;

    if (h->nofile < 0)
        return doctor_say(f, DOCTOR_OK, "without limit");
    if (h->nofile >= need)
        return doctor_say(f, DOCTOR_OK, "%" PRId64 " for %s, %" PRId64 " are needed",
            h->nofile, whose(h), need);
    doctor_say(f, DOCTOR_FAIL, "%" PRId64 " for %s, too few for %zu databases", h->nofile,
        whose(h), h->n_dbs);
    return doctor_advise(
        f, "raise the limit to %" PRId64 " (LimitNOFILE= or ulimit -Hn)", need);
}

static bool
judge_procs(const struct doctor_host *h, struct doctor_finding *f)
{
    int64_t need = (int64_t)h->n_dbs + PROC_RESERVE;

    if (h->n_procs < 0)
        return doctor_say(f, DOCTOR_OK, "without limit");
    if (h->n_procs >= need)
        return doctor_say(f, DOCTOR_OK,
            "at most %" PRId64 ", one is needed for each database", h->n_procs);
    if (h->n_procs > (int64_t)h->n_dbs)
        doctor_say(f, DOCTOR_WARN,
            "at most %" PRId64 ", little beside one for each of %zu databases",
            h->n_procs, h->n_dbs);
    else
        doctor_say(f, DOCTOR_FAIL,
            "at most %" PRId64 ", but each of %zu databases needs one", h->n_procs,
            h->n_dbs);
    return doctor_advise(f,
        "raise the limits to %" PRId64
        " (sysctl kernel.pid_max kernel.threads-max, ulimit "
        "-u, TasksMax=)",
        need);
}

static bool
judge_clock(const struct doctor_host *h, struct doctor_finding *f)
{
    int64_t ahead_ms = wall_to_ms(h->newest) - wall_to_ms(h->now);
    char text[WALL_TEXT_MAX];

    wall_format(h->now, WALL_SECONDS, text);
    if (h->now.sec < CLOCK_EARLIEST) {
        doctor_say(f, DOCTOR_FAIL, "it is %s here, which cannot be", text);
        return doctor_advise(
            f, "set the clock: retention and restores by time depend on it");
    }
    if (wall_is_zero(h->newest) || ahead_ms <= CLOCK_SLACK_MS)
        return doctor_say(f, DOCTOR_OK, "it is %s", text);
    doctor_say(f, DOCTOR_FAIL,
        "it is %s here, but a file on a replica is %" PRId64 " s younger than that", text,
        ahead_ms / 1000);
    return doctor_advise(
        f, "set the clock of this machine (or of the other writer) right, by NTP");
}

static bool
judge_socket(const struct doctor_host *h, struct doctor_finding *f)
{
    switch (h->socket) {
    case DOCTOR_SOCKET_LIVE:
        return doctor_say(f, DOCTOR_OK, "a daemon answers on %s (pid %" PRId64 ")",
            h->socket_path, h->daemon_pid);
    case DOCTOR_SOCKET_SILENT:
        doctor_say(f, DOCTOR_OK, "no daemon answers on %s", h->socket_path);
        return doctor_advise(
            f, "start litestream replicate, if it is not meant to be down");
    case DOCTOR_SOCKET_OFF:
        break;
    }
    doctor_say(f, DOCTOR_OK, "off");
    return doctor_advise(
        f, "socket: {enabled: true} lets list, status, sync and others work");
}

const struct doctor_host_check doctor_host_checks[] = {
    { "configuration", judge_config },
    { "sqlite", judge_sqlite },
    { "inotify", judge_inotify },
    { "descriptors", judge_nofile },
    { "processes", judge_procs },
    { "clock", judge_clock },
    { "control socket", judge_socket },
};

const size_t doctor_n_host_checks = COUNT(doctor_host_checks);

/* --- a database -----------------------------------------------------------------------
 */

static const struct fs {
    uint64_t magic;
    const char *name;
    bool no_wal; /* other machines write to it, or it has no shared memory */
} network_fs[] = {
    { 0x6969, "NFS", true },
    { 0x517b, "SMB", true },
    { 0xfe534d42, "SMB", true },
    { 0xff534d42, "CIFS", true },
    { 0x01021997, "9P", true },
    { 0x00c36400, "Ceph", true },
    { 0x5346414f, "AFS", true },
    { 0x0bd00bd0, "Lustre", true },
    { 0x47504653, "GPFS", true },
    { 0x7461636f, "OCFS2", true },
    { 0x786f4256, "a VirtualBox share", true },
    { 0x65735546, "FUSE", false },
};

const char *
doctor_fs_name(uint64_t magic, bool *no_wal)
{
    for (size_t i = 0; i < COUNT(network_fs); i++)
        if (network_fs[i].magic == magic) {
            *no_wal = network_fs[i].no_wal;
            return network_fs[i].name;
        }
    *no_wal = false;
    return NULL;
}

/* Of the header of a database. */
#define PAGE_SIZE 16
#define WRITE_VERSION 18
#define READ_VERSION 19

static bool
is_sqlite(const struct doctor_db *d)
{
    return d->open_errno == 0 && d->header_size == DOCTOR_HEADER_SIZE &&
           memcmp(d->header, "SQLite format 3", 16) == 0;
}

static uint32_t
page_size(const struct doctor_db *d)
{
    uint32_t n = ltx_get_u16(d->header + PAGE_SIZE);

    return n == 1 ? LTX_MAX_PAGE_SIZE : n;
}

static bool
judge_database(const struct doctor_db *d, struct doctor_finding *f)
{
    if (d->open_errno == ENOENT || d->open_errno == ENOTDIR) {
        doctor_say(f, DOCTOR_WARN, "is not there: %s",
            d->restored_if_missing ? "it is restored when the daemon starts"
                                   : "the daemon waits for it");
        return doctor_advise(
            f, "check its path, unless the application has yet to make it");
    }
    if (d->open_errno == EISDIR) {
        doctor_say(f, DOCTOR_FAIL, "is a folder");
        return doctor_advise(f, "name a file, or use dir: for the databases of a folder");
    }
    if (d->open_errno != 0) {
        doctor_say(f, DOCTOR_FAIL, "cannot be read and written: %s",
            err_errno_text(d->open_errno));
        return doctor_advise(f, "let the user of the daemon read and write it");
    }
    if (d->size == 0)
        return doctor_say(f, DOCTOR_OK, "is empty");
    if (!is_sqlite(d) || !ltx_page_size_valid(page_size(d))) {
        doctor_say(f, DOCTOR_FAIL, "is not a SQLite database, or is encrypted");
        return doctor_advise(
            f, "check its path; encrypted databases cannot be replicated");
    }
    return doctor_say(f, DOCTOR_OK, "SQLite, pages of %" PRIu32 " bytes", page_size(d));
}

static bool
judge_folder(const struct doctor_db *d, struct doctor_finding *f)
{
    if (d->folder_errno == 0 && d->meta_errno == 0)
        return doctor_say(
            f, DOCTOR_OK, "files can be made beside it and in its local folder");
    if (d->folder_errno != 0)
        doctor_say(f, DOCTOR_FAIL, "no file can be made beside it: %s",
            err_errno_text(d->folder_errno));
    else
        doctor_say(f, DOCTOR_FAIL, "no file can be made in its local folder: %s",
            err_errno_text(d->meta_errno));
    return doctor_advise(f,
        "let the user of the daemon write there; meta-path names another "
        "place for local files");
}

static bool
judge_wal_mode(const struct doctor_db *d, struct doctor_finding *f)
{
    if (!is_sqlite(d))
        return false;
    if (d->header[WRITE_VERSION] == 2 && d->header[READ_VERSION] == 2)
        return doctor_say(f, DOCTOR_OK, "on");
    doctor_say(f, DOCTOR_WARN, "off: the daemon will put the database into WAL mode");
    return doctor_advise(
        f, "PRAGMA journal_mode = wal in the application, before it starts");
}

static bool
judge_wal_size(const struct doctor_db *d, struct doctor_finding *f)
{
    char text[BYTESIZE_TEXT_MAX];

    if (!is_sqlite(d))
        return false;
    bytesize_format(d->wal_size, text);
    if (d->wal_size <= WAL_LARGE || d->wal_size <= d->size)
        return doctor_say(f, DOCTOR_OK, "%s", text);
    doctor_say(f, DOCTOR_WARN, "%s, larger than the database", text);
    return doctor_advise(f,
        "look for a reader that never ends its transaction, or a daemon that "
        "is down");
}

/* wal_autocheckpoint is a matter of each connection: it cannot be seen from outside. */
static bool
judge_checkpoints(const struct doctor_db *d, struct doctor_finding *f)
{
    if (!is_sqlite(d))
        return false;
    if (!d->locked && d->has_wal && d->has_mark && d->wal_salt1 != d->mark_salt1) {
        doctor_say(f, DOCTOR_WARN,
            "somebody has restarted the WAL since it was last replicated: the next sync "
            "may have to write a full image");
        return doctor_advise(f,
            "nothing, if the daemon was down; it should start before the "
            "application and end after it");
    }
    return doctor_say(f, DOCTOR_OK,
        "no trace of others; whether the application checkpoints by itself "
        "(wal_autocheckpoint) cannot be seen from outside");
}

static bool
judge_fs(const struct doctor_db *d, struct doctor_finding *f)
{
    bool no_wal;
    const char *name = doctor_fs_name(d->space.fs_magic, &no_wal);

    if (!d->space.known)
        return false;
    if (name == NULL)
        return doctor_say(f, DOCTOR_OK, "local");
    if (no_wal)
        doctor_say(f, DOCTOR_FAIL, "%s: SQLite's WAL mode is not safe on it", name);
    else
        doctor_say(f, DOCTOR_WARN, "%s: SQLite's locks may not work on it", name);
    return doctor_advise(
        f, "keep the database on a local disk; the replica may be on this one");
}

/* A Litestream that does not hold our lock, as the one in Go. */
static const struct doctor_user *
other_litestream(const struct doctor_db *d)
{
    for (size_t i = 0; i < d->n_users; i++)
        if (strncmp(d->users[i].name, "litestream", 10) == 0 &&
            (!d->locked || strtoll(d->holder, NULL, 10) != d->users[i].pid))
            return &d->users[i];
    return NULL;
}

static bool
judge_lock(const struct doctor_db *d, struct doctor_finding *f)
{
    const struct doctor_user *other = other_litestream(d);

    if (other != NULL) {
        doctor_say(f, DOCTOR_WARN, "another %s (pid %" PRId64 ") has the database open",
            other->name, other->pid);
        return doctor_advise(f, "make sure that only one daemon replicates it");
    }
    if (!d->locked)
        return doctor_say(f, DOCTOR_OK, "nobody replicates it");
    if (d->holder[0] != '\0')
        return doctor_say(f, DOCTOR_OK, "replicated by pid %s", d->holder);
    return doctor_say(f, DOCTOR_OK, "replicated by a process that does not say its pid");
}

static bool
is_little(const struct doctor_space *s)
{
    return s->free_bytes < SPACE_WARN && s->free_bytes < s->total_bytes / SPACE_WARN_PART;
}

bool
doctor_judge_space(const struct doctor_space *s, uint64_t want, const char *what,
    struct doctor_finding *f)
{
    char free_text[BYTESIZE_TEXT_MAX];

    if (!s->known)
        return false;
    bytesize_format(s->free_bytes, free_text);
    if (s->free_bytes >= SPACE_FAIL && s->free_bytes >= want && !is_little(s))
        return doctor_say(f, DOCTOR_OK, "%s free %s", free_text, what);
    doctor_say(f, s->free_bytes < SPACE_FAIL ? DOCTOR_FAIL : DOCTOR_WARN,
        "only %s free %s", free_text, what);
    return doctor_advise(
        f, "make room: a full disk stops replication, or the application");
}

static bool
judge_db_space(const struct doctor_db *d, struct doctor_finding *f)
{
    return doctor_judge_space(&d->space, d->wal_size, "for the database", f);
}

/* As large as the database can one full image be. */
static bool
judge_meta_space(const struct doctor_db *d, struct doctor_finding *f)
{
    return doctor_judge_space(
        &d->meta_space, d->size, "for changes that wait for the replica", f);
}

const struct doctor_db_check doctor_db_checks[] = {
    { "database", judge_database },
    { "folder", judge_folder },
    { "wal mode", judge_wal_mode },
    { "wal size", judge_wal_size },
    { "checkpoints", judge_checkpoints },
    { "file system", judge_fs },
    { "lock", judge_lock },
    { "space", judge_db_space },
    { "local space", judge_meta_space },
};

const size_t doctor_n_db_checks = COUNT(doctor_db_checks);
