/* The swarm in this very process, for the sanitizers: random worlds, every checker looking on, no violation.
 *
 * KITH_SEEDS=A..B chooses the seeds; without it 60 of them run (15 with a sanitizer), 20 each with stores, events and
 * aggregates (5), and 5 with all of these.  The long runs are those of `kith sim swarm`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sanitized.h"
#include "sim/swarm.h"

static struct sim_plan plan;

static void run_worlds(unsigned with, const char *flag, unsigned long long to)
{
    unsigned long long from = 1;
    const char *seeds = getenv("KITH_SEEDS");
    if (seeds && sscanf(seeds, "%llu..%llu", &from, &to) != 2)
        fail_msg("KITH_SEEDS is not A..B: %s", seeds);
    for (unsigned long long seed = from; seed <= to; seed++) {
        struct sim_verdict verdict;
        ki_sim_plan_draw(&plan, seed, with);
        ki_sim_plan_run(&plan, 0, NULL, &verdict);
        if (verdict.failed)
            fail_msg("%s\nagain: kith sim swarm --seeds %llu%s", verdict.sentence, seed, flag);
    }
    printf("seeds %llu..%llu%s\n", from, to, flag);
}

static void no_world_is_violated(void **state)
{
    (void)state;
    run_worlds(0, "", FEWER(60));
}

static void no_world_with_stores_is_violated(void **state)
{
    (void)state;
    run_worlds(SIM_WITH_STORES, " --stores", FEWER(20));
}

static void no_world_with_events_is_violated(void **state)
{
    (void)state;
    run_worlds(SIM_WITH_EVENTS, " --events", FEWER(20));
}

static void no_world_with_aggregates_is_violated(void **state)
{
    (void)state;
    run_worlds(SIM_WITH_AGGREGATES, " --aggregates", FEWER(20));
}

static void nor_one_with_all(void **state)
{
    (void)state;
    run_worlds(SIM_WITH_STORES | SIM_WITH_EVENTS | SIM_WITH_AGGREGATES, " --stores --events --aggregates", 5);
}

/* The trace costs nothing but time: it must not change what happens. */
static void looking_changes_nothing(void **state)
{
    (void)state;
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sim_verdict quiet, told;
        ki_sim_plan_draw(&plan, seed, (unsigned)(seed % 5)); /* the last with aggregates */
        ki_sim_plan_run(&plan, 0, NULL, &quiet);
        ki_sim_plan_run(&plan, 100, nowhere, &told);
        assert_true(quiet.digest == told.digest && quiet.events == told.events);
        assert_true(quiet.events > 0);
    }
    fclose(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_world_is_violated),
        cmocka_unit_test(no_world_with_stores_is_violated),
        cmocka_unit_test(no_world_with_events_is_violated),
        cmocka_unit_test(no_world_with_aggregates_is_violated),
        cmocka_unit_test(nor_one_with_all),
        cmocka_unit_test(looking_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
