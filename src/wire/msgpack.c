/* msgpack as memberlist, Serf and Serf's RPC speak it.
 *
 * The idea: bytes from the network go through libmpack's token reader, one token at a time and with a fresh token
 * buffer each, so that no state of the library outlives a token.  Here is what it leaves to its user:
 *
 *   - it asserts on an empty input and cuts the input's length to 32 bits: it sees at least one byte and at most
 *     UINT32_MAX of them;
 *   - it keeps the parts of a cut token for later: here that is malformed, and marked as `ended`, for streams to wait;
 *   - a container's count is only a claim: one that the bytes left cannot hold (an element takes a byte, a pair two)
 *     is cut, so no loop runs longer than the input is.
 *
 * Invariants: a false result leaves the reader bad; no function recurses; nothing is allocated; a span handed out
 * lies inside the input.
 *
 * It deliberately does not keep the width or the sign an integer was sent with (peers differ: go-msgpack v2 sends
 * positive signed numbers as D1..D3), does not look at the type of an ext, and does not take an array of small numbers
 * for bytes, which go-msgpack would: such an array cannot be borrowed, and no peer sends one. */
#include "wire/msgpack.h"

#include <mpack.h>

/* Deepest nesting that is skipped.  The deepest object of any peer has 5 levels (Serf's event ring). */
#define MSGPACK_LEVELS 32

/* ---- writing ---- */

void ki_pack_nil(struct ki_pack *p)
{
    ki_put_u8(&p->w, 0xc0);
}

void ki_pack_bool(struct ki_pack *p, bool value)
{
    ki_put_u8(&p->w, value ? 0xc3 : 0xc2);
}

/* A type byte and a number of len bytes, whole or not at all. */
static void msgpack_head(struct ki_pack *p, uint8_t type, uint64_t value, size_t len)
{
    uint8_t *at = ki_reserve(&p->w, 1 + len);
    if (at) {
        at[0] = type;
        ki_store_be(at + 1, value, len);
    }
}

void ki_pack_uint(struct ki_pack *p, uint64_t value)
{
    if (value <= 0x7f)
        ki_put_u8(&p->w, (uint8_t)value);
    else if (value <= UINT8_MAX)
        msgpack_head(p, 0xcc, value, 1);
    else if (value <= UINT16_MAX)
        msgpack_head(p, 0xcd, value, 2);
    else if (value <= UINT32_MAX)
        msgpack_head(p, 0xce, value, 4);
    else
        msgpack_head(p, 0xcf, value, 8);
}

void ki_pack_int(struct ki_pack *p, int64_t value)
{
    if (value >= 0)
        ki_pack_uint(p, (uint64_t)value);
    else if (value >= -32)
        ki_put_u8(&p->w, (uint8_t)value);
    else if (value >= INT8_MIN)
        msgpack_head(p, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        msgpack_head(p, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        msgpack_head(p, 0xd2, (uint64_t)value, 4);
    else
        msgpack_head(p, 0xd3, (uint64_t)value, 8);
}

void ki_pack_double(struct ki_pack *p, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    msgpack_head(p, 0xcb, bits, 8);
}

/* The head of a string: the raw family, with str8 only for the RPC. */
static void msgpack_raw_head(struct ki_pack *p, size_t len)
{
    KI_ASSERT(len <= UINT32_MAX);
    if (len < 32)
        ki_put_u8(&p->w, (uint8_t)(0xa0 | len));
    else if (p->ext && len <= UINT8_MAX)
        msgpack_head(p, 0xd9, len, 1);
    else if (len <= UINT16_MAX)
        msgpack_head(p, 0xda, len, 2);
    else
        msgpack_head(p, 0xdb, len, 4);
}

void ki_pack_str(struct ki_pack *p, struct ki_span value)
{
    msgpack_raw_head(p, value.len);
    ki_put(&p->w, value.ptr, value.len);
}

void ki_pack_text(struct ki_pack *p, const char *text)
{
    ki_pack_str(p, ki_span(text, strlen(text)));
}

void ki_pack_bytes_front(struct ki_pack *p, size_t len)
{
    KI_ASSERT(len <= UINT32_MAX);
    if (!p->ext)
        msgpack_raw_head(p, len);
    else if (len <= UINT8_MAX)
        msgpack_head(p, 0xc4, len, 1);
    else if (len <= UINT16_MAX)
        msgpack_head(p, 0xc5, len, 2);
    else
        msgpack_head(p, 0xc6, len, 4);
}

void ki_pack_bytes(struct ki_pack *p, struct ki_span value)
{
    if (!value.ptr) {
        ki_pack_nil(p);
        return;
    }
    ki_pack_bytes_front(p, value.len);
    ki_put(&p->w, value.ptr, value.len);
}

void ki_pack_array(struct ki_pack *p, size_t count)
{
    KI_ASSERT(count <= UINT32_MAX);
    if (count < 16)
        ki_put_u8(&p->w, (uint8_t)(0x90 | count));
    else if (count <= UINT16_MAX)
        msgpack_head(p, 0xdc, count, 2);
    else
        msgpack_head(p, 0xdd, count, 4);
}

void ki_pack_map(struct ki_pack *p, size_t count)
{
    KI_ASSERT(count <= UINT32_MAX);
    if (count < 16)
        ki_put_u8(&p->w, (uint8_t)(0x80 | count));
    else if (count <= UINT16_MAX)
        msgpack_head(p, 0xde, count, 2);
    else
        msgpack_head(p, 0xdf, count, 4);
}

/* ---- reading ---- */

static bool msgpack_bad(struct ki_reader *r)
{
    r->bad = true;
    return false;
}

/* Bad for now: more input could mend it. */
static bool msgpack_ended(struct ki_reader *r)
{
    r->bad = true;
    r->ended = true;
    return false;
}

/* The number of a token, extended from its length to 64 bits. */
static void msgpack_negative(struct ki_token *out, uint64_t value, uint32_t len)
{
    uint64_t sign = UINT64_C(1) << (len * 8 - 1);
    out->kind = KI_TOKEN_NEGINT;
    out->as.negint = -(int64_t)((sign - 1) - (value & (sign - 1))) -
                     1; /* ones' complement: no overflow at the least */
}

static void msgpack_real(struct ki_token *out, uint64_t value, uint32_t len)
{
    out->kind = KI_TOKEN_DOUBLE;
    if (len == 4) {
        uint32_t bits = (uint32_t)value;
        float narrow;
        memcpy(&narrow, &bits, sizeof(narrow));
        out->as.real = (double)narrow;
    } else {
        memcpy(&out->as.real, &value, sizeof(out->as.real));
    }
}

static bool msgpack_bytes(struct ki_reader *r, enum ki_token_kind kind, uint32_t len,
                          struct ki_token *out)
{
    const uint8_t *at = ki_take(r, len);
    out->kind = kind;
    out->as.bytes = ki_span(at, len);
    return at != NULL;
}

static bool msgpack_container(struct ki_reader *r, enum ki_token_kind kind, uint32_t count,
                              struct ki_token *out)
{
    size_t most = kind == KI_TOKEN_MAP ? r->left / 2 : r->left;
    out->kind = kind;
    out->as.count = count;
    return count <= most || msgpack_ended(r);
}

bool ki_unpack(struct ki_reader *r, struct ki_token *out)
{
    if (r->bad)
        return false;
    if (r->left == 0)
        return msgpack_ended(r);
    mpack_tokbuf_t state = MPACK_TOKBUF_INITIAL_VALUE;
    mpack_token_t token;
    memset(&token, 0, sizeof(token));
    const char *pos = (const char *)r->pos;
    size_t offered = ki_min_size(r->left, UINT32_MAX);
    size_t left = offered;
    int result = mpack_read(&state, &pos, &left, &token);
    if (result != MPACK_OK)
        return result == MPACK_EOF ? msgpack_ended(r) : msgpack_bad(r);
    r->pos += offered - left;
    r->left -= offered - left;
    uint64_t value =
        (uint64_t)token.data.value.hi << 32 | token.data.value.lo; /* of the number kinds */
    switch (token.type) {
    case MPACK_TOKEN_NIL:
        out->kind = KI_TOKEN_NIL;
        return true;
    case MPACK_TOKEN_BOOLEAN:
        out->kind = KI_TOKEN_BOOL;
        out->as.boolean = value != 0;
        return true;
    case MPACK_TOKEN_UINT:
        out->kind = KI_TOKEN_UINT;
        out->as.uint = value;
        return true;
    case MPACK_TOKEN_SINT:
        msgpack_negative(out, value, token.length);
        return true;
    case MPACK_TOKEN_FLOAT:
        msgpack_real(out, value, token.length);
        return true;
    case MPACK_TOKEN_STR:
        return msgpack_bytes(r, KI_TOKEN_STR, token.length, out);
    case MPACK_TOKEN_BIN:
        return msgpack_bytes(r, KI_TOKEN_BIN, token.length, out);
    case MPACK_TOKEN_EXT:
        return msgpack_bytes(r, KI_TOKEN_EXT, token.length, out);
    case MPACK_TOKEN_ARRAY:
        return msgpack_container(r, KI_TOKEN_ARRAY, token.length, out);
    case MPACK_TOKEN_MAP:
        return msgpack_container(r, KI_TOKEN_MAP, token.length, out);
    case MPACK_TOKEN_CHUNK: /* only a token buffer that is used again gives one */
        break;
    }
    return msgpack_bad(r);
}

/* ---- the usual forms, without the library ---- */

/* A string shorter than 32 bytes, or with two bytes of length. */
static inline bool msgpack_quick_str(struct ki_reader *r, struct ki_span *out)
{
    if (r->bad || r->left < 3)
        return false;
    uint8_t type = r->pos[0];
    size_t head = 1, len = type & 0x1f;
    if (type == 0xda) {
        head = 3;
        len = ki_load_be(r->pos + 1, 2);
    } else if ((type & 0xe0) != 0xa0) {
        return false;
    }
    if (len > r->left - head)
        return false;
    *out = ki_span(r->pos + head, len);
    r->pos += head + len;
    r->left -= head + len;
    return true;
}

static inline bool msgpack_quick_uint(struct ki_reader *r, uint64_t *out)
{
    static const uint8_t lens[4] = {1, 2, 4, 8};
    if (r->bad || r->left < 9)
        return false;
    uint8_t type = r->pos[0];
    size_t len = 0;
    if (type <= 0x7f) {
        *out = type;
    } else if (type >= 0xcc && type <= 0xcf) {
        len = lens[type - 0xcc];
        *out = ki_load_be(r->pos + 1, len);
    } else {
        return false;
    }
    r->pos += 1 + len;
    r->left -= 1 + len;
    return true;
}

bool ki_unpack_skip(struct ki_reader *r)
{
    uint64_t left[MSGPACK_LEVELS]; /* objects still to come at each level */
    size_t depth = 0;
    struct ki_token token;
    do {
        struct ki_span text;
        uint64_t number;
        bool quick = msgpack_quick_str(r, &text) || msgpack_quick_uint(r, &number); /* most of a long map */
        token.kind = KI_TOKEN_UINT;
        if (!quick && !ki_unpack(r, &token))
            return false;
        if (depth > 0)
            left[depth - 1]--;
        if (token.kind == KI_TOKEN_ARRAY || token.kind == KI_TOKEN_MAP) {
            if (depth == MSGPACK_LEVELS)
                return msgpack_bad(r);
            left[depth++] = (uint64_t)token.as.count * (token.kind == KI_TOKEN_MAP ? 2 : 1);
        }
        while (depth > 0 && left[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    return true;
}

bool ki_unpack_uint(struct ki_reader *r, uint64_t max, uint64_t *out)
{
    struct ki_token token;
    uint64_t value;
    *out = 0;
    if (msgpack_quick_uint(r, &value)) {
        *out = value <= max ? value : 0;
        return value <= max || msgpack_bad(r);
    }
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind != KI_TOKEN_UINT || token.as.uint > max)
        return msgpack_bad(r);
    *out = token.as.uint;
    return true;
}

bool ki_unpack_int(struct ki_reader *r, int64_t *out)
{
    struct ki_token token;
    *out = 0;
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind == KI_TOKEN_NEGINT) {
        *out = token.as.negint;
        return true;
    }
    if (token.kind != KI_TOKEN_UINT || token.as.uint > INT64_MAX)
        return msgpack_bad(r);
    *out = (int64_t)token.as.uint;
    return true;
}

bool ki_unpack_bool(struct ki_reader *r, bool *out)
{
    struct ki_token token;
    *out = false;
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind != KI_TOKEN_BOOL)
        return msgpack_bad(r);
    *out = token.as.boolean;
    return true;
}

bool ki_unpack_double(struct ki_reader *r, double *out)
{
    struct ki_token token;
    *out = 0;
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_DOUBLE)
        *out = token.as.real;
    else if (token.kind == KI_TOKEN_UINT)
        *out = (double)token.as.uint;
    else if (token.kind == KI_TOKEN_NEGINT)
        *out = (double)token.as.negint;
    else if (token.kind != KI_TOKEN_NIL)
        return msgpack_bad(r);
    return true;
}

bool ki_unpack_str(struct ki_reader *r, struct ki_span *out)
{
    struct ki_token token;
    if (msgpack_quick_str(r, out))
        return true;
    *out = ki_span(NULL, 0);
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind != KI_TOKEN_STR)
        return msgpack_bad(r);
    *out = token.as.bytes;
    return true;
}

bool ki_unpack_bytes(struct ki_reader *r, struct ki_span *out)
{
    struct ki_token token;
    if (msgpack_quick_str(r, out))
        return true;
    *out = ki_span(NULL, 0);
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind != KI_TOKEN_STR && token.kind != KI_TOKEN_BIN)
        return msgpack_bad(r);
    *out = token.as.bytes;
    return true;
}

static bool msgpack_count(struct ki_reader *r, enum ki_token_kind kind, uint32_t *count)
{
    struct ki_token token;
    *count = 0;
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind != kind)
        return msgpack_bad(r);
    *count = token.as.count;
    return true;
}

bool ki_unpack_map(struct ki_reader *r, uint32_t *count)
{
    return msgpack_count(r, KI_TOKEN_MAP, count);
}

bool ki_unpack_array(struct ki_reader *r, uint32_t *count)
{
    return msgpack_count(r, KI_TOKEN_ARRAY, count);
}
