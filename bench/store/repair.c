/* What a repair costs: bytes by kind of message, round trips, processor time, and how that stands to the bound of
 * information theory (128-bit items: log2 of (2^128 over d)).
 *
 *     bench_repair small            10,000 keys of which 5 differ, over datagrams
 *     bench_repair large [trials]   1,000,000 keys, 1 to 10,000 items differ, over a stream, asked once and in steps
 *     bench_repair empty            an empty replica takes 1,000,000 keys
 */
#include <math.h>
#include <time.h>

#include "unit/repair_pair.h"

static struct pair pair;

static const char *const names[KI_PIECE_END] = {"head",    "HELLO", "PARITY", "CODED", "VERDICT",   "NAMED",     "CONTEXT",
                                                "SET",     "CELLS", "PART",   "ASK",   "ASK_CODED", "ASK_NAMED", "ASK_CELLS",
                                                "DONE"};

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void put(unsigned side, unsigned key, unsigned long value, bool lost)
{
    char name[32], text[32];
    snprintf(name, sizeof name, "user:%08u", key);
    snprintf(text, sizeof text, "value-%016lx", value);
    int error = ki_set(&pair.stores[side], PAIR_WALL_MS, pair_text(name), pair_text(text), 0);
    KI_ASSERT(error == 0);
    pair_tell(&pair, side, lost);
}

static void fill(unsigned keys)
{
    pair_begin(&pair, 1);
    for (unsigned i = 0; i < keys; i++)
        put(i % 2, i, i, false);
    pair_settle(&pair);
}

static void must_be_equal(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (pair.results[i] != KI_REPAIR_DONE) {
            fprintf(stderr, "side %u: result %d, reason %d\n", i, (int)pair.results[i], (int)pair.sides[i].reason);
            exit(1);
        }
    }
    if (!pair_agrees(&pair)) {
        fprintf(stderr, "the stores differ\n");
        exit(1);
    }
}

static void small(void)
{
    struct ki_repair_config config = pair_config(false);
    fill(10000);
    ki_store_renew(&pair.stores[0], 77); /* the third replica's id */
    for (unsigned i = 0; i < 5; i++)
        put(i % 2, 1000 * i + 17, 1000000 + i, true);
    bool opened = pair_open(&pair, &config);
    KI_ASSERT(opened);
    pair_datagrams(&pair, 0, false);
    must_be_equal();
    uint64_t all = 0;
    printf("10,000 keys, 5 differ, 3 replica ids, datagrams\n%12s %10s %10s\n", "", "initiator", "responder");
    for (unsigned kind = 0; kind < KI_PIECE_END; kind++) {
        uint64_t a = pair.sides[0].stats.sent[kind], b = pair.sides[1].stats.sent[kind];
        all += a + b;
        if (a + b > 0)
            printf("%12s %10llu %10llu\n", names[kind], (unsigned long long)a, (unsigned long long)b);
    }
    uint64_t cells = pair.sides[0].stats.sent[KI_PIECE_CELLS] + pair.sides[1].stats.sent[KI_PIECE_CELLS];
    printf("all %llu bytes in %llu datagrams; without the cells %llu\n", (unsigned long long)all,
           (unsigned long long)(pair.sides[0].stats.messages_sent + pair.sides[1].stats.messages_sent),
           (unsigned long long)(all - cells));
    pair_end(&pair);
}

/* Runs as a stream does, and measures the longest call. */
static double longest_ms;

static void measured_stream(void)
{
    static uint8_t bytes[65536];
    bool is_quiet = false;
    size_t len;
    longest_ms = 0;
    for (unsigned from = 0; !pair_is_over(&pair) && !is_quiet; from = !from) {
        is_quiet = true;
        for (unsigned k = 0; k < 2; k++) {
            size_t budget;
            do {
                budget = 3000;
                double start = now_ms();
                pair.results[k] = ki_repair_step(&pair.sides[k], 0, &budget);
                longest_ms = fmax(longest_ms, now_ms() - start);
            } while (budget == 0);
        }
        for (unsigned window = 0;; window++) {
            double start = now_ms();
            if (!ki_repair_poll(&pair.sides[from], bytes, sizeof bytes, &len))
                break;
            longest_ms = fmax(longest_ms, now_ms() - start);
            is_quiet = false;
            start = now_ms();
            pair.results[!from] = ki_repair_receive(&pair.sides[!from], PAIR_WALL_MS, 0, ki_span(bytes, len));
            longest_ms = fmax(longest_ms, now_ms() - start);
        }
        is_quiet = is_quiet && pair.sides[0].pending == 0 && pair.sides[1].pending == 0;
        pair.rounds++;
    }
}

static double bound_bytes(double d)
{
    return (d * 128 * log(2) - lgamma(d + 1)) / log(2) / 8;
}

static void large_one(unsigned keys, unsigned differing, bool in_steps, unsigned trials)
{
    double coded = 0, cells_only = 0, coded_rest = 0, rounds = 0, cpu = 0, bytes = 0, longest = 0, lists = 0, cells = 0;
    for (unsigned trial = 0; trial < trials; trial++) {
        struct ki_repair_config config = pair_config(true);
        if (in_steps)
            config.asking = KI_REPAIR_ASK_IN_STEPS;
        config.first_cells = differing < 10 ? 4 : 24;
        if (differing == 1) /* one item: a key that is new */
            put(0, 10 * keys + (unsigned)ki_rng_below(&pair.rng, keys), trial, true);
        for (unsigned i = 0; i < differing / 2; i++) /* each is two items, but for keys that are chosen twice */
            put(i % 2, (unsigned)ki_rng_below(&pair.rng, keys), ki_rng_next(&pair.rng), true);
        bool opened = pair_open(&pair, &config);
        KI_ASSERT(opened);
        double start = now_ms();
        measured_stream();
        cpu += now_ms() - start;
        longest = fmax(longest, longest_ms);
        must_be_equal();
        coded += (double)pair.sides[0].stats.sent[KI_PIECE_CODED];
        cells_only += (double)(pair.sides[1].stats.coded_received * KI_CODED_LEN);
        coded_rest += (double)(pair.sides[0].stats.sent[KI_PIECE_PARITY] + pair.sides[1].stats.sent[KI_PIECE_ASK_CODED]);
        cells += (double)(pair.sides[0].stats.sent[KI_PIECE_CELLS] + pair.sides[1].stats.sent[KI_PIECE_CELLS]);
        for (unsigned kind = 0; kind < KI_PIECE_END; kind++)
            bytes += (double)(pair.sides[0].stats.sent[kind] + pair.sides[1].stats.sent[kind]);
        rounds += pair.rounds / 2.0;
        lists += pair.sides[1].is_list;
    }
    double bound = bound_bytes(differing) * trials;
    printf("%8u %6s %10.0f %8.2f %8.2f %10.0f %10.0f %8.1f %9.2f %9.2f %6.0f\n", differing, in_steps ? "steps" : "once",
           coded / trials, cells_only / bound, coded / bound, coded_rest / trials, (bytes - cells) / trials,
           rounds / trials, cpu / trials, longest, lists);
    fflush(stdout);
}

static void large(unsigned trials)
{
    static const unsigned differing[] = {1, 10, 100, 1000, 10000};
    fill(1000000);
    printf("1,000,000 keys, stream, mean of %u\n%8s %6s %10s %8s %8s %10s %10s %8s %9s %9s %6s\n", trials, "differ", "asked",
           "coded B", "cells x", "coded x", "parity..B", "no cells B", "trips", "CPU ms", "call ms", "lists");
    for (unsigned in_steps = 0; in_steps < 2; in_steps++) {
        for (unsigned i = 0; i < KI_COUNT(differing); i++)
            large_one(1000000, differing[i], in_steps, differing[i] == 10000 ? (trials + 9) / 10 : trials);
    }
    pair_end(&pair);
}

/* All that has been filled in crosses: one of the sides is empty, or each lacks half of what the other wrote. */
static void whole(const char *title)
{
    struct ki_repair_config config = pair_config(true);
    bool opened = pair_open(&pair, &config);
    KI_ASSERT(opened);
    double start = now_ms();
    measured_stream();
    double cpu = now_ms() - start;
    uint64_t bytes = 0, cells = 0, sets = 0;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned kind = 0; kind < KI_PIECE_END; kind++)
            bytes += pair.sides[side].stats.sent[kind];
        cells += pair.sides[side].stats.sent[KI_PIECE_CELLS];
        sets += pair.sides[side].stats.sent[KI_PIECE_SET];
    }
    printf("%s: %.2f s of both, %.1f MB, of which cells %.1f MB, dots %.2f MB; %.1f trips, longest call %.2f ms\n", title,
           cpu / 1e3, (double)bytes / 1e6, (double)cells / 1e6, (double)sets / 1e6, pair.rounds / 2.0, longest_ms);
    must_be_equal();
    pair_end(&pair);
}

static void empty(void)
{
    pair_begin(&pair, 1);
    for (unsigned i = 0; i < 1000000; i++)
        put(0, i, i, true);
    whole("an empty replica takes 1,000,000 keys");
    pair_begin(&pair, 1);
    for (unsigned i = 0; i < 1000000; i++)
        put(i % 2, i, i, ki_rng_below(&pair.rng, 2));
    whole("of 1,000,000 keys each side lacks a quarter, at random");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "all";
    bool all = strcmp(what, "all") == 0;
    if (all || strcmp(what, "small") == 0)
        small();
    if (all || strcmp(what, "large") == 0)
        large(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100);
    if (all || strcmp(what, "empty") == 0)
        empty();
    return 0;
}
