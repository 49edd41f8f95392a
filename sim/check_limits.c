/* Checker "limits": every gauge stays within its limit of kith_config.
 *
 * Reading the gauges costs a walk over the view, so it is done a few times a second of each node's, after whatever
 * input comes then: queues fill within one input, and a limit that is not kept is exceeded for as long as news flows.
 * Deliberately not here: limits without a gauge (replies, relays, intents), which the tests of hostile input fill. */
#include "sim/check.h"

#define LIMITS_LOOK_US (100 * KITH_SIM_MS)

static void limits_one(kith_sim *s, uint32_t node, const char *what, uint64_t value, uint64_t most)
{
    if (value > most)
        ki_sim_violate(s, "limits", node, "%s: %llu, limit %llu", what, (unsigned long long)value,
                       (unsigned long long)most);
}

static void limits_check(kith_sim *s, uint32_t node)
{
    struct kith_gauges g;
    const struct kith_config *c = &ki_sim_node_at(s, node)->config;
    kith_read_gauges(ki_sim_node_at(s, node)->k, &g);
    limits_one(s, node, "members", g.members, c->members_max);
    limits_one(s, node, "alive, failed and left members", (uint64_t)g.alive + g.failed + g.left, g.members);
    limits_one(s, node, "health", g.health_score, c->health_max - 1);
    limits_one(s, node, "news of members", g.queue_members, c->queue_max);
    limits_one(s, node, "news of intents", g.queue_intents, c->queue_max);
    limits_one(s, node, "news of events", g.queue_events, c->queue_max);
    limits_one(s, node, "news of queries", g.queue_queries, c->queue_max);
    limits_one(s, node, "streams", g.streams, c->streams_max);
    limits_one(s, node, "tickets", g.tickets, c->tickets_max);
    limits_one(s, node, "bytes held for streams", g.stream_bytes, c->stream_bytes_max);
    limits_one(s, node, "bytes of memory", g.memory_bytes, c->memory_max ? c->memory_max : UINT64_MAX);
}

static void limits_drained(kith_sim *s, void *state, uint32_t node)
{
    uint64_t *next_us = ki_sim_column_at(state, node);
    if (s->now_us < *next_us)
        return;
    *next_us = s->now_us + LIMITS_LOOK_US;
    limits_check(s, node);
}

static void limits_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_column_free(state);
}

const struct sim_checker ki_sim_check_limits = {
    .about = "every gauge stays within its limit",
    .watch = {.name = "limits",
              .state_size = sizeof(struct sim_column), /* when each is looked at next */
              .drained = limits_drained,
              .end = limits_end},
};
