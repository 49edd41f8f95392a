/* The bytes of a context: vectors, what is refused, parts of every size, limits, mutations, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/varint.h"
#include "store/context.h"
#include "unit/failing.h"
#include "unit/hex.h"

enum { BYTES_MAX = 1 << 16 };

static struct ki_mem plain;

static int set_up(void **state)
{
    (void)state;
    ki_mem_init(&plain, NULL, NULL, NULL, 0);
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    return plain.used == 0 ? 0 : -1;
}

/* Reads all of it as one part. */
static enum ki_context_verdict decode(struct ki_context *into, const void *bytes, size_t len, bool *whole)
{
    struct ki_context_decoder decoder = {.into = into, .replicas_max = 1000, .runs_max = 10000};
    struct ki_reader r = ki_reader(bytes, len);
    enum ki_context_verdict verdict = ki_context_decode(&decoder, &r, SIZE_MAX);
    *whole = verdict == KI_CONTEXT_FINE && ki_context_decode_is_whole(&decoder);
    assert_true((verdict == KI_CONTEXT_FINE) == (r.left == 0 || len == 0));
    assert_true(verdict == KI_CONTEXT_FINE || into->run_count == 0);
    return verdict;
}

/* Writes all of it as one part. */
static size_t encode(const struct ki_context *context, uint8_t *buf)
{
    struct ki_context_cursor cursor = {0};
    size_t len = ki_context_encode(context, &cursor, buf, BYTES_MAX);
    assert_true(cursor.ended);
    assert_int_equal(len, ki_context_encoded_len(context));
    assert_int_equal(ki_context_encode(context, &cursor, buf, BYTES_MAX), 0);
    return len;
}

/* ---- numbers ---- */

static void test_varint(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *hex;
    } good[] = {
        {0, "00"}, {1, "01"}, {127, "7f"}, {128, "80 01"}, {299, "ab 02"}, {16383, "ff 7f"}, {16384, "80 80 01"},
        {UINT64_C(1) << 63, "80 80 80 80 80 80 80 80 80 01"}, {UINT64_MAX, "ff ff ff ff ff ff ff ff ff 01"},
    };
    static const char *const bad[] = {
        "", "80", "ff ff", "80 00", "ff 00", "80 80 00", "ff ff ff ff ff ff ff ff ff 00",
        "80 80 80 80 80 80 80 80 80 02", "80 80 80 80 80 80 80 80 80 80 01", "ff ff ff ff ff ff ff ff ff 03",
    };
    uint8_t bytes[16], out[16];
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        size_t len = hex_bytes(good[i].hex, bytes, sizeof bytes);
        struct ki_writer w = ki_writer(out, sizeof out);
        ki_put_varint(&w, good[i].value);
        assert_int_equal(w.len, len);
        assert_int_equal(ki_varint_len(good[i].value), len);
        assert_memory_equal(out, bytes, len);
        struct ki_reader r = ki_reader(bytes, len);
        assert_true(ki_take_varint(&r) == good[i].value && !r.bad && r.left == 0);
        w = ki_writer(out, len - 1);
        ki_put_varint(&w, good[i].value);
        assert_true(w.full);
    }
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        struct ki_reader r = ki_reader(bytes, hex_bytes(bad[i], bytes, sizeof bytes));
        assert_true(ki_take_varint(&r) == 0 && r.bad);
    }
}

/* ---- vectors ---- */

#define MOST "fe ff ff ff ff ff ff ff 7f" /* 2^63 - 2: a gap to the greatest number */

static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        size_t count;
        struct ki_run runs[4];
    } rows[] = {
        {"", 0, {{0, 0, 0}}},
        {"0000000000000007 00 11 01 38  0102030405060708 ab02 00", 3, /* context_wire.c's */
         {{7, 1, 9}, {7, 12, 40}, {UINT64_C(0x0102030405060708), 300, 300}}},
        {"0000000000000000 00 00", 1, {{0, 1, 1}}},
        {"ffffffffffffffff " MOST " 00", 1, {{UINT64_MAX, KI_DOT_N_MAX, KI_DOT_N_MAX}}},
        {"ffffffffffffffff 00 fc ff ff ff ff ff ff ff ff 01", 1, {{UINT64_MAX, 1, KI_DOT_N_MAX}}},
        {"0000000000000001 00 01 00 00", 2, {{1, 1, 1}, {1, 3, 3}}},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        static uint8_t bytes[BYTES_MAX], out[BYTES_MAX];
        struct ki_context made, read;
        bool whole;
        size_t len = hex_bytes(rows[i].hex, bytes, sizeof bytes);
        ki_context_init(&made, &plain);
        ki_context_init(&read, &plain);
        for (size_t k = 0; k < rows[i].count; k++)
            assert_true(ki_context_add_run(&made, rows[i].runs[k]));
        assert_int_equal(encode(&made, out), len);
        assert_memory_equal(out, bytes, len);
        assert_int_equal(decode(&read, bytes, len, &whole), KI_CONTEXT_FINE);
        assert_true(whole && ki_context_equal(&made, &read));
        ki_context_free(&made);
        ki_context_free(&read);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "00",                                              /* half an id */
        "0000000000000001",                                /* and no run */
        "0000000000000001 00",                             /* half a run */
        "0000000000000001 00 80",                          /* half a number */
        "0000000000000001 80 00 00",                       /* not the shortest form */
        "0000000000000001 00 82 00",                       /* nor here */
        "0000000000000001 00 00 0000000000000001 05 00",   /* a replica twice */
        "0000000000000002 00 00 0000000000000001 00 00",   /* out of order */
        "0000000000000001 ff ff ff ff ff ff ff ff 7f 00",  /* begins at 2^63 */
        "0000000000000001 ff ff ff ff ff ff ff ff ff 01 00",
        "0000000000000001 00 fe ff ff ff ff ff ff ff ff 01",       /* ends at 2^63 */
        "0000000000000001 " MOST " 02",                            /* the same */
        "0000000000000001 00 fd ff ff ff ff ff ff ff ff 01 00 00", /* another after the greatest */
        "0000000000000001 00 01 " MOST " 00",                      /* a gap that leads beyond it */
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[64];
        struct ki_context read;
        bool whole;
        size_t len = hex_bytes(rows[i], bytes, sizeof bytes);
        ki_context_init(&read, &plain);
        assert_int_equal(decode(&read, bytes, len, &whole), KI_CONTEXT_MALFORMED);
        assert_int_equal(read.run_count, 0);
        ki_context_free(&read);
    }
    /* a run that promises another: not wrong yet, but not whole */
    static const uint8_t promise[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
    struct ki_context read;
    bool whole;
    ki_context_init(&read, &plain);
    assert_int_equal(decode(&read, promise, sizeof promise, &whole), KI_CONTEXT_FINE);
    assert_false(whole);
    ki_context_free(&read);
}

/* ---- parts ---- */

/* A context whose entries have all lengths. */
static void fill(struct ki_context *context, struct ki_rng *rng, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        uint64_t replica = ki_rng_below(rng, 4) ? ki_rng_below(rng, 4) : ki_rng_next(rng);
        uint64_t low = 1 + (ki_rng_next(rng) >> (1 + ki_rng_below(rng, 63))) % KI_DOT_N_MAX;
        uint64_t len = ki_rng_next(rng) >> (2 + ki_rng_below(rng, 62));
        len = ki_rng_below(rng, 4) ? len % 5 : len % 1000000;
        assert_true(ki_context_add_run(context, (struct ki_run){replica, low, ki_min_u64(KI_DOT_N_MAX, low + len)}));
    }
}

/* Written in parts of at most `size` bytes, each read at once, a few runs at a time. */
static void check_parts(const struct ki_context *context, const uint8_t *bytes, size_t len, size_t size)
{
    static uint8_t part[BYTES_MAX];
    struct ki_context read;
    ki_context_init(&read, &plain);
    struct ki_context_cursor cursor = {0};
    struct ki_context_decoder decoder = {.into = &read, .replicas_max = 1000, .runs_max = 10000};
    size_t done = 0;
    while (!cursor.ended) {
        memset(part, 0xaa, size + 1);
        size_t took = ki_context_encode(context, &cursor, part, size);
        assert_true(took > 0 && took <= size && took <= len - done);
        assert_int_equal(part[size], 0xaa);
        assert_memory_equal(part, bytes + done, took);
        assert_true(cursor.ended || size - took < KI_CONTEXT_ENTRY_MAX);
        struct ki_reader r = ki_reader(part, took);
        while (r.left > 0)
            assert_int_equal(ki_context_decode(&decoder, &r, 1 + size % 7), KI_CONTEXT_FINE);
        done += took;
    }
    assert_int_equal(done, len);
    assert_true(ki_context_decode_is_whole(&decoder));
    assert_true(ki_context_equal(context, &read));
    assert_int_equal(decoder.run_count, context->run_count);
    assert_int_equal(decoder.replica_count, context->replica_count);
    ki_context_free(&read);
}

static void test_parts_of_every_size(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MAX], few[BYTES_MAX];
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    for (size_t round = 0; round < 30; round++) {
        struct ki_context context;
        struct ki_context_cursor cursor = {0};
        ki_context_init(&context, &plain);
        fill(&context, &rng, 1 + round * 6);
        size_t len = encode(&context, bytes);
        for (size_t size = KI_CONTEXT_ENTRY_MAX; size <= len + 1; size++)
            check_parts(&context, bytes, len, size);
        for (size_t size = 0; size < 10; size++) /* too small for any first run: nothing is written, nothing moves */
            assert_true(ki_context_encode(&context, &cursor, few, size) == 0 && !cursor.ended);
        ki_context_free(&context);
    }
    struct ki_context longest;
    struct ki_context_cursor cursor = {0};
    ki_context_init(&longest, &plain);
    assert_true(ki_context_add_run(&longest, (struct ki_run){9, (KI_DOT_N_MAX >> 1) + 1, KI_DOT_N_MAX}));
    assert_int_equal(ki_context_encode(&longest, &cursor, few, KI_CONTEXT_ENTRY_MAX), 8 + 9 + 9);
    ki_context_free(&longest);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MAX];
    struct ki_context context, read;
    struct ki_rng rng;
    ki_rng_init(&rng, 2);
    ki_context_init(&context, &plain);
    ki_context_init(&read, &plain);
    fill(&context, &rng, 300);
    size_t len = encode(&context, bytes), replicas = context.replica_count, runs = context.run_count;
    for (size_t budget = 50; budget <= 5000; budget += 4950) {
        static const struct {
            size_t fewer_replicas, fewer_runs;
        } rows[] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {5, 0}, {0, 5}};
        for (size_t i = 0; i < KI_COUNT(rows); i++) {
            struct ki_context_decoder decoder = {.into = &read, .replicas_max = replicas - rows[i].fewer_replicas,
                                                 .runs_max = runs - rows[i].fewer_runs};
            struct ki_reader r = ki_reader(bytes, len);
            enum ki_context_verdict verdict = KI_CONTEXT_FINE;
            while (verdict == KI_CONTEXT_FINE && r.left > 0)
                verdict = ki_context_decode(&decoder, &r, budget);
            assert_int_equal(verdict, i == 0 ? KI_CONTEXT_FINE : KI_CONTEXT_TOO_LARGE);
            assert_true(read.replica_count <= decoder.replicas_max && read.run_count <= decoder.runs_max);
            ki_context_free(&read);
        }
    }
    ki_context_free(&context);
}

/* ---- mutations ---- */

/* Whatever is read is what it would be written as. */
static bool check_canonical(const uint8_t *bytes, size_t len)
{
    static uint8_t again[BYTES_MAX];
    struct ki_context read;
    bool whole;
    ki_context_init(&read, &plain);
    if (decode(&read, bytes, len, &whole) == KI_CONTEXT_FINE && whole) {
        assert_int_equal(encode(&read, again), len);
        assert_memory_equal(again, bytes, len);
    }
    ki_context_free(&read);
    return whole;
}

static void test_mutations(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MAX], other[BYTES_MAX];
    struct ki_rng rng;
    size_t fine = 0, refused = 0;
    ki_rng_init(&rng, 3);
    for (size_t round = 0; round < 20; round++) {
        struct ki_context context;
        ki_context_init(&context, &plain);
        fill(&context, &rng, 3 + round);
        size_t len = encode(&context, bytes);
        ki_context_free(&context);
        for (size_t cut = 0; cut <= len; cut++)
            check_canonical(bytes, cut);
        for (size_t at = 0; at < len; at++) {
            uint8_t was = bytes[at];
            for (unsigned value = 0; value < 256; value++) {
                bytes[at] = (uint8_t)value;
                if (check_canonical(bytes, len))
                    fine++;
                else
                    refused++;
            }
            bytes[at] = was;
        }
        for (int i = 0; i < 3000; i++) { /* a stretch left out, doubled or overwritten by luck */
            size_t from = ki_rng_below(&rng, len), to = from + ki_rng_below(&rng, len - from + 1);
            size_t back = i % 3 == 0 ? to : i % 3 == 1 ? from : len;
            memcpy(other, bytes, to);
            memcpy(other + (i % 3 == 0 ? from : to), bytes + back, len - back);
            size_t now = (i % 3 == 0 ? from : to) + len - back;
            if (i % 3 == 2 && now > 0)
                other[ki_rng_below(&rng, now)] ^= (uint8_t)(1 << ki_rng_below(&rng, 8));
            check_canonical(other, now);
        }
    }
    assert_true(fine > 1000 && refused > 1000);
}

/* ---- memory runs out ---- */

/* A part for which there is no memory can be read later: nothing of it has been taken. */
static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MAX];
    struct failing failing = {0};
    struct ki_context context, read;
    struct ki_mem mem;
    struct ki_rng rng;
    int failed = 0;
    ki_rng_init(&rng, 4);
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_context_init(&context, &plain);
    ki_context_init(&read, &mem);
    fill(&context, &rng, 2000);
    size_t len = encode(&context, bytes);
    struct ki_context_decoder decoder = {.into = &read, .replicas_max = 2000, .runs_max = 10000};
    struct ki_reader r = ki_reader(bytes, len);
    while (r.left > 0) {
        enum ki_context_verdict verdict = KI_CONTEXT_NO_MEMORY;
        for (failing.until = 0; verdict != KI_CONTEXT_FINE; failing.until = failed % 20) {
            size_t left = r.left, runs = read.run_count;
            verdict = ki_context_decode(&decoder, &r, 150);
            assert_true(verdict == KI_CONTEXT_FINE || verdict == KI_CONTEXT_NO_MEMORY);
            assert_true(verdict == KI_CONTEXT_FINE || (r.left == left && read.run_count == runs));
            failed += verdict != KI_CONTEXT_FINE;
        }
    }
    assert_true(failed > 10);
    assert_true(ki_context_decode_is_whole(&decoder) && ki_context_equal(&context, &read));
    ki_context_free(&context);
    ki_context_free(&read);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint),
        cmocka_unit_test_setup_teardown(test_vectors, set_up, nothing_is_left),
        cmocka_unit_test_setup_teardown(test_refused, set_up, nothing_is_left),
        cmocka_unit_test_setup_teardown(test_parts_of_every_size, set_up, nothing_is_left),
        cmocka_unit_test_setup_teardown(test_limits, set_up, nothing_is_left),
        cmocka_unit_test_setup_teardown(test_mutations, set_up, nothing_is_left),
        cmocka_unit_test_setup_teardown(test_out_of_memory_changes_nothing, set_up, nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
