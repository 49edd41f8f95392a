/* The simulator through its public interface: what faults do to nodes and clocks, what a program under test is given, and
 * that a seed is a run. */
#include "sim/fixture.h"

/* ---- nodes ---- */

static void test_pause(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(10);
    config.receive_buffer = 10000;
    kith_sim *s = world_of(&config, 2);
    kith_sim_pause(s, 1, true);
    assert_int_equal(kith_sim_life(s, 1), KITH_SIM_PAUSED);
    for (uint32_t i = 0; i < 15; i++)
        world_say(s, 0, 1, i, 1000);
    kith_sim_wake(s, 1, 500 * MS, 7);
    assert_int_equal(world_hear(s, SECOND), 0);
    assert_int_equal(world_totals(s).lost, 5);
    kith_sim_pause(s, 1, false);
    struct kith_sim_happening h;
    for (uint32_t i = 0; i < 10; i++) { /* all at once, in order */
        uint32_t number;
        assert_true(kith_sim_step(s, 2 * SECOND, &h));
        assert_int_equal(h.kind, KITH_SIM_MESSAGE);
        memcpy(&number, h.buf, sizeof number);
        assert_int_equal(number, i);
        assert_int_equal(kith_sim_now_us(s), SECOND);
    }
    assert_true(kith_sim_step(s, 2 * SECOND, &h));
    assert_true(h.kind == KITH_SIM_WAKE && h.cookie == 7 && h.node == 1 && kith_sim_now_us(s) == SECOND);
    world_end(s);
}

static void test_slow(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    kith_sim_slow(s, 1, SECOND);
    world_say(s, 0, 1, 1, 4);
    world_say(s, 1, 0, 2, 4);
    assert_int_equal(world_hear(s, 2 * SECOND), 2);
    assert_true(heard[0].number == 1 && heard[0].at_us == SECOND);
    assert_true(heard[1].number == 2 && heard[1].at_us == SECOND + 1 * MS);
    assert_int_equal(kith_sim_life(s, 1), KITH_SIM_RUNNING);
    world_end(s);
}

/* For ever is cut off, until somebody says otherwise; and no sum of times wraps around. */
static void test_slow_for_ever(void **state)
{
    (void)state;
    const uint64_t far[] = {KITH_NEVER, KITH_NEVER - 1, KITH_NEVER / 2 + 1, KITH_NEVER / 2};
    for (unsigned i = 0; i < 4; i++) {
        kith_sim *s = world(2);
        world_say(s, 0, 1, 1, 4); /* on its way already */
        kith_sim_slow(s, 1, far[i]);
        world_say(s, 0, 1, 2, 4);
        world_say(s, 1, 0, 3, 4);
        assert_int_equal(kith_sim_is_cut(s, 0, 1) && kith_sim_is_cut(s, 1, 0), i < 3);
        assert_int_equal(world_hear(s, 3600 * SECOND), 0);
        assert_int_equal(world_totals(s).cut, i < 3 ? 3 : 0);
        assert_int_equal(world_totals(s).lost, 0);
        kith_sim_slow(s, 1, 0);
        world_say(s, 1, 0, 4, 4);
        assert_int_equal(world_hear(s, kith_sim_now_us(s) + SECOND), 1);
        assert_true(heard[0].number == 4 && heard[0].at_us == 3600 * SECOND + 1 * MS);
        world_end(s);
    }
}

static void test_clock(void **state)
{
    (void)state;
    kith_sim *s = world(3);
    struct kith_time then[3];
    assert_int_equal(kith_sim_warm(s), 0);
    kith_sim_clock(s, 1, 100000, 0);
    kith_sim_clock(s, 2, -100000, -5 * (int64_t)SECOND);
    for (uint32_t n = 0; n < 3; n++) {
        then[n] = kith_sim_time(s, n);
        uint64_t wall_us = world_config(1).wall_us - (n == 2 ? 5 * SECOND : 0);
        assert_int_equal(then[n].wall_us, wall_us);
    }
    kith_sim_run(s, 1000 * SECOND);
    const uint64_t passed_s[] = {1000, 1100, 900};
    for (uint32_t n = 0; n < 3; n++) {
        struct kith_time now = kith_sim_time(s, n);
        assert_int_equal(now.mono_us - then[n].mono_us, passed_s[n] * SECOND);
        assert_int_equal(now.wall_us - then[n].wall_us, passed_s[n] * SECOND);
        near(world_counter(s, n, "probes"), passed_s[n], 2); /* one a second, by its own clock */
    }
    kith_sim_clock(s, 1, 0, 0); /* nothing jumps */
    assert_int_equal(kith_sim_time(s, 1).mono_us - then[1].mono_us, 1100 * SECOND);
    kith_sim_run(s, 1010 * SECOND);
    assert_int_equal(kith_sim_time(s, 1).mono_us - then[1].mono_us, 1110 * SECOND);
    world_end(s);
}

static void test_crash(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        kith_sim *s = world(4);
        assert_int_equal(kith_sim_warm(s), 0);
        kith_sim_run(s, 5 * SECOND);
        world_say(s, 0, 3, 1, 4);
        kith_sim_wake(s, 3, 5 * SECOND + 1 * MS, 1);
        kith_sim_crash(s, 3, how == 0 ? KITH_SIM_PROCESS : KITH_SIM_HOST);
        kith_sim_crash(s, 3, KITH_SIM_PROCESS); /* it is down already */
        assert_int_equal(kith_sim_life(s, 3), KITH_SIM_DOWN);
        assert_null(kith_sim_node(s, 3));
        assert_int_equal(kith_sim_join(s, 3, 0), KITH_ERR_STATE);
        assert_int_equal(world_hear(s, 60 * SECOND), 0);
        uint64_t refused = 0;
        for (uint32_t n = 0; n < 3; n++)
            refused += world_counter(s, n, "probes_refused");
        assert_int_equal(refused > 0, how == 0);
        assert_true(kith_sim_agrees(s)); /* that it is gone */
        world_end(s);
    }
}

static void test_restart(void **state)
{
    (void)state;
    for (unsigned keep = 0; keep < 2; keep++) {
        kith_sim *s = world(4);
        struct kith_member before, after;
        for (uint32_t n = 1; n < 4; n++)
            assert_int_equal(kith_sim_join(s, n, n - 1), 0);
        kith_sim_run(s, 10 * SECOND);
        assert_true(kith_sim_agrees(s));
        kith_self(kith_sim_node(s, 3), &before);
        uint32_t incarnation = before.incarnation;
        kith_sim_crash(s, 3, KITH_SIM_PROCESS);
        kith_sim_run(s, 10 * SECOND + 100 * MS);
        kith_sim_restart(s, 3, keep ? KITH_SIM_KEEP : KITH_SIM_EMPTY);
        kith_self(kith_sim_node(s, 3), &after);
        assert_true(after.incarnation > incarnation);
        kith_sim_run(s, 10 * SECOND + 110 * MS);
        struct kith_gauges g;
        kith_read_gauges(kith_sim_node(s, 3), &g);
        assert_int_equal(g.alive, keep ? 4 : 1);
        assert_int_equal(kith_sim_agrees(s), keep);
        world_end(s);
    }
}

/* A host that has so many allocations to give. */
struct host {
    unsigned left;
    unsigned out; /* blocks that were not given back */
};

static void *host_resize(void *arg, void *ptr, size_t size)
{
    struct host *host = arg;
    if (host->left == 0)
        return NULL;
    host->left--;
    host->out += ptr == NULL;
    return realloc(ptr, size);
}

static void host_release(void *arg, void *ptr)
{
    struct host *host = arg;
    host->out -= ptr != NULL;
    free(ptr);
}

/* A node that has too little memory to start with is not added, wherever that shows. */
static void test_add_without_memory(void **state)
{
    (void)state;
    kith_sim *s = world(1);
    struct host host = {0};
    struct kith_config node;
    unsigned refused = 0;
    kith_sim_node_config(s, 1, KITH_PROFILE_LAN, &node);
    for (node.memory_max = 1000; kith_sim_add(s, &node, NULL) == KITH_ERR_NOMEM; node.memory_max += 250) {
        assert_int_equal(kith_sim_count(s), 1);
        assert_int_equal(kith_sim_find(s, &node.addr), KITH_SIM_ALL);
        refused++;
    }
    assert_int_equal(kith_sim_count(s), 2);
    assert_true(refused > 10);
    kith_sim_node_config(s, 2, KITH_PROFILE_LAN, &node);
    node.memory = (struct kith_memory){host_resize, host_release, &host};
    for (unsigned least = 0; kith_sim_add(s, &node, NULL) == KITH_ERR_NOMEM; host.left = ++least)
        assert_int_equal(host.out, 0);
    assert_int_equal(kith_sim_count(s), 3);
    host.left = UINT32_MAX;
    kith_sim_join(s, 2, 0);
    kith_sim_run(s, SECOND);
    world_end(s);
    assert_int_equal(host.out, 0);
}

/* Nor is one started again then, and what it has written stays for the next time. */
static void test_restart_without_memory(void **state)
{
    (void)state;
    for (unsigned keep = 0; keep < 2; keep++) {
        kith_sim *s = world(2);
        struct host host = {.left = UINT32_MAX};
        struct kith_config node;
        kith_sim_node_config(s, 2, KITH_PROFILE_LAN, &node);
        node.memory = (struct kith_memory){host_resize, host_release, &host};
        assert_int_equal(kith_sim_add(s, &node, NULL), 0);
        kith_sim_join(s, 1, 0);
        kith_sim_join(s, 2, 0);
        kith_sim_run(s, 10 * SECOND);
        kith_sim_crash(s, 2, KITH_SIM_PROCESS);
        unsigned least = 0;
        for (host.left = 0; kith_sim_restart(s, 2, keep ? KITH_SIM_KEEP : KITH_SIM_EMPTY) != 0; host.left = ++least) {
            assert_int_equal(host.out, 0);
            assert_int_equal(kith_sim_life(s, 2), KITH_SIM_DOWN);
            kith_sim_run(s, kith_sim_now_us(s) + 1 * MS);
        }
        assert_true(least > 5);
        host.left = UINT32_MAX; /* it may have lacked some after that, to join with */
        kith_sim_crash(s, 2, KITH_SIM_PROCESS);
        assert_int_equal(kith_sim_restart(s, 2, KITH_SIM_KEEP), 0);
        kith_sim_run(s, kith_sim_now_us(s) + 100 * MS);
        assert_int_equal(kith_sim_agrees(s), keep);
        world_end(s);
    }
}

/* ---- the program's side ---- */

static void test_wake(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    struct kith_sim_happening h;
    const uint64_t at_ms[] = {300, 100, 200, 100};
    const uint64_t order[] = {1, 3, 2, 0}; /* by time, then as they were asked for */
    for (uint64_t i = 0; i < 4; i++)
        kith_sim_wake(s, 1, at_ms[i] * MS, i);
    for (size_t i = 0; i < 4; i++) {
        assert_true(kith_sim_step(s, SECOND, &h));
        assert_true(h.kind == KITH_SIM_WAKE && h.node == 1 && h.cookie == order[i]);
        assert_int_equal(kith_sim_now_us(s), at_ms[h.cookie] * MS);
    }
    kith_sim_wake(s, 1, 0, 9); /* a time that is past is now */
    assert_true(kith_sim_step(s, SECOND, &h));
    assert_true(h.cookie == 9 && kith_sim_now_us(s) == 300 * MS);
    kith_sim_wake(s, 1, 500 * MS, 10);
    kith_sim_crash(s, 1, KITH_SIM_PROCESS);
    kith_sim_restart(s, 1, KITH_SIM_EMPTY);
    while (kith_sim_step(s, SECOND, &h))
        assert_int_not_equal(h.kind, KITH_SIM_WAKE); /* another life's */
    assert_int_equal(kith_sim_now_us(s), SECOND);
    world_end(s);
}

/* What a step gives stays readable until the next; a time that is past moves nothing. */
static void test_step(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    struct kith_sim_happening h;
    unsigned joined = 0;
    assert_int_equal(kith_sim_join(s, 1, 0), 0);
    while (kith_sim_step(s, SECOND, &h)) {
        char name[KITH_NAME_MAX + 1] = "";
        uint64_t now_us = kith_sim_now_us(s);
        if (h.kind != KITH_SIM_EVENT || h.event.kind != KITH_EVENT_MEMBER)
            continue;
        struct kith_member copy;
        assert_true(h.event.member.name.len < sizeof name);
        memcpy(name, h.event.member.name.ptr, h.event.member.name.len);
        assert_int_equal(kith_find(kith_sim_node(s, h.node), h.event.member.name, &copy), 0);
        assert_true(strcmp(name, "node-0") == 0 || strcmp(name, "node-1") == 0);
        assert_true(kith_sim_now_us(s) == now_us && kith_sim_time(s, h.node).mono_us > 0);
        joined += (h.event.changed & KITH_CHANGED_JOINED) != 0;
    }
    assert_int_equal(joined, 2);
    assert_int_equal(kith_sim_now_us(s), SECOND);
    kith_sim_run(s, 10);
    assert_int_equal(kith_sim_now_us(s), SECOND);
    world_end(s);
}

/* An attacker's ping is answered where it seems to come from, at most threefold; nobody is there. */
static void test_inject(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    const struct kith_addr attacker = {.ip = {192, 0, 2, 1}, .ip_len = 4, .port = 1000};
    static const uint8_t ping[] = "\x00\x82\xa4Node\xa6node-1\xa5SeqNo\x05";
    struct kith_sim_totals before = world_totals(s);
    kith_sim_inject(s, &attacker, 1, ping, sizeof ping - 1);
    kith_sim_inject(s, &attacker, 1, "\xff", 1);
    kith_sim_run(s, SECOND);
    assert_int_equal(world_counter(s, 1, "pings_in"), 1);
    assert_int_equal(world_counter(s, 1, "datagrams_in"), 2);
    assert_int_equal(world_totals(s).datagrams, before.datagrams + 1);
    assert_int_equal(world_totals(s).cut, before.cut + 1);
    world_end(s);
}

static void test_arguments(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(12);
    kith_sim *s;
    config.link.latency_min_us = config.link.latency_max_us + 1;
    assert_int_equal(kith_sim_new(&s, &config), KITH_ERR_ARG);
    config.trace_lines = 10;
    assert_int_equal(kith_sim_new(&s, &config), KITH_ERR_ARG);
    config.link.latency_max_us++;
    config.wall_us = KITH_NEVER;
    assert_int_equal(kith_sim_new(&s, &config), KITH_ERR_ARG);
    config.wall_us = 0;
    assert_int_equal(kith_sim_new(&s, &config), 0);
    assert_null(kith_sim_trace(s, 0)); /* its first link is no fault */
    kith_sim_free(s);
    kith_sim_free(NULL);
    s = world(2);
    struct kith_config node;
    kith_sim_node_config(s, 1, KITH_PROFILE_LAN, &node);
    assert_int_equal(kith_sim_add(s, &node, NULL), KITH_ERR_ARG); /* the address is taken */
    kith_sim_node_config(s, 2, KITH_PROFILE_LAN, &node);
    node.probe_interval_ms = 0;
    assert_int_equal(kith_sim_add(s, &node, NULL), KITH_ERR_ARG);
    node.probe_interval_ms = 1000;
    for (uint8_t len = 0; len < 255; len++) { /* what is no address is nobody's */
        node.addr.ip_len = len;
        if (len != 4 && len != 16) {
            assert_int_equal(kith_sim_find(s, &node.addr), KITH_SIM_ALL);
            assert_int_equal(kith_sim_add(s, &node, NULL), KITH_ERR_ARG);
        }
    }
    node.addr.ip_len = 4;
    assert_int_equal(kith_sim_count(s), 2);
    node.addr.ip[0] = 172; /* any address will do */
    assert_int_equal(kith_sim_add(s, &node, NULL), 0);
    assert_int_equal(kith_sim_find(s, &node.addr), 2);
    node.addr.port++;
    assert_int_equal(kith_sim_find(s, &node.addr), KITH_SIM_ALL);
    kith_sim_node_config(s, 300000, KITH_PROFILE_LAN, &node);
    assert_memory_equal(node.name.ptr, "node-300000", 11);
    assert_int_equal(node.addr.ip[1], 300001 >> 16);
    world_end(s);
}

/* ---- evidence ---- */

/* A bit of everything. */
static uint64_t world_life(uint64_t seed, uint32_t trace_lines, bool check)
{
    struct kith_sim_config config = world_config(seed);
    config.link.latency_max_us = 20 * MS;
    config.link.loss_ppm = config.link.duplicate_ppm = config.link.reorder_ppm = 20000;
    config.link.reorder_us = 10 * MS; /* no corruption: in plain text it makes members of its own */
    config.trace_lines = trace_lines;
    config.check = check;
    kith_sim *s = world_of(&config, 12);
    for (uint32_t n = 1; n < 12; n++)
        kith_sim_join(s, n, n / 2);
    kith_sim_run(s, 5 * SECOND);
    kith_sim_crash(s, 3, KITH_SIM_HOST);
    kith_sim_pause(s, 4, true);
    kith_sim_slow(s, 5, 8 * SECOND);
    kith_sim_clock(s, 6, 5000, SECOND);
    kith_sim_cut(s, 7, 8, true);
    kith_sim_clog(s, 9, 10, 7 * SECOND);
    kith_sim_run(s, 15 * SECOND);
    kith_sim_restart(s, 3, KITH_SIM_KEEP);
    kith_sim_pause(s, 4, false);
    kith_sim_mend(s);
    kith_sim_run(s, 20 * SECOND);
    uint64_t digest = kith_sim_digest(s);
    assert_true((kith_sim_trace(s, 0) != NULL) == (trace_lines > 0));
    assert_null(kith_sim_trace(s, trace_lines));
    world_end(s);
    return digest;
}

static void test_digest(void **state)
{
    (void)state;
    uint64_t first = world_life(1, 0, true);
    void *hole = malloc(123456);
    assert_true(world_life(1, 0, true) == first);
    free(hole);
    assert_true(world_life(1, 100, true) == first); /* who looks on changes nothing */
    assert_true(world_life(1, 0, false) == first);
    assert_true(world_life(2, 0, true) != first);
    printf("digest world %016llx\n", (unsigned long long)first);
}

/* An instance that is made to call where nobody told it to is found out, and that is the end of the run. */
static void test_violation(void **state)
{
    (void)state;
    kith_sim *s = world(2);
    struct kith_addr nobody = {.ip = {192, 0, 2, 7}, .ip_len = 4, .port = 7946};
    struct kith_sim_happening h;
    assert_null(kith_sim_violation(s));
    assert_int_equal(kith_join(kith_sim_node(s, 1), kith_sim_time(s, 1), &nobody, 1, false, NULL), 0);
    while (kith_sim_step(s, 60 * SECOND, &h))
        continue;
    const char *text = kith_sim_violation(s);
    assert_non_null(text);
    assert_non_null(strstr(text, "node-1"));
    assert_true(kith_sim_now_us(s) < 60 * SECOND);
    uint64_t now_us = kith_sim_now_us(s);
    assert_false(kith_sim_step(s, 60 * SECOND, &h));
    assert_int_equal(kith_sim_now_us(s), now_us);
    kith_sim_free(s);
}

static void test_many(void **state)
{
    (void)state;
    struct kith_sim_config config = world_config(13);
    config.link = (struct kith_sim_link){.latency_min_us = 500, .latency_max_us = 1500};
    kith_sim *s = world_of(&config, 1000);
    assert_int_equal(kith_sim_warm(s), 0);
    assert_true(kith_sim_agrees(s));
    kith_sim_run(s, 5 * SECOND); /* each has told that it is there */
    uint64_t before = world_totals(s).datagrams;
    kith_sim_run(s, 15 * SECOND);
    assert_true(kith_sim_agrees(s));
    near(world_totals(s).datagrams - before, 1000 * 10 * 2, 20); /* a ping and an ack a second each */
    world_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_without_memory), cmocka_unit_test(test_restart_without_memory),
        cmocka_unit_test(test_pause), cmocka_unit_test(test_slow),
        cmocka_unit_test(test_slow_for_ever), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_crash), cmocka_unit_test(test_restart), cmocka_unit_test(test_wake),
        cmocka_unit_test(test_step), cmocka_unit_test(test_inject), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_digest), cmocka_unit_test(test_violation), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
