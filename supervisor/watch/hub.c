#include "supervisor/watch/hub.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/container.h"

#define OWN_MAX 64

static void
on_event(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct hub_watch *w = container_of(h, struct hub_watch, handle);

    (void)name;
    (void)events;
    (void)status; /* an error means: look */
    uv_fs_event_stop(h);
    w->fired(w);
}

bool
hub_arm(struct hub_watch *w, uv_loop_t *loop, const char *path,
    void (*fired)(struct hub_watch *w))
{
    if (!w->open)
        uv_fs_event_init(loop, &w->handle);
    else
        uv_fs_event_stop(&w->handle);
    w->open = true;
    w->fired = fired;
    return uv_fs_event_start(&w->handle, on_event, path, 0) == 0;
}

void
hub_disarm(struct hub_watch *w)
{
    if (w->open)
        uv_fs_event_stop(&w->handle);
}

static void
on_closed(uv_handle_t *h)
{
    struct hub_watch *w = container_of(h, struct hub_watch, handle);

    if (w->closed != NULL)
        w->closed(w);
}

bool
hub_close(struct hub_watch *w, void (*closed)(struct hub_watch *w))
{
    if (!w->open)
        return false;
    w->closed = closed;
    uv_close((uv_handle_t *)&w->handle, on_closed);
    return true;
}

unsigned
hub_own_budget(void)
{
    const char *text = getenv("LITESTREAM_INOTIFY_BUDGET");
    char line[32];
    unsigned limit;
    FILE *f;

    if (text != NULL && text[0] != '\0')
        return (unsigned)strtoul(text, NULL, 10);
    /* Linux; elsewhere there is no such limit */
    f = fopen("/proc/sys/fs/inotify/max_user_instances", "re");
    if (f == NULL)
        return OWN_MAX;
    limit = fgets(line, sizeof(line), f) != NULL ? (unsigned)strtoul(line, NULL, 10) : 0;
    fclose(f);
    return limit / 2 < OWN_MAX ? limit / 2 : OWN_MAX;
}
