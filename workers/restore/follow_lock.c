#include "workers/restore/follow_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mono.h"
#include "common/base/retry.h"

#define PENDING_BYTE 0x40000000
#define RESERVED_BYTE (PENDING_BYTE + 1)
#define SHARED_FIRST (PENDING_BYTE + 2)
#define SHARED_SIZE 510
#define LOCKS_SIZE (SHARED_FIRST + SHARED_SIZE - PENDING_BYTE)

#define HOLD_OFF_MS 3000 /* new readers, at most: below usual busy timeouts */
#define LET_IN_MS 500
#define LOOK_MS 2
#define LOOK_MAX_MS 10
#define SAY_AFTER_MS 5000

/* 0; ERR_BUSY: somebody is in the way. */
static int
set_lock(int fd, int type, off_t start, off_t size, struct err *e)
{
    struct flock l = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = size
    };

    while (fcntl(fd, F_SETLK, &l) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            return err_set(e, ERR_BUSY, "database is locked");
        if (errno != EINTR)
            return err_errno(e, errno, "lock database");
    }
    return 0;
}

static void
release(int fd, off_t start, off_t size)
{
    struct err ignored;

    set_lock(fd, F_UNLCK, start, size, &ignored);
}

void
follow_unlock(int fd)
{
    release(fd, PENDING_BYTE, LOCKS_SIZE);
}

/* --- waiting --------------------------------------------------------------------------
 */

struct waiting {
    const char *path, *what;
    const struct cancel *cancel;
    struct mono since;
    struct retry say;
    int64_t look_ms;
};

static struct waiting
wait_for(const char *path, const char *what, const struct cancel *cancel)
{
    return (struct waiting){ .path = path,
        .what = what,
        .cancel = cancel,
        .since = mono_now(),
        .look_ms = LOOK_MS };
}

static void
sleep_ms(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    nanosleep(&t, NULL);
}

/* A while; then ERR_CANCELLED or 0. Says what it waits for when that takes long. */
static int
wait_a_while(struct waiting *w, struct err *e)
{
    if (cancel_asked(w->cancel))
        return err_set(e, ERR_CANCELLED, "cancelled");
    if (mono_since_ms(w->since) >= SAY_AFTER_MS && retry_should_log(&w->say, mono_now()))
        log_warn("follow: waiting for the database's lock", LF_STR("path", w->path),
            LF_STR("held_by", w->what), LF_MS("waiting", mono_since_ms(w->since)));
    sleep_ms(w->look_ms);
    w->look_ms = w->look_ms * 2 < LOOK_MAX_MS ? w->look_ms * 2 : LOOK_MAX_MS;
    return 0;
}

/* --- locks ----------------------------------------------------------------------------
 */

/* As every reader: PENDING is only passed through, to keep behind a waiting writer. */
static int
try_reserve(int fd, struct err *e)
{
    int rc = set_lock(fd, F_RDLCK, PENDING_BYTE, 1, e);

    if (rc != 0)
        return rc;
    rc = set_lock(fd, F_RDLCK, SHARED_FIRST, SHARED_SIZE, e);
    release(fd, PENDING_BYTE, 1);
    if (rc == 0)
        rc = set_lock(fd, F_WRLCK, RESERVED_BYTE, 1, e);
    if (rc != 0)
        follow_unlock(fd);
    return rc;
}

int
follow_lock_reserve(int fd, const char *path, const struct cancel *cancel, struct err *e)
{
    struct waiting w = wait_for(path, "another writer", cancel);
    int rc;

    while ((rc = try_reserve(fd, e)) == ERR_BUSY) {
        rc = wait_a_while(&w, e);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* Until there are no readers, or no new ones may be held off any longer (ERR_BUSY). */
static int
hold_off(int fd, struct waiting *w, struct err *e)
{
    struct mono end = mono_add_ms(mono_now(), HOLD_OFF_MS);
    int rc = set_lock(fd, F_WRLCK, PENDING_BYTE, 1, e);

    if (rc != 0)
        return rc;
    w->look_ms = LOOK_MS;
    while ((rc = set_lock(fd, F_WRLCK, SHARED_FIRST, SHARED_SIZE, e)) == ERR_BUSY &&
           !mono_reached(end)) {
        rc = wait_a_while(w, e);
        if (rc != 0)
            break;
    }
    if (rc != 0)
        release(fd, PENDING_BYTE, 1);
    return rc;
}

int
follow_lock_exclude(int fd, const char *path, const struct cancel *cancel, struct err *e)
{
    struct waiting w = wait_for(path, "readers", cancel);
    int rc;

    while ((rc = hold_off(fd, &w, e)) == ERR_BUSY) {
        struct mono end = mono_add_ms(mono_now(), LET_IN_MS);

        for (rc = 0; rc == 0 && !mono_reached(end);)
            rc = wait_a_while(&w, e);
        if (rc != 0)
            return rc;
    }
    return rc;
}
