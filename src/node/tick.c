/* What is due: probing, gossip, full exchanges, reaping and reconnecting, and the deadlines of all that waits.
 *
 * Local health (Lifeguard section IV.A): a score of 0 .. health_max-1 that failed probes, missing nacks and
 * accusations of ourselves raise and answered probes lower.  It stretches both the interval and the timeout of our
 * probes: a slow node asks less often and waits longer, before it blames others for its own slowness. */
#include "base/canary.h"
#include "node/aggregate.h"
#include "node/messages.h"
#include "node/replica.h"
#include "node/sync.h"
#include "swim/timing.h"

#define TICK_GOSSIP_MAX 16
#define TICK_OPEN_LOOKS 16
#define TICK_REAP_SLICE 64 /* members forgotten in one call: 1 us each, and 10 when as many events wait */

void ki_health(struct kith *k, int delta)
{
    int64_t score = (int64_t)k->health + delta;
    int64_t most = (int64_t)k->cfg.health_max - 1;
    k->health = (uint32_t)(score < 0 ? 0 : score > most ? most : score);
}

uint64_t ki_scaled_interval_us(const struct kith *k)
{
    return (uint64_t)k->cfg.probe_interval_ms * 1000 * (k->health + 1);
}

/* ---- probing ---- */

/* The next member in the shuffled order that can be probed.  The order is shuffled anew at each wrap, so twice as many
 * looks find whoever there is.  memberlist has as many as there are members and counts the wrap as one of them: a small
 * pool has a turn without a probe now and then. */
static uint32_t tick_next_target(struct kith *k)
{
    uint32_t looks = k->cfg.stock ? k->table.count : 2 * k->table.count;
    for (uint32_t i = 0; i < looks; i++) {
        if (k->probe_cursor >= k->table.count) {
            ki_table_shuffle(&k->table, &k->rng);
            k->probe_cursor = 0;
            if (k->cfg.stock)
                continue;
        }
        uint32_t id = k->table.order[k->probe_cursor++];
        uint8_t state = ki_table_at(&k->table, id)->state;
        if (id != k->self && (state == KI_ALIVE || state == KI_SUSPECT))
            return id;
    }
    return KI_NO_MEMBER;
}

/* One whom we suspect and too few others do: they may all be slow, or know it to be gone already, or not know it at all.
 * Whoever hears of the accusation would say so, but perhaps nobody hears.  So when the shortest timeout has passed, it is
 * asked once more, and the helpers that then do not find it count as accusers: each has probed it by itself, or does not
 * know it.  Not more than every second probe, and a few looks each: the usual round goes on.  Our health does not stretch
 * it: the helpers' word is wanted more than ours, and a round that waits for one that will hardly answer finds nobody else
 * and mends nothing. */
static uint32_t tick_open_target(struct kith *k)
{
    if (k->cfg.stock || k->probe_again)
        return KI_NO_MEMBER;
    uint32_t looks = (uint32_t)ki_min_u64(k->table.accused_count, TICK_OPEN_LOOKS);
    for (uint32_t i = 0; i < looks; i++) {
        struct ki_accused *accused = k->table.accused[k->open_cursor++ % k->table.accused_count];
        if (ki_suspicion_open(&accused->suspicion, k->now.mono_us))
            return accused->id;
    }
    return KI_NO_MEMBER;
}

static void tick_probe_start(struct kith *k)
{
    uint32_t id = tick_open_target(k);
    k->probe_again = id != KI_NO_MEMBER;
    if (!k->probe_again)
        id = tick_next_target(k);
    uint64_t base_us = (uint64_t)k->cfg.probe_interval_ms * 1000;
    uint64_t interval_us = k->probe_again ? base_us : ki_scaled_interval_us(k);
    uint32_t stretch = k->cfg.stock || k->probe_again ? 1 : k->health + 1;
    k->probe_next_us = k->now.mono_us + base_us * stretch;
    if (id == KI_NO_MEMBER)
        return;
    k->probe_id = id;
    k->probe_incarnation = ki_table_at(&k->table, id)->incarnation;
    k->probe_seq = (uint32_t)ki_crng_u64(&k->crng);
    k->probe.interval_us = interval_us;
    uint64_t timeout_us = (uint64_t)k->cfg.probe_timeout_ms * 1000;
    k->probe.help_us = interval_us - timeout_us * stretch;
    k->probe.timeout_us = (k->cfg.stock ? timeout_us : ki_round_trip_wait_us(&k->round_trip, timeout_us)) * stretch;
    k->probe_refused = false;
    ki_count(k, KI_COUNT_probes);
    ki_probe_input(k, KI_PROBE_START);
}

/* A nack in time shows that we hear and are heard: those who stay silent are gone or slow, and not we.  Lifeguard blames
 * the prober for each missing one; where half of the members fail at once, that makes all others, who are well, as slow
 * as they can be just when there is the most to find out. */
static void tick_nacks_close(struct kith *k)
{
    struct ki_nack_wait *wait = &k->nack_wait;
    wait->close_us = KITH_NEVER;
    if (!wait->failed || (wait->received > 0 && !k->cfg.stock))
        return;
    ki_health(k, wait->expected == 0 ? 1 : (int)(wait->expected - wait->received));
}

/* Asks helpers, and pings over a stream: datagrams alone may be what is lost. */
static void tick_probe_ask(struct kith *k)
{
    uint32_t helpers[KI_HELPERS_MAX];
    uint32_t wanted = k->cfg.indirect_checks;
    if (k->probe_refused && wanted > 0)
        wanted = (uint32_t)ki_max_u64(wanted, KI_REFUSAL_HELPERS); /* profile local asks one */
    uint32_t count = ki_pick(k, KI_PICK_ALIVE, k->probe_id, wanted, helpers);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct ki_member *helper = ki_table_at(&k->table, helpers[i]);
        bool nack = helper->versions[1] >= 4; /* understands it */
        expected += nack;
        ki_send(k, KI_CLASS_PROBE,
                &(struct ki_send){.kind = KI_SEND_INDIRECT,
                                  .seq = k->probe_seq,
                                  .id = k->probe_id,
                                  .nack = nack,
                                  .to_member = true,
                                  .to = ki_addr_of(helper)});
    }
    /* A stock helper says nack only a whole probe timeout after it was asked, which is at our verdict or later:
     * health waits that long and a quarter more, while the verdict does not. */
    if (k->nack_wait.close_us != KITH_NEVER)
        tick_nacks_close(k); /* of the probe before: a refusal can make this one ask at once */
    uint64_t grace_us = k->cfg.stock ? 0 : (uint64_t)k->cfg.probe_timeout_ms * 1000 * 5 / 4;
    k->nack_wait = (struct ki_nack_wait){
        .seq = k->probe_seq,
        .expected = expected,
        .confirms = k->probe_again ? k->probe_id : KI_NO_MEMBER,
        .incarnation = k->probe_incarnation,
        .helper_count = count,
        .close_us = ki_max_u64(k->probe.deadline_us, k->now.mono_us + grace_us)};
    memcpy(k->nack_wait.helpers, helpers, count * sizeof *helpers);
    const struct ki_member *target = ki_table_at(&k->table, k->probe_id);
    struct kith_addr addr = ki_addr_of(target);
    if (target->versions[1] >= 3 && ki_stream_dial(k, &addr, KI_PURPOSE_PING, k->probe_seq) == 0)
        ki_count(k, KI_COUNT_stream_pings);
}

/* The probe has failed: suspect its target, and heed the nacks that came before.  Health follows when all are in. */
static void tick_probe_failed(struct kith *k)
{
    const struct ki_member *m = ki_table_at(&k->table, k->probe_id);
    uint8_t name[KITH_NAME_MAX];
    memcpy(name, ki_member_name(m).ptr, m->name_len);
    struct ki_suspect suspect = {.incarnation = k->probe_incarnation,
                                 .node = ki_span(name, m->name_len),
                                 .from = ki_name_of(k->cfg.name)};
    ki_count(k, KI_COUNT_probes_failed);
    k->nack_wait.failed = true;
    uint32_t nacked = k->nack_wait.seq == k->probe_seq ? k->nack_wait.nacked : 0; /* not those of the probe before */
    if (k->probe_again && k->health > 0 && nacked == 0)
        return; /* whoever doubts its own health does not accuse alone */
    ki_apply_suspect(k, NULL, &suspect);
    for (uint32_t i = 0; nacked >> i != 0; i++) {
        if (nacked >> i & 1)
            ki_suspicion_nacked(k, i);
    }
}

void ki_probe_input(struct kith *k, enum ki_probe_input input)
{
    switch (ki_probe_step(&k->probe, input, k->now.mono_us)) {
    case KI_PROBE_NOTHING:
        return;
    case KI_PROBE_PING:
        ki_send(k, KI_CLASS_PROBE,
                &(struct ki_send){.kind = KI_SEND_PING,
                                  .seq = k->probe_seq,
                                  .id = k->probe_id,
                                  .to_member = true,
                                  .to = ki_addr_of(ki_table_at(&k->table, k->probe_id))});
        return;
    case KI_PROBE_ASK:
        tick_probe_ask(k);
        return;
    case KI_PROBE_ALIVE: /* well enough for the usual pace, by which health comes back in seconds */
        k->probe_next_us = ki_min_u64(
            k->probe_next_us,
            ki_max_u64(k->now.mono_us, k->probe.started_us + (uint64_t)k->cfg.probe_interval_ms * 1000));
        k->nack_wait.close_us = KITH_NEVER;
        ki_health(k, -1);
        ki_refusal_answered(k);
        if (KI_CANARY(HASTY) && k->counters[KI_COUNT_probes] % 16 == 0)
            tick_probe_failed(k);
        return;
    case KI_PROBE_SUSPECT:
        tick_probe_failed(k);
        return;
    case KI_PROBE_GONE:
        tick_probe_failed(k);
        ki_refusal_agreed(k);
        return;
    }
    KI_UNREACHABLE();
}

/* Indirect pings carried out for others: nack those without an answer, forget the old. */
static void tick_relays(struct kith *k)
{
    for (uint32_t i = k->relay_count; i-- > 0;) {
        struct ki_relay *relay = &k->relays[i];
        if (relay->nack_us <= k->now.mono_us) {
            relay->nack_us = KITH_NEVER;
            ki_send(k, KI_CLASS_REPLY,
                    &(struct ki_send){.kind = KI_SEND_NACK,
                                      .seq = relay->their_seq,
                                      .to_member = relay->asker_known,
                                      .to = relay->asker});
        }
        if (relay->expire_us <= k->now.mono_us)
            *relay = k->relays[--k->relay_count];
    }
}

/* ---- gossip, exchanges, reaping ---- */

/* Runs only while there is news. */
static void tick_gossip(struct kith *k)
{
    if (ki_news_waiting(k) == 0) {
        k->gossip_next_us = KITH_NEVER;
        ki_recall_free(&k->recall, &k->mem); /* what others still repeat is not much */
        return;
    }
    uint64_t interval_us = (uint64_t)k->cfg.gossip_interval_ms * 1000;
    k->gossip_next_us = k->now.mono_us + interval_us;
    k->gossip_paid_us = ki_max_u64(k->gossip_paid_us, k->now.mono_us) + interval_us;
    uint32_t ids[TICK_GOSSIP_MAX];
    uint32_t count = ki_pick(k, KI_PICK_GOSSIP, k->self, k->cfg.gossip_nodes, ids);
    if (count == 0)
        k->gossip_next_us = KITH_NEVER; /* alone: whoever comes is news, and news starts it again */
    for (uint32_t i = 0; i < count; i++)
        ki_send(k, KI_CLASS_OTHER,
                &(struct ki_send){.kind = KI_SEND_GOSSIP,
                                  .id = ids[i],
                                  .to_member = true,
                                  .to = ki_addr_of(ki_table_at(&k->table, ids[i]))});
}

/* Views are compared with who speaks kith; with others, or when it cannot be done now, whole states are exchanged. */
static void tick_exchange(struct kith *k, uint32_t id, const struct kith_addr *to, bool is_turn)
{
    if (id == KI_NO_MEMBER || !ki_sync_begin(k, id, is_turn))
        ki_stream_dial(k, to, KI_PURPOSE_SYNC, KI_SYNC_PERIODIC);
}

static void tick_push_pull(struct kith *k)
{
    uint64_t interval_us = (uint64_t)k->cfg.push_pull_interval_ms * 1000;
    k->push_pull_next_us = k->now.mono_us + ki_push_pull_us(interval_us, k->table.count);
    uint32_t id;
    if (ki_pick(k, KI_PICK_ALIVE, k->self, 1, &id) == 0)
        return;
    struct kith_addr to = ki_addr_of(ki_table_at(&k->table, id));
    tick_exchange(k, id, &to, true);
}

static void tick_reap(struct kith *k)
{
    uint64_t now_us = k->now.mono_us;
    k->reap_next_us = now_us + (uint64_t)k->cfg.reap_interval_ms * 1000;
    uint64_t intent_us = (uint64_t)k->cfg.intent_timeout_ms * 1000;
    if (now_us > intent_us)
        ki_intents_expire(&k->intents, now_us - intent_us);
    if (!k->cfg.stock)
        ki_leaving_check(k);
    if (k->table.by_state[KI_DEAD] + k->table.by_state[KI_LEFT] == 0)
        return;
    uint32_t reaped = 0;
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        if (!m || id == k->self || (m->state != KI_DEAD && m->state != KI_LEFT))
            continue;
        bool left = ki_about(k, id)->standing.status == KI_STATUS_LEFT;
        uint32_t after_ms = left ? k->cfg.tombstone_timeout_ms : k->cfg.reconnect_timeout_ms;
        if (now_us - m->changed_us <= (uint64_t)after_ms * 1000)
            continue;
        if (reaped++ == TICK_REAP_SLICE) {
            k->reap_next_us = now_us; /* go on at once */
            ki_count(k, KI_COUNT_slices);
            return;
        }
        ki_forget(k, id);
    }
}

/* Serf's choice: by what is said of members. */
static uint32_t tick_reconnect_stock(struct kith *k)
{
    uint32_t failed = 0, alive = 0, chosen = KI_NO_MEMBER;
    for (uint32_t id = 0; id < k->table.used; id++) {
        if (!ki_table_at(&k->table, id))
            continue;
        uint8_t status = ki_about(k, id)->standing.status;
        if (status == KI_STATUS_FAILED && ki_rng_below(&k->rng, ++failed) == 0)
            chosen = id;
        alive += status != KI_STATUS_FAILED && status != KI_STATUS_LEFT;
    }
    return failed > 0 && ki_rng_below(&k->rng, ki_max_u64(alive, 1)) < failed ? chosen : KI_NO_MEMBER;
}

/* One of the dead, if the dice say so: D of A + D.  Those left by an operator's word are among them, since that word may
 * have been said on one side of a partition. */
static uint32_t tick_reconnect_dice(struct kith *k)
{
    uint32_t dead = k->table.by_state[KI_DEAD];
    uint32_t alive = k->table.by_state[KI_ALIVE] + k->table.by_state[KI_SUSPECT];
    if (ki_rng_below(&k->rng, ki_max_u64(alive, 1)) >= dead)
        return KI_NO_MEMBER;
    uint64_t skip = ki_rng_below(&k->rng, dead);
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        if (m && m->state == KI_DEAD && skip-- == 0)
            return id;
    }
    return KI_NO_MEMBER;
}

/* While nobody is dead there is nothing to wake for; the first death may find the time long past.  For Serf somebody may
 * have failed who is not dead: who has said so itself, and whose intent to leave was lost. */
static uint64_t tick_reconnect_us(const struct kith *k)
{
    uint32_t gone = k->cfg.stock ? k->by_status[KI_STATUS_FAILED] : k->table.by_state[KI_DEAD];
    return gone == 0 ? KITH_NEVER : ki_max_u64(k->reconnect_next_us, k->now.mono_us);
}

/* Of A alive and D dead members, each of the A contacts one of the D in D of A intervals: so each dead one hears from
 * somebody about once an interval, however large the pool is, and one that is really gone costs the pool no more as it
 * grows.  When a partition heals, the first contact carries both sides' accusations across and everyone refutes.
 * Reconnecting must not take the streams that everything else needs. */
static void tick_reconnect(struct kith *k)
{
    k->reconnect_next_us = k->now.mono_us + (uint64_t)k->cfg.reconnect_interval_ms * 1000;
    uint32_t busy = k->stream_count - k->link_count;
    if ((k->cfg.stock && k->bare) || busy > k->cfg.streams_max / 2) /* memberlist alone has no such thing */
        return;
    uint32_t id = k->cfg.stock ? tick_reconnect_stock(k) : tick_reconnect_dice(k);
    if (id == KI_NO_MEMBER)
        return;
    struct kith_addr to = ki_addr_of(ki_table_at(&k->table, id));
    if (ki_stream_dial(k, &to, KI_PURPOSE_SYNC, KI_SYNC_RECONNECT) == 0)
        ki_count(k, KI_COUNT_reconnects);
}

/* The living member whose name comes next after ours, the first after the last: of members who agree about who lives,
 * each is the successor of one.  By the order of bytes; a look at each, no more often than there is a full exchange. */
static uint32_t tick_successor(const struct kith *k)
{
    struct ki_span own = ki_name_of(k->cfg.name), first = own, next = own;
    uint32_t first_id = KI_NO_MEMBER, next_id = KI_NO_MEMBER;
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        if (!m || m->state != KI_ALIVE || id == k->self)
            continue;
        struct ki_span name = ki_member_name(m);
        bool after = ki_span_compare(name, own) > 0;
        if (after && (next_id == KI_NO_MEMBER || ki_span_compare(name, next) < 0)) {
            next = name;
            next_id = id;
        } else if (!after && (first_id == KI_NO_MEMBER || ki_span_compare(name, first) < 0)) {
            first = name;
            first_id = id;
        }
    }
    return next_id != KI_NO_MEMBER ? next_id : first_id;
}

static void tick_again(struct kith *k)
{
    k->again_us = KITH_NEVER;
    struct kith_addr to = k->again_addr;
    uint32_t id = to.ip_len == 0 ? KI_NO_MEMBER : ki_find_addr(k, &to);
    if (to.ip_len == 0 && k->again_successor)
        id = tick_successor(k);
    else if (to.ip_len == 0 && ki_pick(k, KI_PICK_ALIVE, k->self, 1, &id) == 0)
        id = KI_NO_MEMBER;
    if (id != KI_NO_MEMBER)
        to = ki_addr_of(ki_table_at(&k->table, id));
    if (to.ip_len != 0)
        tick_exchange(k, id, &to, false);
    if (k->again_addr.ip_len != 0 && k->again_successor)
        ki_settle_changes(k); /* while this one waited: the successor is still to be visited */
    ki_settle_suspicions(k);
}

static void tick_failure_detection(struct kith *k)
{
    uint64_t now_us = k->now.mono_us;
    if (k->probe.deadline_us <= now_us)
        ki_probe_input(k, KI_PROBE_TIME);
    if (k->nack_wait.close_us <= now_us)
        tick_nacks_close(k);
    if (k->relay_count > 0)
        tick_relays(k);
    if (k->suspicion_next_us <= now_us)
        ki_suspicion_check(k);
    if (k->probe_next_us <= now_us && k->probe.state == KI_PROBE_IDLE)
        tick_probe_start(k);
}

void kith_tick(struct kith *k, struct kith_time now)
{
    ki_input(k, now);
    if (!ki_active(k))
        return;
    uint64_t now_us = k->now.mono_us;
    tick_failure_detection(k);
    ki_streams_tick(k);
    if (k->gossip_next_us <= now_us)
        tick_gossip(k);
    if (k->push_pull_next_us <= now_us)
        tick_push_pull(k);
    if (k->again_us <= now_us)
        tick_again(k);
    if (k->reap_next_us <= now_us)
        tick_reap(k);
    if (tick_reconnect_us(k) <= now_us)
        tick_reconnect(k);
    ki_sync_tick(k);
    ki_replica_tick(k);
    ki_asks_check(k);
    ki_messages_tick(k);
    ki_aggregates_tick(k);
    bool telling = k->life == KI_LIFE_LEAVE_INTENT || k->life == KI_LIFE_LEAVE_DEAD;
    if (telling && !ki_anyone_else(k))
        ki_leave_advance(k, false); /* the last others have gone: nobody is left to tell */
    if (k->leave_next_us <= now_us)
        ki_leave_advance(k, true);
}

uint64_t kith_deadline(const struct kith *k)
{
    if (!ki_active(k))
        return KITH_NEVER;
    if (KI_CANARY(SPIN) && k->probe.state != KI_PROBE_IDLE)
        return k->now.mono_us;
    uint64_t next = k->probe.state == KI_PROBE_IDLE ? k->probe_next_us : k->probe.deadline_us;
    const uint64_t due[] = {k->nack_wait.close_us, k->suspicion_next_us, k->gossip_next_us,
                            k->push_pull_next_us,  k->again_us,          k->reap_next_us,
                            tick_reconnect_us(k),  k->leave_next_us,     ki_streams_deadline(k),
                            ki_replica_deadline(k), ki_messages_deadline(k), ki_sync_deadline(k),
                            ki_aggregates_deadline(k)};
    for (size_t i = 0; i < KI_COUNT(due); i++)
        next = ki_min_u64(next, due[i]);
    for (uint32_t i = 0; i < k->relay_count; i++)
        next = ki_min_u64(next, ki_min_u64(k->relays[i].nack_us, k->relays[i].expire_us));
    for (uint32_t i = 0; i < k->ask_count; i++)
        next = ki_min_u64(next, k->asks[i].deadline_us);
    return next;
}
