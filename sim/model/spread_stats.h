/* Many runs of the epidemic in a few numbers, and the S-curve with its percentiles. */
#ifndef KI_SIM_MODEL_SPREAD_STATS_H
#define KI_SIM_MODEL_SPREAD_STATS_H

#include <stddef.h>

#include "sim/model/spread.h"

struct sim_mean {
    double mean;
    double error; /* standard error of the mean; 0 with one run */
};

struct sim_spread_summary {
    uint32_t runs;
    uint32_t runs_to_all;   /* of them reached every node */
    uint32_t cut;           /* of them were ended before they were over */
    struct sim_mean residue, traffic, t_avg, t_last;
    struct sim_mean rounds_to_all; /* only if runs_to_all == runs */
    uint32_t rounds_to_all_p99;
    size_t rounds; /* of the curves below, which begin at round 0 */
    bool curve_cut; /* they end before the last arrivals: only so many rounds are kept */
    /* Share of the nodes that know the rumour: mean, 5th and 95th percentile of the runs.  Borrowed. */
    const double *mean, *low, *high;
};

struct sim_spread_stats;

/* In: nodes of every run.  Returns NULL when out of memory. */
struct sim_spread_stats *ki_sim_spread_stats_new(uint32_t nodes);
void ki_sim_spread_stats_free(struct sim_spread_stats *stats);
/* Returns false when out of memory. */
bool ki_sim_spread_stats_add(struct sim_spread_stats *stats, const struct sim_spread_run *run);
/* In: at least one run was added.  Out: curves borrowed from stats.  Returns false when out of memory. */
bool ki_sim_spread_stats_summarize(struct sim_spread_stats *stats, struct sim_spread_summary *out);

/* The expected number of rounds until all know it, by theory.  Returns false where there is no formula for it. */
bool ki_sim_spread_theory_rounds(const struct sim_spread_config *config, double *rounds);

#endif
