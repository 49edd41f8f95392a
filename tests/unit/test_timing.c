/* swim/timing.c: the table of PROTOCOL.md "timing" as rows (Serf's defaults, values as memberlist computes them). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swim/timing.h"

static const struct row {
    int line;
    uint32_t n;
    uint64_t lan_min_ms, wan_min_ms; /* shortest suspicion: mult 4, interval 1 s; mult 6, interval 5 s */
    uint32_t retransmit;             /* mult 4 */
    uint32_t lan_exchange_s, wan_exchange_s; /* 30 s; 60 s */
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R(0, 4000, 30000, 0, 30, 60),
    R(1, 4000, 30000, 4, 30, 60),
    R(3, 4000, 30000, 4, 30, 60),
    R(9, 4000, 30000, 4, 30, 60),
    R(10, 4000, 30000, 8, 30, 60),
    R(32, 6020, 45150, 8, 30, 60),
    R(33, 6072, 45540, 8, 60, 120),
    R(64, 7224, 54180, 8, 60, 120),
    R(65, 7248, 54360, 8, 90, 180),
    R(99, 7980, 59850, 8, 90, 180),
    R(100, 8000, 60000, 12, 90, 180),
    R(1000, 12000, 90000, 16, 180, 360),
    R(10000, 16000, 120000, 20, 300, 600),
    R(100000, 20000, 150000, 24, 390, 780),
#undef R
};

static void formulas_follow_the_table(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        bool fine = ki_suspicion_min_us(4, r->n, 1000000) == r->lan_min_ms * 1000 &&
                    ki_suspicion_min_us(6, r->n, 5000000) == r->wan_min_ms * 1000 &&
                    ki_retransmit_limit(4, r->n) == r->retransmit &&
                    ki_push_pull_us(30000000, r->n) == r->lan_exchange_s * 1000000ull &&
                    ki_push_pull_us(60000000, r->n) == r->wan_exchange_s * 1000000ull;
        if (!fine)
            fail_msg("row of line %d: n %u: %llu %llu %u %llu", r->line, r->n,
                     (unsigned long long)ki_suspicion_min_us(4, r->n, 1000000),
                     (unsigned long long)ki_suspicion_min_us(6, r->n, 5000000), ki_retransmit_limit(4, r->n),
                     (unsigned long long)ki_push_pull_us(30000000, r->n));
    }
}

static const struct nack_row {
    int line;
    uint64_t interval_ms, timeout_ms, wait_ms;
} nack_rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R(1000, 500, 400),  /* LAN: asked at 500, nack at 900 of 1000 */
    R(5000, 3000, 1600), /* WAN: asked at 3000, nack at 4600 of 5000 */
    R(1000, 200, 200),  /* local: a whole timeout is early enough */
    R(1000, 999, 0),
    R(1000, 1000, 0),
    R(1000, 2000, 0),   /* never beyond, never negative */
    R(1000, 1, 1),
#undef R
};

/* The nack leaves before the verdict, whatever the configuration (Lifeguard section IV.A). */
static void nack_comes_before_the_verdict(void **state)
{
    (void)state;
    for (const struct nack_row *r = nack_rows; r < nack_rows + KI_COUNT(nack_rows); r++) {
        uint64_t wait_us = ki_nack_wait_us(r->interval_ms * 1000, r->timeout_ms * 1000);
        if (wait_us / 1000 != r->wait_ms)
            fail_msg("row of line %d: %llu us", r->line, (unsigned long long)wait_us);
        if (r->timeout_ms + 1 < r->interval_ms)
            assert_true(r->timeout_ms * 1000 + wait_us < r->interval_ms * 1000);
    }
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    /* the largest configuration there is: 32-bit multipliers are not, 1000 and an hour are */
    assert_int_equal(ki_suspicion_min_us(1000, UINT32_MAX, 3600ull * 1000000), 9632ull * 3600 * 1000000);
    assert_int_equal(ki_retransmit_limit(1000, UINT32_MAX), 10000);
    assert_int_equal(ki_push_pull_us(3600ull * 1000000, UINT32_MAX), 28ull * 3600 * 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_follow_the_table),
        cmocka_unit_test(nack_comes_before_the_verdict),
        cmocka_unit_test(extremes_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
