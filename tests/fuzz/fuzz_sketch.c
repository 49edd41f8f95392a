/* The decoder of sketches under a peer that has the key and lies: a program of small steps that gives it honest cells,
 * damaged ones, raw ones, and items where they should or should not be.  It must end within its bounds; what it finds
 * it finds once; and when no cell was a lie, it finds what differs and nothing else.
 *
 *   mine:be16 theirs:be16 (which of 16 items each has)   steps: what:u8 cell:u8 ...
 *
 *   what % 6:   0 honest   1 honest, but for a bit:u8   2 raw: 21 bytes   3 one item:u8, count:u8
 *               4 run, budget:u8                        5 as many honest ones as cell says
 */
#include "store/peel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_CELLS = 64, FUZZ_ITEMS = 16 };

static const uint8_t fuzz_key[16] = "fuzz";

static struct ki_item fuzz_item(uint64_t i)
{
    return (struct ki_item){i * UINT64_C(0x9e3779b97f4a7c15), ~i};
}

static void fuzz_fill(struct ki_sketch *sketch, struct ki_mem *mem, uint64_t which)
{
    KI_ASSERT(ki_sketch_init(sketch, mem, fuzz_key, FUZZ_CELLS));
    for (uint64_t i = 0; i < FUZZ_ITEMS; i++) {
        if (which >> i & 1)
            ki_sketch_add(sketch, fuzz_item(i));
    }
}

static void fuzz_give(struct ki_peel *peel, uint32_t index, const struct ki_coded *cell)
{
    uint32_t before = peel->received;
    bool taken = ki_peel_cell(peel, index, cell);
    KI_ASSERT(taken ? index < FUZZ_CELLS && peel->received == before + 1 : peel->received == before);
}

/* One step.  Returns false when it told a lie. */
static bool fuzz_step(struct ki_peel *peel, const struct ki_sketch *theirs, struct ki_reader *r)
{
    uint64_t what = ki_take_be(r, 1);
    uint32_t at = (uint32_t)ki_take_be(r, 1);
    struct ki_coded cell = theirs->cells[at % FUZZ_CELLS];
    uint8_t wire[KI_CODED_LEN];
    struct ki_writer w = ki_writer(wire, sizeof wire);
    struct ki_reader back = ki_reader(wire, sizeof wire);
    struct ki_item item;
    switch (what % 6) {
    case 0:
        fuzz_give(peel, at % FUZZ_CELLS, &cell);
        return true;
    case 1:
        ki_coded_write(&w, &cell);
        at %= FUZZ_CELLS;
        what = ki_take_be(r, 1);
        wire[what / 8 % KI_CODED_LEN] ^= (uint8_t)(1 << what % 8);
        cell = ki_coded_read(&back);
        break;
    case 2:
        cell = ki_coded_read(r);
        break;
    case 3:
        item = fuzz_item(ki_take_be(r, 1));
        cell = (struct ki_coded){0};
        ki_coded_toggle(&cell, item, ki_item_hash(fuzz_key, item).second, (uint32_t)ki_take_be(r, 1));
        break;
    case 4:
        ki_peel_run(peel, (uint32_t)ki_take_be(r, 1));
        return true;
    case 5:
        for (uint32_t i = 0; i < at && i < FUZZ_CELLS; i++)
            fuzz_give(peel, i, &theirs->cells[i]);
        return true;
    }
    fuzz_give(peel, at, &cell);
    return false;
}

/* What was found, against what each side has. */
static void fuzz_check(struct ki_peel *peel, bool honest, bool done, uint64_t mine, uint64_t theirs)
{
    struct ki_item seen[FUZZ_CELLS];
    const struct ki_found *found;
    uint64_t left_mine = mine & ~theirs, left_theirs = theirs & ~mine, left = mine ^ theirs;
    uint32_t count = 0;
    while ((found = ki_peel_next(peel)) != NULL) {
        for (uint32_t i = 0; i < count; i++)
            KI_ASSERT(seen[i].a != found->item.a || seen[i].b != found->item.b);
        KI_ASSERT(count < FUZZ_CELLS);
        seen[count++] = found->item;
        uint64_t bit = (uint64_t)1 << (~found->item.b & 63), *side = found->mine ? &left_mine : &left_theirs;
        KI_ASSERT(!honest || (*side & bit));
        *side &= ~bit;
        left &= ~bit;
    }
    KI_ASSERT(count <= peel->received);
    KI_ASSERT(!done || left == 0); /* the roots are honest: done means all, though a liar may have swapped sides */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_reader r = ki_reader(data, size);
    struct ki_mem mem;
    struct ki_sketch mine, theirs;
    struct ki_peel peel;
    bool honest = true;
    uint32_t looked = 0;
    enum ki_peel_result result;
    uint64_t which_mine = ki_take_be(&r, 2), which_theirs = ki_take_be(&r, 2);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    fuzz_fill(&mine, &mem, which_mine);
    fuzz_fill(&theirs, &mem, which_theirs);
    KI_ASSERT(ki_peel_init(&peel, &mem, &mine, FUZZ_CELLS, &theirs.root));
    uint64_t used = mem.used;
    while (r.left > 0 && !r.bad)
        honest = fuzz_step(&peel, &theirs, &r) && honest;
    /* each look empties the queue by one, and each item, of at most as many as cells, fills it by its cells */
    while ((result = ki_peel_run(&peel, 1)) == KI_PEEL_MORE)
        KI_ASSERT(looked++ <= FUZZ_CELLS * FUZZ_CELLS);
    KI_ASSERT(mem.used == used && !(honest && result == KI_PEEL_BAD));
    fuzz_check(&peel, honest, result == KI_PEEL_DONE, which_mine, which_theirs);
    ki_peel_free(&peel);
    ki_sketch_free(&mine);
    ki_sketch_free(&theirs);
    KI_ASSERT(mem.used == 0);
    return 0;
}
