/* Expiry, without anybody being told (R24).
 *
 * A register's expiry is part of the cell: a rival without one that wins does not end with it.  When the register that
 * shows comes to its end, the string ends: the rivals that it beat would surface otherwise, and shares that were counted
 * on it would be a count without a base.  One that does not show just goes.
 *
 * The expiry of a key of another type is a cell beside it.  Of rivals the latest decides, and never is later than any:
 * somebody wanted the key to live so long.  At its time everything that this replica sees under the key is retired.
 *
 * Retiring without telling is sound because every replica comes to it by itself; two that see different cells at that
 * moment differ until their next session, in which the dead win.
 *
 * Deliberately not here: when to look; that the wall clocks are near each other (the hybrid clock bounds that).
 */
#include "store/expiry.h"

#include "store/kinds.h"
#include "store/ops.h"

/* The latest that a cell of its own says; 0: none says anything. */
static uint64_t expiry_of_key_ms(const struct ki_store *store, uint32_t key)
{
    uint64_t latest = 0;
    for (uint32_t id = ki_cells_key_at(&store->cells, key)->single; id != KI_NO_CELL;
         id = ki_cells_at(&store->cells, id)->next) {
        if (ki_cells_at(&store->cells, id)->kind != KI_KIND_EXPIRY)
            continue;
        uint64_t at_ms = ki_load_be(ki_cells_value(ki_cells_at(&store->cells, id)).ptr, 8);
        latest = ki_max_u64(latest, at_ms == 0 ? KI_NEVER_MS : at_ms);
    }
    return latest;
}

static uint32_t expiry_register(const struct ki_store *store, uint32_t key)
{
    return ki_element_winner(&store->cells, ki_cells_key_at(&store->cells, key)->single, KI_KIND_REGISTER);
}

uint64_t ki_key_expiry_ms(const struct ki_store *store, uint32_t key)
{
    uint64_t at_ms = expiry_of_key_ms(store, key);
    uint32_t shown = expiry_register(store, key);
    uint64_t own_ms = shown != KI_NO_CELL ? ki_cell_expiry_ms(&store->cells, shown) : 0;
    at_ms = at_ms == 0 ? KI_NEVER_MS : at_ms;
    return own_ms != 0 && ki_key_type(&store->cells, key) == KI_TYPE_STRING ? ki_min_u64(own_ms, at_ms) : at_ms;
}

/* ---- ending ---- */

/* Everything under the key, or of its string alone. */
static void expiry_end(struct ki_store *store, uint32_t key, bool string_only)
{
    struct ki_key *owner = ki_cells_key_at(&store->cells, key);
    uint32_t id = owner->single;
    store->expired++;
    while (id != KI_NO_CELL) {
        const struct ki_cell *cell = ki_cells_at(&store->cells, id);
        uint32_t next = cell->next;
        if (!string_only || ki_kind_rule((enum ki_kind)cell->kind)->type == KI_TYPE_STRING)
            ki_store_expire(store, id); /* the key itself goes with its last cell */
        id = next;
    }
    while (!string_only && owner->groups)
        ki_store_expire(store, owner->groups->list[owner->groups->count - 1]);
}

/* This cell's time has come. */
static void expiry_cell(struct ki_store *store, uint64_t wall_ms, uint32_t id)
{
    const struct ki_cell *cell = ki_cells_at(&store->cells, id);
    uint32_t key = cell->key;
    if (cell->kind == KI_KIND_EXPIRY ? expiry_of_key_ms(store, key) <= wall_ms : expiry_register(store, key) == id)
        expiry_end(store, key, cell->kind != KI_KIND_EXPIRY);
    else
        ki_store_expire(store, id);
}

uint64_t ki_expire_next_ms(const struct ki_store *store)
{
    uint32_t id = ki_order_first(&store->cells.expiring);
    return id == KI_ORDER_NONE ? KI_NEVER_MS : ki_cell_expiry_ms(&store->cells, id);
}

bool ki_expire_due(struct ki_store *store, uint64_t wall_ms, uint32_t budget)
{
    for (; budget > 0 && ki_expire_next_ms(store) <= wall_ms; budget--)
        expiry_cell(store, wall_ms, ki_order_first(&store->cells.expiring));
    return ki_expire_next_ms(store) <= wall_ms;
}

void ki_expire_key(struct ki_store *store, uint64_t wall_ms, struct ki_span name)
{
    uint32_t key = ki_cells_key(&store->cells, name);
    if (key == KI_NO_KEY)
        return;
    uint64_t at_ms = expiry_of_key_ms(store, key);
    if (at_ms != 0 && at_ms <= wall_ms) {
        expiry_end(store, key, false);
        return;
    }
    uint32_t shown = expiry_register(store, key);
    uint64_t own_ms = shown != KI_NO_CELL ? ki_cell_expiry_ms(&store->cells, shown) : 0;
    if (own_ms != 0 && own_ms <= wall_ms)
        expiry_end(store, key, true);
}

/* ---- setting ---- */

/* The same string, written again with another expiry. */
static int expiry_rewrite(struct ki_store *store, uint64_t wall_ms, uint32_t key, uint64_t at_ms)
{
    const struct ki_key *owner = ki_cells_key_at(&store->cells, key);
    const struct ki_cell *shown = ki_cells_at(&store->cells, expiry_register(store, key));
    return ki_set(store, wall_ms, ki_span(owner->name, owner->name_len), ki_cells_value(shown),
                  at_ms == KI_NEVER_MS ? 0 : at_ms);
}

static int expiry_beside(struct ki_store *store, uint64_t wall_ms, uint32_t key, uint64_t at_ms)
{
    const struct ki_key *owner = ki_cells_key_at(&store->cells, key);
    uint8_t bytes[8];
    int error = 0;
    ki_store_be(bytes, at_ms == KI_NEVER_MS ? 0 : at_ms, 8);
    ki_store_begin(store);
    for (uint32_t id = owner->single; !error && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        if (ki_cells_at(&store->cells, id)->kind == KI_KIND_EXPIRY)
            error = ki_store_supersede(store, id);
    }
    struct ki_write write = {
        .kind = KI_KIND_EXPIRY, .key = ki_span(owner->name, owner->name_len), .value = ki_span(bytes, 8)};
    return error ? error : ki_store_write(store, wall_ms, &write);
}

int ki_expire_at(struct ki_store *store, uint64_t wall_ms, struct ki_span name, uint64_t at_ms, bool *changed)
{
    uint32_t key = ki_cells_key(&store->cells, name);
    bool is_there = key != KI_NO_KEY && ki_key_type(&store->cells, key) != KI_TYPE_NONE;
    bool changes = is_there && (at_ms != KI_NEVER_MS || ki_key_expiry_ms(store, key) != KI_NEVER_MS);
    int error = 0;
    if (changes && at_ms <= wall_ms) {
        error = ki_delete(store, name, NULL);
    } else if (changes) {
        struct ki_shown shown = ki_string_shown(store, key);
        bool is_register = ki_key_type(&store->cells, key) == KI_TYPE_STRING && shown.as == KI_SHOWS_BYTES;
        error = is_register ? expiry_rewrite(store, wall_ms, key, at_ms) : expiry_beside(store, wall_ms, key, at_ms);
    }
    if (!error && changed)
        *changed = changes;
    return error;
}
