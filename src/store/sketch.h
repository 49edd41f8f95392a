/* A set as a short prefix of an endless row of coded cells: the difference of two prefixes tells the difference of the
 * sets (peel.h), however large the sets are.  Rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh: "Practical
 * Rateless Set Reconciliation", SIGCOMM 2024), kept up to date with each change instead of made for each peer. */
#ifndef KI_SKETCH_H
#define KI_SKETCH_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/ilog.h"
#include "base/mem.h"
#include "store/estimate.h"

/* 128 bits that stand for something stored: a keyed digest of it, so that no writer can choose them. */
struct ki_item {
    uint64_t a, b;
};

/* Some order, the same everywhere. */
static inline bool ki_item_less(struct ki_item x, struct ki_item y)
{
    return x.a != y.a ? x.a < y.a : x.b < y.b;
}

/* What several items make together. */
struct ki_coded {
    uint64_t a, b;  /* XOR of the items */
    uint32_t check; /* XOR of their checks */
    uint32_t count; /* how many, modulo 2^32; of a difference, those of one side less those of the other */
};

#define KI_CODED_LEN 21 /* bytes of a coded cell on the wire */

/* A set in 24 bytes: two sets with the same root are the same set. */
struct ki_root {
    struct ki_hash128 sum; /* XOR of the hashes of the items */
    uint64_t count;
};

#define KI_SKETCH_CELLS_MAX ((uint32_t)1 << 28)

struct ki_sketch {
    struct ki_mem *mem;
    struct ki_coded *cells;
    uint32_t cell_count;
    uint8_t key[16];
    struct ki_root root;
    struct ki_parity parity; /* estimates the size of a difference */
};

/* An empty set; both sides need the same key. 0 < cells <= KI_SKETCH_CELLS_MAX.  false: memory is out. */
bool ki_sketch_init(struct ki_sketch *sketch, struct ki_mem *mem, const uint8_t key[16], uint32_t cells);
/* The same set at a place of its own, which later changes of the first do not reach.  false: memory is out. */
bool ki_sketch_copy(struct ki_sketch *sketch, struct ki_mem *mem, const struct ki_sketch *from);
void ki_sketch_free(struct ki_sketch *sketch);

/* The item must not be in the set, or must be in it: the sketch cannot tell. */
void ki_sketch_add(struct ki_sketch *sketch, struct ki_item item);
void ki_sketch_remove(struct ki_sketch *sketch, struct ki_item item);

void ki_coded_write(struct ki_writer *w, const struct ki_coded *cell);
/* The count is then known modulo 256 only.  Says in the reader when bytes lack. */
struct ki_coded ki_coded_read(struct ki_reader *r);

/* ---- what an item does to cells; for the sketch and its decoder ---- */

/* first: where its row of cells begins; the low half of second: its check; the high half: its place in the parities */
struct ki_hash128 ki_item_hash(const uint8_t key[16], struct ki_item item);

/* by: 1 or UINT32_MAX, which is -1. */
static inline void ki_coded_toggle(struct ki_coded *cell, struct ki_item item, uint64_t second, uint32_t by)
{
    cell->a ^= item.a;
    cell->b ^= item.b;
    cell->check ^= (uint32_t)second;
    cell->count += by;
}

/* The cells that an item takes part in, in rising order; sketch.c says why these.
 *     for (struct ki_walk walk = ki_walk(hash.first); walk.index < cells; ki_walk_next(&walk)) */
struct ki_walk {
    uint64_t random;
    uint64_t index;
};

static inline struct ki_walk ki_walk(uint64_t first)
{
    return (struct ki_walk){.random = first, .index = 0};
}

/* From an index below KI_SKETCH_CELLS_MAX: (2 * 2^28 + 3) * 2^32 stays far below 2^64. */
static inline void ki_walk_next(struct ki_walk *walk)
{
    walk->random *= UINT64_C(0xda942042e4dd58b5);
    uint64_t root = ki_sqrt(walk->random);
    root += root == 0;
    uint64_t top = (2 * walk->index + 3) * (((uint64_t)1 << 32) - root);
    walk->index += (top + 2 * root - 1) / (2 * root);
}

#endif
