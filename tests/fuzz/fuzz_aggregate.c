/* What is said of contributions: the first byte picks the kind, 30 to 34, or a schema; the rest is what follows it.  What
 * decodes encodes to the very same bytes. */
#include "aggregate/schema.h"
#include "wire/aggregate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1 << 17];

static bool aggregate_heads(struct ki_reader *r, struct ki_writer *w)
{
    struct ki_aggregate_head head;
    while (r->left > 0) {
        if (!ki_decode_aggregates_head(r, &head))
            return false;
        KI_ASSERT(head.head <= INT64_MAX && head.name.len > 0);
        ki_encode_aggregates_head(w, &head);
    }
    return true;
}

static bool aggregate_values(struct ki_reader *r, struct ki_writer *w, enum ki_aggregate_kind kind)
{
    struct ki_values_table table;
    struct ki_values_owner owner;
    struct ki_value value;
    if (!ki_decode_values_table(r, &table) || !ki_values_fine(*r, &table))
        return false;
    ki_encode_values_front(w, kind, table.count);
    for (unsigned i = 0; i < table.count; i++)
        ki_encode_values_schema(w, &table.schemas[i]);
    while (r->left > 0) {
        bool fine = ki_decode_values_owner(r, &owner);
        KI_ASSERT(fine && owner.base <= owner.last && owner.last <= INT64_MAX && owner.name.len > 0);
        ki_encode_values_owner(w, &owner);
        uint64_t before = owner.base;
        for (uint64_t i = 0; i < owner.count; i++) {
            fine = ki_decode_value(r, &table, &owner, before, &value);
            KI_ASSERT(fine && value.version > before && value.version <= owner.last && value.schema < table.count);
            ki_encode_value(w, before, &value);
            before = value.version;
        }
    }
    return true;
}

static bool aggregate_again(enum ki_aggregate_kind kind, struct ki_reader *r, struct ki_writer *w)
{
    struct ki_bucket bucket;
    uint64_t root;
    bool is_whole;
    switch (kind) {
    case KI_AGGREGATES_ROOT:
        if (!ki_decode_aggregates_root(r, &bucket, &root))
            return false;
        ki_encode_aggregates_root(w, &bucket, root);
        return true;
    case KI_AGGREGATES_HEADS:
        if (!ki_decode_aggregates_heads_front(r, &bucket, &is_whole))
            return false;
        ki_encode_aggregates_heads_front(w, &bucket, is_whole);
        return aggregate_heads(r, w);
    case KI_AGGREGATES_WANT:
        ki_encode_aggregates_want_front(w);
        return aggregate_heads(r, w);
    case KI_AGGREGATES_VALUES:
    case KI_AGGREGATES_VALUES_ON:
        return aggregate_values(r, w, kind);
    }
    KI_UNREACHABLE();
}

static void schema(struct ki_span bytes)
{
    struct ki_meaning meaning;
    uint8_t again[KI_SCHEMA_LEN_MAX];
    if (ki_schema_decode(bytes, &meaning))
        KI_ASSERT(ki_meaning_fine(&meaning) && ki_span_equal(ki_span(again, ki_schema_encode(again, &meaning)), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (data[0] % 6 == 5) {
        schema(ki_span(data + 1, size - 1));
        return 0;
    }
    enum ki_aggregate_kind kind = (enum ki_aggregate_kind)(KI_AGGREGATES_ROOT + data[0] % 6);
    struct ki_reader r = ki_reader(data + 1, size - 1);
    struct ki_writer w = ki_writer(out, sizeof out);
    if (!aggregate_again(kind, &r, &w))
        return 0;
    KI_ASSERT(!w.full && w.len == size + 1 && out[1] == kind && memcmp(out + 2, data + 1, size - 1) == 0);
    return 0;
}
