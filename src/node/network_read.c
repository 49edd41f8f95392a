/* What the network engine answers.
 *
 * Averages flow: of an estimate {x, x^2, 1 for who contributes}, averages over all members of kith's kind that live,
 * follow the average of x over those who contribute, its variance and, with how many members there are, count and sum.
 * The smallest and the largest, quantiles and places come from the shortlist.
 *
 * How far an answer is to be trusted follows from the neighbours: where all of them say the same, tick after tick, it has
 * been the same everywhere for as long.  But for the beginning, when all may agree who have not heard of the others yet;
 * so there must have been as many ticks as news takes to come from anywhere.
 *
 * Invariant: reading makes the aggregate be computed for a minute more.
 * Deliberately not here: rounding what is an estimate to what it might be. */
#include "node/aggregate.h"

#include "base/ilog.h"
#include "base/real.h"
#include "node/messages.h"

#define READ_PART 1e-4     /* neighbours that differ by such a part agree */
#define READ_NOTHING 1e-10 /* a share below it is rounding: one of a pool of 10^9 has more */
#define READ_ROUNDING 1e-12 /* of the average: many flows have been added up */
#define READ_FLOWS 1e-14    /* of what has flowed: an estimate is a sum of up to 17 numbers, rounded each time */
#define READ_TICKS 3       /* for so many they must agree */
#define READ_SLOWER 8      /* by so many times what neighbours differ by, an estimate may be off: over three rings a
                            * difference shrinks by a half each tick, and what is left of it is mostly far away */

static double read_magnitude(double value)
{
    return value < 0 ? -value : value;
}

static double read_within(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

struct ki_network_said ki_network_said(const struct ki_network_run *run, const double estimate[KI_FLOW_WIDTH])
{
    const struct ki_meaning *meaning = &run->schema->meaning;
    struct ki_network_said said = {.share = read_within(estimate[2], 0, 1)};
    if (said.share < READ_NOTHING)
        return (struct ki_network_said){.share = 0};
    said.average = read_within(estimate[0] / said.share, meaning->min, meaning->max);
    double variance = estimate[1] / said.share - said.average * said.average;
    said.variance = variance > 0 ? variance : 0;
    return said;
}

/* What is left of flows where they should cancel, as they do when all contribute 0. */
static double read_rest(const struct ki_network_run *run)
{
    double flows = 0;
    for (uint32_t row = 0; row < KI_NETWORK_ROWS; row++)
        flows += run->flows[row].peer != KI_NO_MEMBER ? read_magnitude(run->flows[row].flow[0]) : 0;
    return READ_FLOWS * flows;
}

bool ki_network_agrees(const struct ki_network_run *run, const struct ki_network_said *own,
                       const struct ki_network_said *its)
{
    double share = own->share > its->share ? own->share : its->share;
    double scale = read_magnitude(own->average), deviation = ki_sqrt_real(own->variance);
    double most = READ_PART * (scale > deviation ? scale : deviation);
    if (most < run->schema->meaning.step)
        most = run->schema->meaning.step;
    double apart = read_magnitude(own->average - its->average);
    return read_magnitude(own->share - its->share) <= READ_PART * share &&
           (apart <= most || apart * share <= read_rest(run));
}

/* ---- one run, as it is read ---- */

struct read {
    struct ki_network_run *run;
    const struct ki_shortlist *list;
    struct ki_network_said said;
    uint32_t members; /* of kith's kind that live, ourselves included */
    double count;     /* of those who contribute */
};

static int read_begin(struct kith *k, struct ki_schema *schema, struct read *read)
{
    struct ki_aggregates *a = k->aggregates;
    struct ki_messages *m = ki_messages(k);
    struct ki_network_run *run = m ? ki_network_want(k, a, &schema->meaning, KI_NETWORK_LEASE_S) : NULL;
    double estimate[KI_FLOW_WIDTH];
    if (!run)
        return KITH_ERR_NOMEM;
    ki_network_contribute(k, a, run); /* our own counts at once, */
    ki_network_sweep(k);              /* and the dead no more */
    struct ki_flow flow = ki_network_flow(run);
    ki_flow_estimate(&flow, estimate);
    *read = (struct read){.run = run, .list = &run->list, .members = ki_company(k, m)->kith_count + 1};
    read->said = ki_network_said(run, estimate);
    read->count = read->said.share * read->members;
    return 0;
}

/* How far our average may be off: by anything, as long as a neighbour has not said what it has. */
static double read_error(const struct kith *k, const struct read *read)
{
    const struct ki_network *n = &k->aggregates->network;
    const struct ki_meaning *meaning = &read->run->schema->meaning;
    double most = 0;
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        uint32_t row = ki_network_row(read->run, n->neighbours[i].member);
        if (row == KI_NETWORK_ROWS || ki_network_is_silent(k, &read->run->rows[row]))
            continue;
        const struct ki_flow_row *flow = &read->run->flows[row];
        struct ki_network_said its = ki_network_said(read->run, flow->estimate);
        bool says = flow->is_known && (its.share > 0 || read->said.share <= 0);
        double apart = says ? read_magnitude(read->said.average - its.average) : meaning->max - meaning->min;
        most = apart > most ? apart : most;
    }
    return meaning->step + READ_SLOWER * most + READ_ROUNDING * read_magnitude(read->said.average);
}

/* Of the neighbours and us, how many take part. */
static uint32_t read_coverage_ppm(const struct kith *k, const struct read *read)
{
    const struct ki_network *n = &k->aggregates->network;
    uint32_t known = 1;
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        uint32_t row = ki_network_row(read->run, n->neighbours[i].member);
        known += row < KI_NETWORK_ROWS && read->run->flows[row].is_known;
    }
    return (uint32_t)((uint64_t)known * 1000000 / (n->neighbour_count + 1));
}

static int network_read(struct kith *k, struct ki_schema *schema, struct kith_aggregate_answer *out)
{
    struct read read;
    int error = read_begin(k, schema, &read);
    if (error)
        return error;
    const struct ki_network_run *run = read.run;
    out->engine = KITH_ENGINE_NETWORK;
    out->error = read_error(k, &read);
    out->coverage_ppm = read_coverage_ppm(k, &read);
    out->age_us = k->now.mono_us - schema->changed_us;
    out->converged = run->agreed >= READ_TICKS && run->ticks >= READ_TICKS + ki_log2_ceil(read.members);
    if (read.said.share <= 0)
        return 0;
    out->count = read.count;
    out->average = read.said.average;
    out->variance = read.said.variance;
    out->sum = read.said.average * read.count;
    out->effective_n = ki_sample_size(read.list);
    out->min = out->max = read.said.average; /* as long as nobody has told us of any */
    if (read.list->live > 0) {
        out->min = ki_shortlist_at(read.list, 0)->claim.value;
        out->max = ki_shortlist_at(read.list, read.list->live - 1)->claim.value;
    }
    return 0;
}

/* Which part of the contributions has not been heard of: none, where the neighbours have the same list; else as far as can
 * be told from how many there seem to be.  They may lie anywhere. */
static double read_missing(const struct kith *k, const struct read *read)
{
    const struct ki_network *n = &k->aggregates->network;
    bool is_same = n->has_neighbours;
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        uint32_t row = ki_network_row(read->run, n->neighbours[i].member);
        const struct ki_network_row *r = row < KI_NETWORK_ROWS ? &read->run->rows[row] : NULL;
        is_same = is_same && r && (r->is_same || ki_network_is_silent(k, r));
    }
    return is_same || read->count <= 0 ? 0 : read_within(1 - ki_sample_size(read->list) / read->count, 0, 1);
}

static int network_quantile(struct kith *k, struct ki_schema *schema, double q, double *value, double *rank_error)
{
    struct read read;
    int error = read_begin(k, schema, &read);
    if (error)
        return error;
    const struct ki_short_entry *at = ki_sample_quantile(read.list, read.count, q, rank_error);
    if (!at)
        return KITH_ERR_NUMBER;
    *value = at->claim.value;
    *rank_error = read_within(*rank_error + read_missing(k, &read), 0, 1);
    return 0;
}

static int network_histogram(struct kith *k, struct ki_schema *schema, const double *bounds, size_t count, double *counts)
{
    struct read read;
    int error = read_begin(k, schema, &read);
    if (!error)
        ki_sample_histogram(read.list, read.count, bounds, count, counts);
    return error;
}

static struct kith_place read_place(const struct kith *k, const struct ki_short_claim *claim, double rank)
{
    struct ki_span name = ki_member_name(ki_table_at(&k->table, claim->owner));
    return (struct kith_place){.member = {(const char *)name.ptr, name.len},
                               .value = claim->value,
                               .rank = rank > 0 ? (uint64_t)(rank + 0.5) : 0};
}

/* How many contribute, for places: those that are here, if they are all. */
static double read_total(const struct read *read)
{
    return ki_shortlist_is_whole(read->list) || read->count < read->list->live ? read->list->live : read->count;
}

static int network_list(struct kith *k, struct ki_schema *schema, bool from_largest, size_t first, struct kith_place *out,
                        size_t cap, size_t *count)
{
    struct read read;
    int error = read_begin(k, schema, &read);
    if (error)
        return error;
    bool is_whole = ki_shortlist_is_whole(read.list);
    size_t shown = is_whole ? read.list->live : ki_shortlist_shown(read.list);
    if (!is_whole && first >= shown)
        return KITH_ERR_NOT_FOUND;
    *count = first < shown ? ki_min_size(cap, shown - first) : 0;
    for (size_t i = 0; i < *count; i++) {
        uint32_t from_end = (uint32_t)(first + i), place = from_largest ? read.list->live - 1 - from_end : from_end;
        double rank = from_largest ? read_total(&read) - 1 - from_end : from_end;
        out[i] = read_place(k, &ki_shortlist_at(read.list, place)->claim, rank);
    }
    return 0;
}

/* The next smaller and larger one, where the list has all that there are around. */
static void read_beside(struct kith *k, const struct read *read, const struct ki_short_entry *entry, struct kith_rank *out)
{
    const struct ki_shortlist *list = read->list;
    uint32_t before = ki_shortlist_before(list, entry), behind = list->live - 1 - before;
    if (!ki_shortlist_is_whole(list) && before + 1 >= list->ends && behind + 1 >= list->ends)
        return;
    if (before > 0)
        out->predecessor = read_place(k, &ki_shortlist_at(list, before - 1)->claim, (double)out->self.rank - 1);
    if (behind > 0)
        out->successor = read_place(k, &ki_shortlist_at(list, before + 1)->claim, (double)out->self.rank + 1);
}

static int network_rank(struct kith *k, struct ki_schema *schema, struct ki_span member, struct kith_rank *out)
{
    struct read read;
    int error = read_begin(k, schema, &read);
    if (error)
        return error;
    uint32_t id = ki_table_find(&k->table, member);
    const struct ki_short_entry *entry = ki_shortlist_find(read.list, id);
    const struct ki_short_entry own = {.claim = read.run->own}; /* it need not be in the list */
    if (!entry && (id != k->self || own.claim.version == 0 || own.claim.cleared))
        return KITH_ERR_NOT_FOUND;
    double rank = ki_sample_rank(read.list, read_total(&read), entry ? entry : &own, &out->rank_error);
    *out = (struct kith_rank){.self = read_place(k, entry ? &entry->claim : &own.claim, rank),
                              .count = (uint64_t)(read_total(&read) + 0.5),
                              .rank_error = read_within(out->rank_error + read_missing(k, &read), 0, 1)};
    if (entry)
        read_beside(k, &read, entry, out);
    return 0;
}

static int network_pick(struct kith *k, struct ki_schema *schema, struct kith_place *out, size_t cap, size_t *count)
{
    const struct ki_short_entry *picked[KI_SHORT_SAMPLE];
    struct read read;
    int error = read_begin(k, schema, &read);
    if (error)
        return error;
    *count = ki_sample_pick(read.list, &k->aggregates->rng, picked, ki_min_size(cap, KI_SHORT_SAMPLE));
    for (size_t i = 0; i < *count; i++) {
        double rank_error;
        out[i] = read_place(k, &picked[i]->claim, ki_sample_rank(read.list, read_total(&read), picked[i], &rank_error));
    }
    return 0;
}

const struct ki_engine ki_network_engine = {.read = network_read,
                                            .quantile = network_quantile,
                                            .histogram = network_histogram,
                                            .list = network_list,
                                            .rank = network_rank,
                                            .pick = network_pick};
