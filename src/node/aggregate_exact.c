/* The exact engine's answers: folds over what the living contribute, as far as it is known here.
 *
 * Each answer comes from a list in order, which is made anew only when a contribution or a member has changed since: a page
 * of the order, or a watch, costs no more than a look.
 *
 * Deliberately not here: how contributions come to be known. */
#include "node/aggregate.h"

#include "base/canary.h"
#include "node/messages.h"

static bool exact_is_sorted(const struct kith *k, const struct ki_aggregates *a, const struct ki_schema *schema)
{
    const struct ki_sorted *s = &a->sorted;
    return s->schema == schema && s->changes == a->contributions.changes && s->epoch == k->table.epoch &&
           s->members == k->table.count;
}

static bool exact_put(struct kith *k, struct ki_sorted *s, uint32_t id, double value)
{
    if (!ki_list_room(&k->mem, (void **)&s->list, sizeof *s->list, s->count, &s->cap))
        return false;
    s->list[s->count++] = (struct ki_placed){.value = value, .name = ki_member_name(ki_table_at(&k->table, id))};
    return true;
}

/* NULL: memory is out. */
static const struct ki_sorted *exact_sorted(struct kith *k, const struct ki_schema *schema)
{
    struct ki_aggregates *a = k->aggregates;
    struct ki_sorted *s = &a->sorted;
    bool room = true;
    if (exact_is_sorted(k, a, schema))
        return s;
    s->schema = NULL;
    s->count = 0;
    for (uint32_t i = 0; room && i < a->open_count; i++) {
        if (a->open[i].schema == schema && a->open[i].has_value)
            room = exact_put(k, s, k->self, a->open[i].value);
    }
    for (uint32_t i = 0; room && i < a->contributions.count; i++) {
        const struct ki_contributor *owner = a->contributions.list[i];
        const struct ki_contribution *known = NULL;
        if (owner != a->own && (ki_aggregates_lives(k, owner->id) || KI_CANARY(HAUNT)))
            known = ki_contributor_find(owner, schema);
        if (known)
            room = exact_put(k, s, owner->id, known->value);
    }
    if (!room) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    ki_fold_sort(s->list, s->count);
    s->schema = schema;
    s->changes = a->contributions.changes;
    s->epoch = k->table.epoch;
    s->members = k->table.count;
    return s;
}

/* ---- answers ---- */

/* Of how many living kith members something is known, and whether that is all there is.  Who leaves it to the network engine
 * tells nothing of it here. */
static bool exact_coverage(struct kith *k, const struct ki_schema *schema, struct kith_aggregate_answer *out)
{
    const struct ki_contributions *c = &k->aggregates->contributions;
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return false;
    uint64_t living = (uint64_t)ki_company(k, m)->kith_count + 1, known = 0;
    bool gap = false;
    for (uint32_t i = 0; i < c->count; i++) {
        bool lives = ki_aggregates_lives(k, c->list[i]->id);
        known += lives && !(c->list[i]->is_off && schema->meaning.engine == KI_SCHEMA_AUTO);
        gap = gap || (lives && c->list[i]->head < c->list[i]->heard);
    }
    out->coverage_ppm = (uint32_t)(ki_min_u64(known, living) * 1000000 / living);
    out->converged = known >= living && !gap;
    return true;
}

static int exact_read(struct kith *k, struct ki_schema *schema, struct kith_aggregate_answer *out)
{
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s || !exact_coverage(k, schema, out))
        return KITH_ERR_NOMEM;
    struct ki_fold fold = ki_fold(s->list, s->count);
    out->engine = KITH_ENGINE_EXACT;
    out->count = out->effective_n = s->count;
    out->sum = fold.sum;
    out->average = fold.average;
    out->variance = fold.variance;
    out->min = fold.min;
    out->max = fold.max;
    out->error = schema->meaning.step;
    out->age_us = k->now.mono_us - schema->changed_us;
    return 0;
}

static int exact_quantile(struct kith *k, struct ki_schema *schema, double q, double *value, double *rank_error)
{
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s)
        return KITH_ERR_NOMEM;
    if (s->count == 0)
        return KITH_ERR_NUMBER;
    *value = s->list[ki_fold_quantile(s->count, q)].value;
    *rank_error = 0;
    return 0;
}

static int exact_histogram(struct kith *k, struct ki_schema *schema, const double *bounds, size_t count, double *counts)
{
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s)
        return KITH_ERR_NOMEM;
    ki_fold_histogram(s->list, s->count, bounds, count, counts);
    return 0;
}

static struct kith_place exact_place(const struct ki_sorted *s, size_t at)
{
    const struct ki_placed *placed = &s->list[at];
    return (struct kith_place){
        .member = {(const char *)placed->name.ptr, placed->name.len}, .value = placed->value, .rank = at};
}

static int exact_list(struct kith *k, struct ki_schema *schema, bool from_largest, size_t first, struct kith_place *out,
                      size_t cap, size_t *count)
{
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s)
        return KITH_ERR_NOMEM;
    size_t left = first < s->count ? s->count - first : 0;
    *count = ki_min_size(cap, left);
    for (size_t i = 0; i < *count; i++)
        out[i] = exact_place(s, from_largest ? s->count - 1 - first - i : first + i);
    return 0;
}

static int exact_rank(struct kith *k, struct ki_schema *schema, struct ki_span member, struct kith_rank *out)
{
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s)
        return KITH_ERR_NOMEM;
    size_t at = ki_fold_find(s->list, s->count, member);
    if (at == s->count)
        return KITH_ERR_NOT_FOUND;
    *out = (struct kith_rank){.self = exact_place(s, at), .count = s->count};
    if (at > 0)
        out->predecessor = exact_place(s, at - 1);
    if (at + 1 < s->count)
        out->successor = exact_place(s, at + 1);
    return 0;
}

/* Each that is looked at is taken with the chance that leaves every set alike likely; then the order is shuffled. */
static int exact_pick(struct kith *k, struct ki_schema *schema, struct kith_place *out, size_t cap, size_t *count)
{
    struct ki_rng *rng = &k->aggregates->rng;
    const struct ki_sorted *s = exact_sorted(k, schema);
    if (!s)
        return KITH_ERR_NOMEM;
    *count = ki_min_size(cap, s->count);
    for (size_t at = 0, taken = 0; taken < *count; at++) {
        if (ki_rng_below(rng, s->count - at) >= *count - taken)
            continue;
        size_t turn = (size_t)ki_rng_below(rng, taken + 1);
        out[taken++] = out[turn];
        out[turn] = exact_place(s, at);
    }
    return 0;
}

const struct ki_engine ki_exact_engine = {.read = exact_read,
                                          .quantile = exact_quantile,
                                          .histogram = exact_histogram,
                                          .list = exact_list,
                                          .rank = exact_rank,
                                          .pick = exact_pick};
