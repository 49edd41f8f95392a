/* kith's store: one agreed state on every node, no coordinator.
 *
 * Write anywhere, read anywhere.  Every kith member of the pool holds everything, in memory; a read or a write asks nobody
 * and works when the network is cut.  When it is not, writes are pushed to all at once, and what was missed is found by
 * comparing sketches, at a cost that follows the number of differences.  The type you write is the policy by which two
 * writes that knew nothing of each other come together:
 *
 *   string            the later write shows (hybrid logical clock; the replica's id decides ties)
 *   counter           increments add up, none is lost, none counts twice
 *   siblings          all show, until a writer that has seen them replaces them
 *   set, hash, sorted set   element by element; an add beats a removal that had not seen it
 *
 * A delete removes what this node has seen and leaves no tombstone.  PROTOCOL.md has the rules, R1 to R24, and what each
 * type's anomalies are.
 *
 * The loop of a driver gains two lines:
 *
 *     while (kith_poll_row(k, now, &row))        write it down, if the store is to survive (below)
 *     while (kith_poll_change(k, &change))       tell the application what has changed, if it wants to know
 *
 * The rules at the top of kith.h hold here too.  Only wall_us of the time matters to values (stamps, expiry).
 */
#ifndef KITH_STORE_H
#define KITH_STORE_H

#include <kith/kith.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------------------------------------- life ---- */

#define KITH_SECRET_LEN 32

/** Start from kith_store_config_init(). */
struct kith_store_config {
    size_t size;               /* sizeof(struct kith_store_config), set by kith_store_config_init() */
    bool keep_id;              /* go on under the loaded replica id: only if these rows are known to be the newest that
                                * it ever showed, and no copy of them is in use; default false, a new id at each start */
    bool withhold;             /* nothing of a write leaves before kith_rows_durable() ("always"); default false */
    bool watch;                /* kith_watch() from the beginning; default false */
    uint32_t key_max;          /* bytes of a key; default 64 KiB, at most that */
    uint32_t value_max;        /* bytes of a value, and of a field or member; default 16 MiB, at most 512 MiB */
    uint64_t memory_max;       /* bytes the store may allocate; then writes fail with KITH_ERR_NOMEM, nothing is evicted,
                                * and peers' writes are refused until there is room; default 0: no limit of its own */
    uint32_t changes_max;      /* changes waiting to be polled; default 65,536 */
    uint32_t clock_warn_ms;    /* a stamp so far ahead of our wall clock is counted; default 1 s */
    uint32_t clock_clamp_ms;   /* beyond it, our own clock does not follow; default 1 min */
    uint64_t clock_refuse_ms;  /* beyond it, it is refused with all that came with it; default 1 day */
    uint32_t repair_bytes_per_s; /* of repair sent to one peer, bulk transfers included; default 0: no limit */
};

KITH_API void kith_store_config_init(struct kith_store_config *config);

/** Gives the instance a store.  Before kith_load_row() and kith_ready(); once.
 *  Returns: 0; KITH_ERR_STATE (too late, twice, or in bare mode 0/0/0); KITH_ERR_ARG; KITH_ERR_NOMEM. */
KITH_API int kith_store_open(kith *k, const struct kith_store_config *config);

/* ------------------------------------------------------------------------------------------------- kinds ---- */

/** What a key shows.  If several are written to one key at once, the greatest shows everywhere. */
enum kith_type {
    KITH_TYPE_NONE = 0,
    KITH_TYPE_STRING = 1,   /* bytes or a counter */
    KITH_TYPE_SIBLINGS = 2, /* a multi-value register */
    KITH_TYPE_SORTED = 3,
    KITH_TYPE_SET = 4,
    KITH_TYPE_HASH = 5
};

enum kith_shape {
    KITH_SHAPE_NOTHING = 0, /* it is not there */
    KITH_SHAPE_BYTES = 1,
    KITH_SHAPE_INTEGER = 2, /* increments have made it a number */
    KITH_SHAPE_REAL = 3
};

struct kith_value {
    enum kith_shape shape;
    struct kith_str bytes; /* BYTES: borrowed */
    int64_t integer;       /* INTEGER */
    double real;           /* REAL */
};

/** A member of a set, a field of a hash, a member of a sorted set. */
struct kith_element {
    struct kith_str field;   /* borrowed */
    struct kith_value value; /* hash */
    double score;            /* sorted set */
};

#define KITH_NEVER_MS UINT64_MAX /* an expiry that never comes */

/* ----------------------------------------------------------------------------------------------- writing ---- */

/* Writes between kith_store_begin() and kith_store_commit() are one group: other nodes, and the disk, see all or none of
 * it.  Each takes effect at once here; one that fails leaves the group open and the others in it.  A write outside a group
 * is a group of its own.  A group of more than 1,024 writes, or one that replaces or deletes as many, may reach others in
 * parts, so that no node stands still meanwhile; and whoever was not reached at once gets all by repairs, which go by
 * keys and not by groups.
 *
 * All return 0 or
 *   KITH_ERR_STATE      no store is open, or kith_ready() was not called
 *   KITH_ERR_TYPE       the key shows another type; delete it first
 *   KITH_ERR_NUMBER     what is there, or what is given, is no number to count on
 *   KITH_ERR_OVERFLOW   the result does not fit 64 bits, or is no finite double
 *   KITH_ERR_TOO_LONG   key, field or value beyond the limits of the configuration
 *   KITH_ERR_NOMEM      memory_max, or the machine's: nothing has changed; delete something or raise the limit
 * Out parameters may be NULL and are set on success alone. */

/** Opens a group.  Returns: KITH_ERR_STATE if one is open. */
KITH_API int kith_store_begin(kith *k);
/** Ends it.  Returns: KITH_ERR_STATE if none is open. */
KITH_API int kith_store_commit(kith *k, struct kith_time now);

/** SET: replaces whatever is under the key, of whatever type.  expires_ms: wall clock, or KITH_NEVER_MS. */
KITH_API int kith_set(kith *k, struct kith_time now, struct kith_str key, struct kith_str value, uint64_t expires_ms);
KITH_API int kith_increase(kith *k, struct kith_time now, struct kith_str key, int64_t by, int64_t *result);
KITH_API int kith_increase_real(kith *k, struct kith_time now, struct kith_str key, double by, double *result);
/** Deletes all that this node sees under the key; what it has not seen yet survives. */
KITH_API int kith_delete(kith *k, struct kith_time now, struct kith_str key, bool *existed);
/** When the key ends; KITH_NEVER_MS takes an end away; a time that has passed deletes.  *changed: there was such a key, and
 *  (taking away) it had an end. */
KITH_API int kith_expire(kith *k, struct kith_time now, struct kith_str key, uint64_t at_ms, bool *changed);

KITH_API int kith_set_add(kith *k, struct kith_time now, struct kith_str key, struct kith_str member, bool *is_new);
KITH_API int kith_hash_set(kith *k, struct kith_time now, struct kith_str key, struct kith_str field,
                           struct kith_str value, bool *is_new);
KITH_API int kith_hash_increase(kith *k, struct kith_time now, struct kith_str key, struct kith_str field, int64_t by,
                                int64_t *result);
KITH_API int kith_hash_increase_real(kith *k, struct kith_time now, struct kith_str key, struct kith_str field,
                                     double by, double *result);
KITH_API int kith_sorted_add(kith *k, struct kith_time now, struct kith_str key, struct kith_str member, double score,
                             bool *is_new);
KITH_API int kith_sorted_increase(kith *k, struct kith_time now, struct kith_str key, struct kith_str member, double by,
                                  double *result);
/** Removes an element of a set, hash or sorted set. */
KITH_API int kith_remove(kith *k, struct kith_time now, struct kith_str key, enum kith_type type, struct kith_str field,
                         bool *existed);

/** A dot: the name of one write. */
struct kith_dot {
    uint64_t replica;
    uint64_t n;
};

/** Writes a sibling.  seen, count: the siblings it replaces, from kith_sibling(); NULL: all that are here.
 *  Returns: also KITH_ERR_ARG (a dot in seen that this node has never seen). */
KITH_API int kith_put_sibling(kith *k, struct kith_time now, struct kith_str key, struct kith_str value,
                              const struct kith_dot *seen, size_t count);

/* ----------------------------------------------------------------------------------------------- reading ---- */

/* Reading ends what has expired, so it takes the time.  Everything borrowed lives until the next call that takes a
 * non-const kith pointer, other reads of this section included.  Without a store nothing is there. */

KITH_API enum kith_type kith_type_of(kith *k, struct kith_time now, struct kith_str key);
/** Reads a string.  Returns: 0, out->shape NOTHING when it is not there; KITH_ERR_TYPE. */
KITH_API int kith_get(kith *k, struct kith_time now, struct kith_str key, struct kith_value *out);
/** When the key ends; KITH_NEVER_MS: never.  Returns: KITH_ERR_NOT_FOUND. */
KITH_API int kith_expiry(kith *k, struct kith_time now, struct kith_str key, uint64_t *at_ms);

/** How many elements a set, hash or sorted set has.  Returns: 0, *count 0 when the key is not there; KITH_ERR_TYPE. */
KITH_API int kith_count(kith *k, struct kith_time now, struct kith_str key, enum kith_type type, uint32_t *count);
/** Finds one.  Returns: 0; KITH_ERR_NOT_FOUND; KITH_ERR_TYPE. */
KITH_API int kith_element(kith *k, struct kith_time now, struct kith_str key, enum kith_type type, struct kith_str field,
                          struct kith_element *out);
/** Walks them, in no order: start with *cursor = 0, and *cursor is 1 with the last one.  What is there from beginning to
 *  end is shown at least once, whatever is written meanwhile.  Returns: false after the last; or not that type. */
KITH_API bool kith_next_element(kith *k, struct kith_time now, struct kith_str key, enum kith_type type,
                                uint64_t *cursor, struct kith_element *out);

/** A sorted set's member by rank, from 0, in order of (score, member's bytes).  Returns: 0; KITH_ERR_NOT_FOUND;
 *  KITH_ERR_TYPE; KITH_ERR_NOMEM (a part of the order had been put off). */
KITH_API int kith_sorted_at(kith *k, struct kith_time now, struct kith_str key, uint32_t rank, struct kith_element *out);
/** A member's rank.  Returns: as above. */
KITH_API int kith_sorted_rank(kith *k, struct kith_time now, struct kith_str key, struct kith_str member,
                              uint32_t *rank);
/** The rank of the first member whose score is not below `score` (or, with above, is above it): the count, if none. */
KITH_API int kith_sorted_bound(kith *k, struct kith_time now, struct kith_str key, double score, bool above,
                               uint32_t *rank);

/** A sibling, by place from 0, in order of dot.  Returns: 0; KITH_ERR_NOT_FOUND beyond the last; KITH_ERR_TYPE. */
KITH_API int kith_sibling(kith *k, struct kith_time now, struct kith_str key, uint32_t place, struct kith_str *value,
                          struct kith_dot *dot);

/** Walks all keys, as kith_next_element() does. */
KITH_API bool kith_next_key(kith *k, struct kith_time now, uint64_t *cursor, struct kith_str *key);

/* ---------------------------------------------------------------------------------------------- evidence ---- */

/** One holder of a key's version: a replica that is known to have held all that the key shows here, at some time since that
 *  replica id began.  A restarted node has a new id and begins empty-handed. */
struct kith_holder {
    uint64_t replica;
    struct kith_str member; /* whose present id it is; alive */
    bool is_self;
};

/** Walks the known holders of what the key shows: start with *cursor = 0.  Knowledge lags what is so, never leads it.
 *  Returns: false after the last. */
KITH_API bool kith_next_holder(kith *k, struct kith_time now, struct kith_str key, uint64_t *cursor,
                               struct kith_holder *out);

/** Waits until so many other members, alive now, are known to hold all that this node has written under its present id:
 *  the DONE event's count says how many there were, and its result is KITH_ERR_TIMEOUT if they were fewer.  timeout_ms 0: no
 *  end.  Returns: 0; KITH_ERR_STATE; KITH_ERR_FULL (tickets_max); KITH_ERR_NOMEM. */
KITH_API int kith_store_wait(kith *k, struct kith_time now, uint32_t members, uint32_t timeout_ms, kith_ticket *ticket);

/* ----------------------------------------------------------------------------------------------- changes ---- */

/** A key has changed, by a write here or from elsewhere, or by its time.  Successive changes of one key may come as one. */
struct kith_change {
    struct kith_str key;   /* borrowed until the next call that takes a non-const kith pointer */
    enum kith_type type;   /* what it showed when it changed, or (gone) had shown; NONE: nothing */
    uint32_t wrote;        /* KITH_WROTE_ bits */
    uint32_t removed;      /* likewise: of what is no longer there, and was not replaced */
    bool is_gone;          /* the key shows nothing any more */
    bool is_expired;       /* because its time had come */
    bool is_remote;        /* by a write elsewhere */
};
enum {
    KITH_WROTE_STRING = 1,
    KITH_WROTE_COUNTER = 2,
    KITH_WROTE_SIBLING = 4,
    KITH_WROTE_SORTED = 8,
    KITH_WROTE_SORTED_COUNTER = 16,
    KITH_WROTE_SET = 32,
    KITH_WROTE_HASH = 64,
    KITH_WROTE_HASH_COUNTER = 128,
    KITH_WROTE_EXPIRY = 256
};
/** Begins to note changes, or stops (what was noted can still be taken).  A note costs a write about a third of its time. */
KITH_API void kith_watch(kith *k, bool on);
/** Takes the next change.  Beyond changes_max they are dropped and counted (changes_dropped): who must not miss any looks
 *  at everything again then. */
KITH_API bool kith_poll_change(kith *k, struct kith_change *out);

/* ------------------------------------------------------------------------------------------------- disk ---- */

/* What must survive is a table of rows, name -> value, in groups of moderate size.  A driver that persists polls a whole
 * group, from the first row to the commit mark, without another call in between, carries it out in one transaction, and
 * says how that went.  One group is out at a time: the next is offered after kith_rows_durable(), with all that has changed
 * meanwhile.  At the next start it feeds every row to kith_load_row(), in the order of their names' bytes, before
 * kith_ready().  A driver that does not persist never polls; nothing piles up. */
struct kith_row {
    struct kith_str name;  /* 1..32 bytes; borrowed */
    struct kith_str value; /* borrowed */
    bool is_gone;          /* delete it; it may not be there */
    bool is_commit;        /* the end of the group; seq for kith_rows_durable() */
    bool is_part;          /* at a commit mark: so much has changed that it takes several groups, and this is not the last.
                            * Nothing is durable before that one is: take the next without delay */
    uint64_t seq;
};
/** Takes the next row of a group.  Returns: false when there is no group to take, also in the middle of one, for want of
 *  memory: drop what was taken of it, it will be offered again. */
KITH_API bool kith_poll_row(kith *k, struct kith_time now, struct kith_row *out);

/** Tells how the transaction went.  error != 0: nothing of the group was written; its rows are offered again. */
KITH_API void kith_rows_durable(kith *k, struct kith_time now, uint64_t seq, int error);

/** What kith_rows_are_durable() will have reached when all that has been written or taken in until now is on the disk: what
 *  a reply tells is safe then.  Both count groups from 1; without a driver that polls rows, durable stays 0. */
KITH_API uint64_t kith_rows_written(const kith *k);
KITH_API uint64_t kith_rows_are_durable(const kith *k);

/** Feeds a stored row.  Returns: 0; KITH_ERR_MALFORMED (not a row of ours: do not start on this data); KITH_ERR_NOMEM;
 *  KITH_ERR_STATE. */
KITH_API int kith_load_row(kith *k, struct kith_str name, struct kith_str value);

/** All rows of the state as it is now, for a backup: start with *cursor = 0 and call until false, without another call that
 *  changes the store in between.  The last row is a commit mark.  With keep_id there are none while something is not yet
 *  durable: it would be shown before it is safe.  Under withhold it is the driver's business to let no row out of its hands
 *  before all that was written is (kith_rows_written()). */
KITH_API bool kith_export_row(kith *k, uint64_t *cursor, struct kith_row *out);
/** Takes a backup in, as if its replica were met again: what was known as deleted here stays deleted, what was written since
 *  stays.  Feed the rows in the order they were exported; with the commit mark all of it takes effect, and this node takes a
 *  new replica id.  The backup is in memory twice until then, and the last call takes about 1 us a cell.
 *  Returns: 0; KITH_ERR_MALFORMED, KITH_ERR_STATE: nothing of it was taken in; KITH_ERR_NOMEM: nothing, or with the commit
 *  mark some of its values (nothing that was deleted comes back, and it may be tried again).  After an error begin anew. */
KITH_API int kith_import_row(kith *k, struct kith_time now, const struct kith_row *row);

/* ---------------------------------------------------------------------------------------------- how it is ---- */

struct kith_store_gauges {
    uint64_t keys, cells;
    uint64_t bytes;         /* allocated for the store */
    uint64_t replica;       /* our present id */
    uint64_t written;       /* writes made under it */
    uint64_t expired;       /* keys that have come to their end here since the start */
    uint32_t replicas;      /* ids known */
    uint32_t runs;          /* of the causal context: as many as replicas when nothing is missing */
    uint8_t root[16];       /* equal roots: equal stores; zero while it is being computed or has no secret */
    bool has_root;
    uint32_t peers;         /* living kith members with a store, ourselves not counted */
    uint32_t peers_in_sync; /* of those, with the root that we have */
    uint64_t rounds;        /* comparisons of roots */
    uint64_t repairs;       /* sessions finished */
    uint64_t repairs_failed;
    uint64_t differences;   /* cells received and dropped in them */
    uint64_t refused_ahead; /* deltas refused for their stamps */
    bool is_partial;        /* cells of others were refused for want of memory or for their stamps */
};
/** Returns: 0; KITH_ERR_STATE without a store. */
KITH_API int kith_store_read_gauges(kith *k, struct kith_store_gauges *out);

struct kith_store_peer {
    struct kith_str member;
    uint64_t replica;     /* its present id, or 0: not known yet */
    bool in_sync;         /* the last comparison found equal roots, and nothing is known to have changed since */
    uint64_t synced_us;   /* monotonic time when equal roots were found last, or a repair finished; 0: never */
    uint64_t differences; /* repaired with it */
};
/** Walks the living kith members with a store: start with *cursor = 0. */
KITH_API bool kith_next_store_peer(const kith *k, uint32_t *cursor, struct kith_store_peer *out);

#ifdef __cplusplus
}
#endif

#endif
