/* Name conflicts: two nodes claim one name, and the pool votes (Serf's `_serf_conflict` query).
 *
 * The node whose own name is contested asks every other member where it believes that name to be.  Those that answer
 * with our address are for us; unless more than half of the answers are, we lose and must stop using the name: the
 * application is told.  Answers are single datagrams straight to the asker, counted once for each member.
 *
 *   idle --our name is contested--> asking --query timeout--> idle, won or lost
 *
 * An answer goes only to a known member at its own address: the rival, who is not known there, gets none.  Silence
 * alone is weak evidence, since a flood may have drowned the question: it takes three silent votes in a row to lose.
 * Deliberately not here: other queries. */
#include "base/ilog.h"
#include "node/node.h"
#include "wire/serf_query.h"

#define VOTE_QUERY "_serf_conflict"
#define VOTE_SILENT_MAX 3 /* votes in a row that nobody answers: the pool does not know us */
#define VOTE_TIMEOUT_MULT 16 /* Serf's: gossip intervals for each digit of the pool's size */

static bool vote_is_conflict(struct ki_span name)
{
    return ki_span_equal(name, ki_span(VOTE_QUERY, sizeof VOTE_QUERY - 1));
}

/* ---- asking ---- */

static uint64_t vote_timeout_us(const struct kith *k)
{
    uint64_t digits = ki_max_u64(1, ki_log10_ceil((uint64_t)k->table.count + 1));
    return (uint64_t)k->cfg.gossip_interval_ms * 1000 * VOTE_TIMEOUT_MULT * digits;
}

void ki_vote_start(struct kith *k)
{
    if (k->bare || !k->cfg.resolve_conflicts || k->vote || k->life != KI_LIFE_LIVE)
        return;
    struct ki_vote *vote = ki_mem_new(&k->mem, sizeof *vote);
    if (!vote) {
        ki_count(k, KI_COUNT_out_of_memory);
        return; /* the claim is repeated, and then so is the vote */
    }
    uint64_t timeout_us = vote_timeout_us(k);
    vote->id = (uint32_t)ki_crng_u64(&k->crng) >> 1; /* Serf reads it as a signed number */
    vote->ltime = k->query_clock.time;
    vote->deadline_us = k->now.mono_us + timeout_us;
    k->vote = vote;
    uint8_t buf[1024];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_query(&p, &(struct ki_serf_query){.ltime = vote->ltime,
                                                     .id = vote->id,
                                                     .addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                                                     .port = k->cfg.addr.port,
                                                     .source_node = ki_name_of(k->cfg.name),
                                                     .timeout_ns = (int64_t)timeout_us * 1000,
                                                     .name = ki_span(VOTE_QUERY, sizeof VOTE_QUERY - 1),
                                                     .payload = ki_name_of(k->cfg.name)});
    KI_ASSERT(!p.w.full);
    ki_count(k, KI_COUNT_votes);
    ki_handle_serf(k, ki_span(buf, p.w.len)); /* as any query: remembered, and passed on */
}

static bool vote_first_of(struct ki_vote *vote, uint64_t from)
{
    for (uint32_t i = 0; i < vote->answers; i++) {
        if (vote->from[i] == from)
            return false;
    }
    return vote->answers < KI_COUNT(vote->from);
}

int ki_vote_response(struct kith *k, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_serf_response response;
    struct ki_serf_member member;
    if (!ki_decode_serf_response(&r, &response)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_vote *vote = k->vote;
    bool ours = vote && response.id == vote->id && response.ltime == vote->ltime && (response.flags & 1) == 0;
    uint64_t from = ki_table_hash(&k->table, response.from);
    if (!ours || ki_table_find(&k->table, response.from) == KI_NO_MEMBER || !vote_first_of(vote, from))
        return 0;
    r = ki_reader(response.payload.ptr, response.payload.len);
    const uint8_t *type = ki_take(&r, 1);
    if (!type || *type != KI_SERF_CONFLICT_RESPONSE || !ki_decode_serf_member(&r, &member)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct kith_addr addr;
    vote->from[vote->answers++] = from;
    if (ki_addr_from_span(member.addr, member.port, &addr) && kith_addr_equal(&addr, &k->cfg.addr))
        vote->for_us++;
    return 0;
}

void ki_vote_check(struct kith *k)
{
    struct ki_vote *vote = k->vote;
    if (!vote || vote->deadline_us > k->now.mono_us)
        return;
    k->votes_silent = vote->answers == 0 && ki_anyone_else(k) ? k->votes_silent + 1 : 0;
    bool outvoted = vote->answers > 0 && vote->for_us < vote->answers / 2 + 1;
    if (outvoted || k->votes_silent >= (k->cfg.stock ? 1 : VOTE_SILENT_MAX)) {
        k->votes_silent = 0;
        ki_count(k, KI_COUNT_votes_lost);
        ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_NAME_LOST,
                                           .id = k->self,
                                           .count = vote->answers,
                                           .result = (int)vote->for_us});
    }
    ki_mem_free(&k->mem, vote);
    k->vote = NULL;
    if (k->votes_silent > 0)
        ki_vote_start(k); /* ask again */
}

/* ---- answering ---- */

void ki_vote_query(struct kith *k, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_serf_query query;
    struct kith_addr to;
    if (!ki_decode_serf_query(&r, &query) || !vote_is_conflict(query.name))
        return; /* other queries, and malformed ones, are only passed on */
    if (query.filters.len > 1 || query.payload.len == 0 || ki_span_equal(query.payload, ki_name_of(k->cfg.name)))
        return; /* Serf never filters it; the one in question has no vote */
    uint32_t source = ki_table_find(&k->table, query.source_node);
    bool fine = source != KI_NO_MEMBER && ki_addr_from_span(query.addr, query.port, &to);
    if (fine) {
        struct kith_addr known = ki_addr_of(ki_table_at(&k->table, source));
        fine = kith_addr_equal(&known, &to);
    }
    if (!fine) {
        ki_count(k, KI_COUNT_forged_reply_address);
        return;
    }
    ki_send(k, KI_CLASS_OTHER,
            &(struct ki_send){.kind = KI_SEND_VOTE,
                              .seq = query.id,
                              .ltime = query.ltime,
                              .id = ki_table_find(&k->table, query.payload),
                              .to_member = true,
                              .to = to});
}

/* The map of tags inside a meta, if that is what it holds: it came from the network. */
static struct ki_span vote_tags(struct ki_span meta)
{
    if (meta.len < 2 || meta.ptr[0] != 0xFF)
        return ki_span(NULL, 0);
    struct ki_reader r = ki_reader(meta.ptr + 1, meta.len - 1);
    return ki_unpack_skip(&r) && r.left == 0 ? ki_span(meta.ptr + 1, meta.len - 1) : ki_span(NULL, 0);
}

/* Where we believe the name to be; nil when it is unknown. */
void ki_vote_build(const struct kith *k, struct ki_pack *p, const struct ki_send *send)
{
    uint8_t buf[1024];
    struct ki_pack payload = ki_pack(buf, sizeof buf, false);
    const struct ki_member *m = ki_table_at(&k->table, send->id);
    if (m) {
        ki_encode_serf_member(&payload, &(struct ki_serf_member){
                                            .name = ki_member_name(m),
                                            .addr = ki_member_addr(m),
                                            .port = m->port,
                                            .tags = vote_tags(ki_member_meta(m)),
                                            .status = (int64_t)ki_about(k, send->id)->standing.status,
                                            .pmin = m->versions[0],
                                            .pmax = m->versions[1],
                                            .pcur = m->versions[2],
                                            .dmin = m->versions[3],
                                            .dmax = m->versions[4],
                                            .dcur = m->versions[5]});
    } else {
        ki_put_u8(&payload.w, KI_SERF_CONFLICT_RESPONSE);
        ki_pack_nil(&payload);
    }
    KI_ASSERT(!payload.w.full); /* 16 + 255 + 512 bytes and about 130 around them */
    ki_put_u8(&p->w, KI_MSG_USER);
    ki_encode_serf_response(p, &(struct ki_serf_response){.ltime = send->ltime,
                                                          .id = send->seq,
                                                          .from = ki_name_of(k->cfg.name),
                                                          .payload = ki_span(buf, payload.w.len)});
}
