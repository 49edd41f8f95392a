/* One table for the largest, the smallest and the sample: a claim that belongs for two reasons is kept and told once.  In
 * the order of values the ends are what is asked for, in that of hashes the front is; whatever is in neither place goes.
 *
 * Merging takes the newest claim of each owner, so tables that hear the same agree, in whatever order they heard it.  A
 * newer claim that is worse may not belong any more, or not for long, or say that there is none.  Then it is kept for a
 * while as gone: those who have the older one must hear of it, and the older one must not come back from them.  Should it
 * come back later, from somebody who was away, its owner hears it, and says the newer one again.
 *
 * What has changed is numbered, and a neighbour that has confirmed a number has all up to it.  It also has what it has told
 * us itself: a bit for each neighbour keeps news from going back to where it came from.
 *
 * Invariants: an entry that is not gone is among the first or last `ends` by value, or among the first `sample` by hash;
 * each owner has at most one entry; entries are linked in the order of `taken`.
 * Deliberately not here: whether an owner is a living member and its value allowed, which the caller knows; datagrams. */
#include "aggregate/shortlist.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/real.h"

#define SHORTLIST_NONE UINT16_MAX
#define SHORTLIST_KEEP_US 60000000 /* news of it have been everywhere by then: 120 ticks, where 20 are usual */

/* "kith, aggregates": an identity, not a secret. */
static const uint8_t shortlist_key[16] = {'k', 'i', 't', 'h', ',', ' ', 'a', 'g', 'g', 'r', 'e', 'g', 'a', 't', 'e', 's'};

uint64_t ki_shortlist_hash(struct ki_span name)
{
    return ki_siphash(shortlist_key, name.ptr, name.len);
}

void ki_shortlist_init(struct ki_shortlist *list, struct ki_mem *mem, struct ki_short_names names, uint16_t ends,
                       uint16_t sample, uint16_t gone_max)
{
    *list = (struct ki_shortlist){.mem = mem,
                                  .names = names,
                                  .ends = ends,
                                  .sample = sample,
                                  .gone_max = gone_max,
                                  .free_first = SHORTLIST_NONE,
                                  .oldest = SHORTLIST_NONE,
                                  .newest = SHORTLIST_NONE};
    ki_map_init(&list->by_owner, mem);
}

void ki_shortlist_free(struct ki_shortlist *list)
{
    ki_mem_free(list->mem, list->entries);
    ki_mem_free(list->mem, list->by_value);
    ki_mem_free(list->mem, list->by_hash);
    ki_map_free(&list->by_owner);
}

/* ---- orders ---- */

static int shortlist_names(const struct ki_shortlist *list, const struct ki_short_claim *a, const struct ki_short_claim *b)
{
    if (a->owner == b->owner)
        return 0;
    return ki_span_compare(list->names.name_of(list->names.arg, a->owner), list->names.name_of(list->names.arg, b->owner));
}

static int shortlist_by_value(const struct ki_shortlist *list, const struct ki_short_claim *a,
                              const struct ki_short_claim *b)
{
    int order = (a->value > b->value) - (a->value < b->value);
    return order ? order : shortlist_names(list, a, b);
}

static int shortlist_by_hash(const struct ki_shortlist *list, const struct ki_short_claim *a,
                             const struct ki_short_claim *b)
{
    int order = (a->hash > b->hash) - (a->hash < b->hash);
    return order ? order : shortlist_names(list, a, b);
}

typedef int (*shortlist_compare)(const struct ki_shortlist *list, const struct ki_short_claim *a,
                                 const struct ki_short_claim *b);

/* How many come before it. */
static uint32_t shortlist_place(const struct ki_shortlist *list, const uint16_t *order, shortlist_compare compare,
                                const struct ki_short_claim *claim)
{
    uint32_t low = 0, high = list->live;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare(list, &list->entries[order[middle]].claim, claim) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* others: how many are in the orders besides it. */
static bool shortlist_belongs(const struct ki_shortlist *list, const struct ki_short_claim *claim, uint32_t others)
{
    if (claim->cleared)
        return false;
    uint32_t before = shortlist_place(list, list->by_value, shortlist_by_value, claim);
    return before < list->ends || others - before < list->ends ||
           shortlist_place(list, list->by_hash, shortlist_by_hash, claim) < list->sample;
}

static uint64_t shortlist_digest(const struct ki_short_claim *claim)
{
    uint64_t value = ki_real_bits(claim->value + 0.0); /* there are two zeros, and they are equal */
    const uint64_t words[4] = {claim->hash, claim->generation, claim->version, value};
    uint8_t bytes[32];
    for (size_t i = 0; i < KI_COUNT(words); i++)
        ki_store_be(bytes + 8 * i, words[i], 8);
    return ki_siphash(shortlist_key, bytes, sizeof bytes);
}

static void shortlist_insert(uint16_t *order, uint32_t count, uint32_t at, uint16_t place)
{
    memmove(order + at + 1, order + at, (count - at) * sizeof *order);
    order[at] = place;
}

static void shortlist_remove(uint16_t *order, uint32_t count, uint32_t at)
{
    memmove(order + at, order + at + 1, (count - at - 1) * sizeof *order);
}

static void shortlist_attach(struct ki_shortlist *list, uint16_t place)
{
    const struct ki_short_claim *claim = &list->entries[place].claim;
    uint32_t value = shortlist_place(list, list->by_value, shortlist_by_value, claim);
    uint32_t hash = shortlist_place(list, list->by_hash, shortlist_by_hash, claim);
    shortlist_insert(list->by_value, list->live, value, place);
    shortlist_insert(list->by_hash, list->live, hash, place);
    list->live++;
    list->digest += shortlist_digest(claim);
}

static void shortlist_detach(struct ki_shortlist *list, uint16_t place)
{
    const struct ki_short_claim *claim = &list->entries[place].claim;
    uint32_t value = shortlist_place(list, list->by_value, shortlist_by_value, claim);
    uint32_t hash = shortlist_place(list, list->by_hash, shortlist_by_hash, claim);
    KI_ASSERT(list->by_value[value] == place && list->by_hash[hash] == place);
    shortlist_remove(list->by_value, list->live, value);
    shortlist_remove(list->by_hash, list->live, hash);
    list->live--;
    list->digest -= shortlist_digest(claim);
}

/* ---- entries ---- */

static bool shortlist_owned(const void *owner, uint32_t value, const void *key)
{
    const struct ki_shortlist *list = owner;
    return list->entries[value].claim.owner == *(const uint32_t *)key;
}

static uint16_t shortlist_find(const struct ki_shortlist *list, uint32_t owner)
{
    uint32_t place = ki_map_get(&list->by_owner, ki_map_hash_number(owner), shortlist_owned, list, &owner);
    return place == KI_MAP_NONE ? SHORTLIST_NONE : (uint16_t)place;
}

static void shortlist_link(struct ki_shortlist *list, uint16_t place)
{
    struct ki_short_entry *entry = &list->entries[place];
    entry->taken = ++list->taken;
    entry->prev = list->newest;
    entry->next = SHORTLIST_NONE;
    *(list->newest == SHORTLIST_NONE ? &list->oldest : &list->entries[list->newest].next) = place;
    list->newest = place;
}

static void shortlist_unlink(struct ki_shortlist *list, uint16_t place)
{
    const struct ki_short_entry *entry = &list->entries[place];
    *(entry->prev == SHORTLIST_NONE ? &list->oldest : &list->entries[entry->prev].next) = entry->next;
    *(entry->next == SHORTLIST_NONE ? &list->newest : &list->entries[entry->next].prev) = entry->prev;
}

/* Out of everything but the orders, which it is not in. */
static void shortlist_forget(struct ki_shortlist *list, uint16_t place)
{
    struct ki_short_entry *entry = &list->entries[place];
    list->gone -= entry->gone;
    shortlist_unlink(list, place);
    ki_map_remove(&list->by_owner, ki_map_hash_number(entry->claim.owner), place);
    entry->next = list->free_first;
    list->free_first = place;
}

/* What was told last is kept. */
static void shortlist_bury(struct ki_shortlist *list, uint16_t place)
{
    list->entries[place].gone = true;
    if (++list->gone <= list->gone_max)
        return;
    uint16_t first = list->oldest;
    while (!list->entries[first].gone)
        first = list->entries[first].next;
    shortlist_forget(list, first);
}

/* What an entry that has come may have pushed out: nobody else's place has got worse by more than one. */
static void shortlist_prune(struct ki_shortlist *list, uint64_t now_us)
{
    uint16_t pushed[3];
    unsigned count = 0;
    if (list->live > list->sample)
        pushed[count++] = list->by_hash[list->sample];
    if (list->live > list->ends) {
        pushed[count++] = list->by_value[list->ends];
        pushed[count++] = list->by_value[list->live - 1 - list->ends];
    }
    for (unsigned i = 0; i < count; i++) {
        if ((i > 0 && pushed[i] == pushed[0]) || (i > 1 && pushed[i] == pushed[1]))
            continue;
        if (shortlist_belongs(list, &list->entries[pushed[i]].claim, list->live - 1u))
            continue;
        shortlist_detach(list, pushed[i]);
        if (list->entries[pushed[i]].keep_us > now_us)
            shortlist_bury(list, pushed[i]);
        else
            shortlist_forget(list, pushed[i]);
    }
}

/* For one entry more, in the orders too, whatever is gone now. */
static bool shortlist_room(struct ki_shortlist *list)
{
    struct ki_mem *mem = list->mem;
    return list->free_first != SHORTLIST_NONE ||
           (ki_list_room(mem, (void **)&list->by_value, sizeof *list->by_value, list->used, &list->by_value_cap) &&
            ki_list_room(mem, (void **)&list->by_hash, sizeof *list->by_hash, list->used, &list->by_hash_cap) &&
            ki_list_room(mem, (void **)&list->entries, sizeof *list->entries, list->used, &list->entries_cap));
}

static enum ki_short_result shortlist_enter(struct ki_shortlist *list, const struct ki_short_claim *claim, uint16_t known,
                                            uint64_t now_us)
{
    if (!shortlist_belongs(list, claim, list->live))
        return KI_SHORT_UNFIT;
    if (!shortlist_room(list))
        return KI_SHORT_NOMEM;
    bool is_used = list->free_first != SHORTLIST_NONE;
    uint16_t place = is_used ? list->free_first : list->used;
    if (!ki_map_put(&list->by_owner, ki_map_hash_number(claim->owner), place))
        return KI_SHORT_NOMEM;
    if (is_used)
        list->free_first = list->entries[place].next;
    else
        list->used++;
    list->entries[place] = (struct ki_short_entry){.claim = *claim, .known = known};
    shortlist_link(list, place);
    shortlist_attach(list, place);
    shortlist_prune(list, now_us);
    return KI_SHORT_TAKEN;
}

/* A newer claim of an owner that is here, or the same and it may belong now.  It cannot fail: what overtakes must not be
 * lost. */
static void shortlist_overtake(struct ki_shortlist *list, uint16_t place, const struct ki_short_claim *claim, uint16_t known,
                               uint64_t now_us)
{
    struct ki_short_entry *entry = &list->entries[place];
    if (!entry->gone)
        shortlist_detach(list, place);
    list->gone -= entry->gone;
    entry->gone = false;
    entry->claim = *claim;
    entry->known = known;
    entry->keep_us = now_us + SHORTLIST_KEEP_US;
    shortlist_unlink(list, place);
    shortlist_link(list, place);
    if (shortlist_belongs(list, claim, list->live)) {
        shortlist_attach(list, place);
        shortlist_prune(list, now_us);
    } else {
        shortlist_bury(list, place);
    }
}

/* Less than, equal to or greater than 0.  Two claims of one version are a lie of somebody's; that all take the same one for
 * the newer makes it come to its owner, who can say what is true. */
static int shortlist_age(const struct ki_short_claim *a, const struct ki_short_claim *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    if (a->version != b->version)
        return a->version < b->version ? -1 : 1;
    if (a->cleared || b->cleared)
        return b->cleared - a->cleared;
    return (a->value > b->value) - (a->value < b->value);
}

enum ki_short_result ki_shortlist_offer(struct ki_shortlist *list, uint64_t now_us, const struct ki_short_claim *claim,
                                        unsigned from)
{
    uint16_t bit = from < KI_SHORT_NEIGHBOURS ? (uint16_t)(1u << from) : 0;
    uint16_t place = shortlist_find(list, claim->owner);
    if (place == SHORTLIST_NONE)
        return shortlist_enter(list, claim, bit, now_us);
    struct ki_short_entry *entry = &list->entries[place];
    int age = shortlist_age(claim, &entry->claim);
    if (age > 0 || (age == 0 && entry->gone && shortlist_belongs(list, claim, list->live))) {
        shortlist_overtake(list, place, claim, bit, now_us);
        return KI_SHORT_TAKEN;
    }
    if (age == 0) {
        entry->known |= bit;
        return KI_SHORT_SAME;
    }
    entry->known &= (uint16_t)~bit;
    shortlist_unlink(list, place);
    shortlist_link(list, place); /* said once more, to whoever is not known to have it */
    return KI_SHORT_OLD;
}

void ki_shortlist_drop(struct ki_shortlist *list, uint32_t owner)
{
    uint16_t place = shortlist_find(list, owner);
    if (place == SHORTLIST_NONE)
        return;
    if (!list->entries[place].gone)
        shortlist_detach(list, place);
    shortlist_forget(list, place);
}

void ki_shortlist_tidy(struct ki_shortlist *list, uint64_t now_us)
{
    uint16_t place = list->gone > 0 ? list->oldest : SHORTLIST_NONE;
    while (place != SHORTLIST_NONE) {
        const struct ki_short_entry *entry = &list->entries[place];
        uint16_t next = entry->next;
        if (entry->gone && entry->keep_us <= now_us)
            shortlist_forget(list, place);
        place = next;
    }
}

/* ---- reading ---- */

const struct ki_short_entry *ki_shortlist_find(const struct ki_shortlist *list, uint32_t owner)
{
    uint16_t place = shortlist_find(list, owner);
    return place == SHORTLIST_NONE || list->entries[place].gone ? NULL : &list->entries[place];
}

const struct ki_short_entry *ki_shortlist_at(const struct ki_shortlist *list, uint32_t place)
{
    KI_ASSERT(place < list->live);
    return &list->entries[list->by_value[place]];
}

uint32_t ki_shortlist_sampled(const struct ki_shortlist *list)
{
    return list->live < list->sample ? list->live : list->sample;
}

uint32_t ki_shortlist_before(const struct ki_shortlist *list, const struct ki_short_entry *entry)
{
    return shortlist_place(list, list->by_value, shortlist_by_value, &entry->claim);
}

uint64_t ki_shortlist_last_hash(const struct ki_shortlist *list)
{
    return list->entries[list->by_hash[ki_shortlist_sampled(list) - 1]].claim.hash;
}

bool ki_shortlist_is_sampled(const struct ki_shortlist *list, const struct ki_short_entry *entry)
{
    if (list->live <= list->sample)
        return true;
    const struct ki_short_entry *last = &list->entries[list->by_hash[list->sample - 1]];
    return shortlist_by_hash(list, &entry->claim, &last->claim) <= 0;
}

/* ---- telling ---- */

static const struct ki_short_entry *shortlist_untold(const struct ki_shortlist *list, uint16_t place, unsigned neighbour)
{
    while (place != SHORTLIST_NONE && (list->entries[place].known >> neighbour & 1))
        place = list->entries[place].next;
    return place == SHORTLIST_NONE ? NULL : &list->entries[place];
}

const struct ki_short_entry *ki_shortlist_newer(const struct ki_shortlist *list, uint64_t after, unsigned neighbour)
{
    uint16_t place = list->newest, first = SHORTLIST_NONE;
    for (; place != SHORTLIST_NONE && list->entries[place].taken > after; place = list->entries[place].prev)
        first = place;
    return shortlist_untold(list, first, neighbour);
}

const struct ki_short_entry *ki_shortlist_next(const struct ki_shortlist *list, const struct ki_short_entry *entry,
                                               unsigned neighbour)
{
    return shortlist_untold(list, entry->next, neighbour);
}

void ki_shortlist_told(struct ki_shortlist *list, uint64_t after, uint64_t upto, unsigned neighbour)
{
    uint16_t place = list->newest;
    for (; place != SHORTLIST_NONE && list->entries[place].taken > after; place = list->entries[place].prev) {
        if (list->entries[place].taken <= upto)
            list->entries[place].known |= (uint16_t)(1u << neighbour);
    }
}

void ki_shortlist_unknown(struct ki_shortlist *list, unsigned neighbour)
{
    uint16_t bit = (uint16_t)(1u << neighbour);
    for (uint16_t place = list->oldest; place != SHORTLIST_NONE; place = list->entries[place].next)
        list->entries[place].known &= (uint16_t)~bit;
}
