/* The store of an instance: what stands between the rules of src/store and the public functions of store.h.
 *
 *   replica.c         life, limits, what time does, gauges     replica_write.c   writing
 *   replica_read.c    reading                                  replica_rows.c    disk, changes, backups */
#ifndef KI_NODE_REPLICA_H
#define KI_NODE_REPLICA_H

#include <kith/store.h>

#include "node/node.h"
#include "store/changes.h"
#include "store/compare.h"
#include "store/ops.h"
#include "store/rows.h"

struct ki_replica {
    struct kith_store_config cfg;
    struct ki_mem mem; /* the store's own, with its own limit */
    struct ki_store store;
    struct ki_rows rows;
    struct ki_changes changes;
    bool is_ready;  /* has an id of its own */
    bool in_group;  /* between begin and commit */
    struct ki_import *import; /* replica_rows.c; NULL: none is under way */
};

/* replica.c */
void ki_replica_free(struct kith *k);
void ki_replica_ready(struct kith *k);
void ki_replica_tick(struct kith *k);
uint64_t ki_replica_deadline(const struct kith *k);
int ki_replica_error(int store_error); /* a ki_store_error as a kith_error */
void ki_replica_renew(struct kith *k); /* under a new id from now on (R3) */

static inline uint64_t ki_wall_ms(struct kith_time now)
{
    return now.wall_us / 1000;
}

static inline struct ki_span ki_span_of(struct kith_str s)
{
    return ki_span(s.ptr, s.len);
}

static inline struct kith_str ki_str_of(struct ki_span s)
{
    return (struct kith_str){.ptr = (const char *)s.ptr, .len = s.len};
}

/* replica_read.c: the store, with this key ended if its time has come.  NULL: there is no store. */
struct ki_replica *ki_replica_for(struct kith *k, struct kith_time now, struct ki_span key);

/* replica_rows.c */
void ki_import_drop(struct kith *k);

/* replica_write.c: what one step, an operation or a delta, has done is told. */
void ki_replica_step_ends(struct ki_replica *r);
void ki_replica_committed(struct kith *k); /* a group has been written */

#endif
