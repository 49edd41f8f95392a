/* The largest value by merging: of two that meet, both keep the larger one.  Loss and doubling do no harm.
 *
 * In every cycle each node in its turn calls somebody: it tells the largest it knows, and is answered with the larger of
 * both.
 *
 * Deliberately not here: maxima that go down again.  The product keeps several largest, each bound to its owner's life. */
#include <stdlib.h>

#include "sim/model/aggregate_parts.h"

static bool merge_begin(struct sim_aggregate *a)
{
    uint32_t *best = a->state = malloc(a->cfg.nodes * sizeof *best); /* whose value it is: the higher number's is larger */
    for (uint32_t node = 0; best && node < a->cfg.nodes; node++)
        best[node] = node;
    return best != NULL;
}

static void merge_end(struct sim_aggregate *a)
{
    free(a->state);
}

static void merge_cycle(struct sim_aggregate *a)
{
    uint32_t *best = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, 2); i++) {
        uint32_t node = a->turns[i], peer = ki_sim_aggregate_peer(a, node);
        if (!ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + SIM_AGGREGATE_BYTES_ENTRY))
            continue;
        if (best[peer] < best[node])
            best[peer] = best[node];
        if (ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + SIM_AGGREGATE_BYTES_ENTRY))
            best[node] = best[peer];
    }
}

static void merge_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    const uint32_t *best = a->state;
    uint32_t wrong = 0;
    for (uint32_t node = 0; node < a->cfg.nodes; node++)
        wrong += best[node] != a->cfg.nodes - 1;
    out->error = out->bias = (double)wrong / a->cfg.nodes;
    out->complete = wrong == 0;
}

const struct sim_aggregate_way ki_sim_merge = {
    .begin = merge_begin, .end = merge_end, .cycle = merge_cycle, .judge = merge_judge};
