/* Open-addressing index from a 64-bit hash to a 32-bit number (an index into the owner's table).
 * A slot is the number and 32 bits of the hash; load at most 3/4; the owner compares keys.  Never
 * iterated: owners walk their own tables, so no order depends on hashes. */
#ifndef KI_MAP_H
#define KI_MAP_H

#include "base/mem.h"

#define KI_MAP_NONE UINT32_MAX

struct ki_map_slot {
    uint32_t tag;   /* both halves of the hash folded; its low bits are the slot's home */
    uint32_t value; /* KI_MAP_NONE: empty */
};

struct ki_map {
    struct ki_mem *mem;
    struct ki_map_slot *slots;
    size_t cap; /* power of two, or 0 */
    size_t count;
};

/* A hash for numbers that nobody chooses: 2^64 / golden ratio spreads neighbours. */
static inline uint64_t ki_map_hash_number(uint32_t number)
{
    return number * UINT64_C(0x9e3779b97f4a7c15);
}

typedef bool (*ki_map_equal)(const void *owner, uint32_t value, const void *key);

void ki_map_init(struct ki_map *map, struct ki_mem *mem);
void ki_map_free(struct ki_map *map); /* leaves an empty map, ready for use */
/* Returns the value whose key equals, or KI_MAP_NONE. */
uint32_t ki_map_get(const struct ki_map *map, uint64_t hash, ki_map_equal equal, const void *owner,
                    const void *key);
static inline uint32_t ki_map_tag(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

/* Before many lookups: fetches the place where a search for this hash begins, and then says what it will probably find,
 * without comparing keys; KI_MAP_NONE: nothing. */
static inline void ki_map_prefetch(const struct ki_map *map, uint64_t hash)
{
    if (map->count > 0)
        KI_PREFETCH(&map->slots[ki_map_tag(hash) & (map->cap - 1)]);
}

static inline uint32_t ki_map_guess(const struct ki_map *map, uint64_t hash)
{
    uint32_t tag = ki_map_tag(hash);
    const struct ki_map_slot *slot = map->count > 0 ? &map->slots[tag & (map->cap - 1)] : NULL;
    return slot && slot->tag == tag ? slot->value : KI_MAP_NONE;
}

/* Makes room for so many values in all, so that entering them cannot fail.  false: memory is out, nothing changed. */
bool ki_map_reserve(struct ki_map *map, size_t count);
/* Enters a value that is not there yet.  Returns false when memory is out; nothing changed then. */
bool ki_map_put(struct ki_map *map, uint64_t hash, uint32_t value);
/* Removes this value, entered under this hash.  It must be there. */
void ki_map_remove(struct ki_map *map, uint64_t hash, uint32_t value);

#endif
