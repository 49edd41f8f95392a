/* Random choice that changes nothing: SRANDMEMBER, HRANDFIELD, ZRANDMEMBER.
 *
 *     key                      one, or null
 *     key count                so many different ones, all if there are not so many
 *     key -count               so many, each drawn from all
 *     key count WITHVALUES     of a hash, WITHSCORES of a sorted set; RESP3 has pairs
 *
 * The store finds an element by its place at once, so that every choice is exactly as likely as any other and costs what
 * it draws, whatever the size of the set.
 *
 * A reply of a negative count has no end but the client's limit of unsent bytes: the loop looks at that.
 *
 * Not here: SPOP and ZPOPMIN, which take what they tell. */
#include "agent/redis_elements.h"

struct redis_random {
    struct ki_redis_call *call;
    struct kith_str key;
    enum kith_type type;
    uint32_t size;
    bool with; /* WITHVALUES, WITHSCORES */
};

static void redis_random_put(const struct redis_random *draw, const struct kith_element *element)
{
    struct ki_redis_call *call = draw->call;
    if (draw->type == KITH_TYPE_SORTED) {
        ki_redis_put_member(call, element->field, element->score, draw->with);
        return;
    }
    if (draw->with && call->out->version >= 3)
        ki_resp_put_array(call->out, 2);
    ki_redis_bulk(call, element->field);
    if (draw->with)
        ki_redis_put_value(call, &element->value);
}

/* An element that the key was counted to have and that cannot be read would leave the reply short. */
static void redis_random_put_at(const struct redis_random *draw, uint32_t place)
{
    struct kith_element element;
    if (ki_redis_element_at(draw->call, draw->key, draw->type, draw->size, place, &element))
        redis_random_put(draw, &element);
    else
        draw->call->out->full = true;
}

static void redis_random_put_all(const struct redis_random *draw)
{
    ki_redis_put_members(draw->call, draw->size, draw->with);
    for (uint32_t place = draw->size; place-- > 0 && !draw->call->out->full;)
        redis_random_put_at(draw, place);
}

static void redis_random_put_any(const struct redis_random *draw, uint64_t count)
{
    ki_redis_put_members(draw->call, count, draw->with);
    for (uint64_t i = 0; i < count && !draw->call->out->full; i++)
        redis_random_put_at(draw, (uint32_t)ki_redis_random(draw->call, draw->size));
}

static void redis_random_put_different(const struct redis_random *draw, uint32_t count)
{
    struct ki_redis_sample sample;
    uint32_t place;
    ki_redis_sample_init(&sample, draw->size, count);
    size_t mark = ki_redis_defer(draw->call);
    uint64_t written = 0;
    for (; written < count && ki_redis_sample_next(&sample, draw->call, &place); written++)
        redis_random_put_at(draw, place);
    /* memory may have ended it: fewer different ones are a true answer */
    ki_redis_deferred_array(draw->call, mark, draw->with && draw->call->out->version < 3 ? 2 * written : written);
    ki_redis_sample_free(&sample);
}

/* Reads count and option.  false: answered. */
static bool redis_random_options(struct redis_random *draw, int64_t *count)
{
    struct ki_redis_call *call = draw->call;
    const char *with = draw->type == KITH_TYPE_HASH ? "WITHVALUES" : "WITHSCORES";
    if (draw->type == KITH_TYPE_SET && call->arg_count > 3) {
        ki_redis_syntax(call);
        return false;
    }
    if (!ki_redis_integer(call, call->args[2], count))
        return false;
    if (*count == INT64_MIN) {
        ki_redis_error(call, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
        return false;
    }
    draw->with = call->arg_count == 4 && ki_redis_word(call->args[3], with);
    if (call->arg_count > 3 && !draw->with) {
        ki_redis_syntax(call);
        return false;
    }
    if (draw->with && (*count > INT64_MAX / 2 || *count < -(INT64_MAX / 2))) {
        ki_redis_error(call, "ERR value is out of range");
        return false;
    }
    return true;
}

static void redis_random_run(struct ki_redis_call *call, enum kith_type type)
{
    struct redis_random draw = {.call = call, .key = ki_redis_arg(call, 1), .type = type};
    int64_t count = 0;
    bool one = call->arg_count == 2;
    if (!one && !redis_random_options(&draw, &count))
        return;
    if (!ki_redis_count(call, draw.key, type, &draw.size))
        return;
    if (one && draw.size == 0)
        ki_resp_put_null(call->out);
    else if (one)
        redis_random_put_at(&draw, (uint32_t)ki_redis_random(call, draw.size));
    else if (draw.size == 0)
        ki_resp_put_array(call->out, 0);
    else if (count < 0)
        redis_random_put_any(&draw, (uint64_t)-count);
    else if (count >= (int64_t)draw.size)
        redis_random_put_all(&draw);
    else
        redis_random_put_different(&draw, (uint32_t)count);
}

void ki_redis_srandmember(struct ki_redis_call *call)
{
    redis_random_run(call, KITH_TYPE_SET);
}

void ki_redis_hrandfield(struct ki_redis_call *call)
{
    redis_random_run(call, KITH_TYPE_HASH);
}

void ki_redis_zrandmember(struct ki_redis_call *call)
{
    redis_random_run(call, KITH_TYPE_SORTED);
}
