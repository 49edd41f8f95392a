/* aggregate/flow.c: one exchange in numbers, what is heeded and what is not, and mass that no network can take away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "aggregate/flow.h"
#include "base/rng.h"

static struct ki_flow_range range;

static struct ki_flow side(const double value[KI_FLOW_WIDTH], struct ki_flow_row *rows, uint32_t count)
{
    return (struct ki_flow){.range = &range, .value = value, .rows = rows, .count = count};
}

/* ---- ranges and values ---- */

static const struct {
    double min, max;
    double low[KI_FLOW_WIDTH], high[KI_FLOW_WIDTH], most[KI_FLOW_WIDTH];
} ranges[] = {
    {0, 1, {0, 0, 0}, {1, 1, 1}, {4, 4, 4}},
    {-3, 2, {-3, 0, 0}, {2, 9, 1}, {20, 36, 4}},
    {5, 10, {0, 0, 0}, {10, 100, 1}, {40, 400, 4}}, /* whoever does not contribute says 0 */
    {-10, -5, {-10, 0, 0}, {0, 100, 1}, {40, 400, 4}},
};

static void ranges_hold_what_a_schema_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(ranges); i++) {
        struct ki_flow_range got;
        ki_flow_range(ranges[i].min, ranges[i].max, &got);
        for (size_t at = 0; at < KI_FLOW_WIDTH; at++) {
            assert_true(got.low[at] == ranges[i].low[at] && got.high[at] == ranges[i].high[at]);
            assert_true(got.most[at] == ranges[i].most[at]);
        }
    }
}

/* The largest schema there is: nothing overflows, however many rows are full. */
static void no_schema_is_too_large(void **state)
{
    (void)state;
    double value[KI_FLOW_WIDTH], estimate[KI_FLOW_WIDTH];
    struct ki_flow_row rows[16] = {{.peer = 0}};
    ki_flow_range(-DBL_MAX, DBL_MAX, &range);
    ki_flow_value(&range, DBL_MAX, value);
    struct ki_flow flow = side(value, rows, 16);
    for (uint32_t i = 0; i < 16; i++) {
        struct ki_flow_message request = {.seq = 1}, reply;
        for (size_t at = 0; at < KI_FLOW_WIDTH; at++) {
            request.flow[at] = range.most[at];
            request.estimate[at] = -DBL_MAX;
        }
        assert_int_equal(ki_flow_answer(&flow, &rows[i], &request, &reply), KI_FLOW_TAKEN);
    }
    ki_flow_estimate(&flow, estimate);
    assert_true(isfinite(estimate[0]) && isfinite(estimate[1]) && isfinite(estimate[2]));
}

/* ---- one exchange ---- */

static void an_exchange_makes_estimates_equal_and_flows_opposite(void **state)
{
    (void)state;
    double a[KI_FLOW_WIDTH], b[KI_FLOW_WIDTH] = {0, 0, 0}, got[KI_FLOW_WIDTH];
    ki_flow_range(-100, 100, &range);
    ki_flow_value(&range, 8, a); /* b does not contribute */
    struct ki_flow_row to_b = ki_flow_row(7), to_a = ki_flow_row(9);
    struct ki_flow fa = side(a, &to_b, 1), fb = side(b, &to_a, 1);
    struct ki_flow_message request = ki_flow_ask(&fa, &to_b, 5), reply;
    assert_true(request.seq == 5 && request.flow[0] == 0 && request.estimate[0] == 8 && to_b.is_waiting && !to_b.is_known);
    assert_int_equal(ki_flow_answer(&fb, &to_a, &request, &reply), KI_FLOW_TAKEN);
    assert_true(reply.seq == 5 && reply.flow[0] == -4 && reply.estimate[0] == 4 && reply.estimate[1] == 32);
    assert_int_equal(ki_flow_take(&fa, &to_b, &reply), KI_FLOW_TAKEN);
    ki_flow_estimate(&fa, got);
    assert_true(got[0] == 4 && got[1] == 32 && got[2] == 0.5);
    assert_true(to_b.flow[0] == 4 && to_b.estimate[0] == 4 && to_a.estimate[0] == 4 && to_b.is_known && to_a.is_known);
    assert_true(to_b.peer == 7 && to_a.peer == 9 && !to_b.is_waiting);
    to_a = ki_flow_row(9); /* a row that goes gives its mass back */
    ki_flow_estimate(&fb, got);
    assert_true(got[0] == 0 && got[2] == 0);
}

/* What comes again or late, by its number after one request was answered. */
static const struct {
    const char *what;
    uint32_t before, seq;
    enum ki_flow_heard heard;
} numbers[] = {
    {"the same", 100, 100, KI_FLOW_AGAIN},
    {"the next", 100, 101, KI_FLOW_TAKEN},
    {"one of a neighbour that has asked others meanwhile", 100, 100 + 1000000, KI_FLOW_TAKEN},
    {"the one before", 100, 99, KI_FLOW_LATE},
    {"the last that can be late", 100, 100 - KI_FLOW_BEHIND, KI_FLOW_LATE},
    {"of a sender that began anew", 100, 100 - KI_FLOW_BEHIND - 1, KI_FLOW_TAKEN},
    {"the next, around 2^32", UINT32_MAX, 0, KI_FLOW_TAKEN},
    {"the one before, around 2^32", 0, UINT32_MAX, KI_FLOW_LATE},
    {"0 is a number like any other", 0, 0, KI_FLOW_AGAIN},
};

static void requests_are_known_by_their_numbers(void **state)
{
    (void)state;
    const double value[KI_FLOW_WIDTH] = {2, 4, 1};
    ki_flow_range(0, 10, &range);
    for (size_t i = 0; i < KI_COUNT(numbers); i++) {
        struct ki_flow_row row = ki_flow_row(0);
        struct ki_flow flow = side(value, &row, 1);
        struct ki_flow_message request = {.seq = numbers[i].before, .flow = {1, 1, 0}, .estimate = {6, 36, 1}};
        struct ki_flow_message first, second;
        assert_int_equal(ki_flow_answer(&flow, &row, &request, &first), KI_FLOW_TAKEN);
        struct ki_flow_row was = row;
        request.seq = numbers[i].seq;
        request.estimate[0] = 9;
        enum ki_flow_heard heard = ki_flow_answer(&flow, &row, &request, &second);
        if (heard != numbers[i].heard)
            fail_msg("%s: %d, not %d", numbers[i].what, (int)heard, (int)numbers[i].heard);
        if (heard == KI_FLOW_AGAIN) {
            assert_int_equal(first.seq, second.seq);
            assert_memory_equal(first.flow, second.flow, sizeof first.flow);
            assert_memory_equal(first.estimate, second.estimate, sizeof first.estimate);
        }
        if (heard != KI_FLOW_TAKEN) {
            assert_memory_equal(row.flow, was.flow, sizeof row.flow);
            assert_memory_equal(row.estimate, was.estimate, sizeof row.estimate);
            assert_int_equal(row.heard, was.heard);
        }
    }
}

static void only_the_open_question_is_answered(void **state)
{
    (void)state;
    const double value[KI_FLOW_WIDTH] = {2, 4, 1};
    struct ki_flow_row row = ki_flow_row(0);
    struct ki_flow flow = side(value, &row, 1);
    struct ki_flow_message reply = {.seq = 0, .flow = {-1, -1, 0}, .estimate = {1, 3, 1}}, out;
    ki_flow_range(0, 10, &range);
    assert_int_equal(ki_flow_take(&flow, &row, &reply), KI_FLOW_LATE); /* nothing was asked */
    ki_flow_ask(&flow, &row, 3);
    reply.seq = 2;
    assert_int_equal(ki_flow_take(&flow, &row, &reply), KI_FLOW_LATE);
    assert_true(row.is_waiting && row.flow[0] == 0);
    reply.seq = 3;
    assert_int_equal(ki_flow_take(&flow, &row, &reply), KI_FLOW_TAKEN);
    assert_true(row.flow[0] == 1);
    reply.flow[0] = -2;
    assert_int_equal(ki_flow_take(&flow, &row, &reply), KI_FLOW_LATE); /* a second time */
    ki_flow_ask(&flow, &row, 4);
    struct ki_flow_message crossing = {.seq = 50, .flow = {0, 0, 0}, .estimate = {2, 4, 1}};
    assert_int_equal(ki_flow_answer(&flow, &row, &crossing, &out), KI_FLOW_TAKEN);
    reply.seq = 4;
    assert_int_equal(ki_flow_take(&flow, &row, &reply), KI_FLOW_LATE); /* whoever asks us meanwhile has the word */
}

/* ---- hostile neighbours ---- */

static const struct {
    const char *what;
    double flow, estimate;
    bool refused;
} said[] = {
    {"the largest flow", 40, 5, false},
    {"the smallest flow", -40, 5, false},
    {"a larger one", 40.0001, 5, true},
    {"a smaller one", -40.0001, 5, true},
    {"no number", (double)NAN, 5, true},
    {"an infinite flow", (double)INFINITY, 5, true},
    {"an estimate that is no number", 0, (double)NAN, true},
    {"an infinite estimate", 0, -(double)INFINITY, true},
    {"an estimate beyond what can be", 0, 1e300, false},
};

/* Whatever is said of one component, the others too are heeded or refused. */
static void hostile_neighbours_move_us_within_bounds(void **state)
{
    (void)state;
    const double value[KI_FLOW_WIDTH] = {2, 4, 1};
    ki_flow_range(0, 10, &range);
    for (size_t i = 0; i < KI_COUNT(said) * KI_FLOW_WIDTH * 2; i++) {
        size_t at = i / 2 % KI_FLOW_WIDTH, which = i / 2 / KI_FLOW_WIDTH;
        double scale = range.high[at] / 10;
        struct ki_flow_row row = {.peer = 3, .flow = {1, 1, 0}, .estimate = {1, 1, 1}, .is_known = true};
        struct ki_flow flow = side(value, &row, 1);
        struct ki_flow_message message = {.seq = 1, .flow = {0, 0, 0}, .estimate = {2, 4, 1}}, reply;
        double own[KI_FLOW_WIDTH];
        message.flow[at] = said[which].flow * scale;
        message.estimate[at] = said[which].estimate;
        ki_flow_ask(&flow, &row, 1);
        enum ki_flow_heard heard =
            i % 2 ? ki_flow_take(&flow, &row, &message) : ki_flow_answer(&flow, &row, &message, &reply);
        if (heard != (said[which].refused ? KI_FLOW_REFUSED : KI_FLOW_TAKEN))
            fail_msg("%s: %d", said[which].what, (int)heard);
        ki_flow_estimate(&flow, own);
        assert_true(fabs(own[at] - value[at]) <= range.most[at]);
        assert_int_equal(row.peer, 3);
        assert_true(row.is_known == !said[which].refused);
        if (said[which].refused)
            assert_memory_equal(own, value, sizeof own);
        if (!said[which].refused && said[which].estimate > 10) /* counts as no more than twice the largest */
            assert_true(row.estimate[at] <= 2 * range.high[at] && fabs(own[at] - value[at]) <= range.high[at]);
    }
}

/* A flow that has reached its bound stays there, opposite at both ends: less flows, and nothing is lost. */
static void a_full_edge_loses_nothing(void **state)
{
    (void)state;
    const double value[KI_FLOW_WIDTH] = {10, 100, 1}, other[KI_FLOW_WIDTH] = {0, 0, 0};
    double a[KI_FLOW_WIDTH], b[KI_FLOW_WIDTH];
    struct ki_flow_row there = ki_flow_row(1), back = ki_flow_row(0);
    struct ki_flow from = side(value, &there, 1), to = side(other, &back, 1);
    struct ki_flow_message reply;
    ki_flow_range(0, 10, &range);
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        there.flow[i] = range.most[i] - 0.5;
        back.flow[i] = -there.flow[i];
    }
    double lack[KI_FLOW_WIDTH] = {1e3, 1e4, 1e2}; /* such as rows that went may leave behind */
    from.value = lack;
    struct ki_flow_message request = ki_flow_ask(&from, &there, 1);
    assert_int_equal(ki_flow_answer(&to, &back, &request, &reply), KI_FLOW_TAKEN);
    assert_int_equal(ki_flow_take(&from, &there, &reply), KI_FLOW_TAKEN);
    ki_flow_estimate(&from, a);
    ki_flow_estimate(&to, b);
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        assert_true(there.flow[i] == -back.flow[i] && fabs(there.flow[i]) <= range.most[i]);
        assert_true(fabs(a[i] + b[i] - lack[i]) < 1e-9);
    }
}

/* ---- mass ---- */

#define NODES 12
#define WIRE  64
#define STEPS 20000

struct pool {
    double value[NODES][KI_FLOW_WIDTH];
    struct ki_flow_row rows[NODES][NODES - 1];
    struct letter {
        struct ki_flow_message message;
        uint32_t from, to;
        bool is_reply;
    } wire[WIRE];
    uint32_t waiting;
    uint32_t seq[NODES];
    uint64_t taken, again, late;
    struct ki_rng rng;
};

static struct ki_flow_row *row_of(struct pool *p, uint32_t node, uint32_t peer)
{
    return &p->rows[node][peer < node ? peer : peer - 1];
}

static struct ki_flow flow_of(struct pool *p, uint32_t node)
{
    return side(p->value[node], p->rows[node], NODES - 1);
}

static void post(struct pool *p, const struct ki_flow_message *message, uint32_t from, uint32_t to, bool is_reply)
{
    uint32_t at = p->waiting < WIRE ? p->waiting++ : (uint32_t)ki_rng_below(&p->rng, WIRE); /* a full wire loses one */
    p->wire[at] = (struct letter){*message, from, to, is_reply};
}

static void deliver(struct pool *p, uint32_t at, bool keeps)
{
    struct letter l = p->wire[at];
    struct ki_flow flow = flow_of(p, l.to);
    struct ki_flow_row *row = row_of(p, l.to, l.from);
    struct ki_flow_message reply;
    enum ki_flow_heard heard;
    if (!keeps)
        p->wire[at] = p->wire[--p->waiting];
    if (l.is_reply)
        heard = ki_flow_take(&flow, row, &l.message);
    else
        heard = ki_flow_answer(&flow, row, &l.message, &reply);
    assert_true(heard != KI_FLOW_REFUSED);
    if (!l.is_reply && heard != KI_FLOW_LATE)
        post(p, &reply, l.to, l.from, true);
    p->taken += heard == KI_FLOW_TAKEN;
    p->again += heard == KI_FLOW_AGAIN;
    p->late += heard == KI_FLOW_LATE;
}

static void ask(struct pool *p, uint32_t from, uint32_t to)
{
    struct ki_flow flow = flow_of(p, from);
    struct ki_flow_row *row = row_of(p, from, to);
    struct ki_flow_message request;
    if (row->is_waiting && ki_rng_below(&p->rng, 2))
        request = ki_flow_ask_again(&flow, row);
    else
        request = ki_flow_ask(&flow, row, ++p->seq[from]);
    post(p, &request, from, to, false);
}

/* A step of a network that loses, doubles and reorders, among nodes whose values change and that forget neighbours. */
static void step(struct pool *p)
{
    uint64_t luck = ki_rng_below(&p->rng, 100);
    uint32_t a = (uint32_t)ki_rng_below(&p->rng, NODES), b = (a + 1 + (uint32_t)ki_rng_below(&p->rng, NODES - 1)) % NODES;
    if (luck < 35) {
        ask(p, a, b); /* both ends may ask: so exchanges cross, too */
    } else if (luck < 97 && p->waiting > 0) {
        uint32_t at = (uint32_t)ki_rng_below(&p->rng, p->waiting);
        if (luck < 45)
            p->wire[at] = p->wire[--p->waiting];
        else
            deliver(p, at, luck < 55);
    } else if (luck < 99) {
        ki_flow_value(&range, (double)ki_rng_below(&p->rng, 1000) / 10, p->value[a]);
    } else {
        *row_of(p, a, b) = ki_flow_row(b);
    }
}

/* One whole exchange on every edge, with nothing else on the wire. */
static void settle(struct pool *p)
{
    p->waiting = 0;
    for (uint32_t a = 0; a < NODES; a++) {
        for (uint32_t b = 0; b < a; b++) {
            ask(p, a, b);
            deliver(p, 0, false);
            deliver(p, 0, false);
        }
    }
}

static void sum_up(struct pool *p, double values[KI_FLOW_WIDTH], double estimates[KI_FLOW_WIDTH])
{
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++)
        values[i] = estimates[i] = 0;
    for (uint32_t node = 0; node < NODES; node++) {
        struct ki_flow flow = flow_of(p, node);
        double estimate[KI_FLOW_WIDTH];
        ki_flow_estimate(&flow, estimate);
        for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
            values[i] += p->value[node][i];
            estimates[i] += estimate[i];
        }
    }
}

static void mass_outlives_any_network(void **state)
{
    (void)state;
    ki_flow_range(0, 100, &range);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pool p = {.waiting = 0};
        double values[KI_FLOW_WIDTH], estimates[KI_FLOW_WIDTH];
        ki_rng_init(&p.rng, seed);
        for (uint32_t i = 0; i < STEPS; i++)
            step(&p);
        assert_true(p.taken > STEPS / 10 && p.again > 100 && p.late > 100); /* the network was a bad one */
        settle(&p);
        for (uint32_t a = 0; a < NODES; a++) {
            for (uint32_t b = 0; b < a; b++) {
                for (size_t i = 0; i < KI_FLOW_WIDTH; i++)
                    assert_true(row_of(&p, a, b)->flow[i] == -row_of(&p, b, a)->flow[i]);
            }
        }
        sum_up(&p, values, estimates);
        for (size_t i = 0; i < KI_FLOW_WIDTH; i++)
            assert_true(fabs(values[i] - estimates[i]) <= 1e-12 * NODES * range.most[i]);
        for (uint32_t round = 0; round < 120; round++)
            settle(&p);
        for (uint32_t node = 0; node < NODES; node++) { /* and all of them come to know the average */
            struct ki_flow flow = flow_of(&p, node);
            ki_flow_estimate(&flow, estimates);
            assert_true(fabs(estimates[0] - values[0] / NODES) < 1e-9 && fabs(estimates[2] - values[2] / NODES) < 1e-12);
        }
    }
}

/* What goes round in a circle, and changes no estimate, until the first edge is full. */
static void fill_circle(struct pool *p)
{
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        double most = -range.most[i];
        for (uint32_t node = 0; node < 3; node++)
            most = fmax(most, row_of(p, node, (node + 1) % 3)->flow[i]);
        for (uint32_t node = 0; node < 3; node++) {
            double *flow = &row_of(p, node, (node + 1) % 3)->flow[i];
            *flow += range.most[i] - most;
            row_of(p, (node + 1) % 3, node)->flow[i] = -*flow;
        }
    }
}

/* Three nodes in a circle that is full: in the one direction no more can flow, and one by one wants what would have to come
 * that way.  Nothing is lost by that, and once the values stay the same all three know their average as before. */
static void full_circles_do_no_harm(void **state)
{
    (void)state;
    struct pool p = {.waiting = 0};
    double values[KI_FLOW_WIDTH], estimates[KI_FLOW_WIDTH];
    ki_flow_range(0, 100, &range);
    uint32_t full = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        for (uint32_t node = 0; node < 3; node++)
            ki_flow_value(&range, (i + node) % 3 == 0 ? 100 : 0, p.value[node]);
        fill_circle(&p);
        ask(&p, i % 3, (i + 2) % 3);
        deliver(&p, 0, false);
        deliver(&p, 0, false);
        for (uint32_t node = 0; node < 3; node++)
            full += row_of(&p, node, (node + 1) % 3)->flow[0] == range.most[0];
    }
    assert_true(full > 100); /* edges had to do without, again and again */
    for (uint32_t i = 0; i < 300; i++) {
        ask(&p, i % 3, (i + 1) % 3);
        deliver(&p, 0, false);
        deliver(&p, 0, false);
    }
    sum_up(&p, values, estimates);
    for (uint32_t node = 0; node < 3; node++) {
        struct ki_flow flow = flow_of(&p, node);
        ki_flow_estimate(&flow, estimates);
        assert_true(fabs(estimates[0] - values[0] / 3) < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_what_a_schema_allows),
        cmocka_unit_test(no_schema_is_too_large),
        cmocka_unit_test(an_exchange_makes_estimates_equal_and_flows_opposite),
        cmocka_unit_test(requests_are_known_by_their_numbers),
        cmocka_unit_test(only_the_open_question_is_answered),
        cmocka_unit_test(hostile_neighbours_move_us_within_bounds),
        cmocka_unit_test(a_full_edge_loses_nothing),
        cmocka_unit_test(mass_outlives_any_network),
        cmocka_unit_test(full_circles_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
