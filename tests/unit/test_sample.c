/* Estimates from samples: exact where all are here or an end is near, and elsewhere wrong by no more than is said, as often
 * as three standard errors promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "aggregate/sample.h"

#define MEMBERS 4000
#define ENDS 20 /* 16 of them shown */
#define SAMPLE 100

struct pool {
    struct ki_mem mem;
    struct ki_rng rng;
    struct ki_shortlist list;
    double sorted[MEMBERS];
    uint32_t count;
};

/* All are equally wide, so their order is that of the numbers. */
static struct ki_span name_of(const void *arg, uint32_t owner)
{
    static char names[MEMBERS][4];
    (void)arg;
    for (unsigned i = 0, rest = owner; i < 4; i++, rest /= 10)
        names[owner][3 - i] = (char)('0' + rest % 10);
    return ki_span(names[owner], 4);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Hashes are drawn, since that is what they stand for; values are strewn unevenly, and some are equal. */
static void pool_make(struct pool *p, uint64_t seed, uint32_t count)
{
    memset(p, 0, sizeof *p);
    p->count = count;
    ki_mem_init(&p->mem, NULL, NULL, NULL, 0);
    ki_rng_init(&p->rng, seed);
    ki_shortlist_init(&p->list, &p->mem, (struct ki_short_names){name_of, NULL}, ENDS, SAMPLE, 4);
    for (uint32_t i = 0; i < count; i++) {
        double luck = (double)ki_rng_below(&p->rng, 100000) / 100;
        struct ki_short_claim claim = {
            .hash = ki_rng_next(&p->rng), .version = 1, .value = luck * luck, .owner = i, .generation = 1};
        ki_shortlist_offer(&p->list, 0, &claim, KI_SHORT_NOBODY);
        p->sorted[i] = claim.value;
    }
    qsort(p->sorted, count, sizeof *p->sorted, by_value);
}

static void pool_end(struct pool *p)
{
    ki_shortlist_free(&p->list);
    assert_int_equal(p->mem.used, 0);
}

/* How far the rank of a value is from a part q: equal values have all of theirs. */
static double off(const struct pool *p, double value, double q)
{
    uint32_t below = 0, upto = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        below += p->sorted[i] < value;
        upto += p->sorted[i] <= value;
    }
    double low = (double)below / p->count, high = (double)upto / p->count;
    return q < low ? low - q : q > high ? q - high : 0;
}

static void all_of_few_is_exact(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < SAMPLE; count += 33) {
        struct pool p;
        double error, counts[3];
        const double bounds[2] = {1000, 250000};
        pool_make(&p, count, count);
        assert_true(ki_sample_size(&p.list) >= count && ki_sample_size(&p.list) <= count);
        for (unsigned percent = 0; percent <= 100; percent++) {
            const struct ki_short_entry *at = ki_sample_quantile(&p.list, count, percent / 100.0, &error);
            assert_true(count > 0 ? at != NULL && error >= 0 && error <= 0 : at == NULL);
            uint32_t rank = (count * percent + 99) / 100;
            if (at)
                assert_true(at->claim.value >= p.sorted[rank > 0 ? rank - 1 : 0] &&
                            at->claim.value <= p.sorted[rank > 0 ? rank - 1 : 0]);
        }
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(ki_sample_rank(&p.list, count, ki_shortlist_at(&p.list, i), &error), i);
        ki_sample_histogram(&p.list, count, bounds, 2, counts);
        uint32_t low = 0, high = 0;
        for (uint32_t i = 0; i < count; i++) {
            low += p.sorted[i] < 1000;
            high += p.sorted[i] >= 250000;
        }
        assert_int_equal(counts[0], low);
        assert_int_equal(counts[1], count - low - high);
        assert_int_equal(counts[2], high);
        pool_end(&p);
    }
}

static void the_ends_are_exact(void **state)
{
    (void)state;
    struct pool p;
    double error;
    pool_make(&p, 1, MEMBERS);
    for (uint32_t i = 0; i < 16; i++) {
        const struct ki_short_entry *low = ki_shortlist_at(&p.list, i);
        const struct ki_short_entry *high = ki_shortlist_at(&p.list, p.list.live - 1 - i);
        assert_true(low->claim.value >= p.sorted[i] && low->claim.value <= p.sorted[i]);
        assert_int_equal(ki_sample_rank(&p.list, MEMBERS, low, &error), i);
        assert_int_equal(ki_sample_rank(&p.list, MEMBERS, high, &error), MEMBERS - 1 - i);
        assert_true(error <= 0);
        assert_ptr_equal(ki_sample_quantile(&p.list, MEMBERS, (i + 1.0) / MEMBERS, &error), low);
        assert_true(error <= 0);
        assert_ptr_equal(ki_sample_quantile(&p.list, MEMBERS, 1 - (double)i / MEMBERS, &error), high);
        assert_true(error <= 0);
    }
    ki_sample_quantile(&p.list, MEMBERS, 17.0 / MEMBERS, &error);
    assert_true(error > 0);
    assert_non_null(ki_sample_quantile(&p.list, 1e12, 0.5, &error)); /* whatever somebody says there are */
    assert_non_null(ki_sample_quantile(&p.list, 0, 0.5, &error));
    pool_end(&p);
}

/* 400 pools, seven quantiles of each: beyond three standard errors lie 0.27 in 100 of what is normal, and, where few lie
 * beyond, up to 1.2 in 100 of what is not (5 of a hundred being 12).  1 and 3 in 100 are allowed; half of the error must
 * not do. */
static void errors_are_as_said(void **state)
{
    (void)state;
    static const struct {
        double q;
        unsigned most;
    } rows[] = {{0.01, 12}, {0.05, 12}, {0.25, 4}, {0.5, 4}, {0.75, 4}, {0.95, 12}, {0.99, 12}};
    unsigned beyond[KI_COUNT(rows)] = {0}, half[KI_COUNT(rows)] = {0};
    double squares = 0, sum = 0;
    enum { POOLS = 400 };
    for (unsigned seed = 0; seed < POOLS; seed++) {
        struct pool p;
        pool_make(&p, seed, MEMBERS);
        double size = ki_sample_size(&p.list) / MEMBERS - 1;
        sum += size;
        squares += size * size;
        for (size_t i = 0; i < KI_COUNT(rows); i++) {
            double error;
            const struct ki_short_entry *at = ki_sample_quantile(&p.list, MEMBERS, rows[i].q, &error);
            beyond[i] += off(&p, at->claim.value, rows[i].q) > error;
            half[i] += off(&p, at->claim.value, rows[i].q) > error / 2;
        }
        pool_end(&p);
    }
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        assert_in_range(beyond[i], 0, rows[i].most);
        if (rows[i].q > 0.2 && rows[i].q < 0.8)
            assert_in_range(half[i], POOLS / 20, POOLS / 5); /* 13 in 100 */
    }
    double rms = sqrt(squares / POOLS), mean = sum / POOLS, se = 1 / sqrt(SAMPLE - 2);
    assert_true(rms > se * 0.85 && rms < se * 1.15); /* four standard errors of a standard error from 400: 0.14 */
    assert_true(fabs(mean) < 4 * se / sqrt(POOLS));
}

/* A place in the middle, and how many lie in a range, are parts of the sample. */
static void parts_are_near(void **state)
{
    (void)state;
    struct pool p;
    double error, counts[3];
    pool_make(&p, 7, MEMBERS);
    const double bounds[2] = {p.sorted[MEMBERS / 4], p.sorted[MEMBERS * 3 / 4]};
    for (uint32_t i = 16; i + 16 < p.list.live; i++) {
        const struct ki_short_entry *at = ki_shortlist_at(&p.list, i);
        double rank = ki_sample_rank(&p.list, MEMBERS, at, &error);
        assert_true(error > 0 && off(&p, at->claim.value, rank / MEMBERS) < error);
    }
    ki_sample_histogram(&p.list, MEMBERS, bounds, 2, counts);
    assert_true(fabs(counts[0] + counts[1] + counts[2] - MEMBERS) < 1e-6);
    assert_true(fabs(counts[0] - MEMBERS / 4) < 3 * MEMBERS * sqrt(0.25 * 0.75 / SAMPLE));
    assert_true(fabs(counts[1] - MEMBERS / 2) < 3 * MEMBERS * sqrt(0.5 * 0.5 / SAMPLE));
    pool_end(&p);
}

static void picks_are_fair(void **state)
{
    (void)state;
    enum { ROUNDS = 4000 };
    static unsigned taken[MEMBERS], first[MEMBERS];
    const struct ki_short_entry *out[SAMPLE + 1];
    struct pool p;
    pool_make(&p, 3, MEMBERS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_int_equal(ki_sample_pick(&p.list, &p.rng, out, 10), 10);
        for (size_t i = 0; i < 10; i++) {
            taken[out[i]->claim.owner]++;
            for (size_t j = 0; j < i; j++)
                assert_ptr_not_equal(out[i], out[j]);
        }
        first[out[0]->claim.owner]++;
    }
    for (uint32_t i = 0; i < p.list.live; i++) {
        const struct ki_short_entry *at = ki_shortlist_at(&p.list, i);
        bool sampled = ki_shortlist_is_sampled(&p.list, at);
        /* binomial of 4000 with a tenth, and with a hundredth: within five standard deviations */
        assert_in_range(taken[at->claim.owner], sampled ? 400 - 95 : 0, sampled ? 400 + 95 : 0);
        assert_in_range(first[at->claim.owner], sampled ? 40 - 32 : 0, sampled ? 40 + 32 : 0);
    }
    assert_int_equal(ki_sample_pick(&p.list, &p.rng, out, SAMPLE + 1), SAMPLE);
    assert_int_equal(ki_sample_pick(&p.list, &p.rng, out, 0), 0);
    pool_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_few_is_exact), cmocka_unit_test(the_ends_are_exact), cmocka_unit_test(errors_are_as_said),
        cmocka_unit_test(parts_are_near),      cmocka_unit_test(picks_are_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
