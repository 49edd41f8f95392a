/* src/aggregate/partial.c beside one plain fold over all answers, whatever way the members are parted and merged; what comes
 * out can be told, and read again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "aggregate/partial.h"
#include "base/real.h"
#include "base/rng.h"

#define CROWD 400

enum said { SAYS_NUMBER, SAYS_NONSENSE, SAYS_NOTHING, IS_NOT_ASKED };

struct one {
    uint64_t position;
    enum said said;
    double value;
};

static struct one crowd[CROWD];

static void add(struct ki_partial *p, const struct one *one, unsigned top)
{
    switch (one->said) {
    case SAYS_NUMBER:
        ki_partial_answer(p, one->position, one->value, top);
        return;
    case SAYS_NONSENSE:
        ki_partial_unusable(p);
        return;
    case SAYS_NOTHING:
        ki_partial_silent(p, one->position);
        return;
    case IS_NOT_ASKED:
        ki_partial_unconcerned(p);
        return;
    }
}

/* A tree over them: the first speaks for itself, and merges what 1 to 8 parts of the others say; sent at each step. */
static struct ki_partial tree(struct ki_rng *rng, const struct one *list, size_t count, unsigned top)
{
    struct ki_partial p = {.members = 0}, got;
    size_t own = ki_rng_next(rng) % count; /* its turn comes at any time */
    for (size_t at = 0; at < count;) {
        size_t len = 1 + ki_rng_next(rng) % (count - at);
        if (at <= own && own < at + len)
            len = at == own ? 1 : own - at;
        struct ki_partial part = {.members = 0};
        if (len == 1)
            add(&part, &list[at], top);
        else
            part = tree(rng, list + at, len, top);
        ki_partial_merge(&p, &part, top);
        at += len;
    }
    uint8_t buf[2048];
    uint64_t id, span;
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_fold_reply(&w, 1, 2, &p);
    struct ki_reader r = ki_reader(buf + 2, w.len - 2);
    assert_true(ki_decode_fold_reply(&r, &id, &span, &got));
    return got;
}

static void shuffle(struct ki_rng *rng)
{
    for (size_t i = CROWD; i-- > 1;) {
        size_t other = ki_rng_next(rng) % (i + 1);
        struct one moved = crowd[i];
        crowd[i] = crowd[other];
        crowd[other] = moved;
    }
}

static int by_value(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    if (x->value < y->value || x->value > y->value)
        return x->value > y->value ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

static int by_position(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    return x->position < y->position ? -1 : 1;
}

/* Counts, extremes and lists are those of all, exactly. */
static void same_lists(const struct ki_partial *p, unsigned top)
{
    static struct one numbers[CROWD], silent[CROWD];
    uint32_t number_count = 0, silent_count = 0, unusable = 0;
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i].said == SAYS_NUMBER)
            numbers[number_count++] = crowd[i];
        if (crowd[i].said == SAYS_NOTHING)
            silent[silent_count++] = crowd[i];
        unusable += crowd[i].said == SAYS_NONSENSE;
    }
    qsort(numbers, number_count, sizeof *numbers, by_value);
    qsort(silent, silent_count, sizeof *silent, by_position);
    assert_int_equal(p->members, CROWD);
    assert_int_equal(p->answers, number_count);
    assert_int_equal(p->silent, silent_count);
    assert_int_equal(p->unusable, unusable);
    assert_int_equal(p->top_count, number_count < top ? number_count : top);
    for (unsigned i = 0; i < p->top_count; i++)
        assert_true(p->top[i].position == numbers[i].position);
    assert_int_equal(p->named, silent_count < KI_FOLD_NAMED_MAX ? silent_count : KI_FOLD_NAMED_MAX);
    for (unsigned i = 0; i < p->named; i++)
        assert_true(p->silent_at[i] == silent[i].position);
    assert_true(number_count == 0 || ki_real_bits(p->max) == ki_real_bits(numbers[0].value));
    assert_true(number_count == 0 || ki_real_bits(p->min) == ki_real_bits(numbers[number_count - 1].value));
}

/* Sums are those of a fold in twice the precision and more, to the last bit; the others nearly. */
static void same_sums(const struct ki_partial *p)
{
    long double sum = 0, low = 0, magnitudes = 0, deviations = 0;
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i].said != SAYS_NUMBER)
            continue;
        long double value = (long double)crowd[i].value, total = sum + value, of_value = total - sum;
        low += (sum - (total - of_value)) + (value - of_value);
        sum = total;
        magnitudes += fabsl(value);
    }
    sum += low;
    long double average = p->answers > 0 ? sum / p->answers : 0;
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i].said == SAYS_NUMBER)
            deviations += ((long double)crowd[i].value - average) * ((long double)crowd[i].value - average);
    }
    long double off = fabsl((long double)ki_partial_sum(p) - sum);
    assert_true(off <= fabsl(sum) * 0x1p-53L + magnitudes * 0x1p-84L);
    assert_true(fabsl((long double)ki_partial_average(p) - average) <= fabsl(average) * 0x1p-51L + magnitudes * 0x1p-84L);
    long double variance = p->answers > 0 ? deviations / p->answers : 0;
    long double off_deviation = fabsl(sqrtl((long double)ki_partial_variance(p)) - sqrtl(variance));
    assert_true(off_deviation <= fmaxl(fabsl((long double)p->min), fabsl((long double)p->max)) * 0x1p-46L);
}

static double any_value(struct ki_rng *rng, int kind)
{
    uint64_t draw = ki_rng_next(rng);
    double unit = (double)(draw >> 11) * 0x1p-53;
    switch (kind) {
    case 0:
        return unit; /* loads */
    case 1:
        return (double)(draw % 5); /* many equal ones */
    case 2:
        return 1e9 + unit; /* far from zero */
    case 3:
        return (draw & 1 ? 1 : -1) * ldexp(unit, (int)(draw >> 1 & 255) - 128); /* of all sizes, which cancel */
    default:
        return (draw & 1 ? 1 : -1) * KI_FOLD_VALUE_MAX;
    }
}

static void any_tree_says_the_same(void **state)
{
    struct ki_rng rng;
    (void)state;
    ki_rng_init(&rng, 11);
    for (int round = 0; round < 300; round++) {
        unsigned top = (unsigned)(ki_rng_next(&rng) % (KI_FOLD_TOP_MAX + 1));
        for (size_t i = 0; i < CROWD; i++) {
            uint64_t luck = ki_rng_next(&rng) % 100;
            crowd[i] = (struct one){.position = ki_rng_next(&rng), .value = any_value(&rng, round % 5)};
            crowd[i].said = luck < 70 ? SAYS_NUMBER : luck < 80 ? SAYS_NONSENSE : luck < 95 ? SAYS_NOTHING : IS_NOT_ASKED;
            if (round % 7 == 0)
                crowd[i].said = round % 2 ? SAYS_NOTHING : SAYS_NUMBER;
        }
        for (int again = 0; again < 4; again++) {
            struct ki_partial p = tree(&rng, crowd, CROWD, top);
            same_lists(&p, top);
            same_sums(&p);
            shuffle(&rng);
        }
    }
}

/* What cancels out leaves what is small. */
static void nothing_small_is_lost(void **state)
{
    (void)state;
    static const double values[] = {1e100, 1, -1e100, 1e-100, -1, 3e-101};
    struct ki_partial p = {.members = 0};
    for (size_t i = 0; i < 4; i++)
        ki_partial_answer(&p, i, values[i], 0);
    assert_true(ki_partial_sum(&p) <= 1 && ki_partial_sum(&p) >= 0); /* beyond 2^-104 of 1e100 it may be lost, */
    struct ki_partial near = {.members = 0};
    static const double nearer[] = {1e16, 1, -1e16, 0x1p-40};
    for (size_t i = 0; i < 4; i++)
        ki_partial_answer(&near, i, nearer[i], 0);
    assert_true(ki_partial_sum(&near) >= 1 + 0x1p-40 && ki_partial_sum(&near) <= 1 + 0x1p-40); /* within it not */
}

static void of_nobody(void **state)
{
    (void)state;
    struct ki_partial p = {.members = 0};
    assert_true(ki_partial_sum(&p) <= 0 && ki_partial_average(&p) <= 0 && ki_partial_variance(&p) <= 0);
    ki_partial_silent(&p, 5);
    ki_partial_unusable(&p);
    ki_partial_silent_many(&p, 3);
    assert_true(ki_partial_average(&p) <= 0 && p.members == 5 && p.silent == 4 && p.named == 1);
}

/* Who is missed by two counts once, as far as it is named. */
static void missed_by_two(void **state)
{
    (void)state;
    struct ki_partial one = {.members = 0}, other = {.members = 0};
    for (uint64_t i = 0; i < 3; i++)
        ki_partial_silent(&one, 10 * i);
    ki_partial_silent(&one, 10);
    assert_true(one.members == 3 && one.silent == 3 && one.named == 3);
    for (uint64_t i = 1; i < 5; i++)
        ki_partial_silent(&other, 10 * i);
    ki_partial_silent_many(&other, 2);
    ki_partial_answer(&other, 99, 1, 1);
    ki_partial_merge(&one, &other, 1);
    assert_true(one.members == 8 && one.silent == 7 && one.named == 5 && one.answers == 1);
}

static void there_is_one_zero(void **state)
{
    (void)state;
    struct ki_partial p = {.members = 0};
    ki_partial_answer(&p, 1, -0.0, 1);
    assert_true(ki_real_bits(p.min) == 0 && ki_real_bits(p.max) == 0 && ki_real_bits(p.top[0].value) == 0);
}

/* A circle: positions behind the last one begin anew. */
static void who_is_spoken_for(void **state)
{
    static const struct {
        uint64_t at, from, span;
        bool within;
    } rows[] = {
        {10, 10, 0, true},         {11, 10, 0, false},         {9, 10, 0, false},
        {20, 10, 10, true},        {21, 10, 10, false},        {2, UINT64_MAX, 3, true},
        {3, UINT64_MAX, 3, false}, {UINT64_MAX - 1, UINT64_MAX, 3, false}, {4, 5, UINT64_MAX, true},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_partial answers = {.members = 0}, silent = {.members = 0};
        ki_partial_answer(&answers, rows[i].from, 2, 2);
        ki_partial_answer(&answers, rows[i].at, 1, 2);
        ki_partial_silent(&silent, rows[i].from);
        ki_partial_silent(&silent, rows[i].at);
        assert_int_equal(ki_partial_within(&answers, rows[i].from, rows[i].span), rows[i].within);
        assert_int_equal(ki_partial_within(&silent, rows[i].from, rows[i].span), rows[i].within);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_tree_says_the_same), cmocka_unit_test(nothing_small_is_lost),
        cmocka_unit_test(of_nobody),              cmocka_unit_test(there_is_one_zero),
        cmocka_unit_test(who_is_spoken_for),      cmocka_unit_test(missed_by_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
