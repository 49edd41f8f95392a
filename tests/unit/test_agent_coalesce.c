/* Events as watchers get them.  Member events: the first at once, then gathered, the last one counting, repeats left out.
 * User events: the newest of each name, within bounds.  And what private means. */
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

static void on_message(void *arg, const struct kith_event *event)
{
    size_t at = strlen(told);
    (void)arg;
    snprintf(told + at, sizeof told - at, "%d:%.*s=%.*s ", (int)event->kind, (int)event->message.name.len,
             event->message.name.ptr, (int)event->message.payload.len, event->message.payload.ptr);
}

static struct ki_agent_watch watch = {.members = on_members, .message = on_message};

static int setup(void **state)
{
    (void)state;
    agent = calloc(1, sizeof *agent);
    if (!agent || uv_loop_init(&agent->loop) != 0)
        return -1;
    agent->log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    told[0] = '\0';
    ki_agent_watch(agent, &watch);
    return ki_coalesce_init(agent) == 0 ? ki_coalesce_user_init(agent) : -1;
}

static int teardown(void **state)
{
    (void)state;
    ki_coalesce_close(agent);
    ki_coalesce_user_close(agent);
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

/* ---- user events, on a clock of the test's own ---- */

static struct kith_message said(const char *name, uint64_t ltime, const char *payload)
{
    return (struct kith_message){
        .name = ki_str(name), .payload = ki_str(payload), .ltime = ltime, .coalesce = true};
}

static bool add(struct ki_user_gather *gather, uint64_t now_ms, const char *name, uint64_t ltime, const char *payload)
{
    char borrowed[64]; /* for the call only: a copy must be kept */
    snprintf(borrowed, sizeof borrowed, "%s", payload);
    struct kith_message message = said(name, ltime, borrowed);
    bool waits = ki_user_gather_add(gather, now_ms, &message);
    memset(borrowed, '?', sizeof borrowed);
    return waits;
}

static void tell(void *arg, const struct kith_message *message)
{
    const struct kith_event event = {.kind = KITH_EVENT_USER, .message = *message};
    on_message(arg, &event);
}

static void test_user_newest(void **state)
{
    struct ki_user_gather gather = {.first = NULL};
    (void)state;
    told[0] = '\0';
    assert_int_equal(ki_user_gather_due_ms(&gather), UINT64_MAX);
    assert_true(add(&gather, 5000, "deploy", 7, "old"));
    assert_int_equal(ki_user_gather_due_ms(&gather), 6000);
    assert_true(add(&gather, 5100, "other", 1, "1"));
    assert_true(add(&gather, 5200, "deploy", 9, "new"));
    assert_true(add(&gather, 5300, "deploy", 9, "beside"));
    assert_true(add(&gather, 5400, "deploy", 8, "late"));
    assert_true(add(&gather, 5500, "deploys", 1, "longer name"));
    assert_int_equal(ki_user_gather_due_ms(&gather), 6500); /* quiet since the last */
    assert_true(add(&gather, 7900, "other", 2, "2"));
    assert_int_equal(ki_user_gather_due_ms(&gather), 8000); /* 3 s after the first, though that one is outranked */
    ki_user_gather_flush(&gather, tell, NULL);
    assert_string_equal(told, "5:deploy=new 5:deploy=beside 5:deploys=longer name 5:other=2 ");
    assert_int_equal(gather.bytes + gather.count, 0);
    assert_true(add(&gather, 9000, "deploy", 3, "x")); /* what was told before does not count any more */
    assert_int_equal(ki_user_gather_due_ms(&gather), 10000);
    assert_true(add(&gather, 9500, "deploy", 4, "y")); /* the only one, outranked: still 3 s after the first */
    assert_int_equal(gather.since_ms, 9000);
    ki_user_gather_flush(&gather, NULL, NULL);
}

static void test_user_bounds(void **state)
{
    struct ki_user_gather gather = {.first = NULL};
    char name[16];
    (void)state;
    for (unsigned i = 0; i < KI_USER_WAITS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_true(add(&gather, 0, name, 1, "x"));
    }
    assert_false(add(&gather, 0, "more", 1, "x"));
    assert_true(add(&gather, 0, "5", 2, "takes the place of the older one"));
    ki_user_gather_flush(&gather, NULL, NULL);

    size_t len = KI_USER_BYTES_MAX / 2;
    char *large = calloc(1, len);
    assert_non_null(large);
    struct kith_message message = said("a", 1, "");
    message.payload = (struct kith_str){.ptr = large, .len = len};
    assert_true(ki_user_gather_add(&gather, 0, &message));
    message.name = ki_str("b");
    assert_false(ki_user_gather_add(&gather, 0, &message)); /* its other bytes are too many */
    message.name = ki_str("a");
    message.ltime = 2;
    assert_true(ki_user_gather_add(&gather, 0, &message));
    assert_int_equal(gather.count, 1);
    ki_user_gather_flush(&gather, NULL, NULL);
    free(large);
}

static void test_messages(void **state)
{
    struct kith_event event = {.kind = KITH_EVENT_USER, .message = said("deploy", 1, "1")};
    (void)state;
    ki_coalesce_user_event(agent, &event);
    event.message = said("now", 2, "2");
    event.message.coalesce = false;
    ki_coalesce_user_event(agent, &event);
    event.kind = KITH_EVENT_QUERY;
    event.message = said("load", 3, "3");
    ki_coalesce_user_event(agent, &event);
    event.kind = KITH_EVENT_GAP;
    event.message = (struct kith_message){.origin = ki_str("m"), .seq = 4, .seq_last = 5};
    ki_coalesce_user_event(agent, &event);
    assert_string_equal(told, "5:now=2 7:load=3 6:= "); /* the coalesced one waits */
    flush_ms();
    assert_string_equal(told, "5:now=2 7:load=3 6:= 5:deploy=1 ");
    assert_int_equal(ki_coalesce_user_full(agent), 0);
    ki_agent_unwatch(agent, &watch);
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
        cmocka_unit_test(test_user_newest),
        cmocka_unit_test(test_user_bounds),
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test(test_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
