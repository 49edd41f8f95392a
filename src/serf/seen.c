/* What was heard, by Lamport time.
 *
 * Serf keeps user events and queries in rings of 512 ticks: what is older than the window is dropped, what lies in it is
 * compared with what its tick holds, and a tick that comes anew replaces the one 512 before it.  Here a tick holds keyed
 * 64-bit hashes, mostly one; a false "before" needs 2^32 messages in one tick.
 *
 * Invariants: a tick's hashes are different; only is the hash of a tick with one and no list.
 * Deliberately not here: what is hashed, and the messages themselves. */
#include "serf/seen.h"

void ki_seen_init(struct ki_seen *seen, struct ki_mem *mem)
{
    memset(seen, 0, sizeof *seen);
    seen->mem = mem;
}

void ki_seen_free(struct ki_seen *seen)
{
    for (size_t i = 0; i < KI_SEEN_TICKS; i++)
        ki_mem_free(seen->mem, seen->ticks[i].hashes);
}

static bool seen_holds(const struct ki_seen_tick *tick, uint64_t hash)
{
    if (!tick->hashes)
        return tick->count == 1 && tick->only == hash;
    for (uint32_t i = 0; i < tick->count; i++) {
        if (tick->hashes[i] == hash)
            return true;
    }
    return false;
}

enum ki_seen_result ki_seen_look(const struct ki_seen *seen, uint64_t now, uint64_t ltime, uint64_t hash)
{
    const struct ki_seen_tick *tick = &seen->ticks[ltime % KI_SEEN_TICKS];
    if (now > KI_SEEN_TICKS && ltime < now - KI_SEEN_TICKS)
        return KI_SEEN_OLD;
    if (tick->count == 0 || tick->ltime < ltime)
        return KI_SEEN_NEW;
    if (tick->ltime > ltime)
        return KI_SEEN_OLD;
    if (seen_holds(tick, hash))
        return KI_SEEN_BEFORE;
    return tick->count >= KI_SEEN_TICK_MAX ? KI_SEEN_FULL : KI_SEEN_NEW;
}

/* From the second hash on a tick has a list. */
static bool seen_reserve(struct ki_seen *seen, struct ki_seen_tick *tick)
{
    if (tick->hashes && tick->count < tick->cap)
        return true;
    uint32_t cap = tick->hashes ? tick->cap * 2 : 4;
    uint64_t *hashes = ki_mem_resize(seen->mem, tick->hashes, cap * sizeof *hashes);
    if (!hashes)
        return false;
    if (!tick->hashes)
        hashes[0] = tick->only;
    tick->hashes = hashes;
    tick->cap = cap;
    return true;
}

enum ki_seen_result ki_seen_note(struct ki_seen *seen, uint64_t now, uint64_t ltime, uint64_t hash)
{
    struct ki_seen_tick *tick = &seen->ticks[ltime % KI_SEEN_TICKS];
    enum ki_seen_result result = ki_seen_look(seen, now, ltime, hash);
    if (result != KI_SEEN_NEW)
        return result;
    if (tick->count == 0 || tick->ltime < ltime) {
        ki_mem_free(seen->mem, tick->hashes);
        *tick = (struct ki_seen_tick){.ltime = ltime, .only = hash, .count = 1};
        return KI_SEEN_NEW;
    }
    if (!seen_reserve(seen, tick))
        return KI_SEEN_NOMEM;
    tick->hashes[tick->count++] = hash;
    return KI_SEEN_NEW;
}
