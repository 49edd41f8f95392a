/* Sets, a member at a time.  An add beats a removal that had not seen it, so SADD writes even what is there already: it
 * says that the member is wanted now.
 *
 * SMOVE adds before it removes: if memory is out between the two, the member is in both sets, not lost.  SPOP takes a
 * member out before it tells of it, and tells of those that it took when memory ends half-way.
 *
 * A walk over the store's elements and kith_count() agree as long as nothing is written in between, which is why the count
 * can stand before the members.
 *
 * Not here: unions, intersections and differences (redis_set_algebra.c); random choice that changes nothing
 * (redis_random.c). */
#include "agent/redis_elements.h"

void ki_redis_sadd(struct ki_redis_call *call)
{
    bool opened = call->arg_count > 3 && ki_redis_group_begin(call);
    int64_t added = 0;
    int error = 0;
    for (size_t i = 2; !error && i < call->arg_count; i++) {
        bool is_new = false;
        error = kith_set_add(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, i), &is_new);
        added += is_new;
    }
    ki_redis_group_end(call, opened);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, added);
}

void ki_redis_srem(struct ki_redis_call *call)
{
    ki_redis_remove_elements(call, KITH_TYPE_SET);
}

void ki_redis_scard(struct ki_redis_call *call)
{
    ki_redis_count_elements(call, KITH_TYPE_SET);
}

void ki_redis_sscan(struct ki_redis_call *call)
{
    ki_redis_scan_elements(call, KITH_TYPE_SET);
}

static bool redis_set_has(struct ki_redis_call *call, struct kith_str key, struct kith_str member)
{
    struct kith_element element;
    return kith_element(call->k, call->now, key, KITH_TYPE_SET, member, &element) == 0;
}

void ki_redis_sismember(struct ki_redis_call *call)
{
    struct kith_element element;
    int error = kith_element(call->k, call->now, ki_redis_arg(call, 1), KITH_TYPE_SET, ki_redis_arg(call, 2), &element);
    if (error && error != KITH_ERR_NOT_FOUND)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, !error);
}

void ki_redis_smismember(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_arg(call, 1);
    uint32_t count;
    if (!ki_redis_count(call, key, KITH_TYPE_SET, &count))
        return;
    ki_resp_put_array(call->out, call->arg_count - 2);
    for (size_t i = 2; i < call->arg_count; i++)
        ki_resp_put_integer(call->out, count > 0 && redis_set_has(call, key, ki_redis_arg(call, i)));
}

static void redis_set_put_all(struct ki_redis_call *call, struct kith_str key, uint32_t count)
{
    struct kith_element element;
    uint64_t cursor = 0;
    ki_resp_put_set(call->out, count);
    while (!call->out->full && kith_next_element(call->k, call->now, key, KITH_TYPE_SET, &cursor, &element))
        ki_redis_bulk(call, element.field);
}

void ki_redis_smembers(struct ki_redis_call *call)
{
    uint32_t count;
    if (ki_redis_count(call, ki_redis_arg(call, 1), KITH_TYPE_SET, &count))
        redis_set_put_all(call, ki_redis_arg(call, 1), count);
}

void ki_redis_smove(struct ki_redis_call *call)
{
    struct kith_str from = ki_redis_arg(call, 1), to = ki_redis_arg(call, 2), member = ki_redis_arg(call, 3);
    uint32_t count, ignored;
    if (!ki_redis_count(call, from, KITH_TYPE_SET, &count) ||
        (count > 0 && !ki_redis_count(call, to, KITH_TYPE_SET, &ignored)))
        return;
    bool is_there = count > 0 && redis_set_has(call, from, member);
    int error = 0;
    if (is_there && !ki_span_equal(call->args[1], call->args[2])) {
        bool opened = ki_redis_group_begin(call);
        error = kith_set_add(call->k, call->now, to, member, NULL);
        if (!error)
            error = kith_remove(call->k, call->now, from, KITH_TYPE_SET, member, NULL);
        ki_redis_removed(call, from);
        ki_redis_group_end(call, opened);
    }
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, is_there);
}

/* ---- SPOP ---- */

/* Moves one random member from the set into the bag. */
static int redis_set_pop(struct ki_redis_call *call, struct kith_str key, uint32_t count, struct ki_redis_bag *bag)
{
    struct kith_element element;
    uint32_t place = (uint32_t)ki_redis_random(call, count);
    if (!ki_redis_element_at(call, key, KITH_TYPE_SET, count, place, &element))
        return KITH_ERR_NOT_FOUND;
    if (!ki_redis_bag_put(bag, element.field, 0))
        return KITH_ERR_NOMEM;
    int error = kith_remove(call->k, call->now, key, KITH_TYPE_SET, bag->items[bag->count - 1].bytes, NULL);
    if (error)
        ki_redis_bag_drop_last(bag);
    return error;
}

static void redis_set_pop_many(struct ki_redis_call *call, struct kith_str key, uint64_t wanted)
{
    struct ki_redis_bag bag;
    uint32_t count;
    int error = 0;
    if (!ki_redis_count(call, key, KITH_TYPE_SET, &count))
        return;
    ki_redis_bag_init(&bag, call);
    bool opened = ki_redis_group_begin(call);
    for (; !error && count > 0 && bag.count < wanted; count--)
        error = redis_set_pop(call, key, count, &bag);
    ki_redis_removed(call, key);
    ki_redis_group_end(call, opened);
    if (error && bag.count == 0) {
        ki_redis_error_of(call, error);
    } else {
        ki_resp_put_set(call->out, bag.count);
        for (uint32_t i = 0; i < bag.count; i++)
            ki_redis_bulk(call, bag.items[i].bytes);
    }
    ki_redis_bag_free(&bag);
}

void ki_redis_spop(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_arg(call, 1);
    struct ki_redis_bag bag;
    int64_t wanted;
    uint32_t count;
    if (call->arg_count > 3) {
        ki_redis_syntax(call);
        return;
    }
    if (call->arg_count == 3) {
        if (ki_redis_natural(call, call->args[2], "ERR value is out of range, must be positive", &wanted))
            redis_set_pop_many(call, key, (uint64_t)wanted);
        return;
    }
    if (!ki_redis_count(call, key, KITH_TYPE_SET, &count))
        return;
    if (count == 0) {
        ki_resp_put_null(call->out);
        return;
    }
    ki_redis_bag_init(&bag, call);
    int error = redis_set_pop(call, key, count, &bag);
    if (count == 1)
        ki_redis_removed(call, key);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_redis_bulk(call, bag.items[0].bytes);
    ki_redis_bag_free(&bag);
}
