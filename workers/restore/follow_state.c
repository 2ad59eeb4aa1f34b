#include "workers/restore/follow_state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"
#include "common/ltx/ltx_name.h"

#define AT_MODES 18
#define AT_COUNTER 24
#define AT_VALID_FOR 92

#define TXID_FILE_MAX 64 /* 17 bytes and some white space */

/* --- the mark -------------------------------------------------------------------------
 */

static uint32_t
hash_of(uint64_t txid)
{
    uint32_t h = (uint32_t)((txid + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 32);

    return h != (uint32_t)txid ? h : ~h;
}

void
follow_mark_set(uint8_t *page, uint64_t txid)
{
    page[AT_MODES] = page[AT_MODES + 1] = 1;
    ltx_put_u32(page + AT_COUNTER, (uint32_t)txid);
    ltx_put_u32(page + AT_VALID_FOR, hash_of(txid));
}

enum follow_mark
follow_mark_get(const uint8_t *page, uint64_t near, uint64_t *txid)
{
    uint32_t counter = ltx_get_u32(page + AT_COUNTER);
    uint32_t valid_for = ltx_get_u32(page + AT_VALID_FOR);
    /* the number with these low bits that is nearest */
    uint64_t found = near + (uint64_t)(int64_t)(int32_t)(counter - (uint32_t)near);
    bool rollback_mode = page[AT_MODES] == 1 && page[AT_MODES + 1] == 1;

    if (rollback_mode && valid_for == hash_of(found)) {
        *txid = found;
        return FOLLOW_MARK_OURS;
    }
    return rollback_mode && counter == valid_for ? FOLLOW_MARK_WRITER : FOLLOW_MARK_NONE;
}

/* --- the file -------------------------------------------------------------------------
 */

static int
parse(char *text, size_t n, uint64_t *txid, struct err *e)
{
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return ltx_txid_parse(text, txid, e) == 0 ? 0 : err_wrap(e, "parse txid file");
}

int
follow_txid_read(const char *output, uint64_t *txid, struct err *e)
{
    char *path = mem_printf("%s-txid", output);
    char text[TXID_FILE_MAX + 1];
    size_t n = 0;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    *txid = 0;
    mem_free(path);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = sys_read(fd, text, TXID_FILE_MAX, &n, e);
    sys_close(&fd);
    return rc == 0 ? parse(text, n, txid, e) : rc;
}

static int
write_tmp(const char *tmp, const char *text, size_t n, struct err *e)
{
    int fd = -1;
    int rc = sys_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0666, &fd, e);

    if (rc == 0)
        rc = sys_write_all(fd, text, n, e);
    if (rc == 0 && sys->fsync(fd) != 0)
        rc = err_errno(e, errno, "sync %s", tmp);
    sys_close(&fd);
    return rc;
}

int
follow_txid_write(const char *output, uint64_t txid, struct err *e)
{
    char *path = mem_printf("%s-txid", output);
    char *tmp = mem_printf("%s.tmp", path);
    char text[LTX_TXID_SIZE + 1];
    struct err ignored;
    int rc;

    ltx_txid_format(txid, text);
    text[LTX_TXID_SIZE - 1] = '\n';
    rc = write_tmp(tmp, text, LTX_TXID_SIZE, e);
    if (rc == 0)
        rc = sys_publish(tmp, path, e);
    if (rc != 0) {
        sys_remove(tmp, &ignored);
        err_wrap(e, "write txid file");
    }
    mem_free(tmp);
    mem_free(path);
    return rc;
}
