/* Messages about aggregates, told: who knows how much of whom, who contributes how many values, and what neighbours say
 * where an aggregate is computed in the network.
 *
 *   aggregates-root bucket 3 of 8 | aggregates-heads 5, all of bucket 0 of 1 | aggregates-want alpha after 7
 *   aggregates-values of alpha 7 to 9, 2, schemas 1 | aggregates-values-on of k1 0 to 0
 *   network-request of 4966295930231396029 seq 7, claims 2, schema | network-claims of 4966295930231396029, claims 40
 *
 * Values themselves are left out: a reader of traces wants to see what goes where.
 * Deliberately not here: whether a schema is one. */
#include "node/describe.h"

#include "wire/aggregate.h"
#include "wire/network.h"

static void describe_bucket(struct describe *d, const struct ki_bucket *bucket)
{
    describe_number(d, " bucket ", bucket->at);
    describe_number(d, " of ", UINT64_C(1) << bucket->bits);
}

static void describe_aggregate_root(struct describe *d, struct ki_reader *r)
{
    struct ki_bucket bucket;
    uint64_t root;
    if (!ki_decode_aggregates_root(r, &bucket, &root)) {
        describe_malformed(d, "aggregates-root");
        return;
    }
    describe_item(d, "aggregates-root");
    describe_bucket(d, &bucket);
}

static bool describe_count_heads(struct ki_reader r, uint64_t *count)
{
    struct ki_aggregate_head head;
    for (*count = 0; r.left > 0; ++*count) {
        if (!ki_decode_aggregates_head(&r, &head))
            return false;
    }
    return true;
}

static void describe_aggregate_heads(struct describe *d, struct ki_reader *r)
{
    struct ki_bucket bucket;
    bool is_whole;
    uint64_t count;
    if (!ki_decode_aggregates_heads_front(r, &bucket, &is_whole) || !describe_count_heads(*r, &count)) {
        describe_malformed(d, "aggregates-heads");
        return;
    }
    describe_item(d, "aggregates-heads ");
    describe_number(d, "", count);
    ki_text_put(&d->text, is_whole ? ", all of" : ", some of");
    describe_bucket(d, &bucket);
}

static void describe_aggregate_want(struct describe *d, struct ki_reader *r)
{
    struct ki_aggregate_head want;
    uint64_t count;
    if (!describe_count_heads(*r, &count)) {
        describe_malformed(d, "aggregates-want");
        return;
    }
    describe_item(d, "aggregates-want");
    while (r->left > 0 && ki_decode_aggregates_head(r, &want)) {
        describe_name(d, " ", want.name);
        describe_number(d, " after ", want.head);
    }
}

static void describe_aggregate_values(struct describe *d, const char *what, struct ki_reader *r)
{
    struct ki_values_table table;
    struct ki_values_owner owner;
    struct ki_value value;
    unsigned schemas = 0;
    if (!ki_decode_values_table(r, &table) || !ki_values_fine(*r, &table)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    while (r->left > 0 && ki_decode_values_owner(r, &owner)) {
        describe_name(d, " of ", owner.name);
        describe_number(d, " ", owner.base);
        describe_number(d, " to ", owner.last);
        if (owner.count > 0)
            describe_number(d, ", ", owner.count);
        if (owner.is_off)
            ki_text_put(&d->text, ", off");
        uint64_t before = owner.base;
        for (uint64_t i = 0; i < owner.count; i++) {
            (void)ki_decode_value(r, &table, &owner, before, &value); /* it has been read before */
            before = value.version;
        }
    }
    for (unsigned i = 0; i < table.count; i++)
        schemas += table.schemas[i].bytes.len > 0;
    if (schemas > 0)
        describe_number(d, ", schemas ", schemas);
}

static bool describe_count_claims(struct ki_reader r, uint64_t *count)
{
    struct ki_network_claim claim;
    for (*count = 0; r.left > 0; ++*count) {
        if (!ki_decode_network_claim(&r, &claim))
            return false;
    }
    return true;
}

static void describe_network(struct describe *d, enum ki_network_kind kind, struct ki_reader *r)
{
    const char *what = kind == KI_NETWORK_REQUEST ? "network-request"
                       : kind == KI_NETWORK_REPLY ? "network-reply"
                                                  : "network-claims";
    struct ki_network_front front;
    uint64_t count;
    if (!ki_decode_network_front(r, kind, &front) || !describe_count_claims(*r, &count)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    describe_number(d, " of ", front.id);
    if (kind != KI_NETWORK_CLAIMS)
        describe_number(d, " seq ", front.seq);
    if (count > 0)
        describe_number(d, ", claims ", count);
    if (front.schema.len > 0)
        ki_text_put(&d->text, ", schema");
}

bool ki_describe_aggregate(struct describe *d, uint8_t kind, struct ki_reader *r)
{
    switch (kind) {
    case KI_AGGREGATES_ROOT:
        describe_aggregate_root(d, r);
        return true;
    case KI_AGGREGATES_HEADS:
        describe_aggregate_heads(d, r);
        return true;
    case KI_AGGREGATES_WANT:
        describe_aggregate_want(d, r);
        return true;
    case KI_AGGREGATES_VALUES:
        describe_aggregate_values(d, "aggregates-values", r);
        return true;
    case KI_AGGREGATES_VALUES_ON:
        describe_aggregate_values(d, "aggregates-values-on", r);
        return true;
    case KI_NETWORK_REQUEST:
    case KI_NETWORK_REPLY:
    case KI_NETWORK_CLAIMS:
        describe_network(d, (enum ki_network_kind)kind, r);
        return true;
    default:
        return false;
    }
}
