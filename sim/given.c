/* What members give to aggregates, as given.h has it.
 *
 * A few aggregates under names that all know: of every engine, with and without a step, one of values from thousandths to
 * 10^15, and one whose name means two things.
 *
 * What a life has given ends with it.  The rows go on through all lives, since others may still show what an ended one
 * gave.
 * Deliberately not here: what is wrong. */
#include "sim/given.h"

const struct sim_aggregate ki_sim_aggregates[SIM_AGGREGATES] = {
    {.name = "load", .units = {""}, .min = 0, .max = 1, .interval_ms = 1000, .engine = KITH_ENGINE_AUTO},
    {.name = "bytes", .units = {"B"}, .min = -1e15, .max = 1e15, .interval_ms = 1000, .engine = KITH_ENGINE_EXACT,
     .wide = true},
    {.name = "heat", .units = {"C"}, .min = -50, .max = 150, .step = 2.5, .interval_ms = 2000, .engine = KITH_ENGINE_EXACT},
    {.name = "delay", .units = {"s", "ms"}, .min = 0, .max = 10, .interval_ms = 1000, .engine = KITH_ENGINE_AUTO},
    {.name = "depth", .units = {""}, .min = 0, .max = 1e6, .interval_ms = 1000, .engine = KITH_ENGINE_NETWORK},
    {.name = "rate", .units = {"Hz"}, .min = -1000, .max = 1000, .step = 5, .interval_ms = 1500,
     .engine = KITH_ENGINE_NETWORK},
};

struct kith_str ki_sim_aggregate_name(uint32_t aggregate)
{
    const char *name = ki_sim_aggregates[aggregate].name;
    return (struct kith_str){name, strlen(name)};
}

void ki_sim_aggregate_schema(uint32_t aggregate, unsigned meaning, struct kith_schema *out)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[aggregate];
    kith_schema_init(out);
    out->unit = (struct kith_str){a->units[meaning], strlen(a->units[meaning])};
    out->min = a->min;
    out->max = a->max;
    out->step = a->step;
    out->interval_ms = a->interval_ms;
    out->engine = a->engine;
}

unsigned ki_sim_aggregate_meaning(uint32_t aggregate, const struct kith_schema *schema)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[aggregate];
    unsigned meaning = 0;
    bool same = schema->min == a->min && schema->max == a->max && schema->step == a->step &&
                schema->interval_ms == a->interval_ms && schema->engine == a->engine;
    while (meaning < SIM_MEANINGS && (!a->units[meaning] || strlen(a->units[meaning]) != schema->unit.len ||
                                      memcmp(a->units[meaning], schema->unit.ptr, schema->unit.len) != 0))
        meaning++;
    return same ? meaning : SIM_MEANINGS;
}

struct sim_givens *ki_sim_givens(kith_sim *s)
{
    return ki_sim_observer_state(s, &ki_sim_check_places.watch);
}

void ki_sim_givens_free(struct sim_givens *t)
{
    for (uint32_t i = 0; i < t->nodes * SIM_AGGREGATES; i++)
        free(t->given[i].list);
    for (uint32_t a = 0; a < SIM_AGGREGATES; a++) {
        ki_sim_grid_free(&t->next[a]);
        ki_sim_grid_free(&t->seen[a]);
    }
    free(t->given);
    free(t->spans);
    free(t->watching);
    free(t->places);
    free(t->truth);
}

struct sim_given *ki_sim_given(struct sim_givens *t, uint32_t node, uint32_t aggregate)
{
    if (node >= t->nodes) {
        uint32_t nodes = node + 16;
        t->given = ki_sim_resize(t->given, (size_t)nodes * SIM_AGGREGATES * sizeof *t->given);
        memset(t->given + (size_t)t->nodes * SIM_AGGREGATES, 0,
               (size_t)(nodes - t->nodes) * SIM_AGGREGATES * sizeof *t->given);
        t->spans = ki_sim_resize(t->spans, nodes * sizeof *t->spans);
        memset(t->spans + t->nodes, 0, (nodes - t->nodes) * sizeof *t->spans);
        t->nodes = nodes;
    }
    return &t->given[(size_t)node * SIM_AGGREGATES + aggregate];
}

struct sim_span *ki_sim_given_span(struct sim_givens *t, uint32_t node)
{
    (void)ki_sim_given(t, node, 0); /* there is room for it then */
    return &t->spans[node];
}

bool ki_sim_given_able(const kith_sim *s, uint32_t node)
{
    const struct sim_node *n = ki_sim_node_at(s, node);
    return !n->config.stock && ki_sim_node_in_pool(n);
}

bool ki_sim_given_open(const kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate)
{
    const struct sim_given *given = ki_sim_given(t, node, aggregate);
    return given->is_open && given->life == ki_sim_node_at(s, node)->lives;
}

const struct sim_value *ki_sim_given_now(const kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate)
{
    const struct sim_given *given = ki_sim_given(t, node, aggregate);
    const struct sim_value *last = given->count > 0 ? &given->list[given->count - 1] : NULL;
    return last && !last->is_none && ki_sim_given_open(s, t, node, aggregate) ? last : NULL;
}

static int given_order(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void ki_sim_given_truth(const kith_sim *s, struct sim_givens *t, uint32_t aggregate, unsigned meaning)
{
    t->truth_count = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        const struct sim_value *now = ki_sim_given_able(s, n) ? ki_sim_given_now(s, t, n, aggregate) : NULL;
        if (!now || now->meaning != meaning)
            continue;
        t->truth = ki_sim_grow(t->truth, &t->truth_cap, t->truth_count, sizeof *t->truth);
        t->truth[t->truth_count++] = now->value;
    }
    if (t->truth_count > 1)
        qsort(t->truth, t->truth_count, sizeof *t->truth, given_order);
}

int ki_sim_given_list(kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate, enum kith_engine engine,
                      size_t *count)
{
    if (t->places_cap < s->count + 1) { /* more than there can be */
        t->places_cap = 2 * (size_t)s->count + 1;
        t->places = ki_sim_resize(t->places, t->places_cap * sizeof *t->places);
    }
    return kith_aggregate_list(ki_sim_node_at(s, node)->k, kith_sim_time(s, node), ki_sim_aggregate_name(aggregate),
                               engine, false, 0, t->places, t->places_cap, count);
}
