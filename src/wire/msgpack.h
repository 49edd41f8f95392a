/* The msgpack dialects of memberlist, Serf's gossip and Serf's RPC (PROTOCOL.md "msgpack").
 *
 * Writing: gossip uses the old raw family for strings and bytes alike (no str8, no bin); the RPC uses str8 and bin.
 * One writer with a switch.  Reading takes both.  Structs are described by field tables: a struct goes out as a map
 * with its keys in order of their bytes, and comes in as such a map in any order, with unknown keys skipped and
 * missing or nil ones zero, or as an array in order of declaration. */
#ifndef KI_MSGPACK_H
#define KI_MSGPACK_H

#include "base/bytes.h"

/* ---- writing ---- */

struct ki_pack {
    struct ki_writer w;
    bool ext; /* RPC: str8 and bin allowed */
};

static inline struct ki_pack ki_pack(void *buf, size_t cap, bool ext)
{
    return (struct ki_pack){.w = ki_writer(buf, cap), .ext = ext};
}

void ki_pack_nil(struct ki_pack *p);
void ki_pack_bool(struct ki_pack *p, bool value);
void ki_pack_uint(struct ki_pack *p, uint64_t value);
void ki_pack_int(struct ki_pack *p, int64_t value);
void ki_pack_double(struct ki_pack *p, double value);
void ki_pack_str(struct ki_pack *p, struct ki_span value);
void ki_pack_text(struct ki_pack *p, const char *text);      /* a string from the program text */
void ki_pack_bytes(struct ki_pack *p, struct ki_span value); /* ptr NULL: nil */
void ki_pack_bytes_front(struct ki_pack *p,
                         size_t len); /* the head of bytes that the caller appends */
void ki_pack_array(struct ki_pack *p, size_t count);
void ki_pack_map(struct ki_pack *p, size_t count);

/* ---- reading ---- */

enum ki_token_kind {
    KI_TOKEN_NIL,
    KI_TOKEN_BOOL,
    KI_TOKEN_UINT,   /* any integer >= 0, however it was encoded */
    KI_TOKEN_NEGINT, /* any integer < 0 */
    KI_TOKEN_DOUBLE,
    KI_TOKEN_STR,
    KI_TOKEN_BIN,
    KI_TOKEN_EXT,
    KI_TOKEN_ARRAY,
    KI_TOKEN_MAP
};

struct ki_token {
    enum ki_token_kind kind;
    union {
        bool boolean;
        uint64_t uint;
        int64_t negint;
        double real;
        struct ki_span bytes; /* STR, BIN, EXT: borrowed from the input */
        uint32_t count;       /* ARRAY: elements; MAP: pairs */
    } as;
};

/* Reads one token.  Returns false, and r->bad, at malformed or truncated input, or a count larger than the bytes
 * left could hold; and r->ended too when it is only that more bytes are needed. */
bool ki_unpack(struct ki_reader *r, struct ki_token *out);

/* Skips one whole object of at most 32 levels.  Returns false, and r->bad, otherwise. */
bool ki_unpack_skip(struct ki_reader *r);

/* Typed reads: false, and r->bad, when the next object is something else.  nil reads as zero / empty. */
bool ki_unpack_uint(struct ki_reader *r, uint64_t max, uint64_t *out);
bool ki_unpack_int(struct ki_reader *r, int64_t *out);
bool ki_unpack_bool(struct ki_reader *r, bool *out);
bool ki_unpack_double(struct ki_reader *r, double *out); /* or an integer */
bool ki_unpack_str(struct ki_reader *r, struct ki_span *out); /* str only */
bool ki_unpack_bytes(struct ki_reader *r,
                     struct ki_span *out); /* str or bin; not an array of numbers (msgpack.c) */
bool ki_unpack_map(struct ki_reader *r, uint32_t *count);
bool ki_unpack_array(struct ki_reader *r, uint32_t *count);

/* ---- structs by table ---- */

enum ki_field_kind {
    KI_FIELD_U8,
    KI_FIELD_U16,
    KI_FIELD_U32,
    KI_FIELD_U64,
    KI_FIELD_I64,
    KI_FIELD_BOOL,
    KI_FIELD_DOUBLE,
    KI_FIELD_STR,   /* struct ki_span */
    KI_FIELD_BYTES, /* struct ki_span; ptr NULL is nil */
    KI_FIELD_RAW    /* struct ki_span: one whole encoded object, any kind; ptr NULL is nil */
};

struct ki_field {
    const char *name;
    uint16_t offset;
    uint8_t name_len;
    uint8_t kind;    /* enum ki_field_kind */
    uint8_t order;   /* place among the keys when sent: the rank of the name */
    bool omit_empty; /* not sent when zero or empty */
};

#define KI_FIELD(type, field, wire_name, field_kind, wire_order, omit)              \
    {                                                                               \
        .name = (wire_name), .offset = offsetof(type, field), .kind = (field_kind), \
        .name_len = sizeof(wire_name) - 1, .order = (wire_order), .omit_empty = (omit) \
    }

void ki_pack_struct(struct ki_pack *p, const struct ki_field *fields, size_t count, const void *in);
/* *out must be zeroed by the caller.  Spans borrow from the input. */
bool ki_unpack_struct(struct ki_reader *r, const struct ki_field *fields, size_t count, void *out);

#endif
