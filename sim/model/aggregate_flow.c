/* Flow Updating as the nodes run it: the arithmetic is aggregate/flow.c.
 *
 * In every cycle (a tick of the product) each node in its turn asks one of the neighbours that it asks at all: each once,
 * in a random order, then again.  What is not answered is asked again within the cycle, `retries` times.
 * A neighbour that is replaced takes its rows along, and its neighbours give up theirs. */
#include <stdlib.h>
#include <string.h>

#include "aggregate/flow.h"
#include "sim/model/aggregate_parts.h"

#define FLOW_BYTES (SIM_AGGREGATE_BYTES_HEAD + 2 * KI_FLOW_WIDTH * SIM_AGGREGATE_BYTES_REAL) /* request and reply alike */

struct flow_node {
    double value[KI_FLOW_WIDTH];
    uint32_t seq;
    uint8_t asked; /* bit i: neighbour i, in this round of asking each once */
};

struct flow_state {
    struct ki_flow_range range;
    struct flow_node *nodes;  /* [nodes] */
    struct ki_flow_row *rows; /* [nodes][SIM_AGGREGATE_NEIGHBOURS], in the order of the neighbours */
};

static struct ki_flow_row *flow_rows(const struct flow_state *s, uint32_t node)
{
    return s->rows + (size_t)node * SIM_AGGREGATE_NEIGHBOURS;
}

static struct ki_flow flow_of(const struct sim_aggregate *a, uint32_t node)
{
    const struct flow_state *s = a->state;
    return (struct ki_flow){.range = &s->range,
                            .value = s->nodes[node].value,
                            .rows = flow_rows(s, node),
                            .count = a->neighbours[node].count};
}

/* COUNT is the average of what one node alone contributes. */
static void flow_start(struct sim_aggregate *a, uint32_t node)
{
    struct flow_state *s = a->state;
    struct flow_node *n = &s->nodes[node];
    *n = (struct flow_node){.seq = n->seq};
    if (a->cfg.function != SIM_AGGREGATE_COUNT || node == 0)
        ki_flow_value(&s->range, ki_sim_aggregate_start(a, node), n->value);
    for (uint32_t i = 0; i < a->neighbours[node].count; i++)
        flow_rows(s, node)[i] = ki_flow_row(a->neighbours[node].peer[i]);
}

static bool flow_begin(struct sim_aggregate *a)
{
    struct flow_state *s = a->state = calloc(1, sizeof *s);
    if (!s)
        return false;
    ki_flow_range(0, 1, &s->range);
    s->nodes = calloc(a->cfg.nodes, sizeof *s->nodes);
    s->rows = malloc((size_t)a->cfg.nodes * SIM_AGGREGATE_NEIGHBOURS * sizeof *s->rows);
    for (uint32_t node = 0; s->nodes && s->rows && node < a->cfg.nodes; node++)
        flow_start(a, node);
    return s->nodes && s->rows;
}

static void flow_end(struct sim_aggregate *a)
{
    struct flow_state *s = a->state;
    if (s) {
        free(s->nodes);
        free(s->rows);
    }
    free(s);
}

static struct ki_flow_row *flow_row(const struct sim_aggregate *a, uint32_t node, uint32_t peer)
{
    struct ki_flow_row *rows = flow_rows(a->state, node);
    for (uint32_t i = 0; i < a->neighbours[node].count; i++) {
        if (rows[i].peer == peer)
            return &rows[i];
    }
    KI_UNREACHABLE(); /* neighbours are each other's */
}

static void flow_renew(struct sim_aggregate *a, uint32_t node, double was)
{
    (void)was;
    for (uint32_t i = 0; i < a->neighbours[node].count; i++)
        *flow_row(a, a->neighbours[node].peer[i], node) = ki_flow_row(node);
    flow_start(a, node);
}

static void flow_exchange(struct sim_aggregate *a, uint32_t node, struct ki_flow_row *row)
{
    struct flow_state *s = a->state;
    struct ki_flow own = flow_of(a, node), other = flow_of(a, row->peer);
    struct ki_flow_row *back = flow_row(a, row->peer, node);
    struct ki_flow_message request = ki_flow_ask(&own, row, ++s->nodes[node].seq), reply;
    for (uint32_t i = 0; row->is_waiting && i <= a->cfg.retries; i++) {
        if (!ki_sim_aggregate_sent(a, FLOW_BYTES))
            continue;
        ki_flow_answer(&other, back, &request, &reply);
        if (ki_sim_aggregate_sent(a, FLOW_BYTES))
            ki_flow_take(&own, row, &reply);
    }
}

static void flow_cycle(struct sim_aggregate *a)
{
    struct flow_state *s = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, 10); i++) {
        uint32_t node = a->turns[i], left[SIM_AGGREGATE_NEIGHBOURS], count = 0;
        struct flow_node *n = &s->nodes[node];
        uint8_t initiates = a->neighbours[node].initiates;
        if (initiates == 0)
            continue;
        if (n->asked == initiates)
            n->asked = 0;
        for (uint32_t at = 0; at < SIM_AGGREGATE_NEIGHBOURS; at++) {
            if ((initiates & ~n->asked) >> at & 1)
                left[count++] = at;
        }
        uint32_t at = left[ki_rng_below(&a->peers, count)];
        n->asked |= (uint8_t)(1u << at);
        flow_exchange(a, node, &flow_rows(s, node)[at]);
    }
}

static double flow_answer(const struct sim_aggregate *a, uint32_t node)
{
    struct ki_flow flow = flow_of(a, node);
    double estimate[KI_FLOW_WIDTH];
    ki_flow_estimate(&flow, estimate);
    if (a->cfg.function == SIM_AGGREGATE_COUNT)
        return estimate[2];
    return estimate[2] != 0 ? estimate[0] / estimate[2] : 0;
}

static void flow_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    ki_sim_aggregate_judge(a, flow_answer, ki_sim_aggregate_mean(a), out);
}

const struct sim_aggregate_way ki_sim_flow = {
    .begin = flow_begin, .end = flow_end, .cycle = flow_cycle, .judge = flow_judge, .renew = flow_renew};
