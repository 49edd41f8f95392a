/* The list of checkers, and the walker who shows them what nodes believe.
 *
 * A checker that wanted every node's whole view after every input would cost more than the protocol; nothing that goes
 * wrong in a view mends itself within a second, so each view is walked about once in that time.  A node is walked when
 * the next one has been given its turn: by then its own events have been told (unless it has been touched since), and a
 * member that it has forgotten and met again is not taken for the one it was.
 *
 * Deliberately not here: any idea of what is right.  Nor does anything here change a node or the course of a run. */
#include "sim/check.h"

#define CHECK_WALK_US KITH_SIM_SECOND
#define CHECK_WALK_NODES 64 /* so many more nodes make all walks a second rarer: cost grows with their square */

static const struct sim_checker *const check_all[] = {
#define CHECK_ITEM(name) &sim_check_##name,
    SIM_CHECKERS(CHECK_ITEM)
#undef CHECK_ITEM
};

const struct sim_checker *sim_checker_at(size_t index)
{
    return index < KI_COUNT(check_all) ? check_all[index] : NULL;
}

/* ---- the walker ---- */

struct check_walker {
    void *states[KI_COUNT(check_all)]; /* the checkers' */
    struct sim_column next_us;
    uint32_t last; /* the node whose turn it was, plus 1 */
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
    while (kith_next(sim_node_at(s, node)->k, &cursor, &m))
        check_member(s, w, node, &m);
}

static void check_drained(kith_sim *s, void *state, uint32_t node)
{
    struct check_walker *w = state;
    uint32_t before = w->last;
    w->last = node + 1;
    if (before == 0 || before == node + 1)
        return;
    uint64_t *next_us = sim_column_at(&w->next_us, before - 1);
    const struct sim_node *n = sim_node_at(s, before - 1);
    if (s->now_us < *next_us || !sim_runs(n) || n->dirty)
        return;
    *next_us = s->now_us + CHECK_WALK_US * (1 + s->count / CHECK_WALK_NODES);
    check_walk(s, w, before - 1);
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
    sim_column_free(&w->next_us);
}

static const struct sim_observer check_walker = {.name = "walker",
                                                 .state_size = sizeof(struct check_walker),
                                                 .event = check_event,
                                                 .drained = check_drained,
                                                 .end = check_end};

void sim_check_all(kith_sim *s)
{
    void *states[KI_COUNT(check_all)];
    for (size_t i = 0; i < KI_COUNT(check_all); i++)
        states[i] = sim_observe(s, &check_all[i]->watch);
    struct check_walker *w = sim_observe(s, &check_walker);
    memcpy(w->states, states, sizeof states);
}

/* ---- what they share ---- */

uint32_t *sim_grid_at(struct sim_grid *g, uint32_t row, uint32_t col)
{
    if (row >= g->rows || col >= g->cols) {
        uint32_t rows = g->rows ? g->rows : 8, cols = g->cols ? g->cols : 8;
        while (rows <= row)
            rows *= 2;
        while (cols <= col)
            cols *= 2;
        uint32_t *cells = sim_new((size_t)rows * cols * sizeof *cells);
        for (uint32_t r = 0; r < g->rows; r++)
            memcpy(cells + (size_t)r * cols, g->cells + (size_t)r * g->cols, g->cols * sizeof *cells);
        free(g->cells);
        *g = (struct sim_grid){.cells = cells, .rows = rows, .cols = cols};
    }
    return &g->cells[(size_t)row * g->cols + col];
}

void sim_grid_clear(struct sim_grid *g, uint32_t row)
{
    if (row < g->rows)
        memset(g->cells + (size_t)row * g->cols, 0, g->cols * sizeof *g->cells);
}

void sim_grid_free(struct sim_grid *g)
{
    free(g->cells);
    *g = (struct sim_grid){0};
}

uint64_t *sim_column_at(struct sim_column *c, uint32_t node)
{
    if (node >= c->count) {
        uint32_t count = c->count ? c->count : 8;
        while (count <= node)
            count *= 2;
        c->cells = sim_resize(c->cells, count * sizeof *c->cells);
        memset(c->cells + c->count, 0, (count - c->count) * sizeof *c->cells);
        c->count = count;
    }
    return &c->cells[node];
}

void sim_column_free(struct sim_column *c)
{
    free(c->cells);
    *c = (struct sim_column){0};
}

uint32_t sim_member_node(kith_sim *s, const struct kith_member *m)
{
    return kith_sim_find(s, &m->addr);
}

bool sim_remembers(kith_sim *s, uint32_t node, const struct kith_addr *addr)
{
    struct kith_member m;
    uint32_t cursor = 0;
    while (kith_next(sim_node_at(s, node)->k, &cursor, &m)) {
        if (kith_addr_equal(&m.addr, addr))
            return true;
    }
    return false;
}
