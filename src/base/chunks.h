/* An array that grows by chunks: items never move, growing copies nothing, and no more than one chunk is room to spare.
 * For tables of members, of which a machine may hold a hundred million. */
#ifndef KI_CHUNKS_H
#define KI_CHUNKS_H

#include "base/mem.h"

#define KI_CHUNK_ITEMS 64 /* a few kilobytes: what a pool of three wastes, and what 157 of hold ten thousand members */

struct ki_chunks {
    uint8_t **chunks; /* each begins at a cache line: an item of 64 bytes is one */
    uint32_t item; /* bytes of one */
    uint32_t count, cap; /* chunks */
};

static inline void ki_chunks_init(struct ki_chunks *c, size_t item)
{
    *c = (struct ki_chunks){.item = (uint32_t)item};
}

/* Room for items 0 .. count-1; new ones are zero.  false: memory is out, nothing changed but that there may be room. */
bool ki_chunks_reserve(struct ki_chunks *c, struct ki_mem *mem, uint32_t count);
void ki_chunks_free(struct ki_chunks *c, struct ki_mem *mem);

/* Room must have been made for it.  size: that of an item, again, so that the compiler knows it. */
static inline void *ki_chunks_at(const struct ki_chunks *c, uint32_t index, size_t size)
{
    return c->chunks[index / KI_CHUNK_ITEMS] + index % KI_CHUNK_ITEMS * size;
}

#endif
