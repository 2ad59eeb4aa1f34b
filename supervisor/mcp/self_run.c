#include "supervisor/mcp/self_run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "common/base/sys.h"

#define READ_BLOCK 65536

struct self_run {
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t limit;
    int64_t timeout_ms;
    self_run_done_cb *done;
    void *arg;
    struct buf text;
    char block[READ_BLOCK];
    char why[64];
    int status;
    bool exited, ended; /* its process; its output */
    unsigned n_open;    /* handles */
};

static void
on_closed(uv_handle_t *h)
{
    struct self_run *r = h->data;
    struct self_run_result res = { .status = r->status, .why = r->why };

    if (--r->n_open > 0)
        return;
    res.text = buf_str(&r->text);
    res.size = r->text.size;
    if (r->done != NULL)
        r->done(r->arg, &res);
    buf_deinit(&r->text);
    mem_free(r);
}

static void
close_all(struct self_run *r)
{
    uv_close((uv_handle_t *)&r->process, on_closed);
    uv_close((uv_handle_t *)&r->output, on_closed);
    uv_close((uv_handle_t *)&r->limit, on_closed);
}

/* What it left behind may hold the pipe open for ever: that is not waited for. */
static void
on_process_end(uv_process_t *p, int64_t status, int signum)
{
    struct self_run *r = container_of(p, struct self_run, process);

    r->exited = true;
    r->status = signum != 0 ? -1 : (int)status;
    if (r->why[0] == '\0' && signum != 0)
        snprintf(r->why, sizeof(r->why), "signal %d", signum);
    else if (r->why[0] == '\0')
        snprintf(r->why, sizeof(r->why), "exit status %d", r->status);
    if (r->ended)
        close_all(r);
}

static void
stop(struct self_run *r)
{
    if (!r->exited)
        uv_process_kill(&r->process, SIGKILL);
}

static void
on_limit(uv_timer_t *h)
{
    struct self_run *r = container_of(h, struct self_run, limit);

    snprintf(r->why, sizeof(r->why), "took longer than %lld s",
        (long long)(r->timeout_ms / 1000));
    stop(r);
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct self_run *r = h->data;

    (void)suggested;
    *buf = uv_buf_init(r->block, sizeof(r->block));
}

static void
on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct self_run *r = s->data;

    (void)buf;
    if (n > 0 && !buf_add(&r->text, r->block, (size_t)n)) {
        snprintf(r->why, sizeof(r->why), "said more than %zu bytes", r->text.limit);
        stop(r);
    }
    if (n >= 0)
        return;
    uv_read_stop(s);
    r->ended = true;
    if (r->exited)
        close_all(r);
}

/* The program that runs now, also when its file was replaced since. */
static int
spawn(struct self_run *r, const char *const *argv, int output)
{
    uv_stdio_container_t io[3] = { { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = output },
        { .flags = UV_INHERIT_FD, .data.fd = output } };
    uv_process_options_t options = {
        .exit_cb = on_process_end, .stdio = io, .stdio_count = 3
    };
    char path[4096];
    size_t size = sizeof(path);

#ifdef __linux__
    (void)size;
    snprintf(path, sizeof(path), "/proc/self/exe");
#else
    if (uv_exepath(path, &size) != 0)
        return UV_ENOENT;
#endif
    options.file = path;
    memcpy(&options.args, &argv, sizeof(argv)); /* it is not written to */
    return uv_spawn(r->output.loop, &r->process, &options);
}

int
self_run_start(uv_loop_t *loop, const char *const *argv, int64_t timeout_ms,
    self_run_done_cb *done, void *arg, struct self_run **out, struct err *e)
{
    struct self_run *r;
    int fds[2], rc;

    proc_must_be(PROC_SUPERVISOR | PROC_COMMAND);
    rc = uv_pipe(fds, UV_NONBLOCK_PIPE, 0);
    if (rc != 0)
        return err_set(e, ERR_LIMIT, "create a pipe: %s", uv_strerror(rc));
    r = MEM_NEW(struct self_run);
    r->timeout_ms = timeout_ms;
    buf_init(&r->text, SELF_RUN_OUTPUT_MAX);
    must(uv_pipe_init(loop, &r->output, 0) == 0);
    must(uv_timer_init(loop, &r->limit) == 0);
    must(uv_pipe_open(&r->output, fds[0]) == 0);
    r->output.data = r->process.data = r->limit.data = r;
    r->n_open = 3;
    rc = spawn(r, argv, fds[1]);
    r->process.data = r;
    sys_close(&fds[1]);
    if (rc != 0) {
        err_set(e, ERR_LIMIT, "start %s: %s", argv[1], uv_strerror(rc));
        close_all(r); /* nobody is told: there was nothing to run */
        return err_code(e);
    }
    r->done = done;
    r->arg = arg;
    uv_timer_start(&r->limit, on_limit, (uint64_t)timeout_ms, 0);
    uv_read_start((uv_stream_t *)&r->output, on_alloc, on_output);
    *out = r;
    return 0;
}

void
self_run_kill(struct self_run *r)
{
    if (r == NULL)
        return;
    if (r->why[0] == '\0')
        snprintf(r->why, sizeof(r->why), "cancelled");
    stop(r);
}
