/* aggregate/fold.c against a stupid model, bit for bit whatever the order: random values with many ties, and values that
 * only a careful sum survives.  Quantiles by their definition, histograms by counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "aggregate/fold.h"
#include "base/rng.h"

#define MOST 300

static char names[MOST][8];
static struct ki_placed list[MOST];

static void name_all(void)
{
    for (unsigned i = 0; i < MOST; i++)
        snprintf(names[i], sizeof names[i], "m%u", i);
}

static void put(size_t at, unsigned name, double value)
{
    list[at] = (struct ki_placed){.value = value, .name = ki_span(names[name], strlen(names[name]))};
}

static void shuffle(struct ki_rng *rng, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        size_t at = (size_t)ki_rng_below(rng, left);
        struct ki_placed last = list[left - 1];
        list[left - 1] = list[at];
        list[at] = last;
    }
}

static bool same(const struct ki_fold *a, const struct ki_fold *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* ---- sums ---- */

static void sums_of_few(void **state)
{
    (void)state;
    static const struct {
        double values[6];
        size_t count;
        struct ki_fold want;
    } rows[] = {
        {.count = 0},
        {{7}, 1, {7, 7, 0, 7, 7}},
        {{0.1, 0.1, 0.1}, 3, {0.30000000000000004, 0.1, 0, 0.1, 0.1}},
        {{-3, 1}, 2, {-2, -1, 4, -3, 1}},
        {{4, 2, 4, 5, 7, 8}, 6, {30, 5, 4, 2, 8}},
        {{1e15, 1e-3, -1e15}, 3, {1e-3, 1e-3 / 3, 2e30 / 3, -1e15, 1e15}}, /* added plainly: 0 */
        {{1e100, 1, -1e100, 1e-3}, 4, {1.001, 1.001 / 4, 5e199, -1e100, 1e100}},
        {{1e15, 1e15, 1e15 + 0.125, 1e15 + 0.125}, 4, {4e15 + 0.25, 1e15 + 0.0625, 0, 1e15, 1e15 + 0.125}},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        for (size_t at = 0; at < rows[i].count; at++)
            put(at, (unsigned)at, rows[i].values[at]);
        ki_fold_sort(list, rows[i].count);
        struct ki_fold got = ki_fold(list, rows[i].count), want = rows[i].want;
        assert_true(got.sum == want.sum && got.min == want.min && got.max == want.max);
        assert_true(got.average >= want.average - 1e-17 * want.max && got.average <= want.average + 1e-17 * want.max);
        if (i == KI_COUNT(rows) - 1) /* the average is rounded to an eighth; the differences to it are right all the same */
            want.variance = 0.0625 * 0.0625;
        assert_true(got.variance >= want.variance * 0.999999 && got.variance <= want.variance * 1.000001);
        assert_true(got.average >= got.min && got.average <= got.max);
    }
}

/* By hand, in long double and without any care; whole numbers, so that it is exact. */
static void model_of_integers(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    for (unsigned round = 0; round < 300; round++) {
        size_t count = (size_t)ki_rng_below(&rng, MOST) + 1;
        uint64_t spread = ki_rng_below(&rng, 1000) + 1;
        long double sum = 0, squares = 0;
        double min = 1e9, max = -1e9;
        for (size_t at = 0; at < count; at++) {
            double value = (double)ki_rng_below(&rng, spread) - 300;
            put(at, (unsigned)at, value);
            sum += (long double)value;
            squares += (long double)value * (long double)value;
            min = value < min ? value : min;
            max = value > max ? value : max;
        }
        ki_fold_sort(list, count);
        struct ki_fold got = ki_fold(list, count);
        long double average = sum / (long double)count, variance = squares / (long double)count - average * average;
        assert_true((long double)got.sum == sum && got.average == (double)average);
        assert_true(got.min == min && got.max == max);
        double off = (double)(variance - (long double)got.variance);
        assert_true(off < 1e-9 && off > -1e-9);
    }
}

static void no_order_changes_a_bit(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 2);
    for (unsigned round = 0; round < 100; round++) {
        size_t count = (size_t)ki_rng_below(&rng, MOST) + 1;
        struct ki_placed first[MOST];
        for (size_t at = 0; at < count; at++) {
            double value = (double)ki_rng_below(&rng, 50) / 7;
            unsigned scale = (unsigned)ki_rng_below(&rng, 4);
            put(at, (unsigned)at, scale == 0 ? value * 1e15 : scale == 1 ? -value * 1e-3 : value);
        }
        ki_fold_sort(list, count);
        for (size_t at = 1; at < count; at++) { /* equal values by name */
            int names_rise = ki_span_compare(list[at - 1].name, list[at].name);
            assert_true(list[at - 1].value < list[at].value || (list[at - 1].value == list[at].value && names_rise < 0));
        }
        memcpy(first, list, count * sizeof *list);
        struct ki_fold want = ki_fold(list, count);
        shuffle(&rng, count);
        ki_fold_sort(list, count);
        struct ki_fold got = ki_fold(list, count);
        assert_true(same(&got, &want));
        for (size_t at = 0; at < count; at++) {
            assert_true(list[at].name.ptr == first[at].name.ptr);
            assert_int_equal(ki_fold_find(list, count, first[at].name), at);
        }
        assert_int_equal(ki_fold_find(list, count, ki_span("nobody", 6)), count);
    }
}

/* ---- quantiles ---- */

/* The smallest place at or before which there are at least percent / 100 of all, in integers. */
static size_t model_place(size_t count, size_t percent)
{
    size_t place = 0;
    while ((place + 1) * 100 < percent * count)
        place++;
    return place;
}

static void quantiles_by_their_definition(void **state)
{
    (void)state;
    for (size_t count = 1; count <= MOST; count++) {
        for (size_t percent = 0; percent <= 100; percent++)
            assert_int_equal(ki_fold_quantile(count, (double)percent / 100), model_place(count, percent));
        assert_int_equal(ki_fold_quantile(count, 0), 0);
        assert_int_equal(ki_fold_quantile(count, 1), count - 1);
        for (size_t place = 0; place < count; place++) { /* a whole number of them exactly, and a little more */
            assert_int_equal(ki_fold_quantile(count, (double)(place + 1) / (double)count), place);
            size_t next = place + 1 < count ? place + 1 : place;
            if (next > place)
                assert_int_equal(ki_fold_quantile(count, (double)(place + 1) / (double)count + 1e-6), next);
        }
    }
}

static void histograms_by_counting(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 3);
    for (unsigned round = 0; round < 200; round++) {
        size_t count = (size_t)ki_rng_below(&rng, MOST), bound_count = (size_t)ki_rng_below(&rng, 8);
        double bounds[8], got[9], want[9] = {0};
        for (size_t i = 0; i < bound_count; i++)
            bounds[i] = (i > 0 ? bounds[i - 1] : -5) + 1 + (double)ki_rng_below(&rng, 10);
        for (size_t at = 0; at < count; at++) {
            double value = (double)ki_rng_below(&rng, 60) - 10;
            size_t range = 0;
            for (size_t i = 0; i < bound_count; i++)
                range += value >= bounds[i];
            want[range] += 1;
            put(at, (unsigned)at, value);
        }
        ki_fold_sort(list, count);
        ki_fold_histogram(list, count, bounds, bound_count, got);
        for (size_t i = 0; i <= bound_count; i++)
            assert_true(got[i] == want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_few),
        cmocka_unit_test(model_of_integers),
        cmocka_unit_test(no_order_changes_a_bit),
        cmocka_unit_test(quantiles_by_their_definition),
        cmocka_unit_test(histograms_by_counting),
    };
    name_all();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
