/* How many items two sets differ in, from 192 bytes of each: parities at 24 sampling rates.  Good to a factor of 1.4 or so
 * from one item to 2^30, and so it says at once how many coded cells to ask for. */
#ifndef KI_ESTIMATE_H
#define KI_ESTIMATE_H

#include "base/base.h"

#define KI_PARITY_LEVELS 24

struct ki_parity {
    uint64_t level[KI_PARITY_LEVELS]; /* level l takes one item in 2^(l+1), the last one as many as the one before it */
};

/* Adds an item or removes it, which is the same: luck is 32 bits of its hash. */
static inline void ki_parity_flip(struct ki_parity *parity, uint64_t luck)
{
    uint32_t level = 0;
    while (level < KI_PARITY_LEVELS - 1 && !(luck >> level & 1))
        level++;
    parity->level[level] ^= (uint64_t)1 << (luck >> 26 & 63); /* 26: bits that no level looks at */
}

/* The likeliest number of items in one of the sets but not in both, up to 2^32; 0: probably none. */
uint64_t ki_estimate(const struct ki_parity *mine, const struct ki_parity *theirs);

#endif
