/* Searched from front to back: 512 comparisons of 8 bytes, about as long as hashing the message took.  Hashes are
 * keyed and 64 bits wide, so a false "seen" needs 2^32 messages inside the window. */
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
