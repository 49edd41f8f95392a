/* What nacks are worth: those of a lonely suspect's probe confirm, if they come from helpers that were asked, once each,
 * and only when the probe has failed; and one in time says that we are well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

#define MS 1000ull
#define MEMBERS 20

static const struct ki_member *helper(const kith *k, unsigned i)
{
    assert_true(i < k->nack_wait.helper_count);
    return ki_table_at(&k->table, k->nack_wait.helpers[i]);
}

static void nack(kith *k, uint64_t at_us, struct kith_addr from, uint32_t seq)
{
    uint8_t buf[64];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_nack(&p, &(struct ki_nack){.seq = seq});
    kith_datagram(k, lone_time(at_us), &from, buf, p.w.len);
}

static void tell(kith *k, uint64_t at_us, bool accuse, uint32_t incarnation)
{
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    size_t len = accuse ? lone_accuse(buf, sizeof buf, false, "c", "self", incarnation)
                        : lone_alive(buf, sizeof buf, "c", 3, incarnation);
    kith_datagram(k, lone_time(at_us), &from, buf, len);
}

/* ---- who says nack, and when, at the time at_us between asking and the verdict ---- */

static void two_helpers(kith *k, uint64_t at_us)
{
    struct kith_addr a = ki_addr_of(helper(k, 0)), b = ki_addr_of(helper(k, 1));
    nack(k, at_us, a, k->probe_seq);
    nack(k, at_us, b, k->probe_seq);
}

static void one_helper_twice(kith *k, uint64_t at_us)
{
    struct kith_addr a = ki_addr_of(helper(k, 0));
    nack(k, at_us, a, k->probe_seq);
    nack(k, at_us, a, k->probe_seq);
}

static void one_helper_after_the_verdict(kith *k, uint64_t at_us)
{
    struct kith_addr a = ki_addr_of(helper(k, 0));
    uint64_t after_us = k->probe.deadline_us + MS;
    lone_pass(k, at_us, after_us);
    assert_true(k->nack_wait.failed);
    nack(k, after_us, a, k->nack_wait.seq);
    nack(k, after_us, a, k->nack_wait.seq);
}

static void the_suspect_itself(kith *k, uint64_t at_us)
{
    nack(k, at_us, lone_addr(3, 7946), k->probe_seq);
}

static void one_that_was_not_asked(kith *k, uint64_t at_us)
{
    for (uint8_t last = 10; last < 10 + MEMBERS; last++) {
        struct kith_addr addr = lone_addr(last, 7946);
        bool asked = false;
        for (unsigned i = 0; i < k->nack_wait.helper_count; i++) {
            struct kith_addr of = ki_addr_of(helper(k, i));
            asked = asked || kith_addr_equal(&of, &addr);
        }
        if (!asked) {
            nack(k, at_us, addr, k->probe_seq);
            return;
        }
    }
}

static void a_stranger(kith *k, uint64_t at_us)
{
    nack(k, at_us, lone_addr(99, 7946), k->probe_seq);
}

static void another_number(kith *k, uint64_t at_us)
{
    struct kith_addr a = ki_addr_of(helper(k, 0));
    nack(k, at_us, a, k->probe_seq + 1);
}

static void two_helpers_and_the_suspect_answers(kith *k, uint64_t at_us)
{
    two_helpers(k, at_us);
    ki_ack_received(k, k->probe_seq, NULL);
}

static void two_helpers_and_it_is_accused_anew(kith *k, uint64_t at_us)
{
    two_helpers(k, at_us);
    tell(k, at_us, false, 6);
    tell(k, at_us, true, 6);
}

static void a_helper_that_is_forgotten(kith *k, uint64_t at_us)
{
    uint32_t id = k->nack_wait.helpers[0];
    two_helpers(k, at_us);
    ki_forget(k, id);
    for (unsigned i = 0; i < k->nack_wait.helper_count; i++)
        assert_int_not_equal(k->nack_wait.helpers[i], id);
}

static void two_helpers_and_the_suspect_is_forgotten(kith *k, uint64_t at_us)
{
    two_helpers(k, at_us);
    ki_forget(k, k->probe_id);
    assert_int_equal(k->nack_wait.confirms, KI_NO_MEMBER);
    lone_meet(k, lone_time(at_us), "c", 3); /* perhaps with the same id */
    tell(k, at_us, true, 5);
}

static const struct row {
    const char *what;
    void (*say)(kith *k, uint64_t at_us);
    unsigned confirmed;
} rows[] = {
    {"two helpers", two_helpers, 2},
    {"one helper, twice", one_helper_twice, 1},
    {"one helper, after the verdict, twice", one_helper_after_the_verdict, 1},
    {"the suspect itself", the_suspect_itself, 0},
    {"one that was not asked", one_that_was_not_asked, 0},
    {"a stranger", a_stranger, 0},
    {"another number", another_number, 0},
    {"two helpers, and the suspect answers", two_helpers_and_the_suspect_answers, 0},
    {"two helpers, and it refutes and is accused anew", two_helpers_and_it_is_accused_anew, 0},
    {"two helpers, of which one is forgotten", a_helper_that_is_forgotten, 1},
    {"two helpers, and the suspect is forgotten and comes back", two_helpers_and_the_suspect_is_forgotten, 0},
};

/* A pool in which c is accused at 2 s, in our own name so that our verdict confirms nothing, and by nobody else.  At 13.5 s
 * (after 8 log10(23) s) c is probed again, and helpers are asked. */
static kith *lonely(uint64_t *at_us)
{
    struct kith_config c;
    lone_config(&c);
    c.suspicion_mult = 8; /* six confirmations are wanted: two do not end it */
    kith *k = lone_new(&c);
    lone_meet(k, lone_time(LONE_SECOND), "b", 2);
    lone_meet(k, lone_time(LONE_SECOND), "c", 3);
    for (uint8_t i = 0; i < MEMBERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, lone_time(LONE_SECOND), name, (uint8_t)(10 + i));
    }
    tell(k, 2 * LONE_SECOND, true, 5);
    lone_pass(k, 2 * LONE_SECOND, 13500 * MS);
    uint32_t accused = ki_table_find(&k->table, lone_span("c"));
    *at_us = 13500 * MS;
    for (unsigned tries = 0; tries < 4 && !(k->probe_again && k->probe_id == accused); tries++) { /* others may be due */
        k->health = 0; /* nobody has answered us: begin well, with no probe under way */
        k->nack_wait.close_us = KITH_NEVER;
        ki_probe_init(&k->probe);
        *at_us = lone_next_probe(k, *at_us);
    }
    assert_true(k->probe_again && k->probe_id == accused);
    lone_pass(k, *at_us, k->probe.deadline_us);
    *at_us = k->now.mono_us + 10 * MS;
    assert_int_equal(k->probe.state, KI_PROBE_INDIRECT);
    return k;
}

static void nacks_confirm(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint64_t at_us;
        kith *k = lonely(&at_us);
        rows[i].say(k, at_us);
        struct ki_suspicion *s = ki_table_suspicion(&k->table, ki_table_find(&k->table, lone_span("c")));
        assert_non_null(s);
        if (!k->nack_wait.failed && s->confirmed != 0)
            fail_msg("%s: confirmed before the verdict", rows[i].what);
        if (!k->nack_wait.failed && k->probe.state != KI_PROBE_IDLE)
            lone_pass(k, at_us, k->probe.deadline_us + 2 * MS);
        s = ki_table_suspicion(&k->table, ki_table_find(&k->table, lone_span("c")));
        assert_non_null(s);
        if (s->confirmed != rows[i].confirmed)
            fail_msg("%s: %u confirmations, not %u", rows[i].what, s->confirmed, rows[i].confirmed);
        lone_check(k);
        kith_free(k);
    }
}

/* The score when the nacks of a failed probe are counted: unchanged by one in time, worse without. */
static void a_nack_in_time_says_that_we_are_well(void **state)
{
    (void)state;
    for (unsigned nacks = 0; nacks < 2; nacks++) {
        uint64_t at_us;
        kith *k = lonely(&at_us);
        k->health = 2;
        struct kith_addr a = ki_addr_of(helper(k, 0));
        if (nacks > 0)
            nack(k, at_us, a, k->probe_seq);
        uint64_t close_us = k->nack_wait.close_us;
        k->probe_next_us = KITH_NEVER;
        lone_pass(k, at_us, close_us);
        assert_int_equal(k->nack_wait.close_us, KITH_NEVER);
        assert_int_equal(k->health, nacks > 0 ? 2 : 2 + k->cfg.indirect_checks);
        kith_free(k);
    }
}

/* While we slept, nobody could confirm: who is to be asked again waits as much longer. */
static void a_pause_is_no_silence(void **state)
{
    (void)state;
    uint64_t at_us;
    kith *k = lonely(&at_us);
    const struct ki_suspicion *s = ki_table_suspicion(&k->table, k->probe_id);
    uint64_t before_us = s->again_us, start_us = s->start_us;
    kith_tick(k, lone_time(at_us + 60 * LONE_SECOND));
    assert_true(s->start_us > start_us);
    assert_int_equal(s->again_us - before_us, s->start_us - start_us);
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nacks_confirm),
        cmocka_unit_test(a_nack_in_time_says_that_we_are_well),
        cmocka_unit_test(a_pause_is_no_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
