/* Pools whose members contribute, beside a truth that is told nothing by them: what each has set, and whether it lives.
 * Every answer of every member is compared with a plain fold of it. */
#ifndef TEST_AGGREGATES_POOL_H
#define TEST_AGGREGATES_POOL_H

#include "messages_pool.h"

#include <kith/aggregate.h>

#define LOAD STR("load")

struct truth {
    unsigned nodes;
    bool lives[WORLD_NODES], contributes[WORLD_NODES];
    double values[WORLD_NODES];
};

static struct truth truth;

static inline struct kith_schema load_schema(void)
{
    struct kith_schema schema;
    kith_schema_init(&schema);
    schema.min = 0;
    schema.max = 1e6;
    return schema;
}

static inline void set(struct world *w, unsigned n, double value)
{
    assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), LOAD, value), 0);
    truth.contributes[n] = true;
    truth.values[n] = value;
}

static inline void open_one(struct world *w, unsigned n, const struct kith_schema *schema)
{
    assert_int_equal(kith_aggregate_open(world_node(w, n), world_now(w), LOAD, schema), 0);
}

/* A pool in which all have opened it, and set what is theirs: 10 times their number, and 5. */
static inline struct world *contributing(unsigned count, void (*adjust)(struct kith_config *, unsigned))
{
    struct kith_schema schema = load_schema();
    struct world *w = pool(&ear, count, 0, adjust);
    memset(&truth, 0, sizeof truth);
    truth.nodes = count;
    for (unsigned n = 0; n < count; n++) {
        truth.lives[n] = true;
        open_one(w, n, &schema);
        set(w, n, 10 * n + 5);
    }
    return w;
}

static inline uint64_t counter(struct world *w, unsigned n, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(world_node(w, n), i);
    }
    fail_msg("no counter %s", name);
    return 0;
}

static inline uint64_t counter_of_all(struct world *w, const char *name)
{
    uint64_t sum = 0;
    for (unsigned n = 0; n < truth.nodes; n++)
        sum += world_node(w, n) ? counter(w, n, name) : 0;
    return sum;
}

/* ---- the truth, plainly ---- */

static inline size_t true_order(unsigned order[WORLD_NODES])
{
    size_t count = 0;
    for (unsigned n = 0; n < truth.nodes; n++) {
        if (!truth.lives[n] || !truth.contributes[n])
            continue;
        size_t at = count++;
        char name[16], other[16];
        snprintf(name, sizeof name, "node-%u", n);
        for (; at > 0; at--) {
            snprintf(other, sizeof other, "node-%u", order[at - 1]);
            double left = truth.values[order[at - 1]], own = truth.values[n];
            if (left < own || (!(left > own) && strcmp(other, name) < 0))
                break;
            order[at] = order[at - 1];
        }
        order[at] = n;
    }
    return count;
}

static inline bool same_place(const struct kith_place *place, unsigned n, size_t rank)
{
    char name[16];
    snprintf(name, sizeof name, "node-%u", n);
    return place->member.len == strlen(name) && memcmp(place->member.ptr, name, place->member.len) == 0 &&
           !(place->value < truth.values[n] || place->value > truth.values[n]) && place->rank == rank;
}

/* Whether this member answers everything as it is.  Whole numbers are exact in any order of adding. */
static inline bool knows_truth(struct world *w, unsigned n)
{
    kith *k = world_node(w, n);
    struct kith_time now = world_now(w);
    struct kith_aggregate_answer answer;
    struct kith_place places[WORLD_NODES];
    unsigned order[WORLD_NODES];
    double sum = 0, value, rank_error;
    size_t count = true_order(order), listed;
    if (kith_aggregate_read(k, now, LOAD, KITH_ENGINE_AUTO, &answer) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        sum += truth.values[order[i]];
    bool fine = answer.count == (double)count && answer.sum == sum;
    fine = fine && answer.min == (count ? truth.values[order[0]] : 0);
    fine = fine && answer.max == (count ? truth.values[order[count - 1]] : 0);
    assert_int_equal(kith_aggregate_list(k, now, LOAD, KITH_ENGINE_AUTO, false, 0, places, WORLD_NODES, &listed), 0);
    fine = fine && listed == count;
    for (size_t i = 0; fine && i < count; i++)
        fine = same_place(&places[i], order[i], i);
    for (unsigned percent = 1; fine && count > 0 && percent <= 100; percent += 9) {
        size_t place = 0;
        while ((place + 1) * 100 < percent * count)
            place++;
        double q = (double)percent / 100;
        assert_int_equal(kith_aggregate_quantile(k, now, LOAD, KITH_ENGINE_AUTO, q, &value, &rank_error), 0);
        fine = value == truth.values[order[place]];
    }
    return fine;
}

static inline bool all_know_truth(struct world *w)
{
    for (unsigned n = 0; n < truth.nodes; n++) {
        if (truth.lives[n] && !knows_truth(w, n))
            return false;
    }
    return true;
}

/* All answer so within this time, say that they lack nothing, and still do a while later. */
static inline void settles_within(struct world *w, uint64_t us)
{
    uint64_t done = 0;
    for (; done < us && !all_know_truth(w); done += SECOND / 10)
        world_run(w, SECOND / 10);
    if (done >= us) {
        for (unsigned n = 0; n < truth.nodes; n++)
            if (truth.lives[n] && !knows_truth(w, n)) {
                struct kith_aggregate_answer a = {0};
                int error = kith_aggregate_read(world_node(w, n), world_now(w), LOAD, KITH_ENGINE_AUTO, &a);
                fail_msg("node-%u: error %d, count %g, sum %g, coverage %u, converged %d", n, error, a.count, a.sum,
                         a.coverage_ppm, a.converged);
            }
    }
    world_run(w, 2 * SECOND);
    assert_true(all_know_truth(w));
    for (unsigned n = 0; n < truth.nodes; n++) {
        struct kith_aggregate_answer answer;
        if (!truth.lives[n])
            continue;
        assert_int_equal(kith_aggregate_read(world_node(w, n), world_now(w), LOAD, KITH_ENGINE_AUTO, &answer), 0);
        assert_true(answer.coverage_ppm == 1000000 && answer.converged);
    }
}

static inline struct kith_aggregate_answer answer_of(struct world *w, unsigned n)
{
    struct kith_aggregate_answer answer;
    assert_int_equal(kith_aggregate_read(world_node(w, n), world_now(w), LOAD, KITH_ENGINE_AUTO, &answer), 0);
    return answer;
}

static inline void crash(struct world *w, unsigned n)
{
    world_crash(w, n);
    truth.lives[n] = truth.contributes[n] = false;
}

/* Comes back as another life of the same member. */
static inline void restart(struct world *w, unsigned n)
{
    struct kith_config c;
    world_config(&c, n);
    world_add(w, n, &c);
    truth.lives[n] = true;
    assert_int_equal(world_join(w, n, n == 0 ? 1 : 0, NULL), 0);
}

#endif
