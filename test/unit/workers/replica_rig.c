#include "test/unit/workers/replica_rig.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/proc.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/support/tmp.h"

#define MS INT64_C(1000000)

#define PAGE_SIZE 512
#define N_PAGES 8

struct replica_rig rig;

/* --- the disk -------------------------------------------------------------------------
 */

static struct rig_dest *
dest_of_path(const char *path)
{
    for (unsigned i = 0; i < RIG_MAX_DESTS; i++) {
        const char *root = rig.dest[i].cfg.path;

        if (root != NULL && strncmp(path, root, strlen(root)) == 0)
            return &rig.dest[i];
    }
    return NULL;
}

/* NULL: not a file of a destination (folders are not looked at). */
static struct rig_dest *
dest_of_fd(int fd)
{
    char link[64], path[4096];
    struct stat st;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return NULL;
    path[n] = '\0';
    return dest_of_path(path);
}

static void
hang(struct rig_dest *d)
{
    atomic_store(&d->is_hung, true);
    uv_async_send(&rig.hung);
    uv_sem_wait(&rig.unhang);
    atomic_store(&d->is_hung, false);
}

static int
d_open(const char *path, int flags, mode_t mode)
{
    struct rig_dest *d = dest_of_path(path);

    if (d != NULL && atomic_load(&d->hanging))
        hang(d);
    if (d != NULL && atomic_load(&d->broken)) {
        errno = EIO;
        return -1;
    }
    return sys_posix.open(path, flags, mode);
}

static ssize_t
d_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    struct rig_dest *d = dest_of_fd(fd);

    if (d == NULL || !atomic_load(&d->half))
        return sys_posix.pwrite(fd, buf, n, off);
    if (off == 0)
        return sys_posix.pwrite(fd, buf, n / 2, off);
    errno = ENOSPC;
    return -1;
}

static int
d_fsync(int fd)
{
    struct rig_dest *d = dest_of_fd(fd);

    if (d != NULL && atomic_load(&d->hanging_sync))
        hang(d);
    return sys_posix.fsync(fd);
}

static void
record_placed(const char *to)
{
    struct rig_dest *d = dest_of_path(to);
    unsigned n;

    if (d == NULL)
        return;
    n = atomic_fetch_add(&rig.n_placed, 1);
    cr_assert_lt(n, sizeof(rig.placed) / sizeof(rig.placed[0]));
    snprintf(rig.placed[n], sizeof(rig.placed[n]), "%s %.16s",
        strrchr(d->cfg.path, '/') + 1, strrchr(to, '/') + 1);
}

static int
d_rename(const char *from, const char *to)
{
    record_placed(to);
    return sys_posix.rename(from, to);
}

static int
d_link(const char *from, const char *to)
{
    int rc = sys_posix.link(from, to);

    if (rc == 0)
        record_placed(to);
    return rc;
}

void
rig_watch_disk(void)
{
    static struct sys_ops watched;

    watched = sys_posix;
    watched.open = d_open;
    watched.pwrite = d_pwrite;
    watched.fsync = d_fsync;
    watched.rename = d_rename;
    watched.link = d_link;
    sys = &watched;
}

void
rig_unhang(void)
{
    uv_sem_post(&rig.unhang);
}

static unsigned
count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    cr_assert_not_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* --- life -----------------------------------------------------------------------------
 */

static void
on_hung(uv_async_t *h)
{
    (void)h; /* whoever runs the loop looks at its condition */
}

void
rig_start(void)
{
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    struct err e;

    alarm(60); /* a call that hangs on the loop would hang for ever */
    proc_set_role(PROC_WORKER);
    memset(&rig, 0, sizeof(rig));
    rig.l0_dir = tmp_path("l0");
    rig.db_path = tmp_path("app.db");
    cr_assert_eq(sys_mkdirs(rig.l0_dir, &owner, &e), 0);
    cr_assert_eq(uv_loop_init(&rig.loop), 0);
    cr_assert_eq(uv_sem_init(&rig.unhang, 0), 0);
    uv_timer_init(&rig.loop, &rig.limit);
    cr_assert_eq(uv_async_init(&rig.loop, &rig.hung, on_hung), 0);
    rig.n_fds = count_fds();
}

static void
on_changed(void *arg, struct replica *r)
{
    struct rig_dest *d = arg;

    cr_assert(d->r == NULL || d->r == r);
    d->n_changes++;
}

static void
on_round(void *arg)
{
    (void)arg;
    rig.n_rounds++;
    if (rig.on_round != NULL)
        rig.on_round();
}

void
rig_open_dest(unsigned i, int64_t sync_ms, int64_t feed_ms, bool isolate)
{
    struct rig_dest *d = &rig.dest[i];
    struct replica_options options = { .loop = &rig.loop,
        .cfg = &d->cfg,
        .l0_dir = rig.l0_dir,
        .db_path = rig.db_path,
        .owner = SYS_OWNER_DEFAULT,
        .feed_interval_ns = feed_ms * MS,
        .isolate = isolate,
        .changed = on_changed,
        .round = on_round,
        .arg = d };
    char name[32];
    struct err e;

    snprintf(name, sizeof(name), "replica%u", i);
    d->cfg.type = CFG_REPLICA_FILE;
    d->cfg.path = (char *)(uintptr_t)tmp_path(name);
    d->cfg.sync_interval_ns = sync_ms * MS;
    cr_assert_eq(replica_open(&options, &d->r, &e), 0, "%s", e.text);
}

void
rig_one(int64_t sync_ms)
{
    rig_start();
    rig_open_dest(0, sync_ms, sync_ms, false);
    rig_watch_disk();
}

static void
on_closed(void *arg)
{
    *(bool *)arg = true;
}

void
rig_close_dest(unsigned i)
{
    replica_close(rig.dest[i].r, on_closed, &rig.closed[i]);
    rig.dest[i].r = NULL;
}

void
rig_end(void)
{
    for (unsigned i = 0; i < RIG_MAX_DESTS; i++)
        if (rig.dest[i].r != NULL)
            rig_close_dest(i);
    uv_close((uv_handle_t *)&rig.limit, NULL);
    uv_close((uv_handle_t *)&rig.hung, NULL);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < RIG_MAX_DESTS; i++)
        cr_expect(rig.dest[i].cfg.path == NULL || rig.closed[i]);
    cr_expect_eq(count_fds(), rig.n_fds, "a descriptor is left");
    cr_expect_eq(uv_loop_close(&rig.loop), 0, "a handle is left");
    uv_sem_destroy(&rig.unhang);
    sys = &sys_posix;
}

/* --- time -----------------------------------------------------------------------------
 */

static void
on_limit(uv_timer_t *h)
{
    (void)h;
    rig.limit_reached = true;
}

bool
rig_until(bool (*cond)(void), uint64_t limit_ms)
{
    rig.limit_reached = false;
    uv_update_time(&rig.loop);
    uv_timer_start(&rig.limit, on_limit, limit_ms, 0);
    while (!cond() && !rig.limit_reached)
        uv_run(&rig.loop, UV_RUN_ONCE);
    uv_timer_stop(&rig.limit);
    return cond();
}

static uint64_t wanted;

static bool
has_wanted(void)
{
    return replica_txid(rig.dest[0].r) >= wanted;
}

bool
rig_arrives(uint64_t txid, uint64_t limit_ms)
{
    wanted = txid;
    return rig_until(has_wanted, limit_ms);
}

static unsigned tried;
static uint64_t attempts_before;

static bool
has_tried(void)
{
    return replica_attempts(rig.dest[tried].r) > attempts_before;
}

void
rig_try(unsigned i)
{
    tried = i;
    attempts_before = replica_attempts(rig.dest[i].r);
    replica_push(rig.dest[i].r);
    cr_assert(rig_until(has_tried, 20000), "no attempt was made");
}

/* --- files ----------------------------------------------------------------------------
 */

struct filling {
    uint8_t *bytes;
    size_t n;
};

static int
take(void *arg, const void *bytes, size_t n, struct err *e)
{
    struct filling *f = arg;

    (void)e;
    cr_assert_leq(f->n + n, (size_t)RIG_FILE_SIZE);
    memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
    return 0;
}

/* Noise does not become shorter: all files are of one size. */
static void
fill(uint8_t *bytes, uint64_t txid, unsigned variant)
{
    struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = PAGE_SIZE,
        .commit = N_PAGES,
        .min_txid = txid,
        .max_txid = txid };
    struct filling f = { .bytes = bytes };
    struct ltx_sink sink = { .write = take, .arg = &f };
    uint64_t noise = txid * 31 + variant + 1;
    struct ltx_encoder *enc;
    struct err e;

    cr_assert_eq(ltx_encoder_open(&h, sink, NULL, &enc, &e), 0, "%s", e.text);
    for (uint32_t pgno = 1; pgno <= N_PAGES; pgno++) {
        uint8_t page[PAGE_SIZE];

        for (size_t i = 0; i < sizeof(page); i++) {
            noise = noise * 6364136223846793005u + 1442695040888963407u;
            page[i] = (uint8_t)(noise >> 56);
        }
        cr_assert_eq(ltx_encoder_page(enc, pgno, page, &e), 0, "%s", e.text);
    }
    cr_assert_eq(ltx_encoder_close(enc, 0, NULL, &e), 0, "%s", e.text);
    ltx_encoder_free(enc);
    cr_assert_eq(f.n, (size_t)RIG_FILE_SIZE, "%zu bytes", f.n);
}

void
rig_write_file(const char *path, uint64_t txid, unsigned variant)
{
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    uint8_t bytes[RIG_FILE_SIZE];
    char *dir = path_dir(path);
    struct err e;

    cr_assert_eq(sys_mkdirs(dir, &owner, &e), 0, "%s", e.text);
    fill(bytes, txid, variant);
    tmp_write(path, bytes, sizeof(bytes));
    mem_free(dir);
}

static const char *
local_path(uint64_t txid)
{
    static char path[4096];
    char name[LTX_NAME_SIZE];

    ltx_name_format(txid, txid, name);
    snprintf(path, sizeof(path), "%s/%s", rig.l0_dir, name);
    return path;
}

void
rig_make_local(uint64_t first, uint64_t last)
{
    for (uint64_t txid = first; txid <= last; txid++)
        rig_write_file(local_path(txid), txid, 0);
}

void
rig_add(uint64_t txid)
{
    rig_make_local(txid, txid);
    replica_set_target(rig.dest[0].r, txid);
}

const char *
rig_dest_path(unsigned i, int level, uint64_t min, uint64_t max)
{
    static char path[4096];
    char name[LTX_NAME_SIZE];

    ltx_name_format(min, max, name);
    snprintf(path, sizeof(path), "%s/replica%u/ltx/%d/%s", tmp_dir(), i, level, name);
    return path;
}

enum rig_found
rig_find(unsigned i, uint64_t txid)
{
    size_t size = 0;
    uint8_t right[RIG_FILE_SIZE];
    uint8_t *bytes = tmp_read(rig_dest_path(i, 0, txid, txid), &size);
    enum rig_found found = RIG_ABSENT;

    fill(right, txid, 0);
    if (bytes != NULL)
        found = size == sizeof(right) && memcmp(bytes, right, size) == 0 ? RIG_LOCAL
                                                                         : RIG_OTHER;
    free(bytes);
    return found;
}

bool
rig_holds_just(unsigned i, uint64_t first, uint64_t last)
{
    char *dir = path_dir(rig_dest_path(i, 0, 1, 1));
    DIR *d = opendir(dir);
    uint64_t n = 0;
    bool good = true;

    mem_free(dir);
    while (d != NULL && (readdir(d)) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    for (uint64_t txid = first; txid <= last; txid++)
        good = good && rig_find(i, txid) == RIG_LOCAL;
    /* "." and ".." */
    return last < first ? n <= 2 : good && n - 2 == last - first + 1;
}
