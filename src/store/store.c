/* The rules of joining and retiring (R2 to R7, R21).
 *
 * A cell joins when its dot is not in the context; then the dot is.  A dot is retired by entering the context and losing
 * its cell, whether or not the cell ever came.  Nothing else removes a cell on arrival, and nothing leaves the context.
 * So deltas may come late, twice and in any order: what a replica holds is all cells it was told of, less all that it was
 * told are gone.
 *
 * All or nothing: what may fail for want of memory comes first.  A local write is one new cell and what it supersedes; a
 * delta from elsewhere enters all its cells, and takes them back if one of them does not fit.
 *
 * A local group of operations is noted, not written down: the numbers it issued are neighbours, and the cells of those
 * that it has not retired itself are there to be read when the delta is encoded.
 *
 * Deliberately not here: what an operation supersedes (ops.c), sessions (session.c), the sketch, the disk.
 */
#include "store/store.h"

#include "store/changes.h"
#include "store/compare.h"
#include "store/delta.h"
#include "store/sessions.h"

void ki_store_init(struct ki_store *store, struct ki_mem *mem, const struct ki_store_config *config, uint64_t replica,
                   const uint8_t hash_key[16])
{
    KI_ASSERT(config->limits.key_max <= UINT32_MAX && config->limits.field_max <= UINT32_MAX &&
              config->limits.value_max <= UINT32_MAX);
    *store = (struct ki_store){.mem = mem, .config = *config, .replica = replica};
    ki_cells_init(&store->cells, mem, hash_key);
    ki_context_init(&store->context, mem);
    ki_context_init(&store->note.retired, mem);
    store->note.first_n = store->note.end_n = 1;
}

void ki_store_free(struct ki_store *store)
{
    ki_cells_free(&store->cells);
    ki_context_free(&store->context);
    ki_context_free(&store->note.retired);
    ki_compare_end(store);
    ki_mem_free(store->mem, store->note.carried);
    ki_mem_free(store->mem, store->retiring);
}

void ki_store_renew(struct ki_store *store, uint64_t replica)
{
    KI_ASSERT(!store->sessions && ki_delta_is_empty(store));
    store->replica = replica;
    store->n = store->shown_n = 0;
    store->note.first_n = store->note.end_n = 1;
    store->is_impersonated = false;
}

/* ---- one cell comes, one cell goes ---- */

static void store_let_go(struct ki_store *store, uint32_t id, bool is_expired)
{
    ki_sessions_retire(store, id);
    ki_compare_retire(store, id);
    if (store->changes)
        ki_changes_retire(store->changes, &store->cells, id, is_expired);
    ki_cells_remove(&store->cells, id);
    store->version++;
}

void ki_store_kill(struct ki_store *store, struct ki_dot dot)
{
    uint32_t id = ki_cells_by_dot(&store->cells, dot);
    if (id != KI_NO_CELL) {
        store_let_go(store, id, false); /* its dot is in the context already */
        return;
    }
    if (ki_context_has(&store->context, dot))
        return;
    bool fits = ki_context_add(&store->context, dot);
    KI_ASSERT(fits);
    store->version++;
}

static bool store_take_in(struct ki_store *store, const struct ki_cell_image *image, uint32_t near)
{
    uint32_t id;
    return ki_cells_add(&store->cells, image, near, &id);
}

static void store_joined(struct ki_store *store, const struct ki_cell_image *image)
{
    bool fits = ki_context_add(&store->context, image->dot);
    KI_ASSERT(fits);
    ki_sessions_joined(store, image->dot);
    if (store->changes)
        ki_changes_wrote(store->changes, image);
    store->version++;
}

/* ---- local writes ---- */

void ki_store_begin(struct ki_store *store)
{
    store->retiring_count = 0;
}

int ki_store_supersede(struct ki_store *store, uint32_t id)
{
    if (!ki_list_room(store->mem, (void **)&store->retiring, sizeof *store->retiring, store->retiring_count,
                      &store->retiring_cap))
        return KI_STORE_MEMORY;
    store->retiring[store->retiring_count++] = id;
    return 0;
}

/* Room for everything that the write will note, so that what follows cannot fail. */
static bool store_reserve(struct ki_store *store)
{
    return ki_context_reserve(&store->context, 1) &&
           (store->is_alone || ki_context_reserve(&store->note.retired, store->retiring_count));
}

static void store_retire_noted(struct ki_store *store)
{
    for (uint32_t i = 0; i < store->retiring_count; i++) {
        uint32_t id = store->retiring[i];
        bool fits = store->is_alone || ki_context_add(&store->note.retired, ki_cells_dot(&store->cells, id));
        store->note.retired_count += !store->is_alone;
        KI_ASSERT(fits);
        store_let_go(store, id, false);
    }
    store->retiring_count = 0;
}

int ki_store_retire_only(struct ki_store *store)
{
    if (!store_reserve(store))
        return KI_STORE_MEMORY;
    store_retire_noted(store);
    return 0;
}

int ki_store_retire_for(struct ki_store *store, uint32_t id)
{
    struct ki_delta_note *note = &store->note;
    if (!store_reserve(store) || !ki_list_room(store->mem, (void **)&note->carried, sizeof *note->carried,
                                               note->carried_count, &note->carried_cap))
        return KI_STORE_MEMORY;
    note->carried[note->carried_count++] = ki_cells_dot(&store->cells, id);
    store_retire_noted(store);
    return 0;
}

int ki_store_write(struct ki_store *store, uint64_t wall_ms, const struct ki_write *write)
{
    const struct ki_cell_limits *limits = &store->config.limits;
    if (write->key.len > limits->key_max || write->field.len > limits->field_max || write->value.len > limits->value_max)
        return KI_STORE_TOO_LONG;
    if (store->is_impersonated)
        return KI_STORE_IMPERSONATED;
    KI_ASSERT(store->n < KI_DOT_N_MAX);
    uint64_t floor = 0;
    for (uint32_t i = 0; i < store->retiring_count; i++)
        floor = ki_max_u64(floor, ki_cells_at(&store->cells, store->retiring[i])->stamp);
    struct ki_hybrid clock = store->clock;
    struct ki_cell_image image = {.dot = {.replica = store->replica, .n = store->n + 1},
                                  .kind = write->kind,
                                  .stamp = ki_hybrid_next(&clock, wall_ms, floor),
                                  .expires_ms = write->expires_ms,
                                  .key = write->key,
                                  .field = write->field,
                                  .value = write->value};
    uint32_t near = store->retiring_count > 0 ? ki_cells_at(&store->cells, store->retiring[0])->key : KI_NO_KEY;
    if (!store_reserve(store) || !store_take_in(store, &image, near))
        return KI_STORE_MEMORY;
    store->clock = clock;
    store->n++;
    store->note.end_n = store->n + 1;
    store_joined(store, &image);
    store_retire_noted(store);
    return 0;
}

void ki_store_expire(struct ki_store *store, uint32_t id)
{
    store_let_go(store, id, true);
}

/* ---- deltas from elsewhere ---- */

int ki_store_join(struct ki_store *store, uint64_t wall_ms, const struct ki_cell_image *image)
{
    if (ki_context_has(&store->context, image->dot))
        return 0;
    if (!ki_context_reserve(&store->context, 1) || !store_take_in(store, image, KI_NO_KEY))
        return KI_STORE_MEMORY;
    ki_hybrid_see(&store->clock, &store->config.bounds, wall_ms, image->stamp);
    store_joined(store, image);
    return 0;
}

int ki_store_replace(struct ki_store *store, const struct ki_cell_image *image)
{
    uint32_t id = ki_cells_by_dot(&store->cells, image->dot);
    if (id == KI_NO_CELL)
        return 0;
    if (!store_take_in(store, image, KI_NO_KEY))
        return KI_STORE_MEMORY;
    store_let_go(store, id, false);
    return 0;
}

/* Enters what is new; those that came before one that does not fit are taken out again. */
static int store_enter_all(struct ki_store *store, const struct ki_delta *delta)
{
    struct ki_delta_cursor cursor = ki_delta_cursor(delta);
    struct ki_cell_image image;
    size_t entered = 0;
    bool fits = true;
    for (; fits && ki_delta_next(delta, &cursor, &image);) {
        if (ki_context_has(&store->context, image.dot) || ki_context_has(&delta->retired, image.dot) ||
            ki_cells_by_dot(&store->cells, image.dot) != KI_NO_CELL)
            continue;
        fits = store_take_in(store, &image, KI_NO_KEY);
        entered += fits;
    }
    if (fits)
        return 0;
    for (cursor = ki_delta_cursor(delta); entered > 0 && ki_delta_next(delta, &cursor, &image);) {
        uint32_t id = ki_cells_by_dot(&store->cells, image.dot);
        if (id != KI_NO_CELL && !ki_context_has(&store->context, image.dot)) {
            ki_cells_remove(&store->cells, id);
            entered--;
        }
    }
    return KI_STORE_MEMORY;
}

static void store_retire_live(struct ki_store *store, const struct ki_context *retired)
{
    struct ki_run run;
    for (struct ki_dot at = {0, 0}; ki_context_next(retired, at, &run); at = (struct ki_dot){run.replica, run.high + 1}) {
        for (uint64_t n = run.low; n <= run.high; n++) {
            uint32_t id = ki_cells_by_dot(&store->cells, (struct ki_dot){run.replica, n});
            if (id != KI_NO_CELL)
                store_let_go(store, id, false);
        }
    }
}

static void store_retire_all(struct ki_store *store, const struct ki_context *retired)
{
    struct ki_run run;
    struct ki_dot cursor = {0, 0};
    size_t budget = SIZE_MAX;
    if (ki_context_missing(&store->context, retired, &cursor, &budget, &run) == KI_MISSING_RUN)
        store->version++; /* else it is old news, and must not pass for a change: it would be forwarded for ever */
    store_retire_live(store, retired);
    for (struct ki_dot at = {0, 0}; ki_context_next(retired, at, &run); at = (struct ki_dot){run.replica, run.high + 1}) {
        bool fits = ki_context_add_run(&store->context, run);
        KI_ASSERT(fits);
    }
}

void ki_store_met(struct ki_store *store, uint64_t n)
{
    if (n <= store->n)
        return;
    store->impersonated++;
    store->is_impersonated = true;
}

/* One look at all of it before anything is applied.  *own_n: the highest number that it names under our own id, or 0. */
static int store_judge(struct ki_store *store, uint64_t wall_ms, const struct ki_delta *delta, uint64_t *own_n)
{
    struct ki_delta_cursor cursor = ki_delta_cursor(delta);
    struct ki_cell_image image;
    *own_n = ki_context_highest(&delta->retired, store->replica);
    while (ki_delta_next(delta, &cursor, &image)) {
        enum ki_hybrid_verdict verdict = ki_hybrid_judge(&store->config.bounds, wall_ms, image.stamp);
        store->ahead += verdict != KI_HYBRID_FINE;
        if (verdict == KI_HYBRID_REFUSED) {
            store->quarantined++;
            return KI_STORE_AHEAD;
        }
        if (image.dot.replica == store->replica)
            *own_n = ki_max_u64(*own_n, image.dot.n);
    }
    return 0;
}

static int store_apply(struct ki_store *store, uint64_t wall_ms, const struct ki_delta *delta)
{
    uint64_t own_n;
    int error = store_judge(store, wall_ms, delta, &own_n);
    if (error)
        return error;
    if (!ki_context_reserve(&store->context, delta->cell_count + delta->retired.run_count))
        return KI_STORE_MEMORY;
    error = store_enter_all(store, delta);
    if (error)
        return error;
    ki_store_met(store, own_n);
    struct ki_delta_cursor cursor = ki_delta_cursor(delta);
    struct ki_cell_image image;
    while (ki_delta_next(delta, &cursor, &image)) {
        if (ki_context_has(&store->context, image.dot) || ki_context_has(&delta->retired, image.dot))
            continue;
        ki_hybrid_see(&store->clock, &store->config.bounds, wall_ms, image.stamp);
        store_joined(store, &image);
    }
    store_retire_all(store, &delta->retired);
    return 0;
}

int ki_store_merge(struct ki_store *store, uint64_t wall_ms, struct ki_span bytes)
{
    struct ki_delta delta;
    int error = ki_delta_open(&delta, store->mem, &store->config, bytes);
    if (!error)
        error = store_apply(store, wall_ms, &delta);
    ki_delta_close(&delta);
    return error;
}
