/* Checker "store": what a node has held it shows until somebody removes it, what is gone from it does not come back, and a
 * counter is what was added to it.
 *
 * Each node is compared with itself alone, so this needs no time in which news could spread, and no idea of how it does.
 * Together with equal contents everywhere after the healing it says what users are promised: no acknowledged write is lost
 * unless a newer one supersedes it, and no deleted element returns.
 *
 * A register shows one of several values, and another may surface when that one is deleted by somebody who had not seen the
 * other; so of registers that are deleted now and then only this is asked: a value that the node has replaced itself does
 * not come back.  Of the others, that they are never empty again, and, where all clocks are right, never go back in time.
 *
 * Only what the workload writes is known, so in a world without it nothing is looked at.
 * Deliberately not here: what spreads and when (the swarm waits for it). */
#include "sim/truth.h"

#define STORE_LOOK_US (500 * KITH_SIM_MS)

static const char *store_writer(kith_sim *s, const struct sim_truth *t, uint32_t token)
{
    return ki_sim_name(s, t->tokens[token].by);
}

/* ---- one token ---- */

static void store_returned(kith_sim *s, const struct sim_truth *t, uint32_t node, uint32_t token)
{
    ki_sim_violate(s, "store", node, "w%u of %s, by %s, is back", token, ki_sim_places[t->tokens[token].place].key,
                   store_writer(s, t, token));
}

static void store_lost(kith_sim *s, const struct sim_truth *t, uint32_t node, uint32_t token)
{
    ki_sim_violate(s, "store", node, "w%u of %s, by %s, was here and is lost, and nobody has removed it", token,
                   ki_sim_places[t->tokens[token].place].key, store_writer(s, t, token));
}

static void store_token(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t token, uint64_t group)
{
    const struct sim_token *k = &t->tokens[token];
    struct sim_knowledge *knows = ki_sim_truth_knows(t, node, token);
    enum sim_place_kind kind = ki_sim_places[k->place].kind;
    bool shown = t->shown[token], held = knows->now == SIM_KNOWS_HELD;
    if (k->void_ || kind == SIM_PLACE_COUNTER)
        return;
    if (shown && knows->now == SIM_KNOWS_GONE)
        store_returned(s, t, node, token);
    if (!shown && held && !k->removed && kind != SIM_PLACE_REGISTER)
        store_lost(s, t, node, token);
    bool learns = shown && knows->now == SIM_KNOWS_NOTHING && kind != SIM_PLACE_MEMBER;
    bool loses = !shown && held && kind != SIM_PLACE_REGISTER;
    if (!learns && !loses)
        return;
    /* another add of the same member may show it again */
    knows->now = learns ? SIM_KNOWS_HELD : kind == SIM_PLACE_MEMBER ? SIM_KNOWS_NOTHING : SIM_KNOWS_GONE;
    knows->since = group;
}

/* ---- registers that nobody deletes ---- */

static void store_register(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place)
{
    uint32_t shown = SIM_NO_TOKEN, newest = SIM_NO_TOKEN;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->tokens[i].place != place)
            continue;
        if (t->shown[i])
            shown = i;
        if (ki_sim_truth_knows(t, node, i)->now == SIM_KNOWS_HELD)
            newest = i; /* tokens come in order of time */
    }
    if (newest == SIM_NO_TOKEN)
        return;
    if (shown == SIM_NO_TOKEN)
        ki_sim_violate(s, "store", node, "%s is empty, and has shown w%u", ki_sim_places[place].key, newest);
    else if (!t->skewed && t->tokens[shown].at_us / 1000 < t->tokens[newest].at_us / 1000)
        ki_sim_violate(s, "store", node, "%s shows w%u, and has shown the later w%u", ki_sim_places[place].key, shown,
                       newest);
}

/* ---- counters ---- */

/* What a counter may be: all that is surely in, and of the rest whatever there is.  node KITH_SIM_ALL: each increment is in
 * that a running writer knows; else those of the node itself. */
static void store_bounds(kith_sim *s, struct sim_truth *t, uint32_t place, uint32_t node, int64_t *least, int64_t *most)
{
    *least = *most = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct sim_token *k = &t->tokens[i];
        if (k->place != place || k->void_)
            continue;
        bool asked = node == KITH_SIM_ALL ? sim_runs(ki_sim_node_at(s, k->by)) : k->by == node;
        bool sure = asked && ki_sim_truth_knows(t, k->by, i)->now == SIM_KNOWS_HELD;
        *least += sure || k->amount < 0 ? k->amount : 0;
        *most += sure || k->amount > 0 ? k->amount : 0;
    }
}

static void store_counter(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, uint32_t whose, uint64_t group)
{
    const struct sim_place *p = &ki_sim_places[place];
    struct sim_low *low = &ki_sim_truth_node(t, node)->low[place];
    kith *k = ki_sim_node_at(s, node)->k;
    int64_t value, least, most;
    if (!ki_sim_truth_counter(k, kith_sim_time(s, node), p, &value)) {
        ki_sim_violate(s, "store", node, "%s %s is no whole number", p->key, p->field ? p->field : "");
        return;
    }
    store_bounds(s, t, place, whose, &least, &most);
    if (value < least || value > most)
        ki_sim_violate(s, "store", node, "%s %s is %lld, and by what was added must be %lld to %lld", p->key,
                       p->field ? p->field : "", (long long)value, (long long)least, (long long)most);
    if (p->rises && value < low->now)
        ki_sim_violate(s, "store", node, "%s fell from %lld to %lld", p->key, (long long)low->now, (long long)value);
    if (!p->rises || value == low->now)
        return;
    if (kith_rows_are_durable(k) >= low->since)
        low->durable = low->now;
    low->now = value;
    low->since = group;
}

/* ---- a look ---- */

void ki_sim_truth_look(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    if (s->violation[0])
        return;
    uint64_t group = kith_rows_written(ki_sim_node_at(s, node)->k);
    ki_sim_truth_node(t, node)->looked_us = s->now_us;
    ki_sim_truth_read(s, t, node);
    for (uint32_t token = 0; token < t->count; token++)
        store_token(s, t, node, token, group);
    for (uint32_t place = 0; place < SIM_PLACES; place++) {
        if (ki_sim_places[place].kind == SIM_PLACE_REGISTER && ki_sim_places[place].kept)
            store_register(s, t, node, place);
        else if (ki_sim_places[place].kind == SIM_PLACE_COUNTER)
            store_counter(s, t, node, place, node, group);
    }
    ki_sim_truth_withheld(s, t, node);
}

void ki_sim_truth_settle(kith_sim *s, struct sim_truth *t)
{
    for (uint32_t node = 0; node < s->count; node++) {
        const struct sim_node *n = ki_sim_node_at(s, node);
        if (!n->store || !sim_runs(n))
            continue;
        ki_sim_truth_look(s, t, node);
        for (uint32_t place = 0; place < SIM_PLACES; place++) {
            if (ki_sim_places[place].kind == SIM_PLACE_COUNTER)
                store_counter(s, t, node, place, KITH_SIM_ALL, kith_rows_written(n->k));
        }
    }
}

/* ---- lives ---- */

static void store_born(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (!n->store || !t->on)
        return;
    struct sim_truth_node *own = ki_sim_truth_node(t, node);
    for (uint32_t i = 0; i < t->count && n->begun != KITH_SIM_KEEP; i++) {
        struct sim_knowledge *knows = ki_sim_truth_knows(t, node, i);
        knows->now = n->begun == KITH_SIM_BACKUP ? knows->backup : SIM_KNOWS_NOTHING;
    }
    for (uint32_t place = 0; place < SIM_PLACES && n->begun != KITH_SIM_KEEP; place++)
        own->low[place].now = own->low[place].durable = n->begun == KITH_SIM_BACKUP ? own->low[place].backup : 0;
    ki_sim_truth_ids_begin(s, t, node);
    ki_sim_truth_look(s, t, node);
    for (uint32_t i = 0; i < t->count; i++) /* a group that came to the disk though its node did not live to hear of it */
        t->tokens[i].acked = t->tokens[i].acked || (t->tokens[i].by == node && t->shown[i]);
}

static void store_dying(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (!n->store || !t->on)
        return;
    uint64_t durable = kith_rows_are_durable(n->k), out = n->store->group_out ? n->store->group_seq : 0;
    ki_sim_truth_look(s, t, node);
    ki_sim_truth_ids_end(s, t, node);
    for (uint32_t i = 0; i < t->count; i++) {
        struct sim_knowledge *knows = ki_sim_truth_knows(t, node, i);
        (void)ki_sim_truth_acked(s, t, i);
        struct sim_token *token = &t->tokens[i];
        bool is_hidden = ki_sim_places[token->place].kind == SIM_PLACE_REGISTER; /* another value may show */
        if (token->by == node && (is_hidden || (token->life == n->lives && token->group != 0 && token->group <= out)))
            token->acked = true; /* it may be on the disk, and in a backup of that */
        if (knows->since > durable)
            knows->now = SIM_KNOWS_NOTHING;
        knows->since = 0;
    }
    for (uint32_t place = 0; place < SIM_PLACES; place++) {
        struct sim_low *low = &ki_sim_truth_node(t, node)->low[place];
        low->now = low->durable = low->since > durable ? low->durable : low->now;
        low->since = 0;
    }
}

static void store_backup(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (!t->on)
        return;
    uint64_t durable = n->k ? kith_rows_are_durable(n->k) : 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct sim_knowledge *knows = ki_sim_truth_knows(t, node, i);
        knows->backup = knows->since <= durable ? knows->now : SIM_KNOWS_NOTHING;
    }
    for (uint32_t place = 0; place < SIM_PLACES; place++) {
        struct sim_low *low = &ki_sim_truth_node(t, node)->low[place];
        low->backup = low->since <= durable ? low->now : low->durable;
    }
}

/* An id that is given up soon after it was taken has been one all the same. */
static void store_import(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = state;
    if (t->on && ki_sim_node_at(s, node)->store)
        ki_sim_truth_ids_begin(s, t, node);
}

static void store_settled(kith_sim *s, void *state, uint32_t node)
{
    struct sim_truth *t = state;
    if (!t->on || !ki_sim_node_at(s, node)->store || s->now_us < ki_sim_truth_node(t, node)->looked_us + STORE_LOOK_US)
        return;
    ki_sim_truth_look(s, t, node);
    ki_sim_node_dirty(s, node); /* looking ends what has expired */
}

static void store_end(kith_sim *s, void *state)
{
    (void)s;
    struct sim_truth *t = state;
    for (size_t i = 0; i < t->node_count; i++)
        free(t->nodes[i].knows);
    for (size_t i = 0; i < t->id_count; i++)
        free(t->ids[i].held);
    free(t->tokens);
    free(t->nodes);
    free(t->ids);
    free(t->waits);
    free(t->shown);
}

const struct sim_checker ki_sim_check_store = {
    .about = "what a store has held stays until it is removed, what is gone stays away, counters add up",
    .watch = {.name = "store",
              .state_size = sizeof(struct sim_truth),
              .born = store_born,
              .dying = store_dying,
              .settled = store_settled,
              .backup = store_backup,
              .import = store_import,
              .end = store_end},
};
