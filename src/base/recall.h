/* A small, forgetful memory of messages that changed nothing: hearing one of them again changes nothing either, until
 * its owner changes.
 *
 * News is repeated a dozen times and more, so in a pool that joins nearly all that is heard is old.  Looking that up in
 * the tables costs several cache lines a message; here it costs one, for all messages of a pool the same 4 bytes each.
 *
 * A message is its 64-bit keyed hash: the high bits choose a pair of slots, the low 32 stand in one of them.  A stranger
 * is taken for an old acquaintance once in 2^31 or so, which is a lost message, and who has no key cannot choose which.
 * The owner's epoch goes into the hash, so that raising it forgets all at once. */
#ifndef KI_RECALL_H
#define KI_RECALL_H

#include "base/mem.h"

struct ki_recall {
    uint32_t *tags; /* pairs of slots; 0: empty */
    uint32_t bits;  /* there are 2^bits slots */
};

#define KI_RECALL_BITS_MAX 15

static inline uint64_t ki_recall_hash(uint64_t hash, uint32_t epoch)
{
    return hash + epoch * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint32_t *ki_recall_pair(const struct ki_recall *r, uint64_t hash)
{
    return &r->tags[hash >> (64 - r->bits) & ~(uint64_t)1];
}

static inline uint32_t ki_recall_tag(uint64_t hash)
{
    return (uint32_t)hash | 1;
}

static inline void ki_recall_fetch(const struct ki_recall *r, uint64_t hash)
{
    if (r->tags)
        KI_PREFETCH(ki_recall_pair(r, hash));
}

static inline bool ki_recall_has(const struct ki_recall *r, uint64_t hash)
{
    if (!r->tags)
        return false;
    const uint32_t *pair = ki_recall_pair(r, hash);
    return pair[0] == ki_recall_tag(hash) || pair[1] == ki_recall_tag(hash);
}

/* Remembers it, in room for about so many; without memory, or then, it forgets. */
void ki_recall_put(struct ki_recall *r, struct ki_mem *mem, uint64_t hash, uint32_t many);
void ki_recall_free(struct ki_recall *r, struct ki_mem *mem);

#endif
