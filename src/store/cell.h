/* The unit of the store: an immutable cell, named by its dot.
 *
 * A key shows one of five types.  What it shows follows from its live cells alone, never from the order in which they came
 * (PROTOCOL.md, "The store").  Cells that say the same sort of thing about the same thing form an *element*: a key's
 * string, its siblings, its expiry, a member of its set, a field of its hash. */
#ifndef KI_STORE_CELL_H
#define KI_STORE_CELL_H

#include "base/bytes.h"
#include "store/dot.h"
#include "store/sketch.h"

/* On the wire: do not renumber. */
enum ki_kind {
    KI_KIND_REGISTER = 1,    /* a string: the greatest (stamp, dot) shows */
    KI_KIND_COUNT = 2,       /* a replica's share of a counter: a signed 64-bit integer */
    KI_KIND_REAL = 3,        /* likewise, a double */
    KI_KIND_SIBLING = 4,     /* one value of a multi-value register: all show */
    KI_KIND_SORTED = 5,      /* a member of a sorted set and its score, a double */
    KI_KIND_SORTED_REAL = 6, /* a replica's share of a score */
    KI_KIND_SET = 7,         /* a member of a set */
    KI_KIND_HASH = 8,        /* a field of a hash: a register of its own */
    KI_KIND_HASH_COUNT = 9,  /* a replica's share of a field */
    KI_KIND_HASH_REAL = 10,
    KI_KIND_EXPIRY = 11, /* when the whole key ends: wall milliseconds, 0 for never */
    KI_KIND_END
};

/* What a key is when it has live cells of several types: the greatest shows, the others stay hidden (R15). */
enum ki_type {
    KI_TYPE_NONE = 0, /* an expiry alone makes no key */
    KI_TYPE_STRING,
    KI_TYPE_SIBLINGS,
    KI_TYPE_SORTED,
    KI_TYPE_SET,
    KI_TYPE_HASH
};

enum ki_form {
    KI_FORM_BASE,  /* rivals: one shows */
    KI_FORM_SHARE, /* one of each replica, all count */
    KI_FORM_MANY   /* all show */
};

struct ki_kind_rule {
    enum ki_type type;
    enum ki_form form;
    bool has_field;    /* else the field is empty */
    bool may_expire;   /* carries an expiry of its own */
    int32_t value_len; /* bytes; -1: any number */
};

/* kind: below KI_KIND_END and not 0. */
const struct ki_kind_rule *ki_kind_rule(enum ki_kind kind);

/* A cell as it is told: borrowed bytes. */
struct ki_cell_image {
    struct ki_dot dot;
    enum ki_kind kind;
    uint64_t stamp;      /* hybrid: wall milliseconds << 16 | count; the dot's replica breaks ties */
    uint64_t expires_ms; /* wall clock; 0: never */
    struct ki_span key, field, value;
};

#define KI_STAMP_COUNT_BITS 16

static inline uint64_t ki_stamp_ms(uint64_t stamp)
{
    return stamp >> KI_STAMP_COUNT_BITS;
}

/* Which of two rivals shows: by stamp, then by dot.  Less than, equal to or greater than 0. */
static inline int ki_rival_compare(uint64_t a_stamp, struct ki_dot a, uint64_t b_stamp, struct ki_dot b)
{
    if (a_stamp != b_stamp)
        return a_stamp < b_stamp ? -1 : 1;
    return ki_dot_compare(a, b);
}

struct ki_cell_limits {
    size_t key_max, field_max, value_max; /* bytes */
};

/* The canonical bytes of a cell: what is sent, and what the item is the digest of.  Equal cells have equal bytes. */
size_t ki_cell_size(const struct ki_cell_image *image);
void ki_cell_encode(struct ki_writer *w, const struct ki_cell_image *image);
/* What replicas compare: a keyed digest of those bytes. */
struct ki_item ki_cell_item(const struct ki_cell_image *image, const uint8_t key[16]);

/* Reads one; spans are borrowed from the reader's bytes.  Whatever is not canonical, or beyond the limits, makes the
 * reader bad (`ended` then says that more bytes might mend it). */
void ki_cell_decode(struct ki_reader *r, const struct ki_cell_limits *limits, struct ki_cell_image *image);

#endif
