/* Intents that wait for their member: a small bounded table, searched from front to back.
 *
 * It is empty but for the moments in which a pool forms, when the news of a join overtakes the member itself.
 *
 * Invariants: at most one intent a name, the one with the highest Lamport time; count <= max, the oldest heard makes
 * room and is counted.  Names are owned copies. */
#include "serf/intents.h"

void ki_intents_init(struct ki_intents *t, struct ki_mem *mem, uint32_t max)
{
    *t = (struct ki_intents){.mem = mem, .max = max};
}

void ki_intents_free(struct ki_intents *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        ki_mem_free(t->mem, t->items[i].name);
    ki_mem_free(t->mem, t->items);
}

static struct ki_intent *intents_find(const struct ki_intents *t, struct ki_span name)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct ki_intent *item = &t->items[i];
        if (ki_span_equal(ki_span(item->name, item->name_len), name))
            return item;
    }
    return NULL;
}

static void intents_remove(struct ki_intents *t, struct ki_intent *item)
{
    ki_mem_free(t->mem, item->name);
    *item = t->items[--t->count];
}

static void intents_make_room(struct ki_intents *t)
{
    struct ki_intent *oldest = &t->items[0];
    for (uint32_t i = 1; i < t->count; i++) {
        if (t->items[i].heard_us < oldest->heard_us)
            oldest = &t->items[i];
    }
    intents_remove(t, oldest);
    t->dropped++;
}

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
    struct ki_intent *known = intents_find(t, name);
    if (known) {
        if (ltime <= known->ltime)
            return KI_INTENT_OLD;
        known->ltime = ltime;
        known->leave = leave;
        known->heard_us = now_us;
        return KI_INTENT_NEW;
    }
    uint8_t *copy = ki_mem_copy(t->mem, name.ptr, name.len);
    if (!copy)
        return KI_INTENT_NOMEM;
    if (t->count >= t->max)
        intents_make_room(t);
    if (!intents_reserve(t)) {
        ki_mem_free(t->mem, copy);
        return KI_INTENT_NOMEM;
    }
    t->items[t->count++] = (struct ki_intent){
        .ltime = ltime, .heard_us = now_us, .name = copy, .name_len = (uint32_t)name.len, .leave = leave};
    return KI_INTENT_NEW;
}

bool ki_intents_take(struct ki_intents *t, struct ki_span name, bool *leave, uint64_t *ltime)
{
    struct ki_intent *item = intents_find(t, name);
    if (!item)
        return false;
    *leave = item->leave;
    *ltime = item->ltime;
    intents_remove(t, item);
    return true;
}

void ki_intents_expire(struct ki_intents *t, uint64_t before_us)
{
    for (uint32_t i = t->count; i-- > 0;) {
        if (t->items[i].heard_us < before_us)
            intents_remove(t, &t->items[i]);
    }
}
