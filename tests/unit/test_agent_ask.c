/* Asks of a door: for tags, what is refused, what a reload may undo, and what is said when the tags file cannot be kept;
 * with answers, in which order they come, and what is told to who has been forgotten; keys, when they are written down. */
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
    uint32_t count;
    char why[400];
    char heard[400]; /* answers, in their order */
};

struct world {
    struct ki_agent agent;
    struct answer answer;
    unsigned ended; /* asks */
    bool closed;
};

static void on_event(void *arg, const struct kith_event *event)
{
    struct world *world = arg;
    if (event->kind == KITH_EVENT_DONE) {
        world->ended++;
        ki_ask_event(&world->agent, event->ticket, event->result, event->count);
    } else if (event->kind == KITH_EVENT_ANSWER) {
        ki_ask_answer(&world->agent, event);
    } else if (event->kind == KITH_EVENT_QUERY) {
        assert_int_equal(ki_agent_respond(&world->agent, event->message.query, ki_str("pong")), 0);
    } else if (event->kind == KITH_EVENT_KEYS) {
        ki_keys_changed(&world->agent, event->message.query);
    }
}

static void on_done(void *arg, int result, uint32_t count, const char *why)
{
    struct answer *answer = arg;
    answer->count = count;
    answer->calls++;
    answer->result = result;
    snprintf(answer->why, sizeof answer->why, "%s", why ? why : "");
}

static void on_answer(void *arg, const struct kith_event *event)
{
    struct answer *answer = arg;
    size_t len = strlen(answer->heard);
    assert_int_equal(answer->calls, 0);
    snprintf(answer->heard + len, sizeof answer->heard - len, "%.*s %s %.*s;", (int)event->message.origin.len,
             event->message.origin.ptr, event->message.is_ack ? "acks" : event->result ? "refuses" : "says",
             (int)event->message.payload.len, event->message.payload.ptr);
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
    static const struct kith_key key = {.len = 16};
    core.name = ki_str("a");
    core.addr = ki_net_bound(agent->net);
    core.keys = &key;
    core.key_count = 1;
    core.keys_kept = true;
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
    free(agent->config.keyring_file);
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

/* ---- with answers ---- */

static int ask_query(struct world *world, uint32_t timeout_ms)
{
    const struct kith_query query = {
        .name = ki_str("ping"), .payload = ki_str("x"), .ack = true, .timeout_ms = timeout_ms};
    world->answer = (struct answer){.calls = 0};
    return ki_agent_query(&world->agent, &query, on_answer, on_done, &world->answer);
}

static void test_query(void **state)
{
    struct world *world = *state;
    assert_int_equal(ask_query(world, 200), 0);
    assert_string_equal(world->answer.heard, ""); /* not from inside the ask */
    while (world->answer.calls == 0)
        uv_run(&world->agent.loop, UV_RUN_ONCE);
    assert_string_equal(world->answer.heard, "a acks ;a says pong;");
    assert_int_equal(world->answer.count, 1);
    const struct kith_query nobody = {.name = ki_str("ping"), .nodes = &(struct kith_str){"b", 1}, .node_count = 1};
    assert_int_equal(ki_agent_query(&world->agent, &nobody, on_answer, on_done, &world->answer), KITH_ERR_NOT_FOUND);
    assert_null(world->agent.asks);
}

/* Nobody waits for the query any more: it is ended long before its time, and nobody is told. */
static void test_forgotten_query(void **state)
{
    struct world *world = *state;
    assert_int_equal(ask_query(world, 3600000), 0);
    while (!strstr(world->answer.heard, "pong"))
        uv_run(&world->agent.loop, UV_RUN_ONCE);
    world->answer.heard[0] = '\0';
    world->ended = 0;
    ki_agent_forget(&world->agent, &world->answer);
    while (world->agent.asks)
        uv_run(&world->agent.loop, UV_RUN_ONCE);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->answer.calls, 0);
    assert_string_equal(world->answer.heard, "");
    /* one that is forgotten before the driver has heard of it */
    assert_int_equal(ask_query(world, 3600000), 0);
    ki_agent_forget(&world->agent, &world->answer);
    while (world->agent.asks)
        uv_run(&world->agent.loop, UV_RUN_ONCE);
    assert_int_equal(world->answer.calls, 0);
    assert_string_equal(world->answer.heard, "");
}

static void install(struct world *world, uint8_t first)
{
    const struct kith_key key = {.bytes = {first}, .len = 16};
    world->answer = (struct answer){.calls = 0};
    assert_int_equal(
        ki_agent_change_keys(&world->agent, KITH_KEY_INSTALL, &key, on_answer, on_done, &world->answer), 0);
    while (world->answer.calls == 0)
        uv_run(&world->agent.loop, UV_RUN_ONCE);
}

static void test_keys(void **state)
{
    struct world *world = *state;
    struct ki_keyfile read;
    char dir[] = "/tmp/kith-ask-XXXXXX";
    char path[64];
    char error[300];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/keys", dir);
    world->agent.config.keyring_file = strdup(path);
    install(world, 1);
    assert_int_equal(world->answer.result, 0);
    assert_string_equal(world->answer.heard, "a says ;");
    assert_int_equal(ki_keyfile_load(&read, path, error, sizeof error), 0);
    assert_int_equal(read.count, 2);
    assert_int_equal(read.keys[1].bytes[0], 1);
    ki_keyfile_free(&read);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    install(world, 2);
    assert_int_equal(world->answer.result, KITH_ERR_REFUSED);
    snprintf(error, sizeof error, "a refuses keyring file %s: No such file or directory;", path);
    assert_string_equal(world->answer.heard, error);
    assert_int_equal(kith_keys(world->agent.k, NULL, 0), 3); /* it holds all the same */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_query, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten_query, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deletes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
