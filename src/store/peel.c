/* Peeling: a cell of the difference that holds one item alone gives that item away; taken out of its other cells, it
 * leaves some of them with one item alone, and so on (Yang et al. 2024, sec. 3; Goodrich, Mitzenmacher 2011).
 *
 * A cell looks as if it held one item when its count is +1 (mine) or -1 (theirs), modulo 256, and its check is the
 * check of what it holds.  Looking costs a hash, so it is done once, when the cell's turn in the queue has come.
 *
 * Found items are taken out of all cells, also of those that have not come: a cell that comes late is then up to date by
 * itself, and it does not matter in how many messages and in what order the cells come.  Any lost ones are made up for by
 * as many others and a few, but a run of the first cells: an item has most of its cells there.  So whoever sends a range
 * in several datagrams deals it out among them cell by cell.
 *
 * The end is proven by the roots: the hashes of what was found are the XOR of both sets' hashes, and the counts of both
 * sides differ as the sets do.  So it may come before all cells came, and without cell 0.  Which side an item is on is
 * not proven: cells that lie can swap as many of the one side as of the other.  The caller's store knows.
 *
 * Invariants: found_count <= received, as each item was alone in a received cell that holds nothing from then on.  No
 * item is found twice.  A cell is in the queue at most once, marked; all in the queue were received.  Nothing allocates
 * after init, so only init can fail.
 *
 * A peer that knows the key can put anything into cells, but cannot keep us busy: a cell whose item does not belong
 * there, an item for the second time, more items than cells are all BAD.  Each item costs 2 ln m cells, and there are
 * at most as many items as cells.  An honest peer's cell passes for one item wrongly once in 2^32.
 *
 * Deliberately not here: whether an item found is in the store (the caller looks, and may refuse), how many cells to ask
 * for, which message they come in.
 */
#include "store/peel.h"

enum {
    PEEL_RECEIVED = 1,
    PEEL_QUEUED = 2
};

static bool peel_looks_single(const struct ki_coded *cell)
{
    uint8_t count = (uint8_t)cell->count;
    return count == 1 || count == UINT8_MAX;
}

bool ki_peel_init(struct ki_peel *peel, struct ki_mem *mem, const struct ki_sketch *own, uint32_t cells,
                  const struct ki_root *theirs)
{
    KI_ASSERT(cells > 0 && cells <= own->cell_count);
    *peel = (struct ki_peel){.mem = mem, .cell_count = cells};
    memcpy(peel->key, own->key, sizeof peel->key);
    peel->rest.sum.first = own->root.sum.first ^ theirs->sum.first;
    peel->rest.sum.second = own->root.sum.second ^ theirs->sum.second;
    peel->rest.count = own->root.count - theirs->count;
    ki_map_init(&peel->by_item, mem);
    peel->cells = ki_mem_copy(mem, own->cells, cells * sizeof *peel->cells);
    peel->marks = ki_mem_new(mem, cells * sizeof *peel->marks);
    peel->queue = ki_mem_resize(mem, NULL, cells * sizeof *peel->queue);
    peel->found = ki_mem_resize(mem, NULL, cells * sizeof *peel->found);
    if (peel->cells && peel->marks && peel->queue && peel->found && ki_map_reserve(&peel->by_item, cells))
        return true;
    ki_peel_free(peel);
    return false;
}

void ki_peel_free(struct ki_peel *peel)
{
    ki_mem_free(peel->mem, peel->cells);
    ki_mem_free(peel->mem, peel->marks);
    ki_mem_free(peel->mem, peel->queue);
    ki_mem_free(peel->mem, peel->found);
    ki_map_free(&peel->by_item);
    *peel = (struct ki_peel){.mem = peel->mem};
}

/* ---- the queue ---- */

static void peel_consider(struct ki_peel *peel, uint32_t index)
{
    if (peel->marks[index] != PEEL_RECEIVED || !peel_looks_single(&peel->cells[index]))
        return;
    uint32_t end = peel->queue_first + peel->queue_count++;
    peel->queue[end < peel->cell_count ? end : end - peel->cell_count] = index;
    peel->marks[index] |= PEEL_QUEUED;
}

static uint32_t peel_pop(struct ki_peel *peel)
{
    uint32_t index = peel->queue[peel->queue_first];
    peel->queue_first = peel->queue_first + 1 < peel->cell_count ? peel->queue_first + 1 : 0;
    peel->queue_count--;
    peel->marks[index] = PEEL_RECEIVED;
    return index;
}

bool ki_peel_cell(struct ki_peel *peel, uint32_t index, const struct ki_coded *theirs)
{
    if (index >= peel->cell_count || peel->marks[index] & PEEL_RECEIVED)
        return false;
    struct ki_coded *cell = &peel->cells[index];
    cell->a ^= theirs->a;
    cell->b ^= theirs->b;
    cell->check ^= theirs->check;
    cell->count -= theirs->count;
    peel->marks[index] = PEEL_RECEIVED;
    peel->received++;
    peel_consider(peel, index);
    return true;
}

/* ---- items ---- */

static bool peel_is_item(const void *owner, uint32_t at, const void *key)
{
    const struct ki_peel *peel = owner;
    const struct ki_item *item = key;
    return peel->found[at].item.a == item->a && peel->found[at].item.b == item->b;
}

/* Returns whether the item belongs to the cell where it was found.  If not, all is BAD anyway: one walk is enough. */
static bool peel_take_out(struct ki_peel *peel, struct ki_found found, struct ki_hash128 hash, uint32_t index)
{
    bool belongs = false;
    uint32_t by = found.mine ? UINT32_MAX : 1;
    for (struct ki_walk walk = ki_walk(hash.first); walk.index < peel->cell_count; ki_walk_next(&walk)) {
        ki_coded_toggle(&peel->cells[walk.index], found.item, hash.second, by);
        peel_consider(peel, (uint32_t)walk.index);
        belongs |= walk.index == index;
    }
    peel->rest.sum.first ^= hash.first;
    peel->rest.sum.second ^= hash.second;
    peel->rest.count += found.mine ? UINT64_MAX : 1;
    return belongs;
}

/* Returns false when the cell proves that the peer lies. */
static bool peel_look(struct ki_peel *peel, uint32_t index)
{
    const struct ki_coded *cell = &peel->cells[index];
    if (!peel_looks_single(cell))
        return true; /* it did when it was queued */
    struct ki_found found = {.item = {cell->a, cell->b}, .mine = (uint8_t)cell->count == 1};
    struct ki_hash128 hash = ki_item_hash(peel->key, found.item);
    if ((uint32_t)hash.second != cell->check)
        return true;
    if (peel->found_count == peel->received ||
        ki_map_get(&peel->by_item, hash.first, peel_is_item, peel, &found.item) != KI_MAP_NONE ||
        !peel_take_out(peel, found, hash, index))
        return false;
    bool entered = ki_map_put(&peel->by_item, hash.first, peel->found_count);
    KI_ASSERT(entered); /* room was reserved */
    peel->found[peel->found_count++] = found;
    return true;
}

enum ki_peel_result ki_peel_run(struct ki_peel *peel, uint32_t budget)
{
    for (;; budget--) {
        if (peel->bad)
            return KI_PEEL_BAD;
        if ((peel->rest.sum.first | peel->rest.sum.second | peel->rest.count) == 0)
            return KI_PEEL_DONE;
        if (peel->queue_count == 0)
            return KI_PEEL_STUCK;
        if (budget == 0)
            return KI_PEEL_MORE;
        peel->bad = !peel_look(peel, peel_pop(peel));
    }
}

const struct ki_found *ki_peel_next(struct ki_peel *peel)
{
    return peel->polled < peel->found_count ? &peel->found[peel->polled++] : NULL;
}

void ki_peel_refuse(struct ki_peel *peel)
{
    peel->bad = true;
}
