/* swim/suspicion.c: the worked examples of PROTOCOL.md "suspicion" (seconds from the start of the suspicion, after
 * 0, 1, 2 ... confirmations), and who may confirm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swim/suspicion.h"
#include "swim/timing.h"

#define START_US 7000123ull

static const struct row {
    int line;
    const char *what;
    uint32_t n, mult, max_mult;
    uint64_t interval_us;
    uint32_t needed;
    uint64_t after_ms[6]; /* confirmations 0, 1, ...; 0 ends the list */
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R("LAN 1000: 72, 34.1, 12 s", 1000, 4, 6, 1000000, 2, {72000, 34144, 12000}),
    R("WAN 1000: 540, 346, 233, 152, 90 s", 1000, 6, 6, 5000000, 4, {540000, 346197, 232827, 152393, 90000}),
    R("LAN 100", 100, 4, 6, 1000000, 2, {48000, 22763, 8000}),
    R("LAN 10", 10, 4, 6, 1000000, 2, {24000, 11381, 4000}),
    R("LAN 4: two others can confirm", 4, 4, 6, 1000000, 2, {24000, 11381, 4000}),
    R("LAN 3: too few others, min at once", 3, 4, 6, 1000000, 0, {4000}),
    R("LAN 1", 1, 4, 6, 1000000, 0, {4000}),
    R("n 0", 0, 4, 6, 1000000, 0, {4000}),
    R("local 10: one confirmation", 10, 3, 6, 1000000, 1, {18000, 3000}),
    R("mult 2: none needed", 100, 2, 6, 1000000, 0, {4000}),
    R("mult 1", 100, 1, 6, 1000000, 0, {2000}),
    R("max 1: never longer than min", 100, 4, 1, 1000000, 2, {8000, 8000, 8000}),
#undef R
};

static void timers_follow_the_examples(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        struct ki_suspicion s;
        ki_suspicion_start(&s, START_US, ki_suspicion_min_us(r->mult, r->n, r->interval_us), r->max_mult, r->mult,
                           r->n, 1);
        for (uint32_t c = 0; c < KI_COUNT(r->after_ms) && r->after_ms[c]; c++) {
            uint64_t wait_us = ki_suspicion_deadline_us(&s) - START_US;
            uint64_t off_us = wait_us > r->after_ms[c] * 1000 ? wait_us - r->after_ms[c] * 1000
                                                              : r->after_ms[c] * 1000 - wait_us;
            if (off_us > 1000 || wait_us % 1000 || s.needed != r->needed) /* ln is rounded: one may be off by 1 ms */
                fail_msg("row of line %d, %s: after %u confirmations %llu us", r->line, r->what, c,
                         (unsigned long long)wait_us);
            bool news = ki_suspicion_confirm(&s, 100 + c);
            assert_true(news == (c < r->needed));
        }
    }
}

static void only_new_accusers_confirm(void **state)
{
    (void)state;
    struct ki_suspicion s;
    ki_suspicion_start(&s, 0, 1000000, 6, 5, 100, 1);
    assert_int_equal(s.needed, 3);
    uint64_t at_us = ki_suspicion_deadline_us(&s);
    assert_false(ki_suspicion_confirm(&s, 1)); /* who accused first */
    assert_int_equal(ki_suspicion_deadline_us(&s), at_us);
    assert_true(ki_suspicion_confirm(&s, 2));
    assert_true(ki_suspicion_deadline_us(&s) < at_us);
    at_us = ki_suspicion_deadline_us(&s);
    assert_false(ki_suspicion_confirm(&s, 2)); /* the same again */
    assert_int_equal(ki_suspicion_deadline_us(&s), at_us);
    assert_true(ki_suspicion_confirm(&s, 3));
    assert_true(ki_suspicion_confirm(&s, 4));
    assert_false(ki_suspicion_confirm(&s, 5)); /* enough */
    assert_int_equal(s.confirmed, 3);
    assert_int_equal(ki_suspicion_deadline_us(&s), 1000000);
}

static void a_lonely_one_is_asked_again(void **state)
{
    (void)state;
    struct ki_suspicion s;
    ki_suspicion_start(&s, 0, 1000000, 6, 4, 100, 1);
    assert_int_equal(s.needed, 2);
    assert_false(ki_suspicion_open(&s, 999999));
    assert_true(ki_suspicion_open(&s, 1000000));
    assert_false(ki_suspicion_open(&s, 1000001));
    assert_true(ki_suspicion_confirm(&s, 2));
    assert_true(ki_suspicion_open(&s, 2000000)); /* one is missing */
    assert_true(ki_suspicion_confirm(&s, 3));
    assert_false(ki_suspicion_open(&s, 9000000));
}

/* Rounds of probes that began at these times were refused (0: an answer): the suspicion is over, or its subject is to be
 * probed once more from a time on. */
static void refusals_end_it(void **state)
{
    static const struct {
        const char *what;
        uint64_t began_ms[5];
        unsigned count;
        bool over;
        uint64_t again_ms;
    } refusals[] = {
        {"one", {1}, 1, false, 1001},
        {"two, too near", {1, 1000}, 2, false, 1001},
        {"two", {1, 1001}, 2, true, 1001},
        {"three, of which the last is far enough", {1, 500, 1001}, 3, true, 1001},
        {"an answer between", {1, 0, 1001}, 3, false, 2001},
        {"and two after it", {1, 0, 1001, 2001}, 4, true, 2001},
        {"an answer at last", {1, 1001, 0}, 3, false, 1001},
    };
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        for (uint32_t n = 3; n <= 100; n += 97) { /* confirmations wanted or not */
            struct ki_suspicion s;
            ki_suspicion_start(&s, 0, 4000000, 6, 4, n, 1);
            uint64_t usual_us = ki_suspicion_deadline_us(&s);
            for (unsigned at = 0; at < refusals[i].count; at++) {
                if (refusals[i].began_ms[at] == 0)
                    ki_suspicion_answered(&s);
                else
                    ki_suspicion_refused(&s, refusals[i].began_ms[at] * 1000, 1000000);
            }
            uint64_t deadline_us = ki_suspicion_deadline_us(&s);
            bool fine = deadline_us == (refusals[i].over ? 0 : usual_us) && s.again_us == refusals[i].again_ms * 1000;
            bool answered = refusals[i].began_ms[refusals[i].count - 1] == 0;
            fine = fine && ki_suspicion_open(&s, s.again_us) == (!answered || s.needed > 0);
            if (!fine)
                fail_msg("%s, of %u: deadline %llu, again %llu", refusals[i].what, n, (unsigned long long)deadline_us,
                         (unsigned long long)s.again_us);
        }
    }
}

/* The largest multiplier: as many accusers as are remembered, each bringing the end nearer, the last to min. */
static void accusers_are_capped(void **state)
{
    (void)state;
    struct ki_suspicion s;
    ki_suspicion_start(&s, 0, 10000000, 6, 1000, 10000, 1);
    assert_int_equal(s.needed, KI_CONFIRMERS_MAX);
    uint64_t last_us = ki_suspicion_deadline_us(&s);
    assert_int_equal(last_us, 60000000);
    for (uint32_t c = 0; c < KI_CONFIRMERS_MAX; c++) {
        assert_true(ki_suspicion_confirm(&s, 10 + c));
        assert_true(ki_suspicion_deadline_us(&s) < last_us);
        last_us = ki_suspicion_deadline_us(&s);
    }
    assert_int_equal(last_us, 10000000);
    assert_false(ki_suspicion_confirm(&s, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_follow_the_examples),
        cmocka_unit_test(only_new_accusers_confirm),
        cmocka_unit_test(a_lonely_one_is_asked_again),
        cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(accusers_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
