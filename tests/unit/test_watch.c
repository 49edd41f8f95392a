/* aggregate/watch.c: stories of looks, each with what it has to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "aggregate/watch.h"

struct look {
    uint64_t at_us;
    char what; /* 1, 0, or ?: nobody knows */
    bool edge, holds;
};

static void tell(const struct look *looks, size_t count, uint64_t hold_us)
{
    struct ki_holding h = ki_holding();
    for (size_t i = 0; i < count; i++) {
        bool edge = false;
        if (looks[i].what == '?')
            ki_holding_break(&h);
        else
            edge = ki_holding_look(&h, looks[i].at_us, looks[i].what == '1', hold_us);
        if (edge != looks[i].edge || h.holds != looks[i].holds)
            fail_msg("at %llu", (unsigned long long)looks[i].at_us);
    }
}

static void at_once(void **state)
{
    (void)state;
    static const struct look looks[] = {
        {0, '0', false, false}, {1, '1', true, true}, {2, '1', false, true}, {3, '?', false, true},
        {4, '0', true, false},  {5, '0', false, false}, {6, '1', true, true},
    };
    tell(looks, KI_COUNT(looks), 0);
}

static void after_a_while(void **state)
{
    (void)state;
    static const struct look looks[] = {
        {0, '1', false, false},    {99, '1', false, false},  {100, '1', true, true},   {150, '0', false, true},
        {200, '1', false, true}, /* a break */
        {210, '0', false, true},   {309, '0', false, true},  {310, '0', true, false},  {400, '1', false, false},
        {450, '?', false, false}, /* another */
        {460, '1', false, false},  {559, '1', false, false}, {560, '1', true, true},   {600, '?', false, true},
        {1000, '1', false, true},
    };
    tell(looks, KI_COUNT(looks), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once),
        cmocka_unit_test(after_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
