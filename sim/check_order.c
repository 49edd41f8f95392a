/* Checker "order": events of one life of a member reach each hearer in the order of their numbers.
 *
 * Kept: for each hearer and voice (talk.h) the last number that was told.  Events without a number have no order, and
 * neither have those of different origins.
 *
 * Deliberately not here: numbers that are left out (check_gaps.c). */
#include "sim/talk.h"

static void order_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    const struct sim_talk *t = ki_sim_talk(s);
    uint32_t token = event->kind == KITH_EVENT_USER ? ki_sim_talk_token('e', event->message.payload) : SIM_NO_TALK;
    if (!t->on || token >= t->said_count || event->message.seq == 0 || t->said[token].seq == 0)
        return;
    uint32_t *last = ki_sim_grid_at(state, node, t->said[token].voice);
    if (t->said[token].seq <= *last)
        ki_sim_violate(s, "order", node, "it is told number %u of %s after number %u", t->said[token].seq,
                       ki_sim_name(s, t->said[token].by), *last);
    *last = t->said[token].seq;
}

const struct sim_checker ki_sim_check_order = {
    .about = "events of one origin are told in the order of their numbers",
    .watch = {.name = "order",
              .state_size = sizeof(struct sim_grid),
              .born = ki_sim_grid_born,
              .event = order_event,
              .end = ki_sim_grid_end},
};
