/* Checker "self": whatever others say, a node that is not leaving holds itself alive.
 *
 * Looked at after every input: a node that believed its own death for an instant would have told others.  One that
 * leaves is on its way from alive to left, and nothing is asked of it here; whether it was asked to leave it says
 * itself, by its gauges, which cost a walk over its view and are read only when there is something to excuse. */
#include "sim/check.h"

static void self_drained(kith_sim *s, void *state, uint32_t node)
{
    (void)state;
    struct kith_member m;
    const kith *k = ki_sim_node_at(s, node)->k;
    kith_self(k, &m);
    if (m.state == KITH_STATE_ALIVE && m.status == KITH_STATUS_ALIVE)
        return;
    struct kith_gauges g;
    kith_read_gauges(k, &g);
    if (!g.leaving)
        ki_sim_violate(s, "self", node, "it believes itself gone: state %d, status %d, incarnation %u", (int)m.state,
                       (int)m.status, m.incarnation);
}

const struct sim_checker ki_sim_check_self = {
    .about = "no node believes itself dead, unless it is leaving",
    .watch = {.name = "self", .drained = self_drained},
};
