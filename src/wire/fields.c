/* msgpack structs by table (msgpack.h): one table a message says how it goes out and comes in.
 *
 * The idea: memberlist and Serf hand Go structs to a codec, so each message is a map from field name to value.  A
 * table lists the fields in their order of declaration, which is the order of the array form, and gives each its rank
 * among the keys' bytes, which is the order of sending.  Peers take any order; a fixed one makes vectors possible.
 *
 * Invariants: a value out of its field's range is malformed, never cut; a key given twice takes its last value, as
 * with go-msgpack's decoder; every loop is bounded by the bytes of the input or the length of the table.
 *
 * It deliberately does not check what a value means (the message files do), nor keep unknown keys: who must pass a
 * message on unchanged keeps its bytes. */
#include "wire/msgpack.h"

static const void *fields_at(const struct ki_field *field, const void *in)
{
    return (const char *)in + field->offset;
}

static struct ki_span fields_span(const struct ki_field *field, const void *in)
{
    return *(const struct ki_span *)fields_at(field, in);
}

/* The value of a number, or the length of a span: zero is what omit_empty leaves out.  Doubles are never left out. */
static uint64_t fields_number(const struct ki_field *field, const void *in)
{
    const void *at = fields_at(field, in);
    switch ((enum ki_field_kind)field->kind) {
    case KI_FIELD_U8:
        return *(const uint8_t *)at;
    case KI_FIELD_U16:
        return *(const uint16_t *)at;
    case KI_FIELD_U32:
        return *(const uint32_t *)at;
    case KI_FIELD_U64:
        return *(const uint64_t *)at;
    case KI_FIELD_I64:
        return (uint64_t) * (const int64_t *)at;
    case KI_FIELD_BOOL:
        return *(const bool *)at;
    case KI_FIELD_DOUBLE:
        return 1;
    case KI_FIELD_STR:
    case KI_FIELD_BYTES:
    case KI_FIELD_RAW:
        return fields_span(field, in).len;
    }
    KI_UNREACHABLE();
}

static bool fields_left_out(const struct ki_field *field, const void *in)
{
    return field->omit_empty && fields_number(field, in) == 0;
}

static void fields_pack_value(struct ki_pack *p, const struct ki_field *field, const void *in)
{
    struct ki_span raw;
    switch ((enum ki_field_kind)field->kind) {
    case KI_FIELD_U8:
    case KI_FIELD_U16:
    case KI_FIELD_U32:
    case KI_FIELD_U64:
        ki_pack_uint(p, fields_number(field, in));
        return;
    case KI_FIELD_I64:
        ki_pack_int(p, *(const int64_t *)fields_at(field, in));
        return;
    case KI_FIELD_BOOL:
        ki_pack_bool(p, *(const bool *)fields_at(field, in));
        return;
    case KI_FIELD_DOUBLE:
        ki_pack_double(p, *(const double *)fields_at(field, in));
        return;
    case KI_FIELD_STR:
        ki_pack_str(p, fields_span(field, in));
        return;
    case KI_FIELD_BYTES:
        ki_pack_bytes(p, fields_span(field, in));
        return;
    case KI_FIELD_RAW:
        raw = fields_span(field, in);
        if (raw.ptr)
            ki_put(&p->w, raw.ptr, raw.len);
        else
            ki_pack_nil(p);
        return;
    }
    KI_UNREACHABLE();
}

static const struct ki_field *fields_ranked(const struct ki_field *fields, size_t count,
                                            size_t rank)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].order == rank)
            return &fields[i];
    }
    KI_UNREACHABLE();
}

void ki_pack_struct(struct ki_pack *p, const struct ki_field *fields, size_t count, const void *in)
{
    size_t sent = 0;
    for (size_t i = 0; i < count; i++)
        sent += !fields_left_out(&fields[i], in);
    ki_pack_map(p, sent);
    for (size_t rank = 0; rank < count; rank++) {
        const struct ki_field *field = fields_ranked(fields, count, rank);
        if (fields_left_out(field, in))
            continue;
        ki_pack_str(p, ki_span(field->name, field->name_len));
        fields_pack_value(p, field, in);
    }
}

static bool fields_unpack_raw(struct ki_reader *r, struct ki_span *out)
{
    const uint8_t *start = r->pos;
    if (!ki_unpack_skip(r))
        return false;
    size_t len = (size_t)(r->pos - start);
    *out = *start == 0xc0 ? ki_span(NULL, 0) : ki_span(start, len);
    return true;
}

static bool fields_unpack_value(struct ki_reader *r, const struct ki_field *field, void *out)
{
    void *at = (char *)out + field->offset;
    uint64_t number = 0;
    bool good = false;
    switch ((enum ki_field_kind)field->kind) {
    case KI_FIELD_U8:
        good = ki_unpack_uint(r, UINT8_MAX, &number);
        *(uint8_t *)at = (uint8_t)number;
        return good;
    case KI_FIELD_U16:
        good = ki_unpack_uint(r, UINT16_MAX, &number);
        *(uint16_t *)at = (uint16_t)number;
        return good;
    case KI_FIELD_U32:
        good = ki_unpack_uint(r, UINT32_MAX, &number);
        *(uint32_t *)at = (uint32_t)number;
        return good;
    case KI_FIELD_U64:
        return ki_unpack_uint(r, UINT64_MAX, (uint64_t *)at);
    case KI_FIELD_I64:
        return ki_unpack_int(r, (int64_t *)at);
    case KI_FIELD_BOOL:
        return ki_unpack_bool(r, (bool *)at);
    case KI_FIELD_DOUBLE:
        return ki_unpack_double(r, (double *)at);
    case KI_FIELD_STR:
        return ki_unpack_str(r, (struct ki_span *)at);
    case KI_FIELD_BYTES:
        return ki_unpack_bytes(r, (struct ki_span *)at);
    case KI_FIELD_RAW:
        return fields_unpack_raw(r, (struct ki_span *)at);
    }
    KI_UNREACHABLE();
}

static const struct ki_field *fields_named(const struct ki_field *fields, size_t count,
                                           struct ki_span name)
{
    for (size_t i = 0; i < count && name.len > 0; i++) {
        if (fields[i].name_len == name.len && fields[i].name[0] == (char)name.ptr[0] &&
            memcmp(fields[i].name, name.ptr, name.len) == 0)
            return &fields[i];
    }
    return NULL;
}

static bool fields_unpack_map(struct ki_reader *r, uint32_t pairs, const struct ki_field *fields,
                              size_t count, void *out)
{
    for (uint32_t i = 0; i < pairs; i++) {
        struct ki_span name;
        if (!ki_unpack_str(r, &name))
            return false;
        const struct ki_field *field = fields_named(fields, count, name);
        if (!(field ? fields_unpack_value(r, field, out) : ki_unpack_skip(r)))
            return false;
    }
    return true;
}

bool ki_unpack_struct(struct ki_reader *r, const struct ki_field *fields, size_t count, void *out)
{
    struct ki_token token;
    if (!ki_unpack(r, &token))
        return false;
    if (token.kind == KI_TOKEN_NIL)
        return true;
    if (token.kind == KI_TOKEN_MAP)
        return fields_unpack_map(r, token.as.count, fields, count, out);
    if (token.kind != KI_TOKEN_ARRAY) {
        r->bad = true;
        return false;
    }
    for (uint32_t i = 0; i < token.as.count; i++) {
        if (!(i < count ? fields_unpack_value(r, &fields[i], out) : ki_unpack_skip(r)))
            return false;
    }
    return true;
}
