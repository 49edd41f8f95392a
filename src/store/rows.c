/* Rows: what a disk lacks, and what it has too much.
 *
 * Cells remember themselves whether they have been written down, and a cell that was leaves its place, with its dot in it,
 * until its row has been told to go (cells.c).  So a key that is written a thousand times between two groups is one row in
 * and one row out, and forgetting needs no memory.
 *
 * A replica's part of the context is written when it differs from what was written last.  It goes into the same group as
 * the cells, so that a disk never claims to know a dot whose cell it lacks.
 *
 * A group that could not be written is offered again, with what has changed since: its cells that still live, and the dots
 * of those that went.
 *
 * Invariant: while no group is out, every live cell is marked as saved and is on the disk, or is listed as unsaved.
 * Deliberately not here: when to write, and how long the answer takes.
 */
#include "store/rows.h"

#include "base/hash.h"

#define ROWS_VERSION 1
#define ROWS_HAS_SECRET 1

#define ROWS_PART_MAX 8192 /* cells: a millisecond of copying */

enum { ROW_CONTEXT = 'a', ROW_REST = 'b', ROW_PARTS = 'p', ROW_CELL = 'c' };
enum { ROW_REST_LEN = 2 + 8 + 8 + 8 + KI_ROW_SECRET_LEN };

void ki_rows_init(struct ki_rows *rows, struct ki_store *store)
{
    *rows = (struct ki_rows){.store = store, .part_max = ROWS_PART_MAX};
}

void ki_rows_free(struct ki_rows *rows)
{
    struct ki_mem *mem = rows->store->mem;
    ki_mem_free(mem, rows->gone);
    ki_mem_free(mem, rows->put);
    ki_mem_free(mem, rows->contexts);
    ki_mem_free(mem, rows->value);
}

/* ---- one row ---- */

static struct ki_span rows_name(struct ki_rows *rows, uint8_t sort, uint64_t replica, uint64_t n)
{
    rows->name[0] = sort;
    ki_store_be(rows->name + 1, replica, 8);
    ki_store_be(rows->name + 9, n, 8);
    return ki_span(rows->name, sort == ROW_CELL ? 17 : sort == ROW_CONTEXT ? 9 : 1);
}

static bool rows_value_room(struct ki_rows *rows, size_t len)
{
    while (rows->value_cap < len) {
        if (!ki_list_room(rows->store->mem, (void **)&rows->value, 1, rows->value_cap, &rows->value_cap))
            return false;
    }
    return true;
}

static bool rows_cell(struct ki_rows *rows, uint32_t id, struct ki_row *row)
{
    struct ki_cell_image image = ki_cells_image(&rows->store->cells, id);
    size_t len = ki_cell_size(&image);
    if (!rows_value_room(rows, len))
        return false;
    struct ki_writer w = ki_writer(rows->value, len);
    ki_cell_encode(&w, &image);
    *row = (struct ki_row){.name = rows_name(rows, ROW_CELL, image.dot.replica, image.dot.n),
                           .value = ki_span(rows->value, len)};
    return true;
}

/* The runs of one replica alone. */
static bool rows_part(const struct ki_store *store, uint64_t replica, struct ki_context *part)
{
    struct ki_run run;
    ki_context_init(part, store->mem);
    for (struct ki_dot at = {replica, 0}; ki_context_next(&store->context, at, &run) && run.replica == replica;
         at.n = run.high + 1) {
        if (!ki_context_add_run(part, run))
            return false;
    }
    return true;
}

static bool rows_context(struct ki_rows *rows, uint64_t replica, struct ki_row *row)
{
    struct ki_context part;
    struct ki_context_cursor cursor = {.ended = false};
    bool fits = rows_part(rows->store, replica, &part);
    size_t len = fits ? ki_context_encoded_len(&part) : 0;
    fits = fits && rows_value_room(rows, len);
    if (fits) {
        size_t written = ki_context_encode(&part, &cursor, rows->value, len);
        KI_ASSERT(written == len && cursor.ended);
        *row = (struct ki_row){.name = rows_name(rows, ROW_CONTEXT, replica, 0), .value = ki_span(rows->value, len)};
    }
    ki_context_free(&part);
    return fits;
}

static bool rows_rest(struct ki_rows *rows, struct ki_row *row)
{
    const struct ki_store *store = rows->store;
    if (!rows_value_room(rows, ROW_REST_LEN))
        return false;
    struct ki_writer w = ki_writer(rows->value, ROW_REST_LEN);
    ki_put_u8(&w, ROWS_VERSION);
    ki_put_u8(&w, rows->has_secret ? ROWS_HAS_SECRET : 0);
    ki_put_be(&w, store->replica, 8);
    ki_put_be(&w, store->n, 8);
    ki_put_be(&w, store->clock.highest, 8);
    ki_put(&w, rows->secret, KI_ROW_SECRET_LEN);
    *row = (struct ki_row){.name = rows_name(rows, ROW_REST, 0, 0), .value = ki_span(rows->value, w.len)};
    return true;
}

/* Says that cells are ahead of the context, or that they no longer are. */
static bool rows_parts(struct ki_rows *rows, bool is_gone, struct ki_row *row)
{
    if (!rows_value_room(rows, 1))
        return false;
    rows->name[0] = ROW_REST;
    rows->name[1] = ROW_PARTS;
    rows->value[0] = ROWS_VERSION;
    *row = (struct ki_row){
        .name = ki_span(rows->name, 2), .value = ki_span(rows->value, is_gone ? 0 : 1), .is_gone = is_gone};
    return true;
}

/* ---- groups ---- */

static uint64_t rows_hash(const struct ki_rows *rows, uint64_t replica)
{
    struct ki_hashing hashing = ki_hashing_begin(rows->store->cells.hash_key);
    struct ki_run run;
    for (struct ki_dot at = {replica, 0}; ki_context_next(&rows->store->context, at, &run) && run.replica == replica;
         at.n = run.high + 1)
        ki_hashing_add(&hashing, &run, sizeof run);
    return ki_hashing_end(&hashing).first;
}

/* What was offered last of a replica, in order of replica from one call to the next; a new one has hash 0. */
static struct ki_rows_context *rows_known(struct ki_rows *rows, uint64_t replica)
{
    while (rows->context_at < rows->context_count && rows->contexts[rows->context_at].replica < replica)
        rows->context_at++;
    struct ki_rows_context *known = &rows->contexts[rows->context_at];
    if (rows->context_at < rows->context_count && known->replica == replica)
        return known;
    memmove(known + 1, known, (rows->context_count - rows->context_at) * sizeof *known);
    rows->context_count++;
    *known = (struct ki_rows_context){.replica = replica};
    return known;
}

/* The next replica whose runs differ from what was offered last; they are marked as offered. */
static bool rows_next_context(struct ki_rows *rows, uint64_t *replica)
{
    struct ki_run run;
    while (ki_context_next(&rows->store->context, rows->at, &run)) {
        rows->at = (struct ki_dot){run.replica, UINT64_MAX};
        uint64_t hash = rows_hash(rows, run.replica);
        struct ki_rows_context *known = rows_known(rows, run.replica);
        if (known->hash == hash)
            continue;
        known->hash = hash;
        *replica = run.replica;
        return true;
    }
    return false;
}

static bool rows_room(struct ki_rows *rows)
{
    struct ki_mem *mem = rows->store->mem;
    const struct ki_cells *cells = &rows->store->cells;
    uint32_t gone = rows->gone_count + cells->vacated_count;
    uint32_t contexts = (uint32_t)rows->store->context.replica_count;
    bool fits = true;
    while (fits && rows->gone_cap < gone)
        fits = ki_list_room(mem, (void **)&rows->gone, sizeof *rows->gone, rows->gone_cap, &rows->gone_cap);
    while (fits && rows->put_cap < cells->unsaved.count)
        fits = ki_list_room(mem, (void **)&rows->put, sizeof *rows->put, rows->put_cap, &rows->put_cap);
    while (fits && rows->context_cap < contexts)
        fits = ki_list_room(mem, (void **)&rows->contexts, sizeof *rows->contexts, rows->context_cap, &rows->context_cap);
    return fits;
}

static bool rows_begin(struct ki_rows *rows)
{
    struct ki_store *store = rows->store;
    if (!rows->is_on && !ki_cells_keep_rows(&store->cells))
        return false;
    bool is_first = !rows->is_on;
    rows->is_on = true;
    if ((!is_first && rows->seq == rows->durable && rows->version == store->version) || !rows_room(rows))
        return false;
    uint32_t waiting = store->cells.unsaved.count;
    rows->parts = rows->is_part ? rows->parts : waiting / rows->part_max;
    rows->is_part = rows->parts > 0 && waiting > rows->part_max;
    rows->parts -= rows->is_part;
    store->shown_n = store->n;
    rows->seq++;
    rows->version = store->version;
    rows->gone_again = 0;
    rows->put_count = rows->context_at = 0;
    rows->at = (struct ki_dot){0, 0};
    rows->phase = rows->is_part ? KI_ROWS_PARTS : KI_ROWS_GONE;
    return true;
}

/* One that lives again, with another content (R19), has a row that is written over, or was in a group that went ahead. */
static bool rows_poll_gone(struct ki_rows *rows, struct ki_row *row)
{
    struct ki_dot dot;
    do {
        if (rows->gone_again < rows->gone_count) {
            dot = rows->gone[rows->gone_again++];
            continue;
        }
        if (!ki_cells_next_vacated(&rows->store->cells, &dot))
            return false;
        rows->gone[rows->gone_count++] = dot;
        rows->gone_again = rows->gone_count;
    } while (ki_cells_by_dot(&rows->store->cells, dot) != KI_NO_CELL);
    *row = (struct ki_row){.name = rows_name(rows, ROW_CELL, dot.replica, dot.n), .is_gone = true};
    return true;
}

/* A row that does not fit into memory ends the group without a commit: all of it will be offered again. */
static bool rows_give_up(struct ki_rows *rows, struct ki_row *row)
{
    rows->phase = KI_ROWS_OUT;
    ki_rows_written(rows, false);
    *row = (struct ki_row){.is_commit = false};
    return false;
}

static bool rows_poll_cell(struct ki_rows *rows, struct ki_row *row, bool *failed)
{
    if (rows->is_part && rows->put_count == rows->part_max)
        return false;
    uint32_t id = ki_cells_next_unsaved(&rows->store->cells);
    if (id == KI_NO_CELL)
        return false;
    rows->put[rows->put_count++] = ki_cells_dot(&rows->store->cells, id);
    *failed = !rows_cell(rows, id, row);
    return true;
}

bool ki_rows_poll(struct ki_rows *rows, struct ki_row *row)
{
    bool failed = false;
    uint64_t replica;
    switch (rows->phase) {
    case KI_ROWS_OUT:
        return false;
    case KI_ROWS_IDLE:
        return rows_begin(rows) && ki_rows_poll(rows, row);
    case KI_ROWS_PARTS:
        rows->phase = rows->is_part ? KI_ROWS_CELLS : KI_ROWS_COMMIT;
        return rows_parts(rows, !rows->is_part, row) || rows_give_up(rows, row);
    case KI_ROWS_GONE:
        if (rows_poll_gone(rows, row))
            return true;
        rows->phase = KI_ROWS_CELLS;
        /* fall through */
    case KI_ROWS_CELLS:
        if (rows_poll_cell(rows, row, &failed))
            return failed ? rows_give_up(rows, row) : true;
        rows->phase = rows->is_part ? KI_ROWS_COMMIT : KI_ROWS_CONTEXT;
        if (rows->is_part)
            return ki_rows_poll(rows, row);
        /* fall through */
    case KI_ROWS_CONTEXT:
        if (rows_next_context(rows, &replica))
            return rows_context(rows, replica, row) || rows_give_up(rows, row);
        rows->phase = rows->has_parts ? KI_ROWS_PARTS : KI_ROWS_COMMIT;
        return rows_rest(rows, row) || rows_give_up(rows, row);
    case KI_ROWS_COMMIT:
        rows->phase = KI_ROWS_OUT;
        *row = (struct ki_row){.is_commit = true};
        return true;
    }
    KI_UNREACHABLE();
}

void ki_rows_written(struct ki_rows *rows, bool is_written)
{
    KI_ASSERT(rows->phase == KI_ROWS_OUT);
    struct ki_cells *cells = &rows->store->cells;
    rows->phase = KI_ROWS_IDLE;
    if (is_written) {
        rows->has_parts = rows->is_part;
        rows->put_count = 0;
        rows->gone_count = rows->is_part ? rows->gone_count : 0;
        rows->durable = rows->is_part ? rows->durable : rows->seq;
        return;
    }
    rows->is_part = false; /* the row of groups begins anew */
    for (uint32_t i = 0; i < rows->put_count; i++) {
        uint32_t id = ki_cells_by_dot(cells, rows->put[i]);
        if (id != KI_NO_CELL)
            ki_cells_not_saved(cells, id);
    }
    rows->put_count = 0;
    rows->context_count = 0; /* all are offered again */
}

uint64_t ki_rows_due(const struct ki_rows *rows)
{
    bool is_ahead = rows->version != rows->store->version || rows->seq == 0 || rows->is_part;
    return is_ahead ? rows->seq + 1 : rows->seq;
}

/* ---- loading ---- */

static int rows_load_context(struct ki_store *store, struct ki_span name, struct ki_span value)
{
    struct ki_reader r = ki_reader(value.ptr, value.len);
    struct ki_context_decoder decoder = {.into = &store->context, .replicas_max = 1, .runs_max = SIZE_MAX};
    uint64_t replica = ki_load_be(name.ptr + 1, 8);
    while (r.left > 0) {
        enum ki_context_verdict verdict = ki_context_decode(&decoder, &r, SIZE_MAX);
        if (verdict != KI_CONTEXT_FINE)
            return verdict == KI_CONTEXT_NO_MEMORY ? KI_STORE_MEMORY : KI_STORE_MALFORMED;
    }
    bool fine = decoder.run_count > 0 && ki_context_decode_is_whole(&decoder) && decoder.at.replica == replica;
    return fine ? 0 : KI_STORE_MALFORMED;
}

static int rows_load_rest(struct ki_rows *rows, struct ki_span value)
{
    struct ki_reader r = ki_reader(value.ptr, value.len);
    struct ki_store *store = rows->store;
    if (value.len != ROW_REST_LEN || ki_take_be(&r, 1) != ROWS_VERSION)
        return KI_STORE_MALFORMED;
    uint64_t flags = ki_take_be(&r, 1);
    store->replica = ki_take_be(&r, 8);
    store->n = store->shown_n = ki_take_be(&r, 8);
    store->clock.highest = ki_take_be(&r, 8);
    if (flags > ROWS_HAS_SECRET || store->n > KI_DOT_N_MAX || ki_context_highest(&store->context, store->replica) > store->n)
        return KI_STORE_MALFORMED;
    rows->has_secret = flags == ROWS_HAS_SECRET;
    memcpy(rows->secret, r.pos, KI_ROW_SECRET_LEN);
    store->note.first_n = store->note.end_n = store->n + 1;
    rows->seq = rows->durable = 1; /* something is there */
    return 0;
}

/* A cell that was written ahead of a group which never came: its row goes with the next one. */
static int rows_leave_out(struct ki_rows *rows, struct ki_dot dot)
{
    if (!ki_list_room(rows->store->mem, (void **)&rows->gone, sizeof *rows->gone, rows->gone_count, &rows->gone_cap))
        return KI_STORE_MEMORY;
    rows->gone[rows->gone_count++] = dot;
    return 0;
}

static int rows_load_cell(struct ki_rows *rows, struct ki_span name, struct ki_span value)
{
    struct ki_store *store = rows->store;
    struct ki_cell_image image;
    struct ki_reader r = ki_reader(value.ptr, value.len);
    ki_cell_decode(&r, &store->config.limits, &image);
    if (r.bad || r.left > 0 || image.dot.replica != ki_load_be(name.ptr + 1, 8) ||
        image.dot.n != ki_load_be(name.ptr + 9, 8))
        return KI_STORE_MALFORMED;
    bool is_known = ki_context_has(&store->context, image.dot);
    if (!is_known && rows->has_parts)
        return rows_leave_out(rows, image.dot);
    if (!is_known || ki_cells_by_dot(&store->cells, image.dot) != KI_NO_CELL)
        return KI_STORE_MALFORMED;
    uint32_t id;
    if (!ki_cells_add(&store->cells, &image, KI_NO_KEY, &id))
        return KI_STORE_MEMORY;
    ki_cells_at(&store->cells, id)->is_saved = true;
    return 0;
}

int ki_rows_load(struct ki_rows *rows, struct ki_span name, struct ki_span value)
{
    if (name.len == 9 && name.ptr[0] == ROW_CONTEXT && rows->seq == 0)
        return rows_load_context(rows->store, name, value);
    if (name.len == 1 && name.ptr[0] == ROW_REST && rows->seq == 0)
        return rows_load_rest(rows, value);
    if (name.len == 2 && name.ptr[0] == ROW_REST && name.ptr[1] == ROW_PARTS) {
        rows->has_parts = value.len == 1 && value.ptr[0] == ROWS_VERSION;
        return rows->has_parts ? 0 : KI_STORE_MALFORMED;
    }
    if (name.len == 17 && name.ptr[0] == ROW_CELL && (rows->seq != 0 || rows->has_parts))
        return rows_load_cell(rows, name, value);
    return KI_STORE_MALFORMED;
}

bool ki_rows_are_whole(const struct ki_rows *rows)
{
    return rows->seq != 0 || rows->store->context.run_count == 0;
}

/* ---- exporting ---- */

/* The cursor: 0 and replicas' places first, then the rest, then the places of cells. */
bool ki_rows_export(struct ki_rows *rows, uint64_t *cursor, struct ki_row *row)
{
    const struct ki_store *store = rows->store;
    uint64_t contexts = store->context.replica_count, at = *cursor;
    uint64_t end = contexts + 1 + store->cells.cells_used;
    struct ki_run run;
    if (at == 0)
        rows->at = (struct ki_dot){0, 0};
    rows->store->shown_n = store->n;
    *cursor = at + 1;
    if (at < contexts && ki_context_next(&store->context, rows->at, &run)) {
        rows->at = (struct ki_dot){run.replica, UINT64_MAX};
        if (rows_context(rows, run.replica, row))
            return true;
    } else if (at == contexts) {
        if (rows_rest(rows, row))
            return true;
    } else if (at <= end) {
        while (at < end && ki_cells_at(&store->cells, (uint32_t)(at - contexts - 1))->kind == 0)
            at++;
        *cursor = at + 1;
        *row = (struct ki_row){.is_commit = at == end};
        if (at == end || rows_cell(rows, (uint32_t)(at - contexts - 1), row))
            return true;
    } else {
        return false;
    }
    *cursor = 0;
    return false;
}
