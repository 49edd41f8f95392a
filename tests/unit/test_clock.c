/* serf/clock.h: what is witnessed is behind us, but at the end; the largest number is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serf/clock.h"

static const struct row {
    int line;
    uint64_t time, seen;
    bool moved;
    uint64_t after;
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R(1, 0, false, 1),
    R(1, 1, true, 2),
    R(5, 4, false, 5),
    R(5, 5, true, 6),
    R(5, 100, true, 101),
    R(5, UINT64_MAX - 3, true, UINT64_MAX - 2),
    R(5, UINT64_MAX - 2, true, UINT64_MAX - 1),
    R(5, UINT64_MAX - 1, true, UINT64_MAX - 1), /* the last there is */
    R(5, UINT64_MAX, false, 5),
    R(UINT64_MAX - 1, UINT64_MAX - 1, false, UINT64_MAX - 1),
    R(UINT64_MAX - 1, UINT64_MAX, false, UINT64_MAX - 1), /* and it does not wrap */
#undef R
};

static void witness_follows_the_table(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        struct ki_clock c = {.time = r->time};
        if (ki_clock_witness(&c, r->seen) != r->moved || c.time != r->after)
            fail_msg("row of line %d: %llu", r->line, (unsigned long long)c.time);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(witness_follows_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
