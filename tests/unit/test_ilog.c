/* base/ilog.c: exact values in a table; the thousandths of log10 against their definition (10^milli <= n^1000 is too
 * large to compute, so against a slow series where that is far from a whole thousandth); monotony.  The root against its
 * definition, about squares and at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ilog.h"
#include "base/rng.h"

static const struct row {
    int line;
    uint64_t n;
    uint32_t log10_ceil;
    uint32_t log2_ceil;
    uint32_t log10_milli; /* of n as u32 */
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R(0, 0, 0, 0),
    R(1, 0, 0, 0),
    R(2, 1, 1, 301),
    R(3, 1, 2, 477),
    R(4, 1, 2, 602),
    R(9, 1, 4, 954),
    R(10, 1, 4, 1000),
    R(11, 2, 4, 1041),
    R(32, 2, 5, 1505),
    R(33, 2, 6, 1518),
    R(99, 2, 7, 1995),
    R(100, 2, 7, 2000),
    R(101, 3, 7, 2004),
    R(999, 3, 10, 2999),
    R(1000, 3, 10, 3000),
    R(1001, 4, 10, 3000),
    R(9999, 4, 14, 3999),
    R(10000, 4, 14, 4000),
    R(99999, 5, 17, 4999),
    R(100000, 5, 17, 5000),
    R(1000000, 6, 20, 6000),
    R(10000000, 7, 24, 7000),
    R(100000000, 8, 27, 8000),
    R(1000000000, 9, 30, 9000),
    R(UINT32_MAX, 10, 32, 9632),
    R(10000000000, 10, 34, 9149), /* 1410065408 as u32 */
    R(UINT64_MAX, 20, 64, 9632),
    R((uint64_t)1 << 63, 19, 63, 0),
    R(((uint64_t)1 << 63) + 1, 19, 64, 0),
    R(10000000000000000000u, 19, 64, 9364), /* 2313682944 as u32 */
    R(10000000000000000001u, 20, 64, 9364),
#undef R
};

static void logarithms_follow_the_table(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        bool fine = ki_log10_ceil(r->n) == r->log10_ceil && ki_log2_ceil(r->n) == r->log2_ceil &&
                    ki_log10_milli((uint32_t)r->n) == r->log10_milli;
        if (!fine)
            fail_msg("row of line %d: %u %u %u", r->line, ki_log10_ceil(r->n), ki_log2_ceil(r->n),
                     ki_log10_milli((uint32_t)r->n));
    }
}

/* ln by halving down to near 1 and the series of atanh: slow, plain, good to 14 digits. */
static double slow_ln(double x)
{
    double sum = 0.0, halvings = 0.0;
    for (; x > 1.5; x /= 2.0)
        halvings += 1.0;
    double y = (x - 1.0) / (x + 1.0), power = y;
    for (int i = 1; i < 60; i += 2, power *= y * y)
        sum += power / i;
    return 2.0 * sum + halvings * 0.69314718055994530942;
}

static void check_milli(uint32_t n)
{
    double exact = 1000.0 * slow_ln((double)n) / 2.30258509299404568402;
    double past = exact - (double)(uint32_t)exact;
    if (past > 0.0001 && past < 0.9999 && ki_log10_milli(n) != (uint32_t)exact)
        fail_msg("log10_milli(%u) is %u, not %f", n, ki_log10_milli(n), exact);
}

static void milli_is_the_floor(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (uint32_t n = 2; n < 200000; n++) {
        check_milli(n);
        assert_true(ki_log10_milli(n) >= last);
        last = ki_log10_milli(n);
    }
    for (uint64_t n = 200000; n <= UINT32_MAX; n += n / 1009 + 1)
        check_milli((uint32_t)n);
}

static void natural_is_rounded(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 33; n++)
        assert_int_equal(ki_ln_micro(n), (uint32_t)(1e6 * slow_ln((double)n) + 0.5));
    assert_int_equal(ki_ln_micro(34), ki_ln_micro(33));
    assert_int_equal(ki_ln_micro(UINT32_MAX), ki_ln_micro(33));
}

static void check_root(uint64_t n)
{
    uint64_t root = ki_sqrt(n);
    if (root > UINT32_MAX || root * root > n || n - root * root > 2 * root)
        fail_msg("sqrt(%llu) is %llu", (unsigned long long)n, (unsigned long long)root);
}

static void root_is_the_floor(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    for (uint64_t n = 0; n < 1000000; n++) {
        check_root(n);
        check_root(UINT64_MAX - n);
        uint64_t luck = ki_rng_next(&rng);
        check_root(luck >> n % 64);
        uint64_t square = (luck >> 32) * (luck >> 32);
        check_root(square);
        check_root(square - 1);
        check_root(square + 2 * (luck >> 32));
    }
    /* each place of the table, at both ends */
    for (uint64_t high = 64; high < 256; high++) {
        for (uint64_t n = 0; n < 1000; n++) {
            check_root((high << 56) + n);
            check_root((high << 56) - 1 - n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithms_follow_the_table),
        cmocka_unit_test(milli_is_the_floor),
        cmocka_unit_test(natural_is_rounded),
        cmocka_unit_test(root_is_the_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
