/* Checker "once": an event is told at most once to each life of a member, and as it was said.
 *
 * Kept: for each node and event the last of its lives that was told it.  With a number an event comes with its own and its
 * sender's name; without one only if it is of a member of Serf's kind, or came by way of one, whose full states tell events
 * without their numbers, and without whether they may be coalesced.  In such a pool an event is known again no longer than
 * members of Serf's kind know it.  These know no numbers, and are not told what is for kith's kind only, but by a stranger
 * who has overheard it and tells them again; then they tell it to all.
 *
 * Here is also what the checkers of events share (talk.h).  Only what the workload says is known; what else is told is not
 * looked at in a world without it.
 * Deliberately not here: order, and what is missing. */
#include "sim/talk.h"

#define ONCE_WINDOW 512 /* Serf's, in Lamport time: so long an event without a number is known again */

static bool once_numbers(kith_sim *s, const struct sim_talk *t, uint32_t node, const struct sim_said *said,
                         const struct kith_message *m)
{
    bool stock = ki_sim_talk_is_stock(s, node);
    if (m->seq == 0)
        return m->origin.len == 0 && (said->seq == 0 || (t->stock && (!said->kith_only || s->injected)));
    return !stock && m->seq == said->seq && m->seq_last == m->seq && ki_sim_talk_node(s, m->origin) == said->by &&
           m->kith_only == said->kith_only;
}

static void once_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    struct sim_talk *t = state;
    const struct kith_message *m = &event->message;
    if (!t->on || event->kind != KITH_EVENT_USER)
        return;
    uint32_t token = ki_sim_talk_token('e', m->payload);
    struct sim_said *said = token < t->said_count ? &t->said[token] : NULL;
    bool alike = said && said->len == m->payload.len && (m->coalesce == said->coalesce || (m->seq == 0 && !m->coalesce));
    if (!alike || said->void_) {
        ki_sim_violate(s, "once", node, "it is told of \"%.*s\", %zu bytes, which nobody has sent so", (int)m->name.len,
                       m->name.ptr, m->payload.len);
        return;
    }
    if (!once_numbers(s, t, node, said, m))
        ki_sim_violate(s, "once", node, "e%u of %s, its number %u, is told as number %llu of \"%.*s\"%s", token,
                       ki_sim_name(s, said->by), said->seq, (unsigned long long)m->seq, (int)m->origin.len,
                       m->origin.ptr, said->kith_only ? ", and is for kith's kind only" : "");
    bool forgotten = t->stock && t->ltime >= said->ltime + ONCE_WINDOW;
    if (ki_sim_talk_was_told(t, node, token, ki_sim_node_at(s, node)->lives) && !forgotten)
        ki_sim_violate(s, "once", node, "e%u of %s, its number %u, is told twice", token, ki_sim_name(s, said->by),
                       said->seq);
    ki_sim_talk_heard(s, t, node, said, m->ltime);
}

static void once_born(kith_sim *s, void *state, uint32_t node)
{
    ki_sim_talk_born(s, state, node);
}

static void once_told(kith_sim *s, void *state, uint32_t node, const struct kith_addr *addr)
{
    (void)addr;
    ki_sim_talk_joins(s, state, node);
}

static void once_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_talk_free(state);
}

const struct sim_checker ki_sim_check_once = {
    .about = "an event is told once to each life of a member, and as it was sent",
    .watch = {.name = "once",
              .state_size = sizeof(struct sim_talk),
              .born = once_born,
              .told = once_told,
              .event = once_event,
              .end = once_end},
};
