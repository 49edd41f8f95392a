/* What a part of the members answers to a folded query (struct ki_partial), and two such parts as one. */
#ifndef KI_PARTIAL_H
#define KI_PARTIAL_H

#include "wire/fold.h"

/* One member more.  top: how many of the largest answers are wanted. */
void ki_partial_answer(struct ki_partial *p, uint64_t position, double value, unsigned top); /* KI_FOLD_VALUE_MAX at most */
void ki_partial_unusable(struct ki_partial *p);
void ki_partial_silent(struct ki_partial *p, uint64_t position);
void ki_partial_silent_many(struct ki_partial *p, uint32_t count); /* of whom nobody knows who they are */
void ki_partial_unconcerned(struct ki_partial *p);                 /* the query is not for this one */
void ki_partial_merge(struct ki_partial *into, const struct ki_partial *from, unsigned top);

/* False: it speaks of members that are not at `from` or one of the `span` positions behind it. */
bool ki_partial_within(const struct ki_partial *p, uint64_t from, uint64_t span);

double ki_partial_sum(const struct ki_partial *p); /* these three: 0 without answers */
double ki_partial_average(const struct ki_partial *p);
double ki_partial_variance(const struct ki_partial *p); /* of the population */

#endif
