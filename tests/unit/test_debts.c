/* What those who ask owe: it passes with time, one's is not another's, and the table has an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/debts.h"

static void a_debt_passes_with_time(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_debts d = {.mem = &mem};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_debts_of(&d, 7, 100)->until_us += 50;
    assert_int_equal(ki_debts_of(&d, 8, 100)->until_us, 100);
    assert_int_equal(ki_debts_of(&d, 7, 149)->until_us, 150);
    assert_int_equal(ki_debts_of(&d, 7, 200)->until_us, 200); /* nothing is saved up */
    ki_debts_of(&d, 7, 200)->until_us += 50;
    ki_debts_of(&d, 8, 200)->until_us += 60;
    ki_debts_forget(&d, 7);
    ki_debts_forget(&d, 9);
    assert_int_equal(ki_debts_of(&d, 7, 210)->until_us, 210);
    assert_int_equal(ki_debts_of(&d, 8, 210)->until_us, 260);
    ki_debts_of(&d, 9, 300);
    assert_int_equal(d.count, 1); /* who owes nothing takes no room */
    ki_debts_free(&d);
    assert_int_equal(mem.used, 0);
}

static void who_owes_least_makes_room(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_debts d = {.mem = &mem};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (uint32_t id = 0; id < KI_DEBTS_MAX; id++)
        ki_debts_of(&d, id, 0)->until_us += 1000 + (id + 5) % KI_DEBTS_MAX; /* the last but four owes least */
    ki_debts_of(&d, KI_DEBTS_MAX, 0)->until_us += 5000;
    assert_int_equal(d.count, KI_DEBTS_MAX);
    for (uint32_t id = 0; id <= KI_DEBTS_MAX; id++) {
        bool found = false;
        for (uint32_t i = 0; i < d.count; i++)
            found = found || d.list[i].id == id;
        assert_int_equal(found, id != KI_DEBTS_MAX - 5);
    }
    ki_debts_free(&d);
}

static void without_memory_nobody_is_given_credit(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_debts d = {.mem = &mem};
    ki_mem_init(&mem, NULL, NULL, NULL, 1);
    assert_null(ki_debts_of(&d, 7, 100));
    assert_int_equal(d.count, 0);
    mem.max = 0;
    assert_non_null(ki_debts_of(&d, 7, 100));
    ki_debts_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_debt_passes_with_time),
        cmocka_unit_test(who_owes_least_makes_room),
        cmocka_unit_test(without_memory_nobody_is_given_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
