/* swim/merge.c: the rules as a reader of PROTOCOL.md "merging" would tell them, one a row.  Known incarnation is 5.
 * (tests/exhaustive tries every case there is.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swim/merge.h"

enum { UNKNOWN = 1, SELF = 2, LEAVING = 4, MOVED = 8, MAY_MOVE = 16, DIFFERS = 32 };

static const struct row {
    int line;
    const char *what;
    enum ki_rumour rumour;
    uint32_t incarnation;
    enum ki_state known;
    unsigned flags;
    enum ki_merge_verdict verdict;
    enum ki_state state; /* ACCEPT, NEW */
} rows[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    /* clang-format off */
    R("a newcomer",                    KI_RUMOUR_ALIVE,   0, KI_ALIVE,   UNKNOWN, KI_MERGE_NEW, KI_ALIVE),
    R("suspicion of nobody we know",   KI_RUMOUR_SUSPECT, 9, KI_ALIVE,   UNKNOWN, KI_MERGE_IGNORE, KI_ALIVE),
    R("death of nobody we know",       KI_RUMOUR_DEAD,    9, KI_ALIVE,   UNKNOWN, KI_MERGE_IGNORE, KI_ALIVE),
    R("leave of nobody we know",       KI_RUMOUR_LEFT,    9, KI_ALIVE,   UNKNOWN, KI_MERGE_IGNORE, KI_ALIVE),

    R("alive, old",                    KI_RUMOUR_ALIVE,   4, KI_ALIVE,   0, KI_MERGE_IGNORE, KI_ALIVE),
    R("alive, same",                   KI_RUMOUR_ALIVE,   5, KI_ALIVE,   0, KI_MERGE_IGNORE, KI_ALIVE),
    R("alive, newer",                  KI_RUMOUR_ALIVE,   6, KI_ALIVE,   DIFFERS, KI_MERGE_ACCEPT, KI_ALIVE),
    R("refutation too weak",           KI_RUMOUR_ALIVE,   5, KI_SUSPECT, 0, KI_MERGE_STALE, KI_ALIVE),
    R("refutation",                    KI_RUMOUR_ALIVE,   6, KI_SUSPECT, 0, KI_MERGE_ACCEPT, KI_ALIVE),
    R("the dead must outrank",         KI_RUMOUR_ALIVE,   5, KI_DEAD,    0, KI_MERGE_STALE, KI_ALIVE),
    R("back from the dead",            KI_RUMOUR_ALIVE,   6, KI_DEAD,    0, KI_MERGE_ACCEPT, KI_ALIVE),
    R("back after leaving",            KI_RUMOUR_ALIVE,   6, KI_LEFT,    0, KI_MERGE_ACCEPT, KI_ALIVE),

    R("another address, alive name",   KI_RUMOUR_ALIVE,   9, KI_ALIVE,   MOVED, KI_MERGE_CONFLICT, KI_ALIVE),
    R("another address, not yet free", KI_RUMOUR_ALIVE,   9, KI_DEAD,    MOVED, KI_MERGE_CONFLICT, KI_ALIVE),
    R("another address, free: any",   KI_RUMOUR_ALIVE,   1, KI_LEFT,    MOVED | MAY_MOVE, KI_MERGE_ACCEPT, KI_ALIVE),
    R("may move but did not",          KI_RUMOUR_ALIVE,   5, KI_LEFT,    MAY_MOVE, KI_MERGE_STALE, KI_ALIVE),
    R("our name elsewhere",            KI_RUMOUR_ALIVE,   9, KI_ALIVE,   SELF | MOVED | MAY_MOVE,
      KI_MERGE_CONFLICT, KI_ALIVE),

    R("us, as we are",                 KI_RUMOUR_ALIVE,   5, KI_ALIVE,   SELF, KI_MERGE_IGNORE, KI_ALIVE),
    R("us, before",                    KI_RUMOUR_ALIVE,   4, KI_ALIVE,   SELF | DIFFERS, KI_MERGE_IGNORE, KI_ALIVE),
    R("us, with what we never said",   KI_RUMOUR_ALIVE,   5, KI_ALIVE,   SELF | DIFFERS, KI_MERGE_REFUTE, KI_ALIVE),
    R("us, from an earlier life",      KI_RUMOUR_ALIVE,   6, KI_ALIVE,   SELF, KI_MERGE_REFUTE, KI_ALIVE),
    R("us, when leaving",              KI_RUMOUR_ALIVE,   9, KI_LEFT,    SELF | LEAVING, KI_MERGE_IGNORE, KI_ALIVE),

    R("suspect, old",                  KI_RUMOUR_SUSPECT, 4, KI_ALIVE,   0, KI_MERGE_IGNORE, KI_ALIVE),
    R("suspect, same beats alive",     KI_RUMOUR_SUSPECT, 5, KI_ALIVE,   0, KI_MERGE_ACCEPT, KI_SUSPECT),
    R("one more accuser",              KI_RUMOUR_SUSPECT, 5, KI_SUSPECT, 0, KI_MERGE_CONFIRM, KI_ALIVE),
    R("an accuser behind the times",   KI_RUMOUR_SUSPECT, 4, KI_SUSPECT, 0, KI_MERGE_IGNORE, KI_ALIVE),
    R("dead already",                  KI_RUMOUR_SUSPECT, 9, KI_DEAD,    0, KI_MERGE_IGNORE, KI_ALIVE),
    R("left already",                  KI_RUMOUR_SUSPECT, 9, KI_LEFT,    0, KI_MERGE_IGNORE, KI_ALIVE),
    R("we are suspected",              KI_RUMOUR_SUSPECT, 5, KI_ALIVE,   SELF, KI_MERGE_REFUTE, KI_ALIVE),
    R("we were suspected",             KI_RUMOUR_SUSPECT, 4, KI_ALIVE,   SELF, KI_MERGE_IGNORE, KI_ALIVE),

    R("dead, old",                     KI_RUMOUR_DEAD,    4, KI_ALIVE,   0, KI_MERGE_IGNORE, KI_ALIVE),
    R("dead beats alive",              KI_RUMOUR_DEAD,    5, KI_ALIVE,   0, KI_MERGE_ACCEPT, KI_DEAD),
    R("dead beats suspect",            KI_RUMOUR_DEAD,    5, KI_SUSPECT, 0, KI_MERGE_ACCEPT, KI_DEAD),
    R("dead twice",                    KI_RUMOUR_DEAD,    9, KI_DEAD,    0, KI_MERGE_IGNORE, KI_ALIVE),
    R("left stays left",               KI_RUMOUR_DEAD,    9, KI_LEFT,    0, KI_MERGE_IGNORE, KI_ALIVE),
    R("leaving",                       KI_RUMOUR_LEFT,    5, KI_ALIVE,   0, KI_MERGE_ACCEPT, KI_LEFT),
    R("we are not dead",               KI_RUMOUR_DEAD,    5, KI_ALIVE,   SELF, KI_MERGE_REFUTE, KI_ALIVE),
    R("we did not leave",              KI_RUMOUR_LEFT,    9, KI_ALIVE,   SELF, KI_MERGE_REFUTE, KI_ALIVE),
    R("we do leave",                   KI_RUMOUR_LEFT,    5, KI_ALIVE,   SELF | LEAVING, KI_MERGE_ACCEPT, KI_LEFT),

    R("beyond refuting: alive",        KI_RUMOUR_ALIVE,   UINT32_MAX, KI_ALIVE, 0, KI_MERGE_IGNORE, KI_ALIVE),
    R("beyond refuting: a newcomer",   KI_RUMOUR_ALIVE,   UINT32_MAX, KI_ALIVE, UNKNOWN, KI_MERGE_IGNORE, KI_ALIVE),
    R("beyond refuting: us",           KI_RUMOUR_DEAD,    UINT32_MAX, KI_ALIVE, SELF, KI_MERGE_IGNORE, KI_ALIVE),
    /* clang-format on */
#undef R
};

static void rules_follow_the_table(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + KI_COUNT(rows); r++) {
        struct ki_merge_input in = {.rumour = r->rumour,
                                    .incarnation = r->incarnation,
                                    .known = !(r->flags & UNKNOWN),
                                    .self = r->flags & SELF,
                                    .leaving = r->flags & LEAVING,
                                    .state = r->known,
                                    .known_incarnation = r->flags & UNKNOWN ? 0 : 5,
                                    .same_addr = !(r->flags & MOVED),
                                    .same_content = !(r->flags & DIFFERS),
                                    .may_move = r->flags & MAY_MOVE};
        struct ki_merge_result got = ki_merge(&in);
        bool stated = got.verdict == KI_MERGE_ACCEPT || got.verdict == KI_MERGE_NEW;
        if (got.verdict != r->verdict || (stated && got.state != r->state))
            fail_msg("row of line %d, %s: verdict %d, state %d", r->line, r->what, (int)got.verdict, (int)got.state);
    }
}

static void refutation_outranks(void **state)
{
    (void)state;
    static const uint32_t pairs[][3] = {{5, 5, 6}, {5, 9, 10}, {9, 5, 10}, {0, 0, 1}, {5, UINT32_MAX - 1, UINT32_MAX}};
    for (size_t i = 0; i < KI_COUNT(pairs); i++)
        assert_int_equal(ki_refuting(pairs[i][0], pairs[i][1]), pairs[i][2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_follow_the_table),
        cmocka_unit_test(refutation_outranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
