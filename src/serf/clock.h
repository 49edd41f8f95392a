/* Lamport's clock (1978) as Serf keeps it: starts at 1, a witnessed time is always behind us.  A member that lies may bring
 * it to its last time; there it stays, and all that is said from then on is of that time. */
#ifndef KI_CLOCK_H
#define KI_CLOCK_H

#include "base/base.h"

#define KI_CLOCK_LAST (UINT64_MAX - 1) /* what is said at the largest number is malformed: a stock clock wraps at it */

struct ki_clock {
    uint64_t time;
};

static inline void ki_clock_init(struct ki_clock *c)
{
    c->time = 1;
}

static inline bool ki_clock_witness(struct ki_clock *c, uint64_t seen)
{
    uint64_t next = seen < KI_CLOCK_LAST ? seen + 1 : KI_CLOCK_LAST;
    if (next <= c->time || seen > KI_CLOCK_LAST)
        return false;
    c->time = next;
    return true;
}

#endif
