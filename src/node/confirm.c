/* Who has an event of ours: each member of kith's kind says so when its application's queue has taken it.
 *
 * What each says, and the event itself, may be lost: those that have said nothing are sent it again, each gossip interval,
 * until all have, or the time is over.  Whoever has it already says so again.  A member that is gone is waited for no more;
 * one that came later never was.
 *
 * Invariant: a member counts only if it has said it itself, from its own address, for this life of ours.
 * Deliberately not here: what members of Serf's kind have; they cannot say. */
#include "base/canary.h"
#include "node/messages.h"

#define CONFIRM_ROUND_MAX 64 /* members that are sent it again in one round */

static void confirm_free(struct kith *k, struct ki_messages *m, struct ki_confirm *confirm)
{
    struct ki_confirm **at = &m->confirms;
    while (*at != confirm)
        at = &(*at)->next;
    *at = confirm->next;
    m->confirm_count--;
    ki_mem_free(&k->mem, confirm->states);
    ki_mem_free(&k->mem, confirm);
}

void ki_confirms_free(struct kith *k, struct ki_messages *m)
{
    while (m->confirms)
        confirm_free(k, m, m->confirms);
}

static bool confirm_lives(const struct ki_member *member)
{
    return member && (member->state == KI_ALIVE || member->state == KI_SUSPECT);
}

int ki_confirm_begin(struct kith *k, struct ki_messages *m, uint32_t timeout_ms, kith_ticket ticket)
{
    struct ki_confirm *confirm = ki_mem_new(&k->mem, sizeof *confirm);
    uint8_t *states = ki_mem_new(&k->mem, k->table.used);
    if (!confirm || !states) {
        ki_mem_free(&k->mem, confirm);
        ki_mem_free(&k->mem, states);
        ki_count(k, KI_COUNT_out_of_memory);
        ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_DONE, .ticket = ticket, .result = KITH_ERR_NOMEM});
        return 0; /* it has been sent: only who has it cannot be told */
    }
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        if (id != k->self && confirm_lives(member))
            states[id] = ki_speaks_kith(member) ? KI_CONFIRM_MISSING : KI_CONFIRM_UNABLE;
    }
    *confirm = (struct ki_confirm){.next = m->confirms,
                                   .ticket = ticket,
                                   .seq = m->seq,
                                   .deadline_us = k->now.mono_us + (uint64_t)timeout_ms * 1000,
                                   .again_us = k->now.mono_us + (uint64_t)k->cfg.gossip_interval_ms * 1000,
                                   .states = states,
                                   .cap = k->table.used};
    m->confirms = confirm;
    m->confirm_count++;
    return 0;
}

void ki_confirm_took(struct kith *k, uint32_t id, uint64_t boot, uint64_t seq)
{
    struct ki_messages *m = k->messages;
    for (struct ki_confirm *confirm = m->boot == boot ? m->confirms : NULL; confirm; confirm = confirm->next) {
        if (confirm->seq != seq || id >= confirm->cap || confirm->states[id] != KI_CONFIRM_MISSING)
            continue;
        confirm->states[id] = KI_CONFIRM_DONE;
        confirm->again_us = ki_min_u64(confirm->again_us, k->now.mono_us + 1); /* it may have been the last */
        return;
    }
}

void ki_confirm_forget(struct ki_messages *m, uint32_t id)
{
    for (struct ki_confirm *confirm = m->confirms; confirm; confirm = confirm->next) {
        if (id < confirm->cap && confirm->states[id] != KI_CONFIRM_DONE)
            confirm->states[id] = KI_CONFIRM_NONE; /* the id may soon be another's */
    }
}

/* Sends it again to those who have not said that they have it, beginning behind the last one of the round before: else some
 * that are down for good could keep it from those behind them.  Returns how many there are. */
static uint32_t confirm_again(struct kith *k, struct ki_messages *m, struct ki_confirm *confirm, bool send)
{
    struct ki_origin *origin = ki_origins_find(&m->origins, ki_name_of(k->cfg.name), m->boot);
    const struct ki_kept *kept = origin ? ki_origin_kept(origin, confirm->seq) : NULL;
    struct ki_letter *letter = NULL;
    uint8_t head[KI_KITH_EVENT_MAX];
    uint32_t missing = 0, sent = 0, begin = confirm->from;
    if (send && kept && kept->seq == confirm->seq)
        letter = kept->len + 1 <= ki_message_room(k)
                     ? ki_letter_new(k, ki_span(kept->bytes, kept->len))
                     : ki_letter_new(k, ki_span(head, ki_numbered_head(origin, head, sizeof head)));
    for (uint32_t i = 0; i < confirm->cap; i++) {
        uint32_t id = (begin + i) % confirm->cap;
        const struct ki_member *member = ki_table_at(&k->table, id);
        if (confirm->states[id] != KI_CONFIRM_MISSING || !confirm_lives(member))
            continue;
        struct kith_addr to = ki_addr_of(member);
        missing++;
        if (!letter || sent == CONFIRM_ROUND_MAX)
            continue;
        (void)ki_letter_send(k, letter, &to, id);
        confirm->from = id + 1;
        sent++;
    }
    ki_letter_drop(k, letter);
    return missing;
}

static void confirm_end(struct kith *k, struct ki_messages *m, struct ki_confirm *confirm, uint32_t missing)
{
    uint32_t confirmed = 1; /* ourselves */
    for (uint32_t id = 0; id < confirm->cap; id++) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        confirmed += confirm->states[id] == KI_CONFIRM_DONE ||
                     (KI_CANARY(VOUCH) && confirm->states[id] == KI_CONFIRM_MISSING);
        bool unable = confirm->states[id] == KI_CONFIRM_UNABLE;
        if (!confirm_lives(member) || (!unable && confirm->states[id] != KI_CONFIRM_MISSING))
            continue;
        struct ki_span name = ki_member_name(member);
        struct kith_event event = {.kind = KITH_EVENT_UNCONFIRMED,
                                   .ticket = confirm->ticket,
                                   .result = unable ? KITH_ERR_VERSION : KITH_ERR_TIMEOUT,
                                   .message = {.origin = {(const char *)name.ptr, name.len}, .seq = confirm->seq}};
        (void)ki_message_put(k, &event); /* counted, if it is lost */
    }
    ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_DONE,
                                       .ticket = confirm->ticket,
                                       .result = missing ? KITH_ERR_TIMEOUT : 0,
                                       .count = confirmed});
    confirm_free(k, m, confirm);
}

void ki_confirms_check(struct kith *k, struct ki_messages *m)
{
    uint64_t now_us = k->now.mono_us, interval_us = (uint64_t)k->cfg.gossip_interval_ms * 1000;
    for (struct ki_confirm *confirm = m->confirms, *next; confirm; confirm = next) {
        next = confirm->next;
        if (ki_min_u64(confirm->again_us, confirm->deadline_us) > now_us)
            continue;
        bool over = confirm->deadline_us <= now_us, due = confirm->resend_us <= now_us;
        uint32_t missing = confirm_again(k, m, confirm, !over && due);
        if (missing == 0 || over) {
            confirm_end(k, m, confirm, missing);
            continue;
        }
        if (due)
            confirm->resend_us = now_us + interval_us;
        confirm->again_us = confirm->resend_us;
    }
}

uint64_t ki_confirms_deadline(const struct ki_messages *m)
{
    uint64_t next = KITH_NEVER;
    for (const struct ki_confirm *confirm = m->confirms; confirm; confirm = confirm->next)
        next = ki_min_u64(next, ki_min_u64(confirm->again_us, confirm->deadline_us));
    return next;
}
