/* The limits of kith_config for what members tell and ask each other, reached: each is an error to the caller or a counter
 * and a gap, what was there stays, and just below it all is well. */
#include "messages_pool.h"

#include "lone.h"
#include "node/messages.h"

static char filler[4096];

static struct kith_user_event event_of(size_t len)
{
    return (struct kith_user_event){.name = STR("e"), .payload = {filler, len - 1}};
}

static void few_wait(struct kith_config *c, unsigned n)
{
    if (n == 1)
        c->messages_max = 3;
}

static void few_bytes_wait(struct kith_config *c, unsigned n)
{
    if (n == 1)
        c->message_bytes_max = 1024;
}

static bool second_reads_nothing(unsigned n)
{
    return n == 1;
}

/* What finds no room in the queue of one is counted there, told there as a gap when there is room, and kept for others. */
static void the_queue_is_full(void **state)
{
    (void)state;
    static void (*const adjusts[])(struct kith_config *, unsigned) = {few_wait, few_bytes_wait};
    for (size_t i = 0; i < KI_COUNT(adjusts); i++) {
        struct world *w = pool(&ear, 2, 0, adjusts[i]);
        struct kith_user_event event = event_of(300); /* with its origin 306 bytes: three fit 1,024 */
        world_pause_events(w, second_reads_nothing);
        for (unsigned n = 0; n < 8; n++) {
            assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, NULL), 0);
            world_run(w, SECOND / 10);
        }
        assert_int_equal(lone_counter(world_node(w, 1), "messages_dropped"), 5);
        assert_int_equal(lone_counter(world_node(w, 0), "messages_dropped"), 0);
        world_pause_events(w, NULL);
        world_run(w, 5 * SECOND);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, NULL), 3);
        size_t gaps = ear_count(&ear, KITH_EVENT_GAP, WORLD_NODES, NULL);
        assert_int_equal(gaps, i == 0 ? 1 : 5); /* where bytes are short there is room for the word that one is missing */
        assert_int_equal(lone_counter(world_node(w, 1), "event_gaps"), gaps);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, NULL), 8);
        uint64_t next = 4;
        for (size_t at = 0; at < ear.count; at++) {
            const struct kith_event *e = &ear.all[at].event;
            if (e->kind == KITH_EVENT_GAP) {
                assert_true(e->message.seq == next);
                next = e->message.seq_last + 1;
            }
        }
        assert_int_equal(next, 9);
        assert_true(world_node(w, 1)->messages->bytes == 0 && world_node(w, 1)->messages->count == 0);
        world_free(w);
    }
}

static void small_sizes(struct kith_config *c, unsigned n)
{
    (void)n;
    c->event_size_max = 1000;
    c->query_size_max = 500;
    c->response_size_max = 100;
}

static void sizes(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, small_sizes);
    kith *k = world_node(w, 0);
    struct kith_user_event event = event_of(1001), fits = event_of(1000);
    kith_ticket ticket;
    assert_int_equal(kith_send_event(k, world_now(w), &event, NULL), KITH_ERR_TOO_LONG);
    assert_int_equal(kith_send_event(k, world_now(w), &fits, NULL), 0);
    event.payload.len = SIZE_MAX; /* a length that would wrap */
    assert_int_equal(kith_send_event(k, world_now(w), &event, NULL), KITH_ERR_TOO_LONG);
    size_t most = 0;
    for (size_t len = 400; len <= 600; len++) { /* the filters count, too */
        struct kith_query query = {.name = STR("q"), .payload = {filler, len}, .timeout_ms = 500};
        int error = kith_ask(k, world_now(w), &query, &ticket);
        assert_true(error == (len > 500 - 17 ? KITH_ERR_TOO_LONG : 0));
        most = error ? most : len;
    }
    assert_int_equal(most, 500 - 17);
    world_run(w, SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, NULL), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, 1, NULL), 84);
    struct kith_query query = {.name = STR("q"), .timeout_ms = 5000};
    assert_int_equal(kith_ask(k, world_now(w), &query, &ticket), 0);
    world_run(w, SECOND);
    uint64_t asked = ear.all[ear.count - 1].event.message.query;
    assert_true(ear.all[ear.count - 1].event.kind == KITH_EVENT_QUERY && ear.all[ear.count - 1].n == 1);
    struct kith_str answer = {filler, 101};
    assert_int_equal(kith_respond(world_node(w, 1), world_now(w), asked, answer), KITH_ERR_TOO_LONG);
    answer.len = 100;
    assert_int_equal(kith_respond(world_node(w, 1), world_now(w), asked, answer), 0); /* it may still be answered */
    world_run(w, 10 * SECOND);
    ends_with(&ear, ticket, 0, 1);
    world_free(w);
}

static void few_queries(struct kith_config *c, unsigned n)
{
    c->queries_max = n == 0 ? 3 : 2;
}

/* Three of ours, of which another takes two: the third is dropped there, and counted; there is a fourth when one ends. */
static void queries(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, few_queries);
    kith *k = world_node(w, 0);
    struct kith_query query = {.name = STR("q"), .timeout_ms = 5000};
    kith_ticket tickets[4];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(kith_ask(k, world_now(w), &query, &tickets[i]), 0);
    assert_int_equal(kith_ask(k, world_now(w), &query, &tickets[3]), KITH_ERR_FULL);
    world_run(w, SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, 1, NULL), 2);
    assert_int_equal(lone_counter(world_node(w, 1), "messages_dropped"), 1);
    assert_int_equal(kith_ask_cancel(k, world_now(w), tickets[0]), 0);
    assert_int_equal(kith_ask(k, world_now(w), &query, &tickets[3]), 0);
    world_run(w, 10 * SECOND);
    for (unsigned i = 0; i < 4; i++)
        ends_with(&ear, tickets[i], 0, 0);
    assert_true(world_node(w, 1)->messages->in_count == 0 && k->messages->out_count == 0);
    world_free(w);
}

static void small_log(struct kith_config *c, unsigned n)
{
    (void)n;
    c->event_size_max = 1024;
    c->event_log_max = 4096;
}

/* What is kept stays within the limit on all, and what comes early has as much again. */
static void the_log(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, small_log);
    struct kith_user_event event = event_of(500);
    world_cut(w, 0, 2, true);
    for (unsigned i = 0; i < 40; i++) {
        world_cut(w, 1, 2, i < 10);
        assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, NULL), 0);
        world_run(w, SECOND / 20);
        for (unsigned n = 0; n < 3; n++) {
            const struct ki_messages *m = world_node(w, n)->messages;
            assert_true(!m || (m->origins.bytes <= 4096 && m->origins.early_bytes <= 4096 + 1024));
        }
    }
    assert_in_range(world_node(w, 0)->messages->origins.bytes, 3000, 4096);
    world_free(w);
    /* and a limit that could not hold two of the largest is refused */
    struct kith_config c;
    kith *k;
    world_config(&c, 0);
    c.event_log_max = 2 * (uint64_t)c.event_size_max - 1;
    assert_int_equal(kith_new(&k, &c), KITH_ERR_ARG);
}

/* ---- rounds ---- */

#define CROWD 200 /* members that never answer: more than three rounds of 64 */

/* One instance among so many of kith's kind. */
static kith *in_a_crowd(void)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa3" "1-1";
    struct kith_config c;
    lone_config(&c);
    c.probe_interval_ms = 1000000; /* nobody is suspected */
    c.push_pull_interval_ms = c.reconnect_interval_ms = 0;
    kith *k = lone_new(&c);
    for (unsigned i = 0; i < CROWD; i++) {
        char name[16];
        snprintf(name, sizeof name, "crowd-%u", i);
        struct kith_member member = {.name = lone_str(name),
                                     .addr = lone_addr((uint8_t)(2 + i), 7946),
                                     .meta = {meta, sizeof meta - 1},
                                     .status = KITH_STATUS_ALIVE,
                                     .incarnation = 5,
                                     .versions = {1, 5, 2, 2, 5, 5}};
        assert_int_equal(kith_import_members(k, lone_time(LONE_SECOND), &member, 1), 0);
    }
    return k;
}

/* Runs until then, noting how often each has been sent something with these bytes in it. */
static void crowd_run(kith *k, uint64_t until_us, const char *needle, unsigned got[CROWD])
{
    uint8_t buf[2048];
    struct kith_addr to;
    size_t len;
    for (uint64_t at_us = k->now.mono_us; at_us <= until_us; at_us = ki_max_u64(at_us + 1, kith_deadline(k))) {
        kith_tick(k, lone_time(at_us));
        while (kith_poll_datagram(k, lone_time(at_us), &to, buf, sizeof buf, &len))
            got[to.ip[to.ip_len - 1] - 2] += memmem(buf, len, needle, strlen(needle)) != NULL;
    }
}

/* A round goes to 64, and the next one to those behind them: whoever answers nothing keeps it from nobody. */
static void each_has_its_turn(const unsigned before[CROWD], const unsigned after[CROWD])
{
    unsigned most = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        assert_in_range(after[i] - before[i], 1, 4);
        most = after[i] - before[i] > most ? after[i] - before[i] : most;
    }
    assert_in_range(most, 2, 4); /* they went around: that was more than one round each */
}

static void rounds_of_confirming_go_on(void **state)
{
    (void)state;
    kith *k = in_a_crowd();
    unsigned before[CROWD] = {0}, after[CROWD];
    kith_ticket ticket;
    struct kith_user_event event = {.name = STR("tell-all"), .confirm_timeout_ms = 60000};
    assert_int_equal(kith_send_event(k, lone_time(LONE_SECOND), &event, &ticket), 0);
    crowd_run(k, LONE_SECOND + 50000, "tell-all", before);
    memcpy(after, before, sizeof after);
    crowd_run(k, LONE_SECOND + 1450000, "tell-all", after); /* seven rounds */
    each_has_its_turn(before, after);
    kith_free(k);
}

static void rounds_of_asking_go_on(void **state)
{
    (void)state;
    kith *k = in_a_crowd();
    unsigned before[CROWD] = {0}, after[CROWD];
    kith_ticket ticket;
    struct kith_query query = {.name = STR("ask-all"), .ack = true, .timeout_ms = 2000};
    assert_int_equal(kith_ask(k, lone_time(LONE_SECOND), &query, &ticket), 0);
    crowd_run(k, LONE_SECOND + 50000, "ask-all", before);
    memcpy(after, before, sizeof after);
    crowd_run(k, LONE_SECOND + 1450000, "ask-all", after); /* seven rounds, 200 ms apart */
    each_has_its_turn(before, after);
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_queue_is_full),
        cmocka_unit_test(sizes),
        cmocka_unit_test(queries),
        cmocka_unit_test(the_log),
        cmocka_unit_test(rounds_of_confirming_go_on),
        cmocka_unit_test(rounds_of_asking_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
