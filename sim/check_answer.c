/* Checker "answer": a source that is no member gets at most three times the bytes it sent.
 *
 * Source addresses are forged easily, so whoever is answered may never have asked; the factor is QUIC's (RFC 9000, 8.1).
 *
 * Kept: for each node and source the bytes that came and that went, while the source is unknown.  One that was a member
 * once is known: news may go to it.  Streams are not counted: their handshake proves the address. */
#include "sim/check.h"

#define ANSWER_FACTOR 3

struct answer_source {
    uint32_t node;
    struct kith_addr addr;
    uint64_t in, out;
};

struct answer_state {
    struct sim_grid member; /* 1: was a member once */
    struct answer_source *sources;
    size_t count, cap;
};

static struct answer_source *answer_source(struct answer_state *a, uint32_t node, const struct kith_addr *addr)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->sources[i].node == node && kith_addr_equal(&a->sources[i].addr, addr))
            return &a->sources[i];
    }
    a->sources = sim_grow(a->sources, &a->cap, a->count, sizeof *a->sources);
    a->sources[a->count] = (struct answer_source){.node = node, .addr = *addr};
    return &a->sources[a->count++];
}

/* Looks into the view only until the answer is yes. */
static bool answer_member(kith_sim *s, struct answer_state *a, uint32_t node, const struct kith_addr *addr)
{
    uint32_t whom = kith_sim_find(s, addr);
    if (whom == KITH_SIM_ALL)
        return sim_remembers(s, node, addr);
    uint32_t *known = sim_grid_at(&a->member, node, whom);
    if (!*known)
        *known = sim_remembers(s, node, addr);
    return *known != 0;
}

static void answer_arrives(kith_sim *s, void *state, uint32_t node, const struct kith_addr *from, const void *buf,
                           size_t len)
{
    (void)buf;
    struct answer_state *a = state;
    if (!answer_member(s, a, node, from))
        answer_source(a, node, from)->in += len;
}

static void answer_sent(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf, size_t len)
{
    (void)buf;
    struct answer_state *a = state;
    if (answer_member(s, a, node, to))
        return;
    struct answer_source *source = answer_source(a, node, to);
    source->out += len;
    if (source->out > ANSWER_FACTOR * source->in)
        sim_violate(s, "answer", node, "%llu bytes to %u.%u.%u.%u:%u, no member, which had sent %llu",
                    (unsigned long long)source->out, to->ip[0], to->ip[1], to->ip[2], to->ip[3], to->port,
                    (unsigned long long)source->in);
}

static void answer_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    struct answer_state *a = state;
    uint32_t whom = event->kind == KITH_EVENT_MEMBER ? sim_member_node(s, &event->member) : KITH_SIM_ALL;
    if (whom != KITH_SIM_ALL)
        *sim_grid_at(&a->member, node, whom) = 1;
}

static void answer_born(kith_sim *s, void *state, uint32_t node)
{
    (void)s;
    struct answer_state *a = state;
    sim_grid_clear(&a->member, node);
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->sources[i].node != node)
            a->sources[kept++] = a->sources[i];
    }
    a->count = kept;
}

static void answer_end(kith_sim *s, void *state)
{
    (void)s;
    struct answer_state *a = state;
    sim_grid_free(&a->member);
    free(a->sources);
}

const struct sim_checker sim_check_answer = {
    .about = "bytes answered to an unknown source are at most 3 times those received",
    .watch = {.name = "answer",
              .state_size = sizeof(struct answer_state),
              .born = answer_born,
              .sent = answer_sent,
              .arrives = answer_arrives,
              .event = answer_event,
              .end = answer_end},
};
