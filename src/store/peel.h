/* The decoder of a sketch: from own cells and a peer's, in whatever order and with whatever holes these come, to the items
 * that only one of the two has. */
#ifndef KI_PEEL_H
#define KI_PEEL_H

#include "base/map.h"
#include "store/sketch.h"

enum ki_peel_result {
    KI_PEEL_MORE,  /* the budget ran out: run again */
    KI_PEEL_DONE,  /* all that differs was found, and the roots prove it */
    KI_PEEL_STUCK, /* needs more cells; what was found so far stays */
    KI_PEEL_BAD    /* the cells contradict themselves: whoever sent them lies */
};

struct ki_found {
    struct ki_item item;
    bool mine; /* only in the own set; otherwise only in the peer's */
};

struct ki_peel {
    struct ki_mem *mem;
    uint8_t key[16];
    struct ki_coded *cells; /* own less the peer's where received, own elsewhere; less what was found, everywhere */
    uint8_t *marks;
    uint32_t *queue; /* a ring of cells that may hold one item alone */
    struct ki_found *found;
    struct ki_map by_item; /* index into found, by the first half of the hash */
    struct ki_root rest;   /* what the found items do not explain of the roots' difference */
    uint32_t cell_count, received;
    uint32_t queue_first, queue_count;
    uint32_t found_count, polled;
    bool bad;
};

/* Takes what it needs of the own sketch: its first cells (at most as many as it has), which later changes do not reach.
 * theirs: the peer's root.  All memory is taken here, about 60 bytes a cell.  false: memory is out. */
bool ki_peel_init(struct ki_peel *peel, struct ki_mem *mem, const struct ki_sketch *own, uint32_t cells,
                  const struct ki_root *theirs);
void ki_peel_free(struct ki_peel *peel);

/* A cell of the peer's, in any order.  false: it is beyond the own prefix or came before, and was ignored. */
bool ki_peel_cell(struct ki_peel *peel, uint32_t index, const struct ki_coded *theirs);

/* Looks at no more than so many cells; one that gives an item costs a microsecond, others much less. */
enum ki_peel_result ki_peel_run(struct ki_peel *peel, uint32_t budget);

/* What was found, once each, in the order of finding; NULL: nothing new.  Borrowed until ki_peel_free().  On which side it
 * is, the peer says: look whether what is "mine" is in the own store, and what is not is not, before acting on it. */
const struct ki_found *ki_peel_next(struct ki_peel *peel);

/* For a caller that finds a lie itself: an item as "mine" that it has not, or as "theirs" that it has. */
void ki_peel_refuse(struct ki_peel *peel);

#endif
