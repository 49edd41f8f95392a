/* The msgpack reader on any bytes: every token lies inside the input, skipping an object takes exactly the tokens of
 * that object, and what was read, written again in either dialect, reads as the same. */
#include "wire/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sample {
    struct ki_span bytes, text, raw;
    uint64_t clock;
    int64_t delta;
    uint32_t seq;
    uint16_t port;
    uint8_t small;
    bool flag;
};

static const struct ki_field sample_fields[] = {
    KI_FIELD(struct sample, small, "A", KI_FIELD_U8, 0, true),
    KI_FIELD(struct sample, port, "B", KI_FIELD_U16, 1, true),
    KI_FIELD(struct sample, seq, "C", KI_FIELD_U32, 2, true),
    KI_FIELD(struct sample, clock, "D", KI_FIELD_U64, 3, true),
    KI_FIELD(struct sample, delta, "E", KI_FIELD_I64, 4, true),
    KI_FIELD(struct sample, flag, "F", KI_FIELD_BOOL, 5, true),
    KI_FIELD(struct sample, text, "G", KI_FIELD_STR, 6, true),
    KI_FIELD(struct sample, bytes, "H", KI_FIELD_BYTES, 7, false),
    KI_FIELD(struct sample, raw, "I", KI_FIELD_RAW, 8, false),
};

static uint8_t first[1 << 17], second[1 << 17];

static void check_inside(struct ki_span span, const uint8_t *data, size_t size)
{
    KI_ASSERT(span.len <= size && span.ptr >= data && span.ptr + span.len <= data + size);
}

/* Writes a token that has a form of ours; false: it has none. */
static bool write_token(struct ki_pack *p, const struct ki_token *token)
{
    switch (token->kind) {
    case KI_TOKEN_NIL:
        ki_pack_nil(p);
        return true;
    case KI_TOKEN_BOOL:
        ki_pack_bool(p, token->as.boolean);
        return true;
    case KI_TOKEN_UINT:
        ki_pack_uint(p, token->as.uint);
        return true;
    case KI_TOKEN_NEGINT:
        KI_ASSERT(token->as.negint < 0);
        ki_pack_int(p, token->as.negint);
        return true;
    case KI_TOKEN_DOUBLE:
        ki_pack_double(p, token->as.real);
        return true;
    case KI_TOKEN_STR:
        ki_pack_str(p, token->as.bytes);
        return true;
    case KI_TOKEN_BIN:
        ki_pack_bytes(p, token->as.bytes);
        return true;
    case KI_TOKEN_EXT:
    case KI_TOKEN_ARRAY:
    case KI_TOKEN_MAP:
        return false;
    }
    KI_UNREACHABLE();
}

static void check_again(const struct ki_token *token, bool ext)
{
    struct ki_pack p = ki_pack(first, sizeof(first), ext);
    struct ki_token back;
    if (!write_token(&p, token))
        return;
    KI_ASSERT(!p.w.full);
    struct ki_reader r = ki_reader(first, p.w.len);
    KI_ASSERT(ki_unpack(&r, &back) && r.left == 0);
    KI_ASSERT(back.kind == token->kind ||
              (token->kind == KI_TOKEN_BIN && !ext && back.kind == KI_TOKEN_STR));
    struct ki_pack again = ki_pack(second, sizeof(second), ext);
    KI_ASSERT(write_token(&again, &back));
    if (back.kind == token->kind &&
        back.kind != KI_TOKEN_DOUBLE) /* a NaN's bits are the processor's to choose */
        KI_ASSERT(ki_span_equal(ki_span(first, p.w.len), ki_span(second, again.w.len)));
}

/* One object, token by token, without a limit of levels: what ki_unpack_skip must agree with up to its 32. */
static bool walk(struct ki_reader *r, const uint8_t *data, size_t size, size_t *levels)
{
    static uint32_t open[1 << 16];
    size_t depth = 0, deepest = 0;
    uint64_t wanted = 1;
    do {
        struct ki_token token;
        size_t before = r->left;
        if (!ki_unpack(r, &token))
            return false;
        KI_ASSERT(r->left < before && r->pos + r->left == data + size);
        wanted--;
        if (token.kind == KI_TOKEN_STR || token.kind == KI_TOKEN_BIN || token.kind == KI_TOKEN_EXT)
            check_inside(token.as.bytes, data, size);
        check_again(&token, false);
        check_again(&token, true);
        if (token.kind == KI_TOKEN_ARRAY || token.kind == KI_TOKEN_MAP) {
            KI_ASSERT(token.as.count <= r->left);
            if (depth == KI_COUNT(open))
                return false;
            open[depth++] = (uint32_t)wanted;
            wanted = (uint64_t)token.as.count * (token.kind == KI_TOKEN_MAP ? 2 : 1);
            deepest = depth > deepest ? depth : deepest;
        }
        while (wanted == 0 && depth > 0)
            wanted = open[--depth];
    } while (wanted > 0 || depth > 0);
    *levels = deepest;
    return true;
}

static void check_struct(const uint8_t *data, size_t size)
{
    struct ki_reader r = ki_reader(data, size);
    struct sample sample;
    memset(&sample, 0, sizeof(sample));
    if (!ki_unpack_struct(&r, sample_fields, KI_COUNT(sample_fields), &sample)) {
        KI_ASSERT(r.bad);
        return;
    }
    struct ki_pack p = ki_pack(first, sizeof(first), false);
    ki_pack_struct(&p, sample_fields, KI_COUNT(sample_fields), &sample);
    KI_ASSERT(!p.w.full);
    struct sample back;
    memset(&back, 0, sizeof(back));
    r = ki_reader(first, p.w.len);
    KI_ASSERT(ki_unpack_struct(&r, sample_fields, KI_COUNT(sample_fields), &back) && r.left == 0);
    struct ki_pack again = ki_pack(second, sizeof(second), false);
    ki_pack_struct(&again, sample_fields, KI_COUNT(sample_fields), &back);
    KI_ASSERT(ki_span_equal(ki_span(first, p.w.len), ki_span(second, again.w.len)));
}

/* The typed readers agree with the token there is. */
static void check_typed(const uint8_t *data, size_t size)
{
    struct ki_reader r = ki_reader(data, size);
    struct ki_token token;
    bool any = ki_unpack(&r, &token);
    bool nil = any && token.kind == KI_TOKEN_NIL;
    uint64_t uint;
    int64_t integer;
    uint32_t count;
    bool flag;
    struct ki_span span;
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_uint(&r, UINT64_MAX, &uint) ==
              (nil || (any && token.kind == KI_TOKEN_UINT)));
    r = ki_reader(data, size);
    if (ki_unpack_int(&r, &integer) && integer >= 0 && !nil)
        KI_ASSERT(token.kind == KI_TOKEN_UINT && token.as.uint == (uint64_t)integer);
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_bool(&r, &flag) == (nil || (any && token.kind == KI_TOKEN_BOOL)));
    double real;
    bool number = any && (token.kind == KI_TOKEN_DOUBLE || token.kind == KI_TOKEN_UINT || token.kind == KI_TOKEN_NEGINT);
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_double(&r, &real) == (nil || number));
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_str(&r, &span) == (nil || (any && token.kind == KI_TOKEN_STR)));
    r = ki_reader(data, size);
    if (ki_unpack_bytes(&r, &span) && !nil)
        KI_ASSERT(token.kind == KI_TOKEN_STR || token.kind == KI_TOKEN_BIN);
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_map(&r, &count) == (nil || (any && token.kind == KI_TOKEN_MAP)));
    r = ki_reader(data, size);
    KI_ASSERT(ki_unpack_array(&r, &count) == (nil || (any && token.kind == KI_TOKEN_ARRAY)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 60000)
        return -1;
    struct ki_reader whole = ki_reader(data, size), skipped = whole;
    size_t levels = 0;
    bool walked = walk(&whole, data, size, &levels);
    bool skips = ki_unpack_skip(&skipped);
    KI_ASSERT(skips == (walked && levels <= 32));
    KI_ASSERT(!skips || skipped.pos == whole.pos);
    check_typed(data, size);
    check_struct(data, size);
    return 0;
}
