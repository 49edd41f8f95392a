/* What replicas compare: the items of all live cells as a sketch that is kept, and one number for cells and context. */
#ifndef KI_STORE_COMPARE_H
#define KI_STORE_COMPARE_H

#include "store/sketch.h"
#include "store/store.h"

#define KI_SECRET_LEN 32 /* the same on all that compare */

struct ki_compare {
    struct ki_sketch sketch;
    uint8_t item_key[16], context_key[16], root_key[16];
};

/* Begins, or begins anew with another secret or another number of coded cells.  false: memory is out, nothing changed. */
bool ki_compare_begin(struct ki_store *store, const uint8_t secret[KI_SECRET_LEN], uint32_t cells);
void ki_compare_end(struct ki_store *store);

enum ki_compare_state {
    KI_COMPARE_WHOLE, /* the sketch has every live cell, and no other */
    KI_COMPARE_MORE,  /* the budget is used up: call again */
    KI_COMPARE_MEMORY /* call again when there is some */
};
/* Takes in up to so many of the cells that have come since: about 0.3 us each. */
enum ki_compare_state ki_compare_settle(struct ki_store *store, uint32_t budget);

bool ki_compare_is_whole(const struct ki_store *store); /* nothing has come since */

/* Equal roots: equal cells and equal contexts (R23).  Only when it is whole. */
struct ki_hash128 ki_compare_root(struct ki_store *store);

void ki_compare_retire(struct ki_store *store, uint32_t id); /* the store's: it is about to go */

#endif
