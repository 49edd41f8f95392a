/* A delta as it is told: cells with new dots, and retired dots (R5). */
#ifndef KI_STORE_DELTA_H
#define KI_STORE_DELTA_H

#include "store/store.h"

struct ki_delta {
    size_t cell_count;
    struct ki_span cells; /* borrowed, checked */
    struct ki_cell_limits limits;
    struct ki_context retired;
};

struct ki_delta_cursor {
    struct ki_reader r;
    size_t left;
};

/* Reads and checks all of it.  Close it in any case. */
int ki_delta_open(struct ki_delta *delta, struct ki_mem *mem, const struct ki_store_config *config, struct ki_span bytes);
void ki_delta_close(struct ki_delta *delta);

struct ki_delta_cursor ki_delta_cursor(const struct ki_delta *delta);
bool ki_delta_next(const struct ki_delta *delta, struct ki_delta_cursor *cursor, struct ki_cell_image *image);

#endif
