/* Which user events and queries have passed: a ring of hashes, searched from front to back.
 *
 * 512 comparisons of 8 bytes take about as long as hashing the message took.  Hashes are keyed and 64 bits wide, so a
 * false "seen" needs 2^32 messages inside the window.
 *
 * Invariant: hashes[0..count) are valid, and next is where the oldest will be overwritten once the ring is full.
 * Deliberately not here: time.  What falls out of the ring is too old for the Lamport window that its caller checks. */
#include "serf/seen.h"

bool ki_seen_first(struct ki_seen *seen, uint64_t hash)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        if (seen->hashes[i] == hash)
            return false;
    }
    seen->hashes[seen->next] = hash;
    seen->next = (seen->next + 1) % KI_SEEN_COUNT;
    if (seen->count < KI_SEEN_COUNT)
        seen->count++;
    return true;
}
