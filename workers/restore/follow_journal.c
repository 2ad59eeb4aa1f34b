#include "workers/restore/follow_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"

#define SECTOR 512
#define AT_COUNT 8
#define BUFFER ((size_t)128 << 10)
#define CHECKSUM_STEP 200

static const uint8_t magic[8] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };

struct follow_journal {
    char *path;
    int fd;
    uint32_t page_size, nonce, n_records;
    int64_t size; /* bytes in the file */
    uint8_t *buf; /* behind them; room for BUFFER bytes and one record */
    size_t filled;
};

int
follow_journal_is_hot(const char *path, bool *hot, struct err *e)
{
    uint8_t first = 0;
    size_t got = 0;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    *hot = false;
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = sys_read(fd, &first, 1, &got, e);
    sys_close(&fd);
    *hot = rc == 0 && got == 1 && first != 0;
    return rc;
}

static int
flush(struct follow_journal *j, struct err *e)
{
    int rc = sys_pwrite_all(j->fd, j->buf, j->filled, j->size, e);

    if (rc != 0)
        return err_wrap(e, "write journal");
    j->size += (int64_t)j->filled;
    j->filled = 0;
    return 0;
}

static void
put_header(struct follow_journal *j, uint32_t n_pages)
{
    memcpy(j->buf, magic, sizeof(magic));
    ltx_put_u32(j->buf + 12, j->nonce);
    ltx_put_u32(j->buf + 16, n_pages);
    ltx_put_u32(j->buf + 20, SECTOR);
    ltx_put_u32(j->buf + 24, j->page_size);
    j->filled = SECTOR;
}

int
follow_journal_create(const char *path, const struct stat *like, uint32_t page_size,
    uint32_t n_pages, struct follow_journal **out, struct err *e)
{
    struct follow_journal *j;
    int fd = -1;
    int rc = sys_remove(path, e);

    if (rc == 0)
        rc = sys_open(path, O_RDWR | O_CREAT | O_EXCL, like->st_mode & 0777, &fd, e);
    if (rc != 0)
        return err_wrap(e, "create journal");
    if (fchmod(fd, like->st_mode & 0777) != 0 ||
        fchown(fd, like->st_uid, like->st_gid) != 0) {
        /* best effort, as in SQLite: only root can give files away */
    }
    j = MEM_NEW(struct follow_journal);
    j->path = mem_strdup(path);
    j->fd = fd;
    j->page_size = page_size;
    j->nonce = (uint32_t)rand_u64();
    j->buf = mem_new(BUFFER + page_size + 8);
    put_header(j, n_pages);
    *out = j;
    return 0;
}

static uint32_t
checksum(const struct follow_journal *j, const uint8_t *page)
{
    uint32_t sum = j->nonce;

    for (int64_t i = (int64_t)j->page_size - CHECKSUM_STEP; i > 0; i -= CHECKSUM_STEP)
        sum += page[i];
    return sum;
}

int
follow_journal_add(
    struct follow_journal *j, uint32_t pgno, const void *page, struct err *e)
{
    uint8_t *at = j->buf + j->filled;

    ltx_put_u32(at, pgno);
    memcpy(at + 4, page, j->page_size);
    ltx_put_u32(at + 4 + j->page_size, checksum(j, page));
    j->filled += (size_t)j->page_size + 8;
    j->n_records++;
    return j->filled >= BUFFER ? flush(j, e) : 0;
}

/* The number comes last: a journal with one is complete, whatever the disk did before. */
int
follow_journal_seal(struct follow_journal *j, struct err *e)
{
    uint8_t count[4];
    int rc = flush(j, e);

    if (rc != 0)
        return rc;
    if (sys->fsync(j->fd) != 0)
        return err_errno(e, errno, "sync journal");
    ltx_put_u32(count, j->n_records);
    rc = sys_pwrite_all(j->fd, count, sizeof(count), AT_COUNT, e);
    if (rc == 0 && sys->fsync(j->fd) != 0)
        rc = err_errno(e, errno, "sync journal");
    return rc == 0 ? sys_sync_parent(j->path, e) : rc;
}

int
follow_journal_remove(struct follow_journal *j, struct err *e)
{
    int rc = sys_remove(j->path, e);

    return rc == 0 ? sys_sync_parent(j->path, e) : rc;
}

void
follow_journal_free(struct follow_journal *j)
{
    if (j == NULL)
        return;
    sys_close(&j->fd);
    mem_free(j->path);
    mem_free(j->buf);
    mem_free(j);
}
