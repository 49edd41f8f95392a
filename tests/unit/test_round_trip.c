/* swim/round_trip.c: answers fed one after the other, and how long the next one is worth waiting for; the timeout is 500 ms,
 * so its floor 100. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swim/round_trip.h"

#define MS 1000ull

static const struct row {
    const char *what;
    uint64_t took_us[4];
    unsigned count, times; /* all of them so many times */
    uint64_t wait_us;
} rows[] = {
    {"nothing is known yet", {0}, 0, 1, 500 * MS},
    {"one of 40 ms: 40 + 4 * 20", {40 * MS}, 1, 1, 120 * MS},
    {"and one of 80: 45 + 4 * 25", {40 * MS, 80 * MS}, 2, 1, 145 * MS},
    {"and of 0: 45 - 5.6, and 4 * (25 + 5)", {40 * MS, 80 * MS, 0}, 3, 1, 39375 + 4 * 30000},
    {"and of 45 in its place: 45, and 4 * (25 - 0.78)", {40 * MS, 80 * MS, 45 * MS}, 3, 1, 45 * MS + 4 * 24218},
    {"a quiet pool of 50 ms has hardly any variation: the floor", {50 * MS}, 1, 1000, 100 * MS},
    {"one of 200 ms has none either", {200 * MS}, 1, 1000, 200 * MS},
    {"a local one", {200}, 1, 1, 100 * MS},
    {"a slow one", {400 * MS}, 1, 1, 500 * MS},
    {"no number overflows", {UINT64_MAX}, 1, 10, 500 * MS},
};

static void waits_follow_the_table(void **state)
{
    (void)state;
    for (const struct row *row = rows; row < rows + KI_COUNT(rows); row++) {
        struct ki_round_trip r = {.measured = false};
        for (unsigned i = 0; i < row->count * row->times; i++)
            ki_round_trip_add(&r, row->took_us[i % row->count]);
        uint64_t wait_us = ki_round_trip_wait_us(&r, 500 * MS);
        if (wait_us / 100 != row->wait_us / 100) /* divisions round down */
            fail_msg("%s: %llu us, not %llu", row->what, (unsigned long long)wait_us, (unsigned long long)row->wait_us);
    }
}

/* One member in ten is 150 ms away, the others 1 ms: once that is known, they are waited for. */
static void far_members_are_waited_for(void **state)
{
    (void)state;
    struct ki_round_trip r = {.measured = false};
    unsigned early = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t took_us = i % 10 == 9 ? 150 * MS : 1 * MS;
        early += i > 20 && took_us > ki_round_trip_wait_us(&r, 500 * MS);
        ki_round_trip_add(&r, took_us);
    }
    assert_int_equal(early, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_follow_the_table),
        cmocka_unit_test(far_members_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
