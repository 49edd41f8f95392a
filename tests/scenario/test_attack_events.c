/* What an attacker of events and queries tried: each test is one way in which they once did not do what event.h, PROTOCOL.md
 * or their own comments say.  Memory that is used after it was freed, what is told twice, lost without a word, or told as
 * lost while somebody has it; tables without a limit; small messages that made us send many. */
#include "messages_pool.h"

#include "lone.h"
#include "node/messages.h"

static char filler[100000];

/* ---- memory ---- */

static void *wiping_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    return realloc(ptr, size);
}

/* What is freed says nothing any more, even where no sanitizer watches. */
static void wiping_release(void *arg, void *ptr)
{
    uint64_t size;
    (void)arg;
    memcpy(&size, ptr, sizeof size); /* the core's own head (base/mem.c) */
    for (volatile uint8_t *at = ptr; size > 0; size--) /* or a compiler sees that nobody may read it */
        *at++ = 0xA5;
    free(ptr);
}

static void second_keeps_little(struct kith_config *c, unsigned n)
{
    if (n != 1)
        return;
    c->event_size_max = 256;
    c->event_log_max = 512;
    c->memory = (struct kith_memory){.resize = wiping_resize, .release = wiping_release};
}

/* What is settled is not kept where it is larger than all that is kept: but who has told it says so. */
static void an_event_larger_than_the_log_is_confirmed(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, second_keeps_little);
    struct kith_user_event event = {.name = STR("large"), .payload = {filler, 1000}, .confirm_timeout_ms = 3000};
    kith_ticket ticket;
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &ticket), 0);
    world_run(w, 5 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, "large"), 1);
    assert_int_equal(world_node(w, 1)->messages->origins.bytes, 0);
    ends_with(&ear, ticket, 0, 2);
    world_free(w);
}

/* ---- once ---- */

static void a_large_query_of_ours_is_told_us_once(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct kith_query query = {.name = STR("q"), .payload = {filler, sizeof filler}, .timeout_ms = 2000};
    kith_ticket ticket;
    assert_int_equal(kith_ask(world_node(w, 1), world_now(w), &query, &ticket), 0);
    world_run(w, 3 * SECOND);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, n, "q"), 1);
    world_free(w);
}

/* ---- an origin too many ---- */

static void fill_origins(kith *k)
{
    struct ki_messages *m = ki_messages(k);
    for (uint64_t boot = 1; m->origins.count < KI_ORIGINS_MAX; boot++)
        assert_non_null(ki_origins_enter(&m->origins, ki_span("node-9", 6), boot, 1));
}

/* An event that gets no number is told without; but a query is a query, and what is not for Serf's members is not. */
static void what_gets_no_number_stays_what_it_is(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 1, NULL);
    struct kith_query query = {.name = STR("q"), .payload = {filler, sizeof filler}, .timeout_ms = 2000};
    struct kith_user_event secret = {.name = STR("secret"), .kith_only = true}, open = {.name = STR("open")};
    kith_ticket ticket;
    fill_origins(world_node(w, 1));
    assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &query, &ticket), 0);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &secret, NULL), 0);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &open, NULL), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, "query"), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, "secret"), 1);
    for (size_t i = 0; i < ear.count; i++) {
        if (ear.all[i].n == 1 && strcmp(ear.all[i].name, "secret") == 0)
            assert_true(ear.all[i].event.message.kith_only);
    }
    world_run(w, 120 * SECOND); /* and the member of Serf's kind has asked both for all they have */
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, "secret"), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, "open"), 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_larger_than_the_log_is_confirmed),
        cmocka_unit_test(a_large_query_of_ours_is_told_us_once),
        cmocka_unit_test(what_gets_no_number_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
