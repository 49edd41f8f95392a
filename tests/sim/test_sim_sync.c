/* Pools that start all at once: everyone knows everyone soon after the last start, because views are compared as long as
 * that brings something new; and once they agree nothing is said but sums.
 * ctest: TIMEOUT 240 COST 10 */
#include "sanitized.h"
#include "sim/fixture.h"

#define NODES        (IS_SANITIZED ? 200 : 500)
#define SEEDS_JOINED 10 /* addresses that every node joins */

static uint64_t world_count(kith_sim *s, uint32_t nodes, const char *name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < kith_counter_count(); i++) {
        for (uint32_t n = 0; n < nodes && strcmp(kith_counter_name(i), name) == 0; n++)
            sum += kith_counter(kith_sim_node(s, n), i);
    }
    return sum;
}

/* When all agree; looked for every 50 ms. */
static uint64_t world_agrees_us(kith_sim *s, uint64_t until_us)
{
    uint64_t at_us = kith_sim_now_us(s);
    while (!kith_sim_agrees(s) && at_us < until_us)
        kith_sim_run(s, at_us += 50 * MS);
    return at_us;
}

/* Fifty at once, over ten addresses of which each is one of them. */
static void fifty_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FEWER(60); seed++) {
        struct kith_sim_config config;
        kith_sim_config_init(&config, seed);
        kith_sim *s = world_of(&config, 50);
        for (uint32_t n = 0; n < 50; n++)
            for (uint32_t seed_node = 0; seed_node < SEEDS_JOINED; seed_node++)
                assert_int_equal(n == seed_node || kith_sim_join(s, n, seed_node) == 0, true);
        uint64_t took_us = world_agrees_us(s, 10 * SECOND);
        if (took_us > 2 * SECOND)
            fail_msg("seed %u: %u ms", (unsigned)seed, (unsigned)(took_us / 1000));
        world_end(s);
    }
}

/* More at once than gossip can tell of: a hundred rumours in the same second, each of them to five hundred. */
static void a_flood_is_over_soon(void **state)
{
    (void)state;
    struct kith_sim_config config;
    kith_sim_config_init(&config, 7);
    kith_sim *s = world_of(&config, NODES);
    for (uint32_t n = 1; n < NODES; n++) {
        assert_int_equal(kith_sim_join(s, n, n / 2), 0); /* a tree: nobody is asked by many */
        if (n % 100 == 0)
            kith_sim_run(s, kith_sim_now_us(s) + 100 * MS);
    }
    uint64_t took_us = world_agrees_us(s, 30 * SECOND);
    if (took_us > 6 * SECOND)
        fail_msg("%u ms", (unsigned)(took_us / 1000));
    if (IS_SANITIZED) { /* what follows is nothing but time */
        world_end(s);
        return;
    }
    kith_sim_run(s, kith_sim_now_us(s) + 60 * SECOND);
    uint64_t compared = world_count(s, NODES, "views_compared"), bytes = world_count(s, NODES, "link_bytes_out");
    kith_sim_run(s, kith_sim_now_us(s) + 300 * SECOND); /* each compares once in its period of 150 s; and nothing differs */
    compared = world_count(s, NODES, "views_compared") - compared;
    bytes = world_count(s, NODES, "link_bytes_out") - bytes;
    assert_in_range(compared, 700, 1300);
    bytes -= compared * (16 + 2 + 32 * 8 + 1);
    assert_in_range(bytes + 2000, 0, 4000); /* of those that are under way at the beginning or the end */
    world_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_at_once),
        cmocka_unit_test(a_flood_is_over_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
