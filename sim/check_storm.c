/* Checker "storm": no node sends and hears more datagrams in a second than a pool has reason for.
 *
 * Probing and gossip cost each node a few tens a second whatever the pool's size; mending a partition of hundreds, or all
 * that waited for a paused node, some thousands once.  Two nodes that answer each other's answers know no bound.
 *
 * Kept: for each node the second it is in, and how many datagrams it has handled in it. */
#include "sim/check.h"

#define STORM_MOST 20000

static void storm_count(kith_sim *s, void *state, uint32_t node)
{
    uint64_t *cell = ki_sim_column_at(state, node); /* second, then 32 bits of count */
    uint64_t second = s->now_us / KITH_SIM_SECOND;
    if (*cell >> 32 != second)
        *cell = second << 32;
    *cell += 1;
    if ((*cell & UINT32_MAX) > STORM_MOST)
        ki_sim_violate(s, "storm", node, "more than %d datagrams within a second", STORM_MOST);
}

static void storm_sent(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf, size_t len)
{
    (void)to;
    (void)buf;
    (void)len;
    storm_count(s, state, node);
}

static void storm_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_column_free(state);
}

const struct sim_checker ki_sim_check_storm = {
    .about = "no node handles more datagrams in a second than there is reason for",
    .watch = {.name = "storm",
              .state_size = sizeof(struct sim_column),
              .sent = storm_sent,
              .arrives = storm_sent,
              .end = storm_end},
};
