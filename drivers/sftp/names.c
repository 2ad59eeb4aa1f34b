#include "drivers/sftp/names.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"

char *
sftp_tmp_path(const char *path)
{
    struct wall now = wall_now();

    return mem_printf(
        "%s.%ld.%lld%09d.tmp", path, (long)getpid(), (long long)now.sec, (int)now.nsec);
}

/* The text behind ".DIGITS", NULL when that is not there. */
static const char *
skip_number(const char *text)
{
    size_t n;

    if (text == NULL || text[0] != '.')
        return NULL;
    n = strspn(text + 1, "0123456789");
    return n > 0 ? text + 1 + n : NULL;
}

bool
sftp_tmp_name_is_ours(const char *name)
{
    char whole[LTX_NAME_SIZE];
    uint64_t min, max;
    const char *rest;

    if (strlen(name) < LTX_NAME_SIZE)
        return false;
    memcpy(whole, name, LTX_NAME_SIZE - 1);
    whole[LTX_NAME_SIZE - 1] = '\0';
    rest = skip_number(skip_number(name + LTX_NAME_SIZE - 1));
    return ltx_name_parse(whole, &min, &max) && rest != NULL && strcmp(rest, ".tmp") == 0;
}
