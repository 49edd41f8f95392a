/* A datagram as one line of text, for people who read traces.
 *
 * The idea: the walk of receive.c, with the messages told instead of applied: label, seal and checksum once, then
 * compound and compressed layers within the same bounds (nesting_max, 64 KiB inflated in all), so that what is
 * readable here is readable there.  The parts of a compound follow each other; a compressed layer has brackets.
 *
 *   label pool-a | sealed | crc | ping 17 of node-2 | compressed (suspect node-3 inc 4 by node-1 | ack 5)
 *
 * Invariants: the instance is not changed, not even a counter: memory comes from its hooks, within its limit, but on
 * an account of its own, and all is given back.  Bytes of the network reach the text only by ki_text_name().  A part
 * that cannot be read is told as such, and those after it are still read.
 *
 * A sealed datagram and a ping begin with the same byte.  Without a key, what begins so and is no ping is taken for
 * sealed if it is long enough; and when no instance says that its pool is plain, also a ping with bytes left over,
 * because random bytes often pass for a short ping.
 *
 * It deliberately judges nothing that needs a member table: whether names are too long, versions overlap, or the news
 * is any. */
#include "node/describe.h"
#include "serf/filter.h"
#include "wire/kith.h"
#include "wire/lzw.h"
#include "wire/serf_event.h"
#include "wire/serf_query.h"

#define DESCRIBE_ARENA_MAX   (64 * 1024) /* as receive.c: the largest datagram there is, and all that is inflated of it */
#define DESCRIBE_NESTING_MAX 8           /* of no instance: kith_config_init()'s */

/* ---- messages of Serf ---- */

static void describe_intent(struct describe *d, const char *what, struct ki_span node, uint64_t ltime)
{
    describe_item(d, what);
    describe_name(d, " ", node);
    describe_number(d, " ltime ", ltime);
}

static void describe_leave(struct describe *d, struct ki_reader *r)
{
    struct ki_serf_leave leave;
    if (!ki_decode_serf_leave(r, &leave)) {
        describe_malformed(d, "leave-intent");
        return;
    }
    describe_intent(d, "leave-intent", leave.node, leave.ltime);
    if (leave.prune)
        ki_text_put(&d->text, " prune");
}

static void describe_join(struct describe *d, struct ki_reader *r)
{
    struct ki_serf_join join;
    if (ki_decode_serf_join(r, &join))
        describe_intent(d, "join-intent", join.node, join.ltime);
    else
        describe_malformed(d, "join-intent");
}

static void describe_event(struct describe *d, struct ki_reader *r)
{
    struct ki_serf_event event;
    struct ki_event_mark mark;
    if (!ki_decode_serf_event(r, &event)) {
        describe_malformed(d, "event");
        return;
    }
    describe_intent(d, "event", event.name, event.ltime);
    if (event.mark.len > 0 && ki_decode_event_mark(event.mark, &mark)) {
        describe_number(d, " number ", mark.seq);
        describe_name(d, " of ", mark.origin);
    }
}

static size_t describe_filters(struct ki_span filters)
{
    struct ki_reader r = ki_reader(filters.ptr, filters.len);
    struct ki_filter filter;
    uint32_t left = UINT32_MAX;
    size_t count = 0;
    while (ki_filter_next(&r, &left, &filter))
        count++;
    return count;
}

void ki_describe_query(struct describe *d, const char *what, struct ki_reader *r)
{
    struct ki_serf_query query;
    if (!ki_decode_serf_query(r, &query) || !ki_filters_fine(query.filters)) {
        describe_malformed(d, what);
        return;
    }
    describe_intent(d, what, query.name, query.ltime);
    describe_number(d, " id ", query.id);
    describe_name(d, " by ", query.source_node);
    size_t filters = describe_filters(query.filters);
    if (filters > 0)
        describe_number(d, " filters ", filters);
}

static void describe_response(struct describe *d, struct ki_reader *r)
{
    struct ki_serf_response response;
    if (!ki_decode_serf_response(r, &response)) {
        describe_malformed(d, "query-response");
        return;
    }
    describe_item(d, response.flags & 1 ? "query-ack" : "query-response");
    describe_number(d, " ltime ", response.ltime);
    describe_number(d, " id ", response.id);
    describe_name(d, " by ", response.from);
}

/* What is inside for somebody else; a relay in a relay is not followed. */
static void describe_relay(struct describe *d, struct ki_reader *r)
{
    struct ki_serf_relay relay;
    struct ki_span message;
    if (!ki_decode_serf_relay(r, &relay, &message)) {
        describe_malformed(d, "relay");
        return;
    }
    describe_item(d, "relay to ");
    describe_name(d, "", relay.name);
    if (message.ptr[0] != KI_SERF_QUERY_RESPONSE) {
        describe_bytes(d, " of ", message.len);
        return;
    }
    struct ki_reader inner = ki_reader(message.ptr + 1, message.len - 1);
    ki_text_put(&d->text, " (");
    d->begun = false;
    describe_response(d, &inner);
    ki_text_put(&d->text, ")");
    d->begun = true;
}

static void describe_user(struct describe *d, struct ki_span message)
{
    if (message.len == 0 || (d->k && d->k->bare)) {
        describe_item(d, "user ");
        describe_bytes(d, "", message.len);
        return;
    }
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    switch (message.ptr[0]) {
    case KI_SERF_LEAVE:
        describe_leave(d, &r);
        return;
    case KI_SERF_JOIN:
        describe_join(d, &r);
        return;
    case KI_SERF_USER_EVENT:
        describe_event(d, &r);
        return;
    case KI_SERF_QUERY:
        ki_describe_query(d, "query", &r);
        return;
    case KI_SERF_QUERY_RESPONSE:
        describe_response(d, &r);
        return;
    case KI_SERF_RELAY:
        describe_relay(d, &r);
        return;
    case KI_SERF_KITH:
        ki_describe_kith(d, &r);
        return;
    default: /* parts of streams and of answers, and what later versions add */
        describe_item(d, "serf message ");
        describe_number(d, "", message.ptr[0]);
        return;
    }
}

/* ---- messages of memberlist ---- */

static void describe_ping(struct describe *d, struct ki_reader *r)
{
    struct ki_ping ping;
    if (!ki_decode_ping(r, &ping)) {
        describe_malformed(d, "ping");
        return;
    }
    describe_item(d, "ping ");
    describe_number(d, "", ping.seq);
    if (ping.node.len > 0)
        describe_name(d, " of ", ping.node);
}

static void describe_indirect_ping(struct describe *d, struct ki_reader *r)
{
    struct ki_indirect_ping ask;
    if (!ki_decode_indirect_ping(r, &ask)) {
        describe_malformed(d, "indirect-ping");
        return;
    }
    describe_item(d, "indirect-ping ");
    describe_number(d, "", ask.seq);
    describe_name(d, " of ", ask.node);
    if (ask.nack)
        ki_text_put(&d->text, " or nack");
}

static void describe_ack(struct describe *d, struct ki_reader *r)
{
    struct ki_ack ack;
    if (!ki_decode_ack(r, &ack)) {
        describe_malformed(d, "ack");
        return;
    }
    describe_item(d, "ack ");
    describe_number(d, "", ack.seq);
    struct ki_coordinate coordinate;
    struct ki_reader payload = ki_reader(ack.payload.ptr, ack.payload.len);
    if (ki_decode_coordinate(&payload, &coordinate))
        ki_text_put(&d->text, " with coordinate");
    else if (ack.payload.len > 0)
        describe_bytes(d, " with ", ack.payload.len);
}

static void describe_nack(struct describe *d, struct ki_reader *r)
{
    struct ki_nack nack;
    if (!ki_decode_nack(r, &nack)) {
        describe_malformed(d, "nack");
        return;
    }
    describe_item(d, "nack ");
    describe_number(d, "", nack.seq);
    if (nack.refused)
        ki_text_put(&d->text, " refused");
}

static void describe_accusation(struct describe *d, const char *what, struct ki_reader *r)
{
    struct ki_suspect accusation;
    if (!ki_decode_suspect(r, &accusation)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    describe_name(d, " ", accusation.node);
    describe_number(d, " inc ", accusation.incarnation);
    describe_name(d, " by ", accusation.from);
}

static void describe_alive(struct describe *d, struct ki_reader *r)
{
    struct ki_alive alive;
    if (!ki_decode_alive(r, &alive)) {
        describe_malformed(d, "alive");
        return;
    }
    describe_item(d, "alive ");
    describe_name(d, "", alive.node);
    describe_number(d, " inc ", alive.incarnation);
}

static void describe_message(struct describe *d, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    switch (message.ptr[0]) {
    case KI_MSG_PING:
        describe_ping(d, &r);
        return;
    case KI_MSG_INDIRECT_PING:
        describe_indirect_ping(d, &r);
        return;
    case KI_MSG_ACK:
        describe_ack(d, &r);
        return;
    case KI_MSG_NACK:
        describe_nack(d, &r);
        return;
    case KI_MSG_SUSPECT:
        describe_accusation(d, "suspect", &r);
        return;
    case KI_MSG_DEAD:
        describe_accusation(d, "dead", &r);
        return;
    case KI_MSG_ALIVE:
        describe_alive(d, &r);
        return;
    case KI_MSG_USER:
        describe_user(d, ki_span(r.pos, r.left));
        return;
    default: /* stream messages, and what later versions add */
        describe_item(d, "message ");
        describe_number(d, "", message.ptr[0]);
        describe_bytes(d, " of ", r.left);
        return;
    }
}

/* ---- layers ---- */

static void describe_layer(struct describe *d, struct ki_span message, unsigned depth);

/* Inflates into the arena, behind what is there.  An empty span: it could not be, and the text says so. */
static struct ki_span describe_inflate(struct describe *d, struct ki_reader *r)
{
    struct ki_compress msg;
    bool fine = ki_decode_compress(r, &msg) && msg.algo == 0;
    struct ki_lzw_decoder *lzw = NULL;
    struct ki_span plain = ki_span(NULL, 0);
    if (fine && !d->arena)
        d->arena = ki_mem_resize(&d->mem, NULL, DESCRIBE_ARENA_MAX);
    if (fine && d->arena)
        lzw = ki_mem_resize(&d->mem, NULL, sizeof *lzw);
    if (fine && !lzw) {
        describe_item(d, "compressed, out of memory");
        describe_error(d, KITH_ERR_NOMEM);
        return plain;
    }
    if (fine) {
        ki_lzw_decoder_init(lzw, msg.buf.ptr, msg.buf.len, d->arena + d->arena_used,
                            DESCRIBE_ARENA_MAX - d->arena_used);
        if (ki_lzw_decode(lzw, SIZE_MAX) == KI_LZW_DONE)
            plain = ki_span(lzw->out, lzw->out_len);
        ki_mem_free(&d->mem, lzw);
    }
    if (plain.len == 0)
        describe_malformed(d, "compressed");
    d->arena_used += plain.len;
    return plain;
}

static void describe_compressed(struct describe *d, struct ki_reader *r, unsigned depth)
{
    struct ki_span plain = describe_inflate(d, r);
    if (plain.len == 0)
        return;
    describe_item(d, "compressed (");
    d->begun = false;
    describe_layer(d, plain, depth + 1);
    ki_text_put(&d->text, ")");
    d->begun = true;
}

static void describe_compound(struct describe *d, struct ki_reader *r, unsigned depth)
{
    struct ki_compound compound;
    struct ki_span part;
    bool malformed = !ki_compound_begin(r, &compound);
    while (!malformed && ki_compound_next(&compound, &part, &malformed))
        describe_layer(d, part, depth + 1);
    if (malformed)
        describe_malformed(d, "compound");
}

/* One message, or a layer and all in it.  Calls itself, at most nesting_max (16) deep. */
static void describe_layer(struct describe *d, struct ki_span message, unsigned depth)
{
    if (message.ptr[0] != KI_MSG_COMPOUND && message.ptr[0] != KI_MSG_COMPRESS) {
        describe_message(d, message);
        return;
    }
    if (depth >= (d->k ? d->k->cfg.nesting_max : DESCRIBE_NESTING_MAX)) {
        describe_item(d, "nested too deep");
        describe_error(d, KITH_ERR_MALFORMED);
        return;
    }
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    if (message.ptr[0] == KI_MSG_COMPOUND)
        describe_compound(d, &r, depth);
    else
        describe_compressed(d, &r, depth);
}

/* ---- the outer layers ---- */

static bool describe_label(struct describe *d, struct ki_reader *r)
{
    struct ki_span label;
    if (!ki_peel_label(r, &label)) {
        describe_malformed(d, "label");
        return false;
    }
    if (label.len > 0) {
        describe_item(d, "label ");
        describe_name(d, "", label);
    }
    if (!d->k || ki_span_equal(label, ki_name_of(d->k->cfg.label)))
        return true;
    ki_text_put(&d->text, label.len > 0 ? ", not ours" : "no label");
    d->begun = true;
    describe_error(d, KITH_ERR_LABEL);
    return false;
}

/* No key has opened it: whether it is sealed all the same. */
static bool describe_looks_sealed(const struct describe *d, struct ki_span bytes)
{
    if (bytes.len < KI_SEAL_OVERHEAD || bytes.ptr[0] > KI_MSG_INDIRECT_PING)
        return false;
    struct ki_reader r = ki_reader(bytes.ptr + 1, bytes.len - 1);
    struct ki_ping ping;
    struct ki_indirect_ping ask;
    bool is_ping = bytes.ptr[0] == KI_MSG_PING ? ki_decode_ping(&r, &ping) : ki_decode_indirect_ping(&r, &ask);
    return !is_ping || (!d->k && r.left > 0);
}

/* Opens the seal, if there is one: r then reads *opened, which the caller frees.  false: there is no more to tell. */
static bool describe_open(struct describe *d, struct ki_reader *r, uint8_t **opened)
{
    bool has_keys = d->k && d->k->keyring.count > 0;
    if (has_keys && r->left > 0) {
        *opened = ki_mem_resize(&d->mem, NULL, r->left);
        size_t len;
        if (!*opened) {
            describe_item(d, "out of memory");
            describe_error(d, KITH_ERR_NOMEM);
            return false;
        }
        if (ki_open(&d->k->keyring, ki_name_of(d->k->cfg.label), ki_span(NULL, 0), ki_span(r->pos, r->left), *opened,
                    &len)) {
            *r = ki_reader(*opened, len);
            describe_item(d, "sealed");
            return true;
        }
    }
    if (describe_looks_sealed(d, ki_span(r->pos, r->left))) {
        describe_item(d, "sealed ");
        describe_bytes(d, "", r->left);
        describe_error(d, KITH_ERR_AUTH);
        return false;
    }
    if (has_keys && d->k->cfg.verify_incoming) { /* the core drops it; a reader will want to know what it was */
        describe_item(d, "not sealed");
        describe_error(d, KITH_ERR_AUTH);
    }
    return true;
}

static void describe_plain(struct describe *d, struct ki_reader *r)
{
    if (r->left > 0 && r->pos[0] == KI_MSG_HAS_CRC) {
        if (!ki_peel_crc(r)) {
            describe_malformed(d, "crc");
            return;
        }
        describe_item(d, "crc");
    }
    if (r->left > 0)
        describe_layer(d, ki_span(r->pos, r->left), 1);
    else
        describe_malformed(d, "datagram: nothing in it");
}

int kith_describe(const struct kith *k, const void *buf, size_t len, char *out, size_t cap)
{
    struct describe d = {.k = k, .text = ki_text(out, cap)};
    if (len == 0 || len > DESCRIBE_ARENA_MAX) {
        describe_malformed(&d, "datagram of ");
        describe_bytes(&d, "", len);
        return d.error;
    }
    if (k)
        d.mem = k->mem;
    else
        ki_mem_init(&d.mem, NULL, NULL, NULL, 0);
    uint8_t *opened = NULL;
    struct ki_reader r = ki_reader(buf, len);
    if (describe_label(&d, &r) && describe_open(&d, &r, &opened))
        describe_plain(&d, &r);
    ki_mem_free(&d.mem, opened);
    ki_mem_free(&d.mem, d.arena);
    return d.error;
}
