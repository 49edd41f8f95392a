/* Statistics over runs of the epidemic.
 *
 * Sums are kept of every run; of the first STATS_CURVES runs also the S-curve, for percentiles, which a thousand runs
 * tell well enough.  A run that is over keeps its last value: the others go on without it.  No curve is kept beyond
 * STATS_ROUNDS: where a run had not reached its last value by then, the summary says that it shows no more than the
 * beginning.  Percentiles are by nearest rank (base/rank.h).
 *
 * Sums of whole numbers are whole numbers until the end, so the order of runs leaves no trace in them; squares are
 * summed as doubles, for standard errors only.  Nothing here feeds a digest. */
#include "sim/model/spread_stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/rank.h"

#define STATS_CURVES 1000 /* runs whose curve is kept */
#define STATS_ROUNDS 4096 /* rounds of them */

struct stats_sum {
    double sum, squares;
};

struct stats_curve {
    uint32_t *reached;
    uint32_t count;
};

struct sim_spread_stats {
    uint32_t nodes, runs, runs_to_all, cut;
    struct stats_sum residue, traffic, t_avg, t_last, to_all;
    uint64_t *last; /* of runs that reached all */
    size_t last_cap;
    struct stats_curve curves[STATS_CURVES];
    uint32_t curve_count, rounds;
    bool curve_cut; /* at least one of them went on beyond STATS_ROUNDS */
    double *drawn; /* three curves of `rounds` */
};

struct sim_spread_stats *ki_sim_spread_stats_new(uint32_t nodes)
{
    struct sim_spread_stats *stats = calloc(1, sizeof *stats);
    if (stats)
        stats->nodes = nodes;
    return stats;
}

void ki_sim_spread_stats_free(struct sim_spread_stats *stats)
{
    if (!stats)
        return;
    for (uint32_t i = 0; i < stats->curve_count; i++)
        free(stats->curves[i].reached);
    free(stats->last);
    free(stats->drawn);
    free(stats);
}

static void stats_sum(struct stats_sum *sum, double value)
{
    sum->sum += value;
    sum->squares += value * value;
}

static struct sim_mean stats_mean(const struct stats_sum *sum, uint32_t count)
{
    struct sim_mean out = {.mean = sum->sum / count};
    double variance = sum->squares / count - out.mean * out.mean; /* rounding may take it below 0 */
    if (count > 1 && variance > 0)
        out.error = sqrt(variance / (count - 1));
    return out;
}

static bool stats_keep_curve(struct sim_spread_stats *stats, const struct sim_spread_run *run)
{
    if (stats->curve_count == STATS_CURVES)
        return true;
    uint32_t count = run->last < STATS_ROUNDS ? run->last + 1 : STATS_ROUNDS;
    struct stats_curve *curve = &stats->curves[stats->curve_count];
    curve->reached = malloc(count * sizeof *curve->reached);
    if (!curve->reached)
        return false;
    memcpy(curve->reached, run->curve, count * sizeof *curve->reached);
    curve->count = count;
    stats->curve_count++;
    stats->curve_cut = stats->curve_cut || run->last >= STATS_ROUNDS;
    if (count > stats->rounds)
        stats->rounds = count;
    return true;
}

static bool stats_keep_last(struct sim_spread_stats *stats, uint32_t last)
{
    if (stats->runs_to_all == stats->last_cap) {
        size_t cap = stats->last_cap > 0 ? stats->last_cap * 2 : 64;
        uint64_t *kept = realloc(stats->last, cap * sizeof *kept);
        if (!kept)
            return false;
        stats->last = kept;
        stats->last_cap = cap;
    }
    stats->last[stats->runs_to_all++] = last;
    stats_sum(&stats->to_all, last);
    return true;
}

bool ki_sim_spread_stats_add(struct sim_spread_stats *stats, const struct sim_spread_run *run)
{
    double nodes = stats->nodes;
    double others = run->reached - 1;
    if (!stats_keep_curve(stats, run) || (run->reached == stats->nodes && !stats_keep_last(stats, run->last)))
        return false;
    stats->runs++;
    stats->cut += run->cut;
    stats_sum(&stats->residue, (nodes - run->reached) / nodes);
    stats_sum(&stats->traffic, (double)run->sent / nodes);
    stats_sum(&stats->t_avg, others > 0 ? (double)run->arrivals / others : 0);
    stats_sum(&stats->t_last, run->last);
    return true;
}

static bool stats_draw(struct sim_spread_stats *stats)
{
    free(stats->drawn);
    stats->drawn = malloc(3 * (size_t)stats->rounds * sizeof *stats->drawn);
    if (!stats->drawn)
        return false;
    uint64_t at[STATS_CURVES];
    double nodes = stats->nodes;
    for (uint32_t round = 0; round < stats->rounds; round++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < stats->curve_count; i++) {
            const struct stats_curve *curve = &stats->curves[i];
            at[i] = curve->reached[round < curve->count ? round : curve->count - 1];
            sum += at[i];
        }
        qsort(at, stats->curve_count, sizeof *at, ki_rank_order);
        stats->drawn[round] = (double)sum / stats->curve_count / nodes;
        stats->drawn[stats->rounds + round] = (double)ki_rank(at, stats->curve_count, 5) / nodes;
        stats->drawn[2 * stats->rounds + round] = (double)ki_rank(at, stats->curve_count, 95) / nodes;
    }
    return true;
}

bool ki_sim_spread_stats_summarize(struct sim_spread_stats *stats, struct sim_spread_summary *out)
{
    KI_ASSERT(stats->runs > 0);
    if (!stats_draw(stats))
        return false;
    *out = (struct sim_spread_summary){
        .runs = stats->runs,
        .runs_to_all = stats->runs_to_all,
        .cut = stats->cut,
        .curve_cut = stats->curve_cut,
        .residue = stats_mean(&stats->residue, stats->runs),
        .traffic = stats_mean(&stats->traffic, stats->runs),
        .t_avg = stats_mean(&stats->t_avg, stats->runs),
        .t_last = stats_mean(&stats->t_last, stats->runs),
        .rounds = stats->rounds,
        .mean = stats->drawn,
        .low = stats->drawn + stats->rounds,
        .high = stats->drawn + 2 * (size_t)stats->rounds,
    };
    if (stats->runs_to_all == stats->runs) {
        qsort(stats->last, stats->runs_to_all, sizeof *stats->last, ki_rank_order);
        out->rounds_to_all = stats_mean(&stats->to_all, stats->runs_to_all);
        out->rounds_to_all_p99 = (uint32_t)ki_rank(stats->last, stats->runs_to_all, 99);
    }
    return true;
}

bool ki_sim_spread_theory_rounds(const struct sim_spread_config *config, double *rounds)
{
    double n = config->nodes;
    if (config->stop != SIM_SPREAD_NEVER || config->loss_ppm > 0 || config->fanout != 1 || config->nodes < 8)
        return false;
    switch (config->mode) { /* the constants are measured; the rest: Frieze, Grimmett 1985; Karp et al. 2000 */
    case SIM_SPREAD_PUSH:
        *rounds = log2(n) + log(n) + 1.1;
        return true;
    case SIM_SPREAD_PULL:
        *rounds = log2(n) + log2(log(n)) + 1.0;
        return true;
    case SIM_SPREAD_PUSH_PULL:
        *rounds = log(n) / log(3) + log2(log(n)) + 0.1;
        return true;
    }
    KI_UNREACHABLE();
}
