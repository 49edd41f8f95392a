/* The hybrid logical clock (Kulkarni and others 2014): stamps that keep near the wall clock and never contradict what was
 * seen.  A stamp is wall milliseconds << 16 | count; the count overflows into the milliseconds. */
#ifndef KI_STORE_HYBRID_H
#define KI_STORE_HYBRID_H

#include "base/base.h"

struct ki_hybrid {
    uint64_t highest; /* the highest stamp given or seen, within the clamp */
};

enum ki_hybrid_verdict {
    KI_HYBRID_FINE,
    KI_HYBRID_AHEAD,   /* beyond the warning: worth a metric */
    KI_HYBRID_CLAMPED, /* stored, but the clock was not moved beyond the clamp */
    KI_HYBRID_REFUSED  /* so far ahead that what carries it is not taken in */
};

/* How far ahead of our wall clock a stamp may be, milliseconds.  The past is never refused: it harms nobody. */
struct ki_hybrid_bounds {
    uint64_t warn_ms, clamp_ms, refuse_ms;
};

/* A new stamp: above all that this clock gave or saw, and above floor, the highest stamp of what the write supersedes
 * (R4).  wall_ms: now. */
uint64_t ki_hybrid_next(struct ki_hybrid *clock, uint64_t wall_ms, uint64_t floor);

/* What a stamp from elsewhere would be; ki_hybrid_see() then takes it in, unless it is refused. */
enum ki_hybrid_verdict ki_hybrid_judge(const struct ki_hybrid_bounds *bounds, uint64_t wall_ms, uint64_t stamp);
void ki_hybrid_see(struct ki_hybrid *clock, const struct ki_hybrid_bounds *bounds, uint64_t wall_ms, uint64_t stamp);

#endif
