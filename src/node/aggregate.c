/* Aggregates: which are open here, what we contribute, and which are known.
 *
 * What we contribute counts here at once.  Among the contributions, where others have it from, it stands as it was told
 * last: so a version says the same everywhere.  To take a value back is to begin another generation, in which the others are
 * told again, and nothing of the former remains anywhere.
 *
 * Contributions under one name with another schema are another thing: they are counted, and nothing else.
 *
 * Invariants: a schema is known as long as it is open here or somebody contributes under it; `own` is in the table from
 * the beginning, and only what we have told is there.
 *
 * Deliberately not here: reading, telling. */
#include "node/aggregate.h"

#include "node/messages.h"

#define AGGREGATE_LUCK 0x40000000 /* so many generations may be the first of a life; as many more can follow */

/* ---- life ---- */

/* The first of this life.  One that follows within a second has perhaps the same incarnation: it shall not have the same
 * generation, whose values would be taken for those of before. */
static uint64_t aggregate_generation(struct kith *k)
{
    return (uint64_t)k->incarnation << 32 | ki_crng_u64(&k->crng) % AGGREGATE_LUCK;
}

struct ki_aggregates *ki_aggregates(struct kith *k)
{
    if (k->aggregates)
        return k->aggregates;
    struct ki_aggregates *a = ki_mem_new(&k->mem, sizeof *a);
    if (a) {
        ki_contributions_init(&a->contributions, &k->mem);
        a->own = ki_contributions_enter(&a->contributions, k->self, ki_name_of(k->cfg.name), aggregate_generation(k));
    }
    if (!a || !a->own) {
        if (a)
            ki_contributions_free(&a->contributions);
        ki_mem_free(&k->mem, a);
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    a->engines[KITH_ENGINE_EXACT] = &ki_exact_engine;
    a->engines[KITH_ENGINE_NETWORK] = &ki_network_engine;
    ki_network_init(k, &a->network);
    a->debts.mem = &k->mem;
    a->pass_us = a->off_us = KITH_NEVER;
    ki_rng_init(&a->rng, ki_crng_u64(&k->crng));
    a->announce_us = k->now.mono_us + ki_rng_below(&a->rng, ki_aggregates_round_us(k));
    ki_aggregates_due(k, a);
    k->aggregates = a;
    return a;
}

void ki_aggregates_free(struct kith *k)
{
    struct ki_aggregates *a = k->aggregates;
    if (!a)
        return;
    ki_network_free(k, a);
    ki_contributions_free(&a->contributions);
    ki_debts_free(&a->debts);
    ki_mem_free(&k->mem, a->open);
    ki_mem_free(&k->mem, a->sorted.list);
    ki_mem_free(&k->mem, a->watches);
    ki_mem_free(&k->mem, a);
    k->aggregates = NULL;
}

void ki_aggregates_forget(struct kith *k, uint32_t id)
{
    if (!k->aggregates)
        return;
    ki_contributions_forget(&k->aggregates->contributions, id);
    ki_debts_forget(&k->aggregates->debts, id);
    ki_network_forget(k, k->aggregates, id);
}

void ki_aggregates_renew(struct kith *k, struct ki_aggregates *a, uint64_t heard)
{
    uint64_t last = ki_max_u64(heard, a->own->generation);
    if (last == UINT64_MAX)
        return; /* no later one can be told: somebody has accused us in the last life there is */
    a->next_generation = ki_max_u64(a->next_generation, last + 1);
    a->is_announced = false;
    a->announce_us = k->now.mono_us;
    ki_aggregates_due(k, a);
}

void ki_aggregates_outlive(struct kith *k)
{
    if (k->aggregates)
        ki_aggregates_renew(k, k->aggregates, aggregate_generation(k));
}

/* ---- what is open ---- */

static int aggregate_state(const struct kith *k)
{
    return !ki_active(k) || k->bare || k->cfg.stock ? KITH_ERR_STATE : 0;
}

struct ki_aggregate *ki_aggregates_open_at(const struct ki_aggregates *a, struct ki_span name)
{
    for (uint32_t i = 0; a && i < a->open_count; i++) {
        if (ki_span_equal(a->open[i].schema->meaning.name, name))
            return &a->open[i];
    }
    return NULL;
}

void kith_schema_init(struct kith_schema *schema)
{
    *schema = (struct kith_schema){.size = sizeof *schema, .min = -1e15, .max = 1e15, .interval_ms = 1000};
}

struct kith_schema ki_schema_shown(const struct ki_schema *schema)
{
    const struct ki_meaning *m = &schema->meaning;
    return (struct kith_schema){.size = sizeof(struct kith_schema),
                                .unit = {(const char *)m->unit.ptr, m->unit.len},
                                .min = m->min,
                                .max = m->max,
                                .step = m->step,
                                .interval_ms = m->interval_ms,
                                .engine = (enum kith_engine)m->engine};
}

static bool aggregate_meaning(struct kith_str name, const struct kith_schema *schema, struct ki_meaning *out)
{
    if (schema->size != sizeof *schema || (unsigned)schema->engine > KITH_ENGINE_NETWORK)
        return false;
    *out = (struct ki_meaning){.name = ki_name_of(name),
                               .unit = ki_name_of(schema->unit),
                               .min = schema->min,
                               .max = schema->max,
                               .step = schema->step,
                               .interval_ms = schema->interval_ms,
                               .engine = (uint8_t)schema->engine};
    return ki_meaning_fine(out);
}

int kith_aggregate_open(struct kith *k, struct kith_time now, struct kith_str name, const struct kith_schema *schema)
{
    struct ki_meaning meaning;
    uint8_t bytes[KI_SCHEMA_LEN_MAX];
    ki_input(k, now);
    int error = aggregate_state(k);
    if (error)
        return error;
    if (!aggregate_meaning(name, schema, &meaning))
        return KITH_ERR_ARG;
    struct ki_aggregates *a = ki_aggregates(k);
    const struct ki_aggregate *open = ki_aggregates_open_at(a, meaning.name);
    if (open)
        return open->schema->id == ki_schema_id(ki_span(bytes, ki_schema_encode(bytes, &meaning))) ? 0 : KITH_ERR_TYPE;
    if (a && a->open_count >= k->cfg.aggregates_max)
        return KITH_ERR_FULL;
    bool room = a && ki_list_room(&k->mem, (void **)&a->open, sizeof *a->open, a->open_count, &a->open_cap);
    struct ki_schema *used = room ? ki_schemas_use(&a->contributions.schemas, &meaning) : NULL;
    if (!used) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    if (used->uses == 1)
        used->changed_us = now.mono_us;
    a->open[a->open_count++] = (struct ki_aggregate){.schema = used};
    ki_network_want_open(k, a);
    return 0;
}

/* The open one, once the time has been taken. */
static struct ki_aggregate *aggregate_input(struct kith *k, struct kith_time now, struct kith_str name, int *error)
{
    ki_input(k, now);
    *error = aggregate_state(k);
    struct ki_aggregate *open = *error ? NULL : ki_aggregates_open_at(k->aggregates, ki_name_of(name));
    if (!open && !*error)
        *error = KITH_ERR_NOT_FOUND;
    return open;
}

static void aggregate_changed(struct kith *k, struct ki_aggregate *open)
{
    open->schema->changed_us = k->now.mono_us;
    k->aggregates->contributions.changes++;
    ki_aggregates_due(k, k->aggregates);
    ki_network_changed(k, k->aggregates, open->schema);
}

static void aggregate_take_back(struct kith *k, struct ki_aggregate *open)
{
    struct ki_aggregates *a = k->aggregates;
    if (!open->has_value)
        return;
    open->has_value = false;
    aggregate_changed(k, open);
    if (open->is_told)
        ki_aggregates_renew(k, a, a->own->generation);
}

int kith_aggregate_close(struct kith *k, struct kith_time now, struct kith_str name)
{
    int error;
    struct ki_aggregate *open = aggregate_input(k, now, name, &error);
    if (error)
        return error;
    struct ki_aggregates *a = k->aggregates;
    aggregate_take_back(k, open);
    struct ki_schema *schema = open->schema;
    *open = a->open[--a->open_count];
    a->contributions.changes++;
    ki_schemas_drop(&a->contributions.schemas, schema);
    return 0;
}

int kith_aggregate_set(struct kith *k, struct kith_time now, struct kith_str name, double value)
{
    int error;
    struct ki_aggregate *open = aggregate_input(k, now, name, &error);
    if (error)
        return error;
    if (!ki_meaning_allows(&open->schema->meaning, value))
        return KITH_ERR_NUMBER;
    open->value = value + 0.0; /* minus zero becomes zero */
    open->has_value = true;
    aggregate_changed(k, open);
    return 0;
}

int kith_aggregate_clear(struct kith *k, struct kith_time now, struct kith_str name)
{
    int error;
    struct ki_aggregate *open = aggregate_input(k, now, name, &error);
    if (!error)
        aggregate_take_back(k, open);
    return error;
}

/* ---- what is known ---- */

/* Counts for each schema the living who contribute under it; ourselves by what counts here. */
static void aggregate_tally(struct kith *k, struct ki_aggregates *a)
{
    struct ki_contributions *c = &a->contributions;
    for (uint32_t i = 0; i < c->schemas.count; i++)
        c->schemas.list[i]->tally = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct ki_contributor *owner = c->list[i];
        for (uint32_t at = 0; owner != a->own && ki_aggregates_lives(k, owner->id) && at < owner->count; at++)
            owner->list[at].schema->tally++;
    }
    for (uint32_t i = 0; i < a->open_count; i++)
        a->open[i].schema->tally += a->open[i].has_value;
    ki_network_tally(k, a);
}

struct ki_aggregate_group ki_aggregates_group(struct kith *k, struct ki_aggregates *a, struct ki_span name)
{
    struct ki_aggregate_group group = {.open = ki_aggregates_open_at(a, name)};
    const struct ki_schemas *schemas = &a->contributions.schemas;
    uint32_t first = ki_schemas_first(schemas, name), all = 0;
    if (group.open)
        group.schema = group.open->schema;
    aggregate_tally(k, a);
    for (uint32_t i = first; i < schemas->count && ki_span_equal(schemas->list[i]->meaning.name, name); i++) {
        struct ki_schema *schema = schemas->list[i];
        all += schema->tally;
        if (!group.open && schema->tally > (group.schema ? group.schema->tally : 0))
            group.schema = schema; /* of those with as many, the one with the smallest id */
    }
    if (group.schema)
        group.contributors = group.schema->tally;
    group.conflicts = all - group.contributors;
    return group;
}

static void aggregate_show(const struct ki_aggregate_group *group, struct kith_aggregate *out)
{
    struct ki_span name = group->schema->meaning.name;
    *out = (struct kith_aggregate){.name = {(const char *)name.ptr, name.len},
                                   .schema = ki_schema_shown(group->schema),
                                   .is_open = group->open != NULL,
                                   .has_own = group->open && group->open->has_value,
                                   .own = group->open ? group->open->value : 0,
                                   .contributors = group->contributors,
                                   .conflicts = group->conflicts};
}

bool kith_aggregate_next(struct kith *k, size_t *cursor, struct kith_aggregate *out)
{
    struct ki_aggregates *a = k->aggregates;
    const struct ki_schemas *schemas = a ? &a->contributions.schemas : NULL;
    while (schemas && *cursor < schemas->count) {
        struct ki_span name = schemas->list[*cursor]->meaning.name;
        struct ki_aggregate_group group = ki_aggregates_group(k, a, name);
        while (*cursor < schemas->count && ki_span_equal(schemas->list[*cursor]->meaning.name, name))
            ++*cursor;
        if (!group.schema)
            continue; /* the dead alone contribute */
        aggregate_show(&group, out);
        return true;
    }
    return false;
}

int kith_aggregate_find(struct kith *k, struct kith_str name, struct kith_aggregate *out)
{
    struct ki_aggregate_group group = {.schema = NULL};
    if (k->aggregates)
        group = ki_aggregates_group(k, k->aggregates, ki_name_of(name));
    if (!group.schema)
        return KITH_ERR_NOT_FOUND;
    aggregate_show(&group, out);
    return 0;
}
