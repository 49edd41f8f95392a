/* Messages about contributions: fixed fields big-endian, numbers that are usually small as varints.
 *
 *   4b kind:u8 ...
 *   ROOT       bits u8 | bucket be16 | root be64
 *   HEADS      bits u8 | bucket be16 | whole u8, then { len u8 | name | generation be64 | head varint } ...
 *   WANT       { len u8 | name | generation be64 | since varint } ...
 *   VALUES,    count u8, then { len u8 | schema, or 0 | id be64 } ..., then
 *   VALUES_ON  { len u8 | name | generation be64 | base varint | last - base varint | flags u8 | count varint,
 *                then { schema u8 | version less the one before varint | value be64 } ... } ...
 *
 * Whatever is longer than its fields is malformed.  Values are doubles of any bits: which are allowed, their schemas say.
 * Deliberately not here: the bytes of a schema (aggregate/schema.h). */
#include "wire/aggregate.h"

#include "base/real.h"
#include "base/varint.h"
#include "wire/kith.h"

#define AGGREGATE_FLAG_OFF 1

static void aggregate_front(struct ki_writer *w, enum ki_aggregate_kind kind)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)kind);
}

static void aggregate_put_name(struct ki_writer *w, struct ki_span name)
{
    KI_ASSERT(name.len >= 1 && name.len <= 255);
    ki_put_u8(w, (uint8_t)name.len);
    ki_put(w, name.ptr, name.len);
}

static struct ki_span aggregate_take_name(struct ki_reader *r)
{
    size_t len = (size_t)ki_take_be(r, 1);
    const uint8_t *name = ki_take(r, len);
    if (len == 0)
        r->bad = true;
    return ki_span(name, name ? len : 0);
}

/* ---- buckets ---- */

static void aggregate_put_bucket(struct ki_writer *w, const struct ki_bucket *bucket)
{
    ki_put_u8(w, bucket->bits);
    ki_put_be(w, bucket->at, 2);
}

static void aggregate_take_bucket(struct ki_reader *r, struct ki_bucket *bucket)
{
    bucket->bits = (uint8_t)ki_take_be(r, 1);
    bucket->at = (uint16_t)ki_take_be(r, 2);
    if (bucket->bits > KI_BUCKET_BITS_MAX || bucket->at >> bucket->bits != 0)
        r->bad = true;
}

void ki_encode_aggregates_root(struct ki_writer *w, const struct ki_bucket *bucket, uint64_t root)
{
    aggregate_front(w, KI_AGGREGATES_ROOT);
    aggregate_put_bucket(w, bucket);
    ki_put_be(w, root, 8);
}

bool ki_decode_aggregates_root(struct ki_reader *r, struct ki_bucket *bucket, uint64_t *root)
{
    aggregate_take_bucket(r, bucket);
    *root = ki_take_be(r, 8);
    return !r->bad && r->left == 0;
}

/* ---- heads ---- */

void ki_encode_aggregates_heads_front(struct ki_writer *w, const struct ki_bucket *bucket, bool is_whole)
{
    aggregate_front(w, KI_AGGREGATES_HEADS);
    aggregate_put_bucket(w, bucket);
    ki_put_u8(w, is_whole);
}

bool ki_decode_aggregates_heads_front(struct ki_reader *r, struct ki_bucket *bucket, bool *is_whole)
{
    aggregate_take_bucket(r, bucket);
    uint64_t whole = ki_take_be(r, 1);
    *is_whole = whole == 1;
    return !r->bad && whole <= 1;
}

void ki_encode_aggregates_want_front(struct ki_writer *w)
{
    aggregate_front(w, KI_AGGREGATES_WANT);
}

void ki_encode_aggregates_head(struct ki_writer *w, const struct ki_aggregate_head *head)
{
    aggregate_put_name(w, head->name);
    ki_put_be(w, head->generation, 8);
    ki_put_varint(w, head->head);
}

bool ki_decode_aggregates_head(struct ki_reader *r, struct ki_aggregate_head *head)
{
    *head = (struct ki_aggregate_head){.name = aggregate_take_name(r)};
    head->generation = ki_take_be(r, 8);
    head->head = ki_take_varint(r);
    return !r->bad && head->head <= INT64_MAX;
}

/* ---- values ---- */

void ki_encode_values_front(struct ki_writer *w, enum ki_aggregate_kind kind, unsigned schemas)
{
    KI_ASSERT(schemas <= KI_VALUES_SCHEMAS_MAX);
    aggregate_front(w, kind);
    ki_put_u8(w, (uint8_t)schemas);
}

void ki_encode_values_schema(struct ki_writer *w, const struct ki_values_schema *schema)
{
    KI_ASSERT(schema->bytes.len <= 255);
    ki_put_u8(w, (uint8_t)schema->bytes.len);
    if (schema->bytes.len > 0)
        ki_put(w, schema->bytes.ptr, schema->bytes.len);
    else
        ki_put_be(w, schema->id, 8);
}

bool ki_decode_values_table(struct ki_reader *r, struct ki_values_table *table)
{
    table->count = (unsigned)ki_take_be(r, 1);
    if (table->count > KI_VALUES_SCHEMAS_MAX)
        return false;
    for (unsigned i = 0; i < table->count; i++) {
        struct ki_values_schema *schema = &table->schemas[i];
        size_t len = (size_t)ki_take_be(r, 1);
        const uint8_t *bytes = ki_take(r, len);
        schema->bytes = ki_span(bytes, bytes ? len : 0);
        schema->id = len == 0 ? ki_take_be(r, 8) : 0;
    }
    return !r->bad;
}

void ki_encode_values_owner(struct ki_writer *w, const struct ki_values_owner *owner)
{
    aggregate_put_name(w, owner->name);
    ki_put_be(w, owner->generation, 8);
    ki_put_varint(w, owner->base);
    ki_put_varint(w, owner->last - owner->base);
    ki_put_u8(w, owner->is_off ? AGGREGATE_FLAG_OFF : 0);
    ki_put_varint(w, owner->count);
}

bool ki_decode_values_owner(struct ki_reader *r, struct ki_values_owner *owner)
{
    *owner = (struct ki_values_owner){.name = aggregate_take_name(r)};
    owner->generation = ki_take_be(r, 8);
    owner->base = ki_take_varint(r);
    uint64_t more = ki_take_varint(r);
    uint64_t flags = ki_take_be(r, 1);
    owner->count = ki_take_varint(r);
    owner->last = owner->base + more;
    owner->is_off = flags == AGGREGATE_FLAG_OFF;
    return !r->bad && flags <= AGGREGATE_FLAG_OFF && owner->base <= INT64_MAX && more <= INT64_MAX - owner->base &&
           owner->count <= more;
}

void ki_encode_value(struct ki_writer *w, uint64_t before, const struct ki_value *value)
{
    KI_ASSERT(value->schema < KI_VALUES_SCHEMAS_MAX && value->version > before);
    ki_put_u8(w, (uint8_t)value->schema);
    ki_put_varint(w, value->version - before);
    ki_put_be(w, ki_real_bits(value->value), 8);
}

bool ki_decode_value(struct ki_reader *r, const struct ki_values_table *table, const struct ki_values_owner *owner,
                     uint64_t before, struct ki_value *value)
{
    *value = (struct ki_value){.schema = (unsigned)ki_take_be(r, 1)};
    uint64_t more = ki_take_varint(r);
    value->value = ki_real_of(ki_take_be(r, 8));
    value->version = before + more;
    return !r->bad && value->schema < table->count && more >= 1 && more <= owner->last - before;
}

bool ki_values_fine(struct ki_reader r, const struct ki_values_table *table)
{
    struct ki_values_owner owner;
    struct ki_value value;
    while (r.left > 0) {
        if (!ki_decode_values_owner(&r, &owner))
            return false;
        uint64_t before = owner.base;
        for (uint64_t i = 0; i < owner.count; i++) {
            if (!ki_decode_value(&r, table, &owner, before, &value))
                return false;
            before = value.version;
        }
    }
    return true;
}
