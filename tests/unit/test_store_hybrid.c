/* Stamps: the three bounds of a future that may be a broken clock, and that whoever has seen a stamp can outrank it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_replica.h"

#define STAMP(ms, count) ((uint64_t)(ms) << KI_STAMP_COUNT_BITS | (count))

static const struct ki_hybrid_bounds bounds = {.warn_ms = 10, .clamp_ms = 100, .refuse_ms = 1000};

/* ---- the clock alone ---- */

static const struct {
    uint64_t wall_ms, stamp;
    enum ki_hybrid_verdict verdict;
} judgements[] = {
    {5000, STAMP(0, 1), KI_HYBRID_FINE}, /* the past harms nobody */
    {5000, STAMP(5000, 0xffff), KI_HYBRID_FINE},
    {5000, STAMP(5010, 0xffff), KI_HYBRID_FINE},
    {5000, STAMP(5011, 0), KI_HYBRID_AHEAD},
    {5000, STAMP(5100, 0xffff), KI_HYBRID_AHEAD},
    {5000, STAMP(5101, 0), KI_HYBRID_CLAMPED},
    {5000, STAMP(6000, 0xffff), KI_HYBRID_CLAMPED},
    {5000, STAMP(6001, 0), KI_HYBRID_REFUSED},
    {5000, UINT64_MAX, KI_HYBRID_REFUSED},
    {0, STAMP(1000, 0), KI_HYBRID_CLAMPED},
    {0, STAMP(1001, 0), KI_HYBRID_REFUSED},
    {UINT64_MAX, UINT64_MAX, KI_HYBRID_FINE},
};

static void test_judge(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(judgements); i++)
        assert_int_equal(ki_hybrid_judge(&bounds, judgements[i].wall_ms, judgements[i].stamp), judgements[i].verdict);
}

static const struct {
    uint64_t highest, wall_ms, stamp, after;
} sights[] = {
    {0, 5000, STAMP(4000, 7), STAMP(4000, 7)},
    {STAMP(4500, 1), 5000, STAMP(4000, 7), STAMP(4500, 1)}, /* never falls */
    {0, 5000, STAMP(5100, 0), STAMP(5100, 0)},
    {0, 5000, STAMP(5100, 9), STAMP(5100, 9)}, /* all of the last millisecond that is not clamped */
    {0, 5000, STAMP(5100, 0xffff), STAMP(5100, 0xffff)},
    {0, 5000, STAMP(5101, 0), STAMP(5100, 0xffff)},
    {0, 5000, STAMP(6000, 3), STAMP(5100, 0xffff)},
    {STAMP(5200, 1), 5000, STAMP(6000, 3), STAMP(5200, 1)}, /* the wall clock was set back */
    {0, ((uint64_t)1 << 48) - 50, UINT64_MAX - 1, UINT64_MAX - 1},
};

static void test_see(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(sights); i++) {
        struct ki_hybrid clock = {.highest = sights[i].highest};
        ki_hybrid_see(&clock, &bounds, sights[i].wall_ms, sights[i].stamp);
        assert_int_equal(clock.highest, sights[i].after);
    }
}

/* A stamp that is not clamped is one that the next stamp stands above. */
static void test_what_is_not_clamped_is_followed(void **state)
{
    (void)state;
    for (uint64_t ms = 4990; ms < 6100; ms++) {
        for (uint64_t count = 0; count < 3; count++) {
            struct ki_hybrid clock = {.highest = 0};
            uint64_t stamp = STAMP(ms, count);
            ki_hybrid_see(&clock, &bounds, 5000, stamp);
            bool follows = ki_hybrid_next(&clock, 5000, 0) > stamp;
            assert_int_equal(follows, ki_hybrid_judge(&bounds, 5000, stamp) < KI_HYBRID_CLAMPED);
        }
    }
}

static const struct {
    uint64_t highest, wall_ms, floor, stamp;
} steps[] = {
    {0, 5000, 0, STAMP(5000, 0)},
    {STAMP(5000, 0), 5000, 0, STAMP(5000, 1)},
    {STAMP(5000, 8), 4000, 0, STAMP(5000, 9)}, /* set back */
    {STAMP(5000, 8), 5001, 0, STAMP(5001, 0)},
    {STAMP(5000, 0xffff), 5000, 0, STAMP(5001, 0)}, /* the count overflows into the milliseconds */
    {STAMP(5000, 8), 5000, STAMP(5000, 9), STAMP(5000, 10)},
    {STAMP(5000, 8), 5000, STAMP(5000, 8), STAMP(5000, 9)},
    {STAMP(5000, 8), 5000, STAMP(9000, 3), STAMP(9000, 4)},
    {0, 5000, STAMP(9000, 0xffff), STAMP(9001, 0)},
    {0, 0, 0, 1}, /* 0 is no stamp */
    {0, UINT64_MAX, 0, UINT64_MAX},
};

static void test_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(steps); i++) {
        struct ki_hybrid clock = {.highest = steps[i].highest};
        assert_int_equal(ki_hybrid_next(&clock, steps[i].wall_ms, steps[i].floor), steps[i].stamp);
        assert_int_equal(clock.highest, steps[i].stamp);
    }
}

/* More stamps in a millisecond than the count has room for: all differ, all rise, and the wall clock takes over again. */
static void test_count_overflow(void **state)
{
    (void)state;
    struct ki_hybrid clock = {.highest = 0};
    uint64_t last = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t stamp = ki_hybrid_next(&clock, 5000, 0);
        assert_true(stamp > last);
        last = stamp;
    }
    assert_int_equal(last, STAMP(5000, 0) + 199999);
    assert_int_equal(ki_stamp_ms(last), 5003);
    assert_int_equal(ki_hybrid_next(&clock, 5003, 0), last + 1);
    assert_int_equal(ki_hybrid_next(&clock, 5004, 0), STAMP(5004, 0));
}

/* ---- in a store ---- */

/* A register of replica 9 with its first number. */
static int merge_register(struct replica *r, const char *key, uint64_t n, uint64_t stamp)
{
    uint8_t buf[256];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    struct ki_cell_image image = {
        .dot = {9, n}, .kind = KI_KIND_REGISTER, .stamp = stamp, .key = replica_text(key), .value = replica_text("old")};
    ki_put_u8(&w, 1);
    ki_cell_encode(&w, &image);
    assert_false(w.full);
    return ki_store_merge(&r->store, REPLICA_WALL_MS, ki_span(buf, w.len));
}

static uint64_t newest_stamp(const struct replica *r)
{
    uint32_t id = ki_cells_by_dot(&r->store.cells, (struct ki_dot){r->store.replica, r->store.n});
    assert_true(id != KI_NO_CELL);
    return ki_cells_at(&r->store.cells, id)->stamp;
}

static void write_text(struct replica *r, const char *key, const char *value)
{
    assert_int_equal(ki_set(&r->store, REPLICA_WALL_MS, replica_text(key), replica_text(value), 0), 0);
}

/* A cell from beyond the clamp is kept and does not pull the clock; what supersedes it stands above it all the same. */
static void test_a_write_outranks_what_it_supersedes(void **state)
{
    (void)state;
    struct replica r, other;
    const uint64_t future = STAMP(REPLICA_WALL_MS + REPLICA_REFUSE_MS - 1, 0xffff);
    replica_new(&r, 1);
    replica_new(&other, 2);
    assert_int_equal(merge_register(&r, "k", 1, future), 0);
    assert_int_equal(ki_stamp_ms(r.store.clock.highest), REPLICA_WALL_MS + REPLICA_CLAMP_MS);
    write_text(&r, "elsewhere", "v");
    assert_true(newest_stamp(&r) < future);
    assert_true(ki_stamp_ms(newest_stamp(&r)) <= REPLICA_WALL_MS + REPLICA_CLAMP_MS + 1);
    write_text(&r, "k", "new");
    assert_int_equal(newest_stamp(&r), future + 1);
    /* a rival that was written from the same broken clock loses to who has seen more */
    assert_int_equal(merge_register(&r, "k", 2, future), 0);
    struct ki_shown shown = ki_string_shown(&r.store, replica_key(&r, "k"));
    assert_true(ki_span_equal(shown.bytes, replica_text("new")));
    /* and another replica that takes this in goes on above it */
    replica_tell(&r, &other);
    write_text(&other, "k", "newer");
    assert_true(newest_stamp(&other) > future + 1);
    replica_check(&r);
    replica_check(&other);
    replica_free(&r);
    replica_free(&other);
}

/* One stamp beyond the last bound refuses the whole delta, whatever else is in it. */
static void test_refused(void **state)
{
    (void)state;
    struct replica r;
    static uint8_t before[4096], after[4096];
    replica_new(&r, 1);
    assert_int_equal(merge_register(&r, "k", 1, STAMP(REPLICA_WALL_MS, 0)), 0);
    size_t len = replica_state(&r, before, sizeof before);
    assert_int_equal(merge_register(&r, "k", 2, STAMP(REPLICA_WALL_MS + REPLICA_REFUSE_MS + 1, 0)), KI_STORE_AHEAD);
    assert_int_equal(r.store.quarantined, 1);
    assert_int_equal(replica_state(&r, after, sizeof after), len);
    assert_memory_equal(before, after, len);
    assert_int_equal(merge_register(&r, "k", 2, STAMP(REPLICA_WALL_MS + REPLICA_REFUSE_MS, 0xffff)), 0);
    assert_int_equal(r.store.quarantined, 1);
    replica_check(&r);
    replica_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_see),
        cmocka_unit_test(test_what_is_not_clamped_is_followed),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_count_overflow),
        cmocka_unit_test(test_a_write_outranks_what_it_supersedes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
