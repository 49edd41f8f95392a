/* Checker "deadline": a deadline that has come is served, so that no driver spins.
 *
 * Serving one may make another due at the same time; that chain is short.  Long work is cut into slices, and while
 * slices remain the deadline is at once: each of them is counted by the node (counter "slices"), so a tick at the same
 * time is either one of the chain or paid for by a slice.  Slices end too: even a view of a million members is a few
 * thousand of them.  A link asks for its next frame when the driver has taken the one before; what it sends pays for that.
 *
 * Kept: how many slices a node had counted when its clock last moved, and bytes sent on links. */
#include "sim/check.h"

#define DEADLINE_CHAIN 16       /* ticks at one time without a slice of work */
#define DEADLINE_SLICES 100000  /* and with any number of them */

#define DEADLINE_FRAME  512     /* bytes of a link's frame; small ones are one of the chain */

struct deadline_state {
    struct sim_column paid;
    size_t slices, bytes; /* indices of the counters, plus 1 */
};

static size_t deadline_counter(const char *name)
{
    size_t i = 0;
    while (i < kith_counter_count() && strcmp(kith_counter_name(i), name) != 0)
        i++;
    return i + 1;
}

static void deadline_drained(kith_sim *s, void *state, uint32_t node)
{
    struct deadline_state *d = state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (d->slices == 0) {
        d->slices = deadline_counter("slices");
        d->bytes = deadline_counter("link_bytes_out");
    }
    uint64_t *before = ki_sim_column_at(&d->paid, node);
    uint64_t all = kith_counter(n->k, d->slices - 1) + kith_counter(n->k, d->bytes - 1) / DEADLINE_FRAME;
    if (n->same_time_ticks == 0) {
        *before = all;
        return;
    }
    uint64_t paid = all - *before;
    if (n->same_time_ticks > DEADLINE_CHAIN + paid || n->same_time_ticks > DEADLINE_SLICES)
        ki_sim_violate(s, "deadline", node, "%u ticks at one time, with %llu slices or frames, and it is still due",
                       n->same_time_ticks, (unsigned long long)paid);
}

static void deadline_end(kith_sim *s, void *state)
{
    (void)s;
    struct deadline_state *d = state;
    ki_sim_column_free(&d->paid);
}

const struct sim_checker ki_sim_check_deadline = {
    .about = "deadlines never busy-loop",
    .watch = {.name = "deadline",
              .state_size = sizeof(struct deadline_state),
              .drained = deadline_drained,
              .end = deadline_end},
};
