/* User events, keys and relays, by table (msgpack.h).
 *
 * The idea: an event that a kith member sends is Serf's message with one key more, which Serf's members skip and pass on.
 * Its value is bytes of kith's own, so that what is added later costs no other key:
 *
 *     boot be64 | seq be64 | before be64 | flags u8 | name of the origin
 *
 * A relay is a header with the message for somebody else right behind it.  Its address is a struct in a struct, of which
 * the zone is skipped.  Keys travel raw in requests and as base64 in lists.
 *
 * Invariants: a decoded event has a name; a decoded mark has a number and an origin; a decoded relay can be followed.
 * It deliberately does not know what any of it means. */
#include "wire/serf_event.h"

#include <nettle/base64.h>

static const struct ki_field event_fields[] = {
    KI_FIELD(struct ki_serf_event, ltime, "LTime", KI_FIELD_U64, 2, false),
    KI_FIELD(struct ki_serf_event, name, "Name", KI_FIELD_STR, 3, false),
    KI_FIELD(struct ki_serf_event, payload, "Payload", KI_FIELD_BYTES, 4, false),
    KI_FIELD(struct ki_serf_event, coalesce, "CC", KI_FIELD_BOOL, 0, false),
    KI_FIELD(struct ki_serf_event, mark, "Kith", KI_FIELD_BYTES, 1, true),
};

struct serf_event_key {
    struct ki_span key;
};

static const struct ki_field key_fields[] = {
    KI_FIELD(struct serf_event_key, key, "Key", KI_FIELD_BYTES, 0, false),
};

static const struct ki_field key_response_fields[] = {
    KI_FIELD(struct ki_serf_key_response, result, "Result", KI_FIELD_BOOL, 3, false),
    KI_FIELD(struct ki_serf_key_response, message, "Message", KI_FIELD_STR, 1, false),
    KI_FIELD(struct ki_serf_key_response, keys, "Keys", KI_FIELD_RAW, 0, false),
    KI_FIELD(struct ki_serf_key_response, primary, "PrimaryKey", KI_FIELD_STR, 2, false),
};

struct serf_event_relay {
    struct ki_span addr; /* encoded */
    struct ki_span name;
};

static const struct ki_field relay_fields[] = {
    KI_FIELD(struct serf_event_relay, addr, "DestAddr", KI_FIELD_RAW, 0, false),
    KI_FIELD(struct serf_event_relay, name, "DestName", KI_FIELD_STR, 1, false),
};

struct serf_event_addr {
    struct ki_span ip;
    uint16_t port;
    struct ki_span zone;
};

static const struct ki_field addr_fields[] = {
    KI_FIELD(struct serf_event_addr, ip, "IP", KI_FIELD_BYTES, 0, false),
    KI_FIELD(struct serf_event_addr, port, "Port", KI_FIELD_U16, 1, false),
    KI_FIELD(struct serf_event_addr, zone, "Zone", KI_FIELD_STR, 2, false),
};

static bool event_require(struct ki_reader *r, bool valid)
{
    if (!valid)
        r->bad = true;
    return valid;
}

/* ---- events ---- */

void ki_encode_serf_event(struct ki_pack *p, const struct ki_serf_event *msg)
{
    ki_put_u8(&p->w, KI_SERF_USER_EVENT);
    ki_pack_struct(p, event_fields, KI_COUNT(event_fields), msg);
}

bool ki_decode_serf_event(struct ki_reader *r, struct ki_serf_event *out)
{
    memset(out, 0, sizeof *out);
    return ki_unpack_struct(r, event_fields, KI_COUNT(event_fields), out) && event_require(r, out->name.len > 0);
}

size_t ki_encode_event_mark(uint8_t buf[KI_EVENT_MARK_MAX], const struct ki_event_mark *mark)
{
    struct ki_writer w = ki_writer(buf, KI_EVENT_MARK_MAX);
    ki_put_be(&w, mark->boot, 8);
    ki_put_be(&w, mark->seq, 8);
    ki_put_be(&w, mark->before, 8);
    ki_put_u8(&w, mark->flags);
    ki_put(&w, mark->origin.ptr, mark->origin.len);
    KI_ASSERT(!w.full);
    return w.len;
}

bool ki_decode_event_mark(struct ki_span bytes, struct ki_event_mark *out)
{
    struct ki_reader r = ki_reader(bytes.ptr, bytes.len);
    *out = (struct ki_event_mark){.boot = ki_take_be(&r, 8), .seq = ki_take_be(&r, 8)};
    out->before = ki_take_be(&r, 8);
    out->flags = (uint8_t)ki_take_be(&r, 1);
    out->origin = ki_span(r.pos, r.left);
    return !r.bad && out->seq > 0 && out->seq <= INT64_MAX && r.left > 0 && r.left <= 255;
}

/* ---- keys ---- */

void ki_encode_serf_key_request(struct ki_pack *p, struct ki_span key)
{
    struct serf_event_key msg = {.key = key};
    if (key.len == 0)
        msg.key = ki_span("", 0); /* not nil: as Serf has it */
    ki_put_u8(&p->w, KI_SERF_KEY_REQUEST);
    ki_pack_struct(p, key_fields, KI_COUNT(key_fields), &msg);
}

bool ki_decode_serf_key_request(struct ki_reader *r, struct ki_span *key)
{
    struct serf_event_key msg = {.key = {NULL, 0}};
    bool fine = ki_unpack_struct(r, key_fields, KI_COUNT(key_fields), &msg);
    *key = msg.key;
    return fine;
}

void ki_encode_serf_key_response(struct ki_pack *p, const struct ki_serf_key_response *msg)
{
    ki_put_u8(&p->w, KI_SERF_KEY_RESPONSE);
    ki_pack_struct(p, key_response_fields, KI_COUNT(key_response_fields), msg);
}

static bool event_strings(struct ki_span encoded)
{
    struct ki_reader r = ki_reader(encoded.ptr, encoded.len);
    struct ki_span text;
    uint32_t count = 0;
    bool fine = encoded.len == 0 || ki_unpack_array(&r, &count);
    for (; fine && count > 0; count--)
        fine = ki_unpack_str(&r, &text);
    return fine;
}

bool ki_decode_serf_key_response(struct ki_reader *r, struct ki_serf_key_response *out)
{
    memset(out, 0, sizeof *out);
    return ki_unpack_struct(r, key_response_fields, KI_COUNT(key_response_fields), out) &&
           event_require(r, event_strings(out->keys));
}

size_t ki_key_text(struct ki_span key, uint8_t out[KI_KEY_TEXT_MAX])
{
    KI_ASSERT(key.len <= 32);
    base64_encode_raw((char *)out, key.len, key.ptr);
    return BASE64_ENCODE_RAW_LENGTH(key.len);
}

size_t ki_key_from_text(struct ki_span text, uint8_t out[32])
{
    uint8_t bytes[BASE64_DECODE_LENGTH(KI_KEY_TEXT_MAX)];
    size_t len = sizeof bytes;
    struct base64_decode_ctx ctx;
    base64_decode_init(&ctx);
    if (text.len > KI_KEY_TEXT_MAX || !base64_decode_update(&ctx, &len, bytes, text.len, (const char *)text.ptr) ||
        !base64_decode_final(&ctx) || (len != 16 && len != 24 && len != 32))
        return 0;
    memcpy(out, bytes, len);
    return len;
}

/* ---- relays ---- */

void ki_encode_serf_relay_front(struct ki_pack *p, const struct ki_serf_relay *msg)
{
    uint8_t buf[64];
    struct ki_pack inner = ki_pack(buf, sizeof buf, p->ext);
    struct serf_event_addr addr = {.ip = msg->ip, .port = msg->port};
    ki_pack_struct(&inner, addr_fields, KI_COUNT(addr_fields), &addr);
    KI_ASSERT(!inner.w.full);
    struct serf_event_relay relay = {.addr = ki_span(buf, inner.w.len), .name = msg->name};
    ki_put_u8(&p->w, KI_SERF_RELAY);
    ki_pack_struct(p, relay_fields, KI_COUNT(relay_fields), &relay);
}

bool ki_decode_serf_relay(struct ki_reader *r, struct ki_serf_relay *out, struct ki_span *message)
{
    struct serf_event_relay relay = {.addr = {NULL, 0}};
    struct serf_event_addr addr = {.port = 0};
    if (!ki_unpack_struct(r, relay_fields, KI_COUNT(relay_fields), &relay))
        return false;
    struct ki_reader inner = ki_reader(relay.addr.ptr, relay.addr.len);
    bool fine = relay.addr.len > 0 && ki_unpack_struct(&inner, addr_fields, KI_COUNT(addr_fields), &addr);
    *out = (struct ki_serf_relay){.ip = addr.ip, .port = addr.port, .name = relay.name};
    *message = ki_span(r->pos, r->left);
    return event_require(r, fine && (addr.ip.len == 4 || addr.ip.len == 16) && message->len > 0);
}
