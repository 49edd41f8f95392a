/* Parts of a folded query: each adds up to what one fold over all answers would have said.
 *
 * Counts, extremes, the largest values and who is silent do not depend on how a pool was parted, nor on the order of
 * merging.  A sum is two doubles, the second being what the first is rounded by (Dekker 1971, "A floating-point technique
 * for extending the available precision"): each merging loses 2^-104 of what was added up at most, so of a million answers
 * the sum is the same in all but the rarest orders, and never off by more than its last bit and 2^-84 of the sum of
 * magnitudes.
 * Deviations are merged by Chan, Golub and LeVeque's rule (1979): the standard deviation that comes of them is off by some
 * 2^-50 of the largest magnitude, which is what the averages between are rounded by.
 *
 * Nobody answers twice, but one whom the asker misses from the beginning, since it is named and dead, may be waited for by
 * another, to whom it is not dead yet: whoever is named as silent in both parts counts once.
 *
 * Invariants: what ki_decode_fold_reply() lets through and what is made here can be merged, up to KI_FOLD_MEMBERS_MAX;
 * the result decodes again.
 *
 * Deliberately not here: who is asked, and by whom. */
#include "aggregate/partial.h"

/* ---- sums ---- */

/* a + b as their rounded sum and what that is rounded by (Knuth's TwoSum: exact for any two). */
static double partial_two_sum(double a, double b, double *low)
{
    double sum = a + b, of_b = sum - a;
    *low = (a - (sum - of_b)) + (b - of_b);
    return sum;
}

static void partial_add_sum(struct ki_partial *into, const struct ki_partial *from)
{
    double low, sum = partial_two_sum(into->sum, from->sum, &low);
    low += into->sum_low + from->sum_low;
    into->sum = partial_two_sum(sum, low, &into->sum_low);
}

double ki_partial_sum(const struct ki_partial *p)
{
    return p->sum;
}

double ki_partial_average(const struct ki_partial *p)
{
    return p->answers > 0 ? p->sum / p->answers : 0;
}

double ki_partial_variance(const struct ki_partial *p)
{
    return p->answers > 0 ? p->deviations / p->answers : 0;
}

static void partial_merge_numbers(struct ki_partial *into, const struct ki_partial *from)
{
    double count = into->answers, more = from->answers;
    double apart = ki_partial_average(from) - ki_partial_average(into);
    into->deviations += from->deviations + apart * apart * (count * more / (count + more));
    partial_add_sum(into, from);
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
}

/* ---- lists ---- */

static bool partial_above(const struct ki_fold_place *a, const struct ki_fold_place *b)
{
    return a->value > b->value || (a->value >= b->value && a->position < b->position);
}

static void partial_add_top(struct ki_partial *p, const struct ki_fold_place *place, unsigned top)
{
    unsigned at = p->top_count;
    while (at > 0 && partial_above(place, &p->top[at - 1]))
        at--;
    if (at >= top)
        return;
    p->top_count += p->top_count < top;
    for (unsigned i = p->top_count - 1u; i > at; i--)
        p->top[i] = p->top[i - 1];
    p->top[at] = *place;
}

/* Those at the lowest positions are kept.  false: it is one of them already. */
static bool partial_add_named(struct ki_partial *p, uint64_t position)
{
    unsigned at = p->named;
    while (at > 0 && p->silent_at[at - 1] > position)
        at--;
    if (at > 0 && p->silent_at[at - 1] == position)
        return false;
    if (at == KI_FOLD_NAMED_MAX)
        return true;
    p->named += p->named < KI_FOLD_NAMED_MAX;
    for (unsigned i = p->named - 1u; i > at; i--)
        p->silent_at[i] = p->silent_at[i - 1];
    p->silent_at[at] = position;
    return true;
}

/* ---- parts ---- */

void ki_partial_merge(struct ki_partial *into, const struct ki_partial *from, unsigned top)
{
    KI_ASSERT(top <= KI_FOLD_TOP_MAX);
    if (into->answers > 0 && from->answers > 0) {
        partial_merge_numbers(into, from);
    } else if (from->answers > 0) {
        into->sum = from->sum;
        into->sum_low = from->sum_low;
        into->deviations = from->deviations;
        into->min = from->min;
        into->max = from->max;
    }
    for (unsigned i = 0; i < from->top_count; i++)
        partial_add_top(into, &from->top[i], top);
    uint32_t twice = 0;
    for (unsigned i = 0; i < from->named; i++)
        twice += !partial_add_named(into, from->silent_at[i]);
    into->members += from->members - twice;
    into->answers += from->answers;
    into->unusable += from->unusable;
    into->silent += from->silent - twice;
}

void ki_partial_answer(struct ki_partial *p, uint64_t position, double value, unsigned top)
{
    value += 0.0; /* there is one zero */
    struct ki_partial one = {.members = 1,
                             .answers = 1,
                             .sum = value,
                             .min = value,
                             .max = value,
                             .top_count = 1,
                             .top = {{.position = position, .value = value}}};
    KI_ASSERT(value >= -KI_FOLD_VALUE_MAX && value <= KI_FOLD_VALUE_MAX);
    ki_partial_merge(p, &one, top);
}

void ki_partial_unusable(struct ki_partial *p)
{
    p->members++;
    p->unusable++;
}

void ki_partial_silent_many(struct ki_partial *p, uint32_t count)
{
    p->members += count;
    p->silent += count;
}

void ki_partial_silent(struct ki_partial *p, uint64_t position)
{
    if (partial_add_named(p, position))
        ki_partial_silent_many(p, 1);
}

void ki_partial_unconcerned(struct ki_partial *p)
{
    p->members++;
}

bool ki_partial_within(const struct ki_partial *p, uint64_t from, uint64_t span)
{
    for (unsigned i = 0; i < p->top_count; i++) {
        if (p->top[i].position - from > span)
            return false;
    }
    for (unsigned i = 0; i < p->named; i++) {
        if (p->silent_at[i] - from > span)
            return false;
    }
    return true;
}
