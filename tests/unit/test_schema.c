/* aggregate/schema.c: bytes both ways, cut at every length, what is out of range, and the table: order, uses, memory that
 * fails. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "aggregate/schema.h"
#include "base/rng.h"
#include "unit/failing.h"
#include "unit/hex.h"

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

static struct ki_meaning load(void)
{
    return (struct ki_meaning){.name = TEXT("load"), .unit = TEXT("1"), .min = 0, .max = 100, .step = 0.25,
                               .interval_ms = 10000, .engine = KI_SCHEMA_EXACT};
}

static bool decodes(const uint8_t *bytes, size_t len, struct ki_meaning *out)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    bool fine = ki_schema_decode(ki_span(exact, len), out);
    free(exact);
    return fine;
}

static void both_ways(void **state)
{
    (void)state;
    static char name[64], unit[16];
    uint8_t want[KI_SCHEMA_LEN_MAX], got[KI_SCHEMA_LEN_MAX + 1];
    struct ki_meaning meaning = load(), back;
    size_t len = hex_bytes("04 6c6f6164 01 31 0000000000000000 4059000000000000 3fd0000000000000 00002710 01", want,
                           sizeof want);
    assert_int_equal(ki_schema_encode(got, &meaning), len);
    assert_memory_equal(got, want, len);
    assert_true(ki_schema_decode(ki_span(got, len), &back));
    assert_true(ki_span_equal(back.name, meaning.name) && ki_span_equal(back.unit, meaning.unit));
    assert_true(back.min == 0 && back.max == 100 && back.step == 0.25 && back.interval_ms == 10000);
    assert_int_equal(back.engine, KI_SCHEMA_EXACT);
    for (size_t cut = 0; cut < len; cut++)
        assert_false(decodes(got, cut, &back));
    got[len] = 0;
    assert_false(decodes(got, len + 1, &back));
    assert_true(ki_schema_id(ki_span(want, len)) == 0x44ebd3d602e916bd); /* it is part of the protocol */
    meaning.min = -0.0; /* equals 0, and means the same */
    assert_int_equal(ki_schema_encode(got, &meaning), len);
    assert_memory_equal(got, want, len);
    got[7] = 0x80; /* and has one form */
    assert_false(decodes(got, len, &back));
    meaning = (struct ki_meaning){.name = ki_span(name, 64), .unit = ki_span(unit, 16), .min = -1e100, .max = 1e100,
                                  .step = 1e100, .interval_ms = 3600000, .engine = KI_SCHEMA_NETWORK};
    assert_true(ki_meaning_fine(&meaning));
    assert_int_equal(ki_schema_encode(got, &meaning), KI_SCHEMA_LEN_MAX);
    assert_true(decodes(got, KI_SCHEMA_LEN_MAX, &back));
}

static void out_of_range(void **state)
{
    (void)state;
    static char text[65];
    const double wrong[] = {(double)INFINITY, -(double)INFINITY, (double)NAN, 1.1e100, -1.1e100};
    struct ki_meaning m = load();
    assert_true(ki_meaning_fine(&m));
#define REFUSED(field, value) (m = load(), m.field = (value), assert_false(ki_meaning_fine(&m)))
    REFUSED(name, ki_span(text, 0));
    REFUSED(name, ki_span(text, 65));
    REFUSED(unit, ki_span(text, 17));
    for (size_t i = 0; i < KI_COUNT(wrong); i++) {
        REFUSED(min, wrong[i]);
        REFUSED(max, wrong[i]);
        REFUSED(step, wrong[i]);
    }
    REFUSED(max, 0);
    REFUSED(max, -1);
    REFUSED(step, -0.25);
    REFUSED(interval_ms, 999);
    REFUSED(interval_ms, 3600001);
    REFUSED(engine, 3);
    m = load();
    assert_true(ki_meaning_allows(&m, 0) && ki_meaning_allows(&m, 100) && ki_meaning_allows(&m, 0.1));
    assert_false(ki_meaning_allows(&m, -0.001) || ki_meaning_allows(&m, 100.001));
    assert_false(ki_meaning_allows(&m, (double)NAN) || ki_meaning_allows(&m, (double)INFINITY));
}

/* ---- the table ---- */

static struct ki_meaning numbered(unsigned name, unsigned kind)
{
    static const char names[8][4] = {"a", "aa", "ab", "b", "c", "ca", "d", "zz"};
    struct ki_meaning m = load();
    m.name = ki_span(names[name % 8], strlen(names[name % 8]));
    m.step = kind;
    return m;
}

static void in_order(const struct ki_schemas *s)
{
    for (uint32_t i = 1; i < s->count; i++) {
        int order = ki_span_compare(s->list[i - 1]->meaning.name, s->list[i]->meaning.name);
        assert_true(order < 0 || (order == 0 && s->list[i - 1]->id < s->list[i]->id));
    }
}

static void a_table_of_uses(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_schemas s;
    struct ki_rng rng;
    unsigned uses[32] = {0};
    struct ki_schema *known[32] = {NULL};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_schemas_init(&s, &mem);
    ki_rng_init(&rng, 4);
    for (unsigned step = 0; step < 5000; step++) {
        unsigned at = (unsigned)ki_rng_below(&rng, 32);
        struct ki_meaning m = numbered(at % 8, at / 8);
        if (uses[at] > 0 && ki_rng_below(&rng, 2) == 0) {
            ki_schemas_drop(&s, known[at]);
            uses[at]--;
        } else {
            struct ki_schema *used = ki_schemas_use(&s, &m);
            assert_true(uses[at] == 0 || used == known[at]); /* it stays where it is */
            known[at] = used;
            uses[at]++;
        }
        in_order(&s);
        uint32_t count = 0;
        for (unsigned i = 0; i < 32; i++) {
            count += uses[i] > 0;
            assert_true(uses[i] == 0 || (known[i]->uses == uses[i] && ki_schemas_find(&s, known[i]->id) == known[i]));
        }
        assert_int_equal(s.count, count);
        uint32_t first = ki_schemas_first(&s, m.name);
        assert_true(first == s.count || ki_span_compare(s.list[first]->meaning.name, m.name) >= 0);
        assert_true(first == 0 || ki_span_compare(s.list[first - 1]->meaning.name, m.name) < 0);
    }
    assert_null(ki_schemas_find(&s, 1));
    ki_schemas_free(&s);
    assert_int_equal(mem.used, 0);
}

static void without_memory(void **state)
{
    (void)state;
    struct failing failing = {0};
    struct ki_mem mem;
    struct ki_schemas s;
    struct ki_meaning m = load();
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_schemas_init(&s, &mem);
    for (int until = 0; until < 2; until++) {
        failing.until = until;
        assert_null(ki_schemas_use(&s, &m));
        assert_int_equal(s.count, 0);
    }
    failing.until = 2;
    struct ki_schema *known = ki_schemas_use(&s, &m);
    assert_non_null(known);
    assert_ptr_equal(ki_schemas_use(&s, &m), known); /* another use needs none */
    ki_schemas_drop(&s, known);
    ki_schemas_drop(&s, known);
    assert_int_equal(s.count, 0);
    ki_schemas_free(&s);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(a_table_of_uses),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
