/* Member events as watchers get them: the first at once, then gathered, the last one counting, repeats left out.  And
 * what private means. */
#include "agent/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ki_agent *agent;
static char told[512]; /* "event:name,name " each */

static void on_members(void *arg, enum ki_member_event event, const struct kith_member *members, size_t count)
{
    (void)arg;
    size_t at = strlen(told);
    at += (size_t)snprintf(told + at, sizeof told - at, "%s:", ki_member_event_name(event));
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(told + at, sizeof told - at, "%s%.*s", i ? "," : "", (int)members[i].name.len,
                               members[i].name.ptr);
    snprintf(told + at, sizeof told - at, " ");
}

static struct ki_agent_watch watch = {.members = on_members};

static int setup(void **state)
{
    (void)state;
    agent = calloc(1, sizeof *agent);
    if (!agent || uv_loop_init(&agent->loop) != 0)
        return -1;
    agent->log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    told[0] = '\0';
    ki_agent_watch(agent, &watch);
    return ki_coalesce_init(agent);
}

static int teardown(void **state)
{
    (void)state;
    ki_coalesce_close(agent);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&agent->loop);
    ki_log_free(agent->log);
    free(agent);
    return result;
}

static void happen(uint32_t id, uint32_t changed, enum kith_status status)
{
    char name[] = "a"; /* borrowed for the call only: a copy must be kept */
    name[0] = (char)('a' + id);
    const struct kith_event event = {
        .kind = KITH_EVENT_MEMBER,
        .changed = changed,
        .member = {.name = {name, 1},
                   .meta = {"", 0},
                   .addr = {.ip = {1, 2, 3, 4}, .ip_len = 4},
                   .id = changed & KITH_CHANGED_REAPED ? UINT32_MAX : id,
                   .status = status}};
    ki_coalesce_event(agent, &event);
    name[0] = '?';
}

/* Until all timers have run; returns how long that was. */
static uint64_t flush_ms(void)
{
    uint64_t begin = uv_hrtime();
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    return (uv_hrtime() - begin) / 1000000;
}

static void test_gathers(void **state)
{
    (void)state;
    happen(0, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
    happen(1, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
    happen(2, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
    happen(1, KITH_CHANGED_FAILED, KITH_STATUS_FAILED); /* the last one counts */
    happen(2, KITH_CHANGED_SUSPECT, KITH_STATUS_ALIVE); /* none of theirs */
    assert_string_equal(told, "");
    uv_run(&agent->loop, UV_RUN_NOWAIT); /* what comes after a quiet second is told at once */
    assert_string_equal(told, "member-join:a,c member-failed:b ");

    told[0] = '\0';
    happen(0, KITH_CHANGED_FAILED | KITH_CHANGED_JOINED, KITH_STATUS_ALIVE); /* failed and came back: nothing new */
    happen(1, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
    happen(2, KITH_CHANGED_TAGS, KITH_STATUS_ALIVE);
    uv_run(&agent->loop, UV_RUN_NOWAIT);
    assert_string_equal(told, ""); /* and what follows is gathered */
    assert_true(flush_ms() >= 900);
    assert_string_equal(told, "member-join:b member-update:c ");

    told[0] = '\0';
    happen(2, KITH_CHANGED_TAGS, KITH_STATUS_ALIVE); /* updates are never repeats */
    happen(1, KITH_CHANGED_LEFT, KITH_STATUS_LEFT);
    happen(1, KITH_CHANGED_REAPED, KITH_STATUS_LEFT);
    flush_ms();
    assert_string_equal(told, "member-update:c member-reap:b ");

    told[0] = '\0';
    happen(1, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE); /* its id again, of another member: not a repeat of b's join */
    ki_agent_unwatch(agent, &watch);
    flush_ms();
    assert_string_equal(told, ""); /* nobody watches */
}

static void poke(uv_timer_t *timer)
{
    static uint32_t id;
    (void)timer;
    happen(id++, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
}

static void test_three_seconds_at_most(void **state)
{
    static uv_timer_t timer; /* closed by the teardown's run of the loop */
    (void)state;
    happen(9, KITH_CHANGED_JOINED, KITH_STATUS_ALIVE);
    uv_run(&agent->loop, UV_RUN_NOWAIT);
    assert_string_equal(told, "member-join:j ");
    told[0] = '\0';
    uv_timer_init(&agent->loop, &timer);
    uv_timer_start(&timer, poke, 0, 500); /* never quiet for 1 s */
    uint64_t begin = uv_hrtime();
    while (told[0] == '\0')
        uv_run(&agent->loop, UV_RUN_ONCE);
    uint64_t ms = (uv_hrtime() - begin) / 1000000;
    assert_true(ms >= 2900 && ms < 4500);
    uv_close((uv_handle_t *)&timer, NULL);
}

static void test_private(void **state)
{
    static const struct {
        const char *text;
        bool is_private;
    } rows[] = {{"10.0.0.1", true},        {"172.16.0.1", true},   {"172.31.255.255", true}, {"172.32.0.1", false},
                {"192.168.3.4", true},     {"192.169.0.1", false}, {"100.64.0.1", true},     {"100.128.0.1", false},
                {"8.8.8.8", false},        {"127.0.0.1", false},   {"fd00::1", true},        {"fc00::1", true},
                {"2001:db8::1", false},    {"fe80::1", false},     {"::ffff:10.0.0.1", true}};
    struct kith_addr addr;
    char why[256];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(ki_addr_parse(ki_str(rows[i].text), 1, &addr));
        if (ki_place_is_private(&addr) != rows[i].is_private)
            fail_msg("%s", rows[i].text);
    }
    assert_int_equal(ki_place_resolve(":80", 1, &addr, why, sizeof why), 0);
    assert_true(ki_addr_is_wildcard(&addr) && addr.port == 80 && addr.ip_len == 4);
    assert_int_equal(ki_place_resolve("::1", 7, &addr, why, sizeof why), 0);
    assert_true(addr.ip_len == 16 && addr.ip[15] == 1 && addr.port == 7);
    assert_int_equal(ki_place_resolve("::", 7, &addr, why, sizeof why), 0);
    assert_true(ki_addr_is_wildcard(&addr) && addr.ip_len == 16);
    assert_int_equal(ki_place_resolve("localhost:5", 1, &addr, why, sizeof why), 0);
    assert_int_equal(addr.port, 5);
    assert_int_equal(ki_place_resolve("1.2.3.4:x", 1, &addr, why, sizeof why), -1);
    assert_non_null(strstr(why, "1.2.3.4:x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gathers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_three_seconds_at_most, setup, teardown),
        cmocka_unit_test(test_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
