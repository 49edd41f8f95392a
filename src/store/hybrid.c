/* Stamps, and three bounds on a future that may be a broken clock.
 *
 * A stamp far ahead must not be lost (it is somebody's write), must not pull every clock after it (all writes of the pool
 * would lie in the future from then on), and must not stop anybody.  One bound cannot do all three: a warning, a clamp
 * beyond which the clock does not follow, and a refusal.  A write that supersedes a cell from the future still gets a
 * stamp above it: whoever has seen it can overwrite it.
 *
 * Invariant: highest never falls, so no stamp is given twice.
 * Deliberately not here: what becomes of what was refused, and the mark kept on disk (both store.c).
 */
#include "store/hybrid.h"

#include "store/cell.h"

uint64_t ki_hybrid_next(struct ki_hybrid *clock, uint64_t wall_ms, uint64_t floor)
{
    uint64_t wall = wall_ms <= UINT64_MAX >> KI_STAMP_COUNT_BITS ? wall_ms << KI_STAMP_COUNT_BITS : UINT64_MAX;
    uint64_t stamp = wall > clock->highest ? wall : clock->highest + 1;
    if (stamp <= floor)
        stamp = floor + 1;
    KI_ASSERT(stamp != 0); /* 48 bits of milliseconds last until the year 10889 */
    clock->highest = stamp;
    return stamp;
}

enum ki_hybrid_verdict ki_hybrid_judge(const struct ki_hybrid_bounds *bounds, uint64_t wall_ms, uint64_t stamp)
{
    uint64_t ms = ki_stamp_ms(stamp);
    uint64_t ahead = ms > wall_ms ? ms - wall_ms : 0;
    if (ahead > bounds->refuse_ms)
        return KI_HYBRID_REFUSED;
    if (ahead > bounds->clamp_ms)
        return KI_HYBRID_CLAMPED;
    return ahead > bounds->warn_ms ? KI_HYBRID_AHEAD : KI_HYBRID_FINE;
}

void ki_hybrid_see(struct ki_hybrid *clock, const struct ki_hybrid_bounds *bounds, uint64_t wall_ms, uint64_t stamp)
{
    uint64_t beyond = wall_ms + bounds->clamp_ms + 1; /* the first millisecond that ki_hybrid_judge() calls clamped */
    uint64_t clamp = beyond <= UINT64_MAX >> KI_STAMP_COUNT_BITS ? (beyond << KI_STAMP_COUNT_BITS) - 1 : UINT64_MAX;
    clock->highest = ki_max_u64(clock->highest, ki_min_u64(stamp, clamp));
}
