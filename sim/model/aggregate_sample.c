/* A sample of the members by merging: those whose names have the smallest hashes (bottom-k, KMV), each with its value.
 *
 * Hashes are as good as random and the same for everyone, so all nodes come to hold one and the same random sample, and a
 * member that is told of twice is in it once.  The quantile of the sample is about that of all, to a rank of
 * sqrt(q (1 - q) / k); and k - 1 over the k-th smallest hash, as a part of all that a hash can be, is about how many there
 * are, to 1 / sqrt(k - 2) of it.
 *
 * In every cycle each node in its turn calls somebody; the two tell each other what the other's sample lacks.
 *
 * Members are numbered here by the order of their hashes, so a sample is a rising list of numbers, and the one
 * that all are to have is 0, 1, ... k - 1. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate_parts.h"

struct sample_state {
    uint32_t most;     /* members in a sample */
    uint32_t *members; /* [nodes][most] */
    uint32_t *counts;  /* [nodes] */
    uint32_t *owners;  /* [nodes] by the order of hashes: which node it is */
    uint64_t *hashes;  /* [nodes] rising */
    uint32_t *merged;  /* [most] */
};

static int sample_hash_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int sample_number_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t *sample_of(const struct sample_state *s, uint32_t node)
{
    return s->members + (size_t)node * s->most;
}

static bool sample_begin(struct sim_aggregate *a)
{
    uint32_t n = a->cfg.nodes;
    struct sample_state *s = a->state = calloc(1, sizeof *s);
    if (!s)
        return false;
    s->most = a->cfg.sample < n ? a->cfg.sample : n;
    s->members = malloc((size_t)n * s->most * sizeof *s->members);
    s->counts = malloc(n * sizeof *s->counts);
    s->owners = malloc(n * sizeof *s->owners);
    s->hashes = malloc(n * sizeof *s->hashes);
    s->merged = malloc(s->most * sizeof *s->merged);
    if (!s->members || !s->counts || !s->owners || !s->hashes || !s->merged)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)ki_rng_below(&a->births, (uint64_t)i + 1);
        s->hashes[i] = ki_rng_next(&a->births);
        s->owners[i] = s->owners[at];
        s->owners[at] = i;
    }
    qsort(s->hashes, n, sizeof *s->hashes, sample_hash_order);
    for (uint32_t i = 0; i < n; i++) {
        sample_of(s, s->owners[i])[0] = i;
        s->counts[i] = 1;
    }
    return true;
}

static void sample_end(struct sim_aggregate *a)
{
    struct sample_state *s = a->state;
    if (s) {
        free(s->members);
        free(s->counts);
        free(s->owners);
        free(s->hashes);
        free(s->merged);
    }
    free(s);
}

/* The smallest of two samples, into s->merged.  Out: *fresh  how many of them are not in the second. */
static uint32_t sample_merge(struct sample_state *s, uint32_t from, uint32_t to, uint32_t *fresh)
{
    const uint32_t *x = sample_of(s, from), *y = sample_of(s, to);
    const uint32_t *x_end = x + s->counts[from], *y_end = y + s->counts[to];
    uint32_t count = 0;
    for (*fresh = 0; count < s->most && (x < x_end || y < y_end); count++) {
        bool is_fresh = y == y_end || (x < x_end && *x < *y);
        s->merged[count] = is_fresh ? *x : *y;
        *fresh += is_fresh;
        x += is_fresh || (x < x_end && *x == *y);
        y += !is_fresh;
    }
    return count;
}

/* Returns whether it has arrived. */
static bool sample_tell(struct sim_aggregate *a, uint32_t from, uint32_t to)
{
    struct sample_state *s = a->state;
    uint32_t fresh, count = sample_merge(s, from, to, &fresh);
    if (!ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + (uint64_t)SIM_AGGREGATE_BYTES_ENTRY * fresh))
        return false;
    memcpy(sample_of(s, to), s->merged, count * sizeof *s->merged);
    s->counts[to] = count;
    return true;
}

static void sample_cycle(struct sim_aggregate *a)
{
    const struct sample_state *s = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, s->most / 16 + 1); i++) {
        uint32_t node = a->turns[i], peer = ki_sim_aggregate_peer(a, node);
        if (sample_tell(a, node, peer))
            sample_tell(a, peer, node);
    }
}

static uint32_t sample_quantile(const struct sim_aggregate *a, uint32_t node)
{
    const struct sample_state *s = a->state;
    uint32_t count = s->counts[node];
    for (uint32_t i = 0; i < count; i++)
        s->merged[i] = s->owners[sample_of(s, node)[i]];
    qsort(s->merged, count, sizeof *s->merged, sample_number_order);
    return s->merged[ki_sim_aggregate_rank(a, count)];
}

static double sample_count(const struct sim_aggregate *a, uint32_t node)
{
    const struct sample_state *s = a->state;
    uint32_t count = s->counts[node];
    if (count < s->most || s->most == a->cfg.nodes)
        return count;
    return (count - 1) / ((double)s->hashes[sample_of(s, node)[count - 1]] * 0x1p-64);
}

static void sample_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    const struct sample_state *s = a->state;
    if (a->cfg.function == SIM_AGGREGATE_COUNT)
        ki_sim_aggregate_judge(a, sample_count, a->cfg.nodes, out);
    else
        ki_sim_aggregate_judge_ranks(a, sample_quantile, out);
    out->complete = true;
    for (uint32_t node = 0; node < a->cfg.nodes; node++)
        out->complete = out->complete && s->counts[node] == s->most && sample_of(s, node)[s->most - 1] == s->most - 1;
}

const struct sim_aggregate_way ki_sim_sample = {
    .begin = sample_begin, .end = sample_end, .cycle = sample_cycle, .judge = sample_judge};
