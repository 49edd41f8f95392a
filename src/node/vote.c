/* Name conflicts: two nodes claim one name, and the pool votes (Serf's `_serf_conflict` query).
 *
 * The node whose own name is contested asks every other member where it believes that name to be.  Those that answer
 * with our address are for us; unless more than half of the answers are, we lose and must stop using the name: the
 * application is told.
 *
 *   idle --our name is contested--> asking --query timeout--> idle, won or lost
 *
 * An answer goes only to a known member at its own address: the rival, who is not known there, gets none.  Silence
 * alone is weak evidence, since a flood may have drowned the question: it takes three silent votes in a row to lose.
 * Deliberately not here: how queries travel. */
#include "node/messages.h"

#define VOTE_SILENT_MAX 3 /* votes in a row that nobody answers: the pool does not know us */

/* ---- asking ---- */

void ki_vote_start(struct kith *k)
{
    if (k->bare || !k->cfg.resolve_conflicts || k->voting || k->life != KI_LIFE_LIVE)
        return;
    struct kith_query query = {.name = {KI_QUERY_CONFLICT, strlen(KI_QUERY_CONFLICT)}, .payload = k->cfg.name};
    k->voting = ki_query_ask(k, KI_QUERY_VOTE, &query, 0) == 0; /* else the claim is repeated, and then so is the vote */
    if (k->voting)
        ki_count(k, KI_COUNT_votes);
}

int ki_vote_answered(struct kith *k, struct ki_query_out *out, const struct ki_serf_response *response)
{
    struct ki_serf_member member;
    struct kith_addr addr;
    struct ki_reader r = ki_reader(response->payload.ptr, response->payload.len);
    const uint8_t *type = ki_take(&r, 1);
    if (!type || *type != KI_SERF_CONFLICT_RESPONSE || !ki_decode_serf_member(&r, &member)) {
        ki_count(k, KI_COUNT_malformed);
        out->responses--; /* that was no vote */
        return KITH_ERR_MALFORMED;
    }
    if (ki_addr_from_span(member.addr, member.port, &addr) && kith_addr_equal(&addr, &k->cfg.addr))
        out->yes++;
    return 0;
}

void ki_vote_ended(struct kith *k, const struct ki_query_out *out)
{
    k->voting = false;
    k->votes_silent = out->responses == 0 && ki_anyone_else(k) ? k->votes_silent + 1 : 0;
    bool outvoted = out->responses > 0 && out->yes < out->responses / 2 + 1;
    if (outvoted || k->votes_silent >= (k->cfg.stock ? 1 : VOTE_SILENT_MAX)) {
        k->votes_silent = 0;
        ki_count(k, KI_COUNT_votes_lost);
        ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_NAME_LOST,
                                           .id = k->self,
                                           .count = out->responses,
                                           .result = (int)out->yes});
    }
    if (k->votes_silent > 0)
        ki_vote_start(k); /* ask again */
}

/* ---- answering ---- */

/* The map of tags inside a meta, if that is what it holds: it came from the network. */
static struct ki_span vote_tags(struct ki_span meta)
{
    if (meta.len < 2 || meta.ptr[0] != 0xFF)
        return ki_span(NULL, 0);
    struct ki_reader r = ki_reader(meta.ptr + 1, meta.len - 1);
    return ki_unpack_skip(&r) && r.left == 0 ? ki_span(meta.ptr + 1, meta.len - 1) : ki_span(NULL, 0);
}

/* Where we believe the name to be; nil when it is unknown. */
void ki_vote_answer(struct kith *k, const struct ki_serf_query *query, const struct ki_query_in *in)
{
    if (query->payload.len == 0 || ki_span_equal(query->payload, ki_name_of(k->cfg.name)))
        return; /* the one in question has no vote */
    uint8_t buf[1024];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    uint32_t id = ki_table_find(&k->table, query->payload);
    const struct ki_member *m = ki_table_at(&k->table, id);
    if (m) {
        ki_encode_serf_member(&p, &(struct ki_serf_member){.name = ki_member_name(m),
                                                           .addr = ki_member_addr(m),
                                                           .port = m->port,
                                                           .tags = vote_tags(ki_member_meta(m)),
                                                           .status = (int64_t)ki_about(k, id)->standing.status,
                                                           .pmin = m->versions[0],
                                                           .pmax = m->versions[1],
                                                           .pcur = m->versions[2],
                                                           .dmin = m->versions[3],
                                                           .dmax = m->versions[4],
                                                           .dcur = m->versions[5]});
    } else {
        ki_put_u8(&p.w, KI_SERF_CONFLICT_RESPONSE);
        ki_pack_nil(&p);
    }
    KI_ASSERT(!p.w.full); /* 16 + 255 + 512 bytes and about 130 around them */
    (void)ki_query_answer(k, in, 0, ki_span(buf, p.w.len));
}
