/* Notes of changed keys.
 *
 * A note is made when a cell joins or goes, and completed at the end of the step, when it can be said what the key shows
 * now.  What a step does to one key is one note, unless much else lies between.  A cell that goes while another of its
 * element stays was replaced, not removed.
 *
 * When there is no room the note is dropped and counted: who looks on learns that something was missed.
 *
 * Invariant: the last `open` notes belong to the step under way and are not shown yet.
 * Deliberately not here: what a change is called, and who wants to know of which keys.
 */
#include "store/changes.h"

#include "base/canary.h"
#include "store/kinds.h"

#define CHANGES_LOOK_BACK 16 /* notes of the same step that are searched for the key */

void ki_changes_init(struct ki_changes *changes, struct ki_mem *mem, uint32_t max)
{
    *changes = (struct ki_changes){.mem = mem, .max = max};
}

static struct ki_change *changes_at(const struct ki_changes *changes, uint32_t i)
{
    return &changes->ring[(changes->head + i) % changes->cap];
}

void ki_changes_free(struct ki_changes *changes)
{
    for (uint32_t i = 0; i < changes->count; i++)
        ki_mem_free(changes->mem, changes_at(changes, i)->key);
    ki_mem_free(changes->mem, changes->shown.key);
    ki_mem_free(changes->mem, changes->ring);
}

static bool changes_room(struct ki_changes *changes)
{
    if (changes->count < changes->cap)
        return true;
    uint32_t cap = changes->cap ? changes->cap * 2 : 64;
    if (cap > changes->max)
        cap = changes->max;
    struct ki_change *ring = cap > changes->cap ? ki_mem_resize(changes->mem, NULL, cap * sizeof *ring) : NULL;
    if (!ring)
        return false;
    for (uint32_t i = 0; i < changes->count; i++)
        ring[i] = *changes_at(changes, i);
    ki_mem_free(changes->mem, changes->ring);
    changes->ring = ring;
    changes->cap = cap;
    changes->head = 0;
    return true;
}

/* The note of this step about the key; NULL: there is no room for one. */
static struct ki_change *changes_of(struct ki_changes *changes, struct ki_span key)
{
    uint32_t back = (uint32_t)ki_min_u64(changes->open, CHANGES_LOOK_BACK);
    for (uint32_t i = changes->count; i > changes->count - back; i--) {
        struct ki_change *change = changes_at(changes, i - 1);
        if (ki_span_equal(ki_span(change->key, change->key_len), key))
            return change;
    }
    uint8_t *copy = changes_room(changes) ? ki_mem_copy(changes->mem, key.ptr, key.len) : NULL;
    if (!copy) {
        changes->dropped++;
        return NULL;
    }
    changes->open++;
    struct ki_change *change = changes_at(changes, changes->count++);
    *change = (struct ki_change){.key = copy, .key_len = (uint32_t)key.len, .is_remote = changes->is_remote};
    return change;
}

void ki_changes_wrote(struct ki_changes *changes, const struct ki_cell_image *image)
{
    struct ki_change *change = KI_CANARY(SILENT) && changes->is_remote ? NULL : changes_of(changes, image->key);
    if (change)
        change->wrote |= (uint16_t)(1u << image->kind);
}

/* Another cell that says the same sort of thing about the same thing. */
static bool changes_is_replaced(const struct ki_cells *cells, uint32_t id)
{
    const struct ki_cell *cell = ki_cells_at(cells, id);
    const struct ki_kind_rule *rule = ki_kind_rule((enum ki_kind)cell->kind);
    uint32_t other = ki_cells_element(cells, cell->key, rule->type, ki_cells_field(cell));
    for (; other != KI_NO_CELL; other = ki_cells_at(cells, other)->next) {
        if (other != id && ki_kind_rule((enum ki_kind)ki_cells_at(cells, other)->kind)->type == rule->type)
            return true;
    }
    return false;
}

void ki_changes_retire(struct ki_changes *changes, const struct ki_cells *cells, uint32_t id, bool is_expired)
{
    struct ki_cell_image image = ki_cells_image(cells, id);
    bool is_replaced = changes_is_replaced(cells, id);
    struct ki_change *change = changes_of(changes, image.key);
    if (!change)
        return;
    if (!is_replaced)
        change->removed |= (uint16_t)(1u << image.kind);
    change->is_expired = change->is_expired || is_expired;
}

void ki_changes_end(struct ki_changes *changes, const struct ki_cells *cells)
{
    for (; changes->open > 0; changes->open--) {
        struct ki_change *change = changes_at(changes, changes->count - changes->open);
        uint32_t key = ki_cells_key(cells, ki_span(change->key, change->key_len));
        change->type = (uint8_t)(key != KI_NO_KEY ? ki_key_type(cells, key) : KI_TYPE_NONE);
    }
}

const struct ki_change *ki_changes_next(struct ki_changes *changes)
{
    ki_mem_free(changes->mem, changes->shown.key);
    changes->shown.key = NULL;
    if (changes->count == changes->open)
        return NULL;
    changes->shown = *changes_at(changes, 0);
    changes->head = (changes->head + 1) % changes->cap;
    changes->count--;
    return &changes->shown;
}
