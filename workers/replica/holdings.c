#include "workers/replica/holdings.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/ltx/ltx_name.h"

#define CAP_MIN 16

struct holdings {
    struct ltx_info newest[LTX_N_LEVELS];
    struct ltx_info *l0; /* sorted */
    size_t n_l0, cap_l0;
    size_t n_lost; /* came while the array was full, and are not known to be removed */
    uint64_t lost_first, lost_last; /* their TXIDs lie in this range */
};

struct holdings *
holdings_new(void)
{
    return MEM_NEW(struct holdings);
}

void
holdings_free(struct holdings *h)
{
    if (h == NULL)
        return;
    mem_free(h->l0);
    mem_free(h);
}

void
holdings_clear(struct holdings *h)
{
    mem_free(h->l0);
    *h = (struct holdings){ 0 };
}

const struct ltx_info *
holdings_newest(const struct holdings *h, int level)
{
    must(level >= 0 && level < LTX_N_LEVELS);
    return &h->newest[level];
}

const struct ltx_info *
holdings_l0(const struct holdings *h, size_t *n)
{
    *n = h->n_l0;
    return h->l0;
}

bool
holdings_l0_cut(const struct holdings *h)
{
    return h->n_lost > 0;
}

/* Where info is, or has its place. Nearly always at one of the two ends. */
static size_t
place_of(const struct holdings *h, const struct ltx_info *info)
{
    size_t low = 0, high = h->n_l0;

    if (high == 0 || ltx_info_cmp(&h->l0[high - 1], info) < 0)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (ltx_info_cmp(&h->l0[mid], info) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool
is_at(const struct holdings *h, size_t at, const struct ltx_info *info)
{
    return at < h->n_l0 && ltx_info_cmp(&h->l0[at], info) == 0;
}

static void
lose(struct holdings *h, const struct ltx_info *info)
{
    if (h->n_lost == 0 || info->min_txid < h->lost_first)
        h->lost_first = info->min_txid;
    if (h->n_lost == 0 || info->max_txid > h->lost_last)
        h->lost_last = info->max_txid;
    h->n_lost++;
}

static void
add_l0(struct holdings *h, const struct ltx_info *info)
{
    size_t at = place_of(h, info);

    if (is_at(h, at, info)) {
        h->l0[at] = *info;
        return;
    }
    if (h->n_l0 == HOLDINGS_L0_MAX) {
        lose(h, info);
        return;
    }
    if (h->n_l0 == h->cap_l0) {
        h->cap_l0 = h->cap_l0 > 0 ? h->cap_l0 * 2 : CAP_MIN;
        h->l0 = mem_resize(h->l0, h->cap_l0 * sizeof(h->l0[0]));
    }
    memmove(h->l0 + at + 1, h->l0 + at, (h->n_l0 - at) * sizeof(h->l0[0]));
    h->l0[at] = *info;
    h->n_l0++;
}

void
holdings_add(struct holdings *h, const struct ltx_info *info)
{
    struct ltx_info *newest;

    must(info->level >= 0 && info->level < LTX_N_LEVELS);
    newest = &h->newest[info->level];
    if (info->max_txid > newest->max_txid ||
        (info->max_txid == newest->max_txid && info->min_txid <= newest->min_txid))
        *newest = *info;
    if (info->level == 0)
        add_l0(h, info);
}

static void
shrink(struct holdings *h)
{
    size_t cap = h->cap_l0;

    if (h->n_l0 == 0) {
        mem_free(h->l0);
        h->l0 = NULL;
        h->cap_l0 = 0;
        return;
    }
    while (cap > CAP_MIN && h->n_l0 <= cap / 4)
        cap /= 2;
    if (cap == h->cap_l0)
        return;
    h->cap_l0 = cap;
    h->l0 = mem_resize(h->l0, cap * sizeof(h->l0[0]));
}

/* At its place it is marked in gone; else it may be one that found no room. */
static void
remove_one(struct holdings *h, const struct ltx_info *info, uint8_t *gone)
{
    size_t at = place_of(h, info);

    if (is_at(h, at, info))
        gone[at] = 1;
    else if (h->n_lost > 0 && info->min_txid >= h->lost_first &&
             info->max_txid <= h->lost_last)
        h->n_lost--;
}

void
holdings_removed(struct holdings *h, const struct ltx_info *files, size_t n)
{
    uint8_t *gone = mem_new_array(h->n_l0 + 1, sizeof(*gone));
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (files[i].level == 0)
            remove_one(h, &files[i], gone);
    for (size_t i = 0; i < h->n_l0; i++)
        if (!gone[i])
            h->l0[kept++] = h->l0[i];
    h->n_l0 = kept;
    mem_free(gone);
    shrink(h);
}
