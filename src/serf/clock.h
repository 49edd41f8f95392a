/* Lamport's clock (1978) as Serf keeps it: starts at 1, a witnessed time is always behind us. */
#ifndef KI_CLOCK_H
#define KI_CLOCK_H

#include "base/base.h"

struct ki_clock {
    uint64_t time;
};

static inline void ki_clock_init(struct ki_clock *c)
{
    c->time = 1;
}

/* The largest time is never believed: no later one could follow it. */
static inline bool ki_clock_witness(struct ki_clock *c, uint64_t seen)
{
    if (seen < c->time || seen == UINT64_MAX)
        return false;
    c->time = seen + 1;
    return true;
}

#endif
