/* The driver with real sockets on loopback: joins, refusals, the drop list, names, a port that is taken. */
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One node: driver, core, and what its events said. */
struct node {
    struct ki_net *net;
    kith *k;
    kith_ticket done;
    int result;
    uint32_t count, joined, failed;
    bool closed;
};

struct world {
    uv_loop_t loop;
    uv_timer_t limit;
    bool late;
    struct node nodes[2];
};

static void on_event(void *arg, const struct kith_event *event)
{
    struct node *node = arg;
    if (event->kind == KITH_EVENT_DONE) {
        node->done = event->ticket;
        node->result = event->result;
        node->count = event->count;
    } else if (event->kind == KITH_EVENT_MEMBER && !event->member.is_self) {
        node->joined += (event->changed & KITH_CHANGED_JOINED) != 0;
        node->failed += (event->changed & KITH_CHANGED_FAILED) != 0;
    }
}

static void on_late(uv_timer_t *timer)
{
    struct world *world = timer->data;
    world->late = true;
}

/* Runs the loop until `flag` is not 0 or 10 s are over. */
static void run_until(struct world *world, const uint32_t *flag)
{
    world->late = false;
    uv_update_time(&world->loop);
    uv_timer_start(&world->limit, on_late, 10000, 0);
    while (*flag == 0 && !world->late)
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_timer_stop(&world->limit);
    if (world->late)
        fail_msg("nothing happened for 10 s");
}

static void run_for(struct world *world, uint64_t ms)
{
    world->late = false;
    uv_update_time(&world->loop);
    uv_timer_start(&world->limit, on_late, ms, 0);
    while (!world->late)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static void make(struct world *world, size_t index, const char *ip)
{
    static const char *const names[] = {"one", "two"};
    struct node *node = &world->nodes[index];
    struct ki_net_config net = {.loop = &world->loop, .event = on_event, .arg = node};
    struct kith_config config;
    assert_true(ki_addr_parse((struct kith_str){.ptr = ip, .len = strlen(ip)}, 0, &net.bind));
    assert_int_equal(ki_net_open(&node->net, &net), 0);
    kith_config_init(&config, KITH_PROFILE_LOCAL);
    config.name = (struct kith_str){.ptr = names[index], .len = 3};
    config.addr = ki_net_bound(node->net);
    assert_int_not_equal(config.addr.port, 0);
    config.seed[0] = (uint8_t)(index + 1);
    assert_int_equal(kith_new(&node->k, &config), 0);
    assert_int_equal(kith_ready(node->k, ki_net_now()), 0);
    ki_net_start(node->net, node->k);
}

static void on_closed(void *arg)
{
    struct node *node = arg;
    node->closed = true;
}

static void unmake(struct world *world, size_t index)
{
    struct node *node = &world->nodes[index];
    if (!node->net)
        return;
    node->closed = false;
    ki_net_close(node->net, on_closed, node);
    while (!node->closed)
        uv_run(&world->loop, UV_RUN_ONCE);
    kith_free(node->k);
    node->net = NULL;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world || uv_loop_init(&world->loop) != 0)
        return -1;
    uv_timer_init(&world->loop, &world->limit);
    world->limit.data = world;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    unmake(world, 0);
    unmake(world, 1);
    uv_close((uv_handle_t *)&world->limit, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&world->loop); /* UV_EBUSY: a handle was left behind */
    free(world);
    return result;
}

static int join(struct world *world, struct kith_addr to)
{
    struct node *node = &world->nodes[0];
    kith_ticket ticket;
    assert_int_equal(kith_join(node->k, ki_net_now(), &to, 1, false, &ticket), 0);
    ki_net_kick(node->net);
    for (;;) {
        if (node->done == ticket)
            break;
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    return node->result;
}

static void joins(struct world *world, const char *first, const char *second)
{
    struct ki_net_counters count;
    make(world, 0, first);
    make(world, 1, second);
    assert_int_equal(join(world, ki_net_bound(world->nodes[1].net)), 0);
    run_until(world, &world->nodes[1].joined);
    run_for(world, 2500); /* two probes by each */
    ki_net_counters(world->nodes[0].net, &count);
    assert_true(count.datagrams_in >= 2 && count.datagrams_out >= 2);
    assert_true(count.streams_opened >= 1 && count.stream_bytes_in > 0 && count.stream_bytes_out > 0);
    assert_int_equal(count.datagrams_refused, 0);
    assert_int_equal(world->nodes[0].failed, 0);
    assert_int_equal(ki_net_stream_count(world->nodes[0].net), 0); /* every stream was closed */
    assert_int_equal(ki_net_stream_count(world->nodes[1].net), 0);
}

static void test_join_ipv4(void **state)
{
    joins(*state, "127.0.0.1", "127.0.0.2");
}

static void test_join_ipv6(void **state)
{
    joins(*state, "::1", "::1");
}

static void test_refusals(void **state)
{
    struct world *world = *state;
    struct ki_net_counters count;
    make(world, 0, "127.0.0.1");
    make(world, 1, "127.0.0.2");
    struct kith_addr gone = ki_net_bound(world->nodes[1].net);
    assert_int_equal(join(world, gone), 0);
    unmake(world, 1); /* as a crash: its port answers nothing now */
    run_until(world, &world->nodes[0].failed);
    ki_net_counters(world->nodes[0].net, &count);
    assert_true(count.datagrams_refused >= 1);
    assert_int_equal(join(world, gone), KITH_ERR_REFUSED);
    assert_non_null(strstr(ki_net_last_failure(world->nodes[0].net), "connect to 127.0.0.2:"));
    assert_non_null(strstr(ki_net_last_failure(world->nodes[0].net), "connection refused"));
}

static void test_drop_list(void **state)
{
    struct world *world = *state;
    struct ki_net_counters count;
    make(world, 0, "127.0.0.1");
    make(world, 1, "127.0.0.2");
    struct kith_addr other = ki_net_bound(world->nodes[1].net);
    assert_int_equal(join(world, other), 0);
    assert_int_equal(ki_net_drop(world->nodes[0].net, &other, 1), 0);
    run_until(world, &world->nodes[0].failed);
    run_until(world, &world->nodes[1].failed); /* one side's list cuts both ways */
    ki_net_counters(world->nodes[0].net, &count);
    assert_true(count.dropped > 0);
    assert_int_equal(count.datagrams_refused, 0); /* a cut line says nothing */
    world->nodes[0].joined = 0;
    assert_int_equal(ki_net_drop(world->nodes[0].net, NULL, 0), 0);
    assert_int_equal(join(world, other), 0);
    run_until(world, &world->nodes[0].joined);
}

static void test_port_taken(void **state)
{
    struct world *world = *state;
    make(world, 0, "127.0.0.1");
    struct ki_net *net;
    struct ki_net_config config = {
        .loop = &world->loop, .bind = ki_net_bound(world->nodes[0].net), .event = on_event, .arg = NULL};
    assert_int_equal(ki_net_open(&net, &config), UV_EADDRINUSE);
    config.bind.ip[0] = 192; /* TEST-NET-1: nobody's */
    config.bind.ip[1] = 0;
    config.bind.ip[2] = 2;
    assert_int_equal(ki_net_open(&net, &config), UV_EADDRNOTAVAIL);
}

/* What a lookup ended with. */
struct found {
    uint32_t done;
    size_t count;
    struct kith_addr first;
    char why[256];
};

static void on_found(void *arg, const struct kith_addr *addrs, size_t count, const char *why)
{
    struct found *found = arg;
    found->done++;
    found->count = count;
    if (count > 0)
        found->first = addrs[0];
    snprintf(found->why, sizeof found->why, "%s", why);
}

static void test_resolve(void **state)
{
    struct world *world = *state;
    make(world, 0, "127.0.0.1");
    struct ki_net *net = world->nodes[0].net;
    const struct kith_str numeric[] = {{"127.0.0.7", 9}, {"name/127.0.0.7:99", 17}, {"[::1]:5", 7}};
    struct found found = {.done = 0};
    assert_int_equal(ki_net_resolve(net, numeric, 3, on_found, &found), 0);
    assert_int_equal(found.done, 1); /* nothing to look up: at once */
    assert_int_equal(found.count, 2);
    assert_int_equal(found.first.port, ki_net_bound(net).port);
    assert_non_null(strstr(found.why, "[::1]:5")); /* an IPv4 socket cannot reach it */
    assert_int_equal(ki_net_resolve(net, numeric, 0, on_found, &found), KITH_ERR_ARG);

    const struct kith_str names[] = {{"localhost:77", 12}};
    found = (struct found){.done = 0};
    assert_int_equal(ki_net_resolve(net, names, 1, on_found, &found), 0);
    assert_int_equal(found.done, 0);
    run_until(world, &found.done);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.first.port, 77);
    assert_int_equal(found.first.ip[0], 127);

    const struct kith_str bad[] = {{"[::1", 4}, {"", 0}};
    found = (struct found){.done = 0};
    assert_int_equal(ki_net_resolve(net, bad, 2, on_found, &found), 0);
    assert_int_equal(found.count, 0);
    assert_non_null(strstr(found.why, "malformed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_join_ipv4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
