/* xoshiro256** 1.0 (Blackman, Vigna 2018): picks peers and jitter; never secrets (see crng.h). */
#ifndef KI_RNG_H
#define KI_RNG_H

#include "base/base.h"

struct ki_rng {
    uint64_t s[4];
};

void ki_rng_init(struct ki_rng *rng, uint64_t seed); /* spread by splitmix64 */
uint64_t ki_rng_next(struct ki_rng *rng);
uint64_t ki_rng_below(struct ki_rng *rng, uint64_t bound); /* uniform in 0..bound-1; bound > 0 */
/* So many different numbers of 0..bound-1, each set of them alike likely; all in order if count >= bound.  Returns how many.
 * Looks through the chosen ones for each: for dozens of them. */
uint32_t ki_rng_sample(struct ki_rng *rng, uint32_t bound, uint32_t count, uint32_t *chosen);

#endif
