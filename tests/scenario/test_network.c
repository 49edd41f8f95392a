/* Aggregates that are computed in the network, against a plain fold of the truth: pools of many sizes, what changes in them,
 * and a network that loses, doubles and parts.
 * ctest: TIMEOUT 600 COST 60 */
#include "lone.h"
#include "network_pool.h"
#include "node/aggregate.h"
#include "sanitized.h"

static void pools_of_many_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 4, 7, 8, 30, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes - IS_SANITIZED; i++) {
        struct world *w = networked(sizes[i], NULL);
        converges_within(w, 30);
        world_run(w, 40 * TICK);
        assert_true(all_right(w, 1e-9));
        mass_is_conserved(w);
        for (unsigned n = 0; n < sizes[i]; n++) {
            struct kith_aggregate_answer a = network_answer(w, n);
            assert_true(a.engine == NETWORK && a.coverage_ppm == 1000000 && near(a.effective_n, sizes[i], 0, 0));
            assert_true(a.error <= 1e-6 && a.age_us > 19 * SECOND && a.conflicts == 0);
        }
        world_free(w);
    }
}

/* ---- a bad network ---- */

#define ECHOES 256

/* Datagrams that are heard a second time, late. */
struct echo {
    struct {
        unsigned from, to;
        size_t len;
        uint8_t buf[1500];
    } kept[ECHOES];
    size_t count;
};

static void echo_keep(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    struct echo *echo = arg;
    size_t at = echo->count++ % ECHOES;
    assert_in_range(len, 1, sizeof echo->kept[at].buf);
    echo->kept[at].from = from;
    echo->kept[at].to = to->ip[2] * 256u + to->ip[3] - 1u;
    echo->kept[at].len = len;
    memcpy(echo->kept[at].buf, buf, len);
}

static void echo_some(struct world *w, struct echo *echo, unsigned count)
{
    struct echo now = *echo; /* what is heard makes others speak */
    for (unsigned i = 0; i < count && now.count > 0; i++) {
        size_t at = world_random(w) % (now.count < ECHOES ? now.count : ECHOES);
        world_inject(w, now.kept[at].to, now.kept[at].from, now.kept[at].buf, now.kept[at].len);
    }
}

/* Who says that it has converged is as near as it says. */
static void nobody_lies(struct world *w)
{
    struct whole t = whole();
    for (unsigned n = 0; n < truth.nodes; n++) {
        struct kith_aggregate_answer a = network_answer(w, n);
        if (a.converged)
            assert_true(near(a.average, t.average, 1e-3, 0) && fabs(a.average - t.average) <= a.error);
    }
}

static void lost_doubled_and_late(void **state)
{
    (void)state;
    static struct echo echo;
    for (uint32_t loss = 0; loss <= 40; loss += 20) {
        struct world *w = networked(30, NULL);
        memset(&echo, 0, sizeof echo);
        world_chance(w, loss + 1, loss * 10000);
        world_set_tap(w, echo_keep, &echo);
        for (unsigned i = 0; i < 300; i++) {
            world_run(w, TICK / 5);
            echo_some(w, &echo, 20);
            nobody_lies(w);
        }
        assert_true(echo.count > 5000);
        world_set_tap(w, NULL, NULL);
        world_chance(w, loss + 1, 0);
        world_run(w, 20 * SECOND); /* whoever was suspected for it */
        converges_within(w, 40);
        mass_is_conserved(w);
        world_free(w);
    }
}

/* ---- values that change ---- */

static void values_change(void **state)
{
    (void)state;
    struct world *w = networked(20, NULL);
    converges_within(w, 30);
    set(w, 3, 100000); /* nearly all there is, in one place */
    converges_within(w, 40);
    set(w, 3, 1); /* the largest becomes the smallest */
    for (unsigned n = 4; n < 12; n++)
        set(w, n, 55); /* many are equal */
    converges_within(w, 40);
    for (unsigned n = 0; n < 20; n += 2) {
        assert_int_equal(kith_aggregate_clear(world_node(w, n), world_now(w), LOAD), 0);
        truth.contributes[n] = false;
    }
    converges_within(w, 40);
    assert_int_equal(kith_aggregate_close(world_node(w, 5), world_now(w), LOAD), 0);
    truth.contributes[5] = false;
    converges_within(w, 40);
    for (unsigned n = 0; n < 20; n++) {
        if (n != 5)
            set(w, n, 7 * n);
    }
    converges_within(w, 40);
    for (unsigned n = 0; n < 20; n++) {
        truth.contributes[n] = false;
        if (n != 5)
            assert_int_equal(kith_aggregate_clear(world_node(w, n), world_now(w), LOAD), 0);
    }
    world_run(w, 60 * SECOND);
    for (unsigned n = 0; n < 20; n++) { /* nobody contributes, and all know it */
        struct kith_aggregate_answer a;
        double value, rank_error;
        kith *k = world_node(w, n);
        if (n == 5)
            continue; /* to which it is nothing any more */
        assert_int_equal(kith_aggregate_read(k, world_now(w), LOAD, NETWORK, &a), 0);
        assert_true(near(a.count, 0, 0, 0) && near(a.average, 0, 0, 0) && near(a.max, 0, 0, 0) && a.converged);
        assert_int_equal(kith_aggregate_quantile(k, world_now(w), LOAD, NETWORK, 0.5, &value, &rank_error), KITH_ERR_NUMBER);
    }
    world_free(w);
}

/* What has flowed before leaves less than a rounding behind: that is agreement, too. */
static void all_are_zero(void **state)
{
    (void)state;
    for (unsigned count = 2; count < 12; count++) {
        struct world *w = networked(count, NULL);
        for (unsigned n = 0; n < count; n++)
            set(w, n, 9.7 / (n + 3));
        converges_within(w, 40);
        for (unsigned n = 0; n < count; n++)
            set(w, n, 0);
        world_run(w, 40 * SECOND);
        for (unsigned n = 0; n < count; n++) {
            struct kith_aggregate_answer a = network_answer(w, n);
            if (!a.converged || fabs(a.average) > 1e-9)
                fail_msg("node %u of %u: average %g, converged %d", n, count, a.average, a.converged);
        }
        world_free(w);
    }
}

/* Small changes count in the average at once, and are told of who has them only if they are no longer small. */
static void steps_and_intervals(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = pool(&ear, 5, 0, NULL);
    struct kith_place place;
    size_t count;
    schema.engine = NETWORK;
    schema.step = 10;
    schema.interval_ms = 20000;
    for (unsigned n = 0; n < 5; n++) {
        open_one(w, n, &schema);
        assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), LOAD, 100 * n), 0);
    }
    world_run(w, 30 * SECOND);
    assert_true(network_answer(w, 0).error >= 10 && network_answer(w, 0).converged);
    assert_int_equal(kith_aggregate_set(world_node(w, 4), world_now(w), LOAD, 405), 0);
    world_run(w, 60 * SECOND);
    assert_true(near(network_answer(w, 0).average, 201, 1e-6, 0));
    assert_int_equal(kith_aggregate_list(world_node(w, 0), world_now(w), LOAD, NETWORK, true, 0, &place, 1, &count), 0);
    assert_true(near(place.value, 400, 0, 0));
    assert_int_equal(kith_aggregate_set(world_node(w, 4), world_now(w), LOAD, 411), 0);
    world_run(w, 5 * SECOND); /* its last time was long ago */
    assert_int_equal(kith_aggregate_set(world_node(w, 4), world_now(w), LOAD, 450), 0);
    world_run(w, 10 * SECOND);
    assert_int_equal(kith_aggregate_list(world_node(w, 0), world_now(w), LOAD, NETWORK, true, 0, &place, 1, &count), 0);
    assert_true(near(place.value, 411, 0, 0));
    world_run(w, 10 * SECOND);
    assert_int_equal(kith_aggregate_list(world_node(w, 0), world_now(w), LOAD, NETWORK, true, 0, &place, 1, &count), 0);
    assert_true(near(place.value, 450, 0, 0) && near(network_answer(w, 0).average, 210, 1e-6, 0));
    world_free(w);
}

/* ---- members that come and go ---- */

static void opens(struct world *w, unsigned n, double value)
{
    struct kith_schema schema = load_schema();
    schema.engine = NETWORK;
    open_one(w, n, &schema);
    set(w, n, value);
}

static void members_come_and_go(void **state)
{
    (void)state;
    struct world *w = networked(24, NULL);
    converges_within(w, 30);
    set(w, 1, 0);
    converges_within(w, 30);
    crash(w, 23); /* the largest */
    crash(w, 1);  /* the smallest */
    crash(w, 11);
    world_run(w, 8 * SECOND);
    converges_within(w, 50);
    mass_is_conserved(w);
    restart(w, 23); /* another life, which has less to say */
    opens(w, 23, 3);
    converges_within(w, 60);
    restart(w, 11);
    truth.nodes = 25; /* one that nobody knew */
    restart(w, 24);
    world_run(w, 3 * SECOND);
    opens(w, 11, 4321);
    opens(w, 24, 1234);
    converges_within(w, 60);
    mass_is_conserved(w);
    assert_int_equal(kith_leave(world_node(w, 24), world_now(w), NULL), 0);
    world_run(w, 10 * SECOND);
    crash(w, 24);
    converges_within(w, 60);
    mass_is_conserved(w);
    world_free(w);
}

/* Killed and back before anybody has noticed: what the former life has told is not this one's. */
static void back_at_once(void **state)
{
    (void)state;
    struct world *w = networked(12, NULL);
    converges_within(w, 30);
    crash(w, 11);
    restart(w, 11);
    opens(w, 11, 2);
    crash(w, 10);
    restart(w, 10); /* and one that contributes no more */
    converges_within(w, 80);
    mass_is_conserved(w);
    world_free(w);
}

/* As if it had taken node-0 for dead for a moment. */
static void forgets_the_first(struct world *w, unsigned n)
{
    kith *k = world_node(w, n);
    struct ki_network_run *run = k->aggregates->network.runs[0];
    uint32_t id = ki_table_find(&k->table, lone_span("node-0")), row = ki_network_row(run, id);
    assert_true(row < KI_NETWORK_ROWS && run->rows[row].had > 0);
    run->rows[row] = (struct ki_network_row){.heard_us = k->now.mono_us};
    ki_shortlist_drop(&run->list, id);
    ki_shortlist_unknown(&run->list, row);
}

/* Who knows nothing of it is told again, even by who has something new to tell. */
static void who_has_forgotten_is_told_again(void **state)
{
    (void)state;
    struct world *w = networked(3, NULL);
    converges_within(w, 30);
    for (unsigned n = 1; n < 3; n++)
        forgets_the_first(w, n);
    set(w, 1, 77);
    world_run(w, 10 * SECOND);
    assert_true(all_right(w, 1e-4) && all_converged(w));
    world_free(w);
}

static void parts_cut(struct world *w, bool cut)
{
    for (unsigned a = 0; a < 20; a++)
        for (unsigned b = a + 1; b < 20; b++)
            if (a % 2 != b % 2)
                world_cut(w, a, b, cut);
}

static void parted_and_healed(void **state)
{
    (void)state;
    struct world *w = networked(20, NULL);
    struct truth all;
    converges_within(w, 30);
    parts_cut(w, true);
    all = truth;
    world_run(w, 40 * SECOND);
    for (unsigned part = 0; part < 2; part++) { /* each is a pool of its own */
        for (unsigned n = 0; n < 20; n++)
            truth.lives[n] = n % 2 == part;
        converges_within(w, 20);
        mass_is_conserved(w);
    }
    truth = all;
    set(w, 3, 999);
    parts_cut(w, false);
    world_run(w, 60 * SECOND);
    converges_within(w, 60);
    mass_is_conserved(w);
    world_free(w);
}

/* ---- for how long ---- */

static uint64_t flows(struct world *w)
{
    return counter_of_all(w, "flows_out");
}

/* A reading has it computed in the whole pool for a minute; then nothing is said any more. */
static void who_reads_has_it_computed(void **state)
{
    (void)state;
    struct world *w = contributing(16, NULL);
    settles_within(w, 3 * SECOND);
    assert_int_equal(flows(w), 0);
    struct kith_aggregate_answer a = network_answer(w, 5);
    assert_true(a.engine == NETWORK && !a.converged);
    world_run(w, SECOND);
    for (unsigned n = 0; n < 16; n++)
        assert_true(counter(w, n, "flows_out") > 0);
    converges_within(w, 30);
    world_run(w, 50 * SECOND);
    uint64_t before = flows(w);
    world_run(w, 5 * SECOND);
    assert_in_range(flows(w) - before, 16 * 15, 16 * 30); /* a request a tick, and an answer */
    world_run(w, 15 * SECOND);
    before = flows(w);
    world_run(w, 60 * SECOND);
    assert_int_equal(flows(w), before);
    assert_true(all_know_truth(w)); /* the other engine has never stopped */
    world_free(w);
}

/* What is on its way for long is not renewed by that. */
static void it_ends_where_ways_are_long(void **state)
{
    (void)state;
    struct world *w = contributing(9, NULL);
    settles_within(w, 3 * SECOND);
    world_delay(w, 9 * SECOND / 10);
    (void)network_answer(w, 5);
    world_run(w, 5 * SECOND);
    for (unsigned n = 0; n < 9; n++)
        assert_true(counter(w, n, "flows_out") > 0);
    world_run(w, 70 * SECOND);
    uint64_t before = flows(w);
    world_run(w, 10 * SECOND);
    assert_int_equal(flows(w), before);
    world_free(w);
}

/* The lease of one holds for all, as long as it renews it. */
static void one_reader_is_enough(void **state)
{
    (void)state;
    struct world *w = contributing(9, NULL);
    assert_true(!network_answer(w, 8).converged);
    for (unsigned i = 0; i < 5; i++) {
        world_run(w, 40 * SECOND);
        assert_true(averages_right(w, 8, 1e-9) && network_answer(w, 8).converged);
    }
    uint64_t before = counter(w, 0, "flows_in");
    world_run(w, 10 * SECOND);
    assert_true(counter(w, 0, "flows_in") > before + 10);
    world_free(w);
}

/* One that has not opened it reads it, and one that contributes nothing. */
static void readers_need_not_contribute(void **state)
{
    (void)state;
    struct world *w = networked(10, NULL);
    converges_within(w, 30);
    truth.nodes = 12;
    restart(w, 10);
    restart(w, 11);
    struct kith_schema schema = load_schema();
    schema.engine = NETWORK;
    open_one(w, 11, &schema);
    world_run(w, 3 * SECOND);
    converges_within(w, 40);
    struct kith_aggregate known;
    assert_int_equal(kith_aggregate_find(world_node(w, 10), LOAD, &known), 0);
    assert_true(!known.is_open && known.contributors == 10 && known.schema.engine == NETWORK && known.schema.max >= 1e6);
    world_free(w);
}

/* ---- AUTO ---- */

static void few_bytes(struct kith_config *c, unsigned n)
{
    (void)n;
    c->aggregate_bytes_max = 1024; /* no more than a dozen contributions take */
}

/* The network engine takes over with an answer, and nobody has to ask for it. */
static void auto_goes_over(void **state)
{
    (void)state;
    struct world *w = contributing(20, few_bytes);
    unsigned changed[20] = {0};
    for (unsigned i = 0; i < 100; i++) {
        world_run(w, SECOND / 2);
        for (unsigned n = 0; n < 20; n++) {
            struct kith_aggregate_answer a = answer_of(w, n);
            struct whole t = whole();
            if (i < 10 && a.engine != NETWORK)
                continue; /* contributions are still coming */
            assert_true(near(a.average, t.average, 1e-3, 0) && a.converged);
            changed[n] += a.engine == NETWORK;
        }
    }
    for (unsigned n = 0; n < 20; n++)
        assert_in_range(changed[n], 40, 70); /* after 20 seconds, and for good */
    assert_true(all_right(w, 1e-6));
    world_free(w);
}

/* ---- two that mean different things ---- */

static void conflicts_are_apart(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 10, 0, NULL);
    for (unsigned n = 0; n < 10; n++) {
        struct kith_schema schema = load_schema();
        schema.engine = NETWORK;
        schema.max = n % 2 ? 1000 : 2000;
        open_one(w, n, &schema);
        assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), LOAD, n % 2 ? 10 * n : 100 * n), 0);
    }
    world_run(w, 30 * SECOND);
    for (unsigned n = 0; n < 10; n++) {
        struct kith_aggregate_answer a = network_answer(w, n);
        assert_true(near(a.average, n % 2 ? 50 : 400, 1e-6, 0) && near(a.count, 5, 1e-6, 0) && a.conflicts == 5);
        assert_true(near(a.max, n % 2 ? 90 : 800, 0, 0));
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_of_many_sizes),
        cmocka_unit_test(lost_doubled_and_late),
        cmocka_unit_test(values_change),
        cmocka_unit_test(all_are_zero),
        cmocka_unit_test(steps_and_intervals),
        cmocka_unit_test(members_come_and_go),
        cmocka_unit_test(back_at_once),
        cmocka_unit_test(who_has_forgotten_is_told_again),
        cmocka_unit_test(parted_and_healed),
        cmocka_unit_test(who_reads_has_it_computed),
        cmocka_unit_test(it_ends_where_ways_are_long),
        cmocka_unit_test(one_reader_is_enough),
        cmocka_unit_test(readers_need_not_contribute),
        cmocka_unit_test(auto_goes_over),
        cmocka_unit_test(conflicts_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
