/* One end of the channel on a loop; the other one is a bare socket that may say anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "workers/link.h"

#define INCARNATION 7
#define N_MAX 4096

static struct test {
    uv_loop_t loop;
    struct link *l;
    int fd, peer; /* of the link (gone when it closes), of the other side */
    struct {
        uint16_t id, request;
        uint64_t txid;
    } got[N_MAX];
    unsigned n;
    unsigned close_after; /* the callback of so many closes the link; 0: never */
    unsigned n_ends;
    struct err end; /* ERR_OK: EOF */
} t;

static void
on_message(void *arg, const struct msg *m)
{
    cr_assert_eq(arg, &t);
    cr_assert_eq(t.n_ends, 0, "a message after the end");
    cr_assert_lt(t.n, N_MAX);
    t.got[t.n].id = m->head.id;
    t.got[t.n].request = m->head.request;
    t.got[t.n++].txid = m->u.done.txid;
    if (t.n == t.close_after)
        link_close(t.l);
}

static void
on_ended(void *arg, const struct err *e)
{
    cr_assert_eq(arg, &t);
    t.n_ends++;
    t.end.code = ERR_OK;
    if (e != NULL)
        t.end = *e;
}

/* The supervisor's end: a worker talks to it. */
static void
start(void)
{
    struct link_options options = { .loop = &t.loop,
        .from = MSG_FROM_WORKER,
        .incarnation = INCARNATION,
        .message = on_message,
        .ended = on_ended,
        .arg = &t };
    struct err e;
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    memset(&t, 0, sizeof(t));
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    options.fd = t.fd = ends[0];
    t.peer = ends[1];
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    cr_assert_eq(link_open(&options, &t.l, &e), 0, "%s", e.text);
}

static void
run(void)
{
    uv_run(&t.loop, UV_RUN_NOWAIT);
}

/* Runs until the end was told; all that can come is there already. */
static void
run_to_end(void)
{
    for (int i = 0; t.n_ends == 0 && i < 10000; i++)
        run();
    cr_assert_eq(t.n_ends, 1, "no end");
}

static void
stop(void)
{
    link_close(t.l);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0);
    cr_expect_eq(fcntl(t.fd, F_GETFD), -1, "the descriptor is left open");
    if (t.peer >= 0)
        close(t.peer);
}

/* The n-th answer of a worker, told from the others by its numbers. */
static void
add_answer(struct buf *b, unsigned n, uint32_t incarnation)
{
    struct msg m = {
        .head = { .id = MSG_DONE, .request = (uint16_t)n, .incarnation = incarnation },
        .u.done = { .txid = 1000 + n, .text = "fine" }
    };

    msg_encode(b, &m);
}

static void
add_answers(struct buf *b, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        add_answer(b, i, INCARNATION);
}

/* Of a loop that does not block: what does not fit waits until it was read. */
static void
say(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t n = write(t.peer, at, size);

        cr_assert(n > 0 || errno == EAGAIN, "%s", strerror(errno));
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else {
            cr_assert_eq(t.n_ends, 0, "nobody reads any more");
            run();
        }
    }
}

static void
hang_up(void)
{
    close(t.peer);
    t.peer = -1;
}

static void
expect_answers(unsigned n)
{
    cr_assert_eq(t.n, n, "%u messages", t.n);
    for (unsigned i = 0; i < n; i++) {
        cr_expect_eq(t.got[i].id, MSG_DONE);
        cr_expect_eq(t.got[i].request, i + 1);
        cr_expect_eq(t.got[i].txid, 1001 + i);
    }
}

/* --- whole, in order, once ------------------------------------------------------------
 */

Test(link, a_message_that_comes_byte_by_byte_is_told_with_its_last_byte)
{
    struct buf b;

    start();
    buf_init(&b, MSG_MAX);
    add_answers(&b, 1, 1);
    for (size_t i = 0; i < b.size; i++) {
        cr_assert_eq(t.n, 0, "after %zu of %zu bytes", i, b.size);
        say(b.data + i, 1);
        run();
    }
    expect_answers(1);
    cr_expect_eq(t.n_ends, 0);
    buf_deinit(&b);
    stop();
}

Test(link, wherever_a_read_ends_the_messages_are_the_same)
{
    struct buf b;

    buf_init(&b, 4 * MSG_MAX);
    add_answers(&b, 1, 3);
    for (size_t cut = 1; cut < b.size; cut += cut < 40 || cut > b.size - 40 ? 1 : 7) {
        start();
        say(b.data, cut);
        run();
        cr_assert_eq(t.n, cut / (b.size / 3), "%zu bytes", cut);
        say(b.data + cut, b.size - cut);
        run();
        expect_answers(3);
        stop();
    }
    buf_deinit(&b);
}

/* Far more than the link reads at a time, in pieces that never fit the messages. */
Test(link, many_messages_at_once_come_in_order)
{
    static const size_t pieces[] = { 1, 15, 17, 551, 553, 1024, 2047, 2049, 100000 };

    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        struct buf b;

        start();
        buf_init(&b, (size_t)1 << 20);
        add_answers(&b, 1, 500);
        for (size_t at = 0, n; at < b.size; at += n) {
            n = b.size - at < pieces[p] ? b.size - at : pieces[p];
            say(b.data + at, n);
            if (at % 3 == 0)
                run();
        }
        hang_up();
        run_to_end();
        cr_expect_eq(t.end.code, ERR_OK);
        expect_answers(500);
        buf_deinit(&b);
        stop();
    }
}

Test(link, a_word_of_another_life_is_dropped_and_nothing_else_is)
{
    struct buf b;

    start();
    buf_init(&b, 8 * MSG_MAX);
    add_answer(&b, 100, INCARNATION - 1);
    add_answers(&b, 1, 1);
    add_answer(&b, 101, INCARNATION + 1);
    add_answer(&b, 102, 0);
    add_answers(&b, 2, 2);
    say(b.data, b.size);
    run();
    expect_answers(2);
    cr_expect_eq(t.n_ends, 0, "it is no violation");
    buf_deinit(&b);
    stop();
}

/* --- what must not be said ------------------------------------------------------------
 */

/* Two answers, then this, then another answer: two are told and the end comes once. */
static void
expect_refused(const void *bytes, size_t size, const char *words)
{
    struct buf b;

    start();
    buf_init(&b, 8 * MSG_MAX);
    add_answers(&b, 1, 2);
    cr_assert(buf_add(&b, bytes, size));
    add_answers(&b, 3, 3);
    say(b.data, b.size);
    run_to_end();
    expect_answers(2);
    cr_expect_eq(t.end.code, ERR_PROTOCOL);
    cr_expect_not_null(strstr(t.end.text, words), "%s", t.end.text);
    b.size = 0;
    add_answers(&b, 4, 4);
    say(b.data, b.size);
    hang_up();
    for (int i = 0; i < 5; i++)
        run();
    expect_answers(2);
    cr_expect_eq(t.n_ends, 1, "told once");
    buf_deinit(&b);
    stop();
}

static void
expect_head_refused(uint16_t id, uint32_t size, const char *words)
{
    struct msg_head head = { .size = size, .id = id, .incarnation = INCARNATION };

    expect_refused(&head, sizeof(head), words);
}

Test(link, an_unknown_message_ends_it_behind_the_good_ones)
{
    expect_head_refused(0, sizeof(struct msg_head), "unknown message 0");
    expect_head_refused(999, sizeof(struct msg_head), "unknown message 999");
}

Test(link, a_message_of_our_own_kind_ends_it)
{
    expect_head_refused(
        MSG_STOP, sizeof(struct msg_head) + sizeof(struct msg_stop), "unknown message 2");
}

/* Nobody waits for the rest of a message that is too long: its head is enough. */
Test(link, a_size_that_is_not_the_messages_own_ends_it)
{
    uint32_t right = sizeof(struct msg_head) + sizeof(struct msg_ready);

    expect_head_refused(MSG_READY, right - 1, "READY");
    expect_head_refused(MSG_READY, right + 1, "READY");
    expect_head_refused(MSG_READY, MSG_MAX, "READY");
    expect_head_refused(MSG_READY, MSG_MAX + 1, "READY");
    expect_head_refused(MSG_READY, UINT32_MAX, "READY");
    expect_head_refused(MSG_READY, 0, "READY");
    expect_head_refused(MSG_READY, sizeof(struct msg_head), "READY");
}

Test(link, a_violation_counts_in_another_life_as_well)
{
    struct msg_head head = { .size = UINT32_MAX, .id = MSG_READY, .incarnation = 3 };

    expect_refused(&head, sizeof(head), "READY");
}

Test(link, text_without_an_end_is_not_told)
{
    struct buf b;

    buf_init(&b, MSG_MAX);
    add_answers(&b, 3, 3);
    memset(b.data + b.size - MSG_TEXT_MAX, 'x', MSG_TEXT_MAX);
    expect_refused(b.data, b.size, "text");
    buf_deinit(&b);
}

Test(link, a_message_in_a_state_that_it_is_not_good_in_ends_it)
{
    struct buf b;

    start();
    buf_init(&b, 4 * MSG_MAX);
    add_answers(&b, 1, 1);
    link_set_state(t.l, WS_RUNNING);
    say(b.data, b.size);
    run();
    expect_answers(1);
    link_set_state(t.l, 0);
    say(b.data, b.size);
    run_to_end();
    expect_answers(1);
    cr_expect_eq(t.end.code, ERR_PROTOCOL);
    buf_deinit(&b);
    stop();
}

/* Whatever is wrong with one message, those before it were told as they are. */
Test(link, noise_ends_it_or_waits_for_more_and_is_never_told)
{
    srand(20);
    for (int round = 0; round < 300; round++) {
        uint8_t noise[3 * MSG_MAX];
        struct buf b;

        start();
        buf_init(&b, 8 * MSG_MAX);
        add_answers(&b, 1, 2);
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (uint8_t)rand();
        if (round % 2 == 0) /* a good id in front of nonsense */
            noise[4] = (uint8_t)(MSG_READY + round % 3), noise[5] = 0;
        cr_assert(buf_add(&b, noise, 1 + (size_t)rand() % sizeof(noise)));
        say(b.data, b.size);
        hang_up();
        run_to_end();
        expect_answers(2);
        buf_deinit(&b);
        stop();
    }
}

/* One wrong byte in the middle one of three. */
Test(link, one_wrong_byte_harms_no_other_message)
{
    struct buf good, b;

    buf_init(&good, 4 * MSG_MAX);
    add_answers(&good, 1, 3);
    for (size_t at = 0; at < good.size / 3; at++) {
        start();
        buf_init(&b, 4 * MSG_MAX);
        cr_assert(buf_add(&b, good.data, good.size));
        b.data[good.size / 3 + at] ^= 0xff;
        say(b.data, b.size);
        hang_up();
        run_to_end();
        cr_expect_geq(t.n, 1);
        cr_expect_leq(t.n, 3);
        cr_expect_eq(t.got[0].request, 1);
        if (t.end.code == ERR_OK)
            cr_expect_eq(t.got[t.n - 1].request, 3, "byte %zu", at);
        if (at < 6)
            cr_expect_eq(t.end.code, ERR_PROTOCOL, "byte %zu of size and id", at);
        buf_deinit(&b);
        stop();
    }
    buf_deinit(&good);
}

/* --- the other side goes --------------------------------------------------------------
 */

Test(link, what_was_said_before_the_end_is_told_before_the_end)
{
    struct buf b;

    start();
    buf_init(&b, 64 * MSG_MAX);
    add_answers(&b, 1, 50);
    say(b.data, b.size);
    hang_up();
    run_to_end();
    expect_answers(50);
    cr_expect_eq(t.end.code, ERR_OK, "%s", t.end.text);
    buf_deinit(&b);
    stop();
}

Test(link, a_message_that_was_cut_off_by_the_end_is_not_told)
{
    struct buf b;

    buf_init(&b, 4 * MSG_MAX);
    add_answers(&b, 1, 2);
    for (size_t n = b.size / 2; n < b.size; n += n < b.size / 2 + 40 ? 1 : 29) {
        start();
        say(b.data, n);
        hang_up();
        run_to_end();
        expect_answers(1);
        cr_expect_eq(t.end.code, ERR_OK, "who died in mid-message broke no rule");
        stop();
    }
    buf_deinit(&b);
}

/*
 * A close with unread bytes is a reset for us; its last words came before. `read_before`:
 * they were taken already, the reset comes alone.
 */
static void
go_without_reading(bool read_before)
{
    struct msg stop_it = { .head = { .id = MSG_STOP, .request = 1 } };
    struct buf b;

    start();
    buf_init(&b, 4 * MSG_MAX);
    add_answers(&b, 1, 2);
    link_send(t.l, &stop_it);
    say(b.data, b.size);
    if (read_before)
        run();
    hang_up();
    run_to_end();
    expect_answers(2);
    cr_expect_eq(t.end.code, ERR_OK, "%s", t.end.text);
    link_send(t.l, &stop_it);
    run();
    cr_expect_eq(t.n_ends, 1);
    buf_deinit(&b);
    stop();
}

Test(link, who_goes_without_reading_is_heard_to_the_end)
{
    go_without_reading(false);
    go_without_reading(true);
}

/* --- sending --------------------------------------------------------------------------
 */

/* Reads what the link has sent, one message; false: nothing there. */
static bool
hear(struct msg *m)
{
    uint8_t bytes[MSG_MAX];
    size_t size = sizeof(struct msg_head) + sizeof(struct msg_stop), used;
    ssize_t n = read(t.peer, bytes, size);
    struct err e;

    if (n <= 0)
        return false;
    cr_assert_eq((size_t)n, size);
    cr_assert_eq(msg_decode(bytes, size, MSG_FROM_SUPERVISOR, WS_ANY, m, &used, &e), 0,
        "%s", e.text);
    return true;
}

static void
send_stop(uint16_t request)
{
    struct msg m = {
        .head = { .id = MSG_STOP, .request = request, .incarnation = 99, .size = 99 },
        .u.stop = { .timeout_ms = request * 10 }
    };

    link_send(t.l, &m);
}

Test(link, what_is_sent_arrives_in_order_with_size_and_life_filled_in)
{
    struct msg m;

    start();
    cr_expect(link_flushed(t.l));
    for (uint16_t i = 1; i <= 100; i++)
        send_stop(i);
    for (int i = 0; !link_flushed(t.l) && i < 1000; i++)
        run();
    for (uint16_t i = 1; i <= 100; i++) {
        cr_assert(hear(&m));
        cr_expect_eq(m.head.request, i);
        cr_expect_eq(m.head.incarnation, INCARNATION);
        cr_expect_eq(m.u.stop.timeout_ms, i * 10);
    }
    cr_expect_not(hear(&m));
    stop();
}

/* Fills the socket and then the queue. */
static unsigned
send_until_ended(unsigned limit)
{
    unsigned n = 0;

    while (t.n_ends == 0 && n < limit) {
        send_stop((uint16_t)++n);
        if (n % 1000 == 0)
            run();
    }
    return n;
}

Test(link, not_flushed_while_the_other_side_does_not_read)
{
    uint16_t next = 0, sent = 0;
    struct msg m;

    start();
    while (link_flushed(t.l) && sent < 60000) {
        send_stop(++sent);
        run();
    }
    cr_assert_not(link_flushed(t.l), "the socket takes no end");
    for (int i = 0; next < sent && i < 1000; i++) {
        while (hear(&m))
            cr_assert_eq(m.head.request, ++next);
        run();
    }
    cr_expect_eq(next, sent, "nothing is lost");
    cr_expect(link_flushed(t.l));
    cr_expect_eq(t.n_ends, 0);
    stop();
}

Test(link, one_that_does_not_read_is_given_up_when_the_queue_is_full)
{
    start();
    cr_assert_lt(send_until_ended(1000000), 1000000, "the queue has no bound");
    cr_expect_eq(t.n_ends, 1);
    cr_expect_eq(t.end.code, ERR_LIMIT, "told from one that has gone");
    for (int i = 0; i < 5; i++)
        run();
    cr_expect_eq(t.n_ends, 1);
    stop();
}

/* The owner is in the middle of something when it sends. */
Test(link, a_full_queue_is_not_told_inside_the_call)
{
    start();
    for (int i = 0; i < 200000; i++)
        send_stop(1);
    cr_expect_eq(t.n_ends, 0);
    run_to_end();
    cr_expect_eq(t.end.code, ERR_LIMIT);
    stop();
}

/* --- closing --------------------------------------------------------------------------
 */

Test(link, closed_in_the_middle_of_a_read_tells_nothing_more)
{
    struct buf b;

    start();
    t.close_after = 2;
    buf_init(&b, 8 * MSG_MAX);
    add_answers(&b, 1, 5);
    cr_assert(buf_add(&b, "garbage garbage garbage", 24));
    say(b.data, b.size);
    hang_up();
    uv_run(&t.loop, UV_RUN_DEFAULT);
    expect_answers(2);
    cr_expect_eq(t.n_ends, 0);
    cr_expect_eq(uv_loop_close(&t.loop), 0);
    cr_expect_eq(fcntl(t.fd, F_GETFD), -1);
    buf_deinit(&b);
}

Test(link, may_be_closed_twice_with_words_unsent_and_none_is_fine)
{
    start();
    for (int i = 0; i < 20000 && link_flushed(t.l); i++)
        send_stop(1);
    link_close(t.l);
    send_stop(2);
    link_close(NULL);
    stop();
    cr_expect_eq(t.n_ends, 0);
}

/* A descriptor that is none, and one that can only be written. */
Test(link, a_descriptor_that_cannot_be_read_is_an_error_and_is_closed)
{
    struct link_options options = { .loop = &t.loop,
        .from = MSG_FROM_WORKER,
        .message = on_message,
        .ended = on_ended,
        .arg = &t };
    struct err e = ERR_NONE;
    int ends[2];

    cr_assert_eq(uv_loop_init(&t.loop), 0);
    cr_assert_eq(pipe(ends), 0);
    options.fd = ends[1];
    cr_expect_eq(link_open(&options, &t.l, &e), ERR_IO);
    cr_expect_not_null(strstr(e.text, "open channel"), "%s", e.text);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(fcntl(ends[1], F_GETFD), -1);
    options.fd = -1;
    cr_expect_eq(link_open(&options, &t.l, &e), ERR_IO);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0);
    close(ends[0]);
}
