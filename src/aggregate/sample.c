/* Estimates from the owners with the smallest hashes, which are a random sample: hashing has drawn it.
 *
 * How many there are follows from how far down the hashes reach: the k-th smallest of n uniform numbers lies at k/(n+1),
 * and (k-1)/h is unbiased (Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002; Beyer et al. 2007, "On synopses for
 * distinct-value estimation under multiset operations").  A part q of all is, in a sample of m, a part with the standard
 * error sqrt(q (1-q) / m), less for those that cannot be drawn twice: (n-m)/(n-1) of the variance.
 *
 * What lies near an end is not estimated: the places there are known.  So of a thousand the 99th percentile is exact.
 *
 * Invariant: the same list and total give the same answers, whatever the order it was filled in.
 * Deliberately not here: whether the list is complete yet. */
#include "aggregate/sample.h"

#include "aggregate/fold.h"
#include "base/real.h"

double ki_sample_size(const struct ki_shortlist *list)
{
    if (ki_shortlist_is_whole(list))
        return list->live;
    return (list->sample - 1) * 0x1p64 / ((double)ki_shortlist_last_hash(list) + 1);
}

/* The caller's word, within reason. */
static double sample_total(const struct ki_shortlist *list, double total)
{
    return total < list->live ? list->live : total > INT32_MAX ? INT32_MAX : total;
}

/* Three standard errors of a part q.  Near the ends so few are beyond that none of them may have been drawn: that of 6 in m
 * none is, has the chance e^-6, one in 400, which is what lies beyond three standard errors. */
static double sample_error(const struct ki_shortlist *list, double total, double q)
{
    double drawn = ki_shortlist_sampled(list), spread = q * (1 - q);
    if (ki_shortlist_is_whole(list) || total <= drawn)
        return 0;
    if (spread < 4 / drawn)
        spread = 4 / drawn;
    return 3 * ki_sqrt_real(spread / drawn * (total - drawn) / (total - 1));
}

/* The sampled one at this place among the sampled. */
static const struct ki_short_entry *sample_at(const struct ki_shortlist *list, size_t place)
{
    for (uint32_t i = 0;; i++) {
        const struct ki_short_entry *entry = ki_shortlist_at(list, i);
        if (ki_shortlist_is_sampled(list, entry) && place-- == 0)
            return entry;
    }
}

const struct ki_short_entry *ki_sample_quantile(const struct ki_shortlist *list, double total, double q,
                                                double *rank_error)
{
    *rank_error = 0;
    if (list->live == 0)
        return NULL;
    if (ki_shortlist_is_whole(list))
        return ki_shortlist_at(list, (uint32_t)ki_fold_quantile(list->live, q));
    total = sample_total(list, total);
    uint32_t rank = (uint32_t)ki_fold_quantile((size_t)(total + 0.5), q), above = (uint32_t)(total + 0.5) - 1 - rank;
    if (rank < ki_shortlist_shown(list))
        return ki_shortlist_at(list, rank);
    if (above < ki_shortlist_shown(list))
        return ki_shortlist_at(list, list->live - 1 - above);
    *rank_error = sample_error(list, total, q);
    return sample_at(list, ki_fold_quantile(ki_shortlist_sampled(list), q));
}

double ki_sample_rank(const struct ki_shortlist *list, double total, const struct ki_short_entry *entry,
                      double *rank_error)
{
    total = sample_total(list, total);
    uint32_t before = ki_shortlist_before(list, entry), above = list->live - 1 - before, drawn = 0;
    *rank_error = 0;
    if (ki_shortlist_is_whole(list) || before < ki_shortlist_shown(list))
        return before;
    if (above < ki_shortlist_shown(list))
        return total - 1 - above;
    for (uint32_t i = 0; i < before; i++)
        drawn += ki_shortlist_is_sampled(list, ki_shortlist_at(list, i));
    double part = (double)drawn / ki_shortlist_sampled(list);
    *rank_error = sample_error(list, total, part);
    return part * total;
}

void ki_sample_histogram(const struct ki_shortlist *list, double total, const double *bounds, size_t count,
                         double *counts)
{
    size_t range = 0;
    for (size_t i = 0; i <= count; i++)
        counts[i] = 0;
    for (uint32_t i = 0; i < list->live; i++) {
        const struct ki_short_entry *entry = ki_shortlist_at(list, i);
        while (range < count && entry->claim.value >= bounds[range])
            range++;
        counts[range] += ki_shortlist_is_sampled(list, entry);
    }
    if (ki_shortlist_is_whole(list))
        return;
    for (size_t i = 0; i <= count; i++)
        counts[i] *= sample_total(list, total) / ki_shortlist_sampled(list);
}

/* Each that is looked at is taken with the chance that leaves every set alike likely; then it takes a random turn. */
size_t ki_sample_pick(const struct ki_shortlist *list, struct ki_rng *rng, const struct ki_short_entry **out, size_t cap)
{
    size_t left = ki_shortlist_sampled(list), count = ki_min_size(cap, left), taken = 0;
    for (uint32_t i = 0; taken < count; i++) {
        const struct ki_short_entry *entry = ki_shortlist_at(list, i);
        if (!ki_shortlist_is_sampled(list, entry) || ki_rng_below(rng, left--) >= count - taken)
            continue;
        size_t turn = (size_t)ki_rng_below(rng, taken + 1);
        out[taken++] = out[turn];
        out[turn] = entry;
    }
    return count;
}
