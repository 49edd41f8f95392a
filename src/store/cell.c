/* Kinds and the canonical encoding of a cell.
 *
 *   kind 1 | replica 8 | n varint | stamp 8 | expires varint | key | field | value
 *
 * key, field and value are a varint length and so many bytes; all numbers of fixed size are big-endian; a varint is
 * LEB128 in its shortest form.  Exactly one sequence of bytes says one cell, because the item by which replicas compare
 * is a digest of these bytes: two spellings would be two items, and would never agree.
 *
 * What a kind does not have is empty (field) or 0 (expires); the reader refuses anything else, and any number that no
 * writer makes: a dot's n of 0 or above 2^63, a score that is not a number.
 *
 * Deliberately not here: what a cell does to others (store.c), where it is kept (cells.c).
 */
#include "store/cell.h"

#include "base/hash.h"
#include "base/varint.h"

static const struct ki_kind_rule RULES[KI_KIND_END] = {
    [KI_KIND_REGISTER] = {KI_TYPE_STRING, KI_FORM_BASE, false, true, -1},
    [KI_KIND_COUNT] = {KI_TYPE_STRING, KI_FORM_SHARE, false, false, 8},
    [KI_KIND_REAL] = {KI_TYPE_STRING, KI_FORM_SHARE, false, false, 8},
    [KI_KIND_SIBLING] = {KI_TYPE_SIBLINGS, KI_FORM_MANY, false, false, -1},
    [KI_KIND_SORTED] = {KI_TYPE_SORTED, KI_FORM_BASE, true, false, 8},
    [KI_KIND_SORTED_REAL] = {KI_TYPE_SORTED, KI_FORM_SHARE, true, false, 8},
    [KI_KIND_SET] = {KI_TYPE_SET, KI_FORM_MANY, true, false, 0},
    [KI_KIND_HASH] = {KI_TYPE_HASH, KI_FORM_BASE, true, false, -1},
    [KI_KIND_HASH_COUNT] = {KI_TYPE_HASH, KI_FORM_SHARE, true, false, 8},
    [KI_KIND_HASH_REAL] = {KI_TYPE_HASH, KI_FORM_SHARE, true, false, 8},
    [KI_KIND_EXPIRY] = {KI_TYPE_NONE, KI_FORM_BASE, false, false, 8},
};

const struct ki_kind_rule *ki_kind_rule(enum ki_kind kind)
{
    KI_ASSERT(kind > 0 && kind < KI_KIND_END);
    return &RULES[kind];
}

size_t ki_cell_size(const struct ki_cell_image *image)
{
    size_t size = 1 + 8 + ki_varint_len(image->dot.n) + 8 + ki_varint_len(image->expires_ms);
    size += ki_varint_len(image->key.len) + image->key.len;
    size += ki_varint_len(image->field.len) + image->field.len;
    return size + ki_varint_len(image->value.len) + image->value.len;
}

static void cell_put_span(struct ki_writer *w, struct ki_span span)
{
    ki_put_varint(w, span.len);
    ki_put(w, span.ptr, span.len);
}

static void cell_put_head(struct ki_writer *w, const struct ki_cell_image *image)
{
    ki_put_u8(w, (uint8_t)image->kind);
    ki_put_be(w, image->dot.replica, 8);
    ki_put_varint(w, image->dot.n);
    ki_put_be(w, image->stamp, 8);
    ki_put_varint(w, image->expires_ms);
}

void ki_cell_encode(struct ki_writer *w, const struct ki_cell_image *image)
{
    cell_put_head(w, image);
    cell_put_span(w, image->key);
    cell_put_span(w, image->field);
    cell_put_span(w, image->value);
}

static void cell_hash_span(struct ki_hashing *hashing, struct ki_span span)
{
    uint8_t buf[KI_VARINT_LEN_MAX];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_put_varint(&w, span.len);
    ki_hashing_add(hashing, buf, w.len);
    ki_hashing_add(hashing, span.ptr, span.len);
}

struct ki_item ki_cell_item(const struct ki_cell_image *image, const uint8_t key[16])
{
    uint8_t buf[1 + 8 + 8 + 2 * KI_VARINT_LEN_MAX];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    struct ki_hashing hashing = ki_hashing_begin(key);
    cell_put_head(&w, image);
    ki_hashing_add(&hashing, buf, w.len);
    cell_hash_span(&hashing, image->key);
    cell_hash_span(&hashing, image->field);
    cell_hash_span(&hashing, image->value);
    struct ki_hash128 hash = ki_hashing_end(&hashing);
    return (struct ki_item){.a = hash.first, .b = hash.second};
}

static struct ki_span cell_take_span(struct ki_reader *r, size_t max)
{
    uint64_t len = ki_take_varint(r);
    if (len > max) {
        r->bad = true;
        return ki_span(NULL, 0);
    }
    return ki_span(ki_take(r, (size_t)len), (size_t)len);
}

static bool cell_is_number(struct ki_span value)
{
    const uint64_t exponent = (uint64_t)0x7ff << 52;
    uint64_t bits = ki_load_be(value.ptr, 8);
    return (bits & exponent) != exponent || (bits & (((uint64_t)1 << 52) - 1)) == 0;
}

static bool cell_is_lawful(const struct ki_cell_image *image)
{
    const struct ki_kind_rule *rule = &RULES[image->kind];
    if (image->dot.n == 0 || image->dot.n > KI_DOT_N_MAX || image->stamp == 0)
        return false;
    if ((!rule->has_field && image->field.len > 0) || (!rule->may_expire && image->expires_ms != 0))
        return false;
    if (rule->value_len >= 0 && image->value.len != (size_t)rule->value_len)
        return false;
    bool real = image->kind == KI_KIND_REAL || image->kind == KI_KIND_SORTED ||
                image->kind == KI_KIND_SORTED_REAL || image->kind == KI_KIND_HASH_REAL;
    return !real || cell_is_number(image->value);
}

void ki_cell_decode(struct ki_reader *r, const struct ki_cell_limits *limits, struct ki_cell_image *image)
{
    *image = (struct ki_cell_image){.kind = (enum ki_kind)ki_take_be(r, 1)};
    if (!r->bad && (image->kind == 0 || image->kind >= KI_KIND_END)) {
        r->bad = true;
        return;
    }
    image->dot.replica = ki_take_be(r, 8);
    image->dot.n = ki_take_varint(r);
    image->stamp = ki_take_be(r, 8);
    image->expires_ms = ki_take_varint(r);
    image->key = cell_take_span(r, limits->key_max);
    image->field = cell_take_span(r, limits->field_max);
    image->value = cell_take_span(r, limits->value_max);
    if (!r->bad && !cell_is_lawful(image))
        r->bad = true;
}
