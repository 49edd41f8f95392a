/* Tokens, and what each node must know of them.
 *
 * Knowledge follows the node's disk: what was known in a group of rows that is durable survives a crash, what came after
 * it may.  A lost disk knows nothing, a restored one what was durable when it was copied.
 *
 * Deliberately not here: how a node comes to know what others wrote.  It is seen when it shows it. */
#include "sim/truth.h"

const struct sim_place ki_sim_places[SIM_PLACES] = {
    {.key = "set-a", .kind = SIM_PLACE_ELEMENT, .type = KITH_TYPE_SET},
    {.key = "set-b", .kind = SIM_PLACE_ELEMENT, .type = KITH_TYPE_SET},
    {.key = "sorted", .kind = SIM_PLACE_ELEMENT, .type = KITH_TYPE_SORTED},
    {.key = "fields", .kind = SIM_PLACE_ELEMENT, .type = KITH_TYPE_HASH},
    {.key = "siblings-a", .kind = SIM_PLACE_SIBLING, .type = KITH_TYPE_SIBLINGS},
    {.key = "siblings-b", .kind = SIM_PLACE_SIBLING, .type = KITH_TYPE_SIBLINGS},
    {.key = "string-a", .kind = SIM_PLACE_REGISTER, .type = KITH_TYPE_STRING, .kept = true},
    {.key = "string-b", .kind = SIM_PLACE_REGISTER, .type = KITH_TYPE_STRING},
    {.key = "hash", .field = "a", .kind = SIM_PLACE_REGISTER, .type = KITH_TYPE_HASH, .kept = true},
    {.key = "hash", .field = "b", .kind = SIM_PLACE_REGISTER, .type = KITH_TYPE_HASH},
    {.key = "members", .field = "a", .kind = SIM_PLACE_MEMBER, .type = KITH_TYPE_SET},
    {.key = "members", .field = "b", .kind = SIM_PLACE_MEMBER, .type = KITH_TYPE_SET},
    {.key = "count-a", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_STRING, .kept = true, .rises = true},
    {.key = "count-b", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_STRING, .kept = true},
    {.key = "count-real", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_STRING, .kept = true, .real = true},
    {.key = "counts", .field = "a", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_HASH, .kept = true, .rises = true},
    {.key = "counts", .field = "real", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_HASH, .kept = true, .real = true},
    {.key = "scores", .field = "a", .kind = SIM_PLACE_COUNTER, .type = KITH_TYPE_SORTED, .kept = true, .real = true},
};

struct kith_str ki_sim_str(const char *s)
{
    return (struct kith_str){s, s ? strlen(s) : 0};
}

struct sim_truth *ki_sim_truth(kith_sim *s)
{
    return ki_sim_observer_state(s, &ki_sim_check_store.watch);
}

struct sim_truth_node *ki_sim_truth_node(struct sim_truth *t, uint32_t node)
{
    if (node >= t->node_count) {
        size_t count = (size_t)node + 16;
        t->nodes = ki_sim_resize(t->nodes, count * sizeof *t->nodes);
        memset(t->nodes + t->node_count, 0, (count - t->node_count) * sizeof *t->nodes);
        t->node_count = count;
    }
    return &t->nodes[node];
}

struct sim_knowledge *ki_sim_truth_knows(struct sim_truth *t, uint32_t node, uint32_t token)
{
    struct sim_truth_node *n = ki_sim_truth_node(t, node);
    if (token >= n->cap) {
        size_t cap = t->cap > token ? t->cap : (size_t)token + 1;
        n->knows = ki_sim_resize(n->knows, cap * sizeof *n->knows);
        memset(n->knows + n->cap, 0, (cap - n->cap) * sizeof *n->knows);
        n->cap = cap;
    }
    return &n->knows[token];
}

/* ---- writing ---- */

static bool truth_clock_is_wrong(const kith_sim *s, uint32_t node)
{
    const struct kith_time now = kith_sim_time(s, node);
    return now.wall_us / 1000 != (s->cfg.wall_us + s->now_us) / 1000;
}

static uint64_t truth_id(const kith_sim *s, uint32_t node)
{
    struct kith_store_gauges gauges = {.replica = 0};
    (void)kith_store_read_gauges(ki_sim_node_at(s, node)->k, &gauges);
    return gauges.replica;
}

uint32_t ki_sim_truth_issue(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, int64_t amount)
{
    t->tokens = ki_sim_grow(t->tokens, &t->cap, t->count, sizeof *t->tokens);
    t->tokens[t->count] = (struct sim_token){
        .place = place, .by = node, .life = ki_sim_node_at(s, node)->lives, .at_us = s->now_us, .amount = amount,
        .replica = truth_id(s, node)};
    uint32_t token = (uint32_t)t->count++;
    t->skewed = t->skewed || truth_clock_is_wrong(s, node);
    *ki_sim_truth_knows(t, node, token) = (struct sim_knowledge){.now = SIM_KNOWS_HELD, .since = UINT64_MAX};
    return token;
}

void ki_sim_truth_refused(struct sim_truth *t, uint32_t token)
{
    t->tokens[token].void_ = true;
    ki_sim_truth_knows(t, t->tokens[token].by, token)->now = SIM_KNOWS_NOTHING;
}

void ki_sim_truth_removes(struct sim_truth *t, uint32_t node, uint32_t token)
{
    t->tokens[token].removed = true;
    struct sim_knowledge *knows = ki_sim_truth_knows(t, node, token);
    knows->now = SIM_KNOWS_GONE;
    knows->since = UINT64_MAX; /* until the group has its number */
}

void ki_sim_truth_removes_member(struct sim_truth *t, uint32_t place)
{
    for (size_t i = 0; i < t->count; i++)
        t->tokens[i].removed = t->tokens[i].removed || t->tokens[i].place == place;
}

void ki_sim_truth_written(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    uint64_t group = kith_rows_written(ki_sim_node_at(s, node)->k);
    for (uint32_t token = 0; token < t->count; token++) {
        struct sim_knowledge *knows = ki_sim_truth_knows(t, node, token);
        if (t->tokens[token].by == node && t->tokens[token].group == 0)
            t->tokens[token].group = group;
        knows->since = knows->since == UINT64_MAX ? group : knows->since;
    }
    ki_sim_truth_look(s, t, node);
}

void ki_sim_truth_waits(kith_sim *s, struct sim_truth *t, uint32_t node, kith_ticket ticket)
{
    t->waits = ki_sim_grow(t->waits, &t->wait_cap, t->wait_count, sizeof *t->waits);
    t->waits[t->wait_count++] = (struct sim_wait){
        .ticket = ticket, .node = node, .life = ki_sim_node_at(s, node)->lives, .replica = truth_id(s, node),
        .tokens = (uint32_t)t->count};
}

bool ki_sim_truth_shows(const struct sim_truth *t, uint32_t token)
{
    return t->shown[token];
}

bool ki_sim_truth_acked(kith_sim *s, struct sim_truth *t, uint32_t token)
{
    struct sim_token *k = &t->tokens[token];
    const struct sim_node *writer = ki_sim_node_at(s, k->by);
    if (!k->acked && writer->k && writer->lives == k->life)
        k->acked = k->group != 0 && kith_rows_are_durable(writer->k) >= k->group;
    return k->acked;
}
