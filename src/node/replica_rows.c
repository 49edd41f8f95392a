/* The store's rows on their way to a disk and back; the feed of changes.
 *
 * A group of rows is offered between two groups of writes, never within one.
 *
 * Deliberately not here: what a row is (store/rows.h), what a change is (store/changes.h).
 */
#include "node/store_link.h"

bool kith_poll_row(struct kith *k, struct kith_time now, struct kith_row *out)
{
    struct ki_replica *r = k->replica;
    struct ki_row row;
    (void)now;
    if (!r || !r->is_ready || r->in_group || !ki_rows_poll(&r->rows, &row))
        return false;
    if (row.is_commit && !r->rows.is_part && r->cfg.withhold) {
        ki_shown_group(k);
        ki_repairs_group(k);
    }
    *out = (struct kith_row){.name = ki_str_of(row.name),
                             .value = ki_str_of(row.value),
                             .is_gone = row.is_gone,
                             .is_commit = row.is_commit,
                             .is_part = row.is_commit && r->rows.is_part,
                             .seq = row.is_commit ? r->rows.seq : 0};
    return true;
}

void kith_rows_durable(struct kith *k, struct kith_time now, uint64_t seq, int error)
{
    struct ki_replica *r = k->replica;
    KI_ASSERT(r && r->rows.phase == KI_ROWS_OUT && seq == r->rows.seq);
    ki_input(k, now);
    ki_rows_written(&r->rows, error == 0);
    if (error || r->rows.is_part || !r->cfg.withhold)
        return;
    ki_shown_durable(k);
    ki_roots_late(k);
    ki_repairs_durable(k);
    ki_large_wake(k);
}

uint64_t kith_rows_written(const struct kith *k)
{
    return k->replica ? ki_rows_due(&k->replica->rows) : 0;
}

uint64_t kith_rows_are_durable(const struct kith *k)
{
    return k->replica ? k->replica->rows.durable : 0;
}

int kith_load_row(struct kith *k, struct kith_str name, struct kith_str value)
{
    struct ki_replica *r = k->replica;
    if (!r || r->is_ready)
        return KITH_ERR_STATE;
    return ki_replica_error(ki_rows_load(&r->rows, ki_span_of(name), ki_span_of(value)));
}

bool kith_export_row(struct kith *k, uint64_t *cursor, struct kith_row *out)
{
    struct ki_replica *r = k->replica;
    struct ki_row row;
    bool could_lose = r && r->cfg.keep_id && ki_rows_due(&r->rows) != r->rows.durable;
    if (!r || !r->is_ready || (*cursor == 0 && could_lose) || !ki_rows_export(&r->rows, cursor, &row))
        return false;
    *out = (struct kith_row){.name = ki_str_of(row.name), .value = ki_str_of(row.value), .is_commit = row.is_commit};
    return true;
}

/* ---- changes ---- */

static uint32_t rows_wrote(uint16_t kinds)
{
    static const uint32_t bits[KI_KIND_END] = {[KI_KIND_REGISTER] = KITH_WROTE_STRING,
                                               [KI_KIND_COUNT] = KITH_WROTE_COUNTER,
                                               [KI_KIND_REAL] = KITH_WROTE_COUNTER,
                                               [KI_KIND_SIBLING] = KITH_WROTE_SIBLING,
                                               [KI_KIND_SORTED] = KITH_WROTE_SORTED,
                                               [KI_KIND_SORTED_REAL] = KITH_WROTE_SORTED_COUNTER,
                                               [KI_KIND_SET] = KITH_WROTE_SET,
                                               [KI_KIND_HASH] = KITH_WROTE_HASH,
                                               [KI_KIND_HASH_COUNT] = KITH_WROTE_HASH_COUNTER,
                                               [KI_KIND_HASH_REAL] = KITH_WROTE_HASH_COUNTER,
                                               [KI_KIND_EXPIRY] = KITH_WROTE_EXPIRY};
    uint32_t wrote = 0;
    for (uint32_t kind = 1; kind < KI_KIND_END; kind++)
        wrote |= kinds >> kind & 1 ? bits[kind] : 0;
    return wrote;
}

/* What a key had shown of which only this is known: what of it went. */
static enum kith_type rows_had_shown(uint16_t removed)
{
    enum ki_type type = KI_TYPE_NONE;
    for (uint32_t kind = 1; kind < KI_KIND_END; kind++) {
        enum ki_type of = ki_kind_rule((enum ki_kind)kind)->type;
        type = removed >> kind & 1 && of > type ? of : type;
    }
    return (enum kith_type)type;
}

void kith_watch(struct kith *k, bool on)
{
    if (k->replica)
        k->replica->store.changes = on ? &k->replica->changes : NULL;
}

bool kith_poll_change(struct kith *k, struct kith_change *out)
{
    struct ki_replica *r = k->replica;
    const struct ki_change *change = r ? ki_changes_next(&r->changes) : NULL;
    if (r)
        k->counters[KI_COUNT_changes_dropped] = r->changes.dropped;
    if (!change)
        return false;
    bool is_gone = change->type == KI_TYPE_NONE;
    *out = (struct kith_change){.key = ki_str_of(ki_span(change->key, change->key_len)),
                                .type = is_gone ? rows_had_shown(change->removed) : (enum kith_type)change->type,
                                .wrote = rows_wrote(change->wrote),
                                .removed = rows_wrote(change->removed),
                                .is_gone = is_gone,
                                .is_expired = change->is_expired,
                                .is_remote = change->is_remote};
    return true;
}

/* ---- backups ---- */

/* A backup, as a replica of its own until it is whole. */
struct ki_import {
    struct ki_store store;
    struct ki_rows rows;
};

void ki_import_drop(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!r->import)
        return;
    ki_rows_free(&r->import->rows);
    ki_store_free(&r->import->store);
    ki_mem_free(&r->mem, r->import);
    r->import = NULL;
}

static bool import_begin(struct kith *k)
{
    struct ki_replica *r = k->replica;
    uint8_t hash_key[16];
    if (r->import)
        return true;
    r->import = ki_mem_new(&r->mem, sizeof *r->import);
    if (!r->import)
        return false;
    ki_crng_fill(&k->crng, hash_key, sizeof hash_key);
    ki_store_init(&r->import->store, &r->mem, &r->store.config, 0, hash_key);
    ki_rows_init(&r->import->rows, &r->import->store);
    return true;
}

/* A backup with stamps too far in the future is refused whole, as a delta is (R21). */
static bool import_is_ahead(const struct kith *k, const struct ki_store *from)
{
    bool ahead = false;
    for (uint32_t id = 0; id < from->cells.cells_used && !ahead; id++) {
        const struct ki_cell *cell = ki_cells_at(&from->cells, id);
        ahead = cell->kind != 0 &&
                ki_hybrid_judge(&from->config.bounds, ki_wall_ms(k->now), cell->stamp) == KI_HYBRID_REFUSED;
    }
    return ahead;
}

/* Cells that we have never seen join (R18). */
static int import_cells(struct kith *k, const struct ki_store *from)
{
    for (uint32_t id = 0; id < from->cells.cells_used; id++) {
        if (ki_cells_at(&from->cells, id)->kind == 0)
            continue;
        struct ki_cell_image image = ki_cells_image(&from->cells, id);
        int error = ki_store_join(&k->replica->store, ki_wall_ms(k->now), &image);
        if (error)
            return error;
    }
    return 0;
}

/* What it knew to be dead goes, and its context joins (R20). */
static int import_finish(struct ki_store *to, const struct ki_store *from)
{
    if (!ki_context_join(&to->context, &from->context))
        return KI_STORE_MEMORY;
    to->version++;
    for (uint32_t id = 0; id < to->cells.cells_used; id++) {
        if (ki_cells_at(&to->cells, id)->kind == 0)
            continue;
        struct ki_dot dot = ki_cells_dot(&to->cells, id);
        if (ki_context_has(&from->context, dot) && ki_cells_by_dot(&from->cells, dot) == KI_NO_CELL)
            ki_store_kill(to, dot);
    }
    return 0;
}

static int import_all(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!ki_rows_are_whole(&r->import->rows))
        return KI_STORE_MALFORMED;
    if (import_is_ahead(k, &r->import->store))
        return KI_STORE_AHEAD;
    ki_replica_renew(k); /* also: no session sees what is done now */
    r->changes.is_remote = true;
    int error = import_cells(k, &r->import->store);
    if (!error)
        error = import_finish(&r->store, &r->import->store);
    ki_replica_step_ends(k);
    r->changes.is_remote = false;
    if (!error && r->import->rows.has_secret && !r->rows.has_secret && !ki_secret_take(k, r->import->rows.secret))
        error = KI_STORE_MEMORY;
    return error;
}

int kith_import_row(struct kith *k, struct kith_time now, const struct kith_row *row)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->is_ready || r->in_group || !ki_active(k))
        return KITH_ERR_STATE;
    ki_input(k, now);
    if (!import_begin(k)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    int error = row->is_commit ? import_all(k)
                               : ki_rows_load(&r->import->rows, ki_span_of(row->name), ki_span_of(row->value));
    if (error || row->is_commit)
        ki_import_drop(k);
    return ki_replica_error(error);
}
