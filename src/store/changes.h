/* Which keys have changed, for whoever looks on: a bounded row of notes. */
#ifndef KI_STORE_CHANGES_H
#define KI_STORE_CHANGES_H

#include "store/cells.h"

struct ki_change {
    uint8_t *key; /* owned */
    uint32_t key_len;
    uint16_t wrote;   /* a bit for each kind of cell: 1 << kind */
    uint16_t removed; /* likewise, of what is no longer there and was not replaced */
    uint8_t type;     /* enum ki_type: what the key shows after it */
    bool is_expired, is_remote;
};

struct ki_changes {
    struct ki_mem *mem;
    struct ki_change *ring;
    uint32_t head, count, cap, max;
    uint32_t open;    /* how many of the last belong to the step under way */
    bool is_remote;   /* of the step under way */
    uint64_t dropped; /* notes that did not fit: max was reached, or memory was out */
    struct ki_change shown;
};

void ki_changes_init(struct ki_changes *changes, struct ki_mem *mem, uint32_t max);
void ki_changes_free(struct ki_changes *changes);

/* The store's: a cell has joined; a cell is about to go. */
void ki_changes_wrote(struct ki_changes *changes, const struct ki_cell_image *image);
void ki_changes_retire(struct ki_changes *changes, const struct ki_cells *cells, uint32_t id, bool is_expired);

/* A step is one operation, or one delta: of what happens to one key within it, one note is made.  End it before the next
 * begins. */
void ki_changes_end(struct ki_changes *changes, const struct ki_cells *cells);

/* The next note of a step that has ended; borrowed until the next call.  NULL: none. */
const struct ki_change *ki_changes_next(struct ki_changes *changes);

#endif
