/* What cells say together: which of an element's rivals shows, and what its shares add up to. */
#ifndef KI_STORE_KINDS_H
#define KI_STORE_KINDS_H

#include "store/cells.h"

/* The greatest (stamp, dot) among an element's cells of one kind; KI_NO_CELL: it has none. */
uint32_t ki_element_winner(const struct ki_cells *cells, uint32_t first, enum ki_kind kind);

struct ki_shares {
    uint32_t count; /* replicas that have one */
    bool has_real;
    int64_t integer; /* sum of the integer shares; the nearest end, if it needs more than 64 bits */
    double real;     /* of the real ones, added in order of replica id: the same everywhere */
};

/* Of each replica the share with the greatest n counts, once (R11).  A kind that does not exist for the type is 0. */
struct ki_shares ki_element_shares(const struct ki_cells *cells, uint32_t first, enum ki_kind integer, enum ki_kind real);

/* Of a cell whose kind has such a value. */
int64_t ki_value_integer(const struct ki_cell *cell);
double ki_value_real(const struct ki_cell *cell);

/* A sorted set's element: its base, if any, and its shares. */
double ki_element_score(const struct ki_cells *cells, uint32_t first);

/* What the key is now. */
enum ki_type ki_key_type(const struct ki_cells *cells, uint32_t key);

bool ki_real_is_number(double value); /* not NaN */

/* A decimal integer as Redis takes one: an optional '-', no leading zeros, no spaces, 64 bits. */
bool ki_text_integer(struct ki_span text, int64_t *value);
/* A decimal number of at most 15 digits that counts, and a power of ten up to 22 either way: what a double and integer
 * arithmetic get right without doubt.  Anything else is not a number to count on. */
bool ki_text_real(struct ki_span text, double *value);

/* false, and the nearest end: the sum needs more than 64 bits. */
bool ki_add_integers(int64_t a, int64_t b, int64_t *sum);

#endif
