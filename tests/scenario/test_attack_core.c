/* What an attacker of the core tried: each test is one way in which it once did not do what kith.h or its own comments
 * say.  Bytes beyond a buffer, ids that are given to another member while something still names the old one, asks that
 * never end, a leave that is undone, Lamport times that cannot be followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lone.h"
#include "node/intake.h"
#include "wire/serf_query.h"
#include "world.h"

#define NOW lone_time(LONE_SECOND)

static void attack_end(kith *k)
{
    lone_check(k);
    kith_free(k);
}

static unsigned attack_drain(kith *k, struct kith_time now, const char *needle, const struct kith_addr *only)
{
    static uint8_t buf[65536];
    struct kith_addr to;
    size_t len;
    unsigned found = 0;
    while (kith_poll_datagram(k, now, &to, buf, sizeof buf, &len)) {
        if (!only || kith_addr_equal(&to, only))
            found += memmem(buf, len, needle, strlen(needle)) != NULL;
    }
    return found;
}

/* Ticks for so long, taking all datagrams and refusing all streams; how many datagrams held the needle. */
static unsigned attack_run(kith *k, struct kith_time *now, uint64_t us, const char *needle)
{
    struct kith_stream_action action;
    unsigned found = 0;
    for (uint64_t end_us = now->mono_us + us; now->mono_us < end_us;) {
        now->mono_us = ki_min_u64(end_us, ki_max_u64(kith_deadline(k), now->mono_us + 1));
        kith_tick(k, *now);
        found += attack_drain(k, *now, needle, NULL);
        while (kith_poll_stream(k, &action)) {
            if (action.kind == KITH_STREAM_OPEN)
                kith_stream_failed(k, *now, action.id, KITH_ERR_UNREACHABLE);
        }
    }
    return found;
}

static void attack_kill(kith *k, struct kith_time now, const char *name)
{
    uint8_t buf[256];
    struct kith_addr from = lone_addr(200, 7946);
    size_t len = lone_accuse(buf, sizeof buf, true, name, "x", 5);
    assert_int_equal(kith_datagram(k, now, &from, buf, len), 0);
}

static int attack_intent(kith *k, struct kith_time now, bool leave, const char *name, uint64_t ltime)
{
    uint8_t buf[256];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct kith_addr from = lone_addr(200, 7946);
    ki_put_u8(&p.w, KI_MSG_USER);
    if (leave)
        ki_encode_serf_leave(&p, &(struct ki_serf_leave){.ltime = ltime, .node = lone_span(name)});
    else
        ki_encode_serf_join(&p, &(struct ki_serf_join){.ltime = ltime, .node = lone_span(name)});
    return kith_datagram(k, now, &from, buf, p.w.len);
}

static enum kith_status attack_status(const kith *k, const char *name)
{
    struct kith_member m;
    return kith_find(k, lone_str(name), &m) == 0 ? m.status : KITH_STATUS_NONE;
}

/* ---- memory ---- */

#define GUARD 64

static void attack_guard_check(const uint8_t *block)
{
    uint64_t size;
    memcpy(&size, block, sizeof size); /* the core's own head (base/mem.c) */
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(block[size + i], 0xA5);
}

static void *attack_guard_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    if (ptr)
        attack_guard_check(ptr);
    uint8_t *block = realloc(ptr, size + GUARD);
    assert_non_null(block);
    memset(block + size, 0xA5, GUARD);
    return block;
}

static void attack_guard_release(void *arg, void *ptr)
{
    (void)arg;
    attack_guard_check(ptr);
    free(ptr);
}

/* A datagram filled to the last byte with what cannot be compressed. */
static void full_datagrams_stay_in_their_buffers(void **state)
{
    (void)state;
    struct kith_config c;
    struct ki_rng rng;
    struct kith_addr from = lone_addr(2, 7946);
    lone_config(&c);
    c.memory = (struct kith_memory){.resize = attack_guard_resize, .release = attack_guard_release};
    kith *k = lone_new(&c);
    struct kith_time now = NOW;
    ki_rng_init(&rng, 1);
    for (uint64_t round = 1; round < 60; round++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", (unsigned)round); /* somebody who is not dead yet */
        lone_meet(k, now, name, (uint8_t)(round + 2));
        uint8_t event[1500], payload[1400];
        size_t len = 1310 + (size_t)round;
        for (size_t i = 0; i < len; i++)
            payload[i] = (uint8_t)ki_rng_next(&rng);
        struct ki_pack p = ki_pack(event, sizeof event, false);
        ki_put_u8(&p.w, KI_MSG_USER);
        ki_put_u8(&p.w, KI_SERF_USER_EVENT);
        ki_pack_map(&p, 3);
        ki_pack_text(&p, "LTime");
        ki_pack_uint(&p, round);
        ki_pack_text(&p, "Name");
        ki_pack_text(&p, "x");
        ki_pack_text(&p, "Payload");
        ki_pack_bytes(&p, ki_span(payload, len));
        kith_datagram(k, now, &from, event, p.w.len);
        attack_run(k, &now, 2 * LONE_SECOND, "x");
    }
    assert_true(lone_counter(k, "events_forwarded") > 50 && lone_counter(k, "news_out") > 100);
    attack_end(k);
}

/* A commit that fails says nothing. */
static void a_refused_commit_is_not_told(void **state)
{
    (void)state;
    uint64_t failed = 1;
    for (uint64_t n = 0; failed > 0; n++) {
        struct lone_memory memory = {.fail_from = UINT64_MAX, .fail_to = UINT64_MAX};
        struct kith_config c;
        lone_config(&c);
        c.compress = false;
        c.memory = lone_hooks(&memory);
        kith *k = lone_new(&c);
        struct kith_time now = NOW;
        lone_meet(k, now, "b", 2);
        assert_int_equal(kith_begin(k), 0);
        assert_int_equal(kith_tag_set(k, lone_str("note"), lone_str("changed")), 0);
        memory.fail_from = memory.calls + n;
        memory.fail_to = memory.fail_from + 1;
        int error = kith_commit(k, now, NULL);
        failed = memory.failed;
        assert_int_equal(error, failed ? KITH_ERR_NOMEM : 0);
        assert_true((attack_run(k, &now, 3 * LONE_SECOND, "changed") > 0) == (error == 0));
        attack_end(k);
    }
}

/* A member whose tags do not fit our datagrams is a member all the same. */
static void tags_too_long_to_pass_on(void **state)
{
    (void)state;
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    const uint8_t ip[4] = {10, 0, 0, 2};
    uint8_t buf[1024], meta[KITH_META_MAX];
    struct kith_config c;
    struct kith_addr from = lone_addr(2, 7946);
    lone_config(&c);
    c.datagram_max = 576;
    kith *k = lone_new(&c);
    memset(meta, 'r', sizeof meta);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = 5,
                                           .node = lone_span("wordy"),
                                           .addr = ki_span(ip, 4),
                                           .port = 7946,
                                           .meta = ki_span(meta, sizeof meta),
                                           .versions = ki_span(versions, 6)});
    assert_int_equal(kith_datagram(k, NOW, &from, buf, p.w.len), 0);
    assert_int_equal(attack_status(k, "wordy"), KITH_STATUS_ALIVE);
    assert_true(lone_counter(k, "queue_dropped") > 0);
    attack_end(k);
}

/* ---- leaving ---- */

static void a_join_that_ends_late_does_not_undo_a_leave(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct kith_config c;
    for (unsigned n = 0; n < 3; n++) {
        world_config(&c, n);
        world_add(w, n, &c);
    }
    world_join(w, 1, 0, NULL);
    world_join(w, 2, 0, NULL);
    world_run(w, 3 * LONE_SECOND);
    world_join(w, 2, 1, NULL);
    assert_int_equal(kith_leave(world_node(w, 2), world_now(w), NULL), 0);
    world_run(w, 8 * LONE_SECOND);
    assert_int_equal(world_status(w, 0, "node-2"), KITH_STATUS_LEFT);
    assert_int_equal(world_status(w, 1, "node-2"), KITH_STATUS_LEFT);
    assert_int_equal(world_status(w, 2, "node-2"), KITH_STATUS_LEFT);
    world_free(w);
}

static void every_ask_ends_with_the_leave(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_addr nowhere = lone_addr(77, 7946);
    struct kith_event event;
    kith_ticket join, leave;
    lone_config(&c);
    c.stream_timeout_ms = 60000;
    kith *k = lone_new(&c);
    assert_int_equal(kith_join(k, NOW, &nowhere, 1, false, &join), 0);
    assert_int_equal(kith_leave(k, NOW, &leave), 0); /* alone: it ends at once */
    int results[2] = {1, 1};
    while (kith_poll_event(k, &event)) {
        if (event.kind == KITH_EVENT_DONE)
            results[event.ticket == leave] = event.result;
    }
    assert_true(results[0] == KITH_ERR_STATE && results[1] == 0);
    attack_end(k);
}

/* The intent is out only after the time for it: what waits for the death notice must not take it for that. */
static void a_late_intent_does_not_end_the_next_step(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    c.broadcast_timeout_ms = 500;
    c.retransmit_mult = 12; /* transmissions, two each 200 ms */
    c.leave_propagate_ms = 5000;
    kith *k = lone_new(&c);
    struct kith_time now = NOW;
    lone_meet(k, now, "b", 2);
    attack_run(k, &now, 5 * LONE_SECOND, "b"); /* old news is out */
    lone_drain_told(k);
    lone_meet(k, now, "b2", 3);
    attack_run(k, &now, 2 * LONE_SECOND, "b");
    uint64_t from_us = now.mono_us;
    assert_int_equal(kith_leave(k, now, NULL), 0);
    attack_run(k, &now, 4 * LONE_SECOND, "b");
    kith_read_gauges(k, &g);
    assert_true(now.mono_us - from_us < 5 * LONE_SECOND && !g.left_pool); /* it helps its news along */
    attack_run(k, &now, 3 * LONE_SECOND, "b");
    kith_read_gauges(k, &g);
    assert_true(g.left_pool);
    attack_end(k);
}

static void our_death_is_refuted_until_we_say_it(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_member self;
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    lone_config(&c);
    kith *k = lone_new(&c);
    lone_meet(k, NOW, "b", 2);
    assert_int_equal(kith_leave(k, NOW, NULL), 0);
    kith_self(k, &self);
    size_t len = lone_accuse(buf, sizeof buf, true, "self", "b", self.incarnation);
    assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
    kith_self(k, &self);
    assert_int_equal(self.state, KITH_STATE_ALIVE);
    assert_int_equal(lone_counter(k, "refutations"), 1);
    attack_end(k);
}

static void tickets_that_are_given_end(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    struct kith_event event;
    lone_config(&c);
    kith *k = lone_new(&c);
    struct kith_time now = NOW;
    lone_meet(k, now, "b", 2);
    kith_ticket ticket = 0;
    assert_int_equal(kith_force_leave(k, now, lone_str("nobody"), false, &ticket), KITH_ERR_NOT_FOUND);
    assert_int_equal(ticket, 0);
    assert_int_equal(kith_force_leave(k, now, lone_str("self"), false, &ticket), 0);
    bool done = false;
    while (kith_poll_event(k, &event))
        done = done || (event.kind == KITH_EVENT_DONE && event.ticket == ticket && event.result == 0);
    assert_true(done);
    attack_run(k, &now, 10 * LONE_SECOND, "b");
    kith_read_gauges(k, &g);
    assert_int_equal(g.tickets, 0);
    attack_end(k);
}

/* ---- events ---- */

static void a_name_that_comes_back_comes_last(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_event event;
    lone_config(&c);
    kith *k = lone_new(&c);
    lone_meet(k, NOW, "a", 2);
    lone_drain_told(k);
    attack_kill(k, NOW, "a");
    assert_int_equal(kith_force_leave(k, NOW, lone_str("a"), true, NULL), 0);
    assert_int_equal(attack_status(k, "a"), KITH_STATUS_NONE);
    lone_meet(k, NOW, "a", 3);
    uint32_t last = 0;
    while (kith_poll_event(k, &event)) {
        if (event.kind == KITH_EVENT_MEMBER && event.member.name.len == 1 && event.member.name.ptr[0] == 'a')
            last = event.changed;
    }
    assert_true((last & KITH_CHANGED_JOINED) && !(last & KITH_CHANGED_REAPED));
    attack_end(k);
}

static void claims_do_not_push_out_answers(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_event event;
    kith_ticket ticket;
    uint8_t buf[256];
    struct kith_addr from = lone_addr(2, 7946);
    lone_config(&c);
    c.events_max = 4;
    kith *k = lone_new(&c);
    assert_int_equal(kith_begin(k), 0);
    assert_int_equal(kith_commit(k, NOW, &ticket), 0); /* alone: done at once */
    lone_meet(k, NOW, "a", 2);
    for (uint8_t i = 0; i < 20; i++) {
        size_t len = lone_alive(buf, sizeof buf, "a", (uint8_t)(i + 50), 9);
        assert_int_equal(kith_datagram(k, NOW, &from, buf, len), 0);
    }
    bool done = false;
    while (kith_poll_event(k, &event))
        done = done || (event.kind == KITH_EVENT_DONE && event.ticket == ticket);
    assert_true(done);
    attack_end(k);
}

/* ---- ids ---- */

/* A forgotten member's id is another's before a datagram that names it is built. */
static void an_id_given_again_names_nobody_else(void **state)
{
    (void)state;
    struct kith_config c;
    uint8_t buf[256];
    char name[8];
    lone_config(&c);
    c.compress = false;
    kith *k = lone_new(&c);
    struct kith_time now = NOW;
    for (uint8_t i = 0; i < 15; i++) { /* all 16 places are taken */
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, now, name, (uint8_t)(i + 2));
    }
    attack_run(k, &now, 20 * LONE_SECOND, "x"); /* the news of them is out; nobody answers, so some are suspect */
    attack_kill(k, now, "m3");
    attack_drain(k, now, "x", NULL);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct kith_addr m3 = lone_addr(5, 7946);
    ki_encode_ping(&p, &(struct ki_ping){.seq = 1, .node = lone_span("self"), .source_node = lone_span("m3")});
    assert_int_equal(kith_datagram(k, now, &m3, buf, p.w.len), 0); /* it is to be told that it is held dead */
    assert_int_equal(kith_force_leave(k, now, lone_str("m3"), true, NULL), 0);
    lone_meet(k, now, "heir", 99);
    struct kith_member heir;
    assert_int_equal(kith_find(k, lone_str("heir"), &heir), 0);
    assert_int_equal(heir.id, 4); /* m3's */
    const struct ki_sends *ring = &k->sends[KI_CLASS_OTHER];
    assert_true(ring->count > 0);
    for (uint32_t i = 0; i < ring->count; i++)
        assert_true(ring->items[(ring->head + i) % ring->cap].id != heir.id);
    attack_end(k);
}

/* ---- who is asked ---- */

/* A large pool of which most are dead: the few that live still hear the news. */
static void news_finds_the_last_living(void **state)
{
    (void)state;
    struct kith_config c;
    char name[16];
    lone_config(&c);
    c.push_pull_interval_ms = 0;
    c.reconnect_interval_ms = 0;
    c.compress = false;
    for (unsigned seed = 0; seed < 5; seed++) {
        c.seed[3] = (uint8_t)seed;
        kith *k = lone_new(&c);
        struct kith_time now = NOW;
        for (unsigned i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "m%u", i);
            struct kith_member m = {.name = lone_str(name),
                                    .addr = {.ip = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .ip_len = 4, .port = 7946},
                                    .status = i == 500 ? KITH_STATUS_ALIVE : KITH_STATUS_FAILED,
                                    .state = i == 500 ? KITH_STATE_ALIVE : KITH_STATE_DEAD,
                                    .incarnation = 5,
                                    .versions = {1, 5, 2, 2, 5, 5}};
            assert_int_equal(kith_import_members(k, now, &m, 1), 0);
        }
        now.mono_us += 100 * LONE_SECOND; /* longer dead than the dead are gossiped to */
        kith_tick(k, now);
        attack_drain(k, now, "x", NULL);
        assert_int_equal(attack_intent(k, now, false, "somebody-else", 9), 0);
        uint64_t before = lone_counter(k, "gossip_out");
        for (unsigned i = 0; i < 5; i++) {
            now.mono_us += LONE_SECOND / 5;
            kith_tick(k, now);
            attack_drain(k, now, "x", NULL);
        }
        assert_true(lone_counter(k, "gossip_out") > before + 3);
        attack_end(k);
    }
}

/* Helpers are alive, and those before memberlist's protocol 4 are not asked to say nack. */
static void helpers_are_chosen_as_memberlist_does(void **state)
{
    (void)state;
    struct kith_config c;
    uint8_t buf[256];
    lone_config(&c);
    c.indirect_checks = 16;
    c.compress = false;
    kith *k = lone_new(&c);
    struct kith_time now = NOW;
    static const uint8_t old_versions[6] = {1, 3, 2, 2, 5, 5};
    const uint8_t ip[4] = {10, 0, 0, 9};
    struct kith_addr from = lone_addr(9, 7946);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = 5,
                                           .node = lone_span("old"),
                                           .addr = ki_span(ip, 4),
                                           .port = 7946,
                                           .versions = ki_span(old_versions, 6)});
    assert_int_equal(kith_datagram(k, now, &from, buf, p.w.len), 0);
    for (uint8_t i = 0; i < 4; i++) {
        const char *names[] = {"doubted-1", "doubted-2", "doubted-3", "doubted-4"};
        lone_meet(k, now, names[i], (uint8_t)(i + 20));
        size_t len = lone_accuse(buf, sizeof buf, false, names[i], "old", 5);
        assert_int_equal(kith_datagram(k, now, &from, buf, len), 0);
    }
    static uint8_t out[65536];
    struct kith_addr to;
    size_t len;
    unsigned asked = 0;
    while (asked == 0 && now.mono_us < 20 * LONE_SECOND) {
        now.mono_us = ki_max_u64(kith_deadline(k), now.mono_us + 1);
        kith_tick(k, now);
        for (unsigned class = 0; class < KI_CLASSES; class++) {
            for (uint32_t i = 0; i < k->sends[class].count; i++) {
                const struct ki_send *s = &k->sends[class].items[(k->sends[class].head + i) % k->sends[class].cap];
                if (s->kind != KI_SEND_INDIRECT)
                    continue;
                asked++;
                assert_int_equal(s->to.ip[3], 9); /* the only one alive */
            }
        }
        while (kith_poll_datagram(k, now, &to, out, sizeof out, &len)) {
            const uint8_t *nack = memmem(out, len, "\xa4Nack", 5);
            assert_true(!nack || nack[5] == 0xc2); /* false */
        }
    }
    assert_int_equal(asked, 1);
    attack_end(k);
}

/* ---- what must be refused ---- */

static void a_time_that_none_can_follow_is_malformed(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    kith *k = lone_new(&c);
    lone_meet(k, NOW, "a", 2);
    assert_int_equal(attack_intent(k, NOW, false, "a", UINT64_MAX), KITH_ERR_MALFORMED);
    assert_int_equal(attack_intent(k, NOW, true, "a", 9), 0);
    assert_int_equal(attack_status(k, "a"), KITH_STATUS_LEAVING);
    attack_kill(k, NOW, "a");
    assert_int_equal(attack_status(k, "a"), KITH_STATUS_LEFT);
    attack_end(k);
}

/* A leave that a full state tells of counts as one later than it was told, but there is nothing behind the last time. */
static void a_leave_that_is_told_has_no_time_beyond_the_last(void **state)
{
    (void)state;
    for (uint64_t below = 0; below <= 3; below++) {
        struct kith_config c;
        lone_config(&c);
        kith *k = lone_new(&c);
        uint64_t told = UINT64_MAX - below, noted = below == 0 ? 0 : ki_min_u64(told + 1, KI_CLOCK_LAST), ltime = 0;
        uint32_t unknown = 0;
        bool leave;
        lone_meet(k, NOW, "a", 2);
        attack_kill(k, NOW, "a");
        uint32_t id = ki_table_find(&k->table, lone_span("a"));
        ki_state_take(k, KI_NO_MEMBER, lone_span("b"), told, true, &unknown);
        ki_state_take(k, id, lone_span("a"), told, true, &unknown);
        assert_int_equal(ki_intents_take(&k->intents, lone_span("b"), &leave, &ltime), below > 0);
        assert_true(ltime == noted && ki_about(k, id)->standing.ltime == noted);
        assert_int_equal(attack_status(k, "a"), below > 0 ? KITH_STATUS_LEFT : KITH_STATUS_FAILED);
        attack_end(k);
    }
}

static void a_query_that_is_not_to_be_passed_on(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_addr from = lone_addr(2, 7946);
    lone_config(&c);
    kith *k = lone_new(&c);
    lone_meet(k, NOW, "a", 2);
    for (uint32_t flags = 0; flags < 4; flags++) {
        uint8_t buf[256];
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_put_u8(&p.w, KI_MSG_USER);
        ki_encode_serf_query(&p, &(struct ki_serf_query){.ltime = 5,
                                                         .id = 100 + flags,
                                                         .addr = ki_span(from.ip, 4),
                                                         .port = 7946,
                                                         .source_node = lone_span("a"),
                                                         .flags = flags,
                                                         .timeout_ns = 1000000000,
                                                         .name = lone_span("load")});
        assert_int_equal(kith_datagram(k, NOW, &from, buf, p.w.len), 0);
        assert_int_equal(lone_counter(k, "queries_forwarded"), flags < 2 ? flags + 1 : 2);
    }
    attack_end(k);
}

static void configurations_out_of_range(void **state)
{
    (void)state;
    struct kith_config c;
    kith *k;
    lone_config(&c);
    uint32_t *const fields[] = {&c.queue_max,       &c.members_max,       &c.intents_max,    &c.replies_max,
                                &c.relays_max,      &c.tickets_max,       &c.events_max,     &c.suspicion_mult,
                                &c.retransmit_mult, &c.suspicion_max_mult, &c.health_max,    &c.probe_interval_ms};
    for (size_t i = 0; i < KI_COUNT(fields); i++) {
        uint32_t kept = *fields[i];
        *fields[i] = UINT32_MAX;
        assert_int_equal(kith_new(&k, &c), KITH_ERR_ARG);
        assert_null(k);
        *fields[i] = kept;
    }
    assert_int_equal(kith_new(&k, &c), 0);
    kith_free(k);
}

static void views_that_contradict_themselves(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    kith *k = lone_new(&c);
    for (unsigned s = 0; s < 4; s++) {
        for (unsigned status = 0; status <= 4; status++) {
            char name[8];
            snprintf(name, sizeof name, "%u-%u", s, status);
            struct kith_member m = {.name = lone_str(name),
                                    .addr = lone_addr(9, 7946),
                                    .state = (enum kith_state)s,
                                    .status = (enum kith_status)status};
            bool down = s >= 2;
            bool fine = down ? status == KITH_STATUS_LEFT || status == KITH_STATUS_FAILED
                             : status == KITH_STATUS_ALIVE || status == KITH_STATUS_LEAVING;
            assert_int_equal(kith_import_members(k, NOW, &m, 1), fine ? 0 : KITH_ERR_ARG);
        }
    }
    attack_end(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_datagrams_stay_in_their_buffers),
        cmocka_unit_test(a_refused_commit_is_not_told),
        cmocka_unit_test(tags_too_long_to_pass_on),
        cmocka_unit_test(a_join_that_ends_late_does_not_undo_a_leave),
        cmocka_unit_test(every_ask_ends_with_the_leave),
        cmocka_unit_test(a_late_intent_does_not_end_the_next_step),
        cmocka_unit_test(our_death_is_refuted_until_we_say_it),
        cmocka_unit_test(tickets_that_are_given_end),
        cmocka_unit_test(a_name_that_comes_back_comes_last),
        cmocka_unit_test(claims_do_not_push_out_answers),
        cmocka_unit_test(an_id_given_again_names_nobody_else),
        cmocka_unit_test(news_finds_the_last_living),
        cmocka_unit_test(helpers_are_chosen_as_memberlist_does),
        cmocka_unit_test(a_time_that_none_can_follow_is_malformed),
        cmocka_unit_test(a_leave_that_is_told_has_no_time_beyond_the_last),
        cmocka_unit_test(a_query_that_is_not_to_be_passed_on),
        cmocka_unit_test(configurations_out_of_range),
        cmocka_unit_test(views_that_contradict_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
