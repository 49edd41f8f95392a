/* How long the pool's round trips take: a mean and its variation, by which a probe knows that an answer is late. */
#ifndef KI_ROUND_TRIP_H
#define KI_ROUND_TRIP_H

#include "base/base.h"

struct ki_round_trip {
    uint64_t mean_us, vary_us;
    bool measured;
};

/* One direct probe was answered after so long. */
void ki_round_trip_add(struct ki_round_trip *r, uint64_t took_us);
/* How long a direct answer is worth waiting for, at most most_us: all of that until one was measured. */
uint64_t ki_round_trip_wait_us(const struct ki_round_trip *r, uint64_t most_us);

#endif
