/* Watches: each measure, limits from both sides, the time that a condition has to hold, what a slow reader is told, and
 * every refusal. */
#include <math.h>

#include "aggregates_pool.h"

static struct kith_watch above(enum kith_measure measure, double limit)
{
    return (struct kith_watch){.measure = measure, .q = 0.5, .limit = limit};
}

static kith_ticket watch(struct world *w, unsigned n, const struct kith_watch *what)
{
    kith_ticket ticket;
    assert_int_equal(kith_aggregate_watch(world_node(w, n), world_now(w), LOAD, what, &ticket), 0);
    return ticket;
}

/* The edges that were told: "101" is on, off, on. */
static const char *edges(kith_ticket ticket)
{
    static char text[32];
    size_t len = 0;
    for (size_t i = 0; i < ear.count && len < sizeof text - 1; i++) {
        const struct kith_event *e = &ear.all[i].event;
        if (e->kind == KITH_EVENT_WATCH && e->ticket == ticket)
            text[len++] = e->result == 1 ? '1' : '0';
    }
    text[len] = '\0';
    return text;
}

/* Values 5, 15, 25, 35, 45 of five; then the largest rises by 1,000. */
static void each_measure(void **state)
{
    (void)state;
    static const struct {
        enum kith_measure measure;
        double q, limit;
        bool below;
        const char *before, *after;
    } rows[] = {
        {KITH_MEASURE_COUNT, 0, 4, false, "1", "1"},       {KITH_MEASURE_COUNT, 0, 5, false, "", ""},
        {KITH_MEASURE_SUM, 0, 200, false, "", "1"},        {KITH_MEASURE_SUM, 0, 200, true, "1", "10"},
        {KITH_MEASURE_AVERAGE, 0, 24.5, false, "1", "1"},  {KITH_MEASURE_AVERAGE, 0, 25, false, "", "1"},
        {KITH_MEASURE_MIN, 0, 6, true, "1", "1"},          {KITH_MEASURE_MAX, 0, 45, false, "", "1"},
        {KITH_MEASURE_MAX, 0, 46, true, "1", "10"},        {KITH_MEASURE_QUANTILE, 0.5, 24, false, "1", "1"},
        {KITH_MEASURE_QUANTILE, 0.9, 100, false, "", "1"}, {KITH_MEASURE_QUANTILE, 0.8, 100, false, "", ""},
    };
    struct world *w = contributing(5, NULL);
    kith_ticket tickets[sizeof rows / sizeof *rows];
    settles_within(w, SECOND);
    ear.count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kith_watch what = {.measure = rows[i].measure, .q = rows[i].q, .limit = rows[i].limit,
                                  .below = rows[i].below};
        tickets[i] = watch(w, 2, &what);
    }
    world_run(w, SECOND);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(edges(tickets[i]), rows[i].before);
    set(w, 4, 1045);
    world_run(w, 2 * SECOND);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(edges(tickets[i]), rows[i].after);
    assert_int_equal(ear_count(&ear, KITH_EVENT_WATCH, 2, NULL), ear_count(&ear, KITH_EVENT_WATCH, WORLD_NODES, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(kith_aggregate_unwatch(world_node(w, 2), world_now(w), tickets[i]), 0);
    world_free(w);
}

static void it_has_to_hold(void **state)
{
    (void)state;
    struct world *w = contributing(1, NULL);
    struct kith_watch what = above(KITH_MEASURE_MAX, 10);
    what.hold_ms = 3000;
    ear.count = 0;
    kith_ticket ticket = watch(w, 0, &what);
    world_run(w, 3 * SECOND);
    for (unsigned i = 0; i < 5; i++) { /* breaks begin it anew */
        set(w, 0, 20);
        world_run(w, 5 * SECOND / 2);
        set(w, 0, 5);
        world_run(w, SECOND / 2);
    }
    assert_string_equal(edges(ticket), "");
    set(w, 0, 20);
    world_run(w, 4 * SECOND);
    assert_string_equal(edges(ticket), "1");
    set(w, 0, 5);
    world_run(w, 5 * SECOND / 2);
    assert_string_equal(edges(ticket), "1");
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), "10");
    world_free(w);
}

/* Nobody contributes: nothing changes, but for a count; when it is closed, neither. */
static void without_an_answer(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(1, NULL);
    struct kith_watch what = above(KITH_MEASURE_MAX, 4), none = above(KITH_MEASURE_COUNT, 1);
    none.below = true;
    ear.count = 0;
    kith_ticket ticket = watch(w, 0, &what), count = watch(w, 0, &none);
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), "1");
    assert_int_equal(kith_aggregate_clear(world_node(w, 0), world_now(w), LOAD), 0);
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), "1");
    assert_string_equal(edges(count), "1");
    assert_int_equal(kith_aggregate_close(world_node(w, 0), world_now(w), LOAD), 0);
    world_run(w, SECOND);
    open_one(w, 0, &schema);
    set(w, 0, 3);
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), "10");
    assert_string_equal(edges(count), "10");
    world_free(w);
}

static bool is_slow;

static bool slow(unsigned n)
{
    (void)n;
    return is_slow;
}

static void a_slow_reader_is_told_how_it_is(void **state)
{
    (void)state;
    struct world *w = contributing(1, NULL);
    struct kith_watch what = above(KITH_MEASURE_MAX, 10);
    is_slow = true;
    world_pause_events(w, slow);
    ear.count = 0;
    kith_ticket ticket = watch(w, 0, &what);
    for (unsigned i = 0; i < 50; i++) {
        set(w, 0, i % 2 == 0 ? 20 : 5);
        world_run(w, SECOND / 2);
    }
    is_slow = false;
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), ""); /* as at first */
    is_slow = true;
    for (unsigned i = 0; i < 51; i++) {
        set(w, 0, i % 2 == 0 ? 20 : 5);
        world_run(w, SECOND / 2);
    }
    is_slow = false;
    world_run(w, SECOND);
    assert_string_equal(edges(ticket), "1");
    world_free(w);
}

static void two_at_most(struct kith_config *c, unsigned n)
{
    (void)n;
    c->watches_max = 2;
}

static void refusals(void **state)
{
    (void)state;
    struct world *w = contributing(1, two_at_most);
    kith *k = world_node(w, 0);
    struct kith_time now = world_now(w);
    struct kith_watch what = above(KITH_MEASURE_SUM, 1e9), wrong = what;
    kith_ticket ticket, other;
    assert_int_equal(kith_aggregate_watch(k, now, STR("none"), &what, &ticket), KITH_ERR_NOT_FOUND);
    wrong.limit = (double)NAN;
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &wrong, &ticket), KITH_ERR_ARG);
    wrong = above((enum kith_measure)6, 1);
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &wrong, &ticket), KITH_ERR_ARG);
    wrong = above(KITH_MEASURE_QUANTILE, 1);
    wrong.q = 1.5;
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &wrong, &ticket), KITH_ERR_ARG);
    wrong = what;
    wrong.engine = (enum kith_engine)3;
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &wrong, &ticket), KITH_ERR_ARG);
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &what, &ticket), 0);
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &what, &other), 0);
    assert_true(ticket != other && ticket != 0);
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &what, &other), KITH_ERR_FULL);
    assert_int_equal(kith_aggregate_unwatch(k, now, ticket), 0);
    assert_int_equal(kith_aggregate_unwatch(k, now, ticket), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_watch(k, now, LOAD, &what, &other), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_measure),
        cmocka_unit_test(it_has_to_hold),
        cmocka_unit_test(without_an_answer),
        cmocka_unit_test(a_slow_reader_is_told_how_it_is),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
