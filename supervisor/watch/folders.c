#include "supervisor/watch/folders.h"

#include <errno.h>
#include <search.h>
#include <string.h>
#include <unistd.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"

static int
no_watch(struct err *e, const char *path, int sys_errno)
{
    err_errno(e, sys_errno, "watch folder %s", path);
    if (sys_errno == ENOSPC || sys_errno == ENOMEM || sys_errno == EMFILE) {
        e->code = ERR_LIMIT;
        err_hint(
            e, "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances");
    }
    return (int)e->code;
}

#ifdef __linux__

#include <limits.h>
#include <sys/inotify.h>

#define EVENTS                                                                           \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE |              \
        IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

/* The kernel gives one watch for one folder, however many want it. */
struct folder_watch {
    int wd;
    struct folders *of;
    void *folder;
    struct folder_watch *next; /* of the same wd; the first is in the tree */
};

struct folders {
    struct folders_options opt;
    int fd; /* -1: there is none */
    int open_errno;
    uv_poll_t poll;
    void *by_wd; /* tsearch tree of struct folder_watch */
    void (*closed)(void *arg);
    void *closed_arg;
};

static int
compare(const void *a, const void *b)
{
    const struct folder_watch *x = a, *y = b;

    return (x->wd > y->wd) - (x->wd < y->wd);
}

static void
take_event(struct folders *f, const struct inotify_event *ev)
{
    struct folder_watch key = { .wd = ev->wd }, **found;

    if ((ev->mask & IN_Q_OVERFLOW) != 0) {
        f->opt.lost(f->opt.arg);
        return;
    }
    found = tfind(&key, &f->by_wd, compare);
    for (struct folder_watch *w = found != NULL ? *found : NULL; w != NULL; w = w->next)
        f->opt.event(f->opt.arg, w->folder, ev->len > 0 ? ev->name : NULL);
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
    struct folders *f = container_of(h, struct folders, poll);
    _Alignas(struct inotify_event) char bytes[8192];
    ssize_t n;

    (void)status;
    (void)events;
    while ((n = read(f->fd, bytes, sizeof(bytes))) > 0)
        for (ssize_t at = 0; at < n;) {
            struct inotify_event ev;

            memcpy(&ev, bytes + at, sizeof(ev));
            take_event(f, (const struct inotify_event *)(const void *)(bytes + at));
            at += (ssize_t)(sizeof(ev) + ev.len);
        }
}

struct folders *
folders_new(const struct folders_options *options)
{
    struct folders *f = MEM_NEW(struct folders);

    f->opt = *options;
    f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    f->open_errno = f->fd < 0 ? errno : 0;
    if (f->fd < 0)
        return f;
    must(uv_poll_init(f->opt.loop, &f->poll, f->fd) == 0);
    must(uv_poll_start(&f->poll, UV_READABLE, on_readable) == 0);
    return f;
}

int
folders_add(struct folders *f, const char *path, void *folder, struct folder_watch **out,
    struct err *e)
{
    struct folder_watch *w, **found;
    int wd;

    *out = NULL;
    if (f->fd < 0)
        return no_watch(e, path, f->open_errno);
    wd = inotify_add_watch(f->fd, path, EVENTS);
    if (wd < 0)
        return no_watch(e, path, errno);
    w = MEM_NEW(struct folder_watch);
    *w = (struct folder_watch){ .wd = wd, .of = f, .folder = folder };
    found = tsearch(w, &f->by_wd, compare);
    if (found == NULL) {
        mem_free(w);
        return err_set(e, ERR_MEMORY, "watch folder %s: no memory", path);
    }
    if (*found != w) {
        w->next = (*found)->next;
        (*found)->next = w;
    }
    *out = w;
    return 0;
}

/* The next of its wd takes the place in the tree. */
static void
remove_first(struct folder_watch **first)
{
    struct folder_watch *w = *first;

    if (w->next != NULL) {
        *first = w->next;
        return;
    }
    tdelete(w, &w->of->by_wd, compare);
    inotify_rm_watch(w->of->fd, w->wd); /* fails when the folder is gone */
}

void
folders_remove(struct folder_watch *w)
{
    struct folder_watch **found, **at;

    if (w == NULL)
        return;
    found = tfind(w, &w->of->by_wd, compare);
    must(found != NULL);
    for (at = found; *at != w; at = &(*at)->next)
        must(*at != NULL);
    if (at == found)
        remove_first(found);
    else
        *at = w->next;
    mem_free(w);
}

static void
on_closed(uv_handle_t *h)
{
    struct folders *f = container_of(h, struct folders, poll);

    if (f->fd >= 0)
        close(f->fd);
    if (f->closed != NULL)
        f->closed(f->closed_arg);
    mem_free(f);
}

void
folders_free(struct folders *f, void (*closed)(void *arg), void *arg)
{
    must(f->by_wd == NULL);
    f->closed = closed;
    f->closed_arg = arg;
    if (f->fd < 0) /* something of the loop to come back from */
        must(uv_idle_init(f->opt.loop, (uv_idle_t *)(void *)&f->poll) == 0);
    uv_close((uv_handle_t *)&f->poll, on_closed);
}

#else /* the watches of libuv */

struct folders {
    struct folders_options opt;
    uv_idle_t last; /* only closed */
    size_t n;
    bool last_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct folder_watch {
    uv_fs_event_t handle;
    struct folders *of;
    void *folder;
};

static void
on_event(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct folder_watch *w = container_of(h, struct folder_watch, handle);

    (void)events;
    w->of->opt.event(w->of->opt.arg, w->folder, status == 0 ? name : NULL);
}

struct folders *
folders_new(const struct folders_options *options)
{
    struct folders *f = MEM_NEW(struct folders);

    f->opt = *options;
    must(uv_idle_init(f->opt.loop, &f->last) == 0);
    return f;
}

static void
finish(struct folders *f)
{
    if (f->n > 0 || !f->last_closed)
        return;
    if (f->closed != NULL)
        f->closed(f->closed_arg);
    mem_free(f);
}

static void
on_watch_closed(uv_handle_t *h)
{
    struct folder_watch *w = container_of(h, struct folder_watch, handle);
    struct folders *f = w->of;

    mem_free(w);
    f->n--;
    finish(f);
}

int
folders_add(struct folders *f, const char *path, void *folder, struct folder_watch **out,
    struct err *e)
{
    struct folder_watch *w = MEM_NEW(struct folder_watch);
    int rc;

    *out = NULL;
    w->of = f;
    w->folder = folder;
    f->n++;
    must(uv_fs_event_init(f->opt.loop, &w->handle) == 0);
    rc = uv_fs_event_start(&w->handle, on_event, path, 0);
    if (rc == 0) {
        *out = w;
        return 0;
    }
    folders_remove(w);
    return no_watch(e, path, -rc);
}

void
folders_remove(struct folder_watch *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

static void
on_closed(uv_handle_t *h)
{
    struct folders *f = container_of(h, struct folders, last);

    f->last_closed = true;
    finish(f);
}

void
folders_free(struct folders *f, void (*closed)(void *arg), void *arg)
{
    f->closed = closed;
    f->closed_arg = arg;
    uv_close((uv_handle_t *)&f->last, on_closed);
}

#endif
