/* The live cells of a store, and the ways to find them: by dot, by key, by element.
 *
 *   key ---- single: cells of types without fields (string, siblings, expiry), in a chain
 *       `--- groups: one for each of sorted set, set, hash that has elements
 *              `--- list: an element each, by its first cell;  order: sorted sets, by (score, field)
 *   element: its first cell, and the others chained behind (usually none)
 *
 * Cells and keys are known by indexes that stay while they live.  What they point to is borrowed until the next call that
 * may change the table. */
#ifndef KI_STORE_CELLS_H
#define KI_STORE_CELLS_H

#include "base/chunks.h"
#include "base/index.h"
#include "store/cell.h"
#include "store/order.h"

#define KI_NO_CELL UINT32_MAX
#define KI_NO_KEY UINT32_MAX

struct ki_cell {
    uint64_t n; /* of its dot */
    uint64_t stamp;
    union {
        uint64_t expires_ms; /* of a kind that may expire */
        double score;        /* of a sorted set's element, at its first cell: where it stands in the order */
    };
    struct ki_item item; /* its digest, if it is in the sketch */
    uint8_t *body;       /* field, then value */
    uint32_t field_len, value_len;
    uint32_t replica; /* index into the table of replica ids */
    uint32_t key;
    uint32_t next;  /* of its element (single: of its key), by dot; of a free or vacated place: the next such one */
    uint32_t place; /* of an element's first cell: its place in the group's list */
    uint8_t kind;    /* 0: nothing lives here */
    uint16_t sketch; /* in the sketch of this number, and found by its item, if it is the present one */
    bool is_ordered;  /* stands in its group's order */
    bool is_waiting;  /* the place is in the list of those to be sketched, whatever lives there now */
    bool is_unsaved;  /* likewise, of those to be written down */
    bool is_saved;    /* it has been offered to be written down */
    uint16_t others;  /* of an element's first cell: how many more its chain has, at most 65,535 */
};

struct ki_group {
    struct ki_group *next; /* of the same key, another type */
    uint32_t *list;        /* first cells; a removed one is replaced by the last, so walking down misses nobody */
    uint32_t count, cap;
    struct ki_order order; /* sorted sets only */
    enum ki_type type;
    bool is_disordered; /* some element is not in the order: memory ran out, or it was put off */
};

struct ki_key {
    uint8_t *name; /* NULL: a free place */
    struct ki_group *groups;
    uint32_t name_len;
    uint32_t single; /* first cell */
    uint32_t place;  /* in the list of keys; of a free place: the next free one */
};

/* Places that somebody has to look at, each once; room for all there are. */
struct ki_places {
    uint32_t *list;
    uint32_t count, cap;
};

struct ki_cells {
    struct ki_mem *mem;
    uint8_t hash_key[16];
    struct ki_chunks cells, keys;
    uint32_t cells_used, cells_free, keys_used, keys_free; /* places ever used; head of the free ones */
    uint32_t *key_list;                                    /* as a group's list */
    uint32_t key_count, key_cap;
    uint64_t cell_count;
    uint64_t body_bytes;
    uint64_t *replicas; /* ids by index, in order of appearance: an index never leaves this machine */
    uint32_t replica_count, replica_cap, replica_recent;
    struct ki_index by_dot, by_key, by_element, by_item;
    struct ki_map by_replica;
    struct ki_order expiring; /* cells, by (time, index) */
    struct ki_places waiting; /* to be sketched, perhaps */
    struct ki_places unsaved; /* to be written down, perhaps */
    bool keeps_rows;          /* somebody writes them down */
    uint32_t vacated, vacated_count; /* places of cells that were saved and are gone: their rows have to go, too */
    uint32_t looked_count; /* places looked at since the present sketch was begun */
    uint16_t sketch;       /* the number of the present one, from 1 */
};

/* hash_key: 16 secret bytes, for this instance alone. */
void ki_cells_init(struct ki_cells *cells, struct ki_mem *mem, const uint8_t hash_key[16]);
void ki_cells_free(struct ki_cells *cells);

static inline struct ki_cell *ki_cells_at(const struct ki_cells *cells, uint32_t id)
{
    return ki_chunks_at(&cells->cells, id, sizeof(struct ki_cell));
}

static inline struct ki_key *ki_cells_key_at(const struct ki_cells *cells, uint32_t key)
{
    return ki_chunks_at(&cells->keys, key, sizeof(struct ki_key));
}

/* A live cell as it is told. */
struct ki_cell_image ki_cells_image(const struct ki_cells *cells, uint32_t id);
struct ki_dot ki_cells_dot(const struct ki_cells *cells, uint32_t id);
struct ki_span ki_cells_field(const struct ki_cell *cell);
struct ki_span ki_cells_value(const struct ki_cell *cell);
/* Wall milliseconds, of a register or an expiry; 0: never. */
uint64_t ki_cell_expiry_ms(const struct ki_cells *cells, uint32_t id);

/* Each KI_NO_CELL, KI_NO_KEY or NULL when there is none. */
uint32_t ki_cells_by_dot(const struct ki_cells *cells, struct ki_dot dot);
uint32_t ki_cells_by_item(const struct ki_cells *cells, struct ki_item item);
uint32_t ki_cells_key(const struct ki_cells *cells, struct ki_span name);
struct ki_group *ki_cells_group(const struct ki_cells *cells, uint32_t key, enum ki_type type);
/* The first cell of an element.  A type without fields gives the first of the key's single cells, whatever their kinds. */
uint32_t ki_cells_element(const struct ki_cells *cells, uint32_t key, enum ki_type type, struct ki_span field);

/* Enters a cell whose dot is not there; its bytes are copied.  near: probably its key, or KI_NO_KEY.  false: memory is out,
 * nothing changed. */
bool ki_cells_add(struct ki_cells *cells, const struct ki_cell_image *image, uint32_t near, uint32_t *id);
/* Takes it out; a key without cells goes too.  It must not be sketched any more. */
void ki_cells_remove(struct ki_cells *cells, uint32_t id);

static inline bool ki_cells_is_sketched(const struct ki_cells *cells, uint32_t id)
{
    return ki_cells_at(cells, id)->sketch == cells->sketch;
}

/* No cell is sketched any more: all will be named again. */
void ki_cells_sketch_anew(struct ki_cells *cells);
/* Finds it by its item from now on.  false: memory is out. */
bool ki_cells_sketched(struct ki_cells *cells, uint32_t id, struct ki_item item);
void ki_cells_unsketched(struct ki_cells *cells, uint32_t id);
/* Another cell that is not sketched yet, and will not be named again.  KI_NO_CELL: all are. */
uint32_t ki_cells_next_waiting(struct ki_cells *cells);
bool ki_cells_has_waiting(const struct ki_cells *cells); /* or what it was has gone by now */
/* Rows on a disk: from now on it is known which cells are not yet there, and which are there no more.  false: memory is
 * out. */
bool ki_cells_keep_rows(struct ki_cells *cells);
/* Another live cell that is not saved; it is, after this call, and will not be named again. */
uint32_t ki_cells_next_unsaved(struct ki_cells *cells);
/* It was not written after all. */
void ki_cells_not_saved(struct ki_cells *cells, uint32_t id);
/* The dot of another cell whose row must go, which is not named again.  false: there is none. */
bool ki_cells_next_vacated(struct ki_cells *cells, struct ki_dot *dot);

/* It was named, and could not be sketched. */
void ki_cells_wait(struct ki_cells *cells, uint32_t id);

/* A sorted set's order, whole: false when memory is out. */
bool ki_cells_put_in_order(struct ki_cells *cells, struct ki_group *group);
/* What an element's cells add up to, and which of them shows: kinds.c. */

#endif
