/* A pool that is monitored: every member answers for all, soon after they begin and soon after something changes.
 *
 * Members contribute a load from 0 to 1; half of them are idle, and then all of these are busy at once.  Time is counted in
 * ticks of half a second, those of the network engine.  120 members; with KITH_SOAK 1,000, for which the figures are
 * meant.  ctest: TIMEOUT 600 COST 60 */
#include "sanitized.h"
#include "sim/fixture.h"

#include <math.h>

#include <kith/aggregate.h>

#define TICK     (500 * MS)
#define TOP      10
#define QUANTILE 0.99
#define BEGIN_US (5 * SECOND)

static uint32_t count; /* of members */
static double *loads, *sorted;
static uint32_t *alerts; /* that each was told of */
static const struct kith_str load = {"load", 4};

/* What members make of it together. */
struct seen {
    double worst; /* the largest difference of anybody's average to the truth, as a part of it */
    double bias;  /* of all averages together */
    double rank;  /* the largest difference of the rank of anybody's quantile */
    bool top;     /* everybody has the right largest ones */
};

static int monitor_order(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double monitor_truth(void)
{
    double sum = 0;
    for (uint32_t n = 0; n < count; n++)
        sum += loads[n];
    memcpy(sorted, loads, count * sizeof *loads);
    qsort(sorted, count, sizeof *sorted, monitor_order);
    return sum / count;
}

static double monitor_rank_of(double value)
{
    uint32_t below = 0;
    while (below < count && sorted[below] < value)
        below++;
    return (double)(below + 1) / count;
}

static bool monitor_top_is_right(kith *k, struct kith_time now, enum kith_engine engine)
{
    struct kith_place places[TOP];
    size_t found = 0;
    bool right = kith_aggregate_list(k, now, load, engine, true, 0, places, TOP, &found) == 0 && found == TOP;
    for (size_t i = 0; right && i < TOP; i++)
        right = places[i].value == sorted[count - 1 - i];
    return right;
}

static struct seen monitor_look(kith_sim *s, enum kith_engine engine)
{
    struct seen seen = {.top = true};
    double average = monitor_truth();
    for (uint32_t n = 0; n < count; n++) {
        kith *k = kith_sim_node(s, n);
        struct kith_time now = kith_sim_time(s, n);
        struct kith_aggregate_answer a = {.count = 0};
        double quantile = -1, error;
        (void)kith_aggregate_read(k, now, load, engine, &a);
        (void)kith_aggregate_quantile(k, now, load, engine, QUANTILE, &quantile, &error);
        seen.worst = fmax(seen.worst, fabs(a.average - average) / average);
        seen.bias += (a.average - average) / average / count;
        seen.rank = fmax(seen.rank, fabs(monitor_rank_of(quantile) - QUANTILE));
        seen.top = seen.top && monitor_top_is_right(k, now, engine);
    }
    return seen;
}

static kith_sim *monitor_pool(uint32_t loss_ppm)
{
    struct kith_sim_config config = world_config(7);
    config.link.loss_ppm = loss_ppm;
    config.check = false;
    kith_sim *s = world_of(&config, count);
    assert_int_equal(kith_sim_warm(s), 0);
    kith_sim_run(s, BEGIN_US);
    return s;
}

static void monitor_give(kith_sim *s, uint32_t node, double value)
{
    loads[node] = value;
    assert_int_equal(kith_aggregate_set(kith_sim_node(s, node), kith_sim_time(s, node), load, value), 0);
}

static void monitor_begin(kith_sim *s, enum kith_engine engine)
{
    struct kith_schema schema;
    kith_schema_init(&schema);
    schema.min = 0;
    schema.max = 1;
    schema.engine = engine;
    for (uint32_t n = 0; n < count; n++) {
        assert_int_equal(kith_aggregate_open(kith_sim_node(s, n), kith_sim_time(s, n), load, &schema), 0);
        monitor_give(s, n, n % 2 ? 0 : (double)(n / 2 * 7919 % 1009) / 1009); /* no two alike */
    }
}

/* All members watch whether the pool is busy. */
static void monitor_watch(kith_sim *s, enum kith_engine engine)
{
    const struct kith_watch more = {.measure = KITH_MEASURE_AVERAGE, .limit = 0.5, .hold_ms = 1000, .engine = engine};
    for (uint32_t n = 0; n < count; n++) {
        kith_ticket ticket;
        assert_int_equal(kith_aggregate_watch(kith_sim_node(s, n), kith_sim_time(s, n), load, &more, &ticket), 0);
        alerts[n] = 0;
    }
}

static void monitor_run_tick(kith_sim *s)
{
    struct kith_sim_happening h;
    uint64_t until_us = kith_sim_now_us(s) + TICK;
    while (kith_sim_step(s, until_us, &h)) {
        if (h.kind != KITH_SIM_EVENT || h.event.kind != KITH_EVENT_WATCH)
            continue;
        assert_int_equal(h.event.result, 1); /* it never falls again */
        alerts[h.node]++;
    }
}

/* The ticks until it was so, and stayed so. */
struct until {
    int close; /* everybody's average is within 1 % */
    int rank;  /* everybody's quantile is within 2 %, by rank */
    int top;
};

static struct until monitor_ticks(kith_sim *s, enum kith_engine engine, int most, struct seen *last)
{
    struct until until = {1, 1, 1};
    for (int tick = 1; tick <= most; tick++) {
        monitor_run_tick(s);
        *last = monitor_look(s, engine);
        if (last->worst > 0.01)
            until.close = tick + 1;
        if (last->rank > 0.02)
            until.rank = tick + 1;
        if (!last->top)
            until.top = tick + 1;
    }
    return until;
}

static void monitor_busy(kith_sim *s)
{
    for (uint32_t n = 1; n < count; n += 2)
        monitor_give(s, n, 1);
}

static void monitor_day(enum kith_engine engine)
{
    struct seen last;
    kith_sim *s = monitor_pool(0);
    monitor_begin(s, engine);
    struct until until = monitor_ticks(s, engine, 25, &last);
    printf("within 1 %% after %d ticks, p99 after %d, top %d after %d", until.close, until.rank, TOP, until.top);
    assert_in_range(until.close, 1, 10);
    assert_in_range(until.rank, 1, 20);
    assert_in_range(until.top, 1, 20);
    monitor_watch(s, engine);
    monitor_busy(s);
    until = monitor_ticks(s, engine, 25, &last);
    printf("; a step followed after %d\n", until.close);
    assert_in_range(until.close, 1, 15);
    for (uint32_t n = 0; n < count; n++)
        assert_int_equal(alerts[n], 1);
    world_end(s);
}

static void test_exact(void **state)
{
    (void)state;
    monitor_day(KITH_ENGINE_EXACT);
}

static void test_network(void **state)
{
    (void)state;
    monitor_day(KITH_ENGINE_NETWORK);
}

/* A fifth of all datagrams is lost: it takes longer, and is no less right. */
static void monitor_lossy(enum kith_engine engine)
{
    struct seen last;
    kith_sim *s = monitor_pool(200000);
    monitor_begin(s, engine);
    struct until until = monitor_ticks(s, engine, 40, &last);
    printf("at 20 %% loss within 1 %% after %d ticks, all together off by %.7f %%\n", until.close, 100 * fabs(last.bias));
    assert_in_range(until.close, 1, 30);
    assert_true(fabs(last.bias) < 0.001);
    world_end(s);
}

static void test_exact_with_loss(void **state)
{
    (void)state;
    monitor_lossy(KITH_ENGINE_EXACT);
}

static void test_network_with_loss(void **state)
{
    (void)state;
    monitor_lossy(KITH_ENGINE_NETWORK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_exact_with_loss),
        cmocka_unit_test(test_network_with_loss),
    };
    count = getenv("KITH_SOAK") ? 1000 : IS_SANITIZED ? 60 : 120;
    loads = calloc(count, sizeof *loads);
    sorted = calloc(count, sizeof *sorted);
    alerts = calloc(count, sizeof *alerts);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
