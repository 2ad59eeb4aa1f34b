/* Linux only: copy_file_range(2). Elsewhere everything goes by read and write. */
#include "drivers/file/copy.h"

#ifdef __linux__

#include <errno.h>
#include <unistd.h>

#define COPY_STEP ((size_t)8 << 20)

int
copy_in_kernel(int from, int64_t off, int to, int64_t *done, const struct cancel *cancel,
    struct err *e)
{
    for (;;) {
        off_t in = off + *done, out = *done;
        ssize_t n;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        n = copy_file_range(from, &in, to, &out, COPY_STEP, 0);
        if (n == 0)
            return 0;
        if (n > 0) {
            *done += n;
        } else if (errno == EXDEV || errno == ENOSYS || errno == EINVAL ||
                   errno == EOPNOTSUPP || errno == EPERM || errno == EBADF) {
            return err_set(e, ERR_UNSUPPORTED, "no copy in the kernel");
        } else if (errno != EINTR) {
            return err_errno(e, errno, "copy");
        }
    }
}

#else

int
copy_in_kernel(int from, int64_t off, int to, int64_t *done, const struct cancel *cancel,
    struct err *e)
{
    (void)from;
    (void)off;
    (void)to;
    (void)done;
    (void)cancel;
    return err_set(e, ERR_UNSUPPORTED, "no copy in the kernel");
}

#endif
