/* A B+-tree with counts.
 *
 * The values lie sorted in leaves of up to 64.  An inner node knows of each child its first value, to search by, and how
 * many values are below it, to count by.  So a search goes down one path, and the counts beside the path add up to a rank.
 * A search compares with some twenty values of a million, whatever the nodes' size; what differs is how many cache lines the
 * tree itself costs: four nodes here, and twenty or more in a binary tree.  Measured: a treap took three times as long.
 *
 * Inserting goes down once and splits each full node that it meets, so that its parent always has room.  A split changes no
 * value's rank: if memory runs out at the next node, the tree is as good as before, and the next attempt goes on from there.
 * Removing goes down once and mends upwards what became too small, with a neighbour's help; it needs no memory.
 *
 * Invariants: values ascend strictly by the owner's comparing; all leaves are equally deep; every node but the root has
 * KI_ORDER_NODE_MIN to KI_ORDER_NODE_MAX entries, an inner root 2 at least; `first` and `sizes` of a child are exact, so
 * that only values which are in are ever compared; there is no root iff there is no value (but while it is being freed).
 *
 * A node splits at 64 into 32 and 32, is mended below 22, and merging makes one of at most 48: so nobody can make a node
 * split and merge all the time by entering and removing one value.
 *
 * Deliberately not here: what the values stand for and how they compare; links between leaves (a rank finds its leaf by a
 * handful of counts); a shrinking root leaf (it has 280 bytes at most); keys kept beside the values, which would spare
 * looking at the owner's table, but treble the memory.
 */
#include "store/order.h"

enum {
    ORDER_MERGE_MAX = KI_ORDER_NODE_MAX * 3 / 4, /* two neighbours with no more entries than that become one */
    ORDER_HEIGHT_MAX = 32 /* 7 are enough for 2^32 values in nodes of 22 and more, 31 if they had 2 */
};

_Static_assert(KI_ORDER_NODE_MIN >= 2, "a node that loses an entry is not empty");
_Static_assert(KI_ORDER_NODE_MAX / 2 >= KI_ORDER_NODE_MIN, "halves are large enough");
_Static_assert((ORDER_MERGE_MAX + 1) / 2 >= KI_ORDER_NODE_MIN, "so are two that did not become one");

/* The way to a leaf: step l is the inner node with l levels of inner nodes below it, and the child chosen there. */
struct order_step {
    struct ki_order_inner *node;
    uint32_t slot;
};

/* What a search looks for: a value, or with `side` a key. */
struct order_search {
    const void *owner;
    ki_order_compare compare;
    ki_order_side side;
    const void *key;
    uint32_t value;
};

void ki_order_init(struct ki_order *order, struct ki_mem *mem, ki_order_compare compare)
{
    *order = (struct ki_order){.mem = mem, .compare = compare};
}

/* Of either kind of node: the count comes first in both. */
static uint32_t order_entries(const void *node)
{
    return *(const uint32_t *)node;
}

/* ---- searching ---- */

/* Whether a value is the one looked for, or stands before what is looked for. */
static bool order_is_left(const struct order_search *search, uint32_t value)
{
    if (search->side)
        return search->side(search->owner, value, search->key) < 0;
    return search->compare(search->owner, value, search->value) <= 0;
}

/* How many of these values are left of what is looked for. */
static uint32_t order_count_left(const struct order_search *search, const uint32_t *values, uint32_t count)
{
    uint32_t from = 0;
    while (from < count) {
        uint32_t middle = from + (count - from) / 2;
        if (order_is_left(search, values[middle]))
            from = middle + 1;
        else
            count = middle;
    }
    return from;
}

/* The child below which it is, or belongs: the last that begins left of it, or the first. */
static uint32_t order_choose(const struct order_search *search, const struct ki_order_inner *node)
{
    return order_count_left(search, node->first + 1, node->count - 1);
}

/* Where a value is in the leaf that it must be in.  Its number is enough: nothing of the owner's need be looked at. */
static uint32_t order_place(const struct ki_order_leaf *leaf, uint32_t value)
{
    uint32_t at = 0;
    while (at < leaf->count && leaf->values[at] != value)
        at++;
    KI_ASSERT(at < leaf->count);
    return at;
}

static uint32_t order_sum(const uint32_t *sizes, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += sizes[i];
    return sum;
}

/* The leaf that a search leads to, and how many values lie before that leaf. */
static const struct ki_order_leaf *order_descend(const struct ki_order *order, const struct order_search *search,
                                                 uint32_t *before)
{
    const void *node = order->root;
    *before = 0;
    for (uint32_t level = order->height; level > 0; level--) {
        const struct ki_order_inner *inner = node;
        uint32_t slot = order_choose(search, inner);
        *before += order_sum(inner->sizes, slot);
        node = inner->children[slot];
    }
    return node;
}

uint32_t ki_order_at(const struct ki_order *order, uint32_t rank)
{
    if (rank >= order->count)
        return KI_ORDER_NONE;
    const void *node = order->root;
    for (uint32_t level = order->height; level > 0; level--) {
        const struct ki_order_inner *inner = node;
        uint32_t slot = 0;
        while (rank >= inner->sizes[slot])
            rank -= inner->sizes[slot++];
        node = inner->children[slot];
    }
    return ((const struct ki_order_leaf *)node)->values[rank];
}

uint32_t ki_order_rank(const struct ki_order *order, const void *owner, uint32_t value)
{
    const struct order_search search = {.owner = owner, .compare = order->compare, .value = value};
    uint32_t before;
    KI_ASSERT(order->count > 0);
    const struct ki_order_leaf *leaf = order_descend(order, &search, &before);
    return before + order_place(leaf, value);
}

uint32_t ki_order_bound(const struct ki_order *order, const void *owner, ki_order_side side, const void *key)
{
    const struct order_search search = {.owner = owner, .side = side, .key = key};
    uint32_t before;
    if (order->count == 0)
        return 0;
    const struct ki_order_leaf *leaf = order_descend(order, &search, &before);
    return before + order_count_left(&search, leaf->values, leaf->count);
}

/* ---- entries come and go ---- */

/* Makes room for one item at a place among so many, or closes it. */
static void order_open(void *items, uint32_t count, uint32_t at, size_t item)
{
    uint8_t *place = (uint8_t *)items + at * item;
    memmove(place + item, place, (count - at) * item);
}

static void order_close(void *items, uint32_t count, uint32_t at, size_t item)
{
    uint8_t *place = (uint8_t *)items + at * item;
    memmove(place, place + item, (count - at - 1) * item);
}

static void order_enter_child(struct ki_order_inner *node, uint32_t slot, void *child)
{
    order_open(node->first, node->count, slot, sizeof *node->first);
    order_open(node->sizes, node->count, slot, sizeof *node->sizes);
    order_open(node->children, node->count, slot, sizeof *node->children);
    node->children[slot] = child;
    node->count++;
}

static void order_drop_child(struct ki_order_inner *node, uint32_t slot)
{
    order_close(node->first, node->count, slot, sizeof *node->first);
    order_close(node->sizes, node->count, slot, sizeof *node->sizes);
    order_close(node->children, node->count, slot, sizeof *node->children);
    node->count--;
}

/* Moves items between two neighbouring arrays until the left one has as many as wanted. */
static void order_shift(void *left, uint32_t left_count, void *right, uint32_t right_count, uint32_t want, size_t item)
{
    uint8_t *end = (uint8_t *)left + ki_min_size(left_count, want) * item;
    uint8_t *begin = right;
    if (want >= left_count) {
        size_t len = (want - left_count) * item;
        memcpy(end, begin, len);
        memmove(begin, begin + len, right_count * item - len);
    } else {
        size_t len = (left_count - want) * item;
        memmove(begin + len, begin, right_count * item);
        memcpy(begin, end, len);
    }
}

/* Shares the entries of two neighbouring children, so that the left one has as many as wanted: 0 in the right one before
 * is a split, 0 after a merge.  The right one's first value is then the caller's matter. */
static void order_share(struct ki_order_inner *parent, uint32_t slot, bool leaves, uint32_t want)
{
    uint32_t *sizes = &parent->sizes[slot];
    if (leaves) {
        struct ki_order_leaf *left = parent->children[slot], *right = parent->children[slot + 1];
        order_shift(left->values, left->count, right->values, right->count, want, sizeof *left->values);
        right->count = left->count + right->count - want;
        left->count = want;
        sizes[0] = left->count;
        sizes[1] = right->count;
        parent->first[slot + 1] = right->values[0];
        return;
    }
    struct ki_order_inner *left = parent->children[slot], *right = parent->children[slot + 1];
    order_shift(left->first, left->count, right->first, right->count, want, sizeof *left->first);
    order_shift(left->sizes, left->count, right->sizes, right->count, want, sizeof *left->sizes);
    order_shift(left->children, left->count, right->children, right->count, want, sizeof *left->children);
    right->count = left->count + right->count - want;
    left->count = want;
    sizes[0] = order_sum(left->sizes, left->count);
    sizes[1] = order_sum(right->sizes, right->count);
    parent->first[slot + 1] = right->first[0];
}

/* ---- inserting ---- */

static struct ki_order_leaf *order_resize_leaf(struct ki_order *order, struct ki_order_leaf *leaf, uint32_t cap)
{
    uint32_t count = leaf ? leaf->count : 0;
    leaf = ki_mem_resize(order->mem, leaf, sizeof *leaf + cap * sizeof *leaf->values);
    if (leaf) {
        leaf->count = count;
        leaf->cap = cap;
    }
    return leaf;
}

static struct ki_order_inner *order_new_inner(struct ki_order *order)
{
    struct ki_order_inner *inner = ki_mem_resize(order->mem, NULL, sizeof *inner);
    if (inner)
        inner->count = 0;
    return inner;
}

/* Splits a full child in two halves; the parent has room. */
static bool order_split(struct ki_order *order, struct ki_order_inner *parent, uint32_t slot, bool leaves)
{
    void *right;
    if (leaves)
        right = order_resize_leaf(order, NULL, KI_ORDER_NODE_MAX);
    else
        right = order_new_inner(order);
    if (!right)
        return false;
    order_enter_child(parent, slot + 1, right);
    order_share(parent, slot, leaves, KI_ORDER_NODE_MAX / 2);
    return true;
}

/* A new root above the old one, which is split. */
static bool order_raise(struct ki_order *order)
{
    struct ki_order_inner *root = order_new_inner(order);
    if (!root)
        return false;
    bool leaf = order->height == 0;
    order_enter_child(root, 0, order->root);
    root->first[0] = ki_order_at(order, 0);
    if (!order_split(order, root, 0, leaf)) {
        ki_mem_free(order->mem, root);
        return false;
    }
    order->root = root;
    order->height++;
    KI_ASSERT(order->height <= ORDER_HEIGHT_MAX);
    return true;
}

/* Sees to it that there is a root, and that it is not full. */
static bool order_reserve_root(struct ki_order *order)
{
    struct ki_order_leaf *leaf = order->height == 0 ? order->root : NULL;
    uint32_t cap = leaf ? leaf->cap : KI_ORDER_NODE_MAX;
    if (!order->root)
        cap = KI_ORDER_LEAF_FIRST;
    else if (order_entries(order->root) < cap)
        return true;
    else if (cap == KI_ORDER_NODE_MAX)
        return order_raise(order);
    else
        cap *= 2;
    leaf = order_resize_leaf(order, leaf, cap);
    if (leaf)
        order->root = leaf;
    return leaf != NULL;
}

bool ki_order_insert(struct ki_order *order, const void *owner, uint32_t value)
{
    const struct order_search search = {.owner = owner, .compare = order->compare, .value = value};
    struct order_step path[ORDER_HEIGHT_MAX];
    KI_ASSERT(value != KI_ORDER_NONE && (order->count > 0 || !order->root));
    /* first all that can fail */
    if (!order_reserve_root(order))
        return false;
    void *node = order->root;
    for (uint32_t level = order->height; level-- > 0;) {
        struct ki_order_inner *inner = node;
        uint32_t slot = order_choose(&search, inner);
        if (order_entries(inner->children[slot]) == KI_ORDER_NODE_MAX) {
            if (!order_split(order, inner, slot, level == 0))
                return false;
            slot += order_is_left(&search, inner->first[slot + 1]);
        }
        path[level] = (struct order_step){inner, slot};
        node = inner->children[slot];
    }
    /* then what cannot */
    struct ki_order_leaf *leaf = node;
    uint32_t at = order_count_left(&search, leaf->values, leaf->count);
    KI_ASSERT(at == 0 || order->compare(owner, leaf->values[at - 1], value) != 0);
    order_open(leaf->values, leaf->count, at, sizeof *leaf->values);
    leaf->values[at] = value;
    leaf->count++;
    order->count++;
    for (uint32_t level = 0; level < order->height; level++) {
        struct ki_order_inner *inner = path[level].node;
        inner->sizes[path[level].slot]++;
        if (at == 0) /* then it is the first of all: any other child that is chosen begins before the value */
            inner->first[0] = value;
    }
    return true;
}

/* ---- removing ---- */

/* A child has become too small: it and a neighbour become one, or share evenly. */
static void order_mend(struct ki_order *order, struct ki_order_inner *parent, uint32_t slot, bool leaves)
{
    uint32_t left = slot > 0 ? slot - 1 : 0;
    void *right = parent->children[left + 1];
    uint32_t both = order_entries(parent->children[left]) + order_entries(right);
    if (both > ORDER_MERGE_MAX) {
        order_share(parent, left, leaves, both / 2);
        return;
    }
    order_share(parent, left, leaves, both);
    order_drop_child(parent, left + 1);
    ki_mem_free(order->mem, right);
}

/* Takes a value out of the leaf that a path leads to. */
static void order_take(struct ki_order *order, const struct order_step *path, struct ki_order_leaf *leaf, uint32_t at)
{
    order_close(leaf->values, leaf->count, at, sizeof *leaf->values);
    leaf->count--;
    order->count--;
    bool was_first = at == 0;
    uint32_t first = leaf->values[0]; /* below the child that the step chose */
    for (uint32_t level = 0; level < order->height; level++) {
        struct ki_order_inner *node = path[level].node;
        uint32_t slot = path[level].slot;
        node->sizes[slot]--;
        if (was_first)
            node->first[slot] = first;
        was_first = was_first && slot == 0;
        if (order_entries(node->children[slot]) < KI_ORDER_NODE_MIN)
            order_mend(order, node, slot, level == 0);
    }
    void *root = order->root;
    if (order->height > 0 && order_entries(root) == 1) {
        order->root = ((struct ki_order_inner *)root)->children[0];
        order->height--;
        ki_mem_free(order->mem, root);
    } else if (order->count == 0) {
        order->root = NULL;
        ki_mem_free(order->mem, root);
    }
}

void ki_order_remove(struct ki_order *order, const void *owner, uint32_t value)
{
    const struct order_search search = {.owner = owner, .compare = order->compare, .value = value};
    struct order_step path[ORDER_HEIGHT_MAX];
    KI_ASSERT(order->count > 0);
    void *node = order->root;
    for (uint32_t level = order->height; level-- > 0;) {
        struct ki_order_inner *inner = node;
        path[level] = (struct order_step){inner, order_choose(&search, inner)};
        node = inner->children[path[level].slot];
    }
    order_take(order, path, node, order_place(node, value));
}

uint32_t ki_order_pop_first(struct ki_order *order)
{
    struct order_step path[ORDER_HEIGHT_MAX];
    if (order->count == 0)
        return KI_ORDER_NONE;
    void *node = order->root;
    for (uint32_t level = order->height; level-- > 0;) {
        path[level] = (struct order_step){node, 0};
        node = path[level].node->children[0];
    }
    struct ki_order_leaf *leaf = node;
    uint32_t value = leaf->values[0];
    order_take(order, path, leaf, 0);
    return value;
}

/* ---- freeing ---- */

/* Frees one block: the last leaf, or an inner node that has lost its last child. */
static void order_free_one(struct ki_order *order)
{
    struct ki_order_inner *inner = order->root;
    if (order->height == 0 || inner->count == 0) {
        ki_mem_free(order->mem, order->root);
        ki_order_init(order, order->mem, order->compare);
        return;
    }
    for (uint32_t level = order->height; level > 1; level--) {
        struct ki_order_inner *last = inner->children[inner->count - 1];
        if (last->count == 0)
            break;
        inner = last;
    }
    inner->count--;
    ki_mem_free(order->mem, inner->children[inner->count]);
}

bool ki_order_free_some(struct ki_order *order, size_t blocks)
{
    order->count = 0;
    for (; order->root && blocks > 0; blocks--)
        order_free_one(order);
    return !order->root;
}
