/* Unions, intersections and differences of sorted sets, with weights; a set is a sorted set whose scores are all 1.
 *
 * As with sets, the result is gathered in a bag: the reply is in the order of the new scores.  Sources are taken from the
 * smallest to the largest, as Redis takes them, so that sums of doubles come out with the same last bit.
 *
 * Where an infinity meets its opposite or a weight of 0, there is no number; it counts as 0, as in Redis: a score is never
 * NaN.
 *
 * The order of complaints is Redis's: the number of keys, then the keys' types, then the options.
 *
 * Not here: ranges of the result, which one gets by storing it. */
#include "agent/redis_elements.h"

#include <math.h>

enum redis_sorted_algebra_op { REDIS_SORTED_UNION, REDIS_SORTED_INTER, REDIS_SORTED_DIFF };
enum redis_sorted_algebra_sum { REDIS_SORTED_SUM, REDIS_SORTED_MIN, REDIS_SORTED_MAX };

struct redis_sorted_source {
    struct kith_str key;
    enum kith_type type;
    uint32_t count;
    size_t place; /* among the arguments */
    double weight;
};

struct redis_sorted_algebra {
    struct ki_redis_call *call;
    enum redis_sorted_algebra_op op;
    enum redis_sorted_algebra_sum sum;
    const char *no_keys; /* the complaint about a number of keys below 1 */
    size_t first;        /* argument: the number of keys */
    bool stores, counts; /* ...STORE, ZINTERCARD */
    bool scores;         /* WITHSCORES */
    uint64_t limit;      /* 0: all */
    struct redis_sorted_source *sources;
    size_t source_count;
    struct ki_redis_bag bag;
};

/* ---- reading the arguments ---- */

static bool redis_sorted_algebra_source(struct redis_sorted_algebra *algebra, size_t i)
{
    struct ki_redis_call *call = algebra->call;
    struct redis_sorted_source *source = &algebra->sources[i];
    *source = (struct redis_sorted_source){.key = ki_redis_arg(call, algebra->first + 1 + i), .place = i, .weight = 1};
    source->type = ki_redis_type_of(call, source->key);
    if (source->type == KITH_TYPE_NONE)
        return true;
    if (source->type != KITH_TYPE_SET) /* of another type, the count says so */
        source->type = KITH_TYPE_SORTED;
    return ki_redis_count(call, source->key, source->type, &source->count);
}

static bool redis_sorted_algebra_sources(struct redis_sorted_algebra *algebra)
{
    struct ki_redis_call *call = algebra->call;
    int64_t keys;
    if (!ki_redis_integer(call, call->args[algebra->first], &keys))
        return false;
    if (keys < 1) {
        ki_redis_error(call, algebra->no_keys);
        return false;
    }
    if ((uint64_t)keys > call->arg_count - algebra->first - 1) {
        ki_redis_syntax(call);
        return false;
    }
    algebra->source_count = (size_t)keys;
    algebra->sources = ki_mem_resize(&algebra->bag.mem, NULL, algebra->source_count * sizeof *algebra->sources);
    if (!algebra->sources) {
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return false;
    }
    for (size_t i = 0; i < algebra->source_count; i++) {
        if (!redis_sorted_algebra_source(algebra, i))
            return false;
    }
    return true;
}

static bool redis_sorted_algebra_weights(struct redis_sorted_algebra *algebra, size_t first)
{
    for (size_t i = 0; i < algebra->source_count; i++) {
        if (!ki_redis_parse_real(algebra->call->args[first + i], &algebra->sources[i].weight)) {
            ki_redis_error(algebra->call, "ERR weight value is not a float");
            return false;
        }
    }
    return true;
}

static bool redis_sorted_algebra_aggregate(struct redis_sorted_algebra *algebra, struct ki_span arg)
{
    if (ki_redis_word(arg, "SUM"))
        algebra->sum = REDIS_SORTED_SUM;
    else if (ki_redis_word(arg, "MIN"))
        algebra->sum = REDIS_SORTED_MIN;
    else if (ki_redis_word(arg, "MAX"))
        algebra->sum = REDIS_SORTED_MAX;
    else
        ki_redis_syntax(algebra->call);
    return ki_redis_word(arg, "SUM") || ki_redis_word(arg, "MIN") || ki_redis_word(arg, "MAX");
}

/* Reads the option that begins with args[*at], and moves on behind it.  false: answered. */
static bool redis_sorted_algebra_option(struct redis_sorted_algebra *algebra, size_t *at)
{
    struct ki_redis_call *call = algebra->call;
    struct ki_span arg = call->args[*at];
    size_t left = call->arg_count - *at, first = *at + 1;
    bool weighs = algebra->op != REDIS_SORTED_DIFF && !algebra->counts;
    int64_t limit;
    if (weighs && left > algebra->source_count && ki_redis_word(arg, "WEIGHTS")) {
        *at = first + algebra->source_count;
        return redis_sorted_algebra_weights(algebra, first);
    }
    if (weighs && left >= 2 && ki_redis_word(arg, "AGGREGATE")) {
        *at += 2;
        return redis_sorted_algebra_aggregate(algebra, call->args[first]);
    }
    if (!algebra->stores && !algebra->counts && ki_redis_word(arg, "WITHSCORES")) {
        *at += 1;
        algebra->scores = true;
        return true;
    }
    if (algebra->counts && left >= 2 && ki_redis_word(arg, "LIMIT")) {
        *at += 2;
        bool ok = ki_redis_natural(call, call->args[first], "ERR LIMIT can't be negative", &limit);
        algebra->limit = ok ? (uint64_t)limit : 0;
        return ok;
    }
    ki_redis_syntax(call);
    return false;
}

/* ---- gathering ---- */

static int redis_sorted_algebra_by_count(const void *a, const void *b)
{
    const struct redis_sorted_source *left = a, *right = b;
    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    return left->place < right->place ? -1 : left->place > right->place;
}

static double redis_sorted_algebra_score(const struct redis_sorted_source *source, const struct kith_element *element)
{
    return source->type == KITH_TYPE_SET ? 1 : element->score;
}

static double redis_sorted_algebra_add(enum redis_sorted_algebra_sum sum, double so_far, double score)
{
    if (sum == REDIS_SORTED_MIN)
        return score < so_far ? score : so_far;
    if (sum == REDIS_SORTED_MAX)
        return score > so_far ? score : so_far;
    double both = so_far + score;
    return isnan(both) ? 0 : both;
}

static double redis_sorted_algebra_weighed(const struct redis_sorted_source *source, const struct kith_element *element)
{
    double score = source->weight * redis_sorted_algebra_score(source, element);
    return isnan(score) ? 0 : score;
}

static bool redis_sorted_algebra_unite(struct redis_sorted_algebra *algebra)
{
    struct ki_redis_call *call = algebra->call;
    struct kith_element element;
    struct ki_redis_item *item;
    bool is_new;
    for (size_t i = 0; i < algebra->source_count; i++) {
        const struct redis_sorted_source *source = &algebra->sources[i];
        uint64_t cursor = 0;
        while (source->count > 0 &&
               ki_redis_next_element(call, source->key, source->type, &cursor, &element)) {
            double score = redis_sorted_algebra_weighed(source, &element);
            if (!ki_redis_bag_find_or_put(&algebra->bag, element.field, &item, &is_new))
                return false;
            item->score = is_new ? score : redis_sorted_algebra_add(algebra->sum, item->score, score);
        }
    }
    return true;
}

/* Does an element of the first source belong to the result?  Then its score is made whole. */
static bool redis_sorted_algebra_wants(const struct redis_sorted_algebra *algebra, struct ki_redis_item *item)
{
    struct ki_redis_call *call = algebra->call;
    struct kith_element element;
    bool wanted = algebra->op == REDIS_SORTED_INTER; /* to be in the others */
    for (size_t i = 1; i < algebra->source_count; i++) {
        const struct redis_sorted_source *source = &algebra->sources[i];
        bool is_there = source->count > 0 &&
                        ki_redis_element(call, source->key, source->type, item->bytes, &element) == 0;
        if (is_there != wanted)
            return false;
        if (is_there)
            item->score = redis_sorted_algebra_add(algebra->sum, item->score,
                                                   source->weight * redis_sorted_algebra_score(source, &element));
    }
    return true;
}

static bool redis_sorted_algebra_sift(struct redis_sorted_algebra *algebra)
{
    struct ki_redis_call *call = algebra->call;
    const struct redis_sorted_source *source = &algebra->sources[0];
    struct ki_redis_bag *bag = &algebra->bag;
    struct kith_element element;
    uint64_t cursor = 0;
    while (source->count > 0 && (algebra->limit == 0 || bag->count < algebra->limit) &&
           ki_redis_next_element(call, source->key, source->type, &cursor, &element)) {
        if (!ki_redis_bag_put(bag, element.field, redis_sorted_algebra_weighed(source, &element)))
            return false;
        if (!redis_sorted_algebra_wants(algebra, &bag->items[bag->count - 1]))
            ki_redis_bag_drop_last(bag);
    }
    return true;
}

/* ---- the commands ---- */

static void redis_sorted_algebra_answer(struct redis_sorted_algebra *algebra)
{
    struct ki_redis_call *call = algebra->call;
    struct ki_redis_bag *bag = &algebra->bag;
    if (algebra->counts) {
        ki_resp_put_integer(call->out, bag->count);
    } else if (algebra->stores) {
        ki_redis_store_sorted(call, ki_redis_arg(call, 1), bag);
    } else {
        ki_redis_bag_sort(bag);
        ki_redis_put_members(call, bag->count, algebra->scores);
        for (uint32_t i = 0; i < bag->count; i++)
            ki_redis_put_member(call, bag->items[i].bytes, bag->items[i].score, algebra->scores);
    }
}

static bool redis_sorted_algebra_gather(struct redis_sorted_algebra *algebra)
{
    if (!redis_sorted_algebra_sources(algebra))
        return false;
    for (size_t at = algebra->first + 1 + algebra->source_count; at < algebra->call->arg_count;) {
        if (!redis_sorted_algebra_option(algebra, &at))
            return false;
    }
    if (algebra->op != REDIS_SORTED_DIFF)
        qsort(algebra->sources, algebra->source_count, sizeof *algebra->sources, redis_sorted_algebra_by_count);
    bool done = algebra->op == REDIS_SORTED_UNION ? redis_sorted_algebra_unite(algebra)
                                                  : redis_sorted_algebra_sift(algebra);
    if (!done)
        ki_redis_error_of(algebra->call, KITH_ERR_NOMEM);
    return done;
}

static void redis_sorted_algebra_run(struct redis_sorted_algebra algebra)
{
    ki_redis_bag_init(&algebra.bag, algebra.call);
    if (redis_sorted_algebra_gather(&algebra))
        redis_sorted_algebra_answer(&algebra);
    ki_mem_free(&algebra.bag.mem, algebra.sources);
    ki_redis_bag_free(&algebra.bag);
}

#define REDIS_SORTED_NO_KEYS(name) "ERR at least 1 input key is needed for '" name "' command"

void ki_redis_zunion(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_UNION, .first = 1, .no_keys = REDIS_SORTED_NO_KEYS("zunion")});
}

void ki_redis_zinter(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_INTER, .first = 1, .no_keys = REDIS_SORTED_NO_KEYS("zinter")});
}

void ki_redis_zdiff(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_DIFF, .first = 1, .no_keys = REDIS_SORTED_NO_KEYS("zdiff")});
}

void ki_redis_zunionstore(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_UNION, .first = 2, .stores = true, .no_keys = REDIS_SORTED_NO_KEYS("zunionstore")});
}

void ki_redis_zinterstore(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_INTER, .first = 2, .stores = true, .no_keys = REDIS_SORTED_NO_KEYS("zinterstore")});
}

void ki_redis_zdiffstore(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_DIFF, .first = 2, .stores = true, .no_keys = REDIS_SORTED_NO_KEYS("zdiffstore")});
}

void ki_redis_zintercard(struct ki_redis_call *call)
{
    redis_sorted_algebra_run((struct redis_sorted_algebra){
        .call = call, .op = REDIS_SORTED_INTER, .first = 1, .counts = true, .no_keys = REDIS_SORTED_NO_KEYS("zintercard")});
}
