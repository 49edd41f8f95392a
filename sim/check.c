/* The list of checkers, and the walker who shows them what nodes believe.
 *
 * A checker that wanted every node's whole view after every input would cost more than the protocol; what goes wrong in a
 * view seldom mends itself at once, so each view is walked once a second, and in a world of n nodes once in 1 + n/64
 * seconds.  A node is walked when it has been given its turn and all its events have been told, so that a member that it
 * has forgotten and met again is not taken for the one it was.
 *
 * Deliberately not here: any idea of what is right.  Nor does anything here change a node or the course of a run. */
#include "sim/check.h"

#define CHECK_WALK_US KITH_SIM_SECOND
#define CHECK_WALK_NODES 64 /* so many more nodes make all walks a second rarer: cost grows with their square */

static const struct sim_checker *const check_all[] = {
#define CHECK_ITEM(name) &ki_sim_check_##name,
    SIM_CHECKERS(CHECK_ITEM)
#undef CHECK_ITEM
};

const struct sim_checker *ki_sim_checker_at(size_t index)
{
    return index < KI_COUNT(check_all) ? check_all[index] : NULL;
}

/* ---- the walker ---- */

struct check_walker {
    void *states[KI_COUNT(check_all)]; /* the checkers' */
    struct sim_column next_us;
};

static void check_member(kith_sim *s, const struct check_walker *w, uint32_t node, const struct kith_member *m)
{
    for (size_t i = 0; i < KI_COUNT(check_all); i++) {
        if (check_all[i]->member)
            check_all[i]->member(s, w->states[i], node, m);
    }
}

static void check_forgotten(kith_sim *s, const struct check_walker *w, uint32_t node, const struct kith_member *m)
{
    for (size_t i = 0; i < KI_COUNT(check_all); i++) {
        if (check_all[i]->forgotten)
            check_all[i]->forgotten(s, w->states[i], node, m);
    }
}

static void check_walk(kith_sim *s, const struct check_walker *w, uint32_t node)
{
    for (size_t i = 0; i < KI_COUNT(check_all); i++) {
        if (check_all[i]->look)
            check_all[i]->look(s, w->states[i], node);
    }
    struct kith_member m;
    uint32_t cursor = 0;
    while (kith_next(ki_sim_node_at(s, node)->k, &cursor, &m))
        check_member(s, w, node, &m);
}

static void check_settled(kith_sim *s, void *state, uint32_t node)
{
    struct check_walker *w = state;
    uint64_t *next_us = ki_sim_column_at(&w->next_us, node);
    if (s->now_us < *next_us)
        return;
    *next_us = s->now_us + CHECK_WALK_US * (1 + s->count / CHECK_WALK_NODES);
    check_walk(s, w, node);
}

static void check_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    if (event->kind != KITH_EVENT_MEMBER)
        return;
    if (event->changed & KITH_CHANGED_REAPED)
        check_forgotten(s, state, node, &event->member);
    else
        check_member(s, state, node, &event->member);
}

static void check_end(kith_sim *s, void *state)
{
    (void)s;
    struct check_walker *w = state;
    ki_sim_column_free(&w->next_us);
}

static const struct sim_observer check_walker = {.name = "walker",
                                                 .state_size = sizeof(struct check_walker),
                                                 .event = check_event,
                                                 .settled = check_settled,
                                                 .end = check_end};

void ki_sim_check_all(kith_sim *s)
{
    void *states[KI_COUNT(check_all)];
    for (size_t i = 0; i < KI_COUNT(check_all); i++)
        states[i] = ki_sim_observe(s, &check_all[i]->watch);
    struct check_walker *w = ki_sim_observe(s, &check_walker);
    memcpy(w->states, states, sizeof states);
}

/* ---- what they share ---- */

uint32_t *ki_sim_grid_at(struct sim_grid *g, uint32_t row, uint32_t col)
{
    if (row >= g->rows || col >= g->cols) {
        uint32_t rows = g->rows ? g->rows : 8, cols = g->cols ? g->cols : 8;
        while (rows <= row)
            rows *= 2;
        while (cols <= col)
            cols *= 2;
        uint32_t *cells = ki_sim_make((size_t)rows * cols * sizeof *cells);
        for (uint32_t r = 0; r < g->rows; r++)
            memcpy(cells + (size_t)r * cols, g->cells + (size_t)r * g->cols, g->cols * sizeof *cells);
        free(g->cells);
        *g = (struct sim_grid){.cells = cells, .rows = rows, .cols = cols};
    }
    return &g->cells[(size_t)row * g->cols + col];
}

void ki_sim_grid_clear(struct sim_grid *g, uint32_t row)
{
    if (row < g->rows)
        memset(g->cells + (size_t)row * g->cols, 0, g->cols * sizeof *g->cells);
}

void ki_sim_grid_free(struct sim_grid *g)
{
    free(g->cells);
    *g = (struct sim_grid){0};
}

void ki_sim_grid_born(kith_sim *s, void *state, uint32_t node)
{
    (void)s;
    ki_sim_grid_clear(state, node);
}

void ki_sim_grid_forgotten(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    uint32_t whom = ki_sim_member_node(s, m);
    if (whom != KITH_SIM_ALL)
        *ki_sim_grid_at(state, node, whom) = 0;
}

void ki_sim_grid_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_grid_free(state);
}

uint64_t *ki_sim_column_at(struct sim_column *c, uint32_t node)
{
    if (node >= c->count) {
        uint32_t count = c->count ? c->count : 8;
        while (count <= node)
            count *= 2;
        c->cells = ki_sim_resize(c->cells, count * sizeof *c->cells);
        memset(c->cells + c->count, 0, (count - c->count) * sizeof *c->cells);
        c->count = count;
    }
    return &c->cells[node];
}

void ki_sim_column_free(struct sim_column *c)
{
    free(c->cells);
    *c = (struct sim_column){0};
}

struct sim_source *ki_sim_source_find(const struct sim_sources *sources, uint32_t node, const struct kith_addr *addr)
{
    for (size_t i = 0; i < sources->count; i++) {
        struct sim_source *source = &sources->items[i];
        if (source->node == node && kith_addr_equal(&source->addr, addr))
            return source;
    }
    return NULL;
}

struct sim_source *ki_sim_source_make(struct sim_sources *sources, uint32_t node, const struct kith_addr *addr)
{
    struct sim_source *found = ki_sim_source_find(sources, node, addr);
    if (found)
        return found;
    sources->items = ki_sim_grow(sources->items, &sources->cap, sources->count, sizeof *sources->items);
    sources->items[sources->count] = (struct sim_source){.node = node, .addr = *addr};
    return &sources->items[sources->count++];
}

void ki_sim_sources_forget(struct sim_sources *sources, uint32_t node)
{
    size_t kept = 0;
    for (size_t i = 0; i < sources->count; i++) {
        if (sources->items[i].node != node)
            sources->items[kept++] = sources->items[i];
    }
    sources->count = kept;
}

void ki_sim_sources_free(struct sim_sources *sources)
{
    free(sources->items);
    *sources = (struct sim_sources){0};
}

uint32_t ki_sim_member_node(kith_sim *s, const struct kith_member *m)
{
    return kith_sim_find(s, &m->addr);
}

uint64_t ki_sim_counter(const kith_sim *s, uint32_t node, const char *name)
{
    size_t i = 0;
    while (i < kith_counter_count() && strcmp(kith_counter_name(i), name) != 0)
        i++;
    return kith_counter(ki_sim_node_at(s, node)->k, i);
}

bool ki_sim_remembers(kith_sim *s, uint32_t node, const struct kith_addr *addr)
{
    struct kith_member m;
    uint32_t cursor = 0;
    while (kith_next(ki_sim_node_at(s, node)->k, &cursor, &m)) {
        if (kith_addr_equal(&m.addr, addr))
            return true;
    }
    return false;
}
