/* Sorted sets, a member at a time: ZADD with its options, ZINCRBY, scores, ranks, the two ends.
 *
 * ZADD sets a score, and the later of two wins; ZINCRBY adds, and what is added elsewhere adds up with it.  A plain ZADD
 * writes without looking.  One with an option looks first, since what it is to do, or to tell, depends on what is there:
 * here and now, for somebody else may write meanwhile.
 *
 * Increments that add up must be finite.  One that leads to an infinity, from here, becomes a ZADD of that infinity; what
 * leads from one infinity to the other is refused as Redis does it.
 *
 * ZPOPMIN and ZPOPMAX take a member out before they tell of it, and tell of those taken when memory ends half-way.
 *
 * Not here: ranges (redis_sorted_range.c); unions and the like (redis_sorted_algebra.c); ZRANDMEMBER (redis_random.c). */
#include "agent/redis_elements.h"

#include <math.h>

/* ---- ZADD, ZINCRBY ---- */

enum {
    REDIS_SORTED_NX = 1,
    REDIS_SORTED_XX = 2,
    REDIS_SORTED_GT = 4,
    REDIS_SORTED_LT = 8,
    REDIS_SORTED_CH = 16,
    REDIS_SORTED_INCR = 32
};

struct redis_sorted_add {
    unsigned options;
    size_t first; /* argument: the first score */
    int64_t added, updated;
    double given; /* the last score */
    bool is_done; /* the last member was written */
    double score; /* and has this score now */
};

#define REDIS_SORTED_NAN (KITH_ERR_NUMBER)

static bool redis_sorted_option(struct ki_span arg, unsigned *options)
{
    static const struct {
        const char *word;
        unsigned option;
    } words[] = {{"NX", REDIS_SORTED_NX}, {"XX", REDIS_SORTED_XX}, {"GT", REDIS_SORTED_GT},
                 {"LT", REDIS_SORTED_LT}, {"CH", REDIS_SORTED_CH}, {"INCR", REDIS_SORTED_INCR}};
    for (size_t i = 0; i < KI_COUNT(words); i++) {
        if (ki_redis_word(arg, words[i].word)) {
            *options |= words[i].option;
            return true;
        }
    }
    return false;
}

/* Reads the options and looks at the scores, in Redis's order of complaints.  false: answered. */
static bool redis_sorted_options(struct ki_redis_call *call, struct redis_sorted_add *add)
{
    add->first = 2;
    while (add->first < call->arg_count && redis_sorted_option(call->args[add->first], &add->options))
        add->first++;
    size_t left = call->arg_count - add->first;
    unsigned options = add->options;
    bool greater = options & REDIS_SORTED_GT, less = options & REDIS_SORTED_LT, fresh = options & REDIS_SORTED_NX;
    const char *error = NULL;
    if (left == 0 || left % 2 == 1)
        error = "ERR syntax error";
    else if (fresh && options & REDIS_SORTED_XX)
        error = "ERR XX and NX options at the same time are not compatible";
    else if ((greater && fresh) || (less && fresh) || (greater && less))
        error = "ERR GT, LT, and/or NX options at the same time are not compatible";
    else if (options & REDIS_SORTED_INCR && left > 2)
        error = "ERR INCR option supports a single increment-element pair";
    if (error) {
        ki_redis_error(call, error);
        return false;
    }
    for (size_t i = add->first; i < call->arg_count; i += 2) {
        if (!ki_redis_real(call, call->args[i], &add->given))
            return false;
    }
    return true;
}

/* Adds to the score; score: what that leads to from here. */
static int redis_sorted_increase(struct ki_redis_call *call, struct kith_str member, double by, double score,
                                 double *result)
{
    struct kith_str key = ki_redis_arg(call, 1);
    *result = score;
    if (isinf(score))
        return kith_sorted_add(call->k, call->now, key, member, score, NULL);
    return kith_sorted_increase(call->k, call->now, key, member, by, result);
}

/* One member, by the options.  0, a kith_error, or REDIS_SORTED_NAN. */
static int redis_sorted_put(struct ki_redis_call *call, struct redis_sorted_add *add, struct kith_str member, double value)
{
    struct kith_str key = ki_redis_arg(call, 1);
    struct kith_element element;
    int error = kith_element(call->k, call->now, key, KITH_TYPE_SORTED, member, &element);
    bool is_there = error == 0;
    if (error && error != KITH_ERR_NOT_FOUND)
        return error;
    add->is_done = false;
    if (add->options & (is_there ? REDIS_SORTED_NX : REDIS_SORTED_XX))
        return 0;
    bool increases = add->options & REDIS_SORTED_INCR;
    double old = is_there ? element.score : 0;
    double score = increases ? old + value : value;
    if (isnan(score))
        return REDIS_SORTED_NAN;
    if (is_there && ((add->options & REDIS_SORTED_GT && score <= old) || (add->options & REDIS_SORTED_LT && score >= old)))
        return 0;
    add->score = score;
    if (increases)
        error = redis_sorted_increase(call, member, value, score, &add->score);
    else
        error = kith_sorted_add(call->k, call->now, key, member, score, NULL);
    if (error)
        return error;
    add->is_done = true;
    add->added += !is_there;
    add->updated += is_there && add->score != old;
    return 0;
}

static int redis_sorted_put_all(struct ki_redis_call *call, struct redis_sorted_add *add)
{
    bool many = call->arg_count - add->first > 2;
    bool opened = many && ki_redis_group_begin(call);
    int error = 0;
    for (size_t i = add->first; !error && i < call->arg_count; i += 2) {
        struct kith_str member = ki_redis_arg(call, i + 1);
        double score = add->given;
        bool is_new = false;
        if (many)
            (void)ki_redis_parse_real(call->args[i], &score); /* it was a number when the options were read */
        if (add->options)
            error = redis_sorted_put(call, add, member, score);
        else
            error = kith_sorted_add(call->k, call->now, ki_redis_arg(call, 1), member, score, &is_new);
        add->added += is_new;
    }
    ki_redis_group_end(call, opened);
    return error;
}

static void redis_sorted_add(struct ki_redis_call *call, unsigned options)
{
    struct redis_sorted_add add = {.options = options};
    if (!redis_sorted_options(call, &add))
        return;
    int error = redis_sorted_put_all(call, &add);
    if (error == REDIS_SORTED_NAN)
        ki_redis_error(call, "ERR resulting score is not a number (NaN)");
    else if (error)
        ki_redis_error_of(call, error);
    else if (!(add.options & REDIS_SORTED_INCR))
        ki_resp_put_integer(call->out, add.options & REDIS_SORTED_CH ? add.added + add.updated : add.added);
    else if (add.is_done)
        ki_resp_put_double(call->out, add.score);
    else
        ki_resp_put_null(call->out);
}

void ki_redis_zadd(struct ki_redis_call *call)
{
    redis_sorted_add(call, 0);
}

void ki_redis_zincrby(struct ki_redis_call *call)
{
    redis_sorted_add(call, REDIS_SORTED_INCR);
}

/* ---- what is there ---- */

void ki_redis_zrem(struct ki_redis_call *call)
{
    ki_redis_remove_elements(call, KITH_TYPE_SORTED);
}

void ki_redis_zcard(struct ki_redis_call *call)
{
    ki_redis_count_elements(call, KITH_TYPE_SORTED);
}

void ki_redis_zscan(struct ki_redis_call *call)
{
    ki_redis_scan_elements(call, KITH_TYPE_SORTED);
}

void ki_redis_zscore(struct ki_redis_call *call)
{
    struct kith_element element;
    int error = ki_redis_element(call, ki_redis_arg(call, 1), KITH_TYPE_SORTED, ki_redis_arg(call, 2), &element);
    if (!error)
        ki_resp_put_double(call->out, element.score);
    else if (error == KITH_ERR_NOT_FOUND)
        ki_resp_put_null(call->out);
    else
        ki_redis_error_of(call, error);
}

void ki_redis_zmscore(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_arg(call, 1);
    uint32_t count;
    if (!ki_redis_count(call, key, KITH_TYPE_SORTED, &count))
        return;
    ki_resp_put_array(call->out, call->arg_count - 2);
    for (size_t i = 2; i < call->arg_count; i++) {
        struct kith_element element;
        if (count > 0 && ki_redis_element(call, key, KITH_TYPE_SORTED, ki_redis_arg(call, i), &element) == 0)
            ki_resp_put_double(call->out, element.score);
        else
            ki_resp_put_null(call->out);
    }
}

static void redis_sorted_rank(struct ki_redis_call *call, bool reverse)
{
    struct kith_str key = ki_redis_arg(call, 1);
    uint32_t count, rank = 0;
    if (!ki_redis_count(call, key, KITH_TYPE_SORTED, &count))
        return;
    int error = KITH_ERR_NOT_FOUND;
    if (count > 0)
        error = ki_redis_sorted_rank(call, key, ki_redis_arg(call, 2), &rank);
    if (!error)
        ki_resp_put_integer(call->out, reverse ? (int64_t)count - 1 - rank : rank);
    else if (error == KITH_ERR_NOT_FOUND)
        ki_resp_put_null(call->out);
    else
        ki_redis_error_of(call, error);
}

void ki_redis_zrank(struct ki_redis_call *call)
{
    redis_sorted_rank(call, false);
}

void ki_redis_zrevrank(struct ki_redis_call *call)
{
    redis_sorted_rank(call, true);
}

/* ---- ZPOPMIN, ZPOPMAX ---- */

/* Moves a member from the set into the bag. */
static int redis_sorted_take(struct ki_redis_call *call, struct kith_str key, uint32_t rank, struct ki_redis_bag *bag)
{
    struct kith_element element;
    int error = kith_sorted_at(call->k, call->now, key, rank, &element);
    if (error)
        return error;
    if (!ki_redis_bag_put(bag, element.field, element.score))
        return KITH_ERR_NOMEM;
    error = kith_remove(call->k, call->now, key, KITH_TYPE_SORTED, bag->items[bag->count - 1].bytes, NULL);
    if (error)
        ki_redis_bag_drop_last(bag);
    return error;
}

static void redis_sorted_put_taken(struct ki_redis_call *call, const struct ki_redis_bag *bag)
{
    if (call->arg_count == 2 && call->out->version >= 3 && bag->count == 1) { /* without a count there is no pair in it */
        ki_resp_put_array(call->out, 2);
        ki_redis_bulk(call, bag->items[0].bytes);
        ki_resp_put_double(call->out, bag->items[0].score);
        return;
    }
    ki_redis_put_members(call, bag->count, true);
    for (uint32_t i = 0; i < bag->count; i++)
        ki_redis_put_member(call, bag->items[i].bytes, bag->items[i].score, true);
}

static void redis_sorted_pop(struct ki_redis_call *call, bool greatest)
{
    struct kith_str key = ki_redis_arg(call, 1);
    struct ki_redis_bag bag;
    int64_t wanted = 1;
    uint32_t count;
    int error = 0;
    if (call->arg_count > 3) {
        ki_redis_syntax(call);
        return;
    }
    if (call->arg_count == 3 &&
        !ki_redis_natural(call, call->args[2], "ERR value is out of range, must be positive", &wanted))
        return;
    if (!ki_redis_count(call, key, KITH_TYPE_SORTED, &count))
        return;
    ki_redis_bag_init(&bag, call);
    bool opened = wanted > 1 && ki_redis_group_begin(call);
    for (; !error && count > 0 && bag.count < (uint64_t)wanted; count--)
        error = redis_sorted_take(call, key, greatest ? count - 1 : 0, &bag);
    if (count == 0)
        ki_redis_removed(call, key);
    ki_redis_group_end(call, opened);
    if (error && bag.count == 0)
        ki_redis_error_of(call, error);
    else
        redis_sorted_put_taken(call, &bag);
    ki_redis_bag_free(&bag);
}

void ki_redis_zpopmin(struct ki_redis_call *call)
{
    redis_sorted_pop(call, false);
}

void ki_redis_zpopmax(struct ki_redis_call *call)
{
    redis_sorted_pop(call, true);
}
