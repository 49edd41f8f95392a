/* Messages of folded queries: fixed fields big-endian, numbers that are usually small as varints, doubles as their bits.
 *
 *   4b kind:u8 id:be64 ...
 *   ASK    ltime varint | span be64 | left_ms varint | top u8 | len u8 | asker | len u8 | name | len varint | filters
 *          | payload
 *   ACK    span be64
 *   REPLY  span be64 | members varint | answers varint | unusable varint | silent varint
 *          | with answers: sum, sum_low, deviations, min, max: f64 | count u8 | { position be64 | value f64 } ...
 *          | count u8 | { position be64 } ...
 *
 * A reply comes from a member that may be broken or lie.  What no members can have said is malformed: so many answers of so
 * few, an average outside of what the extremes allow, a largest value that is not the largest.  What is left to be believed
 * is bounded by how many it speaks for; that these are its to speak for, the receiver checks.
 *
 * Invariant: whatever decodes can be merged for ever without an overflow.
 * Deliberately not here: merging (aggregate/partial.c). */
#include "wire/fold.h"

#include "base/hash.h"
#include "base/real.h"
#include "base/varint.h"
#include "wire/kith.h"

#define FOLD_ROUNDING 0x1p-40 /* what sums may be beside their bounds, as a part: much more than rounding does */

static void fold_front(struct ki_writer *w, enum ki_fold_kind kind, uint64_t id)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)kind);
    ki_put_be(w, id, 8);
}

static void fold_put_name(struct ki_writer *w, struct ki_span name)
{
    KI_ASSERT(name.len >= 1 && name.len <= 255);
    ki_put_u8(w, (uint8_t)name.len);
    ki_put(w, name.ptr, name.len);
}

static struct ki_span fold_take_bytes(struct ki_reader *r, uint64_t len)
{
    const uint8_t *bytes = len <= r->left ? ki_take(r, (size_t)len) : NULL;
    if (!bytes)
        r->bad = true;
    return ki_span(bytes, bytes ? (size_t)len : 0);
}

static struct ki_span fold_take_name(struct ki_reader *r)
{
    uint64_t len = ki_take_be(r, 1);
    struct ki_span name = fold_take_bytes(r, len);
    if (len == 0)
        r->bad = true;
    return name;
}

uint64_t ki_fold_position(uint64_t id, struct ki_span member)
{
    uint8_t key[16] = {0};
    ki_store_be(key, id, 8);
    return ki_siphash(key, member.ptr, member.len);
}

/* ---- asking ---- */

void ki_encode_fold_ask(struct ki_writer *w, const struct ki_fold_ask *msg)
{
    fold_front(w, KI_FOLD_ASK, msg->id);
    ki_put_varint(w, msg->ltime);
    ki_put_be(w, msg->span, 8);
    ki_put_varint(w, msg->left_ms);
    ki_put_u8(w, msg->top);
    fold_put_name(w, msg->asker);
    fold_put_name(w, msg->name);
    ki_put_varint(w, msg->filters.len);
    ki_put(w, msg->filters.ptr, msg->filters.len);
    ki_put(w, msg->payload.ptr, msg->payload.len);
}

bool ki_decode_fold_ask(struct ki_reader *r, struct ki_fold_ask *msg)
{
    *msg = (struct ki_fold_ask){.id = ki_take_be(r, 8)};
    msg->ltime = ki_take_varint(r);
    msg->span = ki_take_be(r, 8);
    uint64_t left_ms = ki_take_varint(r);
    msg->left_ms = (uint32_t)left_ms;
    msg->top = (uint8_t)ki_take_be(r, 1);
    msg->asker = fold_take_name(r);
    msg->name = fold_take_name(r);
    msg->filters = fold_take_bytes(r, ki_take_varint(r));
    if (msg->filters.len == 0)
        msg->filters.ptr = NULL;
    msg->payload = fold_take_bytes(r, r->left);
    return !r->bad && left_ms <= UINT32_MAX && msg->ltime != UINT64_MAX && msg->top <= KI_FOLD_TOP_MAX;
}

void ki_encode_fold_ack(struct ki_writer *w, uint64_t id, uint64_t span)
{
    fold_front(w, KI_FOLD_ACK, id);
    ki_put_be(w, span, 8);
}

bool ki_decode_fold_ack(struct ki_reader *r, uint64_t *id, uint64_t *span)
{
    *id = ki_take_be(r, 8);
    *span = ki_take_be(r, 8);
    return !r->bad && r->left == 0;
}

/* ---- answering ---- */

static void fold_put_real(struct ki_writer *w, double value)
{
    ki_put_be(w, ki_real_bits(value), 8);
}

static double fold_take_real(struct ki_reader *r)
{
    return ki_real_of(ki_take_be(r, 8));
}

static void fold_put_numbers(struct ki_writer *w, const struct ki_partial *p)
{
    fold_put_real(w, p->sum);
    fold_put_real(w, p->sum_low);
    fold_put_real(w, p->deviations);
    fold_put_real(w, p->min);
    fold_put_real(w, p->max);
    ki_put_u8(w, (uint8_t)p->top_count);
    for (unsigned i = 0; i < p->top_count; i++) {
        ki_put_be(w, p->top[i].position, 8);
        fold_put_real(w, p->top[i].value);
    }
}

void ki_encode_fold_reply(struct ki_writer *w, uint64_t id, uint64_t span, const struct ki_partial *p)
{
    fold_front(w, KI_FOLD_REPLY, id);
    ki_put_be(w, span, 8);
    ki_put_varint(w, p->members);
    ki_put_varint(w, p->answers);
    ki_put_varint(w, p->unusable);
    ki_put_varint(w, p->silent);
    if (p->answers > 0)
        fold_put_numbers(w, p);
    size_t room = w->cap - w->len;
    size_t named = ki_min_size(p->named, room > 0 ? (room - 1) / 8 : 0);
    ki_put_u8(w, (uint8_t)named);
    for (size_t i = 0; i < named; i++)
        ki_put_be(w, p->silent_at[i], 8);
}

static void fold_take_numbers(struct ki_reader *r, struct ki_partial *p)
{
    p->sum = fold_take_real(r);
    p->sum_low = fold_take_real(r);
    p->deviations = fold_take_real(r);
    p->min = fold_take_real(r);
    p->max = fold_take_real(r);
    uint64_t count = ki_take_be(r, 1);
    for (; p->top_count < count && p->top_count < KI_FOLD_TOP_MAX; p->top_count++) {
        p->top[p->top_count].position = ki_take_be(r, 8);
        p->top[p->top_count].value = fold_take_real(r);
    }
    if (p->top_count < count)
        r->bad = true;
}

static double fold_magnitude(double value)
{
    return value < 0 ? -value : value;
}

static bool fold_top_fine(const struct ki_partial *p)
{
    for (unsigned i = 0; i < p->top_count; i++) {
        const struct ki_fold_place *at = &p->top[i], *before = i > 0 ? at - 1 : NULL;
        bool first = !before && at->value <= p->max && at->value >= p->max;
        bool later = before && (at->value < before->value ||
                                (at->value <= before->value && at->position > before->position));
        if (!(first || later) || !(at->value >= p->min))
            return false;
    }
    return p->top_count <= p->answers;
}

/* Written so that what is no number fails each comparison. */
static bool fold_numbers_fine(const struct ki_partial *p)
{
    double count = p->answers, least = fold_magnitude(p->min), most = fold_magnitude(p->max);
    if (!(p->min <= p->max && least <= KI_FOLD_VALUE_MAX && most <= KI_FOLD_VALUE_MAX))
        return false;
    double scale = least > most ? least : most;
    double rounding = scale * FOLD_ROUNDING, width = p->max - p->min + rounding;
    return p->sum >= count * (p->min - rounding) && p->sum <= count * (p->max + rounding) &&
           fold_magnitude(p->sum_low) <= fold_magnitude(p->sum) * 0x1p-52 && p->deviations >= 0 &&
           p->deviations <= count * (width * width) && fold_top_fine(p);
}

bool ki_decode_fold_reply(struct ki_reader *r, uint64_t *id, uint64_t *span, struct ki_partial *p)
{
    *p = (struct ki_partial){.members = 0};
    *id = ki_take_be(r, 8);
    *span = ki_take_be(r, 8);
    uint64_t members = ki_take_varint(r), answers = ki_take_varint(r);
    uint64_t unusable = ki_take_varint(r), silent = ki_take_varint(r);
    if (r->bad || members == 0 || members > KI_FOLD_MEMBERS_MAX || answers > members || unusable > members - answers ||
        silent > members - answers - unusable)
        return false;
    p->members = (uint32_t)members;
    p->answers = (uint32_t)answers;
    p->unusable = (uint32_t)unusable;
    p->silent = (uint32_t)silent;
    if (p->answers > 0)
        fold_take_numbers(r, p);
    uint64_t named = ki_take_be(r, 1);
    bool rising = true;
    for (; p->named < named && p->named < KI_FOLD_NAMED_MAX; p->named++) {
        p->silent_at[p->named] = ki_take_be(r, 8);
        rising = rising && (p->named == 0 || p->silent_at[p->named] > p->silent_at[p->named - 1]);
    }
    return !r->bad && r->left == 0 && rising && p->named == named && named <= silent &&
           (p->answers == 0 || fold_numbers_fine(p));
}
