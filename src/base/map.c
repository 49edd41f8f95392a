/* Open addressing with linear probing.
 *
 * An entry's home is the low bits of its tag; it stands there or, when others were first, in the next
 * free slot after.  8 bytes a slot: the tag places the entry again when the table grows, and rules
 * out nearly every stranger before the owner is asked to compare keys.
 *
 * Invariants: no empty slot lies between an entry's home and the entry; at most 3/4 of the slots are
 * taken, so every search ends.  Removal keeps the first by moving later entries of the run back into
 * the hole, so there are no tombstones and lookups do not slow down with age.
 *
 * Deliberately not here: keys (the owner has them), iteration (it would show the order of hashes),
 * shrinking (tables of members are bounded; an owner whose table drained may free the map).
 */
#include "base/map.h"

enum { MAP_CAP_MIN = 8 };

void ki_map_init(struct ki_map *map, struct ki_mem *mem)
{
    *map = (struct ki_map){.mem = mem};
}

void ki_map_free(struct ki_map *map)
{
    ki_mem_free(map->mem, map->slots);
    ki_map_init(map, map->mem);
}

uint32_t ki_map_get(const struct ki_map *map, uint64_t hash, ki_map_equal equal, const void *owner,
                    const void *key)
{
    if (map->count == 0)
        return KI_MAP_NONE;
    uint32_t tag = ki_map_tag(hash);
    size_t mask = map->cap - 1;
    for (size_t i = tag & mask; map->slots[i].value != KI_MAP_NONE; i = (i + 1) & mask) {
        const struct ki_map_slot *slot = &map->slots[i];
        if (slot->tag == tag && equal(owner, slot->value, key))
            return slot->value;
    }
    return KI_MAP_NONE;
}

static void map_place(struct ki_map_slot *slots, size_t cap, struct ki_map_slot entry)
{
    size_t i = entry.tag & (cap - 1);
    while (slots[i].value != KI_MAP_NONE)
        i = (i + 1) & (cap - 1);
    slots[i] = entry;
}

bool ki_map_reserve(struct ki_map *map, size_t count)
{
    size_t cap = map->cap ? map->cap : MAP_CAP_MIN;
    while (count > cap / 4 * 3) {
        if (cap > SIZE_MAX / 2 / sizeof *map->slots)
            return false;
        cap *= 2;
    }
    if (cap == map->cap)
        return true;
    struct ki_map_slot *slots = ki_mem_resize(map->mem, NULL, cap * sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < cap; i++)
        slots[i] = (struct ki_map_slot){.tag = 0, .value = KI_MAP_NONE};
    for (size_t i = 0; i < map->cap; i++) {
        if (map->slots[i].value != KI_MAP_NONE)
            map_place(slots, cap, map->slots[i]);
    }
    ki_mem_free(map->mem, map->slots);
    map->slots = slots;
    map->cap = cap;
    return true;
}

bool ki_map_put(struct ki_map *map, uint64_t hash, uint32_t value)
{
    KI_ASSERT(value != KI_MAP_NONE);
    if (map->count + 1 > map->cap / 4 * 3 && !ki_map_reserve(map, map->count + 1))
        return false;
    map_place(map->slots, map->cap, (struct ki_map_slot){.tag = ki_map_tag(hash), .value = value});
    map->count++;
    return true;
}

void ki_map_remove(struct ki_map *map, uint64_t hash, uint32_t value)
{
    uint32_t tag = ki_map_tag(hash);
    size_t mask = map->cap - 1;
    KI_ASSERT(map->count > 0 && value != KI_MAP_NONE);
    size_t hole = tag & mask;
    while (map->slots[hole].value != value || map->slots[hole].tag != tag) {
        KI_ASSERT(map->slots[hole].value != KI_MAP_NONE);
        hole = (hole + 1) & mask;
    }
    for (size_t i = (hole + 1) & mask; map->slots[i].value != KI_MAP_NONE; i = (i + 1) & mask) {
        /* an entry may move back to the hole unless its home lies after the hole, up to itself */
        size_t from_home = (i - map->slots[i].tag) & mask;
        size_t from_hole = (i - hole) & mask;
        if (from_home >= from_hole) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].value = KI_MAP_NONE;
    map->count--;
}
