/* The three rings of aggregate/overlay.c for all nodes at once.
 *
 * The product goes through the members once for one node, here that would be n times n.  So the rings are sorted, and
 * each node takes who stands beside it.  Places are the product's, of names that are the nodes' numbers; a unit
 * test compares both. */
#include <stdlib.h>

#include "aggregate/overlay.h"
#include "sim/model/aggregate_parts.h"

_Static_assert(SIM_AGGREGATE_NEIGHBOURS == KI_OVERLAY_NEIGHBOURS, "as many neighbours as the product has");

struct rings_place {
    uint64_t at;
    uint32_t node;
};

struct rings_beside { /* of a node, in each ring */
    uint32_t before[KI_OVERLAY_RINGS], after[KI_OVERLAY_RINGS];
};

static int rings_order(const void *a, const void *b)
{
    const struct rings_place *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->node > y->node) - (x->node < y->node);
}

uint64_t ki_sim_aggregate_hash(uint32_t node)
{
    const uint8_t name[4] = {(uint8_t)(node >> 24), (uint8_t)(node >> 16), (uint8_t)(node >> 8), (uint8_t)node};
    return ki_overlay_hash(ki_span(name, sizeof name));
}

static void rings_sort(struct rings_place *places, uint32_t nodes, uint32_t ring, struct rings_beside *beside)
{
    for (uint32_t node = 0; node < nodes; node++)
        places[node] = (struct rings_place){.at = ki_overlay_place(ki_sim_aggregate_hash(node), ring), .node = node};
    qsort(places, nodes, sizeof *places, rings_order);
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t node = places[i].node, next = places[i + 1 < nodes ? i + 1 : 0].node;
        beside[node].after[ring] = next;
        beside[next].before[ring] = node;
    }
}

static bool rings_has(const uint32_t *nodes, uint32_t node)
{
    for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++) {
        if (nodes[ring] == node)
            return true;
    }
    return false;
}

/* As ki_overlay_end() does. */
static void rings_neighbours(uint32_t node, const struct rings_beside *b, struct sim_aggregate_neighbours *out)
{
    *out = (struct sim_aggregate_neighbours){.count = 0};
    for (uint32_t i = 0; i < KI_OVERLAY_NEIGHBOURS; i++) {
        uint32_t peer = i < KI_OVERLAY_RINGS ? b->after[i] : b->before[i - KI_OVERLAY_RINGS];
        bool is_after = rings_has(b->after, peer), is_before = rings_has(b->before, peer), is_there = false;
        for (uint32_t at = 0; at < out->count; at++)
            is_there = is_there || out->peer[at] == peer;
        if (is_there)
            continue;
        if (is_after && (!is_before || node < peer))
            out->initiates |= (uint8_t)(1u << out->count);
        out->peer[out->count++] = peer;
    }
}

struct sim_aggregate_neighbours *ki_sim_aggregate_rings(uint32_t nodes)
{
    struct rings_place *places = malloc(nodes * sizeof *places);
    struct rings_beside *beside = malloc(nodes * sizeof *beside);
    struct sim_aggregate_neighbours *neighbours = malloc(nodes * sizeof *neighbours);
    for (uint32_t ring = 0; places && beside && neighbours && ring < KI_OVERLAY_RINGS; ring++)
        rings_sort(places, nodes, ring, beside);
    for (uint32_t node = 0; places && beside && neighbours && node < nodes; node++)
        rings_neighbours(node, &beside[node], &neighbours[node]);
    if (!places || !beside) {
        free(neighbours);
        neighbours = NULL;
    }
    free(places);
    free(beside);
    return neighbours;
}
