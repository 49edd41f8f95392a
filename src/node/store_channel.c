/* What stores say to each other in datagrams.
 *
 * It is heeded between members that both have a store.  What is to be said to a peer is noted as a few flags and built when
 * a datagram to it is: with the probes and acks that go to it anyway, or in one of its own.
 *
 * Deliberately not here: whose messages are heeded at all (channel.c), what is said (the other files of replica.h), links.
 */
#include "node/store_link.h"

static int store_malformed(struct kith *k)
{
    ki_count(k, KI_COUNT_malformed);
    return KITH_ERR_MALFORMED;
}

static int store_root(struct kith *k, struct ki_peer *peer, enum ki_kith_message kind, struct ki_reader *r,
                        bool is_partial)
{
    struct ki_kith_root msg;
    if (!ki_decode_kith_root(r, &msg))
        return store_malformed(k);
    msg.is_partial = is_partial;
    ki_peer_is(k, peer, msg.replica);
    if (kind == KI_KITH_ROOT)
        ki_root_asked(k, peer, &msg);
    else
        ki_root_answered(k, peer, &msg);
    return 0;
}

static int store_brief(struct kith *k, struct ki_peer *peer, struct ki_reader *r)
{
    struct ki_kith_root root = {.replica = peer->replica};
    bool is_that, has = ki_root(k, &root.root);
    if (!ki_decode_kith_brief(r, &root, &is_that))
        return store_malformed(k);
    ki_root_compared(k, peer, has, is_that && peer->replica != 0);
    return 0;
}

static int store_same(struct kith *k, struct ki_peer *peer, struct ki_reader *r)
{
    struct ki_kith_root root = {.replica = peer->replica};
    bool is_that, has = ki_root(k, &root.root);
    if (!ki_decode_kith_same(r, &root, &is_that))
        return store_malformed(k);
    if (has && is_that) /* else another root was meant, or another life of the peer says so */
        ki_root_is_same(k, peer);
    return 0;
}

static int store_held(struct kith *k, struct ki_peer *peer, struct ki_reader *r)
{
    struct ki_kith_held msg;
    if (!ki_decode_kith_held(r, &msg))
        return store_malformed(k);
    ki_peer_is(k, peer, msg.replica);
    ki_held_told(k, peer, &msg);
    return 0;
}

static int store_held_ask(struct kith *k, struct ki_peer *peer, struct ki_reader *r)
{
    struct ki_kith_held_ask msg;
    if (!ki_decode_kith_held_ask(r, &msg))
        return store_malformed(k);
    ki_held_asked(k, peer, &msg);
    return 0;
}

int ki_store_message(struct kith *k, uint32_t from, struct ki_span message)
{
    struct ki_replica *r = k->replica;
    struct ki_peer *peer = r && r->is_ready && !r->in_group ? ki_peer_of(k, from) : NULL;
    if (!peer) {
        ki_count(k, KI_COUNT_kith_refused);
        return 0;
    }
    ki_count(k, KI_COUNT_kith_messages_in);
    struct ki_reader reader = ki_reader(message.ptr + 1, message.len - 1);
    bool is_partial = message.ptr[0] & KI_KITH_PARTIAL;
    enum ki_kith_message kind = (enum ki_kith_message)(message.ptr[0] & ~KI_KITH_PARTIAL);
    switch (kind) {
    case KI_KITH_ROOT:
    case KI_KITH_ROOT_BACK:
        return store_root(k, peer, kind, &reader, is_partial);
    case KI_KITH_BRIEF:
        return store_brief(k, peer, &reader);
    case KI_KITH_SAME:
        return store_same(k, peer, &reader);
    case KI_KITH_DELTA:
    case KI_KITH_DELTA_ON:
        return ki_push_receive(k, peer, kind, ki_span(reader.pos, reader.left));
    case KI_KITH_HELD_ASK:
        return store_held_ask(k, peer, &reader);
    case KI_KITH_HELD:
        return store_held(k, peer, &reader);
    case KI_KITH_REPAIR:
        ki_repair_message(k, peer, NULL, ki_span(reader.pos, reader.left));
        return 0;
    }
    ki_count(k, KI_COUNT_unknown_serf_type); /* what later versions add */
    return 0;
}

void ki_store_send(struct kith *k, struct ki_peer *peer)
{
    const struct ki_member *m = ki_table_at(&k->table, peer->id);
    if (peer->is_queued || !m)
        return;
    struct ki_send send = {.kind = KI_SEND_CHANNEL, .id = peer->id, .to_member = true, .to = ki_addr_of(m)};
    peer->is_queued = ki_send(k, KI_CLASS_OTHER, &send);
}

static void store_say_root(struct kith *k, struct ki_peer *peer, enum ki_kith_message kind, struct ki_writer *w)
{
    struct ki_kith_root msg = {.replica = k->replica->store.replica, .is_partial = k->replica->is_partial};
    if (!ki_root(k, &msg.root)) { /* not just now */
        peer->say_late = kind == KI_KITH_ROOT ? KI_SAY_ROOT : KI_SAY_ROOT_BACK;
        return;
    }
    if (kind == KI_KITH_SAME) {
        ki_encode_kith_same(w, &msg);
        return;
    }
    peer->said_us = k->now.mono_us;
    if (kind == KI_KITH_ROOT && peer->told_replica == msg.replica) {
        ki_encode_kith_brief(w, &msg);
        return;
    }
    peer->told_replica = msg.replica;
    ki_encode_kith_root(w, kind, &msg);
}

void ki_store_part(struct kith *k, uint32_t id, struct ki_writer *w)
{
    struct ki_peer *peer = ki_peer_of(k, id);
    if (!peer || w->cap - w->len < KI_KITH_SMALL_MAX)
        return;
    struct ki_kith_held held;
    size_t before = w->len;
    while (w->len == before && peer->say != KI_SAY_NOTHING) {
        enum ki_kith_message kind = peer->say == KI_SAY_ROOT   ? KI_KITH_ROOT
                                    : peer->say == KI_SAY_SAME ? KI_KITH_SAME
                                                               : KI_KITH_ROOT_BACK;
        peer->say = KI_SAY_NOTHING;
        store_say_root(k, peer, kind, w);
    }
    if (w->len > before)
        return;
    if (peer->answers_held && ki_held_answer(k, peer, &held)) {
        peer->answers_held = false;
        ki_encode_kith_held(w, &held);
        return;
    }
    peer->answers_held = false;
    bool asks_held = peer->asks_held && k->replica->store.n > 0;
    peer->asks_held = false;
    if (asks_held) {
        ki_encode_kith_held_ask(
            w, &(struct ki_kith_held_ask){.origin = k->replica->store.replica, .n = k->replica->store.n});
        return;
    }
    (void)ki_repair_poll_datagram(k, peer, w);
}

void ki_store_sent(struct kith *k, uint32_t id)
{
    struct ki_peer *peer = ki_peer_of(k, id);
    if (!peer)
        return;
    peer->is_queued = false;
    if (peer->say != KI_SAY_NOTHING || peer->answers_held || peer->asks_held || ki_repair_has_datagram(k, peer))
        ki_store_send(k, peer);
}
