/* The agent's gauges: what /proc says, from files as Linux writes them and as it does not; which are told, and to whom they
 * belong; and those that a door sets: what is refused leaves nothing behind. */
#include "agent/internal.h"
#include "agent/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- the machine ---- */

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    if (!text)
        return;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void test_machine(void **state)
{
    (void)state;
    static const struct {
        const char *loadavg;
        long cores;
        bool good;
        double load;
    } loads[] = {
        {"0.42 0.31 0.25 1/324 12345\n", 1, true, 0.42},
        {"12.00 3.10 1.05 9/1024 99\n", 8, true, 1.5},
        {"0.00 0.00 0.00 1/2 3\n", 64, true, 0},
        {"0.42 0.31 0.25 1/324 12345\n", 0, false, 0},
        {"-1.00 0 0\n", 1, false, 0},
        {"nan 0 0\n", 1, false, 0},
        {"inf 0 0\n", 1, false, 0},
        {"1.5", 1, false, 0}, /* cut off: it might go on */
        {"x 1 2\n", 1, false, 0},
        {"", 1, false, 0},
        {NULL, 1, false, 0},
    };
    static const struct {
        const char *meminfo;
        bool good;
        double used;
    } memories[] = {
        {"MemTotal:        2000000 kB\nMemFree:           10000 kB\nMemAvailable:     500000 kB\nBuffers: 1 kB\n", true, 75},
        {"MemAvailable: 100 kB\nMemTotal: 100 kB\n", true, 0},
        {"MemTotal: 100 kB\nMemAvailable: 0 kB\n", true, 100},
        {"MemTotal: 100 kB\nMemAvailable: 101 kB\n", false, 0},
        {"MemTotal: 0 kB\nMemAvailable: 0 kB\n", false, 0},
        {"MemTotal: 100 kB\nMemFree: 50 kB\n", false, 0}, /* a kernel before 3.14 */
        {"XMemTotal: 100 kB\nMemAvailable: 50 kB\n", false, 0},
        {"MemTotal 100 kB\nMemAvailable: 50 kB\n", false, 0},
        {"MemTotal: 100 kB\nMemAvailable:", false, 0},
        {"", false, 0},
        {NULL, false, 0},
    };
    char dir[] = "/tmp/kith-proc-XXXXXX";
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < KI_COUNT(loads); i++) {
        double load = 77;
        put_file(dir, "loadavg", loads[i].loadavg);
        if (ki_machine_load(dir, loads[i].cores, &load) != loads[i].good)
            fail_msg("load, row %zu", i);
        assert_true(load == (loads[i].good ? loads[i].load : 77));
    }
    for (size_t i = 0; i < KI_COUNT(memories); i++) {
        double used = 77;
        put_file(dir, "meminfo", memories[i].meminfo);
        if (ki_machine_memory(dir, &used) != memories[i].good)
            fail_msg("memory, row %zu", i);
        assert_true(used == (memories[i].good ? memories[i].used : 77));
    }
    assert_int_equal(rmdir(dir), 0); /* the last rows have taken the files away */
    double real;
    assert_true(ki_machine_load("/proc", 1, &real) && ki_machine_memory("/proc", &real) && real > 0 && real < 100);
}

/* ---- an agent ---- */

struct world {
    struct ki_agent agent;
    bool closed;
};

static void on_event(void *arg, const struct kith_event *event)
{
    (void)arg, (void)event;
}

static void on_closed(void *arg)
{
    struct world *world = arg;
    world->closed = true;
}

static int setup_as(void **state, bool bare)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    struct ki_agent *agent = &world->agent;
    struct kith_config core;
    struct ki_net_config net = {.loop = &agent->loop,
                                .bind = {.ip = {127, 0, 0, 1}, .ip_len = 4},
                                .event = on_event,
                                .arg = world};
    assert_int_equal(uv_loop_init(&agent->loop), 0);
    agent->log = ki_log_new(-1, KI_LOG_INFO, KI_LOG_TEXT, "a");
    assert_non_null(agent->log);
    assert_int_equal(ki_net_open(&agent->net, &net), 0);
    kith_config_init(&core, KITH_PROFILE_LOCAL);
    core.name = ki_str("a");
    core.addr = ki_net_bound(agent->net);
    if (bare)
        core.delegate_min = core.delegate_max = core.delegate_cur = 0;
    assert_int_equal(kith_new(&agent->k, &core), 0);
    assert_int_equal(kith_ready(agent->k, ki_net_now()), 0);
    ki_net_start(agent->net, agent->k);
    agent->config.gauges = true;
    *state = world;
    return 0;
}

static int setup(void **state)
{
    return setup_as(state, false);
}

static int setup_bare(void **state)
{
    return setup_as(state, true);
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct ki_agent *agent = &world->agent;
    ki_net_close(agent->net, on_closed, world);
    agent->closing = 1;
    ki_gauges_close(agent);
    assert_null(agent->gauges);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    assert_true(world->closed);
    assert_int_equal(agent->closing, 1); /* what was counted has said that it is closed */
    kith_free(agent->k);
    ki_log_free(agent->log);
    int result = uv_loop_close(&agent->loop);
    free(world);
    return result;
}

static struct kith_aggregate found(struct world *world, const char *name)
{
    struct kith_aggregate aggregate;
    assert_int_equal(ki_agent_aggregate_find(&world->agent, ki_str(name), &aggregate), 0);
    return aggregate;
}

static size_t count(struct world *world)
{
    struct kith_aggregate aggregate;
    size_t many = 0;
    for (size_t cursor = 0; ki_agent_aggregate_next(&world->agent, &cursor, &aggregate);)
        many++;
    return many;
}

static void test_own(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"load", "members", "memory", "rtt", "uptime"};
    assert_false(ki_agent_gauge_is_own(&world->agent, ki_str("load"))); /* not started yet */
    assert_int_equal(ki_gauges_start(&world->agent), 0);
    assert_int_equal(count(world), KI_COUNT(names));
    assert_false(found(world, "members").has_own); /* nothing before the loop runs */
    uv_run(&world->agent.loop, UV_RUN_NOWAIT);
    uv_run(&world->agent.loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        assert_true(ki_agent_gauge_is_own(&world->agent, ki_str(names[i])));
        struct kith_aggregate aggregate = found(world, names[i]);
        bool rtt = strcmp(names[i], "rtt") == 0; /* nobody else is there */
        assert_true(aggregate.is_open && aggregate.has_own == !rtt);
    }
    assert_true(found(world, "members").own == 1 && found(world, "uptime").own == 0);
    assert_true(found(world, "memory").own > 0 && found(world, "memory").own < 100);
    assert_int_equal(ki_agent_gauge_set(&world->agent, ki_str("load"), 1, NULL), KITH_ERR_REFUSED);
    assert_int_equal(ki_agent_gauge_clear(&world->agent, ki_str("load")), KITH_ERR_REFUSED);
    assert_false(ki_agent_gauge_is_own(&world->agent, ki_str("loads")));
}

/* An uptime is told exactly below 16 s, and is less than an eighth too small ever after. */
static void test_eighths(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds, told;
    } rows[] = {{0, 0},     {1, 1},       {15, 15},     {16, 16},       {17, 16},
                {31, 30},   {32, 32},     {35, 32},     {36, 36},       {3600, 3584},
                {3839, 3584}, {3840, 3840}, {86400, 81920}, {UINT64_MAX, UINT64_C(15) << 60}};
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        assert_int_equal(ki_gauge_eighths(rows[i].seconds), rows[i].told);
    for (uint64_t seconds = 16; seconds < 100000; seconds++)
        assert_true(ki_gauge_eighths(seconds) <= seconds && (seconds - ki_gauge_eighths(seconds)) * 8 < seconds);
}

static void test_switched_off(void **state)
{
    struct world *world = *state;
    world->agent.config.gauges = false;
    assert_int_equal(ki_gauges_start(&world->agent), 0);
    assert_null(world->agent.gauges);
    assert_int_equal(count(world), 0);
    assert_int_equal(ki_agent_gauge_set(&world->agent, ki_str("load"), 1, NULL), 0); /* the name is free */
}

static void test_bare(void **state)
{
    struct world *world = *state;
    assert_int_equal(ki_gauges_start(&world->agent), 0);
    assert_null(world->agent.gauges);
    assert_int_equal(ki_agent_gauge_set(&world->agent, ki_str("x"), 1, NULL), KITH_ERR_STATE);
}

/* ---- through a door ---- */

static void test_set(void **state)
{
    struct world *world = *state;
    struct ki_agent *agent = &world->agent;
    struct kith_aggregate_answer answer;
    struct kith_schema schema, other;
    kith_schema_init(&schema);
    schema.unit = ki_str("C");
    schema.min = -50;
    schema.max = 100;
    other = schema;
    other.max = 200;
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), 101, &schema), KITH_ERR_NUMBER);
    assert_int_equal(count(world), 0); /* it was not left open */
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), 21.5, &schema), 0);
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), 22.5, NULL), 0); /* as it is open */
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), 23, &schema), 0);
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), 24, &other), KITH_ERR_TYPE);
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("temp"), -51, NULL), KITH_ERR_NUMBER);
    assert_true(found(world, "temp").own == 23 && found(world, "temp").schema.max == 100);
    assert_int_equal(ki_agent_gauge_set(agent, ki_str(""), 1, NULL), KITH_ERR_ARG);
    assert_int_equal(ki_agent_aggregate_read(agent, ki_str("temp"), KITH_ENGINE_AUTO, &answer), 0);
    assert_true(answer.count == 1 && answer.sum == 23);
    double value, rank_error;
    assert_int_equal(ki_agent_aggregate_quantile(agent, ki_str("temp"), KITH_ENGINE_EXACT, 1, &value, &rank_error), 0);
    assert_true(value == 23 && rank_error == 0);
    struct kith_place places[2];
    size_t listed = 0;
    assert_int_equal(
        ki_agent_aggregate_list(agent, ki_str("temp"), KITH_ENGINE_EXACT, true, places, KI_COUNT(places), &listed), 0);
    assert_true(listed == 1 && places[0].value == 23);
    assert_int_equal(ki_agent_gauge_clear(agent, ki_str("temp")), 0);
    assert_int_equal(ki_agent_gauge_clear(agent, ki_str("temp")), KITH_ERR_NOT_FOUND);
    assert_int_equal(count(world), 0);
    assert_int_equal(ki_agent_gauge_set(agent, ki_str("plain"), 1e15, NULL), 0); /* the defaults */
    assert_true(found(world, "plain").schema.max == 1e15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine),
        cmocka_unit_test_setup_teardown(test_own, setup, teardown),
        cmocka_unit_test(test_eighths),
        cmocka_unit_test_setup_teardown(test_switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bare, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_set, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
