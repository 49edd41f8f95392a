/* Checker "deadline": a deadline that has come is served, so that no driver spins.
 *
 * Serving one may make another due at the same time; that chain is short.  Long work is cut into slices, and while
 * slices remain the deadline is at once: each of them is counted by the node (counter "slices"), so a tick at the same
 * time is either one of the chain or paid for by a slice.  Slices end too: even a view of a million members is a few
 * thousand of them.
 *
 * Kept: how many slices a node had counted when its clock last moved. */
#include "sim/check.h"

#define DEADLINE_CHAIN 16       /* ticks at one time without a slice of work */
#define DEADLINE_SLICES 100000  /* and with any number of them */

struct deadline_state {
    struct sim_column slices;
    size_t counter; /* index of "slices", plus 1 */
};

static size_t deadline_counter(void)
{
    size_t i = 0;
    while (i < kith_counter_count() && strcmp(kith_counter_name(i), "slices") != 0)
        i++;
    return i + 1;
}

static void deadline_drained(kith_sim *s, void *state, uint32_t node)
{
    struct deadline_state *d = state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (d->counter == 0)
        d->counter = deadline_counter();
    uint64_t *before = ki_sim_column_at(&d->slices, node);
    uint64_t slices = kith_counter(n->k, d->counter - 1);
    if (n->same_time_ticks == 0) {
        *before = slices;
        return;
    }
    uint64_t paid = slices - *before;
    if (n->same_time_ticks > DEADLINE_CHAIN + paid || n->same_time_ticks > DEADLINE_SLICES)
        ki_sim_violate(s, "deadline", node, "%u ticks at one time, with %llu slices of work, and its deadline is still now",
                       n->same_time_ticks, (unsigned long long)paid);
}

static void deadline_end(kith_sim *s, void *state)
{
    (void)s;
    struct deadline_state *d = state;
    ki_sim_column_free(&d->slices);
}

const struct sim_checker ki_sim_check_deadline = {
    .about = "deadlines never busy-loop",
    .watch = {.name = "deadline",
              .state_size = sizeof(struct deadline_state),
              .drained = deadline_drained,
              .end = deadline_end},
};
