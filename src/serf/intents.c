/* Intents that wait for their member: a bounded table, found by name.
 *
 * It is empty but for the moments in which a pool forms, when the news of a join overtakes the member itself; but
 * anybody can fill it with names that do not exist, so nothing here may cost more the fuller it is: an index leads
 * from name to place, and the places are linked in the order in which they were heard.
 *
 * Invariants: at most one intent a name, the one with the highest Lamport time; count <= max, the oldest heard makes
 * room and is counted.  items[0..count) are in use, linked from oldest to newest, and by_name holds exactly their
 * places.  Names are owned copies. */
#include "serf/intents.h"

#include "base/hash.h"

#define INTENTS_END UINT32_MAX /* no item: either end of the order */

void ki_intents_init(struct ki_intents *t, struct ki_mem *mem, uint32_t max, const uint8_t hash_key[16])
{
    *t = (struct ki_intents){.mem = mem, .max = max, .oldest = INTENTS_END, .newest = INTENTS_END};
    memcpy(t->hash_key, hash_key, sizeof t->hash_key);
    ki_map_init(&t->by_name, mem);
}

void ki_intents_free(struct ki_intents *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        ki_mem_free(t->mem, t->items[i].name);
    ki_mem_free(t->mem, t->items);
    ki_map_free(&t->by_name);
}

static uint64_t intents_hash(const struct ki_intents *t, struct ki_span name)
{
    return ki_siphash(t->hash_key, name.ptr, name.len);
}

static struct ki_span intents_name(const struct ki_intent *item)
{
    return ki_span(item->name, item->name_len);
}

static bool intents_equal(const void *owner, uint32_t at, const void *key)
{
    const struct ki_intents *t = owner;
    const struct ki_span *name = key;
    return ki_span_equal(intents_name(&t->items[at]), *name);
}

static uint32_t intents_find(const struct ki_intents *t, struct ki_span name)
{
    return ki_map_get(&t->by_name, intents_hash(t, name), intents_equal, t, &name);
}

/* ---- the order ---- */

static void intents_unlink(struct ki_intents *t, uint32_t at)
{
    const struct ki_intent *item = &t->items[at];
    *(item->older == INTENTS_END ? &t->oldest : &t->items[item->older].newer) = item->newer;
    *(item->newer == INTENTS_END ? &t->newest : &t->items[item->newer].older) = item->older;
}

static void intents_link_newest(struct ki_intents *t, uint32_t at)
{
    t->items[at].older = t->newest;
    t->items[at].newer = INTENTS_END;
    *(t->newest == INTENTS_END ? &t->oldest : &t->items[t->newest].newer) = at;
    t->newest = at;
}

/* The last item moves into the gap, with its place in the order and in the index. */
static void intents_remove(struct ki_intents *t, uint32_t at)
{
    ki_map_remove(&t->by_name, intents_hash(t, intents_name(&t->items[at])), at);
    intents_unlink(t, at);
    ki_mem_free(t->mem, t->items[at].name);
    uint32_t last = --t->count;
    if (at == last)
        return;
    struct ki_intent *item = &t->items[at];
    *item = t->items[last];
    ki_map_remove(&t->by_name, intents_hash(t, intents_name(item)), last);
    bool put = ki_map_put(&t->by_name, intents_hash(t, intents_name(item)), at);
    KI_ASSERT(put); /* what was just taken out has room */
    *(item->older == INTENTS_END ? &t->oldest : &t->items[item->older].newer) = at;
    *(item->newer == INTENTS_END ? &t->newest : &t->items[item->newer].older) = at;
}

/* ---- noting and taking ---- */

static bool intents_reserve(struct ki_intents *t)
{
    if (t->count < t->cap)
        return true;
    uint32_t cap = t->cap ? t->cap * 2 : 8;
    struct ki_intent *items = ki_mem_resize(t->mem, t->items, cap * sizeof *items);
    if (!items)
        return false;
    t->items = items;
    t->cap = cap;
    return true;
}

enum ki_intent_result ki_intents_note(struct ki_intents *t, struct ki_span name, bool leave, uint64_t ltime,
                                      uint64_t now_us)
{
    uint32_t at = intents_find(t, name);
    if (at != KI_MAP_NONE) {
        struct ki_intent *known = &t->items[at];
        if (ltime <= known->ltime)
            return KI_INTENT_OLD;
        known->ltime = ltime;
        known->leave = leave;
        known->heard_us = now_us;
        intents_unlink(t, at);
        intents_link_newest(t, at);
        return KI_INTENT_NEW;
    }
    uint8_t *copy = ki_mem_copy(t->mem, name.ptr, name.len);
    if (!copy)
        return KI_INTENT_NOMEM;
    if (t->count >= t->max) {
        intents_remove(t, t->oldest);
        t->dropped++;
    }
    if (!intents_reserve(t) || !ki_map_put(&t->by_name, intents_hash(t, name), t->count)) {
        ki_mem_free(t->mem, copy);
        return KI_INTENT_NOMEM;
    }
    at = t->count++;
    t->items[at] = (struct ki_intent){
        .ltime = ltime, .heard_us = now_us, .name = copy, .name_len = (uint32_t)name.len, .leave = leave};
    intents_link_newest(t, at);
    return KI_INTENT_NEW;
}

bool ki_intents_take(struct ki_intents *t, struct ki_span name, bool *leave, uint64_t *ltime)
{
    uint32_t at = intents_find(t, name);
    if (at == KI_MAP_NONE)
        return false;
    *leave = t->items[at].leave;
    *ltime = t->items[at].ltime;
    intents_remove(t, at);
    return true;
}

void ki_intents_expire(struct ki_intents *t, uint64_t before_us)
{
    while (t->count > 0 && t->items[t->oldest].heard_us < before_us)
        intents_remove(t, t->oldest);
}
