#include "common/ltx/ltx_name.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

void
ltx_txid_format(uint64_t txid, char out[LTX_TXID_SIZE])
{
    snprintf(out, LTX_TXID_SIZE, "%016llx", (unsigned long long)txid);
}

static int
hex_digit(char c, bool upper)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (upper && c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool
parse_hex16(const char *text, bool upper, uint64_t *v)
{
    uint64_t value = 0;

    for (int i = 0; i < 16; i++) {
        int digit = hex_digit(text[i], upper);

        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *v = value;
    return true;
}

int
ltx_txid_parse(const char *text, uint64_t *txid, struct err *e)
{
    if (strlen(text) != 16)
        return err_set(
            e, ERR_USAGE, "invalid formatted transaction id length: \"%s\"", text);
    if (!parse_hex16(text, true, txid))
        return err_set(e, ERR_USAGE, "invalid transaction id format: \"%s\"", text);
    return 0;
}

void
ltx_name_format(uint64_t min_txid, uint64_t max_txid, char out[LTX_NAME_SIZE])
{
    snprintf(out, LTX_NAME_SIZE, "%016llx-%016llx.ltx", (unsigned long long)min_txid,
        (unsigned long long)max_txid);
}

bool
ltx_name_parse(const char *name, uint64_t *min_txid, uint64_t *max_txid)
{
    return strlen(name) == LTX_NAME_SIZE - 1 && name[16] == '-' &&
           strcmp(name + 33, ".ltx") == 0 && parse_hex16(name, false, min_txid) &&
           parse_hex16(name + 17, false, max_txid);
}

char *
ltx_level_path(const char *root, int level)
{
    return mem_printf("%s/ltx/%d", root, level);
}

char *
ltx_file_path(const char *root, int level, uint64_t min_txid, uint64_t max_txid)
{
    char name[LTX_NAME_SIZE];

    ltx_name_format(min_txid, max_txid, name);
    return mem_printf("%s/ltx/%d/%s", root, level, name);
}

int
ltx_info_cmp(const void *a, const void *b)
{
    const struct ltx_info *x = a, *y = b;

    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->min_txid != y->min_txid)
        return x->min_txid < y->min_txid ? -1 : 1;
    return (x->max_txid > y->max_txid) - (x->max_txid < y->max_txid);
}

bool
ltx_contiguous(uint64_t prev_max, uint64_t next_min, uint64_t next_max)
{
    /* prev_max + 1 may wrap; then nothing can follow, as next_max > prev_max tells */
    return next_max > prev_max && next_min <= prev_max + 1;
}
