/* What the pool computes (kith/aggregate.h), inside an instance.
 *
 *   aggregate.c       what is open here, what is known       aggregate_read.c  reading, by whichever engine
 *   aggregate_exact.c the engine that knows every contribution
 *
 * Nothing of it exists before an aggregate is opened here or heard of. */
#ifndef KI_NODE_AGGREGATE_H
#define KI_NODE_AGGREGATE_H

#include <kith/aggregate.h>

#include "aggregate/contributions.h"
#include "aggregate/fold.h"
#include "node/node.h"

/* One that is open here. */
struct ki_aggregate {
    struct ki_schema *schema; /* a use of it */
    bool has_value;
    bool is_told;     /* in this generation: others have `told`, and nothing moves them but a step */
    double value, told;
    uint64_t told_us; /* when it was told last, ever; 0: never */
};

/* All that are known under one name. */
struct ki_aggregate_group {
    struct ki_schema *schema;        /* ours; or else the one with most contributors; NULL: nobody has opened it */
    const struct ki_aggregate *open; /* NULL: not here */
    uint32_t contributors, conflicts;
};

/* An engine's answers.  Arguments are checked, and the schema is one that it has; `conflicts` is not its to tell. */
struct ki_engine {
    int (*read)(struct kith *k, struct ki_schema *schema, struct kith_aggregate_answer *out);
    int (*quantile)(struct kith *k, struct ki_schema *schema, double q, double *value, double *rank_error);
    int (*histogram)(struct kith *k, struct ki_schema *schema, const double *bounds, size_t count, double *counts);
    int (*list)(struct kith *k, struct ki_schema *schema, bool from_largest, size_t first, struct kith_place *out,
                size_t cap, size_t *count);
    int (*rank)(struct kith *k, struct ki_schema *schema, struct ki_span member, struct kith_rank *out);
    int (*pick)(struct kith *k, struct ki_schema *schema, struct kith_place *out, size_t cap, size_t *count);
};

/* The contributions of the living to one schema, in order; good while nothing changes. */
struct ki_sorted {
    struct ki_placed *list;
    uint32_t count, cap;
    const struct ki_schema *schema; /* NULL: nothing is */
    uint64_t changes;               /* of contributions, */
    uint32_t epoch, members;        /* and of members */
};

struct ki_aggregates {
    struct ki_contributions contributions; /* as far as they are told; ours are with them */
    struct ki_contributor *own;
    struct ki_aggregate *open; /* in no order */
    uint32_t open_count, open_cap;
    const struct ki_engine *engines[3]; /* by enum kith_engine; NULL: there is none */
    struct ki_sorted sorted;
    struct ki_rng rng; /* its own, so that what is measured moves no other choice */
    bool exact_is_off; /* AUTO means the network engine */
};

/* ---- aggregate.c ---- */

/* Those of this instance, made when first needed.  NULL: no memory, and counted. */
struct ki_aggregates *ki_aggregates(struct kith *k);
void ki_aggregates_free(struct kith *k);
void ki_aggregates_forget(struct kith *k, uint32_t id); /* a member is about to be forgotten */
/* True if contributions under it are told to everybody. */
bool ki_aggregates_exact(const struct ki_aggregates *a, const struct ki_schema *schema);
/* Another generation of ours: whatever we contribute is to be told again. */
void ki_aggregates_renew(struct ki_aggregates *a, uint64_t generation);
/* All under this name. */
struct ki_aggregate_group ki_aggregates_group(const struct kith *k, struct ki_aggregates *a, struct ki_span name);
struct kith_schema ki_schema_shown(const struct ki_schema *schema);

/* A member that is not known to be gone. */
static inline bool ki_aggregates_lives(const struct kith *k, uint32_t id)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    return m && (m->state == KI_ALIVE || m->state == KI_SUSPECT);
}

/* ---- aggregate_exact.c ---- */

extern const struct ki_engine ki_exact_engine;

#endif
