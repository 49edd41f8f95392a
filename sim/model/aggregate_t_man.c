/* The order of values as a line of nodes (T-Man: Jelasity, Montresor, Babaoglu 2009), with fingers.
 *
 * A node knows the T_MAN_NEAR nodes next below and above it, as far as it has heard, and a finger for each power of two:
 * somebody at about that distance in ranks, on each side.  In every cycle each in its turn calls one of the nearest three
 * on its two sides; each of the two picks, from all that it knows and a few random members, the descriptors that are
 * nearest to the other, and sends them; both take in what helps.  The line is right when everybody knows its next
 * below and above.  Without fingers news of who is where would creep along the line.
 *
 * Nodes are numbered by rank, so distances are exact.  A node that is not told them takes them from a sample of the
 * values, which is right enough for powers of two.
 *
 * Deliberately not here: values that change. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate_parts.h"

#define T_MAN_NEAR    5
#define T_MAN_CALLED  3  /* of them may be called */
#define T_MAN_FINGERS 20 /* powers of two up to the largest pool */
#define T_MAN_RANDOM  5  /* fresh random members in each message */
#define T_MAN_SENT    20 /* descriptors in a message */
#define T_MAN_NONE    UINT32_MAX

struct t_man_side {
    uint32_t near[T_MAN_NEAR]; /* the nearest first */
    uint32_t finger[T_MAN_FINGERS];
};

struct t_man_view {
    struct t_man_side side[2]; /* below, above */
};

static uint32_t t_man_distance(uint32_t a, uint32_t b)
{
    return a < b ? b - a : a - b;
}

static void t_man_learn(struct t_man_view *views, uint32_t node, uint32_t other)
{
    if (other == node)
        return;
    struct t_man_side *side = &views[node].side[other > node];
    uint32_t distance = t_man_distance(node, other), power = 0, at = 0;
    while (distance >> power > 1)
        power++;
    if (side->finger[power] == T_MAN_NONE)
        side->finger[power] = other;
    while (at < T_MAN_NEAR && side->near[at] != T_MAN_NONE && t_man_distance(node, side->near[at]) < distance)
        at++;
    if (at == T_MAN_NEAR || side->near[at] == other)
        return;
    for (uint32_t i = T_MAN_NEAR - 1; i > at; i--)
        side->near[i] = side->near[i - 1];
    side->near[at] = other;
}

static bool t_man_begin(struct sim_aggregate *a)
{
    struct t_man_view *views = a->state = malloc(a->cfg.nodes * sizeof *views);
    if (!views)
        return false;
    memset(views, 0xff, a->cfg.nodes * sizeof *views); /* T_MAN_NONE */
    for (uint32_t node = 0; node < a->cfg.nodes; node++) {
        for (uint32_t i = 0; i < 2 * T_MAN_NEAR; i++)
            t_man_learn(views, node, ki_sim_aggregate_peer(a, node));
    }
    return true;
}

static void t_man_end(struct sim_aggregate *a)
{
    free(a->state);
}

struct t_man_message {
    uint32_t members[T_MAN_SENT];
    uint32_t count;
};

/* Keeps the nearest to whom it is for. */
static void t_man_offer(struct t_man_message *m, uint32_t to, uint32_t other)
{
    uint32_t distance = t_man_distance(to, other), at = m->count;
    if (other == to || other == T_MAN_NONE)
        return;
    if (m->count == T_MAN_SENT && distance >= t_man_distance(to, m->members[T_MAN_SENT - 1]))
        return;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->members[i] == other)
            return;
    }
    while (at > 0 && t_man_distance(to, m->members[at - 1]) > distance)
        at--;
    m->count += m->count < T_MAN_SENT;
    for (uint32_t i = m->count - 1; i > at; i--)
        m->members[i] = m->members[i - 1];
    m->members[at] = other;
}

static void t_man_pick(struct sim_aggregate *a, uint32_t from, uint32_t to, struct t_man_message *m)
{
    const struct t_man_view *views = a->state;
    m->count = 0;
    t_man_offer(m, to, from);
    for (uint32_t i = 0; i < T_MAN_RANDOM; i++)
        t_man_offer(m, to, ki_sim_aggregate_peer(a, from));
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < T_MAN_NEAR; i++)
            t_man_offer(m, to, views[from].side[side].near[i]);
        for (uint32_t i = 0; i < T_MAN_FINGERS; i++)
            t_man_offer(m, to, views[from].side[side].finger[i]);
    }
}

static bool t_man_send(struct sim_aggregate *a, uint32_t to, const struct t_man_message *m)
{
    if (!ki_sim_aggregate_sent(a, SIM_AGGREGATE_BYTES_HEAD + (uint64_t)SIM_AGGREGATE_BYTES_DESCRIPTOR * m->count))
        return false;
    for (uint32_t i = 0; i < m->count; i++)
        t_man_learn(a->state, to, m->members[i]);
    return true;
}

static void t_man_exchange(struct sim_aggregate *a, uint32_t node, uint32_t peer)
{
    struct t_man_message request, reply;
    t_man_pick(a, node, peer, &request);
    t_man_pick(a, peer, node, &reply);
    if (t_man_send(a, peer, &request))
        t_man_send(a, node, &reply);
}

static void t_man_cycle(struct sim_aggregate *a)
{
    const struct t_man_view *views = a->state;
    for (uint32_t i = 0; i < a->cfg.nodes && ki_sim_aggregate_goes_on(a, 20); i++) {
        uint32_t node = a->turns[i], known[2 * T_MAN_CALLED], count = 0;
        for (uint32_t at = 0; at < 2 * T_MAN_CALLED; at++) {
            uint32_t peer = views[node].side[at / T_MAN_CALLED].near[at % T_MAN_CALLED];
            if (peer != T_MAN_NONE)
                known[count++] = peer;
        }
        t_man_exchange(a, node, known[ki_rng_below(&a->peers, count)]);
    }
}

static void t_man_judge(struct sim_aggregate *a, struct sim_aggregate_state *out)
{
    const struct t_man_view *views = a->state;
    uint32_t n = a->cfg.nodes;
    uint64_t wrong = 0;
    for (uint32_t node = 0; node < n; node++) {
        wrong += node > 0 && views[node].side[0].near[0] != node - 1;
        wrong += node + 1 < n && views[node].side[1].near[0] != node + 1;
    }
    out->error = out->bias = (double)wrong / (2.0 * (n - 1));
    out->complete = wrong == 0;
}

const struct sim_aggregate_way ki_sim_t_man = {
    .begin = t_man_begin, .end = t_man_end, .cycle = t_man_cycle, .judge = t_man_judge};
