/* Checker "address": a node sends nothing to an address that it was not given a reason for.
 *
 * Reasons are: it was or is a member's, by the node's own view; the node was told to join by it; something came from it.
 * Whoever could make a node send elsewhere could aim a whole pool at a victim.
 *
 * Kept: for each node the nodes that it has a reason for, and for addresses that are no node's a short list.  The view
 * is looked up only when there is no reason yet. */
#include "sim/check.h"

struct address_state {
    struct sim_grid known;
    struct sim_sources outside; /* addresses that are no node's, with a reason */
};

static void address_reason(kith_sim *s, void *state, uint32_t node, const struct kith_addr *addr)
{
    struct address_state *a = state;
    uint32_t whom = kith_sim_find(s, addr);
    if (whom != KITH_SIM_ALL)
        *ki_sim_grid_at(&a->known, node, whom) = 1;
    else
        ki_sim_source_make(&a->outside, node, addr);
}

static void address_check(kith_sim *s, struct address_state *a, uint32_t node, const struct kith_addr *to,
                          const char *what)
{
    uint32_t whom = kith_sim_find(s, to);
    if (whom != KITH_SIM_ALL && *ki_sim_grid_at(&a->known, node, whom))
        return;
    if (whom == KITH_SIM_ALL && ki_sim_source_find(&a->outside, node, to))
        return;
    if (ki_sim_remembers(s, node, to))
        address_reason(s, a, node, to);
    else
        ki_sim_violate(s, "address", node, "%s to %u.%u.%u.%u:%u, which is nobody it knows", what, to->ip[0], to->ip[1],
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
    ki_sim_grid_clear(&a->known, node);
    ki_sim_sources_forget(&a->outside, node);
}

static void address_end(kith_sim *s, void *state)
{
    (void)s;
    struct address_state *a = state;
    ki_sim_grid_free(&a->known);
    ki_sim_sources_free(&a->outside);
}

const struct sim_checker ki_sim_check_address = {
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
