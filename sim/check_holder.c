/* Checker "holder": evidence names replicas that have held what is shown, each while it had that name.
 *
 * What nobody has removed stays with who has it, so of such elements it is enough to look at the named replica now, if it
 * is the present one of a node that lives, or at what it had shown when it ended.  Of what somebody has removed nothing is
 * asked: whoever knows that it is gone need not have had it.
 *
 * A stranger that sends again what it overheard, in another's name, can make one take a replica for another member's; what
 * that replica has held is true all the same.  So whose it is, is asked only where no stranger has spoken.
 *
 * A wait for others (kith_store_wait()) that ends well says how many hold all that was written, so at least as many must.
 *
 * Ids are learned from gauges.  A node may take a new one at any time, so they are read again when an unknown one is named.
 * Deliberately not here: that evidence comes at all, or in time. */
#include "sim/truth.h"

#define HOLDER_LOOK_US KITH_SIM_SECOND

/* ---- ids ---- */

static struct sim_replica_id *holder_find(struct sim_truth *t, uint64_t id)
{
    for (size_t i = t->id_count; i-- > 0;) {
        if (t->ids[i].id == id)
            return &t->ids[i];
    }
    return NULL;
}

static uint64_t holder_id(kith *k)
{
    struct kith_store_gauges gauges = {.replica = 0};
    (void)kith_store_read_gauges(k, &gauges);
    return gauges.replica;
}

/* What a node has under the id that ends, and has had under it in former lives. */
static void holder_ends(struct sim_truth *t, uint32_t node)
{
    struct sim_replica_id *id = holder_find(t, ki_sim_truth_node(t, node)->replica);
    if (!id || id->node != node || id->ended)
        return;
    bool *held = ki_sim_make((t->count + 1) * sizeof *held);
    for (uint32_t i = 0; i < t->count; i++)
        held[i] = (i < id->held_count && id->held[i]) || ki_sim_truth_knows(t, node, i)->now != SIM_KNOWS_NOTHING;
    free(id->held);
    id->held = held;
    id->held_count = (uint32_t)t->count;
    id->ended = true;
}

static void holder_learn(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    struct sim_truth_node *own = ki_sim_truth_node(t, node);
    uint64_t now = holder_id(ki_sim_node_at(s, node)->k);
    struct sim_replica_id *id = holder_find(t, now);
    if (id && id->node == node && !id->ended)
        return;
    if (id && id->node != node) {
        ki_sim_violate(s, "holder", node, "its replica id is that of %s", ki_sim_name(s, id->node));
        return;
    }
    if (own->replica != now) /* it has taken a new one while it lived */
        holder_ends(t, node);
    own->replica = now;
    if (id) { /* it goes on under the one it had */
        id->ended = false;
        return;
    }
    t->ids = ki_sim_grow(t->ids, &t->id_cap, t->id_count, sizeof *t->ids);
    t->ids[t->id_count++] = (struct sim_replica_id){.id = now, .node = node};
}

void ki_sim_truth_ids_begin(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    holder_learn(s, t, node);
}

void ki_sim_truth_ids_end(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    holder_learn(s, t, node);
    holder_ends(t, node);
}

static void holder_learn_all(kith_sim *s, struct sim_truth *t)
{
    for (uint32_t node = 0; node < s->count; node++) {
        if (ki_sim_node_at(s, node)->k && ki_sim_node_at(s, node)->store)
            holder_learn(s, t, node);
    }
}

/* ---- what is named ---- */

static bool holder_held(kith_sim *s, struct sim_truth *t, const struct sim_replica_id *id, uint32_t token)
{
    if (token < id->held_count && id->held[token])
        return true;
    if (!id->ended && ki_sim_truth_knows(t, id->node, token)->now == SIM_KNOWS_NOTHING)
        ki_sim_truth_look(s, t, id->node); /* it may have come since */
    return !id->ended && ki_sim_truth_knows(t, id->node, token)->now != SIM_KNOWS_NOTHING;
}

static void holder_one(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, const bool *shown,
                       const struct kith_holder *h)
{
    uint64_t replica = h->replica;
    uint32_t member = KITH_SIM_ALL;
    for (uint32_t i = 0; i < s->count && h->member.len > 0; i++) {
        const struct kith_str name = ki_sim_node_at(s, i)->config.name;
        if (name.len == h->member.len && memcmp(name.ptr, h->member.ptr, name.len) == 0)
            member = i;
    }
    if (!holder_find(t, replica))
        holder_learn_all(s, t);
    const struct sim_replica_id *id = holder_find(t, replica);
    if (!id) {
        ki_sim_violate(s, "holder", node, "of %s it names the replica %016llx, which nobody has been",
                       ki_sim_places[place].key, (unsigned long long)replica);
        return;
    }
    bool named = (h->member.len == 0 || member == id->node) && h->is_self == (id->node == node && !id->ended);
    if (!named && !s->injected)
        ki_sim_violate(s, "holder", node, "it takes a replica of %s for another's", ki_sim_name(s, id->node));
    for (uint32_t i = 0; i < t->count; i++) {
        const struct sim_token *k = &t->tokens[i];
        if (k->place == place && shown[i] && !k->removed && !holder_held(s, t, id, i))
            ki_sim_violate(s, "holder", node, "it names a replica of %s as a holder of w%u of %s, which it has not held",
                           ki_sim_name(s, id->node), i, ki_sim_places[place].key);
    }
}

static void holder_place(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, const bool *shown)
{
    struct kith_holder h;
    uint64_t cursor = 0;
    bool any = false, self = false;
    kith *k = ki_sim_node_at(s, node)->k;
    while (kith_next_holder(k, kith_sim_time(s, node), ki_sim_str(ki_sim_places[place].key), &cursor, &h)) {
        self = self || h.is_self;
        holder_one(s, t, node, place, shown, &h);
    }
    for (size_t i = 0; i < t->count; i++)
        any = any || (shown[i] && t->tokens[i].place == place);
    if (any && !self)
        ki_sim_violate(s, "holder", node, "it shows %s, and is no holder of it", ki_sim_places[place].key);
}

/* ---- waits ---- */

/* It is something that is waited for, and can be looked for elsewhere. */
static bool holder_asks(struct sim_truth *t, const struct sim_wait *wait, uint32_t token)
{
    const struct sim_token *k = &t->tokens[token];
    enum sim_place_kind kind = ki_sim_places[k->place].kind;
    return k->by == wait->node && k->replica == wait->replica && !k->removed && !k->void_ &&
           ki_sim_truth_knows(t, wait->node, token)->now == SIM_KNOWS_HELD && /* not what its last life lost */
           (kind == SIM_PLACE_ELEMENT || kind == SIM_PLACE_SIBLING);
}

static bool holder_has_all(kith_sim *s, struct sim_truth *t, const struct sim_wait *wait, const struct sim_replica_id *id)
{
    for (uint32_t i = 0; i < wait->tokens; i++) {
        if (holder_asks(t, wait, i) && !holder_held(s, t, id, i))
            return false;
    }
    return true;
}

static void holder_done(kith_sim *s, struct sim_truth *t, const struct sim_wait *wait, uint32_t count)
{
    uint32_t have = 0;
    bool any = false;
    for (uint32_t i = 0; i < wait->tokens; i++)
        any = any || holder_asks(t, wait, i);
    if (!any) /* nothing has everybody, those too who were gone before anything was looked at */
        return;
    holder_learn_all(s, t);
    for (uint32_t node = 0; node < s->count; node++) {
        bool has = false;
        for (size_t i = 0; i < t->id_count && node != wait->node; i++)
            has = has || (t->ids[i].node == node && holder_has_all(s, t, wait, &t->ids[i]));
        have += has;
    }
    if (have < count)
        ki_sim_violate(s, "holder", wait->node, "it has waited until %u others held what it wrote, and %u do", count, have);
}

static void holder_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    (void)state;
    struct sim_truth *t = ki_sim_truth(s);
    for (size_t i = 0; event->kind == KITH_EVENT_DONE && i < t->wait_count; i++) {
        const struct sim_wait wait = t->waits[i];
        if (wait.node != node || wait.life != ki_sim_node_at(s, node)->lives || wait.ticket != event->ticket)
            continue;
        t->waits[i] = t->waits[--t->wait_count];
        holder_done(s, t, &wait, event->count);
        return;
    }
}

static void holder_settled(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = ki_sim_truth(s);
    if (!t->on || !ki_sim_node_at(s, node)->store)
        return;
    uint64_t *next_us = ki_sim_column_at(state, node);
    if (s->now_us < *next_us || s->violation[0])
        return;
    *next_us = s->now_us + HOLDER_LOOK_US;
    holder_learn(s, t, node);
    ki_sim_truth_look(s, t, node);
    bool *shown = ki_sim_make((t->count + 1) * sizeof *shown); /* looking at others overwrites it */
    memcpy(shown, t->shown, t->count * sizeof *shown);
    for (uint32_t place = 0; place < SIM_PLACES; place++) {
        if (ki_sim_places[place].kind == SIM_PLACE_ELEMENT || ki_sim_places[place].kind == SIM_PLACE_SIBLING)
            holder_place(s, t, node, place, shown);
    }
    free(shown);
    ki_sim_node_dirty(s, node);
}

static void holder_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_column_free(state);
}

const struct sim_checker ki_sim_check_holder = {
    .about = "evidence names replicas that have held what is shown",
    .watch = {.name = "holder", .state_size = sizeof(struct sim_column), .event = holder_event, .settled = holder_settled,
              .end = holder_end},
};
