/* Hashes.  A field holds bytes, or a number that increments have made; the number is shown as Redis prints it.
 *
 * HSET of several fields is one group.  HINCRBY and HINCRBYFLOAT write increments, which add up with those made elsewhere;
 * a field that HINCRBYFLOAT has touched counts on as a double, and HINCRBY goes on with it while it is a whole number that
 * a double holds exactly, since Redis would have its text to count on.
 *
 * A field's number is what PROTOCOL.md calls one (R11): a decimal of more than 15 digits is text here, and HINCRBYFLOAT
 * refuses it as no float, where Redis would round it.
 *
 * Not here: fields with an end of their own, which Redis 7.0 does not have either; HRANDFIELD (redis_random.c). */
#include "agent/redis_elements.h"

#include <math.h>

#define REDIS_HASH_EXACT 9007199254740992.0 /* 2^53: up to here a double holds every whole number */

/* HSET and HMSET.  false: answered. */
static bool redis_hash_put_fields(struct ki_redis_call *call, const char *arity_error, int64_t *added)
{
    if (call->arg_count % 2 == 1) {
        ki_redis_error(call, arity_error);
        return false;
    }
    bool opened = call->arg_count > 4 && ki_redis_group_begin(call);
    int error = 0;
    *added = 0;
    for (size_t i = 2; !error && i < call->arg_count; i += 2) {
        bool is_new = false;
        error = kith_hash_set(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, i), ki_redis_arg(call, i + 1),
                              &is_new);
        *added += is_new;
    }
    ki_redis_group_end(call, opened);
    if (error)
        ki_redis_error_of(call, error);
    return !error;
}

void ki_redis_hset(struct ki_redis_call *call)
{
    int64_t added;
    if (redis_hash_put_fields(call, "ERR wrong number of arguments for 'hset' command", &added))
        ki_resp_put_integer(call->out, added);
}

void ki_redis_hmset(struct ki_redis_call *call)
{
    int64_t added;
    if (redis_hash_put_fields(call, "ERR wrong number of arguments for 'hmset' command", &added))
        ki_redis_ok(call);
}

/* Finds the field of args[2].  false: the key holds another type; answered.  Not there: its value is NOTHING. */
static bool redis_hash_find(struct ki_redis_call *call, struct kith_value *value)
{
    struct kith_element element;
    int error = ki_redis_element(call, ki_redis_arg(call, 1), KITH_TYPE_HASH, ki_redis_arg(call, 2), &element);
    *value = error ? (struct kith_value){.shape = KITH_SHAPE_NOTHING} : element.value;
    if (!error || error == KITH_ERR_NOT_FOUND)
        return true;
    ki_redis_error_of(call, error);
    return false;
}

void ki_redis_hsetnx(struct ki_redis_call *call)
{
    struct kith_value value;
    if (!redis_hash_find(call, &value))
        return;
    int error = 0;
    if (value.shape == KITH_SHAPE_NOTHING)
        error = kith_hash_set(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, 2), ki_redis_arg(call, 3), NULL);
    if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, value.shape == KITH_SHAPE_NOTHING);
}

void ki_redis_hget(struct ki_redis_call *call)
{
    struct kith_value value;
    if (redis_hash_find(call, &value))
        ki_redis_put_value(call, &value);
}

void ki_redis_hexists(struct ki_redis_call *call)
{
    struct kith_value value;
    if (redis_hash_find(call, &value))
        ki_resp_put_integer(call->out, value.shape != KITH_SHAPE_NOTHING);
}

void ki_redis_hstrlen(struct ki_redis_call *call)
{
    struct kith_value value;
    char room[KI_REDIS_NUMBER_ROOM];
    if (!redis_hash_find(call, &value))
        return;
    size_t len = value.shape == KITH_SHAPE_NOTHING ? 0 : ki_redis_value_bytes(&value, room).len;
    ki_resp_put_integer(call->out, (int64_t)len);
}

void ki_redis_hmget(struct ki_redis_call *call)
{
    uint32_t count;
    if (!ki_redis_count(call, ki_redis_arg(call, 1), KITH_TYPE_HASH, &count))
        return;
    ki_resp_put_array(call->out, call->arg_count - 2);
    for (size_t i = 2; i < call->arg_count; i++) {
        struct kith_element element;
        if (count > 0 &&
            ki_redis_element(call, ki_redis_arg(call, 1), KITH_TYPE_HASH, ki_redis_arg(call, i), &element) == 0)
            ki_redis_put_value(call, &element.value);
        else
            ki_resp_put_null(call->out);
    }
}

void ki_redis_hdel(struct ki_redis_call *call)
{
    ki_redis_remove_elements(call, KITH_TYPE_HASH);
}

void ki_redis_hlen(struct ki_redis_call *call)
{
    ki_redis_count_elements(call, KITH_TYPE_HASH);
}

void ki_redis_hscan(struct ki_redis_call *call)
{
    ki_redis_scan_elements(call, KITH_TYPE_HASH);
}

/* ---- all of it ---- */

static void redis_hash_put_all(struct ki_redis_call *call, bool fields, bool values)
{
    struct kith_element element;
    uint64_t cursor = 0;
    uint32_t count;
    if (!ki_redis_count(call, ki_redis_arg(call, 1), KITH_TYPE_HASH, &count))
        return;
    if (fields && values)
        ki_resp_put_map(call->out, count);
    else
        ki_resp_put_array(call->out, count);
    while (!call->out->full &&
           ki_redis_next_element(call, ki_redis_arg(call, 1), KITH_TYPE_HASH, &cursor, &element)) {
        if (fields)
            ki_redis_bulk(call, element.field);
        if (values)
            ki_redis_put_value(call, &element.value);
    }
}

void ki_redis_hgetall(struct ki_redis_call *call)
{
    redis_hash_put_all(call, true, true);
}

void ki_redis_hkeys(struct ki_redis_call *call)
{
    redis_hash_put_all(call, true, false);
}

void ki_redis_hvals(struct ki_redis_call *call)
{
    redis_hash_put_all(call, false, true);
}

/* ---- increments ---- */

static bool redis_hash_is_exact(double value)
{
    return fabs(value) <= REDIS_HASH_EXACT && trunc(value) == value;
}

/* HINCRBY on a double: KITH_ERR_NUMBER if that is no whole number, before or after. */
static int redis_hash_increase_whole(struct ki_redis_call *call, int64_t by, int64_t *result)
{
    struct kith_element element;
    double sum;
    int error = kith_element(call->k, call->now, ki_redis_arg(call, 1), KITH_TYPE_HASH, ki_redis_arg(call, 2), &element);
    if (error || element.value.shape != KITH_SHAPE_REAL || !redis_hash_is_exact(element.value.real) ||
        !redis_hash_is_exact((double)by) || !redis_hash_is_exact(element.value.real + (double)by))
        return KITH_ERR_NUMBER;
    error = kith_hash_increase_real(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, 2), (double)by, &sum);
    if (!error)
        *result = (int64_t)sum;
    return error;
}

void ki_redis_hincrby(struct ki_redis_call *call)
{
    int64_t by, result = 0;
    if (!ki_redis_integer(call, call->args[3], &by))
        return;
    int error = kith_hash_increase(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, 2), by, &result);
    if (error == KITH_ERR_NUMBER)
        error = redis_hash_increase_whole(call, by, &result);
    if (error == KITH_ERR_NUMBER)
        ki_redis_error(call, "ERR hash value is not an integer");
    else if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_integer(call->out, result);
}

void ki_redis_hincrbyfloat(struct ki_redis_call *call)
{
    double by, result;
    char room[KI_REDIS_NUMBER_ROOM];
    if (!ki_redis_real(call, call->args[3], &by))
        return;
    if (isinf(by)) {
        ki_redis_error(call, "ERR value is NaN or Infinity");
        return;
    }
    int error = kith_hash_increase_real(call->k, call->now, ki_redis_arg(call, 1), ki_redis_arg(call, 2), by, &result);
    if (error == KITH_ERR_NUMBER)
        ki_redis_error(call, "ERR hash value is not a float");
    else if (error == KITH_ERR_OVERFLOW)
        ki_redis_error(call, "ERR increment would produce NaN or Infinity");
    else if (error)
        ki_redis_error_of(call, error);
    else
        ki_resp_put_bulk(call->out, ki_span(room, ki_redis_print_real(result, room)));
}
