#include <string.h>

#include <criterion/criterion.h>

#include "common/ipc/messages.h"

#define FROM(sender) MSG_FROM_##sender

struct row {
    uint16_t id;
    enum msg_sender from;
    size_t payload;
    unsigned states;
};

static const struct row rows[] = {
#define MSG(id, name, sender, payload, states)                                           \
    { id, FROM(sender), sizeof(payload), states },
#include "common/ipc/messages.def"
#undef MSG
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void
encode(struct buf *b, const struct row *r, unsigned char fill)
{
    struct msg m;

    memset(&m, fill, sizeof(m));
    m.head = (struct msg_head){ .id = r->id, .request = 7, .incarnation = 3 };
    if (r->id == MSG_DONE)
        m.u.done.text[MSG_TEXT_MAX - 1] = '\0';
    msg_encode(b, &m);
}

Test(messages, every_message_of_the_table_survives_the_way)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        struct buf b;
        struct msg m;
        struct err e;
        size_t used;

        buf_init(&b, MSG_MAX);
        encode(&b, &rows[i], 0x5a);
        cr_assert_eq(b.size, sizeof(struct msg_head) + rows[i].payload);
        cr_assert_eq(
            msg_decode(b.data, b.size, rows[i].from, WS_RUNNING, &m, &used, &e), 0);
        cr_assert_eq(used, b.size);
        cr_assert_eq(m.head.id, rows[i].id);
        cr_assert_eq(m.head.request, 7);
        cr_assert_eq(m.head.incarnation, 3u);
        cr_assert_eq(memcmp(&m.u, b.data + sizeof(m.head), rows[i].payload), 0);
        cr_assert_not_null(msg_name(rows[i].id));
        buf_deinit(&b);
    }
}

Test(messages, a_part_of_a_message_asks_for_more)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        struct buf b;

        buf_init(&b, MSG_MAX);
        encode(&b, &rows[i], 1);
        for (size_t n = 0; n < b.size; n++) {
            struct msg m;
            struct err e;
            size_t used;

            cr_assert_eq(msg_decode(b.data, n, rows[i].from, WS_RUNNING, &m, &used, &e),
                ERR_AGAIN);
        }
        buf_deinit(&b);
    }
}

Test(messages, the_wrong_sender_is_refused)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        enum msg_sender other =
            rows[i].from == MSG_FROM_WORKER ? MSG_FROM_SUPERVISOR : MSG_FROM_WORKER;
        struct buf b;
        struct msg m;
        struct err e;
        size_t used;

        buf_init(&b, MSG_MAX);
        encode(&b, &rows[i], 1);
        cr_assert_eq(
            msg_decode(b.data, b.size, other, WS_RUNNING, &m, &used, &e), ERR_PROTOCOL);
        buf_deinit(&b);
    }
}

static int
decode_head(struct msg_head head)
{
    uint8_t data[MSG_MAX] = { 0 };
    struct msg m;
    struct err e;
    size_t used;

    memcpy(data, &head, sizeof(head));
    return msg_decode(data, sizeof(data), MSG_FROM_SUPERVISOR, WS_RUNNING, &m, &used, &e);
}

Test(messages, unknown_ids_and_wrong_sizes_are_refused)
{
    uint32_t right = sizeof(struct msg_head) + sizeof(struct msg_sync);

    cr_assert_eq(decode_head((struct msg_head){ .id = MSG_SYNC, .size = right }), 0);
    cr_assert_eq(decode_head((struct msg_head){ .id = MSG_SYNC, .size = right + 1 }),
        ERR_PROTOCOL);
    cr_assert_eq(decode_head((struct msg_head){ .id = MSG_SYNC, .size = right - 1 }),
        ERR_PROTOCOL);
    cr_assert_eq(
        decode_head((struct msg_head){ .id = MSG_SYNC, .size = 0 }), ERR_PROTOCOL);
    cr_assert_eq(decode_head((struct msg_head){ .id = MSG_SYNC, .size = UINT32_MAX }),
        ERR_PROTOCOL);
    cr_assert_eq(
        decode_head((struct msg_head){ .id = 999, .size = right }), ERR_PROTOCOL);
    cr_assert_null(msg_name(999));
}

Test(messages, text_without_an_end_is_refused)
{
    const struct row done = { .id = MSG_DONE, .from = MSG_FROM_WORKER };
    struct buf b;
    struct msg m;
    struct err e;
    size_t used;

    buf_init(&b, MSG_MAX);
    encode(&b, &done, 'x');
    cr_assert_eq(
        msg_decode(b.data, b.size, MSG_FROM_WORKER, WS_RUNNING, &m, &used, &e), 0);
    b.data[b.size - 1] = 'x';
    cr_assert_eq(msg_decode(b.data, b.size, MSG_FROM_WORKER, WS_RUNNING, &m, &used, &e),
        ERR_PROTOCOL);
    buf_deinit(&b);
}

Test(messages, random_bytes_never_pass_for_more_than_they_are)
{
    uint32_t seed = 1;

    for (int i = 0; i < 200000; i++) {
        uint8_t data[64];
        struct msg m;
        struct err e;
        size_t used;

        for (size_t k = 0; k < sizeof(data); k++) {
            seed = seed * 1664525 + 1013904223;
            data[k] = (uint8_t)(seed >> 24);
        }
        if (i % 2 == 0)
            data[4] = (uint8_t)(i % 70), data[5] = 0;
        if (msg_decode(
                data, sizeof(data), MSG_FROM_SUPERVISOR, WS_RUNNING, &m, &used, &e) == 0)
            cr_assert_leq(used, sizeof(data));
    }
}
