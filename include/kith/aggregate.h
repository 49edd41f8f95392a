/* kith's aggregates: what is the average, sum, largest, 99th percentile, count, order of a value over the whole pool?
 *
 * Each member may contribute one number under a name.  Every member answers from its own memory, and says how far the answer
 * is to be trusted.  A member that fails leaves the answer as soon as it is known to have failed.
 *
 *     kith_aggregate_open(k, now, name, &schema)      what is measured: unit, allowed range, how often it is told
 *     kith_aggregate_set(k, now, name, 0.25)          our own part
 *     kith_aggregate_read(k, now, name, engine, &answer)
 *
 * Two engines compute the same:
 *
 *   exact     Every member knows every contribution, each bound to the life of its owner: the newest of (owner, generation,
 *             version) holds.  Answers are folds over the living.  For pools of up to 4,096 members.
 *   network   Nobody knows all.  Averages flow between neighbours in a random overlay (Flow Updating: Jesus, Baquero,
 *             Almeida 2009), which neither loss nor doubling nor failure can bias; largest and smallest values and a random
 *             sample of the members spread by merging.  Costs the same in a pool of any size.
 *
 * Only members of kith's kind take part.  A contribution outside its schema's range is refused, wherever it comes from; so
 * the most that a broken member can do to an average is what its share allows.  A hostile one that speaks the network
 * engine's messages can do to it what 4 shares allow for each of its neighbours, six as a rule.  PROTOCOL.md, "Aggregates".
 *
 * The rules at the top of kith.h hold here too.  Not in bare pools (KITH_ERR_STATE), nor with config.stock.
 */
#ifndef KITH_AGGREGATE_H
#define KITH_AGGREGATE_H

#include <kith/kith.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------------------- contributing ---- */

#define KITH_AGGREGATE_NAME_MAX 64 /* bytes of a name */
#define KITH_UNIT_MAX 16           /* bytes of a unit */

enum kith_engine {
    KITH_ENGINE_AUTO = 0,   /* exact, as long as the pool has at most 4,096 members and contributions take at most 1 MiB */
    KITH_ENGINE_EXACT = 1,
    KITH_ENGINE_NETWORK = 2
};

/** What an aggregate measures.  Start from kith_schema_init().  Members that mean the same say the same: contributions under
 *  one name with another schema are not mixed in, but counted as conflicts. */
struct kith_schema {
    size_t size;             /* sizeof(struct kith_schema), set by kith_schema_init() */
    struct kith_str unit;    /* 0..KITH_UNIT_MAX bytes, for readers */
    double min, max;         /* what may be contributed; -1e100 to 1e100, min < max; default -1e15 and 1e15 */
    double step;             /* a change up to this is not told; 0 to 1e100; default 0: any change is */
    uint32_t interval_ms;    /* a change is told at most once in so long; 1,000 to 3,600,000; default 1,000 */
    enum kith_engine engine; /* default AUTO */
};

KITH_API void kith_schema_init(struct kith_schema *schema);

/** Opens an aggregate: from now on we may contribute.  Reading needs no opening.
 *
 *  In:      name    1..KITH_AGGREGATE_NAME_MAX bytes.   schema  copied.
 *  Returns: 0, also when it is open already with this schema; KITH_ERR_ARG (name, or a field out of range); KITH_ERR_TYPE:
 *           it is open with another schema: close it first; KITH_ERR_FULL (aggregates_max); KITH_ERR_STATE;
 *           KITH_ERR_NOMEM. */
KITH_API int kith_aggregate_open(kith *k, struct kith_time now, struct kith_str name, const struct kith_schema *schema);

/** Clears our contribution and forgets the schema.  Returns: 0; KITH_ERR_NOT_FOUND: it is not open; KITH_ERR_STATE. */
KITH_API int kith_aggregate_close(kith *k, struct kith_time now, struct kith_str name);

/** Sets our contribution.  It counts at once in our own answers; others are told when step and interval allow it.
 *  Returns: 0; KITH_ERR_NOT_FOUND: it is not open; KITH_ERR_NUMBER: not finite, or outside the range of the schema: the old
 *           one stays; KITH_ERR_STATE. */
KITH_API int kith_aggregate_set(kith *k, struct kith_time now, struct kith_str name, double value);

/** Takes our contribution back.  Returns: 0, also when there is none; KITH_ERR_NOT_FOUND: it is not open; KITH_ERR_STATE. */
KITH_API int kith_aggregate_clear(kith *k, struct kith_time now, struct kith_str name);

/* ---------------------------------------------------------------------------------------------- reading ---- */

/** One aggregate that this member knows of, because it has opened it or because somebody contributes. */
struct kith_aggregate {
    struct kith_str name;      /* borrowed */
    struct kith_schema schema; /* ours, if it is open here; else the one with which most members contribute.  Borrowed */
    bool is_open;              /* here */
    bool has_own;              /* we contribute */
    double own;
    uint32_t contributors;     /* living members known to contribute under this schema, ourselves included */
    uint32_t conflicts;        /* living members known to contribute under this name with another schema */
};

/** Walks them in the order of their names: start with *cursor = 0.  Returns: false after the last. */
KITH_API bool kith_aggregate_next(kith *k, size_t *cursor, struct kith_aggregate *out);
/** Finds one.  Returns: 0 or KITH_ERR_NOT_FOUND: it is not open here, and nobody that we know of contributes. */
KITH_API int kith_aggregate_find(kith *k, struct kith_str name, struct kith_aggregate *out);

/** An answer, and how far to trust it. */
struct kith_aggregate_answer {
    enum kith_engine engine;  /* which one gave it */
    double count;             /* contributing members; the network engine estimates */
    double sum, average, variance; /* of the population; all 0 if count is 0 */
    double min, max;
    double error;             /* of the average: how far it may be from that of the present contributions.  Exact: the
                               * schema's step.  Network: also what our neighbours still differ by */
    double effective_n;       /* how many members' values the answer rests on; network: as far as its sample tells */
    uint32_t coverage_ppm;    /* of the living members of kith's kind, how many parts in a million the answer can tell of;
                               * network: of our neighbours and us, how many take part */
    uint32_t conflicts;       /* as in struct kith_aggregate */
    uint64_t age_us;          /* since a contribution in it changed last, as far as we have heard */
    bool converged;           /* exact: nothing is known to be missing.  Network: neighbours agree with us within the step,
                               * or a part in 10,000, for 3 ticks, of 500 ms, and there has been time to hear of all */
};

/* All that follow take
 *  In:      engine  which engine is to answer; AUTO: the one in use.  The network engine runs while somebody reads it: the
 *                   first reading starts it in the whole pool, for a minute, and says converged = false; read again.
 *  Returns: 0; KITH_ERR_NOT_FOUND: no such aggregate; KITH_ERR_ARG; KITH_ERR_STATE: not possible now, or this engine has
 *           not got this aggregate: the exact one not what its schema leaves to the other, nor, if it leaves the choice,
 *           what the pool is too large for; KITH_ERR_NOMEM; and what they say themselves. */

KITH_API int kith_aggregate_read(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                                 struct kith_aggregate_answer *out);

/** The value below which a part q of the contributions lies, 0 <= q <= 1 (nearest rank).
 *  Out:     value
 *           rank_error  how far its true rank may be from q, as a part (three standard errors); 0 when it is exact.
 *  Returns: also KITH_ERR_NUMBER: nobody contributes. */
KITH_API int kith_aggregate_quantile(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine, double q,
                                     double *value, double *rank_error);

/** How many contributions lie in each of count + 1 ranges: below bounds[0], from bounds[0] to below bounds[1], ..., from
 *  bounds[count - 1] on.  In: bounds  rising.  Out: counts  count + 1 of them; the network engine estimates. */
KITH_API int kith_aggregate_histogram(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                                      const double *bounds, size_t count, double *counts);

/** A member's place in the order of values; equal values are ordered by name. */
struct kith_place {
    struct kith_str member; /* borrowed */
    double value;
    uint64_t rank;          /* from 0, the smallest; the network engine estimates */
};

/** Lists places.  Exact: any part of the order.  Network: from the ends, as many as it keeps (32).
 *  In:      from_largest  whether `first` counts from the largest value down or from the smallest up.
 *           first, cap    so many from that place on.
 *  Out:     out, count    count <= cap; fewer: that is the end.
 *  Returns: also KITH_ERR_NOT_FOUND: the network engine does not keep that part. */
KITH_API int kith_aggregate_list(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                                 bool from_largest, size_t first, struct kith_place *out, size_t cap, size_t *count);

/** Where a member stands in the order. */
struct kith_rank {
    struct kith_place self;
    struct kith_place predecessor, successor; /* of the next smaller and larger value; member.ptr NULL: none, or unknown */
    uint64_t count;                           /* of contributions */
    double rank_error;                        /* as a part of count; 0 when it is exact, and the neighbours are known */
};
/** In: member  its name; ptr NULL: ourselves.  Returns: also KITH_ERR_NOT_FOUND: it does not contribute, or (network) is
 *  neither ourselves nor in the sample. */
KITH_API int kith_aggregate_rank(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                                     struct kith_str member, struct kith_rank *out);

/** Picks contributing members at random, each at most once: from all of them, or from the network engine's sample.
 *  Out:     out, count  count <= cap; fewer: there are no more. */
KITH_API int kith_aggregate_pick(kith *k, struct kith_time now, struct kith_str name, enum kith_engine engine,
                                 struct kith_place *out, size_t cap, size_t *count);

/* --------------------------------------------------------------------------------------------- watching ---- */

enum kith_measure {
    KITH_MEASURE_COUNT = 0,
    KITH_MEASURE_SUM = 1,
    KITH_MEASURE_AVERAGE = 2,
    KITH_MEASURE_MIN = 3,
    KITH_MEASURE_MAX = 4,
    KITH_MEASURE_QUANTILE = 5
};

/** "This measure is above (or below) that limit, and has been for so long." */
struct kith_watch {
    enum kith_measure measure;
    double q;         /* QUANTILE: which */
    bool below;       /* holds while the measure is below the limit; else, while it is above */
    double limit;
    uint32_t hold_ms; /* how long it must be so without a break, and how long not, for an edge; 0: at once.  Looked at each
                       * 200 ms */
    enum kith_engine engine;
};

/** Watches.  Each edge is an event KITH_EVENT_WATCH with this ticket: result 1, it holds now; 0, it does so no longer.  The
 *  first event is a 1; of edges that have not been polled only the last counts.  While there is no answer, or nobody
 *  contributes (unless the measure is COUNT), nothing changes, and what has been so until then has to be so anew.
 *  Out:     ticket  must not be NULL.
 *  Returns: 0; KITH_ERR_ARG; KITH_ERR_NOT_FOUND; KITH_ERR_FULL (watches_max); KITH_ERR_STATE; KITH_ERR_NOMEM. */
KITH_API int kith_aggregate_watch(kith *k, struct kith_time now, struct kith_str name, const struct kith_watch *watch,
                                  kith_ticket *ticket);

/** Ends it: no further events, not even a 0.  Returns: 0; KITH_ERR_NOT_FOUND. */
KITH_API int kith_aggregate_unwatch(kith *k, struct kith_time now, kith_ticket ticket);

#ifdef __cplusplus
}
#endif

#endif
