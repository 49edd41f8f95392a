/* What members of kith's kind say to each other about contributions to aggregates, in messages of type 75 (PROTOCOL.md
 * "aggregates").  Encoders write the type byte 75 and what follows; decoders read what is behind the kind. */
#ifndef KI_WIRE_AGGREGATE_H
#define KI_WIRE_AGGREGATE_H

#include "base/bytes.h"

enum ki_aggregate_kind { /* 30 to 37: of contributions */
    KI_AGGREGATES_ROOT = 0x30,     /* of these owners I know so much */
    KI_AGGREGATES_HEADS = 0x31,    /* I something else: this */
    KI_AGGREGATES_WANT = 0x32,     /* tell me of these */
    KI_AGGREGATES_VALUES = 0x33,   /* what they contribute */
    KI_AGGREGATES_VALUES_ON = 0x34 /* the same; pass it on if it is news to you */
};

#define KI_BUCKET_BITS_MAX 16
#define KI_VALUES_SCHEMAS_MAX 64 /* in the table of a message */
#define KI_AGGREGATE_HEAD_MAX (1 + 255 + 8 + 10)
#define KI_AGGREGATE_FRONT 8 /* bytes, at most, of HEADS and WANT before their items */

/* ROOT, and the front of HEADS: the owners whose hashes begin with these bits. */
struct ki_bucket {
    uint8_t bits; /* 0 to KI_BUCKET_BITS_MAX */
    uint16_t at;  /* below 2^bits */
};

void ki_encode_aggregates_root(struct ki_writer *w, const struct ki_bucket *bucket, uint64_t root);
bool ki_decode_aggregates_root(struct ki_reader *r, struct ki_bucket *bucket, uint64_t *root);

/* HEADS: its front, then the heads.  is_whole: who is not named is not known. */
void ki_encode_aggregates_heads_front(struct ki_writer *w, const struct ki_bucket *bucket, bool is_whole);
bool ki_decode_aggregates_heads_front(struct ki_reader *r, struct ki_bucket *bucket, bool *is_whole);

/* HEADS: how far an owner is known.  WANT: from where on it is wanted. */
struct ki_aggregate_head {
    struct ki_span name; /* 1 to 255 bytes, of the owner */
    uint64_t generation;
    uint64_t head;       /* up to 2^63 - 1 */
};

void ki_encode_aggregates_want_front(struct ki_writer *w);
void ki_encode_aggregates_head(struct ki_writer *w, const struct ki_aggregate_head *head);
bool ki_decode_aggregates_head(struct ki_reader *r, struct ki_aggregate_head *head); /* false: malformed, or none is left */

/* VALUES: a table of schemas, then what some owners contribute under them. */
struct ki_values_table {
    unsigned count;
    struct ki_values_schema {
        struct ki_span bytes; /* of the schema; empty: its id alone is told, */
        uint64_t id;          /* which is 0 otherwise */
    } schemas[KI_VALUES_SCHEMAS_MAX];
};

void ki_encode_values_front(struct ki_writer *w, enum ki_aggregate_kind kind, unsigned schemas); /* then so many of these: */
void ki_encode_values_schema(struct ki_writer *w, const struct ki_values_schema *schema);
bool ki_decode_values_table(struct ki_reader *r, struct ki_values_table *table);

/* All that an owner contributes under the versions above base, up to last: so many values follow, rising.  What is not there
 * has been superseded by what is above last. */
struct ki_values_owner {
    struct ki_span name;
    uint64_t generation;
    uint64_t base, last;
    bool is_off; /* it leaves aggregates that may be computed in the network to the network */
    uint64_t count;
};

#define KI_VALUES_OWNER_MAX (1 + 255 + 8 + 10 + 10 + 1 + 10)

struct ki_value {
    uint64_t version; /* above that of the one before it, or the base */
    unsigned schema;  /* place in the table */
    double value;     /* any bits */
};

#define KI_VALUE_MAX (1 + 10 + 8)

void ki_encode_values_owner(struct ki_writer *w, const struct ki_values_owner *owner);
bool ki_decode_values_owner(struct ki_reader *r, struct ki_values_owner *owner);
void ki_encode_value(struct ki_writer *w, uint64_t before, const struct ki_value *value);
/* before: the version of the one before it, or the base. */
bool ki_decode_value(struct ki_reader *r, const struct ki_values_table *table, const struct ki_values_owner *owner,
                     uint64_t before, struct ki_value *value);
/* All of a message but its table: read once to see that it is whole, since nothing of a malformed one is heeded. */
bool ki_values_fine(struct ki_reader r, const struct ki_values_table *table);

#endif
