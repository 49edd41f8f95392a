/* Nodes with stores, and the disks under them: when a group of rows is durable, what a crash leaves, which id goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/world.h"

#define MS     KITH_SIM_MS
#define SECOND KITH_SIM_SECOND

static struct kith_store_config store_config(void)
{
    struct kith_store_config config;
    kith_store_config_init(&config);
    return config;
}

static kith_sim *store_world(uint32_t nodes, const struct kith_store_config *store)
{
    struct kith_sim_config config;
    kith_sim *s;
    kith_sim_config_init(&config, 1);
    assert_int_equal(kith_sim_new(&s, &config), 0);
    for (uint32_t n = 0; n < nodes; n++) {
        struct kith_config node;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        assert_int_equal(kith_sim_add_with_store(s, &node, store, NULL), 0);
        if (n > 0)
            kith_sim_join(s, n, 0);
    }
    kith_sim_run(s, 5 * SECOND);
    return s;
}

static void store_end(kith_sim *s)
{
    if (kith_sim_violation(s))
        fail_msg("%s", kith_sim_violation(s));
    kith_sim_free(s);
}

static void store_run(kith_sim *s, uint64_t us)
{
    kith_sim_run(s, kith_sim_now_us(s) + us);
}

static struct kith_str text(const char *s)
{
    return (struct kith_str){s, strlen(s)};
}

static void store_write(kith_sim *s, uint32_t node, const char *key)
{
    assert_int_equal(kith_set(kith_sim_node(s, node), kith_sim_time(s, node), text(key), text("1"), KITH_NEVER_MS), 0);
}

static bool store_shows(kith_sim *s, uint32_t node, const char *key)
{
    return kith_type_of(kith_sim_node(s, node), kith_sim_time(s, node), text(key)) == KITH_TYPE_STRING;
}

static void store_disk(kith_sim *s, uint32_t node, uint32_t delay_ms, bool full)
{
    const struct kith_sim_disk disk = {
        .delay_min_us = delay_ms * (uint32_t)MS, .delay_max_us = delay_ms * (uint32_t)MS, .full = full};
    kith_sim_disk(s, node, &disk);
}

static bool store_is_durable(kith_sim *s, uint32_t node)
{
    kith *k = kith_sim_node(s, node);
    return kith_rows_are_durable(k) == kith_rows_written(k);
}

static uint64_t store_id(kith_sim *s, uint32_t node)
{
    struct kith_store_gauges g;
    assert_int_equal(kith_store_read_gauges(kith_sim_node(s, node), &g), 0);
    return g.replica;
}

static void store_restart(kith_sim *s, uint32_t node, enum kith_sim_state state)
{
    kith_sim_crash(s, node, KITH_SIM_PROCESS);
    assert_int_equal(kith_sim_restart(s, node, state), 0);
}

/* ---- the disk ---- */

static void durable_after_its_delay(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    assert_true(store_is_durable(s, 0));
    store_disk(s, 0, 10, false);
    store_write(s, 0, "a");
    store_run(s, 10 * MS - 1);
    assert_false(store_is_durable(s, 0));
    store_run(s, 1);
    assert_true(store_is_durable(s, 0));
    store_end(s);
}

static void a_full_disk_takes_nothing(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    store_disk(s, 0, 10, true);
    store_write(s, 0, "a");
    store_run(s, SECOND);
    assert_false(store_is_durable(s, 0));
    store_disk(s, 0, 10, false);
    store_write(s, 0, "b");
    store_run(s, SECOND);
    assert_true(store_is_durable(s, 0));
    store_restart(s, 0, KITH_SIM_KEEP);
    assert_true(store_shows(s, 0, "a") && store_shows(s, 0, "b"));
    store_end(s);
}

static void who_is_paused_hears_of_its_disk_later(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    store_disk(s, 0, 10, false);
    store_write(s, 0, "a");
    store_run(s, MS);
    kith_sim_pause(s, 0, true);
    store_run(s, SECOND);
    assert_false(store_is_durable(s, 0));
    kith_sim_pause(s, 0, false);
    store_run(s, 0);
    assert_true(store_is_durable(s, 0));
    store_end(s);
}

/* ---- crashes ---- */

static void a_crash_keeps_what_is_durable(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    store_write(s, 0, "a");
    store_run(s, SECOND);
    store_write(s, 0, "b");
    store_restart(s, 0, KITH_SIM_KEEP); /* before anything could be polled */
    assert_true(store_shows(s, 0, "a"));
    assert_false(store_shows(s, 0, "b"));
    store_restart(s, 0, KITH_SIM_EMPTY);
    assert_false(store_shows(s, 0, "a"));
    store_restart(s, 0, KITH_SIM_KEEP);
    assert_false(store_shows(s, 0, "a"));
    store_end(s);
}

/* What was deleted before the crash, and durably so, is not there; a row that went is gone. */
static void what_was_deleted_is_not_loaded(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    store_write(s, 0, "a");
    store_run(s, SECOND);
    size_t rows = s->nodes[0]->store->durable.count;
    assert_int_equal(kith_delete(kith_sim_node(s, 0), kith_sim_time(s, 0), text("a"), NULL), 0);
    store_run(s, SECOND);
    assert_int_equal(s->nodes[0]->store->durable.count, rows - 1);
    store_restart(s, 0, KITH_SIM_KEEP);
    assert_false(store_shows(s, 0, "a"));
    store_end(s);
}

static void a_group_on_its_way_may_arrive(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    unsigned arrived = 0;
    store_disk(s, 0, 10, false);
    for (unsigned i = 0; i < 40; i++) {
        char key[2] = {(char)('0' + i), '\0'};
        store_run(s, SECOND);
        store_write(s, 0, key);
        store_run(s, MS);
        store_restart(s, 0, KITH_SIM_KEEP);
        arrived += store_shows(s, 0, key);
    }
    assert_in_range(arrived, 8, 32); /* of 40 by a coin: less than one run in 10,000 is outside */
    store_end(s);
}

static void a_backup_is_what_was_durable_then(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    store_restart(s, 0, KITH_SIM_BACKUP); /* there is none */
    store_write(s, 0, "a");
    store_run(s, SECOND);
    store_write(s, 0, "b");
    kith_sim_backup(s, 0);
    store_run(s, SECOND);
    store_write(s, 0, "c");
    store_run(s, SECOND);
    store_restart(s, 0, KITH_SIM_BACKUP);
    assert_true(store_shows(s, 0, "a"));
    assert_false(store_shows(s, 0, "b") || store_shows(s, 0, "c"));
    store_restart(s, 0, KITH_SIM_KEEP); /* what it began with is what is on the disk now */
    assert_true(store_shows(s, 0, "a"));
    assert_false(store_shows(s, 0, "c"));
    store_end(s);
}

/* ---- ids ---- */

static void an_id_goes_on_if_the_disk_has_all(void **state)
{
    (void)state;
    const struct {
        bool keep_id, withhold, dirty;
        enum kith_sim_state state;
        bool same;
    } cases[] = {
        {true, false, false, KITH_SIM_KEEP, true},    {true, false, true, KITH_SIM_KEEP, false},
        {true, true, false, KITH_SIM_KEEP, true},     {true, true, true, KITH_SIM_KEEP, true},
        {true, false, false, KITH_SIM_EMPTY, false},  {true, true, false, KITH_SIM_BACKUP, false},
        {false, false, false, KITH_SIM_KEEP, false},  {false, true, true, KITH_SIM_KEEP, false},
    };
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        struct kith_store_config config = store_config();
        config.keep_id = cases[i].keep_id;
        config.withhold = cases[i].withhold;
        kith_sim *s = store_world(1, &config);
        store_write(s, 0, "a");
        store_run(s, SECOND);
        kith_sim_backup(s, 0);
        if (cases[i].dirty)
            store_write(s, 0, "b");
        uint64_t before = store_id(s, 0);
        store_restart(s, 0, cases[i].state);
        assert_true((store_id(s, 0) == before) == cases[i].same);
        store_end(s);
    }
}

/* A life that ends before its new id is on the disk leaves the old one there, of which more was shown than is there. */
static void an_id_that_is_not_on_the_disk_does_not_go_on(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    config.keep_id = config.withhold = true;
    kith_sim *s = store_world(1, &config);
    store_write(s, 0, "a");
    store_run(s, SECOND);
    kith_sim_backup(s, 0);
    store_write(s, 0, "b");
    store_run(s, SECOND);
    uint64_t first = store_id(s, 0);
    store_disk(s, 0, 100, true);
    store_restart(s, 0, KITH_SIM_BACKUP);
    store_run(s, MS);
    store_restart(s, 0, KITH_SIM_KEEP);
    assert_true(store_id(s, 0) != first);
    store_end(s);
}

/* ---- several ---- */

static void nothing_leaves_before_it_is_durable(void **state)
{
    (void)state;
    for (unsigned withhold = 0; withhold < 2; withhold++) {
        struct kith_store_config config = store_config();
        config.withhold = withhold;
        kith_sim *s = store_world(2, &config);
        store_disk(s, 0, 100, false);
        store_write(s, 0, "a");
        store_run(s, 50 * MS);
        assert_true(store_shows(s, 1, "a") == !withhold);
        store_run(s, 60 * MS);
        assert_true(store_shows(s, 1, "a"));
        store_end(s);
    }
}

static void stores_come_to_agree(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(3, &config);
    char key[16];
    assert_true(kith_sim_stores_agree(s));
    kith_sim_cut(s, 0, 1, true);
    kith_sim_cut(s, 0, 2, true);
    store_write(s, 0, "a");
    store_write(s, 1, "b");
    store_run(s, 100 * MS);
    assert_false(kith_sim_stores_agree(s));
    assert_true(store_shows(s, 2, "b") && !store_shows(s, 2, "a"));
    assert_true(ki_sim_contents_differ(s->nodes[0]->k, kith_sim_time(s, 0), s->nodes[1]->k, kith_sim_time(s, 1), key,
                                       sizeof key));
    assert_string_equal(key, "a");
    kith_sim_mend(s);
    store_run(s, 20 * SECOND);
    assert_true(kith_sim_stores_agree(s));
    assert_false(ki_sim_contents_differ(s->nodes[0]->k, kith_sim_time(s, 0), s->nodes[1]->k, kith_sim_time(s, 1), key,
                                        sizeof key));
    kith_sim_pause(s, 2, true); /* it does not count */
    store_write(s, 0, "c");
    store_run(s, 100 * MS);
    assert_true(kith_sim_stores_agree(s));
    store_end(s);
}

/* ---- contents ---- */

/* Each of these changes what is shown. */
static void contents_are_all_that_is_shown(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    kith_sim *s = store_world(1, &config);
    kith *k = kith_sim_node(s, 0);
    struct kith_time now = kith_sim_time(s, 0);
    uint64_t seen[16];
    size_t count = 0;
    for (unsigned step = 0; step < 11; step++) {
        int error = step == 0    ? kith_set(k, now, text("a"), text("1"), KITH_NEVER_MS)
                    : step == 1  ? kith_set(k, now, text("a"), text("2"), KITH_NEVER_MS)
                    : step == 2  ? kith_expire(k, now, text("a"), now.wall_us / 1000 + 5000, NULL)
                    : step == 3  ? kith_increase(k, now, text("a"), 1, NULL)
                    : step == 4  ? kith_set_add(k, now, text("s"), text("1"), NULL)
                    : step == 5  ? kith_hash_set(k, now, text("h"), text("1"), text("1"), NULL)
                    : step == 6  ? kith_hash_set(k, now, text("h"), text("1"), text("2"), NULL)
                    : step == 7  ? kith_sorted_add(k, now, text("z"), text("1"), 1, NULL)
                    : step == 8  ? kith_sorted_add(k, now, text("z"), text("1"), 2, NULL)
                    : step == 9  ? kith_put_sibling(k, now, text("m"), text("1"), NULL, 0)
                    : step == 10 ? kith_put_sibling(k, now, text("m"), text("1"), NULL, 0) /* another dot */
                                 : 1;
        assert_int_equal(error, 0);
        seen[count] = ki_sim_contents(k, now);
        assert_true(seen[count] == ki_sim_contents(k, now));
        for (size_t i = 0; i < count; i++)
            assert_true(seen[i] != seen[count]);
        count++;
    }
    store_end(s);
}

/* ---- without ---- */

static void without_a_store_nothing_changes(void **state)
{
    (void)state;
    uint64_t digests[2];
    for (unsigned i = 0; i < 2; i++) {
        struct kith_sim_config config;
        kith_sim *s;
        kith_sim_config_init(&config, 1);
        assert_int_equal(kith_sim_new(&s, &config), 0);
        for (uint32_t n = 0; n < 3; n++) {
            struct kith_config node;
            kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
            assert_int_equal(i ? kith_sim_add(s, &node, NULL) : kith_sim_add_with_store(s, &node, NULL, NULL), 0);
            kith_sim_join(s, n, 0);
        }
        kith_sim_run(s, 10 * SECOND);
        assert_true(kith_sim_stores_agree(s)); /* there are none */
        digests[i] = kith_sim_digest(s);
        store_end(s);
    }
    assert_true(digests[0] == digests[1]);
}

static void a_store_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct kith_store_config config = store_config();
    struct kith_config node;
    kith_sim *s = store_world(1, &config);
    kith_sim_node_config(s, 1, KITH_PROFILE_LAN, &node);
    config.key_max = 0;
    assert_int_equal(kith_sim_add_with_store(s, &node, &config, NULL), KITH_ERR_ARG);
    config = store_config();
    node.delegate_min = node.delegate_max = node.delegate_cur = 0;
    assert_int_equal(kith_sim_add_with_store(s, &node, &config, NULL), KITH_ERR_STATE);
    assert_int_equal(kith_sim_count(s), 1);
    store_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durable_after_its_delay),
        cmocka_unit_test(a_full_disk_takes_nothing),
        cmocka_unit_test(who_is_paused_hears_of_its_disk_later),
        cmocka_unit_test(a_crash_keeps_what_is_durable),
        cmocka_unit_test(what_was_deleted_is_not_loaded),
        cmocka_unit_test(a_group_on_its_way_may_arrive),
        cmocka_unit_test(a_backup_is_what_was_durable_then),
        cmocka_unit_test(an_id_goes_on_if_the_disk_has_all),
        cmocka_unit_test(an_id_that_is_not_on_the_disk_does_not_go_on),
        cmocka_unit_test(nothing_leaves_before_it_is_durable),
        cmocka_unit_test(stores_come_to_agree),
        cmocka_unit_test(contents_are_all_that_is_shown),
        cmocka_unit_test(without_a_store_nothing_changes),
        cmocka_unit_test(a_store_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
