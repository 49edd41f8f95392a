/* The sketch of a store, kept lazily.
 *
 * A new cell only joins a list; its digest is made, and the sketch told, when somebody is about to compare.  A cell that
 * has gone by then costs nothing: of a key that is written a thousand times a second the sketch sees once a second what is
 * there.  A cell that is in the sketch leaves it when it is retired.
 *
 * Three keys come from the secret: for items, for their places in the sketch, for the context.  Another secret begins a new
 * sketch, into which all cells are taken again, in slices; until then nothing can be compared.
 *
 * Invariant: the sketch holds exactly the items of the cells that are marked with its number.
 * Deliberately not here: when to compare, with whom, and what follows.
 */
#include "store/compare.h"

#include "base/hash.h"

static void compare_key(const uint8_t secret[KI_SECRET_LEN], const char *purpose, uint8_t key[16])
{
    struct ki_hashing hashing = ki_hashing_begin(secret);
    ki_hashing_add(&hashing, secret + 16, KI_SECRET_LEN - 16);
    ki_hashing_add(&hashing, purpose, strlen(purpose));
    struct ki_hash128 hash = ki_hashing_end(&hashing);
    ki_store_be(key, hash.first, 8);
    ki_store_be(key + 8, hash.second, 8);
}

bool ki_compare_begin(struct ki_store *store, const uint8_t secret[KI_SECRET_LEN], uint32_t cells)
{
    uint8_t sketch_key[16];
    struct ki_compare *compare = ki_mem_new(store->mem, sizeof *compare);
    compare_key(secret, "sketch", sketch_key);
    if (!compare || !ki_sketch_init(&compare->sketch, store->mem, sketch_key, cells)) {
        ki_mem_free(store->mem, compare);
        return false;
    }
    compare_key(secret, "item", compare->item_key);
    compare_key(secret, "context", compare->context_key);
    compare_key(secret, "root", compare->root_key);
    ki_compare_end(store);
    store->compare = compare;
    return true;
}

void ki_compare_end(struct ki_store *store)
{
    if (!store->compare)
        return;
    ki_sketch_free(&store->compare->sketch);
    ki_mem_free(store->mem, store->compare);
    store->compare = NULL;
    ki_cells_sketch_anew(&store->cells);
}

enum ki_compare_state ki_compare_settle(struct ki_store *store, uint32_t budget)
{
    struct ki_compare *compare = store->compare;
    KI_ASSERT(compare);
    for (; budget > 0; budget--) {
        uint32_t id = ki_cells_next_waiting(&store->cells);
        if (id == KI_NO_CELL)
            return KI_COMPARE_WHOLE;
        struct ki_cell_image image = ki_cells_image(&store->cells, id);
        struct ki_item item = ki_cell_item(&image, compare->item_key);
        if (!ki_cells_sketched(&store->cells, id, item)) {
            ki_cells_wait(&store->cells, id);
            return KI_COMPARE_MEMORY;
        }
        ki_sketch_add(&compare->sketch, item);
    }
    return KI_COMPARE_MORE;
}

bool ki_compare_is_whole(const struct ki_store *store)
{
    return !ki_cells_has_waiting(&store->cells);
}

void ki_compare_retire(struct ki_store *store, uint32_t id)
{
    if (!store->compare || !ki_cells_is_sketched(&store->cells, id))
        return;
    ki_sketch_remove(&store->compare->sketch, ki_cells_at(&store->cells, id)->item);
    ki_cells_unsketched(&store->cells, id);
}

struct ki_hash128 ki_compare_root(struct ki_store *store)
{
    struct ki_compare *compare = store->compare;
    uint8_t digest[16], count[8];
    KI_ASSERT(compare);
    const struct ki_root *root = &compare->sketch.root;
    struct ki_hashing hashing = ki_hashing_begin(compare->root_key);
    ki_store_be(digest, root->sum.first, 8);
    ki_store_be(digest + 8, root->sum.second, 8);
    ki_store_be(count, root->count, 8);
    ki_hashing_add(&hashing, digest, sizeof digest);
    ki_hashing_add(&hashing, count, sizeof count);
    ki_context_digest(&store->context, compare->context_key, digest);
    ki_hashing_add(&hashing, digest, sizeof digest);
    return ki_hashing_end(&hashing);
}
