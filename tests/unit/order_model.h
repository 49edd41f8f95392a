/* A walk that knows the invariants of src/store/order.c, and a stupid model: one sorted array.  For the tests of it, of
 * which one makes the nodes small. */
#ifndef ORDER_MODEL_H
#define ORDER_MODEL_H

#include "base/rng.h"
#include "store/order.h"

#define MODEL_MAX 120000

/* ---- the owner's table: scores, and the number decides between equal ones ---- */

struct scores {
    double of[MODEL_MAX];
};

static inline int score_compare(const void *owner, uint32_t a, uint32_t b)
{
    const struct scores *scores = owner;
    if (scores->of[a] != scores->of[b])
        return scores->of[a] < scores->of[b] ? -1 : 1;
    return (a > b) - (a < b);
}

/* A key is a score; before it is what has a lower one. */
static inline int score_side(const void *owner, uint32_t value, const void *key)
{
    const struct scores *scores = owner;
    const double *score = key;
    return (scores->of[value] > *score) - (scores->of[value] < *score);
}

/* The same, but before it is also what has just this score. */
static inline int score_side_after(const void *owner, uint32_t value, const void *key)
{
    return score_side(owner, value, key) > 0 ? 1 : -1;
}

/* ---- invariants ---- */

struct check {
    const struct ki_order *order;
    const void *owner;
    uint32_t last; /* the value that was walked over before */
};

static inline void check_value(struct check *check, uint32_t value)
{
    assert_true(value != KI_ORDER_NONE);
    if (check->last != KI_ORDER_NONE)
        assert_true(check->order->compare(check->owner, check->last, value) < 0);
    check->last = value;
}

/* Returns how many values are below, and the first of them. */
static inline uint32_t check_node(struct check *check, const void *node, uint32_t level, uint32_t *first)
{
    bool is_root = node == check->order->root;
    uint32_t least = !is_root ? KI_ORDER_NODE_MIN : level > 0 ? 2 : 1;
    if (level == 0) {
        const struct ki_order_leaf *leaf = node;
        assert_in_range(leaf->count, least, leaf->cap);
        assert_in_range(leaf->cap, is_root ? KI_ORDER_LEAF_FIRST : KI_ORDER_NODE_MAX, KI_ORDER_NODE_MAX);
        for (uint32_t i = 0; i < leaf->count; i++)
            check_value(check, leaf->values[i]);
        *first = leaf->values[0];
        return leaf->count;
    }
    const struct ki_order_inner *inner = node;
    uint32_t size = 0;
    assert_in_range(inner->count, least, KI_ORDER_NODE_MAX);
    for (uint32_t i = 0; i < inner->count; i++) {
        uint32_t child_first;
        assert_int_equal(check_node(check, inner->children[i], level - 1, &child_first), inner->sizes[i]);
        assert_int_equal(child_first, inner->first[i]);
        size += inner->sizes[i];
    }
    *first = inner->first[0];
    return size;
}

static inline void check_order(const struct ki_order *order, const void *owner)
{
    struct check check = {.order = order, .owner = owner, .last = KI_ORDER_NONE};
    uint32_t first;
    if (!order->root) {
        assert_int_equal(order->count, 0);
        assert_int_equal(order->height, 0);
        return;
    }
    assert_int_equal(check_node(&check, order->root, order->height, &first), order->count);
}

/* ---- the model ---- */

struct model {
    struct scores scores;
    uint32_t values[MODEL_MAX];
    bool is_in[MODEL_MAX];
    uint32_t count;
};

static inline uint32_t model_bound(const struct model *m, ki_order_side side, double key)
{
    uint32_t from = 0, to = m->count;
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (side(&m->scores, m->values[middle], &key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Where a value is, or belongs: among those with its score one by one. */
static inline uint32_t model_rank(const struct model *m, uint32_t value)
{
    uint32_t at = model_bound(m, score_side, m->scores.of[value]);
    while (at < m->count && score_compare(&m->scores, m->values[at], value) < 0)
        at++;
    return at;
}

static inline void model_insert(struct model *m, uint32_t value)
{
    uint32_t at = model_rank(m, value);
    memmove(&m->values[at + 1], &m->values[at], (m->count - at) * sizeof *m->values);
    m->values[at] = value;
    m->is_in[value] = true;
    m->count++;
}

static inline void model_remove(struct model *m, uint32_t value)
{
    uint32_t at = model_rank(m, value);
    m->count--;
    memmove(&m->values[at], &m->values[at + 1], (m->count - at) * sizeof *m->values);
    m->is_in[value] = false;
}

static inline uint32_t model_at(const struct model *m, uint32_t rank)
{
    return rank < m->count ? m->values[rank] : KI_ORDER_NONE;
}

/* ---- both, step by step ---- */

static inline void step_ask(const struct ki_order *order, const struct model *m, struct ki_rng *rng, uint32_t value)
{
    const struct scores *scores = &m->scores;
    double low = scores->of[value], high = low + (double)ki_rng_below(rng, 40) - 10;
    uint32_t from = model_bound(m, score_side, low), to = model_bound(m, score_side, high);
    assert_int_equal(ki_order_bound(order, scores, score_side, &low), from);
    assert_int_equal(ki_order_bound(order, scores, score_side_after, &low), model_bound(m, score_side_after, low));
    assert_int_equal(ki_order_between(order, scores, score_side, &low, &high), from < to ? to - from : 0);
    uint32_t rank = (uint32_t)ki_rng_below(rng, (uint64_t)m->count + 2);
    assert_int_equal(ki_order_at(order, rank), model_at(m, rank));
    assert_int_equal(ki_order_first(order), model_at(m, 0));
    assert_int_equal(ki_order_last(order), m->count > 0 ? m->values[m->count - 1] : KI_ORDER_NONE);
    if (!m->is_in[value])
        return;
    rank = model_rank(m, value);
    assert_int_equal(ki_order_rank(order, scores, value), rank);
    assert_int_equal(ki_order_next(order, scores, value), model_at(m, rank + 1));
    assert_int_equal(ki_order_previous(order, scores, value), rank > 0 ? m->values[rank - 1] : KI_ORDER_NONE);
}

static inline void step_change(struct ki_order *order, struct model *m, struct ki_rng *rng, uint32_t value, bool grows)
{
    if (grows && !m->is_in[value]) {
        m->scores.of[value] = (double)ki_rng_below(rng, MODEL_MAX / 4); /* few enough to be equal at times */
        assert_true(ki_order_insert(order, &m->scores, value));
        model_insert(m, value);
    } else if (!grows && ki_rng_below(rng, 4) == 0) {
        uint32_t first = model_at(m, 0);
        assert_int_equal(ki_order_pop_first(order), first);
        if (first != KI_ORDER_NONE)
            model_remove(m, first);
    } else if (!grows && m->is_in[value]) {
        ki_order_remove(order, &m->scores, value);
        model_remove(m, value);
    }
}

/* Of `universe` values some come and go: it grows for so many steps, then it shrinks for as many, and so on. */
static inline void run_against_model(uint32_t universe, uint32_t steps, uint32_t phase)
{
    static struct model m;
    struct ki_rng rng;
    struct ki_mem mem;
    struct ki_order order;
    memset(&m, 0, sizeof m);
    ki_rng_init(&rng, universe);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_order_init(&order, &mem, score_compare);
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t value = (uint32_t)ki_rng_below(&rng, universe);
        step_change(&order, &m, &rng, value, step / phase % 2 == 0);
        step_ask(&order, &m, &rng, value);
        assert_int_equal(order.count, m.count);
        if (step % (order.count / 4 + 1) == 0)
            check_order(&order, &m.scores);
    }
    for (uint32_t rank = 0; rank < m.count; rank++)
        assert_int_equal(ki_order_at(&order, rank), m.values[rank]);
    assert_true(ki_order_free_some(&order, SIZE_MAX));
    assert_int_equal(mem.used, 0);
}

/* ---- memory that runs out ---- */

struct failing {
    uint64_t until; /* calls that still succeed */
    uint64_t given, released;
};

static inline void *failing_resize(void *arg, void *ptr, size_t size)
{
    struct failing *failing = arg;
    if (failing->until == 0)
        return NULL;
    failing->until--;
    failing->given += ptr == NULL;
    return realloc(ptr, size);
}

static inline void failing_release(void *arg, void *ptr)
{
    struct failing *failing = arg;
    failing->released++;
    free(ptr);
}

/* All that is in, value by value. */
static inline void check_values(const struct ki_order *order, const void *owner, const uint32_t *values, uint32_t count)
{
    check_order(order, owner);
    assert_int_equal(order->count, count);
    for (uint32_t rank = 0; rank < count; rank++)
        assert_int_equal(ki_order_at(order, rank), values[rank]);
}

#endif
