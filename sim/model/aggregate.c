/* Many nodes compute one number: what the algorithms have in common.
 *
 * Each node has a value, uniform in 0..1.  Time goes in cycles; in each, every node acts once, in an order that stays
 * (their clocks tick at one rate and at different moments), and what it does is done at once; only push-sum is synchronous.
 * A message is lost with one probability, independently.  With churn, nodes are replaced before a cycle begins, by
 * others with new values and no memory; everybody knows.
 *
 *   push-sum, push-pull   aggregate_mass.c: averages, by giving mass away
 *   flow-updating         aggregate_flow.c: averages, by the product's own arithmetic
 *   exact                 aggregate_exact.c: all values spread, and each node folds what has come
 *   merge                 aggregate_merge.c: the largest value
 *   sample                aggregate_sample.c: the members whose names have the smallest hashes, for quantiles and size
 *   t-man                 aggregate_t_man.c: the order of values, as a line of nodes
 *
 * Sum and average are one computation where the members are known.  COUNT is the hard case of averaging: one node says 1,
 * all others 0, and the average is 1 / n.
 *
 * Invariants: nodes are numbered in the order of their values until one is replaced, so a rank is a number; the seed
 * decides everything, and one more draw of one kind moves nothing of another.
 *
 * Deliberately not here: delays, and views that differ.  The simulator proper has them (kith sim run). */
#include "sim/model/aggregate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate_parts.h"

#define AGGREGATE_PPM          1000000
#define AGGREGATE_WORK_UNASKED 500000 /* some hundredths of a second */

/* ---- what goes with what ---- */

enum {
    AGGREGATE_MEANS = 1u << SIM_AGGREGATE_AVG | 1u << SIM_AGGREGATE_SUM,
    AGGREGATE_COUNTS = AGGREGATE_MEANS | 1u << SIM_AGGREGATE_COUNT,
    AGGREGATE_ANY = (1u << (SIM_AGGREGATE_ORDER + 1)) - 1,
    AGGREGATE_BOTH = 1u << SIM_AGGREGATE_COMPLETE | 1u << SIM_AGGREGATE_RINGS
};

#define AGGREGATE_OTHERS "; max is for merge, quantile for sample, order for t-man, and any for exact"

static const struct {
    const struct sim_aggregate_way *way;
    unsigned functions; /* that it computes, a bit each */
    unsigned overlays;  /* that it runs on, a bit each */
    enum sim_aggregate_overlay usual;
    const char *functions_are, *overlays_are; /* said when asked for another */
} aggregate_ways[] = {
    [SIM_AGGREGATE_PUSH_SUM] = {&ki_sim_push_sum, AGGREGATE_COUNTS, AGGREGATE_BOTH, SIM_AGGREGATE_RINGS,
                                "push-sum computes avg, sum and count" AGGREGATE_OTHERS, ""},
    [SIM_AGGREGATE_PUSH_PULL] = {&ki_sim_push_pull, AGGREGATE_COUNTS, AGGREGATE_BOTH, SIM_AGGREGATE_RINGS,
                                 "push-pull computes avg, sum and count" AGGREGATE_OTHERS, ""},
    [SIM_AGGREGATE_FLOW] = {&ki_sim_flow, AGGREGATE_COUNTS, 1u << SIM_AGGREGATE_RINGS, SIM_AGGREGATE_RINGS,
                            "flow-updating computes avg, sum and count" AGGREGATE_OTHERS,
                            "flow-updating keeps a row for each neighbour: its overlay is rings"},
    [SIM_AGGREGATE_EXACT] = {&ki_sim_exact, AGGREGATE_ANY, 1u << SIM_AGGREGATE_COMPLETE, SIM_AGGREGATE_COMPLETE, "",
                             "exact is for pools in which everybody knows everybody: its overlay is complete"},
    [SIM_AGGREGATE_MERGE] = {&ki_sim_merge, 1u << SIM_AGGREGATE_MAX, AGGREGATE_BOTH, SIM_AGGREGATE_RINGS,
                             "merge computes max; avg, sum and count are for flow-updating" AGGREGATE_OTHERS, ""},
    [SIM_AGGREGATE_SAMPLE] = {&ki_sim_sample, 1u << SIM_AGGREGATE_QUANTILE | 1u << SIM_AGGREGATE_COUNT, AGGREGATE_BOTH,
                              SIM_AGGREGATE_RINGS,
                              "sample computes quantile and count; avg and sum are for flow-updating" AGGREGATE_OTHERS, ""},
    [SIM_AGGREGATE_T_MAN] = {&ki_sim_t_man, 1u << SIM_AGGREGATE_ORDER, 1u << SIM_AGGREGATE_COMPLETE, SIM_AGGREGATE_COMPLETE,
                             "t-man computes order; avg, sum and count are for flow-updating" AGGREGATE_OTHERS,
                             "t-man makes an overlay of its own, from random members: complete"},
};

enum sim_aggregate_overlay ki_sim_aggregate_usual_overlay(enum sim_aggregate_algorithm algorithm)
{
    return aggregate_ways[algorithm].usual;
}

enum sim_aggregate_algorithm ki_sim_aggregate_usual_algorithm(enum sim_aggregate_function function)
{
    switch (function) {
    case SIM_AGGREGATE_AVG:
    case SIM_AGGREGATE_SUM:
    case SIM_AGGREGATE_COUNT:
        return SIM_AGGREGATE_FLOW;
    case SIM_AGGREGATE_MAX:
        return SIM_AGGREGATE_MERGE;
    case SIM_AGGREGATE_QUANTILE:
        return SIM_AGGREGATE_SAMPLE;
    case SIM_AGGREGATE_ORDER:
        return SIM_AGGREGATE_T_MAN;
    }
    KI_UNREACHABLE();
}

const char *ki_sim_aggregate_refusal(const struct sim_aggregate_config *c)
{
    if (!(aggregate_ways[c->algorithm].functions >> c->function & 1))
        return aggregate_ways[c->algorithm].functions_are;
    if (!(aggregate_ways[c->algorithm].overlays >> c->overlay & 1))
        return aggregate_ways[c->algorithm].overlays_are;
    if (c->nodes < 2 || c->nodes > SIM_AGGREGATE_NODES_MAX)
        return "nodes must be 2 to 1,000,000";
    if (c->algorithm == SIM_AGGREGATE_EXACT && c->nodes > SIM_AGGREGATE_EXACT_MAX)
        return "exact is for at most 16,384 nodes, since each knows all values";
    if (c->sample < 3 || c->sample > SIM_AGGREGATE_SAMPLE_MAX)
        return "sample must be 3 to 65,536";
    if (c->algorithm == SIM_AGGREGATE_SAMPLE && (uint64_t)c->nodes * c->sample > SIM_AGGREGATE_SAMPLES_MAX)
        return "the samples of all nodes have at most 268,435,456 members together: fewer nodes, or a smaller sample";
    if (c->churn_ppm > 0 && !(AGGREGATE_MEANS >> c->function & 1))
        return "churn is for avg and sum";
    if (c->loss_ppm > AGGREGATE_PPM || c->churn_ppm > AGGREGATE_PPM)
        return "loss and churn must be 0 % to 100 %";
    if (c->q_ppm > AGGREGATE_PPM)
        return "q must be 0 % to 100 %";
    if (c->retries > SIM_AGGREGATE_RETRIES_MAX)
        return "retries must be 0 to 10";
    return NULL;
}

/* ---- values ---- */

static double aggregate_uniform(struct ki_rng *rng)
{
    return (double)(ki_rng_next(rng) >> 11) * 0x1p-53;
}

static int aggregate_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void aggregate_average(struct sim_aggregate *a)
{
    double sum = 0;
    for (uint32_t node = 0; node < a->cfg.nodes; node++)
        sum += a->values[node];
    a->average = sum / a->cfg.nodes;
}

static bool aggregate_begin(struct sim_aggregate *a)
{
    uint32_t n = a->cfg.nodes;
    a->values = malloc(n * sizeof *a->values);
    a->turns = malloc(n * sizeof *a->turns);
    a->neighbours = a->cfg.overlay == SIM_AGGREGATE_RINGS ? ki_sim_aggregate_rings(n) : NULL;
    if (!a->values || !a->turns || (a->cfg.overlay == SIM_AGGREGATE_RINGS && !a->neighbours))
        return false;
    for (uint32_t node = 0; node < n; node++)
        a->values[node] = aggregate_uniform(&a->births);
    qsort(a->values, n, sizeof *a->values, aggregate_order);
    aggregate_average(a);
    for (uint32_t i = 0; i < n; i++) { /* a random order, made as it grows */
        uint32_t at = (uint32_t)ki_rng_below(&a->births, (uint64_t)i + 1);
        a->turns[i] = a->turns[at];
        a->turns[at] = i;
    }
    return a->way->begin(a);
}

struct sim_aggregate *ki_sim_aggregate_new(const struct sim_aggregate_config *config, struct sim_aggregate_state *first)
{
    KI_ASSERT(!ki_sim_aggregate_refusal(config));
    struct sim_aggregate *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    struct ki_rng seeds;
    a->cfg = *config;
    a->way = aggregate_ways[config->algorithm].way;
    ki_rng_init(&seeds, config->seed);
    ki_rng_init(&a->peers, ki_rng_next(&seeds));
    ki_rng_init(&a->luck, ki_rng_next(&seeds));
    ki_rng_init(&a->births, ki_rng_next(&seeds));
    if (!aggregate_begin(a)) {
        ki_sim_aggregate_free(a);
        return NULL;
    }
    *first = (struct sim_aggregate_state){.bytes = 0};
    a->way->judge(a, first);
    return a;
}

void ki_sim_aggregate_free(struct sim_aggregate *a)
{
    if (!a)
        return;
    a->way->end(a);
    free(a->values);
    free(a->turns);
    free(a->neighbours);
    free(a);
}

/* ---- cycles ---- */

static void aggregate_churn(struct sim_aggregate *a)
{
    a->unborn += (double)a->cfg.churn_ppm / AGGREGATE_PPM * a->cfg.nodes;
    if (a->unborn < 1)
        return;
    for (; a->unborn >= 1; a->unborn--) {
        uint32_t node = (uint32_t)ki_rng_below(&a->births, a->cfg.nodes);
        double was = a->values[node];
        a->values[node] = aggregate_uniform(&a->births);
        a->way->renew(a, node, was);
    }
    aggregate_average(a);
}

bool ki_sim_aggregate_cycle(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    KI_ASSERT(!a->stopped);
    a->bytes = 0;
    aggregate_churn(a);
    a->way->cycle(a);
    if (a->stopped)
        return false;
    *out = (struct sim_aggregate_state){.bytes = a->bytes};
    a->way->judge(a, out);
    return true;
}

/* ---- what the algorithms share ---- */

double ki_sim_aggregate_start(const struct sim_aggregate *a, uint32_t node)
{
    return a->cfg.function != SIM_AGGREGATE_COUNT ? a->values[node] : node == 0 ? 1 : 0;
}

double ki_sim_aggregate_mean(const struct sim_aggregate *a)
{
    return a->cfg.function != SIM_AGGREGATE_COUNT ? a->average : 1.0 / a->cfg.nodes;
}

uint32_t ki_sim_aggregate_peer(struct sim_aggregate *a, uint32_t node)
{
    if (a->neighbours)
        return a->neighbours[node].peer[ki_rng_below(&a->peers, a->neighbours[node].count)];
    uint32_t peer = (uint32_t)ki_rng_below(&a->peers, a->cfg.nodes - 1);
    return peer + (peer >= node);
}

bool ki_sim_aggregate_sent(struct sim_aggregate *a, uint64_t bytes)
{
    a->bytes += bytes;
    return a->cfg.loss_ppm == 0 || ki_rng_below(&a->luck, AGGREGATE_PPM) >= a->cfg.loss_ppm;
}

bool ki_sim_aggregate_goes_on(struct sim_aggregate *a, uint32_t work)
{
    a->work += work;
    if (a->work >= AGGREGATE_WORK_UNASKED) {
        a->work = 0;
        a->stopped = a->stopped || (a->cfg.stop_now && a->cfg.stop_now());
    }
    return !a->stopped;
}

void ki_sim_aggregate_judge(struct sim_aggregate *a, double (*answer)(const struct sim_aggregate *a, uint32_t node),
                            double truth, struct sim_aggregate_state *out)
{
    double sum = 0, squares = 0;
    for (uint32_t node = 0; node < a->cfg.nodes; node++) {
        double off = answer(a, node) - truth;
        sum += off;
        squares += off * off;
    }
    out->bias = sum / a->cfg.nodes / truth;
    out->error = sqrt(squares / a->cfg.nodes) / truth;
}

uint32_t ki_sim_aggregate_rank(const struct sim_aggregate *a, uint32_t count)
{
    uint64_t rank = ((uint64_t)a->cfg.q_ppm * count + AGGREGATE_PPM - 1) / AGGREGATE_PPM; /* from 1; 0 for q = 0 */
    return rank > 0 ? (uint32_t)rank - 1 : 0;
}

void ki_sim_aggregate_judge_ranks(struct sim_aggregate *a, uint32_t (*answer)(const struct sim_aggregate *a, uint32_t node),
                                  struct sim_aggregate_state *out)
{
    uint32_t judges = a->cfg.nodes < SIM_AGGREGATE_JUDGES ? a->cfg.nodes : SIM_AGGREGATE_JUDGES;
    double sum = 0, squares = 0, truth = ki_sim_aggregate_rank(a, a->cfg.nodes);
    for (uint32_t i = 0; i < judges; i++) {
        double off = (answer(a, a->turns[i]) - truth) / a->cfg.nodes;
        sum += off;
        squares += off * off;
    }
    out->bias = sum / judges;
    out->error = sqrt(squares / judges);
}
