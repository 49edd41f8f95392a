/* What links do to datagrams: counted and timed, within bounds that luck alone does not leave; cuts, sides, clogs. */
#include "sim/fixture.h"

static void test_latency(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(2);
    config.link.latency_min_us = 1000;
    config.link.latency_max_us = 1999;
    kith_sim *s = world_of(&config, 2);
    for (uint32_t i = 0; i < MANY; i++)
        world_say(s, 0, 1, i, 10);
    assert_int_equal(world_hear(s, SECOND), MANY);
    uint32_t tenths[10] = {0};
    for (size_t i = 0; i < MANY; i++) {
        assert_true(heard[i].at_us >= 1000 && heard[i].at_us <= 1999);
        assert_true(i == 0 || heard[i].at_us >= heard[i - 1].at_us);
        tenths[(heard[i].at_us - 1000) / 100]++;
    }
    for (size_t i = 0; i < 10; i++)
        near(tenths[i], MANY / 10, 212); /* five times sqrt(n p q) = 42.4 */
    world_end(s);
}

static void test_tail(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(3);
    config.link.tail_us = 1000;
    kith_sim *s = world_of(&config, 2);
    for (uint32_t i = 0; i < MANY; i++)
        world_say(s, 0, 1, i, 10);
    assert_int_equal(world_hear(s, SECOND), MANY);
    uint64_t sum = 0, beyond = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_true(heard[i].at_us >= 1000);
        sum += heard[i].at_us - 1000;
        beyond += heard[i].at_us >= 1000 + 3000;
    }
    near(sum / MANY, 1000, 50);
    near(beyond, MANY / 20, MANY / 50); /* e^-3 of an exponential is 5 % */
    world_end(s);
}

static void test_chances(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(4);
    config.link.loss_ppm = 100000;
    config.link.duplicate_ppm = 50000;
    config.link.corrupt_ppm = 200000;
    kith_sim *s = world_of(&config, 2);
    static uint8_t seen[MANY];
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < MANY; i++)
        world_say(s, 0, 1, i, 4);
    size_t count = world_hear(s, SECOND), copies = 0, changed = 0;
    uint64_t lost = world_totals(s).lost;
    near(lost, MANY / 10, 212);
    near(count, (MANY - lost) * 105 / 100, 5 * 30);
    for (size_t i = 0; i < count; i++) { /* a changed byte of four makes another number */
        if (heard[i].number >= MANY || seen[heard[i].number] == 2)
            changed++;
        else
            copies += seen[heard[i].number]++ == 1;
    }
    assert_true(copies > 300); /* of 900, most of them unchanged */
    assert_true(changed > count / 10);
    assert_int_equal(world_totals(s).datagrams, MANY);
    assert_int_equal(world_totals(s).datagram_bytes, 4 * MANY);
    world_end(s);
}

static void test_corrupt(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(5);
    config.link.corrupt_ppm = 1000000;
    kith_sim *s = world_of(&config, 2);
    static const uint8_t zeros[100];
    uint32_t places[100] = {0};
    struct kith_sim_happening h;
    for (unsigned i = 0; i < 1000; i++)
        kith_sim_message(s, 0, 1, zeros, sizeof zeros);
    while (kith_sim_step(s, SECOND, &h)) {
        if (h.kind != KITH_SIM_MESSAGE)
            continue;
        unsigned changed = 0;
        for (size_t i = 0; i < h.len; i++) {
            changed += ((const uint8_t *)h.buf)[i] != 0;
            places[i] += ((const uint8_t *)h.buf)[i] != 0;
        }
        assert_int_equal(changed, 1);
    }
    for (size_t i = 0; i < sizeof zeros; i++)
        near(places[i], 10, 16);
    world_end(s);
}

static void test_reorder(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(6);
    config.link.reorder_ppm = 100000;
    config.link.reorder_us = 5000;
    kith_sim *s = world_of(&config, 2);
    size_t late = 0;
    for (uint32_t i = 0; i < 2000; i++)
        world_say(s, 0, 1, i, 4);
    assert_int_equal(world_hear(s, SECOND), 2000);
    for (size_t i = 0; i < 2000; i++) {
        assert_true(heard[i].at_us >= 1000 && heard[i].at_us <= 6000);
        late += heard[i].at_us > 1000;
    }
    near(late, 200, 68); /* the others were overtaken by nobody */
    for (size_t i = 1; i < 2000 - late; i++)
        assert_true(heard[i].number > heard[i - 1].number);
    world_end(s);
}

static void test_bandwidth(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(7);
    config.link.bandwidth = 1000000;
    config.link.backlog = 3000;
    kith_sim *s = world_of(&config, 3);
    for (uint32_t i = 0; i < 10; i++)
        world_say(s, 0, 1, i, 1000);
    world_say(s, 0, 2, 99, 1000); /* another pair, another line */
    size_t count = world_hear(s, SECOND);
    assert_int_equal(count, 5); /* one on the line, three behind it */
    assert_int_equal(world_totals(s).lost, 6);
    for (size_t i = 0, n = 0; i < count; i++) {
        if (heard[i].to == 1) { /* a millisecond each on the line, and one on the way */
            assert_int_equal(heard[i].number, n);
            assert_int_equal(heard[i].at_us, (n + 2) * MS);
            n++;
        } else {
            assert_int_equal(heard[i].at_us, 2 * MS);
        }
    }
    world_say(s, 0, 1, 5, 500); /* the line is free again */
    assert_int_equal(world_hear(s, 2 * SECOND), 1);
    assert_int_equal(heard[0].at_us, SECOND + 1500);
    world_end(s);
}

static void test_mtu(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(8);
    config.link.mtu = 576;
    kith_sim *s = world_of(&config, 2);
    for (size_t len = 570; len < 582; len++)
        world_say(s, 0, 1, (uint32_t)len, len);
    size_t count = world_hear(s, SECOND);
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(heard[i].len, 570 + i);
    assert_int_equal(world_totals(s).lost, 5);
    world_end(s);
}

static void test_clog(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(9);
    config.link.latency_max_us = 50 * MS; /* overtaking, were it not for the clog */
    kith_sim *s = world_of(&config, 2);
    kith_sim_clog(s, 0, 1, 100 * MS);
    for (uint32_t i = 0; i < 50; i++) {
        world_say(s, 0, 1, i, 10);
        world_say(s, 1, 0, i, 10);
    }
    assert_int_equal(world_hear(s, 99 * MS), 50); /* the other direction is free */
    assert_int_equal(world_hear(s, SECOND), 50);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(heard[i].at_us, 100 * MS);
        assert_int_equal(heard[i].number, i);
    }
    world_end(s);
}

static void test_clog_for_ever(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(14);
    config.link.bandwidth = 1000000; /* the line is not waiting for it */
    config.link.backlog = 65536;
    kith_sim *s = world_of(&config, 2);
    kith_sim_clog(s, 0, 1, KITH_NEVER);
    world_say(s, 0, 1, 1, 4);
    world_say(s, 1, 0, 2, 4);
    assert_int_equal(world_hear(s, 3600 * SECOND), 1);
    assert_true(kith_sim_is_cut(s, 0, 1) && !kith_sim_is_cut(s, 1, 0));
    assert_int_equal(world_totals(s).cut, 1);
    assert_int_equal(world_totals(s).lost, 0);
    kith_sim_mend(s);
    world_say(s, 0, 1, 3, 4);
    assert_int_equal(world_hear(s, 3601 * SECOND), 1);
    world_end(s);
}

static void test_cut(void **state)
{
    (void)state;
    kith_sim *s = world(3);
    kith_sim_cut(s, 0, 1, true);
    assert_true(kith_sim_is_cut(s, 0, 1));
    assert_false(kith_sim_is_cut(s, 1, 0));
    world_say(s, 0, 1, 1, 4);
    world_say(s, 1, 0, 2, 4);
    world_say(s, 0, 2, 3, 4);
    assert_int_equal(world_hear(s, SECOND), 2);
    assert_int_equal(world_totals(s).cut, 1);
    world_say(s, 1, 0, 4, 4);
    kith_sim_cut(s, 1, 0, true); /* what is on its way arrives */
    assert_int_equal(world_hear(s, 2 * SECOND), 1);
    kith_sim_cut(s, 0, 1, false);
    assert_false(kith_sim_is_cut(s, 0, 1));
    world_say(s, 0, 1, 5, 4);
    assert_int_equal(world_hear(s, 3 * SECOND), 1);
    world_end(s);
}

static void test_sides(void **state)
{
    (void)state;
    kith_sim *s = world(4);
    kith_sim_side(s, 2, 63);
    kith_sim_side(s, 3, 63);
    kith_sim_cut_sides(s, 0, 63, true);
    for (uint32_t from = 0; from < 4; from++) {
        for (uint32_t to = 0; to < 4; to++)
            assert_int_equal(kith_sim_is_cut(s, from, to), from < 2 && to >= 2);
    }
    kith_sim_cut_sides(s, 63, 63, true);
    assert_true(kith_sim_is_cut(s, 2, 3));
    kith_sim_cut_sides(s, 0, 63, false);
    assert_false(kith_sim_is_cut(s, 0, 2));
    kith_sim_cut(s, 0, 1, true);
    kith_sim_mend(s);
    for (uint32_t from = 0; from < 4; from++) {
        for (uint32_t to = 0; to < 4; to++)
            assert_false(kith_sim_is_cut(s, from, to));
    }
    kith_sim_cut_sides(s, 63, 0, true); /* all are on side 0 again */
    assert_false(kith_sim_is_cut(s, 2, 0));
    world_end(s);
}

static void test_own_link(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    struct kith_sim_link link = {.latency_min_us = 70 * MS, .latency_max_us = 70 * MS};
    assert_int_equal(kith_sim_link(s, 0, 1, &link), 0);
    world_say(s, 0, 1, 1, 4);
    world_say(s, 1, 0, 2, 4);
    assert_int_equal(world_hear(s, SECOND), 2);
    assert_int_equal(heard[0].at_us, 1 * MS);
    assert_int_equal(heard[1].at_us, 70 * MS);
    assert_int_equal(kith_sim_link(s, 0, 1, NULL), 0);
    world_say(s, 0, 1, 3, 4);
    assert_int_equal(world_hear(s, 2 * SECOND), 1);
    assert_int_equal(heard[0].at_us, SECOND + 1 * MS);
    link.latency_min_us++;
    assert_int_equal(kith_sim_link(s, 0, 1, &link), KITH_ERR_ARG);
    assert_int_equal(kith_sim_default_link(s, &link), KITH_ERR_ARG);
    link = (struct kith_sim_link){.loss_ppm = 1000000};
    assert_int_equal(kith_sim_default_link(s, &link), 0);
    world_say(s, 0, 1, 4, 4);
    assert_int_equal(world_hear(s, 3 * SECOND), 0);
    link.loss_ppm++;
    assert_int_equal(kith_sim_default_link(s, &link), KITH_ERR_ARG);
    world_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency), cmocka_unit_test(test_tail), cmocka_unit_test(test_chances),
        cmocka_unit_test(test_corrupt), cmocka_unit_test(test_reorder), cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_mtu), cmocka_unit_test(test_clog), cmocka_unit_test(test_clog_for_ever),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_sides), cmocka_unit_test(test_own_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
