/* Checker "asks": answers come from members that gave them, each once, and every query ends once.
 *
 * Kept: for each query its ticket and whether it has ended; for each node and query, whether the node was told it in this
 * life, whether it has answered, and whether that answer, and its word that it has heard the query, were told to who asked.
 *
 * Deliberately not here: answers that are lost, and ends that found no room (counted in events_dropped). */
#include "sim/talk.h"

static void asks_query(kith_sim *s, struct sim_talk *t, uint32_t node, const struct kith_message *m)
{
    uint32_t ask = ki_sim_talk_token('q', m->payload), life = ki_sim_node_at(s, node)->lives;
    if (ask >= t->ask_count || t->asks[ask].void_ || ki_sim_talk_node(s, m->origin) != t->asks[ask].by) {
        ki_sim_violate(s, "asks", node, "it is asked \"%.*s\" by %.*s, who has not asked that", (int)m->name.len,
                       m->name.ptr, (int)m->origin.len, m->origin.ptr);
        return;
    }
    uint32_t *last = ki_sim_grid_at(&t->asked, node, ask);
    if (*last == life)
        ki_sim_violate(s, "asks", node, "it is asked q%u of %s twice", ask, ki_sim_name(s, t->asks[ask].by));
    *last = life;
}

static void asks_answer(kith_sim *s, struct sim_talk *t, uint32_t node, uint32_t ask, const struct kith_message *m)
{
    uint32_t from = ki_sim_talk_node(s, m->origin), flag = m->is_ack ? SIM_TOLD_ACK : SIM_TOLD_ANSWER;
    const char *what = m->is_ack ? "an acknowledgement" : "an answer";
    if (t->asks[ask].ended)
        ki_sim_violate(s, "asks", node, "%s to q%u comes after its end", what, ask);
    if (from == KITH_SIM_ALL) {
        ki_sim_violate(s, "asks", node, "%s to q%u is of \"%.*s\", who is nobody", what, ask, (int)m->origin.len,
                       m->origin.ptr);
        return;
    }
    uint32_t *flags = ki_sim_grid_at(&t->gave, from, ask);
    if (m->is_ack && !t->asks[ask].acks)
        ki_sim_violate(s, "asks", node, "q%u, which asks for none, is acknowledged", ask);
    if (!m->is_ack && (!(*flags & SIM_GAVE_ANSWER) || ki_sim_talk_token('a', m->payload) != ask))
        ki_sim_violate(s, "asks", node, "an answer to q%u is said to be of %s, who has not given it", ask,
                       ki_sim_name(s, from));
    if (*flags & flag)
        ki_sim_violate(s, "asks", node, "%s of %s to q%u comes twice", what, ki_sim_name(s, from), ask);
    *flags |= flag;
}

static void asks_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    (void)state;
    struct sim_talk *t = ki_sim_talk(s);
    if (!t->on)
        return;
    if (event->kind == KITH_EVENT_QUERY)
        asks_query(s, t, node, &event->message);
    bool ours = event->kind == KITH_EVENT_ANSWER || event->kind == KITH_EVENT_DONE;
    uint32_t ask = ours ? ki_sim_talk_ticket(s, t, node, event->ticket, true) : SIM_NO_TALK;
    if (ask == SIM_NO_TALK)
        return;
    if (event->kind == KITH_EVENT_ANSWER) {
        asks_answer(s, t, node, ask, &event->message);
        return;
    }
    if (t->asks[ask].ended)
        ki_sim_violate(s, "asks", node, "q%u ends twice", ask);
    t->asks[ask].ended = true;
}

/* Who is pruned though it lives, and met again, is another member to who asked: its word may come once more by a relay. */
static void asks_forgotten(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    (void)state;
    struct sim_talk *t = ki_sim_talk(s);
    uint32_t whom = ki_sim_member_node(s, m);
    for (uint32_t ask = 0; t->on && whom != KITH_SIM_ALL && ask < t->ask_count; ask++) {
        if (t->asks[ask].by == node && !t->asks[ask].ended)
            *ki_sim_grid_at(&t->gave, whom, ask) &= ~(uint32_t)(SIM_TOLD_ACK | SIM_TOLD_ANSWER);
    }
}

void ki_sim_asks_settle(kith_sim *s)
{
    const struct sim_talk *t = ki_sim_talk(s);
    for (uint32_t i = 0; i < t->ask_count; i++) {
        const struct sim_ask *a = &t->asks[i];
        const struct sim_node *n = ki_sim_node_at(s, a->by);
        if (!a->void_ && !a->ended && sim_runs(n) && n->lives == a->life &&
            ki_sim_counter(s, a->by, "events_dropped") == 0)
            ki_sim_violate(s, "asks", a->by, "q%u has not ended", i);
    }
}

const struct sim_checker ki_sim_check_asks = {
    .about = "answers come from members that gave them, each once, and every query ends once",
    .watch = {.name = "asks", .event = asks_event},
    .forgotten = asks_forgotten,
};
