/* Checker "quiet": where nothing goes wrong, nobody is ever suspected.
 *
 * A world is calm while no fault has been made, its links lose and change nothing, and the slowest round trip, even of a
 * helper's detour, is well below every node's probe timeout.  Duplicates and reordering within that time are no excuse:
 * the protocol must bear them.  Nor is a graceful leave, which is not a fault of anybody; but the one that has left may be
 * suspected by whom the news of it has missed, as gossip does now and then.
 *
 * Kept: whether a fault was made.  From then on this checker says nothing. */
#include "sim/check.h"

struct quiet_state {
    bool faulty;
};

static bool quiet_link(const struct kith_sim_link *link, uint32_t probe_timeout_ms)
{
    uint64_t late_us = link->reorder_ppm ? link->reorder_us : 0;
    uint64_t detour_us = 4 * ((uint64_t)link->latency_max_us + late_us);
    return link->tail_us == 0 && link->loss_ppm == 0 && link->corrupt_ppm == 0 && link->mtu == 0 &&
           link->bandwidth == 0 && detour_us < (uint64_t)probe_timeout_ms * KITH_SIM_MS;
}

static bool quiet_calm(const kith_sim *s, const struct quiet_state *q, uint32_t node)
{
    return !q->faulty && quiet_link(&s->cfg.link, ki_sim_node_at(s, node)->config.probe_timeout_ms);
}

static void quiet_fault(kith_sim *s, void *state)
{
    (void)s;
    struct quiet_state *q = state;
    q->faulty = true;
}

/* To a stock node a leaver has failed until it hears the leave intent, which may come after the death notice. */
static bool quiet_fails(const kith_sim *s, uint32_t node, bool failed)
{
    return failed && !ki_sim_node_at(s, node)->config.stock;
}

/* By the member's own word, or silence. */
static bool quiet_gone(kith_sim *s, const struct kith_member *m)
{
    uint32_t whom = ki_sim_member_node(s, m);
    if (whom == KITH_SIM_ALL || !ki_sim_node_at(s, whom)->k)
        return true;
    struct kith_member self;
    kith_self(ki_sim_node_at(s, whom)->k, &self);
    return self.status != KITH_STATUS_ALIVE;
}

static void quiet_member(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    bool accused = m->state == KITH_STATE_SUSPECT || quiet_fails(s, node, m->status == KITH_STATUS_FAILED);
    if (accused && quiet_calm(s, state, node) && !quiet_gone(s, m))
        ki_sim_violate(s, "quiet", node, "it suspects %.*s, and nothing has gone wrong", (int)m->name.len, m->name.ptr);
}

static void quiet_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    bool accused = event->kind == KITH_EVENT_MEMBER &&
                   ((event->changed & KITH_CHANGED_SUSPECT) != 0 ||
                    quiet_fails(s, node, (event->changed & KITH_CHANGED_FAILED) != 0));
    if (accused && quiet_calm(s, state, node) && !quiet_gone(s, &event->member))
        ki_sim_violate(s, "quiet", node, "it suspected %.*s, and nothing has gone wrong", (int)event->member.name.len,
                       event->member.name.ptr);
}

const struct sim_checker ki_sim_check_quiet = {
    .about = "no faults and no loss: no suspicion, ever",
    .watch = {.name = "quiet",
              .state_size = sizeof(struct quiet_state),
              .event = quiet_event,
              .fault = quiet_fault},
    .member = quiet_member,
};
