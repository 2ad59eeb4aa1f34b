#include "test/unit/workers/replay.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/support/tmp.h"

void
replay_free(struct replay *r)
{
    free(r->image);
    *r = (struct replay){ 0 };
}

static bool
wrong(uint64_t txid, const char *what, uint64_t a, uint64_t b)
{
    fprintf(stderr, "replay: txid %llu: %s (%llu, %llu)\n", (unsigned long long)txid,
        what, (unsigned long long)a, (unsigned long long)b);
    return false;
}

/* Room for the new size; pages that are new start out as 0xee, which no test writes. */
static void
resize(struct replay *r, const struct ltx_header *h)
{
    size_t old = (size_t)r->commit * r->page_size;
    size_t size = (size_t)h->commit * h->page_size;

    if (h->page_size != r->page_size)
        old = 0;
    r->image = realloc(r->image, size + 1);
    if (size > old)
        memset(r->image + old, 0xee, size - old);
    r->page_size = h->page_size;
    r->commit = h->commit;
}

static bool
apply_pages(struct replay *r, struct ltx_decoder *dec, uint32_t old_commit, bool full)
{
    const struct ltx_header *h = ltx_decoder_header(dec);
    uint8_t *page = malloc(h->page_size);
    uint32_t n = 0, n_growth = 0;
    struct ltx_page info;
    struct err e;
    int rc;

    while ((rc = ltx_decoder_page(dec, &info, page, &e)) == 0) {
        memcpy(r->image + (size_t)(info.pgno - 1) * h->page_size, page, h->page_size);
        n++;
        if (info.pgno > old_commit)
            n_growth++;
    }
    free(page);
    if (rc != ERR_END || ltx_decoder_close(dec, NULL, &e) != 0) {
        fprintf(stderr, "replay: %s\n", e.text);
        return false;
    }
    if (full && n != h->commit)
        return wrong(h->min_txid, "not a full image", n, h->commit);
    if (h->commit > old_commit && n_growth != h->commit - old_commit)
        return wrong(h->min_txid, "pages of a growth are missing", n_growth,
            h->commit - old_commit);
    if (n == h->commit)
        r->n_images++;
    return true;
}

static bool
apply(struct replay *r, int fd)
{
    struct ltx_decoder *dec = NULL;
    struct err e;
    bool ok = false;

    if (ltx_decoder_open_fd(fd, 0, &dec, &e) != 0) {
        fprintf(stderr, "replay: %s\n", e.text);
    } else {
        const struct ltx_header *h = ltx_decoder_header(dec);
        bool full = r->txid == 0 || h->page_size != r->page_size;
        uint32_t old = full ? 0 : r->commit;

        if (h->min_txid != r->txid + 1 || h->max_txid != r->txid + 1) {
            wrong(r->txid + 1, "other TXIDs in the header", h->min_txid, h->max_txid);
        } else {
            resize(r, h);
            ok = apply_pages(r, dec, old, full);
            r->txid++;
        }
    }
    ltx_decoder_free(dec);
    return ok;
}

bool
replay_forward(struct replay *r, const char *l0_dir)
{
    for (;;) {
        char name[LTX_NAME_SIZE];
        char *path;
        bool ok;
        int fd;

        ltx_name_format(r->txid + 1, r->txid + 1, name);
        path = path_join(l0_dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        mem_free(path);
        if (fd < 0)
            return true;
        ok = apply(r, fd);
        close(fd);
        if (!ok)
            return false;
    }
}

bool
replay_equals(const struct replay *r, const char *path)
{
    size_t size = 0, want = (size_t)r->commit * r->page_size;
    uint8_t *bytes = tmp_read(path, &size);
    bool same = true;

    if (bytes == NULL || size != want) {
        fprintf(stderr, "replay: %zu bytes, the database has %zu\n", want, size);
        same = false;
    }
    for (size_t p = 0; same && p < size; p += r->page_size)
        if (memcmp(bytes + p, r->image + p, r->page_size) != 0) {
            fprintf(stderr, "replay: page %zu of %zu differs\n", p / r->page_size + 1,
                size / r->page_size);
            same = false;
        }
    free(bytes);
    return same;
}
