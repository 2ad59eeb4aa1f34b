#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <uv.h>

#include "common/base/must.h"
#include "supervisor/watch/folders.h"
#include "test/unit/support/tmp.h"

#define PATIENCE_MS 10000

static uv_loop_t loop;
static uv_timer_t limit;
static struct folders *folders;

struct seen {
    unsigned n, n_own; /* with a name, of the folder itself */
    char last[64];
};

static void
on_event(void *arg, void *folder, const char *name)
{
    struct seen *s = folder;

    (void)arg;
    if (name == NULL) {
        s->n_own++;
        return;
    }
    s->n++;
    snprintf(s->last, sizeof(s->last), "%s", name);
}

static void
on_limit(uv_timer_t *h)
{
    (void)h;
    must(!"nothing happened");
}

static void
run_until(const unsigned *value, unsigned least)
{
    uv_update_time(&loop);
    uv_timer_start(&limit, on_limit, PATIENCE_MS, 0);
    while (*value < least)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&limit);
}

static void
set_up(void)
{
    struct folders_options options = { .loop = &loop, .event = on_event };

    cr_assert_eq(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &limit);
    folders = folders_new(&options);
}

static void
on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void
clean_up(void)
{
    bool closed = false;

    folders_free(folders, on_closed, &closed);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    must(closed && uv_loop_close(&loop) == 0);
}

TestSuite(folders, .init = set_up, .fini = clean_up);

static struct folder_watch *
watch(const char *path, struct seen *seen)
{
    struct folder_watch *w;
    struct err e;

    cr_assert_eq(folders_add(folders, path, seen, &w, &e), 0, "%s", e.text);
    return w;
}

Test(folders, tells_what_comes_and_goes_and_not_what_is_written)
{
    struct seen seen = { .n = 0 };
    struct folder_watch *w = watch(tmp_dir(), &seen);
    int fd = open(tmp_path("a"), O_CREAT | O_WRONLY, 0600);
    unsigned before;

    run_until(&seen.n, 1);
    cr_expect_str_eq(seen.last, "a");
    before = seen.n;
    for (int i = 0; i < 100; i++)
        cr_assert_eq(write(fd, "x", 1), 1);
    cr_assert_eq(mkdir(tmp_path("b"), 0700), 0); /* comes behind them */
    run_until(&seen.n, before + 1);
    cr_expect_str_eq(seen.last, "b");
    cr_expect_eq(seen.n, before + 1, "%u events", seen.n - before);
    close(fd);
    run_until(&seen.n, before + 2);
    cr_expect_str_eq(seen.last, "a", "closed after writing");
    cr_assert_eq(rename(tmp_path("a"), tmp_path("c")), 0);
    run_until(&seen.n, before + 4);
    cr_expect_str_eq(seen.last, "c");
    cr_assert_eq(unlink(tmp_path("c")), 0);
    run_until(&seen.n, before + 5);
    folders_remove(w);
}

Test(folders, one_folder_may_be_watched_by_many)
{
    struct seen seen[3] = { { .n = 0 } };
    struct folder_watch *w[3];

    for (int i = 0; i < 3; i++)
        w[i] = watch(tmp_dir(), &seen[i]);
    mkdir(tmp_path("1"), 0700);
    for (int i = 0; i < 3; i++)
        run_until(&seen[i].n, 1);
    folders_remove(w[0]);
    mkdir(tmp_path("2"), 0700);
    run_until(&seen[1].n, 2);
    run_until(&seen[2].n, 2);
    cr_expect_eq(seen[0].n, 1);
    folders_remove(w[2]);
    mkdir(tmp_path("3"), 0700);
    run_until(&seen[1].n, 3);
    cr_expect_eq(seen[2].n, 2);
    folders_remove(w[1]);
}

Test(folders, a_folder_that_goes_away_says_so_and_one_that_is_not_there_is_refused)
{
    struct seen seen = { .n = 0 };
    struct folder_watch *w;
    struct err e;

    mkdir(tmp_path("x"), 0700);
    w = watch(tmp_path("x"), &seen);
    rmdir(tmp_path("x"));
    run_until(&seen.n_own, 1);
    folders_remove(w);
    cr_expect_eq(folders_add(folders, tmp_path("x"), &seen, &w, &e), ERR_NOT_FOUND);
    cr_expect_null(w);
    tmp_write(tmp_path("file"), "x", 1);
    cr_expect_neq(folders_add(folders, tmp_path("file"), &seen, &w, &e), 0);
    cr_assert_eq(symlink(tmp_dir(), tmp_path("link")), 0);
    cr_expect_neq(folders_add(folders, tmp_path("link"), &seen, &w, &e), 0);
}
