/* The causal context against a stupid model, a flag for each dot of a small domain; the laws of joining; memory that
 * runs out at each place.  Its bytes are test_context_wire.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/context.h"
#include "unit/failing.h"

/* ---- model ---- */

enum { REPLICAS = 4, NUMBERS = 600 };

/* Ids at both ends, and numbers that end where numbers end. */
static const uint64_t replica_ids[REPLICAS] = {0, 7, UINT64_C(1) << 40, UINT64_MAX};
static const uint64_t replica_base[REPLICAS] = {0, 0, 1000000, KI_DOT_N_MAX - NUMBERS};

struct model {
    bool has[REPLICAS][NUMBERS + 2]; /* 1..NUMBERS */
};

static struct ki_run run_of(size_t replica, size_t low, size_t high)
{
    return (struct ki_run){replica_ids[replica], replica_base[replica] + low, replica_base[replica] + high};
}

static void model_add(struct model *m, size_t replica, size_t low, size_t high)
{
    for (size_t n = low; n <= high; n++)
        m->has[replica][n] = true;
}

static void model_join(struct model *m, const struct model *other)
{
    for (size_t r = 0; r < REPLICAS; r++) {
        for (size_t n = 1; n <= NUMBERS; n++)
            m->has[r][n] |= other->has[r][n];
    }
}

/* The next run of what `theirs` has and `mine` has not, from (*r, *n) on; mine NULL: nothing. */
static bool model_next(const struct model *theirs, const struct model *mine, size_t *r, size_t *n, struct ki_run *out)
{
    for (; *r < REPLICAS; (*r)++, *n = 1) {
        for (size_t low = *n; low <= NUMBERS; low++) {
            size_t high = low;
            while (high <= NUMBERS && theirs->has[*r][high] && !(mine && mine->has[*r][high]))
                high++;
            if (high > low) {
                *out = run_of(*r, low, high - 1);
                *n = high;
                return true;
            }
        }
    }
    return false;
}

static void assert_run(struct ki_run a, struct ki_run b)
{
    assert_true(a.replica == b.replica && a.low == b.low && a.high == b.high);
}

/* Walks the whole of it, and asks for everything. */
static void check(const struct ki_context *context, const struct model *m)
{
    struct ki_run wanted, run;
    struct ki_dot at = {0, 0};
    size_t r = 0, n = 1, runs = 0, replicas = 0;
    while (model_next(m, NULL, &r, &n, &wanted)) {
        assert_true(ki_context_next(context, at, &run));
        assert_run(run, wanted);
        at = (struct ki_dot){run.replica, run.high + 1};
        runs++;
    }
    assert_false(ki_context_next(context, at, &run));
    assert_int_equal(context->run_count, runs);
    for (r = 0; r < REPLICAS; r++) {
        uint64_t highest = 0;
        for (n = 0; n <= NUMBERS + 1; n++) {
            struct ki_dot dot = {replica_ids[r], replica_base[r] + n};
            assert_true(ki_context_has(context, dot) == m->has[r][n]);
            highest = m->has[r][n] ? dot.n : highest;
        }
        replicas += highest > 0;
        assert_true(ki_context_highest(context, replica_ids[r]) == highest);
        assert_true(ki_context_highest(context, replica_ids[r] ^ 1) == 0);
        assert_false(ki_context_has(context, (struct ki_dot){replica_ids[r] ^ 1, highest}));
        assert_false(ki_context_has(context, (struct ki_dot){replica_ids[r], 0}));
    }
    assert_int_equal(context->replica_count, replicas);
}

static void check_missing(const struct ki_context *mine, const struct ki_context *theirs, const struct model *m,
                          const struct model *t, size_t slice)
{
    struct ki_run wanted, run;
    struct ki_dot cursor = {0, 0};
    size_t r = 0, n = 1, budget = slice;
    for (;;) {
        enum ki_missing found = ki_context_missing(mine, theirs, &cursor, &budget, &run);
        assert_true(budget <= slice);
        if (found == KI_MISSING_MORE) {
            assert_int_equal(budget, 0);
            budget = slice;
            continue;
        }
        assert_true((found == KI_MISSING_RUN) == model_next(t, m, &r, &n, &wanted));
        if (found == KI_MISSING_END)
            break;
        assert_run(run, wanted);
    }
    assert_int_equal(ki_context_missing(mine, theirs, &cursor, &budget, &run), KI_MISSING_END);
}

/* ---- digest: what is kept is what a context that was made anew would say ---- */

static const uint8_t digest_key[16] = "a key like any";

static void check_digest(struct ki_context *context)
{
    struct ki_context fresh;
    struct ki_run run;
    uint8_t kept[16], anew[16];
    ki_context_init(&fresh, context->mem);
    for (struct ki_dot at = {0, 0}; ki_context_next(context, at, &run);) {
        assert_true(ki_context_add_run(&fresh, run));
        at = (struct ki_dot){run.replica, run.high + 1};
    }
    assert_true(ki_context_equal(context, &fresh));
    ki_context_digest(context, digest_key, kept);
    ki_context_digest(&fresh, digest_key, anew);
    assert_memory_equal(kept, anew, 16);
    ki_context_free(&fresh);
}

/* ---- all contexts of two replicas and four numbers: bits 0..3 are the first's ---- */

enum { SMALL = 256 };

static void model_of_mask(struct model *m, unsigned mask)
{
    memset(m, 0, sizeof *m);
    for (unsigned bit = 0; bit < 8; bit++)
        m->has[bit / 4][bit % 4 + 1] = mask >> bit & 1;
}

static unsigned mask_of(const struct ki_context *context)
{
    unsigned mask = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        struct ki_run run = run_of(bit / 4, bit % 4 + 1, bit % 4 + 1);
        mask |= (unsigned)ki_context_has(context, (struct ki_dot){run.replica, run.low}) << bit;
    }
    return mask;
}

/* In one of eight orders: the bits beginning at any. */
static void build(struct ki_context *context, struct ki_mem *mem, unsigned mask, unsigned first)
{
    ki_context_init(context, mem);
    for (unsigned i = 0; i < 8; i++) {
        unsigned bit = (i * 3 + first) % 8;
        struct ki_run run = run_of(bit / 4, bit % 4 + 1, bit % 4 + 1);
        if (mask >> bit & 1)
            assert_true(ki_context_add(context, (struct ki_dot){run.replica, run.low}));
    }
}

static void test_small_ones_all(void **state)
{
    (void)state;
    static struct model m;
    struct ki_mem mem;
    struct ki_context one, other;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (unsigned mask = 0; mask < SMALL; mask++) {
        for (unsigned first = 0; first < 8; first++) {
            model_of_mask(&m, mask);
            build(&one, &mem, mask, first);
            check(&one, &m);
            build(&other, &mem, mask, 0);
            assert_true(ki_context_equal(&one, &other));
            check_digest(&one);
            ki_context_free(&one);
            ki_context_free(&other);
        }
        for (unsigned which = 0; which < 32; which++) { /* and each run added to it */
            unsigned replica = which / 16, low = which / 4 % 4 + 1, high = which % 4 + 1;
            if (low > high)
                continue;
            model_of_mask(&m, mask);
            model_add(&m, replica, low, high);
            build(&one, &mem, mask, 0);
            assert_true(ki_context_add_run(&one, run_of(replica, low, high)));
            check(&one, &m);
            ki_context_free(&one);
        }
    }
    assert_int_equal(mem.used, 0);
}

static void test_laws_of_joining(void **state)
{
    (void)state;
    static struct ki_context all[SMALL];
    static unsigned join[SMALL][SMALL];
    static struct model m, t;
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (unsigned a = 0; a < SMALL; a++)
        build(&all[a], &mem, a, 0);
    for (unsigned a = 0; a < SMALL; a++) {
        for (unsigned b = 0; b < SMALL; b++) {
            struct ki_context joined;
            uint8_t digest[16], wanted[16];
            ki_context_init(&joined, &mem);
            assert_true(ki_context_copy(&joined, &all[a]));
            assert_true(ki_context_join(&joined, &all[b]));
            join[a][b] = mask_of(&joined);
            assert_true(ki_context_equal(&joined, &all[a | b])); /* so all that have the mask are the same */
            assert_true(ki_context_equal(&all[a], &all[b]) == (a == b));
            ki_context_digest(&joined, digest_key, digest);
            ki_context_digest(&all[a | b], digest_key, wanted);
            assert_memory_equal(digest, wanted, 16);
            ki_context_digest(&all[a], digest_key, wanted);
            assert_true((memcmp(digest, wanted, 16) == 0) == ((a | b) == a));
            model_of_mask(&m, a);
            model_of_mask(&t, b);
            if (a % 3 == b % 3) /* the model walks slowly */
                check_missing(&all[a], &all[b], &m, &t, 1 + a % 4);
            ki_context_free(&joined);
        }
    }
    for (unsigned a = 0; a < SMALL; a++) {
        assert_true(join[a][a] == a && ki_context_join(&all[a], &all[a]) && mask_of(&all[a]) == a);
        for (unsigned b = 0; b < SMALL; b++) {
            bool fine = join[a][b] == join[b][a];
            for (unsigned c = 0; c < SMALL; c++)
                fine &= join[join[a][b]][c] == join[a][join[b][c]];
            assert_true(fine);
        }
    }
    for (unsigned a = 0; a < SMALL; a++)
        ki_context_free(&all[a]);
    assert_int_equal(mem.used, 0);
}

/* ---- a million random steps ---- */

struct pair {
    struct ki_context context;
    struct model m;
};

/* Most steps make gaps or fill one; a few take a long stretch. */
static void step_add(struct pair *pair, struct ki_rng *rng)
{
    size_t replica = ki_rng_below(rng, REPLICAS);
    size_t low = 1 + ki_rng_below(rng, NUMBERS);
    size_t long_run = ki_rng_below(rng, 50) == 0 ? 300 : 3;
    size_t high = ki_rng_below(rng, 64) ? low : ki_min_size(NUMBERS, low + ki_rng_below(rng, long_run));
    if (high == low && low % 2 && ki_rng_below(rng, 30))
        low = ++high; /* odd ones come late, so that there are many gaps for a while */
    model_add(&pair->m, replica, low, high);
    assert_true(ki_context_add_run(&pair->context, run_of(replica, low, high)));
}

static void begin(struct pair *pair, struct ki_mem *mem)
{
    ki_context_free(&pair->context);
    ki_context_init(&pair->context, mem);
    memset(&pair->m, 0, sizeof pair->m);
}

static void test_against_model(void **state)
{
    (void)state;
    static struct pair pairs[2];
    struct ki_rng rng;
    struct ki_mem mem;
    size_t most = 0;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 1);
    for (int i = 0; i < 2; i++)
        ki_context_init(&pairs[i].context, &mem);
    for (uint32_t step = 1; step <= 1000000; step++) {
        struct pair *one = &pairs[ki_rng_below(&rng, 2)], *other = one == pairs ? &pairs[1] : pairs;
        uint64_t luck = ki_rng_below(&rng, 10000);
        step_add(one, &rng);
        most = one->context.run_count > most ? one->context.run_count : most;
        if (luck < 40) {
            check(&one->context, &one->m);
            assert_true(ki_context_equal(&one->context, &one->context));
        } else if (luck < 50) {
            check_missing(&one->context, &other->context, &one->m, &other->m, 1 + ki_rng_below(&rng, 100));
        } else if (luck < 80) {
            check_digest(&one->context);
        } else if (luck < 82) {
            assert_true(ki_context_join(&one->context, &other->context));
            model_join(&one->m, &other->m);
        } else if (luck < 83) {
            begin(one, &mem);
        } else if (luck < 84) {
            begin(one, &mem);
            assert_true(ki_context_copy(&one->context, &other->context));
            assert_true(ki_context_equal(&one->context, &other->context));
            one->m = other->m;
        } else if (luck < 200) {
            struct ki_context *context = &one->context;
            uint8_t digest[16];
            ki_context_digest(context, digest_key, digest);
            assert_true(ki_context_reserve(context, ki_rng_below(&rng, 100)));
        }
    }
    assert_true(most > 500); /* a dozen chunks */
    for (int i = 0; i < 2; i++) {
        check(&pairs[i].context, &pairs[i].m);
        ki_context_free(&pairs[i].context);
    }
    assert_int_equal(mem.used, 0);
}

/* What is missing, added in slices while both grow, makes them equal at last. */
static void test_missing_in_slices(void **state)
{
    (void)state;
    static struct pair mine, theirs;
    struct ki_rng rng;
    struct ki_mem mem;
    struct ki_run run;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 2);
    ki_context_init(&mine.context, &mem);
    ki_context_init(&theirs.context, &mem);
    for (int round = 0; round < 40; round++) {
        struct ki_dot cursor = {0, 0};
        enum ki_missing found;
        do {
            size_t budget = ki_rng_below(&rng, 5);
            if (round % 2)
                step_add(ki_rng_below(&rng, 2) ? &mine : &theirs, &rng);
            found = ki_context_missing(&mine.context, &theirs.context, &cursor, &budget, &run);
            if (found == KI_MISSING_RUN) {
                assert_false(ki_context_has(&mine.context, (struct ki_dot){run.replica, run.low}));
                assert_true(ki_context_has(&theirs.context, (struct ki_dot){run.replica, run.high}));
                assert_true(ki_context_add_run(&mine.context, run));
            }
        } while (found != KI_MISSING_END);
        if (round % 2 == 0) {
            model_join(&mine.m, &theirs.m);
            check(&mine.context, &mine.m);
            for (int i = 0; i < 100; i++)
                step_add(i % 2 ? &mine : &theirs, &rng);
        } else {
            begin(&mine, &mem);
        }
    }
    ki_context_free(&mine.context);
    ki_context_free(&theirs.context);
    assert_int_equal(mem.used, 0);
}

/* Gaps by the ten thousand come and go: what is left takes no more than what is in it. */
static void test_chunks_are_given_back(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_context context;
    struct ki_rng rng;
    enum { GAPS = 20000 };
    static uint32_t order[GAPS];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 3);
    ki_context_init(&context, &mem);
    for (uint32_t i = 0; i < GAPS; i++) {
        assert_true(ki_context_add(&context, (struct ki_dot){i % 3, 2 * (i / 3) + 1}));
        order[i] = i;
    }
    assert_int_equal(context.run_count, GAPS);
    assert_true(mem.used < GAPS * 60);
    for (uint32_t i = GAPS - 1; i > 0; i--) {
        uint32_t k = (uint32_t)ki_rng_below(&rng, i + 1), swapped = order[i];
        order[i] = order[k];
        order[k] = swapped;
        assert_true(ki_context_add(&context, (struct ki_dot){order[i] % 3, 2 * (order[i] / 3) + 2}));
        assert_true(context.chunk_count <= context.run_count / 16 + 2); /* fused when they have half of one between them */
    }
    assert_true(ki_context_add(&context, (struct ki_dot){order[0] % 3, 2 * (order[0] / 3) + 2}));
    assert_int_equal(context.run_count, 3);
    ki_context_free(&context);
    /* and a run across all of them takes them at once */
    for (uint32_t i = 0; i < GAPS; i++)
        assert_true(ki_context_add(&context, (struct ki_dot){5, 2 * i + 2}));
    assert_true(ki_context_add(&context, (struct ki_dot){6, 1}));
    assert_true(ki_context_add_run(&context, (struct ki_run){5, 1, 2 * GAPS + 9}));
    assert_int_equal(context.run_count, 2);
    assert_true(context.chunk_count <= 2);
    assert_int_equal(ki_context_highest(&context, 5), 2 * GAPS + 9);
    ki_context_free(&context);
    assert_int_equal(mem.used, 0);
}

/* A first chunk that shrinks fuses with the one behind it. */
static void test_first_chunk_fuses(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_context context;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_context_init(&context, &mem);
    for (uint64_t n = 2; n <= 128; n += 2)
        assert_true(ki_context_add(&context, (struct ki_dot){5, n}));
    assert_true(ki_context_add(&context, (struct ki_dot){4, 1})); /* the full chunk is halved: 33 and 32 */
    assert_int_equal(context.chunk_count, 2);
    assert_true(ki_context_add_run(&context, (struct ki_run){5, 108, 128}));
    assert_int_equal(context.chunk_count, 2);
    assert_true(ki_context_add_run(&context, (struct ki_run){5, 2, 60}));
    assert_int_equal(context.chunk_count, 1);
    assert_int_equal(context.run_count, 26); /* 4:1, 5:2-60, 62, 64 ... 106, 108-128 */
    ki_context_free(&context);
    assert_int_equal(mem.used, 0);
}

static void test_digest_and_keys(void **state)
{
    (void)state;
    static const uint8_t zeros[16], other_key[16] = "another";
    struct ki_mem mem;
    struct ki_context context;
    uint8_t first[16], second[16];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_context_init(&context, &mem);
    ki_context_digest(&context, digest_key, first);
    assert_memory_equal(first, zeros, 16);
    assert_true(ki_context_add(&context, (struct ki_dot){0, 1}));
    ki_context_digest(&context, digest_key, first);
    assert_memory_not_equal(first, zeros, 16);
    assert_memory_not_equal(first, first + 8, 8);
    ki_context_digest(&context, other_key, second);
    assert_memory_not_equal(first, second, 16);
    ki_context_digest(&context, digest_key, second);
    assert_memory_equal(first, second, 16);
    assert_true(ki_dot_compare((struct ki_dot){1, 9}, (struct ki_dot){2, 1}) < 0);
    assert_true(ki_dot_compare((struct ki_dot){2, 9}, (struct ki_dot){2, 1}) > 0);
    assert_true(ki_dot_compare((struct ki_dot){2, 9}, (struct ki_dot){2, 9}) == 0);
    assert_true(ki_dot_is_valid((struct ki_dot){0, KI_DOT_N_MAX}) && ki_dot_is_valid((struct ki_dot){0, 1}));
    assert_false(ki_dot_is_valid((struct ki_dot){0, 0}) || ki_dot_is_valid((struct ki_dot){0, KI_DOT_N_MAX + 1}));
    ki_context_free(&context);
    assert_int_equal(mem.used, 0);
}

/* ---- memory runs out ---- */

/* Each allocation of additions, joins, copies and reservations fails once; each failure leaves what was there. */
static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    static struct pair one, other;
    struct failing failing = {0};
    struct ki_rng rng;
    struct ki_mem mem, plenty;
    struct ki_context copy;
    int failed = 0;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_mem_init(&plenty, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 4);
    ki_context_init(&one.context, &mem);
    ki_context_init(&other.context, &plenty);
    for (int i = 0; i < 3000; i++) {
        size_t replica = ki_rng_below(&rng, REPLICAS), low = 1 + 2 * ki_rng_below(&rng, NUMBERS / 2);
        uint64_t used = mem.used;
        bool fine = false;
        step_add(&other, &rng);
        for (int until = 0; !fine; until++) {
            size_t runs = one.context.run_count;
            failing.until = until;
            if (i % 100 == 98)
                fine = ki_context_reserve(&one.context, 200);
            else if (i % 100 == 99)
                fine = ki_context_join(&one.context, &other.context);
            else
                fine = ki_context_add_run(&one.context, run_of(replica, low, low));
            failed += !fine;
            assert_true(fine || one.context.run_count == runs);
            if (!fine && i % 100 >= 98) {
                check(&one.context, &one.m);
                assert_true(mem.used <= used + one.context.chunk_cap * sizeof(void *) + 16);
            }
        }
        if (i % 100 == 99)
            model_join(&one.m, &other.m);
        else if (i % 100 < 98)
            model_add(&one.m, replica, low, low);
        if (i % 50 == 0)
            check(&one.context, &one.m);
    }
    assert_true(failed > 100);
    ki_context_init(&copy, &mem);
    for (int until = 0, fine = 0; !fine; until++) {
        failing.until = until;
        fine = ki_context_copy(&copy, &one.context);
        assert_true(fine || (copy.run_count == 0 && copy.chunk_count == 0 && !copy.chunks));
    }
    assert_true(ki_context_equal(&copy, &one.context));
    ki_context_free(&copy);
    ki_context_free(&one.context);
    ki_context_free(&other.context);
    assert_int_equal(mem.used, 0);
    assert_int_equal(plenty.used, 0);
}

/* After a reservation that many additions cannot fail: scattered ones, ones in a row, into full chunks, each way. */
static void test_reserved_is_enough(void **state)
{
    (void)state;
    static struct pair one;
    struct failing failing = {0};
    struct ki_rng rng;
    struct ki_mem mem;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_rng_init(&rng, 5);
    ki_context_init(&one.context, &mem);
    for (int round = 0; round < 3000; round++) {
        size_t count = 1 + ki_rng_below(&rng, round % 5 ? 40 : 1000), way = ki_rng_below(&rng, 4);
        uint64_t replica = ki_rng_below(&rng, 5), at = 1 + ki_rng_below(&rng, 10000);
        failing.until = 1000000;
        assert_true(ki_context_reserve(&one.context, count));
        failing.until = 0;
        for (size_t i = 0; i < count; i++) {
            struct ki_dot dot = {replica, at + 2 * i};
            if (way == 1)
                dot = (struct ki_dot){ki_rng_below(&rng, 5), 1 + ki_rng_below(&rng, 40000)};
            else if (way == 2)
                dot.n = at + 3 * (count - i);
            else if (way == 3)
                dot = (struct ki_dot){10, ki_context_highest(&one.context, 10) + 2};
            assert_true(ki_context_add(&one.context, dot));
        }
        if (one.context.run_count > 20000) {
            assert_true(one.context.spare_count < 2000);
            ki_context_free(&one.context);
        }
    }
    failing.until = 1000000;
    assert_true(ki_context_reserve(&one.context, 0)); /* gives back what was reserved */
    assert_true(one.context.spare_count <= 2);
    failing.until = 0;
    assert_false(ki_context_reserve(&one.context, SIZE_MAX));
    ki_context_free(&one.context);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_ones_all),
        cmocka_unit_test(test_laws_of_joining),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_missing_in_slices),
        cmocka_unit_test(test_chunks_are_given_back),
        cmocka_unit_test(test_first_chunk_fuses),
        cmocka_unit_test(test_digest_and_keys),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
        cmocka_unit_test(test_reserved_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
