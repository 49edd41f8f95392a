/* Asks of a door for tags: what is refused, what a reload may undo, and what is said when the tags file cannot be kept. */
#include "agent/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct answer {
    unsigned calls;
    int result;
    char why[400];
};

struct world {
    struct ki_agent agent;
    struct answer answer;
    bool closed;
};

static void on_event(void *arg, const struct kith_event *event)
{
    struct world *world = arg;
    if (event->kind == KITH_EVENT_DONE)
        ki_ask_event(&world->agent, event->ticket, event->result, event->count);
}

static void on_done(void *arg, int result, uint32_t count, const char *why)
{
    struct answer *answer = arg;
    (void)count;
    answer->calls++;
    answer->result = result;
    snprintf(answer->why, sizeof answer->why, "%s", why ? why : "");
}

static void on_closed(void *arg)
{
    struct world *world = arg;
    world->closed = true;
}

static int setup(void **state)
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
    assert_int_equal(ki_ask_init(agent), 0);
    assert_int_equal(ki_net_open(&agent->net, &net), 0);
    kith_config_init(&core, KITH_PROFILE_LOCAL);
    core.name = ki_str("a");
    core.addr = ki_net_bound(agent->net);
    assert_int_equal(kith_new(&agent->k, &core), 0);
    assert_int_equal(kith_ready(agent->k, ki_net_now()), 0);
    ki_net_start(agent->net, agent->k);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct ki_agent *agent = &world->agent;
    ki_net_close(agent->net, on_closed, world);
    uv_close((uv_handle_t *)&agent->soon, NULL);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    assert_true(world->closed);
    ki_ask_close(agent);
    kith_free(agent->k);
    ki_tags_free(&agent->runtime_set);
    ki_tags_free(&agent->runtime_deleted);
    ki_tags_free(&agent->config.tags);
    free(agent->config.tags_file);
    ki_log_free(agent->log);
    int result = uv_loop_close(&agent->loop);
    free(world);
    return result;
}

/* Asks, and waits for the end.  Returns what the ask returned. */
static int ask(struct world *world, const struct kith_tag *set, size_t set_count, const struct kith_str *deleted,
               size_t deleted_count)
{
    world->answer = (struct answer){.calls = 0};
    int result = ki_agent_tags(&world->agent, set, set_count, deleted, deleted_count, on_done, &world->answer);
    assert_int_equal(world->answer.calls, 0);
    while (result == 0 && world->answer.calls == 0)
        uv_run(&world->agent.loop, UV_RUN_ONCE);
    return result;
}

static size_t own_count(struct world *world)
{
    struct ki_tags own = {.items = NULL};
    assert_true(ki_ask_own_tags(&world->agent, &own));
    size_t count = own.count;
    ki_tags_free(&own);
    return count;
}

static void test_refused(void **state)
{
    static const struct kith_tag rows[] = {
        {{"a\0b", 3}, {"1", 1}}, {{"a", 1}, {"1\0", 2}}, {{"", 0}, {"1", 1}}, {{"_kith", 5}, {"9-9", 3}}};
    struct world *world = *state;
    size_t before = own_count(world);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (ask(world, &rows[i], 1, NULL, 0) != KITH_ERR_ARG)
            fail_msg("row %zu", i);
    }
    assert_int_equal(own_count(world), before);
    assert_int_equal(world->agent.runtime_set.count, 0);
}

/* A client that deletes tags which nobody ever set leaves nothing behind. */
static void test_deletes_are_bounded(void **state)
{
    static struct kith_str deleted[20000];
    static char names[20000][8];
    struct world *world = *state;
    assert_true(ki_tags_set(&world->agent.config.tags, ki_str("n7"), ki_str("from a file")));
    for (size_t i = 0; i < 20000; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        deleted[i] = ki_str(names[i]);
    }
    assert_int_equal(ask(world, NULL, 0, deleted, 20000), 0);
    assert_int_equal(world->answer.result, 0);
    assert_int_equal(world->agent.runtime_deleted.count, 1);
    assert_non_null(ki_tags_get(&world->agent.runtime_deleted, ki_str("n7")));
}

static void test_file(void **state)
{
    struct world *world = *state;
    const struct kith_tag tag = {ki_str("role"), ki_str("db")};
    char dir[] = "/tmp/kith-ask-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tags.json", dir);
    world->agent.config.tags_file = strdup(path);
    assert_int_equal(ask(world, &tag, 1, NULL, 0), 0);
    assert_int_equal(world->answer.result, 0);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    const struct kith_tag other = {ki_str("role"), ki_str("web")};
    assert_int_equal(ask(world, &other, 1, NULL, 0), 0);
    assert_true(world->answer.result != 0);
    assert_non_null(strstr(world->answer.why, "a restart forgets them"));
    assert_non_null(strstr(world->answer.why, path));
    assert_string_equal(ki_tags_get(&world->agent.runtime_set, ki_str("role")), "web"); /* and it is set */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deletes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
