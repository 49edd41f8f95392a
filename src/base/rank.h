/* Percentiles by nearest rank: the smallest of the values that at least so many percent of them do not exceed.  So each is
 * a value that there was, and 100 percent is the largest one. */
#ifndef KI_RANK_H
#define KI_RANK_H

#include "base/base.h"

/* For qsort(): uint64_t in ascending order. */
static inline int ki_rank_order(const void *a, const void *b)
{
    const uint64_t *x = (const uint64_t *)a, *y = (const uint64_t *)b;
    return (*x > *y) - (*x < *y);
}

/* In: values in ascending order, one at least; percent 0..100 (0 is the smallest value). */
static inline uint64_t ki_rank(const uint64_t *sorted, size_t count, unsigned percent)
{
    KI_ASSERT(count > 0 && percent <= 100);
    size_t above = count / 100 * percent + (count % 100 * percent + 99) / 100; /* rounded up, and no product overflows */
    return sorted[above > 0 ? above - 1 : 0];
}

#endif
