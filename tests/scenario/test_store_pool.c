/* Stores of several nodes: fresh writes arrive, everywhere and soon; others are known to hold them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define MS 1000ull
#define SECOND 1000000ull

static struct kith_str text(const char *s)
{
    return (struct kith_str){s, strlen(s)};
}

static struct world *pool(unsigned count, const struct kith_store_config *config, uint32_t loss_ppm)
{
    struct world *w = world_new();
    world_chance(w, count + loss_ppm, 0);
    world_store(w, config);
    for (unsigned n = 0; n < count; n++) {
        struct kith_config c;
        world_config(&c, n);
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
    }
    world_run(w, 5 * SECOND);
    world_chance(w, count, loss_ppm);
    return w;
}

static bool shows(struct world *w, unsigned n, const char *key, const char *value)
{
    struct kith_value found;
    assert_int_equal(kith_get(world_node(w, n), world_now(w), text(key), &found), 0);
    return found.shape == KITH_SHAPE_BYTES && found.bytes.len == strlen(value) &&
           memcmp(found.bytes.ptr, value, found.bytes.len) == 0;
}

static uint64_t counter(struct world *w, unsigned n, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(world_node(w, n), i);
    }
    fail_msg("no counter %s", name);
    return 0;
}

static void writes_arrive_at_once(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(8, &config, 0);
    assert_int_equal(kith_set(world_node(w, 3), world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    world_run(w, 3 * MS); /* one hop of 1 ms */
    for (unsigned n = 0; n < 8; n++)
        assert_true(shows(w, n, "a", "1"));
    uint64_t before = counter(w, 3, "pushes_out");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(kith_increase(world_node(w, 3), world_now(w), text("n"), 1, NULL), 0);
    world_run(w, 5 * MS);
    for (unsigned n = 0; n < 8; n++) {
        struct kith_value value;
        assert_int_equal(kith_get(world_node(w, n), world_now(w), text("n"), &value), 0);
        assert_true(value.shape == KITH_SHAPE_INTEGER && value.integer == 1000);
    }
    assert_in_range(counter(w, 3, "pushes_out") - before, 7, 28); /* of a thousand writes a few packets to each */
    assert_int_equal(counter(w, 0, "pushes_forwarded"), 0);
    world_free(w);
}

static void large_pools_forward(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(32, &config, 0);
    assert_int_equal(kith_set(world_node(w, 3), world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    world_run(w, 10 * MS);
    unsigned arrived = 0;
    for (unsigned n = 0; n < 32; n++)
        arrived += shows(w, n, "a", "1");
    assert_int_equal(arrived, 32);
    world_free(w);
}

static void groups_arrive_whole(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    kith *k = world_node(w, 0);
    char key[16];
    for (int round = 0; round < 50; round++) {
        assert_int_equal(kith_store_begin(k), 0);
        assert_int_equal(kith_store_begin(k), KITH_ERR_STATE);
        char value[16];
        snprintf(value, sizeof value, "%d", round);
        for (int i = 0; i < 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(kith_set(k, world_now(w), text(key), text(value), KITH_NEVER_MS), 0);
        }
        assert_int_equal(kith_store_commit(k, world_now(w)), 0);
    }
    assert_int_equal(kith_store_commit(k, world_now(w)), KITH_ERR_STATE);
    for (int step = 0; step < 20; step++) { /* at any time all ten show one round */
        world_run(w, 500);
        struct kith_value first, value;
        assert_int_equal(kith_get(world_node(w, 1), world_now(w), text("key-0"), &first), 0);
        for (int i = 1; i < 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(kith_get(world_node(w, 1), world_now(w), text(key), &value), 0);
            assert_int_equal(value.shape, first.shape);
            assert_true(value.bytes.len == first.bytes.len);
            if (value.bytes.len)
                assert_memory_equal(value.bytes.ptr, first.bytes.ptr, value.bytes.len);
        }
    }
    assert_true(shows(w, 1, "key-9", "49"));
    world_free(w);
}

static bool ended(struct world *w, kith_ticket ticket, int *result, uint32_t *count, uint64_t *at_us)
{
    const struct world_event *events;
    size_t total = world_events(w, &events);
    for (size_t i = 0; i < total; i++) {
        if (events[i].kind != KITH_EVENT_DONE || events[i].ticket != ticket)
            continue;
        *result = events[i].result;
        *count = events[i].count;
        *at_us = events[i].at_us;
        return true;
    }
    return false;
}

static void waits_for_holders(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(4, &config, 0);
    kith *k = world_node(w, 2);
    kith_ticket ticket;
    int result = 0;
    uint32_t count = 0;
    uint64_t at_us = 0, begin_us = world_now(w).mono_us;
    assert_int_equal(kith_set(k, world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    uint64_t cursor = 0;
    struct kith_holder holder;
    assert_true(kith_next_holder(k, world_now(w), text("a"), &cursor, &holder));
    assert_true(holder.is_self);
    assert_false(kith_next_holder(k, world_now(w), text("a"), &cursor, &holder));
    assert_int_equal(kith_store_wait(k, world_now(w), 3, 1000, &ticket), 0);
    world_run(w, 50 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    assert_int_equal(result, 0);
    assert_int_equal(count, 3);
    assert_true(at_us - begin_us <= 15 * MS);
    cursor = 0;
    unsigned holders = 0;
    while (kith_next_holder(k, world_now(w), text("a"), &cursor, &holder))
        holders++;
    assert_int_equal(holders, 4);

    world_cut(w, 2, 0, true);
    assert_int_equal(kith_set(k, world_now(w), text("a"), text("2"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_store_wait(k, world_now(w), 3, 300, &ticket), 0);
    world_run(w, 400 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    assert_int_equal(result, KITH_ERR_TIMEOUT);
    assert_int_equal(count, 2);
    assert_int_equal(kith_store_wait(k, world_now(w), 0, 300, &ticket), 0);
    world_run(w, 1 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_arrive_at_once),
        cmocka_unit_test(large_pools_forward),
        cmocka_unit_test(groups_arrive_whole),
        cmocka_unit_test(waits_for_holders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
