/* The checkers of stores: each of their sentences is said of a store that was tampered with, behind the workload's back, and
 * none of one that was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/store_work.h"

#define SECOND KITH_SIM_SECOND
#define STEPS  400

static kith_sim *truth_world(uint32_t nodes)
{
    struct kith_sim_config config;
    struct kith_store_config store;
    kith_sim *s;
    kith_sim_config_init(&config, 1);
    kith_store_config_init(&store);
    assert_int_equal(kith_sim_new(&s, &config), 0);
    for (uint32_t n = 0; n < nodes; n++) {
        struct kith_config node;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        assert_int_equal(kith_sim_add_with_store(s, &node, &store, NULL), 0);
        if (n > 0)
            kith_sim_join(s, n, 0);
    }
    kith_sim_run(s, 3 * SECOND);
    for (uint64_t i = 0; i < STEPS; i++) {
        ki_sim_store_work(s, (uint32_t)(i % nodes), i * 0x9e3779b97f4a7c15);
        kith_sim_run(s, kith_sim_now_us(s) + 5 * KITH_SIM_MS);
    }
    kith_sim_run(s, kith_sim_now_us(s) + 10 * SECOND);
    ki_sim_truth_settle(s, ki_sim_truth(s));
    if (kith_sim_violation(s))
        fail_msg("%s", kith_sim_violation(s));
    return s;
}

/* One that the node shows, in a place of this kind. */
static uint32_t truth_some(kith_sim *s, uint32_t node, enum sim_place_kind kind)
{
    struct sim_truth *t = ki_sim_truth(s);
    ki_sim_truth_read(s, t, node);
    for (uint32_t i = 0; i < t->count; i++) {
        if (ki_sim_places[t->tokens[i].place].kind == kind && t->shown[i] && !t->tokens[i].removed)
            return i;
    }
    fail();
    return SIM_NO_TOKEN;
}

static struct kith_str text(const char *s)
{
    return ki_sim_str(s);
}

enum tampering {
    LOST, LOST_SIBLING, LOST_MEMBER, BACK, BACK_VALUE, FOREIGN, OTHER_PLACE, OTHER_SCORE, OTHER_TYPE, EMPTY, OLDER, COUNTED,
    FELL, NO_NUMBER, NOT_HELD, NOBODY, TAMPERINGS
};

static const char *const tampering_says[TAMPERINGS] = {
    [LOST] = "store: w", [LOST_SIBLING] = "nobody has removed it", [LOST_MEMBER] = "nobody has removed it",
    [BACK] = "is back", [BACK_VALUE] = "is back", [FOREIGN] = "which nobody has written there",
    [OTHER_PLACE] = "which nobody has written there", [OTHER_SCORE] = "with another value than was written",
    [OTHER_TYPE] = "cannot be read", [EMPTY] = "is empty, and has shown", [OLDER] = "has shown the later",
    [COUNTED] = "by what was added must be", [FELL] = "fell from", [NO_NUMBER] = "is no whole number",
    [NOT_HELD] = "which it has not held", [NOBODY] = "which nobody has been",
};

static void tamper_elements(kith_sim *s, enum tampering what)
{
    struct sim_truth *t = ki_sim_truth(s);
    kith *k = kith_sim_node(s, 0);
    struct kith_time now = kith_sim_time(s, 0);
    char name[16];
    enum sim_place_kind kind = what == LOST_SIBLING ? SIM_PLACE_SIBLING : SIM_PLACE_ELEMENT;
    uint32_t token = truth_some(s, 0, kind);
    const struct sim_place *p = &ki_sim_places[t->tokens[token].place];
    int len = snprintf(name, sizeof name, "w%u", token);
    if (what == LOST)
        assert_int_equal(kith_remove(k, now, text(p->key), p->type, (struct kith_str){name, (size_t)len}, NULL), 0);
    else if (what == LOST_SIBLING)
        assert_int_equal(kith_delete(k, now, text(p->key), NULL), 0);
    else if (what == BACK)
        ki_sim_truth_knows(t, 0, token)->now = SIM_KNOWS_GONE;
    else if (what == FOREIGN)
        assert_int_equal(kith_set_add(k, now, text("set-a"), text("someone"), NULL), 0);
    else if (what == OTHER_PLACE)
        assert_int_equal(kith_put_sibling(k, now, text("siblings-a"), (struct kith_str){name, (size_t)len}, NULL, 0), 0);
}

static void tamper(kith_sim *s, enum tampering what)
{
    struct sim_truth *t = ki_sim_truth(s);
    kith *k = kith_sim_node(s, 0);
    struct kith_time now = kith_sim_time(s, 0);
    tamper_elements(s, what);
    if (what == LOST_MEMBER) {
        (void)ki_sim_truth_issue(s, t, 0, 10, 0);
        assert_int_equal(kith_remove(k, now, text("members"), KITH_TYPE_SET, text("a"), NULL), 0);
    } else if (what == BACK_VALUE) {
        ki_sim_truth_knows(t, 0, truth_some(s, 0, SIM_PLACE_REGISTER))->now = SIM_KNOWS_GONE;
    } else if (what == OTHER_SCORE) {
        char name[16];
        int len = snprintf(name, sizeof name, "w%u", ki_sim_truth_issue(s, t, 0, 2, 5));
        assert_int_equal(kith_sorted_add(k, now, text("sorted"), (struct kith_str){name, (size_t)len}, 6, NULL), 0);
    } else if (what == OTHER_TYPE) {
        assert_int_equal(kith_delete(k, now, text("string-b"), NULL), 0);
        assert_int_equal(kith_set_add(k, now, text("string-b"), text("w1"), NULL), 0);
    } else if (what == EMPTY) {
        assert_int_equal(kith_delete(k, now, text("string-a"), NULL), 0);
    } else if (what == OLDER) {
        (void)ki_sim_truth_issue(s, t, 0, 6, 0); /* held, and later than what shows */
    } else if (what == COUNTED) {
        assert_int_equal(kith_increase(k, now, text("count-b"), 1000, NULL), 0);
    } else if (what == FELL) {
        ki_sim_truth_node(t, 0)->low[12].now += 1;
    } else if (what == NO_NUMBER) {
        assert_int_equal(kith_increase_real(k, now, text("count-real"), 0.5, NULL), 0);
    } else if (what == NOBODY) {
        kith_sim_crash(s, 1, KITH_SIM_HOST); /* else its id would be read again */
        for (size_t i = 0; i < t->id_count; i++)
            t->ids[i].id ^= t->ids[i].node == 1;
    }
    if (what != NOT_HELD)
        return;
    kith_sim_run(s, kith_sim_now_us(s) + 5 * SECOND); /* roots have been compared: both are known as holders */
    kith_sim_pause(s, 1, true);
    for (size_t i = 0; i < t->id_count; i++) { /* as if it had ended before anything was written */
        t->ids[i].ended = t->ids[i].ended || t->ids[i].node == 1;
        t->ids[i].held_count = 0;
    }
}

static void each_sentence_is_said(void **state)
{
    (void)state;
    for (unsigned what = 0; what < TAMPERINGS; what++) {
        kith_sim *s = truth_world(2);
        tamper(s, (enum tampering)what);
        kith_sim_run(s, kith_sim_now_us(s) + 3 * SECOND);
        if (!kith_sim_violation(s))
            fail_msg("nothing was said where it should be: %s", tampering_says[what]);
        if (!strstr(kith_sim_violation(s), tampering_says[what]))
            fail_msg("%s: %s", tampering_says[what], kith_sim_violation(s));
        kith_sim_free(s);
    }
}

/* The workload does all that it can, and its tokens follow their writers' disks. */
static void knowledge_follows_the_disk(void **state)
{
    (void)state;
    kith_sim *s = truth_world(1);
    struct sim_truth *t = ki_sim_truth(s);
    uint32_t used = 0, held = 0, after = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        used |= 1u << t->tokens[i].place;
        held += ki_sim_truth_knows(t, 0, i)->now != SIM_KNOWS_NOTHING;
        assert_true(ki_sim_truth_acked(s, t, i));
    }
    assert_int_equal(used, (1u << SIM_PLACES) - 1);
    assert_true(held > 100);
    uint32_t count = (uint32_t)t->count;
    kith_sim_disk(s, 0, &(struct kith_sim_disk){.delay_min_us = 1000, .delay_max_us = 1000, .full = true});
    for (uint64_t i = 0; t->count < count + 5; i++)
        ki_sim_store_work(s, 0, i * 0x9e3779b97f4a7c15 + 1);
    kith_sim_crash(s, 0, KITH_SIM_HOST);
    assert_int_equal(kith_sim_restart(s, 0, KITH_SIM_KEEP), 0);
    for (uint32_t i = 0; i < t->count; i++)
        after += ki_sim_truth_knows(t, 0, i)->now != SIM_KNOWS_NOTHING;
    assert_true(after <= held && after > held / 2);
    for (uint32_t i = count; i < t->count; i++)
        assert_true(ki_sim_truth_knows(t, 0, i)->now == SIM_KNOWS_NOTHING);
    kith_sim_crash(s, 0, KITH_SIM_HOST);
    assert_int_equal(kith_sim_restart(s, 0, KITH_SIM_EMPTY), 0);
    for (uint32_t i = 0; i < t->count; i++)
        assert_true(ki_sim_truth_knows(t, 0, i)->now == SIM_KNOWS_NOTHING);
    assert_null(kith_sim_violation(s));
    kith_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sentence_is_said),
        cmocka_unit_test(knowledge_follows_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
