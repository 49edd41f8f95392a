/* Deltas as bytes.
 *
 *   cell count varint | cells (cell.c) | retired dots (a context, context_wire.c), to the end
 *
 * A cell whose dot is retired in the same group is not sent (R6); a reader takes it as retired.
 *
 * A reader checks everything before anything is applied: limits and canonical form.  After that the bytes can be walked
 * without failing.
 *
 * Deliberately not here: what a delta does (store.c); how it travels.
 */
#include "store/delta.h"

#include "base/varint.h"

/* ---- writing ---- */

bool ki_delta_is_empty(const struct ki_store *store)
{
    const struct ki_delta_note *note = &store->note;
    return note->first_n == note->end_n && note->retired.run_count == 0;
}

/* The cells to tell, by number: the new ones, then those carried along.  KI_NO_CELL: this one lives no more, or is new. */
uint64_t ki_delta_places(const struct ki_store *store)
{
    return store->note.end_n - store->note.first_n + store->note.carried_count;
}

static uint32_t delta_cell(const struct ki_store *store, uint64_t i)
{
    const struct ki_delta_note *note = &store->note;
    uint64_t fresh = note->end_n - note->first_n;
    if (i < fresh)
        return ki_cells_by_dot(&store->cells, (struct ki_dot){.replica = store->replica, .n = note->first_n + i});
    struct ki_dot dot = note->carried[i - fresh];
    bool is_new = dot.replica == store->replica && dot.n >= note->first_n;
    return is_new ? KI_NO_CELL : ki_cells_by_dot(&store->cells, dot);
}

static uint64_t delta_cell_count(const struct ki_store *store, const struct ki_delta_part *part)
{
    uint64_t count = 0;
    for (uint64_t i = part->from; i < part->to; i++)
        count += delta_cell(store, i) != KI_NO_CELL;
    return count;
}

struct ki_delta_part ki_delta_whole(const struct ki_store *store)
{
    return (struct ki_delta_part){.to = ki_delta_places(store), .retired = &store->note.retired};
}

size_t ki_delta_len(const struct ki_store *store)
{
    struct ki_delta_part whole = ki_delta_whole(store);
    return ki_delta_part_len(store, &whole);
}

void ki_delta_encode(struct ki_store *store, struct ki_writer *w)
{
    struct ki_delta_part whole = ki_delta_whole(store);
    ki_delta_part_encode(store, &whole, w);
}

size_t ki_delta_part_len(const struct ki_store *store, const struct ki_delta_part *part)
{
    size_t len = ki_varint_len(delta_cell_count(store, part)) + ki_context_encoded_len(part->retired);
    for (uint64_t i = part->from; i < part->to; i++) {
        uint32_t id = delta_cell(store, i);
        if (id == KI_NO_CELL)
            continue;
        struct ki_cell_image image = ki_cells_image(&store->cells, id);
        len += ki_cell_size(&image);
    }
    return len;
}

void ki_delta_part_encode(struct ki_store *store, const struct ki_delta_part *part, struct ki_writer *w)
{
    store->shown_n = store->n;
    ki_put_varint(w, delta_cell_count(store, part));
    for (uint64_t i = part->from; i < part->to; i++) {
        uint32_t id = delta_cell(store, i);
        if (id == KI_NO_CELL)
            continue;
        struct ki_cell_image image = ki_cells_image(&store->cells, id);
        ki_cell_encode(w, &image);
    }
    struct ki_context_cursor cursor = {.ended = false};
    size_t len = w->full ? 0 : ki_context_encode(part->retired, &cursor, w->start + w->len, w->cap - w->len);
    if (cursor.ended)
        w->len += len;
    else
        w->full = true;
}

void ki_delta_end(struct ki_store *store)
{
    store->note.first_n = store->note.end_n = store->n + 1;
    store->note.carried_count = 0;
    ki_context_clear(&store->note.retired);
    store->note.retired_count = 0;
}

/* ---- reading ---- */

struct ki_delta_cursor ki_delta_cursor(const struct ki_delta *delta)
{
    return (struct ki_delta_cursor){.r = ki_reader(delta->cells.ptr, delta->cells.len), .left = delta->cell_count};
}

bool ki_delta_next(const struct ki_delta *delta, struct ki_delta_cursor *cursor, struct ki_cell_image *image)
{
    if (cursor->left == 0)
        return false;
    cursor->left--;
    ki_cell_decode(&cursor->r, &delta->limits, image);
    return !cursor->r.bad;
}

static int delta_check_cells(struct ki_delta *delta, struct ki_reader *r, size_t cells_max)
{
    uint64_t count = ki_take_varint(r);
    if (count > cells_max)
        return KI_STORE_TOO_LONG;
    const uint8_t *start = r->pos;
    struct ki_cell_image image;
    for (uint64_t i = 0; i < count && !r->bad; i++)
        ki_cell_decode(r, &delta->limits, &image);
    delta->cell_count = (size_t)count;
    delta->cells = ki_span(start, (size_t)(r->pos - start));
    return r->bad ? KI_STORE_MALFORMED : 0;
}

int ki_delta_open(struct ki_delta *delta, struct ki_mem *mem, const struct ki_store_config *config, struct ki_span bytes)
{
    struct ki_reader r = ki_reader(bytes.ptr, bytes.len);
    *delta = (struct ki_delta){.limits = config->limits};
    ki_context_init(&delta->retired, mem);
    int error = delta_check_cells(delta, &r, config->delta_cells_max);
    if (error)
        return error;
    struct ki_context_decoder decoder = {.into = &delta->retired,
                                         .replicas_max = config->delta_cells_max,
                                         .runs_max = config->delta_cells_max};
    while (r.left > 0) {
        switch (ki_context_decode(&decoder, &r, SIZE_MAX)) {
        case KI_CONTEXT_FINE:
            break;
        case KI_CONTEXT_MALFORMED:
            return KI_STORE_MALFORMED;
        case KI_CONTEXT_TOO_LARGE:
            return KI_STORE_TOO_LONG;
        case KI_CONTEXT_NO_MEMORY:
            return KI_STORE_MEMORY;
        }
    }
    if (!ki_context_decode_is_whole(&decoder))
        return KI_STORE_MALFORMED;
    /* 2^62 of them are 20 bytes; to look for the cells of so many is not as little */
    return ki_context_dots(&delta->retired) > config->delta_cells_max ? KI_STORE_TOO_LONG : 0;
}

void ki_delta_close(struct ki_delta *delta)
{
    ki_context_free(&delta->retired);
}
