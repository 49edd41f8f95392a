/* Asks about aggregates: gauges that are set through a door, and readings.
 *
 * A gauge that a door sets lives as long as the agent, and nothing of it is written down: whoever sets it, sets it again.
 * Who names no schema takes the one that the pool has already, so that the second member need not repeat what the first one
 * has said, and does not become a conflict by forgetting it.
 *
 * A reading may start the network engine in the whole pool, so the driver is kicked after it.
 *
 * Not here: the agent's own gauges (gauges.c), and what doors make of answers. */
#include "agent/internal.h"

#include "base/base.h"

#include <string.h>

bool ki_agent_aggregate_next(struct ki_agent *agent, size_t *cursor, struct kith_aggregate *out)
{
    return kith_aggregate_next(agent->k, cursor, out);
}

int ki_agent_aggregate_find(struct ki_agent *agent, struct kith_str name, struct kith_aggregate *out)
{
    return kith_aggregate_find(agent->k, name, out);
}

int ki_agent_aggregate_read(struct ki_agent *agent, struct kith_str name, enum kith_engine engine,
                            struct kith_aggregate_answer *out)
{
    int result = kith_aggregate_read(agent->k, ki_net_now(), name, engine, out);
    ki_net_kick(agent->net);
    return result;
}

int ki_agent_aggregate_quantile(struct ki_agent *agent, struct kith_str name, enum kith_engine engine, double q,
                                double *value, double *rank_error)
{
    return kith_aggregate_quantile(agent->k, ki_net_now(), name, engine, q, value, rank_error);
}

int ki_agent_aggregate_list(struct ki_agent *agent, struct kith_str name, enum kith_engine engine, bool from_largest,
                            struct kith_place *out, size_t cap, size_t *count)
{
    return kith_aggregate_list(agent->k, ki_net_now(), name, engine, from_largest, 0, out, cap, count);
}

/* ---- gauges ---- */

/* Opens it by the pool's schema, or the defaults.  What the core lends is copied: it is gone with the next call. */
static int ask_aggregate_open(struct ki_agent *agent, struct kith_str name, const struct kith_aggregate *known)
{
    struct kith_schema schema;
    char unit[KITH_UNIT_MAX];
    kith_schema_init(&schema);
    if (known) {
        KI_ASSERT(known->schema.unit.len <= sizeof unit);
        schema = known->schema;
        if (schema.unit.len > 0)
            memcpy(unit, schema.unit.ptr, schema.unit.len);
        schema.unit.ptr = unit;
    }
    return kith_aggregate_open(agent->k, ki_net_now(), name, &schema);
}

int ki_agent_gauge_set(struct ki_agent *agent, struct kith_str name, double value, const struct kith_schema *schema)
{
    struct kith_aggregate known;
    if (ki_agent_gauge_is_own(agent, name))
        return KITH_ERR_REFUSED;
    bool is_known = kith_aggregate_find(agent->k, name, &known) == 0;
    bool was_open = is_known && known.is_open;
    int result = 0;
    if (schema)
        result = kith_aggregate_open(agent->k, ki_net_now(), name, schema);
    else if (!was_open)
        result = ask_aggregate_open(agent, name, is_known ? &known : NULL);
    if (result == 0) {
        result = kith_aggregate_set(agent->k, ki_net_now(), name, value);
        if (result != 0 && !was_open)
            (void)kith_aggregate_close(agent->k, ki_net_now(), name);
    }
    ki_net_kick(agent->net);
    return result;
}

int ki_agent_gauge_clear(struct ki_agent *agent, struct kith_str name)
{
    if (ki_agent_gauge_is_own(agent, name))
        return KITH_ERR_REFUSED;
    int result = kith_aggregate_close(agent->k, ki_net_now(), name);
    ki_net_kick(agent->net);
    return result;
}
