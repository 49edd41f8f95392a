/* Memory fails while members tell and ask each other things: one of three hears an event early, says small, large and
 * confirmed ones, asks and answers, changes keys; each time another of its allocations fails, then many in a row.  What
 * is refused is asked again; then nothing may be told twice, no number skipped without a gap, every ask ends once,
 * and nothing leaks.
 * ctest: TIMEOUT 240 COST 40 */
#include "oom_pool.h"

static const struct kith_key second_key = {.bytes = {4, 5, 6}, .len = 32};

static void oom_hear(void *arg, unsigned n, kith *k, struct kith_time now, const struct kith_event *event)
{
    if (n == VICTIM && event->kind == KITH_EVENT_QUERY) {
        int error = KITH_ERR_NOMEM;
        for (unsigned tries = 0; tries < 200 && error != 0 && error != KITH_ERR_NOT_FOUND; tries++) {
            error = kith_respond(k, now, event->message.query, STR("here"));
            assert_true(error == 0 || error == KITH_ERR_NOMEM || error == KITH_ERR_FULL || error == KITH_ERR_NOT_FOUND);
        }
    }
    ear_hear(arg, n, k, now, event);
}

static void oom_ask(struct world *w, unsigned n, const char *name, kith_ticket *ticket)
{
    static const struct kith_str nodes[] = {TEXT("node-0"), TEXT("node-1"), TEXT("node-2")};
    static const struct kith_tag absent = {TEXT("none"), TEXT("^$")};
    struct kith_query query = {.name = lone_str(name),
                               .payload = STR("what"),
                               .nodes = nodes,
                               .node_count = 3,
                               .tags = &absent,
                               .tag_count = 1,
                               .ack = true,
                               .relay_factor = 1,
                               .timeout_ms = 2000};
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < 200 && error != 0; tries++) {
        error = kith_ask(world_node(w, n), world_now(w), &query, ticket);
        assert_true(error == 0 || (n == VICTIM && error == KITH_ERR_NOMEM));
    }
    assert_int_equal(error, 0);
}

static void oom_change(struct world *w, unsigned n, enum kith_key_change change, kith_ticket *ticket)
{
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < 200 && error != 0; tries++) {
        error = kith_change_keys(world_node(w, n), world_now(w), change, &second_key, ticket);
        assert_true(error == 0 || (n == VICTIM && error == KITH_ERR_NOMEM));
    }
    assert_int_equal(error, 0);
}

/* Of each origin each hearer has all numbers, in order; only the victim may have gaps. */
static void oom_settled(const uint64_t last[POOL])
{
    uint64_t next[POOL][POOL] = {0};
    for (size_t i = 0; i < ear.count; i++) {
        const struct heard *h = &ear.all[i];
        if (h->event.kind != KITH_EVENT_USER && h->event.kind != KITH_EVENT_GAP)
            continue;
        uint64_t *at = &next[h->n][h->origin[5] - '0'];
        assert_int_equal(h->event.message.seq, *at + 1);
        *at = h->event.message.seq_last;
        assert_true(h->event.kind == KITH_EVENT_USER || h->n == VICTIM);
    }
    for (unsigned n = 0; n < POOL; n++) {
        for (unsigned from = 0; from < POOL; from++)
            assert_int_equal(next[n][from], last[from]);
    }
}

static uint64_t oom_story(uint64_t from, uint64_t to)
{
    static const unsigned owners[] = {VICTIM, VICTIM, 0, VICTIM, 0};
    kith_ticket tickets[5];
    struct world *w = oom_pool(from, to);
    world_set_ear(w, oom_hear, &ear);
    ear.answers = true;
    ear.silent = VICTIM;
    world_cut(w, 0, VICTIM, true); /* the second comes before the first */
    oom_say(w, 0, "one", 10, 0, NULL);
    oom_run(w, SECOND / 4);
    world_cut(w, 0, VICTIM, false);
    oom_say(w, 0, "two", 10, 0, NULL);
    oom_say(w, 0, "three", 20000, 0, NULL);
    oom_run(w, SECOND);
    oom_say(w, VICTIM, "small", 10, 0, NULL);
    oom_say(w, VICTIM, "large", 100000, 0, NULL);
    oom_say(w, VICTIM, "confirmed", 10, 3000, &tickets[0]);
    oom_run(w, 4 * SECOND);
    oom_ask(w, VICTIM, "asks", &tickets[1]);
    oom_ask(w, 0, "asked", &tickets[2]);
    oom_run(w, 3 * SECOND);
    oom_change(w, VICTIM, KITH_KEY_INSTALL, &tickets[3]);
    oom_run(w, 2 * SECOND);
    oom_change(w, 0, KITH_KEY_INSTALL, &tickets[4]);
    oom_run(w, 8 * SECOND);
    uint64_t calls = memory.calls;
    memory.fail_from = memory.fail_to = NEVER_FAILS;
    oom_say(w, 0, "last", 10, 0, NULL);
    oom_say(w, VICTIM, "last", 10, 0, NULL);
    oom_run(w, 8 * SECOND);
    oom_settled((const uint64_t[POOL]){4, 4, 0});
    oom_ended(tickets, owners, 5);
    for (unsigned n = 0; n < POOL; n++)
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "last"), 2);
    return oom_end(w, calls, from, to);
}

/* Nobody misses an event while there is memory. */
static void no_allocation_fails(void **state)
{
    (void)state;
    oom_story(NEVER_FAILS, NEVER_FAILS);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, WORLD_NODES, NULL), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, WORLD_NODES, NULL), POOL * 8);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(oom_story, STEP(3), 1);
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(oom_story, 5, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_fails),
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
