/* The epidemic against the published tables and, where there is one, against arithmetic.
 *
 * A figure in the tables was printed to so many digits from so many runs.  A mean here must lie within half a unit of
 * the last digit (or where a figure is given as a range, within the range), plus 4 standard errors: of our mean
 * (measured) and of theirs (the same spread over the table's number of runs).  Chance alone would fail one comparison
 * in 15,000; as seeds are fixed, it does so always or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "sanitized.h"
#include "sim/model/spread_stats.h"

#define SIGMAS         4
#define RUNS_SANITIZED 20

/* So many runs, or as many as a sanitizer has time for; returns how many. */
static uint32_t run_all(struct sim_spread_config config, uint32_t runs, struct sim_spread_stats **stats,
                        struct sim_spread_summary *out)
{
    if (IS_SANITIZED && runs > RUNS_SANITIZED)
        runs = RUNS_SANITIZED;
    struct sim_spread *s = ki_sim_spread_new(&config);
    struct sim_spread_run run;
    *stats = ki_sim_spread_stats_new(config.nodes);
    assert_non_null(s);
    for (uint32_t i = 0; i < runs; i++) {
        assert_true(ki_sim_spread_next(s, &run));
        assert_true(ki_sim_spread_stats_add(*stats, &run));
    }
    assert_true(ki_sim_spread_stats_summarize(*stats, out));
    ki_sim_spread_free(s);
    return runs;
}

struct figure { /* low == high: a printed number; digit: its last digit's unit; not given: digit 0 */
    double low, high, digit;
};
#define SAYS(value, digit)       {value, value, digit}
#define RANGE(low, high, digit)  {low, high, digit}
#define NOTHING                  {0, 0, 0}

/* Returns false, and prints why, when a mean is not the table's. */
static bool agrees(const char *row, const char *name, struct figure f, struct sim_mean got, double runs, double table_runs)
{
    double error = got.error * sqrt(1 + runs / table_runs);
    double room = f.digit / 2 + SIGMAS * error;
    if (f.digit == 0 || (got.mean >= f.low - room && got.mean <= f.high + room))
        return true;
    print_error("%s: %s is %.6g, the table has %g..%g, room %.2g\n", row, name, got.mean, f.low, f.high, room);
    return false;
}

/* ---- Demers et al. 1987: rumour mongering, n = 1000, 3000 runs ---- */

#define P SIM_SPREAD_PUSH
#define L SIM_SPREAD_PULL
#define X SIM_SPREAD_PUSH_PULL
#define COUNTER SIM_SPREAD_FEEDBACK_COUNTER

static const struct {
    enum sim_spread_mode mode;
    enum sim_spread_stop stop;
    uint32_t k, runs;
    struct figure residue, traffic, t_avg, t_last;
} rumours[] = {
    {P, COUNTER, 1, 300, SAYS(.203, .001), SAYS(1.59, .01), RANGE(9.8, 10.1, .1), RANGE(17.0, 17.6, .1)},
    {P, COUNTER, 2, 300, SAYS(.059, .001), SAYS(2.82, .01), RANGE(9.8, 10.1, .1), RANGE(17.0, 17.6, .1)},
    {P, COUNTER, 3, 300, SAYS(.020, .001), SAYS(3.92, .01), RANGE(9.8, 10.1, .1), RANGE(17.0, 17.6, .1)},
    {P, COUNTER, 4, 300, SAYS(.0070, .0001), SAYS(4.96, .01), RANGE(9.8, 10.1, .1), RANGE(17.0, 17.6, .1)},
    {P, COUNTER, 5, 300, SAYS(.0025, .0001), SAYS(5.98, .01), RANGE(9.8, 10.1, .1), RANGE(17.0, 17.6, .1)},
    {P, SIM_SPREAD_BLIND_COIN, 2, 400, SAYS(.204, .001), SAYS(1.59, .01), SAYS(15.7, .1), RANGE(32, 33, 1)},
    {P, SIM_SPREAD_BLIND_COIN, 3, 400, SAYS(.060, .001), SAYS(2.82, .01), SAYS(13.3, .1), RANGE(32, 33, 1)},
    {P, SIM_SPREAD_BLIND_COIN, 4, 400, SAYS(.020, .001), SAYS(3.92, .01), SAYS(12.4, .1), RANGE(32, 33, 1)},
    {P, SIM_SPREAD_BLIND_COIN, 5, 400, SAYS(.0071, .0001), SAYS(4.97, .01), SAYS(11.8, .1), RANGE(32, 33, 1)},
    {P, SIM_SPREAD_BLIND_COUNTER, 2, 300, SAYS(.203, .001), SAYS(1.59, .01), SAYS(12.7, .1), SAYS(24.5, .1)},
    {P, SIM_SPREAD_BLIND_COUNTER, 3, 300, SAYS(.059, .001), SAYS(2.82, .01), SAYS(10.9, .1), SAYS(20.5, .1)},
    {P, SIM_SPREAD_BLIND_COUNTER, 4, 300, SAYS(.020, .001), SAYS(3.92, .01), SAYS(10.4, .1), SAYS(19.3, .1)},
    {P, SIM_SPREAD_BLIND_COUNTER, 5, 300, SAYS(.0069, .0001), SAYS(4.97, .01), SAYS(10.2, .1), SAYS(18.8, .1)},
    {L, COUNTER, 1, 600, SAYS(.032, .001), SAYS(2.70, .01), SAYS(10.2, .1), SAYS(17.5, .1)},
    {L, COUNTER, 2, 600, SAYS(5.8e-4, 1e-5), SAYS(4.49, .01), SAYS(10.1, .1), SAYS(15.2, .1)},
    {L, COUNTER, 3, 600, SAYS(4e-6, 1e-6), SAYS(6.09, .01), SAYS(10.0, .1), SAYS(14.0, .1)},
};

static void test_rumour_mongering(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < KI_COUNT(rumours); i++) {
        struct sim_spread_config config = {
            .nodes = 1000, .mode = rumours[i].mode, .stop = rumours[i].stop, .k = rumours[i].k, .fanout = 1, .seed = i + 1};
        struct sim_spread_stats *stats;
        struct sim_spread_summary got;
        char row[64];
        double runs = run_all(config, rumours[i].runs, &stats, &got);
        snprintf(row, sizeof row, "row %zu (mode %d, stop %d, k %u)", i, (int)config.mode, (int)config.stop, config.k);
        if (!IS_SANITIZED) /* one in so many that fewer runs may have none */
            wrong += !agrees(row, "residue", rumours[i].residue, got.residue, runs, 3000);
        wrong += !agrees(row, "traffic", rumours[i].traffic, got.traffic, runs, 3000);
        wrong += !agrees(row, "t_avg", rumours[i].t_avg, got.t_avg, runs, 3000);
        wrong += !agrees(row, "t_last", rumours[i].t_last, got.t_last, runs, 3000);
        ki_sim_spread_stats_free(stats);
    }
    assert_int_equal(wrong, 0);
}

/* ---- rounds to reach all (Karp et al. 2000): payloads per node, and with a loss of 20 % ---- */

static const struct {
    enum sim_spread_mode mode;
    uint32_t nodes, loss_ppm, runs;
    struct figure rounds, traffic;
} reaches[] = {
    {P, 100, 0, 600, SAYS(12.3, .1), SAYS(5.6, .1)},
    {P, 1000, 0, 400, SAYS(18.1, .1), SAYS(8.0, .1)},
    {P, 10000, 0, 100, SAYS(23.7, .1), SAYS(10.3, .1)},
    {P, 100000, 0, 12, SAYS(29.1, .1), SAYS(12.3, .1)},
    {P, 1000000, 0, 2, SAYS(34.9, .1), SAYS(14.9, .1)},
    {L, 100, 0, 600, SAYS(9.8, .1), SAYS(1.00, .02)}, /* n - 1 payloads: .99 */
    {L, 1000, 0, 400, SAYS(13.8, .1), SAYS(1.00, .01)},
    {L, 10000, 0, 100, SAYS(17.5, .1), SAYS(1.00, .01)},
    {L, 100000, 0, 12, SAYS(21.2, .1), SAYS(1.00, .01)},
    {L, 1000000, 0, 2, SAYS(24.8, .1), SAYS(1.00, .01)},
    {X, 100, 0, 600, SAYS(6.5, .1), SAYS(4.5, .1)},
    {X, 1000, 0, 400, SAYS(9.15, .01), SAYS(5.5, .1)},
    {X, 10000, 0, 100, SAYS(11.6, .1), SAYS(6.2, .1)},
    {X, 100000, 0, 12, SAYS(14.0, .1), SAYS(6.9, .1)},
    {X, 1000000, 0, 2, SAYS(16.6, .1), SAYS(7.1, .1)},
    {P, 100, 200000, 600, SAYS(14.9, .1), SAYS(6.9, .1)},
    {P, 1000, 200000, 400, SAYS(21.9, .1), NOTHING},
    {P, 10000, 200000, 100, SAYS(28.6, .1), NOTHING},
    {P, 100000, 200000, 12, SAYS(35.8, .1), NOTHING},
    {P, 1000000, 200000, 2, SAYS(42.7, .1), SAYS(18.7, .1)},
    {X, 100, 200000, 600, SAYS(7.9, .1), SAYS(6, 1)},
    {X, 1000, 200000, 400, SAYS(11.4, .1), NOTHING},
    {X, 10000, 200000, 100, SAYS(14.7, .1), NOTHING},
    {X, 100000, 200000, 12, SAYS(18.6, .1), NOTHING},
    {X, 1000000, 200000, 2, SAYS(21.3, .1), SAYS(14, 1)},
};

/* A few runs do not tell their own spread.  But it hardly depends on n, so it is that of the last row above which had
 * enough of them.  (The table does not say from how many runs it is: from no fewer than here, it is taken.) */
static struct sim_mean with_spread(struct sim_mean got, double *spread, double runs)
{
    if (runs >= (IS_SANITIZED ? RUNS_SANITIZED : 100))
        *spread = got.error * sqrt(runs);
    return (struct sim_mean){got.mean, *spread / sqrt(runs)};
}

static void test_rounds_to_all(void **state)
{
    (void)state;
    int wrong = 0;
    double spread = 0;
    double traffic_spread = 0;
    for (size_t i = 0; i < KI_COUNT(reaches); i++) {
        if (IS_SANITIZED && reaches[i].nodes > 10000)
            continue;
        struct sim_spread_config config = {.nodes = reaches[i].nodes, .mode = reaches[i].mode, .stop = SIM_SPREAD_NEVER,
                                           .k = 1, .fanout = 1, .loss_ppm = reaches[i].loss_ppm, .seed = i + 1};
        struct sim_spread_stats *stats;
        struct sim_spread_summary got;
        char row[64];
        double runs = run_all(config, reaches[i].runs, &stats, &got);
        snprintf(row, sizeof row, "row %zu (mode %d, n %u, loss %u ppm)", i, (int)config.mode, config.nodes,
                 config.loss_ppm);
        assert_true(got.runs_to_all == runs);
        assert_true(got.residue.mean == 0 && got.rounds_to_all.mean == got.t_last.mean);
        assert_true(got.rounds_to_all_p99 >= got.rounds_to_all.mean && got.mean[got.rounds - 1] == 1);
        struct sim_mean rounds = with_spread(got.rounds_to_all, &spread, runs);
        wrong += !agrees(row, "rounds", reaches[i].rounds, rounds, runs, runs);
        wrong += !agrees(row, "traffic", reaches[i].traffic, with_spread(got.traffic, &traffic_spread, runs), runs, runs);
        double theory;
        if (ki_sim_spread_theory_rounds(&config, &theory)) /* itself within 0.2 rounds */
            wrong += !agrees(row, "theory", (struct figure){theory, theory, .4}, rounds, runs, HUGE_VAL);
        ki_sim_spread_stats_free(stats);
    }
    assert_int_equal(wrong, 0);
}

/* ---- fan-out: infect and die (k = fan-out), and memberlist's limited retransmission ---- */

static const struct {
    uint32_t nodes, k, fanout, loss_ppm, runs;
    double to_all, digit; /* share of runs that reached everybody */
    double table_runs;
    struct figure reached, t_last;
} fanouts[] = {
    {10000, 4, 4, 0, 50, 0, 0, 1, SAYS(.980, .001), NOTHING},
    {10000, 6, 6, 0, 50, 0, 0, 1, SAYS(.9975, .0001), NOTHING},
    {10000, 8, 8, 0, 50, 0, 0, 1, SAYS(.99966, .00001), NOTHING},
    {10000, 10, 10, 0, 150, .63, .01, 150, NOTHING, NOTHING},
    {10000, 12, 12, 0, 100, .94, .01, 100, NOTHING, NOTHING},
    {10000, 14, 14, 0, 100, .99, .01, 100, NOTHING, NOTHING},
    {30, 8, 3, 0, 3000, .992, .001, 3000, NOTHING, SAYS(4.4, .1)},
    {30, 8, 3, 100000, 3000, .979, .001, 3000, NOTHING, NOTHING},
    {30, 8, 3, 300000, 3000, .907, .001, 3000, NOTHING, NOTHING},
    {100, 12, 3, 0, 2000, .9995, .0001, 2000, NOTHING, SAYS(5.7, .1)},
    {100, 12, 3, 100000, 2000, .998, .001, 2000, NOTHING, NOTHING},
    {100, 12, 3, 300000, 2000, .978, .001, 2000, NOTHING, NOTHING},
    {1000, 16, 3, 300000, 300, .987, .001, 2000, NOTHING, NOTHING},
    {10000, 20, 3, 0, 30, 1, .001, 100, NOTHING, SAYS(10.6, .1)},
};

static void test_fan_out(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < KI_COUNT(fanouts); i++) {
        struct sim_spread_config config = {.nodes = fanouts[i].nodes, .mode = P, .stop = SIM_SPREAD_BLIND_COUNTER,
                                           .k = fanouts[i].k, .fanout = fanouts[i].fanout, .loss_ppm = fanouts[i].loss_ppm,
                                           .seed = i + 1};
        struct sim_spread_stats *stats;
        struct sim_spread_summary got;
        char row[64];
        double runs = run_all(config, fanouts[i].runs, &stats, &got);
        snprintf(row, sizeof row, "row %zu (n %u, k %u, fan-out %u, loss %u ppm)", i, config.nodes, config.k, config.fanout,
                 config.loss_ppm);
        double share = got.runs_to_all / runs; /* binomial; the table's own share is the better guess where ours is 1 */
        double variance = fmax(share * (1 - share), fanouts[i].to_all * (1 - fanouts[i].to_all));
        struct figure to_all = SAYS(fanouts[i].to_all, fanouts[i].digit);
        struct sim_mean reached = {1 - got.residue.mean, got.residue.error};
        wrong += !agrees(row, "runs to all", to_all, (struct sim_mean){share, sqrt(variance / runs)}, runs,
                         fanouts[i].table_runs);
        wrong += !agrees(row, "reached", fanouts[i].reached, reached, runs, runs);
        wrong += !agrees(row, "t_last", fanouts[i].t_last, got.t_last, runs, 2000);
        ki_sim_spread_stats_free(stats);
    }
    assert_int_equal(wrong, 0);
}

/* The comparison itself: rules that are wrong in one point must not pass. */
static void test_wrong_rules_are_seen(void **state)
{
    (void)state;
    struct sim_spread_stats *stats;
    struct sim_spread_summary got;
    struct sim_spread_config config = {
        .nodes = 1000, .mode = P, .stop = SIM_SPREAD_BLIND_COIN, .k = 3, .fanout = 1, .seed = 1};
    run_all(config, 300, &stats, &got); /* a coin for a counter */
    assert_false(agrees("canary, not a failure", "t_avg", (struct figure)SAYS(10.9, .1), got.t_avg, 300, 3000));
    ki_sim_spread_stats_free(stats);
    config = (struct sim_spread_config){.nodes = 1000, .mode = X, .k = 1, .fanout = 1, .loss_ppm = 100000, .seed = 1};
    run_all(config, 400, &stats, &got); /* half the loss */
    assert_false(agrees("canary, not a failure", "rounds", (struct figure)SAYS(11.4, .1), got.rounds_to_all, 400, 400));
    ki_sim_spread_stats_free(stats);
}

/* ---- what must hold in every run ---- */

static void check_run(const struct sim_spread_config *c, const struct sim_spread_run *run)
{
    assert_in_range(run->reached, 1, c->nodes);
    assert_int_equal(run->curve[0], 1);
    assert_int_equal(run->curve[run->last], run->reached);
    assert_true(run->last == 0 || run->curve[run->last - 1] < run->reached);
    uint64_t arrivals = 0;
    for (uint32_t round = 1; round <= run->last; round++) {
        assert_true(run->curve[round] >= run->curve[round - 1]);
        arrivals += (uint64_t)round * (run->curve[round] - run->curve[round - 1]);
    }
    assert_true(arrivals == run->arrivals);
    assert_true(run->sent >= run->reached - 1); /* nobody learns without a payload */
    if (c->stop == SIM_SPREAD_NEVER)
        assert_int_equal(run->reached, c->nodes);
    if (c->stop == SIM_SPREAD_BLIND_COUNTER && c->mode == P) /* each that knows it spends k */
        assert_true(run->sent == (uint64_t)run->reached * c->k);
    if (c->stop == SIM_SPREAD_NEVER && c->mode == L && c->loss_ppm == 0 && c->fanout == 1)
        assert_true(run->sent == c->nodes - 1);
    for (uint32_t round = 1; c->mode == P && round <= run->last; round++) /* one that knows tells at most fan-out others */
        assert_true(run->curve[round] <= (uint64_t)run->curve[round - 1] * (1 + c->fanout));
}

static void test_every_run(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {2, 3, 10, 257};
    static const uint32_t losses[] = {0, 1, 300000, 500000};
    for (uint32_t i = 0; i < 4 * 4 * 3 * 5 * 3 * 2; i++) {
        uint32_t at = i;
        struct sim_spread_config c = {.seed = i};
        c.nodes = nodes[at % 4], at /= 4;
        c.loss_ppm = losses[at % 4], at /= 4;
        c.mode = (enum sim_spread_mode)(at % 3), at /= 3;
        c.stop = (enum sim_spread_stop)(at % 5), at /= 5;
        c.k = 1 + at % 3, at /= 3;
        c.fanout = 1 + 3 * at;
        struct sim_spread *s = ki_sim_spread_new(&c);
        struct sim_spread_run run;
        for (int n = 0; n < 5; n++) {
            assert_true(ki_sim_spread_next(s, &run));
            check_run(&c, &run);
        }
        ki_sim_spread_free(s);
    }
}

/* Same seed, same runs, and the same from every compiler: the number below is of both. */
static void test_same_seed_same_runs(void **state)
{
    (void)state;
    struct sim_spread_config c = {.nodes = 5000, .mode = X, .stop = COUNTER, .k = 2, .fanout = 2, .loss_ppm = 50000};
    uint64_t sums[2] = {0, 0};
    for (int pass = 0; pass < 3; pass++) {
        c.seed = pass < 2 ? 7 : 8;
        struct sim_spread *s = ki_sim_spread_new(&c);
        struct sim_spread_run run;
        uint64_t sum = 0;
        for (int i = 0; i < 3; i++) {
            assert_true(ki_sim_spread_next(s, &run));
            sum = sum * 1000003 + run.sent * 31 + run.arrivals * 7 + run.reached + run.last;
        }
        ki_sim_spread_free(s);
        if (pass == 0)
            sums[0] = sum;
        else if (pass == 1)
            assert_true(sum == sums[0]);
        else
            assert_true(sum != sums[0]);
    }
    assert_true(sums[0] == UINT64_C(876887131981380051));
}

static void test_lost_for_good(void **state)
{
    (void)state;
    struct sim_spread_config c = {
        .nodes = 50, .mode = P, .stop = SIM_SPREAD_BLIND_COUNTER, .k = 4, .fanout = 3, .loss_ppm = SIM_PPM, .seed = 1};
    struct sim_spread_stats *stats;
    struct sim_spread_summary got;
    run_all(c, 20, &stats, &got);
    assert_true(fabs(got.residue.mean - 49.0 / 50) < 1e-12 && fabs(got.traffic.mean - 4.0 / 50) < 1e-12);
    assert_true(got.t_avg.mean == 0 && got.residue.error < 1e-6);
    assert_true(got.t_last.mean == 0 && got.runs_to_all == 0 && got.rounds == 1 && got.mean[0] == 1.0 / 50);
    ki_sim_spread_stats_free(stats);
}

/* Two nodes have no choice, which shows the rules that means do not: nobody calls itself, payloads of a failed call
 * count, and only an answer that comes is feedback. */
static void test_two_nodes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        struct sim_spread_config c = {.nodes = 2, .mode = (enum sim_spread_mode)(i % 3), .stop = SIM_SPREAD_NEVER, .k = 1,
                                      .fanout = 1, .loss_ppm = i % 2 * 700000, .seed = i};
        struct sim_spread_run run;
        struct sim_spread *s = ki_sim_spread_new(&c);
        assert_true(ki_sim_spread_next(s, &run));
        assert_true(c.loss_ppm > 0 || run.last == 1);
        uint32_t payloads = c.mode == X ? 2 : 1; /* a round: a push, an answer */
        assert_in_range(run.sent, (run.last - 1) * payloads + 1, run.last * payloads);
        ki_sim_spread_free(s);
        c.stop = COUNTER;
        s = ki_sim_spread_new(&c);
        assert_true(ki_sim_spread_next(s, &run));
        assert_int_equal(run.reached, 2);
        ki_sim_spread_free(s);
    }
}

static const struct {
    struct sim_spread_config config;
    const char *says; /* NULL: fine */
} refusals[] = {
    {{.nodes = 1, .k = 1, .fanout = 1}, "nodes"},
    {{.nodes = 0, .k = 1, .fanout = 1}, "nodes"},
    {{.nodes = SIM_SPREAD_NODES_MAX + 1, .k = 1, .fanout = 1}, "nodes"},
    {{.nodes = 2, .k = 0, .fanout = 1}, "k must"},
    {{.nodes = 2, .k = SIM_SPREAD_K_MAX + 1, .fanout = 1}, "k must"},
    {{.nodes = 2, .k = 1, .fanout = 0}, "fanout"},
    {{.nodes = 2, .k = 1, .fanout = SIM_SPREAD_FANOUT_MAX + 1}, "fanout"},
    {{.nodes = 2, .k = 1, .fanout = 1, .loss_ppm = SIM_PPM + 1}, "loss"},
    {{.nodes = 2, .k = 1, .fanout = 1, .loss_ppm = SIM_PPM}, "loss of 100 %"},
    {{.nodes = 2, .k = 1, .fanout = 1, .loss_ppm = SIM_PPM, .stop = SIM_SPREAD_FEEDBACK_COIN}, "loss of 100 %"},
    {{.nodes = 2, .k = 1, .fanout = 1, .loss_ppm = SIM_PPM, .stop = SIM_SPREAD_BLIND_COIN}, NULL},
    {{.nodes = SIM_SPREAD_NODES_MAX, .k = SIM_SPREAD_K_MAX, .fanout = SIM_SPREAD_FANOUT_MAX, .loss_ppm = SIM_PPM - 1}, NULL},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(refusals); i++) {
        const char *said = ki_sim_spread_refusal(&refusals[i].config);
        assert_true(refusals[i].says ? said && strstr(said, refusals[i].says) : !said);
    }
}

/* ---- runs that are not over ---- */

static unsigned asked, asked_max; /* stop_now() says no so many times */

static bool stop_now(void)
{
    return asked++ >= asked_max;
}

static void test_round_limit(void **state)
{
    (void)state;
    struct sim_spread_config config = {.nodes = 2, .mode = P, .stop = SIM_SPREAD_NEVER, .k = 1, .fanout = 1, .seed = 1};
    struct sim_spread_run run;
    config.loss_ppm = SIM_PPM - 1; /* a million rounds are too few for about every third run */
    struct sim_spread *s = ki_sim_spread_new(&config);
    uint32_t cut = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(ki_sim_spread_next(s, &run));
        assert_int_equal(run.cut, run.reached < 2);
        assert_true(!run.cut || run.sent == SIM_SPREAD_ROUNDS_MAX);
        cut += run.cut;
    }
    assert_in_range(cut, 1, 19);
    ki_sim_spread_free(s);
}

/* Between rounds, and within one that is long; and one that was not over leaves nothing to the next. */
static void test_stop_now(void **state)
{
    (void)state;
    struct sim_spread_config config = {.nodes = 10, .mode = P, .stop = SIM_SPREAD_NEVER, .k = 1, .fanout = 1, .seed = 1};
    struct sim_spread_run run;
    config.loss_ppm = SIM_PPM - 1;
    config.stop_now = stop_now;
    struct sim_spread *s = ki_sim_spread_new(&config);
    asked = 0, asked_max = 7;
    assert_true(ki_sim_spread_next(s, &run) && run.cut && run.sent == 7 && asked == 8);
    asked = 0, asked_max = UINT32_MAX;
    assert_true(ki_sim_spread_next(s, &run) && run.cut == (run.reached < 10));
    ki_sim_spread_free(s);
    config = (struct sim_spread_config){
        .nodes = FEWER(100000), .mode = X, .k = 1, .fanout = 1000, .seed = 1, .stop_now = stop_now};
    s = ki_sim_spread_new(&config);
    asked = 0, asked_max = 4;
    assert_true(ki_sim_spread_next(s, &run) && run.cut && asked == 5 && run.last <= 1);
    asked_max = UINT32_MAX;
    assert_true(ki_sim_spread_next(s, &run) && !run.cut && run.reached == config.nodes);
    ki_sim_spread_free(s);
}

/* What is drawn ends at a round; the summary says whether that is the end. */
static void test_cut_statistics(void **state)
{
    (void)state;
    static uint32_t curve[5001];
    struct sim_spread_stats *stats = ki_sim_spread_stats_new(2);
    struct sim_spread_summary got;
    for (uint32_t round = 0; round < KI_COUNT(curve); round++)
        curve[round] = round == 5000 || round == 4095 ? 2 : 1;
    assert_true(ki_sim_spread_stats_add(stats, &(struct sim_spread_run){.reached = 2, .last = 4095, .curve = curve}));
    assert_true(ki_sim_spread_stats_add(stats, &(struct sim_spread_run){.reached = 1, .curve = curve, .cut = true}));
    assert_true(ki_sim_spread_stats_summarize(stats, &got));
    assert_true(got.runs == 2 && got.cut == 1 && got.rounds == 4096 && !got.curve_cut && got.high[4095] == 1);
    assert_true(ki_sim_spread_stats_add(stats, &(struct sim_spread_run){.reached = 2, .last = 5000, .curve = curve}));
    assert_true(ki_sim_spread_stats_summarize(stats, &got));
    assert_true(got.runs == 3 && got.cut == 1 && got.rounds == 4096 && got.curve_cut);
    ki_sim_spread_stats_free(stats);
}

/* Statistics of runs made up by hand. */
static void test_statistics(void **state)
{
    (void)state;
    static const uint32_t curve[] = {1, 2, 4, 5, 6, 7, 8, 9, 9, 10};
    struct sim_spread_stats *stats = ki_sim_spread_stats_new(10);
    struct sim_spread_summary got;
    for (uint32_t i = 1; i <= 200; i++) { /* the first one reaches 2 of 10 */
        struct sim_spread_run run = {.reached = 10, .last = 9, .sent = i % 2 ? 20 : 40, .arrivals = 45, .curve = curve};
        if (i == 1)
            run = (struct sim_spread_run){.reached = 2, .last = 1, .sent = 20, .arrivals = 1, .curve = curve};
        assert_true(ki_sim_spread_stats_add(stats, &run));
        if (i == 1) {
            assert_true(ki_sim_spread_stats_summarize(stats, &got));
            assert_true(got.residue.mean == 0.8 && got.residue.error == 0 && got.rounds == 2 && got.low[1] == 0.2);
        }
    }
    assert_true(ki_sim_spread_stats_summarize(stats, &got));
    assert_int_equal(got.runs, 200);
    assert_int_equal(got.runs_to_all, 199);
    assert_true(fabs(got.residue.mean - 0.004) < 1e-12 && fabs(got.traffic.mean - 3) < 1e-12);
    assert_true(fabs(got.traffic.error - 1 / sqrt(199)) < 1e-9);
    assert_true(fabs(got.t_avg.mean - (199 * 5 + 1) / 200.0) < 1e-12);
    assert_int_equal(got.rounds, 10);
    assert_true(got.low[9] == 1 && got.high[9] == 1 && fabs(got.mean[9] - (199 + 0.2) / 200) < 1e-12);
    ki_sim_spread_stats_free(stats);
    stats = ki_sim_spread_stats_new(2);
    for (uint32_t last = 200; last >= 1; last--) {
        uint32_t steps[201];
        for (uint32_t round = 0; round <= last; round++)
            steps[round] = round == last ? 2 : 1;
        assert_true(ki_sim_spread_stats_add(stats, &(struct sim_spread_run){.reached = 2, .last = last, .curve = steps}));
    }
    assert_true(ki_sim_spread_stats_summarize(stats, &got));
    assert_int_equal(got.rounds_to_all_p99, 198); /* the 198th of 1 .. 200 */
    assert_true(got.rounds_to_all.mean == 100.5 && got.high[10] == 0.5 && got.high[11] == 1);
    assert_true(got.low[190] == 0.5 && got.low[191] == 1);
    ki_sim_spread_stats_free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rumour_mongering),
        cmocka_unit_test(test_rounds_to_all),
        cmocka_unit_test(test_fan_out),
        cmocka_unit_test(test_wrong_rules_are_seen),
        cmocka_unit_test(test_every_run),
        cmocka_unit_test(test_same_seed_same_runs),
        cmocka_unit_test(test_lost_for_good),
        cmocka_unit_test(test_two_nodes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_round_limit),
        cmocka_unit_test(test_stop_now),
        cmocka_unit_test(test_cut_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
