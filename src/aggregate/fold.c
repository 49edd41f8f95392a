/* Folding: the same answer from the same contributions, on every member and from every compiler.
 *
 * Adding doubles depends on the order, so there is one: by value, then by name.  What is lost in each addition is added
 * up by itself (Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen"), so a sum is as
 * good as its last bit however different the values are.  The variance is that of the differences to the average, less what
 * the average itself was rounded by.
 *
 * Invariants: no order of the input changes a bit of any result; with values up to 1e100 and 2^24 of them nothing
 * overflows.
 *
 * Deliberately not here: who contributes.  Sorting needs no memory: a heap in place. */
#include "aggregate/fold.h"

#define FOLD_ROUNDING 1e-9 /* q * count may be above a whole number by this for the sake of rounding: 0.07 * 100 is */

/* ---- order ---- */

static bool fold_before(const struct ki_placed *a, const struct ki_placed *b)
{
    if (a->value < b->value || a->value > b->value)
        return a->value < b->value;
    return ki_span_compare(a->name, b->name) < 0;
}

/* Lets what stands at `at` sink to its place in the heap of the first `count`, whose largest is at its top. */
static void fold_sink(struct ki_placed *list, size_t at, size_t count)
{
    struct ki_placed sinking = list[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && fold_before(&list[child], &list[child + 1]))
            child++;
        if (child >= count || !fold_before(&sinking, &list[child]))
            break;
        list[at] = list[child];
        at = child;
    }
    list[at] = sinking;
}

void ki_fold_sort(struct ki_placed *list, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        fold_sink(list, at, count);
    for (size_t left = count; left-- > 1;) {
        struct ki_placed largest = list[0];
        list[0] = list[left];
        list[left] = largest;
        fold_sink(list, 0, left);
    }
}

size_t ki_fold_find(const struct ki_placed *list, size_t count, struct ki_span name)
{
    size_t at = 0;
    while (at < count && !ki_span_equal(list[at].name, name))
        at++;
    return at;
}

/* ---- numbers ---- */

struct fold_sum {
    double sum, lost;
};

static double fold_magnitude(double value)
{
    return value < 0 ? -value : value;
}

static void fold_add(struct fold_sum *s, double value)
{
    double sum = s->sum + value;
    if (fold_magnitude(s->sum) >= fold_magnitude(value))
        s->lost += (s->sum - sum) + value;
    else
        s->lost += (value - sum) + s->sum;
    s->sum = sum;
}

static double fold_total(const struct fold_sum *s)
{
    return s->sum + s->lost;
}

/* An average lies between the extremes, and what rounding makes of it shall, too. */
static double fold_between(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

struct ki_fold ki_fold(const struct ki_placed *list, size_t count)
{
    struct ki_fold fold = {.sum = 0};
    struct fold_sum sum = {.sum = 0}, off = {.sum = 0}, squares = {.sum = 0};
    if (count == 0)
        return fold;
    for (size_t i = 0; i < count; i++)
        fold_add(&sum, list[i].value);
    fold.sum = fold_total(&sum);
    fold.min = list[0].value;
    fold.max = list[count - 1].value;
    fold.average = fold_between(fold.sum / (double)count, fold.min, fold.max);
    for (size_t i = 0; i < count; i++) {
        double difference = list[i].value - fold.average;
        fold_add(&off, difference);
        fold_add(&squares, difference * difference);
    }
    double rest = fold_total(&off);
    fold.variance = (fold_total(&squares) - rest * rest / (double)count) / (double)count;
    if (fold.variance < 0)
        fold.variance = 0;
    return fold;
}

size_t ki_fold_quantile(size_t count, double q)
{
    KI_ASSERT(count > 0 && q >= 0 && q <= 1);
    double rank = q * (double)count;
    size_t whole = (size_t)rank;
    size_t above = rank - (double)whole > FOLD_ROUNDING * (double)count ? whole + 1 : whole;
    return above > 0 ? above - 1 : 0;
}

void ki_fold_histogram(const struct ki_placed *list, size_t count, const double *bounds, size_t bound_count,
                       double *counts)
{
    size_t range = 0;
    for (size_t i = 0; i <= bound_count; i++)
        counts[i] = 0;
    for (size_t i = 0; i < count; i++) {
        while (range < bound_count && list[i].value >= bounds[range])
            range++;
        counts[range] += 1;
    }
}
