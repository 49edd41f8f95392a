/* Aggregates in a pool where not everybody is sent everything directly: what is fresh is passed on, and reaches all.
 * ctest: TIMEOUT 600 COST 60 */
#include "aggregates_pool.h"
#include "sanitized.h"

#define POOL_LARGE (IS_SANITIZED ? 80 : 100)

static void plain(struct kith_config *c, unsigned n)
{
    (void)n;
    c->compress = false;
}

static void hundred_know_all(void **state)
{
    (void)state;
    struct world *w = contributing(POOL_LARGE, plain);
    settles_within(w, 3 * SECOND);
    uint64_t before = counter_of_all(w, "datagrams_out");
    set(w, 17, 123456);
    world_run(w, SECOND);
    assert_true(all_know_truth(w)); /* within a second, by a few beats of passing on */
    assert_true(counter_of_all(w, "contributions_forwarded") > POOL_LARGE);
    assert_in_range(counter_of_all(w, "datagrams_out") - before, POOL_LARGE, 20 * POOL_LARGE);
    assert_int_equal(kith_aggregate_clear(world_node(w, 17), world_now(w), LOAD), 0);
    truth.contributes[17] = false;
    settles_within(w, 2 * SECOND);
    crash(w, 42);
    world_run(w, 10 * SECOND);
    settles_within(w, 5 * SECOND);
    world_free(w);
}

/* When all tell a dozen values at once, what one tells goes one way: nobody meets a part of it without the rest. */
static void nothing_is_torn_apart(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(POOL_LARGE, plain);
    settles_within(w, 3 * SECOND);
    uint64_t before = counter_of_all(w, "contributions_wanted");
    for (unsigned i = 0; i < 12 * POOL_LARGE; i++) {
        char text[8];
        snprintf(text, sizeof text, "g%u", i % 12);
        struct kith_str name = {text, strlen(text)};
        assert_int_equal(kith_aggregate_open(world_node(w, i / 12), world_now(w), name, &schema), 0);
        assert_int_equal(kith_aggregate_set(world_node(w, i / 12), world_now(w), name, i), 0);
    }
    world_run(w, 3 * SECOND);
    assert_in_range(counter_of_all(w, "contributions_wanted") - before, 0, 3 * POOL_LARGE); /* by pings meanwhile */
    settles_within(w, SECOND);
    world_free(w);
}

/* A quarter of all is lost: what passing on has missed is found by comparing. */
static void hundred_in_spite_of_loss(void **state)
{
    (void)state;
    struct world *w = contributing(POOL_LARGE, plain);
    settles_within(w, 3 * SECOND);
    world_chance(w, 3, 250000);
    for (unsigned round = 0; round < 20; round++) {
        set(w, (unsigned)(world_random(w) % POOL_LARGE), (double)(world_random(w) % 1000));
        world_run(w, SECOND / 4);
    }
    world_chance(w, 3, 0);
    world_run(w, 20 * SECOND); /* whoever was suspected for it */
    settles_within(w, SECOND);
    world_free(w);
}

/* Who joins gets everything from the first that it compares with, bucket by bucket. */
static void who_joins_a_hundred(void **state)
{
    (void)state;
    struct world *w = contributing(POOL_LARGE, plain);
    settles_within(w, 3 * SECOND);
    struct kith_config c;
    world_config(&c, POOL_LARGE);
    world_add(w, POOL_LARGE, &c);
    truth.nodes = POOL_LARGE + 1;
    truth.lives[POOL_LARGE] = true;
    assert_int_equal(world_join(w, POOL_LARGE, 0, NULL), 0);
    settles_within(w, 4 * SECOND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_know_all),
        cmocka_unit_test(nothing_is_torn_apart),
        cmocka_unit_test(hundred_in_spite_of_loss),
        cmocka_unit_test(who_joins_a_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
