/* The disk under a node's store: groups of rows, durable a while after they were polled.
 *
 * One group is on its way at a time, as store.h has it.  When its time has come it is carried out whole, or, on a disk that
 * is full, not at all, and the node is told.  Between the two the node may end: then the group is on the disk or not, by
 * chance, as with a process that was killed in the middle of a commit; either way nobody was told.
 *
 * A driver that vouches for an id must know that the disk has all that was shown under it: that nothing was left to write,
 * or that the store withholds what is not durable and the id itself is.  The latter is why the id of each group is kept.
 *
 * Deliberately not here: a torn group.  Transactions are what store.h asks of a driver. */
#include "base/hash.h"
#include "sim/world.h"

struct sim_store *ki_sim_store_make(const struct kith_store_config *config)
{
    struct sim_store *store = ki_sim_make(sizeof *store);
    store->config = *config;
    store->disk = (struct kith_sim_disk){.delay_min_us = 500, .delay_max_us = 5000};
    return store;
}

/* ---- tables ---- */

static void rows_clear(struct sim_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->rows[i].name);
        free(table->rows[i].value);
    }
    table->count = 0;
}

static void rows_copy(struct sim_table *to, const struct sim_table *from)
{
    rows_clear(to);
    for (size_t i = 0; i < from->count; i++) {
        const struct sim_row *row = &from->rows[i];
        to->rows = ki_sim_grow(to->rows, &to->cap, to->count, sizeof *to->rows);
        to->rows[to->count++] = (struct sim_row){.name = ki_sim_copy(row->name, row->name_len),
                                                 .name_len = row->name_len,
                                                 .value = ki_sim_copy(row->value, row->value_len),
                                                 .value_len = row->value_len};
    }
}

static int rows_order(const struct sim_row *a, const struct sim_row *b)
{
    int order = memcmp(a->name, b->name, ki_min_size(a->name_len, b->name_len));
    return order ? order : a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

/* Where a row is or would be. */
static size_t rows_place(const struct sim_table *table, const struct sim_row *row, bool *found)
{
    size_t from = 0, to = table->count;
    *found = false;
    while (from < to && !*found) {
        size_t middle = from + (to - from) / 2;
        int order = rows_order(&table->rows[middle], row);
        *found = order == 0;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return to;
}

/* Takes the row over. */
static void rows_put(struct sim_table *table, struct sim_row row)
{
    bool found;
    size_t at = rows_place(table, &row, &found);
    if (found) {
        free(table->rows[at].name);
        free(table->rows[at].value);
        table->rows[at] = row;
        return;
    }
    table->rows = ki_sim_grow(table->rows, &table->cap, table->count, sizeof *table->rows);
    memmove(&table->rows[at + 1], &table->rows[at], (table->count++ - at) * sizeof row);
    table->rows[at] = row;
}

static void rows_remove(struct sim_table *table, const struct sim_row *row)
{
    bool found;
    size_t at = rows_place(table, row, &found);
    if (!found)
        return;
    free(table->rows[at].name);
    free(table->rows[at].value);
    memmove(&table->rows[at], &table->rows[at + 1], (--table->count - at) * sizeof *row);
}

void ki_sim_store_free(struct sim_store *store)
{
    if (!store)
        return;
    rows_clear(&store->durable);
    rows_clear(&store->backup);
    rows_clear(&store->group);
    free(store->durable.rows);
    free(store->backup.rows);
    free(store->group.rows);
    free(store);
}

/* ---- a life begins ---- */

int ki_sim_store_open(struct sim_node *n, kith *k, enum kith_sim_state state)
{
    struct sim_store *store = n->store;
    struct kith_store_config config = store->config;
    config.keep_id = config.keep_id && state == KITH_SIM_KEEP && store->vouched;
    int error = kith_store_open(k, &config);
    const struct sim_table *table = state == KITH_SIM_BACKUP ? &store->backup : &store->durable;
    for (size_t i = 0; !error && state != KITH_SIM_EMPTY && i < table->count; i++) {
        const struct sim_row *row = &table->rows[i];
        error = kith_load_row(k, (struct kith_str){row->name, row->name_len},
                              (struct kith_str){row->value, row->value_len});
        KI_ASSERT(error == 0 || error == KITH_ERR_NOMEM); /* a store wrote the row */
    }
    return error;
}

static uint64_t rows_id(kith *k)
{
    struct kith_store_gauges gauges = {.replica = 0};
    (void)kith_store_read_gauges(k, &gauges);
    return gauges.replica;
}

void ki_sim_store_begun(struct sim_node *n)
{
    struct sim_store *store = n->store;
    bool kept = store->config.keep_id && n->begun == KITH_SIM_KEEP && store->vouched;
    if (n->begun == KITH_SIM_EMPTY)
        rows_clear(&store->durable);
    else if (n->begun == KITH_SIM_BACKUP)
        rows_copy(&store->durable, &store->backup);
    store->durable_id = kept ? rows_id(n->k) : 0;
    store->vouched = false;
}

/* ---- groups ---- */

void ki_sim_store_poll(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    struct sim_store *store = n->store;
    struct kith_row row;
    if (store->group_out)
        return;
    while (!store->group_out && kith_poll_row(n->k, ki_sim_node_time(s, n), &row)) {
        if (row.is_commit) {
            store->group_out = true;
            store->group_seq = row.seq;
            continue;
        }
        struct sim_table *group = &store->group;
        group->rows = ki_sim_grow(group->rows, &group->cap, group->count, sizeof *group->rows);
        group->rows[group->count++] = (struct sim_row){.name = ki_sim_copy(row.name.ptr, row.name.len),
                                                       .name_len = row.name.len,
                                                       .value = ki_sim_copy(row.value.ptr, row.value.len),
                                                       .value_len = row.value.len,
                                                       .is_gone = row.is_gone};
    }
    if (!store->group_out)
        return;
    store->group_id = rows_id(n->k);
    uint64_t span_us = (uint64_t)store->disk.delay_max_us - store->disk.delay_min_us;
    uint64_t at_us = s->now_us + store->disk.delay_min_us + ki_rng_below(&s->disk_rng, span_us + 1);
    ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = at_us, .kind = SIM_ROWS, .id = node, .arg = n->lives});
}

static void rows_carry_out(struct sim_store *store)
{
    struct sim_table *group = &store->group;
    for (size_t i = 0; i < group->count; i++) {
        struct sim_row *row = &group->rows[i];
        if (row->is_gone) {
            rows_remove(&store->durable, row);
            continue;
        }
        rows_put(&store->durable, *row);
        row->name = row->value = NULL;
    }
}

void ki_sim_store_happens(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    struct sim_store *store = n->store;
    bool full = store->disk.full;
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)node << 32 | full);
    for (size_t i = 0; i < store->group.count; i++)
        ki_sim_digest_bytes(s, store->group.rows[i].value, store->group.rows[i].value_len);
    if (!full) {
        rows_carry_out(store);
        store->durable_id = store->group_id;
    }
    rows_clear(&store->group);
    store->group_out = false;
    kith_rows_durable(n->k, ki_sim_node_time(s, n), store->group_seq, full ? KITH_ERR_FULL : 0);
    ki_sim_node_dirty(s, node);
}

void ki_sim_store_stop(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    struct sim_store *store = n->store;
    store->vouched = kith_rows_are_durable(n->k) == kith_rows_written(n->k) ||
                     (store->config.withhold && store->durable_id == rows_id(n->k));
    if (store->group_out && !store->disk.full && ki_rng_below(&s->disk_rng, 2))
        rows_carry_out(store);
    rows_clear(&store->group);
    store->group_out = false;
}

/* All rows that a store exports, as a table; none, if it shows nothing before that is durable: it may go on under its id
 * after a crash (ki_sim_store_stop()). */
static void rows_export(kith *k, bool withhold, struct sim_table *table)
{
    if (withhold && kith_rows_are_durable(k) != kith_rows_written(k))
        return;
    struct kith_row row;
    uint64_t cursor = 0;
    bool whole = false;
    while (kith_export_row(k, &cursor, &row)) {
        KI_ASSERT(!whole);
        whole = row.is_commit;
        if (whole)
            continue;
        table->rows = ki_sim_grow(table->rows, &table->cap, table->count, sizeof *table->rows);
        table->rows[table->count++] = (struct sim_row){.name = ki_sim_copy(row.name.ptr, row.name.len),
                                                       .name_len = row.name.len,
                                                       .value = ki_sim_copy(row.value.ptr, row.value.len),
                                                       .value_len = row.value.len};
    }
    KI_ASSERT(whole || table->count == 0);
}

bool ki_sim_store_import(kith_sim *s, uint32_t from, uint32_t to, bool live)
{
    struct sim_table table = {0};
    kith *k = ki_sim_node_at(s, to)->k;
    const struct kith_time now = kith_sim_time(s, to);
    int error = 0;
    if (live)
        rows_export(ki_sim_node_at(s, from)->k, ki_sim_node_at(s, from)->store->config.withhold, &table);
    else
        rows_copy(&table, &ki_sim_node_at(s, from)->store->backup);
    bool any = table.count > 0;
    SIM_TELL(s, import, to);
    for (size_t i = 0; any && !error && i <= table.count; i++) {
        const struct sim_row *r = &table.rows[i];
        struct kith_row row = {.is_commit = i == table.count};
        if (!row.is_commit)
            row = (struct kith_row){.name = {r->name, r->name_len}, .value = {r->value, r->value_len}};
        error = kith_import_row(k, now, &row);
        KI_ASSERT(error == 0 || error == KITH_ERR_STATE); /* it is leaving */
    }
    ki_sim_trace(s, to, "imports %zu rows of %s", table.count, ki_sim_name(s, from));
    ki_sim_node_dirty(s, to);
    rows_clear(&table);
    free(table.rows);
    return any && !error;
}

void kith_sim_backup(kith_sim *s, uint32_t node)
{
    struct sim_store *store = ki_sim_node_at(s, node)->store;
    KI_ASSERT(store && s->cfg.persist);
    ki_sim_trace(s, node, "backup of %zu rows", store->durable.count);
    rows_copy(&store->backup, &store->durable);
    SIM_TELL(s, backup, node);
}
