/* The walker of the checkers looks into every view, however many there are; and what the checkers share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/check.h"

static kith_sim *check_world(uint32_t nodes)
{
    struct kith_sim_config config;
    kith_sim *s;
    kith_sim_config_init(&config, 3);
    assert_int_equal(kith_sim_new(&s, &config), 0);
    for (uint32_t n = 0; n < nodes; n++) {
        struct kith_config node;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        assert_int_equal(kith_sim_add(s, &node, NULL), 0);
    }
    assert_int_equal(kith_sim_warm(s), 0);
    kith_sim_run(s, 10 * KITH_SIM_SECOND);
    assert_null(kith_sim_violation(s));
    return s;
}

/* A checker that remembers what was never there finds its mistake at the next walk. */
static void test_every_view_is_walked(void **state)
{
    (void)state;
    const struct {
        uint32_t nodes, whose;
        uint64_t within_s; /* 1 + n/64, and a second until it has its turn */
    } cases[] = {{1, 0, 2}, {2, 0, 2}, {2, 1, 2}, {130, 77, 4}};
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        kith_sim *s = check_world(cases[i].nodes);
        struct sim_grid *seen = ki_sim_observer_state(s, &ki_sim_check_incarnation.watch);
        *ki_sim_grid_at(seen, cases[i].whose, cases[i].whose) = UINT32_MAX;
        kith_sim_run(s, (10 + cases[i].within_s) * KITH_SIM_SECOND);
        assert_non_null(kith_sim_violation(s));
        assert_non_null(strstr(kith_sim_violation(s), ": incarnation: the incarnation of node-"));
        kith_sim_free(s);
    }
}

/* The same for the last one that runs. */
static void test_the_last_one_is_walked(void **state)
{
    (void)state;
    kith_sim *s = check_world(2);
    struct sim_grid *seen = ki_sim_observer_state(s, &ki_sim_check_incarnation.watch);
    kith_sim_crash(s, 1, KITH_SIM_HOST);
    kith_sim_run(s, 11 * KITH_SIM_SECOND);
    *ki_sim_grid_at(seen, 0, 0) = UINT32_MAX;
    kith_sim_run(s, 13 * KITH_SIM_SECOND);
    assert_non_null(kith_sim_violation(s));
    kith_sim_free(s);
}

static void test_sources(void **state)
{
    (void)state;
    struct sim_sources sources = {0};
    struct kith_addr addr = {.ip_len = 4, .port = 1};
    for (uint32_t i = 0; i < 300; i++) { /* three nodes know a hundred each */
        addr.ip[3] = (uint8_t)(i / 3);
        assert_null(ki_sim_source_find(&sources, i % 3, &addr));
        ki_sim_source_make(&sources, i % 3, &addr)->in = i;
        assert_int_equal(ki_sim_source_make(&sources, i % 3, &addr)->in, i);
    }
    assert_int_equal(sources.count, 300);
    ki_sim_sources_forget(&sources, 1);
    assert_int_equal(sources.count, 200);
    for (uint32_t i = 0; i < 300; i++) {
        addr.ip[3] = (uint8_t)(i / 3);
        const struct sim_source *found = ki_sim_source_find(&sources, i % 3, &addr);
        assert_true(i % 3 == 1 ? !found : found && found->in == i);
    }
    ki_sim_sources_free(&sources);
    assert_int_equal(sources.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_view_is_walked),
        cmocka_unit_test(test_the_last_one_is_walked),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
