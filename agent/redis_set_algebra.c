/* Unions, intersections and differences of sets.
 *
 * The result is gathered in a bag first: asking one set about a member of another is a call on the store, after which the
 * member that was lent is gone; a destination may be one of the sources; and how many there are stands before them in the
 * reply.  An intersection walks the smallest set and asks the others, so it costs what the smallest has.
 *
 * Every key's type is looked at before anything else is done, missing keys or not, as Redis does.
 *
 * A destination is replaced: what this node sees under it is deleted, whatever its type, and the members are added, in one
 * group.  What somebody else adds to it meanwhile survives, as after DEL.
 *
 * Not here: order; the reply's is nobody's. */
#include "agent/redis_elements.h"

enum redis_set_algebra_op { REDIS_SET_UNION, REDIS_SET_INTER, REDIS_SET_DIFF };

struct redis_set_algebra {
    struct ki_redis_call *call;
    enum redis_set_algebra_op op;
    size_t first, end; /* the keys among the arguments */
    size_t walked;     /* the key whose members are walked over: an intersection's smallest, a difference's first */
    uint64_t limit;    /* of an intersection: so many are enough; 0: all */
};

/* Looks at every key.  false: one is no set; answered. */
static bool redis_set_algebra_look(struct redis_set_algebra *algebra)
{
    uint32_t count, smallest = UINT32_MAX;
    algebra->walked = algebra->first;
    for (size_t i = algebra->first; i < algebra->end; i++) {
        if (!ki_redis_count(algebra->call, ki_redis_arg(algebra->call, i), KITH_TYPE_SET, &count))
            return false;
        if (algebra->op == REDIS_SET_INTER && count < smallest) {
            smallest = count;
            algebra->walked = i;
        }
    }
    return true;
}

static bool redis_set_algebra_unite(const struct redis_set_algebra *algebra, struct ki_redis_bag *bag)
{
    struct ki_redis_call *call = algebra->call;
    struct kith_element element;
    struct ki_redis_item *item;
    bool is_new;
    for (size_t i = algebra->first; i < algebra->end; i++) {
        uint64_t cursor = 0;
        while (kith_next_element(call->k, call->now, ki_redis_arg(call, i), KITH_TYPE_SET, &cursor, &element)) {
            if (!ki_redis_bag_find_or_put(bag, element.field, &item, &is_new))
                return false;
        }
    }
    return true;
}

/* Does a member of the walked set belong to the result? */
static bool redis_set_algebra_wants(const struct redis_set_algebra *algebra, struct kith_str member)
{
    struct ki_redis_call *call = algebra->call;
    struct kith_element element;
    bool wanted = algebra->op == REDIS_SET_INTER; /* to be in the others */
    for (size_t i = algebra->first; i < algebra->end; i++) {
        if (i != algebra->walked && wanted != (kith_element(call->k, call->now, ki_redis_arg(call, i), KITH_TYPE_SET,
                                                            member, &element) == 0))
            return false;
    }
    return true;
}

static bool redis_set_algebra_sift(const struct redis_set_algebra *algebra, struct ki_redis_bag *bag)
{
    struct ki_redis_call *call = algebra->call;
    struct kith_str key = ki_redis_arg(call, algebra->walked);
    struct kith_element element;
    uint64_t cursor = 0;
    while ((algebra->limit == 0 || bag->count < algebra->limit) &&
           kith_next_element(call->k, call->now, key, KITH_TYPE_SET, &cursor, &element)) {
        if (!ki_redis_bag_put(bag, element.field, 0))
            return false;
        if (!redis_set_algebra_wants(algebra, bag->items[bag->count - 1].bytes))
            ki_redis_bag_drop_last(bag);
    }
    return true;
}

/* Gathers the result.  false: answered; the bag is to be freed in any case. */
static bool redis_set_algebra_gather(struct redis_set_algebra *algebra, struct ki_redis_bag *bag)
{
    ki_redis_bag_init(bag, algebra->call);
    if (!redis_set_algebra_look(algebra))
        return false;
    bool done = algebra->op == REDIS_SET_UNION ? redis_set_algebra_unite(algebra, bag)
                                               : redis_set_algebra_sift(algebra, bag);
    if (!done)
        ki_redis_error_of(algebra->call, KITH_ERR_NOMEM);
    return done;
}

static void redis_set_algebra_show(struct ki_redis_call *call, enum redis_set_algebra_op op)
{
    struct redis_set_algebra algebra = {.call = call, .op = op, .first = 1, .end = call->arg_count};
    struct ki_redis_bag bag;
    if (redis_set_algebra_gather(&algebra, &bag)) {
        ki_resp_put_set(call->out, bag.count);
        for (uint32_t i = 0; i < bag.count; i++)
            ki_redis_bulk(call, bag.items[i].bytes);
    }
    ki_redis_bag_free(&bag);
}

static void redis_set_algebra_store(struct ki_redis_call *call, enum redis_set_algebra_op op)
{
    struct redis_set_algebra algebra = {.call = call, .op = op, .first = 2, .end = call->arg_count};
    struct kith_str key = ki_redis_arg(call, 1);
    struct ki_redis_bag bag;
    if (redis_set_algebra_gather(&algebra, &bag)) {
        bool opened = ki_redis_group_begin(call);
        int error = kith_delete(call->k, call->now, key, NULL);
        for (uint32_t i = 0; !error && i < bag.count; i++)
            error = kith_set_add(call->k, call->now, key, bag.items[i].bytes, NULL);
        ki_redis_group_end(call, opened);
        if (error)
            ki_redis_error_of(call, error);
        else
            ki_resp_put_integer(call->out, bag.count);
    }
    ki_redis_bag_free(&bag);
}

void ki_redis_sunion(struct ki_redis_call *call)
{
    redis_set_algebra_show(call, REDIS_SET_UNION);
}

void ki_redis_sinter(struct ki_redis_call *call)
{
    redis_set_algebra_show(call, REDIS_SET_INTER);
}

void ki_redis_sdiff(struct ki_redis_call *call)
{
    redis_set_algebra_show(call, REDIS_SET_DIFF);
}

void ki_redis_sunionstore(struct ki_redis_call *call)
{
    redis_set_algebra_store(call, REDIS_SET_UNION);
}

void ki_redis_sinterstore(struct ki_redis_call *call)
{
    redis_set_algebra_store(call, REDIS_SET_INTER);
}

void ki_redis_sdiffstore(struct ki_redis_call *call)
{
    redis_set_algebra_store(call, REDIS_SET_DIFF);
}

/* SINTERCARD numkeys key [key ...] [LIMIT limit] */
void ki_redis_sintercard(struct ki_redis_call *call)
{
    struct redis_set_algebra algebra = {.call = call, .op = REDIS_SET_INTER, .first = 2};
    struct ki_redis_bag bag;
    int64_t keys, limit = 0;
    if (!ki_redis_parse_integer(call->args[1], &keys) || keys < 1) {
        ki_redis_error(call, "ERR numkeys should be greater than 0");
        return;
    }
    if ((uint64_t)keys > call->arg_count - 2) {
        ki_redis_error(call, "ERR Number of keys can't be greater than number of args");
        return;
    }
    algebra.end = 2 + (size_t)keys;
    for (size_t i = algebra.end; i < call->arg_count; i += 2) {
        if (!ki_redis_word(call->args[i], "LIMIT") || i + 1 == call->arg_count) {
            ki_redis_syntax(call);
            return;
        }
        if (!ki_redis_natural(call, call->args[i + 1], "ERR LIMIT can't be negative", &limit))
            return;
    }
    algebra.limit = (uint64_t)limit;
    if (redis_set_algebra_gather(&algebra, &bag))
        ki_resp_put_integer(call->out, bag.count);
    ki_redis_bag_free(&bag);
}
