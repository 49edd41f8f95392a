/* Aggregates for a stand-in of the agent: "empty", to which nobody contributes, "load", the agent's own, with three members,
 * and "many", which only the network engine knows.  It defines what agent.h declares, so one program includes it, once. */
#ifndef KI_TEST_SOME_AGGREGATES_H
#define KI_TEST_SOME_AGGREGATES_H

#include <math.h>
#include <string.h>

#include "agent/agent.h"
#include "base/base.h"

static const struct some_place {
    const char *member;
    double value;
} some_places[] = {{"three", 0.5}, {"one", 1}, {"two", 3}};

static inline struct kith_str some_str(const char *text)
{
    return (struct kith_str){text, strlen(text)};
}

static inline bool some_is(struct kith_str name, const char *text)
{
    return ki_span_equal(ki_span(name.ptr, name.len), ki_span(text, strlen(text)));
}

bool ki_agent_aggregate_next(struct ki_agent *a, size_t *cursor, struct kith_aggregate *out)
{
    static const char *const names[] = {"empty", "load", "many"};
    (void)a;
    if (*cursor == KI_COUNT(names))
        return false;
    *out = (struct kith_aggregate){.name = some_str(names[*cursor])};
    kith_schema_init(&out->schema);
    if (*cursor == 1) {
        out->schema.unit = some_str("per core");
        out->schema.min = 0;
        out->schema.max = 8;
        out->schema.step = 0.25;
        out->is_open = out->has_own = true;
        out->own = 1;
        out->contributors = 3;
        out->conflicts = 2;
    }
    out->schema.engine = *cursor == 2 ? KITH_ENGINE_NETWORK : KITH_ENGINE_AUTO;
    ++*cursor;
    return true;
}

int ki_agent_aggregate_find(struct ki_agent *a, struct kith_str name, struct kith_aggregate *out)
{
    for (size_t cursor = 0; ki_agent_aggregate_next(a, &cursor, out);) {
        if (ki_span_equal(ki_span(name.ptr, name.len), ki_span(out->name.ptr, out->name.len)))
            return 0;
    }
    return KITH_ERR_NOT_FOUND;
}

int ki_agent_aggregate_read(struct ki_agent *a, struct kith_str name, enum kith_engine engine,
                            struct kith_aggregate_answer *out)
{
    struct kith_aggregate known;
    if (ki_agent_aggregate_find(a, name, &known) != 0)
        return KITH_ERR_NOT_FOUND;
    bool many = some_is(name, "many"), load = some_is(name, "load");
    if (many ? engine == KITH_ENGINE_EXACT : engine == KITH_ENGINE_NETWORK)
        return KITH_ERR_STATE;
    *out = (struct kith_aggregate_answer){.engine = many ? KITH_ENGINE_NETWORK : KITH_ENGINE_EXACT,
                                          .converged = !many,
                                          .coverage_ppm = 1000000,
                                          .age_us = 1500999};
    if (load || many) {
        out->count = many ? 5000.75 : 3;
        out->sum = 4.5;
        out->average = 1.5;
        out->variance = 1.25;
        out->min = 0.5;
        out->max = 3;
        out->error = 0.25;
        out->effective_n = 3;
        out->conflicts = known.conflicts;
    }
    return 0;
}

int ki_agent_aggregate_quantile(struct ki_agent *a, struct kith_str name, enum kith_engine engine, double q, double *value,
                                double *rank_error)
{
    (void)a, (void)name;
    double place = ceil(q * KI_COUNT(some_places));
    *value = some_places[place < 1 ? 0 : (size_t)place - 1].value;
    *rank_error = engine == KITH_ENGINE_NETWORK ? 0.125 : 0;
    return 0;
}

int ki_agent_aggregate_list(struct ki_agent *a, struct kith_str name, enum kith_engine engine, bool from_largest,
                            struct kith_place *out, size_t cap, size_t *count)
{
    (void)a, (void)name, (void)engine;
    *count = ki_min_size(cap, KI_COUNT(some_places));
    for (size_t i = 0; i < *count; i++) {
        size_t at = from_largest ? KI_COUNT(some_places) - 1 - i : i;
        out[i] = (struct kith_place){.member = some_str(some_places[at].member), .value = some_places[at].value, .rank = at};
    }
    return 0;
}

bool ki_agent_gauge_is_own(const struct ki_agent *a, struct kith_str name)
{
    (void)a;
    return some_is(name, "load");
}

#endif
