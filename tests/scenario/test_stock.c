/* Stock behaviour: each of kith's additions is there by default and gone with config.stock; and pools of both kinds, or
 * of stock members alone, still work.
 *
 * A case feeds one instance and returns what a peer would notice, as a number; the table says which it must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"
#include "world.h"

#define MS 1000ull

static const struct kith_addr peer = {.ip = {10, 0, 0, 2}, .ip_len = 4, .port = 7946};

/* ---- one instance and its outputs ---- */

/* Takes what it sends; returns in how many datagrams to `to` (NULL: any) there is a part of this type. */
static unsigned sent(kith *k, struct kith_time now, const struct kith_addr *to, uint8_t type)
{
    uint8_t buf[2048];
    struct kith_addr at;
    size_t len;
    unsigned count = 0;
    while (kith_poll_datagram(k, now, &at, buf, sizeof buf, &len)) {
        if (to && !kith_addr_equal(to, &at))
            continue;
        const uint8_t *parts = buf[0] == KI_MSG_HAS_CRC ? buf + 5 : buf;
        bool found = parts[0] == type;
        size_t offset = parts[0] == KI_MSG_COMPOUND ? 2 + 2 * (size_t)parts[1] : 0;
        for (unsigned i = 0; offset > 0 && i < parts[1]; i++) {
            found = found || parts[offset] == type;
            offset += (size_t)parts[2 + 2 * i] << 8 | parts[3 + 2 * i];
        }
        count += found;
    }
    return count;
}

static void feed(kith *k, struct kith_time now, const struct ki_pack *p)
{
    assert_false(p->w.full);
    kith_datagram(k, now, &peer, p->w.start, p->w.len);
}

static void accuse(kith *k, struct kith_time now, bool dead, const char *name, const char *from, uint32_t incarnation)
{
    uint8_t buf[256];
    size_t len = lone_accuse(buf, sizeof buf, dead, name, from, incarnation);
    kith_datagram(k, now, &peer, buf, len);
}

static struct kith_member member(const kith *k, const char *name)
{
    struct kith_member m;
    assert_int_equal(kith_find(k, lone_str(name), &m), 0);
    return m;
}

/* ---- the cases: each begins at 1 s with "self", "b" at 10.0.0.2 and "c" at 10.0.0.3 alive ---- */

static uint64_t tag_of_kith(kith *k)
{
    struct kith_member self;
    struct kith_tag tag;
    size_t cursor = 0;
    unsigned count = 0;
    kith_self(k, &self);
    while (kith_tag_next(&self, &cursor, &tag))
        count++;
    return count;
}

static uint64_t tells_the_dead(kith *k)
{
    uint8_t buf[256];
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct kith_addr c = lone_addr(3, 7946);
    size_t len = lone_accuse(buf, sizeof buf, true, "b", "c", 5);
    kith_datagram(k, now, &c, buf, len);
    sent(k, now, NULL, 0);
    assert_int_equal(lone_counter(k, "accusations_told"), 0);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_ping(&p, &(struct ki_ping){.seq = 1,
                                         .node = lone_span("self"),
                                         .source_addr = ki_span(peer.ip, 4),
                                         .source_port = peer.port,
                                         .source_node = lone_span("b")});
    feed(k, now, &p);
    sent(k, now, NULL, 0);
    return lone_counter(k, "accusations_told") > 0;
}

static uint64_t tells_who_is_behind(kith *k)
{
    uint8_t buf[256];
    struct kith_time now = lone_time(2 * LONE_SECOND);
    accuse(k, now, false, "c", "b", 5);
    size_t len = lone_alive(buf, sizeof buf, "c", 3, 5);
    kith_datagram(k, now, &peer, buf, len);
    return lone_counter(k, "accusations_told") > 0;
}

static uint64_t refutes_to_the_accuser(kith *k)
{
    struct kith_time now = lone_time(2 * LONE_SECOND);
    sent(k, now, NULL, 0);
    accuse(k, now, false, "self", "b", UINT32_MAX - 9);
    assert_int_equal(lone_counter(k, "refutations"), 1);
    return sent(k, now, &peer, KI_MSG_ALIVE);
}

static uint64_t nack_after_ms(kith *k)
{
    uint8_t buf[256];
    const uint8_t target[4] = {10, 0, 0, 3};
    uint64_t start_us = LONE_SECOND;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_indirect_ping(&p, &(struct ki_indirect_ping){.seq = 1,
                                                           .target = ki_span(target, 4),
                                                           .port = 7946,
                                                           .node = lone_span("c"),
                                                           .nack = true,
                                                           .source_addr = ki_span(peer.ip, 4),
                                                           .source_port = peer.port,
                                                           .source_node = lone_span("b")});
    feed(k, lone_time(start_us), &p);
    for (uint64_t ms = 0; ms < 1000; ms += 50) {
        struct kith_time now = lone_time(start_us + ms * MS);
        kith_tick(k, now);
        if (sent(k, now, &peer, KI_MSG_NACK))
            return ms;
    }
    return 0;
}

static uint64_t slow_probe_timeout_ms(kith *k)
{
    k->health = 3;
    lone_next_probe(k, LONE_SECOND);
    return k->probe.timeout_us / MS;
}

static uint64_t slow_probe_pace_ms(kith *k)
{
    k->health = 3;
    uint64_t at_us = lone_next_probe(k, LONE_SECOND);
    return (k->probe_next_us - at_us) / MS;
}

static uint64_t nacks_counted_after_ms(kith *k)
{
    uint64_t at_us = lone_next_probe(k, LONE_SECOND);
    lone_pass(k, at_us, k->probe.deadline_us);
    assert_int_equal(k->probe.state, KI_PROBE_INDIRECT);
    return (k->nack_wait.close_us - at_us) / MS;
}

static uint64_t heeds_refusal(kith *k)
{
    uint64_t at_us = lone_next_probe(k, LONE_SECOND);
    struct kith_addr to = ki_addr_of(ki_table_at(&k->table, k->probe_id));
    kith_datagram_refused(k, lone_time(at_us), &to, KITH_ERR_REFUSED);
    return lone_counter(k, "probes_refused");
}

static uint64_t excuses_a_pause(kith *k)
{
    kith_tick(k, lone_time(60 * LONE_SECOND));
    return lone_counter(k, "pauses");
}

/* With news waiting, does the ping that carries the accusation also carry them? */
static uint64_t news_beside_the_accusation(kith *k)
{
    struct kith_time now = lone_time(LONE_SECOND);
    accuse(k, now, false, "b", "c", 5);
    accuse(k, now, false, "c", "b", 5);
    lone_meet(k, now, "d", 4);
    sent(k, now, NULL, 0);
    ki_send(k, KI_CLASS_PROBE,
            &(struct ki_send){.kind = KI_SEND_PING,
                              .id = ki_table_find(&k->table, lone_span("b")),
                              .to_member = true,
                              .to = peer});
    return sent(k, now, &peer, KI_MSG_ALIVE);
}

static uint64_t turns_of_probing(kith *k)
{
    accuse(k, lone_time(LONE_SECOND), true, "c", "b", 5); /* of three members, one is probed */
    uint64_t at_us = LONE_SECOND;
    unsigned wasted = 0;
    for (unsigned turn = 0; turn < 30; turn++) {
        uint64_t before = lone_counter(k, "probes");
        at_us = k->probe_next_us;
        kith_tick(k, lone_time(at_us));
        if (lone_counter(k, "probes") == before)
            wasted++;
        else
            ki_ack_received(k, k->probe_seq, NULL);
        lone_drain_datagrams(k, lone_time(at_us));
    }
    return wasted > 0;
}

static uint64_t misses_candidates(kith *k)
{
    uint32_t id, missed = 0;
    for (unsigned i = 0; i < 2000; i++)
        missed += ki_pick(k, KI_PICK_ALIVE, ki_table_find(&k->table, lone_span("b")), 1, &id) == 0;
    assert_in_range(missed, 0, 100); /* (2/3)^9 of them: 52 */
    return missed > 0;
}

static uint64_t dead_name_begins_anew(kith *k)
{
    uint8_t buf[256];
    accuse(k, lone_time(2 * LONE_SECOND), true, "c", "b", 9);
    size_t len = lone_alive(buf, sizeof buf, "c", 7, 1); /* elsewhere, and with a lower incarnation */
    kith_datagram(k, lone_time(30 * LONE_SECOND), &peer, buf, len);
    assert_int_equal(member(k, "c").status, KITH_STATUS_FAILED);
    kith_datagram(k, lone_time(33 * LONE_SECOND), &peer, buf, len);
    lone_check(k);
    return member(k, "c").status == KITH_STATUS_ALIVE && member(k, "c").addr.ip[3] == 7;
}

static uint64_t own_death_notice(kith *k)
{
    accuse(k, lone_time(2 * LONE_SECOND), true, "b", "b", 5);
    return member(k, "b").status;
}

static uint64_t announced_leave_forgotten(kith *k)
{
    uint8_t buf[64] = {KI_MSG_USER};
    struct ki_pack p = ki_pack(buf + 1, sizeof buf - 1, false);
    ki_encode_serf_leave(&p, &(struct ki_serf_leave){.ltime = 50, .node = lone_span("b")});
    kith_datagram(k, lone_time(2 * LONE_SECOND), &peer, buf, 1 + p.w.len);
    assert_int_equal(member(k, "b").status, KITH_STATUS_LEAVING);
    k->probe_next_us = k->push_pull_next_us = KITH_NEVER;
    lone_pass(k, 3 * LONE_SECOND, 90 * LONE_SECOND);
    return member(k, "b").status;
}

static uint64_t answers_a_former_intent(kith *k) /* as told by a full state, which may mean one to leave */
{
    ki_join_intent(k, k->self, &(struct ki_serf_join){.ltime = 50, .node = lone_span("self")}, ki_span(NULL, 0));
    return member(k, "self").status_ltime;
}

static uint64_t loses_its_name_in_silence(kith *k)
{
    uint8_t buf[256];
    size_t len = lone_alive(buf, sizeof buf, "self", 9, 1);
    kith_datagram(k, lone_time(2 * LONE_SECOND), &peer, buf, len);
    k->probe_next_us = KITH_NEVER;
    lone_pass(k, 3 * LONE_SECOND, 9 * LONE_SECOND); /* a vote lasts 3.2 s */
    return lone_counter(k, "votes_lost");
}

static uint64_t news_repeated(kith *k)
{
    k->cfg.retransmit_mult = 1; /* three members: once */
    k->probe_next_us = k->push_pull_next_us = KITH_NEVER;
    lone_pass(k, LONE_SECOND, 20 * LONE_SECOND);
    uint64_t before = lone_counter(k, "news_out");
    accuse(k, lone_time(21 * LONE_SECOND), true, "c", "b", 5);
    lone_pass(k, 21 * LONE_SECOND, 40 * LONE_SECOND);
    return lone_counter(k, "news_out") - before;
}

/* 1 of 20 others has failed for 600 intervals: 600 / 20 times by the dice (standard deviation 5.3; 6 of them to each
 * side), with or without stock. */
static uint64_t reconnects(kith *k)
{
    char name[8];
    k->cfg.reconnect_interval_ms = 1000;
    k->reconnect_next_us = 2 * LONE_SECOND;
    for (unsigned n = 4; n <= 21; n++) {
        snprintf(name, sizeof name, "n%u", n);
        lone_meet(k, lone_time(LONE_SECOND), name, (uint8_t)n);
    }
    accuse(k, lone_time(LONE_SECOND), true, "c", "b", 5);
    k->probe_next_us = k->push_pull_next_us = KITH_NEVER;
    lone_pass(k, 2 * LONE_SECOND, 601 * LONE_SECOND + 1);
    uint64_t count = lone_counter(k, "reconnects");
    return count >= 1 && count <= 62 ? 1 : count;
}

/* Its death notice came from itself, and no intent before: failed for Serf, which will contact it again. */
static uint64_t reconnects_who_said_goodbye(kith *k)
{
    k->cfg.reconnect_interval_ms = 1000;
    k->reconnect_next_us = 2 * LONE_SECOND;
    accuse(k, lone_time(LONE_SECOND), true, "c", "c", 5);
    k->probe_next_us = k->push_pull_next_us = KITH_NEVER;
    lone_pass(k, 2 * LONE_SECOND, 20 * LONE_SECOND);
    return lone_counter(k, "reconnects") > 0;
}

/* A full state from b's host that says this of c. */
static void exchange_says(kith *k, enum ki_state state)
{
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5}, ip[4] = {10, 0, 0, 3};
    struct kith_addr from = {.ip = {10, 0, 0, 2}, .ip_len = 4, .port = 50000};
    struct kith_time now = lone_time(LONE_SECOND);
    uint8_t buf[512];
    uint32_t id;
    size_t taken;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_push_pull_header(&p, &(struct ki_push_pull_header){.nodes = 1});
    ki_encode_node_state(&p, &(struct ki_node_state){.name = lone_span("c"),
                                                     .addr = ki_span(ip, 4),
                                                     .port = 7946,
                                                     .meta = lone_span("\xff\x80"),
                                                     .incarnation = 5,
                                                     .state = (uint8_t)state,
                                                     .versions = ki_span(versions, 6)});
    assert_false(p.w.full);
    assert_int_equal(kith_stream_accept(k, now, &from, &id), 0);
    assert_int_equal(kith_stream_bytes(k, now, id, buf, p.w.len, &taken), 0);
    while (ki_streams_deadline(k) <= now.mono_us)
        kith_tick(k, now);
    assert_int_equal(lone_counter(k, "push_pulls_in"), 1);
}

static uint64_t exchange_of_a_suspect(kith *k)
{
    exchange_says(k, KI_SUSPECT);
    return member(k, "c").state;
}

static uint64_t exchange_accuses_by_itself(kith *k)
{
    exchange_says(k, KI_DEAD);
    assert_int_equal(member(k, "c").state, KITH_STATE_SUSPECT);
    uint64_t accuser = ki_table_suspicion(&k->table, member(k, "c").id)->accuser;
    assert_true(accuser == ki_table_hash(&k->table, lone_span("b")) ||
                accuser == ki_table_hash(&k->table, lone_span("self")));
    return accuser == ki_table_hash(&k->table, lone_span("self"));
}

static uint64_t exchange_confirms(kith *k)
{
    lone_meet(k, lone_time(LONE_SECOND), "d", 4);
    lone_meet(k, lone_time(LONE_SECOND), "e", 5);
    accuse(k, lone_time(LONE_SECOND), false, "c", "d", 5);
    exchange_says(k, KI_DEAD);
    return lone_counter(k, "suspicions_confirmed");
}

static uint64_t nacks_of_a_stranger(kith *k)
{
    uint8_t buf[256];
    const uint8_t target[4] = {10, 0, 0, 9};
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct ki_indirect_ping ask = {.seq = 1, .target = ki_span(target, 4), .port = 7946, .nack = true};
    ask.node = lone_span("nobody");
    ki_encode_indirect_ping(&p, &ask);
    feed(k, lone_time(LONE_SECOND), &p);
    kith_tick(k, lone_time(2 * LONE_SECOND));
    return sent(k, lone_time(2 * LONE_SECOND), &peer, KI_MSG_NACK);
}

static uint64_t tells_who_has_left(kith *k)
{
    uint8_t buf[256];
    uint64_t at_us = 2 * LONE_SECOND;
    accuse(k, lone_time(at_us), true, "b", "b", 5);
    for (unsigned i = 0; i < 2; i++) { /* while it may still help its leave along, and later */
        assert_int_equal(lone_counter(k, "accusations_told"), 0);
        lone_pass(k, at_us, at_us + 5 * LONE_SECOND);
        at_us += 5 * LONE_SECOND;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_ack(&p, &(struct ki_ack){.seq = 1});
        feed(k, lone_time(at_us), &p);
        at_us += 10 * LONE_SECOND;
    }
    return lone_counter(k, "accusations_told") > 0;
}

static uint64_t forgetting_is_said_later(kith *k)
{
    assert_int_equal(kith_force_leave(k, lone_time(LONE_SECOND), lone_str("c"), true, NULL), 0);
    return member(k, "c").status_ltime;
}

/* One is accused, and nobody confirms that in the shortest timeout: is it the next to be probed? */
static uint64_t asks_again_at(kith *k, uint8_t health)
{
    uint64_t at_us = 2 * LONE_SECOND;
    for (uint8_t i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, lone_time(LONE_SECOND), name, (uint8_t)(10 + i));
    }
    accuse(k, lone_time(at_us), false, "c", "b", 5);
    lone_pass(k, at_us, at_us + 5500 * MS); /* 5.4 s: 4 * log10(23) */
    k->nack_wait.close_us = KITH_NEVER; /* no probe is under way, nor being judged */
    ki_probe_init(&k->probe);
    k->health = health;
    lone_next_probe(k, at_us + 5500 * MS);
    return k->probe_again && k->probe_id == member(k, "c").id && k->probe.interval_us == LONE_SECOND;
}

static uint64_t asks_again(kith *k)
{
    return asks_again_at(k, 0);
}

static uint64_t asks_again_though_unwell(kith *k)
{
    return asks_again_at(k, 1);
}

/* Fresh news: how long until it is told? */
static uint64_t news_waits_ms(kith *k)
{
    lone_pass(k, LONE_SECOND, 20 * LONE_SECOND);
    lone_meet(k, lone_time(20 * LONE_SECOND), "d", 4);
    return (k->gossip_next_us - 20 * LONE_SECOND) / MS;
}

/* All probes so far were answered within a millisecond, from there or from elsewhere: how long is the next answer waited
 * for? */
static uint64_t waits_after_quick_answers(kith *k, bool from_there)
{
    uint64_t at_us = LONE_SECOND;
    for (unsigned i = 0; i < 10; i++) {
        at_us = lone_next_probe(k, at_us);
        uint8_t buf[64];
        struct kith_addr from = ki_addr_of(ki_table_at(&k->table, k->probe_id));
        from.port += !from_there;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_ack(&p, &(struct ki_ack){.seq = k->probe_seq});
        kith_datagram(k, lone_time(at_us + MS), &from, buf, p.w.len);
    }
    lone_next_probe(k, at_us + MS);
    return k->probe.timeout_us / MS;
}

static uint64_t waits_after_quick_answers_ms(kith *k)
{
    return waits_after_quick_answers(k, true);
}

static uint64_t waits_after_relayed_answers_ms(kith *k)
{
    return waits_after_quick_answers(k, false);
}

static const struct row {
    const char *what;
    uint64_t (*see)(kith *k);
    uint64_t kith, stock;
} rows[] = {
    {"the tag _kith", tag_of_kith, 1, 0},
    {"a dead member that pings is told", tells_the_dead, 1, 0},
    {"who believes a suspect alive is told", tells_who_is_behind, 1, 0},
    {"the accuser gets the refutation", refutes_to_the_accuser, 1, 0},
    {"a helper's nack, ms", nack_after_ms, 400, 500},
    {"an unhealthy prober's timeout, ms", slow_probe_timeout_ms, 2000, 500},
    {"its pace, ms", slow_probe_pace_ms, 4000, 1000},
    {"missing nacks counted, ms", nacks_counted_after_ms, 1125, 1000},
    {"refused ports skip the wait", heeds_refusal, 1, 0},
    {"pauses are noticed", excuses_a_pause, 1, 0},
    {"news beside an accusation", news_beside_the_accusation, 1, 0},
    {"a turn is wasted at the wrap", turns_of_probing, 0, 1},
    {"picking misses candidates", misses_candidates, 0, 1},
    {"a name long dead begins anew", dead_name_begins_anew, 0, 1},
    {"a member's own death notice", own_death_notice, KITH_STATUS_LEFT, KITH_STATUS_FAILED},
    {"an announced leave is forgotten", announced_leave_forgotten, KITH_STATUS_ALIVE, KITH_STATUS_LEAVING},
    {"a former intent is answered", answers_a_former_intent, 51 + 16, 50},
    {"one silent vote loses the name", loses_its_name_in_silence, 0, 1},
    {"news in a tiny pool", news_repeated, 2, 1},
    {"reconnecting", reconnects, 1, 1},
    {"reconnecting to who left without an intent", reconnects_who_said_goodbye, 0, 1},
    {"a suspect in an exchange", exchange_of_a_suspect, KITH_STATE_ALIVE, KITH_STATE_SUSPECT},
    {"an exchange is an accusation of our own", exchange_accuses_by_itself, 0, 1},
    {"an exchange confirms", exchange_confirms, 0, 1},
    {"a target that we do not know is nacked", nacks_of_a_stranger, 1, 0},
    {"one that left and speaks is told", tells_who_has_left, 1, 0},
    {"forgetting outruns what crept", forgetting_is_said_later, 1 + 16, 1},
    {"a lonely suspect is asked again", asks_again, 1, 0},
    {"an unwell prober asks it as soon", asks_again_though_unwell, 1, 0},
    {"news waits for the beat of gossip, ms", news_waits_ms, 0, 200},
    {"a quick pool's timeout, ms", waits_after_quick_answers_ms, 100, 500},
    {"that of one whose acks come by others, ms", waits_after_relayed_answers_ms, 500, 500},
};

static void additions_are_there_and_gone(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        for (unsigned stock = 0; stock < 2; stock++) {
            struct kith_config c;
            lone_config(&c);
            c.compress = false;
            c.stock = stock;
            kith *k = lone_new(&c);
            lone_meet(k, lone_time(LONE_SECOND), "b", 2);
            lone_meet(k, lone_time(LONE_SECOND), "c", 3);
            uint64_t seen = rows[i].see(k);
            uint64_t expected = stock ? rows[i].stock : rows[i].kith;
            if (seen != expected)
                fail_msg("%s: %llu, not %llu (stock %u)", rows[i].what, (unsigned long long)seen,
                         (unsigned long long)expected, stock);
            kith_free(k);
        }
    }
}

static void first_incarnation(void **state)
{
    (void)state;
    for (unsigned stock = 0; stock < 2; stock++) {
        struct kith_config c;
        struct kith_record record = {.kind = KITH_RECORD_INCARNATION, .value = 1900000000};
        struct kith_member self;
        kith *k;
        lone_config(&c);
        c.stock = stock;
        assert_int_equal(kith_new(&k, &c), 0);
        assert_int_equal(kith_load(k, &record), 0);
        assert_int_equal(kith_ready(k, lone_time(LONE_SECOND)), 0);
        kith_self(k, &self);
        assert_int_equal(self.incarnation, stock ? 1 : 1900000001);
        kith_free(k);
    }
}

/* The accusation rides on the ping of a suspect, or does not; with or without stock. */
static void buddy_is_a_switch(void **state)
{
    (void)state;
    for (unsigned row = 0; row < 4; row++) {
        struct kith_config c;
        lone_config(&c);
        assert_true(c.buddy);
        c.buddy = row & 1;
        c.stock = row & 2;
        kith *k = lone_new(&c);
        struct kith_time now = lone_time(LONE_SECOND);
        lone_meet(k, now, "b", 2);
        accuse(k, now, false, "b", "c", 5);
        for (unsigned q = 0; q < KI_QUEUES; q++) /* it must not ride along as news */
            ki_queue_drop_subject(&k->queues[q], ki_table_find(&k->table, lone_span("b")));
        sent(k, now, NULL, 0);
        ki_send(k, KI_CLASS_PROBE,
                &(struct ki_send){.kind = KI_SEND_PING,
                                  .id = ki_table_find(&k->table, lone_span("b")),
                                  .to_member = true,
                                  .to = peer});
        assert_int_equal(sent(k, now, &peer, KI_MSG_SUSPECT), row & 1);
        kith_free(k);
    }
}

/* ---- pools ---- */

#define POOL 6

static struct world *pool(unsigned stock_mask)
{
    struct world *w = world_new();
    for (unsigned n = 0; n < POOL; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.stock = stock_mask >> n & 1;
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
    }
    world_run(w, 10 * LONE_SECOND);
    return w;
}

static void everyone_sees(struct world *w, const char *name, enum kith_status status, unsigned except)
{
    for (unsigned n = 0; n < POOL; n++) {
        if (n != except)
            assert_int_equal(world_status(w, n, name), status);
    }
}

/* All live, one dies and is found out, comes back as a new life, and one leaves. */
static void pools_of_both_kinds_work(void **state)
{
    (void)state;
    static const unsigned masks[] = {0x3f, 0x15, 0x2a, 0x20, 0x1f};
    for (size_t i = 0; i < KI_COUNT(masks); i++) {
        struct world *w = pool(masks[i]);
        for (unsigned n = 0; n < POOL; n++)
            assert_int_equal(world_alive_seen(w, n), POOL);
        world_crash(w, 5);
        world_run(w, 40 * LONE_SECOND);
        everyone_sees(w, "node-5", KITH_STATUS_FAILED, 5);
        struct kith_config c;
        world_config(&c, 5);
        c.stock = masks[i] >> 5 & 1;
        world_add(w, 5, &c);
        assert_int_equal(world_join(w, 5, 1, NULL), 0);
        world_run(w, 60 * LONE_SECOND);
        for (unsigned n = 0; n < POOL; n++)
            assert_int_equal(world_alive_seen(w, n), POOL);
        assert_int_equal(kith_leave(world_node(w, 4), world_now(w), NULL), 0);
        world_run(w, 10 * LONE_SECOND);
        everyone_sees(w, "node-4", KITH_STATUS_LEFT, 4);
        world_free(w);
    }
}

/* One that is long dead is not in a stock member's exchanges: who believes it alive does not hear otherwise there. */
static void exchanges_leave_out_the_buried(void **state)
{
    (void)state;
    for (unsigned stock = 0; stock < 2; stock++) {
        struct world *w = pool(stock ? 0x3f : 0);
        struct kith_config c;
        world_crash(w, 5);
        world_run(w, 90 * LONE_SECOND);
        everyone_sees(w, "node-5", KITH_STATUS_FAILED, 5);
        struct kith_member m = member(world_node(w, 0), "node-5");
        m.state = KITH_STATE_ALIVE;
        m.status = KITH_STATUS_ALIVE;
        world_config(&c, POOL);
        world_add(w, POOL, &c);
        assert_int_equal(kith_import_members(world_node(w, POOL), world_now(w), &m, 1), 0);
        assert_int_equal(world_join(w, POOL, 0, NULL), 0);
        world_run(w, LONE_SECOND / 5); /* before it can have found out by itself */
        assert_int_equal(member(world_node(w, POOL), "node-0").state, KITH_STATE_ALIVE);
        assert_int_equal(member(world_node(w, POOL), "node-5").state, stock ? KITH_STATE_ALIVE : KITH_STATE_SUSPECT);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(additions_are_there_and_gone),   cmocka_unit_test(first_incarnation),
        cmocka_unit_test(buddy_is_a_switch),              cmocka_unit_test(pools_of_both_kinds_work),
        cmocka_unit_test(exchanges_leave_out_the_buried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
