/* Precedence of rumours: a higher incarnation wins; at the same one dead beats suspect beats alive.
 *
 * Alive needs a strictly higher incarnation because only the member itself raises it.  The highest incarnation a u32
 * holds is never believed: nothing could refute it.
 *
 * Invariant: no verdict lowers an incarnation, but for the one address change that memberlist allows (a name that
 * left, or died long ago, may begin again elsewhere).
 * Deliberately not here: doing what the verdict says (node/rumour.c), and timers. */
#include "swim/merge.h"

#include "base/canary.h"

static struct ki_merge_result merge_as(enum ki_merge_verdict verdict, enum ki_state state)
{
    return (struct ki_merge_result){.verdict = verdict, .state = state};
}

static struct ki_merge_result merge_alive(const struct ki_merge_input *in)
{
    if (!in->known)
        return merge_as(KI_MERGE_NEW, KI_ALIVE);
    if (in->self && in->leaving)
        return merge_as(KI_MERGE_IGNORE, in->state);
    bool moved = !in->same_addr;
    if (moved && (in->self || !in->may_move))
        return merge_as(KI_MERGE_CONFLICT, in->state);
    if (in->self) {
        if (in->incarnation < in->known_incarnation)
            return merge_as(KI_MERGE_IGNORE, in->state);
        if (in->incarnation == in->known_incarnation && in->same_content)
            return merge_as(KI_MERGE_IGNORE, in->state);
        return merge_as(KI_MERGE_REFUTE, in->state);
    }
    if (KI_CANARY(REVIVE) && in->state == KI_LEFT)
        return merge_as(KI_MERGE_ACCEPT, KI_ALIVE);
    if (!moved && in->incarnation <= in->known_incarnation)
        return merge_as(in->state == KI_ALIVE ? KI_MERGE_IGNORE : KI_MERGE_STALE, in->state);
    return merge_as(KI_MERGE_ACCEPT, KI_ALIVE);
}

static struct ki_merge_result merge_suspect(const struct ki_merge_input *in)
{
    if (in->state == KI_SUSPECT)
        return merge_as(KI_MERGE_CONFIRM, KI_SUSPECT);
    if (in->state != KI_ALIVE)
        return merge_as(KI_MERGE_IGNORE, in->state);
    if (in->self)
        return merge_as(KI_MERGE_REFUTE, KI_ALIVE);
    return merge_as(KI_MERGE_ACCEPT, KI_SUSPECT);
}

static struct ki_merge_result merge_dead(const struct ki_merge_input *in, enum ki_state state)
{
    if (in->state == KI_DEAD || in->state == KI_LEFT)
        return merge_as(KI_MERGE_IGNORE, in->state);
    if (in->self && !in->leaving && !KI_CANARY(OBEY))
        return merge_as(KI_MERGE_REFUTE, in->state);
    return merge_as(KI_MERGE_ACCEPT, state);
}

struct ki_merge_result ki_merge(const struct ki_merge_input *in)
{
    if (in->incarnation == UINT32_MAX)
        return merge_as(KI_MERGE_IGNORE, in->state);
    if (in->rumour == KI_RUMOUR_ALIVE)
        return merge_alive(in);
    if (!in->known || (in->incarnation < in->known_incarnation && !KI_CANARY(OLD_NEWS)))
        return merge_as(KI_MERGE_IGNORE, in->state);
    switch (in->rumour) {
    case KI_RUMOUR_SUSPECT:
        return merge_suspect(in);
    case KI_RUMOUR_DEAD:
        return merge_dead(in, KI_DEAD);
    case KI_RUMOUR_LEFT:
        return merge_dead(in, KI_LEFT);
    case KI_RUMOUR_ALIVE:
        break;
    }
    KI_UNREACHABLE();
}
