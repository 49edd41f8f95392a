/* swim/probe.c: a probe with a timeout of 100 and an interval of 300, fed one input a row.  A fresh row starts a new
 * probe, so each group reads downwards as one story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swim/probe.h"

#define NEVER UINT64_MAX

static const struct row {
    int line;
    bool fresh;
    const char *what;
    enum ki_probe_input input;
    uint64_t now_us;
    enum ki_probe_act act; /* wanted, as are the next two */
    enum ki_probe_state state;
    uint64_t deadline_us;
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    /* clang-format off */
    R(true,  "start pings",             KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "time, too early",         KI_PROBE_TIME,     99, KI_PROBE_NOTHING, KI_PROBE_DIRECT,   100),
    R(false, "ack",                     KI_PROBE_ACK,      99, KI_PROBE_ALIVE,   KI_PROBE_IDLE,     NEVER),
    R(false, "the same ack again",      KI_PROBE_ACK,      99, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),
    R(false, "time when idle",          KI_PROBE_TIME,    500, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),
    R(false, "refused when idle",       KI_PROBE_REFUSED, 500, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),
    R(false, "the next round",          KI_PROBE_START,   600, KI_PROBE_PING,    KI_PROBE_DIRECT,   700),

    R(true,  "start at 50",             KI_PROBE_START,    50, KI_PROBE_PING,    KI_PROBE_DIRECT,   150),
    R(false, "no ack: ask others",      KI_PROBE_TIME,    150, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 350),
    R(false, "time, too early",         KI_PROBE_TIME,    349, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 350),
    R(false, "late direct ack",         KI_PROBE_ACK,     349, KI_PROBE_ALIVE,   KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "timer ran late",          KI_PROBE_TIME,    290, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 490),
    R(false, "helpers get their time",  KI_PROBE_TIME,    489, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 490),
    R(false, "silence",                 KI_PROBE_TIME,    490, KI_PROBE_SUSPECT, KI_PROBE_IDLE,     NEVER),
    R(false, "ack after the verdict",   KI_PROBE_ACK,     491, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "refused: ask at once",    KI_PROBE_REFUSED,   5, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 300),
    R(false, "refused again",           KI_PROBE_REFUSED,   6, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 300),
    R(false, "a refusal is no verdict", KI_PROBE_TIME,    100, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 300),
    R(false, "it was restarting",       KI_PROBE_ACK,     200, KI_PROBE_ALIVE,   KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "refused",                 KI_PROBE_REFUSED,   1, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 300),
    R(false, "and nobody reaches it",   KI_PROBE_TIME,   9999, KI_PROBE_SUSPECT, KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "others, of another round",KI_PROBE_AGREED,    1, KI_PROBE_NOTHING, KI_PROBE_DIRECT,   100),
    R(false, "refused",                 KI_PROBE_REFUSED,   2, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 300),
    R(false, "others are refused too",  KI_PROBE_AGREED,    4, KI_PROBE_GONE,    KI_PROBE_IDLE,     NEVER),
    R(false, "and one more",            KI_PROBE_AGREED,    5, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),
    R(false, "ack after the verdict",   KI_PROBE_ACK,       6, KI_PROBE_NOTHING, KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "no ack: ask others",      KI_PROBE_TIME,    100, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 300),
    R(false, "refused by the stream",   KI_PROBE_REFUSED, 103, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 300),
    R(false, "others are refused too",  KI_PROBE_AGREED,  104, KI_PROBE_GONE,    KI_PROBE_IDLE,     NEVER),

    R(true,  "start",                   KI_PROBE_START,     0, KI_PROBE_PING,    KI_PROBE_DIRECT,   100),
    R(false, "we slept over both",      KI_PROBE_TIME,    400, KI_PROBE_ASK,     KI_PROBE_INDIRECT, 600),
    R(false, "no verdict at once",      KI_PROBE_TIME,    400, KI_PROBE_NOTHING, KI_PROBE_INDIRECT, 600),
    R(false, "but in its time",         KI_PROBE_TIME,    600, KI_PROBE_SUSPECT, KI_PROBE_IDLE,     NEVER),
    /* clang-format on */
#undef R
};

static void steps_follow_the_table(void **state)
{
    (void)state;
    struct ki_probe p;
    ki_probe_init(&p);
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        if (r->fresh)
            ki_probe_init(&p);
        p.timeout_us = 100;
        p.interval_us = 300;
        p.help_us = 200;
        enum ki_probe_act act = ki_probe_step(&p, r->input, r->now_us);
        if (act != r->act || p.state != r->state || p.deadline_us != r->deadline_us)
            fail_msg("row of line %d, %s: act %d, state %d, deadline %llu", r->line, r->what, (int)act, (int)p.state,
                     (unsigned long long)p.deadline_us);
    }
}

/* Every state meets every input: the table above is whole. */
static void table_is_whole(void **state)
{
    (void)state;
    bool met[3][5] = {{false}};
    enum ki_probe_state before = KI_PROBE_IDLE;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        met[r->fresh ? KI_PROBE_IDLE : before][r->input] = true;
        before = r->state;
    }
    for (unsigned s = 0; s < 3; s++) {
        for (unsigned i = 0; i < 5; i++) /* a start in the middle of a round is a bug of the caller: it asserts */
            assert_true(met[s][i] || (i == KI_PROBE_START && s != KI_PROBE_IDLE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_table),
        cmocka_unit_test(table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
