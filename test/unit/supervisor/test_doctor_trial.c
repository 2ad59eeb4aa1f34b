#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/rand.h"
#include "common/base/sys.h"
#include "supervisor/doctor/trial.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

/* A trial of a file replica. */
struct rig {
    uv_loop_t loop;
    struct cfg_replica *cfg;
    struct doctor_trial *trial;
    struct doctor_replica out;
    bool done, ended;
};

static void
on_done(void *arg, bool ended)
{
    struct rig *r = arg;

    cr_assert_not(r->done);
    r->done = true;
    r->ended = ended;
}

static void
start(struct rig *r, const char *folder, int64_t step_ms)
{
    struct doctor_trial_options opt = { .step_ms = step_ms, .done = on_done, .arg = r };
    char *url = mem_printf("file://%s", folder);
    struct err e;

    *r = (struct rig){ 0 };
    rand_seed();
    cr_assert_eq(cfg_replica_from_url(url, NULL, &r->cfg, &e), 0, "%s", e.text);
    mem_free(url);
    cr_assert_eq(uv_loop_init(&r->loop), 0);
    r->trial = doctor_trial_start(&r->loop, r->cfg, &opt, &r->out);
    cr_assert_not(r->done, "nothing is said inside of the call");
}

static void
finish(struct rig *r)
{
    while (!r->done)
        cr_assert(uv_run(&r->loop, UV_RUN_ONCE) != 0 || r->done, "it never ended");
    cr_assert(r->ended);
    doctor_trial_free(r->trial);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&r->loop), 0, "a handle is left");
    cfg_replica_free(r->cfg);
}

static size_t
entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    cr_assert_not_null(dir, "%s", folder);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 2;
}

/* An LTX file of the replica, as far as its name goes. */
static const char *
add_file(const char *folder, int level, const char *name)
{
    char *name_there = mem_printf("%s/ltx/%d/%s", path_base(folder), level, name);
    const char *path = tmp_path(name_there);
    char *dir = path_dir(path);
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    struct err e;

    cr_assert_eq(sys_mkdirs(dir, &owner, &e), 0, "%s", e.text);
    tmp_write(path, "kept", 4);
    mem_free(dir);
    mem_free(name_there);
    return path;
}

#define ONE "0000000000000001-0000000000000001.ltx"
#define TWO "0000000000000002-0000000000000002.ltx"

Test(doctor_trial, finds_all_well_and_leaves_the_replica_as_it_was)
{
    const char *folder = tmp_path("r");
    const char *files[] = { add_file(folder, 0, ONE), add_file(folder, 0, TWO),
        add_file(folder, 9, ONE) };
    struct rig r;

    start(&r, folder, 60000);
    finish(&r);
    cr_expect_eq(r.out.list.code, ERR_OK, "%s", r.out.list.text);
    cr_expect_eq(r.out.put.code, ERR_OK, "%s", r.out.put.text);
    cr_expect_eq(r.out.again.code, ERR_EXISTS, "%s", r.out.again.text);
    cr_expect_eq(r.out.get.code, ERR_OK, "%s", r.out.get.text);
    cr_expect_eq(r.out.find.code, ERR_OK, "%s", r.out.find.text);
    cr_expect_eq(r.out.del.code, ERR_OK, "%s", r.out.del.text);
    cr_expect_eq(r.out.clean.code, ERR_OK, "%s", r.out.clean.text);
    cr_expect(r.out.same && r.out.found && r.out.gone);
    cr_expect_eq(r.out.n_files, 3);
    cr_expect_eq(r.out.n_snapshots, 1);
    cr_expect_gt(r.out.newest.sec, 1700000000);
    cr_expect(r.out.space.known);
    cr_expect_eq(entries(folder), 1, "only ltx");
    for (size_t i = 0; i < 3; i++) {
        size_t n = 0;
        uint8_t *bytes = tmp_read(files[i], &n);

        cr_expect(n == 4 && memcmp(bytes, "kept", 4) == 0, "%s", files[i]);
        free(bytes);
    }
}

Test(doctor_trial, folders_that_it_made_are_removed)
{
    struct rig r;

    start(&r, tmp_path("a/b/c"), 60000);
    finish(&r);
    cr_expect_eq(r.out.del.code, ERR_OK, "%s", r.out.del.text);
    cr_expect_not(tmp_exists(tmp_path("a")));
    cr_expect_eq(mkdir(tmp_path("a"), 0700), 0);
    start(&r, tmp_path("a"), 60000);
    finish(&r);
    cr_expect(tmp_exists(tmp_path("a")), "it was there before");
}

/* It may be asked at any moment. */
Test(doctor_trial, leaves_nothing_when_it_is_stopped)
{
    const char *folder = tmp_path("r");
    bool went_through = false;

    add_file(folder, 0, ONE);
    for (int turns = 0; !went_through; turns++) {
        struct rig r;

        cr_assert_lt(turns, 1000);
        start(&r, folder, 60000);
        for (int i = 0; i < turns && !r.done; i++)
            uv_run(&r.loop, UV_RUN_ONCE);
        went_through = r.done;
        if (!r.done)
            doctor_trial_stop(r.trial);
        finish(&r);
        cr_assert_eq(entries(folder), 1, "after %d turns", turns);
    }
}

static bool
all_well(const struct doctor_replica *out)
{
    return out->list.code == ERR_OK && out->put.code == ERR_OK &&
           out->again.code == ERR_EXISTS && out->get.code == ERR_OK &&
           out->find.code == ERR_OK && out->del.code == ERR_OK &&
           out->clean.code == ERR_OK && out->same && out->found && out->gone;
}

/* Whatever fails: nearly every fault is told, and nothing is left. */
Test(doctor_trial, tells_faults_and_tidies_up_after_them)
{
    const char *folder = tmp_path("r");
    int n = 0, n_told = 0;

    add_file(folder, 0, ONE);
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        struct rig r;

        start(&r, folder, 60000);
        finish(&r);
        n++;
        n_told += !all_well(&r.out);
        cr_expect_eq(entries(folder), 1, "call %d", nth);
        cr_expect(tmp_exists(tmp_path("r/ltx/0/" ONE)));
    }
    fault_off();
    cr_expect_gt(n, 20);
    cr_expect_gt(n_told, n / 2, "%d of %d", n_told, n);
}

/* --- a disk that hangs ---------------------------------------------------------------
 */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int
hanging_fsync(int fd)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return sys_posix.fsync(fd);
}

Test(doctor_trial, does_not_wait_for_a_call_that_does_not_end)
{
    static struct rig r; /* stays in use */
    static struct sys_ops hanging;

    hanging = sys_posix;
    hanging.fsync = hanging_fsync;
    sys = &hanging;
    pthread_mutex_lock(&gate);
    start(&r, tmp_path("r"), 200);
    while (!r.done)
        uv_run(&r.loop, UV_RUN_ONCE);
    cr_expect_not(r.ended);
    cr_expect_eq(r.out.put.code, ERR_TIMEOUT, "%s", r.out.put.text);
    cr_expect_eq(r.out.get.code, ERR_CANCELLED);
    /* A late answer changes nothing. */
    pthread_mutex_unlock(&gate);
    uv_run(&r.loop, UV_RUN_ONCE);
    cr_expect_eq(r.out.put.code, ERR_TIMEOUT);
}
