/* The coded cells of a set, kept with each change.
 *
 * An item joins cell 0 and then ever fewer: cell j with a probability of about 1 / (1 + j/2), at which a difference of
 * d items can be peeled from any 1.35 d to 1.75 d cells (Yang et al. 2024, sec. 4).  The chance to skip all cells in
 * (i, x] is (i+1)(i+2) / ((x+1)(x+2)), so a uniform number u becomes a gap by inverting that.  With u = 1 - r/2^64:
 *
 *     gap = ceil((i + 3/2) (2^32 / sqrt(r) - 1)) = ceil((2i + 3)(2^32 - s) / 2s),    s = max(1, floor(sqrt(r)))
 *
 * r is a multiplicative sequence that begins with the item's hash; the multiplier is the published one.  All of it is
 * integers: two nodes with other compilers must walk the same cells.  Below m cells an item has about 2 ln m - 0.8.
 *
 * On the wire a cell is 21 bytes, numbers big-endian.  Only 0 and +-1 of a count are ever acted upon, and the check
 * guards them, so the count travels modulo 256:
 *
 *      0               8               16      20
 *     +---------------+---------------+-------+-+
 *     | a             | b             | check |n|
 *     +---------------+---------------+-------+-+
 *
 * Invariants: cells, root and parity are functions of the set alone, not of the order of changes; removing undoes adding.
 * Cell 0 holds the XOR of all items.  No change allocates or fails.
 *
 * Deliberately not here: the items (the store has them), growing (a longer prefix needs all items again: make a new
 * sketch and add them), protection from who knows the key (sums by XOR can be solved for; members are trusted).
 */
#include "store/sketch.h"

bool ki_sketch_init(struct ki_sketch *sketch, struct ki_mem *mem, const uint8_t key[16], uint32_t cells)
{
    KI_ASSERT(cells > 0 && cells <= KI_SKETCH_CELLS_MAX);
    *sketch = (struct ki_sketch){.mem = mem, .cell_count = cells};
    memcpy(sketch->key, key, sizeof sketch->key);
    sketch->cells = ki_mem_new(mem, cells * sizeof *sketch->cells);
    return sketch->cells != NULL;
}

bool ki_sketch_copy(struct ki_sketch *sketch, struct ki_mem *mem, const struct ki_sketch *from)
{
    *sketch = *from;
    sketch->mem = mem;
    sketch->cells = ki_mem_copy(mem, from->cells, from->cell_count * sizeof *from->cells);
    return sketch->cells != NULL;
}

void ki_sketch_free(struct ki_sketch *sketch)
{
    ki_mem_free(sketch->mem, sketch->cells);
    sketch->cells = NULL;
}

/* As ki_store_be() does, spelled out: compilers make one store of it, and this is done for every item. */
static inline void sketch_store_be8(uint8_t *at, uint64_t value)
{
    at[0] = (uint8_t)(value >> 56);
    at[1] = (uint8_t)(value >> 48);
    at[2] = (uint8_t)(value >> 40);
    at[3] = (uint8_t)(value >> 32);
    at[4] = (uint8_t)(value >> 24);
    at[5] = (uint8_t)(value >> 16);
    at[6] = (uint8_t)(value >> 8);
    at[7] = (uint8_t)value;
}

struct ki_hash128 ki_item_hash(const uint8_t key[16], struct ki_item item)
{
    uint8_t bytes[16];
    sketch_store_be8(bytes, item.a);
    sketch_store_be8(bytes + 8, item.b);
    return ki_siphash128(key, bytes, sizeof bytes);
}

static void sketch_toggle(struct ki_sketch *sketch, struct ki_item item, uint32_t by)
{
    struct ki_hash128 hash = ki_item_hash(sketch->key, item);
    for (struct ki_walk walk = ki_walk(hash.first); walk.index < sketch->cell_count; ki_walk_next(&walk))
        ki_coded_toggle(&sketch->cells[walk.index], item, hash.second, by);
    sketch->root.sum.first ^= hash.first;
    sketch->root.sum.second ^= hash.second;
    ki_parity_flip(&sketch->parity, hash.second >> 32);
}

void ki_sketch_add(struct ki_sketch *sketch, struct ki_item item)
{
    sketch_toggle(sketch, item, 1);
    sketch->root.count++;
}

void ki_sketch_remove(struct ki_sketch *sketch, struct ki_item item)
{
    sketch_toggle(sketch, item, UINT32_MAX);
    sketch->root.count--;
}

void ki_coded_write(struct ki_writer *w, const struct ki_coded *cell)
{
    ki_put_be(w, cell->a, 8);
    ki_put_be(w, cell->b, 8);
    ki_put_be(w, cell->check, 4);
    ki_put_u8(w, (uint8_t)cell->count);
}

struct ki_coded ki_coded_read(struct ki_reader *r)
{
    struct ki_coded cell;
    cell.a = ki_take_be(r, 8);
    cell.b = ki_take_be(r, 8);
    cell.check = (uint32_t)ki_take_be(r, 4);
    cell.count = (uint32_t)ki_take_be(r, 1);
    return cell;
}
