/* Numbers kept in an order that their owner knows: the members of a sorted set by score, keys by the time they expire.
 * Places are ranks: 0 is the first value, and a rank is a cursor that no change can leave dangling.  All but freeing takes
 * O(log n).  A value of many costs 7 to 10 bytes (14 after the worst removals); up to 64 are one block, none is no block.
 *
 * The owner is given with each call, since tables move.  What it compares by must not change while a value is in: take the
 * value out first, and enter it again. */
#ifndef KI_ORDER_H
#define KI_ORDER_H

#include "base/mem.h"

#define KI_ORDER_NONE UINT32_MAX

/* Less than or greater than 0, as a stands before or after b; 0 only of a value and itself. */
typedef int (*ki_order_compare)(const void *owner, uint32_t a, uint32_t b);
/* Less than 0: the value stands before the key.  Once it does not, no later value does. */
typedef int (*ki_order_side)(const void *owner, uint32_t value, const void *key);

struct ki_order {
    struct ki_mem *mem;
    ki_order_compare compare;
    void *root;      /* NULL: empty; at height 0 a leaf, else an inner node */
    uint32_t count;  /* values */
    uint32_t height; /* levels of inner nodes */
};

void ki_order_init(struct ki_order *order, struct ki_mem *mem, ki_order_compare compare);
/* Frees up to so many blocks, each of a kilobyte or so.  Returns true when there are none left: the order is empty then, and
 * ready for use.  It holds nothing from the first call on; until true is returned, this is the only call allowed. */
bool ki_order_free_some(struct ki_order *order, size_t blocks);

/* Enters a value.  None that compares equal may be there, and KI_ORDER_NONE is no value.  false: memory is out, and the
 * values are what they were. */
bool ki_order_insert(struct ki_order *order, const void *owner, uint32_t value);
void ki_order_remove(struct ki_order *order, const void *owner, uint32_t value); /* it must be there */
uint32_t ki_order_pop_first(struct ki_order *order); /* KI_ORDER_NONE: it is empty */

uint32_t ki_order_at(const struct ki_order *order, uint32_t rank); /* KI_ORDER_NONE: there are not so many */
uint32_t ki_order_rank(const struct ki_order *order, const void *owner, uint32_t value); /* it must be there */
/* The rank of the first value that does not stand before the key; the count, if all do. */
uint32_t ki_order_bound(const struct ki_order *order, const void *owner, ki_order_side side, const void *key);

static inline uint32_t ki_order_first(const struct ki_order *order)
{
    return ki_order_at(order, 0);
}

static inline uint32_t ki_order_last(const struct ki_order *order)
{
    return ki_order_at(order, order->count - 1); /* of an empty one: UINT32_MAX, and nothing is there */
}

/* The neighbours of a value that is there, or KI_ORDER_NONE.  To walk over many, count the rank up or down. */
static inline uint32_t ki_order_next(const struct ki_order *order, const void *owner, uint32_t value)
{
    return ki_order_at(order, ki_order_rank(order, owner, value) + 1);
}

static inline uint32_t ki_order_previous(const struct ki_order *order, const void *owner, uint32_t value)
{
    return ki_order_at(order, ki_order_rank(order, owner, value) - 1);
}

/* How many values do not stand before one key, but before the other; 0, if the keys are the wrong way round. */
static inline uint32_t ki_order_between(const struct ki_order *order, const void *owner, ki_order_side side,
                                        const void *from, const void *to)
{
    uint32_t first = ki_order_bound(order, owner, side, from);
    uint32_t end = ki_order_bound(order, owner, side, to);
    return first < end ? end - first : 0;
}

/* ---- what it is made of, for order.c and for the tests that walk it ---- */

#ifndef KI_ORDER_NODE_MAX /* a test makes the nodes small */
#define KI_ORDER_NODE_MAX 64 /* entries.  With 32 a value costs a byte more, and with 128 nothing is measurably faster */
#endif
enum {
    KI_ORDER_NODE_MIN = (KI_ORDER_NODE_MAX + 2) / 3, /* of every node but the root */
    KI_ORDER_LEAF_FIRST = 4, /* room in the first leaf; it doubles */
};

struct ki_order_leaf {
    uint32_t count; /* first in both kinds of node */
    uint32_t cap;   /* KI_ORDER_NODE_MAX, but less in a small root */
    uint32_t values[];
};

struct ki_order_inner {
    uint32_t count;
    uint32_t first[KI_ORDER_NODE_MAX]; /* the first value below each child */
    uint32_t sizes[KI_ORDER_NODE_MAX]; /* how many values are below it */
    void *children[KI_ORDER_NODE_MAX];
};

#endif
