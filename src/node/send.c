/* State -> datagrams.  What is to be sent waits as a few words (struct ki_send) and is built when the driver asks,
 * from the newest state, with as much news as fits:
 *
 *   plain:  | room for a compound header | part | part | ...          built here, then
 *           label, seal or CRC, and compression when it makes it smaller, into the caller's buffer.
 *
 * News rides only on datagrams to members: an answer to a stranger has at most 3 times the bytes it asked with. */
#include "base/canary.h"
#include "node/aggregate.h"
#include "node/messages.h"
#include "node/replica.h"
#include "swim/timing.h"
#include "wire/lzw.h"

#define SEND_FRONT (2 + 2 * KI_COMPOUND_MAX) /* largest compound header */
#define SEND_CRC_LEN 5
#define SEND_TIMES_MIN 4 /* news is sent so often, if there are so many others: profile local asks for 2 below 10 members,
                          * which one unlucky choice of targets in a healing pool uses up */
#define SEND_USER_SHARE 3 /* of a datagram, a third is for events and queries */
#define SEND_SQUEEZE_FRONT 32 /* room for the front of a compress message */
#define SEND_SQUEEZE_MIN 160 /* bytes: below it LZW's 9-bit codes and 15-byte front never win on real messages */

bool ki_send(struct kith *k, unsigned class, const struct ki_send *send)
{
    struct ki_sends *ring = &k->sends[class];
    for (uint32_t i = 0; send->kind == KI_SEND_NEWS_OF && i < ring->count; i++) {
        const struct ki_send *waiting = &ring->items[(ring->head + i) % ring->cap];
        if (waiting->kind == send->kind && waiting->id == send->id && kith_addr_equal(&waiting->to, &send->to))
            return true; /* it will be built from the newest state anyway */
    }
    if (ring->count == ring->cap) {
        uint32_t cap = ring->cap ? ring->cap * 2 : 8;
        if (cap > k->cfg.replies_max)
            cap = k->cfg.replies_max;
        struct ki_send *items = cap > ring->cap ? ki_mem_new(&k->mem, cap * sizeof *items) : NULL;
        if (!items) {
            ki_count(k, KI_COUNT_replies_dropped);
            return false;
        }
        for (uint32_t i = 0; i < ring->count; i++)
            items[i] = ring->items[(ring->head + i) % ring->cap];
        ki_mem_free(&k->mem, ring->items);
        *ring = (struct ki_sends){.items = items, .head = 0, .count = ring->count, .cap = cap};
    }
    ring->items[(ring->head + ring->count++) % ring->cap] = *send;
    return true;
}

static bool send_seals(const struct kith *k)
{
    return k->keyring.count > 0 && k->cfg.verify_outgoing;
}

static uint8_t send_seal_version(const struct kith *k)
{
    return k->cfg.protocol == 1 ? 0 : 1;
}

/* Bytes of parts and compound header that fit one datagram. */
static size_t send_room(const struct kith *k)
{
    size_t label = k->cfg.label.len ? 2 + k->cfg.label.len : 0;
    size_t seal = !send_seals(k) ? SEND_CRC_LEN : send_seal_version(k) ? KI_SEAL_OVERHEAD : KI_SEAL_OVERHEAD_MAX;
    return k->cfg.datagram_max - label - (KI_CANARY(OVERFILL) ? 0 : seal);
}

/* Whoever forges a source address must not gain by it: a stranger is answered with at most 3 times the bytes of its
 * datagram, in at most 2 (so that the headers below us do not add up either).  A ping that memberlist sends always
 * affords its ack. */
bool ki_afford_answer(struct kith *k, size_t len)
{
    size_t cost = len + (k->cfg.label.len ? 2 + k->cfg.label.len : 0) + (send_seals(k) ? KI_SEAL_OVERHEAD_MAX : 0);
    if (k->answers_left == 0 || cost > k->answer_room) {
        ki_count(k, KI_COUNT_replies_dropped);
        return false;
    }
    k->answers_left--;
    k->answer_room -= cost;
    return true;
}

/* There is news.  memberlist tells it at the next beat of its gossip, which is half an interval away in the mean, at every
 * hop.  Here the next round is at once, if the rounds there have been are paid for: each pays for an interval, and one may
 * be owed.  So in no span of time there is more than one round more than the beat alone has, and a pool in which
 * news never ends has the beat.  News is sent as often in all as ever: what goes out now does not go out later. */
static void send_hurry(struct kith *k)
{
    uint64_t interval_us = (uint64_t)k->cfg.gossip_interval_ms * 1000;
    bool eager = !k->cfg.stock && k->gossip_paid_us <= k->now.mono_us + interval_us;
    uint64_t next_us = eager ? k->now.mono_us : k->now.mono_us + interval_us;
    if (eager || k->gossip_next_us == KITH_NEVER)
        k->gossip_next_us = ki_min_u64(k->gossip_next_us, next_us);
}

int ki_broadcast(struct kith *k, unsigned queue, uint32_t subject, kith_ticket ticket, struct ki_span bytes)
{
    if (bytes.len > send_room(k)) { /* what others say must be believed all the same: full exchanges pass it on */
        ki_count(k, KI_COUNT_queue_dropped);
        return ticket ? KITH_ERR_FULL : 0;
    }
    uint64_t dropped = k->queues[queue].dropped;
    uint64_t replaced = 0;
    if (!ki_queue_put(&k->queues[queue], subject, ticket, bytes.ptr, bytes.len, &replaced)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    k->counters[KI_COUNT_queue_dropped] += k->queues[queue].dropped - dropped;
    if (replaced)
        ki_news_done(k, replaced); /* newer news says what it said */
    k->news_none = false;
    send_hurry(k);
    return 0;
}

uint32_t ki_news_waiting(const struct kith *k)
{
    size_t count = 0;
    for (unsigned i = 0; i < KI_QUEUES; i++)
        count += k->queues[i].count;
    return (uint32_t)count;
}

void ki_unsubject(struct kith *k, uint32_t id)
{
    for (unsigned class = 0; class < KI_CLASSES; class++) {
        struct ki_sends *ring = &k->sends[class];
        for (uint32_t i = 0; i < ring->count; i++) {
            struct ki_send *send = &ring->items[(ring->head + i) % ring->cap];
            if (send->id == id)
                send->id = KI_NO_MEMBER; /* the id may be another member's before this is built */
        }
    }
    ki_news_done(k, ki_queue_drop_subject(&k->queues[KI_QUEUE_MEMBERS], id));
}

/* ---- building ---- */

struct send_build {
    uint8_t *parts; /* k->plain + SEND_FRONT */
    size_t len;
    size_t room;
    unsigned count;
    uint16_t lens[KI_COMPOUND_MAX];
};

static size_t send_left(const struct send_build *b)
{
    size_t used = b->len + 2 + 2 * ((size_t)b->count + 1);
    return used < b->room ? b->room - used : 0;
}

static void send_add(struct send_build *b, const struct ki_pack *p)
{
    if (p->w.full || p->w.len == 0)
        return;
    b->lens[b->count++] = (uint16_t)p->w.len;
    b->len += p->w.len;
}

/* Room for the next part: as much as fits even without a compound header when it is the first. */
static struct ki_pack send_part(const struct send_build *b)
{
    size_t room = b->count == 0 ? b->room : send_left(b);
    return ki_pack(b->parts + b->len, room, false);
}

static void send_ping_part(struct kith *k, struct send_build *b, const struct ki_send *send)
{
    struct ki_pack p = send_part(b);
    const struct ki_member *target = ki_table_at(&k->table, send->id);
    ki_encode_ping(&p, &(struct ki_ping){.seq = send->seq,
                                         .node = ki_member_name(target),
                                         .source_addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                                         .source_port = k->cfg.addr.port,
                                         .source_node = ki_name_of(k->cfg.name)});
    send_add(b, &p);
}

static void send_ack_part(struct kith *k, struct send_build *b, const struct ki_send *send)
{
    uint8_t payload[KI_COORDINATE_LEN];
    struct ki_pack p = send_part(b), c = ki_pack(payload, sizeof payload, false);
    if (send->coordinate)
        ki_encode_coordinate(&c, &k->coordinates.own.here);
    ki_encode_ack(&p, &(struct ki_ack){.seq = send->seq, .payload = ki_span(c.w.len ? payload : NULL, c.w.len)});
    send_add(b, &p);
}

static void send_indirect_part(struct kith *k, struct send_build *b, const struct ki_send *send)
{
    struct ki_pack p = send_part(b);
    const struct ki_member *target = ki_table_at(&k->table, send->id);
    ki_encode_indirect_ping(&p, &(struct ki_indirect_ping){.seq = send->seq,
                                                           .target = ki_member_addr(target),
                                                           .port = target->port,
                                                           .node = ki_member_name(target),
                                                           .nack = send->nack,
                                                           .source_addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                                                           .source_port = k->cfg.addr.port,
                                                           .source_node = ki_name_of(k->cfg.name)});
    send_add(b, &p);
}

/* What we hold of a member: alive, or the accusation, in our own name (the buddy system of Lifeguard section IV.C). */
static void send_news_of_part(struct kith *k, struct send_build *b, uint32_t id, bool verdict)
{
    struct ki_pack p = send_part(b);
    const struct ki_member *m = ki_table_at(&k->table, id);
    struct ki_suspect accusation = {
        .incarnation = m->incarnation, .node = ki_member_name(m), .from = ki_name_of(k->cfg.name)};
    switch ((enum ki_state)m->state) {
    case KI_ALIVE:
        ki_encode_alive(&p, &(struct ki_alive){.incarnation = m->incarnation,
                                               .node = ki_member_name(m),
                                               .addr = ki_member_addr(m),
                                               .port = m->port,
                                               .meta = ki_member_meta(m),
                                               .versions = ki_span(m->versions, 6)});
        break;
    case KI_SUSPECT:
        ki_encode_suspect(&p, &accusation);
        break;
    case KI_DEAD:
        if (verdict)
            ki_encode_dead(&p, &accusation);
        else
            ki_encode_suspect(&p, &accusation);
        break;
    case KI_LEFT:
        accusation.from = accusation.node;
        ki_encode_dead(&p, &accusation);
        break;
    }
    send_add(b, &p);
}

/* The leave intent by which we hold a member leaving. */
static void send_leave_of_part(struct kith *k, struct send_build *b, uint32_t id)
{
    struct ki_pack p = send_part(b);
    struct ki_serf_leave msg = {.ltime = ki_about(k, id)->standing.ltime,
                                .node = ki_member_name(ki_table_at(&k->table, id))};
    ki_put_u8(&p.w, KI_MSG_USER);
    ki_encode_serf_leave(&p, &msg);
    send_add(b, &p);
}

/* Fills the datagram with news of some queues, up to `keep` bytes from its end. */
static void send_queues(struct kith *k, struct send_build *b, unsigned first, unsigned last, uint32_t limit, size_t keep)
{
    for (unsigned q = first; q <= last; q++) {
        while (b->count < KI_COMPOUND_MAX) {
            struct ki_pack p = send_part(b);
            kith_ticket done = 0;
            if (p.w.cap <= keep)
                return;
            const struct ki_news *news = ki_queue_take(&k->queues[q], p.w.cap - keep, limit, &done);
            if (!news)
                break;
            ki_put(&p.w, news->bytes, news->len);
            send_add(b, &p);
            ki_count(k, KI_COUNT_news_out);
            ki_news_done(k, done);
        }
    }
}

/* Membership and intents first, but a part of each datagram is kept for events and queries while some wait: in a pool where
 * there is always news of members, users' messages would never leave (memberlist drains its own queue first). */
static void send_news(struct kith *k, struct send_build *b)
{
    if (k->news_none)
        return;
    k->news_none = true;
    uint32_t limit = ki_retransmit_limit(k->cfg.retransmit_mult, k->table.count);
    uint32_t floor = k->cfg.stock ? 0 : (uint32_t)ki_min_u64(k->table.count - 1, SEND_TIMES_MIN);
    if (limit < floor)
        limit = floor;
    for (unsigned q = 0; q < KI_QUEUES; q++)
        ki_queue_next_datagram(&k->queues[q]);
    bool share = !k->cfg.stock && k->queues[KI_QUEUE_QUERIES].count + k->queues[KI_QUEUE_EVENTS].count > 0;
    send_queues(k, b, KI_QUEUE_MEMBERS, KI_QUEUE_INTENTS, limit, share ? b->room / SEND_USER_SHARE : 0);
    send_queues(k, b, KI_QUEUE_QUERIES, KI_QUEUE_EVENTS, limit, 0);
    if (share) /* what users left over */
        send_queues(k, b, KI_QUEUE_MEMBERS, KI_QUEUE_INTENTS, limit, 0);
    for (unsigned q = 0; q < KI_QUEUES; q++)
        k->news_none = k->news_none && ki_queue_idle(&k->queues[q]);
}

/* The first part; false when what was to be sent is no longer worth it. */
static bool send_first_part(struct kith *k, struct send_build *b, const struct ki_send *send)
{
    struct ki_pack p = send_part(b);
    switch (send->kind) {
    case KI_SEND_ACK:
        send_ack_part(k, b, send);
        return true;
    case KI_SEND_NACK:
        ki_encode_nack(&p, &(struct ki_nack){.seq = send->seq, .refused = send->refused});
        send_add(b, &p);
        return true;
    case KI_SEND_LETTER:
        ki_put(&p.w, ki_letter_bytes(send->letter).ptr, ki_letter_bytes(send->letter).len);
        send_add(b, &p);
        return true;
    case KI_SEND_PING:
    case KI_SEND_RELAY_PING:
    case KI_SEND_INDIRECT:
    case KI_SEND_NEWS_OF:
    case KI_SEND_GOSSIP:
    case KI_SEND_CHANNEL:
        break;
    }
    const struct ki_member *m = ki_table_at(&k->table, send->id);
    if (!m)
        return false; /* forgotten meanwhile */
    if (send->kind == KI_SEND_NEWS_OF)
        send_news_of_part(k, b, send->id, send->verdict);
    bool leaving = ki_about(k, send->id)->standing.status == KI_STATUS_LEAVING;
    if (send->kind == KI_SEND_NEWS_OF && leaving && send->to_member) /* a stranger's answer has been measured without it */
        send_leave_of_part(k, b, send->id);
    if (send->kind == KI_SEND_INDIRECT)
        send_indirect_part(k, b, send);
    else if (send->kind == KI_SEND_PING || send->kind == KI_SEND_RELAY_PING)
        send_ping_part(k, b, send);
    if (send->kind == KI_SEND_PING) {
        if (send->seq == k->probe_seq)
            k->probe_sent_us = k->now.mono_us;
        ki_root_on_ping(k, send->id);
    }
    if (send->kind == KI_SEND_PING && m->state != KI_ALIVE && k->cfg.buddy)
        send_news_of_part(k, b, send->id, send->verdict);
    return true;
}

/* What members have to say to each other over the kith channel rides along on what is sent anyway. */
static void send_channel(struct kith *k, struct send_build *b, const struct ki_send *send)
{
    bool carries = send->kind == KI_SEND_CHANNEL || send->kind == KI_SEND_PING || send->kind == KI_SEND_ACK;
    while (carries && b->count < KI_COMPOUND_MAX) {
        struct ki_pack p = send_part(b);
        ki_put_u8(&p.w, KI_MSG_USER);
        ki_channel_part(k, send->id, &p.w);
        if (p.w.len <= 1)
            break;
        send_add(b, &p);
    }
    if (send->kind == KI_SEND_CHANNEL)
        ki_channel_sent(k, send->id);
}

/* How far something has come here, for whoever is probed. */
static void send_root(struct kith *k, struct send_build *b, uint32_t id,
                      void (*say)(struct kith *, uint32_t, struct ki_writer *))
{
    struct ki_pack p = send_part(b);
    ki_put_u8(&p.w, KI_MSG_USER);
    say(k, id, &p.w);
    if (p.w.len > 1)
        send_add(b, &p);
}

/* Joins the parts into one message. */
static struct ki_span send_join(struct send_build *b)
{
    if (b->count == 1)
        return ki_span(b->parts, b->len);
    size_t head = 2 + 2 * (size_t)b->count;
    uint8_t *start = b->parts - head;
    start[0] = KI_MSG_COMPOUND;
    start[1] = (uint8_t)b->count;
    for (unsigned i = 0; i < b->count; i++)
        ki_store_be(start + 2 + 2 * i, b->lens[i], 2);
    return ki_span(start, head + b->len);
}

/* Compresses if that makes it smaller. */
static struct ki_span send_squeeze(struct kith *k, struct ki_span plain)
{
    if (!k->cfg.compress || plain.len < SEND_SQUEEZE_MIN)
        return plain;
    if (!k->encoder)
        k->encoder = ki_mem_new(&k->mem, sizeof(struct ki_lzw_encoder));
    if (!k->squeeze)
        k->squeeze = ki_mem_new(&k->mem, SEND_SQUEEZE_FRONT + (size_t)k->cfg.datagram_max);
    if (!k->encoder || !k->squeeze)
        return plain;
    uint8_t front[SEND_SQUEEZE_FRONT];
    struct ki_pack p = ki_pack(front, sizeof front, false);
    ki_encode_compress_front(&p, plain.len); /* its length depends on the size of the number alone */
    size_t head = p.w.len;
    struct ki_lzw_encoder *e = k->encoder;
    ki_lzw_encoder_init(e, plain.ptr, plain.len, k->squeeze + SEND_SQUEEZE_FRONT, plain.len - head);
    if (ki_lzw_encode(e, SIZE_MAX) != KI_LZW_DONE)
        return plain;
    p = ki_pack(front, sizeof front, false);
    ki_encode_compress_front(&p, e->out_len);
    if (p.w.len + e->out_len >= plain.len)
        return plain;
    uint8_t *start = k->squeeze + SEND_SQUEEZE_FRONT - p.w.len;
    memcpy(start, front, p.w.len);
    return ki_span(start, p.w.len + e->out_len);
}

static size_t send_wrap(struct kith *k, struct ki_span message, bool crc, uint8_t *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    struct ki_span label = ki_name_of(k->cfg.label);
    ki_put_label(&w, label);
    if (send_seals(k)) {
        uint8_t nonce[KI_NONCE_LEN];
        ki_crng_fill(&k->crng, nonce, sizeof nonce);
        uint8_t version = send_seal_version(k);
        uint8_t *at = ki_reserve(&w, ki_sealed_len(version, message.len));
        if (at)
            ki_seal(&k->keyring, version, nonce, label, ki_span(NULL, 0), message, at);
    } else {
        if (crc) {
            ki_put_u8(&w, KI_MSG_HAS_CRC);
            ki_put_be(&w, ki_crc32(message.ptr, message.len), 4);
        }
        ki_put(&w, message.ptr, message.len);
    }
    KI_ASSERT(!w.full);
    return w.len;
}

/* Members that announce protocol 5 check a CRC; with a key the seal does it better. */
static bool send_wants_crc(const struct kith *k, const struct ki_send *send)
{
    const struct ki_member *m = ki_table_at(&k->table, send->id);
    return send->kind == KI_SEND_GOSSIP && m && m->versions[1] >= 5;
}

static bool send_build(struct kith *k, const struct ki_send *send, uint8_t *buf, size_t cap, size_t *len)
{
    struct send_build b = {.parts = k->plain + SEND_FRONT, .room = send_room(k)};
    if (!send_first_part(k, &b, send))
        return false;
    if (send->kind == KI_SEND_PING) {
        send_root(k, &b, send->id, ki_numbered_root);
        send_root(k, &b, send->id, ki_aggregates_root);
    }
    send_channel(k, &b, send);
    if ((send->to_member || KI_CANARY(CHATTY)) && !(k->cfg.stock && send->kind == KI_SEND_PING && b.count > 1))
        send_news(k, &b);
    if (b.count == 0)
        return false;
    *len = send_wrap(k, send_squeeze(k, send_join(&b)), send_wants_crc(k, send), buf, cap);
    return true;
}

/* Fresh writes: not compressed, since they go to many, and never late for the sake of a few bytes. */
static bool send_push(struct kith *k, struct kith_addr *to, void *buf, size_t cap, size_t *len)
{
    uint32_t id;
    enum ki_kith_message kind;
    struct ki_span bytes;
    while (k->replica && ki_push_poll(k, &id, &kind, &bytes)) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        if (!m)
            continue; /* forgotten meanwhile */
        struct ki_pack p = ki_pack(k->plain, send_room(k), false);
        ki_put_u8(&p.w, KI_MSG_USER);
        ki_encode_kith_front(&p.w, kind);
        ki_put(&p.w, bytes.ptr, bytes.len);
        KI_ASSERT(!p.w.full);
        *to = ki_addr_of(m);
        *len = send_wrap(k, ki_span(k->plain, p.w.len), false, buf, cap);
        ki_count(k, KI_COUNT_pushes_out);
        ki_count(k, KI_COUNT_datagrams_out);
        k->counters[KI_COUNT_bytes_out] += *len;
        return true;
    }
    return false;
}

/* Fresh messages, as a datagram for each of those who are to hear them at once. */
static bool send_bundle(struct kith *k, struct kith_addr *to, void *buf, size_t cap, size_t *len)
{
    uint32_t id;
    const struct ki_bundle *bundle;
    while ((bundle = ki_eager_poll(k, &id)) != NULL) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        struct send_build b = {.parts = k->plain + SEND_FRONT, .room = send_room(k)};
        const uint8_t *at = bundle->bytes;
        if (!m)
            continue; /* forgotten meanwhile */
        for (unsigned i = 0; i < bundle->count; at += bundle->lens[i++]) {
            struct ki_pack p = send_part(&b);
            ki_put(&p.w, at, bundle->lens[i]);
            KI_ASSERT(!p.w.full);
            send_add(&b, &p);
        }
        *to = ki_addr_of(m);
        *len = send_wrap(k, send_squeeze(k, send_join(&b)), false, buf, cap);
        ki_count(k, KI_COUNT_bundles_out);
        ki_count(k, KI_COUNT_datagrams_out);
        k->counters[KI_COUNT_bytes_out] += *len;
        return true;
    }
    return false;
}

size_t ki_message_room(const struct kith *k)
{
    return send_room(k);
}

static void send_counted(struct kith *k, const struct ki_send *send, size_t len)
{
    ki_count(k, KI_COUNT_datagrams_out);
    k->counters[KI_COUNT_bytes_out] += len;
    if (send->kind == KI_SEND_PING || send->kind == KI_SEND_RELAY_PING)
        ki_count(k, KI_COUNT_pings_out);
    else if (send->kind == KI_SEND_INDIRECT)
        ki_count(k, KI_COUNT_indirect_out);
    else if (send->kind == KI_SEND_GOSSIP)
        ki_count(k, KI_COUNT_gossip_out);
}

bool kith_poll_datagram(struct kith *k, struct kith_time now, struct kith_addr *to, void *buf, size_t cap, size_t *len)
{
    KI_ASSERT(cap >= k->cfg.datagram_max);
    ki_input(k, now);
    if (!k->plain && !(k->plain = ki_mem_new(&k->mem, SEND_FRONT + (size_t)k->cfg.datagram_max)))
        return false; /* what waits keeps waiting */
    if (k->replica)
        ki_push_flush(k);
    for (unsigned class = 0; class < KI_CLASSES; class++) {
        struct ki_sends *ring = &k->sends[class];
        if (class == KI_CLASS_OTHER && send_push(k, to, buf, cap, len))
            return true;
        /* Neither waits for the other: a flood of messages does not hold up gossip, which carries suspicions. */
        k->bundle_turn = class == KI_CLASS_OTHER && !k->bundle_turn;
        if (k->bundle_turn && send_bundle(k, to, buf, cap, len))
            return true;
        while (ring->count > 0) {
            struct ki_send send = ring->items[ring->head];
            ring->count--;
            ring->head = ring->count > 0 ? (ring->head + 1) % ring->cap : 0; /* the front is in the cache */
            bool built = send_build(k, &send, buf, cap, len);
            if (send.kind == KI_SEND_LETTER)
                ki_letter_drop(k, send.letter);
            if (!built)
                continue;
            *to = send.to;
            send_counted(k, &send, *len);
            return true;
        }
    }
    return send_bundle(k, to, buf, cap, len);
}

void ki_sends_free(struct kith *k)
{
    for (unsigned class = 0; class < KI_CLASSES; class++) {
        struct ki_sends *ring = &k->sends[class];
        for (uint32_t i = 0; i < ring->count; i++)
            ki_letter_drop(k, ring->items[(ring->head + i) % ring->cap].letter);
        ki_mem_free(&k->mem, ring->items);
    }
}
