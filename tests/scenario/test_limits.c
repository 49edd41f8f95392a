/* Every limit of kith_config, reached: nothing crashes, what was there stays, and the counter that belongs to the limit
 * moves.  One test a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"
#include "unit/hex.h"
#include "wire/lzw.h"

#define NOW lone_time(LONE_SECOND)

static kith *limits_new(struct kith_config *c)
{
    kith *k = lone_new(c);
    lone_drain_told(k);
    return k;
}

static void limits_end(kith *k)
{
    lone_check(k);
    kith_free(k);
}

/* ---- members, intents, queues, events ---- */

static void members_max_is_kept(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.members_max = 3;
    kith *k = limits_new(&c);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    struct kith_gauges g;
    lone_meet(k, NOW, "a", 2);
    lone_meet(k, NOW, "b", 3);
    size_t len = lone_alive(buf, sizeof buf, "c", 4, 1);
    assert_int_equal(kith_datagram(k, NOW, &from, buf, len), KITH_ERR_FULL);
    assert_int_equal(lone_counter(k, "members_full"), 1);
    kith_read_gauges(k, &g);
    assert_int_equal(g.members, 3);
    lone_meet(k, NOW, "a", 2); /* those known are heard as before */
    limits_end(k);
}

static int limits_intent(kith *k, const char *name, uint64_t ltime)
{
    uint8_t buf[128] = {KI_MSG_USER};
    struct kith_addr from = lone_addr(2, 7946);
    struct ki_pack p = ki_pack(buf + 1, sizeof buf - 1, false);
    ki_encode_serf_leave(&p, &(struct ki_serf_leave){.ltime = ltime, .node = lone_span(name)});
    return kith_datagram(k, NOW, &from, buf, p.w.len + 1);
}

static void intents_max_drops_the_oldest(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.intents_max = 2;
    kith *k = limits_new(&c);
    static const char *const names[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(limits_intent(k, names[i], i + 1), 0);
    assert_int_equal(lone_counter(k, "intents_dropped"), 2);
    assert_int_equal(k->intents.count, 2);
    limits_end(k);
}

static void queue_max_drops_the_most_told(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    c.queue_max = 3;
    kith *k = limits_new(&c);
    char name[8];
    for (uint8_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, NOW, name, (uint8_t)(i + 2));
    }
    kith_read_gauges(k, &g);
    assert_true(g.queue_members == 3 && g.members == 11);
    assert_int_equal(lone_counter(k, "queue_dropped"), 1 + 10 - 3); /* our own announcement among them */
    limits_end(k);
}

/* Events about members cost nothing; those of the forgotten, and the others, are bounded. */
static void events_max_drops_the_oldest(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_event event;
    lone_config(&c);
    c.events_max = 4;
    kith *k = limits_new(&c);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    lone_meet(k, NOW, "a", 2);
    lone_drain_told(k);
    for (uint8_t i = 0; i < 10; i++) { /* ten that claim a's name */
        size_t len = lone_alive(buf, sizeof buf, "a", (uint8_t)(i + 50), 9);
        assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
    }
    assert_int_equal(lone_counter(k, "events_dropped"), 6);
    for (uint8_t i = 6; i < 10; i++) {
        assert_true(kith_poll_event(k, &event));
        assert_true(event.kind == KITH_EVENT_CONFLICT && event.other.ip[3] == i + 50);
    }
    assert_false(kith_poll_event(k, &event));
    char name[8];
    for (uint8_t i = 0; i < 10; i++) { /* ten that come, die and are forgotten before anybody asks */
        snprintf(name, sizeof name, "g%u", i);
        lone_meet(k, NOW, name, (uint8_t)(i + 100));
        size_t len = lone_accuse(buf, sizeof buf, true, name, "a", 5);
        assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
        assert_int_equal(kith_force_leave(k, NOW, lone_str(name), true, NULL), 0);
    }
    assert_int_equal(lone_counter(k, "events_dropped"), 12);
    limits_end(k);
}

/* ---- replies, relays, tickets ---- */

static void replies_max_drops_the_newest(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.replies_max = 5;
    kith *k = limits_new(&c);
    uint8_t buf[64];
    struct kith_addr from = lone_addr(2, 7946);
    size_t len = hex_bytes("0082a44e6f6465a473656c66a55365714e6f4d", buf, sizeof buf); /* ping of "self" */
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
    assert_int_equal(lone_counter(k, "replies_dropped"), 7);
    assert_int_equal(lone_drain_datagrams(k, NOW), 5);
    limits_end(k);
}

static void relays_max_refuses(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.relays_max = 3;
    kith *k = limits_new(&c);
    lone_meet(k, NOW, "a", 2);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(9, 7946);
    const uint8_t ip[4] = {10, 0, 0, 2};
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_indirect_ping(&p, &(struct ki_indirect_ping){
                                    .seq = 1, .target = ki_span(ip, 4), .port = 7946, .node = lone_span("a")});
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(kith_datagram(k, NOW, &from, buf, p.w.len), i < 3 ? 0 : KITH_ERR_FULL);
    assert_int_equal(lone_counter(k, "relays_full"), 2);
    assert_int_equal(lone_counter(k, "pings_for_others"), 3);
    kith_tick(k, lone_time(4 * LONE_SECOND)); /* they end, and there is room again */
    assert_int_equal(kith_datagram(k, lone_time(4 * LONE_SECOND), &from, buf, p.w.len), 0);
    limits_end(k);
}

static void tickets_max_refuses(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    c.tickets_max = 2;
    kith *k = limits_new(&c);
    struct kith_addr to = lone_addr(9, 7946);
    kith_ticket ticket = 0;
    assert_int_equal(kith_join(k, NOW, &to, 1, false, &ticket), 0);
    assert_int_equal(kith_join(k, NOW, &to, 1, false, NULL), 0);
    assert_int_equal(kith_join(k, NOW, &to, 1, false, NULL), KITH_ERR_FULL);
    assert_int_equal(kith_leave(k, NOW, NULL), KITH_ERR_FULL);
    kith_read_gauges(k, &g);
    assert_true(g.tickets == 2 && !g.leaving);
    kith_stream_failed(k, NOW, 1, KITH_ERR_UNREACHABLE);
    struct kith_event event;
    assert_true(kith_poll_event(k, &event) && event.kind == KITH_EVENT_DONE && event.ticket == ticket);
    assert_int_equal(event.result, KITH_ERR_UNREACHABLE);
    assert_int_equal(kith_leave(k, NOW, NULL), 0);
    limits_end(k);
}

/* ---- streams ---- */

static void streams_max_refuses(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.streams_max = 6;
    c.streams_per_source = 2;
    kith *k = limits_new(&c);
    uint32_t id;
    for (uint8_t host = 10; host < 14; host++) { /* 2 of 3 from each of 3 hosts, whatever their ports */
        for (uint16_t port = 1; port <= 3; port++) {
            struct kith_addr from = lone_addr(host, port);
            bool fits = host < 13 && port <= 2;
            assert_int_equal(kith_stream_accept(k, NOW, &from, &id), fits ? 0 : KITH_ERR_FULL);
        }
    }
    assert_int_equal(lone_counter(k, "streams_refused"), 6);
    struct kith_addr to = lone_addr(9, 7946);
    kith_ticket ticket;
    struct kith_event event;
    assert_int_equal(kith_join(k, NOW, &to, 1, false, &ticket), 0); /* ends at once: no stream to be had */
    assert_true(kith_poll_event(k, &event) && event.ticket == ticket && event.result == KITH_ERR_FULL);
    assert_int_equal(lone_counter(k, "streams_refused"), 7);
    limits_end(k);
}

static void one_stream_in_eight_is_ours(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.streams_max = c.streams_per_source = 16;
    kith *k = limits_new(&c);
    struct kith_addr from = lone_addr(10, 1), to = lone_addr(9, 7946);
    struct kith_stream_action action;
    uint32_t id, first = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(kith_stream_accept(k, NOW, &from, &id), i < 14 ? 0 : KITH_ERR_FULL);
        first = first ? first : id;
    }
    assert_int_equal(kith_join(k, NOW, &to, 1, false, NULL), 0);
    assert_true(kith_poll_stream(k, &action) && action.kind == KITH_STREAM_OPEN);
    for (uint64_t at = LONE_SECOND; at < 300 * LONE_SECOND; at += LONE_SECOND) { /* a byte a second, for ever */
        size_t taken;
        kith_stream_bytes(k, lone_time(at), first, "\x09", 1, &taken);
        kith_tick(k, lone_time(at));
    }
    struct kith_gauges g;
    kith_tick(k, lone_time(301 * LONE_SECOND));
    while (kith_poll_stream(k, &action))
        ;
    kith_read_gauges(k, &g);
    assert_int_equal(g.streams, 0);
    limits_end(k);
}

static void stream_timeout_makes_room(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.streams_max = 1;
    kith *k = limits_new(&c);
    struct kith_addr from = lone_addr(10, 1);
    struct kith_stream_action action;
    uint32_t id, other;
    assert_int_equal(kith_stream_accept(k, NOW, &from, &id), 0);
    struct kith_time later = lone_time(12 * LONE_SECOND);
    assert_true(kith_deadline(k) <= later.mono_us);
    kith_tick(k, later);
    assert_true(kith_poll_stream(k, &action) && action.kind == KITH_STREAM_ABORT && action.id == id);
    assert_int_equal(lone_counter(k, "streams_timed_out"), 1);
    assert_int_equal(kith_stream_accept(k, later, &from, &other), 0);
    assert_int_not_equal(id, other);
    limits_end(k);
}

/* The budget is full: bytes are left with the driver, who is told to offer them again when there is room. */
static void stream_bytes_max_pushes_back(void **state)
{
    (void)state;
    struct kith_config c;
    static uint8_t bytes[40000];
    lone_config(&c);
    c.stream_bytes_max = 65536;
    kith *k = limits_new(&c);
    struct kith_addr from = lone_addr(10, 1);
    struct kith_stream_action action;
    struct kith_gauges g;
    uint32_t first, second;
    size_t taken;
    /* a push/pull of a million nodes, of which these are the first bytes: it waits for more */
    size_t len = hex_bytes("0683 a44a6f696ec2 a54e6f646573ce000f4240 ac5573657253746174654c656e00 87a44e616d65da7fff",
                           bytes, sizeof bytes);
    assert_true(len < 60);
    assert_int_equal(kith_stream_accept(k, NOW, &from, &first), 0);
    assert_int_equal(kith_stream_accept(k, NOW, &from, &second), 0);
    assert_int_equal(kith_stream_bytes(k, NOW, first, bytes, 30000, &taken), 0);
    assert_int_equal(taken, 30000);
    kith_tick(k, NOW);
    assert_int_equal(kith_stream_bytes(k, NOW, second, bytes, sizeof bytes, &taken), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(lone_counter(k, "stream_backpressure"), 1);
    assert_true(lone_counter(k, "stream_budget_full") > 0);
    kith_read_gauges(k, &g);
    assert_true(g.stream_bytes <= 65536);
    assert_false(kith_poll_stream(k, &action));
    kith_stream_failed(k, NOW, first, KITH_ERR_UNREACHABLE);
    assert_true(kith_poll_stream(k, &action) && action.kind == KITH_STREAM_RESUME && action.id == second);
    assert_int_equal(kith_stream_bytes(k, NOW, second, bytes, sizeof bytes, &taken), 0);
    assert_int_equal(taken, sizeof bytes);
    limits_end(k);
}

/* Feeds a stream and returns whether it was aborted. */
static bool limits_stream_aborts(kith *k, const uint8_t *bytes, size_t len)
{
    struct kith_addr from = lone_addr(10, 1);
    struct kith_stream_action action;
    uint32_t id;
    size_t taken;
    assert_int_equal(kith_stream_accept(k, NOW, &from, &id), 0);
    assert_int_equal(kith_stream_bytes(k, NOW, id, bytes, len, &taken), 0);
    for (unsigned i = 0; i < 1000 && kith_deadline(k) <= NOW.mono_us; i++)
        kith_tick(k, NOW);
    bool aborted = false;
    while (kith_poll_stream(k, &action))
        aborted = aborted || (action.kind == KITH_STREAM_ABORT && action.id == id);
    return aborted;
}

static void frame_max_is_refused_by_its_length(void **state)
{
    (void)state;
    static const struct kith_key key = {.bytes = {1}, .len = 16};
    struct kith_config c;
    lone_config(&c);
    c.frame_max = 2000;
    c.keys = &key;
    c.key_count = 1;
    kith *k = limits_new(&c);
    uint8_t frame[6] = {KI_MSG_ENCRYPT, 0, 0, 0, 0, 1};
    ki_store_be(frame + 1, 2000, 4);
    assert_false(limits_stream_aborts(k, frame, sizeof frame)); /* waits for the rest */
    ki_store_be(frame + 1, 2001, 4);
    assert_true(limits_stream_aborts(k, frame, sizeof frame)); /* at once */
    ki_store_be(frame + 1, UINT32_MAX, 4);
    assert_true(limits_stream_aborts(k, frame, sizeof frame));
    assert_int_equal(lone_counter(k, "malformed"), 2);
    limits_end(k);
}

static size_t limits_compress(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
    static struct ki_lzw_encoder e;
    static uint8_t packed[65536];
    ki_lzw_encoder_init(&e, in, len, packed, sizeof packed);
    LONE_CHECK(ki_lzw_encode(&e, SIZE_MAX) == KI_LZW_DONE);
    struct ki_pack p = ki_pack(out, cap, false);
    ki_encode_compress_front(&p, e.out_len);
    ki_put(&p.w, packed, e.out_len);
    LONE_CHECK(!p.w.full);
    return p.w.len;
}

static void inflated_max_ends_a_stream(void **state)
{
    (void)state;
    static uint8_t plain[200000], packed[65536];
    struct kith_config c;
    lone_config(&c);
    c.inflated_max = 100000;
    /* a user message with a body of zeros that serf's layer does not know */
    size_t head = hex_bytes("0881aa557365724d73674c656ece00010000", plain, sizeof plain);
    plain[head] = 99;
    for (unsigned beyond = 0; beyond < 2; beyond++) {
        kith *k = limits_new(&c);
        size_t len = limits_compress(plain, beyond ? 100001 : 100000, packed, sizeof packed);
        assert_true(limits_stream_aborts(k, packed, len) == (beyond > 0));
        assert_int_equal(lone_counter(k, "malformed_compress"), beyond);
        assert_int_equal(lone_counter(k, "user_messages_in"), 1 - beyond);
        limits_end(k);
    }
}

/* ---- datagrams and memory ---- */

static void nesting_max_stops_a_datagram(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.nesting_max = 3;
    kith *k = limits_new(&c);
    struct kith_addr from = lone_addr(2, 7946);
    static const char *const nested[] = {
        "0082a44e6f6465a473656c66a55365714e6f01",
        "07010013 0082a44e6f6465a473656c66a55365714e6f02",
        "07010017 07010013 0082a44e6f6465a473656c66a55365714e6f03",
        "0701001b 07010017 07010013 0082a44e6f6465a473656c66a55365714e6f04",
    };
    for (unsigned i = 0; i < 4; i++) {
        uint8_t buf[64];
        size_t len = hex_bytes(nested[i], buf, sizeof buf);
        assert_int_equal(kith_datagram(k, NOW, &from, buf, len), i < 3 ? 0 : KITH_ERR_MALFORMED);
        assert_int_equal(lone_counter(k, "pings_in"), i < 3 ? i + 1 : 3);
    }
    assert_int_equal(lone_counter(k, "nested_too_deep"), 1);
    limits_end(k);
}

static void datagram_max_is_never_exceeded(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {576, 1400, 9000};
    static const struct kith_key key = {.bytes = {1}, .len = 16};
    for (size_t i = 0; i < KI_COUNT(sizes) * 4; i++) {
        struct kith_config c;
        lone_config(&c);
        c.datagram_max = sizes[i / 4];
        c.compress = i & 1;
        c.key_count = i & 2 ? 1 : 0;
        c.keys = &key;
        c.verify_incoming = false;
        c.label = lone_str("lab");
        kith *k = limits_new(&c);
        uint8_t buf[256] = "\xf4\x03lab", out[9000];
        struct kith_addr from = lone_addr(2, 7946), to;
        char name[8];
        size_t len, largest = 0;
        for (uint8_t m = 0; m < 200; m++) {
            snprintf(name, sizeof name, "m%u", m);
            len = 5 + lone_alive(buf + 5, sizeof buf - 5, name, (uint8_t)(m + 2), 1);
            assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
        }
        kith_tick(k, lone_time(2 * LONE_SECOND));
        while (kith_poll_datagram(k, lone_time(2 * LONE_SECOND), &to, out, c.datagram_max, &len)) {
            assert_true(len <= c.datagram_max);
            largest = len > largest ? len : largest;
        }
        if (!c.compress)
            assert_true(largest > c.datagram_max * 3 / 4); /* and it is made use of */
        limits_end(k);
    }
}

static void memory_max_is_kept(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    c.memory_max = 60000;
    kith *k = limits_new(&c);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    unsigned refused = 0;
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "member-%u", i);
        size_t len = lone_alive(buf, sizeof buf, name, (uint8_t)i, 1);
        int error = kith_datagram(k, NOW, &from, buf, len);
        assert_true(error == 0 || error == KITH_ERR_NOMEM);
        refused += error != 0;
        if (i % 100 == 0)
            lone_check(k);
    }
    kith_read_gauges(k, &g);
    assert_true(refused > 0 && g.memory_bytes <= 60000 && g.members > 100);
    assert_int_equal(lone_counter(k, "out_of_memory"), refused);
    limits_end(k);
}

static void names_and_tags_have_their_lengths(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    kith *k = limits_new(&c);
    uint8_t buf[1400];
    struct kith_addr from = lone_addr(2, 7946);
    char name[260];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    size_t len = lone_alive(buf, sizeof buf, name, 2, 1);
    assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
    name[255] = 'n';
    name[256] = 0;
    len = lone_alive(buf, sizeof buf, name, 2, 1);
    assert_int_equal(kith_datagram(k, NOW, &from, buf, len), KITH_ERR_MALFORMED);
    assert_int_equal(lone_counter(k, "name_too_long"), 1);
    assert_int_equal(kith_begin(k), 0);
    char value[KITH_META_MAX];
    memset(value, 'v', sizeof value);
    assert_int_equal(kith_tag_set(k, lone_str("big"), (struct kith_str){value, sizeof value}), KITH_ERR_ARG);
    assert_int_equal(kith_tag_set(k, lone_str("big"), (struct kith_str){value, 480}), 0);
    assert_int_equal(kith_tag_set(k, lone_str("more"), (struct kith_str){value, 30}), KITH_ERR_ARG);
    assert_int_equal(kith_commit(k, NOW, NULL), 0);
    limits_end(k);
}

/* Beyond the point of no return: an alive of ours would undo the leave that others have heard of. */
static void who_leaves_asks_no_more(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    kith *k = limits_new(&c);
    struct kith_addr to = lone_addr(2, 7946);
    lone_meet(k, NOW, "a", 2);
    assert_int_equal(kith_begin(k), 0);
    assert_int_equal(kith_tag_set(k, lone_str("t"), lone_str("v")), 0);
    assert_int_equal(kith_leave(k, NOW, NULL), 0);
    kith_read_gauges(k, &g);
    assert_true(g.leaving && !g.left_pool);
    for (uint64_t s = 1; s < 20; s++) { /* through every step of leaving, and after */
        uint32_t incarnation = g.incarnation;
        assert_int_equal(kith_commit(k, lone_time(s * LONE_SECOND), NULL), KITH_ERR_STATE);
        assert_int_equal(kith_begin(k), KITH_ERR_STATE);
        assert_int_equal(kith_leave(k, lone_time(s * LONE_SECOND), NULL), KITH_ERR_STATE);
        assert_int_equal(kith_join(k, lone_time(s * LONE_SECOND), &to, 1, false, NULL), KITH_ERR_STATE);
        kith_tick(k, lone_time(s * LONE_SECOND));
        lone_drain_datagrams(k, lone_time(s * LONE_SECOND));
        kith_read_gauges(k, &g);
        assert_int_equal(g.incarnation, incarnation);
    }
    assert_true(g.left_pool);
    limits_end(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_max_is_kept),
        cmocka_unit_test(intents_max_drops_the_oldest),
        cmocka_unit_test(queue_max_drops_the_most_told),
        cmocka_unit_test(events_max_drops_the_oldest),
        cmocka_unit_test(replies_max_drops_the_newest),
        cmocka_unit_test(relays_max_refuses),
        cmocka_unit_test(tickets_max_refuses),
        cmocka_unit_test(streams_max_refuses),
        cmocka_unit_test(one_stream_in_eight_is_ours),
        cmocka_unit_test(stream_timeout_makes_room),
        cmocka_unit_test(stream_bytes_max_pushes_back),
        cmocka_unit_test(frame_max_is_refused_by_its_length),
        cmocka_unit_test(inflated_max_ends_a_stream),
        cmocka_unit_test(nesting_max_stops_a_datagram),
        cmocka_unit_test(datagram_max_is_never_exceeded),
        cmocka_unit_test(memory_max_is_kept),
        cmocka_unit_test(names_and_tags_have_their_lengths),
        cmocka_unit_test(who_leaves_asks_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
