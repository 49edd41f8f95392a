/* The order against a stupid model, with nodes as they ship; test_order_small.c has the exhaustive part.
 * ctest: TIMEOUT 400 COST 30 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/order_model.h"

/* ---- a million random steps ---- */

/* Rows: one leaf, about one leaf, one level, two levels that come and go, and as many as two levels hold at most. */
static const struct {
    uint32_t universe, steps, phase;
} mixes[] = {{8, 100000, 20}, {70, 100000, 200}, {500, 250000, 1500}, {6000, 250000, 15000}, {MODEL_MAX, 300000, 150000}};

static void test_against_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(mixes); i++)
        run_against_model(mixes[i].universe, mixes[i].steps, mixes[i].phase);
}

/* ---- a million values ---- */

#define MANY 1000000

static int number_compare(const void *owner, uint32_t a, uint32_t b)
{
    (void)owner;
    return (a > b) - (a < b);
}

static int number_side(const void *owner, uint32_t value, const void *key)
{
    (void)owner;
    return number_compare(NULL, value, *(const uint32_t *)key);
}

/* Rising, falling, and strewn: the i-th of all numbers below MANY, each once. */
static uint32_t rising(uint32_t i) { return i; }
static uint32_t falling(uint32_t i) { return MANY - 1 - i; }
static uint32_t strewn(uint32_t i) { return (uint32_t)((uint64_t)i * 618033 % MANY); } /* 618033 and MANY: coprime */

static void fill_many(struct ki_order *order, uint32_t (*number)(uint32_t))
{
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(ki_order_insert(order, NULL, number(i)));
    check_order(order, NULL);
}

static void test_many(void **state)
{
    (void)state;
    uint32_t (*const ways[])(uint32_t) = {rising, falling, strewn};
    struct ki_mem mem;
    struct ki_order order;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_order_init(&order, &mem, number_compare);
    for (size_t way = 0; way < KI_COUNT(ways); way++) {
        fill_many(&order, ways[way]);
        assert_true(mem.used < (uint64_t)MANY * 10); /* and with what malloc adds, below 12 */
        for (uint32_t i = 0; i < MANY; i += 997) {
            assert_int_equal(ki_order_at(&order, i), i);
            assert_int_equal(ki_order_rank(&order, NULL, i), i);
            assert_int_equal(ki_order_bound(&order, NULL, number_side, &i), i);
        }
        /* those that remain are as few in a node as they can be */
        for (uint32_t i = 0; i < MANY; i++) {
            if (i % 8 != 0)
                ki_order_remove(&order, NULL, i);
        }
        check_order(&order, NULL);
        assert_true(mem.used < order.count * UINT64_C(14));
        for (uint32_t i = 0; i < MANY; i += 8)
            assert_int_equal(ki_order_pop_first(&order), i);
        assert_int_equal(ki_order_pop_first(&order), KI_ORDER_NONE);
        assert_int_equal(mem.used, 0);
    }
}

/* ---- freeing in slices ---- */

static void test_freeing_in_slices(void **state)
{
    (void)state;
    enum { SLICE = 200 };
    struct failing failing = {.until = UINT64_MAX};
    struct ki_mem mem;
    struct ki_order order;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_order_init(&order, &mem, number_compare);
    assert_true(ki_order_free_some(&order, 0)); /* an empty one has nothing to free */
    fill_many(&order, strewn);
    uint64_t blocks = failing.given - failing.released, slices = 0;
    assert_false(ki_order_free_some(&order, 0));
    assert_int_equal(order.count, 0);
    assert_int_equal(ki_order_first(&order), KI_ORDER_NONE);
    assert_int_equal(ki_order_last(&order), KI_ORDER_NONE);
    for (bool done = false; !done; slices++) {
        uint64_t before = failing.released;
        done = ki_order_free_some(&order, SLICE);
        assert_true(done ? failing.released - before <= SLICE : failing.released - before == SLICE);
    }
    assert_int_equal(slices, (blocks + SLICE - 1) / SLICE);
    assert_int_equal(mem.used, 0);
    fill_many(&order, falling); /* ready for use */
    assert_true(ki_order_free_some(&order, SIZE_MAX));
    assert_int_equal(mem.used, 0);
}

/* ---- small ones ---- */

static void test_small_is_one_block(void **state)
{
    (void)state;
    struct failing failing = {.until = UINT64_MAX};
    struct ki_mem mem;
    struct ki_order order;
    uint32_t key = 7;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_order_init(&order, &mem, number_compare);
    assert_int_equal(ki_order_first(&order), KI_ORDER_NONE);
    assert_int_equal(ki_order_last(&order), KI_ORDER_NONE);
    assert_int_equal(ki_order_pop_first(&order), KI_ORDER_NONE);
    assert_int_equal(ki_order_bound(&order, NULL, number_side, &key), 0);
    assert_int_equal(failing.given, 0); /* an empty one allocates nothing */
    for (uint32_t i = 0; i < KI_ORDER_NODE_MAX; i++) {
        assert_true(ki_order_insert(&order, NULL, i));
        assert_int_equal(failing.given, 1);
        assert_true(mem.used <= 16 + 8 + 4 * (i < 4 ? 4 : 2 * i)); /* the block's head, the leaf's, at most half empty */
    }
    for (uint32_t i = 0; i < KI_ORDER_NODE_MAX; i++)
        ki_order_remove(&order, NULL, i);
    assert_int_equal(mem.used, 0);
}

/* ---- memory runs out ---- */

static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    enum { VALUES = 20000 };
    static uint32_t values[VALUES];
    struct failing failing = {0};
    struct ki_mem mem;
    struct ki_order order;
    uint32_t failed = 0;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_order_init(&order, &mem, number_compare);
    for (uint32_t i = 0; i < VALUES; i++) {
        bool fine = false;
        for (uint64_t until = 0; !fine; until++) {
            failing.until = until;
            fine = ki_order_insert(&order, NULL, i);
            if (!fine && ++failed % 8 < 2) /* each time would take long */
                check_values(&order, NULL, values, i);
        }
        values[i] = i;
    }
    check_values(&order, NULL, values, VALUES);
    assert_true(failed > VALUES / KI_ORDER_NODE_MAX && mem.failures == failed);
    failing.until = 0;
    for (uint32_t i = 0; i < VALUES; i++) /* and nothing of this asks for memory */
        ki_order_remove(&order, NULL, (uint32_t)((uint64_t)i * 7919 % VALUES)); /* coprime: each once */
    assert_int_equal(mem.used, 0);
}

/* ---- misuse ---- */

static void enter_an_equal_one(struct ki_order *order) { ki_order_insert(order, NULL, 500); }
static void enter_an_equal_first(struct ki_order *order) { ki_order_insert(order, NULL, 0); }
static void enter_none(struct ki_order *order) { ki_order_insert(order, NULL, KI_ORDER_NONE); }
static void remove_a_stranger(struct ki_order *order) { ki_order_remove(order, NULL, 5000); }
static void rank_a_stranger(struct ki_order *order) { ki_order_rank(order, NULL, 5000); }

static void enter_while_it_is_freed(struct ki_order *order)
{
    ki_order_free_some(order, 1);
    ki_order_insert(order, NULL, 5000);
}

static void remove_while_it_is_freed(struct ki_order *order)
{
    ki_order_free_some(order, 1);
    ki_order_remove(order, NULL, 500);
}

static void nothing(struct ki_order *order) { ki_order_insert(order, NULL, 5000); } /* the canary: this is fine */

static const struct {
    void (*misuse)(struct ki_order *order);
    int signal;
} misuses[] = {
    {enter_an_equal_one, SIGABRT}, {enter_an_equal_first, SIGABRT},    {enter_none, SIGABRT},
    {remove_a_stranger, SIGABRT},  {rank_a_stranger, SIGABRT},         {enter_while_it_is_freed, SIGABRT},
    {nothing, 0},                  {remove_while_it_is_freed, SIGABRT},
};

static void test_misuse_aborts(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(misuses); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            struct ki_mem mem;
            struct ki_order order;
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            ki_mem_init(&mem, NULL, NULL, NULL, 0);
            ki_order_init(&order, &mem, number_compare);
            for (uint32_t value = 0; value < 1000; value++)
                ki_order_insert(&order, NULL, value);
            misuses[i].misuse(&order);
            _exit(0);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, misuses[i].signal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_freeing_in_slices),
        cmocka_unit_test(test_small_is_one_block),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
