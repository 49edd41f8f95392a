/* Checker "gaps": what is missing is told, and nothing else is.
 *
 * Kept: for each hearer and voice (talk.h) the number before which all is settled: told as an event, told as a gap, or
 * spared, since it is old for who joined after it or came without its number.  From 1 on there is no hole, and what is
 * settled is not settled again.
 *
 * A gap names its origin, not which of its lives.  It is put to the one life that it can be of; while there are several, it
 * waits until a later number shows which. */
#include "sim/talk.h"

struct gaps_waiting {
    uint32_t hearer, origin;
    uint64_t first, last;
};

struct gaps_state {
    struct sim_grid settled; /* by hearer and voice: the last number that is */
    struct gaps_waiting *waiting;
    size_t count, cap;
};

/* One that waits and has this number, and none beyond `until`; count: there is none. */
static size_t gaps_with(const struct gaps_state *g, uint32_t hearer, uint32_t origin, uint32_t seq, uint32_t until)
{
    size_t i = 0;
    for (; i < g->count; i++) {
        const struct gaps_waiting *w = &g->waiting[i];
        if (w->hearer == hearer && w->origin == origin && w->first <= seq && w->last >= seq && w->last <= until)
            break;
    }
    return i;
}

/* How far the voice is settled for the hearer, up to `until` at most.  Where nothing else has settled a number, a gap that
 * waits may; takes: it is this voice's then, and waits no more. */
static uint32_t gaps_reach(kith_sim *s, struct gaps_state *g, uint32_t hearer, uint32_t voice, uint32_t until, bool takes)
{
    struct sim_talk *t = ki_sim_talk(s);
    const struct sim_voice *v = &t->voices[voice];
    uint32_t at = *ki_sim_grid_at(&g->settled, hearer, voice);
    while (at < until && at < v->last) {
        if (ki_sim_talk_spared(s, t, hearer, v, at + 1)) {
            at++;
            continue;
        }
        size_t gap = gaps_with(g, hearer, v->node, at + 1, until);
        if (gap == g->count)
            break;
        at = (uint32_t)g->waiting[gap].last;
        if (takes)
            g->waiting[gap] = g->waiting[--g->count];
    }
    return at;
}

static void gaps_number(kith_sim *s, struct gaps_state *g, uint32_t hearer, const struct sim_said *said)
{
    uint32_t *settled = ki_sim_grid_at(&g->settled, hearer, said->voice);
    uint32_t reach = gaps_reach(s, g, hearer, said->voice, said->seq - 1, true);
    if (*settled >= said->seq)
        ki_sim_violate(s, "gaps", hearer, "number %u of %s is told, and all up to %u was settled", said->seq,
                       ki_sim_name(s, said->by), *settled);
    else if (reach + 1 != said->seq)
        ki_sim_violate(s, "gaps", hearer, "number %u of %s is told, and nothing of number %u", said->seq,
                       ki_sim_name(s, said->by), reach + 1);
    *settled = said->seq;
}

static void gaps_gap(kith_sim *s, struct gaps_state *g, uint32_t hearer, const struct kith_message *m)
{
    const struct sim_talk *t = ki_sim_talk(s);
    uint32_t origin = ki_sim_talk_node(s, m->origin), found = SIM_NO_TALK, count = 0;
    for (uint32_t v = 0; v < t->voice_count; v++) {
        if (t->voices[v].node != origin || m->seq == 0 || m->seq_last < m->seq || t->voices[v].last < m->seq_last ||
            gaps_reach(s, g, hearer, v, (uint32_t)m->seq - 1, false) + 1 != m->seq)
            continue;
        found = v;
        count++;
    }
    if (count == 0)
        ki_sim_violate(s, "gaps", hearer, "a gap of %.*s from %llu to %llu is told, where there is none",
                       (int)m->origin.len, m->origin.ptr, (unsigned long long)m->seq, (unsigned long long)m->seq_last);
    if (count == 1) {
        uint32_t *settled = ki_sim_grid_at(&g->settled, hearer, found);
        (void)gaps_reach(s, g, hearer, found, (uint32_t)m->seq - 1, true);
        *settled = (uint32_t)m->seq_last;
    } else if (count > 1) {
        g->waiting = ki_sim_grow(g->waiting, &g->cap, g->count, sizeof *g->waiting);
        g->waiting[g->count++] = (struct gaps_waiting){hearer, origin, m->seq, m->seq_last};
    }
}

static void gaps_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    const struct sim_talk *t = ki_sim_talk(s);
    if (!t->on)
        return;
    if (event->kind == KITH_EVENT_GAP)
        gaps_gap(s, state, node, &event->message);
    uint32_t token = event->kind == KITH_EVENT_USER ? ki_sim_talk_token('e', event->message.payload) : SIM_NO_TALK;
    if (token < t->said_count && event->message.seq != 0 && t->said[token].seq != 0)
        gaps_number(s, state, node, &t->said[token]);
}

bool ki_sim_gaps_settled(kith_sim *s, uint32_t node, uint32_t voice)
{
    struct gaps_state *g = ki_sim_observer_state(s, &ki_sim_check_gaps.watch);
    uint32_t last = ki_sim_talk(s)->voices[voice].last;
    return gaps_reach(s, g, node, voice, last, false) == last;
}

static void gaps_born(kith_sim *s, void *state, uint32_t node)
{
    (void)s;
    struct gaps_state *g = state;
    size_t kept = 0;
    ki_sim_grid_clear(&g->settled, node);
    for (size_t i = 0; i < g->count; i++) {
        if (g->waiting[i].hearer != node)
            g->waiting[kept++] = g->waiting[i];
    }
    g->count = kept;
}

static void gaps_end(kith_sim *s, void *state)
{
    (void)s;
    struct gaps_state *g = state;
    ki_sim_grid_free(&g->settled);
    free(g->waiting);
}

const struct sim_checker ki_sim_check_gaps = {
    .about = "numbers that a member is not told are told as a gap, and no others",
    .watch = {.name = "gaps",
              .state_size = sizeof(struct gaps_state),
              .born = gaps_born,
              .event = gaps_event,
              .end = gaps_end},
};
