/* Smoothed round trips as TCP keeps them (RFC 6298, section 2): the mean moves by an eighth of each difference, the
 * variation grows by a quarter, and whoever waits for the mean and four variations waits for nearly everybody.
 *
 * One estimate for the whole pool: a member is probed once in as many intervals as the pool has members, so an estimate
 * of its own would be minutes old, and cost each view 16 bytes an entry.  But then one answer in ten may come from afar,
 * and must not be forgotten until the next: so the variation shrinks by a thirty-second only.
 *
 * The floor is a fifth of the configured timeout, 100 ms by profile lan.  An answer may be so late with nothing wrong: a
 * busy host gives a process its turn only after some tens of milliseconds, and reads a page from a disk as slowly.
 * Asking helpers still sooner would win them nothing: they have nine tenths of the interval then, where memberlist
 * leaves them half.
 *
 * Deliberately not here: verdicts.  A wait that is too short costs some helpers' pings, and accuses nobody. */
#include "swim/round_trip.h"

#define ROUND_TRIP_FLOOR_PART 5 /* of the configured timeout */
#define ROUND_TRIP_MOST_US (60 * 1000000ull) /* nothing is added up beyond any timeout */

void ki_round_trip_add(struct ki_round_trip *r, uint64_t took_us)
{
    uint64_t us = ki_min_u64(took_us, ROUND_TRIP_MOST_US);
    if (!r->measured) {
        *r = (struct ki_round_trip){.mean_us = us, .vary_us = us / 2, .measured = true};
        return;
    }
    uint64_t apart_us = us > r->mean_us ? us - r->mean_us : r->mean_us - us;
    r->vary_us = apart_us > r->vary_us ? (3 * r->vary_us + apart_us) / 4 : (31 * r->vary_us + apart_us) / 32;
    r->mean_us = (7 * r->mean_us + us) / 8;
}

uint64_t ki_round_trip_wait_us(const struct ki_round_trip *r, uint64_t most_us)
{
    if (!r->measured)
        return most_us;
    return ki_min_u64(most_us, ki_max_u64(most_us / ROUND_TRIP_FLOOR_PART, r->mean_us + 4 * r->vary_us));
}
