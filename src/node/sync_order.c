/* What was summed up, in order of names: a radix sort, from the last digit on.
 *
 * Both sides have their items in this order, so the buckets of a range are a part of it, listing them is copying, and
 * looking for them in the other's list is walking through both.  A sort by comparing would be slower by half, and by much
 * where whoever has drawn the salt has chosen the names, too: this one costs the same whatever the names are.
 *
 * Invariant: after a digit, the items are in order of it and those after it.
 * Deliberately not here: what a name is (sync_sum.c).
 */
#include "node/sync.h"

#define ORDER_DIGIT_BITS 11 /* 8 KiB of counts: with what they lead to, a pass stays in a small cache */
#define ORDER_DIGITS 3
#define ORDER_SLICE 32768 /* moves in one call, but for one digit of all: a tenth of a millisecond */

/* Stable: items of the same digit keep their order. */
static void order_digit(struct ki_sync_run *run)
{
    uint32_t places[1 << ORDER_DIGIT_BITS] = {0}, place = 0;
    unsigned shift = run->digits * ORDER_DIGIT_BITS;
    const uint32_t mask = (1 << ORDER_DIGIT_BITS) - 1, count = run->seen_count;
    const struct ki_sync_seen *from = run->seen;
    struct ki_sync_seen *to = run->spare;
    for (uint32_t i = 0; i < count; i++)
        places[from[i].item.name >> shift & mask]++;
    for (uint32_t digit = 0; digit <= mask; digit++) {
        uint32_t same = places[digit];
        places[digit] = place;
        place += same;
    }
    for (uint32_t i = 0; i < count; i++)
        to[places[from[i].item.name >> shift & mask]++] = from[i];
    run->spare = run->seen;
    run->seen = to;
    run->digits++;
}

static void order_starts(struct ki_sync_run *run)
{
    uint32_t at = 0;
    for (uint32_t bucket = 0; bucket < 1u << run->bits; bucket++) {
        while (at < run->seen_count && ki_sync_bucket(run->seen[at].item, run->bits) < bucket)
            at++;
        run->starts[bucket] = at;
    }
    run->starts[1u << run->bits] = run->seen_count;
}

bool ki_sync_order(struct ki_sync_run *run)
{
    for (uint32_t moves = 0; run->digits < ORDER_DIGITS && moves < ORDER_SLICE; moves += run->seen_count)
        order_digit(run);
    if (run->digits < ORDER_DIGITS)
        return false;
    order_starts(run);
    return true;
}
