/* The merge rule, every case of a small domain: 4 rumours, incarnations 0..3 and the largest two, known or not, 4
 * states, self, leaving, same address, same content, may move.  Each is compared with the rules as PROTOCOL.md
 * "merging" states them, written down here once more sentence by sentence and in another order than merge.c; then
 * what must follow from them: a rumour told twice does nothing more, two rumours told in either order end alike, and
 * an incarnation never falls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "swim/merge.h"

static const uint32_t incarnations[] = {0, 1, 2, 3, UINT32_MAX - 1, UINT32_MAX};

#define INCARNATIONS (sizeof incarnations / sizeof *incarnations)

struct wanted {
    enum ki_merge_verdict verdict;
    int state; /* -1: not stated */
};

/* "alive(a)": steps 1 to 5. */
static struct wanted spec_alive(const struct ki_merge_input *in)
{
    /* 1. Leaving and a is about self: ignore.  2. Unknown: create. */
    if (in->known && in->self && in->leaving)
        return (struct wanted){KI_MERGE_IGNORE, -1};
    if (!in->known)
        return (struct wanted){KI_MERGE_NEW, KI_ALIVE};
    /* 3. Another address: a conflict, also when it is about us, unless the name may be taken over. */
    bool update_address = !in->same_addr && in->may_move && !in->self;
    if (!in->same_addr && !update_address)
        return (struct wanted){KI_MERGE_CONFLICT, -1};
    /* 4, 5. Self: older is ignored, the very same is ignored, anything else is refuted. */
    if (in->self) {
        bool older = in->incarnation < in->known_incarnation;
        bool same = in->incarnation == in->known_incarnation && in->same_content;
        return (struct wanted){older || same ? KI_MERGE_IGNORE : KI_MERGE_REFUTE, -1};
    }
    /* 4. Others: alive needs strictly more, unless the address is taken over; kith tells the sender when what it
     * does not outrank is an accusation. */
    if (update_address || in->incarnation > in->known_incarnation)
        return (struct wanted){KI_MERGE_ACCEPT, KI_ALIVE};
    return (struct wanted){in->state == KI_ALIVE ? KI_MERGE_IGNORE : KI_MERGE_STALE, -1};
}

/* "suspect(s)" and "dead(d)": unknown and older are ignored; at the same incarnation they beat alive. */
static struct wanted spec_accusation(const struct ki_merge_input *in)
{
    const struct wanted ignore = {KI_MERGE_IGNORE, -1};
    bool gone = in->state == KI_DEAD || in->state == KI_LEFT;
    if (!in->known || in->incarnation < in->known_incarnation || gone)
        return ignore;
    if (in->rumour == KI_RUMOUR_SUSPECT && in->state == KI_SUSPECT)
        return (struct wanted){KI_MERGE_CONFIRM, -1};
    bool deadly = in->rumour != KI_RUMOUR_SUSPECT;
    if (in->self && !(deadly && in->leaving))
        return (struct wanted){KI_MERGE_REFUTE, -1};
    if (!deadly)
        return (struct wanted){KI_MERGE_ACCEPT, KI_SUSPECT};
    return (struct wanted){KI_MERGE_ACCEPT, in->rumour == KI_RUMOUR_LEFT ? KI_LEFT : KI_DEAD};
}

static struct wanted spec(const struct ki_merge_input *in)
{
    if (in->incarnation == UINT32_MAX) /* kith's own: what cannot be refuted is not believed */
        return (struct wanted){KI_MERGE_IGNORE, -1};
    return in->rumour == KI_RUMOUR_ALIVE ? spec_alive(in) : spec_accusation(in);
}

/* Case number -> input. */
static struct ki_merge_input case_at(uint32_t number)
{
    struct ki_merge_input in;
    in.rumour = (enum ki_rumour)(number % 4);
    number /= 4;
    in.state = (enum ki_state)(number % 4);
    number /= 4;
    in.incarnation = incarnations[number % INCARNATIONS];
    number /= INCARNATIONS;
    in.known_incarnation = incarnations[number % INCARNATIONS];
    number /= INCARNATIONS;
    in.known = number & 1;
    in.self = number & 2;
    in.leaving = number & 4;
    in.same_addr = number & 8;
    in.same_content = number & 16;
    in.may_move = number & 32;
    return in;
}

#define CASES ((uint32_t)(4 * 4 * INCARNATIONS * INCARNATIONS * 64))

static void every_case_is_as_the_rules_say(void **state)
{
    (void)state;
    unsigned verdicts[KI_MERGE_REFUTE + 1] = {0};
    for (uint32_t n = 0; n < CASES; n++) {
        struct ki_merge_input in = case_at(n);
        struct ki_merge_result got = ki_merge(&in);
        struct wanted want = spec(&in);
        if (got.verdict != want.verdict || (want.state >= 0 && (int)got.state != want.state))
            fail_msg("case %u: verdict %d, wanted %d; state %d, wanted %d", n, (int)got.verdict, (int)want.verdict,
                     (int)got.state, want.state);
        verdicts[got.verdict]++;
    }
    for (unsigned v = 0; v <= KI_MERGE_REFUTE; v++)
        assert_true(verdicts[v] > 0);
}

/* ---- what follows ---- */

struct view { /* of one member that is not us and does not move */
    uint32_t incarnation;
    enum ki_state state;
};

static struct view tell(struct view v, enum ki_rumour rumour, uint32_t incarnation, enum ki_merge_verdict *verdict)
{
    struct ki_merge_input in = {.rumour = rumour,
                                .incarnation = incarnation,
                                .known = true,
                                .state = v.state,
                                .known_incarnation = v.incarnation,
                                .same_addr = true,
                                .same_content = false};
    struct ki_merge_result got = ki_merge(&in);
    *verdict = got.verdict;
    if (got.verdict == KI_MERGE_ACCEPT)
        v = (struct view){.incarnation = incarnation, .state = got.state};
    return v;
}

static bool same_view(struct view a, struct view b)
{
    return a.incarnation == b.incarnation && a.state == b.state;
}

#define FOR_VIEWS(v)                                                                                                  \
    for (struct view v = {0, KI_ALIVE}; v.incarnation < 4; v.incarnation++)                                           \
        for (v.state = KI_ALIVE; v.state <= KI_LEFT; v.state = (enum ki_state)(v.state + 1))

#define FOR_RUMOURS(r, i)                                                                                             \
    for (enum ki_rumour r = KI_RUMOUR_ALIVE; r <= KI_RUMOUR_LEFT; r = (enum ki_rumour)(r + 1))                        \
        for (uint32_t i = 0; i < 5; i++)

static void told_twice_is_told_once(void **state)
{
    (void)state;
    FOR_VIEWS(v)
    {
        FOR_RUMOURS(r, i)
        {
            enum ki_merge_verdict verdict;
            struct view once = tell(v, r, i, &verdict);
            struct view twice = tell(once, r, i, &verdict);
            assert_true(same_view(once, twice));
            assert_int_not_equal(verdict, KI_MERGE_ACCEPT); /* so it is not passed on for ever */
            assert_true(once.incarnation >= v.incarnation);
        }
    }
}

static unsigned rank_of(enum ki_state state)
{
    return state == KI_ALIVE ? 0 : state == KI_SUSPECT ? 1 : 2;
}

/* Tells both.  *passed_over: an accusation of a higher incarnation met a member already accused, and memberlist's rule
 * leaves the lower incarnation standing (it confirms the suspicion, or the member is gone anyway). */
static struct view tell_both(struct view v, const enum ki_rumour rumours[2], const uint32_t incarnation[2],
                             unsigned first, bool *passed_over)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned at = i ? 1 - first : first;
        uint32_t before = v.incarnation;
        enum ki_merge_verdict verdict;
        v = tell(v, rumours[at], incarnation[at], &verdict);
        *passed_over = *passed_over || (rumours[at] != KI_RUMOUR_ALIVE && incarnation[at] > before &&
                                        verdict != KI_MERGE_ACCEPT);
    }
    return v;
}

/* Two rumours in either order end in the same incarnation and in the same of alive, suspect and gone (dead and left
 * are both gone: the first to say so decides which).  The one exception is an accusation that is passed over, see
 * above; it is wiped out by the next alive, which must outrank all: told that, every order ends in the same view. */
static void order_does_not_matter_in_the_end(void **state)
{
    (void)state;
    unsigned pairs = 0, exceptions = 0;
    FOR_VIEWS(v)
    {
        FOR_RUMOURS(r1, i1)
        {
            FOR_RUMOURS(r2, i2)
            {
                const enum ki_rumour rumours[2] = {r1, r2};
                const uint32_t said[2] = {i1, i2};
                bool passed_over = false;
                struct view a = tell_both(v, rumours, said, 0, &passed_over);
                struct view b = tell_both(v, rumours, said, 1, &passed_over);
                pairs++;
                exceptions += passed_over;
                assert_true(passed_over || (a.incarnation == b.incarnation && rank_of(a.state) == rank_of(b.state)));
                enum ki_merge_verdict verdict;
                uint32_t higher = (a.incarnation > b.incarnation ? a.incarnation : b.incarnation) + 1;
                a = tell(a, KI_RUMOUR_ALIVE, higher, &verdict);
                b = tell(b, KI_RUMOUR_ALIVE, higher, &verdict);
                assert_true(same_view(a, b) && a.state == KI_ALIVE);
            }
        }
    }
    assert_int_equal(pairs, 16 * 20 * 20);
    assert_in_range(exceptions, 1, pairs * 6 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_as_the_rules_say),
        cmocka_unit_test(told_twice_is_told_once),
        cmocka_unit_test(order_does_not_matter_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
