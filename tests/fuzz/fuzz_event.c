/* User events, their marks, keys and relays: the first byte picks the message, the rest is its body (of a mark and a key's
 * text all of it).  What decodes, encodes and decodes to the same. */
#include "wire/serf_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t first[1 << 18], second[1 << 18];

union event_msg {
    struct ki_serf_event event;
    struct ki_span key;
    struct ki_serf_key_response keys;
    struct ki_serf_relay relay;
};

static bool event_decode(uint8_t kind, struct ki_reader *r, union event_msg *msg)
{
    struct ki_span message;
    if (kind == 0)
        return ki_decode_serf_event(r, &msg->event);
    if (kind == 1)
        return ki_decode_serf_key_request(r, &msg->key);
    if (kind == 2)
        return ki_decode_serf_key_response(r, &msg->keys);
    bool fine = ki_decode_serf_relay(r, &msg->relay, &message);
    KI_ASSERT(!fine || (message.len > 0 && message.len == r->left));
    return fine;
}

static struct ki_span event_encode(uint8_t kind, const union event_msg *msg, uint8_t *buf)
{
    struct ki_pack p = ki_pack(buf, sizeof first, false);
    if (kind == 0) {
        ki_encode_serf_event(&p, &msg->event);
    } else if (kind == 1) {
        ki_encode_serf_key_request(&p, msg->key);
    } else if (kind == 2) {
        ki_encode_serf_key_response(&p, &msg->keys);
    } else {
        ki_encode_serf_relay_front(&p, &msg->relay);
        ki_put_u8(&p.w, 5); /* something to pass on */
    }
    KI_ASSERT(!p.w.full);
    return ki_span(buf, p.w.len);
}

static void event_mark(struct ki_span bytes)
{
    struct ki_event_mark mark;
    uint8_t buf[KI_EVENT_MARK_MAX];
    if (!ki_decode_event_mark(bytes, &mark))
        return;
    KI_ASSERT(mark.seq > 0 && mark.origin.len > 0);
    size_t len = ki_encode_event_mark(buf, &mark);
    KI_ASSERT(ki_span_equal(ki_span(buf, len), bytes)); /* a mark has one form */
}

static void event_key_text(struct ki_span text)
{
    uint8_t key[32], again[32], out[KI_KEY_TEXT_MAX];
    size_t len = ki_key_from_text(text, key);
    if (len == 0)
        return;
    KI_ASSERT(len == 16 || len == 24 || len == 32);
    size_t out_len = ki_key_text(ki_span(key, len), out);
    KI_ASSERT(ki_key_from_text(ki_span(out, out_len), again) == len && memcmp(key, again, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union event_msg msg, again;
    if (size == 0 || size > 65536)
        return 0;
    uint8_t kind = data[0] % 6;
    struct ki_reader r = ki_reader(data + 1, size - 1);
    if (kind == 4)
        event_mark(ki_span(data + 1, size - 1));
    if (kind == 5)
        event_key_text(ki_span(data + 1, size - 1));
    if (kind >= 4)
        return 0;
    bool fine = event_decode(kind, &r, &msg);
    KI_ASSERT(fine == !r.bad);
    if (!fine)
        return 0;
    if (kind == 0 && msg.event.mark.ptr)
        event_mark(msg.event.mark);
    struct ki_span one = event_encode(kind, &msg, first);
    r = ki_reader(one.ptr + 1, one.len - 1);
    fine = event_decode(kind, &r, &again);
    KI_ASSERT(fine && r.left == (kind == 3));
    struct ki_span two = event_encode(kind, &again, second);
    KI_ASSERT(ki_span_equal(one, two));
    return 0;
}
