/* The estimator: its logarithms against a slow series, by what it answers; and how near it comes, from one item to a
 * million, in 5 to 95 of a hundred cases (only parities are simulated: the sets themselves do not matter). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/estimate.h"

static const struct ki_parity none;

/* ---- answers for parities made by hand ---- */

static void test_small_numbers(void **state)
{
    (void)state;
    struct ki_parity parity = none;
    assert_int_equal(ki_estimate(&none, &none), 0);
    for (uint32_t level = 0; level < KI_PARITY_LEVELS; level++) { /* one bit anywhere is one item */
        parity = none;
        parity.level[level] = (uint64_t)1 << level;
        assert_int_equal(ki_estimate(&parity, &none), 1);
        assert_int_equal(ki_estimate(&none, &parity), 1);
        assert_int_equal(ki_estimate(&parity, &parity), 0);
    }
    parity = none;
    parity.level[0] = 3;
    parity.level[1] = 1;
    assert_int_equal(ki_estimate(&parity, &none), 3);
    /* all bits odd says nothing but "many": the largest, or where half of the last level would be */
    for (uint32_t level = 0; level < KI_PARITY_LEVELS; level++)
        parity.level[level] = UINT32_MAX;
    assert_true(ki_estimate(&parity, &none) >= (uint64_t)1 << 28);
    memset(&parity, 0xff, sizeof parity);
    assert_true(ki_estimate(&parity, &none) == (uint64_t)1 << 32);
}

/* Where a bit goes: the lowest one of the luck tells the level, bits 26 to 31 the place. */
static void test_places(void **state)
{
    (void)state;
    static const struct {
        uint64_t luck;
        uint32_t level, place;
    } rows[] = {
        {0x00000001, 0, 0},  {0xffffffff, 0, 63}, {0x04000002, 1, 1},  {0x80400000, 22, 32},
        {0x80800000, 23, 32}, {0xf8000000, 23, 62}, {0x00000000, 23, 0}, {0x28000008, 3, 10},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_parity parity = none;
        ki_parity_flip(&parity, rows[i].luck);
        for (uint32_t level = 0; level < KI_PARITY_LEVELS; level++)
            assert_true(parity.level[level] == (level == rows[i].level ? (uint64_t)1 << rows[i].place : 0));
        ki_parity_flip(&parity, rows[i].luck);
        assert_memory_equal(&parity, &none, sizeof parity);
    }
}

/* ---- the same search in floating point ---- */

static double slow_exp_minus(double x)
{
    double sum = 1, term = 1;
    int halvings = 0;
    for (; x > 0.01; x /= 2)
        halvings++;
    for (int i = 1; i < 12; i++)
        sum += term *= -x / i;
    for (; halvings > 0; halvings--)
        sum *= sum;
    return sum;
}

static double slow_ln(double x)
{
    double sum = 0, doublings = 0;
    for (; x < 0.7; x *= 2)
        doublings++;
    double y = (x - 1) / (x + 1), power = y;
    for (int i = 1; i < 60; i += 2, power *= y * y)
        sum += power / i;
    return 2 * sum - doublings * 0.69314718055994530942;
}

static double slow_power(uint32_t g)
{
    double power = 1;
    for (; g >= 16; g -= 16)
        power *= 2;
    for (; g > 0; g--)
        power *= 1.0442737824274138403; /* 2^(1/16) */
    return power;
}

static double slow_likelihood(const struct ki_parity *parity, double d)
{
    double sum = 0, x = d / 64;
    for (uint32_t level = 0; level < KI_PARITY_LEVELS; level++) {
        int odd = __builtin_popcountll(parity->level[level]);
        double e = slow_exp_minus(x);
        double p = x < 1e-6 ? x / 2 : (1 - e) / 2; /* 1 - e has too few digits there */
        sum += odd * slow_ln(p) + (64 - odd) * slow_ln(1 - p);
        x /= level < KI_PARITY_LEVELS - 2 ? 2 : 1; /* the last level takes as many as the one before it */
    }
    return sum;
}

static void simulate(struct ki_parity *parity, struct ki_rng *rng, uint32_t d)
{
    *parity = none;
    for (uint32_t i = 0; i < d; i++)
        ki_parity_flip(parity, ki_rng_next(rng) >> 32);
}

/* What the integers choose is as likely as any point of the grid, but for a thousandth: that is, the tables are right. */
static void test_likeliest(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 5);
    for (int trial = 0; trial < 60; trial++) {
        struct ki_parity parity;
        double best = -1e9, chosen = -1e9;
        simulate(&parity, &rng, (uint32_t)slow_power((uint32_t)trial * 5));
        uint64_t answer = ki_estimate(&parity, &none);
        for (uint32_t g = 0; g <= 512; g++) {
            double likelihood = slow_likelihood(&parity, slow_power(g));
            best = likelihood > best ? likelihood : best;
            double off = slow_power(g) - (double)answer;
            if (off * off <= 0.26 + 1e-9 * slow_power(g) * slow_power(g)) /* rounded, of 16 binary places */
                chosen = likelihood > chosen ? likelihood : chosen;
        }
        if (!(best - chosen < 0.001))
            fail_msg("trial %d: %llu is less likely by %f", trial, (unsigned long long)answer, best - chosen);
    }
}

/* ---- how near it comes ---- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_near_enough(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 5, 10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000};
    static uint64_t answers[200];
    struct ki_rng rng;
    ki_rng_init(&rng, 6);
    for (size_t i = 0; i < KI_COUNT(sizes); i++) {
        size_t trials = sizes[i] < 100000 ? KI_COUNT(answers) : 60;
        double sum = 0;
        for (size_t trial = 0; trial < trials; trial++) {
            struct ki_parity parity;
            simulate(&parity, &rng, sizes[i]);
            answers[trial] = ki_estimate(&parity, &none);
            sum += (double)answers[trial] / sizes[i];
        }
        qsort(answers, trials, sizeof *answers, compare);
        double low = (double)answers[trials / 20] / sizes[i];
        double high = (double)answers[trials - 1 - trials / 20] / sizes[i];
        print_message("d = %u: %.2f .. %.2f, mean %.3f\n", sizes[i], low, high, sum / (double)trials);
        assert_true(low >= 0.5 && high <= 2.0);
        assert_true(sum / (double)trials > 0.9 && sum / (double)trials < 1.1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_numbers),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_likeliest),
        cmocka_unit_test(test_near_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
