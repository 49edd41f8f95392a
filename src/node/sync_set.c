/* A set of the other's items, found by name: a hash table of linear probing, made once and thrown away.
 *
 * Invariants: it is at most half full; a name stands in it SET_SAME_MAX times at most, so that a search is short whatever a
 * peer sends; where it stands depends on a number that the peer does not know.
 *
 * Deliberately not here: growing, removing.
 */
#include "node/sync.h"

#define SET_SAME_MAX 8 /* of 65,536 names in 2^31, three share one in a pool of ten thousand */

bool ki_sync_set_make(struct kith *k, struct ki_sync_set *set, uint32_t count)
{
    uint32_t cap = 8;
    while (cap < 2 * count)
        cap *= 2;
    ki_sync_set_free(k, set);
    set->entries = ki_mem_new(&k->mem, cap * sizeof *set->entries);
    if (!set->entries) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    set->cap = cap;
    set->factor = (uint32_t)ki_crng_u64(&k->crng) | 1;
    return true;
}

void ki_sync_set_free(struct kith *k, struct ki_sync_set *set)
{
    ki_mem_free(&k->mem, set->entries);
    *set = (struct ki_sync_set){.cap = 0};
}

/* The place after which a name is looked for. */
static uint32_t set_place(const struct ki_sync_set *set, uint32_t name)
{
    return (uint32_t)((uint64_t)((name >> 1) * set->factor) * set->cap >> 32);
}

bool ki_sync_set_put(struct ki_sync_set *set, struct ki_sync_item item)
{
    uint32_t at = set_place(set, item.name), same = 0;
    for (; set->entries[at].is_used; at = (at + 1) & (set->cap - 1)) {
        if (set->entries[at].item.name >> 1 == item.name >> 1 && ++same == SET_SAME_MAX)
            return false;
    }
    set->entries[at] = (struct ki_sync_entry){.item = item, .number = (uint16_t)set->count, .is_used = true};
    set->count++;
    return true;
}

struct ki_sync_entry *ki_sync_set_next(const struct ki_sync_set *set, uint32_t name, uint32_t *cursor)
{
    uint32_t place = set->cap ? set_place(set, name) : 0;
    while (*cursor < set->cap) {
        struct ki_sync_entry *entry = &set->entries[(place + (*cursor)++) & (set->cap - 1)];
        if (!entry->is_used)
            return NULL;
        if (entry->item.name >> 1 == name >> 1)
            return entry;
    }
    return NULL;
}
