#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <lz4frame.h>

#include "common/base/arena.h"
#include "common/v03/v03_lz4.h"
#include "test/unit/support/tmp.h"

#define SNAPSHOT                                                                         \
    FIXTURES "/replicas/v03/single/generations/d6eb3fd6a123931c/snapshots/"              \
             "00000000.snapshot.lz4"

struct bytes {
    uint8_t *data;
    size_t size;
};

static struct arena kept; /* all bytes of a test */

static void
clean_up(void)
{
    arena_deinit(&kept);
}

TestSuite(v03_lz4, .fini = clean_up);

static struct bytes
make(size_t size)
{
    return (struct bytes){ arena_alloc(&kept, size + 1), size };
}

/* Where the stored bytes come from, at most `piece` at a time. */
struct feed {
    struct bytes stored;
    size_t at, piece;
    bool fails; /* instead of an end */
};

static int
feed_read(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct feed *f = arg;
    size_t left = f->stored.size - f->at;

    *n = left < cap ? left : cap;
    *n = *n < f->piece ? *n : f->piece;
    if (*n == 0 && f->fails)
        return err_set(e, ERR_NETWORK, "connection lost");
    memcpy(buf, f->stored.data + f->at, *n);
    f->at += *n;
    return 0;
}

static struct bytes
grow(struct bytes b, size_t room)
{
    struct bytes more = make(room);

    if (b.size > 0)
        memcpy(more.data, b.data, b.size);
    more.size = b.size;
    return more;
}

/* All of it in portions of `portion`; stops when more than `limit` came. */
static int
decode(struct feed f, size_t portion, size_t limit, struct bytes *out, struct err *e)
{
    struct v03_source src = { feed_read, &f };
    uint8_t *part = malloc(portion);
    struct v03_lz4 *z = NULL;
    size_t n = 0, room = 0;
    int rc;

    *out = (struct bytes){ 0 };
    cr_assert_eq(v03_lz4_open(src, &z, e), 0);
    while ((rc = v03_lz4_read(z, part, portion, &n, e)) == 0 && n > 0 &&
           out->size <= limit) {
        if (out->size + n > room)
            *out = grow(*out, room = 2 * (out->size + n));
        memcpy(out->data + out->size, part, n);
        out->size += n;
    }
    v03_lz4_free(z);
    free(part);
    return rc;
}

static int
decode_all(struct bytes stored, struct bytes *out, struct err *e)
{
    return decode(
        (struct feed){ .stored = stored, .piece = SIZE_MAX }, 4096, SIZE_MAX, out, e);
}

/* Compressible and not: every third KiB is noise. */
static struct bytes
sample(size_t size)
{
    struct bytes b = make(size);

    srand(7);
    for (size_t i = 0; i < size; i++)
        b.data[i] = i / 1024 % 3 == 0 ? (uint8_t)rand() : (uint8_t)(i / 100);
    return b;
}

static struct bytes
compress(struct bytes plain, const LZ4F_preferences_t *prefs)
{
    size_t bound = LZ4F_compressFrameBound(plain.size, prefs);
    struct bytes b = make(bound);

    b.size = LZ4F_compressFrame(b.data, bound, plain.data, plain.size, prefs);
    cr_assert_not(LZ4F_isError(b.size));
    return b;
}

static struct bytes
joined(struct bytes a, struct bytes b)
{
    struct bytes c = make(a.size + b.size);

    memcpy(c.data, a.data, a.size);
    memcpy(c.data + a.size, b.data, b.size);
    return c;
}

static bool
same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct bytes
fixture(void)
{
    struct bytes b;
    size_t size;
    uint8_t *bytes = tmp_read(SNAPSHOT, &size);

    cr_assert_not_null(bytes);
    b = make(size);
    memcpy(b.data, bytes, size);
    free(bytes);
    return b;
}

Test(v03_lz4, any_valid_frame_is_read_however_it_is_cut)
{
    struct bytes plain = sample((size_t)5 << 20), got;
    struct err e = ERR_NONE;

    for (int i = 0; i < 16; i++) {
        LZ4F_preferences_t prefs = {
            .frameInfo = { .blockSizeID = i & 1 ? LZ4F_max4MB : LZ4F_max64KB,
                .blockMode = i & 2 ? LZ4F_blockIndependent : LZ4F_blockLinked,
                .contentChecksumFlag =
                    i & 4 ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum,
                .blockChecksumFlag =
                    i & 8 ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum,
                .contentSize = i & 8 ? plain.size : 0 },
        };
        struct bytes stored = compress(plain, &prefs);
        struct feed f = { .stored = stored, .piece = i & 1 ? 1000 : SIZE_MAX };

        cr_expect_eq(
            decode(f, i & 2 ? 777777 : 4096, SIZE_MAX, &got, &e), 0, "%d: %s", i, e.text);
        cr_expect(same(got, plain), "preferences %d", i);
    }
}

Test(v03_lz4, byte_by_byte_it_is_the_same)
{
    struct bytes plain = sample(70000), got;
    struct bytes stored = compress(plain, NULL);
    struct err e = ERR_NONE;

    cr_assert_eq(
        decode((struct feed){ .stored = stored, .piece = 1 }, 1, SIZE_MAX, &got, &e), 0);
    cr_expect(same(got, plain));
}

Test(v03_lz4, frames_in_a_row_are_one_content)
{
    struct bytes a = sample(100000), b = sample(3), none = { a.data, 0 }, got;
    struct bytes stored =
        joined(joined(compress(a, NULL), compress(none, NULL)), compress(b, NULL));
    struct err e = ERR_NONE;

    cr_assert_eq(decode_all(stored, &got, &e), 0, "%s", e.text);
    cr_expect(same(got, joined(a, b)));
}

Test(v03_lz4, frame_without_content_is_no_bytes)
{
    struct bytes none = { (uint8_t *)"", 0 }, got;
    struct err e = ERR_NONE;

    cr_assert_eq(decode_all(compress(none, NULL), &got, &e), 0);
    cr_expect_eq(got.size, 0);
}

Test(v03_lz4, object_without_a_frame_is_refused)
{
    struct bytes got;
    struct err e = ERR_NONE;

    cr_expect_eq(decode_all((struct bytes){ (uint8_t *)"", 0 }, &got, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "the object is empty");
    cr_expect_eq(decode_all((struct bytes){ (uint8_t *)"SQLite format 3", 16 }, &got, &e),
        ERR_CORRUPT);
}

Test(v03_lz4, every_truncation_is_an_error)
{
    struct bytes stored = fixture(), got;
    struct err e = ERR_NONE;

    for (size_t n = 0; n < stored.size; n++) {
        cr_expect_eq(decode_all((struct bytes){ stored.data, n }, &got, &e), ERR_CORRUPT,
            "%zu", n);
    }
    cr_expect_eq(decode_all(stored, &got, &e), 0);
}

Test(v03_lz4, every_flipped_bit_is_an_error)
{
    struct bytes stored = fixture(), want, got;
    struct err e = ERR_NONE;
    size_t refused = 0;

    cr_assert_eq(decode_all(stored, &want, &e), 0);
    for (size_t bit = 0; bit < stored.size * 8; bit += 7) {
        int rc;

        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = decode_all(stored, &got, &e);
        cr_expect(rc == ERR_CORRUPT || same(got, want), "bit %zu", bit);
        refused += rc != 0;
        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_expect_gt(
        refused, stored.size * 8 / 7 / 2); /* some change the way, not the result */
}

Test(v03_lz4, bytes_behind_the_last_frame_are_refused)
{
    struct bytes stored = fixture(), got;
    struct err e = ERR_NONE;

    cr_expect_eq(
        decode_all(joined(stored, (struct bytes){ (uint8_t *)"trailing", 8 }), &got, &e),
        ERR_CORRUPT);
    cr_expect_eq(
        decode_all(joined(stored, (struct bytes){ (uint8_t *)"\0", 1 }), &got, &e),
        ERR_CORRUPT);
}

/* A frame may say that it holds 2^64 - 1 bytes, and that a block has 4 GiB. */
Test(v03_lz4, size_that_is_only_claimed_costs_nothing)
{
    struct bytes plain = sample(1000), stored, got;
    LZ4F_preferences_t prefs = { .frameInfo = {
                                     .contentSize = 1000, .blockSizeID = LZ4F_max4MB } };
    struct err e = ERR_NONE;
    uint8_t head[] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f };

    stored = compress(plain, &prefs);
    memset(stored.data + 6, 0xff, 8);
    cr_expect_eq(decode_all(stored, &got, &e), ERR_CORRUPT);
    cr_expect_eq(decode_all((struct bytes){ head, sizeof(head) }, &got, &e), ERR_CORRUPT);
    cr_expect_neq(strstr(e.text, "ERROR_maxBlockSize_invalid"), NULL, "%s", e.text);
}

/* 64 MiB of zeros from some 260 KB: they come in the portions that were asked for. */
Test(v03_lz4, bomb_is_read_in_portions)
{
    struct bytes zeros = make((size_t)64 << 20), got;
    struct bytes stored = compress(zeros, NULL);
    struct err e = ERR_NONE;

    cr_assert_lt(stored.size, (size_t)300 << 10);
    cr_expect_eq(decode((struct feed){ .stored = stored, .piece = SIZE_MAX }, 65536,
                     (size_t)1 << 20, &got, &e),
        0);
    cr_expect_leq(got.size, ((size_t)1 << 20) + 65536);
}

Test(v03_lz4, error_of_the_source_is_handed_on)
{
    struct bytes stored = fixture(), got;
    struct feed f = {
        .stored = { stored.data, stored.size / 2 }, .piece = 7, .fails = true
    };
    struct err e = ERR_NONE;

    cr_expect_eq(decode(f, 100, SIZE_MAX, &got, &e), ERR_NETWORK);
    cr_expect_str_eq(e.text, "connection lost");
}

Test(v03_lz4, backup_encrypted_with_age_is_told_apart)
{
    static const char age[] = "age-encryption.org/v1\n-> X25519 abc\n";
    struct bytes stored = { (uint8_t *)age, sizeof(age) - 1 }, got;
    struct err e = ERR_NONE;

    for (size_t piece = 1; piece < 40; piece += 38) {
        struct feed f = { .stored = stored, .piece = piece };

        cr_expect_eq(decode(f, 100, SIZE_MAX, &got, &e), ERR_UNSUPPORTED);
        cr_expect_neq(strstr(e.text, "encrypted with age"), NULL, "%s", e.text);
    }
}
