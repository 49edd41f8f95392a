/* One map, then 256.
 *
 * A map that grows moves all it has, and clears twice the room: at a million values that takes a tenth of a second, in which
 * nothing is answered.  256 maps grow each by itself.  The step from one to many happens once, at a size where it is short:
 * what the map has is entered again, by the part of the hash that a slot keeps.
 *
 * The bits that choose a map are not those that choose its slot: the lowest of the tag do that (map.c).
 *
 * Invariant: while `many` is there, `one` is empty.
 * Deliberately not here: becoming one again, and room made in advance.
 */
#include "base/index.h"

enum { INDEX_MAPS = 256, INDEX_SPLIT = 4096 };

void ki_index_init(struct ki_index *index, struct ki_mem *mem)
{
    *index = (struct ki_index){.many = NULL};
    ki_map_init(&index->one, mem);
}

static void index_free_many(struct ki_mem *mem, struct ki_map *many)
{
    for (size_t i = 0; many && i < INDEX_MAPS; i++)
        ki_map_free(&many[i]);
    ki_mem_free(mem, many);
}

void ki_index_free(struct ki_index *index)
{
    struct ki_mem *mem = index->one.mem;
    index_free_many(mem, index->many);
    ki_map_free(&index->one);
    ki_index_init(index, mem);
}

static size_t index_choose(uint32_t tag)
{
    return tag >> 24;
}

static struct ki_map *index_map(struct ki_index *index, uint64_t hash)
{
    return index->many ? &index->many[index_choose(ki_map_tag(hash))] : &index->one;
}

uint32_t ki_index_get(const struct ki_index *index, uint64_t hash, ki_map_equal equal, const void *owner,
                      const void *key)
{
    const struct ki_map *map = index->many ? &index->many[index_choose(ki_map_tag(hash))] : &index->one;
    return ki_map_get(map, hash, equal, owner, key);
}

/* A tag as a hash has itself for its tag. */
static bool index_split(struct ki_index *index)
{
    struct ki_mem *mem = index->one.mem;
    struct ki_map *many = ki_mem_new(mem, INDEX_MAPS * sizeof *many);
    bool fits = many != NULL;
    for (size_t i = 0; fits && i < INDEX_MAPS; i++)
        ki_map_init(&many[i], mem);
    for (size_t i = 0; fits && i < index->one.cap; i++) {
        const struct ki_map_slot *slot = &index->one.slots[i];
        fits = slot->value == KI_MAP_NONE || ki_map_put(&many[index_choose(slot->tag)], slot->tag, slot->value);
    }
    if (fits) {
        ki_map_free(&index->one);
        index->many = many;
        return true;
    }
    index_free_many(mem, many);
    return false;
}

bool ki_index_put(struct ki_index *index, uint64_t hash, uint32_t value)
{
    if (!index->many && index->count == INDEX_SPLIT && !index_split(index))
        return false;
    if (!ki_map_put(index_map(index, hash), hash, value))
        return false;
    index->count++;
    return true;
}

void ki_index_remove(struct ki_index *index, uint64_t hash, uint32_t value)
{
    ki_map_remove(index_map(index, hash), hash, value);
    index->count--;
}
