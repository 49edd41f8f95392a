/* A workload for aggregates: random members open some, give values, change them, take them back, close, watch
 * and read.
 *
 * Values come from a few steps of the range, so that several members give the same, or from anywhere in it; of an aggregate
 * of wide values they are of any magnitude.  What must be refused is tried too, and every return value is known before.
 *
 * What a member means by a name that means two things depends on its number and life.
 * All its luck follows from one number for each step. */
#include "sim/aggregate_work.h"

#define WORK_STEPS   16 /* of the range, at which equal values are found */
#define WORK_RUSH    10 /* more values at once, of which others hear the last */
#define WORK_WATCHES 4  /* of one node at most */

struct work {
    kith_sim *s;
    struct sim_givens *t;
    kith *k;
    uint32_t node, aggregate;
    struct kith_time now;
    struct kith_str name;
    struct sim_given *given;
    struct ki_rng rng;
};

static uint32_t work_below(struct work *w, uint32_t bound)
{
    return (uint32_t)ki_rng_below(&w->rng, bound);
}

static bool work_percent(struct work *w, uint32_t percent)
{
    return work_below(w, 100) < percent;
}

static void work_returns(struct work *w, const char *what, int error, int wanted)
{
    if (error != wanted)
        ki_sim_violate(w->s, "places", w->node, "to %s %s returns \"%s\" and not \"%s\"", what, w->name.ptr,
                       kith_strerror(error), kith_strerror(wanted));
}

static bool work_begin(struct work *w, kith_sim *s, uint32_t node, uint64_t luck)
{
    struct sim_givens *t = ki_sim_givens(s);
    if (!t || s->violation[0] || !ki_sim_given_able(s, node))
        return false;
    t->on = true;
    *w = (struct work){.s = s, .t = t, .k = kith_sim_node(s, node), .node = node, .now = kith_sim_time(s, node)};
    ki_rng_init(&w->rng, luck);
    return true;
}

static void work_choose(struct work *w, uint32_t aggregate)
{
    w->aggregate = aggregate;
    w->name = ki_sim_aggregate_name(aggregate);
    w->given = ki_sim_given(w->t, w->node, aggregate);
}

/* ---- values ---- */

static void work_gives(struct work *w, struct sim_value value)
{
    w->given->list = ki_sim_grow(w->given->list, &w->given->cap, w->given->count, sizeof *w->given->list);
    value.meaning = w->given->meaning;
    w->given->list[w->given->count++] = value;
}

static double work_value(struct work *w)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[w->aggregate];
    double value = (double)work_below(w, WORK_STEPS + 1) / WORK_STEPS;
    if (work_percent(w, 50))
        value = (double)(ki_rng_next(&w->rng) >> 11) / 9007199254740992.0; /* 2^53 */
    for (uint32_t by = a->wide ? work_below(w, 19) : 0; by > 0; by--)
        value /= 10; /* down to thousandths */
    return a->wide ? (work_percent(w, 50) ? a->max : a->min) * value : a->min + (a->max - a->min) * value;
}

static void work_set(struct work *w)
{
    double value = work_value(w);
    work_returns(w, "set", kith_aggregate_set(w->k, w->now, w->name, value), 0);
    work_gives(w, (struct sim_value){.value = value});
    ki_sim_trace(w->s, w->node, "gives %.17g to %s", value, w->name.ptr);
}

static void work_clear(struct work *w)
{
    work_returns(w, "clear", kith_aggregate_clear(w->k, w->now, w->name), 0);
    work_gives(w, (struct sim_value){.is_none = true});
    ki_sim_trace(w->s, w->node, "gives nothing to %s", w->name.ptr);
}

/* ---- open and closed ---- */

static void work_open(struct work *w)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[w->aggregate];
    struct kith_schema schema;
    uint32_t life = ki_sim_node_at(w->s, w->node)->lives;
    unsigned meaning = a->units[1] ? (w->node + life) % SIM_MEANINGS : 0;
    ki_sim_aggregate_schema(w->aggregate, meaning, &schema);
    work_returns(w, "open", kith_aggregate_open(w->k, w->now, w->name, &schema), 0);
    if (w->given->count > 0) /* what a former life gave ended with it */
        work_gives(w, (struct sim_value){.is_none = true});
    w->given->life = life;
    w->given->is_open = true;
    w->given->meaning = meaning;
    ki_sim_trace(w->s, w->node, "opens %s in \"%s\"", w->name.ptr, a->units[meaning]);
}

static void work_close(struct work *w)
{
    work_returns(w, "close", kith_aggregate_close(w->k, w->now, w->name), 0);
    work_gives(w, (struct sim_value){.is_none = true});
    w->given->is_open = false;
    ki_sim_trace(w->s, w->node, "closes %s", w->name.ptr);
}

/* What is refused, and leaves all as it was. */
static void work_wrong(struct work *w)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[w->aggregate];
    struct kith_schema schema;
    ki_sim_aggregate_schema(w->aggregate, w->given->meaning, &schema);
    work_returns(w, "open again", kith_aggregate_open(w->k, w->now, w->name, &schema), 0);
    schema.interval_ms += 1;
    work_returns(w, "open otherwise", kith_aggregate_open(w->k, w->now, w->name, &schema), KITH_ERR_TYPE);
    work_returns(w, "set too much", kith_aggregate_set(w->k, w->now, w->name, a->max * 1.5), KITH_ERR_NUMBER);
}

/* ---- watching ---- */

static void work_watch(struct work *w)
{
    static const uint32_t holds_ms[] = {0, 300, 2000};
    struct sim_watching *at = w->t->watching;
    size_t count = 0, mine = 0;
    for (size_t i = 0; i < w->t->watching_count; i++) {
        if (at[i].life != ki_sim_node_at(w->s, at[i].node)->lives)
            continue; /* it is over */
        mine += at[i].node == w->node;
        at[count++] = at[i];
    }
    w->t->watching_count = count;
    struct kith_watch watch = {.measure = (enum kith_measure)work_below(w, KITH_MEASURE_QUANTILE + 1),
                               .q = work_below(w, 101) / 100.0,
                               .below = work_percent(w, 50),
                               .limit = work_value(w),
                               .hold_ms = holds_ms[work_below(w, KI_COUNT(holds_ms))]};
    if (watch.measure == KITH_MEASURE_COUNT)
        watch.limit = work_below(w, w->s->count) + 0.5;
    kith_ticket ticket;
    if (mine >= WORK_WATCHES || kith_aggregate_watch(w->k, w->now, w->name, &watch, &ticket) != 0)
        return; /* it has not heard of it */
    w->t->watching = ki_sim_grow(w->t->watching, &w->t->watching_cap, count, sizeof *w->t->watching);
    w->t->watching[w->t->watching_count++] = (struct sim_watching){.node = w->node,
                                                                   .life = ki_sim_node_at(w->s, w->node)->lives,
                                                                   .aggregate = w->aggregate,
                                                                   .ticket = ticket,
                                                                   .watch = watch,
                                                                   .edge_us = w->now.mono_us};
    ki_sim_trace(w->s, w->node, "watches %s, measure %d %s %.17g for %u ms", w->name.ptr, (int)watch.measure,
                 watch.below ? "below" : "above", watch.limit, watch.hold_ms);
}

static void work_unwatch(struct work *w)
{
    for (size_t i = 0; i < w->t->watching_count; i++) {
        struct sim_watching *at = &w->t->watching[i];
        if (at->node != w->node || at->life != ki_sim_node_at(w->s, w->node)->lives)
            continue;
        work_returns(w, "unwatch", kith_aggregate_unwatch(w->k, w->now, at->ticket), 0);
        *at = w->t->watching[--w->t->watching_count];
        return;
    }
}

/* ---- all of it ---- */

static void work_once(struct work *w)
{
    uint32_t dice = work_below(w, 100);
    if (dice < 12)
        work_watch(w);
    else if (dice < 17)
        work_unwatch(w);
    else if (dice < 25)
        ki_sim_places_network(w->s, w->node, w->aggregate);
    else if (!ki_sim_given_open(w->s, w->t, w->node, w->aggregate))
        work_open(w);
    else if (dice < 32)
        work_clear(w);
    else if (dice < 37)
        work_close(w);
    else if (dice < 42)
        work_wrong(w);
    else
        work_set(w);
    for (uint32_t i = dice > 95 ? WORK_RUSH : 0; i > 0; i--)
        work_set(w);
}

void ki_sim_aggregate_work(kith_sim *s, uint32_t node, uint64_t luck)
{
    struct work w;
    if (!work_begin(&w, s, node, luck))
        return;
    work_choose(&w, work_below(&w, SIM_AGGREGATES));
    work_once(&w);
}

void ki_sim_aggregate_work_last(kith_sim *s, uint32_t node, uint64_t luck)
{
    struct work w;
    if (!work_begin(&w, s, node, luck))
        return;
    for (uint32_t a = 0; a < SIM_AGGREGATES; a++) {
        work_choose(&w, a);
        if (work_percent(&w, 25))
            continue;
        if (!ki_sim_given_open(s, w.t, node, a))
            work_open(&w);
        work_set(&w);
    }
}
