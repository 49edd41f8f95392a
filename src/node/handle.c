/* Messages -> state: probes and their answers, and user messages.  Rumours are in rumour.c.
 *
 * Nothing here lets a stranger aim us at a third party: an answer goes to the address inside a message only when that
 * is the datagram's source or the named member's own; an indirect ping goes only to a known member at its address.
 * And nothing lets him use us as an amplifier: news rides along only to members. */
#include "base/canary.h"
#include "node/node.h"
#include "node/replica.h"
#include "swim/timing.h"

#define HANDLE_ANSWER_MAX 22 /* bytes of an ack to a stranger, which says no coordinate; a nack is shorter */

static int handle_malformed(struct kith *k)
{
    ki_count(k, KI_COUNT_malformed);
    return KITH_ERR_MALFORMED;
}

/* Where an answer goes.  *member: it is a known member's address. */
static struct kith_addr handle_answer_to(struct kith *k, const struct kith_addr *from, struct ki_span source_node,
                                         struct ki_span source_addr, uint16_t source_port, bool *member)
{
    struct kith_addr claimed;
    uint32_t id = source_node.len ? ki_table_find(&k->table, source_node) : KI_NO_MEMBER;
    bool claims = ki_addr_from_span(source_addr, source_port, &claimed);
    *member = false;
    if (id != KI_NO_MEMBER) {
        struct kith_addr known = ki_addr_of(ki_table_at(&k->table, id));
        if (kith_addr_equal(&known, claims ? &claimed : from)) {
            *member = true;
            return known;
        }
    }
    if (claims && !kith_addr_equal(&claimed, from))
        ki_count(k, KI_COUNT_forged_reply_address);
    return *from;
}

int ki_handle_ping(struct kith *k, const struct kith_addr *from, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_ping ping = {0};
    if (!ki_decode_ping(&r, &ping))
        return handle_malformed(k);
    ki_count(k, KI_COUNT_pings_in);
    if (ping.node.len > 0 && !ki_span_equal(ping.node, ki_name_of(k->cfg.name)))
        return 0; /* meant for another that had our address */
    struct ki_send ack = {.kind = KI_SEND_ACK, .seq = ping.seq};
    ack.to = handle_answer_to(k, from, ping.source_node, ping.source_addr, ping.source_port, &ack.to_member);
    if (!ack.to_member && !ki_afford_answer(k, HANDLE_ANSWER_MAX))
        return 0;
    uint32_t id = ack.to_member && !k->cfg.stock ? ki_table_find(&k->table, ping.source_node) : KI_NO_MEMBER;
    ack.id = id;
    ack.coordinate = ack.to_member && ki_coordinates_on(k);
    ki_send(k, KI_CLASS_REPLY, &ack);
    /* one that we hold dead probes us: it is alive and does not know what is said of it */
    if (id != KI_NO_MEMBER && id != k->self && ki_table_at(&k->table, id)->state == KI_DEAD)
        ki_tell(k, id, &ack.to, false);
    for (int i = 0; i < 2 && KI_CANARY(ECHO); i++)
        ki_send(k, KI_CLASS_PROBE,
                &(struct ki_send){.kind = KI_SEND_RELAY_PING, .seq = ping.seq, .id = id, .to_member = true, .to = ack.to});
    return 0;
}

static struct ki_relay *handle_relay_new(struct kith *k)
{
    if (k->relay_count == k->relay_cap) {
        uint32_t cap = k->relay_cap ? k->relay_cap * 2 : 4;
        if (cap > k->cfg.relays_max)
            cap = k->cfg.relays_max;
        struct ki_relay *larger =
            cap > k->relay_cap ? ki_mem_resize(&k->mem, k->relays, cap * sizeof *larger) : NULL;
        if (!larger) {
            ki_count(k, KI_COUNT_relays_full);
            return NULL;
        }
        k->relays = larger;
        k->relay_cap = cap;
    }
    return &k->relays[k->relay_count++];
}

/* Only members are pinged, and only where they live: whoever asks for others must not aim us at anybody else. */
static bool handle_may_ping(const struct kith *k, uint32_t id, const struct ki_indirect_ping *ask,
                            struct kith_addr *target)
{
    if (id == KI_NO_MEMBER || !ki_addr_from_span(ask->target, ask->port, target))
        return false;
    struct kith_addr known = ki_addr_of(ki_table_at(&k->table, id));
    return kith_addr_equal(&known, target) || KI_CANARY(RELAY);
}

static bool handle_is_kith(const struct kith *k, struct ki_span name)
{
    uint32_t id = ki_table_find(&k->table, name);
    return id != KI_NO_MEMBER && ki_speaks_kith(ki_table_at(&k->table, id));
}

/* A target that we do not know is not pinged, but nacked all the same: the nack says that we hear the asker, and that
 * the target did not answer us.  Without it, the asker would blame itself for our silence. */
int ki_handle_indirect_ping(struct kith *k, const struct kith_addr *from, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_indirect_ping ask = {0};
    if (!ki_decode_indirect_ping(&r, &ask))
        return handle_malformed(k);
    ki_count(k, KI_COUNT_indirect_in);
    struct kith_addr target;
    uint32_t id = ki_table_find(&k->table, ask.node);
    bool fine = handle_may_ping(k, id, &ask, &target);
    if (!fine)
        ki_count(k, KI_COUNT_indirect_refused);
    if (!fine && (!ask.nack || k->cfg.stock))
        return 0;
    bool asker_known;
    struct kith_addr asker =
        handle_answer_to(k, from, ask.source_node, ask.source_addr, ask.source_port, &asker_known);
    if (!asker_known && !ki_afford_answer(k, 2 * HANDLE_ANSWER_MAX)) /* a nack, and a late ack after it */
        return 0;
    struct ki_relay *relay = handle_relay_new(k);
    if (!relay)
        return KITH_ERR_FULL;
    uint64_t interval_us = (uint64_t)k->cfg.probe_interval_ms * 1000;
    uint64_t timeout_us = (uint64_t)k->cfg.probe_timeout_ms * 1000;
    uint64_t wait_us = k->cfg.stock ? timeout_us : ki_nack_wait_us(interval_us, timeout_us);
    *relay = (struct ki_relay){.our_seq = (uint32_t)ki_crng_u64(&k->crng),
                               .their_seq = ask.seq,
                               .asker = asker,
                               .target = fine ? target : (struct kith_addr){.port = 0},
                               .asker_known = asker_known,
                               .asker_is_kith = asker_known && handle_is_kith(k, ask.source_node),
                               .want_nack = ask.nack,
                               .nack_us = ask.nack ? k->now.mono_us + wait_us : KITH_NEVER,
                               .expire_us = k->now.mono_us + interval_us};
    if (!fine)
        return 0;
    ki_count(k, KI_COUNT_pings_for_others);
    ki_send(k, KI_CLASS_PROBE,
            &(struct ki_send){
                .kind = KI_SEND_RELAY_PING, .seq = relay->our_seq, .id = id, .to_member = true, .to = target});
    return 0;
}

/* What the target itself has answered is measured, however late: else only quick answers would count. */
static void handle_measure(struct kith *k, const struct kith_addr *from)
{
    struct kith_addr target = ki_addr_of(ki_table_at(&k->table, k->probe_id));
    if (from && kith_addr_equal(from, &target))
        ki_round_trip_add(&k->round_trip, k->now.mono_us - k->probe.started_us);
}

void ki_ack_received(struct kith *k, uint32_t seq, const struct kith_addr *from)
{
    if (seq == k->probe_seq && k->probe.state != KI_PROBE_IDLE) {
        handle_measure(k, from);
        ki_probe_input(k, KI_PROBE_ACK);
        return;
    }
    for (uint32_t i = 0; i < k->relay_count; i++) {
        struct ki_relay relay = k->relays[i];
        if (relay.our_seq != seq)
            continue;
        k->relays[i] = k->relays[--k->relay_count];
        ki_send(k, KI_CLASS_REPLY,
                &(struct ki_send){.kind = KI_SEND_ACK,
                                  .seq = relay.their_seq,
                                  .to_member = relay.asker_known,
                                  .to = relay.asker});
        return;
    }
    ki_count(k, KI_COUNT_acks_late);
}

/* An ack is known by its sequence number alone, because a relayed one comes from a helper and a host with several
 * addresses may answer from another.  The number is 32 fresh random bits for each probe: it cannot be guessed. */
int ki_handle_ack(struct kith *k, const struct kith_addr *from, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_ack ack = {0};
    if (!ki_decode_ack(&r, &ack))
        return handle_malformed(k);
    ki_count(k, KI_COUNT_acks_in);
    if (ack.seq == k->probe_seq && k->probe.state == KI_PROBE_DIRECT) /* later, helpers may have been quicker */
        ki_coordinate_heard(k, ack.payload);
    ki_ack_received(k, ack.seq, from);
    return 0;
}

/* Which of the helpers that were asked says nack: its place, or KI_HELPERS_MAX. */
static uint32_t handle_nack_place(struct kith *k, const struct kith_addr *from)
{
    uint32_t id = ki_find_addr(k, from);
    for (uint32_t i = 0; id != KI_NO_MEMBER && i < k->nack_wait.helper_count; i++) {
        if (k->nack_wait.helpers[i] == id)
            return i;
    }
    return KI_HELPERS_MAX;
}

/* Nacks of the probe of one whose suspicion is open confirm, once each and from those who were asked; before the verdict
 * they wait for it, since the target may still answer.  Refusals are weighed at once. */
static void handle_nack_heed(struct kith *k, const struct kith_addr *from, bool refused)
{
    struct ki_nack_wait *wait = &k->nack_wait;
    bool confirms = wait->confirms != KI_NO_MEMBER;
    uint32_t place = confirms || refused ? handle_nack_place(k, from) : KI_HELPERS_MAX;
    if (place == KI_HELPERS_MAX)
        return;
    if (confirms && wait->failed)
        ki_suspicion_nacked(k, place);
    else if (confirms)
        wait->nacked |= (uint32_t)1 << place;
    if (refused)
        ki_refused_helper(k, place);
}

int ki_handle_nack(struct kith *k, const struct kith_addr *from, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_nack nack = {0};
    if (!ki_decode_nack(&r, &nack))
        return handle_malformed(k);
    ki_count(k, KI_COUNT_nacks_in);
    struct ki_nack_wait *wait = &k->nack_wait;
    if (wait->close_us == KITH_NEVER || wait->seq != nack.seq || wait->received >= wait->expected)
        return 0;
    wait->received++;
    handle_nack_heed(k, from, nack.refused && !k->cfg.stock);
    return 0;
}

int ki_handle_user(struct kith *k, const struct kith_addr *from, struct ki_span body)
{
    ki_count(k, KI_COUNT_user_messages_in);
    if (k->bare)
        return 0; /* another program's messages in a pool that is not Serf's */
    if (body.len > 0 && body.ptr[0] == KI_SERF_KITH && !k->cfg.stock)
        return ki_handle_kith(k, from, ki_span(body.ptr + 1, body.len - 1));
    return ki_handle_serf(k, body);
}
