/* Chunks of 64 items and a directory of them.
 *
 * The directory is what grows by copying: 8 bytes for each 64 items.  Whoever knows how many will come says so once and
 * gets a directory that fits.
 *
 * Invariants: every chunk of the directory is there and was zeroed; chunks are given back all together.
 * Deliberately not here: which items are in use.  The owner marks them in the items themselves. */
#include "base/chunks.h"

#define CHUNKS_LINE 64 /* bytes of a cache line */

static bool chunks_directory(struct ki_chunks *c, struct ki_mem *mem, uint32_t need)
{
    if (need <= c->cap)
        return true;
    uint32_t cap = (uint32_t)ki_max_u64(need, (uint64_t)c->cap * 2);
    uint8_t **chunks = ki_mem_resize(mem, c->chunks, cap * sizeof *chunks);
    if (!chunks)
        return false;
    c->chunks = chunks;
    c->cap = cap;
    return true;
}

/* Begins at a multiple of CHUNKS_LINE; the byte behind its items says how many bytes lie before it. */
static uint8_t *chunks_new(struct ki_mem *mem, size_t size)
{
    uint8_t *block = ki_mem_new(mem, size + CHUNKS_LINE);
    if (!block)
        return NULL;
    size_t before = (CHUNKS_LINE - (uintptr_t)block % CHUNKS_LINE) % CHUNKS_LINE;
    block[before + size] = (uint8_t)before;
    return block + before;
}

bool ki_chunks_reserve(struct ki_chunks *c, struct ki_mem *mem, uint32_t count)
{
    uint32_t need = count / KI_CHUNK_ITEMS + (count % KI_CHUNK_ITEMS != 0);
    if (need > c->count && !chunks_directory(c, mem, need))
        return false;
    while (c->count < need) {
        uint8_t *chunk = chunks_new(mem, (size_t)c->item * KI_CHUNK_ITEMS);
        if (!chunk)
            return false;
        c->chunks[c->count++] = chunk;
    }
    return true;
}

void ki_chunks_free(struct ki_chunks *c, struct ki_mem *mem)
{
    for (uint32_t i = 0; i < c->count; i++)
        ki_mem_free(mem, c->chunks[i] - c->chunks[i][(size_t)c->item * KI_CHUNK_ITEMS]);
    ki_mem_free(mem, c->chunks);
    ki_chunks_init(c, c->item);
}
