/* What every answer must be once all is quiet: the members agree who is there, nobody changes what it gives, and there has
 * been time to hear of it.
 *
 * The truth is what the living give, in order.  Where others need not be told of less than a step, each value is that of the
 * truth within a step; so are order statistics.  Whatever is a sum over values is compared with a sum of those that the same
 * node lists, added up here, the simple way and in more digits.
 *
 * Of the engine that computes in the network an answer is good within the error that it states itself.  Over all nodes
 * there is a sharper test: what flows from one to another is neither lost nor doubled, so what they answer as the sum is on
 * average that of the truth, to the last digits.
 *
 * Deliberately not here: waiting for it. */
#include "sim/given.h"

#include <stdarg.h>
#include <stdio.h>

#define SETTLE_ROUNDING 1e-12 /* of a sum, by the magnitudes added */
#define SETTLE_MASS     1e-9  /* likewise: flows that are on their way are counted at neither end */
#define SETTLE_SHARE    1e-3  /* of what is estimated without an error stated: ten times what neighbours may differ by */
#define SETTLE_TOP      10

struct settle {
    kith_sim *s;
    struct sim_givens *t;
    kith *k;
    struct kith_time now;
    uint32_t node, aggregate;
    struct kith_str name;
    enum kith_engine engine;
    double step;
    struct sim_words *words;
};

static bool settle_says(const struct settle *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns true, for what is wrong. */
static bool settle_says(const struct settle *e, const char *format, ...)
{
    char *text = e->words->text;
    int used = snprintf(text, sizeof e->words->text, "%s by engine %d: ", e->name.ptr, (int)e->engine);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, sizeof e->words->text - (size_t)used, format, args);
    va_end(args);
    return true;
}

static bool settle_near(double value, double wanted, double off)
{
    return value >= wanted - off && value <= wanted + off;
}

/* What values come to, one at least. */
struct settle_sums {
    double count, sum, average, variance;
    double magnitude; /* of all together */
};

static struct settle_sums settle_sums(const double *values, size_t count)
{
    long double sum = 0, squares = 0, magnitude = 0, n = (long double)count;
    for (size_t i = 0; i < count; i++) {
        long double value = (long double)values[i];
        sum += value;
        magnitude += value < 0 ? -value : value;
    }
    for (size_t i = 0; i < count; i++) {
        long double off = (long double)values[i] - sum / n;
        squares += off * off;
    }
    return (struct settle_sums){.count = (double)n,
                                .sum = (double)sum,
                                .average = (double)(sum / n),
                                .variance = (double)(squares / n),
                                .magnitude = (double)magnitude};
}

static struct settle settle_of(kith_sim *s, uint32_t node, uint32_t aggregate, enum kith_engine engine,
                               struct sim_words *words)
{
    return (struct settle){.s = s,
                           .t = ki_sim_givens(s),
                           .k = ki_sim_node_at(s, node)->k,
                           .now = kith_sim_time(s, node),
                           .node = node,
                           .aggregate = aggregate,
                           .name = ki_sim_aggregate_name(aggregate),
                           .engine = engine,
                           .step = ki_sim_aggregates[aggregate].step,
                           .words = words};
}

/* ---- what it is about ---- */

/* Whether the node knows the aggregate, by the right schema, as given by so many.  Fills the truth.  *done: nobody gives, or
 * the node need not know of it. */
static bool settle_known(const struct settle *e, bool *done)
{
    size_t tally[SIM_MEANINGS], all = 0;
    struct kith_aggregate found;
    for (unsigned m = 0; m < SIM_MEANINGS; m++) {
        ki_sim_given_truth(e->s, e->t, e->aggregate, m);
        all += tally[m] = e->t->truth_count;
    }
    bool open = ki_sim_given_open(e->s, e->t, e->node, e->aggregate);
    int error = kith_aggregate_find(e->k, e->name, &found);
    *done = error != 0;
    if (error)
        return (open || all > 0) && settle_says(e, "%zu give, and it knows nothing of it", all);
    unsigned m = ki_sim_aggregate_meaning(e->aggregate, &found.schema);
    unsigned wanted = open ? ki_sim_given(e->t, e->node, e->aggregate)->meaning : tally[1] > tally[0];
    if (m == SIM_MEANINGS || (m != wanted && (open || tally[0] != tally[1])))
        return settle_says(e, "its unit is \"%.*s\", and should be number %u", (int)found.schema.unit.len,
                           found.schema.unit.ptr, wanted);
    if (found.schema.engine != KITH_ENGINE_NETWORK &&
        (found.contributors != tally[m] || found.conflicts != all - tally[m]))
        return settle_says(e, "%u contribute and %u in conflict; %zu give, and %zu otherwise", found.contributors,
                           found.conflicts, tally[m], all - tally[m]);
    ki_sim_given_truth(e->s, e->t, e->aggregate, m);
    return false;
}

/* ---- places ---- */

/* A list, in order from whichever end: each value is that of the truth in this place, and what its owner gives. */
static bool settle_places(const struct settle *e, bool from_largest, size_t count)
{
    const struct sim_givens *t = e->t;
    for (size_t i = 0; i < count; i++) {
        const struct kith_place *place = &t->places[i];
        size_t rank = from_largest ? t->truth_count - 1 - i : i;
        struct kith_member m;
        const struct sim_value *now = NULL;
        if (kith_find(e->k, place->member, &m) == 0)
            now = ki_sim_given_now(e->s, e->t, ki_sim_member_node(e->s, &m), e->aggregate);
        if (!now || !settle_near(place->value, now->value, e->step) ||
            !settle_near(place->value, t->truth[rank], e->step) || place->rank != rank)
            return settle_says(e,
                               "place %zu of %zu has %.17g of %.*s, rank %llu; that gives %.17g, "
                               "the truth is %.17g",
                               rank, t->truth_count, place->value, (int)place->member.len, place->member.ptr,
                               (unsigned long long)place->rank, now ? now->value : 0.0, t->truth[rank]);
    }
    return false;
}

/* The largest and the smallest, as many as both engines have. */
static bool settle_ends(const struct settle *e)
{
    size_t wanted = ki_min_size(SETTLE_TOP, e->t->truth_count), count;
    for (int from_largest = 0; from_largest < 2; from_largest++) {
        int error = kith_aggregate_list(e->k, e->now, e->name, e->engine, from_largest, 0, e->t->places, wanted, &count);
        if (error || count != wanted)
            return settle_says(e, "of %zu places at an end it lists %zu: %s", wanted, error ? 0 : count,
                               kith_strerror(error));
        if (settle_places(e, from_largest, count))
            return true;
    }
    return false;
}

/* Its own rank, and some at random. */
static bool settle_self(const struct settle *e)
{
    const struct sim_value *now = ki_sim_given_now(e->s, e->t, e->node, e->aggregate);
    struct kith_rank rank;
    size_t count;
    int error = kith_aggregate_rank(e->k, e->now, e->name, e->engine, (struct kith_str){NULL, 0}, &rank);
    if ((now != NULL) != (error == 0))
        return settle_says(e, "asked for its own rank it says: %s", kith_strerror(error));
    if (!error && (rank.count != e->t->truth_count || rank.self.rank >= rank.count || rank.rank_error != 0 ||
                   !settle_near(rank.self.value, e->t->truth[rank.self.rank], e->step)))
        return settle_says(e, "it is number %llu of %llu with %.17g, and the truth there is %.17g",
                           (unsigned long long)rank.self.rank, (unsigned long long)rank.count, rank.self.value,
                           e->t->truth[ki_min_u64(rank.self.rank, e->t->truth_count - 1)]);
    error = kith_aggregate_pick(e->k, e->now, e->name, e->engine, e->t->places, 3, &count);
    if (error || count != ki_min_size(3, e->t->truth_count))
        return settle_says(e, "it picks %zu: %s", error ? 0 : count, kith_strerror(error));
    return false;
}

/* ---- orders ---- */

static bool settle_quantiles(const struct settle *e)
{
    static const unsigned percents[] = {0, 7, 25, 50, 90, 99, 100};
    size_t n = e->t->truth_count;
    for (size_t i = 0; i < KI_COUNT(percents); i++) {
        size_t above = (n * percents[i] + 99) / 100;
        double value, off, truth = e->t->truth[above > 0 ? above - 1 : 0];
        int error = kith_aggregate_quantile(e->k, e->now, e->name, e->engine, percents[i] / 100.0, &value, &off);
        if (error || off != 0 || !settle_near(value, truth, e->step))
            return settle_says(e, "its quantile of %u %% is %.17g within %g, and the truth is %.17g: %s", percents[i],
                               error ? 0.0 : value, error ? 0.0 : off, truth, kith_strerror(error));
    }
    return false;
}

static bool settle_histogram(const struct settle *e)
{
    const struct sim_aggregate *a = &ki_sim_aggregates[e->aggregate];
    const double bounds[] = {a->min / 2 + a->max / 2, a->max};
    double counts[KI_COUNT(bounds) + 1];
    size_t below[KI_COUNT(bounds)] = {0};
    int error = kith_aggregate_histogram(e->k, e->now, e->name, e->engine, bounds, KI_COUNT(bounds), counts);
    for (size_t b = 0; b < KI_COUNT(bounds); b++) {
        while (below[b] < e->t->truth_count && e->t->truth[below[b]] < bounds[b])
            below[b]++;
    }
    if (!error && e->step > 0)
        return false; /* a value may be on the other side of a bound */
    if (error || counts[0] != (double)below[0] || counts[0] + counts[1] != (double)below[1] ||
        counts[0] + counts[1] + counts[2] != (double)e->t->truth_count)
        return settle_says(e, "of its histogram %g lie in the lower half and %g above, of %zu and %zu",
                           error ? 0.0 : counts[0], error ? 0.0 : counts[1] + counts[2], below[0],
                           e->t->truth_count - below[0]);
    return false;
}

static bool settle_order(const struct settle *e)
{
    return settle_ends(e) || settle_self(e) || settle_quantiles(e) || settle_histogram(e);
}

/* ---- all of the one engine's ---- */

/* The answer is that of the values which are listed. */
static bool settle_fold(const struct settle *e, const struct kith_aggregate_answer *a)
{
    size_t n = e->t->truth_count;
    double *values = ki_sim_make(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = e->t->places[i].value;
    struct settle_sums listed = settle_sums(values, n);
    double off = SETTLE_ROUNDING * listed.magnitude, low = values[0], high = values[n - 1];
    free(values);
    if (a->count != listed.count || a->effective_n != listed.count || !settle_near(a->sum, listed.sum, off) ||
        !settle_near(a->average, listed.average, off / listed.count) || a->min != low || a->max != high ||
        !settle_near(a->variance, listed.variance, SETTLE_ROUNDING * 1000 * listed.variance + off * off))
        return settle_says(e, "count %g, sum %.17g, average %.17g, variance %.17g; it lists %g, %.17g, %.17g, %.17g",
                           a->count, a->sum, a->average, a->variance, listed.count, listed.sum, listed.average,
                           listed.variance);
    return false;
}

bool ki_sim_exact_wrong(kith_sim *s, uint32_t node, uint32_t aggregate, struct sim_words *words)
{
    const struct settle e = settle_of(s, node, aggregate, KITH_ENGINE_EXACT, words);
    struct kith_aggregate_answer a = {.count = -1};
    size_t count;
    bool done;
    if (settle_known(&e, &done))
        return true;
    if (done)
        return false;
    int error = kith_aggregate_read(e.k, e.now, e.name, e.engine, &a);
    if (error || !a.converged || a.coverage_ppm != 1000000 || a.error != e.step || a.engine != e.engine)
        return settle_says(&e, "%s, converged %d, covers %u", kith_strerror(error), a.converged, a.coverage_ppm);
    error = ki_sim_given_list(s, e.t, node, aggregate, e.engine, &count);
    if (error || count != e.t->truth_count)
        return settle_says(&e, "it lists %zu, and %zu give", error ? 0 : count, e.t->truth_count);
    if (count == 0)
        return a.count != 0 && settle_says(&e, "nobody gives, and it counts %g", a.count);
    return settle_places(&e, false, count) || settle_fold(&e, &a) || settle_order(&e);
}

/* ---- all of the other's ---- */

bool ki_sim_network_wrong(kith_sim *s, uint32_t node, uint32_t aggregate, struct sim_words *words)
{
    const struct settle e = settle_of(s, node, aggregate, KITH_ENGINE_NETWORK, words);
    struct kith_aggregate_answer a = {.count = -1};
    bool done;
    if (settle_known(&e, &done))
        return true;
    int error = done ? 0 : kith_aggregate_read(e.k, e.now, e.name, e.engine, &a);
    if (error || (!done && (!a.converged || a.engine != e.engine)))
        return settle_says(&e, "%s, converged %d", kith_strerror(error), a.converged);
    if (done || e.t->truth_count == 0)
        return false;
    struct settle_sums truth = settle_sums(e.t->truth, e.t->truth_count);
    double low = e.t->truth[0], high = e.t->truth[e.t->truth_count - 1], far = -low > high ? -low : high;
    if (!settle_near(a.average, truth.average, a.error + SETTLE_ROUNDING * truth.magnitude) ||
        !settle_near(a.count, truth.count, SETTLE_SHARE * truth.count) ||
        !settle_near(a.sum, truth.sum, truth.count * (SETTLE_SHARE * far + e.step)) ||
        !settle_near(a.variance, truth.variance, SETTLE_SHARE * far * far + 4 * far * e.step) ||
        !settle_near(a.min, low, e.step) || !settle_near(a.max, high, e.step))
        return settle_says(
            &e,
            "%g, sum %.17g, average %.17g within %g, variance %g, %g to %g; the truth: %g, %.17g, %.17g, %g, %g to %g",
            a.count, a.sum, a.average, a.error, a.variance, a.min, a.max, truth.count, truth.sum, truth.average,
            truth.variance, low, high);
    return settle_order(&e);
}

bool ki_sim_mass_wrong(kith_sim *s, uint32_t aggregate, struct sim_words *words)
{
    const struct settle e = settle_of(s, 0, aggregate, KITH_ENGINE_NETWORK, words);
    double sum = 0, count = 0, nodes = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        struct kith_aggregate_answer a = {.count = 0};
        if (!ki_sim_given_able(s, n))
            continue;
        if (kith_aggregate_read(ki_sim_node_at(s, n)->k, kith_sim_time(s, n), e.name, e.engine, &a) != 0)
            return false; /* nobody gives; else each was asked before */
        sum += a.sum;
        count += a.count;
        nodes++;
    }
    ki_sim_given_truth(s, e.t, aggregate, 0);
    if (nodes == 0 || e.t->truth_count == 0)
        return false;
    struct settle_sums truth = settle_sums(e.t->truth, e.t->truth_count);
    if (settle_near(sum / nodes, truth.sum, SETTLE_MASS * truth.magnitude + truth.count * e.step) &&
        settle_near(count / nodes, truth.count, SETTLE_MASS * truth.count))
        return false;
    return settle_says(&e, "all nodes together answer a sum of %.17g and a count of %.17g; the truth is %.17g and %g",
                       sum / nodes, count / nodes, truth.sum, truth.count);
}
