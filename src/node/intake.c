/* Members as a peer tells of them: versions, accusations, and the merge.
 *
 * A whole exchange of states and a comparison of views say the same of a member, and mean the same by it.
 * Invariant: only the living are believed at once; who is said to be dead gets its chance to refute.
 * Deliberately not here: in which bytes they tell (exchange.c, sync_merge.c), the merge rule itself (rumour.c).
 */
#include "node/intake.h"

struct ki_versions ki_versions_none(void)
{
    return (struct ki_versions){.pmax = UINT8_MAX, .dmax = UINT8_MAX, .pcur_low = UINT8_MAX, .dcur_low = UINT8_MAX};
}

static void intake_note(struct ki_versions *v, const uint8_t *of, bool alive)
{
    if (alive && of && v->noted && memcmp(v->last, of, sizeof v->last) == 0)
        return; /* nearly all members are like the one before */
    if (alive && of) {
        v->pmin = of[0] > v->pmin ? of[0] : v->pmin;
        v->pmax = of[1] < v->pmax ? of[1] : v->pmax;
        v->dmin = of[3] > v->dmin ? of[3] : v->dmin;
        v->dmax = of[4] < v->dmax ? of[4] : v->dmax;
        v->noted = true;
        memcpy(v->last, of, sizeof v->last);
    }
    uint8_t pcur = of ? of[2] : 0, dcur = of ? of[5] : 0;
    v->pcur_low = pcur < v->pcur_low ? pcur : v->pcur_low;
    v->pcur_high = pcur > v->pcur_high ? pcur : v->pcur_high;
    v->dcur_low = dcur < v->dcur_low ? dcur : v->dcur_low;
    v->dcur_high = dcur > v->dcur_high ? dcur : v->dcur_high;
}

void ki_versions_note(struct ki_versions *v, const struct ki_node_state *node)
{
    intake_note(v, node->versions.len ? node->versions.ptr : NULL, node->state == KI_ALIVE);
}

static void intake_join(struct ki_versions *v, const struct ki_versions *others)
{
    v->pmin = others->pmin > v->pmin ? others->pmin : v->pmin;
    v->pmax = others->pmax < v->pmax ? others->pmax : v->pmax;
    v->dmin = others->dmin > v->dmin ? others->dmin : v->dmin;
    v->dmax = others->dmax < v->dmax ? others->dmax : v->dmax;
    v->pcur_low = others->pcur_low < v->pcur_low ? others->pcur_low : v->pcur_low;
    v->pcur_high = others->pcur_high > v->pcur_high ? others->pcur_high : v->pcur_high;
    v->dcur_low = others->dcur_low < v->dcur_low ? others->dcur_low : v->dcur_low;
    v->dcur_high = others->dcur_high > v->dcur_high ? others->dcur_high : v->dcur_high;
}

/* Asked with every message of a comparison, of which a newcomer hears hundreds.  As long as no member has changed or gone,
 * and all new ones stand behind those that we knew, only the new ones are looked at. */
static const struct ki_versions_known *intake_know_ours(struct kith *k)
{
    struct ki_versions_known *known = &k->versions_known;
    const struct ki_table *t = &k->table;
    if (known->epoch != t->epoch || t->used - known->used != t->count - known->count)
        known->used = 0;
    if (known->used == 0)
        *known = (struct ki_versions_known){.versions = ki_versions_none()};
    for (uint32_t id = known->used; id < t->used; id++) {
        const struct ki_member *m = ki_table_at(t, id);
        if (!m)
            continue;
        intake_note(&known->versions, m->versions, m->state == KI_ALIVE);
        known->others += (m->state == KI_ALIVE || m->state == KI_SUSPECT) && !ki_speaks_kith(m);
    }
    known->epoch = t->epoch;
    known->used = t->used;
    known->count = t->count;
    return known;
}

void ki_versions_note_ours(struct ki_versions *v, struct kith *k)
{
    intake_join(v, &intake_know_ours(k)->versions);
}

bool ki_all_speak_kith(struct kith *k)
{
    return k->versions_known.epoch == k->table.epoch && intake_know_ours(k)->others == 0;
}

bool ki_versions_fine(const struct ki_versions *v)
{
    return v->pcur_low >= v->pmin && v->pcur_high <= v->pmax && v->dcur_low >= v->dmin && v->dcur_high <= v->dmax;
}

struct ki_node_state ki_node_state_of(const struct ki_member *m)
{
    return (struct ki_node_state){.name = ki_member_name(m),
                                  .addr = ki_member_addr(m),
                                  .port = m->port,
                                  .meta = ki_member_meta(m),
                                  .incarnation = m->incarnation,
                                  .state = m->state,
                                  .versions = ki_span(m->versions, 6)};
}

bool ki_intake_accuses_us(const struct kith *k, const struct ki_node_state *node)
{
    return node->state != KI_ALIVE && node->incarnation != UINT32_MAX && ki_span_equal(node->name, ki_name_of(k->cfg.name));
}

/* A full state says whom it accuses, not who has accused them.  memberlist takes such an accusation for its own; but if
 * many exchange with the one member that has made it, each seems to accuse by itself, and so much agreement ends the
 * suspicion before it can be refuted.  So suspects are left to gossip, which names their accusers; the dead are the
 * teller's accusation (after a partition nobody else makes it here), and confirm nothing that we have heard of. */
static void intake_accused(struct kith *k, const struct ki_teller *teller, const struct ki_node_state *node)
{
    uint32_t id = ki_table_find(&k->table, node->name);
    struct ki_suspect accusation = {
        .incarnation = node->incarnation, .node = node->name, .from = ki_name_of(k->cfg.name)};
    if (id != k->self && !k->cfg.stock) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        const struct ki_member *from = ki_table_at(&k->table, teller->id);
        if (from && node->state == KI_DEAD && m && m->state == KI_SUSPECT && node->incarnation >= m->incarnation)
            ki_suspicion_again(k, id, ki_member_name(from));
        if (node->state == KI_SUSPECT || (m && m->state == KI_SUSPECT))
            return;
        if (from)
            accusation.from = ki_member_name(from);
    }
    ki_apply_suspect(k, teller->addr, &accusation);
}

void ki_intake_member(struct kith *k, const struct ki_teller *teller, const struct ki_node_state *node, uint32_t *near)
{
    if (node->name.len > KITH_NAME_MAX) {
        ki_count(k, KI_COUNT_name_too_long);
        return;
    }
    struct ki_identity identity = {.name = node->name,
                                   .addr = node->addr,
                                   .port = node->port,
                                   .meta = node->meta,
                                   .incarnation = node->incarnation,
                                   .versions = node->versions.len ? node->versions.ptr : NULL};
    struct ki_suspect accusation = {.incarnation = node->incarnation, .node = node->name, .from = node->name};
    switch (node->state) {
    case KI_ALIVE:
        ki_apply_alive(k, NULL, ki_table_find_near(&k->table, node->name, near), &identity);
        return;
    case KI_LEFT:
        ki_apply_dead(k, teller->addr, &accusation);
        return;
    default: /* dead or suspect: never instant death, the member gets its chance to refute */
        intake_accused(k, teller, node);
        return;
    }
}
