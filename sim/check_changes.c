/* Checker "changes": whoever watches is told of every key that shows something else than before.
 *
 * Kept: for each node that watches, what each key showed at the last look, as a number.  At a look all keys are walked, then
 * all changes are taken; a key that shows something else than it did must be among them, and of the last change of a key
 * it must be true that the key is gone, or that it is not.
 *
 * Taking changes is a program's right, so only stores of the workload are asked.  Deliberately not here: what a change says
 * of how it came about. */
#include "sim/truth.h"

#define CHANGES_LOOK_US KITH_SIM_SECOND

struct changes_key {
    char *name; /* owned */
    uint64_t shows, showed; /* now, and at the last look; 0: nothing */
    bool told, gone;        /* since; by the last change */
};

struct changes_node {
    struct changes_key *keys;
    size_t count, cap;
    uint32_t life;
    uint64_t looked_us;
};

struct changes_state {
    struct changes_node *nodes;
    size_t count;
};

static struct changes_node *changes_node(struct changes_state *c, uint32_t node)
{
    if (node >= c->count) {
        size_t count = (size_t)node + 16;
        c->nodes = ki_sim_resize(c->nodes, count * sizeof *c->nodes);
        memset(c->nodes + c->count, 0, (count - c->count) * sizeof *c->nodes);
        c->count = count;
    }
    return &c->nodes[node];
}

static struct changes_key *changes_key(struct changes_node *n, struct kith_str name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strlen(n->keys[i].name) == name.len && memcmp(n->keys[i].name, name.ptr, name.len) == 0)
            return &n->keys[i];
    }
    n->keys = ki_sim_grow(n->keys, &n->cap, n->count, sizeof *n->keys);
    n->keys[n->count] = (struct changes_key){.name = ki_sim_copy(name.ptr, name.len)};
    return &n->keys[n->count++];
}

static void changes_walk(kith *k, struct kith_time now, struct changes_node *n)
{
    struct kith_str key;
    uint64_t cursor = 0;
    while (kith_next_key(k, now, &cursor, &key))
        (void)changes_key(n, key);
    for (size_t i = 0; i < n->count; i++)
        n->keys[i].shows = ki_sim_contents_key(k, now, ki_sim_str(n->keys[i].name));
}

static void changes_take(kith *k, struct changes_node *n)
{
    struct kith_change change;
    while (kith_poll_change(k, &change)) {
        struct changes_key *key = changes_key(n, change.key);
        key->told = true;
        key->gone = change.is_gone;
    }
}

static void changes_look(kith_sim *s, uint32_t node, struct changes_node *n)
{
    kith *k = ki_sim_node_at(s, node)->k;
    bool first = n->life != ki_sim_node_at(s, node)->lives;
    n->life = ki_sim_node_at(s, node)->lives;
    changes_walk(k, kith_sim_time(s, node), n);
    size_t known = n->count;
    changes_take(k, n);
    if (n->count > known) { /* new, and perhaps at its end already: looking ends it */
        changes_walk(k, kith_sim_time(s, node), n);
        changes_take(k, n);
    }
    for (size_t i = 0; i < n->count; i++) {
        struct changes_key *key = &n->keys[i];
        if (!first && key->shows != key->showed && !key->told)
            ki_sim_violate(s, "changes", node, "%s shows something else, and nobody was told", key->name);
        if (key->told && key->gone != (key->shows == 0))
            ki_sim_violate(s, "changes", node, "it tells that %s is %s, and it is not", key->name,
                           key->gone ? "gone" : "there");
        key->showed = key->shows;
        key->told = false;
    }
}

static void changes_settled(kith_sim *s, void *state, uint32_t node)
{
    const struct sim_truth *t = ki_sim_truth(s);
    const struct sim_store *store = ki_sim_node_at(s, node)->store;
    if (!t->on || !store || !store->config.watch)
        return;
    struct changes_node *n = changes_node(state, node);
    if (n->life == ki_sim_node_at(s, node)->lives && s->now_us < n->looked_us + CHANGES_LOOK_US)
        return;
    n->looked_us = s->now_us;
    changes_look(s, node, n);
    ki_sim_node_dirty(s, node);
}

static void changes_end(kith_sim *s, void *state)
{
    (void)s;
    struct changes_state *c = state;
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < c->nodes[i].count; k++)
            free(c->nodes[i].keys[k].name);
        free(c->nodes[i].keys);
    }
    free(c->nodes);
}

const struct sim_checker ki_sim_check_changes = {
    .about = "who watches a store is told of every key that changes",
    .watch = {.name = "changes",
              .state_size = sizeof(struct changes_state),
              .settled = changes_settled,
              .end = changes_end},
};
