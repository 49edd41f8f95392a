/* Reading aggregates: what is asked is checked here, and then one engine answers.
 *
 *   the schema says EXACT, or AUTO in a pool that is not too large     the exact engine
 *   it says NETWORK, or AUTO in a larger pool                          the network engine
 *   whoever reads asks for one of them                                 that one, if it has the contributions
 *
 * Invariant: an engine is asked for a schema that it has, with arguments in their ranges.
 * Deliberately not here: the answers. */
#include "node/aggregate.h"

/* What is read, and by which engine. */
struct read {
    struct ki_aggregate_group group;
    const struct ki_engine *engine;
};

static int read_input(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                      struct read *read)
{
    ki_input(k, now);
    struct ki_aggregates *a = k->aggregates;
    if (!ki_active(k) || k->bare || k->cfg.stock)
        return KITH_ERR_STATE;
    if ((unsigned)engine > KITH_ENGINE_NETWORK)
        return KITH_ERR_ARG;
    *read = (struct read){.engine = NULL};
    if (a)
        read->group = ki_aggregates_group(k, a, ki_name_of(name));
    if (!read->group.schema)
        return KITH_ERR_NOT_FOUND;
    bool is_exact = ki_aggregates_exact(a, read->group.schema);
    if (engine == KITH_ENGINE_AUTO)
        engine = is_exact ? KITH_ENGINE_EXACT : KITH_ENGINE_NETWORK;
    if (engine == KITH_ENGINE_EXACT && !is_exact)
        return KITH_ERR_STATE;
    read->engine = a->engines[engine];
    return read->engine ? 0 : KITH_ERR_STATE;
}

int kith_aggregate_read(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                        struct kith_aggregate_answer *out)
{
    struct read read;
    int error = read_input(k, now, name, engine, &read);
    if (error)
        return error;
    *out = (struct kith_aggregate_answer){.conflicts = read.group.conflicts};
    return read.engine->read(k, read.group.schema, out);
}

int kith_aggregate_quantile(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine, double q,
                            double *value, double *rank_error)
{
    struct read read;
    int error = q >= 0 && q <= 1 ? read_input(k, now, name, engine, &read) : KITH_ERR_ARG;
    return error ? error : read.engine->quantile(k, read.group.schema, q, value, rank_error);
}

static bool read_rises(const double *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(i == 0 ? bounds[i] <= bounds[i] : bounds[i - 1] < bounds[i])) /* what is no number is not even itself */
            return false;
    }
    return true;
}

int kith_aggregate_histogram(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                             const double *bounds, size_t count, double *counts)
{
    struct read read;
    int error = read_rises(bounds, count) ? read_input(k, now, name, engine, &read) : KITH_ERR_ARG;
    return error ? error : read.engine->histogram(k, read.group.schema, bounds, count, counts);
}

int kith_aggregate_list(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                        bool from_largest, size_t first, struct kith_place *out, size_t cap, size_t *count)
{
    struct read read;
    int error = read_input(k, now, name, engine, &read);
    return error ? error : read.engine->list(k, read.group.schema, from_largest, first, out, cap, count);
}

int kith_aggregate_rank(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                        struct kith_str member, struct kith_rank *out)
{
    struct read read;
    int error = read_input(k, now, name, engine, &read);
    struct ki_span whom = ki_name_of(member.ptr ? member : k->cfg.name);
    return error ? error : read.engine->rank(k, read.group.schema, whom, out);
}

int kith_aggregate_pick(struct kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                        struct kith_place *out, size_t cap, size_t *count)
{
    struct read read;
    int error = read_input(k, now, name, engine, &read);
    return error ? error : read.engine->pick(k, read.group.schema, out, cap, count);
}
