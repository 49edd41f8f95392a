/* What a program does to a store: one operation a call, each all or nothing.
 *
 * Each returns 0 or a negative ki_store_error.  Bytes given are copied.  A key of another type is KI_STORE_TYPE; a missing
 * one is made by what writes.  Out parameters are set only when 0 is returned; NULL is allowed for them. */
#ifndef KI_STORE_OPS_H
#define KI_STORE_OPS_H

#include "store/store.h"

/* Strings.  SET replaces what it sees under the key, of whatever type (R9). */
int ki_set(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span value, uint64_t expires_ms);
int ki_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, int64_t by, int64_t *result);
int ki_increase_real(struct ki_store *store, uint64_t wall_ms, struct ki_span key, double by, double *result);

/* DEL: everything this replica sees under the key, hidden types too (R13).  *existed: there was something to see. */
int ki_delete(struct ki_store *store, struct ki_span key, bool *existed);

/* A multi-value register (R10).  token: dots of the siblings that the writer has seen; NULL: all that are here. */
int ki_put_sibling(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span value,
                   const struct ki_dot *token, size_t token_count);

/* Sets, hashes, sorted sets, an element a call.  *is_new, *existed: whether it was not there, was there. */
int ki_set_add(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, bool *is_new);
int ki_hash_set(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, struct ki_span value,
                bool *is_new);
int ki_hash_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, int64_t by,
                     int64_t *result);
int ki_hash_increase_real(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, double by,
                          double *result);
int ki_sorted_add(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, double score,
                  bool *is_new);
int ki_sorted_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, double by,
                       double *result);
/* SREM, HDEL, ZREM: type is KI_TYPE_SET, KI_TYPE_HASH or KI_TYPE_SORTED. */
int ki_remove(struct ki_store *store, struct ki_span key, enum ki_type type, struct ki_span field, bool *existed);

/* Retires the losers of a register or a field, and tells the winner again (R14).  Nothing to do is fine, too.
 * type: KI_TYPE_STRING or KI_TYPE_HASH. */
int ki_collapse(struct ki_store *store, struct ki_span key, enum ki_type type, struct ki_span field);

/* ---- reading ---- */

/* What a string, or a field of a hash, shows: bytes, or a number that the shares make of them. */
struct ki_shown {
    enum { KI_SHOWS_NOTHING, KI_SHOWS_BYTES, KI_SHOWS_INTEGER, KI_SHOWS_REAL } as;
    struct ki_span bytes; /* borrowed */
    int64_t integer;
    double real;
    uint64_t expires_ms; /* of bytes; 0: never */
};

struct ki_shown ki_string_shown(const struct ki_store *store, uint32_t key);
struct ki_shown ki_field_shown(const struct ki_store *store, uint32_t key, struct ki_span field);

#endif
