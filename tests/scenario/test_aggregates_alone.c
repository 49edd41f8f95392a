/* Aggregates on one member: what is open, what may be set, and each reading; every refusal that aggregate.h names. */
#include <math.h>

#include "messages_pool.h"

#include <kith/aggregate.h>

static void stock(struct kith_config *c, unsigned n)
{
    (void)n;
    c->stock = true;
}

static void bare(struct kith_config *c, unsigned n)
{
    (void)n;
    c->delegate_min = c->delegate_max = c->delegate_cur = 0;
}

static void two_at_most(struct kith_config *c, unsigned n)
{
    (void)n;
    c->aggregates_max = 2;
}

static struct kith_schema percent(void)
{
    struct kith_schema schema;
    kith_schema_init(&schema);
    schema.unit = STR("%");
    schema.min = 0;
    schema.max = 100;
    schema.step = 0.5;
    schema.interval_ms = 10000;
    return schema;
}

static void opening_and_closing(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 1, 0, two_at_most);
    kith *k = world_node(w, 0);
    struct kith_time now = world_now(w);
    struct kith_schema schema = percent(), other = percent(), wrong;
    other.step = 1;
    static char long_name[65];
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &schema), 0);
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &schema), 0);
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &other), KITH_ERR_TYPE);
    assert_int_equal(kith_aggregate_open(k, now, STR(""), &schema), KITH_ERR_ARG);
    assert_int_equal(kith_aggregate_open(k, now, (struct kith_str){long_name, 65}, &schema), KITH_ERR_ARG);
#define REFUSED(field, value) \
    (wrong = percent(), wrong.field = (value), assert_int_equal(kith_aggregate_open(k, now, STR("x"), &wrong), KITH_ERR_ARG))
    REFUSED(size, 1);
    REFUSED(unit, ((struct kith_str){long_name, 17}));
    REFUSED(min, 100);
    REFUSED(max, 2e100);
    REFUSED(step, -1);
    REFUSED(interval_ms, 999);
    REFUSED(engine, (enum kith_engine)3);
    assert_int_equal(kith_aggregate_open(k, now, (struct kith_str){long_name, 64}, &schema), 0);
    assert_int_equal(kith_aggregate_open(k, now, STR("third"), &schema), KITH_ERR_FULL);
    assert_int_equal(kith_aggregate_close(k, now, STR("load")), 0);
    assert_int_equal(kith_aggregate_close(k, now, STR("load")), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &other), 0); /* another meaning, once it is closed */
    world_free(w);
}

static void setting(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 1, 0, NULL);
    kith *k = world_node(w, 0);
    struct kith_time now = world_now(w);
    struct kith_schema schema = percent();
    struct kith_aggregate found;
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), 1), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_clear(k, now, STR("load")), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &schema), 0);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), 0);
    assert_true(found.is_open && !found.has_own && found.contributors == 0 && found.conflicts == 0);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), 42.5), 0);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), 100.5), KITH_ERR_NUMBER);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), -0.5), KITH_ERR_NUMBER);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), (double)NAN), KITH_ERR_NUMBER);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), 0);
    assert_true(found.has_own && found.own == 42.5 && found.contributors == 1);
    assert_true(found.schema.max == 100 && found.schema.step == 0.5 && found.schema.interval_ms == 10000);
    assert_memory_equal(found.schema.unit.ptr, "%", found.schema.unit.len);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), -0.0), 0);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), 0);
    assert_true(found.own == 0 && !signbit(found.own));
    assert_int_equal(kith_aggregate_clear(k, now, STR("load")), 0);
    assert_int_equal(kith_aggregate_clear(k, now, STR("load")), 0);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), 0);
    assert_true(found.is_open && !found.has_own && found.contributors == 0);
    assert_int_equal(kith_aggregate_close(k, now, STR("load")), 0);
    assert_int_equal(kith_aggregate_find(k, STR("load"), &found), KITH_ERR_NOT_FOUND);
    world_free(w);
}

static void reading(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 1, 0, NULL);
    kith *k = world_node(w, 0);
    struct kith_time now = world_now(w);
    struct kith_schema schema = percent();
    struct kith_aggregate_answer answer;
    struct kith_place places[4];
    struct kith_rank rank;
    double value, error, counts[3];
    size_t count;
    const double bounds[] = {10, 50};
    const enum kith_engine automatic = KITH_ENGINE_AUTO;
    assert_int_equal(kith_aggregate_read(k, now, STR("load"), automatic, &answer), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_open(k, now, STR("load"), &schema), 0);
    assert_int_equal(kith_aggregate_read(k, now, STR("load"), (enum kith_engine)3, &answer), KITH_ERR_ARG);
    assert_int_equal(kith_aggregate_read(k, now, STR("load"), automatic, &answer), 0);
    assert_true(answer.count == 0 && answer.sum == 0 && answer.converged && answer.coverage_ppm == 1000000);
    assert_int_equal(kith_aggregate_quantile(k, now, STR("load"), automatic, 0.5, &value, &error), KITH_ERR_NUMBER);
    assert_int_equal(kith_aggregate_rank(k, now, STR("load"), automatic, (struct kith_str){NULL, 0}, &rank),
                     KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_set(k, now, STR("load"), 42), 0);
    world_run(w, 3 * SECOND);
    now = world_now(w);
    assert_int_equal(kith_aggregate_read(k, now, STR("load"), KITH_ENGINE_EXACT, &answer), 0);
    assert_true(answer.engine == KITH_ENGINE_EXACT && answer.count == 1 && answer.sum == 42 && answer.average == 42);
    assert_true(answer.variance == 0 && answer.min == 42 && answer.max == 42 && answer.effective_n == 1);
    assert_true(answer.error == 0.5 && answer.age_us == 3 * SECOND && answer.converged && answer.conflicts == 0);
    assert_int_equal(kith_aggregate_quantile(k, now, STR("load"), automatic, 0.99, &value, &error), 0);
    assert_true(value == 42 && error == 0);
    assert_int_equal(kith_aggregate_quantile(k, now, STR("load"), automatic, 1.01, &value, &error), KITH_ERR_ARG);
    assert_int_equal(kith_aggregate_histogram(k, now, STR("load"), automatic, bounds, 2, counts), 0);
    assert_true(counts[0] == 0 && counts[1] == 1 && counts[2] == 0);
    assert_int_equal(kith_aggregate_histogram(k, now, STR("load"), automatic, (double[]){5, 5}, 2, counts), KITH_ERR_ARG);
    for (int from_largest = 0; from_largest < 2; from_largest++) {
        assert_int_equal(kith_aggregate_list(k, now, STR("load"), automatic, from_largest, 0, places, 4, &count), 0);
        assert_true(count == 1 && places[0].value == 42 && places[0].rank == 0);
        assert_memory_equal(places[0].member.ptr, "node-0", places[0].member.len);
        assert_int_equal(kith_aggregate_list(k, now, STR("load"), automatic, from_largest, 1, places, 4, &count), 0);
        assert_int_equal(count, 0);
    }
    assert_int_equal(kith_aggregate_rank(k, now, STR("load"), automatic, (struct kith_str){NULL, 0}, &rank), 0);
    assert_true(rank.self.rank == 0 && rank.count == 1 && !rank.predecessor.member.ptr && !rank.successor.member.ptr);
    assert_int_equal(kith_aggregate_rank(k, now, STR("load"), automatic, STR("nobody"), &rank), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_aggregate_pick(k, now, STR("load"), automatic, places, 4, &count), 0);
    assert_true(count == 1 && places[0].value == 42);
    world_free(w);
}

static void walking_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "ab", "zz", "a", "m"}, *const in_order[] = {"a", "ab", "b", "m", "zz"};
    struct world *w = pool(&ear, 1, 0, NULL);
    kith *k = world_node(w, 0);
    struct kith_schema schema = percent();
    struct kith_aggregate found;
    size_t cursor = 0;
    assert_false(kith_aggregate_next(k, &cursor, &found));
    for (size_t i = 0; i < 5; i++) {
        struct kith_str name = {names[i], strlen(names[i])};
        assert_int_equal(kith_aggregate_open(k, world_now(w), name, &schema), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_true(kith_aggregate_next(k, &cursor, &found));
        assert_int_equal(found.name.len, strlen(in_order[i]));
        assert_memory_equal(found.name.ptr, in_order[i], found.name.len);
    }
    assert_false(kith_aggregate_next(k, &cursor, &found));
    world_free(w);
}

static void not_in_such_pools(void **state)
{
    (void)state;
    static void (*const adjust[])(struct kith_config *, unsigned) = {stock, bare};
    for (size_t i = 0; i < 2; i++) {
        struct world *w = world_new();
        struct kith_config c;
        struct kith_schema schema = percent();
        struct kith_aggregate_answer answer;
        world_config(&c, 0);
        adjust[i](&c, 0);
        world_add(w, 0, &c);
        kith *k = world_node(w, 0);
        assert_int_equal(kith_aggregate_open(k, world_now(w), STR("load"), &schema), KITH_ERR_STATE);
        assert_int_equal(kith_aggregate_set(k, world_now(w), STR("load"), 1), KITH_ERR_STATE);
        assert_int_equal(kith_aggregate_read(k, world_now(w), STR("load"), KITH_ENGINE_AUTO, &answer), KITH_ERR_STATE);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_and_closing), cmocka_unit_test(setting),
        cmocka_unit_test(reading),             cmocka_unit_test(walking_by_name),
        cmocka_unit_test(not_in_such_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
