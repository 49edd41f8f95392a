/* Checker "address": a node sends nothing to an address that it was not given a reason for.
 *
 * Reasons are: it was or is a member's, by the node's own view; the node was told to join by it; something came from it.
 * Whoever could make a node send elsewhere could aim a whole pool at a victim.
 *
 * Kept: for each node the nodes that it has a reason for, and for addresses that are no node's a short list.  The view
 * is looked up only when there is no reason yet. */
#include "sim/check.h"

struct address_outside { /* an address that is no node's, from which something came */
    uint32_t node;
    struct kith_addr addr;
};

struct address_state {
    struct sim_grid known;
    struct address_outside *outside;
    size_t count, cap;
};

static struct address_outside *address_outside(struct address_state *a, uint32_t node, const struct kith_addr *addr)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->outside[i].node == node && kith_addr_equal(&a->outside[i].addr, addr))
            return &a->outside[i];
    }
    return NULL;
}

static void address_reason(kith_sim *s, void *state, uint32_t node, const struct kith_addr *addr)
{
    struct address_state *a = state;
    uint32_t whom = kith_sim_find(s, addr);
    if (whom != KITH_SIM_ALL) {
        *sim_grid_at(&a->known, node, whom) = 1;
    } else if (!address_outside(a, node, addr)) {
        a->outside = sim_grow(a->outside, &a->cap, a->count, sizeof *a->outside);
        a->outside[a->count++] = (struct address_outside){.node = node, .addr = *addr};
    }
}

static void address_check(kith_sim *s, struct address_state *a, uint32_t node, const struct kith_addr *to,
                          const char *what)
{
    uint32_t whom = kith_sim_find(s, to);
    if (whom != KITH_SIM_ALL && *sim_grid_at(&a->known, node, whom))
        return;
    if (whom == KITH_SIM_ALL && address_outside(a, node, to))
        return;
    if (sim_remembers(s, node, to))
        address_reason(s, a, node, to);
    else
        sim_violate(s, "address", node, "%s to %u.%u.%u.%u:%u, which is nobody it knows", what, to->ip[0], to->ip[1],
                    to->ip[2], to->ip[3], to->port);
}

static void address_sent(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf,
                         size_t len)
{
    (void)buf;
    (void)len;
    address_check(s, state, node, to, "a datagram");
}

static void address_opened(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to)
{
    address_check(s, state, node, to, "a stream");
}

static void address_arrives(kith_sim *s, void *state, uint32_t node, const struct kith_addr *from, const void *buf,
                            size_t len)
{
    (void)buf;
    (void)len;
    address_reason(s, state, node, from);
}

static void address_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    if (event->kind == KITH_EVENT_MEMBER)
        address_reason(s, state, node, &event->member.addr);
}

static void address_born(kith_sim *s, void *state, uint32_t node)
{
    (void)s;
    struct address_state *a = state;
    sim_grid_clear(&a->known, node);
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->outside[i].node != node)
            a->outside[kept++] = a->outside[i];
    }
    a->count = kept;
}

static void address_end(kith_sim *s, void *state)
{
    (void)s;
    struct address_state *a = state;
    sim_grid_free(&a->known);
    free(a->outside);
}

const struct sim_checker sim_check_address = {
    .about = "nothing is sent to an address that never was a member's, a joined one or a source",
    .watch = {.name = "address",
              .state_size = sizeof(struct address_state),
              .born = address_born,
              .told = address_reason,
              .sent = address_sent,
              .opened = address_opened,
              .arrives = address_arrives,
              .arrives_stream = address_reason,
              .event = address_event,
              .end = address_end},
};
