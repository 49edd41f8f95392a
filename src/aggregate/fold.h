/* What all contributions to an aggregate come to: sums, extremes, quantiles, places in the order. */
#ifndef KI_FOLD_H
#define KI_FOLD_H

#include "base/base.h"

/* A value and whose it is; no two of one name, and numbers all of them. */
struct ki_placed {
    double value;
    struct ki_span name;
};

struct ki_fold {
    double sum, average, variance; /* of the population */
    double min, max;
};

/* Puts them in order: by value, equal ones by name.  All that follow want that. */
void ki_fold_sort(struct ki_placed *list, size_t count);
struct ki_fold ki_fold(const struct ki_placed *list, size_t count); /* of none: all 0 */
/* The place of the smallest value that a part q of all do not exceed (nearest rank).  count 1 or more, 0 <= q <= 1. */
size_t ki_fold_quantile(size_t count, double q);
/* How many lie below bounds[0], from it to below bounds[1], ..., from the last one on: bound_count + 1 numbers. */
void ki_fold_histogram(const struct ki_placed *list, size_t count, const double *bounds, size_t bound_count,
                       double *counts);
size_t ki_fold_find(const struct ki_placed *list, size_t count, struct ki_span name); /* its place; count: it is not there */

#endif
