/* Elements and their groups.
 *
 * A cell of a type without fields hangs in its key's single chain: one or two, as a rule.  Others belong to an element,
 * found by (key, type, field); the element is named by the first cell of its chain.  When that one goes, or another comes
 * to stand before it, the new first takes over its places in the map, the list and the order.
 *
 * A chain is in order of dots, so that the shares of a replica stand together and one walk adds them up.  Whoever has many
 * ids can make a chain long: a cell that comes or goes then costs a walk, and not the square of it.
 *
 * A sorted set keeps its elements in order by (score, field).  The score is what the element's cells add up to, noted at
 * its first cell as it was when it was put in order: so it can be found there again after its cells have changed.
 * Standing in the order is a service to reads.  It may fail for want of memory, and is put off while a chain is long, or
 * retiring it would take the square of its length; the group is then marked as disordered, and the next read of its order
 * puts it right.
 *
 * Deliberately not here: anything about time, causality, or what a group's elements mean.
 */
#include "store/groups.h"

#include "base/hash.h"
#include "store/kinds.h"

#define GROUP_CHAIN_LONG 64 /* cells: a longer chain is not added up at each change, but when its order is asked for */

/* ---- finding ---- */

struct group_wanted {
    uint32_t key;
    enum ki_type type;
    struct ki_span field;
};

static bool group_is_element(const void *owner, uint32_t id, const void *key)
{
    const struct ki_cell *cell = ki_cells_at(owner, id);
    const struct group_wanted *wanted = key;
    return cell->key == wanted->key && ki_kind_rule((enum ki_kind)cell->kind)->type == wanted->type &&
           ki_span_equal(ki_cells_field(cell), wanted->field);
}

static uint64_t group_hash(const struct ki_cells *cells, uint32_t key, enum ki_type type, struct ki_span field)
{
    uint64_t where = (uint64_t)key << 8 | (uint64_t)type;
    return ki_siphash13(cells->hash_key, field.ptr, field.len) ^ where * UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t ki_cells_element(const struct ki_cells *cells, uint32_t key, enum ki_type type, struct ki_span field)
{
    if (type < KI_TYPE_SORTED)
        return ki_cells_key_at(cells, key)->single;
    struct group_wanted wanted = {.key = key, .type = type, .field = field};
    return ki_index_get(&cells->by_element, group_hash(cells, key, type, field), group_is_element, cells, &wanted);
}

struct ki_group *ki_cells_group(const struct ki_cells *cells, uint32_t key, enum ki_type type)
{
    struct ki_group *group = ki_cells_key_at(cells, key)->groups;
    while (group && group->type != type)
        group = group->next;
    return group;
}

/* ---- order ---- */

static int group_compare(const void *owner, uint32_t a, uint32_t b)
{
    const struct ki_cell *x = ki_cells_at(owner, a), *y = ki_cells_at(owner, b);
    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return ki_span_compare(ki_cells_field(x), ki_cells_field(y));
}

static void group_order_out(struct ki_cells *cells, struct ki_group *group, uint32_t first)
{
    struct ki_cell *cell = ki_cells_at(cells, first);
    if (group->type == KI_TYPE_SORTED && cell->is_ordered)
        ki_order_remove(&group->order, cells, first);
    cell->is_ordered = false;
}

static bool group_order_now(struct ki_cells *cells, struct ki_group *group, uint32_t first)
{
    struct ki_cell *cell = ki_cells_at(cells, first);
    cell->score = ki_element_score(cells, first);
    cell->is_ordered = ki_order_insert(&group->order, cells, first);
    return cell->is_ordered;
}

/* If not, the group is marked. */
static void group_order_in(struct ki_cells *cells, struct ki_group *group, uint32_t first)
{
    if (group->type == KI_TYPE_SORTED &&
        (ki_cells_at(cells, first)->others > GROUP_CHAIN_LONG || !group_order_now(cells, group, first)))
        group->is_disordered = true;
}

bool ki_cells_put_in_order(struct ki_cells *cells, struct ki_group *group)
{
    for (uint32_t i = 0; group->is_disordered && i < group->count; i++) {
        uint32_t first = group->list[i];
        if (!ki_cells_at(cells, first)->is_ordered && !group_order_now(cells, group, first))
            return false;
    }
    group->is_disordered = false;
    return true;
}

/* ---- entering and leaving ---- */

static struct ki_group *group_new(struct ki_cells *cells, uint32_t key, enum ki_type type)
{
    struct ki_group *group = ki_mem_new(cells->mem, sizeof *group);
    if (!group)
        return NULL;
    struct ki_key *owner = ki_cells_key_at(cells, key);
    group->type = type;
    group->next = owner->groups;
    ki_order_init(&group->order, cells->mem, group_compare);
    owner->groups = group;
    return group;
}

void ki_group_drop(struct ki_cells *cells, struct ki_key *key, struct ki_group *group)
{
    struct ki_group **link = &key->groups;
    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    (void)ki_order_free_some(&group->order, SIZE_MAX);
    ki_mem_free(cells->mem, group->list);
    ki_mem_free(cells->mem, group);
}

static bool group_new_element(struct ki_cells *cells, struct ki_group *group, uint32_t id, uint64_t hash)
{
    if (!ki_list_room(cells->mem, (void **)&group->list, sizeof *group->list, group->count, &group->cap) ||
        !ki_index_put(&cells->by_element, hash, id))
        return false;
    ki_cells_at(cells, id)->place = group->count;
    group->list[group->count++] = id;
    group_order_in(cells, group, id);
    return true;
}

/* Links a cell into a chain, where its dot belongs. */
static void group_chain(struct ki_cells *cells, uint32_t *head, uint32_t id)
{
    struct ki_dot dot = ki_cells_dot(cells, id);
    uint32_t *link = head;
    while (*link != KI_NO_CELL && ki_dot_compare(ki_cells_dot(cells, *link), dot) < 0)
        link = &ki_cells_at(cells, *link)->next;
    ki_cells_at(cells, id)->next = *link;
    *link = id;
}

/* Another cell is the element's first from now on. */
static void group_succeed(struct ki_cells *cells, struct ki_group *group, uint32_t first, uint32_t heir, uint64_t hash)
{
    uint32_t place = ki_cells_at(cells, first)->place;
    ki_index_remove(&cells->by_element, hash, first);
    bool fits = ki_index_put(&cells->by_element, hash, heir); /* a place has just become free */
    KI_ASSERT(fits);
    group->list[place] = heir;
    ki_cells_at(cells, heir)->place = place;
    ki_cells_at(cells, heir)->others = ki_cells_at(cells, first)->others;
}

/* One more, or one less; beyond what can be counted it stays long. */
static void group_count(struct ki_cells *cells, uint32_t first, bool more)
{
    struct ki_cell *cell = ki_cells_at(cells, first);
    if (cell->others != UINT16_MAX)
        cell->others = (uint16_t)(more ? cell->others + 1 : cell->others - 1);
}

bool ki_group_enter(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    enum ki_type type = ki_kind_rule((enum ki_kind)cell->kind)->type;
    if (type < KI_TYPE_SORTED) {
        group_chain(cells, &ki_cells_key_at(cells, cell->key)->single, id);
        return true;
    }
    uint64_t hash = group_hash(cells, cell->key, type, ki_cells_field(cell));
    struct ki_group *group = ki_cells_group(cells, cell->key, type);
    uint32_t first = group ? ki_cells_element(cells, cell->key, type, ki_cells_field(cell)) : KI_NO_CELL;
    if (group && first != KI_NO_CELL) {
        uint32_t head = first;
        group_order_out(cells, group, first);
        group_chain(cells, &head, id);
        if (head != first)
            group_succeed(cells, group, first, head, hash);
        group_count(cells, head, true);
        group_order_in(cells, group, head);
        return true;
    }
    bool is_new = !group;
    if (is_new && !(group = group_new(cells, cell->key, type)))
        return false;
    if (group_new_element(cells, group, id, hash))
        return true;
    if (is_new)
        ki_group_drop(cells, ki_cells_key_at(cells, cell->key), group);
    return false;
}

static void group_unchain(struct ki_cells *cells, uint32_t *from, uint32_t id)
{
    while (*from != id)
        from = &ki_cells_at(cells, *from)->next;
    *from = ki_cells_at(cells, id)->next;
}

/* The element's first cell goes: the next takes its places, or the group's last element its place in the list. */
static void group_behead(struct ki_cells *cells, struct ki_group *group, uint32_t first, uint64_t hash)
{
    struct ki_cell *cell = ki_cells_at(cells, first);
    if (cell->next != KI_NO_CELL) {
        group_succeed(cells, group, first, cell->next, hash);
        group_count(cells, cell->next, false);
        group_order_in(cells, group, cell->next);
        return;
    }
    uint32_t last = group->list[--group->count];
    ki_index_remove(&cells->by_element, hash, first);
    group->list[cell->place] = last;
    ki_cells_at(cells, last)->place = cell->place;
}

void ki_group_leave(struct ki_cells *cells, uint32_t id)
{
    struct ki_cell *cell = ki_cells_at(cells, id);
    struct ki_key *key = ki_cells_key_at(cells, cell->key);
    enum ki_type type = ki_kind_rule((enum ki_kind)cell->kind)->type;
    if (type < KI_TYPE_SORTED) {
        group_unchain(cells, &key->single, id);
        return;
    }
    struct ki_group *group = ki_cells_group(cells, cell->key, type);
    uint64_t hash = group_hash(cells, cell->key, type, ki_cells_field(cell));
    uint32_t first = ki_cells_element(cells, cell->key, type, ki_cells_field(cell));
    KI_ASSERT(group);
    group_order_out(cells, group, first);
    if (first == id) {
        group_behead(cells, group, id, hash);
    } else {
        group_unchain(cells, &ki_cells_at(cells, first)->next, id);
        group_count(cells, first, false);
        group_order_in(cells, group, first);
    }
    if (group->count == 0)
        ki_group_drop(cells, key, group);
}
