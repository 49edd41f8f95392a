/* What the kept sketch costs: processor time to take an item in and out, and to find what two sketches differ in.
 *
 *     bench_sketch [items] [trials]     10,000,000 items, 100 decodings
 *
 * One line a figure: its name, the number of coded cells or of differing items, and the value. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "store/peel.h"

static const uint8_t key[16] = "a key of a pool";

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Digests are as good as random. */
static struct ki_item item_of(uint64_t number)
{
    uint64_t z = number * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return (struct ki_item){.a = z ^ z >> 27, .b = (z ^ z >> 31) * UINT64_C(0x94d049bb133111eb)};
}

static void update(struct ki_mem *mem, uint32_t cells, uint64_t items)
{
    struct ki_sketch sketch;
    bool made = ki_sketch_init(&sketch, mem, key, cells);
    KI_ASSERT(made);
    double start = now_ms();
    for (uint64_t i = 1; i <= items; i++)
        ki_sketch_add(&sketch, item_of(i));
    double middle = now_ms();
    for (uint64_t i = 1; i <= items; i++)
        ki_sketch_remove(&sketch, item_of(i));
    double end = now_ms();
    KI_ASSERT(sketch.root.count == 0 && sketch.cells[0].count == 0 && sketch.cells[0].a == 0);
    printf("add_ns %u %.1f\nremove_ns %u %.1f\n", cells, (middle - start) * 1e6 / (double)items,
           cells, (end - middle) * 1e6 / (double)items);
    ki_sketch_free(&sketch);
}

/* The items differ on one side and the other; cells are taken in until these do. */
static void decode(struct ki_mem *mem, uint32_t differing, unsigned trials)
{
    double total = 0, worst = 0, cells = 0;
    for (unsigned trial = 0; trial < trials; trial++) {
        struct ki_sketch own, theirs;
        struct ki_peel peel;
        bool made = ki_sketch_init(&own, mem, key, 4 * differing) &&
                    ki_sketch_init(&theirs, mem, key, 4 * differing);
        KI_ASSERT(made);
        for (uint32_t i = 0; i < differing; i++)
            ki_sketch_add(i % 2 ? &own : &theirs, item_of(1 + (uint64_t)trial * differing + i));
        double start = now_ms();
        made = ki_peel_init(&peel, mem, &own, 4 * differing, &theirs.root);
        KI_ASSERT(made);
        enum ki_peel_result result = KI_PEEL_STUCK;
        uint32_t next = 0;
        while (result == KI_PEEL_STUCK && next < 4 * differing) {
            uint32_t end = next == 0 ? differing * 4 / 3 : next + differing / 50 + 1;
            for (; next < end && next < 4 * differing; next++)
                ki_peel_cell(&peel, next, &theirs.cells[next]);
            while ((result = ki_peel_run(&peel, 1000)) == KI_PEEL_MORE) {
            }
        }
        double took = now_ms() - start;
        KI_ASSERT(result == KI_PEEL_DONE && peel.found_count == differing);
        total += took;
        worst = took > worst ? took : worst;
        cells += next;
        ki_peel_free(&peel);
        ki_sketch_free(&own);
        ki_sketch_free(&theirs);
    }
    printf("decode_ms %u %.3f\ndecode_worst_ms %u %.3f\ndecode_cells %u %.0f\n", differing,
           total / trials, differing, worst, differing, cells / trials);
}

int main(int argc, char **argv)
{
    struct ki_mem mem;
    uint64_t items = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    unsigned trials = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100;
    if (items == 0 || trials == 0) {
        fprintf(stderr, "usage: bench_sketch [items] [trials]\n");
        return 2;
    }
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    update(&mem, 1024, items);
    update(&mem, 4096, items);
    decode(&mem, 1000, trials);
    KI_ASSERT(mem.used == 0);
    return 0;
}
