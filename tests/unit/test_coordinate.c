/* serf/coordinate.c: the same bits as Serf's; what is refused; directions where there are none; distances; lies. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serf/coordinate.h"

/* A thousand updates by the package serf/coordinate of Serf 0.9.4, in Go, of a client that was set to vec[i] = (i + 1) /
 * 100 and was told of nodes a, b and c in turn what other_of() and rtt_of() say: where it was after some of them, and how
 * far from the node then told of, in nanoseconds.  It never coincides with another, so nothing of it is random. */
static const struct row {
    int step;
    struct ki_coordinate here;
    double distance_ns;
} rows[] = {
    {1,
     {{-0x1.c23849e4a525p-08, 0x1.a3cf4c3143c76p-06, 0x1.338c7635a6d51p-17, 0x1.0a41e81c99e2cp-05,
       0x1.0a384bb8e8358p-04, 0x1.429c2a2091e1cp-05, 0x1.26656cbae4351p-04, 0x1.7af66c2489e0ep-05},
      .error = 0x1.8p+00, .adjustment = -0x1.4fcc0f6ca9ac1p-08, .height = 0x1.4f8b588e368f1p-17},
     234831321},
    {2,
     {{-0x1.dc3d86c76b153p-08, 0x1.33fa5a6c9888cp-05, -0x1.f2478189ade18p-08, 0x1.31391b14502f4p-05,
       0x1.5e964136b39a1p-05, 0x1.2e77dbbc07d5ap-05, 0x1.4efcf380c6e09p-04, 0x1.2bb69c63bf7c2p-05},
      .error = 0x1.8p+00, .adjustment = -0x1.1846cb2bf9903p-07, .height = 0x1.4f8b588e368f1p-17},
     201628808},
    {3,
     {{-0x1.9495687861226p-11, 0x1.6ea346027b1a9p-06, -0x1.82e271add560bp-08, 0x1.827d920f0854p-05,
       0x1.1d17f8bf4ef1cp-05, 0x1.5873997b2f2c6p-05, 0x1.0b0bc90f271f2p-04, 0x1.2e69a0e75604dp-05},
      .error = 0x1.7ec1bec6b27adp+00, .adjustment = -0x1.8ebe192c7c765p-07, .height = 0x1.4f8b588e368f1p-17},
     243446061},
    {4,
     {{0x1.2b03d251b41dfp-07, 0x1.14e446a35e786p-06, 0x1.3972c639efc2fp-11, 0x1.273ded3128e9p-05,
       0x1.1a1db34a258p-05, 0x1.c2c5876b4740fp-06, 0x1.e145427d236acp-05, 0x1.5bb8ea445bed8p-05},
      .error = 0x1.6eff07f280e3ap+00, .adjustment = -0x1.03d3514cad3f5p-06, .height = 0x1.4f8b588e368f1p-17},
     280738594},
    {21,
     {{-0x1.5ce13174fb33bp-09, 0x1.a995eff50519p-08, -0x1.18c988c0bda09p-09, 0x1.d3cf817f25438p-07,
       0x1.8f5ad8622ef6p-07, 0x1.f1b48a00458b7p-09, 0x1.b9279d7506601p-08, 0x1.7241e3c8ab89bp-12},
      .error = 0x1.2b19cfd97fafp+00, .adjustment = -0x1.1d9844fdbf209p-04, .height = 0x1.4f8b588e368f1p-17},
     188965215},
    {100,
     {{-0x1.52b146331a653p-08, -0x1.56c4232d34e42p-07, 0x1.6e580e86d4f37p-07, -0x1.e3b1a83a7f68bp-09,
       -0x1.c7fe5078424cp-09, -0x1.0049eff177302p-07, 0x1.15398a720101p-07, -0x1.7a2ef982f8331p-10},
      .error = 0x1.42df5723a5279p+00, .adjustment = -0x1.2ce30134679dap-04, .height = 0x1.4f8b588e368f1p-17},
     173037592},
    {250,
     {{-0x1.a2c85126b6409p-04, -0x1.09d2f4081e745p-04, 0x1.ed2302446c4acp-06, -0x1.da640002c2b29p-12,
       0x1.a65d4595f5181p-09, -0x1.e6e23d4bea3f3p-04, -0x1.00c29974e8f1fp-04, 0x1.280f829d2dd9p-04},
      .error = 0x1.40a456baa1c41p-03, .adjustment = 0x1.4656fec7ba1c6p-05, .height = 0x1.8ffbb8763eb67p-07},
     434959014},
    {399,
     {{-0x1.29b5d03f47de1p-03, -0x1.a65ab3aa285dp-04, -0x1.d32ef929cdf2dp-05, -0x1.22a334e34b716p-08,
       -0x1.056b44518c17fp-08, -0x1.425ae598a141p-03, -0x1.85c7cd0c01bf8p-04, 0x1.628f94e91c0f2p-05},
      .error = 0x1.9012915e7ed28p-04, .adjustment = 0x1.5c7c793eaf7a8p-08, .height = 0x1.146ba9757f6b6p-05},
     381677234},
    {500,
     {{0x1.b8b1e2b0cc41ep-08, 0x1.9f2d106369b93p-08, 0x1.e5df844bfe354p-09, -0x1.413ed20ca743fp-07,
       0x1.da67905836ab6p-10, -0x1.41a33b0d4a773p-08, 0x1.49c1b5484b4a4p-07, -0x1.73bf0493c1f43p-11},
      .error = 0x1.2daab090d3062p+00, .adjustment = -0x1.1e876ecccac02p-04, .height = 0x1.4f8b588e368f1p-17},
     192543146},
    {600,
     {{-0x1.9ad264dbe866bp-07, 0x1.230c6d420348p-06, -0x1.bf8c8ab9a8424p-08, 0x1.1afccd3f6eb66p-07,
       -0x1.d37c26f11296bp-07, 0x1.5dc03ae9b7f6fp-10, -0x1.222907b1fd8ddp-07, -0x1.5fb29b93bac29p-07},
      .error = 0x1.8p+00, .adjustment = -0x1.2171baa262886p-04, .height = 0x1.4f8b588e368f1p-17},
     151183537},
    {1000,
     {{0x1.2d18159988c3cp-08, -0x1.9d212068a1382p-09, 0x1.86a54f8a469fp-10, 0x1.e54df3254dfe9p-08,
       -0x1.42631f198111ep-07, 0x1.c77c9dbbf31ecp-10, -0x1.13a1720746ddbp-11, -0x1.ad9e9267a3491p-11},
      .error = 0x1.fcca43859e953p-01, .adjustment = -0x1.237dede4967b7p-04, .height = 0x1.4f8b588e368f1p-17},
     182378249},
};

static struct ki_coordinate other_of(int step)
{
    struct ki_coordinate c = {
        .error = step % 5 / 4.0, .height = (step % 3 + 1) / 1000.0, .adjustment = (step % 7 - 3) / 1000.0};
    for (int i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        c.vec[i] = ((step * 7 + i * 13) % 31 - 15) / 100.0;
    return c;
}

static uint64_t rtt_of(int step)
{
    if (step == 500)
        return 10000000;
    return step == 600 ? 0 : (uint64_t)(step * 37 % 211 + step / 200 % 2 * 300) * 1000 + (uint64_t)step;
}

static void same(double mine, double theirs, int step)
{
    if (memcmp(&mine, &theirs, sizeof mine) != 0)
        fail_msg("step %d: %a, not %a", step, mine, theirs);
}

static void updates_are_serfs(void **state)
{
    (void)state;
    struct ki_vivaldi v;
    struct ki_latencies latencies[3] = {0};
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    ki_vivaldi_init(&v);
    for (int i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        v.here.vec[i] = (i + 1) / 100.0;
    const struct row *row = rows;
    for (int step = 1; step <= 1000; step++) {
        struct ki_coordinate other = other_of(step);
        assert_true(ki_vivaldi_takes(&other, rtt_of(step)));
        assert_true(ki_vivaldi_update(&v, &latencies[step % 3], &other, rtt_of(step), &rng));
        if (step != row->step)
            continue;
        for (int i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
            same(v.here.vec[i], row->here.vec[i], step);
        same(v.here.error, row->here.error, step);
        same(v.here.adjustment, row->here.adjustment, step);
        same(v.here.height, row->here.height, step);
        same(round(ki_coordinate_distance(&v.here, &other) * 1e9), row->distance_ns, step);
        row++;
    }
    assert_ptr_equal(row, rows + KI_COUNT(rows));
}

static void begins_at_the_origin(void **state)
{
    (void)state;
    struct ki_vivaldi v;
    ki_vivaldi_init(&v);
    for (int i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        assert_true(v.here.vec[i] == 0);
    assert_true(v.here.error == 1.5 && v.here.adjustment == 0 && v.here.height == 1e-5);
    assert_true(ki_coordinate_distance(&v.here, &v.here) == 2e-5);
}

static void what_teaches_nothing(void **state)
{
    (void)state;
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    const struct ki_coordinate fine = other_of(1);
    assert_true(ki_vivaldi_takes(&fine, 0) && ki_vivaldi_takes(&fine, 10000000));
    assert_false(ki_vivaldi_takes(&fine, 10000001));
    assert_false(ki_vivaldi_takes(&fine, UINT64_MAX));
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        struct ki_coordinate c = fine;
        c.vec[7] = bad[i];
        assert_false(ki_vivaldi_takes(&c, 1000));
        c = fine;
        c.error = bad[i];
        assert_false(ki_vivaldi_takes(&c, 1000));
        c = fine;
        c.adjustment = bad[i];
        assert_false(ki_vivaldi_takes(&c, 1000));
        c = fine;
        c.height = bad[i];
        assert_false(ki_vivaldi_takes(&c, 1000));
    }
    struct ki_coordinate c = fine;
    c.error = -0x1p-1074;
    assert_false(ki_vivaldi_takes(&c, 1000));
    c = fine;
    c.height = -1e-9;
    assert_false(ki_vivaldi_takes(&c, 1000));
    c = fine;
    c.adjustment = -1;
    assert_true(ki_vivaldi_takes(&c, 1000));
}

/* All nodes begin at one place: the first answer sends each in a direction of its own. */
static void those_that_coincide_part(void **state)
{
    (void)state;
    double first[2];
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct ki_vivaldi v, other;
        struct ki_latencies latencies = {0};
        struct ki_rng rng;
        ki_rng_init(&rng, seed);
        ki_vivaldi_init(&v);
        ki_vivaldi_init(&other);
        assert_true(ki_vivaldi_update(&v, &latencies, &other.here, 80000, &rng));
        double sum = 0;
        for (int i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
            sum += v.here.vec[i] * v.here.vec[i];
        assert_true(fabs(sqrt(sum) - 0.25 * 0.5 * (0.080 - 2e-5)) < 1e-8); /* a quarter, half believed; gravity */
        first[seed] = v.here.vec[0];
    }
    assert_true(first[0] != first[1]);
}

/* The middle one of three: a slow answer among fast ones changes nothing; a second one is believed. */
static void one_slow_answer_is_not_heeded(void **state)
{
    (void)state;
    static const struct {
        uint64_t rtt_us[4];
        uint64_t heeded_us; /* at the last */
    } filters[] = {
        {{5000}, 5000},
        {{5000, 9000}, 9000},
        {{9000, 5000}, 9000},
        {{5000, 9000, 7000}, 7000},
        {{5000, 5100, 900000}, 5100},
        {{5000, 900000, 5100}, 5100},
        {{900000, 5000, 5100}, 5100},
        {{5000, 5100, 900000, 900000}, 900000},
        {{900000, 5000, 5100, 5200}, 5100},
    };
    for (size_t i = 0; i < KI_COUNT(filters); i++) {
        struct ki_vivaldi v, plain;
        struct ki_latencies latencies = {0}, none = {0};
        struct ki_rng rng;
        ki_rng_init(&rng, 2);
        for (size_t n = 0; n < 4 && filters[i].rtt_us[n] > 0; n++) {
            ki_vivaldi_init(&v);
            v.here.vec[0] = 1;
            struct ki_coordinate other = other_of(1);
            ki_vivaldi_update(&v, &latencies, &other, filters[i].rtt_us[n], &rng);
        }
        ki_vivaldi_init(&plain);
        plain.here.vec[0] = 1;
        struct ki_coordinate other = other_of(1);
        ki_vivaldi_update(&plain, &none, &other, filters[i].heeded_us, &rng);
        same(v.here.vec[0], plain.here.vec[0], (int)i);
    }
}

/* Where there is nothing to divide by: no round trip at all, and two that are both sure of themselves. */
static void nothing_is_a_millionth(void **state)
{
    (void)state;
    struct ki_vivaldi none, least;
    struct ki_latencies latencies[3] = {0};
    struct ki_coordinate other = other_of(1);
    struct ki_rng rng;
    ki_rng_init(&rng, 6);
    ki_vivaldi_init(&none);
    none.here.vec[0] = 1;
    none.here.error = other.error = 0;
    least = none;
    assert_true(ki_vivaldi_update(&none, &latencies[0], &other, 0, &rng));
    assert_true(ki_vivaldi_update(&least, &latencies[1], &other, 1, &rng));
    none.here.error = least.here.error = 1;
    assert_true(ki_vivaldi_update(&none, &latencies[2], &other, 0, &rng));
    latencies[1] = (struct ki_latencies){0};
    assert_true(ki_vivaldi_update(&least, &latencies[1], &other, 1, &rng));
    assert_true(fabs(none.here.vec[0] - least.here.vec[0]) < 5e-8);
    assert_true(none.here.adjustment < least.here.adjustment); /* but the adjustment knows the difference */
}

static void distances(void **state)
{
    (void)state;
    struct ki_coordinate a = {.vec = {0, 0, 3}, .height = 0.25}, b = {.vec = {4}, .height = 0.5};
    same(ki_coordinate_distance(&a, &b), 5.75, 0);
    a.adjustment = 0.25;
    same(ki_coordinate_distance(&a, &b), 6, 1);
    b.adjustment = -5;
    same(ki_coordinate_distance(&a, &b), 1, 2);
    b.adjustment = -6; /* less than nothing: the adjustments are left out */
    same(ki_coordinate_distance(&a, &b), 5.75, 3);
    b.vec[1] = 1e300;
    assert_true(ki_coordinate_distance(&a, &b) > 1e200);
}

/* A liar drives us out of range; we begin anew, and the next honest answer counts: nothing of it stays. */
static void lies_do_not_last(void **state)
{
    (void)state;
    static const double far[] = {1e155, 1e300, DBL_MAX, -DBL_MAX};
    struct ki_rng rng;
    ki_rng_init(&rng, 3);
    for (size_t i = 0; i < KI_COUNT(far); i++) {
        struct ki_vivaldi v, other;
        struct ki_latencies latencies = {0}, honest = {0};
        struct ki_coordinate liar = {.vec = {far[i]}, .error = 0, .adjustment = far[i], .height = 1e-5};
        ki_vivaldi_init(&v);
        ki_vivaldi_init(&other);
        other.here.vec[3] = 0.05;
        bool reset = false;
        for (int n = 0; n < 100 && !reset; n++) {
            assert_true(ki_vivaldi_takes(&liar, 1000));
            reset = !ki_vivaldi_update(&v, &latencies, &liar, 1000, &rng);
            assert_true(ki_coordinate_is_valid(&v.here));
        }
        assert_true(reset && v.here.vec[0] == 0 && v.here.error == 1.5);
        assert_true(ki_vivaldi_update(&v, &honest, &other.here, 60000, &rng));
        int rounds = 0;
        while (fabs(ki_coordinate_distance(&v.here, &other.here) - 0.060) > 0.006) {
            ki_vivaldi_update(&v, &honest, &other.here, 60000, &rng);
            assert_true(rounds++ < 100);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_serfs),
        cmocka_unit_test(begins_at_the_origin),
        cmocka_unit_test(what_teaches_nothing),
        cmocka_unit_test(those_that_coincide_part),
        cmocka_unit_test(one_slow_answer_is_not_heeded),
        cmocka_unit_test(nothing_is_a_millionth),
        cmocka_unit_test(distances),
        cmocka_unit_test(lies_do_not_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
