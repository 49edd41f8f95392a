/* One member in its usual form: a map of six or seven keys in order of their bytes.
 *
 *   86 A4"Addr" raw | AB"Incarnation" uint | A4"Meta" raw | A4"Node" raw | A4"Port" uint | A3"Vsn" A6 raw      alive
 *   87 A4"Addr" raw | AB"Incarnation" uint | A4"Meta" raw | A4"Name" raw | A4"Port" uint | A5"State" 0..3
 *                                                                                        | A3"Vsn" A6 raw      node state
 *
 * The idea: keys whose place and length are known are compared and copied as words, and one check of the room that is
 * left covers a key with the head of its value.  A pool of a thousand that starts tells each of its members sixteen
 * million times who is alive: most of that time was spent finding out, key by key, what the keys are.
 *
 * Invariants: what is read here the tables read alike, to the last byte (a test says so, mutations included); what is
 * written here they write alike.  Nothing is believed before it was found inside the input.
 *
 * It deliberately does not report errors: it only says "not usual", and never for a valid form alone. */
#include "wire/usual.h"

#define USUAL_META_MAX 512

struct usual_in {
    const uint8_t *at, *end;
};

static inline size_t usual_left(const struct usual_in *in)
{
    return (size_t)(in->end - in->at);
}

/* A key, encoded, and at least three more bytes: the largest head of a value. */
static inline bool usual_key(struct usual_in *in, const char *key, size_t len)
{
    if (usual_left(in) < len + 3 || memcmp(in->at, key, len) != 0)
        return false;
    in->at += len;
    return true;
}

#define USUAL_KEY(in, key) usual_key((in), (key), sizeof(key) - 1)

static inline bool usual_raw(struct usual_in *in, struct ki_span *out)
{
    size_t len = in->at[0] & 0x1f, head = 1;
    if (in->at[0] == 0xda) {
        len = ki_load_be(in->at + 1, 2);
        head = 3;
    } else if ((in->at[0] & 0xe0) != 0xa0) {
        return false;
    }
    in->at += head;
    if (len > usual_left(in))
        return false;
    *out = ki_span(in->at, len);
    in->at += len;
    return true;
}

static inline bool usual_uint(struct usual_in *in, uint32_t *out)
{
    uint8_t type = in->at[0];
    size_t len = type == 0xce ? 4 : type == 0xcd ? 2 : type == 0xcc ? 1 : 0;
    if (len == 0) {
        *out = type;
        in->at++;
        return type <= 0x7f;
    }
    if (usual_left(in) < 1 + len)
        return false;
    *out = len == 4   ? (uint32_t)ki_load_be(in->at + 1, 4)
           : len == 2 ? (uint32_t)ki_load_be(in->at + 1, 2)
                      : in->at[1];
    in->at += 1 + len;
    return true;
}

bool ki_usual_read(struct ki_reader *r, bool state, struct ki_node_state *out)
{
    struct usual_in in = {.at = r->pos, .end = r->pos + r->left};
    uint32_t port, level = 0;
    if (r->bad || r->left == 0 || *in.at++ != (state ? 0x87 : 0x86))
        return false;
    if (!USUAL_KEY(&in, "\xa4" "Addr") || !usual_raw(&in, &out->addr) ||
        !USUAL_KEY(&in, "\xab" "Incarnation") || !usual_uint(&in, &out->incarnation) ||
        !USUAL_KEY(&in, "\xa4" "Meta") || !usual_raw(&in, &out->meta))
        return false;
    if (!(state ? USUAL_KEY(&in, "\xa4" "Name") : USUAL_KEY(&in, "\xa4" "Node")) || !usual_raw(&in, &out->name) ||
        !USUAL_KEY(&in, "\xa4" "Port") || !usual_uint(&in, &port))
        return false;
    if (state && (!USUAL_KEY(&in, "\xa5" "State") || !usual_uint(&in, &level)))
        return false;
    if (!USUAL_KEY(&in, "\xa3" "Vsn\xa6") || usual_left(&in) < 6)
        return false;
    out->versions = ki_span(in.at, 6);
    out->port = (uint16_t)port;
    out->state = level;
    if ((out->addr.len != 4 && out->addr.len != 16) || out->name.len == 0 || out->meta.len > USUAL_META_MAX ||
        port > UINT16_MAX || level > 3)
        return false;
    r->pos = in.at + 6;
    r->left = (size_t)(in.end - r->pos);
    return true;
}

/* ---- writing ---- */

static inline uint8_t *usual_put(uint8_t *at, const void *from, size_t len)
{
    memcpy(at, from, len);
    return at + len;
}

#define USUAL_PUT(at, key) usual_put((at), (key), sizeof(key) - 1)

static inline uint8_t *usual_put_raw(uint8_t *at, struct ki_span value)
{
    if (value.len < 32) {
        *at++ = (uint8_t)(0xa0 | value.len);
    } else {
        *at++ = 0xda;
        ki_store_be(at, value.len, 2);
        at += 2;
    }
    return usual_put(at, value.ptr, value.len);
}

static inline uint8_t *usual_put_uint(uint8_t *at, uint32_t value)
{
    size_t len = value <= 0x7f ? 0 : value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 4;
    if (len == 0) {
        *at = (uint8_t)value;
        return at + 1;
    }
    *at = len == 4 ? 0xce : len == 2 ? 0xcd : 0xcc;
    ki_store_be(at + 1, value, len);
    return at + 1 + len;
}

bool ki_usual_write(struct ki_pack *p, bool state, const struct ki_node_state *msg)
{
    size_t most = KI_USUAL_MAX + msg->addr.len + msg->name.len + msg->meta.len;
    bool usual = msg->addr.ptr && msg->name.ptr && msg->meta.ptr && msg->versions.len == 6 && !p->ext;
    if (!usual || p->w.full || most > p->w.cap - p->w.len || most > UINT16_MAX || msg->state < 0 || msg->state > 3)
        return false;
    uint8_t *start = p->w.start + p->w.len;
    uint8_t *at = start;
    *at++ = state ? 0x87 : 0x86;
    at = usual_put_raw(USUAL_PUT(at, "\xa4" "Addr"), msg->addr);
    at = usual_put_uint(USUAL_PUT(at, "\xab" "Incarnation"), msg->incarnation);
    at = usual_put_raw(USUAL_PUT(at, "\xa4" "Meta"), msg->meta);
    at = usual_put_raw(state ? USUAL_PUT(at, "\xa4" "Name") : USUAL_PUT(at, "\xa4" "Node"), msg->name);
    at = usual_put_uint(USUAL_PUT(at, "\xa4" "Port"), msg->port);
    if (state)
        at = usual_put_uint(USUAL_PUT(at, "\xa5" "State"), (uint32_t)msg->state);
    at = usual_put(USUAL_PUT(at, "\xa3" "Vsn\xa6"), msg->versions.ptr, 6);
    p->w.len += (size_t)(at - start);
    return true;
}
