/* Refusals: which of them end a round of probes, what two rounds do, what a helper says of one, and that nothing else can
 * take their place, whoever says it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

#define MS 1000ull
#define MEMBERS 20

static struct kith_addr addr_of(const kith *k, uint32_t id)
{
    return ki_addr_of(ki_table_at(&k->table, id));
}

static struct kith_addr helper(const kith *k, unsigned i)
{
    assert_true(i < k->nack_wait.helper_count);
    return addr_of(k, k->nack_wait.helpers[i]);
}

/* The operating system's word about the target of the probe. */
static void refuse(kith *k, uint64_t at_us, int error)
{
    struct kith_addr target = addr_of(k, k->probe_id);
    kith_datagram_refused(k, lone_time(at_us), &target, error);
}

static void nack(kith *k, uint64_t at_us, struct kith_addr from, uint32_t seq, bool refused)
{
    uint8_t buf[64];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_nack(&p, &(struct ki_nack){.seq = seq, .refused = refused});
    kith_datagram(k, lone_time(at_us), &from, buf, p.w.len);
}

static void helpers_refused(kith *k, uint64_t at_us, unsigned count)
{
    struct kith_addr from[3];
    for (unsigned i = 0; i < count; i++)
        from[i] = helper(k, i);
    uint32_t seq = k->probe_seq;
    for (unsigned i = 0; i < count; i++)
        nack(k, at_us, from[i], seq, true);
}

/* ---- a round: what is said after its ping, and whether it ends the round ---- */

static void all_agree(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    helpers_refused(k, at_us, 2);
}

static void our_refusal_comes_last(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_UNREACHABLE); /* so that helpers are asked */
    helpers_refused(k, at_us, 3);
    assert_int_equal(k->probe.state, KI_PROBE_INDIRECT);
    refuse(k, at_us, KITH_ERR_REFUSED);
}

/* Nothing was said of our datagram; the stream is reset. */
static void the_stream_is_refused(kith *k, uint64_t at_us)
{
    struct kith_stream_action action;
    refuse(k, at_us, KITH_ERR_UNREACHABLE);
    while (kith_poll_stream(k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(k, lone_time(at_us), action.id, KITH_ERR_REFUSED);
    }
    helpers_refused(k, at_us, 2);
}

static void the_stream_fails_otherwise(kith *k, uint64_t at_us)
{
    struct kith_stream_action action;
    refuse(k, at_us, KITH_ERR_UNREACHABLE);
    while (kith_poll_stream(k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(k, lone_time(at_us), action.id, KITH_ERR_UNREACHABLE);
    }
    helpers_refused(k, at_us, 3);
}

static void only_we_are_refused(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    for (unsigned i = 0; i < 3; i++)
        nack(k, at_us, helper(k, i), k->probe_seq, false);
}

static void one_liar_is(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    helpers_refused(k, at_us, 1);
    helpers_refused(k, at_us, 1);
    helpers_refused(k, at_us, 1);
}

static void only_helpers_are(kith *k, uint64_t at_us)
{
    lone_pass(k, at_us, k->probe.deadline_us);
    assert_int_equal(k->probe.state, KI_PROBE_INDIRECT);
    helpers_refused(k, k->now.mono_us, 3);
}

static void there_is_no_route(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_UNREACHABLE);
    helpers_refused(k, at_us, 3);
}

static void another_address_is_refused(kith *k, uint64_t at_us)
{
    struct kith_addr other = addr_of(k, k->probe_id);
    other.port++;
    refuse(k, at_us, KITH_ERR_UNREACHABLE);
    kith_datagram_refused(k, lone_time(at_us), &other, KITH_ERR_REFUSED);
    helpers_refused(k, at_us, 3);
}

static void strangers_say_so(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    for (uint8_t i = 100; i < 110; i++)
        nack(k, at_us, lone_addr(i, 7946), k->probe_seq, true);
}

static void members_who_were_not_asked(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    for (uint8_t i = 0; i < MEMBERS; i++) {
        struct kith_addr from = lone_addr((uint8_t)(10 + i), 7946);
        bool asked = false;
        for (unsigned h = 0; h < k->nack_wait.helper_count; h++) {
            struct kith_addr of = helper(k, h);
            asked = asked || kith_addr_equal(&of, &from);
        }
        if (!asked)
            nack(k, at_us, from, k->probe_seq, true);
    }
}

static void another_number(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    for (unsigned i = 0; i < 3; i++)
        nack(k, at_us, helper(k, i), k->probe_seq + 1, true);
}

static void it_answers_first(kith *k, uint64_t at_us)
{
    refuse(k, at_us, KITH_ERR_REFUSED);
    ki_ack_received(k, k->probe_seq, NULL);
    helpers_refused(k, at_us, 3);
}

static const struct row {
    const char *what;
    void (*say)(kith *k, uint64_t at_us);
    bool agreed;
} rows[] = {
    {"we and two helpers", all_agree, true},
    {"three helpers and then we", our_refusal_comes_last, true},
    {"our stream and two helpers", the_stream_is_refused, true},
    {"our stream, for another reason", the_stream_fails_otherwise, false},
    {"we alone", only_we_are_refused, false},
    {"we and one liar", one_liar_is, false},
    {"three helpers alone", only_helpers_are, false},
    {"no route, and three helpers", there_is_no_route, false},
    {"another port", another_address_is_refused, false},
    {"we and strangers", strangers_say_so, false},
    {"we and members who were not asked", members_who_were_not_asked, false},
    {"we, and three helpers with another number", another_number, false},
    {"an answer, and three helpers", it_answers_first, false},
};

/* A pool of members that never answer, at a probe of one of them. */
static kith *probing(bool stock, uint64_t *at_us)
{
    struct kith_config c;
    lone_config(&c);
    c.stock = stock;
    c.suspicion_mult = 30; /* no suspicion ends in the usual way here */
    kith *k = lone_new(&c);
    for (uint8_t i = 0; i < MEMBERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, lone_time(LONE_SECOND), name, (uint8_t)(10 + i));
    }
    *at_us = lone_next_probe(k, LONE_SECOND);
    assert_int_equal(k->probe.state, KI_PROBE_DIRECT);
    return k;
}

static void who_ends_a_round(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * KI_COUNT(rows); i++) {
        const struct row *row = &rows[i / 2];
        bool stock = i % 2;
        uint64_t at_us;
        if (stock && row->say != only_helpers_are) /* the others need what a stock node does not do */
            continue;
        kith *k = probing(stock, &at_us);
        uint32_t id = k->probe_id;
        row->say(k, at_us + MS);
        bool agreed = lone_counter(k, "refusals_agreed") == 1;
        bool ended = k->probe.state == KI_PROBE_IDLE && ki_table_at(&k->table, id)->state == KI_SUSPECT;
        if (agreed != row->agreed || ended != row->agreed)
            fail_msg("%s (stock %d): agreed %d, ended %d", row->what, stock, agreed, ended);
        lone_check(k);
        kith_free(k);
    }
}

/* ---- two rounds ---- */

/* The next probe of this member; those of others are answered. */
static uint64_t until_probed(kith *k, uint64_t at_us, uint32_t id)
{
    for (unsigned i = 0; i < 10 * MEMBERS; i++) {
        at_us = lone_next_probe(k, at_us);
        if (k->probe_id == id)
            return at_us;
        ki_ack_received(k, k->probe_seq, NULL);
    }
    fail_msg("it is not probed again");
    return 0;
}

static enum ki_state state_of(const kith *k, uint32_t id)
{
    return (enum ki_state)ki_table_at(&k->table, id)->state;
}

/* The first round accuses, the second, an interval later, declares; both times at once. */
static void two_rounds_are_enough(void **state)
{
    (void)state;
    uint64_t at_us;
    kith *k = probing(false, &at_us);
    uint32_t id = k->probe_id;
    uint64_t began_us = at_us;
    all_agree(k, at_us + MS);
    assert_int_equal(state_of(k, id), KI_SUSPECT);
    at_us = until_probed(k, at_us + MS, id);
    assert_int_equal(at_us, began_us + LONE_SECOND);
    assert_int_equal(state_of(k, id), KI_SUSPECT);
    all_agree(k, at_us + MS);
    assert_true(kith_deadline(k) <= at_us + MS);
    lone_pass(k, at_us + MS, at_us + MS);
    assert_int_equal(state_of(k, id), KI_DEAD);
    assert_int_equal(lone_counter(k, "deaths_declared"), 1);
    kith_free(k);
}

/* What happens to the suspect between the rounds; then the second one is refused like the first. */
static void what_begins_anew(void **state)
{
    enum { NOTHING, ANSWERS, REFUTES, WE_SLEEP, CASES };
    (void)state;
    for (unsigned what = 0; what < CASES; what++) {
        uint64_t at_us;
        uint8_t buf[256];
        kith *k = probing(false, &at_us);
        uint32_t id = k->probe_id;
        all_agree(k, at_us + MS);
        if (what == ANSWERS) {
            at_us = until_probed(k, at_us + MS, id);
            ki_ack_received(k, k->probe_seq, NULL);
        } else if (what == REFUTES) {
            struct kith_addr from = addr_of(k, id);
            char name[8] = {0};
            memcpy(name, ki_member_name(ki_table_at(&k->table, id)).ptr, ki_table_at(&k->table, id)->name_len);
            size_t len = lone_alive(buf, sizeof buf, name, from.ip[3], 6);
            kith_datagram(k, lone_time(at_us + 2 * MS), &from, buf, len);
            assert_int_equal(state_of(k, id), KI_ALIVE);
        } else if (what == WE_SLEEP) {
            at_us += 60 * LONE_SECOND;
            kith_tick(k, lone_time(at_us));
            assert_int_equal(lone_counter(k, "pauses"), 1);
        }
        k->health = 0;
        if (k->probe.state == KI_PROBE_IDLE || k->probe_id != id)
            at_us = until_probed(k, at_us + 2 * MS, id);
        all_agree(k, at_us + MS);
        lone_pass(k, at_us + MS, at_us + MS);
        if (state_of(k, id) != (what == NOTHING ? KI_DEAD : KI_SUSPECT))
            fail_msg("case %u: state %d", what, (int)state_of(k, id));
        lone_check(k);
        kith_free(k);
    }
}

/* A prober that is unwell leaves more time between the rounds. */
static void health_stretches_it(void **state)
{
    (void)state;
    uint64_t at_us;
    kith *k = probing(false, &at_us);
    uint32_t id = k->probe_id;
    k->health = 3;
    all_agree(k, at_us + MS);
    const struct ki_suspicion *s = ki_table_suspicion(&k->table, id);
    assert_int_equal(s->again_us, at_us + 4 * LONE_SECOND);
    kith_free(k);
}

/* Two are asked after a refusal, even where one is the rule; without one, nothing is as before. */
static void two_helpers_are_asked_at_least(void **state)
{
    (void)state;
    for (uint32_t checks = 0; checks <= 4; checks++) {
        for (int refused = 0; refused < 2; refused++) {
            uint64_t at_us;
            kith *k = probing(false, &at_us);
            k->cfg.indirect_checks = checks;
            refuse(k, at_us + MS, refused ? KITH_ERR_REFUSED : KITH_ERR_UNREACHABLE);
            assert_int_equal(k->nack_wait.helper_count, refused && checks == 1 ? 2 : checks);
            kith_free(k);
        }
    }
}

/* ---- helping ---- */

/* A member of this kind asks us to ping another one, whose host refuses: what is told, and when? */
static unsigned told(bool stock, const char *tags, size_t tags_len, int error, unsigned *refused)
{
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    const uint8_t ip[4] = {10, 0, 0, 9}, target_ip[4] = {10, 0, 0, 10};
    uint8_t buf[2048];
    struct kith_config c;
    struct kith_addr from = lone_addr(9, 7946), to, target = lone_addr(10, 7946);
    uint64_t at_us = 2 * LONE_SECOND;
    size_t len;
    unsigned nacks = 0;
    lone_config(&c);
    c.stock = stock;
    kith *k = lone_new(&c);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = 1, .node = lone_span("asker"), .addr = ki_span(ip, 4),
                                           .port = 7946, .meta = ki_span(tags, tags_len), .versions = ki_span(versions, 6)});
    kith_datagram(k, lone_time(LONE_SECOND), &from, buf, p.w.len);
    lone_meet(k, lone_time(LONE_SECOND), "target", 10);
    lone_pass(k, LONE_SECOND, at_us);
    p = ki_pack(buf, sizeof buf, false);
    ki_encode_indirect_ping(&p, &(struct ki_indirect_ping){.seq = 7, .target = ki_span(target_ip, 4), .port = 7946,
                                                           .node = lone_span("target"), .nack = true,
                                                           .source_addr = ki_span(ip, 4), .source_port = 7946,
                                                           .source_node = lone_span("asker")});
    kith_datagram(k, lone_time(at_us), &from, buf, p.w.len);
    assert_int_equal(k->relay_count, 1);
    lone_drain_datagrams(k, lone_time(at_us));
    for (unsigned i = 0; i < 3; i++) /* the news rides on other datagrams there, which are refused as well */
        kith_datagram_refused(k, lone_time(at_us + MS), &target, error);
    *refused = 0;
    while (kith_poll_datagram(k, lone_time(at_us + MS), &to, buf, sizeof buf, &len)) {
        char text[256];
        kith_describe(k, buf, len, text, sizeof text);
        nacks += strstr(text, "nack 7") != NULL;
        *refused += strstr(text, "nack 7 refused") != NULL && kith_addr_equal(&to, &from);
    }
    assert_int_equal(k->relay_count, 1); /* an ack that comes all the same is passed on */
    lone_check(k);
    kith_free(k);
    return nacks;
}

static void kith_members_are_told_at_once(void **state)
{
    static const char kith_tags[] = "\xff\x81\xa5_kith\xa3" "1-1", other_tags[] = "\xff\x80";
    unsigned refused;
    (void)state;
    assert_int_equal(told(false, kith_tags, sizeof kith_tags - 1, KITH_ERR_REFUSED, &refused), 1);
    assert_int_equal(refused, 1);
    assert_int_equal(told(false, kith_tags, sizeof kith_tags - 1, KITH_ERR_UNREACHABLE, &refused), 0);
    assert_int_equal(told(false, other_tags, sizeof other_tags - 1, KITH_ERR_REFUSED, &refused), 0);
    assert_int_equal(told(true, kith_tags, sizeof kith_tags - 1, KITH_ERR_REFUSED, &refused), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_ends_a_round),    cmocka_unit_test(two_rounds_are_enough),
        cmocka_unit_test(what_begins_anew),    cmocka_unit_test(health_stretches_it),
        cmocka_unit_test(two_helpers_are_asked_at_least),
        cmocka_unit_test(kith_members_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
