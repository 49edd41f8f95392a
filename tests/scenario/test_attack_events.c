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

/* Its next life has heard of what it said before, and has nothing of it; another member has. */
static void a_next_life_gives_nothing_of_the_former_up(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 3, 0, NULL);
    struct kith_config c;
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    say(w, 0, "last words");
    world_run(w, SECOND / 2);
    world_crash(w, 0);
    world_config(&c, 0);
    world_add(w, 0, &c);
    assert_int_equal(world_join(w, 0, 1, NULL), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(world_node(w, 0)->messages->origins.count, 1);
    world_cut(w, 0, 2, false);
    world_run(w, 3 * SECOND / 2);
    world_cut(w, 1, 2, false);
    world_run(w, 10 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, 2, NULL), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, "last words"), 1);
    world_free(w);
}

/* It is told of several old events with the state by which it joins; nobody is left whom it could ask for them. */
static void what_is_old_is_no_gap(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, NULL);
    struct kith_config c;
    for (unsigned i = 0; i < 3; i++)
        say(w, 0, "old");
    world_run(w, SECOND);
    world_crash(w, 0);
    world_config(&c, 2);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 1, NULL), 0);
    while (world_node(w, 2)->event_min == 0)
        world_run(w, SECOND / 1000);
    world_cut(w, 1, 2, true);
    world_run(w, 20 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 2, NULL), 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, 2, NULL), 0);
    world_free(w);
}

/* ---- one instance, and messages of a peer ---- */

#define NOW lone_time(2 * LONE_SECOND)

static kith *attack_new(void)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa3" "1-1";
    struct kith_config c;
    lone_config(&c);
    kith *k = lone_new(&c);
    struct kith_member peer = {.name = lone_str("a"),
                               .addr = lone_addr(2, 7946),
                               .meta = {meta, sizeof meta - 1},
                               .status = KITH_STATUS_ALIVE,
                               .incarnation = 5,
                               .versions = {1, 5, 2, 2, 5, 5}};
    assert_int_equal(kith_import_members(k, NOW, &peer, 1), 0);
    return k;
}

static void attack_feed(kith *k, const struct ki_writer *w)
{
    struct kith_addr from = lone_addr(2, 7946);
    assert_false(w->full);
    assert_int_equal(kith_datagram(k, NOW, &from, w->start, w->len), 0);
}

static void attack_heads(kith *k, uint64_t more_from, uint64_t last)
{
    uint8_t buf[64];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_put_u8(&w, KI_MSG_USER);
    ki_encode_events_heads_front(&w, more_from);
    if (last > 0)
        ki_encode_events_head(&w, &(struct ki_kith_event){.boot = 7, .last = last, .ltime = 9, .name = lone_span("a")});
    attack_feed(k, &w);
}

static void attack_event(kith *k, uint64_t seq)
{
    uint8_t buf[256], mark[KI_EVENT_MARK_MAX];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct ki_event_mark fields = {.boot = 7, .seq = seq, .before = seq - 1, .origin = lone_span("a")};
    ki_put_u8(&p.w, KI_MSG_USER);
    ki_encode_serf_event(&p, &(struct ki_serf_event){.ltime = seq,
                                                     .name = lone_span("e"),
                                                     .mark = ki_span(mark, ki_encode_event_mark(mark, &fields))});
    attack_feed(k, &p.w);
}

static void attack_skip(kith *k, uint64_t first, uint64_t last, bool lost, uint64_t ltime)
{
    uint8_t buf[64];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_put_u8(&w, KI_MSG_USER);
    struct ki_kith_event skip = {
        .boot = 7, .first = first, .last = last, .lost = lost, .ltime = ltime, .name = lone_span("a")};
    ki_encode_kith_event(&w, KI_EVENTS_SKIP, &skip);
    attack_feed(k, &w);
}

/* How many datagrams that are to be sent have a message of this kind. */
static unsigned attack_sent(kith *k, enum ki_kith_event_kind kind)
{
    uint8_t buf[2048];
    struct kith_addr to;
    size_t len;
    unsigned found = 0;
    while (kith_poll_datagram(k, NOW, &to, buf, sizeof buf, &len)) {
        bool has = false;
        for (size_t i = 0; i + 1 < len; i++)
            has = has || (buf[i] == KI_SERF_KITH && buf[i + 1] == kind);
        found += has;
    }
    return found;
}

/* "I have none of 1 to 10": that was true of who says it, and some of them have come meanwhile from others. */
static void what_is_here_is_not_given_up(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 2; lost++) {
        kith *k = attack_new();
        struct kith_event event;
        uint64_t next = lost ? 1 : 6;
        attack_heads(k, 0, 10);
        for (uint64_t seq = 6; seq <= 10; seq++)
            attack_event(k, seq);
        attack_skip(k, 1, 10, lost, 0);
        while (kith_poll_event(k, &event)) {
            if (event.kind == KITH_EVENT_MEMBER)
                continue;
            assert_true(event.message.seq == next);
            assert_int_equal(event.kind, next < 6 ? KITH_EVENT_GAP : KITH_EVENT_USER);
            next = event.message.seq_last + 1;
        }
        assert_int_equal(next, 11);
        kith_free(k);
    }
}

/* "Of these you want none, they are older than 3": said to another, and said again to us, to whom nothing is old. */
static void what_is_old_for_another_is_not_passed_over(void **state)
{
    (void)state;
    kith *k = attack_new();
    struct kith_event event;
    attack_heads(k, 0, 10);
    for (uint64_t seq = 6; seq <= 10; seq++)
        attack_event(k, seq);
    attack_skip(k, 1, 5, false, 3);
    while (kith_poll_event(k, &event))
        assert_int_equal(event.kind, KITH_EVENT_MEMBER); /* 1 is waited for */
    k->event_min = 3;
    attack_skip(k, 1, 5, false, 3);
    uint64_t next = 6;
    while (kith_poll_event(k, &event))
        assert_true(event.kind == KITH_EVENT_USER && event.message.seq == next++);
    assert_int_equal(next, 11);
    kith_free(k);
}

/* A page that nobody has asked for, or that leads nowhere, asks for no other: else two who agree would tell each other all
 * that they have for one forged word. */
static void pages_that_were_not_asked_for_end_there(void **state)
{
    (void)state;
    kith *k = attack_new();
    uint8_t buf[16];
    struct ki_writer root = ki_writer(buf, sizeof buf);
    attack_event(k, 1);
    (void)attack_sent(k, KI_EVENTS_HEADS_ASK);
    attack_heads(k, 1, 0);
    assert_int_equal(attack_sent(k, KI_EVENTS_HEADS_ASK), 0);
    ki_put_u8(&root, KI_MSG_USER);
    ki_encode_events_root(&root, 12345);
    attack_feed(k, &root);
    assert_int_equal(attack_sent(k, KI_EVENTS_HEADS_ASK), 1);
    attack_heads(k, 20, 1);
    assert_int_equal(attack_sent(k, KI_EVENTS_HEADS_ASK), 1); /* nothing new so far */
    attack_heads(k, 20, 1);
    assert_int_equal(attack_sent(k, KI_EVENTS_HEADS_ASK), 0); /* no further */
    attack_heads(k, 40, 1);
    assert_int_equal(attack_sent(k, KI_EVENTS_HEADS_ASK), 0); /* it was said already that it ends */
    kith_free(k);
}

/* ---- limits ---- */

/* The limit is one of memory: many short ones must not take many times as much. */
static void what_waits_for_its_number_has_a_limit(void **state)
{
    (void)state;
    kith *k = attack_new();
    ki_event_replayed(k, &(struct ki_serf_state_event){.ltime = 1, .name = lone_span("n")});
    uint64_t before = k->mem.used;
    for (uint64_t ltime = 2; ltime < 60000; ltime++)
        ki_event_replayed(k, &(struct ki_serf_state_event){.ltime = ltime, .name = lone_span("n")});
    assert_true(k->messages->later_first != NULL && lone_counter(k, "messages_dropped") > 0);
    assert_true(k->mem.used - before <= 2u << 20);
    kith_free(k);
}

#define SAID 40 /* events, of 1,200 bytes each */

/* An instance that has said so much, with two members that may ask for it. */
static kith *talkative_new(void)
{
    kith *k = attack_new();
    struct kith_member other = {.name = lone_str("b"),
                                .addr = lone_addr(3, 7946),
                                .meta = {"\xff\x81\xa5_kith\xa3" "1-1", 12},
                                .status = KITH_STATUS_ALIVE,
                                .incarnation = 5,
                                .versions = {1, 5, 2, 2, 5, 5}};
    assert_int_equal(kith_import_members(k, NOW, &other, 1), 0);
    uint64_t random = 1;
    for (unsigned i = 0; i < SAID; i++) {
        static char noise[1200]; /* cannot be compressed */
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (char)((random = random * UINT64_C(6364136223846793005) + 1) >> 56);
        struct kith_user_event event = {.name = STR("e"), .payload = {noise, sizeof noise}};
        assert_int_equal(kith_send_event(k, NOW, &event, NULL), 0);
    }
    return k;
}

/* The question of a member for all of it or, if `heads`, for how far we are; returns the bytes that answer it. */
static size_t talkative_asked(kith *k, uint8_t whose, uint64_t at_us, bool heads)
{
    uint8_t buf[2048];
    struct kith_addr from = lone_addr(whose, 7946), to;
    struct ki_writer w = ki_writer(buf, sizeof buf);
    size_t len, bytes = 0;
    ki_put_u8(&w, KI_MSG_USER);
    struct ki_kith_event want = {.boot = k->messages->boot, .first = 1, .last = SAID, .name = lone_span("self")};
    if (heads)
        ki_encode_events_heads_ask(&w, 0);
    else
        ki_encode_kith_event(&w, KI_EVENTS_WANT, &want);
    while (kith_poll_datagram(k, lone_time(at_us), &to, buf + w.len, sizeof buf - w.len, &len))
        ; /* of before */
    assert_int_equal(kith_datagram(k, lone_time(at_us), &from, buf, w.len), 0);
    while (kith_poll_datagram(k, lone_time(at_us), &to, buf, sizeof buf, &len))
        bytes += kith_addr_equal(&to, &from) ? len : 0;
    return bytes;
}

/* A question that was heard on its way, and is said again and again in the name of who asked it. */
static void what_one_is_answered_has_a_limit(void **state)
{
    (void)state;
    for (unsigned heads = 0; heads < 2; heads++) {
        kith *k = talkative_new();
        uint64_t burst = k->cfg.event_log_max + (1u << 20), bytes = 0, at_us = 2 * LONE_SECOND;
        size_t least = heads ? 10 : 32 * 1200, one = heads ? 120 : 32 * 1400; /* bytes of an answer */
        assert_in_range(talkative_asked(k, 2, at_us, heads), least, one);
        assert_int_equal(lone_counter(k, "event_asks_refused"), 0);
        for (unsigned i = 0; i < (heads ? 400000 : 200); i++)
            bytes += talkative_asked(k, 2, at_us, heads);
        assert_in_range(bytes, burst - burst / 10, burst + burst / 10); /* of messages, without what is around them */
        uint64_t refused = lone_counter(k, "event_asks_refused");
        assert_in_range(refused, 50, 400000);
        assert_in_range(talkative_asked(k, 3, at_us, heads), least, one); /* that is not another's doing */
        at_us += 200000;
        assert_in_range(talkative_asked(k, 2, at_us, heads), least, one); /* and it passes */
        assert_int_equal(lone_counter(k, "event_asks_refused"), refused);
        for (bytes = 0; at_us < 12 * LONE_SECOND; at_us += 5000)
            bytes += talkative_asked(k, 2, at_us, heads);
        assert_in_range(bytes, 0, 10 * 224000 + 10 * one);
        kith_free(k);
    }
}

/* Who is gone is forgotten, so many at a time; who lives is not. */
static void origins_are_forgotten_in_slices(void **state)
{
    (void)state;
    kith *k = attack_new();
    attack_event(k, 1);
    fill_origins(k);
    struct ki_origins *o = &k->messages->origins;
    uint64_t at_us = 400 * LONE_SECOND, most = 0;
    for (uint32_t before = o->count; before > 1; before = o->count) {
        lone_pass(k, at_us, at_us);
        most = ki_max_u64(most, before - o->count);
        at_us = ki_max_u64(at_us + 1, kith_deadline(k));
        assert_true(at_us < 500 * LONE_SECOND);
    }
    assert_in_range(most, 1, 256);
    assert_non_null(ki_origins_find(o, lone_span("a"), 7));
    kith_free(k);
}

static void few_tickets(struct kith_config *c, unsigned n)
{
    (void)n;
    c->tickets_max = 3;
}

static void confirmations_have_a_limit(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 0, few_tickets);
    struct kith_user_event event = {.name = STR("e"), .confirm_timeout_ms = 2000};
    kith_ticket tickets[4];
    world_cut(w, 0, 1, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &tickets[i]), 0);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &tickets[3]), KITH_ERR_FULL);
    world_run(w, 3 * SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, NULL), 3); /* what is refused is not said */
    for (unsigned i = 0; i < 3; i++)
        ends_with(&ear, tickets[i], KITH_ERR_TIMEOUT, 1);
    assert_int_equal(kith_send_event(world_node(w, 0), world_now(w), &event, &tickets[3]), 0);
    world_free(w);
}

static void few_bytes_wait(struct kith_config *c, unsigned n)
{
    if (n == 0)
        c->message_bytes_max = 1024;
}

/* What is refused is refused before anybody has heard it; what is sent, we hear too. */
static void what_we_send_we_hear(void **state)
{
    (void)state;
    for (size_t len = 1000; len <= 1023; len++) {
        struct world *w = pool(&ear, 2, 0, few_bytes_wait);
        struct kith_user_event event = {.name = STR("e"), .payload = {filler, len}};
        int error = kith_send_event(world_node(w, 0), world_now(w), &event, NULL);
        assert_true(error == (len + 1 + 6 <= 1024 ? 0 : KITH_ERR_FULL));
        world_run(w, SECOND);
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, NULL), error == 0);
        assert_int_equal(ear_count(&ear, KITH_EVENT_GAP, WORLD_NODES, NULL), 0);
        world_free(w);
    }
}

/* ---- times that cannot be followed ---- */

static void nobody_is_mute_after_the_last_time(void **state)
{
    (void)state;
    for (uint64_t below = 1; below <= 3; below++) {
        struct world *w = pool(&ear, 2, 0, NULL);
        uint8_t buf[64];
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_put_u8(&p.w, KI_MSG_USER);
        ki_encode_serf_event(&p, &(struct ki_serf_event){.ltime = UINT64_MAX - below, .name = lone_span("late")});
        world_inject(w, 0, 1, buf, p.w.len);
        world_inject(w, 1, 0, buf, p.w.len);
        say(w, 0, "one");
        say(w, 0, "two");
        say(w, 1, "three");
        world_run(w, 2 * SECOND);
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "one"), 1);
            assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "two"), 1);
            assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, "three"), 1);
        }
        world_free(w);
    }
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
        cmocka_unit_test(a_next_life_gives_nothing_of_the_former_up),
        cmocka_unit_test(what_is_old_is_no_gap),
        cmocka_unit_test(what_is_here_is_not_given_up),
        cmocka_unit_test(what_is_old_for_another_is_not_passed_over),
        cmocka_unit_test(pages_that_were_not_asked_for_end_there),
        cmocka_unit_test(what_waits_for_its_number_has_a_limit),
        cmocka_unit_test(what_one_is_answered_has_a_limit),
        cmocka_unit_test(origins_are_forgotten_in_slices),
        cmocka_unit_test(confirmations_have_a_limit),
        cmocka_unit_test(what_we_send_we_hear),
        cmocka_unit_test(nobody_is_mute_after_the_last_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
