/* Checker "left": a member that left comes back only by saying something new, that is with a higher incarnation.
 *
 * Kept: the incarnation with which an observer saw a member gone for good, said by itself or declared by an operator.
 * Left means left by either of the two words that kith has for it: failure detection's state and Serf's status.
 * An observer that has forgotten the member may believe an old story of it: nothing could tell it better.
 * Stock nodes do so on purpose, soon after a member has gone, and are not looked at. */
#include "sim/check.h"

static void left_member(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    uint32_t whom = ki_sim_member_node(s, m);
    if (whom == KITH_SIM_ALL || m->is_self || ki_sim_node_at(s, node)->config.stock)
        return;
    uint32_t *left = ki_sim_grid_at(state, node, whom);
    bool here = m->state == KITH_STATE_ALIVE || m->state == KITH_STATE_SUSPECT;
    if (!here && (m->state == KITH_STATE_LEFT || m->status == KITH_STATUS_LEFT))
        *left = m->incarnation;
    else if (here && *left && m->incarnation <= *left)
        ki_sim_violate(s, "left", node, "%s left with incarnation %u and is back with %u", ki_sim_name(s, whom), *left,
                       m->incarnation);
    else if (here)
        *left = 0;
}

const struct sim_checker ki_sim_check_left = {
    .about = "a member that left does not come back with the same incarnation",
    .watch = {.name = "left", .state_size = sizeof(struct sim_grid), .born = ki_sim_grid_born, .end = ki_sim_grid_end},
    .member = left_member,
    .forgotten = ki_sim_grid_forgotten,
};
