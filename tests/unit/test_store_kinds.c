/* What cells say together: winners, shares, types, and the numbers that are read from text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "store_replica.h"

/* ---- numbers in text ---- */

static const struct {
    const char *text;
    bool is_integer;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"7", true, 7},
    {"-1", true, -1},
    {"10", true, 10},
    {"9223372036854775807", true, INT64_MAX},
    {"9223372036854775806", true, INT64_MAX - 1},
    {"-9223372036854775808", true, INT64_MIN},
    {"-9223372036854775807", true, -INT64_MAX},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"9999999999999999999", false, 0},
    {"-9999999999999999999", false, 0},
    {"18446744073709551616", false, 0},
    {"10000000000000000000000000", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"--1", false, 0},
    {"+1", false, 0},
    {"-0", false, 0},
    {"00", false, 0},
    {"01", false, 0},
    {"-01", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1\n", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x1", false, 0},
    {"1:", false, 0},
    {"1/", false, 0},
};

static void test_text_integer(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(integers); i++) {
        int64_t value = 42;
        bool is_integer = ki_text_integer(replica_text(integers[i].text), &value);
        if (is_integer != integers[i].is_integer)
            print_error("\"%s\"\n", integers[i].text);
        assert_int_equal(is_integer, integers[i].is_integer);
        assert_true(value == (is_integer ? integers[i].value : 42));
    }
    int64_t value = 42;
    assert_false(ki_text_integer(ki_span(NULL, 0), &value));
    assert_false(ki_text_integer(ki_span("1\0", 2), &value));
}

static const char *const real_texts[] = {
    "0",     "-0",   "1",      "-1",    "+1",    "1.",     ".5",    "-.5",         "0.1",
    "0.5",   "1e0",  "1E3",    "1e+3",  "1e-3",  "1e22",   "1e-22", "000001",      "0.000000000000000000001",
    "3.0e3", "0e999", "0.0e-999", "00.00", "12345", "999999999999999", "0.999999999999999",
    "999999999999999e22", "123456789012345e-22", "12345.6789012345", "-271828182.845904",
    "0000000000000000000000000000001.5", "1.000000000000000000e5x"};

static const char *const no_reals[] = {
    "",      "-",     "+",     ".",     "-.",     "e",       "e5",        "1e",     "1e+",  "1e-",
    "1e1000", "1e0001", "1e23", "1e-23", "0.1e-22", "10.5e22x", "--1",      "+-1",    " 1",   "1 ",
    "1,5",   "1.5.5", "1..5",  "nan",   "inf",    "-inf",    "infinity",  "0x10",   "1e5e5", "1e5.5",
    "1234567890123456", "0.1234567890123456", "1234567890.123456", "1000000000000000", "1.0000000000000000"};

/* What is taken is what the C library makes of it, to the last bit. */
static void test_text_real(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(real_texts); i++) {
        double value = 42;
        char *end;
        double expected = strtod(real_texts[i], &end);
        bool is_real = ki_text_real(replica_text(real_texts[i]), &value);
        if (is_real != (*end == '\0'))
            print_error("\"%s\"\n", real_texts[i]);
        assert_int_equal(is_real, *end == '\0');
        assert_true(!is_real || memcmp(&value, &expected, sizeof value) == 0);
    }
    for (size_t i = 0; i < KI_COUNT(no_reals); i++) {
        double value = 42;
        if (ki_text_real(replica_text(no_reals[i]), &value))
            print_error("\"%s\"\n", no_reals[i]);
        assert_false(ki_text_real(replica_text(no_reals[i]), &value));
        assert_true(value >= 42 && value <= 42);
    }
    double value;
    assert_false(ki_text_real(ki_span(NULL, 0), &value));
    assert_false(ki_text_real(ki_span("1\0", 2), &value));
}

static void test_text_real_at_random(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    int taken = 0;
    for (int i = 0; i < 100000; i++) {
        static const char letters[] = "0123456789012345678900000...--+eE";
        char text[20];
        size_t len = 1 + ki_rng_below(&rng, sizeof text - 1);
        for (size_t at = 0; at < len; at++)
            text[at] = letters[ki_rng_below(&rng, sizeof letters - 1)];
        if (ki_rng_below(&rng, 2) == 0)
            len = (size_t)snprintf(text, sizeof text, "%.*ge%d", 1 + (int)ki_rng_below(&rng, 9),
                                   (double)ki_rng_below(&rng, 1 << 30) / 1024, (int)ki_rng_below(&rng, 30) - 15);
        char copy[sizeof text + 1];
        memcpy(copy, text, len);
        copy[len] = '\0';
        double value, expected = 0;
        char *end = copy;
        expected = strtod(copy, &end);
        if (!ki_text_real(ki_span(text, len), &value))
            continue;
        taken++;
        assert_true(*end == '\0' && memcmp(&value, &expected, sizeof value) == 0);
    }
    assert_true(taken > 10000);
}

/* ---- cells by hand ---- */

struct bits {
    uint8_t bytes[8];
};

static struct ki_span integer_value(int64_t value, struct bits *bits)
{
    ki_store_be(bits->bytes, (uint64_t)value, 8);
    return ki_span(bits->bytes, 8);
}

static struct ki_span real_value(double value, struct bits *bits)
{
    uint64_t number;
    memcpy(&number, &value, sizeof number);
    ki_store_be(bits->bytes, number, 8);
    return ki_span(bits->bytes, 8);
}

static void enter(struct replica *r, struct ki_dot dot, enum ki_kind kind, uint64_t stamp, struct ki_span value)
{
    uint32_t id;
    bool has_field = ki_kind_rule(kind)->has_field;
    struct ki_cell_image image = {.dot = dot,
                                  .kind = kind,
                                  .stamp = stamp,
                                  .key = replica_text("k"),
                                  .field = has_field ? replica_text("f") : ki_span(NULL, 0),
                                  .value = value};
    assert_true(ki_cells_add(&r->store.cells, &image, KI_NO_KEY, &id));
    assert_true(ki_context_add(&r->store.context, dot));
}

static void leave(struct replica *r, struct ki_dot dot)
{
    ki_cells_remove(&r->store.cells, ki_cells_by_dot(&r->store.cells, dot));
}

static void enter_integer(struct replica *r, uint64_t replica, uint64_t n, int64_t value)
{
    struct bits bits;
    enter(r, (struct ki_dot){replica, n}, KI_KIND_COUNT, 1, integer_value(value, &bits));
}

static void enter_real(struct replica *r, enum ki_kind kind, uint64_t replica, uint64_t n, double value)
{
    struct bits bits;
    enter(r, (struct ki_dot){replica, n}, kind, 1, real_value(value, &bits));
}

static struct ki_shares shares_of(const struct replica *r)
{
    uint32_t first = ki_cells_key_at(&r->store.cells, replica_key(r, "k"))->single;
    return ki_element_shares(&r->store.cells, first, KI_KIND_COUNT, KI_KIND_REAL);
}

static double score_of(const struct replica *r)
{
    uint32_t key = replica_key(r, "k");
    return ki_element_score(&r->store.cells, ki_cells_element(&r->store.cells, key, KI_TYPE_SORTED, replica_text("f")));
}

/* ---- winners ---- */

/* In the order of victory: the last one shows, in whatever order they came. */
static const struct {
    struct ki_dot dot;
    uint64_t stamp;
} rivals[] = {{{7, 9}, 1}, {{UINT64_MAX, KI_DOT_N_MAX}, 4}, {{0, 8}, 5}, {{1, 2}, 5},
              {{1, 3}, 5}, {{2, 1}, 5},  {{0, 1}, 6},  {{0, 2}, UINT64_MAX}};

static void test_winner(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 2);
    for (int round = 0; round < 500; round++) {
        struct replica r;
        size_t best = 0;
        uint64_t there = 1 + ki_rng_below(&rng, 255), start = ki_rng_below(&rng, 8), step = ki_rng_below(&rng, 2) * 2 + 3;
        replica_new(&r, 1);
        for (size_t i = 0; i < KI_COUNT(rivals); i++) {
            size_t which = (start + i * step) % KI_COUNT(rivals);
            if (!(there >> which & 1))
                continue;
            best = which > best ? which : best;
            enter(&r, rivals[which].dot, KI_KIND_REGISTER, rivals[which].stamp, replica_text("v"));
        }
        enter(&r, (struct ki_dot){9, 1}, KI_KIND_SIBLING, UINT64_MAX, replica_text("not a rival"));
        uint32_t first = ki_cells_key_at(&r.store.cells, replica_key(&r, "k"))->single;
        uint32_t winner = ki_element_winner(&r.store.cells, first, KI_KIND_REGISTER);
        assert_int_equal(winner, ki_cells_by_dot(&r.store.cells, rivals[best].dot));
        assert_int_equal(ki_element_winner(&r.store.cells, first, KI_KIND_EXPIRY), KI_NO_CELL);
        replica_check(&r);
        replica_free(&r);
    }
}

/* ---- shares ---- */

static void test_a_replica_counts_once(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r, 1);
    enter_integer(&r, 5, 3, 30);
    enter_integer(&r, 5, 2, 20);
    enter_integer(&r, 5, 4, 40);
    enter_integer(&r, 4, 9, -1);
    enter_integer(&r, 0, 1, 100);
    enter_integer(&r, UINT64_MAX, 1, 1000);
    struct ki_shares shares = shares_of(&r);
    assert_int_equal(shares.count, 4);
    assert_int_equal(shares.integer, 40 - 1 + 100 + 1000);
    assert_false(shares.has_real);
    enter_real(&r, KI_KIND_REAL, 5, 1, 0.5); /* an integer and a real one are two shares */
    enter_real(&r, KI_KIND_REAL, 5, 7, 0.25);
    shares = shares_of(&r);
    assert_int_equal(shares.count, 5);
    assert_int_equal(shares.integer, 40 - 1 + 100 + 1000);
    assert_true(shares.has_real && shares.real >= 0.25 && shares.real <= 0.25);
    leave(&r, (struct ki_dot){5, 4}); /* the newest goes, the one before it counts again */
    assert_int_equal(shares_of(&r).integer, 30 - 1 + 100 + 1000);
    replica_check(&r);
    replica_free(&r);
}

/* The sum of all, and only then the nearest end. */
static const struct {
    int64_t shares[4];
    int64_t sum;
} sums[] = {
    {{INT64_MAX, 0, 0, 0}, INT64_MAX},
    {{INT64_MAX, 1, 0, 0}, INT64_MAX},
    {{INT64_MIN, -1, 0, 0}, INT64_MIN},
    {{INT64_MAX, 1, -1, 0}, INT64_MAX},
    {{INT64_MAX, 1, -5, 0}, INT64_MAX - 4},
    {{INT64_MIN, -1, 5, 0}, INT64_MIN + 4},
    {{INT64_MAX, INT64_MAX, INT64_MIN, INT64_MIN}, -2},
    {{INT64_MIN, INT64_MIN, INT64_MAX, INT64_MAX}, -2},
    {{INT64_MIN, INT64_MIN, INT64_MIN, INT64_MAX}, INT64_MIN},
    {{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MIN}, INT64_MAX},
    {{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, INT64_MAX},
    {{INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN}, INT64_MIN},
    {{INT64_MIN, INT64_MAX, 1, 0}, 0},
};

static void test_integers_stay_at_the_nearest_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(sums); i++) {
        for (uint64_t turn = 0; turn < 4; turn++) { /* whoever has which: the sum is the same */
            struct replica r;
            replica_new(&r, 1);
            for (uint64_t replica = 0; replica < 4; replica++)
                enter_integer(&r, 1 + (replica + turn) % 4, 1, sums[i].shares[replica]);
            assert_true(shares_of(&r).integer == sums[i].sum);
            replica_free(&r);
        }
    }
}

static const struct {
    int64_t a, b;
    bool fits;
    int64_t sum;
} additions[] = {
    {1, 2, true, 3},
    {INT64_MAX, 0, true, INT64_MAX},
    {INT64_MAX, 1, false, INT64_MAX},
    {INT64_MAX, INT64_MIN, true, -1},
    {INT64_MIN, 0, true, INT64_MIN},
    {INT64_MIN, -1, false, INT64_MIN},
    {INT64_MIN, INT64_MIN, false, INT64_MIN},
    {0, INT64_MIN, true, INT64_MIN},
    {-1, INT64_MIN, false, INT64_MIN},
};

static void test_add_integers(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(additions); i++) {
        int64_t sum;
        assert_int_equal(ki_add_integers(additions[i].a, additions[i].b, &sum), additions[i].fits);
        assert_true(sum == additions[i].sum);
    }
}

/* Adding doubles depends on the order: it is that of the replicas' ids, in whatever order the cells came. */
static void test_reals_are_added_by_replica(void **state)
{
    (void)state;
    static const double values[] = {0.1, 1e16, -1e16, 0.7, 3e-9};
    double expected = values[0];
    struct ki_rng rng;
    ki_rng_init(&rng, 3);
    for (size_t i = 1; i < KI_COUNT(values); i++)
        expected += values[i];
    for (int round = 0; round < 200; round++) {
        struct replica r;
        replica_new(&r, 1);
        for (size_t left = KI_COUNT(values), done = 0; left > 0;) {
            size_t which = ki_rng_below(&rng, KI_COUNT(values));
            if (done >> which & 1)
                continue;
            done |= (size_t)1 << which;
            left--;
            enter_real(&r, KI_KIND_REAL, 10 * which, 5, values[which]);
            enter_real(&r, KI_KIND_SORTED_REAL, 10 * which, 6, values[which]);
        }
        struct ki_shares shares = shares_of(&r);
        assert_true(memcmp(&shares.real, &expected, sizeof expected) == 0);
        double score = score_of(&r);
        assert_true(memcmp(&score, &expected, sizeof expected) == 0);
        replica_check(&r);
        replica_free(&r);
    }
}

#define NONE ((double)NAN)
#define ENDLESS ((double)INFINITY)

/* base NONE: no base; shares by replica, NONE: no more of them. */
static const struct {
    double base, shares[3], score;
} scores[] = {
    {1.5, {NONE}, 1.5},
    {-0.0, {NONE}, -0.0},
    {NONE, {2.5, NONE}, 2.5},
    {NONE, {-0.0, NONE}, -0.0},
    {1, {2, 4, NONE}, 7},
    {ENDLESS, {NONE}, ENDLESS},
    {-ENDLESS, {NONE}, -ENDLESS},
    {ENDLESS, {-ENDLESS, NONE}, 0}, /* nothing, not no number */
    {NONE, {ENDLESS, -ENDLESS, NONE}, 0},
    {NONE, {ENDLESS, -ENDLESS, 5}, 5},
    {NONE, {DBL_MAX, DBL_MAX, NONE}, DBL_MAX}, /* what leaves the range stays at its end */
    {NONE, {DBL_MAX, DBL_MAX, -DBL_MAX}, 0},
    {-DBL_MAX, {-DBL_MAX, NONE}, -DBL_MAX},
    {DBL_MAX, {1, NONE}, DBL_MAX},
    {ENDLESS, {1, NONE}, DBL_MAX},
};

static void test_scores(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(scores); i++) {
        struct replica r;
        replica_new(&r, 1);
        if (!isnan(scores[i].base))
            enter_real(&r, KI_KIND_SORTED, 9, 9, scores[i].base);
        for (size_t share = 0; share < 3 && !isnan(scores[i].shares[share]); share++)
            enter_real(&r, KI_KIND_SORTED_REAL, 1 + share, 1, scores[i].shares[share]);
        double score = score_of(&r);
        assert_true(memcmp(&score, &scores[i].score, sizeof score) == 0);
        replica_check(&r);
        replica_free(&r);
    }
}

/* ---- types ---- */

/* From the one that shows last: each that goes lets the one below surface (R15). */
static void test_hidden_types_surface(void **state)
{
    (void)state;
    static const enum ki_kind kinds[] = {KI_KIND_EXPIRY, KI_KIND_COUNT,  KI_KIND_SIBLING,
                                         KI_KIND_SORTED, KI_KIND_SET, KI_KIND_HASH_COUNT};
    static const enum ki_type types[] = {KI_TYPE_NONE,   KI_TYPE_STRING, KI_TYPE_SIBLINGS,
                                         KI_TYPE_SORTED, KI_TYPE_SET,    KI_TYPE_HASH};
    for (size_t first = 0; first < KI_COUNT(kinds); first++) {
        struct replica r;
        struct bits bits;
        replica_new(&r, 1);
        for (size_t i = 0; i < KI_COUNT(kinds); i++) { /* beginning with another one each time */
            size_t which = (first + i) % KI_COUNT(kinds);
            struct ki_span value = kinds[which] == KI_KIND_SET ? ki_span(NULL, 0) : integer_value(1, &bits);
            enter(&r, (struct ki_dot){1, 1 + which}, kinds[which], 1, value);
        }
        for (size_t i = KI_COUNT(kinds); i-- > 0;) {
            assert_int_equal(ki_key_type(&r.store.cells, replica_key(&r, "k")), types[i]);
            replica_check(&r);
            leave(&r, (struct ki_dot){1, 1 + i});
        }
        assert_int_equal(replica_key(&r, "k"), KI_NO_KEY);
        replica_free(&r);
    }
}

/* Every kind has the type that its rule says. */
static void test_type_of_each_kind(void **state)
{
    (void)state;
    for (int kind = 1; kind < KI_KIND_END; kind++) {
        struct replica r;
        uint8_t value[8] = {0};
        const struct ki_kind_rule *rule = ki_kind_rule((enum ki_kind)kind);
        replica_new(&r, 1);
        enter(&r, (struct ki_dot){1, 1}, (enum ki_kind)kind, 1, ki_span(value, rule->value_len == 0 ? 0 : 8));
        assert_int_equal(ki_key_type(&r.store.cells, replica_key(&r, "k")), rule->type);
        replica_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_integer),
        cmocka_unit_test(test_text_real),
        cmocka_unit_test(test_text_real_at_random),
        cmocka_unit_test(test_winner),
        cmocka_unit_test(test_a_replica_counts_once),
        cmocka_unit_test(test_integers_stay_at_the_nearest_end),
        cmocka_unit_test(test_add_integers),
        cmocka_unit_test(test_reals_are_added_by_replica),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_hidden_types_surface),
        cmocka_unit_test(test_type_of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
