/* Ranges of a sorted set: by rank, by score, by the members' bytes.
 *
 *     what is asked                  a span [from, to) of ranks              what is done with it
 *     rank    0 -1                                                           shown, forwards or backwards, LIMIT
 *     score   (1.5 +inf      --->    two searches in the order     --->      stored under another key
 *     bytes   [a (b - +                                                      removed; counted
 *
 * Every command is one of the first and one of the last.  A span of ranks is good until the set is written to.  Bytes are
 * an order only among equal scores: as in Redis, a search by bytes assumes that all scores are equal, and finds something
 * or other if they are not.
 *
 * Redis reads a score's limit with strtod(): blanks before it, hexadecimal and even nothing at all (0) will do; so here,
 * but not beyond REDIS_RANGE_NUMBER bytes.
 *
 * Not here: what a member's score means; the two ends (redis_sorted.c). */
#include "agent/redis_elements.h"

#include <math.h>

enum { REDIS_RANGE_NUMBER = 400 }; /* bytes; the longest double written out without an exponent has 330 */

enum redis_range_by { REDIS_RANGE_AUTO, REDIS_RANGE_RANK, REDIS_RANGE_SCORE, REDIS_RANGE_BYTES };
enum redis_range_way { REDIS_RANGE_ANY_WAY, REDIS_RANGE_FORWARD, REDIS_RANGE_REVERSE };

/* One end of a range. */
struct redis_range_end {
    int64_t rank;
    double score;
    struct ki_span bytes;
    int infinite; /* bytes: -1 before all, 1 behind all */
    bool is_open; /* not itself */
};

struct redis_range {
    enum redis_range_by by;
    enum redis_range_way way;
    struct redis_range_end min, max;
    bool scores; /* WITHSCORES */
    int64_t offset, limit;
    uint32_t from, to; /* the span */
};

/* ---- reading an end ---- */

static bool redis_range_read_score(struct ki_span arg, struct redis_range_end *end)
{
    char text[REDIS_RANGE_NUMBER + 1];
    char *stop;
    end->is_open = arg.len > 0 && arg.ptr[0] == '(';
    size_t skip = end->is_open;
    if (arg.len - skip > REDIS_RANGE_NUMBER)
        return false;
    if (arg.len > skip)
        memcpy(text, arg.ptr + skip, arg.len - skip);
    text[arg.len - skip] = '\0';
    end->score = strtod(text, &stop);
    return *stop == '\0' && !isnan(end->score);
}

static bool redis_range_read_bytes(struct ki_span arg, struct redis_range_end *end)
{
    if (arg.len == 1 && (arg.ptr[0] == '-' || arg.ptr[0] == '+')) {
        end->infinite = arg.ptr[0] == '-' ? -1 : 1;
        return true;
    }
    if (arg.len == 0 || (arg.ptr[0] != '(' && arg.ptr[0] != '['))
        return false;
    end->is_open = arg.ptr[0] == '(';
    end->bytes = ki_span(arg.ptr + 1, arg.len - 1);
    return true;
}

/* Reads both ends, the lower one first.  false: answered. */
static bool redis_range_read(struct ki_redis_call *call, struct redis_range *range, struct ki_span min, struct ki_span max)
{
    if (range->by == REDIS_RANGE_RANK)
        return ki_redis_integer(call, min, &range->min.rank) && ki_redis_integer(call, max, &range->max.rank);
    if (range->by == REDIS_RANGE_SCORE) {
        if (redis_range_read_score(min, &range->min) && redis_range_read_score(max, &range->max))
            return true;
        ki_redis_error(call, "ERR min or max is not a float");
        return false;
    }
    if (redis_range_read_bytes(min, &range->min) && redis_range_read_bytes(max, &range->max))
        return true;
    ki_redis_error(call, "ERR min or max not valid string range item");
    return false;
}

/* ---- from ends to ranks ---- */

/* The first rank whose member does not stand before the end (above: not before or at it). */
static int redis_range_bound_bytes(struct ki_redis_call *call, struct kith_str key, uint32_t count,
                                   const struct redis_range_end *end, bool above, uint32_t *rank)
{
    uint32_t from = 0, to = end->infinite < 0 ? 0 : count;
    if (end->infinite > 0)
        from = count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        struct kith_element element;
        int error = ki_redis_sorted_at(call, key, middle, &element);
        if (error)
            return error;
        int order = ki_span_compare(ki_span(element.field.ptr, element.field.len), end->bytes);
        if (order < 0 || (above && order == 0))
            from = middle + 1;
        else
            to = middle;
    }
    *rank = from;
    return 0;
}

static void redis_range_ranks(struct redis_range *range, uint32_t count)
{
    int64_t from = range->min.rank, last = range->max.rank;
    from += from < 0 ? count : 0;
    last += last < 0 ? count : 0;
    from = from < 0 ? 0 : from;
    last = last >= count ? (int64_t)count - 1 : last;
    range->from = range->to = 0;
    if (from > last || from >= count)
        return;
    range->from = range->way == REDIS_RANGE_REVERSE ? (uint32_t)(count - 1 - last) : (uint32_t)from;
    range->to = range->way == REDIS_RANGE_REVERSE ? (uint32_t)(count - from) : (uint32_t)(last + 1);
}

/* Finds the span.  false: the key holds another type, or memory is out; answered.  No key, an empty span. */
static bool redis_range_find(struct ki_redis_call *call, struct redis_range *range, struct kith_str key)
{
    uint32_t count;
    int error = 0;
    range->from = range->to = 0;
    if (!ki_redis_count(call, key, KITH_TYPE_SORTED, &count))
        return false;
    if (count == 0)
        return true;
    const struct redis_range_end *min = &range->min, *max = &range->max;
    if (range->by == REDIS_RANGE_RANK) {
        redis_range_ranks(range, count);
    } else if (range->by == REDIS_RANGE_SCORE) {
        error = ki_redis_sorted_bound(call, key, min->score, min->is_open, &range->from);
        if (!error)
            error = ki_redis_sorted_bound(call, key, max->score, !max->is_open, &range->to);
    } else {
        error = redis_range_bound_bytes(call, key, count, min, min->is_open, &range->from);
        if (!error)
            error = redis_range_bound_bytes(call, key, count, max, !max->is_open, &range->to);
    }
    if (error)
        ki_redis_error_of(call, error);
    else if (range->to < range->from)
        range->to = range->from;
    return !error;
}

/* Cuts the span to LIMIT, from the end where the walk begins. */
static void redis_range_limit(struct redis_range *range)
{
    uint32_t len = range->to - range->from;
    if (range->by == REDIS_RANGE_RANK)
        return;
    uint32_t skip = range->offset < 0 || range->offset > len ? len : (uint32_t)range->offset;
    len -= skip;
    if (range->limit >= 0 && range->limit < len)
        len = (uint32_t)range->limit;
    if (range->way == REDIS_RANGE_REVERSE) {
        range->to -= skip;
        range->from = range->to - len;
    } else {
        range->from += skip;
        range->to = range->from + len;
    }
}

/* ---- what is done with a span ---- */

static void redis_range_show(struct ki_redis_call *call, const struct redis_range *range, struct kith_str key)
{
    struct kith_element element;
    bool reverse = range->way == REDIS_RANGE_REVERSE;
    ki_redis_put_members(call, range->to - range->from, range->scores);
    for (uint32_t i = range->from; i < range->to && !call->out->full; i++) {
        uint32_t rank = reverse ? range->to - 1 - (i - range->from) : i;
        if (ki_redis_sorted_at(call, key, rank, &element) == 0)
            ki_redis_put_member(call, element.field, element.score, range->scores);
        else
            call->out->full = true; /* a reply that was begun cannot end otherwise */
    }
}

static int redis_range_gather(struct ki_redis_call *call, const struct redis_range *range, struct kith_str key,
                              struct ki_redis_bag *bag)
{
    struct kith_element element;
    for (uint32_t rank = range->from; rank < range->to; rank++) {
        int error = ki_redis_sorted_at(call, key, rank, &element);
        if (error)
            return error;
        if (!ki_redis_bag_put(bag, element.field, element.score))
            return KITH_ERR_NOMEM;
    }
    return 0;
}

static void redis_range_store(struct ki_redis_call *call, const struct redis_range *range, struct kith_str from,
                              struct kith_str to)
{
    struct ki_redis_bag bag;
    ki_redis_bag_init(&bag, call);
    int error = redis_range_gather(call, range, from, &bag);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_redis_store_sorted(call, to, &bag);
    ki_redis_bag_free(&bag);
}

static int redis_range_remove_first(struct ki_redis_call *call, const struct redis_range *range, struct kith_str key,
                                    struct ki_redis_bag *bag)
{
    struct redis_range one = *range;
    one.to = one.from + 1;
    int error = redis_range_gather(call, &one, key, bag);
    if (error)
        return error;
    error = kith_remove(call->k, call->now, key, KITH_TYPE_SORTED, bag->items[0].bytes, NULL);
    ki_redis_bag_drop_last(bag);
    return error;
}

static void redis_range_remove(struct ki_redis_call *call, enum redis_range_by by)
{
    struct redis_range range = {.by = by, .way = REDIS_RANGE_FORWARD};
    struct kith_str key = ki_redis_arg(call, 1);
    struct ki_redis_bag bag;
    int error = 0;
    if (!redis_range_read(call, &range, call->args[2], call->args[3]) || !redis_range_find(call, &range, key))
        return;
    uint32_t len = range.to - range.from;
    bool opened = len > 1 && ki_redis_group_begin(call);
    ki_redis_bag_init(&bag, call);
    for (uint32_t i = 0; !error && i < len; i++)
        error = redis_range_remove_first(call, &range, key, &bag); /* the next one takes its rank */
    ki_redis_removed(call, key);
    ki_redis_bag_free(&bag);
    ki_redis_group_end(call, opened);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, len);
}

static void redis_range_count(struct ki_redis_call *call, enum redis_range_by by)
{
    struct redis_range range = {.by = by, .way = REDIS_RANGE_FORWARD};
    if (redis_range_read(call, &range, call->args[2], call->args[3]) &&
        redis_range_find(call, &range, ki_redis_arg(call, 1)))
        ki_resp_put_integer(call->out, range.to - range.from);
}

/* ---- ZRANGE and its kin ---- */

/* Reads the options from args[first] on.  false: answered. */
static bool redis_range_options(struct ki_redis_call *call, struct redis_range *range, size_t first, bool stores)
{
    range->limit = -1;
    for (size_t i = first; i < call->arg_count; i++) {
        struct ki_span arg = call->args[i];
        if (!stores && ki_redis_word(arg, "WITHSCORES")) {
            range->scores = true;
        } else if (ki_redis_word(arg, "LIMIT") && call->arg_count - i > 2) {
            if (!ki_redis_integer(call, call->args[i + 1], &range->offset) ||
                !ki_redis_integer(call, call->args[i + 2], &range->limit))
                return false;
            i += 2;
        } else if (range->way == REDIS_RANGE_ANY_WAY && ki_redis_word(arg, "REV")) {
            range->way = REDIS_RANGE_REVERSE;
        } else if (range->by == REDIS_RANGE_AUTO && ki_redis_word(arg, "BYLEX")) {
            range->by = REDIS_RANGE_BYTES;
        } else if (range->by == REDIS_RANGE_AUTO && ki_redis_word(arg, "BYSCORE")) {
            range->by = REDIS_RANGE_SCORE;
        } else {
            ki_redis_syntax(call);
            return false;
        }
    }
    if (range->by == REDIS_RANGE_AUTO)
        range->by = REDIS_RANGE_RANK;
    const char *error = NULL;
    if (range->limit != -1 && range->by == REDIS_RANGE_RANK)
        error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    else if (range->scores && range->by == REDIS_RANGE_BYTES)
        error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    if (error)
        ki_redis_error(call, error);
    return !error;
}

/* source: the argument that is the key; the two ends follow.  Greater than 1: args[1] is where it is stored. */
static void redis_range_run(struct ki_redis_call *call, size_t source, enum redis_range_by by, enum redis_range_way way)
{
    struct redis_range range = {.by = by, .way = way};
    struct kith_str key = ki_redis_arg(call, source);
    bool stores = source > 1;
    if (!redis_range_options(call, &range, source + 3, stores))
        return;
    bool swapped = range.way == REDIS_RANGE_REVERSE && range.by != REDIS_RANGE_RANK; /* they come greatest first */
    struct ki_span first = call->args[source + 1], second = call->args[source + 2];
    if (!redis_range_read(call, &range, swapped ? second : first, swapped ? first : second) ||
        !redis_range_find(call, &range, key))
        return;
    redis_range_limit(&range);
    if (stores)
        redis_range_store(call, &range, key, ki_redis_arg(call, 1));
    else
        redis_range_show(call, &range, key);
}

void ki_redis_zrange(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_AUTO, REDIS_RANGE_ANY_WAY);
}

void ki_redis_zrangestore(struct ki_redis_call *call)
{
    redis_range_run(call, 2, REDIS_RANGE_AUTO, REDIS_RANGE_ANY_WAY);
}

void ki_redis_zrevrange(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_RANK, REDIS_RANGE_REVERSE);
}

void ki_redis_zrangebyscore(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_SCORE, REDIS_RANGE_FORWARD);
}

void ki_redis_zrevrangebyscore(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_SCORE, REDIS_RANGE_REVERSE);
}

void ki_redis_zrangebylex(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_BYTES, REDIS_RANGE_FORWARD);
}

void ki_redis_zrevrangebylex(struct ki_redis_call *call)
{
    redis_range_run(call, 1, REDIS_RANGE_BYTES, REDIS_RANGE_REVERSE);
}

void ki_redis_zcount(struct ki_redis_call *call)
{
    redis_range_count(call, REDIS_RANGE_SCORE);
}

void ki_redis_zlexcount(struct ki_redis_call *call)
{
    redis_range_count(call, REDIS_RANGE_BYTES);
}

void ki_redis_zremrangebyrank(struct ki_redis_call *call)
{
    redis_range_remove(call, REDIS_RANGE_RANK);
}

void ki_redis_zremrangebyscore(struct ki_redis_call *call)
{
    redis_range_remove(call, REDIS_RANGE_SCORE);
}

void ki_redis_zremrangebylex(struct ki_redis_call *call)
{
    redis_range_remove(call, REDIS_RANGE_BYTES);
}
