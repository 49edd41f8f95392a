/* Live cells: records in chunks, and the maps that find them.
 *
 * Everything that can fail for want of memory comes first, in an order that can be taken back; what links a cell into its
 * element comes last and cannot fail.  So a cell is entered wholly or not at all.
 *
 * Invariants:
 *   - a cell is in by_dot, and in exactly one chain: its key's `single`, or that of an element;
 *   - by_element and the group's list hold the first cell of each chain, and no other;
 *   - a group has an element, a key has a cell;
 *   - by_item finds exactly the cells that are marked as sketched.
 *
 * Deliberately not here: which of an element's cells shows (kinds.c), what is known to be dead (context.c), what is told
 * to whom.  No cell is ever changed.
 */
#include "store/cells.h"

#include "base/hash.h"
#include "store/groups.h"

/* ---- hashes and comparisons for the maps ---- */

struct cells_dot_key {
    uint64_t n;
    uint64_t replica; /* an index */
};

#define CELLS_DOT_ROW 8 /* slots of a cache line */

/* Keyed: a peer chooses both numbers.  Successive dots stand side by side: what is written now is near what was written
 * last.  (A map's tag is the lower half of a hash whose upper half is 0.) */
static uint64_t cells_hash_dot(const struct ki_cells *cells, uint64_t replica, uint64_t n)
{
    struct cells_dot_key key = {.n = n / CELLS_DOT_ROW, .replica = replica};
    uint32_t row = (uint32_t)ki_siphash13(cells->hash_key, &key, sizeof key) / CELLS_DOT_ROW;
    return row * CELLS_DOT_ROW + n % CELLS_DOT_ROW;
}

static bool cells_is_dot(const void *owner, uint32_t id, const void *key)
{
    const struct ki_cell *cell = ki_cells_at(owner, id);
    const struct cells_dot_key *wanted = key;
    return cell->n == wanted->n && cell->replica == wanted->replica;
}

static bool cells_is_key(const void *owner, uint32_t id, const void *key)
{
    const struct ki_key *found = ki_cells_key_at(owner, id);
    return ki_span_equal(ki_span(found->name, found->name_len), *(const struct ki_span *)key);
}

static bool cells_is_item(const void *owner, uint32_t id, const void *key)
{
    const struct ki_item *wanted = key;
    const struct ki_item *item = &ki_cells_at(owner, id)->item;
    return item->a == wanted->a && item->b == wanted->b;
}

static bool cells_is_replica(const void *owner, uint32_t index, const void *key)
{
    const struct ki_cells *cells = owner;
    return cells->replicas[index] == *(const uint64_t *)key;
}

/* ---- lifetime ---- */

static int cells_compare_expiry(const void *owner, uint32_t a, uint32_t b)
{
    uint64_t at = ki_cell_expiry_ms(owner, a), bt = ki_cell_expiry_ms(owner, b);
    if (at != bt)
        return at < bt ? -1 : 1;
    return (a > b) - (a < b);
}

void ki_cells_init(struct ki_cells *cells, struct ki_mem *mem, const uint8_t hash_key[16])
{
    *cells = (struct ki_cells){
        .mem = mem, .cells_free = KI_NO_CELL, .vacated = KI_NO_CELL, .keys_free = KI_NO_KEY, .sketch = 1};
    memcpy(cells->hash_key, hash_key, 16);
    ki_chunks_init(&cells->cells, sizeof(struct ki_cell));
    ki_chunks_init(&cells->keys, sizeof(struct ki_key));
    ki_index_init(&cells->by_dot, mem);
    ki_index_init(&cells->by_key, mem);
    ki_index_init(&cells->by_element, mem);
    ki_index_init(&cells->by_item, mem);
    ki_map_init(&cells->by_replica, mem);
    ki_order_init(&cells->expiring, mem, cells_compare_expiry);
}

void ki_cells_free(struct ki_cells *cells)
{
    for (uint32_t i = 0; i < cells->cells_used; i++) {
        if (ki_cells_at(cells, i)->kind != 0)
            ki_mem_free(cells->mem, ki_cells_at(cells, i)->body);
    }
    for (uint32_t i = 0; i < cells->key_count; i++) {
        struct ki_key *key = ki_cells_key_at(cells, cells->key_list[i]);
        ki_mem_free(cells->mem, key->name);
        while (key->groups)
            ki_group_drop(cells, key, key->groups);
    }
    ki_chunks_free(&cells->cells, cells->mem);
    ki_chunks_free(&cells->keys, cells->mem);
    ki_mem_free(cells->mem, cells->key_list);
    ki_mem_free(cells->mem, cells->replicas);
    ki_mem_free(cells->mem, cells->waiting.list);
    ki_mem_free(cells->mem, cells->unsaved.list);
    ki_index_free(&cells->by_dot);
    ki_index_free(&cells->by_key);
    ki_index_free(&cells->by_element);
    ki_index_free(&cells->by_item);
    ki_map_free(&cells->by_replica);
    (void)ki_order_free_some(&cells->expiring, SIZE_MAX);
}

/* ---- looking ---- */

struct ki_span ki_cells_field(const struct ki_cell *cell)
{
    return ki_span(cell->body, cell->field_len);
}

struct ki_span ki_cells_value(const struct ki_cell *cell)
{
    return ki_span(cell->body ? cell->body + cell->field_len : NULL, cell->value_len);
}

struct ki_dot ki_cells_dot(const struct ki_cells *cells, uint32_t id)
{
    const struct ki_cell *cell = ki_cells_at(cells, id);
    return (struct ki_dot){.replica = cells->replicas[cell->replica], .n = cell->n};
}

struct ki_cell_image ki_cells_image(const struct ki_cells *cells, uint32_t id)
{
    const struct ki_cell *cell = ki_cells_at(cells, id);
    const struct ki_key *key = ki_cells_key_at(cells, cell->key);
    return (struct ki_cell_image){.dot = ki_cells_dot(cells, id),
                                  .kind = (enum ki_kind)cell->kind,
                                  .stamp = cell->stamp,
                                  .expires_ms = cell->kind == KI_KIND_REGISTER ? cell->expires_ms : 0,
                                  .key = ki_span(key->name, key->name_len),
                                  .field = ki_cells_field(cell),
                                  .value = ki_cells_value(cell)};
}

static uint32_t cells_replica(const struct ki_cells *cells, uint64_t replica)
{
    if (cells->replica_recent < cells->replica_count && cells->replicas[cells->replica_recent] == replica)
        return cells->replica_recent;
    return ki_map_get(&cells->by_replica, ki_siphash13(cells->hash_key, &replica, sizeof replica), cells_is_replica,
                      cells, &replica);
}

uint32_t ki_cells_by_dot(const struct ki_cells *cells, struct ki_dot dot)
{
    struct cells_dot_key key = {.replica = cells_replica(cells, dot.replica), .n = dot.n};
    if (key.replica == KI_MAP_NONE)
        return KI_NO_CELL;
    return ki_index_get(&cells->by_dot, cells_hash_dot(cells, key.replica, key.n), cells_is_dot, cells, &key);
}

uint32_t ki_cells_by_item(const struct ki_cells *cells, struct ki_item item)
{
    return ki_index_get(&cells->by_item, item.a, cells_is_item, cells, &item);
}

uint32_t ki_cells_key(const struct ki_cells *cells, struct ki_span name)
{
    return ki_index_get(&cells->by_key, ki_siphash13(cells->hash_key, name.ptr, name.len), cells_is_key, cells, &name);
}

uint64_t ki_cell_expiry_ms(const struct ki_cells *cells, uint32_t id)
{
    const struct ki_cell *cell = ki_cells_at(cells, id);
    if (cell->kind == KI_KIND_REGISTER)
        return cell->expires_ms;
    return cell->kind == KI_KIND_EXPIRY && cell->body ? ki_load_be(cell->body + cell->field_len, 8) : 0;
}

/* ---- entering ---- */

static bool cells_enter_replica(struct ki_cells *cells, uint64_t replica, uint32_t *index)
{
    *index = cells_replica(cells, replica);
    if (*index != KI_MAP_NONE) {
        cells->replica_recent = *index;
        return true;
    }
    if (!ki_list_room(cells->mem, (void **)&cells->replicas, sizeof *cells->replicas, cells->replica_count,
                      &cells->replica_cap))
        return false;
    cells->replicas[cells->replica_count] = replica;
    if (!ki_map_put(&cells->by_replica, ki_siphash13(cells->hash_key, &replica, sizeof replica), cells->replica_count))
        return false;
    *index = cells->replica_count++;
    return true;
}

static bool cells_enter_key(struct ki_cells *cells, struct ki_span name, uint32_t near, uint32_t *id)
{
    bool is_near = near < cells->keys_used && cells_is_key(cells, near, &name);
    *id = is_near ? near : ki_cells_key(cells, name);
    if (*id != KI_MAP_NONE)
        return true;
    bool is_new = cells->keys_free == KI_NO_KEY;
    uint32_t at = is_new ? cells->keys_used : cells->keys_free;
    if (is_new && !ki_chunks_reserve(&cells->keys, cells->mem, cells->keys_used + 1))
        return false;
    if (!ki_list_room(cells->mem, (void **)&cells->key_list, sizeof *cells->key_list, cells->key_count,
                      &cells->key_cap))
        return false;
    uint8_t *copy = ki_mem_copy(cells->mem, name.ptr, name.len);
    if (!copy || !ki_index_put(&cells->by_key, ki_siphash13(cells->hash_key, name.ptr, name.len), at)) {
        ki_mem_free(cells->mem, copy);
        return false;
    }
    struct ki_key *key = ki_cells_key_at(cells, at);
    if (is_new)
        cells->keys_used++;
    else
        cells->keys_free = key->place;
    *key = (struct ki_key){.name = copy, .name_len = (uint32_t)name.len, .single = KI_NO_CELL};
    key->place = cells->key_count;
    cells->key_list[cells->key_count++] = at;
    *id = at;
    return true;
}

static void cells_leave_key(struct ki_cells *cells, uint32_t id)
{
    struct ki_key *key = ki_cells_key_at(cells, id);
    if (key->single != KI_NO_CELL || key->groups)
        return;
    ki_index_remove(&cells->by_key, ki_siphash13(cells->hash_key, key->name, key->name_len), id);
    uint32_t last = cells->key_list[--cells->key_count];
    cells->key_list[key->place] = last;
    ki_cells_key_at(cells, last)->place = key->place;
    ki_mem_free(cells->mem, key->name);
    *key = (struct ki_key){.place = cells->keys_free};
    cells->keys_free = id;
}

/* So that each of so many places can be listed. */
static bool cells_places_room(struct ki_cells *cells, struct ki_places *places, uint32_t used)
{
    return ki_list_room(cells->mem, (void **)&places->list, sizeof *places->list, used, &places->cap);
}

static void cells_list_place(struct ki_places *places, uint32_t id, bool *is_listed)
{
    if (*is_listed)
        return;
    KI_ASSERT(places->count < places->cap);
    *is_listed = true;
    places->list[places->count++] = id;
}

static bool cells_take_place(struct ki_cells *cells, const struct ki_cell_image *image, uint32_t *id)
{
    bool is_new = cells->cells_free == KI_NO_CELL;
    *id = is_new ? cells->cells_used : cells->cells_free;
    if (is_new && (*id == KI_NO_CELL - 1 || !ki_chunks_reserve(&cells->cells, cells->mem, *id + 1)))
        return false;
    uint32_t others = is_new ? cells->cells_used : cells->cells_used - 1;
    if (!cells_places_room(cells, &cells->waiting, others) ||
        (cells->keeps_rows && !cells_places_room(cells, &cells->unsaved, others)))
        return false;
    size_t len = image->field.len + image->value.len;
    uint8_t *body = len > 0 ? ki_mem_resize(cells->mem, NULL, len) : NULL;
    if (len > 0 && !body)
        return false;
    struct ki_cell *cell = ki_cells_at(cells, *id);
    if (is_new)
        cells->cells_used++;
    else
        cells->cells_free = cell->next;
    bool is_waiting = cell->is_waiting, is_unsaved = cell->is_unsaved;
    *cell = (struct ki_cell){.n = image->dot.n, .stamp = image->stamp, .body = body, .next = KI_NO_CELL};
    cell->is_waiting = is_waiting;
    cell->is_unsaved = is_unsaved;
    cell->kind = (uint8_t)image->kind;
    cell->expires_ms = image->expires_ms;
    cell->field_len = (uint32_t)image->field.len;
    cell->value_len = (uint32_t)image->value.len;
    if (image->field.len > 0)
        memcpy(body, image->field.ptr, image->field.len);
    if (image->value.len > 0)
        memcpy(body + image->field.len, image->value.ptr, image->value.len);
    return true;
}

/* One whose row is on a disk keeps the place, and the dot, until the row goes: that needs no memory. */
static void cells_leave_place(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    uint32_t *list = cell->is_saved ? &cells->vacated : &cells->cells_free;
    cells->vacated_count += cell->is_saved;
    ki_mem_free(cells->mem, cell->body);
    *cell = (struct ki_cell){.n = cell->n,
                             .replica = cell->replica,
                             .next = *list,
                             .is_waiting = cell->is_waiting,
                             .is_unsaved = cell->is_unsaved};
    *list = id;
}

/* The rest of entering, once the cell has its record and its key: each step takes back what was done before it. */
static bool cells_link(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    uint64_t hash = cells_hash_dot(cells, cell->replica, cell->n);
    if (!ki_index_put(&cells->by_dot, hash, id))
        return false;
    bool expires = ki_cell_expiry_ms(cells, id) != 0;
    if (expires && !ki_order_insert(&cells->expiring, cells, id)) {
        ki_index_remove(&cells->by_dot, hash, id);
        return false;
    }
    if (!ki_group_enter(cells, id)) {
        if (expires)
            ki_order_remove(&cells->expiring, cells, id);
        ki_index_remove(&cells->by_dot, hash, id);
        return false;
    }
    return true;
}

bool ki_cells_add(struct ki_cells *cells, const struct ki_cell_image *image, uint32_t near, uint32_t *id)
{
    uint32_t replica, key;
    if (!cells_enter_replica(cells, image->dot.replica, &replica) || !cells_enter_key(cells, image->key, near, &key))
        return false;
    if (!cells_take_place(cells, image, id)) {
        cells_leave_key(cells, key);
        return false;
    }
    struct ki_cell *cell = ki_cells_at(cells, *id);
    cell->replica = replica;
    cell->key = key;
    if (!cells_link(cells, *id)) {
        cells_leave_place(cells, *id);
        cells_leave_key(cells, key);
        return false;
    }
    ki_cells_wait(cells, *id);
    if (cells->keeps_rows)
        cells_list_place(&cells->unsaved, *id, &cell->is_unsaved);
    cells->cell_count++;
    cells->body_bytes += (uint64_t)cell->field_len + cell->value_len;
    return true;
}

void ki_cells_remove(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    uint32_t key = cell->key;
    KI_ASSERT(cell->kind != 0 && !ki_cells_is_sketched(cells, id));
    if (ki_cell_expiry_ms(cells, id) != 0)
        ki_order_remove(&cells->expiring, cells, id);
    ki_index_remove(&cells->by_dot, cells_hash_dot(cells, cell->replica, cell->n), id);
    ki_group_leave(cells, id);
    cells->cell_count--;
    cells->body_bytes -= (uint64_t)cell->field_len + cell->value_len;
    cells_leave_place(cells, id);
    cells_leave_key(cells, key);
}

/* ---- items ---- */

void ki_cells_sketch_anew(struct ki_cells *cells)
{
    ki_index_free(&cells->by_item);
    cells->looked_count = 0;
    if (++cells->sketch != 0)
        return;
    for (uint32_t i = 0; i < cells->cells_used; i++) /* after 65,535 of them */
        ki_cells_at(cells, i)->sketch = 0;
    cells->sketch = 1;
}

bool ki_cells_sketched(struct ki_cells *cells, uint32_t id, struct ki_item item)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    KI_ASSERT(cell->sketch != cells->sketch);
    if (!ki_index_put(&cells->by_item, item.a, id))
        return false;
    cell->item = item;
    cell->sketch = cells->sketch;
    return true;
}

void ki_cells_unsketched(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    KI_ASSERT(cell->sketch == cells->sketch);
    ki_index_remove(&cells->by_item, cell->item.a, id);
    cell->sketch = 0;
}

void ki_cells_wait(struct ki_cells *cells, uint32_t id)
{
    cells_list_place(&cells->waiting, id, &ki_cells_at(cells, id)->is_waiting);
}

bool ki_cells_has_waiting(const struct ki_cells *cells)
{
    return cells->waiting.count > 0 || cells->looked_count < cells->cells_used;
}

uint32_t ki_cells_next_waiting(struct ki_cells *cells)
{
    while (ki_cells_has_waiting(cells)) {
        bool listed = cells->waiting.count > 0;
        uint32_t id = listed ? cells->waiting.list[--cells->waiting.count] : cells->looked_count++;
        struct ki_cell *cell = ki_cells_at(cells, id);
        if (listed)
            cell->is_waiting = false;
        if (cell->kind != 0 && cell->sketch != cells->sketch)
            return id;
    }
    return KI_NO_CELL;
}

/* ---- rows ---- */

bool ki_cells_keep_rows(struct ki_cells *cells)
{
    while (cells->unsaved.cap < cells->cells_used) {
        if (!cells_places_room(cells, &cells->unsaved, cells->unsaved.cap))
            return false;
    }
    cells->keeps_rows = true;
    for (uint32_t i = 0; i < cells->cells_used; i++) {
        struct ki_cell *cell = ki_cells_at(cells, i);
        if (cell->kind != 0 && !cell->is_saved)
            cells_list_place(&cells->unsaved, i, &cell->is_unsaved);
    }
    return true;
}

uint32_t ki_cells_next_unsaved(struct ki_cells *cells)
{
    while (cells->unsaved.count > 0) {
        uint32_t id = cells->unsaved.list[--cells->unsaved.count];
        struct ki_cell *cell = ki_cells_at(cells, id);
        cell->is_unsaved = false;
        if (cell->kind == 0 || cell->is_saved)
            continue;
        cell->is_saved = true;
        return id;
    }
    return KI_NO_CELL;
}

void ki_cells_not_saved(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    cell->is_saved = false;
    cells_list_place(&cells->unsaved, id, &cell->is_unsaved);
}

bool ki_cells_next_vacated(struct ki_cells *cells, struct ki_dot *dot)
{
    uint32_t id = cells->vacated;
    if (id == KI_NO_CELL)
        return false;
    struct ki_cell *cell = ki_cells_at(cells, id);
    *dot = ki_cells_dot(cells, id);
    cells->vacated = cell->next;
    cells->vacated_count--;
    cell->next = cells->cells_free;
    cells->cells_free = id;
    return true;
}
