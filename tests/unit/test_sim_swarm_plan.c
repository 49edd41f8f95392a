/* A plan in words says all that its links do to datagrams, in one line for the world and one for each fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "sim/swarm.h"

static struct sim_plan plan;
static char text[4096];

static const char *plan_text(void)
{
    FILE *to = tmpfile();
    assert_non_null(to);
    ki_sim_plan_print(&plan, to);
    rewind(to);
    text[fread(text, 1, sizeof text - 1, to)] = '\0';
    fclose(to);
    return text;
}

static void test_links_in_words(void **state)
{
    (void)state;
    const struct kith_sim_link calm = {.latency_min_us = 500, .latency_max_us = 1500};
    const struct kith_sim_link bad = {.latency_min_us = 1000, .latency_max_us = 20000, .tail_us = 2500, .loss_ppm = 125000,
                                      .duplicate_ppm = 10000, .reorder_ppm = 30000, .reorder_us = 70000,
                                      .corrupt_ppm = 4000, .mtu = 1300, .bandwidth = 250000, .backlog = 65536};
    const char *words = "loss 12.5 %, latency 1.0 to 20.0 ms and a tail of 2.5 ms, 1.0 % twice, "
                        "3.0 % late by up to 70.0 ms, 0.4 % damaged, "
                        "none above 1300 bytes, 250 kB a second and 66 kB waiting\n";
    plan = (struct sim_plan){.node_count = 2, .profile = KITH_PROFILE_LAN, .datagram_max = 1400, .link = calm};
    plan.fault_count = 3;
    plan.faults[0] = (struct sim_fault){.kind = SIM_FAULT_LINK, .at_us = 2500000, .other = 1, .link = bad};
    plan.faults[0].for_us = 1000000;
    plan.faults[1] = (struct sim_fault){.kind = SIM_FAULT_WEATHER, .at_us = 4000000, .link = bad};
    plan.faults[2] = (struct sim_fault){.kind = SIM_FAULT_CLOG, .at_us = 5000000, .other = 1, .link = bad};
    const char *line = plan_text();
    assert_non_null(strstr(line, "datagrams of 1400 bytes, loss 0.0 %, latency 0.5 to 1.5 ms\n"));
    for (unsigned i = 0; i < 2; i++) { /* LINK, WEATHER */
        line = strchr(line, '\n') + 1;
        const char *link = strstr(line, ": ");
        assert_non_null(link);
        assert_memory_equal(link + 2, words, strlen(words));
        assert_ptr_equal(strchr(line, '\n'), link + 2 + strlen(words) - 1);
    }
    line = strchr(line, '\n') + 1; /* a clog has none */
    assert_null(strstr(line, "loss"));
    plan.link = bad;
    assert_memory_equal(strstr(plan_text(), "loss"), words, strlen(words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
