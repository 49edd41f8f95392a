/* Every checker catches the bug that was planted for it, and is silent about the same worlds without it.
 *
 * This program is linked with a library of its own, compiled with the planted bugs (src/base/canary.h).  A bug is planted
 * by a number; then seeds are run until its own checker has spoken.  Another may speak earlier in some world, since one
 * bug can break several rules; but silence of its own one for all seeds is a blind checker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/canary.h"
#include "sim/swarm.h"

#define SEEDS 150 /* the rarest bug needs fewer than half of them */

static struct sim_plan plan;

/* Some look at stores, some at events, some at aggregates, which only worlds with such have. */
static unsigned looks_at(const char *checker)
{
    static const struct {
        const char *checker;
        unsigned with;
    } those[] = {{"store", SIM_WITH_STORES},    {"holder", SIM_WITH_STORES},   {"withhold", SIM_WITH_STORES},
                 {"changes", SIM_WITH_STORES},  {"converge", SIM_WITH_STORES}, {"once", SIM_WITH_EVENTS},
                 {"order", SIM_WITH_EVENTS},    {"gaps", SIM_WITH_EVENTS},     {"certificate", SIM_WITH_EVENTS},
                 {"asks", SIM_WITH_EVENTS},     {"settle", SIM_WITH_EVENTS},  {"places", SIM_WITH_AGGREGATES},
                 {"edges", SIM_WITH_AGGREGATES}, {"fold", SIM_WITH_AGGREGATES}, {"flow", SIM_WITH_AGGREGATES}};
    for (size_t i = 0; i < KI_COUNT(those); i++) {
        if (strcmp(checker, those[i].checker) == 0)
            return those[i].with;
    }
    return 0;
}

static bool caught(uint64_t seed, const char *checker)
{
    struct sim_verdict verdict;
    ki_sim_plan_draw(&plan, seed, looks_at(checker));
    ki_sim_plan_run(&plan, 0, NULL, &verdict);
    return verdict.failed && strcmp(verdict.checker, checker) == 0;
}

static void each_is_caught_by_its_own(void **state)
{
    (void)state;
    bool missed = false;
    for (int i = 1; i < KI_CANARY_COUNT; i++) {
        uint64_t seed = 1;
        ki_canary = i;
        while (seed <= SEEDS && !caught(seed, ki_canary_checkers[i]))
            seed++;
        printf("%-12s %-12s ", ki_canary_names[i], ki_canary_checkers[i]);
        if (seed <= SEEDS)
            printf("caught by seed %llu\n", (unsigned long long)seed);
        else
            printf("NOT CAUGHT by %d seeds\n", SEEDS);
        missed = missed || seed > SEEDS;
    }
    ki_canary = KI_CANARY_NONE;
    assert_false(missed);
}

static void without_any_all_is_well(void **state)
{
    (void)state;
    ki_canary = KI_CANARY_NONE;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static const struct {
            unsigned with;
            const char *name;
        } kinds[] = {{0, ""}, {SIM_WITH_STORES, " with stores"}, {SIM_WITH_EVENTS, " with events"},
                     {SIM_WITH_AGGREGATES, " with aggregates"}};
        for (unsigned i = 0; i < (seed <= SEEDS / 3 ? KI_COUNT(kinds) : 1); i++) { /* these cost more */
            struct sim_verdict verdict;
            ki_sim_plan_draw(&plan, seed, kinds[i].with);
            ki_sim_plan_run(&plan, 0, NULL, &verdict);
            if (verdict.failed)
                fail_msg("seed %llu%s: %s", (unsigned long long)seed, kinds[i].name, verdict.sentence);
        }
    }
}

/* A checker without a bug of its own would never be tested. */
static void each_checker_has_one(void **state)
{
    (void)state;
    for (size_t c = 0; ki_sim_checker_at(c); c++) {
        bool found = false;
        for (int i = 1; i < KI_CANARY_COUNT; i++)
            found = found || strcmp(ki_canary_checkers[i], ki_sim_checker_at(c)->watch.name) == 0;
        if (!found)
            fail_msg("no bug is planted for the checker \"%s\"", ki_sim_checker_at(c)->watch.name);
    }
}

static bool run_in_place(void *arg, const struct sim_plan *p, struct sim_verdict *out)
{
    (void)arg;
    ki_sim_plan_run(p, 0, NULL, out);
    return true;
}

/* Shrinking leaves a plan that fails in the same way, and cannot be made smaller by one fault. */
static void a_failure_shrinks(void **state)
{
    (void)state;
    struct sim_verdict verdict;
    ki_canary = KI_CANARY_OLD_NEWS;
    uint64_t seed = 1;
    while (!caught(seed, "incarnation"))
        assert_true(++seed <= SEEDS);
    ki_sim_plan_run(&plan, 0, NULL, &verdict);
    uint32_t faults = ki_sim_plan_faults(&plan), nodes = plan.node_count;
    ki_sim_plan_shrink(&plan, &verdict, run_in_place, NULL);
    uint32_t left = ki_sim_plan_faults(&plan);
    const struct sim_part part = ki_sim_plan_part(&plan);
    ki_sim_plan_draw(&plan, seed, 0); /* its part says all that is left */
    ki_sim_plan_keep(&plan, &part);
    assert_int_equal(ki_sim_plan_faults(&plan), left);
    assert_true(left <= faults && plan.node_count <= nodes);
    ki_sim_plan_run(&plan, 0, NULL, &verdict);
    assert_true(verdict.failed);
    assert_string_equal(verdict.checker, "incarnation");
    for (uint32_t i = 0; i < plan.fault_count; i++) {
        if (plan.faults[i].off)
            continue;
        plan.faults[i].off = true;
        ki_sim_plan_run(&plan, 0, NULL, &verdict);
        assert_false(verdict.failed && strcmp(verdict.checker, "incarnation") == 0);
        plan.faults[i].off = false;
    }
    printf("%u faults and %u nodes shrank to %u and %u\n", faults, nodes, left, plan.node_count);
    ki_canary = KI_CANARY_NONE;
}

static bool run_thrice(void *arg, const struct sim_plan *p, struct sim_verdict *out)
{
    uint32_t *runs = arg;
    ki_sim_plan_run(p, 0, NULL, out);
    return ++*runs <= 3;
}

/* When it is ended, what is left is a plan that has failed. */
static void shrinking_can_be_ended(void **state)
{
    (void)state;
    struct sim_verdict verdict;
    uint32_t runs = 0;
    ki_canary = KI_CANARY_OLD_NEWS;
    uint64_t seed = 1;
    while (!caught(seed, "incarnation"))
        assert_true(++seed <= SEEDS);
    ki_sim_plan_run(&plan, 0, NULL, &verdict);
    assert_int_equal(ki_sim_plan_shrink(&plan, &verdict, run_thrice, &runs), 3);
    assert_int_equal(runs, 4);
    ki_sim_plan_run(&plan, 0, NULL, &verdict);
    assert_true(verdict.failed);
    assert_string_equal(verdict.checker, "incarnation");
    ki_canary = KI_CANARY_NONE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_checker_has_one),
        cmocka_unit_test(each_is_caught_by_its_own),
        cmocka_unit_test(without_any_all_is_well),
        cmocka_unit_test(a_failure_shrinks),
        cmocka_unit_test(shrinking_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
