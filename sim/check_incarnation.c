/* Checker "incarnation": only a member raises its own incarnation, and no observer ever sees it fall.
 *
 * Kept: the highest one seen, for each observer and member.  A new life of the observer knows nothing, and one that has
 * forgotten a member may meet an older story of it.
 * A stock node forgets for failure detection whoever is gone, a little later, without saying so.
 * Deliberately not allowed for: memberlist's one exception, a name that begins again at another address.  Here every
 * node keeps its address. */
#include "sim/check.h"

static void incarnation_member(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    uint32_t whom = ki_sim_member_node(s, m);
    if (whom == KITH_SIM_ALL)
        return;
    uint32_t *seen = ki_sim_grid_at(state, node, whom);
    if (m->incarnation < *seen)
        ki_sim_violate(s, "incarnation", node, "the incarnation of %s fell from %u to %u", ki_sim_name(s, whom), *seen,
                       m->incarnation);
    bool forgets = ki_sim_node_at(s, node)->config.stock && m->state != KITH_STATE_ALIVE && m->state != KITH_STATE_SUSPECT;
    *seen = forgets ? 0 : m->incarnation;
}

const struct sim_checker ki_sim_check_incarnation = {
    .about = "no member's incarnation goes back at any observer",
    .watch = {.name = "incarnation",
              .state_size = sizeof(struct sim_grid),
              .born = ki_sim_grid_born,
              .end = ki_sim_grid_end},
    .member = incarnation_member,
    .forgotten = ki_sim_grid_forgotten,
};
