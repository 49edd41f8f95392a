/* Checker "events": a program that only listens to events holds the same membership as the node itself.
 *
 * Kept: for each node and member what the last event said: its status, and whether it was under suspicion.  When a view
 * is walked all events have been taken, so each member must be as the last event about it said.
 * A member of which no event was told is not judged: kith_import_members() enters members without a word.  Nor is the
 * node itself, which changes by its own doing. */
#include "sim/check.h"

#define EVENTS_SUSPECT 16u

static uint32_t events_word(const struct kith_member *m)
{
    return (uint32_t)m->status | (m->state == KITH_STATE_SUSPECT ? EVENTS_SUSPECT : 0);
}

static void events_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    uint32_t whom = event->kind == KITH_EVENT_MEMBER ? ki_sim_member_node(s, &event->member) : KITH_SIM_ALL;
    if (whom == KITH_SIM_ALL)
        return;
    bool forgotten = (event->changed & KITH_CHANGED_REAPED) != 0;
    *ki_sim_grid_at(state, node, whom) = forgotten ? 0 : events_word(&event->member);
}

static void events_member(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    uint32_t whom = ki_sim_member_node(s, m);
    if (whom == KITH_SIM_ALL || m->is_self)
        return;
    uint32_t told = *ki_sim_grid_at(state, node, whom);
    if (told != 0 && told != events_word(m))
        ki_sim_violate(s, "events", node, "%s is of status %u%s, and the last event said %u%s", ki_sim_name(s, whom),
                       (unsigned)m->status, m->state == KITH_STATE_SUSPECT ? ", suspect" : "", told % EVENTS_SUSPECT,
                       told >= EVENTS_SUSPECT ? ", suspect" : "");
}

const struct sim_checker ki_sim_check_events = {
    .about = "whoever only listens to events holds the same membership",
    .watch = {.name = "events",
              .state_size = sizeof(struct sim_grid),
              .born = ki_sim_grid_born,
              .event = events_event,
              .end = ki_sim_grid_end},
    .member = events_member,
};
