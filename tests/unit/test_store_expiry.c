/* store/expiry.c: what ends, when, and what is left; and that two replicas that end things by themselves come to agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/delta.h"
#include "store/expiry.h"
#include "store/kinds.h"
#include "store/ops.h"

static const struct ki_store_config config = {.limits = {.key_max = 100, .field_max = 100, .value_max = 100},
                                              .bounds = {.warn_ms = 250, .clamp_ms = 5000, .refuse_ms = 3600000},
                                              .delta_cells_max = 100};

struct pair {
    struct ki_mem mem[2];
    struct ki_store a, b;
};

static struct ki_span text(const char *word)
{
    return ki_span(word, strlen(word));
}

static void begin(struct pair *p)
{
    static const uint8_t hash_key[16] = "of one instance";
    for (unsigned i = 0; i < 2; i++)
        ki_mem_init(&p->mem[i], NULL, NULL, NULL, 0);
    ki_store_init(&p->a, &p->mem[0], &config, 1, hash_key);
    ki_store_init(&p->b, &p->mem[1], &config, 2, hash_key);
}

static void end(struct pair *p)
{
    ki_store_free(&p->a);
    ki_store_free(&p->b);
    assert_int_equal(p->mem[0].used + p->mem[1].used, 0);
}

static void tell(struct ki_store *from, struct ki_store *to, uint64_t now_ms)
{
    uint8_t bytes[2048];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_delta_encode(from, &w);
    assert_false(w.full);
    ki_delta_end(from);
    assert_int_equal(ki_store_merge(to, now_ms, ki_span(bytes, w.len)), 0);
}

static enum ki_type type_of(const struct ki_store *store, const char *name)
{
    uint32_t key = ki_cells_key(&store->cells, text(name));
    return key == KI_NO_KEY ? KI_TYPE_NONE : ki_key_type(&store->cells, key);
}

static uint64_t ends_ms(const struct ki_store *store, const char *name)
{
    return ki_key_expiry_ms(store, ki_cells_key(&store->cells, text(name)));
}

static bool expire(struct ki_store *store, uint64_t now_ms, const char *name, uint64_t at_ms)
{
    bool changed;
    assert_int_equal(ki_expire_at(store, now_ms, text(name), at_ms, &changed), 0);
    return changed;
}

/* One key of each type; each ends at its time, and not before; by looking at it, and by the clock. */
static void each_type_ends(void **state)
{
    (void)state;
    static const char *const names[] = {"string", "count", "siblings", "sorted", "set", "hash"};
    for (unsigned by_clock = 0; by_clock < 2; by_clock++) {
        struct pair p;
        begin(&p);
        assert_int_equal(ki_set(&p.a, 1000, text("string"), text("v"), 0), 0);
        assert_int_equal(ki_increase(&p.a, 1000, text("count"), 5, NULL), 0);
        assert_int_equal(ki_put_sibling(&p.a, 1000, text("siblings"), text("v"), NULL, 0), 0);
        assert_int_equal(ki_sorted_add(&p.a, 1000, text("sorted"), text("m"), 1.5, NULL), 0);
        assert_int_equal(ki_set_add(&p.a, 1000, text("set"), text("m"), NULL), 0);
        assert_int_equal(ki_set_add(&p.a, 1000, text("set"), text("n"), NULL), 0);
        assert_int_equal(ki_hash_set(&p.a, 1000, text("hash"), text("f"), text("v"), NULL), 0);
        for (size_t i = 0; i < KI_COUNT(names); i++) {
            assert_true(ends_ms(&p.a, names[i]) == KI_NEVER_MS);
            assert_false(expire(&p.a, 1000, names[i], KI_NEVER_MS)); /* there is none to take away */
            assert_true(expire(&p.a, 1000, names[i], 5000 + i));
            assert_true(ends_ms(&p.a, names[i]) == 5000 + i);
        }
        tell(&p.a, &p.b, 1000);
        for (size_t i = 0; i < KI_COUNT(names); i++) {
            assert_true(ki_expire_next_ms(&p.b) == 5000 + i);
            if (by_clock)
                assert_false(ki_expire_due(&p.b, 4999 + i, 100));
            else
                ki_expire_key(&p.b, 4999 + i, text(names[i]));
            assert_int_not_equal(type_of(&p.b, names[i]), KI_TYPE_NONE);
            if (by_clock)
                assert_false(ki_expire_due(&p.b, 5000 + i, 100));
            else
                ki_expire_key(&p.b, 5000 + i, text(names[i]));
            assert_int_equal(type_of(&p.b, names[i]), KI_TYPE_NONE);
        }
        assert_int_equal(p.b.cells.cell_count, 0);
        assert_true(ki_expire_next_ms(&p.b) == KI_NEVER_MS);
        end(&p);
    }
}

static void it_can_be_changed_and_taken_away(void **state)
{
    (void)state;
    struct pair p;
    begin(&p);
    assert_false(expire(&p.a, 1000, "nothing", 9000));
    assert_int_equal(ki_set(&p.a, 1000, text("k"), text("v"), 3000), 0);
    assert_true(expire(&p.a, 1000, "k", 9000));
    assert_true(ends_ms(&p.a, "k") == 9000);
    assert_true(expire(&p.a, 1000, "k", KI_NEVER_MS));
    assert_true(ends_ms(&p.a, "k") == KI_NEVER_MS);
    assert_true(ki_expire_next_ms(&p.a) == KI_NEVER_MS);
    assert_int_equal(ki_set_add(&p.a, 1000, text("s"), text("m"), NULL), 0);
    assert_true(expire(&p.a, 1000, "s", 3000));
    assert_true(expire(&p.a, 1000, "s", KI_NEVER_MS));
    assert_true(ends_ms(&p.a, "s") == KI_NEVER_MS);
    assert_false(ki_expire_due(&p.a, 99999, 100));
    assert_int_equal(type_of(&p.a, "s"), KI_TYPE_SET);
    assert_true(expire(&p.a, 2000, "s", 2000)); /* has passed: deleted, and that is told */
    tell(&p.a, &p.b, 2000);
    assert_int_equal(type_of(&p.b, "s"), KI_TYPE_NONE);
    assert_int_equal(type_of(&p.b, "k"), KI_TYPE_STRING);
    assert_int_equal(ki_set(&p.a, 2000, text("s"), text("v"), 0), 0); /* SET takes expiries away, too */
    assert_true(ends_ms(&p.a, "s") == KI_NEVER_MS);
    end(&p);
}

/* Rivals: a register ends by its own time; of cells beside a key the latest decides, and never is the latest. */
static void rivals(void **state)
{
    (void)state;
    struct pair p;
    begin(&p);
    assert_int_equal(ki_set(&p.a, 1000, text("k"), text("old"), 3000), 0);
    assert_int_equal(ki_set(&p.b, 2000, text("k"), text("new"), 0), 0);
    tell(&p.a, &p.b, 2000);
    assert_true(ends_ms(&p.b, "k") == KI_NEVER_MS);
    assert_false(ki_expire_due(&p.b, 3000, 100));
    struct ki_shown shown = ki_string_shown(&p.b, ki_cells_key(&p.b.cells, text("k")));
    assert_true(ki_span_equal(shown.bytes, text("new")));
    assert_int_equal(p.b.cells.cell_count, 1);
    /* the winner ends, and what it beat does not surface */
    assert_int_equal(ki_set(&p.a, 1000, text("q"), text("old"), 0), 0);
    assert_int_equal(ki_set(&p.b, 2000, text("q"), text("new"), 4000), 0);
    tell(&p.a, &p.b, 2000);
    assert_false(ki_expire_due(&p.b, 4000, 100));
    assert_int_equal(type_of(&p.b, "q"), KI_TYPE_NONE);
    /* beside a set */
    assert_int_equal(ki_set_add(&p.a, 1000, text("s"), text("m"), NULL), 0);
    tell(&p.a, &p.b, 1000);
    assert_true(expire(&p.a, 1000, "s", 5000));
    assert_true(expire(&p.b, 1000, "s", 7000));
    tell(&p.b, &p.a, 1000);
    tell(&p.a, &p.b, 1000);
    assert_false(ki_expire_due(&p.a, 5000, 100));
    assert_int_equal(type_of(&p.a, "s"), KI_TYPE_SET);
    assert_true(ends_ms(&p.a, "s") == 7000 && ends_ms(&p.b, "s") == 7000);
    assert_false(ki_expire_due(&p.a, 7000, 100));
    assert_int_equal(type_of(&p.a, "s"), KI_TYPE_NONE);
    end(&p);
}

/* An increment of a string that ends goes with it. */
static void shares_go_with_their_base(void **state)
{
    (void)state;
    struct pair p;
    int64_t sum;
    begin(&p);
    assert_int_equal(ki_set(&p.a, 1000, text("k"), text("5"), 3000), 0);
    assert_int_equal(ki_increase(&p.a, 1000, text("k"), 2, &sum), 0);
    assert_int_equal(sum, 7);
    assert_true(ends_ms(&p.a, "k") == 3000);
    assert_false(ki_expire_due(&p.a, 3000, 100));
    assert_int_equal(type_of(&p.a, "k"), KI_TYPE_NONE);
    assert_int_equal(p.a.cells.cell_count, 0);
    end(&p);
}

static void in_slices(void **state)
{
    (void)state;
    struct pair p;
    begin(&p);
    for (unsigned i = 0; i < 50; i++) {
        uint8_t name = (uint8_t)i;
        assert_int_equal(ki_set(&p.a, 1000, ki_span(&name, 1), text("v"), 2000 + i % 3), 0);
    }
    unsigned calls = 1;
    while (ki_expire_due(&p.a, 9000, 7))
        calls++;
    assert_int_equal(calls, 8);
    assert_int_equal(p.a.cells.key_count, 0);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_ends),
        cmocka_unit_test(it_can_be_changed_and_taken_away),
        cmocka_unit_test(rivals),
        cmocka_unit_test(shares_go_with_their_base),
        cmocka_unit_test(in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
