/* Percentiles by nearest rank: the textbook's examples, the ends, and the definition itself on every small count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rank.h"

static const struct {
    uint64_t values[10];
    size_t count;
    unsigned percent;
    uint64_t rank;
} rows[] = {
    {{15, 20, 35, 40, 50}, 5, 5, 15},
    {{15, 20, 35, 40, 50}, 5, 30, 20},
    {{15, 20, 35, 40, 50}, 5, 40, 20},
    {{15, 20, 35, 40, 50}, 5, 50, 35},
    {{15, 20, 35, 40, 50}, 5, 100, 50},
    {{3, 6, 7, 8, 8, 10, 13, 15, 16, 20}, 10, 25, 7},
    {{3, 6, 7, 8, 8, 10, 13, 15, 16, 20}, 10, 75, 15},
    {{7}, 1, 0, 7},
    {{7}, 1, 1, 7},
    {{7}, 1, 100, 7},
    {{1, UINT64_MAX}, 2, 50, 1},
    {{1, UINT64_MAX}, 2, 51, UINT64_MAX},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        assert_int_equal(ki_rank(rows[i].values, rows[i].count, rows[i].percent), rows[i].rank);
}

static void test_definition(void **state)
{
    uint64_t values[250];
    (void)state;
    for (size_t i = 0; i < KI_COUNT(values); i++)
        values[i] = i + 1;
    for (size_t count = 1; count <= KI_COUNT(values); count++) {
        for (unsigned percent = 1; percent <= 100; percent++) {
            uint64_t rank = ki_rank(values, count, percent); /* so many values do not exceed it */
            assert_true(rank * 100 >= count * percent && (rank - 1) * 100 < count * percent);
        }
    }
}

static void test_order(void **state)
{
    uint64_t values[] = {5, 0, UINT64_MAX, 5, UINT64_C(1) << 32, 1};
    static const uint64_t sorted[] = {0, 1, 5, 5, UINT64_C(1) << 32, UINT64_MAX};
    (void)state;
    qsort(values, KI_COUNT(values), sizeof *values, ki_rank_order);
    assert_memory_equal(values, sorted, sizeof sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
