/* Pools whose members compute in the network, beside the truth of aggregates_pool.h. */
#ifndef TEST_NETWORK_POOL_H
#define TEST_NETWORK_POOL_H

#include <math.h>

#include "aggregates_pool.h"

#define TICK (SECOND / 2)
#define NETWORK KITH_ENGINE_NETWORK

/* A pool in which all have opened it to be computed so, and set what is theirs: 10 times their number, and 5. */
static inline struct world *networked(unsigned count, void (*adjust)(struct kith_config *, unsigned))
{
    struct kith_schema schema = load_schema();
    struct world *w = pool(&ear, count, 0, adjust);
    schema.engine = NETWORK;
    memset(&truth, 0, sizeof truth);
    truth.nodes = count;
    for (unsigned n = 0; n < count; n++) {
        truth.lives[n] = true;
        open_one(w, n, &schema);
        set(w, n, 10 * n + 5);
    }
    return w;
}

static inline struct kith_aggregate_answer network_answer(struct world *w, unsigned n)
{
    struct kith_aggregate_answer answer;
    assert_int_equal(kith_aggregate_read(world_node(w, n), world_now(w), LOAD, NETWORK, &answer), 0);
    return answer;
}

struct whole {
    size_t count;
    double sum, average, variance, min, max;
    unsigned order[WORLD_NODES];
};

static inline struct whole whole(void)
{
    struct whole t = {.count = true_order(t.order)};
    for (size_t i = 0; i < t.count; i++)
        t.sum += truth.values[t.order[i]];
    t.average = t.count ? t.sum / (double)t.count : 0;
    for (size_t i = 0; i < t.count; i++)
        t.variance += pow(truth.values[t.order[i]] - t.average, 2) / (double)t.count;
    t.min = t.count ? truth.values[t.order[0]] : 0;
    t.max = t.count ? truth.values[t.order[t.count - 1]] : 0;
    return t;
}

static inline bool near(double a, double b, double part, double most)
{
    return fabs(a - b) <= part * fmax(fabs(a), fabs(b)) + most;
}

/* Whether a member's averages are right, as far as it says itself; and to a part of them. */
static inline bool averages_right(struct world *w, unsigned n, double part)
{
    struct whole t = whole();
    struct kith_aggregate_answer a = network_answer(w, n);
    return near(a.average, t.average, part, 0) && fabs(a.average - t.average) <= a.error + 1e-9 * fabs(t.average) &&
           near(a.sum, t.sum, part, 0) && near(a.count, (double)t.count, part, 0) &&
           near(a.variance, t.variance, 10 * part, 1e-9 * t.average * t.average);
}

static inline bool rank_right(struct world *w, unsigned n, const struct whole *t)
{
    struct kith_rank rank;
    int error = kith_aggregate_rank(world_node(w, n), world_now(w), LOAD, NETWORK, (struct kith_str){NULL, 0}, &rank);
    if (!truth.contributes[n])
        return error == KITH_ERR_NOT_FOUND;
    size_t at = 0;
    while (t->order[at] != n)
        at++;
    bool fine = error == 0 && same_place(&rank.self, n, at) && rank.count == t->count && rank.rank_error <= 0;
    fine = fine && (at == 0 ? !rank.predecessor.member.ptr : same_place(&rank.predecessor, t->order[at - 1], at - 1));
    return fine && (at + 1 == t->count ? !rank.successor.member.ptr
                                       : same_place(&rank.successor, t->order[at + 1], at + 1));
}

/* Whether it has every place, in pools that are not larger than the sample. */
static inline bool order_right(struct world *w, unsigned n)
{
    struct whole t = whole();
    struct kith_place places[WORLD_NODES];
    kith *k = world_node(w, n);
    struct kith_time now = world_now(w);
    size_t listed;
    double value, rank_error;
    bool fine = kith_aggregate_list(k, now, LOAD, NETWORK, false, 0, places, WORLD_NODES, &listed) == 0 &&
                listed == t.count;
    for (size_t i = 0; fine && i < t.count; i++)
        fine = same_place(&places[i], t.order[i], i);
    fine = fine && kith_aggregate_list(k, now, LOAD, NETWORK, true, 1, places, 3, &listed) == 0;
    for (size_t i = 0; fine && i < listed; i++)
        fine = same_place(&places[i], t.order[t.count - 2 - i], t.count - 2 - i);
    for (unsigned percent = 0; fine && t.count > 0 && percent <= 100; percent += 5) {
        size_t place = (percent * t.count + 99) / 100;
        fine = kith_aggregate_quantile(k, now, LOAD, NETWORK, percent / 100.0, &value, &rank_error) == 0 &&
               near(value, truth.values[t.order[place > 0 ? place - 1 : 0]], 0, 0) && rank_error <= 0;
    }
    struct kith_aggregate_answer a = network_answer(w, n);
    return fine && near(a.min, t.min, 0, 0) && near(a.max, t.max, 0, 0) && rank_right(w, n, &t);
}

static inline bool all_right(struct world *w, double part)
{
    for (unsigned n = 0; n < truth.nodes; n++) {
        if (truth.lives[n] && !(averages_right(w, n, part) && order_right(w, n)))
            return false;
    }
    return true;
}

static inline bool all_converged(struct world *w)
{
    for (unsigned n = 0; n < truth.nodes; n++) {
        if (truth.lives[n] && !network_answer(w, n).converged)
            return false;
    }
    return true;
}

/* In so many ticks all are right to a part of 10^-4 and say so. */
static inline void converges_within(struct world *w, unsigned ticks)
{
    unsigned done = 0;
    for (; done < ticks && !(all_right(w, 1e-3) && all_converged(w)); done++)
        world_run(w, TICK);
    for (unsigned n = 0; done == ticks && n < truth.nodes; n++) {
        struct whole t = whole();
        struct kith_aggregate_answer a = {0};
        if (!truth.lives[n] || (averages_right(w, n, 1e-3) && order_right(w, n) && network_answer(w, n).converged))
            continue;
        a = network_answer(w, n);
        fail_msg("node-%u: average %.9g, not %.9g, error %g, count %g of %zu, min %g max %g, order %d, converged %d", n,
                 a.average, t.average, a.error, a.count, t.count, a.min, a.max, order_right(w, n), a.converged);
    }
}

/* The estimates of all sum up to what all contribute, to rounding: nothing was lost on the way, or came twice.  Once all are
 * so near each other that an exchange which is half done moves nothing. */
static inline void mass_is_conserved(struct world *w)
{
    world_run(w, 30 * TICK);
    struct whole t = whole();
    double sum = 0, count = 0;
    unsigned living = 0;
    for (unsigned n = 0; n < truth.nodes; n++) {
        if (!truth.lives[n])
            continue;
        struct kith_aggregate_answer a = network_answer(w, n);
        sum += a.sum;
        count += a.count;
        living++;
    }
    assert_true(near(sum / living, t.sum, 1e-9, 0));
    assert_true(near(count / living, (double)t.count, 1e-9, 0));
}

#endif
