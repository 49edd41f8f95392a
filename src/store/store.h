/* A replica: live cells, what is known of all others (one causal context), and the rules by which they change.
 *
 * Local operations (ops.h) and deltas from elsewhere come in; what was written goes out as deltas.  Nothing here reads a
 * clock, draws a random number or sends: wall time comes with each call, the replica id from above.
 * Rule numbers, R1 to R24, are those of PROTOCOL.md, "The store". */
#ifndef KI_STORE_STORE_H
#define KI_STORE_STORE_H

#include "store/cells.h"
#include "store/context.h"
#include "store/hybrid.h"

enum ki_store_error {
    KI_STORE_FINE = 0,
    KI_STORE_MEMORY = -1,    /* the limit, or the hooks: nothing changed */
    KI_STORE_TYPE = -2,      /* the key holds another type */
    KI_STORE_NUMBER = -3,    /* what is there is no number */
    KI_STORE_OVERFLOW = -4,  /* the result is beyond 64 bits, or no finite double */
    KI_STORE_TOO_LONG = -5,  /* key, field or value beyond the limits */
    KI_STORE_TOKEN = -6,     /* a token names a dot that this replica has not seen */
    KI_STORE_MALFORMED = -7, /* a delta that no replica makes */
    KI_STORE_AHEAD = -8,     /* a stamp too far in the future: the delta is refused whole (R21) */
    KI_STORE_IMPERSONATED = -9 /* somebody else writes under our id: nothing can be written before ki_store_renew() (R3) */
};

struct ki_store_config {
    struct ki_cell_limits limits;
    struct ki_hybrid_bounds bounds;
    size_t delta_cells_max; /* of a peer's delta: as many cells, and as many retired dots */
};

/* What one local group of operations made.  Cells that it wrote and retired itself are among the retired only (R6). */
struct ki_delta_note {
    uint64_t first_n, end_n; /* new cells: first_n .. end_n - 1, if they still live */
    struct ki_dot *carried;  /* others' cells that must go along (R14) */
    uint32_t carried_count, carried_cap;
    struct ki_context retired;
    uint64_t retired_count; /* dots in it */
};

struct ki_store {
    struct ki_mem *mem;
    struct ki_store_config config;
    struct ki_cells cells;
    struct ki_context context; /* every dot whose fate is known: live cells', and dead ones' (R2) */
    struct ki_hybrid clock;
    uint64_t replica; /* our id */
    uint64_t n;       /* the last number issued under it */
    uint64_t shown_n; /* the last that anybody else may have seen, or a disk */
    struct ki_delta_note note;
    struct ki_compare *compare;  /* NULL: nobody to compare with yet */
    struct ki_session *sessions; /* open ones hear of what joins and goes */
    struct ki_changes *changes;  /* NULL: nobody wants to know which keys change */
    uint64_t version;            /* rises with each change of cells or context, and with nothing else */
    uint32_t *retiring;          /* ids collected by the operation under way */
    uint32_t retiring_count, retiring_cap;
    uint64_t expired;            /* keys that have come to their end here */
    uint64_t ahead, damaged; /* stamps beyond the warning; dots with two contents (R19) */
    uint64_t quarantined, impersonated; /* deltas refused for their stamps; times that our own id was met (R3) */
    bool is_alone;        /* nobody is told what is written: nothing is noted */
    bool is_impersonated; /* somebody issued a number that we have not: writes are refused until ki_store_renew() */
};

/* replica: random, never used before.  hash_key: 16 secret bytes. */
void ki_store_init(struct ki_store *store, struct ki_mem *mem, const struct ki_store_config *config, uint64_t replica,
                   const uint8_t hash_key[16]);
void ki_store_free(struct ki_store *store);
/* What is here stays, and is written to under a new id from now on (R3).  Sessions are to be ended first. */
void ki_store_renew(struct ki_store *store, uint64_t replica);

/* ---- writing: what operations are made of ---- */

/* Collects what a write supersedes; then ki_store_write() or ki_store_retire_only() carries it out, all or nothing.
 * Begin with ki_store_begin(). */
void ki_store_begin(struct ki_store *store);
int ki_store_supersede(struct ki_store *store, uint32_t id);
struct ki_write {
    enum ki_kind kind;
    struct ki_span key, field, value;
    uint64_t expires_ms;
};
int ki_store_write(struct ki_store *store, uint64_t wall_ms, const struct ki_write *write);
int ki_store_retire_only(struct ki_store *store);
/* Retires what was collected, and tells this cell again along with that: who has not seen it must not lose it (R14). */
int ki_store_retire_for(struct ki_store *store, uint32_t id);
/* A cell that nobody needs to be told of: every replica comes to the same end by itself (R24). */
void ki_store_expire(struct ki_store *store, uint32_t id);

/* ---- deltas ---- */

/* The group written since the last call of ki_delta_end(): its size, its bytes, and the beginning of the next. */
bool ki_delta_is_empty(const struct ki_store *store);
size_t ki_delta_len(const struct ki_store *store);
void ki_delta_encode(struct ki_store *store, struct ki_writer *w);
void ki_delta_end(struct ki_store *store);

/* A part of the group, as a delta of its own: the cells that live at these of its places, from `from` and below `to`, and
 * some retired dots.  Who tells parts tells all cells first: a cell is known as dead only where its successor is known. */
struct ki_delta_part {
    uint64_t from, to;
    const struct ki_context *retired;
};
uint64_t ki_delta_places(const struct ki_store *store);
struct ki_delta_part ki_delta_whole(const struct ki_store *store);
size_t ki_delta_part_len(const struct ki_store *store, const struct ki_delta_part *part);
void ki_delta_part_encode(struct ki_store *store, const struct ki_delta_part *part, struct ki_writer *w);

/* Takes one in, wholly or not at all (R5).  KI_STORE_FINE, MEMORY, MALFORMED, TOO_LONG or AHEAD. */
int ki_store_merge(struct ki_store *store, uint64_t wall_ms, struct ki_span delta);

/* ---- for sessions ---- */

/* A cell joins without anything being retired (R18). */
int ki_store_join(struct ki_store *store, uint64_t wall_ms, const struct ki_cell_image *image);
/* The highest number that somebody else knows under our own id, or 0: above ours, somebody writes as us (R3). */
void ki_store_met(struct ki_store *store, uint64_t n);
/* Another content for a dot that is damaged (R19); nothing, if it does not live any more. */
int ki_store_replace(struct ki_store *store, const struct ki_cell_image *image);
/* A dot is dead, whether or not its cell ever came (R5, R20).  Its place in the context must be reserved. */
void ki_store_kill(struct ki_store *store, struct ki_dot dot);

#endif
