/* Memory fails while members tell and ask each other what fits no datagram: one of three says a large event, asks large
 * queries that are answered at length, and answers one so; all of that goes over links.  Each time another of its
 * allocations fails, then many in a row.  What is refused changes nothing; what is told is whole, and told once; every ask
 * ends once; and when memory is back, everything is answered by everyone.
 * ctest: TIMEOUT 240 COST 40 */
#include "oom_pool.h"

#define ASKED    5000 /* bytes of a large query: it travels as an event with a number */
#define ANSWERED 30000

struct oom_large {
    kith_ticket ticket;
    unsigned from;
    char name[8];
    unsigned heard[POOL], answers, acks;
};

#define ASKS 5
static struct oom_large asks[ASKS];
static unsigned unanswered; /* times that an answer was refused */

static struct kith_str oom_payload(size_t len)
{
    static char bytes[ANSWERED];
    for (size_t i = 0; bytes[1] == '\0' && i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251); /* no power of two: a part that is missing shows */
    return (struct kith_str){bytes, len};
}

static void oom_is_whole(struct kith_str got, size_t len)
{
    assert_int_equal(got.len, len);
    assert_memory_equal(got.ptr, oom_payload(len).ptr, len);
}

/* Answers at length, and again until it is taken, or the time is over. */
static void oom_answer(unsigned n, kith *k, struct kith_time now, uint64_t query)
{
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(k);
        error = kith_respond(k, now, query, oom_payload(ANSWERED));
        assert_true(error == 0 || (n == VICTIM && (error == KITH_ERR_NOMEM || error == KITH_ERR_FULL)));
        assert_true(error == 0 || lone_digest(k) == before);
        unanswered += error != 0;
    }
    assert_int_equal(error, 0);
}

static void oom_hear(void *arg, unsigned n, kith *k, struct kith_time now, const struct kith_event *event)
{
    if (event->kind == KITH_EVENT_QUERY) {
        assert_int_equal(event->message.name.len, 2);
        struct oom_large *ask = &asks[event->message.name.ptr[1] - '0'];
        oom_is_whole(event->message.payload, event->message.name.ptr[0] == 'L' ? ASKED : 10);
        ask->heard[n]++;
        oom_answer(n, k, now, event->message.query);
    }
    for (size_t i = 0; i < ASKS && event->kind == KITH_EVENT_ANSWER; i++) {
        if (asks[i].ticket != event->ticket || asks[i].from != n)
            continue;
        asks[i].answers += !event->message.is_ack;
        asks[i].acks += event->message.is_ack;
        oom_is_whole(event->message.payload, event->message.is_ack ? 0 : ANSWERED);
    }
    ear_hear(arg, n, k, now, event);
}

static void oom_ask(struct world *w, size_t number, unsigned n, bool large)
{
    struct oom_large *ask = &asks[number];
    *ask = (struct oom_large){.from = n, .name = {large ? 'L' : 'S', (char)('0' + number)}};
    struct kith_query query = {.name = lone_str(ask->name),
                               .payload = oom_payload(large ? ASKED : 10),
                               .ack = true,
                               .relay_factor = 1,
                               .timeout_ms = 2500};
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, n));
        error = kith_ask(world_node(w, n), world_now(w), &query, &ask->ticket);
        oom_refused(world_node(w, n), n, error, before);
    }
    assert_int_equal(error, 0);
}

/* Nobody is told twice; and all are told, unless memory failed meanwhile: then what the victim said or heard may be lost. */
static void oom_asked(size_t number, bool complete)
{
    const struct oom_large *ask = &asks[number];
    for (unsigned n = 0; n < POOL; n++)
        assert_in_range(ask->heard[n], complete ? 1 : 0, 1);
    assert_in_range(ask->answers, complete ? POOL : 0, POOL);
    assert_in_range(ask->acks, complete ? POOL : 0, POOL);
}

/* Everybody is told of it once, the victim perhaps that it is lost. */
static void oom_told(const char *name)
{
    for (unsigned n = 0; n < POOL; n++) {
        bool lost = n == VICTIM && memory.failed > 0 && ear_count(&ear, KITH_EVENT_GAP, n, NULL) > 0;
        assert_in_range(ear_count(&ear, KITH_EVENT_USER, n, name), lost ? 0 : 1, 1);
    }
}

static uint64_t oom_story(uint64_t from, uint64_t to)
{
    static const unsigned owners[] = {VICTIM, VICTIM, 0, VICTIM, VICTIM, 0};
    kith_ticket tickets[1 + ASKS];
    struct world *w = oom_pool(from, to);
    world_set_ear(w, oom_hear, &ear);
    memset(asks, 0, sizeof asks);
    oom_say(w, VICTIM, "large", 20000, 3000, &tickets[0]);
    oom_say(w, 2, "other", 20000, 0, NULL);
    oom_run(w, 3 * SECOND);
    oom_ask(w, 0, VICTIM, true);
    oom_run(w, 3 * SECOND);
    oom_ask(w, 1, 0, true);
    oom_run(w, 3 * SECOND);
    oom_ask(w, 2, VICTIM, false);
    oom_run(w, 3 * SECOND);
    uint64_t calls = memory.calls;
    memory.fail_from = memory.fail_to = NEVER_FAILS;
    oom_run(w, 6 * SECOND); /* what is missing is asked for so long */
    oom_ask(w, 3, VICTIM, true);
    oom_ask(w, 4, 0, true);
    oom_run(w, 3 * SECOND);
    for (size_t i = 0; i < ASKS; i++) {
        oom_asked(i, from == NEVER_FAILS || i >= 3);
        tickets[1 + i] = asks[i].ticket;
    }
    oom_ended(tickets, owners, 1 + ASKS);
    oom_told("large");
    oom_told("other");
    return oom_end(w, calls, from, to);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(oom_story, 1, 1);
    assert_true(refusals >= 10 && unanswered >= 4); /* what an event or query, and what an answer takes */
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(oom_story, 1, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
