/* A pool in a plane: 20 nodes whose links take as long as the way between them and a last mile at either end.  After
 * some minutes each pair's round trip can be told from coordinates, whether the two have ever measured it or not. */
#include <math.h>

#include "sim/fixture.h"

#define NODES   20
#define SIDE_MS 100 /* of the plane */
#define PAIRS   (NODES * (NODES - 1) / 2)

static struct place {
    double x_ms, y_ms, mile_ms;
} places[NODES];

/* One way; both ways are alike. */
static uint32_t way_us(size_t a, size_t b)
{
    double plane_ms = hypot(places[a].x_ms - places[b].x_ms, places[a].y_ms - places[b].y_ms);
    return (uint32_t)((plane_ms + places[a].mile_ms + places[b].mile_ms) * 1000);
}

static kith_sim *plane(uint32_t jitter_us)
{
    struct kith_sim_config config = world_config(11);
    kith_sim *s = world_of(&config, NODES);
    uint32_t random = 1;
    for (size_t n = 0; n < NODES; n++) {
        double *const of[] = {&places[n].x_ms, &places[n].y_ms, &places[n].mile_ms};
        for (size_t i = 0; i < 3; i++) {
            random = random * 1664525 + 1013904223;
            *of[i] = (double)(random >> 16) / 65536 * (i < 2 ? SIDE_MS : 5);
        }
    }
    for (uint32_t a = 0; a < NODES; a++) {
        for (uint32_t b = 0; b < NODES; b++) {
            struct kith_sim_link link = config.link;
            link.latency_min_us = way_us(a, b);
            link.latency_max_us = link.latency_min_us + jitter_us;
            assert_true(a == b || kith_sim_link(s, a, b, &link) == 0);
        }
    }
    assert_int_equal(kith_sim_warm(s), 0);
    return s;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* By how much estimates are off, as a part of the truth: sorted, of all pairs, as `asked` sees them. */
static void errors_of(kith_sim *s, uint32_t asked, uint32_t jitter_us, double errors[PAIRS])
{
    struct kith_coordinate where[NODES];
    size_t count = 0;
    for (uint32_t n = 0; n < NODES; n++) {
        struct kith_member self;
        kith_self(kith_sim_node(s, n), &self);
        assert_int_equal(kith_coordinate(kith_sim_node(s, asked), self.name, &where[n]), 0);
        for (uint32_t m = 0; m < n; m++) {
            double truth_us = 2.0 * way_us(n, m) + jitter_us;
            errors[count++] = fabs((double)kith_coordinate_distance_us(&where[n], &where[m]) - truth_us) / truth_us;
        }
    }
    qsort(errors, count, sizeof *errors, by_size);
}

static void converges(uint32_t jitter_us)
{
    kith_sim *s = plane(jitter_us);
    double errors[PAIRS];
    kith_sim_run(s, 60 * SECOND); /* all have answered by then, but little is known */
    errors_of(s, 0, jitter_us, errors);
    double early = errors[PAIRS / 2];
    kith_sim_run(s, 900 * SECOND);
    for (uint32_t n = 0; n < NODES; n++) {
        struct kith_coordinate own;
        struct kith_member self;
        errors_of(s, n, jitter_us, errors);
        if (n == 0)
            printf("median error %.3f after a minute, after 15: %.3f, nine of ten below %.3f\n", early,
                   errors[PAIRS / 2], errors[PAIRS * 9 / 10]);
        assert_true(errors[PAIRS / 2] < 0.10);
        assert_true(errors[PAIRS * 9 / 10] < 0.35);
        kith_self(kith_sim_node(s, n), &self);
        assert_int_equal(kith_coordinate(kith_sim_node(s, n), self.name, &own), 0);
        assert_true(own.error < 0.3);
        assert_int_equal(world_counter(s, n, "coordinate_rejected") + world_counter(s, n, "coordinate_resets"), 0);
    }
    assert_true(early > errors[PAIRS / 2]);
    world_end(s);
}

static void test_steady(void **state)
{
    (void)state;
    converges(0);
}

static void test_jitter(void **state)
{
    (void)state;
    converges(10000);
}

/* Each answer makes one entry and nothing else does: 160 bytes for each member that has answered. */
static void test_memory(void **state)
{
    (void)state;
    uint64_t bytes[2];
    for (int on = 0; on < 2; on++) {
        struct kith_sim_config config = world_config(12);
        kith_sim *s;
        assert_int_equal(kith_sim_new(&s, &config), 0);
        for (uint32_t n = 0; n < 100; n++) {
            struct kith_config node;
            kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
            node.coordinates = on;
            node.compress = false; /* its buffers are made when a datagram is long enough */
            assert_int_equal(kith_sim_add(s, &node, NULL), 0);
        }
        assert_int_equal(kith_sim_warm(s), 0);
        kith_sim_run(s, 250 * SECOND); /* twice around */
        struct kith_gauges gauges;
        bytes[on] = 0;
        for (uint32_t n = 0; n < 100; n++) {
            kith_read_gauges(kith_sim_node(s, n), &gauges);
            bytes[on] += gauges.memory_bytes;
        }
        world_end(s);
    }
    printf("%.1f bytes for each member that has answered\n", (double)(bytes[1] - bytes[0]) / (100 * 99));
    assert_true(bytes[1] > bytes[0] && bytes[1] - bytes[0] < 100ull * 99 * 170);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
