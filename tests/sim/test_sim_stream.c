/* Streams of the simulator: a state of megabytes over a slow line, loss that delays and loses nothing, crashes, cuts and
 * pauses in the middle, refusals. */
#include "sim/fixture.h"

#define CROWD 20000

/* Node 0 is told of a crowd, which makes its state a megabyte and more. */
static kith_sim *world_crowd(const struct kith_sim_link *link)
{
    struct kith_sim_config config = world_config(11);
    static struct kith_member crowd[CROWD];
    static char names[CROWD][16];
    config.check = false; /* a crowd of nobody is suspected */
    if (link)
        config.link = *link;
    kith_sim *s = world_of(&config, 2);
    for (uint32_t i = 0; i < CROWD; i++) {
        snprintf(names[i], sizeof names[i], "crowd-%05u", (unsigned)i);
        crowd[i] = (struct kith_member){.name = {names[i], strlen(names[i])},
                                        .addr = {.ip = {11, 0, (uint8_t)(i >> 8), (uint8_t)i}, .ip_len = 4, .port = 1},
                                        .status = KITH_STATUS_ALIVE,
                                        .incarnation = 1,
                                        .versions = {1, 5, 2, 2, 5, 5}};
    }
    assert_int_equal(kith_import_members(kith_sim_node(s, 0), kith_sim_time(s, 0), crowd, CROWD), 0);
    return s;
}

static void world_ask(kith_sim *s, uint32_t node, uint32_t to)
{
    struct kith_config config;
    kith_ticket ticket;
    kith_sim_node_config(s, to, KITH_PROFILE_LAN, &config);
    assert_int_equal(kith_join(kith_sim_node(s, node), kith_sim_time(s, node), &config.addr, 1, false, &ticket), 0);
}

/* When node 1's join ends, with this result; KITH_NEVER: not before until_us. */
static uint64_t world_joined_us(kith_sim *s, uint64_t until_us, int *result)
{
    struct kith_sim_happening h;
    while (kith_sim_step(s, until_us, &h)) {
        if (h.kind == KITH_SIM_EVENT && h.node == 1 && h.event.kind == KITH_EVENT_DONE) {
            *result = h.event.result;
            return kith_sim_now_us(s);
        }
    }
    return KITH_NEVER;
}

static void test_stream_large(void **state)
{
    (void)state;
    struct kith_sim_link link = {.latency_min_us = 1 * MS, .latency_max_us = 1 * MS, .bandwidth = 1000000, .backlog = 65536};
    uint64_t took_us[3];
    for (unsigned i = 0; i < 3; i++) { /* without limit, over a slow line, with loss as well */
        int result = 1;
        link.loss_ppm = i == 2 ? 20000 : 0;
        kith_sim *s = world_crowd(i == 0 ? NULL : &link);
        world_ask(s, 1, 0);
        took_us[i] = world_joined_us(s, 100 * SECOND, &result);
        assert_int_equal(result, 0);
        struct kith_gauges g;
        kith_read_gauges(kith_sim_node(s, 1), &g);
        assert_int_equal(g.members, CROWD + 2);
        uint64_t bytes = world_totals(s).stream_bytes;
        assert_true(bytes > 1000000);
        if (i == 1) /* as long as the line needs for them */
            near(took_us[i], bytes, bytes / 10);
        world_end(s);
    }
    assert_true(took_us[0] < 200 * MS);
    assert_true(took_us[1] < 4 * SECOND);
    assert_true(took_us[2] > took_us[1]); /* loss delays, and loses nothing */
}

/* A crash in the middle of a stream, of the one who opened it (1) or of the other (0), of the process or of the host. */
static void test_stream_crash(void **state)
{
    (void)state;
    const struct kith_sim_link link = {
        .latency_min_us = 1 * MS, .latency_max_us = 1 * MS, .bandwidth = 1000000, .backlog = 65536};
    for (unsigned i = 0; i < 4; i++) {
        enum kith_sim_death how = i % 2 ? KITH_SIM_HOST : KITH_SIM_PROCESS;
        uint32_t dies = i / 2;
        int result = 1;
        kith_sim *s = world_crowd(&link);
        world_ask(s, 1, 0);
        assert_true(world_joined_us(s, 300 * MS, &result) == KITH_NEVER);
        kith_sim_crash(s, dies, how);
        if (dies == 1) { /* node 0 is left with a stream that nobody reads */
            struct kith_gauges g;
            kith_sim_run(s, how == KITH_SIM_PROCESS ? 400 * MS : 20 * SECOND);
            kith_read_gauges(kith_sim_node(s, 0), &g);
            assert_int_equal(g.stream_bytes, 0);
        } else { /* a reset at once; or silence until stream_timeout_ms */
            uint64_t ended_us = world_joined_us(s, 60 * SECOND, &result);
            assert_true(ended_us != KITH_NEVER && result < 0);
            assert_int_equal(ended_us < SECOND, how == KITH_SIM_PROCESS);
        }
        world_end(s);
    }
}

static void test_stream_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) { /* refused, silence, cut: when the join fails */
        kith_sim *s = world(2);
        int result = 1;
        if (i < 2)
            kith_sim_crash(s, 0, i == 0 ? KITH_SIM_PROCESS : KITH_SIM_HOST);
        else
            kith_sim_cut(s, 0, 1, true);
        world_ask(s, 1, 0);
        kith_sim_join(s, 1, 0); /* which tells the checkers that node 0 may be called */
        uint64_t ended_us = world_joined_us(s, 60 * SECOND, &result);
        assert_true(ended_us != KITH_NEVER && result < 0);
        assert_int_equal(ended_us < 10 * MS, i == 0);
        kith_sim_free(s);
    }
}

/* A cut holds a stream up, and it goes on when mended. */
static void test_stream_cut(void **state)
{
    (void)state;
    const struct kith_sim_link link = {
        .latency_min_us = 1 * MS, .latency_max_us = 1 * MS, .bandwidth = 1000000, .backlog = 65536};
    kith_sim *s = world_crowd(&link);
    int result = 1;
    world_ask(s, 1, 0);
    assert_true(world_joined_us(s, 300 * MS, &result) == KITH_NEVER);
    kith_sim_cut(s, 0, 1, true);
    assert_true(world_joined_us(s, 5 * SECOND, &result) == KITH_NEVER);
    kith_sim_cut(s, 0, 1, false);
    uint64_t ended_us = world_joined_us(s, 60 * SECOND, &result);
    assert_true(ended_us < 12 * SECOND && result == 0);
    world_end(s);
}

/* What holds everything up for as long as it lasts: nothing goes through, and then all. */
static void test_stream_held(void **state)
{
    (void)state;
    const struct kith_sim_link usual = {.latency_min_us = 1 * MS, .latency_max_us = 1 * MS};
    struct kith_sim_link silent = usual;
    silent.loss_ppm = 1000000;
    for (unsigned i = 0; i < 4; i++) { /* all is lost, one way only, a clog and slowness without end */
        kith_sim *s = world(2);
        int result = 1;
        if (i < 2)
            assert_int_equal(i == 0 ? kith_sim_default_link(s, &silent) : kith_sim_link(s, 0, 1, &silent), 0);
        else if (i == 2)
            kith_sim_clog(s, 1, 0, KITH_NEVER);
        else
            kith_sim_slow(s, 0, KITH_NEVER);
        kith_sim_join(s, 1, 0); /* which tells the checkers that node 0 may be called */
        world_ask(s, 1, 0);
        assert_true(world_joined_us(s, 4 * SECOND, &result) == KITH_NEVER);
        assert_int_equal(kith_sim_default_link(s, &usual), 0);
        kith_sim_mend(s);
        kith_sim_slow(s, 0, 0);
        assert_true(world_joined_us(s, 7 * SECOND, &result) != KITH_NEVER);
        assert_int_equal(result, 0);
        world_end(s);
    }
}

/* What is sent again may be lost again, and each time waits twice as long. */
static void test_stream_resends(void **state)
{
    (void)state;
    unsigned quick = 0, ended = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct kith_sim_config config = world_config(seed);
        int result = 1;
        config.link.loss_ppm = 900000; /* the first packet arrives in time in 10 % */
        kith_sim *s = world_of(&config, 2);
        kith_sim_join(s, 1, 0);
        world_ask(s, 1, 0);
        uint64_t ended_us = world_joined_us(s, 300 * SECOND, &result);
        quick += ended_us < 2 * SECOND; /* ten losses, if none were lost twice */
        ended += ended_us != KITH_NEVER;
        world_end(s);
    }
    assert_int_equal(ended, 100); /* with whatever result */
    assert_true(quick < 10);
}

/* The kernel of a paused process takes bytes for it; it goes on where it was. */
static void test_stream_pause(void **state)
{
    (void)state;
    const struct kith_sim_link link = {
        .latency_min_us = 1 * MS, .latency_max_us = 1 * MS, .bandwidth = 1000000, .backlog = 65536};
    for (uint32_t who = 0; who < 2; who++) {
        kith_sim *s = world_crowd(&link);
        int result = 1;
        world_ask(s, 1, 0);
        assert_true(world_joined_us(s, 300 * MS, &result) == KITH_NEVER);
        kith_sim_pause(s, who, true);
        assert_true(world_joined_us(s, 4 * SECOND, &result) == KITH_NEVER);
        kith_sim_pause(s, who, false);
        assert_true(world_joined_us(s, 60 * SECOND, &result) < 12 * SECOND);
        assert_int_equal(result, 0);
        world_end(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_large), cmocka_unit_test(test_stream_crash),
        cmocka_unit_test(test_stream_refused), cmocka_unit_test(test_stream_cut),
        cmocka_unit_test(test_stream_held), cmocka_unit_test(test_stream_resends),
        cmocka_unit_test(test_stream_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
