#include "common/base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define MODE 0640

static char *name;
static int file = -1;

static int
open_again(const char *path, int *fd, struct err *e)
{
    int rc;

    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, MODE);
    if (*fd >= 0)
        return 0;
    rc = err_errno(e, errno, "open log file %s", path);
    err_hint(e, "name a file in a folder that exists and may be written to");
    return rc;
}

int
log_file_use(const char *path, struct err *e)
{
    struct log_options options = *log_options();
    int rc = open_again(path, &file, e);

    if (rc != 0)
        return rc;
    mem_free(name);
    name = mem_strdup(path);
    options.fd = file;
    log_setup(&options);
    return 0;
}

int
log_file_reopen(struct err *e)
{
    int fd, rc;

    if (file < 0)
        return 0;
    rc = open_again(name, &fd, e);
    if (rc != 0)
        return rc;
    if (dup2(fd, file) < 0) /* what is in its place is closed in the same step */
        rc = err_errno(e, errno, "use log file %s", name);
    else
        fcntl(file, F_SETFD, FD_CLOEXEC);
    close(fd);
    return rc;
}

int
log_file_fd(void)
{
    return file;
}
