/* Parts of strings: lengths, ranges, bits.
 *
 * What changes a part reads the whole string, writes the whole string, and keeps the time at which it ends.  Of two nodes
 * that change parts of one string at once, the later write shows, whole: bits that two nodes set are better elements of a
 * set.  A counter is a string of digits here, and no counter any more once a part of it was written.
 *
 * Offsets and errors are Redis's; a string is never longer than the store allows. */
#include "agent/redis_conn.h"

#define BYTES_MAX ((int64_t)KI_REDIS_BULK_MAX)

/* Reads a string.  false: an error was written. */
static bool bytes_get(struct ki_redis_call *call, char room[KI_REDIS_NUMBER_ROOM], struct kith_str *out)
{
    struct kith_value value;
    int result = kith_get(call->k, call->now, ki_redis_str(call->args[1]), &value);
    if (result != 0) {
        ki_redis_error_of(call, result);
        return false;
    }
    *out = ki_redis_value_bytes(&value, room);
    return true;
}

/* Replaces old (borrowed) by itself with `part` at `offset`, zeros between.  Returns the new length, or -1: an error was
 * written. */
static int64_t bytes_change(struct ki_redis_call *call, struct kith_str old, size_t offset, struct ki_span part)
{
    struct kith_str key = ki_redis_str(call->args[1]);
    size_t len = old.len > offset + part.len ? old.len : offset + part.len;
    uint64_t expires_ms = KITH_NEVER_MS;
    char *whole = calloc(1, len + 1);
    if (!whole) {
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return -1;
    }
    if (old.len > 0)
        memcpy(whole, old.ptr, old.len);
    if (part.len > 0)
        memcpy(whole + offset, part.ptr, part.len);
    if (kith_expiry(call->k, call->now, key, &expires_ms) != 0)
        expires_ms = KITH_NEVER_MS;
    int result = kith_set(call->k, call->now, key, (struct kith_str){whole, len}, expires_ms);
    free(whole);
    if (result == 0)
        return (int64_t)len;
    ki_redis_error_of(call, result);
    return -1;
}

static bool bytes_fits(struct ki_redis_call *call, int64_t offset, size_t len)
{
    if ((int64_t)len <= BYTES_MAX && offset <= BYTES_MAX - (int64_t)len)
        return true;
    ki_redis_error_of(call, KITH_ERR_TOO_LONG);
    return false;
}

void ki_redis_strlen(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    if (bytes_get(call, room, &value))
        ki_resp_put_integer(call->out, (int64_t)value.len);
}

void ki_redis_append(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    if (!bytes_get(call, room, &value) || !bytes_fits(call, (int64_t)value.len, call->args[2].len))
        return;
    int64_t len = bytes_change(call, value, value.len, call->args[2]);
    if (len >= 0)
        ki_resp_put_integer(call->out, len);
}

/* Turns a range with ends counted from either side into [*first, *last].  false: it is empty. */
static bool bytes_range(int64_t len, int64_t *first, int64_t *last)
{
    if (*first < 0 && *last < 0 && *first > *last)
        return false;
    if (*first < 0)
        *first = *first + len > 0 ? *first + len : 0;
    if (*last < 0)
        *last = *last + len > 0 ? *last + len : 0;
    if (*last >= len)
        *last = len - 1;
    return *first <= *last && len > 0;
}

void ki_redis_getrange(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    int64_t first, last;
    if (!ki_redis_integer(call, call->args[2], &first) || !ki_redis_integer(call, call->args[3], &last) ||
        !bytes_get(call, room, &value))
        return;
    if (bytes_range((int64_t)value.len, &first, &last))
        ki_resp_put_bulk(call->out, ki_span(value.ptr + first, (size_t)(last - first + 1)));
    else
        ki_redis_text(call, "");
}

void ki_redis_setrange(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    int64_t offset;
    if (!ki_redis_integer(call, call->args[2], &offset))
        return;
    if (offset < 0) {
        ki_redis_error(call, "ERR offset is out of range");
        return;
    }
    if (!bytes_get(call, room, &value))
        return;
    if (call->args[3].len == 0) {
        ki_resp_put_integer(call->out, (int64_t)value.len);
        return;
    }
    if (!bytes_fits(call, offset, call->args[3].len))
        return;
    int64_t len = bytes_change(call, value, (size_t)offset, call->args[3]);
    if (len >= 0)
        ki_resp_put_integer(call->out, len);
}

/* ---- bits: the first is the highest of the first byte ---- */

static bool bytes_bit_offset(struct ki_redis_call *call, int64_t *offset)
{
    if (ki_redis_parse_integer(call->args[2], offset) && *offset >= 0 && *offset >> 3 < BYTES_MAX)
        return true;
    ki_redis_error(call, "ERR bit offset is not an integer or out of range");
    return false;
}

static unsigned bytes_bit(struct kith_str value, int64_t offset)
{
    size_t byte = (size_t)(offset >> 3);
    return byte < value.len ? (unsigned)(uint8_t)value.ptr[byte] >> (7 - (offset & 7)) & 1 : 0;
}

void ki_redis_setbit(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    int64_t offset, on;
    if (!bytes_bit_offset(call, &offset))
        return;
    if (!ki_redis_parse_integer(call->args[3], &on) || on < 0 || on > 1) {
        ki_redis_error(call, "ERR bit is not an integer or out of range");
        return;
    }
    if (!bytes_get(call, room, &value))
        return;
    unsigned before = bytes_bit(value, offset);
    size_t byte = (size_t)(offset >> 3);
    unsigned mask = 1u << (7 - (offset & 7));
    unsigned old = byte < value.len ? (uint8_t)value.ptr[byte] : 0;
    uint8_t changed = (uint8_t)(on ? old | mask : old & ~mask);
    if (bytes_change(call, value, byte, ki_span(&changed, 1)) >= 0)
        ki_resp_put_integer(call->out, before);
}

void ki_redis_getbit(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    int64_t offset;
    if (bytes_bit_offset(call, &offset) && bytes_get(call, room, &value))
        ki_resp_put_integer(call->out, bytes_bit(value, offset));
}

static int64_t bytes_count_bits(struct kith_str value, int64_t first, int64_t last)
{
    int64_t count = 0;
    for (int64_t bit = first; bit <= last; bit++) {
        if ((bit & 7) == 0 && last - bit >= 7) {
            for (unsigned byte = (uint8_t)value.ptr[bit >> 3]; byte; byte &= byte - 1)
                count++;
            bit += 7;
        } else {
            count += bytes_bit(value, bit);
        }
    }
    return count;
}

/* BITCOUNT key [first last [BYTE|BIT]] */
void ki_redis_bitcount(struct ki_redis_call *call)
{
    char room[KI_REDIS_NUMBER_ROOM];
    struct kith_str value;
    int64_t first = 0, last = -1;
    bool bits = false;
    if (call->arg_count == 3 || call->arg_count > 5) {
        ki_redis_syntax(call);
        return;
    }
    if (call->arg_count >= 4 &&
        (!ki_redis_integer(call, call->args[2], &first) || !ki_redis_integer(call, call->args[3], &last)))
        return;
    if (call->arg_count == 5) {
        bits = ki_redis_word(call->args[4], "BIT");
        if (!bits && !ki_redis_word(call->args[4], "BYTE")) {
            ki_redis_syntax(call);
            return;
        }
    }
    if (!bytes_get(call, room, &value))
        return;
    int64_t len = (int64_t)value.len * (bits ? 8 : 1);
    if (!bytes_range(len, &first, &last))
        ki_resp_put_integer(call->out, 0);
    else if (bits)
        ki_resp_put_integer(call->out, bytes_count_bits(value, first, last));
    else
        ki_resp_put_integer(call->out, bytes_count_bits(value, first * 8, last * 8 + 7));
}
