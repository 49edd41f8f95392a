/* What an attacker of events and queries tried: each test is one way in which they once did not do what event.h, PROTOCOL.md
 * or their own comments say.  Memory that is used after it was freed, what is told twice, lost without a word, or told as
 * lost while somebody has it; tables without a limit; small messages that made us send many. */
#include "messages_pool.h"

#include "lone.h"
#include "node/messages.h"

static char filler[100000];

static void say(struct world *w, unsigned n, const char *name)
{
    struct kith_user_event event = {.name = {name, strlen(name)}};
    assert_int_equal(kith_send_event(world_node(w, n), world_now(w), &event, NULL), 0);
}

/* What node n was told of the numbers of `origin`: they rise by one, or a gap tells what is not there.  Returns the last. */
static uint64_t attack_told(unsigned n, const char *origin, size_t *gaps)
{
    uint64_t last = 0;
    *gaps = 0;
    for (size_t i = 0; i < ear.count; i++) {
        const struct heard *h = &ear.all[i];
        if (h->n != n || strcmp(h->origin, origin) != 0 ||
            (h->event.kind != KITH_EVENT_USER && h->event.kind != KITH_EVENT_GAP))
            continue;
        assert_int_equal(h->event.message.seq, last + 1);
        last = h->event.message.seq_last;
        *gaps += h->event.kind == KITH_EVENT_GAP;
    }
    return last;
}

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
    for (uint64_t boot = 1; m->origins.count < KI_ORIGINS_MAX - 1; boot++)
        assert_non_null(ki_numbered_enter(k, m, ki_span("node-9", 6), boot, (struct ki_settled){2, 0}, 1));
    assert_null(ki_numbered_enter(k, m, ki_span("node-9", 6), 0, (struct ki_settled){2, 0}, 1));
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

static void our_own_events_always_have_a_place(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, NULL);
    fill_origins(world_node(w, 0));
    say(w, 0, "mine");
    world_run(w, SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, "mine"), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, "mine"), 1);
    world_free(w);
}

/* ---- lost ---- */

/* It was cut off, pruned by somebody, and forgotten; but it is the same life when it is back. */
static void who_was_forgotten_goes_on_with_its_numbers(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    kith_ticket ticket;
    size_t gaps;
    say(w, 2, "one");
    world_run(w, SECOND);
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    world_run(w, 60 * SECOND);
    assert_int_equal(kith_force_leave(world_node(w, 0), world_now(w), STR("node-2"), true, &ticket), 0);
    world_run(w, 400 * SECOND);
    assert_int_equal(world_node(w, 0)->messages->origins.count, 0);
    say(w, 2, "two");
    world_cut(w, 0, 2, false);
    world_cut(w, 1, 2, false);
    world_run(w, 120 * SECOND);
    say(w, 2, "three");
    world_run(w, 10 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(attack_told(n, "node-2", &gaps), 3);
        assert_int_equal(gaps, 0);
    }
    world_free(w);
}

/* An old life of the same member is heard of, from one that was cut off meanwhile; it is not the present one. */
static void hearsay_of_an_old_life_ends_no_other(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct kith_config c;
    world_cut(w, 0, 2, true);
    world_cut(w, 0, 1, true);
    say(w, 2, "of the first");
    world_run(w, SECOND);
    world_cut(w, 1, 2, true);
    world_crash(w, 2);
    world_run(w, SECOND);
    world_config(&c, 2);
    world_add(w, 2, &c);
    world_cut(w, 0, 2, false);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    world_run(w, 10 * SECOND);
    say(w, 2, "of the second");
    world_run(w, 30 * SECOND);
    world_cut(w, 0, 1, false); /* it tells of the first life */
    world_run(w, 400 * SECOND);
    size_t before = ear_count(&ear, KITH_EVENT_USER, 0, NULL);
    say(w, 2, "again");
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, "again"), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, NULL), before + 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_larger_than_the_log_is_confirmed),
        cmocka_unit_test(a_large_query_of_ours_is_told_us_once),
        cmocka_unit_test(what_gets_no_number_stays_what_it_is),
        cmocka_unit_test(our_own_events_always_have_a_place),
        cmocka_unit_test(who_was_forgotten_goes_on_with_its_numbers),
        cmocka_unit_test(hearsay_of_an_old_life_ends_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
