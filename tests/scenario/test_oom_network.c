/* Memory that runs out under an aggregate that is computed in the network: each allocation fails once, and for a while all
 * do.  What was refused is asked again; and once there is memory, all answers are right.
 * ctest: TIMEOUT 600 COST 40 */
#include <math.h>

#include <kith/aggregate.h>

#include "oom_pool.h"

#define LOAD STR("load")

static const struct kith_str second = TEXT("second");

static void oom_open(struct world *w, unsigned n, struct kith_str name, enum kith_engine engine)
{
    struct kith_schema schema;
    int error = KITH_ERR_NOMEM;
    kith_schema_init(&schema);
    schema.engine = engine;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, n));
        error = kith_aggregate_open(world_node(w, n), world_now(w), name, &schema);
        oom_refused(world_node(w, n), n, error, before);
    }
    assert_int_equal(error, 0);
}

static void oom_set(struct world *w, unsigned n, struct kith_str name, double value)
{
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, n));
        error = kith_aggregate_set(world_node(w, n), world_now(w), name, value);
        oom_refused(world_node(w, n), n, error, before);
    }
    assert_int_equal(error, 0);
}

/* Everything is asked, and refused for want of memory or answered. */
static void oom_ask_all(struct world *w, unsigned n, struct kith_str name)
{
    kith *k = world_node(w, n);
    struct kith_time now = world_now(w);
    struct kith_aggregate_answer answer;
    struct kith_place places[4];
    struct kith_rank rank;
    const double bound = 10;
    double value, rank_error, counts[2];
    size_t count;
    for (unsigned which = 0; which < 6; which++) {
        uint64_t before = lone_digest(k);
        int error = which == 0   ? kith_aggregate_read(k, now, name, KITH_ENGINE_NETWORK, &answer)
                    : which == 1 ? kith_aggregate_quantile(k, now, name, KITH_ENGINE_NETWORK, 0.5, &value, &rank_error)
                    : which == 2 ? kith_aggregate_histogram(k, now, name, KITH_ENGINE_NETWORK, &bound, 1, counts)
                    : which == 3 ? kith_aggregate_list(k, now, name, KITH_ENGINE_NETWORK, true, 0, places, 4, &count)
                    : which == 4 ? kith_aggregate_rank(k, now, name, KITH_ENGINE_NETWORK, (struct kith_str){NULL, 0}, &rank)
                                 : kith_aggregate_pick(k, now, name, KITH_ENGINE_NETWORK, places, 4, &count);
        bool is_none = error == KITH_ERR_NOT_FOUND || error == KITH_ERR_NUMBER; /* nobody has been heard of yet */
        oom_refused(k, n, is_none ? 0 : error, before);
    }
}

static void oom_right(struct world *w, unsigned n, struct kith_str name, double average, double max)
{
    struct kith_aggregate_answer a;
    struct kith_place places[4];
    size_t count;
    kith *k = world_node(w, n);
    assert_int_equal(kith_aggregate_read(k, world_now(w), name, KITH_ENGINE_NETWORK, &a), 0);
    if (!(fabs(a.average - average) < 1e-6 && fabs(a.count - POOL) < 1e-6 && fabs(a.max - max) < 1e-9 && a.converged))
        fail_msg("node-%u: average %g, not %g; count %g, max %g, not %g", n, a.average, average, a.count, a.max, max);
    assert_int_equal(kith_aggregate_list(k, world_now(w), name, KITH_ENGINE_NETWORK, true, 0, places, 4, &count), 0);
    assert_int_equal(count, POOL);
}

static uint64_t oom_story(uint64_t from, uint64_t to)
{
    struct world *w = oom_pool(from, to);
    for (unsigned n = 0; n < POOL; n++) {
        oom_open(w, n, LOAD, KITH_ENGINE_NETWORK); /* the victim may have heard of it before */
        oom_set(w, n, LOAD, 10 * n);
        oom_ask_all(w, n, LOAD);
        oom_run(w, SECOND / 2);
    }
    oom_run(w, 3 * SECOND);
    for (unsigned n = 0; n < POOL; n++) {
        oom_open(w, n, second, KITH_ENGINE_EXACT); /* computed because it is read */
        oom_set(w, n, second, n);
        oom_ask_all(w, n, second);
    }
    oom_run(w, 3 * SECOND);
    for (unsigned n = 0; n < POOL; n++)
        oom_set(w, n, LOAD, 100 * n);
    oom_run(w, 3 * SECOND);
    uint64_t calls = memory.calls;
    memory.fail_from = memory.fail_to = NEVER_FAILS;
    for (unsigned n = 0; n < POOL; n++)
        oom_ask_all(w, n, second);
    oom_run(w, 35 * SECOND); /* who could not answer for long has been given up meanwhile */
    for (unsigned n = 0; n < POOL; n++) {
        oom_right(w, n, LOAD, 100, 200);
        oom_right(w, n, second, 1, 2);
    }
    return oom_end(w, calls, from, to);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(oom_story, 1, 1);
    assert_in_range(refusals, 3, 1000);
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(oom_story, 7, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
