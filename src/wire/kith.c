/* kith's own messages: fixed fields, big-endian, numbers that are usually small as varints.
 *
 *   4b kind:u8 ...
 *
 * Whatever is longer than its fields is malformed: there is nothing to skip within a version of the channel.
 *
 * Deliberately not here: deltas (store/delta.c), repair (store/repair.h), streams.
 */
#include "wire/kith.h"

#include "base/varint.h"

void ki_encode_kith_front(struct ki_writer *w, enum ki_kith_message kind)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)kind);
}

void ki_encode_kith_root(struct ki_writer *w, enum ki_kith_message kind, const struct ki_kith_root *msg)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)((unsigned)kind | (msg->is_partial ? KI_KITH_PARTIAL : 0)));
    ki_put_be(w, msg->replica, 8);
    ki_put_be(w, msg->root.first, 8);
    ki_put_be(w, msg->root.second, 8);
}

bool ki_decode_kith_root(struct ki_reader *r, struct ki_kith_root *msg)
{
    *msg = (struct ki_kith_root){.replica = ki_take_be(r, 8)};
    msg->root.first = ki_take_be(r, 8);
    msg->root.second = ki_take_be(r, 8);
    return !r->bad && r->left == 0;
}

void ki_encode_kith_brief(struct ki_writer *w, const struct ki_kith_root *msg)
{
    ki_encode_kith_front(w, KI_KITH_BRIEF);
    ki_put_be(w, msg->root.first ^ msg->replica, 8);
}

bool ki_decode_kith_brief(struct ki_reader *r, const struct ki_kith_root *msg, bool *is_that)
{
    *is_that = ki_take_be(r, 8) == (msg->root.first ^ msg->replica);
    return !r->bad && r->left == 0;
}

static uint64_t kith_same(const struct ki_kith_root *msg)
{
    return (msg->root.first >> 32) ^ (msg->replica & UINT32_MAX);
}

void ki_encode_kith_same(struct ki_writer *w, const struct ki_kith_root *msg)
{
    ki_encode_kith_front(w, KI_KITH_SAME);
    ki_put_be(w, kith_same(msg), 4);
}

bool ki_decode_kith_same(struct ki_reader *r, const struct ki_kith_root *msg, bool *is_that)
{
    *is_that = ki_take_be(r, 4) == kith_same(msg);
    return !r->bad && r->left == 0;
}

void ki_encode_kith_held_ask(struct ki_writer *w, const struct ki_kith_held_ask *msg)
{
    ki_encode_kith_front(w, KI_KITH_HELD_ASK);
    ki_put_be(w, msg->origin, 8);
    ki_put_varint(w, msg->n);
}

bool ki_decode_kith_held_ask(struct ki_reader *r, struct ki_kith_held_ask *msg)
{
    *msg = (struct ki_kith_held_ask){.origin = ki_take_be(r, 8)};
    msg->n = ki_take_varint(r);
    return !r->bad && r->left == 0 && msg->n >= 1 && msg->n <= INT64_MAX;
}

void ki_encode_kith_held(struct ki_writer *w, const struct ki_kith_held *msg)
{
    ki_encode_kith_front(w, KI_KITH_HELD);
    ki_put_be(w, msg->replica, 8);
    ki_put_be(w, msg->origin, 8);
    ki_put_varint(w, msg->low);
    ki_put_varint(w, msg->high);
}

bool ki_decode_kith_held(struct ki_reader *r, struct ki_kith_held *msg)
{
    *msg = (struct ki_kith_held){.replica = ki_take_be(r, 8)};
    msg->origin = ki_take_be(r, 8);
    msg->low = ki_take_varint(r);
    msg->high = ki_take_varint(r);
    return !r->bad && r->left == 0 && msg->low >= 1 && msg->low <= msg->high && msg->high <= INT64_MAX;
}
