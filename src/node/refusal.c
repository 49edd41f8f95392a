/* Refusals: what the operating system says of a process that has ended.
 *
 * Where a host lives and a process does not, the host answers for it: ICMP says that nobody listens at the port, TCP
 * resets a connection.  That is more than silence, and yet no verdict: a process that is restarting is refused as well,
 * and what one node hears may be forged or wrong.  So it counts only when two helpers, by pings of their own, are
 * refused in the same round: then the round ends at once, and accuses.  When a second such round, begun a probe interval
 * after the first or later, ends alike, the suspicion has lasted long enough: in between the process was gone, or it
 * would have answered, and the second ping would have told it of the accusation.
 *
 *   refused --> helpers --refused by 2--> suspect --an interval--> refused --> helpers --refused by 2--> dead
 *
 * An interval is longer than a supervisor and a start need (0.1 s and some tens of milliseconds), so that a process
 * which is restarted survives; and our own next probe comes no sooner anyway.  Where fewer than three members live
 * besides the accused, ourselves among them, nobody can agree so, and a suspicion lasts as long as ever.
 *
 * Invariants: nothing here shortens a suspicion but our own refusals together with those of helpers whom we asked; any
 * answer, a refutation or a pause of ours begins anew.
 *
 * Deliberately not here: failing sends and routers that know no way: they say nothing of the process. */
#include "node/node.h"

static uint32_t refusal_helpers(const struct kith *k)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < k->nack_wait.helper_count; i++)
        count += k->nack_wait.refused >> i & 1;
    return count;
}

static void refusal_weigh(struct kith *k)
{
    if (k->probe_refused && refusal_helpers(k) >= KI_REFUSAL_HELPERS) /* refused, so helpers of this probe have been asked */
        ki_probe_input(k, KI_PROBE_AGREED);
}

static void refusal_of_probe(struct kith *k, int error)
{
    if (!k->probe_refused)
        ki_count(k, KI_COUNT_probes_refused);
    k->probe_refused = k->probe_refused || error == KITH_ERR_REFUSED;
    ki_probe_input(k, KI_PROBE_REFUSED);
    refusal_weigh(k);
}

/* We ping for another, which understands what has happened: told at once, in place of a nack. */
static void refusal_of_relay(struct kith *k, struct ki_relay *relay)
{
    relay->nack_us = KITH_NEVER;
    ki_count(k, KI_COUNT_refusals_told);
    ki_send(k, KI_CLASS_REPLY,
            &(struct ki_send){
                .kind = KI_SEND_NACK, .seq = relay->their_seq, .refused = true, .to_member = true, .to = relay->asker});
}

void kith_datagram_refused(struct kith *k, struct kith_time now, const struct kith_addr *to, int error)
{
    ki_input(k, now);
    if (!ki_active(k) || k->cfg.stock)
        return;
    for (uint32_t i = 0; i < k->relay_count && error == KITH_ERR_REFUSED; i++) {
        struct ki_relay *relay = &k->relays[i];
        if (relay->asker_is_kith && relay->nack_us != KITH_NEVER && kith_addr_equal(&relay->target, to))
            refusal_of_relay(k, relay);
    }
    if (k->probe.state == KI_PROBE_IDLE)
        return;
    struct kith_addr target = ki_addr_of(ki_table_at(&k->table, k->probe_id));
    if (kith_addr_equal(&target, to))
        refusal_of_probe(k, error);
}

void ki_refused_stream(struct kith *k, uint32_t seq)
{
    if (!k->cfg.stock && k->probe.state != KI_PROBE_IDLE && k->probe_seq == seq)
        refusal_of_probe(k, KITH_ERR_REFUSED);
}

void ki_refused_helper(struct kith *k, uint32_t place)
{
    k->nack_wait.refused |= (uint32_t)1 << place;
    refusal_weigh(k);
}

void ki_refusal_agreed(struct kith *k)
{
    struct ki_suspicion *suspicion = ki_table_suspicion(&k->table, k->probe_id);
    ki_count(k, KI_COUNT_refusals_agreed);
    if (!suspicion || ki_table_at(&k->table, k->probe_id)->incarnation != k->probe_incarnation)
        return;
    ki_suspicion_refused(suspicion, k->probe.started_us, ki_scaled_interval_us(k));
    k->suspicion_next_us = ki_min_u64(k->suspicion_next_us, ki_suspicion_deadline_us(suspicion));
}

void ki_refusal_answered(struct kith *k)
{
    struct ki_suspicion *suspicion = ki_table_suspicion(&k->table, k->probe_id);
    if (suspicion)
        ki_suspicion_answered(suspicion);
}
