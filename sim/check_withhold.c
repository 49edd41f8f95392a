/* Checker "withhold": nothing of a write leaves a node that withholds before its disk has it.
 *
 * Looked at are others: what they show and its writer has not made durable has left too early.  A group that came to the
 * disk though its node did not live to hear of it counts as durable from the next life on, which shows it.
 *
 * Deliberately not here: what leaves and is not shown. */
#include "sim/truth.h"

void ki_sim_truth_withheld(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct sim_token *k = &t->tokens[i];
        if (k->by == node || !t->shown[i] || ki_sim_places[k->place].kind == SIM_PLACE_MEMBER)
            continue;
        if (ki_sim_node_at(s, k->by)->store->config.withhold && !ki_sim_truth_acked(s, t, i))
            ki_sim_violate(s, "withhold", node, "it shows w%u of %s, which the disk of %s has not", i,
                           ki_sim_places[k->place].key, ki_sim_name(s, k->by));
    }
}

const struct sim_checker ki_sim_check_withhold = {
    .about = "what a node withholds until it is durable is not seen elsewhere before",
    .watch = {.name = "withhold"},
};
