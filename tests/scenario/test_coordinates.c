/* Coordinates on their way: who is told ours and who is not; which answers move us, and which change nothing; what is
 * kept of whom, and for how long. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

#define MS 1000ull

static uint8_t out[65536];
static struct ki_coordinate said; /* by the last ack that take_ack() found */

/* ---- what we say ---- */

/* Takes every datagram; returns the length of the payload of the ack among them, -1 if there is none. */
static int take_ack(kith *k, uint64_t at_us, size_t *len)
{
    struct kith_addr to;
    int found = -1;
    size_t one;
    while (kith_poll_datagram(k, lone_time(at_us), &to, out, sizeof out, &one)) {
        struct ki_span message = ki_span(out, one);
        struct ki_compound compound;
        struct ki_reader r = ki_reader(out + 1, one - 1);
        bool malformed = false;
        if (out[0] == KI_MSG_COMPOUND)
            assert_true(ki_compound_begin(&r, &compound) && ki_compound_next(&compound, &message, &malformed));
        struct ki_ack ack;
        r = ki_reader(message.ptr + 1, message.len - 1);
        if (message.ptr[0] != KI_MSG_ACK)
            continue;
        assert_true(ki_decode_ack(&r, &ack));
        found = (int)ack.payload.len;
        if (len)
            *len = one;
        r = ki_reader(ack.payload.ptr, ack.payload.len);
        assert_true(found == 0 || (ki_decode_coordinate(&r, &said) && r.left == 0));
    }
    return found;
}

/* A ping of somebody at 10.0.0.last, who says that this is its name, or does not say who it is. */
static void ping(kith *k, uint64_t at_us, const char *source, uint8_t last)
{
    uint8_t buf[1024];
    struct kith_addr from = lone_addr(last, 7946);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_ping(&p, &(struct ki_ping){.seq = 7,
                                         .source_addr = ki_span(from.ip, source ? from.ip_len : 0),
                                         .source_port = source ? from.port : 0,
                                         .source_node = source ? lone_span(source) : ki_span(NULL, 0)});
    assert_int_equal(kith_datagram(k, lone_time(at_us), &from, buf, p.w.len), 0);
}

static kith *begin(bool coordinates)
{
    struct kith_config c;
    lone_config(&c);
    c.compress = false;
    c.coordinates = coordinates;
    return lone_new(&c);
}

static void members_are_told_and_strangers_are_not(void **state)
{
    (void)state;
    kith *k = begin(true);
    lone_meet(k, lone_time(LONE_SECOND), "a", 2);
    ping(k, LONE_SECOND, "a", 2);
    assert_int_equal(take_ack(k, LONE_SECOND, NULL), KI_COORDINATE_LEN);
    assert_true(said.error == 1.5 && said.height == 1e-5 && said.vec[0] == 0);
    size_t len;
    static const struct {
        const char *source;
        uint8_t last;
    } strangers[] = {{NULL, 2}, {NULL, 9}, {"a", 9}, {"b", 9}, {"b", 2}};
    for (size_t i = 0; i < KI_COUNT(strangers); i++) {
        ping(k, LONE_SECOND, strangers[i].source, strangers[i].last);
        assert_int_equal(take_ack(k, LONE_SECOND, &len), 0);
        assert_true(len <= 22);
    }
    kith_free(k);
}

static void who_keeps_none_says_none(void **state)
{
    (void)state;
    kith *k = begin(false);
    lone_meet(k, lone_time(LONE_SECOND), "a", 2);
    ping(k, LONE_SECOND, "a", 2);
    assert_int_equal(take_ack(k, LONE_SECOND, NULL), 0);
    kith_free(k);
    struct kith_config c;
    lone_config(&c);
    c.delegate_min = c.delegate_max = c.delegate_cur = 0;
    k = lone_new(&c);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    static const uint8_t versions[6] = {1, 5, 2, 0, 0, 0}, ip[4] = {10, 0, 0, 2};
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = 1,
                                           .node = lone_span("a"),
                                           .addr = ki_span(ip, 4),
                                           .port = 7946,
                                           .versions = ki_span(versions, 6)});
    assert_int_equal(kith_datagram(k, lone_time(LONE_SECOND), &from, buf, p.w.len), 0);
    ping(k, LONE_SECOND, "a", 2);
    assert_int_equal(take_ack(k, LONE_SECOND, NULL), 0);
    kith_free(k);
}

/* The least datagram_max that our name and label allow holds an ack, sealed in the older way, with a coordinate. */
static void the_smallest_datagram_holds_it(void **state)
{
    (void)state;
    static char label[255], name[KITH_NAME_MAX];
    memset(label, 'l', sizeof label);
    memset(name, 'n', sizeof name);
    for (size_t name_len = 1; name_len <= sizeof name; name_len += sizeof name - 1) {
        struct kith_config c;
        struct kith_key key = {.len = 32};
        lone_config(&c);
        c.label = (struct kith_str){label, sizeof label};
        c.name = (struct kith_str){name, name_len};
        c.keys = &key;
        c.key_count = 1;
        c.protocol = 1; /* version 0 of the seal */
        c.verify_incoming = false;
        c.compress = false;
        c.datagram_max = (uint32_t)(470 + name_len + 2 + sizeof label);
        kith *k = lone_new(&c), *reader = NULL;
        uint8_t buf[1024];
        struct kith_addr from = lone_addr(2, 7946), to;
        struct ki_writer w = ki_writer(buf, sizeof buf);
        ki_put_label(&w, ki_span(label, sizeof label));
        w.len += lone_alive(buf + w.len, sizeof buf - w.len, "a", 2, 1);
        assert_int_equal(kith_datagram(k, lone_time(LONE_SECOND), &from, buf, w.len), 0);
        lone_drain_datagrams(k, lone_time(LONE_SECOND));
        w.len = 2 + sizeof label;
        struct ki_pack p = ki_pack(buf + w.len, sizeof buf - w.len, false);
        ki_encode_ping(&p, &(struct ki_ping){.seq = UINT32_MAX,
                                             .source_addr = ki_span(from.ip, 4),
                                             .source_port = from.port,
                                             .source_node = lone_span("a")});
        assert_int_equal(kith_datagram(k, lone_time(LONE_SECOND), &from, buf, w.len + p.w.len), 0);
        size_t len;
        char text[1024];
        assert_true(kith_poll_datagram(k, lone_time(LONE_SECOND), &to, out, sizeof out, &len));
        assert_true(len <= c.datagram_max);
        c.name = lone_str("reader");
        c.datagram_max = 1400;
        assert_int_equal(kith_new(&reader, &c), 0);
        assert_int_equal(kith_describe(reader, out, len, text, sizeof text), 0);
        if (!strstr(text, "ack 4294967295 with coordinate"))
            fail_msg("%s", text);
        kith_free(reader);
        kith_free(k);
    }
}

/* ---- what we hear ---- */

static struct ki_coordinate at_x(double x)
{
    return (struct ki_coordinate){.vec = {x}, .error = 0.5, .height = 0.001};
}

static void ack(kith *k, uint64_t at_us, uint32_t seq, const void *payload, size_t len)
{
    uint8_t buf[1024];
    struct kith_addr from = lone_addr(2, 7946);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_ack(&p, &(struct ki_ack){.seq = seq, .payload = ki_span(payload, len)});
    assert_int_equal(kith_datagram(k, lone_time(at_us), &from, buf, p.w.len), 0);
}

static void answer(kith *k, uint64_t at_us, uint32_t seq, const struct ki_coordinate *c)
{
    uint8_t payload[KI_COORDINATE_LEN];
    struct ki_pack p = ki_pack(payload, sizeof payload, false);
    ki_encode_coordinate(&p, c);
    ack(k, at_us, seq, payload, p.w.len);
}

/* The next probe of the one member, which is answered after a while. */
static uint64_t round_of(kith *k, uint64_t at_us, uint64_t rtt_us, const struct ki_coordinate *c)
{
    at_us = lone_next_probe(k, at_us);
    answer(k, at_us + rtt_us, k->probe_seq, c);
    lone_check(k);
    return at_us + rtt_us;
}

static bool is_known(const kith *k, const char *name)
{
    struct kith_coordinate c;
    int error = kith_coordinate(k, lone_str(name), &c);
    assert_true(error == 0 || error == KITH_ERR_NOT_FOUND);
    return error == 0;
}

static bool we_stand_still(const kith *k)
{
    struct kith_coordinate c;
    assert_int_equal(kith_coordinate(k, lone_str("self"), &c), 0);
    return c.vec[0] == 0 && c.error == 1.5 && c.adjustment == 0;
}

static void an_answer_moves_us(void **state)
{
    (void)state;
    kith *k = begin(true);
    struct kith_coordinate ours, theirs;
    const struct ki_coordinate there = at_x(0.05);
    uint64_t at_us = LONE_SECOND;
    lone_meet(k, lone_time(at_us), "a", 2);
    assert_false(is_known(k, "a") || is_known(k, "nobody"));
    assert_true(we_stand_still(k));
    at_us = round_of(k, at_us, 80 * MS, &there);
    assert_false(we_stand_still(k));
    assert_int_equal(kith_coordinate(k, lone_str("a"), &theirs), 0);
    assert_true(theirs.vec[0] == 0.05 && theirs.vec[7] == 0 && theirs.error == 0.5 && theirs.height == 0.001);
    for (int i = 0; i < 60; i++)
        at_us = round_of(k, at_us, 80 * MS, &there);
    assert_int_equal(kith_coordinate(k, lone_str("self"), &ours), 0);
    assert_true(ours.vec[0] < -0.01 && ours.error < 0.2); /* on the other side, at 80 ms */
    uint64_t us = kith_coordinate_distance_us(&ours, &theirs);
    assert_true(us > 76 * MS && us < 84 * MS);
    assert_int_equal(us, kith_coordinate_distance_us(&theirs, &ours));
    assert_int_equal(lone_counter(k, "coordinate_rejected"), 0);
    assert_int_equal(lone_counter(k, "coordinate_resets"), 0);
    kith_free(k);
}

/* The round trip begins when the ping is built, however long it waited; the driver may be late. */
static void waiting_is_not_measured(void **state)
{
    (void)state;
    kith *k = begin(true);
    uint64_t at_us = LONE_SECOND;
    lone_meet(k, lone_time(at_us), "a", 2);
    lone_pass(k, at_us, at_us);
    while (k->probe.state == KI_PROBE_IDLE) {
        at_us = kith_deadline(k);
        kith_tick(k, lone_time(at_us));
    }
    lone_drain_datagrams(k, lone_time(at_us + 300 * MS));
    struct ki_coordinate there = at_x(0.05);
    answer(k, at_us + 310 * MS, k->probe_seq, &there);
    assert_int_equal(k->coordinates.items[0]->latencies.us[0], 10 * MS);
    kith_free(k);
}

static void what_is_refused_changes_nothing(void **state)
{
    (void)state;
    static const char *const payloads[] = {"", "\x01", "\x02", "\x01\xc0", "\x01\x80", "coordinate"};
    kith *k = begin(true);
    uint64_t at_us = LONE_SECOND;
    lone_meet(k, lone_time(at_us), "a", 2);
    for (size_t i = 0; i < KI_COUNT(payloads); i++) {
        at_us = lone_next_probe(k, at_us) + MS;
        ack(k, at_us, k->probe_seq, payloads[i], strlen(payloads[i]));
        assert_int_equal(k->probe.state, KI_PROBE_IDLE); /* an ack it is, all the same */
        assert_int_equal(lone_counter(k, "coordinate_rejected"), i); /* the first says nothing */
    }
    struct ki_coordinate bad = at_x((double)NAN);
    at_us = round_of(k, at_us, MS, &bad);
    bad = at_x((double)INFINITY);
    at_us = round_of(k, at_us, MS, &bad);
    assert_int_equal(lone_counter(k, "coordinate_rejected"), KI_COUNT(payloads) + 1);
    assert_true(we_stand_still(k) && !is_known(k, "a"));
    assert_int_equal(k->coordinates.count, 0);
    kith_free(k);
}

/* A round trip beyond 10 s, which a pool with long timeouts may measure. */
static void too_slow_is_refused(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.probe_timeout_ms = 12000;
    c.probe_interval_ms = 20000;
    kith *k = lone_new(&c);
    lone_meet(k, lone_time(LONE_SECOND), "a", 2);
    const struct ki_coordinate there = at_x(0.05);
    uint64_t at_us = lone_next_probe(k, LONE_SECOND);
    for (uint64_t slept_us = 0; slept_us <= 10 * LONE_SECOND; slept_us += LONE_SECOND) /* awake, but nothing comes */
        lone_pass(k, at_us + slept_us, at_us + slept_us);
    answer(k, at_us + 10 * LONE_SECOND + 1, k->probe_seq, &there);
    assert_int_equal(lone_counter(k, "coordinate_rejected"), 1);
    assert_true(we_stand_still(k) && !is_known(k, "a"));
    kith_free(k);
}

/* Answers that are not to our own ping, or not known to be: of an earlier probe, a second time, after helpers were asked,
 * for another's probe, and after the process was stopped. */
static void other_acks_teach_nothing(void **state)
{
    (void)state;
    kith *k = begin(true);
    const struct ki_coordinate there = at_x(0.05);
    uint64_t at_us = LONE_SECOND;
    lone_meet(k, lone_time(at_us), "a", 2);
    at_us = lone_next_probe(k, at_us);
    answer(k, at_us + MS, k->probe_seq + 1, &there);
    lone_pass(k, at_us + MS, at_us + 501 * MS);
    assert_int_equal(k->probe.state, KI_PROBE_INDIRECT);
    answer(k, at_us + 502 * MS, k->probe_seq, &there);
    assert_int_equal(k->probe.state, KI_PROBE_IDLE);
    answer(k, at_us + 503 * MS, k->probe_seq, &there);
    at_us = lone_next_probe(k, at_us + 503 * MS);
    answer(k, at_us + 100 * LONE_SECOND, k->probe_seq, &there); /* before any timer could run */
    assert_int_equal(lone_counter(k, "pauses"), 1);
    assert_int_equal(k->probe.state, KI_PROBE_IDLE);
    assert_true(we_stand_still(k) && !is_known(k, "a"));
    at_us = round_of(k, at_us + 100 * LONE_SECOND, MS, &there);
    assert_true(is_known(k, "a"));
    assert_int_equal(lone_counter(k, "coordinate_rejected"), 0);
    kith_free(k);
}

static void who_keeps_none_hears_none(void **state)
{
    (void)state;
    kith *k = begin(false);
    const struct ki_coordinate there = at_x(0.05);
    lone_meet(k, lone_time(LONE_SECOND), "a", 2);
    round_of(k, LONE_SECOND, MS, &there);
    assert_false(is_known(k, "a") || is_known(k, "self"));
    kith_free(k);
}

/* A pool whose members say 1e300: we are driven out of range and begin anew, again and again, but never say it. */
static void liars_only_make_us_begin_anew(void **state)
{
    (void)state;
    kith *k = begin(true);
    struct ki_coordinate far = at_x(1e300);
    uint64_t at_us = LONE_SECOND;
    lone_meet(k, lone_time(at_us), "a", 2);
    for (int i = 0; i < 20; i++)
        at_us = round_of(k, at_us, MS, &far);
    assert_int_equal(lone_counter(k, "coordinate_resets"), 20);
    assert_true(we_stand_still(k));
    ping(k, at_us, "a", 2);
    assert_int_equal(take_ack(k, at_us, NULL), KI_COORDINATE_LEN);
    struct kith_coordinate ours, theirs;
    assert_int_equal(kith_coordinate(k, lone_str("self"), &ours), 0);
    assert_int_equal(kith_coordinate(k, lone_str("a"), &theirs), 0);
    assert_true(kith_coordinate_distance_us(&ours, &theirs) == UINT64_MAX);
    theirs = ours;
    theirs.height = ours.height = 0;
    theirs.vec[0] = 0.0001347;
    assert_int_equal(kith_coordinate_distance_us(&ours, &theirs), 135);
    theirs.vec[0] = 0.0001343;
    assert_int_equal(kith_coordinate_distance_us(&ours, &theirs), 134);
    theirs.height = ours.height = -1;
    assert_int_equal(kith_coordinate_distance_us(&ours, &theirs), 0);
    theirs.height = (double)NAN;
    assert_int_equal(kith_coordinate_distance_us(&ours, &theirs), 0);
    kith_free(k);
}

/* ---- what is kept ---- */

#define MANY 40

/* Members that never answered cost nothing; each that has goes with its member, whatever the order. */
static void who_is_forgotten_is_forgotten(void **state)
{
    (void)state;
    struct lone_memory memory = {0};
    struct kith_config c;
    lone_config(&c);
    c.memory = lone_hooks(&memory);
    c.reconnect_timeout_ms = 1000;
    c.reap_interval_ms = 1000;
    c.suspicion_mult = 1;
    kith *k = lone_new(&c);
    uint64_t at_us = LONE_SECOND;
    char name[8];
    for (uint8_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, lone_time(at_us), name, (uint8_t)(10 + i));
    }
    assert_int_equal(k->coordinates.count, 0);
    assert_true(k->coordinates.items == NULL);
    const struct ki_coordinate there = at_x(0.05);
    while (k->coordinates.count < MANY)
        at_us = round_of(k, at_us, MS, &there);
    lone_pass(k, at_us, at_us + 400 * LONE_SECOND); /* nobody answers any more */
    lone_check(k);
    assert_int_equal(k->table.count, 1);
    assert_int_equal(k->coordinates.count, 0);
    assert_false(is_known(k, "m0"));
    kith_free(k);
    assert_int_equal(memory.blocks, 0);
}

/* Without memory for its entry an answer changes nothing; the next one does. */
static void without_memory_nothing_changes(void **state)
{
    (void)state;
    for (uint64_t call = 0; call < 3; call++) {
        struct lone_memory memory = {0};
        struct kith_config c;
        lone_config(&c);
        c.memory = lone_hooks(&memory);
        kith *k = lone_new(&c);
        const struct ki_coordinate there = at_x(0.05);
        lone_meet(k, lone_time(LONE_SECOND), "a", 2);
        uint64_t at_us = lone_next_probe(k, LONE_SECOND);
        memory.fail_from = memory.calls + call; /* the array, the entry, the index */
        memory.fail_to = memory.fail_from + 1;
        answer(k, at_us + MS, k->probe_seq, &there);
        assert_int_equal(memory.failed, 1);
        assert_int_equal(lone_counter(k, "out_of_memory"), 1);
        assert_true(we_stand_still(k) && !is_known(k, "a"));
        lone_check(k);
        round_of(k, at_us + MS, MS, &there);
        assert_true(is_known(k, "a") && !we_stand_still(k));
        kith_free(k);
        assert_int_equal(memory.blocks, 0);
    }
}

static void before_it_lives_nobody_is_anywhere(void **state)
{
    (void)state;
    struct kith_config c;
    kith *k;
    lone_config(&c);
    assert_int_equal(kith_new(&k, &c), 0);
    assert_false(is_known(k, "self"));
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_told_and_strangers_are_not),
        cmocka_unit_test(who_keeps_none_says_none),
        cmocka_unit_test(the_smallest_datagram_holds_it),
        cmocka_unit_test(an_answer_moves_us),
        cmocka_unit_test(waiting_is_not_measured),
        cmocka_unit_test(what_is_refused_changes_nothing),
        cmocka_unit_test(too_slow_is_refused),
        cmocka_unit_test(other_acks_teach_nothing),
        cmocka_unit_test(who_keeps_none_hears_none),
        cmocka_unit_test(liars_only_make_us_begin_anew),
        cmocka_unit_test(who_is_forgotten_is_forgotten),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(before_it_lives_nobody_is_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
