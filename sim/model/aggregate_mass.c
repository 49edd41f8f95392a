/* The two textbook ways to average, in which mass is given away: what a lost message carried is gone.
 *
 *   push-sum    (Kempe, Dobra, Gehrke 2003)  A node has a sum and a weight, at first its value and 1.  In every cycle, all
 *               at once, each keeps half of both and sends half to somebody.  The answer is sum / weight.
 *   push-pull   (Jelasity, Montresor, Babaoglu 2005)  In every cycle each in its turn calls somebody, and both take the mean
 *               of their two estimates.  When only the answer is lost, the one who was called has moved alone.
 *
 * Neither knows epochs here: the mass that is lost or comes with new nodes stays wrong, and that is what this is to show. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate_parts.h"

struct mass {
    double sum, weight;
};

struct mass_state {
    struct mass *now;  /* [nodes] */
    struct mass *next; /* push-sum: what has arrived in this cycle */
};

static bool mass_begin(struct sim_aggregate *a)
{
    struct mass_state *s = a->state = calloc(1, sizeof *s);
    if (!s)
        return false;
    s->now = calloc(a->cfg.nodes, sizeof *s->now);
    s->next = calloc(a->cfg.nodes, sizeof *s->next);
    for (uint32_t node = 0; s->now && node < a->cfg.nodes; node++)
        s->now[node] = (struct mass){.sum = ki_sim_aggregate_start(a, node), .weight = 1};
    return s->now && s->next;
}

static void mass_end(struct sim_aggregate *a)
{
    struct mass_state *s = a->state;
    if (s) {
        free(s->now);
        free(s->next);
    }
    free(s);
}

static void mass_renew(struct sim_aggregate *a, uint32_t node, double was)
{
    struct mass_state *s = a->state;
    (void)was;
    s->now[node] = (struct mass){.sum = ki_sim_aggregate_start(a, node), .weight = 1};
}

static double mass_answer(const struct sim_aggregate *a, uint32_t node)
{
    const struct mass_state *s = a->state;
    return s->now[node].weight > 0 ? s->now[node].sum / s->now[node].weight : 0; /* halves that go on for ever end at 0 */
}

static void mass_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    ki_sim_aggregate_judge(a, mass_answer, ki_sim_aggregate_mean(a), out);
}

static void mass_push_sum(struct sim_aggregate *a)
{
    struct mass_state *s = a->state;
    struct mass *was = s->now;
    memset(s->next, 0, a->cfg.nodes * sizeof *s->next);
    for (uint32_t node = 0; node < a->cfg.nodes && ki_sim_aggregate_goes_on(a, 1); node++) {
        struct mass half = {.sum = was[node].sum / 2, .weight = was[node].weight / 2};
        uint32_t peer = ki_sim_aggregate_peer(a, node);
        s->next[node].sum += half.sum;
        s->next[node].weight += half.weight;
        if (ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + 2 * SIM_AGGREGATE_BYTES_REAL)) {
            s->next[peer].sum += half.sum;
            s->next[peer].weight += half.weight;
        }
    }
    s->now = s->next;
    s->next = was;
}

static void mass_push_pull(struct sim_aggregate *a)
{
    const uint64_t bytes = SIM_AGGREGATE_BYTES_HEAD + SIM_AGGREGATE_BYTES_REAL;
    struct mass_state *s = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, 2); i++) {
        uint32_t node = a->turns[i], peer = ki_sim_aggregate_peer(a, node);
        if (!ki_sim_aggregate_sent(a, bytes))
            continue;
        double mean = (s->now[node].sum + s->now[peer].sum) / 2;
        s->now[peer].sum = mean;
        if (ki_sim_aggregate_sent(a, bytes))
            s->now[node].sum = mean;
    }
}

const struct sim_aggregate_way ki_sim_push_sum = {
    .begin = mass_begin, .end = mass_end, .cycle = mass_push_sum, .judge = mass_judge, .renew = mass_renew};
const struct sim_aggregate_way ki_sim_push_pull = {
    .begin = mass_begin, .end = mass_end, .cycle = mass_push_pull, .judge = mass_judge, .renew = mass_renew};
