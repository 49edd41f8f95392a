/* The messages of streams: push/pull, the ping that falls back on TCP, and user messages.
 *
 * A push/pull is taken in two passes over its bytes, both in slices: the first checks that it is whole and that all
 * versions go together, and sees whether it accuses us; only then the second merges.  Nothing of a malformed or
 * incompatible state is applied.  When it accuses us, we raise our incarnation before our answer is built, so that
 * the answer refutes it. */
#include "node/link.h"

#define EXCHANGE_NODES_MAX 1048576 /* memberlist's limit for the header */
#define EXCHANGE_ENTRY 64 /* what a member costs beside its bytes, in the same measure: it is seldom in the cache, */
#define EXCHANGE_MERGE 256 /* and when it is merged: it may be new, and news */

static void exchange_broken(struct kith *k, struct ki_stream *s, enum ki_counter counter, int error)
{
    ki_count(k, counter);
    ki_stream_fail(k, s, error);
}

/* ---- building ---- */

static bool exchange_room(struct kith *k, struct ki_stream *s, size_t more)
{
    size_t need = s->out.len + more;
    if (need <= s->out.cap || ki_buf_reserve(k, &s->out, need + s->out.cap / 2) || ki_buf_reserve(k, &s->out, need))
        return true;
    ki_stream_fail(k, s, KITH_ERR_FULL);
    return false;
}

static void exchange_build_begin(struct kith *k, struct ki_stream *s)
{
    s->out.len = KI_OUT_GAP;
    s->build_cursor = s->build_count = s->left_count = 0;
    if (exchange_room(k, s, 4096))
        s->tx = KI_TX_BUILD;
}

/* A message that is whole at once. */
static void exchange_send(struct kith *k, struct ki_stream *s, const struct ki_pack *p)
{
    KI_ASSERT(!p->w.full);
    s->body = ki_span(p->w.start, p->w.len);
    ki_frame_built(k, s);
}

static void exchange_build_ping(struct kith *k, struct ki_stream *s)
{
    uint32_t id = ki_find_addr(k, &s->peer);
    if (id == KI_NO_MEMBER) { /* forgotten meanwhile */
        ki_stream_fail(k, s, KITH_ERR_NOT_FOUND);
        return;
    }
    if (k->probe.state != KI_PROBE_IDLE && k->probe_seq == (uint32_t)s->token)
        id = k->probe_id; /* several names may share an address */
    s->out.len = KI_OUT_GAP;
    if (!exchange_room(k, s, 1024))
        return;
    struct ki_pack p = ki_pack(s->out.ptr + KI_OUT_GAP, 1024, false);
    ki_encode_ping(&p, &(struct ki_ping){.seq = (uint32_t)s->token,
                                         .node = ki_member_name(ki_table_at(&k->table, id)),
                                         .source_addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                                         .source_port = k->cfg.addr.port,
                                         .source_node = ki_name_of(k->cfg.name)});
    exchange_send(k, s, &p);
}

void ki_exchange_begin(struct kith *k, struct ki_stream *s)
{
    if (s->purpose == KI_PURPOSE_PING) {
        exchange_build_ping(k, s);
    } else if (s->carries) {
        ki_link_begin(k, s);
    } else {
        ki_count(k, KI_COUNT_push_pulls_out);
        exchange_build_begin(k, s);
    }
    if (s->rx == KI_RX_IDLE)
        s->rx = KI_RX_READ;
}

/* The user state follows the nodes in the same buffer; then the header is put before them. */
static void exchange_build_end(struct kith *k, struct ki_stream *s)
{
    size_t nodes_end = s->out.len;
    if (!k->bare) {
        size_t cap = ki_state_len(k, s);
        if (!exchange_room(k, s, cap))
            return;
        struct ki_pack p = ki_pack(s->out.ptr + nodes_end, cap, false);
        ki_state_finish(k, s, &p);
        s->out.len += p.w.len;
        ki_buf_free(k, &s->ltimes);
        ki_buf_free(k, &s->lefts);
    }
    bool rejoin = s->purpose == KI_PURPOSE_SYNC && s->token == KI_SYNC_RECONNECT && k->cfg.stock;
    uint8_t header[KI_OUT_GAP];
    struct ki_pack p = ki_pack(header, sizeof header, false);
    ki_encode_push_pull_header(&p, &(struct ki_push_pull_header){.nodes = s->build_count,
                                                                 .user_state_len = (int64_t)(s->out.len - nodes_end),
                                                                 .join = s->purpose == KI_PURPOSE_JOIN || rejoin ||
                                                                         (s->purpose == KI_PURPOSE_ANSWER &&
                                                                          s->scan.header.join)});
    KI_ASSERT(!p.w.full);
    uint8_t *start = s->out.ptr + KI_OUT_GAP - p.w.len;
    memcpy(start, header, p.w.len);
    s->body = ki_span(start, s->out.len - KI_OUT_GAP + p.w.len);
    ki_frame_built(k, s);
}

void ki_exchange_build(struct kith *k, struct ki_stream *s, size_t *budget)
{
    while (*budget > 0 && s->build_cursor < k->table.used) {
        uint32_t id = s->build_cursor++;
        const struct ki_member *m = ki_table_at(&k->table, id);
        if (!m || ki_buried(k, m))
            continue;
        if (!exchange_room(k, s, 1024)) /* 63 bytes, and at most 16 + 255 + 512 */
            return;
        if (!k->bare && !ki_state_put(k, s, id)) {
            ki_stream_fail(k, s, KITH_ERR_FULL);
            return;
        }
        struct ki_pack p = ki_pack(s->out.ptr + s->out.len, 1024, false);
        struct ki_node_state node = ki_node_state_of(m);
        ki_encode_node_state(&p, &node);
        KI_ASSERT(!p.w.full);
        s->out.len += p.w.len;
        s->build_count++;
        *budget -= ki_min_size(*budget, p.w.len + EXCHANGE_ENTRY);
    }
    if (s->build_cursor >= k->table.used)
        exchange_build_end(k, s);
}

/* ---- scanning ---- */

static void exchange_note_node(const struct kith *k, struct ki_scan *scan, const struct ki_node_state *node)
{
    ki_versions_note(&scan->versions, node);
    if (ki_intake_accuses_us(k, node)) {
        scan->accused = true;
        scan->accused_incarnation = node->incarnation;
    }
}

enum exchange_progress { EXCHANGE_WHOLE, EXCHANGE_MORE, EXCHANGE_SHORT, EXCHANGE_BROKEN };

static enum exchange_progress exchange_missing(const struct ki_reader *r)
{
    return r->ended ? EXCHANGE_SHORT : EXCHANGE_BROKEN;
}

static enum exchange_progress exchange_scan_header(const struct kith *k, struct ki_scan *scan, struct ki_span plain)
{
    struct ki_reader r = ki_reader(plain.ptr + 1, plain.len - 1);
    *scan = (struct ki_scan){.versions = ki_versions_none()};
    if (!ki_decode_push_pull_header(&r, &scan->header))
        return exchange_missing(&r);
    if (scan->header.nodes > EXCHANGE_NODES_MAX || scan->header.user_state_len > (int64_t)k->cfg.frame_max)
        return EXCHANGE_BROKEN;
    scan->header_read = true;
    scan->nodes_left = scan->header.nodes;
    scan->pos = scan->nodes_at = plain.len - r.left;
    return EXCHANGE_MORE;
}

/* Goes on where it stopped. */
static enum exchange_progress exchange_scan(const struct kith *k, struct ki_scan *scan, struct ki_span plain,
                                            size_t *budget)
{
    if (!scan->header_read) {
        enum exchange_progress progress = exchange_scan_header(k, scan, plain);
        if (progress != EXCHANGE_MORE)
            return progress;
    }
    while (scan->nodes_left > 0) {
        if (*budget == 0)
            return EXCHANGE_MORE;
        struct ki_reader r = ki_reader(plain.ptr + scan->pos, plain.len - scan->pos);
        struct ki_node_state node = {0};
        if (!ki_decode_node_state(&r, &node))
            return exchange_missing(&r);
        exchange_note_node(k, scan, &node);
        size_t used = plain.len - r.left - scan->pos;
        scan->pos += used;
        scan->nodes_left--;
        *budget -= ki_min_size(*budget, used);
    }
    size_t user_len = (size_t)scan->header.user_state_len;
    if (plain.len - scan->pos < user_len)
        return EXCHANGE_SHORT;
    scan->user = ki_span(plain.ptr + scan->pos, user_len);
    return EXCHANGE_WHOLE;
}

/* Whether the user state is one that we can merge, or none of our business. */
static bool exchange_user_fine(const struct kith *k, struct ki_stream *s)
{
    struct ki_span user = s->scan.user;
    s->merge = (struct ki_state_merge){.step = KI_STATE_BEGIN};
    if (k->bare || user.len == 0 || user.ptr[0] != KI_SERF_PUSH_PULL)
        return true;
    struct ki_reader r = ki_reader(user.ptr + 1, user.len - 1);
    return ki_decode_serf_state(&r, &s->merge.state);
}

/* A join of many addresses may take minutes, and makes us a member with the first: what is said from then on is for us. */
static bool exchange_joined_before(struct kith *k, const struct ki_stream *s)
{
    const struct ki_ask *join = s->purpose == KI_PURPOSE_JOIN ? ki_ask_find(k, s->token) : NULL;
    const struct ki_member *peer = join ? ki_table_at(&k->table, ki_find_addr(k, &s->peer)) : NULL;
    return peer && join->reached > 0 && (peer->state == KI_ALIVE || peer->state == KI_SUSPECT) && !k->cfg.stock;
}

/* The push/pull is whole: answer it, or take the answer. */
static void exchange_whole(struct kith *k, struct ki_stream *s)
{
    if (!exchange_user_fine(k, s)) {
        exchange_broken(k, s, KI_COUNT_malformed, KITH_ERR_MALFORMED);
        return;
    }
    s->merge_pos = s->scan.nodes_at;
    s->merge_left = s->scan.header.nodes;
    s->merge_near = 0;
    s->newcomer = k->table.count == 1 && k->stream_count == 1 && !k->cfg.stock;
    s->joined_before = exchange_joined_before(k, s);
    s->rx = KI_RX_MERGE;
    ki_versions_note_ours(&s->scan.versions, k);
    bool fine = ki_versions_fine(&s->scan.versions);
    if (!fine)
        ki_count(k, KI_COUNT_version_mismatch);
    if (s->purpose != KI_PURPOSE_ANSWER) {
        if (!fine)
            ki_stream_fail(k, s, KITH_ERR_VERSION);
        return;
    }
    ki_count(k, KI_COUNT_push_pulls_in);
    uint32_t own = ki_table_at(&k->table, k->self)->incarnation;
    bool accused = s->scan.accused && s->scan.accused_incarnation >= own;
    if (fine && accused && k->life == KI_LIFE_LIVE && !k->cfg.stock)
        ki_refute(k, s->scan.accused_incarnation, NULL);
    if (!fine)
        s->rx = KI_RX_DONE; /* answered, so that the other side sees it too, but not merged */
    exchange_build_begin(k, s);
}

static void exchange_scan_push_pull(struct kith *k, struct ki_stream *s, size_t *budget)
{
    switch (exchange_scan(k, &s->scan, s->plain, budget)) {
    case EXCHANGE_MORE:
        return;
    case EXCHANGE_WHOLE:
        *budget -= ki_min_size(*budget, s->scan.user.len); /* it is looked through */
        exchange_whole(k, s);
        return;
    case EXCHANGE_SHORT:
        if (s->plain_grows && !s->peer_done && s->raw.len <= k->cfg.frame_max) {
            s->fed = false;
            return;
        }
        exchange_broken(k, s, KI_COUNT_malformed, KITH_ERR_MALFORMED);
        return;
    case EXCHANGE_BROKEN:
        exchange_broken(k, s, KI_COUNT_malformed, KITH_ERR_MALFORMED);
        return;
    }
    KI_UNREACHABLE();
}

/* A short message: whole, or wait for the rest. */
static bool exchange_short(struct kith *k, struct ki_stream *s, const struct ki_reader *r)
{
    if (!r->bad)
        return true;
    if (r->ended && s->plain_grows && !s->peer_done && s->raw.len <= k->cfg.frame_max)
        s->fed = false;
    else
        exchange_broken(k, s, KI_COUNT_malformed, KITH_ERR_MALFORMED);
    return false;
}

static void exchange_ping(struct kith *k, struct ki_stream *s, struct ki_reader r)
{
    struct ki_ping ping = {0};
    ki_decode_ping(&r, &ping);
    if (!exchange_short(k, s, &r))
        return;
    ki_count(k, KI_COUNT_pings_in);
    s->rx = KI_RX_DONE;
    if (ping.node.len > 0 && !ki_span_equal(ping.node, ki_name_of(k->cfg.name))) {
        ki_stream_fail(k, s, KITH_ERR_NOT_FOUND); /* meant for another that had our address */
        return;
    }
    s->out.len = KI_OUT_GAP;
    if (!exchange_room(k, s, 64))
        return;
    struct ki_pack p = ki_pack(s->out.ptr + KI_OUT_GAP, 64, false);
    ki_encode_ack(&p, &(struct ki_ack){.seq = ping.seq});
    exchange_send(k, s, &p);
}

static void exchange_ack(struct kith *k, struct ki_stream *s, struct ki_reader r)
{
    struct ki_ack ack = {0};
    ki_decode_ack(&r, &ack);
    if (!exchange_short(k, s, &r))
        return;
    ki_count(k, KI_COUNT_acks_in);
    if (s->purpose == KI_PURPOSE_PING && ack.seq == (uint32_t)s->token)
        ki_ack_received(k, ack.seq, NULL);
    s->rx = KI_RX_DONE;
    ki_stream_settle(k, s);
}

static void exchange_user(struct kith *k, struct ki_stream *s, struct ki_reader r)
{
    struct ki_user_header header = {0};
    const uint8_t *body = NULL;
    if (ki_decode_user_header(&r, &header)) {
        if (header.len > (int64_t)k->cfg.frame_max) {
            exchange_broken(k, s, KI_COUNT_malformed, KITH_ERR_MALFORMED);
            return;
        }
        body = ki_take(&r, (size_t)header.len);
    }
    if (!exchange_short(k, s, &r))
        return;
    if (!k->bare && !k->cfg.stock && header.len > 0 && body[0] == KI_LINK_TYPE) {
        if (s->plain_grows)
            s->raw_used = s->raw.len - r.left;
        ki_link_hello(k, s, ki_span(body + 1, (size_t)header.len - 1));
        return;
    }
    if (s->dialled) { /* no answer to a hello */
        exchange_broken(k, s, KI_COUNT_unknown_type, KITH_ERR_MALFORMED);
        return;
    }
    ki_handle_user(k, &s->peer, ki_span(body, (size_t)header.len));
    s->rx = KI_RX_DONE;
    s->tx = KI_TX_DONE;
    ki_stream_settle(k, s);
}

void ki_exchange_scan(struct kith *k, struct ki_stream *s, size_t *budget)
{
    if (s->plain_grows)
        s->plain = ki_span(s->raw.ptr + s->raw_pos, s->raw.len - s->raw_pos);
    struct ki_reader body = ki_reader(s->plain.ptr + 1, s->plain.len - 1);
    bool answer = s->purpose == KI_PURPOSE_ANSWER;
    bool exchange = s->purpose == KI_PURPOSE_JOIN || s->purpose == KI_PURPOSE_SYNC;
    uint8_t type = s->plain.ptr[0];
    if (type == KI_MSG_PUSH_PULL && (answer || exchange)) {
        exchange_scan_push_pull(k, s, budget);
    } else if (type == KI_MSG_PING && answer) {
        exchange_ping(k, s, body);
    } else if (type == KI_MSG_USER && (answer || s->carries)) {
        exchange_user(k, s, body);
    } else if (type == KI_MSG_ACK && s->purpose == KI_PURPOSE_PING) {
        exchange_ack(k, s, body);
    } else if (type == KI_MSG_ERR && !answer) {
        ki_stream_fail(k, s, KITH_ERR_REFUSED);
    } else {
        exchange_broken(k, s, KI_COUNT_unknown_type, KITH_ERR_MALFORMED);
    }
}

/* ---- merging ---- */

/* The member at the other end, or KI_NO_MEMBER.  Who dialled us is known by its host alone: if the pool has one port. */
static uint32_t exchange_teller(struct kith *k, const struct ki_stream *s)
{
    struct kith_addr peer = s->peer;
    if (s->purpose == KI_PURPOSE_ANSWER)
        peer.port = k->cfg.addr.port;
    return ki_find_addr(k, &peer);
}

static void exchange_merge_node(struct kith *k, struct ki_stream *s, const struct ki_node_state *node)
{
    bool accuses = node->state == KI_DEAD || node->state == KI_SUSPECT;
    struct ki_teller teller = {.addr = s->purpose == KI_PURPOSE_ANSWER ? NULL : &s->peer,
                               .id = accuses ? exchange_teller(k, s) : KI_NO_MEMBER};
    ki_intake_member(k, &teller, node, &s->merge_near);
}

static void exchange_merge_user(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_span user = s->scan.user;
    if (!k->bare && user.len > 0 && user.ptr[0] == KI_SERF_PUSH_PULL) {
        enum ki_state_result result = ki_state_merge(k, s, budget);
        if (result == KI_STATE_NO_ROOM)
            ki_stream_fail(k, s, KITH_ERR_FULL);
        if (result != KI_STATE_DONE)
            return;
    } else if (!k->bare && user.len > 0) {
        ki_count(k, KI_COUNT_unknown_serf_type);
    }
    s->rx = KI_RX_DONE;
    ki_stream_settle(k, s);
}

void ki_exchange_merge(struct kith *k, struct ki_stream *s, size_t *budget)
{
    while (s->merge_left > 0) {
        if (*budget == 0)
            return;
        struct ki_reader r = ki_reader(s->plain.ptr + s->merge_pos, s->plain.len - s->merge_pos);
        struct ki_node_state node = {0};
        bool fine = ki_decode_node_state(&r, &node);
        KI_ASSERT(fine); /* the scan has read it */
        size_t used = s->plain.len - r.left - s->merge_pos;
        s->merge_pos += used;
        s->merge_left--;
        *budget -= ki_min_size(*budget, used + EXCHANGE_MERGE);
        k->known_there = s->newcomer;
        exchange_merge_node(k, s, &node);
        k->known_there = false;
    }
    exchange_merge_user(k, s, budget);
}
