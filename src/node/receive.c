/* Datagram -> messages.  Layers are peeled outermost first (wire/packet.h); compound and compressed layers may nest,
 * so they are walked with a small stack instead of recursion, at most nesting_max deep, and everything inflated lives
 * in one arena of 64 KiB: a bomb costs no more than that.
 *
 * A malformed part does not spoil those before it, and those after it are still read: as memberlist does, and a
 * sender that can write one part can write all of them.
 * Deliberately not here: what messages mean. */
#include "base/hash.h"
#include "node/node.h"
#include "wire/lzw.h"

#define RECEIVE_ARENA_MAX (64 * 1024) /* the largest datagram there is */
#define RECEIVE_RECALL_MIN 128        /* members */
#define RECEIVE_AHEAD 16              /* alive messages read before they are applied */
#define RECEIVE_DEPTH_MAX 16          /* frames of the stack; nesting_max is at most this */

static int receive_malformed(struct kith *k, enum ki_counter counter)
{
    ki_count(k, counter);
    return KITH_ERR_MALFORMED;
}

/* Grows a scratch buffer; what it holds is void afterwards. */
static bool receive_reserve(struct kith *k, uint8_t **scratch, size_t *cap, size_t size)
{
    if (size <= *cap)
        return true;
    uint8_t *larger = ki_mem_resize(&k->mem, NULL, size);
    if (!larger) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    ki_mem_free(&k->mem, *scratch);
    *scratch = larger;
    *cap = size;
    return true;
}

static struct ki_identity receive_identity(const struct ki_alive *msg)
{
    return (struct ki_identity){.name = msg->node,
                                .addr = msg->addr,
                                .port = msg->port,
                                .meta = msg->meta,
                                .incarnation = msg->incarnation,
                                .versions = msg->versions.len ? msg->versions.ptr : NULL};
}

/* ---- what is heard again and again: alive messages and join intents ----
 *
 * A joining pool tells everybody of everybody, many times over, in compounds of a dozen such messages.  What is known to
 * change nothing (base/recall.h) is not even read.  For the rest: finding a member takes two looks at memory that is not
 * in the cache, one after the other, but those of all messages can be under way at once: so all are decoded first, then
 * what they are about is fetched, and then they are applied in order. */

struct receive_alive {
    struct ki_span message;
    struct ki_identity identity;
    uint64_t hash;   /* of the name */
    uint64_t recall; /* of the message */
    bool fine, old;
};

/* Small pools are in the cache anyway. */
static bool receive_recalls(const struct kith *k)
{
    return k->table.count >= RECEIVE_RECALL_MIN;
}

static uint64_t receive_hash(const struct kith *k, struct ki_span message)
{
    return ki_recall_hash(ki_siphash(k->table.hash_key, message.ptr, message.len), k->table.epoch);
}

static void receive_remember(struct kith *k, struct ki_span message)
{
    if (k->heard_before && receive_recalls(k)) /* an alive message and an intent each, and half of it free */
        ki_recall_put(&k->recall, &k->mem, receive_hash(k, message), 4 * k->table.count);
}

static void receive_alive_begin(const struct kith *k, struct ki_span message, struct receive_alive *out)
{
    out->message = message;
    out->recall = receive_recalls(k) ? receive_hash(k, message) : 0;
    ki_recall_fetch(&k->recall, out->recall);
}

static void receive_alive_read(const struct kith *k, struct receive_alive *out)
{
    struct ki_reader r = ki_reader(out->message.ptr + 1, out->message.len - 1);
    struct ki_alive alive = {0};
    out->old = false;
    out->fine = ki_decode_alive(&r, &alive);
    if (!out->fine)
        return;
    out->identity = receive_identity(&alive);
    out->hash = ki_table_hash(&k->table, alive.node);
    ki_table_fetch_place(&k->table, out->hash);
}

static int receive_alive_apply(struct kith *k, const struct kith_addr *from, const struct receive_alive *alive)
{
    ki_count(k, KI_COUNT_alives_in);
    if (alive->old)
        return 0;
    if (!alive->fine)
        return receive_malformed(k, KI_COUNT_malformed);
    if (alive->identity.name.len > KITH_NAME_MAX)
        return receive_malformed(k, KI_COUNT_name_too_long);
    uint32_t id = ki_table_find_hashed(&k->table, alive->identity.name, alive->hash);
    k->heard_before = false;
    int error = ki_apply_alive(k, from, id, &alive->identity);
    receive_remember(k, alive->message);
    return error;
}

static int receive_join_intent(struct kith *k, const struct kith_addr *from, struct ki_span message)
{
    if (ki_recall_has(&k->recall, receive_hash(k, message))) {
        ki_count(k, KI_COUNT_user_messages_in);
        ki_count(k, KI_COUNT_intents_in);
        return 0;
    }
    k->heard_before = false;
    int error = ki_handle_user(k, from, ki_span(message.ptr + 1, message.len - 1));
    receive_remember(k, message);
    return error;
}

static int receive_rumour(struct kith *k, const struct kith_addr *from, uint8_t type, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_suspect accusation = {0};
    ki_count(k, type == KI_MSG_SUSPECT ? KI_COUNT_suspects_in : KI_COUNT_deads_in);
    if (!ki_decode_suspect(&r, &accusation))
        return receive_malformed(k, KI_COUNT_malformed);
    if (accusation.from.len > KITH_NAME_MAX || accusation.node.len > KITH_NAME_MAX)
        return receive_malformed(k, KI_COUNT_name_too_long);
    ki_tell_overtaken(k, from, &accusation, type == KI_MSG_SUSPECT); /* and then it changes nothing */
    return type == KI_MSG_SUSPECT ? ki_apply_suspect(k, from, &accusation) : ki_apply_dead(k, from, &accusation);
}

static int receive_message(struct kith *k, const struct kith_addr *from, struct ki_span message)
{
    struct ki_span body = ki_span(message.ptr + 1, message.len - 1);
    switch (message.ptr[0]) {
    case KI_MSG_PING:
        return ki_handle_ping(k, from, body);
    case KI_MSG_INDIRECT_PING:
        return ki_handle_indirect_ping(k, from, body);
    case KI_MSG_ACK:
        return ki_handle_ack(k, from, body);
    case KI_MSG_NACK:
        return ki_handle_nack(k, from, body);
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        return receive_rumour(k, from, message.ptr[0], body);
    case KI_MSG_USER:
        if (body.len > 0 && body.ptr[0] == KI_SERF_JOIN && !k->bare && receive_recalls(k))
            return receive_join_intent(k, from, message);
        return ki_handle_user(k, from, body);
    default: /* stream messages, and what later versions add; alive messages are not sent here */
        ki_count(k, KI_COUNT_unknown_type);
        return 0;
    }
}

/* ---- nesting ---- */

struct receive_frame { /* a compound being walked; or one message, as a compound of one */
    struct ki_compound compound;
    struct ki_span single;
    bool is_single;
};

struct receive_stack {
    struct receive_frame frames[RECEIVE_DEPTH_MAX];
    unsigned depth;
    size_t arena_used;
    int error; /* the first */
};

static void receive_note(struct receive_stack *s, int error)
{
    if (s->error == 0)
        s->error = error;
}

/* The next message of the top frame; empty span: the frame is done. */
static struct ki_span receive_next(struct kith *k, struct receive_stack *s)
{
    struct receive_frame *top = &s->frames[s->depth - 1];
    struct ki_span message = ki_span(NULL, 0);
    if (top->is_single) {
        message = top->single;
        top->single = ki_span(NULL, 0);
        return message;
    }
    bool malformed = false;
    if (!ki_compound_next(&top->compound, &message, &malformed)) {
        if (malformed)
            receive_note(s, receive_malformed(k, KI_COUNT_malformed));
        return ki_span(NULL, 0);
    }
    return message;
}

/* Inflates into the arena, behind what is there, and pushes the result. */
static void receive_inflate(struct kith *k, struct receive_stack *s, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_compress msg = {0};
    if (!ki_decode_compress(&r, &msg) || msg.algo != 0) {
        receive_note(s, receive_malformed(k, KI_COUNT_malformed_compress));
        return;
    }
    struct ki_lzw_decoder *d = ki_mem_resize(&k->mem, NULL, sizeof *d);
    if (!d || !receive_reserve(k, &k->arena, &k->arena_cap, RECEIVE_ARENA_MAX)) {
        ki_mem_free(&k->mem, d);
        ki_count(k, KI_COUNT_out_of_memory);
        receive_note(s, KITH_ERR_NOMEM);
        return;
    }
    ki_lzw_decoder_init(d, msg.buf.ptr, msg.buf.len, k->arena + s->arena_used, k->arena_cap - s->arena_used);
    bool fine = ki_lzw_decode(d, SIZE_MAX) == KI_LZW_DONE && d->out_len > 0;
    struct ki_span plain = ki_span(d->out, d->out_len);
    ki_mem_free(&k->mem, d);
    if (!fine) {
        receive_note(s, receive_malformed(k, KI_COUNT_malformed_compress));
        return;
    }
    s->arena_used += plain.len;
    s->frames[s->depth++] = (struct receive_frame){.single = plain, .is_single = true};
}

static void receive_unpack(struct kith *k, struct receive_stack *s, struct ki_span message)
{
    struct ki_span body = ki_span(message.ptr + 1, message.len - 1);
    if (s->depth >= k->cfg.nesting_max) {
        receive_note(s, receive_malformed(k, KI_COUNT_nested_too_deep));
        return;
    }
    if (message.ptr[0] == KI_MSG_COMPRESS) {
        receive_inflate(k, s, body);
        return;
    }
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct receive_frame *frame = &s->frames[s->depth];
    *frame = (struct receive_frame){.is_single = false};
    if (ki_compound_begin(&r, &frame->compound))
        s->depth++;
    else
        receive_note(s, receive_malformed(k, KI_COUNT_malformed));
}

/* This alive message, and those that follow it without anything between. */
static void receive_alives(struct kith *k, const struct kith_addr *from, struct receive_stack *s, struct ki_span message)
{
    struct receive_frame *top = &s->frames[s->depth - 1];
    struct receive_alive alives[RECEIVE_AHEAD];
    unsigned count = 0;
    bool more = true;
    while (more) {
        receive_alive_begin(k, message, &alives[count++]);
        struct ki_compound rest = top->compound;
        bool malformed = false;
        more = !top->is_single && count < RECEIVE_AHEAD && ki_compound_next(&rest, &message, &malformed) &&
               message.ptr[0] == KI_MSG_ALIVE;
        if (more)
            top->compound = rest;
    }
    for (unsigned i = 0; i < count; i++) {
        alives[i].old = receive_recalls(k) && ki_recall_has(&k->recall, alives[i].recall);
        if (!alives[i].old)
            receive_alive_read(k, &alives[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!alives[i].old && alives[i].fine)
            ki_table_fetch_member(&k->table, alives[i].hash);
    }
    uint32_t epoch = k->table.epoch;
    for (unsigned i = 0; i < count; i++) {
        if (alives[i].old && k->table.epoch != epoch)
            receive_alive_read(k, &alives[i]); /* what one of them has changed may make another news */
        receive_note(s, receive_alive_apply(k, from, &alives[i]));
    }
}

static int receive_walk(struct kith *k, const struct kith_addr *from, struct ki_span plain)
{
    struct receive_stack s; /* frames above depth are void: clearing them cost more than reading a ping */
    s.depth = 1;
    s.arena_used = 0;
    s.error = 0;
    s.frames[0] = (struct receive_frame){.single = plain, .is_single = true};
    while (s.depth > 0) {
        struct ki_span message = receive_next(k, &s);
        if (message.len == 0)
            s.depth--;
        else if (message.ptr[0] == KI_MSG_COMPOUND || message.ptr[0] == KI_MSG_COMPRESS)
            receive_unpack(k, &s, message);
        else if (message.ptr[0] == KI_MSG_ALIVE)
            receive_alives(k, from, &s, message);
        else
            receive_note(&s, receive_message(k, from, message));
    }
    return s.error;
}

/* ---- the outer layers ---- */

/* Opens a sealed datagram into scratch memory. */
static int receive_open(struct kith *k, struct ki_reader *r)
{
    if (k->keyring.count == 0)
        return 0;
    if (!receive_reserve(k, &k->opened, &k->opened_cap, r->left))
        return KITH_ERR_NOMEM;
    size_t len;
    if (ki_open(&k->keyring, ki_name_of(k->cfg.label), ki_span(NULL, 0), ki_span(r->pos, r->left), k->opened, &len)) {
        *r = ki_reader(k->opened, len);
        return 0;
    }
    if (!k->cfg.verify_incoming)
        return 0; /* rolling encryption on: plain text is still welcome */
    ki_count(k, KI_COUNT_auth_failed);
    return KITH_ERR_AUTH;
}

/* One that has left may be heard for a while: it helps its news along. */
static bool receive_is_back(const struct kith *k, const struct ki_member *m)
{
    uint64_t linger_us = (2 * (uint64_t)k->cfg.broadcast_timeout_ms + k->cfg.leave_propagate_ms) * 1000;
    return m->state == KI_LEFT && k->now.mono_us - m->changed_us > linger_us;
}

/* Whoever speaks is there: one that we hold suspect, dead or long gone is told so, and refutes (Lifeguard's buddy system,
 * the other way round).  Not where names share its address: the one that speaks may be another. */
static void receive_from_accused(struct kith *k, const struct kith_addr *from)
{
    uint32_t others = k->table.count - k->table.by_state[KI_ALIVE];
    if (others == 0 || k->cfg.stock || !k->cfg.buddy)
        return;
    uint32_t id = ki_find_addr(k, from);
    const struct ki_member *m = id == KI_NO_MEMBER ? NULL : ki_table_at(&k->table, id);
    if (!m || m->state == KI_ALIVE || ki_table_shares_addr(&k->table, id))
        return;
    if (m->state != KI_LEFT || receive_is_back(k, m))
        ki_tell(k, id, from, false);
}

int kith_datagram(struct kith *k, struct kith_time now, const struct kith_addr *from, const void *buf, size_t len)
{
    ki_input(k, now);
    if (!ki_active(k))
        return KITH_ERR_STATE;
    ki_count(k, KI_COUNT_datagrams_in);
    k->counters[KI_COUNT_bytes_in] += len;
    if (len == 0 || len > RECEIVE_ARENA_MAX || from->port == 0)
        return receive_malformed(k, KI_COUNT_malformed);
    k->answer_room = 3 * len;
    k->answers_left = 2;
    struct ki_reader r = ki_reader(buf, len);
    struct ki_span label;
    if (!ki_peel_label(&r, &label))
        return receive_malformed(k, KI_COUNT_malformed);
    if (!ki_span_equal(label, ki_name_of(k->cfg.label))) {
        ki_count(k, KI_COUNT_label_mismatch);
        return KITH_ERR_LABEL;
    }
    int error = receive_open(k, &r);
    if (error)
        return error;
    if (!ki_peel_crc(&r))
        return receive_malformed(k, KI_COUNT_malformed_crc);
    if (r.left == 0)
        return receive_malformed(k, KI_COUNT_malformed);
    error = receive_walk(k, from, ki_span(r.pos, r.left));
    if (error == 0)
        receive_from_accused(k, from);
    return error;
}
