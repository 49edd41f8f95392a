/* The numbers of a simulated run against slow and obvious ones: percentiles against a sorted list, counted views
 * against the views themselves, and what scenarios are possible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "sim/run.h"

/* ---- the histogram ---- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void test_histogram(void **state)
{
    enum { VALUES = 20000 };
    static const uint32_t quantiles[] = {0, 1, 10000, 250000, 500000, 900000, 990000, 999999, 1000000};
    static uint64_t values[VALUES];
    struct ki_rng rng;
    (void)state;
    ki_rng_init(&rng, 42);
    for (unsigned bits = 0; bits <= 60; bits += 6) { /* small values, large ones, and all at once */
        struct sim_histogram h = {0};
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = ki_rng_below(&rng, (uint64_t)1 << (bits == 60 ? i % 60 : bits));
            ki_sim_histogram_add(&h, values[i]);
        }
        qsort(values, VALUES, sizeof *values, by_value);
        assert_int_equal(h.count, VALUES);
        assert_int_equal(h.max_us, values[VALUES - 1]);
        for (size_t i = 0; i < KI_COUNT(quantiles); i++) {
            uint64_t rank = ((uint64_t)VALUES * quantiles[i] + 999999) / 1000000;
            uint64_t wanted = values[rank ? rank - 1 : 0];
            uint64_t got = ki_sim_histogram_quantile_us(&h, quantiles[i]);
            assert_true(got >= wanted && got - wanted <= wanted / 1000);
        }
        ki_sim_histogram_free(&h);
    }
}

static void test_histogram_ends(void **state)
{
    struct sim_histogram h = {0};
    (void)state;
    ki_sim_histogram_add(&h, UINT64_MAX);
    assert_true(ki_sim_histogram_quantile_us(&h, 500000) == UINT64_MAX);
    ki_sim_histogram_add(&h, 0);
    assert_true(ki_sim_histogram_quantile_us(&h, 500000) == 0);
    assert_true(ki_sim_histogram_quantile_us(&h, 1000000) == UINT64_MAX);
    ki_sim_histogram_free(&h);
}

/* ---- views ---- */

static const struct sim_run_fault faults[] = {
    {SIM_RUN_KILL, 2, 9000000, KITH_NEVER},          {SIM_RUN_CRASH, 2, 9000000, KITH_NEVER},
    {SIM_RUN_PAUSE, 3, 9000000, 21000000},           {SIM_RUN_LEAVE, 2, 10000000, KITH_NEVER},
    {SIM_RUN_PARTITION, 9, 10000000, 30000000},      {SIM_RUN_PARTITION, 6, 12000000, 25000000},
    {SIM_RUN_SLOW, 2, 15000000, 22000000},           {SIM_RUN_RESTART, 4, 31000000, 33000000},
};

static struct sim_scenario scenario_of(uint64_t seed)
{
    return (struct sim_scenario){.seed = seed,
                                 .nodes = 30,
                                 .for_us = 45 * KITH_SIM_SECOND,
                                 .link = {.latency_min_us = 500, .latency_max_us = 20000, .loss_ppm = 30000},
                                 .warm = seed % 2 == 0,
                                 .stock_ppm = seed % 3 == 0 ? 300000 : 0,
                                 .check = true,
                                 .faults = faults,
                                 .fault_count = KI_COUNT(faults)};
}

/* Reads every view, and compares with what was counted. */
static void compare_views(struct sim_run *run)
{
    struct sim_result r;
    kith_sim *s = ki_sim_run_world(run);
    uint32_t up = 0, full = 0;
    uint64_t right = 0, wrong = 0;
    ki_sim_run_measure(run, &r);
    assert_false(r.lied);
    assert_null(r.violation);
    for (uint32_t node = 0; node < kith_sim_count(s); node++)
        up += kith_sim_life(s, node) != KITH_SIM_DOWN;
    for (uint32_t node = 0; node < kith_sim_count(s); node++) {
        struct kith_member m;
        uint32_t cursor = 0;
        uint64_t mine = 0, others = 0;
        if (kith_sim_life(s, node) == KITH_SIM_DOWN)
            continue;
        while (kith_next(s->nodes[node]->k, &cursor, &m)) {
            uint32_t who = kith_sim_find(s, &m.addr);
            bool held = m.status == KITH_STATUS_ALIVE || m.status == KITH_STATUS_LEAVING;
            bool is_up = kith_sim_life(s, who) != KITH_SIM_DOWN;
            mine += held && is_up;
            others += held && !is_up;
        }
        right += mine;
        wrong += others;
        full += mine == up && others == 0;
    }
    assert_int_equal(r.stats->up, up);
    assert_int_equal(r.stats->full, full);
    assert_int_equal(r.stats->right, right);
    assert_int_equal(r.stats->wrong, wrong);
}

static void test_views(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_scenario scenario = scenario_of(seed);
        struct sim_run *run = ki_sim_run_new(&scenario);
        uint64_t at_us = 0;
        unsigned compared = 0;
        while (ki_sim_run_advance(run, at_us += 250 * KITH_SIM_MS)) {
            if (at_us % (750 * KITH_SIM_MS) == 0) {
                compare_views(run);
                compared++;
            }
        }
        compare_views(run);
        assert_int_equal(compared, 59);
        ki_sim_run_free(run);
    }
}

/* The size of the steps changes nothing, nor does looking at the numbers in between. */
static void test_steps(void **state)
{
    uint64_t digests[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        static const uint64_t steps_us[] = {7777, 1000000, 3600000000};
        struct sim_scenario scenario = scenario_of(9);
        struct sim_run *run = ki_sim_run_new(&scenario);
        struct sim_result r;
        uint64_t at_us = 0;
        while (ki_sim_run_advance(run, at_us += steps_us[i])) {
            if (i == 1)
                ki_sim_run_measure(run, &r);
        }
        ki_sim_run_measure(run, &r);
        digests[i] = r.digest;
        assert_int_equal(r.virtual_us, scenario.for_us);
        assert_int_equal(r.stats->kill_count, 4);
        assert_int_equal(r.stats->up, 24);
        ki_sim_run_free(run);
    }
    assert_true(digests[0] == digests[1] && digests[1] == digests[2]);
}

/* ---- detection ---- */

/* By the rules of the protocol a failure is suspected within the time in which some probe must hit it, and judged not
 * before the shortest suspicion, which four confirmations allow, nor after the longest. */
static void test_detection(void **state)
{
    static const struct sim_run_fault kill[] = {{SIM_RUN_CRASH, 3, 5000000, KITH_NEVER}};
    const struct sim_scenario scenario = {.seed = 3,
                                          .nodes = 60,
                                          .for_us = 90 * KITH_SIM_SECOND,
                                          .link = {.latency_min_us = 500, .latency_max_us = 1500},
                                          .warm = true,
                                          .check = true,
                                          .faults = kill,
                                          .fault_count = 1};
    struct sim_run *run = ki_sim_run_new(&scenario);
    struct sim_result r;
    (void)state;
    assert_false(ki_sim_run_advance(run, KITH_NEVER));
    ki_sim_run_measure(run, &r);
    assert_int_equal(r.stats->first_detect.count, 3);
    assert_int_equal(r.stats->detect.count, 3 * 57);
    assert_int_equal(r.undetected, 0);
    assert_int_equal(r.stats->false_positives, 0);
    assert_true(r.stats->agreed);
    uint64_t min_us = 7112000; /* 4 * log10(60) * 1 s */
    assert_true(ki_sim_histogram_quantile_us(&r.stats->first_detect, 0) >= min_us);
    assert_true(r.stats->detect.max_us <= min_us * 6 + 10000000);
    assert_true(r.stats->detect.max_us >= r.stats->first_detect.max_us);
    assert_true(r.stats->slowest_us == r.stats->detect.max_us);
    ki_sim_run_free(run);
}

/* ---- verdicts ---- */

static void put_text(uint8_t *buf, size_t *len, const char *text)
{
    buf[(*len)++] = (uint8_t)(0xa0 + strlen(text)); /* msgpack: a string of up to 31 bytes */
    memcpy(buf + *len, text, strlen(text));
    *len += strlen(text);
}

/* memberlist's message "dead": {Incarnation, Node, From} */
static size_t dead_message(uint8_t *buf, uint32_t incarnation, const char *node, const char *from)
{
    size_t len = 0;
    buf[len++] = 5;
    buf[len++] = 0x83;
    put_text(buf, &len, "Incarnation");
    buf[len++] = 0xce;
    for (int shift = 24; shift >= 0; shift -= 8)
        buf[len++] = (uint8_t)(incarnation >> shift);
    put_text(buf, &len, "Node");
    put_text(buf, &len, node);
    put_text(buf, &len, "From");
    put_text(buf, &len, from);
    return len;
}

enum { NOTHING_WRONG, CUT_TO_IT, CUT_FROM_IT, PAUSED, SLOW, WAS_SLOW, OTHER_CUT, DOWN };

/* Node 3 is told that node 0 is dead.  A false positive only if nothing is wrong with node 0. */
static void test_false_positives(void **state)
{
    static const bool wanted[] = {[NOTHING_WRONG] = true, [WAS_SLOW] = true, [OTHER_CUT] = true, [DOWN] = false};
    (void)state;
    for (unsigned what = NOTHING_WRONG; what <= DOWN; what++) {
        struct kith_sim_config config;
        struct kith_member self;
        uint8_t buf[128];
        kith_sim *s;
        kith_sim_config_init(&config, 5);
        config.check = false; /* it is a forgery */
        assert_int_equal(kith_sim_new(&s, &config), 0);
        struct sim_stats *st = ki_sim_stats_new(s, 5);
        for (uint32_t node = 0; node < 5; node++) {
            struct kith_config one;
            kith_sim_node_config(s, node, KITH_PROFILE_LAN, &one);
            assert_int_equal(kith_sim_add(s, &one, NULL), 0);
        }
        assert_false(st->agreed);
        assert_int_equal(kith_sim_warm(s), 0);
        ki_sim_stats_warm(s);
        assert_true(st->agreed && st->agreed_us == 0 && st->right == 25);
        kith_sim_run(s, 10000);
        kith_self(kith_sim_node(s, 0), &self);
        uint32_t incarnation = self.incarnation;
        kith_sim_cut(s, 3, 0, what == CUT_TO_IT);
        kith_sim_cut(s, 0, 3, what == CUT_FROM_IT);
        kith_sim_cut(s, 0, 4, what == OTHER_CUT);
        kith_sim_pause(s, 0, what == PAUSED);
        kith_sim_slow(s, 0, what == SLOW ? 20000 : what == WAS_SLOW ? 10000 : 0);
        if (what == DOWN) {
            kith_sim_crash(s, 0, KITH_SIM_HOST);
            ki_sim_stats_killed(s, 0);
        }
        assert_true(st->agreed == (what != DOWN) && st->wrong == (what == DOWN ? 4 : 0));
        struct kith_addr from = s->nodes[4]->config.addr;
        kith_sim_inject(s, &from, 3, buf, dead_message(buf, incarnation, "node-0", "node-4"));
        kith_sim_run(s, 10000);
        assert_int_equal(st->failed_events, 1);
        assert_int_equal(st->false_positives, wanted[what]);
        assert_int_equal(st->detect.count, what == DOWN);
        assert_int_equal(ki_sim_stats_undetected(st), what == DOWN ? 3 : 0);
        assert_false(st->agreed);
        kith_sim_free(s);
    }
}

/* ---- what is possible ---- */

static void test_possible(void **state)
{
    static const struct {
        struct sim_run_fault faults[3];
        enum sim_impossible why;
        size_t index;
        uint32_t left;
    } rows[] = {
        {{{SIM_RUN_KILL, 10, 1000000, KITH_NEVER}}, SIM_POSSIBLE, 0, 0},
        {{{SIM_RUN_KILL, 11, 1000000, KITH_NEVER}}, SIM_TOO_MANY, 0, 10},
        {{{SIM_RUN_KILL, 0, 1000000, KITH_NEVER}}, SIM_NO_NODES, 0, 10},
        {{{SIM_RUN_KILL, 1, 60000000, KITH_NEVER}}, SIM_TOO_LATE, 0, 10},
        {{{SIM_RUN_PAUSE, 1, 1000000, 60000001}}, SIM_TOO_LATE, 0, 10},
        {{{SIM_RUN_PAUSE, 1, 1000000, 60000000}}, SIM_POSSIBLE, 0, 0},
        {{{SIM_RUN_KILL, 6, 1000000, KITH_NEVER}, {SIM_RUN_KILL, 5, 2000000, KITH_NEVER}}, SIM_TOO_MANY, 1, 4},
        {{{SIM_RUN_KILL, 6, 2000000, KITH_NEVER}, {SIM_RUN_KILL, 5, 1000000, KITH_NEVER}}, SIM_TOO_MANY, 0, 5},
        {{{SIM_RUN_KILL, 6, 1000000, KITH_NEVER}, {SIM_RUN_CRASH, 5, 1000000, KITH_NEVER}}, SIM_TOO_MANY, 1, 4},
        {{{SIM_RUN_PAUSE, 6, 1000000, 2000000}, {SIM_RUN_RESTART, 10, 2000000, 3000000}}, SIM_POSSIBLE, 0, 0},
        {{{SIM_RUN_PAUSE, 6, 1000000, 2000001}, {SIM_RUN_RESTART, 10, 2000000, 3000000}}, SIM_TOO_MANY, 1, 4},
        {{{SIM_RUN_KILL, 10, 1000000, KITH_NEVER}, {SIM_RUN_PARTITION, 10, 2000000, 3000000}}, SIM_POSSIBLE, 0, 0},
        {{{SIM_RUN_PARTITION, 6, 1000000, 4000000}, {SIM_RUN_PARTITION, 5, 2000000, 3000000}}, SIM_TOO_MANY, 1, 4},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct sim_scenario scenario = {.nodes = 10, .for_us = 60 * KITH_SIM_SECOND, .warm = true};
        size_t index = 99;
        uint32_t left = 99;
        scenario.faults = rows[i].faults;
        while (scenario.fault_count < 3 && rows[i].faults[scenario.fault_count].at_us)
            scenario.fault_count++;
        assert_int_equal(ki_sim_scenario_fault(&scenario, &index, &left), rows[i].why);
        if (rows[i].why != SIM_POSSIBLE) {
            assert_int_equal(index, rows[i].index);
            assert_int_equal(left, rows[i].left);
            continue;
        }
        struct sim_run *run = ki_sim_run_new(&scenario); /* what is possible can be carried out */
        assert_false(ki_sim_run_advance(run, KITH_NEVER));
        assert_null(kith_sim_violation(ki_sim_run_world(run)));
        ki_sim_run_free(run);
    }
}

static void test_cold_start(void **state)
{
    struct sim_scenario scenario = {.nodes = 100, .for_us = 60 * KITH_SIM_SECOND};
    struct sim_run_fault early = {SIM_RUN_KILL, 3, 15000, KITH_NEVER};
    size_t index;
    uint32_t left;
    (void)state;
    assert_int_equal(ki_sim_scenario_start_us(&scenario, 99), 990000);
    scenario.faults = &early;
    scenario.fault_count = 1;
    assert_int_equal(ki_sim_scenario_fault(&scenario, &index, &left), SIM_TOO_MANY);
    assert_int_equal(left, 2);
    scenario.nodes = 10000; /* all within 10 s */
    assert_int_equal(ki_sim_scenario_start_us(&scenario, 9999), 9999000);
    scenario.for_us = 10 * KITH_SIM_SECOND; /* and half of the run */
    assert_int_equal(ki_sim_scenario_start_us(&scenario, 9999), 4999500);
    scenario.warm = true;
    assert_int_equal(ki_sim_scenario_start_us(&scenario, 9999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_histogram_ends), cmocka_unit_test(test_views),
        cmocka_unit_test(test_steps),     cmocka_unit_test(test_detection),      cmocka_unit_test(test_possible),
        cmocka_unit_test(test_cold_start), cmocka_unit_test(test_false_positives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
