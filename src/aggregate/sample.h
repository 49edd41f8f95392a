/* What a shortlist tells of all contributions: how many there are, quantiles, places, counts in ranges, some at random. */
#ifndef KI_SAMPLE_H
#define KI_SAMPLE_H

#include "aggregate/shortlist.h"
#include "base/rng.h"

/* How many there are: counted if they are all here, else estimated, with a standard error of 1 / sqrt(sample - 2). */
double ki_sample_size(const struct ki_shortlist *list);

/* total: how many there are, as far as the caller knows better.  Rank errors are three standard errors, as parts of the
 * total; 0: it is exact. */

/* The value below which a part q lies, 0 <= q <= 1 (nearest rank).  NULL: there is none. */
const struct ki_short_entry *ki_sample_quantile(const struct ki_shortlist *list, double total, double q,
                                                double *rank_error);
/* The place of one that is in the list, from 0, the smallest. */
double ki_sample_rank(const struct ki_shortlist *list, double total, const struct ki_short_entry *entry,
                      double *rank_error);
/* As ki_fold_histogram(): count + 1 numbers. */
void ki_sample_histogram(const struct ki_shortlist *list, double total, const double *bounds, size_t count,
                         double *counts);
/* So many of the sample, each set of them alike likely, in random order.  Returns how many. */
size_t ki_sample_pick(const struct ki_shortlist *list, struct ki_rng *rng, const struct ki_short_entry **out, size_t cap);

#endif
