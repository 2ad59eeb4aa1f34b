/*
 * A WAL of small pages against a naive one-pass reader: what counts as valid and
 * committed, where a scan ends with limits and a last frame, and which page has which
 * newest frame.
 *
 * The input is a list of steps that write frames, restart the WAL, roll back, tear and
 * flip, so that the fuzzer need not guess checksums. Byte 0: bit 0 byte order, bits 1..2
 * page size. Then five bytes a step: what, a, b, c, d.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/wal/wal_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES ((size_t)96 << 10)
#define MAX_FRAMES 200

struct model {
    uint8_t bytes[MAX_BYTES];
    size_t size, at; /* of the file; where the next frame goes */
    bool big;
    uint32_t page_size, salt1, salt2, a, b;
};

static struct model m;

#define CHECK(cond)                                                                      \
    do {                                                                                 \
        if (!(cond)) {                                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                   \
            abort();                                                                     \
        }                                                                                \
    } while (0)

static uint32_t
word(const uint8_t *p, bool big)
{
    return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
               : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void
put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void
sum(uint32_t *a, uint32_t *b, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        *a += word(p + i, m.big) + *b;
        *b += word(p + i + 4, m.big) + *a;
    }
}

/* --- making a file --------------------------------------------------------------------
 */

static void
begin(uint32_t salt1, uint32_t salt2)
{
    m.salt1 = salt1;
    m.salt2 = salt2;
    m.a = m.b = 0;
    put(m.bytes, m.big ? WAL_MAGIC_BE : WAL_MAGIC_LE);
    put(m.bytes + 4, WAL_VERSION);
    put(m.bytes + 8, m.page_size);
    put(m.bytes + 12, salt1);
    put(m.bytes + 16, salt1);
    put(m.bytes + 20, salt2);
    sum(&m.a, &m.b, m.bytes, 24);
    put(m.bytes + 24, m.a);
    put(m.bytes + 28, m.b);
    m.at = WAL_HEADER_SIZE;
    if (m.size < m.at)
        m.size = m.at;
}

static void
add_frame(uint32_t pgno, uint32_t commit, uint8_t fill)
{
    uint8_t *p = m.bytes + m.at;

    if (m.at + 24 + m.page_size > MAX_BYTES)
        return;
    put(p, pgno);
    put(p + 4, commit);
    put(p + 8, m.salt1);
    put(p + 12, m.salt2);
    memset(p + 24, fill, m.page_size);
    sum(&m.a, &m.b, p, 8);
    sum(&m.a, &m.b, p + 24, m.page_size);
    put(p + 16, m.a);
    put(p + 20, m.b);
    m.at += 24 + m.page_size;
    if (m.size < m.at)
        m.size = m.at;
}

/* Back to an earlier frame, as a rollback does: what stands behind it stays. */
static void
go_back(uint32_t n)
{
    size_t frame = 24 + m.page_size, k = (m.at - 32) / frame;
    const uint8_t *p;

    k = k > n ? k - n : 0;
    m.at = 32 + k * frame;
    p = k == 0 ? m.bytes + 24 : m.bytes + m.at - frame + 16;
    m.a = word(p, true);
    m.b = word(p + 4, true);
}

static void
step(const uint8_t s[5])
{
    uint32_t v = (uint32_t)s[2] << 16 | (uint32_t)s[3] << 8 | s[4];

    switch (s[0] % 8) {
    case 0:
        begin(m.salt1 + s[1] % 3, v);
        break;
    case 1:
        go_back(s[1] % 16);
        break;
    case 2:
        if (m.size > 0)
            m.bytes[v % m.size] ^= s[1];
        break;
    case 3:
        if (v % 4 == 0)
            m.size = m.size > s[1] ? m.size - s[1] : 0;
        m.at = m.at > m.size ? (m.size < 32 ? 32 : m.size) : m.at;
        m.at -= (m.at - 32) % (24 + m.page_size);
        break;
    default:
        add_frame(s[1] % 32, s[2] % 3 == 0 ? s[3] : 0, s[4]);
        break;
    }
}

static void
make(const uint8_t *data, size_t size)
{
    m = (struct model){ 0 };
    m.big = size > 0 && (data[0] & 1) != 0;
    m.page_size = 512u << (size > 0 ? data[0] >> 1 & 3 : 0);
    begin(7, 9);
    for (size_t i = 1; i + 5 <= size; i += 5)
        step(data + i);
}

/* --- the naive reader -----------------------------------------------------------------
 */

struct frame {
    uint32_t pgno, commit, a, b; /* chain behind it */
};

static struct frame frames[MAX_FRAMES];
static size_t n_frames; /* valid ones */

static bool
read_all(void)
{
    uint32_t a = 0, b = 0;

    n_frames = 0;
    if (m.size < 32)
        return false;
    m.big = (m.bytes[3] & 1) != 0;
    sum(&a, &b, m.bytes, 24);
    m.page_size = word(m.bytes + 8, true);
    if (a != word(m.bytes + 24, true) || b != word(m.bytes + 28, true) ||
        word(m.bytes, true) >> 1 != WAL_MAGIC_LE >> 1 ||
        word(m.bytes + 4, true) != WAL_VERSION || m.page_size < 512 ||
        m.page_size > 65536 || (m.page_size & (m.page_size - 1)) != 0)
        return false;
    for (size_t at = 32; at + 24 + m.page_size <= m.size; at += 24 + m.page_size) {
        const uint8_t *p = m.bytes + at;

        sum(&a, &b, p, 8);
        sum(&a, &b, p + 24, m.page_size);
        if (memcmp(p + 8, m.bytes + 16, 8) != 0 || word(p, true) == 0 ||
            a != word(p + 16, true) || b != word(p + 20, true))
            break;
        CHECK(n_frames < MAX_FRAMES);
        frames[n_frames++] = (struct frame){ word(p, true), word(p + 4, true), a, b };
    }
    return true;
}

/* --- comparing ------------------------------------------------------------------------
 */

static void
compare_pages(struct wal_scan *s, size_t first, const struct wal_scan_result *res)
{
    static uint32_t newest[65536];
    uint32_t pgno, frame_no;
    struct err e;

    memset(newest, 0, sizeof(newest));
    for (size_t i = first; i < res->last_frame_no; i++)
        if (frames[i].pgno < 65536)
            newest[frames[i].pgno] = (uint32_t)i + 1;
    CHECK(wal_pagemap_walk(wal_scan_map(s), res->commit, res->last_frame_no, &e) == 0);
    for (uint32_t p = 1; p < 65536 && p <= res->commit; p++) {
        if (newest[p] == 0)
            continue;
        CHECK(wal_pagemap_next(wal_scan_map(s), &pgno, &frame_no, &e) == 0);
        CHECK(pgno == p && frame_no == newest[p]);
    }
}

static void
compare(struct wal_scan *s, int fd, const struct wal_header *h, size_t first,
    uint32_t last_frame_no, int64_t limit)
{
    struct wal_range range = { { WAL_HEADER_SIZE, h->sum }, last_frame_no, limit };
    int64_t frame = wal_frame_size(h->page_size);
    struct wal_scan_result res;
    struct err e;
    size_t end = first, i, n_commits = 0;
    bool limited = false;

    if (first > 0)
        range.from = (struct wal_place){ 32 + (int64_t)first * frame,
            { frames[first - 1].a, frames[first - 1].b } };
    for (i = first; i < n_frames && i < last_frame_no && !limited; i++) {
        if (frames[i].commit == 0)
            continue;
        end = i + 1;
        n_commits++;
        limited = limit > 0 && (int64_t)(end - first) * frame >= limit;
    }
    CHECK(wal_scan_run(s, fd, h, &range, NULL, &res, &e) == 0);
    CHECK(res.n_commits == n_commits && res.limited == limited);
    CHECK(res.end.off == 32 + (int64_t)end * frame);
    CHECK(res.valid_end.off == 32 + (int64_t)(i > first ? i : first) * frame);
    CHECK(n_commits == 0 ||
          (res.last_frame_no == end && res.commit == frames[end - 1].commit &&
              res.end.sum.a == frames[end - 1].a && res.end.sum.b == frames[end - 1].b));
    if (n_commits > 0)
        compare_pages(s, first, &res);
}

static void
compare_chain(int fd, const struct wal_header *h, int64_t off)
{
    int64_t frame = wal_frame_size(h->page_size), k = (off - 32) / frame;
    bool good = off == 32 || (off > 32 && (off - 32) % frame == 0 &&
                                 k <= (int64_t)n_frames && frames[k - 1].commit != 0);
    struct wal_place place;
    struct err e;

    CHECK((wal_chain_to(fd, h, off, &place, NULL, &e) == 0) == good);
}

static int
file_of(void)
{
    static int fd = -1;

    if (fd < 0) {
        char path[] = "/tmp/fuzz_wal.XXXXXX";

        fd = mkstemp(path);
        CHECK(fd >= 0);
        unlink(path);
    }
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(pwrite(fd, m.bytes, m.size, 0) == (ssize_t)m.size);
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t x = size > 0 ? data[size - 1] : 0, y = size > 1 ? data[size - 2] : 0;
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_header h;
    struct err e;
    bool good;
    int fd;

    make(data, size);
    fd = file_of();
    good = read_all();
    CHECK((wal_read_header(fd, &h, &e) == 0) == good);
    if (good) {
        CHECK(h.page_size == m.page_size && h.big_endian == m.big);
        compare(s, fd, &h, 0, WAL_SCAN_ALL, 0);
        compare(s, fd, &h, 0, x % 40, 0);
        compare(s, fd, &h, n_frames > 0 ? y % (n_frames + 1) : 0, WAL_SCAN_ALL,
            x % 2 == 0 ? 0 : x * 100);
        compare_chain(fd, &h, 32 + x * wal_frame_size(h.page_size) / 2);
        compare_chain(fd, &h, (int64_t)m.at);
    }
    wal_scan_free(s);
    return 0;
}
