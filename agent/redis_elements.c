/* A bag keeps its bytes in blocks that never move, so that an item's place can be handed to the store, and lives no longer
 * than one command.  What a command may gather so is bounded: beyond it the answer is Redis's for a full memory, and nothing
 * has been written yet.
 *
 * A sample is Floyd's (Bentley, Floyd 1987): as many draws as places, and memory for those alone.
 *
 * The store walks the places of a set or hash downwards, and its cursor is one more than the place it has shown: so a
 * cursor of one's own leads to any place at once.
 *
 * Invariants: the bytes put in last end where there is room; by_bytes holds indexes into items, and an item in it
 * is never dropped.
 *
 * Not here: what the elements mean, and the order in which a command checks its arguments. */
#include "agent/redis_elements.h"

#include <stdio.h>

#include "base/hash.h"

#define REDIS_BAG_MAX   ((uint64_t)512 << 20) /* bytes that one command may gather */
#define REDIS_BAG_BLOCK ((size_t)32 << 10)

struct ki_redis_block {
    struct ki_redis_block *older;
    char bytes[];
};

void ki_redis_bag_init(struct ki_redis_bag *bag, struct ki_redis_call *call)
{
    bag->items = bag->first_items;
    bag->count = 0;
    bag->cap = KI_REDIS_BAG_ITEMS;
    bag->room = bag->first_room;
    bag->room_len = KI_REDIS_BAG_ROOM;
    bag->blocks = NULL;
    ki_mem_init(&bag->mem, NULL, NULL, NULL, REDIS_BAG_MAX);
    ki_map_init(&bag->by_bytes, &bag->mem);
    uint64_t words[2] = {ki_redis_random(call, UINT64_MAX), ki_redis_random(call, UINT64_MAX)};
    memcpy(bag->hash_key, words, sizeof words);
}

void ki_redis_bag_free(struct ki_redis_bag *bag)
{
    while (bag->blocks) {
        struct ki_redis_block *older = bag->blocks->older;
        ki_mem_free(&bag->mem, bag->blocks);
        bag->blocks = older;
    }
    if (bag->items != bag->first_items)
        ki_mem_free(&bag->mem, bag->items);
    ki_map_free(&bag->by_bytes);
}

static bool redis_elements_grow(struct ki_redis_bag *bag)
{
    bool is_first = bag->items == bag->first_items;
    if (bag->cap > UINT32_MAX / 4)
        return false;
    void *items = ki_mem_resize(&bag->mem, is_first ? NULL : bag->items, bag->cap * 2 * sizeof *bag->items);
    if (!items)
        return false;
    if (is_first)
        memcpy(items, bag->first_items, sizeof bag->first_items);
    bag->items = items;
    bag->cap *= 2;
    return true;
}

static bool redis_elements_reserve(struct ki_redis_bag *bag, size_t len)
{
    if (bag->count == bag->cap && !redis_elements_grow(bag))
        return false;
    if (len <= bag->room_len)
        return true;
    size_t cap = len > REDIS_BAG_BLOCK ? len : REDIS_BAG_BLOCK;
    struct ki_redis_block *block = ki_mem_resize(&bag->mem, NULL, sizeof *block + cap);
    if (!block)
        return false;
    block->older = bag->blocks;
    bag->blocks = block;
    bag->room = block->bytes;
    bag->room_len = cap;
    return true;
}

bool ki_redis_bag_put(struct ki_redis_bag *bag, struct kith_str bytes, double score)
{
    if (bytes.len > REDIS_BAG_MAX || !redis_elements_reserve(bag, bytes.len))
        return false;
    if (bytes.len > 0)
        memcpy(bag->room, bytes.ptr, bytes.len);
    bag->items[bag->count++] = (struct ki_redis_item){.bytes = {bag->room, bytes.len}, .score = score};
    bag->room += bytes.len;
    bag->room_len -= bytes.len;
    return true;
}

static bool redis_elements_is_same(const void *owner, uint32_t value, const void *key)
{
    const struct ki_redis_bag *bag = owner;
    const struct kith_str *wanted = key;
    struct kith_str bytes = bag->items[value].bytes;
    return ki_span_equal(ki_span(bytes.ptr, bytes.len), ki_span(wanted->ptr, wanted->len));
}

bool ki_redis_bag_find_or_put(struct ki_redis_bag *bag, struct kith_str bytes, struct ki_redis_item **item, bool *is_new)
{
    uint64_t hash = ki_siphash(bag->hash_key, bytes.ptr, bytes.len);
    uint32_t at = ki_map_get(&bag->by_bytes, hash, redis_elements_is_same, bag, &bytes);
    *is_new = at == KI_MAP_NONE;
    if (*is_new) {
        at = bag->count;
        if (!ki_redis_bag_put(bag, bytes, 0))
            return false;
        if (!ki_map_put(&bag->by_bytes, hash, at)) {
            ki_redis_bag_drop_last(bag);
            return false;
        }
    }
    *item = &bag->items[at];
    return true;
}

void ki_redis_bag_drop_last(struct ki_redis_bag *bag)
{
    KI_ASSERT(bag->count > 0);
    size_t len = bag->items[--bag->count].bytes.len;
    bag->room -= len;
    bag->room_len += len;
}

static int redis_elements_compare(const void *a, const void *b)
{
    const struct ki_redis_item *left = a, *right = b;
    if (left->score != right->score)
        return left->score < right->score ? -1 : 1;
    return ki_span_compare(ki_span(left->bytes.ptr, left->bytes.len), ki_span(right->bytes.ptr, right->bytes.len));
}

void ki_redis_bag_sort(struct ki_redis_bag *bag)
{
    if (bag->count > 1)
        qsort(bag->items, bag->count, sizeof *bag->items, redis_elements_compare);
}

/* ---- random places ---- */

void ki_redis_sample_init(struct ki_redis_sample *sample, uint32_t size, uint32_t count)
{
    KI_ASSERT(count <= size);
    ki_mem_init(&sample->mem, NULL, NULL, NULL, REDIS_BAG_MAX);
    ki_map_init(&sample->chosen, &sample->mem);
    sample->next = size - count;
    sample->size = size;
}

void ki_redis_sample_free(struct ki_redis_sample *sample)
{
    ki_map_free(&sample->chosen);
}

static bool redis_elements_is_place(const void *owner, uint32_t value, const void *key)
{
    const uint32_t *place = key;
    (void)owner;
    return value == *place;
}

bool ki_redis_sample_next(struct ki_redis_sample *sample, struct ki_redis_call *call, uint32_t *place)
{
    KI_ASSERT(sample->next < sample->size);
    uint32_t drawn = (uint32_t)ki_redis_random(call, sample->next + 1);
    uint64_t hash = ki_map_hash_number(drawn);
    if (ki_map_get(&sample->chosen, hash, redis_elements_is_place, NULL, &drawn) != KI_MAP_NONE) {
        drawn = (uint32_t)sample->next; /* not chosen yet: no draw before reached so far */
        hash = ki_map_hash_number(drawn);
    }
    if (!ki_map_put(&sample->chosen, hash, drawn))
        return false;
    sample->next++;
    *place = drawn;
    return true;
}

/* ---- elements ---- */

bool ki_redis_count(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t *count)
{
    int error = ki_redis_element_count(call, key, type, count);
    if (error)
        ki_redis_error_of(call, error);
    return !error;
}

bool ki_redis_element_at(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t count,
                         uint32_t place, struct kith_element *out)
{
    if (type == KITH_TYPE_SORTED)
        return ki_redis_sorted_at(call, key, place, out) == 0;
    uint64_t cursor = place + 1 == count ? 0 : (uint64_t)place + 2;
    return ki_redis_next_element(call, key, type, &cursor, out);
}

bool ki_redis_group_begin(struct ki_redis_call *call)
{
    return kith_store_begin(call->k) == 0;
}

void ki_redis_group_end(struct ki_redis_call *call, bool opened)
{
    if (opened)
        (void)kith_store_commit(call->k, call->now);
}

/* Where nothing shows, nothing is there but an end that waits for its time: deleting takes nothing else away. */
void ki_redis_removed(struct ki_redis_call *call, struct kith_str key)
{
    if (kith_type_of(call->k, call->now, key) == KITH_TYPE_NONE)
        (void)kith_delete(call->k, call->now, key, NULL);
}

void ki_redis_remove_elements(struct ki_redis_call *call, enum kith_type type)
{
    bool opened = call->arg_count > 3 && ki_redis_group_begin(call);
    int64_t removed = 0;
    int error = 0;
    for (size_t i = 2; !error && i < call->arg_count; i++) {
        bool existed = false;
        error = kith_remove(call->k, call->now, ki_redis_arg(call, 1), type, ki_redis_arg(call, i), &existed);
        removed += existed;
    }
    if (removed > 0)
        ki_redis_removed(call, ki_redis_arg(call, 1));
    ki_redis_group_end(call, opened);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, removed);
}

void ki_redis_count_elements(struct ki_redis_call *call, enum kith_type type)
{
    uint32_t count;
    if (ki_redis_count(call, ki_redis_arg(call, 1), type, &count))
        ki_resp_put_integer(call->out, count);
}

/* A score in a scan is a bulk, whatever the protocol's version. */
static void redis_elements_put_score(struct ki_redis_call *call, double score)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%.17g", score);
    ki_resp_put_bulk(call->out, ki_span(text, (size_t)len));
}

void ki_redis_scan_elements(struct ki_redis_call *call, enum kith_type type)
{
    struct kith_str key = ki_redis_arg(call, 1);
    struct ki_redis_scan scan = {.count = 0};
    struct kith_element element;
    uint64_t cursor, written = 0;
    uint32_t count;
    bool more = true;
    if (!ki_redis_scan_cursor(call, call->args[2], &cursor) || !ki_redis_count(call, key, type, &count))
        return;
    /* as Redis has it, the options of a scan over nothing are not looked at */
    if (count > 0 && !ki_redis_scan_options(call, 3, false, &scan))
        return;
    size_t mark = ki_redis_scan_begin(call);
    for (uint64_t looked = 0; looked < scan.count && more && !call->out->full; looked++) {
        more = ki_redis_next_element(call, key, type, &cursor, &element);
        if (!more || !ki_redis_scan_matches(&scan, ki_span(element.field.ptr, element.field.len)))
            continue;
        ki_redis_bulk(call, element.field);
        if (type == KITH_TYPE_HASH)
            ki_redis_put_value(call, &element.value);
        else if (type == KITH_TYPE_SORTED)
            redis_elements_put_score(call, element.score);
        written += type == KITH_TYPE_SET ? 1 : 2;
    }
    ki_redis_scan_end(call, mark, more && count > 0 && cursor != 1 ? cursor : 0, written);
}

bool ki_redis_natural(struct ki_redis_call *call, struct ki_span arg, const char *error, int64_t *out)
{
    if (ki_redis_parse_integer(arg, out) && *out >= 0)
        return true;
    ki_redis_error(call, error);
    return false;
}

/* ---- members with scores ---- */

void ki_redis_store_sorted(struct ki_redis_call *call, struct kith_str key, const struct ki_redis_bag *bag)
{
    bool opened = ki_redis_group_begin(call);
    int error = kith_delete(call->k, call->now, key, NULL);
    for (uint32_t i = 0; !error && i < bag->count; i++)
        error = kith_sorted_add(call->k, call->now, key, bag->items[i].bytes, bag->items[i].score, NULL);
    ki_redis_group_end(call, opened);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, bag->count);
}

void ki_redis_put_members(struct ki_redis_call *call, uint64_t count, bool scores)
{
    ki_resp_put_array(call->out, scores && call->out->version < 3 ? 2 * count : count);
}

void ki_redis_put_member(struct ki_redis_call *call, struct kith_str member, double score, bool scores)
{
    if (scores && call->out->version >= 3)
        ki_resp_put_array(call->out, 2);
    ki_redis_bulk(call, member);
    if (scores)
        ki_resp_put_double(call->out, score);
}
