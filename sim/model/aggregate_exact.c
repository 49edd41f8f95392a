/* Everybody comes to know everybody's value, and each folds what has come.
 *
 * In every cycle each node in its turn calls somebody.  The two tell each other the values that the other lacks, each bound
 * to its owner, so that it counts once however often it comes.  What a node has is a set, a bit for each member; what it
 * answers follows from that.
 *
 * Deliberately not here: finding out what the other lacks (in the product by hashes, on pings), and new values told by
 * their owners at once; so no more than the rounds of an epidemic can be read off this. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate_parts.h"

struct exact_fold {
    double sum;
    uint32_t count;
};

struct exact_state {
    uint32_t words;          /* of a set */
    uint64_t *known;         /* [nodes][words] */
    struct exact_fold *folds; /* [nodes] */
};

static uint64_t *exact_known(const struct exact_state *s, uint32_t node)
{
    return s->known + (size_t)node * s->words;
}

static bool exact_has(const struct exact_state *s, uint32_t node, uint32_t owner)
{
    return exact_known(s, node)[owner / 64] >> owner % 64 & 1;
}

static bool exact_begin(struct sim_aggregate *a)
{
    struct exact_state *s = a->state = calloc(1, sizeof *s);
    if (!s)
        return false;
    s->words = (a->cfg.nodes + 63) / 64;
    s->known = calloc((size_t)a->cfg.nodes * s->words, sizeof *s->known);
    s->folds = calloc(a->cfg.nodes, sizeof *s->folds);
    for (uint32_t node = 0; s->known && s->folds && node < a->cfg.nodes; node++) {
        exact_known(s, node)[node / 64] = (uint64_t)1 << node % 64;
        s->folds[node] = (struct exact_fold){.sum = a->values[node], .count = 1};
    }
    return s->known && s->folds;
}

static void exact_end(struct sim_aggregate *a)
{
    struct exact_state *s = a->state;
    if (s) {
        free(s->known);
        free(s->folds);
    }
    free(s);
}

/* The old value goes with its owner, everywhere at once. */
static void exact_renew(struct sim_aggregate *a, uint32_t node, double was)
{
    struct exact_state *s = a->state;
    for (uint32_t other = 0; other < a->cfg.nodes; other++) {
        if (!exact_has(s, other, node))
            continue;
        exact_known(s, other)[node / 64] &= ~((uint64_t)1 << node % 64);
        s->folds[other].sum -= was;
        s->folds[other].count--;
    }
    memset(exact_known(s, node), 0, s->words * sizeof *s->known);
    exact_known(s, node)[node / 64] = (uint64_t)1 << node % 64;
    s->folds[node] = (struct exact_fold){.sum = a->values[node], .count = 1};
}

/* How many values `from` knows and `to` does not. */
static uint32_t exact_lacks(const struct exact_state *s, uint32_t from, uint32_t to)
{
    const uint64_t *has = exact_known(s, from), *lacks = exact_known(s, to);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->words; i++) {
        for (uint64_t more = has[i] & ~lacks[i]; more != 0; more &= more - 1)
            count++;
    }
    return count;
}

/* Returns whether it has arrived. */
static bool exact_tell(struct sim_aggregate *a, uint32_t from, uint32_t to)
{
    struct exact_state *s = a->state;
    const uint64_t *has = exact_known(s, from);
    uint64_t *lacks = exact_known(s, to);
    struct exact_fold *fold = &s->folds[to];
    if (!ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + (uint64_t)SIM_AGGREGATE_BYTES_ENTRY * exact_lacks(s, from, to)))
        return false;
    for (uint32_t i = 0; i < s->words; i++) {
        uint64_t more = has[i] & ~lacks[i];
        for (uint32_t owner = i * 64; more != 0; owner++, more >>= 1) {
            if (more & 1) {
                fold->sum += a->values[owner];
                fold->count++;
            }
        }
        lacks[i] |= has[i];
    }
    return true;
}

static void exact_cycle(struct sim_aggregate *a)
{
    const struct exact_state *s = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, s->words); i++) {
        uint32_t node = a->turns[i], peer = ki_sim_aggregate_peer(a, node);
        if (exact_tell(a, node, peer))
            exact_tell(a, peer, node);
    }
}

/* ---- folds ---- */

static double exact_average(const struct sim_aggregate *a, uint32_t node)
{
    const struct exact_state *s = a->state;
    return s->folds[node].sum / s->folds[node].count;
}

static double exact_count(const struct sim_aggregate *a, uint32_t node)
{
    const struct exact_state *s = a->state;
    return s->folds[node].count;
}

static uint32_t exact_quantile(const struct sim_aggregate *a, uint32_t node)
{
    const struct exact_state *s = a->state;
    uint32_t below = ki_sim_aggregate_rank(a, s->folds[node].count), owner = 0;
    while (!exact_has(s, node, owner) || below-- > 0)
        owner++;
    return owner;
}

/* Links that go astray: to the nearest values that are known, which are not the nearest that there are. */
static double exact_links(const struct sim_aggregate *a)
{
    const struct exact_state *s = a->state;
    uint32_t n = a->cfg.nodes, wrong = 0;
    for (uint32_t node = 0; node < n; node++) {
        wrong += node > 0 && !exact_has(s, node, node - 1);
        wrong += node + 1 < n && !exact_has(s, node, node + 1);
    }
    return wrong / (2.0 * (n - 1));
}

static double exact_largest(const struct sim_aggregate *a)
{
    uint32_t wrong = 0;
    for (uint32_t node = 0; node < a->cfg.nodes; node++)
        wrong += !exact_has(a->state, node, a->cfg.nodes - 1);
    return (double)wrong / a->cfg.nodes;
}

static void exact_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    const struct exact_state *s = a->state;
    out->complete = true;
    for (uint32_t node = 0; node < a->cfg.nodes; node++)
        out->complete = out->complete && s->folds[node].count == a->cfg.nodes;
    switch (a->cfg.function) {
    case SIM_AGGREGATE_AVG:
    case SIM_AGGREGATE_SUM:
        ki_sim_aggregate_judge(a, exact_average, a->average, out);
        break;
    case SIM_AGGREGATE_COUNT:
        ki_sim_aggregate_judge(a, exact_count, a->cfg.nodes, out);
        break;
    case SIM_AGGREGATE_MAX:
        out->error = out->bias = exact_largest(a);
        break;
    case SIM_AGGREGATE_QUANTILE:
        ki_sim_aggregate_judge_ranks(a, exact_quantile, out);
        break;
    case SIM_AGGREGATE_ORDER:
        out->error = out->bias = exact_links(a);
        break;
    }
}

const struct sim_aggregate_way ki_sim_exact = {
    .begin = exact_begin, .end = exact_end, .cycle = exact_cycle, .judge = exact_judge, .renew = exact_renew};
