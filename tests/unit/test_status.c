/* serf/status.c: the whole transition table, 5 states by 4 inputs, intents newer and not newer; then stories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serf/status.h"

enum {
    NONE = KI_STATUS_NONE,
    ALIVE = KI_STATUS_ALIVE,
    LEAVING = KI_STATUS_LEAVING,
    LEFT = KI_STATUS_LEFT,
    FAILED = KI_STATUS_FAILED
};

static const struct row {
    int line;
    int from;
    enum ki_status_input input;
    int to;
    enum ki_status_change change;
    bool stamps; /* since_s becomes now */
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    /* clang-format off */
    R(NONE,    KI_STATUS_UP,           ALIVE,   KI_CHANGE_JOINED,  false),
    R(ALIVE,   KI_STATUS_UP,           ALIVE,   KI_CHANGE_NONE,    false),
    R(LEAVING, KI_STATUS_UP,           ALIVE,   KI_CHANGE_JOINED,  false),
    R(LEFT,    KI_STATUS_UP,           ALIVE,   KI_CHANGE_JOINED,  false),
    R(FAILED,  KI_STATUS_UP,           ALIVE,   KI_CHANGE_JOINED,  false),

    R(NONE,    KI_STATUS_DOWN,         NONE,    KI_CHANGE_NONE,    false),
    R(ALIVE,   KI_STATUS_DOWN,         FAILED,  KI_CHANGE_FAILED,  true),
    R(LEAVING, KI_STATUS_DOWN,         LEFT,    KI_CHANGE_LEFT,    true),
    R(LEFT,    KI_STATUS_DOWN,         LEFT,    KI_CHANGE_NONE,    false),
    R(FAILED,  KI_STATUS_DOWN,         FAILED,  KI_CHANGE_NONE,    false),

    R(NONE,    KI_STATUS_GONE,         NONE,    KI_CHANGE_NONE,    false),
    R(ALIVE,   KI_STATUS_GONE,         LEFT,    KI_CHANGE_LEFT,    true),
    R(LEAVING, KI_STATUS_GONE,         LEFT,    KI_CHANGE_LEFT,    true),
    R(LEFT,    KI_STATUS_GONE,         LEFT,    KI_CHANGE_NONE,    false),
    R(FAILED,  KI_STATUS_GONE,         FAILED,  KI_CHANGE_NONE,    false),

    R(NONE,    KI_STATUS_LEAVE_INTENT, NONE,    KI_CHANGE_NONE,    false),
    R(ALIVE,   KI_STATUS_LEAVE_INTENT, LEAVING, KI_CHANGE_LEAVING, true),
    R(LEAVING, KI_STATUS_LEAVE_INTENT, LEAVING, KI_CHANGE_NONE,    false),
    R(LEFT,    KI_STATUS_LEAVE_INTENT, LEFT,    KI_CHANGE_NONE,    false),
    R(FAILED,  KI_STATUS_LEAVE_INTENT, LEFT,    KI_CHANGE_LEFT,    true),

    R(NONE,    KI_STATUS_JOIN_INTENT,  NONE,    KI_CHANGE_NONE,    false),
    R(ALIVE,   KI_STATUS_JOIN_INTENT,  ALIVE,   KI_CHANGE_NONE,    false),
    R(LEAVING, KI_STATUS_JOIN_INTENT,  ALIVE,   KI_CHANGE_LEAVING, false),
    R(LEFT,    KI_STATUS_JOIN_INTENT,  LEFT,    KI_CHANGE_NONE,    false),
    R(FAILED,  KI_STATUS_JOIN_INTENT,  FAILED,  KI_CHANGE_NONE,    false),
    /* clang-format on */
#undef R
};

static void table_is_followed(void **state)
{
    (void)state;
    bool met[5][5] = {{false}};
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        met[r->from][r->input] = true;
        bool intent = r->input == KI_STATUS_LEAVE_INTENT || r->input == KI_STATUS_JOIN_INTENT;
        struct ki_standing s = {.ltime = 10, .since_s = 3, .status = (uint8_t)r->from};
        struct ki_status_result got = ki_status_step(&s, r->input, 11, 99);
        if ((int)s.status != r->to || got.change != r->change || got.heeded != intent ||
            s.ltime != (intent ? 11 : 10) || (s.since_s == 99) != r->stamps)
            fail_msg("row of line %d: to %d, change %d, heeded %d, ltime %llu, since %llu", r->line, (int)s.status,
                     (int)got.change, got.heeded, (unsigned long long)s.ltime, (unsigned long long)s.since_s);
    }
    for (unsigned from = 0; from < 5; from++) {
        for (unsigned input = 0; input < 5; input++)
            assert_true(met[from][input]);
    }
}

/* An intent that is not newer than the newest heeded one does nothing at all, whatever the status. */
static void old_intents_change_nothing(void **state)
{
    (void)state;
    for (int from = NONE; from <= FAILED; from++) {
        for (uint64_t ltime = 9; ltime <= 10; ltime++) {
            for (int leave = 0; leave < 2; leave++) {
                struct ki_standing s = {.ltime = 10, .since_s = 3, .status = (uint8_t)from};
                struct ki_status_result got =
                    ki_status_step(&s, leave ? KI_STATUS_LEAVE_INTENT : KI_STATUS_JOIN_INTENT, ltime, 99);
                assert_true((int)s.status == from && s.ltime == 10 && s.since_s == 3);
                assert_true(got.change == KI_CHANGE_NONE && !got.heeded);
            }
        }
    }
}

/* Two leave intents about one member, passed to and fro, stop: each is heeded once. */
static void intents_do_not_storm(void **state)
{
    (void)state;
    struct ki_standing s = {.status = KI_STATUS_LEFT};
    unsigned heeded = 0;
    for (unsigned i = 0; i < 100; i++)
        heeded += ki_status_step(&s, KI_STATUS_LEAVE_INTENT, i % 2 ? 7 : 8, 0).heeded;
    assert_int_equal(heeded, 1);
    assert_int_equal(s.ltime, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_followed),
        cmocka_unit_test(old_intents_change_nothing),
        cmocka_unit_test(intents_do_not_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
