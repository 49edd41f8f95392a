/* What the protocol does when many are concerned at once, over seeds: where one node's mistake would become everybody's. */
#include "sim/fixture.h"

#define NODES 20
#define SEEDS 20

static bool rules_about(const struct kith_sim_happening *h, uint32_t changed)
{
    return h->kind == KITH_SIM_EVENT && h->event.kind == KITH_EVENT_MEMBER && (h->event.changed & changed);
}

static kith_sim *rules_pool(uint64_t seed)
{
    struct kith_sim_config config = world_config(seed);
    config.link.latency_min_us = 500;
    kith_sim *s = world_of(&config, NODES);
    assert_int_equal(kith_sim_warm(s), 0);
    kith_sim_run(s, 10 * SECOND + seed * 37 * MS);
    return s;
}

/* Both sides hold the other dead.  Whoever hears of that may suspect, and the accused refutes: nobody is taken for failed
 * by one who has seen him all the time. */
static void test_heal_fails_nobody(void **state)
{
    (void)state;
    struct kith_sim_happening h;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        for (uint32_t n = 0; n < NODES / 2; n++)
            kith_sim_side(s, n, 1);
        kith_sim_cut_sides(s, 0, 1, true);
        kith_sim_cut_sides(s, 1, 0, true);
        kith_sim_run(s, kith_sim_now_us(s) + 60 * SECOND);
        kith_sim_mend(s);
        uint64_t until_us = kith_sim_now_us(s) + 45 * SECOND;
        while (kith_sim_step(s, until_us, &h))
            assert_false(rules_about(&h, KITH_CHANGED_FAILED));
        assert_true(kith_sim_agrees(s));
        world_end(s);
    }
}

/* A probe that began before a node was started again says nothing about its new life. */
static void test_restart_is_not_accused(void **state)
{
    (void)state;
    struct kith_sim_happening h;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        kith_sim_crash(s, 7, KITH_SIM_PROCESS);
        kith_sim_run(s, kith_sim_now_us(s) + 1500 * MS);
        kith_sim_restart(s, 7, KITH_SIM_KEEP);
        kith_sim_run(s, kith_sim_now_us(s) + 100 * MS); /* all have heard that it is back */
        uint64_t until_us = kith_sim_now_us(s) + 10 * SECOND;
        while (kith_sim_step(s, until_us, &h))
            assert_false(rules_about(&h, KITH_CHANGED_SUSPECT) && h.event.member.state == KITH_STATE_SUSPECT);
        assert_true(kith_sim_agrees(s));
        world_end(s);
    }
}

static uint64_t rules_sum(kith_sim *s, const char *counter) /* of those that live */
{
    uint64_t sum = 0;
    for (uint32_t n = 0; n < kith_sim_count(s); n++)
        sum += kith_sim_node(s, n) ? world_counter(s, n, counter) : 0;
    return sum;
}

/* Two pools of five find each other, and each has a node-3.  When somebody says that node-3 joins, each of the two hears it,
 * and hears what the other makes of it: they must not outdo each other. */
static void test_twins_fall_silent(void **state)
{
    (void)state;
    const uint8_t join[] = "\x08\x01\x82\xa5LTime\xcd\x10\x00\xa4Node\xa6node-3"; /* at 4096 */
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct kith_sim_config config = world_config(seed);
        config.check = false; /* checkers know nodes by their names */
        kith_sim *s = world_of(&config, 9);
        struct kith_config twin;
        kith_sim_node_config(s, 9, KITH_PROFILE_LAN, &twin);
        struct kith_addr from = twin.addr;
        twin.name = (struct kith_str){"node-3", 6};
        assert_int_equal(kith_sim_add(s, &twin, NULL), 0);
        for (uint32_t n = 0; n < 10; n++) {
            if (n % 5 != 0)
                kith_sim_join(s, n, n - n % 5);
        }
        kith_sim_run(s, 20 * SECOND);
        kith_sim_join(s, 5, 0);
        kith_sim_run(s, 40 * SECOND);
        uint64_t before = rules_sum(s, "intents_in");
        kith_sim_inject(s, &from, 3, join, sizeof join - 1);
        kith_sim_run(s, 160 * SECOND);
        assert_in_range(rules_sum(s, "intents_in") - before, 10, 200); /* 40 each time that somebody says it */
        world_end(s);
    }
}

/* The one member that remembers a failed one suspects it; all others have begun anew and do not know whom it means. */
static void test_a_lonely_suspicion_ends(void **state)
{
    (void)state;
    struct kith_sim_happening h;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        kith_sim_crash(s, 7, KITH_SIM_HOST);
        do
            assert_true(kith_sim_step(s, KITH_NEVER, &h));
        while (!rules_about(&h, KITH_CHANGED_SUSPECT));
        uint32_t knows = h.node;
        uint64_t since_us = kith_sim_now_us(s);
        for (uint32_t n = 0; n < NODES; n++) {
            if (n == knows || n == 7)
                continue;
            kith_sim_crash(s, n, KITH_SIM_PROCESS);
            kith_sim_restart(s, n, KITH_SIM_EMPTY);
            kith_sim_join(s, n, knows);
        }
        do
            assert_true(kith_sim_step(s, since_us + 60 * SECOND, &h));
        while (h.node != knows || !rules_about(&h, KITH_CHANGED_FAILED) ||
               kith_sim_find(s, &h.event.member.addr) != 7); /* nor one of the others' former lives */
        /* 5.2 s at least and 31 s at most; two probes are due in between, each up to 1 s late, and take 1 s */
        assert_in_range(kith_sim_now_us(s) - since_us, 5200 * MS, 16 * SECOND);
        world_end(s);
    }
}

/* A process that is restarted within a probe interval is refused in one round at most, however often, and whether or not it
 * remembers anybody: nobody takes it for failed.  Without refusals the usual suspicion, 5.2 s at least, does the same. */
static void test_restarts_are_no_failures(void **state)
{
    (void)state;
    uint64_t rounds = 0;
    struct kith_sim_happening h;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        uint64_t agreed = rules_sum(s, "refusals_agreed");
        for (uint32_t n = 0; n < NODES; n++) {
            kith_sim_crash(s, n, KITH_SIM_PROCESS);
            uint64_t back_us = kith_sim_now_us(s) + (100 + 45 * (uint64_t)n) * MS; /* 0.1 to 0.96 s */
            while (kith_sim_step(s, back_us, &h))
                assert_false(rules_about(&h, KITH_CHANGED_FAILED));
            kith_sim_restart(s, n, n % 2 ? KITH_SIM_KEEP : KITH_SIM_EMPTY);
            if (n % 4 == 0)
                kith_sim_join(s, n, (n + 1) % NODES); /* every other one of those without records is found by its pinger */
            uint64_t until_us = kith_sim_now_us(s) + 1500 * MS;
            while (kith_sim_step(s, until_us, &h))
                assert_false(rules_about(&h, KITH_CHANGED_FAILED));
        }
        rounds += rules_sum(s, "refusals_agreed") - agreed;
        world_end(s);
    }
    assert_true(rounds > SEEDS); /* it was not for want of refusals */
}

/* A process that ends and stays away is failed everywhere a probe interval after somebody has probed it. */
static void test_ended_processes_are_found(void **state)
{
    (void)state;
    struct kith_sim_happening h;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        uint64_t since_us = kith_sim_now_us(s), refused_us = 0;
        kith_sim_crash(s, 7, KITH_SIM_PROCESS);
        uint64_t refused = rules_sum(s, "refusals_agreed");
        uint32_t failed = 0;
        while (failed < NODES - 1) {
            assert_true(kith_sim_step(s, since_us + 10 * SECOND, &h));
            if (refused_us == 0 && rules_sum(s, "refusals_agreed") > refused)
                refused_us = kith_sim_now_us(s);
            failed += rules_about(&h, KITH_CHANGED_FAILED);
        }
        assert_true(refused_us > 0);
        /* the round had begun before it was refused; and the news takes a few beats more, to the last of them */
        assert_in_range(kith_sim_now_us(s) - refused_us, 950 * MS, 2000 * MS);
        world_end(s);
    }
}

/* Who knew nobody has no news but of itself: whom it has been told of, they all know.  A stock one tells all of it; and
 * whoever comes later is news as usual. */
static void test_a_newcomer_tells_of_itself(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        kith_sim *s = rules_pool(seed);
        struct kith_config config;
        for (uint32_t n = NODES; n < NODES + 2; n++) {
            kith_sim_node_config(s, n, KITH_PROFILE_LAN, &config);
            config.stock = n == NODES && seed % 4 == 0;
            assert_int_equal(kith_sim_add(s, &config, NULL), 0);
        }
        kith_sim_run(s, kith_sim_now_us(s));
        kith_sim_join(s, NODES, (uint32_t)(seed % NODES));
        kith_sim_run(s, kith_sim_now_us(s) + 30 * SECOND);
        uint64_t told = world_counter(s, NODES, "news_out");
        if (seed % 4 == 0)
            assert_true(told > NODES * 4);
        else
            assert_in_range(told, 2, 2 * 8); /* alive and join intent, 4 log10(21) times each */
        kith_sim_join(s, NODES + 1, (uint32_t)(seed % NODES));
        kith_sim_run(s, kith_sim_now_us(s) + 30 * SECOND);
        assert_true(kith_sim_agrees(s));
        assert_true(world_counter(s, NODES, "news_out") > told);
        world_end(s);
    }
}

/* It knew nobody, and meets two pools at once: what each tells it is news to the other, and gossip carries it there before
 * any exchange would. */
static void test_a_newcomer_joins_two_pools(void **state)
{
    (void)state;
    unsigned unaware = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct kith_sim_config config = world_config(seed);
        config.check = false; /* the pools may begin as one another's strangers */
        kith_sim *s = world_of(&config, 11);
        for (uint32_t n = 1; n < 10; n++) {
            if (n != 5)
                kith_sim_join(s, n, n - n % 5);
        }
        kith_sim_run(s, 20 * SECOND);
        kith_sim_join(s, 10, 0);
        kith_sim_join(s, 10, 5);
        kith_sim_run(s, 21 * SECOND + 700 * MS);
        for (uint32_t n = 0; n < 10; n++) {
            struct kith_member m;
            uint32_t other = n < 5 ? 9 : 4;
            const struct kith_str name = {other == 9 ? "node-9" : "node-4", 6};
            unaware += kith_find(kith_sim_node(s, n), name, &m) != 0;
        }
        world_end(s);
    }
    assert_in_range(unaware, 0, SEEDS * 10 / 20); /* of 200; if it told nobody, 74 */
}

/* Each full state that tells of a leave tells of it as one tick later than it was said.  Whoever then says that the member
 * is to be forgotten must be later still, wherever that has crept to. */
static void test_prune_outruns_what_crept(void **state)
{
    (void)state;
    const struct kith_str name = {"node-7", 6};
    unsigned missed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct kith_sim_config config = world_config(seed);
        kith_sim *s = world_of(&config, NODES);
        for (uint32_t n = 1; n < NODES; n++)
            kith_sim_join(s, n, 0);
        kith_sim_run(s, 20 * SECOND);
        kith_sim_crash(s, 7, KITH_SIM_HOST);
        kith_sim_run(s, 80 * SECOND);
        struct kith_sim_link silent = config.link;
        silent.mtu = 1; /* only full states get through */
        kith_sim_default_link(s, &silent);
        assert_int_equal(kith_force_leave(kith_sim_node(s, 3), kith_sim_time(s, 3), name, false, NULL), 0);
        kith_sim_run(s, kith_sim_now_us(s) + (2 + seed) * SECOND);
        kith_sim_default_link(s, &config.link);
        assert_int_equal(kith_force_leave(kith_sim_node(s, 3), kith_sim_time(s, 3), name, true, NULL), 0);
        kith_sim_run(s, kith_sim_now_us(s) + 5 * SECOND);
        for (uint32_t n = 0; n < NODES; n++) {
            struct kith_member m;
            missed += n != 7 && kith_find(kith_sim_node(s, n), name, &m) == 0;
        }
        world_end(s);
    }
    assert_in_range(missed, 0, 1); /* whom gossip has passed by; of 380, one each twelve runs */
}

/* Whoever has missed a rumour is visited by somebody who has not, soon after. */
static void test_each_is_visited_after_a_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t before[NODES];
        kith_sim *s = rules_pool(seed);
        for (uint32_t n = 0; n < NODES; n++)
            before[n] = world_counter(s, n, "streams_in");
        assert_int_equal(kith_leave(kith_sim_node(s, 7), kith_sim_time(s, 7), NULL), 0);
        kith_sim_run(s, kith_sim_now_us(s) + 8 * SECOND);
        for (uint32_t n = 0; n < NODES; n++) {
            if (n != 7 && world_counter(s, n, "streams_in") == before[n])
                fail_msg("seed %d: nobody has visited node %d", (int)seed, (int)n);
        }
        world_end(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heal_fails_nobody),
        cmocka_unit_test(test_restart_is_not_accused),
        cmocka_unit_test(test_twins_fall_silent),
        cmocka_unit_test(test_a_lonely_suspicion_ends),
        cmocka_unit_test(test_restarts_are_no_failures),
        cmocka_unit_test(test_ended_processes_are_found),
        cmocka_unit_test(test_a_newcomer_tells_of_itself),
        cmocka_unit_test(test_a_newcomer_joins_two_pools),
        cmocka_unit_test(test_prune_outruns_what_crept),
        cmocka_unit_test(test_each_is_visited_after_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
