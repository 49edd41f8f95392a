/* What sim.h says of its limits: misuse ends the process, and a violation ends the run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kith/sim.h>

#include "base/base.h"

#define NODES  2
#define NOBODY NODES

static kith_sim *world(void)
{
    struct kith_sim_config config;
    kith_sim *s;
    kith_sim_config_init(&config, 1);
    assert_int_equal(kith_sim_new(&s, &config), 0);
    for (uint32_t n = 0; n < NODES; n++) {
        struct kith_config node;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        assert_int_equal(kith_sim_add(s, &node, NULL), 0);
    }
    return s;
}

static void life_of_nobody(kith_sim *s) { kith_sim_life(s, NOBODY); }
static void instance_of_nobody(kith_sim *s) { kith_sim_node(s, NOBODY); }
static void clocks_of_nobody(kith_sim *s) { kith_sim_time(s, KITH_SIM_ALL); }
static void nobody_joins(kith_sim *s) { kith_sim_join(s, NOBODY, 0); }
static void join_nobody(kith_sim *s) { kith_sim_join(s, 0, NOBODY); }
static void wake_nobody(kith_sim *s) { kith_sim_wake(s, NOBODY, 0, 0); }
static void message_to_nobody(kith_sim *s) { kith_sim_message(s, 0, NOBODY, "", 0); }
static void inject_into_nobody(kith_sim *s) { kith_sim_inject(s, &(struct kith_addr){.ip_len = 4}, NOBODY, "", 0); }
static void crash_nobody(kith_sim *s) { kith_sim_crash(s, NOBODY, KITH_SIM_HOST); }
static void pause_nobody(kith_sim *s) { kith_sim_pause(s, NOBODY, true); }
static void slow_nobody(kith_sim *s) { kith_sim_slow(s, NOBODY, 1); }
static void cut_nobody(kith_sim *s) { kith_sim_cut(s, 0, NOBODY, true); }
static void link_from_nobody(kith_sim *s) { kith_sim_link(s, NOBODY, 0, NULL); }
static void clog_nobody(kith_sim *s) { kith_sim_clog(s, NOBODY, 0, 1); }
static void is_nobody_cut(kith_sim *s) { kith_sim_is_cut(s, 0, NOBODY); }
static void side_beyond_the_last(kith_sim *s) { kith_sim_side(s, 0, 64); }
static void cut_a_side_beyond(kith_sim *s) { kith_sim_cut_sides(s, 0, 64, true); }
static void clock_too_fast(kith_sim *s) { kith_sim_clock(s, 0, 100001, 0); }
static void restart_while_up(kith_sim *s) { kith_sim_restart(s, 0, KITH_SIM_EMPTY); }

static void inject_from_no_address(kith_sim *s)
{
    kith_sim_inject(s, &(struct kith_addr){.ip_len = 200}, 0, "", 0);
}

static void clock_before_1970(kith_sim *s)
{
    kith_sim_clock(s, 0, 0, -(int64_t)kith_sim_time(s, 0).wall_us);
    kith_sim_clock(s, 0, 0, -1);
}

static void clock_beyond_all_years(kith_sim *s)
{
    for (unsigned i = 0; i < 5; i++)
        kith_sim_clock(s, 0, 0, INT64_MAX / 5);
}

static void clock_jumps_as_far_as_can_be(kith_sim *s) { kith_sim_clock(s, 0, 0, INT64_MIN); }

static void world_of_another_size(kith_sim *s)
{
    struct kith_sim_config config;
    kith_sim_config_init(&config, 1);
    config.size--;
    kith_sim_new(&s, &config);
}

static void configure_one_too_many(kith_sim *s)
{
    struct kith_config node;
    kith_sim_node_config(s, 16777215, KITH_PROFILE_LAN, &node);
}

static void keep_what_is_not_kept(kith_sim *s)
{
    struct kith_sim_config config;
    struct kith_config node;
    kith_sim_config_init(&config, 1);
    config.persist = false;
    kith_sim_new(&s, &config);
    kith_sim_node_config(s, 0, KITH_PROFILE_LAN, &node);
    kith_sim_add(s, &node, NULL);
    kith_sim_crash(s, 0, KITH_SIM_HOST);
    kith_sim_restart(s, 0, KITH_SIM_KEEP);
}

static const struct {
    const char *name;
    void (*misuse)(kith_sim *s);
} misuses[] = {
#define MISUSE(name) {#name, name}
    MISUSE(life_of_nobody),       MISUSE(instance_of_nobody), MISUSE(clocks_of_nobody),  MISUSE(nobody_joins),
    MISUSE(join_nobody),          MISUSE(wake_nobody),        MISUSE(message_to_nobody), MISUSE(inject_into_nobody),
    MISUSE(crash_nobody),         MISUSE(pause_nobody),       MISUSE(slow_nobody),       MISUSE(cut_nobody),
    MISUSE(link_from_nobody),     MISUSE(clog_nobody),        MISUSE(is_nobody_cut),     MISUSE(side_beyond_the_last),
    MISUSE(cut_a_side_beyond),    MISUSE(clock_too_fast),     MISUSE(restart_while_up),  MISUSE(inject_from_no_address),
    MISUSE(clock_before_1970),    MISUSE(clock_beyond_all_years), MISUSE(clock_jumps_as_far_as_can_be),
    MISUSE(world_of_another_size), MISUSE(configure_one_too_many), MISUSE(keep_what_is_not_kept),
};

/* Returns the signal that ended a process that did this; 0: it lived. */
static int ended_by(void (*misuse)(kith_sim *s))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        misuse(world());
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(misuses); i++) {
        if (ended_by(misuses[i].misuse) != SIGABRT)
            fail_msg("%s does not abort", misuses[i].name);
    }
}

/* A node calls where nobody told it to: a violation, and the time of the world stands still. */
static void test_a_violation_ends_the_run(void **state)
{
    (void)state;
    kith_sim *s = world();
    struct kith_addr nobody = {.ip = {192, 0, 2, 7}, .ip_len = 4, .port = 7946};
    assert_int_equal(kith_join(kith_sim_node(s, 1), kith_sim_time(s, 1), &nobody, 1, false, NULL), 0);
    kith_sim_run(s, 60 * KITH_SIM_SECOND);
    assert_non_null(kith_sim_violation(s));
    uint64_t now_us = kith_sim_now_us(s), digest = kith_sim_digest(s);
    assert_true(now_us < 60 * KITH_SIM_SECOND);
    kith_sim_run(s, 90 * KITH_SIM_SECOND);
    assert_true(kith_sim_now_us(s) == now_us && kith_sim_digest(s) == digest);
    kith_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_a_violation_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
