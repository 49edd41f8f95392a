/* Faults: what happens to nodes and to the network at the caller's word.
 *
 * Each takes effect at once, at the present virtual time; what was on its way stays on its way.  The observers are told
 * that there was a fault, because some of what they check holds only in a world without any.
 *
 * Deliberately not here: when.  Whoever makes faults runs the world to the time and calls. */
#include <stdio.h>

#include "sim/world.h"

/* ---- nodes ---- */

void kith_sim_crash(kith_sim *s, uint32_t node, enum kith_sim_death how)
{
    struct sim_node *n = ki_sim_node_at(s, node);
    if (!n->k)
        return;
    ki_sim_trace(s, node, "fault crash%s", how == KITH_SIM_HOST ? " of the host" : "");
    n->death = how;
    SIM_TELL0(s, fault);
    ki_sim_node_stop(s, node);
    ki_sim_streams_node_down(s, node);
}

int kith_sim_restart(kith_sim *s, uint32_t node, enum kith_sim_state state)
{
    struct sim_node *n = ki_sim_node_at(s, node);
    KI_ASSERT(!n->k && (state == KITH_SIM_EMPTY || s->cfg.persist));
    ki_sim_trace(s, node, "fault restart%s", state == KITH_SIM_KEEP     ? " with its records"
                                           : state == KITH_SIM_BACKUP ? " with its backup"
                                                                      : "");
    SIM_TELL0(s, fault);
    return ki_sim_node_start(s, node, state);
}

void kith_sim_disk(kith_sim *s, uint32_t node, const struct kith_sim_disk *disk)
{
    struct sim_store *store = ki_sim_node_at(s, node)->store;
    KI_ASSERT(store && disk->delay_min_us <= disk->delay_max_us);
    ki_sim_trace(s, node, "fault disk %s, %u to %u us", disk->full ? "full" : "fine", (unsigned)disk->delay_min_us,
                 (unsigned)disk->delay_max_us);
    SIM_TELL0(s, fault);
    store->disk = *disk;
}

void kith_sim_pause(kith_sim *s, uint32_t node, bool paused)
{
    struct sim_node *n = ki_sim_node_at(s, node);
    if (!n->k || n->paused == paused)
        return;
    ki_sim_trace(s, node, "fault %s", paused ? "pause" : "resume");
    SIM_TELL0(s, fault);
    n->paused = paused;
    if (paused) {
        n->paused_us = s->now_us;
        return;
    }
    n->away_us += s->now_us - n->paused_us;
    ki_sim_node_release(s, node);
    ki_sim_streams_wake(s, node);
}

/* Beyond half of all time is without end, so that what is added to other times does not wrap around. */
static uint64_t fault_end_us(uint64_t until_us)
{
    return until_us > KITH_NEVER / 2 ? KITH_NEVER : until_us;
}

/* "for 17 us", or "for ever". */
static const char *fault_for(const kith_sim *s, uint64_t until_us, char text[32])
{
    if (until_us == KITH_NEVER)
        return "for ever";
    snprintf(text, 32, "for %llu us", (unsigned long long)(until_us > s->now_us ? until_us - s->now_us : 0));
    return text;
}

void kith_sim_slow(kith_sim *s, uint32_t node, uint64_t until_us)
{
    char text[32];
    until_us = fault_end_us(until_us);
    ki_sim_trace(s, node, "fault slow %s", fault_for(s, until_us, text));
    SIM_TELL0(s, fault);
    ki_sim_node_at(s, node)->slow_until_us = until_us;
}

/* ---- the network ---- */

bool ki_sim_link_fine(const struct kith_sim_link *link)
{
    const uint32_t million = 1000000;
    return link->latency_min_us <= link->latency_max_us && link->loss_ppm <= million && link->duplicate_ppm <= million &&
           link->reorder_ppm <= million && link->corrupt_ppm <= million;
}

int kith_sim_link(kith_sim *s, uint32_t from, uint32_t to, const struct kith_sim_link *link)
{
    KI_ASSERT(ki_sim_node_at(s, from) && ki_sim_node_at(s, to));
    if (link && !ki_sim_link_fine(link))
        return KITH_ERR_ARG;
    struct sim_pair *pair = ki_sim_pair_make(s, from, to);
    pair->own_link = link != NULL;
    if (link)
        pair->link = *link;
    ki_sim_trace(s, from, "fault link to %s: %s", ki_sim_name(s, to), link ? "its own" : "as all");
    SIM_TELL0(s, fault);
    return 0;
}

int kith_sim_default_link(kith_sim *s, const struct kith_sim_link *link)
{
    if (!ki_sim_link_fine(link))
        return KITH_ERR_ARG;
    s->cfg.link = *link;
    ki_sim_trace(s, KITH_SIM_ALL, "fault link: loss %u ppm, latency %u to %u us", (unsigned)link->loss_ppm,
                 (unsigned)link->latency_min_us, (unsigned)link->latency_max_us);
    SIM_TELL0(s, fault);
    return 0;
}

void kith_sim_cut(kith_sim *s, uint32_t from, uint32_t to, bool cut)
{
    KI_ASSERT(ki_sim_node_at(s, from) && ki_sim_node_at(s, to));
    ki_sim_pair_make(s, from, to)->cut = cut;
    ki_sim_trace(s, from, "fault %s to %s", cut ? "cut" : "mended", ki_sim_name(s, to));
    SIM_TELL0(s, fault);
}

void kith_sim_side(kith_sim *s, uint32_t node, unsigned side)
{
    KI_ASSERT(side < SIM_SIDES);
    ki_sim_node_at(s, node)->side = side;
}

void kith_sim_cut_sides(kith_sim *s, unsigned from, unsigned to, bool cut)
{
    KI_ASSERT(from < SIM_SIDES && to < SIM_SIDES);
    if (cut)
        s->cut_sides[from] |= (uint64_t)1 << to;
    else
        s->cut_sides[from] &= ~((uint64_t)1 << to);
    ki_sim_trace(s, KITH_SIM_ALL, "fault %s from side %u to side %u", cut ? "cut" : "mended", from, to);
    SIM_TELL0(s, fault);
}

void kith_sim_clog(kith_sim *s, uint32_t from, uint32_t to, uint64_t until_us)
{
    KI_ASSERT(ki_sim_node_at(s, from) && ki_sim_node_at(s, to));
    char text[32];
    until_us = fault_end_us(until_us);
    ki_sim_pair_make(s, from, to)->clogged_until_us = until_us;
    ki_sim_trace(s, from, "fault clog to %s %s", ki_sim_name(s, to), fault_for(s, until_us, text));
    SIM_TELL0(s, fault);
}

void kith_sim_mend(kith_sim *s)
{
    for (uint32_t node = 0; node < s->count; node++)
        s->nodes[node]->side = 0;
    memset(s->cut_sides, 0, sizeof s->cut_sides);
    ki_map_free(&s->by_pair);
    s->pair_count = 0;
    ki_sim_trace(s, KITH_SIM_ALL, "fault all mended");
    SIM_TELL0(s, fault);
}
