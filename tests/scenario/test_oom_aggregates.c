/* Memory fails while members contribute: one of three hears of aggregates, opens some, sets, clears, watches and reads them,
 * and another comes back in a new life; each time another of its allocations fails, then many in a row.  What is refused has
 * changed nothing; once there is memory again everybody answers alike, and nothing leaks.
 * ctest: TIMEOUT 240 COST 60 */
#include "oom_pool.h"

#include <kith/aggregate.h>

#define LOAD STR("load")

static struct kith_str oom_name(unsigned i)
{
    static char text[16];
    snprintf(text, sizeof text, "gauge-%u", i);
    return (struct kith_str){text, strlen(text)};
}

/* One of the calls that may want memory, again until there is some. */
static void oom_open(struct world *w, unsigned n, struct kith_str name)
{
    struct kith_schema schema;
    int error = KITH_ERR_NOMEM;
    kith_schema_init(&schema);
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, n));
        error = kith_aggregate_open(world_node(w, n), world_now(w), name, &schema);
        oom_refused(world_node(w, n), n, error, before);
        lone_check(world_node(w, n));
    }
    assert_int_equal(error, 0);
}

static void oom_set(struct world *w, unsigned n, struct kith_str name, double value)
{
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        error = kith_aggregate_set(world_node(w, n), world_now(w), name, value);
        assert_true(error == 0 || (n == VICTIM && error == KITH_ERR_NOMEM));
    }
    assert_int_equal(error, 0);
}

static kith_ticket oom_watch(struct world *w)
{
    const struct kith_watch watch = {.measure = KITH_MEASURE_SUM, .limit = 100};
    kith_ticket ticket = 0;
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, VICTIM));
        error = kith_aggregate_watch(world_node(w, VICTIM), world_now(w), LOAD, &watch, &ticket);
        oom_refused(world_node(w, VICTIM), VICTIM, error, before);
    }
    assert_int_equal(error, 0);
    return ticket;
}

static double oom_sum(struct world *w, unsigned n)
{
    struct kith_aggregate_answer answer;
    struct kith_place places[POOL];
    size_t count;
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        error = kith_aggregate_read(world_node(w, n), world_now(w), LOAD, KITH_ENGINE_AUTO, &answer);
        assert_true(error == 0 || (n == VICTIM && error == KITH_ERR_NOMEM));
    }
    assert_int_equal(error, 0);
    error = kith_aggregate_list(world_node(w, n), world_now(w), LOAD, KITH_ENGINE_AUTO, true, 0, places, POOL, &count);
    assert_true(error == 0 || (n == VICTIM && error == KITH_ERR_NOMEM));
    return answer.sum;
}

static void oom_settled(struct world *w)
{
    for (unsigned n = 0; n < POOL; n++) {
        struct kith_aggregate_answer answer;
        for (unsigned i = 0; i < 12; i++) {
            assert_int_equal(kith_aggregate_read(world_node(w, n), world_now(w), oom_name(i), KITH_ENGINE_AUTO, &answer),
                             i == 3 ? KITH_ERR_NOT_FOUND : 0);
            if (i != 3)
                assert_true(answer.converged && answer.count == 2 && answer.sum == 2 * i + 1);
        }
        assert_true(oom_sum(w, n) == 1 + 20 + 300);
    }
}

static uint64_t oom_story(uint64_t from, uint64_t to)
{
    struct world *w = oom_pool(from, to);
    for (unsigned i = 0; i < 12; i++) { /* it hears of some first, */
        oom_open(w, 0, oom_name(i));
        oom_set(w, 0, oom_name(i), i);
    }
    oom_run(w, SECOND);
    for (unsigned i = 0; i < 12; i++) { /* and contributes to them, too */
        oom_open(w, VICTIM, oom_name(i));
        oom_set(w, VICTIM, oom_name(i), i + 1);
    }
    for (unsigned n = 0; n < POOL; n++) {
        oom_open(w, n, LOAD);
        oom_set(w, n, LOAD, n == 0 ? 1 : n == 1 ? 20 : 5);
    }
    kith_ticket ticket = oom_watch(w);
    oom_run(w, 2 * SECOND);
    (void)oom_sum(w, VICTIM);
    for (unsigned n = 0; n < 2; n++) /* one is taken back */
        assert_int_equal(kith_aggregate_close(world_node(w, n), world_now(w), oom_name(3)), 0);
    world_cut(w, 2, VICTIM, true); /* what it says is lost to the victim, and asked for */
    oom_set(w, 2, LOAD, 300);
    oom_run(w, SECOND / 2);
    world_cut(w, 2, VICTIM, false);
    oom_run(w, 5 * SECOND);
    uint64_t calls = memory.calls;
    memory.fail_from = memory.fail_to = NEVER_FAILS;
    oom_run(w, 10 * SECOND);
    oom_settled(w);
    size_t edges = 0;
    for (size_t i = 0; i < ear.count; i++)
        edges += ear.all[i].event.kind == KITH_EVENT_WATCH && ear.all[i].event.ticket == ticket;
    assert_int_equal(edges, 1);
    return oom_end(w, calls, from, to);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(oom_story, STEP(3), 1);
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(oom_story, 5, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
