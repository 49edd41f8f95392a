/* The disks of simulated nodes: they stay small however much is written, and a life that begins with them knows whom to
 * join, as if nothing had been left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/world.h"

#define NODES    5
#define FLAPS    300
#define DISK_MOST (256 + 3 * (NODES + 4)) /* twice what is needed, the slack, and a group on top */

static kith_sim *disk_world(void)
{
    struct kith_sim_config config;
    kith_sim *s;
    kith_sim_config_init(&config, 1);
    assert_int_equal(kith_sim_new(&s, &config), 0);
    for (uint32_t n = 0; n < NODES; n++) {
        struct kith_config node;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        assert_int_equal(kith_sim_add(s, &node, NULL), 0);
        if (n > 0)
            kith_sim_join(s, n, 0);
    }
    kith_sim_run(s, 10 * KITH_SIM_SECOND);
    return s;
}

static void disk_run(kith_sim *s, uint64_t us)
{
    kith_sim_run(s, kith_sim_now_us(s) + us);
}

/* Who is told to the observers when a node starts again with its disk. */
static uint64_t disk_told; /* a bit for each node */

static void disk_hears(kith_sim *s, void *state, uint32_t node, const struct kith_addr *addr)
{
    (void)state;
    (void)node;
    disk_told |= (uint64_t)1 << kith_sim_find(s, addr);
}

static const struct sim_observer disk_watch = {.name = "disk", .told = disk_hears};

static uint64_t disk_restart(kith_sim *s, uint32_t node)
{
    disk_told = 0;
    kith_sim_crash(s, node, KITH_SIM_PROCESS);
    assert_int_equal(kith_sim_restart(s, node, KITH_SIM_KEEP), 0);
    return disk_told;
}

static void test_stays_small(void **state)
{
    (void)state;
    kith_sim *s = disk_world();
    ki_sim_observe(s, &disk_watch);
    size_t most = 0;
    uint32_t incarnation = 0;
    for (unsigned i = 0; i < FLAPS; i++) {
        kith_sim_crash(s, 1, KITH_SIM_PROCESS);
        disk_run(s, 12 * KITH_SIM_SECOND);
        assert_int_equal(kith_sim_restart(s, 1, KITH_SIM_KEEP), 0);
        disk_run(s, 3 * KITH_SIM_SECOND);
        for (uint32_t n = 0; n < NODES; n++)
            most = s->nodes[n]->disk_count > most ? s->nodes[n]->disk_count : most;
        struct kith_member self;
        kith_self(kith_sim_node(s, 1), &self);
        assert_true(self.incarnation > incarnation);
        incarnation = self.incarnation;
    }
    assert_true(most > 256); /* it was made compact */
    assert_in_range(most, 0, DISK_MOST);
    kith_sim_crash(s, 1, KITH_SIM_PROCESS);
    disk_run(s, 60 * KITH_SIM_SECOND);
    assert_int_equal(disk_restart(s, 0), 1 << 2 | 1 << 3 | 1 << 4); /* whoever is alive, but itself */
    disk_run(s, KITH_SIM_SECOND);
    assert_true(kith_sim_agrees(s));
    assert_null(kith_sim_violation(s));
    kith_sim_free(s);
}

/* One that has left is to stay alone, and then knows those that it meets in its next life. */
static void test_left(void **state)
{
    (void)state;
    kith_sim *s = disk_world();
    ki_sim_observe(s, &disk_watch);
    assert_int_equal(kith_leave(kith_sim_node(s, 2), kith_sim_time(s, 2), NULL), 0);
    disk_run(s, 20 * KITH_SIM_SECOND);
    assert_int_equal(disk_restart(s, 2), 0);
    kith_sim_join(s, 2, 0);
    disk_run(s, 10 * KITH_SIM_SECOND);
    assert_int_equal(disk_restart(s, 2), 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4);
    assert_null(kith_sim_violation(s));
    kith_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_small),
        cmocka_unit_test(test_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
