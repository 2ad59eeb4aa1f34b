#include "workers/sync/db_id.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/path.h"

#define NAME ".database"
#define TEXT_MAX 128

struct db_id
db_id_of(int fd)
{
    struct db_id id = { 0 };
    struct stat st;
#ifdef STATX_BTIME /* Linux */
    struct statx x;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) == 0 &&
        (x.stx_mask & STATX_BTIME) != 0) {
        id.born_s = x.stx_btime.tv_sec;
        id.born_ns = x.stx_btime.tv_nsec;
    }
#endif
    if (fstat(fd, &st) != 0)
        return (struct db_id){ 0 };
    id.inode = st.st_ino;
    return id;
}

bool
db_id_equal(const struct db_id *a, const struct db_id *b)
{
    return a->inode == b->inode && a->born_s == b->born_s && a->born_ns == b->born_ns;
}

bool
db_id_may_be(const struct db_id *a, const struct db_id *b)
{
    if (a->inode == 0 || b->inode == 0)
        return true;
    if (a->inode != b->inode)
        return false;
    return a->born_s == 0 || b->born_s == 0 ||
           (a->born_s == b->born_s && a->born_ns == b->born_ns);
}

static bool
take(const char **at, const char *word, uint64_t *number)
{
    size_t n = strlen(word);
    char *end;

    if (strncmp(*at, word, n) != 0 || !isdigit((unsigned char)(*at)[n]))
        return false;
    errno = 0;
    *number = strtoull(*at + n, &end, 10);
    *at = end;
    return errno == 0;
}

static bool
parse(const char *text, struct db_id *id)
{
    uint64_t s, ns;

    if (!take(&text, "inode ", &id->inode) || !take(&text, " born ", &s) ||
        !take(&text, ".", &ns) || strcmp(text, "\n") != 0 || s > INT64_MAX ||
        ns > UINT32_MAX)
        return false;
    id->born_s = (int64_t)s;
    id->born_ns = (uint32_t)ns;
    return true;
}

int
db_id_load(const char *meta, struct db_id *id, struct err *e)
{
    char *path = path_join(meta, NAME);
    char text[TEXT_MAX] = "";
    struct db_id got = { 0 };
    size_t n;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    *id = (struct db_id){ 0 };
    if (rc == 0)
        rc = sys_pread(fd, text, sizeof(text) - 1, 0, &n, e);
    sys_close(&fd);
    mem_free(path);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    if (parse(text, &got))
        *id = got;
    return 0;
}

int
db_id_store(const char *meta, const struct sys_owner *owner, const struct db_id *id,
    struct err *e)
{
    char *path = path_join(meta, NAME);
    char *tmp = path_join(meta, NAME ".tmp");
    char text[TEXT_MAX];
    int fd = -1;
    int n =
        snprintf(text, sizeof(text), "inode %" PRIu64 " born %" PRId64 ".%09" PRIu32 "\n",
            id->inode, id->born_s, id->born_ns);
    int rc = sys_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, owner->file_mode, &fd, e);

    if (rc == 0)
        rc = sys_write_all(fd, text, (size_t)n, e);
    sys_close(&fd);
    if (rc == 0 && sys->rename(tmp, path) != 0)
        rc = err_errno(e, errno, "rename %s", tmp);
    if (rc != 0)
        sys->unlink(tmp);
    mem_free(tmp);
    mem_free(path);
    return rc;
}
