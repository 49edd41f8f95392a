/* The order with nodes of 4 entries: a dozen values are three levels, so every shape that they can take, by whatever
 * sequence of entering and removing, can be looked at.  The code is compiled once more here, with that size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KI_ORDER_NODE_MAX 4
#include "store/order.c"

#include "base/map.h"
#include "unit/order_model.h"

enum {
    VALUES = 13,        /* up to three levels; each more makes three times as many shapes */
    SHAPE_LEN = 40,     /* bytes: the values, and a count for each node */
    STATES_MAX = 60000,
    PATH_MAX_LEN = 64
};

struct shape {
    uint8_t bytes[SHAPE_LEN];
    size_t len;
};

/* A state: a tree of one shape, and how it was reached from another: by entering or removing one value. */
struct place {
    struct shape shape;
    uint32_t from;
    uint32_t value;
};

struct all {
    struct place places[STATES_MAX];
    uint32_t count;
    struct ki_map by_shape;
};

static struct all all;

static void shape_node(struct shape *shape, const void *node, uint32_t level)
{
    uint32_t count = order_entries(node);
    assert_true(shape->len + 1 + count <= SHAPE_LEN);
    shape->bytes[shape->len++] = (uint8_t)(0x80 | count);
    for (uint32_t i = 0; i < count; i++) {
        if (level > 0)
            shape_node(shape, ((const struct ki_order_inner *)node)->children[i], level - 1);
        else
            shape->bytes[shape->len++] = (uint8_t)((const struct ki_order_leaf *)node)->values[i];
    }
}

static struct shape shape_of(const struct ki_order *order)
{
    struct shape shape = {.len = 1, .bytes = {(uint8_t)order->height}};
    if (order->root)
        shape_node(&shape, order->root, order->height);
    return shape;
}

static uint64_t shape_hash(const struct shape *shape)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < shape->len; i++)
        hash = (hash ^ shape->bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool shape_equal(const void *owner, uint32_t value, const void *key)
{
    const struct place *places = owner;
    const struct shape *shape = key;
    return places[value].shape.len == shape->len && memcmp(places[value].shape.bytes, shape->bytes, shape->len) == 0;
}

static void remember(const struct shape *shape, uint32_t from, uint32_t value)
{
    uint64_t hash = shape_hash(shape);
    if (ki_map_get(&all.by_shape, hash, shape_equal, all.places, shape) != KI_MAP_NONE)
        return;
    assert_true(all.count < STATES_MAX);
    all.places[all.count] = (struct place){.shape = *shape, .from = from, .value = value};
    assert_true(ki_map_put(&all.by_shape, hash, all.count++));
}

static int number_compare(const void *owner, uint32_t a, uint32_t b)
{
    (void)owner;
    return (a > b) - (a < b);
}

static int number_side(const void *owner, uint32_t value, const void *key)
{
    return number_compare(owner, value, *(const uint32_t *)key);
}

static void toggle(struct ki_order *order, uint32_t *present, uint32_t value)
{
    if (*present >> value & 1)
        ki_order_remove(order, NULL, value);
    else
        assert_true(ki_order_insert(order, NULL, value));
    *present ^= 1u << value;
}

/* Builds the tree of a state, by the way it was reached first. */
static void build(struct ki_order *order, struct ki_mem *mem, uint32_t place, uint32_t *present)
{
    uint32_t path[PATH_MAX_LEN];
    size_t len = 0;
    *present = 0;
    ki_order_init(order, mem, number_compare);
    for (; place != 0; place = all.places[place].from) {
        assert_true(len < PATH_MAX_LEN);
        path[len++] = all.places[place].value;
    }
    while (len > 0)
        toggle(order, present, path[--len]);
}

static uint32_t list(uint32_t present, uint32_t *values)
{
    uint32_t count = 0;
    for (uint32_t value = 0; value < VALUES; value++) {
        if (present >> value & 1)
            values[count++] = value;
    }
    return count;
}

/* Every question that there is. */
static void ask(const struct ki_order *order, uint32_t present)
{
    uint32_t values[VALUES], count = list(present, values), rank = 0;
    check_values(order, NULL, values, count);
    assert_int_equal(ki_order_at(order, count), KI_ORDER_NONE);
    for (uint32_t value = 0; value < VALUES; value++) {
        assert_int_equal(ki_order_bound(order, NULL, number_side, &value), rank);
        if (present >> value & 1) {
            assert_int_equal(ki_order_rank(order, NULL, value), rank);
            rank++;
        }
    }
    uint32_t beyond = VALUES;
    assert_int_equal(ki_order_bound(order, NULL, number_side, &beyond), count);
}

/* The first allocation of entering a value fails, then the second, and so on, each in a tree built anew. */
static void fail_each(struct ki_mem *mem, struct failing *failing, uint32_t place, uint32_t value, const struct shape *after)
{
    bool fine = false;
    for (uint64_t until = 0; !fine; until++) {
        struct ki_order order;
        uint32_t present, values[VALUES];
        failing->until = UINT64_MAX;
        build(&order, mem, place, &present);
        failing->until = until;
        fine = ki_order_insert(&order, NULL, value);
        failing->until = UINT64_MAX;
        if (!fine) {
            check_values(&order, NULL, values, list(present, values));
            assert_true(ki_order_insert(&order, NULL, value));
        }
        struct shape shape = shape_of(&order);
        assert_true(shape.len == after->len && memcmp(shape.bytes, after->bytes, shape.len) == 0);
        assert_true(ki_order_free_some(&order, SIZE_MAX));
    }
}

/* From the empty tree on, each value is entered or removed in each state, until there is no new state: that is what all
 * sequences of any length can lead to. */
static void test_every_shape(void **state)
{
    (void)state;
    struct failing failing = {.until = UINT64_MAX};
    struct ki_mem mem;
    struct ki_order order;
    uint32_t present, highest = 0;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_map_init(&all.by_shape, &mem);
    ki_order_init(&order, &mem, number_compare);
    struct shape shape = shape_of(&order);
    remember(&shape, 0, 0);
    for (uint32_t place = 0; place < all.count; place++) {
        for (uint32_t value = 0; value < VALUES; value++) {
            build(&order, &mem, place, &present);
            bool is_new = !(present >> value & 1);
            toggle(&order, &present, value);
            ask(&order, present);
            shape = shape_of(&order);
            highest = order.height > highest ? order.height : highest;
            remember(&shape, place, value);
            assert_true(ki_order_free_some(&order, SIZE_MAX));
            if (is_new)
                fail_each(&mem, &failing, place, value, &shape);
        }
        build(&order, &mem, place, &present); /* freed block by block */
        while (!ki_order_free_some(&order, 1))
            assert_int_equal(order.count, 0);
    }
    print_message("%u shapes\n", all.count);
    assert_int_equal(highest, 2);
    ki_map_free(&all.by_shape);
    assert_int_equal(mem.used, 0);
}

/* Of more values, at random: trees of up to ten levels. */
static void test_against_model(void **state)
{
    (void)state;
    run_against_model(30, 50000, 100);
    run_against_model(3000, 100000, 6000);
    run_against_model(40000, 160000, 80000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
