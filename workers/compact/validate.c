#include "workers/compact/validate.h"

#include <stdbool.h>
#include <stdio.h>

/* The bytes of a TXID as messages show it. */
#define TXID "%016llx"

static unsigned long long
ull(uint64_t v)
{
    return v;
}

uint64_t
validate_pruned_to(const struct ltx_info *snapshots, size_t n)
{
    uint64_t oldest = 0;

    for (size_t i = 0; i < n; i++)
        if (snapshots[i].min_txid == 1 && (oldest == 0 || snapshots[i].max_txid < oldest))
            oldest = snapshots[i].max_txid;
    return oldest;
}

int
validate_merged(const struct ltx_info *files, size_t n, uint64_t pruned_to, struct err *e)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t end = files[i - 1].max_txid, next = files[i].min_txid;

        if (next > end + 1 && next - 1 > pruned_to)
            return err_set(e, ERR_GAP,
                "TXID gap detected: prev.MaxTXID=" TXID ", next.MinTXID=" TXID
                " (expected " TXID ")",
                ull(end), ull(next), ull(end + 1));
        if (next < end + 1)
            return err_set(e, ERR_GAP,
                "TXID overlap detected: prev.MaxTXID=" TXID ", next.MinTXID=" TXID,
                ull(end), ull(next));
    }
    return 0;
}

const char *
validate_type_name(enum validate_type type)
{
    switch (type) {
    case VALIDATE_UNSORTED:
        return "unsorted";
    case VALIDATE_GAP:
        return "gap";
    case VALIDATE_OVERLAP:
        return "overlap";
    }
    return "";
}

/* A file that is out of order is not compared further: it has no neighbour here. */
static bool
look_at(struct validate_problem *p, uint64_t pruned_to)
{
    uint64_t end = p->prev.max_txid, min = p->cur.min_txid;

    if (min < p->prev.min_txid) {
        p->type = VALIDATE_UNSORTED;
        snprintf(p->text, sizeof(p->text),
            "files out of order: curr.MinTXID=" TXID " < prev.MinTXID=" TXID, ull(min),
            ull(p->prev.min_txid));
    } else if (min > end + 1 && min - 1 > pruned_to) {
        p->type = VALIDATE_GAP;
        snprintf(p->text, sizeof(p->text),
            "TXID gap: prev.MaxTXID=" TXID ", curr.MinTXID=" TXID " (expected " TXID ")",
            ull(end), ull(min), ull(end + 1));
    } else if (min < end + 1) {
        p->type = VALIDATE_OVERLAP;
        snprintf(p->text, sizeof(p->text),
            "TXID overlap: prev.MaxTXID=" TXID ", curr.MinTXID=" TXID, ull(end),
            ull(min));
    } else {
        return false;
    }
    return true;
}

size_t
validate_level(const struct ltx_info *files, size_t n, uint64_t pruned_to,
    void (*report)(void *arg, const struct validate_problem *problem), void *arg)
{
    size_t n_problems = 0;

    for (size_t i = 1; i < n; i++) {
        struct validate_problem p = { .prev = files[i - 1], .cur = files[i] };

        if (!look_at(&p, pruned_to))
            continue;
        n_problems++;
        if (report != NULL)
            report(arg, &p);
    }
    return n_problems;
}
