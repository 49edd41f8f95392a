/* Events between members of kith's kind: in order, each once, whatever is lost; gaps are told; confirmations count only who
 * has it; events, queries and answers of any size. */
#include "messages_pool.h"

#include "wire/kith_event.h"

/* Order and completeness: for each hearer and origin the numbers rise by one, or a gap tells what is not there. */
static void numbers_are_settled(unsigned count, uint64_t last_of_each, uint64_t *gaps)
{
    static uint64_t next[WORLD_NODES][WORLD_NODES];
    memset(next, 0, sizeof next);
    *gaps = 0;
    for (size_t i = 0; i < ear.count; i++) {
        const struct heard *h = &ear.all[i];
        if (h->event.kind != KITH_EVENT_USER && h->event.kind != KITH_EVENT_GAP)
            continue;
        unsigned from = (unsigned)strtol(h->origin + 5, NULL, 10);
        assert_int_equal(h->event.message.seq, next[h->n][from] + 1);
        next[h->n][from] = h->event.message.seq_last;
        *gaps += h->event.kind == KITH_EVENT_GAP;
    }
    for (unsigned n = 0; n < count; n++) {
        for (unsigned from = 0; from < count; from++)
            assert_int_equal(next[n][from], last_of_each);
    }
}

static void say(struct world *w, unsigned n, unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "%u of %u", number, n);
    struct kith_user_event event = {.name = STR("news"), .payload = {text, strlen(text)}};
    assert_int_equal(kith_send_event(world_node(w, n), world_now(w), &event, NULL), 0);
}

static void in_order_whatever_is_lost(void **state)
{
    (void)state;
    for (uint32_t loss = 0; loss <= 300000; loss += 100000) {
        struct world *w = pool(&ear, 6, 0, NULL);
        uint64_t gaps;
        world_chance(w, 7 + loss, loss);
        for (unsigned i = 1; i <= 40; i++) {
            for (unsigned n = 0; n < 6; n++)
                say(w, n, i);
            world_run(w, SECOND / 50);
        }
        world_run(w, 20 * SECOND);
        numbers_are_settled(6, 40, &gaps);
        assert_int_equal(gaps, 0); /* all of it can be had */
        world_free(w);
    }
}

/* The last one is lost to one member: its next ping, or that of another, shows it. */
static void the_last_one_is_missed_by_its_root(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    world_cut(w, 0, 2, true);
    say(w, 0, 1);
    world_run(w, SECOND / 10);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, NULL), 0);
    world_run(w, 5 * SECOND); /* 1 has it, too */
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, NULL), 1);
    world_free(w);
}

static void small_log(struct kith_config *c, unsigned n)
{
    (void)n;
    c->event_size_max = 1024;
    c->event_log_max = 4096;
}

static void what_nobody_keeps_is_a_gap(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, small_log);
    uint64_t gaps;
    say(w, 0, 1);
    world_run(w, SECOND);
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    for (unsigned i = 2; i <= 99; i++) {
        say(w, 0, i);
        world_run(w, SECOND / 100);
    }
    world_cut(w, 0, 2, false);
    world_cut(w, 1, 2, false);
    world_run(w, 30 * SECOND);
    say(w, 0, 100);
    say(w, 1, 1);
    world_run(w, 20 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, WORLD_NODES, NULL), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, 2, NULL), 1);
    assert_in_range(ear_count(&ear, KITH_EVENT_USER, 2, NULL), 5, 100);
    for (size_t i = 0; i < ear.count; i++) { /* and only what is not there */
        const struct kith_event *e = &ear.all[i].event;
        if (e->kind == KITH_EVENT_GAP)
            assert_int_equal(e->message.seq_last - e->message.seq + 1 + ear_count(&ear, KITH_EVENT_USER, 2, NULL), 101);
    }
    (void)gaps;
    world_free(w);
}

static void cut_from_both(struct world *w, unsigned n, bool cut)
{
    world_cut(w, 0, n, cut);
    world_cut(w, 1, n, cut);
}

static void small_log_of_two(struct kith_config *c, unsigned n)
{
    if (n < 2)
        small_log(c, n);
}

/* Whoever has only a gap to offer says so: what it lacks is not old, though it has let go of nothing itself. */
static void a_gap_is_passed_on_as_a_gap(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 4, 0, small_log_of_two);
    uint64_t gaps;
    say(w, 0, 1);
    world_run(w, SECOND);
    cut_from_both(w, 2, true);
    cut_from_both(w, 3, true);
    for (unsigned i = 2; i <= 99; i++) {
        say(w, 0, i);
        world_run(w, SECOND / 100);
    }
    cut_from_both(w, 2, false);
    world_run(w, 30 * SECOND); /* 3 hears of it from 2 alone */
    cut_from_both(w, 3, false);
    say(w, 0, 100);
    for (unsigned n = 1; n < 4; n++) {
        for (unsigned i = 1; i <= 100; i++)
            say(w, n, i);
    }
    world_run(w, 30 * SECOND);
    numbers_are_settled(4, 100, &gaps);
    assert_int_equal(gaps, 2);
    world_free(w);
}

/* Whoever comes later hears what is said from then on, and what was said before only by mistake of nobody. */
static void who_joins_hears_nothing_old(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct kith_config c;
    for (unsigned i = 1; i <= 5; i++)
        say(w, 0, i);
    world_run(w, 2 * SECOND);
    world_config(&c, 3);
    world_add(w, 3, &c);
    assert_int_equal(world_join(w, 3, 1, NULL), 0);
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, NULL), 0);
    say(w, 0, 6);
    say(w, 3, 1);
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, NULL), 2);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, WORLD_NODES, NULL), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, NULL), 7);
    world_free(w);
}

/* What is old for one that tells us of it is not old for us: where nobody else has it, it is told as missing. */
static void what_is_old_for_one_is_missed_by_another(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct kith_config c;
    world_cut(w, 2, 0, true);
    world_cut(w, 2, 1, true);
    say(w, 2, 1);
    world_config(&c, 3);
    world_add(w, 3, &c);
    assert_int_equal(world_join(w, 3, 2, NULL), 0);
    world_run(w, SECOND);
    say(w, 2, 2);
    world_run(w, 20 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, NULL), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, NULL), 1);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, 1, NULL), 1);
    for (size_t i = 0; i < ear.count; i++) {
        const struct heard *h = &ear.all[i];
        if (h->n == 1)
            assert_int_equal(h->event.message.seq, h->event.kind == KITH_EVENT_GAP ? 1 : 2);
    }
    world_free(w);
}

/* Its events are told in the state of whoever lets us in, and it comes back later. */
static void an_origin_that_is_away_when_we_join_is_heard_later(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, NULL);
    struct kith_config c;
    world_run(w, 400 * SECOND);
    say(w, 0, 1);
    world_run(w, SECOND);
    world_cut(w, 0, 1, true);
    world_cut(w, 0, 2, true);
    world_run(w, 40 * SECOND);
    world_config(&c, 2);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 1, NULL), 0);
    world_run(w, 40 * SECOND);
    world_cut(w, 0, 1, false);
    world_cut(w, 0, 2, false);
    world_run(w, 120 * SECOND);
    assert_int_equal(world_alive_seen(w, 2), 3);
    say(w, 0, 2);
    world_run(w, 20 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, NULL), 1);
    world_free(w);
}

static void both_sides_of_a_cut_hear_all_afterwards(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 6, 0, NULL);
    uint64_t gaps;
    for (unsigned a = 0; a < 3; a++) {
        for (unsigned b = 3; b < 6; b++)
            world_cut(w, a, b, true);
    }
    world_run(w, 60 * SECOND);
    for (unsigned n = 0; n < 6; n++) {
        for (unsigned i = 1; i <= 10; i++)
            say(w, n, i);
    }
    world_run(w, 5 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, NULL), 30);
    for (unsigned a = 0; a < 3; a++) {
        for (unsigned b = 3; b < 6; b++)
            world_cut(w, a, b, false);
    }
    world_run(w, 120 * SECOND);
    numbers_are_settled(6, 10, &gaps);
    assert_int_equal(gaps, 0);
    world_free(w);
}

/* However long it was cut off: whoever is only failed may come back, the same life and with the next number. */
static void after_a_long_cut_an_origin_is_heard_again(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    uint64_t gaps;
    say(w, 2, 1);
    world_run(w, SECOND);
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    world_run(w, 400 * SECOND);
    say(w, 2, 2);
    world_cut(w, 0, 2, false);
    world_cut(w, 1, 2, false);
    world_run(w, 120 * SECOND);
    say(w, 2, 3);
    say(w, 0, 1), say(w, 0, 2), say(w, 0, 3);
    say(w, 1, 1), say(w, 1, 2), say(w, 1, 3);
    world_run(w, 10 * SECOND);
    numbers_are_settled(3, 3, &gaps);
    assert_int_equal(gaps, 0);
    world_free(w);
}

/* ---- mixed pools ---- */

static void members_of_serfs_kind_hear_each_once(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 8, 4, NULL);
    for (unsigned i = 1; i <= 5; i++) {
        for (unsigned n = 0; n < 8; n++)
            say(w, n, i);
        world_run(w, SECOND);
    }
    world_run(w, 90 * SECOND);
    for (unsigned n = 0; n < 8; n++)
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "news"), 40);
    struct kith_user_event only = {.name = STR("secret"), .kith_only = true};
    assert_int_equal(kith_send_event(world_node(w, 1), world_now(w), &only, NULL), 0);
    world_run(w, 40 * SECOND);
    for (unsigned n = 0; n < 8; n++)
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "secret"), n < 4);
    world_free(w);
}

/* ---- confirming ---- */

static void all_who_have_it_are_counted(void **state)
{
    (void)state;
    for (unsigned stock = 0; stock <= 2; stock += 2) {
        struct world *w = pool(&ear, 6, stock, NULL);
        kith_ticket ticket;
        struct kith_user_event event = {.name = STR("deploy"), .confirm_timeout_ms = 10000};
        world_chance(w, 3, 300000);
        assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &ticket), 0);
        world_run(w, 11 * SECOND);
        ends_with(&ear, ticket, 0, 6 - stock);
        assert_int_equal(ear_count(&ear, KITH_EVENT_UNCONFIRMED, 0, NULL), stock);
        for (unsigned n = 0; n < 6 - stock; n++)
            assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "deploy"), 1);
        world_free(w);
    }
}

static void few_messages(struct kith_config *c, unsigned n)
{
    if (n == 2)
        c->messages_max = 1;
}

static bool reads_nothing(unsigned n)
{
    return n == 2;
}

/* One is cut off, one takes nothing: neither is counted, though the second has heard it. */
static void who_has_not_told_its_application_is_not_counted(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 4, 0, few_messages);
    kith_ticket ticket;
    struct kith_user_event event = {.name = STR("deploy"), .confirm_timeout_ms = 3000};
    world_pause_events(w, reads_nothing);
    say(w, 0, 1);
    world_run(w, SECOND);
    for (unsigned n = 0; n < 3; n++)
        world_cut(w, n, 3, true);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &ticket), 0);
    world_run(w, 4 * SECOND);
    ends_with(&ear, ticket, KITH_ERR_TIMEOUT, 2);
    assert_int_equal(ear_count(&ear, KITH_EVENT_UNCONFIRMED, 0, NULL), 2);
    for (unsigned n = 0; n < 3; n++)
        world_cut(w, n, 3, false);
    world_pause_events(w, NULL);
    world_run(w, 30 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, 2, NULL), 1); /* what there was no room for */
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, "deploy"), 1);
    world_free(w);
}

struct taken { /* the last datagram by which node 1 said that it has an event */
    uint8_t bytes[1500];
    size_t len;
};

static void take(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    struct taken *taken = arg;
    (void)to;
    for (size_t i = 0; from == 1 && i + 1 < len; i++) {
        if (buf[i] != 75 || buf[i + 1] != KI_EVENTS_TOOK)
            continue;
        memcpy(taken->bytes, buf, len);
        taken->len = len;
    }
}

/* A stranger sends it once more, in the name of one that is cut off. */
static void nobody_confirms_for_another(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct taken taken = {.len = 0};
    kith_ticket ticket;
    struct kith_user_event event = {.name = STR("deploy"), .confirm_timeout_ms = 2000};
    world_set_tap(w, take, &taken);
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &ticket), 0);
    world_run(w, SECOND);
    assert_in_range(taken.len, 1, sizeof taken.bytes);
    world_inject(w, 0, 2, taken.bytes, taken.len);
    world_run(w, 2 * SECOND);
    ends_with(&ear, ticket, KITH_ERR_TIMEOUT, 2);
    assert_int_equal(ear_count(&ear, KITH_EVENT_UNCONFIRMED, 0, NULL), 1);
    world_free(w);
}

/* ---- size ---- */

static void events_queries_and_answers_of_any_size(void **state)
{
    (void)state;
    static char large[1 << 20];
    struct world *w = pool(&ear, 5, 0, NULL);
    kith_ticket ticket, asked;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)('a' + i % 26);
    struct kith_user_event event = {.name = STR("big"), .payload = {large, sizeof large - 3}, .confirm_timeout_ms = 20000};
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &ticket), 0);
    say(w, 0, 2);
    world_run(w, 21 * SECOND);
    ends_with(&ear, ticket, 0, 5);
    for (unsigned n = 0; n < 5; n++) {
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "big"), 1);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "news"), 1);
    }
    for (size_t i = 0; i < ear.count; i++) {
        if (strcmp(ear.all[i].name, "big") == 0)
            assert_int_equal(ear.all[i].event.message.payload.len, sizeof large - 3);
    }
    struct kith_query query = {.name = STR("echo"), .payload = {large, 100000}, .ack = true, .timeout_ms = 5000};
    ear.echoes = true;
    assert_int_equal(kith_ask(world_node(w, 1), world_now(w), &query, &asked), 0);
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_answers(&ear, asked, true), 5);
    assert_int_equal(ear_answers(&ear, asked, false), 5);
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, n, "echo"), 1); /* by who asks, too */
    for (size_t i = 0; i < ear.count; i++) {
        const struct kith_event *e = &ear.all[i].event;
        if (e->kind == KITH_EVENT_ANSWER && !e->message.is_ack)
            assert_int_equal(e->message.payload.len, 100000);
    }
    world_free(w);
}

/* ---- what is forged or wrong ---- */

static void strangers_and_nonsense_change_nothing(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    uint8_t buf[512];
    for (unsigned kind = 0x10; kind <= 0x1f; kind++) {
        for (size_t len = 0; len < 40; len++) {
            buf[0] = 8, buf[1] = 75, buf[2] = (uint8_t)kind;
            for (size_t i = 0; i < len; i++)
                buf[3 + i] = (uint8_t)world_random(w);
            world_inject(w, 0, 1, buf, 3 + len);
        }
    }
    struct ki_writer w2 = ki_writer(buf, sizeof buf); /* far ahead, from nobody: it is asked for, and given up */
    ki_put_u8(&w2, 8);
    ki_encode_events_heads_front(&w2, 0);
    ki_encode_events_head(&w2, &(struct ki_kith_event){.boot = 5,
                                                      .last = INT64_MAX,
                                                      .ltime = 1000,
                                                      .name = {(const uint8_t *)"node-2", 6}});
    world_inject(w, 0, 1, buf, w2.len);
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, WORLD_NODES, NULL), 0);
    say(w, 1, 1);
    world_run(w, SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, WORLD_NODES, NULL), 3);
    world_free(w);
}

/* A join goes on for as long as some of its addresses are silent; but who has joined by the first misses nothing that is
 * said meanwhile. */
static void a_long_join_misses_nothing(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, NULL);
    struct kith_config c;
    struct kith_addr addrs[6];
    for (unsigned n = 2; n < 7; n++) {
        world_config(&c, n);
        world_add(w, n, &c);
        world_pause(w, n, n > 2); /* streams to these hang */
    }
    for (unsigned i = 0; i < KI_COUNT(addrs); i++)
        addrs[i] = world_addr(i == 0 ? 0 : i == 5 ? 1 : 2 + i);
    assert_int_equal(kith_join(world_node(w, 2), world_now(w), addrs, KI_COUNT(addrs), false, NULL), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(world_alive_seen(w, 2), 3);
    world_cut(w, 0, 2, true);
    for (unsigned round = 0; round < 20; round++) { /* one of them just before the last exchange */
        struct kith_user_event event = {.name = STR("said")};
        assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, NULL), 0);
        world_run(w, SECOND / 2);
    }
    world_cut(w, 0, 2, false);
    world_run(w, 15 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 1, "said"), 20);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, "said"), 20);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_whatever_is_lost),
        cmocka_unit_test(the_last_one_is_missed_by_its_root),
        cmocka_unit_test(what_nobody_keeps_is_a_gap),
        cmocka_unit_test(a_gap_is_passed_on_as_a_gap),
        cmocka_unit_test(who_joins_hears_nothing_old),
        cmocka_unit_test(what_is_old_for_one_is_missed_by_another),
        cmocka_unit_test(an_origin_that_is_away_when_we_join_is_heard_later),
        cmocka_unit_test(both_sides_of_a_cut_hear_all_afterwards),
        cmocka_unit_test(after_a_long_cut_an_origin_is_heard_again),
        cmocka_unit_test(members_of_serfs_kind_hear_each_once),
        cmocka_unit_test(all_who_have_it_are_counted),
        cmocka_unit_test(who_has_not_told_its_application_is_not_counted),
        cmocka_unit_test(nobody_confirms_for_another),
        cmocka_unit_test(events_queries_and_answers_of_any_size),
        cmocka_unit_test(strangers_and_nonsense_change_nothing),
        cmocka_unit_test(a_long_join_misses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
