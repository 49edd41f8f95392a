/* What must survive of a store, as rows: name -> value.  A group of rows takes a disk from one state of the store to a later
 * one; whoever writes them down carries a group out whole or not at all (R22).
 *
 *   name                      value
 *   'a' replica id (8)        the runs of this replica in the context, as a context of its own (context_wire.c)
 *   'b'                       version 1, flags 1, replica id 8, last number 8, highest stamp 8, secret 32
 *   'b' 'p'                   version 1: cells have been written ahead (below)
 *   'c' replica id, number    the cell (cell.c)
 *
 * Sorted by name, contexts come before the cells that they must contain.
 *
 * When much has changed, groups of cells alone go ahead, so that no group is large.  They mean nothing yet: until the group
 * that ends the row of them, the context does not know their dots, and who loads such rows leaves them out. */
#ifndef KI_STORE_ROWS_H
#define KI_STORE_ROWS_H

#include "store/store.h"

#define KI_ROW_NAME_MAX 17
#define KI_ROW_SECRET_LEN 32

struct ki_row {
    struct ki_span name, value; /* borrowed until the next call */
    bool is_gone;               /* the row goes; it may never have been there */
    bool is_commit;             /* the group ends */
};

struct ki_rows_context { /* what was offered last of a replica's runs */
    uint64_t replica, hash;
};

struct ki_rows {
    struct ki_store *store;
    bool is_on;    /* somebody has asked */
    bool has_secret;
    uint8_t secret[KI_ROW_SECRET_LEN]; /* for whoever compares; kept here because it must survive */
    uint64_t seq;     /* of the group that was offered last; 0: none */
    uint64_t durable; /* of the last one that was written and ended a row of them */
    uint32_t part_max; /* cells of a group that goes ahead */
    uint32_t parts;    /* groups that are still to go ahead */
    bool is_part;      /* the group that was offered last is one of those */
    bool has_parts;    /* there are cells on the disk of which the context may not know */
    uint64_t version; /* of the store, when that group was begun */
    enum { KI_ROWS_IDLE, KI_ROWS_PARTS, KI_ROWS_GONE, KI_ROWS_CELLS, KI_ROWS_CONTEXT, KI_ROWS_COMMIT, KI_ROWS_OUT } phase;
    struct ki_dot at;              /* CONTEXT: the next replica */
    struct ki_dot *gone;           /* of the group that is out: rows that go */
    uint32_t gone_count, gone_cap, gone_again; /* the first so many have failed before */
    struct ki_dot *put;            /* and rows that come */
    uint32_t put_count, put_cap;
    struct ki_rows_context *contexts; /* by replica */
    uint32_t context_count, context_cap, context_at;
    uint8_t name[KI_ROW_NAME_MAX];
    uint8_t *value; /* of the row that is shown */
    uint32_t value_cap;
};

void ki_rows_init(struct ki_rows *rows, struct ki_store *store);
void ki_rows_free(struct ki_rows *rows);

/* The next row of the group that is out; or, if none is, of a new one with all that has changed.  false: nothing has
 * changed, or the group waits for ki_rows_written(), or memory is out: later again.  The store must not change in
 * mid-group. */
bool ki_rows_poll(struct ki_rows *rows, struct ki_row *row);
/* The group that is out has been written, or nothing of it. */
void ki_rows_written(struct ki_rows *rows, bool is_written);
/* What `durable` will have reached when all that has changed until now is on the disk. */
uint64_t ki_rows_due(const struct ki_rows *rows);

/* A stored row, before anything else happens to the store.  0, KI_STORE_MEMORY or KI_STORE_MALFORMED.  Number and id
 * of the former life are found in the store then. */
int ki_rows_load(struct ki_rows *rows, struct ki_span name, struct ki_span value);
/* Whether what was loaded can be a state: rows of every sort, or none. */
bool ki_rows_are_whole(const struct ki_rows *rows);

/* All rows of the state as it is: begin with *cursor 0.  false: the commit mark was the last; or memory is out, and
 * *cursor is 0. */
bool ki_rows_export(struct ki_rows *rows, uint64_t *cursor, struct ki_row *row);

#endif
