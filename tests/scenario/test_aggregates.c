/* Aggregates in pools of a few: whatever is set, changed, taken back, whoever dies or returns, and whatever is lost, every
 * member's answers are those of the truth soon after.
 * ctest: TIMEOUT 600 COST 60 */
#include "aggregates_pool.h"

#include "node/aggregate.h"

static void all_know_what_is_set(void **state)
{
    (void)state;
    static const unsigned counts[] = {1, 2, 3, 10, 30};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct world *w = contributing(counts[i], NULL);
        settles_within(w, SECOND);
        world_free(w);
    }
}

static void changes_are_told(void **state)
{
    (void)state;
    struct world *w = contributing(5, NULL);
    settles_within(w, SECOND);
    uint64_t out = counter_of_all(w, "contributions_out");
    for (unsigned round = 0; round < 10; round++) {
        set(w, round % 5, 100 + round);
        set(w, (round + 2) % 5, 200 + round);
        world_run(w, SECOND / 3);
    }
    settles_within(w, 2 * SECOND);
    assert_in_range(counter_of_all(w, "contributions_out") - out, 5, 20); /* at most one a second for each */
    world_free(w);
}

/* What moves by less than the step is not told, and what moves more only as often as the interval allows. */
static void step_and_interval(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = pool(&ear, 3, 0, NULL);
    schema.step = 10;
    schema.interval_ms = 5000;
    for (unsigned n = 0; n < 3; n++) {
        open_one(w, n, &schema);
        assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), LOAD, 100), 0);
    }
    world_run(w, 2 * SECOND);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), LOAD, 110), 0);
    world_run(w, 10 * SECOND);
    assert_true(answer_of(w, 0).max == 110); /* ours counts at once */
    assert_true(answer_of(w, 1).max == 100 && answer_of(w, 1).error == 10);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), LOAD, 111), 0);
    world_run(w, SECOND / 10);
    assert_true(answer_of(w, 1).max == 111);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), LOAD, 200), 0);
    world_run(w, 4 * SECOND);
    assert_true(answer_of(w, 1).max == 111);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), LOAD, 300), 0);
    world_run(w, SECOND);
    assert_true(answer_of(w, 1).max == 300 && answer_of(w, 2).max == 300);
    world_free(w);
}

static void what_is_taken_back_is_gone(void **state)
{
    (void)state;
    struct world *w = contributing(4, NULL);
    settles_within(w, SECOND);
    assert_int_equal(kith_aggregate_clear(world_node(w, 2), world_now(w), LOAD), 0);
    truth.contributes[2] = false;
    settles_within(w, SECOND);
    set(w, 2, 77); /* and comes again */
    settles_within(w, 2 * SECOND);
    assert_int_equal(kith_aggregate_close(world_node(w, 2), world_now(w), LOAD), 0);
    truth.contributes[2] = false;
    settles_within(w, 2 * SECOND);
    for (unsigned n = 0; n < 4; n++) {
        if (n != 2)
            assert_int_equal(kith_aggregate_close(world_node(w, n), world_now(w), LOAD), 0);
    }
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < 4; n++) {
        struct kith_aggregate found;
        size_t cursor = 0;
        assert_int_equal(kith_aggregate_find(world_node(w, n), LOAD, &found), KITH_ERR_NOT_FOUND);
        assert_false(kith_aggregate_next(world_node(w, n), &cursor, &found)); /* and the schema with it */
    }
    world_free(w);
}

/* Others that one has opened stay while one is taken back. */
static void one_of_several_is_taken_back(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct kith_aggregate found;
    struct world *w = contributing(3, NULL);
    for (unsigned i = 0; i < 200; i++) { /* more than fit a datagram */
        char text[8];
        snprintf(text, sizeof text, "g%u", i);
        struct kith_str name = {text, strlen(text)};
        assert_int_equal(kith_aggregate_open(world_node(w, 0), world_now(w), name, &schema), 0);
        assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), name, i), 0);
    }
    settles_within(w, SECOND);
    assert_int_equal(kith_aggregate_close(world_node(w, 0), world_now(w), STR("g7")), 0);
    settles_within(w, 2 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        for (unsigned i = 0; i < 200; i++) {
            char text[8];
            snprintf(text, sizeof text, "g%u", i);
            int error = kith_aggregate_find(world_node(w, n), (struct kith_str){text, strlen(text)}, &found);
            assert_int_equal(error, i == 7 ? KITH_ERR_NOT_FOUND : 0);
        }
    }
    world_free(w);
}

static void the_dead_leave_and_return(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(6, NULL);
    settles_within(w, SECOND);
    crash(w, 4);
    for (unsigned i = 0; i < 100 && world_status(w, 0, "node-4") != KITH_STATUS_FAILED; i++)
        world_run(w, SECOND / 10);
    settles_within(w, 10 * SECOND);
    restart(w, 4); /* in its new life it contributes nothing, whatever it did in the last */
    settles_within(w, 5 * SECOND);
    open_one(w, 4, &schema);
    set(w, 4, 4444);
    settles_within(w, 2 * SECOND);
    world_free(w);
}

/* Back before anybody has missed it. */
static void a_quick_restart(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(4, NULL);
    settles_within(w, SECOND);
    crash(w, 1);
    restart(w, 1);
    settles_within(w, 10 * SECOND);
    open_one(w, 1, &schema);
    set(w, 1, 3);
    settles_within(w, 2 * SECOND);
    world_free(w);
}

/* And it tells another value at once, as the first of its life: what it told first in the last one is not taken for that. */
static void a_quick_restart_with_another_value(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct world *w = contributing(4, NULL);
        world_chance(w, seed, 0);
        settles_within(w, SECOND);
        crash(w, 1);
        restart(w, 1);
        open_one(w, 1, &schema);
        set(w, 1, 333);
        settles_within(w, 5 * SECOND);
        world_free(w);
    }
}

/* Taking one value back begins a generation, and ends all that was told in the one before: nobody misses the other values
 * meanwhile. */
static void the_others_stay_when_one_is_taken_back(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(4, NULL);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(kith_aggregate_open(world_node(w, n), world_now(w), STR("other"), &schema), 0);
    settles_within(w, 2 * SECOND);
    world_run(w, 2 * SECOND);
    for (unsigned i = 0; i < 3000; i++) {
        struct kith_aggregate_answer other;
        if (i % 300 == 0) /* told at once; what follows has to wait for a second, and meanwhile there are pings */
            assert_int_equal(kith_aggregate_set(world_node(w, 1), world_now(w), STR("other"), 7), 0);
        if (i % 300 == 10)
            assert_int_equal(kith_aggregate_clear(world_node(w, 1), world_now(w), STR("other")), 0);
        world_run(w, SECOND / 100);
        assert_true(answer_of(w, 0).count == 4 && answer_of(w, 2).count == 4);
        assert_int_equal(
            kith_aggregate_read(world_node(w, 0), world_now(w), STR("other"), KITH_ENGINE_EXACT, &other), 0);
        if (i % 300 == 9)
            assert_true(other.count == 1);
        if (i % 300 >= 150)
            assert_true(other.count == 0);
    }
    settles_within(w, SECOND);
    world_free(w);
}

/* Within the same second by the wall clock, so with the same incarnation. */
static void another_life_in_the_same_second(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct world *w = contributing(3, NULL);
        world_chance(w, seed, 0);
        settles_within(w, SECOND);
        world_run(w, SECOND - world_now(w).wall_us % SECOND);
        truth.nodes = 4;
        restart(w, 3);
        world_run(w, SECOND / 10);
        open_one(w, 3, &schema);
        set(w, 3, 111);
        world_run(w, 4 * SECOND / 10);
        assert_true(knows_truth(w, 0));
        crash(w, 3);
        restart(w, 3);
        open_one(w, 3, &schema);
        set(w, 3, 222);
        assert_int_equal(world_now(w).wall_us % SECOND / (SECOND / 10), 5);
        settles_within(w, 5 * SECOND);
        world_free(w);
    }
}

static void the_left_leave(void **state)
{
    (void)state;
    struct world *w = contributing(4, NULL);
    settles_within(w, SECOND);
    assert_int_equal(kith_leave(world_node(w, 3), world_now(w), NULL), 0);
    world_run(w, 3 * SECOND);
    truth.lives[3] = false;
    settles_within(w, 2 * SECOND);
    world_free(w);
}

/* With a member its contributions are forgotten, and whoever has its place in the tables then has none of them. */
static void the_forgotten_are_forgotten(void **state)
{
    (void)state;
    struct kith_config c;
    struct world *w = contributing(4, NULL);
    settles_within(w, SECOND);
    crash(w, 3);
    for (unsigned i = 0; i < 100 && world_status(w, 0, "node-3") != KITH_STATUS_FAILED; i++)
        world_run(w, SECOND / 10);
    assert_int_equal(kith_force_leave(world_node(w, 0), world_now(w), STR("node-3"), true, NULL), 0);
    world_run(w, 3 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_NONE);
        assert_int_equal(world_node(w, n)->aggregates->contributions.count, 3);
    }
    world_config(&c, 4); /* another name */
    world_add(w, 4, &c);
    truth.nodes = 5;
    truth.lives[4] = true;
    assert_int_equal(world_join(w, 4, 0, NULL), 0);
    settles_within(w, 5 * SECOND);
    world_free(w);
}

static void who_joins_later_knows_all(void **state)
{
    (void)state;
    struct world *w = contributing(5, NULL);
    settles_within(w, SECOND);
    struct kith_config c;
    world_config(&c, 5);
    world_add(w, 5, &c);
    truth.nodes = 6;
    truth.lives[5] = true;
    assert_int_equal(world_join(w, 5, 0, NULL), 0);
    settles_within(w, 4 * SECOND);
    world_free(w);
}

static void partition(struct world *w, unsigned count, bool cut)
{
    for (unsigned a = 0; a < count / 2; a++) {
        for (unsigned b = count / 2; b < count; b++)
            world_cut(w, a, b, cut);
    }
}

static void a_partition_heals(void **state)
{
    (void)state;
    struct world *w = contributing(8, NULL);
    settles_within(w, SECOND);
    partition(w, 8, true);
    world_run(w, 30 * SECOND);
    for (unsigned n = 0; n < 8; n++) { /* each side answers for itself */
        struct kith_aggregate_answer answer = answer_of(w, n);
        assert_true(answer.count == 4 && answer.converged && answer.sum == (n < 4 ? 80 : 240));
    }
    set(w, 1, 1000);
    set(w, 6, 2000);
    assert_int_equal(kith_aggregate_clear(world_node(w, 7), world_now(w), LOAD), 0);
    truth.contributes[7] = false;
    world_run(w, 5 * SECOND);
    partition(w, 8, false);
    settles_within(w, 20 * SECOND);
    world_free(w);
}

static void a_third_of_all_is_lost(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 3; seed++) {
        struct world *w = contributing(12, NULL);
        world_chance(w, seed, 300000);
        for (unsigned round = 0; round < 40; round++) {
            set(w, (unsigned)(world_random(w) % 12), (double)(world_random(w) % 1000));
            world_run(w, SECOND / 4);
        }
        world_run(w, 10 * SECOND);
        world_chance(w, seed, 0);
        world_run(w, 20 * SECOND); /* whoever was suspected for it */
        settles_within(w, SECOND);
        world_free(w);
    }
}

/* Not even then does anybody stay behind. */
static void all_is_known_in_spite_of_loss(void **state)
{
    (void)state;
    struct world *w = contributing(12, NULL);
    settles_within(w, SECOND);
    world_chance(w, 9, 300000);
    set(w, 3, 999);
    uint64_t us = 0;
    for (; us < 30 * SECOND; us += SECOND / 10) {
        world_run(w, SECOND / 10);
        bool all = true;
        for (unsigned n = 0; n < 12; n++)
            all = all && answer_of(w, n).max == 999;
        if (all)
            break;
    }
    assert_in_range(us, 0, 10 * SECOND);
    world_free(w);
}

/* Rank, neighbours, histogram, pages of the order and picks, of ten with values 5, 15, ..., 95, but two alike. */
static void every_reading(void **state)
{
    (void)state;
    const double bounds[] = {15, 50};
    double counts[3];
    struct kith_rank rank;
    struct kith_place places[10];
    size_t count, seen[10] = {0};
    struct world *w = contributing(10, NULL);
    set(w, 9, 5); /* as node-0 */
    settles_within(w, 2 * SECOND);
    kith *k = world_node(w, 3);
    struct kith_time now = world_now(w);
    assert_int_equal(kith_aggregate_rank(k, now, LOAD, KITH_ENGINE_AUTO, STR("node-0"), &rank), 0);
    assert_true(rank.self.rank == 0 && rank.count == 10 && !rank.predecessor.member.ptr && rank.rank_error == 0);
    assert_true(same_place(&rank.successor, 9, 1));
    assert_int_equal(kith_aggregate_rank(k, now, LOAD, KITH_ENGINE_AUTO, (struct kith_str){NULL, 0}, &rank), 0);
    assert_true(same_place(&rank.self, 3, 4) && same_place(&rank.predecessor, 2, 3) && same_place(&rank.successor, 4, 5));
    assert_int_equal(kith_aggregate_rank(k, now, LOAD, KITH_ENGINE_AUTO, STR("node-8"), &rank), 0);
    assert_true(same_place(&rank.self, 8, 9) && !rank.successor.member.ptr);
    assert_int_equal(kith_aggregate_histogram(k, now, LOAD, KITH_ENGINE_AUTO, bounds, 2, counts), 0);
    assert_true(counts[0] == 2 && counts[1] == 4 && counts[2] == 4);
    assert_int_equal(kith_aggregate_list(k, now, LOAD, KITH_ENGINE_AUTO, true, 8, places, 10, &count), 0);
    assert_true(count == 2 && same_place(&places[0], 9, 1) && same_place(&places[1], 0, 0));
    assert_int_equal(kith_aggregate_list(k, now, LOAD, KITH_ENGINE_AUTO, false, 3, places, 4, &count), 0);
    assert_true(count == 4 && same_place(&places[0], 2, 3) && same_place(&places[3], 5, 6));
    for (unsigned i = 0; i < 1000; i++) { /* each set of three alike likely: each member in 3 of 10, in any place */
        assert_int_equal(kith_aggregate_pick(k, now, LOAD, KITH_ENGINE_AUTO, places, 3, &count), 0);
        assert_int_equal(count, 3);
        assert_true(places[0].rank != places[1].rank && places[0].rank != places[2].rank);
        assert_true(places[1].rank != places[2].rank);
        seen[places[i % 3].rank]++;
    }
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(seen[i], 60, 140); /* 100, with a standard deviation of 9.5 */
    assert_int_equal(kith_aggregate_pick(k, now, LOAD, KITH_ENGINE_AUTO, places, 10, &count), 0);
    assert_int_equal(count, 10);
    world_free(w);
}

static void age_is_that_of_the_last_change(void **state)
{
    (void)state;
    struct world *w = contributing(3, NULL);
    settles_within(w, SECOND);
    world_run(w, 20 * SECOND);
    for (unsigned n = 0; n < 3; n++)
        assert_in_range(answer_of(w, n).age_us, 20 * SECOND, 25 * SECOND);
    set(w, 1, 7);
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < 3; n++)
        assert_in_range(answer_of(w, n).age_us, SECOND, 2 * SECOND + 1);
    assert_int_equal(kith_aggregate_clear(world_node(w, 1), world_now(w), LOAD), 0);
    world_run(w, 3 * SECOND);
    for (unsigned n = 0; n < 3; n++)
        assert_in_range(answer_of(w, n).age_us, 2 * SECOND, 3 * SECOND + 1);
    world_free(w);
}

/* One that is alive, and has said nothing yet. */
static void who_is_not_known_is_not_covered(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = pool(&ear, 3, 0, NULL);
    world_pause(w, 2, true);
    open_one(w, 0, &schema);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), LOAD, 1), 0);
    world_run(w, SECOND / 2);
    for (unsigned n = 0; n < 2; n++)
        assert_true(answer_of(w, n).coverage_ppm == 666666 && !answer_of(w, n).converged && answer_of(w, n).count == 1);
    world_pause(w, 2, false);
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < 3; n++)
        assert_true(answer_of(w, n).coverage_ppm == 1000000 && answer_of(w, n).converged);
    world_free(w);
}

static void conflicting_schemas(void **state)
{
    (void)state;
    struct kith_schema load = load_schema(), other = load_schema();
    struct kith_aggregate found;
    struct world *w = pool(&ear, 6, 0, NULL);
    other.unit = STR("%");
    other.max = 100;
    for (unsigned n = 0; n < 5; n++) { /* three against two; the last opens none */
        open_one(w, n, n < 3 ? &load : &other);
        assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), LOAD, n), 0);
    }
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < 6; n++) {
        bool is_other = n == 3 || n == 4;
        struct kith_aggregate_answer answer = answer_of(w, n);
        assert_true(answer.count == (is_other ? 2 : 3) && answer.conflicts == (is_other ? 3 : 2) && answer.converged);
        assert_true(answer.sum == (is_other ? 7 : 3));
        assert_int_equal(kith_aggregate_find(world_node(w, n), LOAD, &found), 0);
        assert_true(found.contributors == (is_other ? 2 : 3) && found.conflicts == (is_other ? 3 : 2));
        assert_true(found.schema.max == (is_other ? 100 : 1e6) && found.is_open == (n < 5) && found.has_own == (n < 5));
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_know_what_is_set),       cmocka_unit_test(changes_are_told),
        cmocka_unit_test(step_and_interval),          cmocka_unit_test(what_is_taken_back_is_gone),
        cmocka_unit_test(one_of_several_is_taken_back), cmocka_unit_test(the_dead_leave_and_return),
        cmocka_unit_test(a_quick_restart),            cmocka_unit_test(the_left_leave),
        cmocka_unit_test(who_joins_later_knows_all),  cmocka_unit_test(a_partition_heals),
        cmocka_unit_test(a_third_of_all_is_lost),     cmocka_unit_test(all_is_known_in_spite_of_loss),
        cmocka_unit_test(the_forgotten_are_forgotten), cmocka_unit_test(who_is_not_known_is_not_covered),
        cmocka_unit_test(another_life_in_the_same_second),
        cmocka_unit_test(the_others_stay_when_one_is_taken_back),
        cmocka_unit_test(conflicting_schemas),        cmocka_unit_test(a_quick_restart_with_another_value),
        cmocka_unit_test(every_reading),              cmocka_unit_test(age_is_that_of_the_last_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
