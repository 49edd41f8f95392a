/* Checker "answer": a source that is no member gets at most three times the bytes it sent.
 *
 * Source addresses are forged easily, so whoever is answered may never have asked; the factor is QUIC's (RFC 9000, 8.1).
 *
 * Kept: for each node and source the bytes that came and that went, while the source is unknown.  One that was a member
 * once is known: news may go to it.  Streams are not counted: their handshake proves the address. */
#include "sim/check.h"

#define ANSWER_FACTOR 3

struct answer_state {
    struct sim_grid member; /* 1: was a member once */
    struct sim_sources sources; /* and the bytes that came from each and went to it */
};

/* Looks into the view only until the answer is yes. */
static bool answer_member(kith_sim *s, struct answer_state *a, uint32_t node, const struct kith_addr *addr)
{
    uint32_t whom = kith_sim_find(s, addr);
    if (whom == KITH_SIM_ALL)
        return ki_sim_remembers(s, node, addr);
    uint32_t *known = ki_sim_grid_at(&a->member, node, whom);
    if (!*known)
        *known = ki_sim_remembers(s, node, addr);
    return *known != 0;
}

static void answer_arrives(kith_sim *s, void *state, uint32_t node, const struct kith_addr *from, const void *buf,
                           size_t len)
{
    (void)buf;
    struct answer_state *a = state;
    if (!answer_member(s, a, node, from))
        ki_sim_source_make(&a->sources, node, from)->in += len;
}

static void answer_sent(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf, size_t len)
{
    (void)buf;
    struct answer_state *a = state;
    if (answer_member(s, a, node, to))
        return;
    struct sim_source *source = ki_sim_source_make(&a->sources, node, to);
    source->out += len;
    if (source->out > ANSWER_FACTOR * source->in)
        ki_sim_violate(s, "answer", node, "%llu bytes to %u.%u.%u.%u:%u, no member, which had sent %llu",
                       (unsigned long long)source->out, to->ip[0], to->ip[1], to->ip[2], to->ip[3], to->port,
                       (unsigned long long)source->in);
}

static void answer_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    struct answer_state *a = state;
    uint32_t whom = event->kind == KITH_EVENT_MEMBER ? ki_sim_member_node(s, &event->member) : KITH_SIM_ALL;
    if (whom != KITH_SIM_ALL)
        *ki_sim_grid_at(&a->member, node, whom) = 1;
}

static void answer_born(kith_sim *s, void *state, uint32_t node)
{
    (void)s;
    struct answer_state *a = state;
    ki_sim_grid_clear(&a->member, node);
    ki_sim_sources_forget(&a->sources, node);
}

static void answer_end(kith_sim *s, void *state)
{
    (void)s;
    struct answer_state *a = state;
    ki_sim_grid_free(&a->member);
    ki_sim_sources_free(&a->sources);
}

const struct sim_checker ki_sim_check_answer = {
    .about = "bytes answered to an unknown source are at most 3 times those received",
    .watch = {.name = "answer",
              .state_size = sizeof(struct answer_state),
              .born = answer_born,
              .sent = answer_sent,
              .arrives = answer_arrives,
              .event = answer_event,
              .end = answer_end},
};
