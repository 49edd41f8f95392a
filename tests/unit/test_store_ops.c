/* Operations, beyond what the executable model reaches: sorted sets, real numbers, tokens, and all that is refused. */
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

enum { NOW = REPLICA_WALL_MS };

#define ENDLESS ((double)INFINITY)

static struct ki_span text(const char *bytes)
{
    return replica_text(bytes);
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static enum ki_type type_of(const struct replica *r, const char *key)
{
    uint32_t id = replica_key(r, key);
    return id == KI_NO_KEY ? KI_TYPE_NONE : ki_key_type(&r->store.cells, id);
}

/* What a string, or a field of a hash, shows; field NULL: the string. */
static const char *shown(const struct replica *r, const char *key, const char *field)
{
    static char line[128];
    uint32_t id = replica_key(r, key);
    struct ki_shown s = field ? ki_field_shown(&r->store, id, text(field)) : ki_string_shown(&r->store, id);
    switch (s.as) {
    case KI_SHOWS_NOTHING:
        return "nothing";
    case KI_SHOWS_BYTES:
        snprintf(line, sizeof line, "\"%.*s\"", (int)s.bytes.len, s.bytes.len > 0 ? (const char *)s.bytes.ptr : "");
        return line;
    case KI_SHOWS_INTEGER:
        snprintf(line, sizeof line, "%lld", (long long)s.integer);
        return line;
    case KI_SHOWS_REAL:
        snprintf(line, sizeof line, "%.17g", s.real);
        return line;
    }
    return "?";
}

static int set(struct replica *r, const char *key, const char *value)
{
    return ki_set(&r->store, NOW, text(key), text(value), 0);
}

static int hash_set(struct replica *r, const char *key, const char *field, const char *value)
{
    return ki_hash_set(&r->store, NOW, text(key), text(field), text(value), NULL);
}

static int sorted_add(struct replica *r, const char *key, const char *member, double score)
{
    return ki_sorted_add(&r->store, NOW, text(key), text(member), score, NULL);
}

static int sorted_increase(struct replica *r, const char *key, const char *member, double by)
{
    return ki_sorted_increase(&r->store, NOW, text(key), text(member), by, NULL);
}

/* A sorted set as its order has it: "member=score ...". */
static const char *ranking(struct replica *r, const char *key)
{
    static char line[512];
    size_t len = 0;
    line[0] = '\0';
    uint32_t id = replica_key(r, key);
    struct ki_group *group = id != KI_NO_KEY ? ki_cells_group(&r->store.cells, id, KI_TYPE_SORTED) : NULL;
    if (!group)
        return "none";
    assert_true(ki_cells_put_in_order(&r->store.cells, group));
    for (uint32_t rank = 0; rank < group->count; rank++) {
        const struct ki_cell *cell = ki_cells_at(&r->store.cells, ki_order_at(&group->order, rank));
        struct ki_span field = ki_cells_field(cell);
        len += (size_t)snprintf(line + len, sizeof line - len, "%s%.*s=%g", rank > 0 ? " " : "", (int)field.len,
                                field.len > 0 ? (const char *)field.ptr : "", cell->score);
        assert_true(len < sizeof line);
    }
    return line;
}

/* ---- sorted sets ---- */

static void test_sorted_set(void **state)
{
    (void)state;
    struct replica r;
    bool is_new = false, existed = false;
    double result = 0;
    replica_new(&r, 1);
    assert_int_equal(ki_sorted_add(&r.store, NOW, text("z"), text("b"), 2, &is_new), 0);
    assert_true(is_new);
    assert_int_equal(ki_sorted_add(&r.store, NOW, text("z"), text("b"), 1, &is_new), 0);
    assert_false(is_new);
    assert_int_equal(sorted_add(&r, "z", "a", 1), 0);
    assert_int_equal(sorted_add(&r, "z", "", 1), 0);
    assert_int_equal(sorted_add(&r, "z", "ab", 1), 0);
    assert_string_equal(ranking(&r, "z"), "=1 a=1 ab=1 b=1"); /* ties by bytes, the shorter first */
    assert_int_equal(sorted_add(&r, "z", "top", ENDLESS), 0);
    assert_int_equal(sorted_add(&r, "z", "low", -ENDLESS), 0);
    assert_int_equal(sorted_add(&r, "z", "minus", -0.0), 0);
    assert_int_equal(sorted_add(&r, "z", "plus", 0.0), 0);
    assert_int_equal(sorted_add(&r, "z", "a", -0.0), 0); /* both zeros are one score */
    assert_string_equal(ranking(&r, "z"), "low=-inf a=-0 minus=-0 plus=0 =1 ab=1 b=1 top=inf");
    assert_int_equal(sorted_add(&r, "z", "x", (double)NAN), KI_STORE_NUMBER);
    assert_int_equal(ki_sorted_increase(&r.store, NOW, text("z"), text("plus"), 1.5, &result), 0);
    assert_true(same(result, 1.5));
    assert_int_equal(ki_sorted_increase(&r.store, NOW, text("z"), text("fresh"), -4, &result), 0);
    assert_true(same(result, -4));
    assert_string_equal(ranking(&r, "z"), "low=-inf fresh=-4 a=-0 minus=-0 =1 ab=1 b=1 plus=1.5 top=inf");
    assert_int_equal(ki_remove(&r.store, text("z"), KI_TYPE_SORTED, text("plus"), &existed), 0);
    assert_true(existed);
    assert_int_equal(ki_remove(&r.store, text("z"), KI_TYPE_SORTED, text("plus"), &existed), 0);
    assert_false(existed);
    assert_string_equal(ranking(&r, "z"), "low=-inf fresh=-4 a=-0 minus=-0 =1 ab=1 b=1 top=inf");
    replica_check(&r);
    assert_int_equal(ki_delete(&r.store, text("z"), &existed), 0);
    assert_true(existed);
    assert_string_equal(ranking(&r, "z"), "none");
    assert_int_equal(r.store.cells.cell_count, 0);
    replica_free(&r);
}

/* Increases of two replicas add up; a score that is set replaces what its writer saw, and no more. */
static void test_shares_of_a_score(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 1);
    replica_new(&b, 2);
    assert_int_equal(sorted_add(&a, "z", "m", 10), 0);
    replica_trade(&a, &b);
    assert_int_equal(sorted_increase(&a, "z", "m", 1), 0);
    assert_int_equal(sorted_increase(&a, "z", "m", 2), 0);
    assert_int_equal(sorted_increase(&b, "z", "m", 100), 0);
    replica_trade(&a, &b);
    assert_string_equal(ranking(&a, "z"), "m=113");
    assert_string_equal(ranking(&b, "z"), "m=113");
    assert_int_equal(sorted_add(&a, "z", "m", 5), 0);
    assert_int_equal(sorted_increase(&b, "z", "m", 100), 0); /* unseen by a: its share of 200 stays */
    replica_trade(&a, &b);
    assert_string_equal(ranking(&a, "z"), "m=205");
    assert_string_equal(ranking(&b, "z"), "m=205");
    assert_int_equal(sorted_add(&a, "z", "m", 1), 0); /* rivals: the later one is the base */
    assert_int_equal(ki_sorted_add(&b.store, NOW + 5, text("z"), text("m"), 2, NULL), 0);
    replica_trade(&a, &b);
    assert_string_equal(ranking(&a, "z"), "m=2");
    assert_string_equal(ranking(&b, "z"), "m=2");
    assert_int_equal(ki_remove(&a.store, text("z"), KI_TYPE_SORTED, text("m"), NULL), 0);
    assert_int_equal(sorted_increase(&b, "z", "m", 7), 0); /* what b has added survives, alone */
    replica_trade(&a, &b);
    assert_string_equal(ranking(&a, "z"), "m=7");
    assert_string_equal(ranking(&b, "z"), "m=7");
    replica_check(&a);
    replica_check(&b);
    replica_free(&a);
    replica_free(&b);
}

/* ---- the order of a sorted set against a stupid model ---- */

enum { MEMBERS = 40 };

static void member_name(uint64_t member, char name[3])
{
    name[0] = (char)('a' + member / 7);
    name[1] = member % 7 == 0 ? '\0' : (char)('a' + member % 7); /* some begin like others */
    name[2] = '\0';
}

/* Every element with its score, found without the order, and sorted by insertion. */
static void check_ranking(struct replica *r)
{
    struct {
        char name[3];
        double score;
    } model[MEMBERS];
    uint32_t count = 0, key = replica_key(r, "z");
    struct ki_cells *cells = &r->store.cells;
    for (uint64_t member = 0; key != KI_NO_KEY && member < MEMBERS; member++) {
        char name[3];
        member_name(member, name);
        uint32_t first = ki_cells_element(cells, key, KI_TYPE_SORTED, text(name));
        if (first == KI_NO_CELL)
            continue;
        double score = ki_element_score(cells, first);
        uint32_t at = count++;
        for (; at > 0 && (model[at - 1].score > score ||
                          (model[at - 1].score >= score && strcmp(model[at - 1].name, name) > 0));
             at--)
            model[at] = model[at - 1];
        model[at].score = score;
        memcpy(model[at].name, name, sizeof name);
    }
    const struct ki_group *group = key != KI_NO_KEY ? ki_cells_group(cells, key, KI_TYPE_SORTED) : NULL;
    assert_int_equal(group ? group->order.count : 0, count);
    for (uint32_t rank = 0; rank < count; rank++) {
        uint32_t first = ki_order_at(&group->order, rank);
        assert_true(ki_span_equal(ki_cells_field(ki_cells_at(cells, first)), text(model[rank].name)));
        assert_true(same(ki_cells_at(cells, first)->score, model[rank].score));
        assert_int_equal(ki_order_rank(&group->order, cells, first), rank);
    }
}

static void random_sorted(struct replica *r, struct ki_rng *rng)
{
    static const double numbers[] = {0, -0.0, 1, -1, 2.5, 1e300, -1e300, DBL_MAX, -DBL_MAX, 0.1, 1e-300};
    char name[3];
    double number = numbers[ki_rng_below(rng, KI_COUNT(numbers))];
    uint64_t what = ki_rng_below(rng, 100);
    member_name(ki_rng_below(rng, MEMBERS), name);
    double old_score = 0, result = 0;
    uint32_t key = replica_key(r, "z");
    uint32_t first = key != KI_NO_KEY ? ki_cells_element(&r->store.cells, key, KI_TYPE_SORTED, text(name)) : KI_NO_CELL;
    if (first != KI_NO_CELL)
        old_score = ki_element_score(&r->store.cells, first);
    if (what < 40) {
        assert_int_equal(sorted_add(r, "z", name, what < 4 ? ENDLESS : what < 6 ? -ENDLESS : number), 0);
    } else if (what < 75) {
        int error = ki_sorted_increase(&r->store, NOW, text("z"), text(name), number, &result);
        assert_true(error == 0 || error == KI_STORE_OVERFLOW);
        if (!error)
            first = ki_cells_element(&r->store.cells, replica_key(r, "z"), KI_TYPE_SORTED, text(name));
        double score = first != KI_NO_CELL ? ki_element_score(&r->store.cells, first) : 0;
        assert_true(same(score, error ? old_score : result)); /* what is told is what is read */
    } else if (what < 99) {
        assert_int_equal(ki_remove(&r->store, text("z"), KI_TYPE_SORTED, text(name), NULL), 0);
    } else {
        assert_int_equal(ki_delete(&r->store, text("z"), NULL), 0);
    }
}

static void run_sorted(uint64_t seed)
{
    static uint8_t states[2][1 << 16];
    struct replica a, b;
    struct ki_rng rng;
    ki_rng_init(&rng, seed);
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int step = 0; step < 800; step++) {
        random_sorted(ki_rng_below(&rng, 2) ? &a : &b, &rng);
        if (ki_rng_below(&rng, 6) == 0)
            replica_tell(&a, &b);
        if (ki_rng_below(&rng, 6) == 0)
            replica_tell(&b, &a);
        check_ranking(&a);
        check_ranking(&b);
        if (step % 16 == 0) {
            replica_check(&a);
            replica_check(&b);
        }
    }
    replica_trade(&a, &b);
    ki_hybrid_see(&a.store.clock, &a.store.config.bounds, NOW, b.store.clock.highest);
    ki_hybrid_see(&b.store.clock, &b.store.config.bounds, NOW, a.store.clock.highest);
    a.store.n = b.store.n = 0; /* the rest of what they hold is the same */
    size_t len = replica_state(&a, states[0], sizeof states[0]);
    assert_int_equal(replica_state(&b, states[1], sizeof states[1]), len);
    assert_memory_equal(states[0], states[1], len);
    replica_free(&a);
    replica_free(&b);
}

static void test_order_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        run_sorted(seed);
}

/* ---- counts and reals, in strings and in fields ---- */

static int add(struct replica *r, bool in_field, int64_t by, int64_t *result)
{
    return in_field ? ki_hash_increase(&r->store, NOW, text("k"), text("f"), by, result)
                    : ki_increase(&r->store, NOW, text("k"), by, result);
}

static int add_real(struct replica *r, bool in_field, double by, double *result)
{
    return in_field ? ki_hash_increase_real(&r->store, NOW, text("k"), text("f"), by, result)
                    : ki_increase_real(&r->store, NOW, text("k"), by, result);
}

static int put(struct replica *r, bool in_field, const char *value)
{
    return in_field ? hash_set(r, "k", "f", value) : set(r, "k", value);
}

static const char *read(const struct replica *r, bool in_field)
{
    return shown(r, "k", in_field ? "f" : NULL);
}

/* First a text (NULL: none), then an integer, then a real is added. */
static const struct {
    const char *text;
    int64_t by;
    int error;
    const char *then;
    double by_real;
    int real_error;
    const char *last;
} additions[] = {
    {NULL, 5, 0, "5", 0.5, 0, "5.5"},
    {NULL, INT64_MIN, 0, "-9223372036854775808", 1, 0, "-9.2233720368547758e+18"},
    {"10", -3, 0, "7", 0.25, 0, "7.25"},
    {"9223372036854775807", -1, 0, "9223372036854775806", -1, 0, "9.2233720368547758e+18"},
    {"9223372036854775807", 1, KI_STORE_OVERFLOW, "\"9223372036854775807\"", 1, 0, "9.2233720368547758e+18"},
    {"-9223372036854775808", -1, KI_STORE_OVERFLOW, "\"-9223372036854775808\"", 0, 0, "-9.2233720368547758e+18"},
    {"1.5", 1, KI_STORE_NUMBER, "\"1.5\"", 1, 0, "2.5"},
    {"", 1, KI_STORE_NUMBER, "\"\"", 1, KI_STORE_NUMBER, "\"\""},
    {"word", 1, KI_STORE_NUMBER, "\"word\"", 1, KI_STORE_NUMBER, "\"word\""},
    {"1e30", 1, KI_STORE_NUMBER, "\"1e30\"", 1, KI_STORE_NUMBER, "\"1e30\""},
    {"-0", 1, KI_STORE_NUMBER, "\"-0\"", 1, 0, "1"},
    {"5", 0, 0, "5", DBL_MAX, 0, "1.7976931348623157e+308"},
    {"5", 0, 0, "5", ENDLESS, KI_STORE_OVERFLOW, "5"},
    {"5", 0, 0, "5", (double)NAN, KI_STORE_OVERFLOW, "5"},
};

static void test_additions(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(additions); i++) {
        for (int in_field = 0; in_field < 2; in_field++) {
            struct replica r;
            int64_t integer = 42;
            double real = 42;
            char told[64];
            replica_new(&r, 1);
            if (additions[i].text)
                assert_int_equal(put(&r, in_field, additions[i].text), 0);
            assert_int_equal(add(&r, in_field, additions[i].by, &integer), additions[i].error);
            assert_string_equal(read(&r, in_field), additions[i].then);
            snprintf(told, sizeof told, "%lld", (long long)integer);
            assert_string_equal(told, additions[i].error ? "42" : additions[i].then);
            assert_int_equal(add_real(&r, in_field, additions[i].by_real, &real), additions[i].real_error);
            assert_string_equal(read(&r, in_field), additions[i].last);
            snprintf(told, sizeof told, "%.17g", real);
            assert_string_equal(told, additions[i].real_error ? "42" : additions[i].last);
            if (!additions[i].real_error) /* a real is no integer to count on */
                assert_int_equal(add(&r, in_field, 1, &integer), KI_STORE_NUMBER);
            replica_check(&r);
            replica_free(&r);
        }
    }
}

/* The share of a replica cannot grow beyond 64 bits, even if the sum would not. */
static void test_shares_of_a_count(void **state)
{
    (void)state;
    for (int in_field = 0; in_field < 2; in_field++) {
        struct replica a, b;
        int64_t result = 0;
        replica_new(&a, 1);
        replica_new(&b, 2);
        assert_int_equal(add(&a, in_field, INT64_MAX, NULL), 0);
        assert_int_equal(add(&b, in_field, INT64_MAX, NULL), 0);
        replica_trade(&a, &b);
        assert_string_equal(read(&a, in_field), "9223372036854775807"); /* the nearest end */
        assert_int_equal(add(&a, in_field, 1, &result), KI_STORE_OVERFLOW);
        assert_int_equal(add(&a, in_field, -10, &result), 0); /* still beyond: told as it is shown */
        assert_true(result == INT64_MAX);
        assert_int_equal(add(&b, in_field, -INT64_MAX, &result), 0);
        replica_trade(&a, &b);
        assert_string_equal(read(&a, in_field), "9223372036854775797");
        assert_string_equal(read(&b, in_field), "9223372036854775797");
        assert_int_equal(add(&b, in_field, INT64_MIN + 20, &result), 0);
        assert_true(result == 9);
        assert_int_equal(add(&b, in_field, -100, &result), KI_STORE_OVERFLOW); /* the sum would fit, the share not */
        replica_trade(&a, &b);
        assert_string_equal(read(&a, in_field), "9");
        replica_check(&a);
        replica_check(&b);
        replica_free(&a);
        replica_free(&b);
    }
}

/* Neither the own share nor the sum may leave the range, whichever does. */
static void test_reals_beyond_the_range(void **state)
{
    (void)state;
    for (int in_field = 0; in_field < 2; in_field++) {
        struct replica a, b;
        replica_new(&a, 1);
        replica_new(&b, 2);
        assert_int_equal(add_real(&b, in_field, DBL_MAX, NULL), 0);
        replica_trade(&a, &b);
        assert_int_equal(add_real(&a, in_field, DBL_MAX, NULL), KI_STORE_OVERFLOW); /* a's share would be fine */
        assert_int_equal(add_real(&a, in_field, -DBL_MAX, NULL), 0);
        assert_string_equal(read(&a, in_field), "0");
        assert_int_equal(add_real(&a, in_field, -DBL_MAX, NULL), KI_STORE_OVERFLOW); /* the sum would be fine */
        assert_string_equal(read(&a, in_field), "0");
        replica_free(&a);
        replica_free(&b);
    }
}

/* Two own shares, as after damage: the newest goes on, and replaces both. */
static void test_two_own_shares(void **state)
{
    (void)state;
    for (uint64_t newest = 8; newest < 10; newest++) {
        struct replica r;
        int64_t result = 0;
        replica_new(&r, 1);
        for (uint64_t n = 8; n < 10; n++) {
            uint32_t id;
            uint8_t value[8] = {0};
            value[7] = n == newest ? 40 : 3;
            uint64_t dot_n = n == newest ? 9 : 8; /* entered first, or last */
            struct ki_cell_image image = {.dot = {1, dot_n}, .kind = KI_KIND_COUNT, .stamp = n, .key = text("k")};
            image.value = ki_span(value, 8);
            assert_true(ki_cells_add(&r.store.cells, &image, KI_NO_KEY, &id) && ki_context_add(&r.store.context, image.dot));
        }
        r.store.n = 9;
        ki_delta_end(&r.store);
        assert_int_equal(add(&r, false, 2, &result), 0);
        assert_true(result == 42);
        assert_int_equal(r.store.cells.cell_count, 1);
        replica_check(&r);
        replica_free(&r);
    }
}

/* A text that is set while others count: a number counts with their shares, any other hides them. */
static const struct {
    const char *text, *integers, *all; /* shown with a share of 5, and with one of 0.25 too */
} bases[] = {{"10", "15", "15.25"}, {"1.5", "6.5", "6.75"}, {"word", "\"word\"", "\"word\""}, {"", "\"\"", "\"\""}};

static void test_base_and_shares(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(bases) * 2; i++) {
        bool in_field = i % 2;
        struct replica a, b;
        double result = 0;
        char told[64];
        replica_new(&a, 1);
        replica_new(&b, 2);
        assert_int_equal(put(&a, in_field, bases[i / 2].text), 0);
        assert_int_equal(add(&b, in_field, 5, NULL), 0);
        replica_trade(&a, &b);
        assert_string_equal(read(&a, in_field), bases[i / 2].integers);
        assert_string_equal(read(&b, in_field), bases[i / 2].integers);
        int error = add_real(&a, in_field, 0.25, &result);
        assert_int_equal(error, bases[i / 2].all[0] == '"' ? KI_STORE_NUMBER : 0);
        snprintf(told, sizeof told, "%.17g", result);
        assert_string_equal(error ? bases[i / 2].all : told, bases[i / 2].all);
        replica_trade(&a, &b);
        assert_string_equal(read(&b, in_field), bases[i / 2].all);
        assert_int_equal(put(&a, in_field, "7"), 0); /* sees all, replaces all */
        assert_string_equal(read(&a, in_field), "\"7\"");
        replica_check(&a);
        replica_free(&a);
        replica_free(&b);
    }
}

/* Reals are rounded as they are added, in the order of replicas: what is told is what is read, to the last bit. */
static void test_told_as_read(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 6);
    for (int round = 0; round < 100; round++) {
        struct replica a, b;
        bool in_field = round % 2;
        replica_new(&a, 1);
        replica_new(&b, 2);
        assert_int_equal(put(&a, in_field, "10.1"), 0);
        replica_trade(&a, &b);
        for (int step = 0; step < 20; step++) {
            struct replica *r = ki_rng_below(&rng, 2) ? &a : &b;
            double result, by = ((double)ki_rng_below(&rng, 2000) - 1000) / 7;
            assert_int_equal(add_real(r, in_field, by, &result), 0);
            uint32_t key = replica_key(r, "k");
            struct ki_shown s = in_field ? ki_field_shown(&r->store, key, text("f")) : ki_string_shown(&r->store, key);
            assert_true(s.as == KI_SHOWS_REAL && same(s.real, result));
            if (ki_rng_below(&rng, 3) == 0)
                replica_trade(&a, &b);
        }
        replica_free(&a);
        replica_free(&b);
    }
}

/* ---- what is refused ---- */

static int try_op(struct replica *r, int op, struct ki_span key, struct ki_span field, struct ki_span value)
{
    struct ki_store *s = &r->store;
    switch (op) {
    case 0:
        return ki_put_sibling(s, NOW, key, value, NULL, 0);
    case 1:
        return ki_increase(s, NOW, key, 1, NULL);
    case 2:
        return ki_increase_real(s, NOW, key, 1, NULL);
    case 3:
        return ki_sorted_add(s, NOW, key, field, 1, NULL);
    case 4:
        return ki_sorted_increase(s, NOW, key, field, 1, NULL);
    case 5:
        return ki_set_add(s, NOW, key, field, NULL);
    case 6:
        return ki_hash_set(s, NOW, key, field, value, NULL);
    case 7:
        return ki_hash_increase(s, NOW, key, field, 1, NULL);
    case 8:
        return ki_hash_increase_real(s, NOW, key, field, 1, NULL);
    case 9:
        return ki_remove(s, key, KI_TYPE_SORTED, field, NULL);
    case 10:
        return ki_remove(s, key, KI_TYPE_SET, field, NULL);
    case 11:
        return ki_remove(s, key, KI_TYPE_HASH, field, NULL);
    default:
        return ki_set(s, NOW, key, value, 0);
    }
}

static const struct {
    enum ki_type type;
    bool has_field, has_value, removes;
} ops[] = {{KI_TYPE_SIBLINGS, false, true, false}, {KI_TYPE_STRING, false, false, false},
           {KI_TYPE_STRING, false, false, false},  {KI_TYPE_SORTED, true, false, false},
           {KI_TYPE_SORTED, true, false, false},   {KI_TYPE_SET, true, false, false},
           {KI_TYPE_HASH, true, true, false},      {KI_TYPE_HASH, true, false, false},
           {KI_TYPE_HASH, true, false, false},     {KI_TYPE_SORTED, true, false, true},
           {KI_TYPE_SET, true, false, true},       {KI_TYPE_HASH, true, false, true},
           {KI_TYPE_NONE, false, true, false}}; /* SET goes on any type */

static void make(struct replica *r, enum ki_type type)
{
    int error = 0;
    if (type == KI_TYPE_STRING)
        error = set(r, "k", "1");
    else if (type == KI_TYPE_SIBLINGS)
        error = ki_put_sibling(&r->store, NOW, text("k"), text("1"), NULL, 0);
    else if (type == KI_TYPE_SORTED)
        error = sorted_add(r, "k", "f", 1);
    else if (type == KI_TYPE_SET)
        error = ki_set_add(&r->store, NOW, text("k"), text("f"), NULL);
    else if (type == KI_TYPE_HASH)
        error = hash_set(r, "k", "f", "1");
    assert_int_equal(error, 0);
}

/* Tries it; an error leaves all as it was, and nothing to tell. */
static int try_unchanged(struct replica *r, int op, struct ki_span key, struct ki_span field, struct ki_span value)
{
    static uint8_t before[4096], after[4096];
    size_t len = replica_state(r, before, sizeof before);
    ki_delta_end(&r->store);
    int error = try_op(r, op, key, field, value);
    if (error) {
        assert_int_equal(replica_state(r, after, sizeof after), len);
        assert_memory_equal(before, after, len);
        assert_true(ki_delta_is_empty(&r->store));
    }
    replica_check(r);
    return error;
}

static void test_types(void **state)
{
    (void)state;
    for (int op = 0; op < (int)KI_COUNT(ops); op++) {
        for (enum ki_type type = KI_TYPE_NONE; type <= KI_TYPE_HASH; type++) {
            struct replica r;
            replica_new(&r, 1);
            make(&r, type);
            int error = try_unchanged(&r, op, text("k"), text("f"), text("1"));
            bool fits = type == KI_TYPE_NONE || ops[op].type == KI_TYPE_NONE || type == ops[op].type;
            assert_int_equal(error, fits ? 0 : KI_STORE_TYPE);
            if (fits && !ops[op].removes)
                assert_int_equal(type_of(&r, "k"), ops[op].type == KI_TYPE_NONE ? KI_TYPE_STRING : ops[op].type);
            replica_free(&r);
        }
    }
}

static void test_too_long(void **state)
{
    (void)state;
    static const uint8_t bytes[REPLICA_VALUE_MAX + 1];
    for (int op = 0; op < (int)KI_COUNT(ops); op++) {
        for (int over = 0; over < 8; over++) {
            struct replica r;
            replica_new(&r, 1);
            struct ki_span key = ki_span(bytes, REPLICA_KEY_MAX + (over & 1));
            struct ki_span field = ki_span(bytes, REPLICA_FIELD_MAX + (over >> 1 & 1));
            struct ki_span value = ki_span(bytes, REPLICA_VALUE_MAX + (over >> 2 & 1));
            int error = try_unchanged(&r, op, key, field, value);
            bool fits = !(over & 1) && !(over & 2 && ops[op].has_field) && !(over & 4 && ops[op].has_value);
            assert_int_equal(error, fits || ops[op].removes ? 0 : KI_STORE_TOO_LONG); /* what is not there can go */
            assert_int_equal(r.store.cells.cell_count, fits && !ops[op].removes);
            replica_free(&r);
        }
    }
}

/* ---- tokens ---- */

static const char *siblings(const struct replica *r, const char *key)
{
    static char line[128];
    char letters[256] = {0};
    size_t len = 0;
    uint32_t id = replica_key(r, key);
    for (id = id == KI_NO_KEY ? KI_NO_CELL : ki_cells_key_at(&r->store.cells, id)->single; id != KI_NO_CELL;
         id = ki_cells_at(&r->store.cells, id)->next) {
        if (ki_cells_at(&r->store.cells, id)->kind == KI_KIND_SIBLING)
            letters[ki_cells_value(ki_cells_at(&r->store.cells, id)).ptr[0]]++;
    }
    for (int c = 'a'; c <= 'z'; c++) {
        for (int i = 0; i < letters[c]; i++)
            line[len++] = (char)c;
    }
    line[len] = '\0';
    return line;
}

static int put_seen(struct replica *r, const char *value, const struct ki_dot *token, size_t count)
{
    return ki_put_sibling(&r->store, NOW, text("m"), text(value), token, count);
}

static void test_tokens(void **state)
{
    (void)state;
    struct replica a, b;
    static uint8_t before[4096], after[4096];
    static const struct ki_dot none[1] = {{0, 0}};
    replica_new(&a, 1);
    replica_new(&b, 2);
    assert_int_equal(put_seen(&a, "a", NULL, 0), 0);
    assert_int_equal(put_seen(&b, "b", NULL, 0), 0);
    replica_trade(&a, &b);
    assert_string_equal(siblings(&a, "m"), "ab");
    assert_int_equal(put_seen(&a, "c", none, 0), 0); /* has seen none */
    assert_string_equal(siblings(&a, "m"), "abc");
    assert_int_equal(put_seen(&a, "d", (struct ki_dot[]){{2, 1}}, 1), 0);
    assert_string_equal(siblings(&a, "m"), "acd");
    assert_int_equal(put_seen(&a, "e", (struct ki_dot[]){{2, 1}, {1, 1}}, 2), 0); /* one is dead already */
    assert_string_equal(siblings(&a, "m"), "cde");
    assert_int_equal(put_seen(&a, "f", (struct ki_dot[]){{1, 2}, {1, 2}, {1, 3}, {1, 2}}, 4), 0); /* one named again */
    assert_string_equal(siblings(&a, "m"), "ef");
    assert_int_equal(set(&a, "other", "x"), 0); /* dots of other cells name nothing here */
    assert_int_equal(ki_put_sibling(&a.store, NOW, text("n"), text("n"), NULL, 0), 0);
    assert_int_equal(put_seen(&a, "g", (struct ki_dot[]){{1, 6}, {1, 7}}, 2), 0);
    assert_string_equal(siblings(&a, "m"), "efg");
    assert_string_equal(siblings(&a, "n"), "n");
    static const struct ki_dot unknown[][2] = {
        {{1, 4}, {1, 9}}, {{1, 4}, {3, 1}}, {{1, 0}, {1, 4}}, {{1, 4}, {1, UINT64_MAX}}, {{2, 2}, {1, 4}}};
    size_t len = replica_state(&a, before, sizeof before);
    for (size_t i = 0; i < KI_COUNT(unknown); i++) {
        assert_int_equal(put_seen(&a, "x", unknown[i], 2), KI_STORE_TOKEN);
        assert_int_equal(replica_state(&a, after, sizeof after), len);
        assert_memory_equal(before, after, len);
    }
    replica_tell(&a, &b);
    assert_string_equal(siblings(&b, "m"), "efg");
    assert_int_equal(put_seen(&b, "h", NULL, 0), 0);
    replica_tell(&b, &a);
    assert_string_equal(siblings(&a, "m"), "h");
    replica_check(&a);
    replica_check(&b);
    replica_free(&a);
    replica_free(&b);
}

/* A token may name a cell of the key that is no sibling: a string that the siblings hide. */
static void test_token_of_a_hidden_string(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 1);
    replica_new(&b, 2);
    assert_int_equal(put_seen(&a, "a", NULL, 0), 0);
    assert_int_equal(set(&b, "m", "hidden"), 0);
    replica_trade(&a, &b);
    assert_int_equal(type_of(&a, "m"), KI_TYPE_SIBLINGS);
    assert_int_equal(put_seen(&a, "b", (struct ki_dot[]){{1, 1}, {2, 1}}, 2), 0);
    assert_string_equal(siblings(&a, "m"), "b");
    assert_string_equal(shown(&a, "m", NULL), "\"hidden\"");
    replica_free(&a);
    replica_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_set),
        cmocka_unit_test(test_shares_of_a_score),
        cmocka_unit_test(test_order_at_random),
        cmocka_unit_test(test_additions),
        cmocka_unit_test(test_shares_of_a_count),
        cmocka_unit_test(test_reals_beyond_the_range),
        cmocka_unit_test(test_two_own_shares),
        cmocka_unit_test(test_base_and_shares),
        cmocka_unit_test(test_told_as_read),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_of_a_hidden_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
