/* PROTOCOL.md is true: every line of its `vectors` blocks decodes as the kind it names, and what kith would send the
 * same way encodes to the same bytes; every row of its table of times comes out of the formulas.  A kind that is not
 * known here fails, and so does a page that lost its vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "aggregate/overlay.h"
#include "aggregate/schema.h"
#include "aggregate/shortlist.h"
#include "serf/filter.h"
#include "store/delta.h"
#include "store/repair.h"
#include "swim/timing.h"
#include "unit/hex.h"
#include "wire/aggregate.h"
#include "wire/fold.h"
#include "wire/kith.h"
#include "wire/kith_event.h"
#include "wire/link.h"
#include "wire/lzw.h"
#include "wire/memberlist.h"
#include "wire/network.h"
#include "wire/packet.h"
#include "wire/seal.h"
#include "wire/serf.h"
#include "wire/serf_coordinate.h"
#include "wire/serf_event.h"
#include "wire/serf_query.h"
#include "wire/sync.h"

#define PING_HEX "0082a44e6f6465a5616c706861a55365714e6f4d"

struct vector {
    char kind[32];
    uint8_t in[1024];
    size_t in_len;
    uint8_t out[1024]; /* behind => */
    size_t out_len;
    bool transforms;
};

static uint8_t encoded[2048];

static bool same(const struct ki_pack *p, const struct vector *v)
{
    return !p->w.full && ki_span_equal(ki_span(p->w.start, p->w.len), ki_span(v->in, v->in_len));
}

/* ---- msgpack ---- */

static bool check_value(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    uint64_t uint;
    int64_t integer;
    struct ki_span span;
    if (strcmp(v->kind, "uint") == 0) {
        assert_true(ki_unpack_uint(&r, UINT64_MAX, &uint));
        ki_pack_uint(&p, uint);
    } else if (strcmp(v->kind, "int") == 0) {
        assert_true(ki_unpack_int(&r, &integer));
        ki_pack_int(&p, integer);
    } else if (strcmp(v->kind, "string") == 0) {
        assert_true(ki_unpack_str(&r, &span));
        ki_pack_str(&p, span);
    } else {
        return false;
    }
    assert_true(same(&p, v));
    return true;
}

static bool check_taken(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    int64_t integer;
    struct ki_span span, key;
    struct ki_ping ping;
    struct ki_serf_state state;
    size_t cursor = 0;
    struct ki_coordinate coordinate;
    if (strcmp(v->kind, "taken-int") == 0)
        assert_true(ki_unpack_int(&r, &integer));
    else if (strcmp(v->kind, "taken-bytes") == 0)
        assert_true(ki_unpack_bytes(&r, &span));
    else if (strcmp(v->kind, "taken-ping") == 0)
        assert_true(ki_decode_ping(&r, &ping));
    else if (strcmp(v->kind, "taken-state") == 0)
        assert_true(ki_take_be(&r, 1) == KI_SERF_PUSH_PULL && ki_decode_serf_state(&r, &state) && r.left == 0);
    else if (strcmp(v->kind, "taken-tags") == 0)
        assert_true(ki_tag_next(ki_span(v->in, v->in_len), &cursor, &key, &span));
    else if (strcmp(v->kind, "taken-coordinate") == 0)
        assert_true(ki_decode_coordinate(&r, &coordinate) && r.left == 0);
    else
        return false;
    return true;
}

static bool check_malformed(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_span label;
    struct ki_compound compound;
    struct ki_alive alive;
    struct ki_suspect suspect;
    struct ki_push_pull_header header;
    struct ki_node_state state;
    struct ki_coordinate coordinate;
    struct ki_serf_event event;
    struct ki_event_mark mark;
    if (strcmp(v->kind, "malformed") == 0)
        assert_false(ki_unpack_skip(&r));
    else if (strcmp(v->kind, "malformed-compound") == 0)
        assert_false(ki_compound_begin(&r, &compound));
    else if (strcmp(v->kind, "malformed-crc") == 0)
        assert_false(ki_peel_crc(&r) && r.left > 0);
    else if (strcmp(v->kind, "malformed-label") == 0)
        assert_false(ki_peel_label(&r, &label));
    else if (strcmp(v->kind, "malformed-alive") == 0)
        assert_false(ki_decode_alive(&r, &alive));
    else if (strcmp(v->kind, "malformed-suspect") == 0)
        assert_false(ki_decode_suspect(&r, &suspect));
    else if (strcmp(v->kind, "malformed-push-pull") == 0)
        assert_false(ki_decode_push_pull_header(&r, &header));
    else if (strcmp(v->kind, "malformed-node-state") == 0)
        assert_false(ki_decode_node_state(&r, &state));
    else if (strcmp(v->kind, "malformed-coordinate") == 0)
        assert_false(ki_decode_coordinate(&r, &coordinate));
    else if (strcmp(v->kind, "malformed-event") == 0)
        assert_false(ki_decode_serf_event(&r, &event));
    else if (strcmp(v->kind, "malformed-filters") == 0)
        assert_false(ki_filters_fine(ki_span(v->in, v->in_len)));
    else if (strcmp(v->kind, "malformed-mark") == 0)
        assert_false(ki_decode_event_mark(ki_span(v->in, v->in_len), &mark));
    else
        return false;
    return true;
}

/* ---- messages ---- */

#define ROUND(name, type_byte, message, decode, encode)            \
    do {                                                           \
        if (strcmp(v->kind, name) == 0) {                          \
            message msg;                                           \
            assert_true(v->in_len > 0 && v->in[0] == (type_byte)); \
            assert_true(decode(&r, &msg) && r.left == 0);          \
            encode(&p, &msg);                                      \
            assert_true(same(&p, v));                              \
            return true;                                           \
        }                                                          \
    } while (0)

static bool check_message(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ROUND("ping", KI_MSG_PING, struct ki_ping, ki_decode_ping, ki_encode_ping);
    ROUND("indirect", KI_MSG_INDIRECT_PING, struct ki_indirect_ping, ki_decode_indirect_ping,
          ki_encode_indirect_ping);
    ROUND("ack", KI_MSG_ACK, struct ki_ack, ki_decode_ack, ki_encode_ack);
    ROUND("nack", KI_MSG_NACK, struct ki_nack, ki_decode_nack, ki_encode_nack);
    ROUND("error", KI_MSG_ERR, struct ki_err, ki_decode_err, ki_encode_err);
    ROUND("suspect", KI_MSG_SUSPECT, struct ki_suspect, ki_decode_suspect, ki_encode_suspect);
    ROUND("dead", KI_MSG_DEAD, struct ki_suspect, ki_decode_suspect, ki_encode_dead);
    ROUND("alive", KI_MSG_ALIVE, struct ki_alive, ki_decode_alive, ki_encode_alive);
    ROUND("user", KI_MSG_USER, struct ki_user_header, ki_decode_user_header, ki_encode_user_header);
    ROUND("push-pull", KI_MSG_PUSH_PULL, struct ki_push_pull_header, ki_decode_push_pull_header,
          ki_encode_push_pull_header);
    r = ki_reader(v->in, v->in_len);
    if (strcmp(v->kind, "coordinate") == 0) {
        struct ki_coordinate coordinate;
        assert_true(ki_decode_coordinate(&r, &coordinate) && r.left == 0);
        ki_encode_coordinate(&p, &coordinate);
        assert_true(same(&p, v));
        return true;
    }
    ROUND("node-state", 0x87, struct ki_node_state, ki_decode_node_state, ki_encode_node_state);
    return false;
}

static void encode_key_request(struct ki_pack *p, const struct ki_span *key)
{
    ki_encode_serf_key_request(p, *key);
}

/* The header, and the response that is passed on. */
static void check_relay(const struct vector *v, struct ki_reader *r)
{
    struct ki_serf_relay relay;
    struct ki_serf_response response;
    struct ki_span message;
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    assert_true(ki_decode_serf_relay(r, &relay, &message) && message.ptr[0] == KI_SERF_QUERY_RESPONSE);
    ki_encode_serf_relay_front(&p, &relay);
    ki_put(&p.w, message.ptr, message.len);
    assert_true(same(&p, v));
    struct ki_reader inner = ki_reader(message.ptr + 1, message.len - 1);
    assert_true(ki_decode_serf_response(&inner, &response) && inner.left == 0);
}

/* Serf's own bytes, without the 08 in front. */
static bool check_serf(const struct vector *v)
{
    struct vector inner = *v;
    memmove(inner.in, v->in + 1, v->in_len - 1);
    inner.in_len--;
    v = &inner;
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ROUND("serf-event", KI_SERF_USER_EVENT, struct ki_serf_event, ki_decode_serf_event, ki_encode_serf_event);
    ROUND("serf-key", KI_SERF_KEY_REQUEST, struct ki_span, ki_decode_serf_key_request, encode_key_request);
    ROUND("serf-key-answer", KI_SERF_KEY_RESPONSE, struct ki_serf_key_response, ki_decode_serf_key_response,
          ki_encode_serf_key_response);
    ROUND("serf-leave", KI_SERF_LEAVE, struct ki_serf_leave, ki_decode_serf_leave,
          ki_encode_serf_leave);
    ROUND("serf-join", KI_SERF_JOIN, struct ki_serf_join, ki_decode_serf_join, ki_encode_serf_join);
    ROUND("serf-query", KI_SERF_QUERY, struct ki_serf_query, ki_decode_serf_query, ki_encode_serf_query);
    ROUND("serf-answer", KI_SERF_QUERY_RESPONSE, struct ki_serf_response, ki_decode_serf_response,
          ki_encode_serf_response);
    if (strcmp(v->kind, "serf-relay") != 0)
        return false;
    assert_int_equal(v->in[0], KI_SERF_RELAY);
    check_relay(v, &r);
    return true;
}

static uint32_t count_of(struct ki_span container, bool map)
{
    struct ki_reader r = ki_reader(container.ptr, container.len);
    uint32_t count = 0;
    assert_true(map ? ki_unpack_map(&r, &count) : ki_unpack_array(&r, &count));
    return count;
}

/* As kith tells them; how many there are is known first. */
static void encode_events(struct ki_pack *p, const struct ki_serf_state *state)
{
    struct ki_serf_state_event event;
    enum ki_serf_events_step step;
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        struct ki_serf_events w = {.r = ki_reader(state->events.ptr, state->events.len), .groups = UINT32_MAX};
        if (pass == 1)
            ki_encode_serf_state_begin(p, state->event_ltime, count);
        while ((step = ki_serf_events_next(&w, &event)) != KI_SERF_EVENTS_END) {
            count += step == KI_SERF_EVENTS_EVENT;
            if (pass == 1 && step == KI_SERF_EVENTS_EVENT)
                ki_encode_serf_state_event(p, &event);
        }
    }
}

static void check_state(struct ki_span bytes)
{
    struct ki_serf_state state;
    struct ki_reader r = ki_reader(bytes.ptr + 1, bytes.len - 1);
    assert_int_equal(bytes.ptr[0], KI_SERF_PUSH_PULL);
    assert_true(ki_decode_serf_state(&r, &state) && r.left == 0);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    struct ki_span name;
    uint64_t ltime;
    uint32_t left = UINT32_MAX;
    encode_events(&p, &state);
    ki_encode_serf_state_left_members(&p, state.ltime, count_of(state.left_members, false));
    r = ki_reader(state.left_members.ptr, state.left_members.len);
    while (ki_serf_left_next(&r, &left, &name))
        ki_encode_serf_state_left(&p, name);
    ki_encode_serf_state_middle(&p, state.query_ltime, count_of(state.status_ltimes, true));
    left = UINT32_MAX;
    r = ki_reader(state.status_ltimes.ptr, state.status_ltimes.len);
    while (ki_serf_status_next(&r, &left, &name, &ltime))
        ki_encode_serf_state_status(&p, name, ltime);
    assert_true(ki_span_equal(ki_span(p.w.start, p.w.len), bytes));
}

static void check_tags(const struct vector *v)
{
    struct ki_tag_pair tags[16];
    size_t count = 0, cursor = 0;
    while (count < KI_COUNT(tags) &&
           ki_tag_next(ki_span(v->in, v->in_len), &cursor, &tags[count].key, &tags[count].value))
        count++;
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_tags(&p, tags, count);
    assert_true(same(&p, v));
}

/* A whole push/pull: header, nodes, user state, and nothing else. */
static void check_exchange(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_push_pull_header header;
    assert_int_equal(v->in[0], KI_MSG_PUSH_PULL);
    assert_true(ki_decode_push_pull_header(&r, &header));
    for (int64_t i = 0; i < header.nodes; i++) {
        struct ki_node_state node;
        assert_true(ki_decode_node_state(&r, &node));
    }
    assert_true(r.left == (size_t)header.user_state_len);
    check_state(ki_span(r.pos, r.left));
}

static bool check_whole(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    if (strcmp(v->kind, "serf-state") == 0) {
        check_state(ki_span(v->in, v->in_len));
    } else if (strcmp(v->kind, "tags") == 0) {
        check_tags(v);
    } else if (strcmp(v->kind, "exchange") == 0) {
        check_exchange(v);
    } else if (strcmp(v->kind, "rpc") == 0) {
        while (r.left > 0)
            assert_true(ki_unpack_skip(&r));
    } else {
        return false;
    }
    return true;
}

/* ---- layers ---- */

static void check_is_ping(struct ki_span bytes)
{
    uint8_t ping[32];
    size_t len = hex_bytes(PING_HEX, ping, sizeof(ping));
    assert_true(ki_span_equal(bytes, ki_span(ping, len)));
}

static void check_lzw(struct ki_span plain, struct ki_span packed)
{
    static struct ki_lzw_encoder encoder;
    static struct ki_lzw_decoder decoder;
    ki_lzw_encoder_init(&encoder, plain.ptr, plain.len, encoded, sizeof(encoded));
    assert_int_equal(ki_lzw_encode(&encoder, SIZE_MAX), KI_LZW_DONE);
    assert_true(ki_span_equal(ki_span(encoded, encoder.out_len), packed));
    ki_lzw_decoder_init(&decoder, packed.ptr, packed.len, encoded, sizeof(encoded));
    assert_int_equal(ki_lzw_decode(&decoder, SIZE_MAX), KI_LZW_DONE);
    assert_true(ki_span_equal(ki_span(encoded, decoder.out_len), plain));
}

static void check_compress(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_compress msg;
    assert_int_equal(v->in[0], KI_MSG_COMPRESS);
    assert_true(ki_decode_compress(&r, &msg) && msg.algo == 0 && r.left == 0);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_compress_front(&p, msg.buf.len);
    ki_put(&p.w, msg.buf.ptr, msg.buf.len);
    assert_true(same(&p, v));
    check_lzw(ki_span(v->out, v->out_len), msg.buf);
}

static void check_compound(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_compound compound;
    struct ki_span part = {0};
    bool malformed = false;
    size_t count = 0;
    assert_int_equal(v->in[0], KI_MSG_COMPOUND);
    assert_true(ki_compound_begin(&r, &compound));
    while (ki_compound_next(&compound, &part, &malformed))
        count++;
    assert_false(malformed);
    assert_int_equal(count, v->in[1]);
    check_is_ping(part); /* the last one */
}

/* Opened it is the ping; and sealed again with its nonce it is what stands there. */
static void check_seal(const struct vector *v)
{
    struct ki_mem mem;
    struct ki_keyring ring;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&ring, &mem);
    uint8_t key[16];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    assert_int_equal(ki_keyring_add(&ring, key, sizeof(key)), 0);
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_span label, head = {0};
    assert_true(ki_peel_label(&r, &label));
    if (strcmp(v->kind, "seal-stream") == 0) {
        head = ki_span(ki_take(&r, 5), 5);
        struct ki_reader fields = ki_reader(head.ptr, head.len);
        assert_true(ki_take_be(&fields, 1) == KI_MSG_ENCRYPT && ki_take_be(&fields, 4) == r.left && !r.bad);
    }
    uint8_t opened[64];
    size_t len = 0;
    struct ki_span first = head.len ? head : label, second = ki_span(NULL, 0);
    assert_true(ki_open(&ring, first, second, ki_span(r.pos, r.left), opened, &len));
    check_is_ping(ki_span(opened, len));
    uint8_t version = r.pos[0];
    assert_int_equal(ki_sealed_len(version, len), r.left);
    ki_seal(&ring, version, r.pos + 1, first, second, ki_span(opened, len), encoded);
    assert_true(ki_span_equal(ki_span(encoded, r.left), ki_span(r.pos, r.left)));
    ki_keyring_free(&ring);
}

static bool check_layer(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_span label;
    if (strcmp(v->kind, "lzw") == 0) {
        check_lzw(ki_span(v->in, v->in_len), ki_span(v->out, v->out_len));
    } else if (strcmp(v->kind, "compress") == 0) {
        check_compress(v);
    } else if (strcmp(v->kind, "crc") == 0) {
        assert_true(ki_peel_crc(&r) && r.left == v->in_len - 5);
        check_is_ping(ki_span(r.pos, r.left));
    } else if (strcmp(v->kind, "label") == 0) {
        assert_true(ki_peel_label(&r, &label));
        assert_true(ki_span_equal(label, ki_span("lab1", 4)));
        check_is_ping(ki_span(r.pos, r.left));
    } else if (strcmp(v->kind, "compound") == 0) {
        check_compound(v);
    } else if (strncmp(v->kind, "seal", 4) == 0) {
        check_seal(v);
    } else {
        return false;
    }
    return true;
}

/* ---- the store ---- */

static const struct ki_store_config store_config = {.limits = {.key_max = 99, .field_max = 99, .value_max = 99},
                                                    .delta_cells_max = 99};

static void check_cell(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_cell_image image;
    ki_cell_decode(&r, &store_config.limits, &image);
    assert_true(!r.bad && r.left == 0);
    ki_cell_encode(&w, &image);
    assert_true(ki_span_equal(ki_span(encoded, w.len), ki_span(v->in, v->in_len)));
}

static void check_context(const struct vector *v, struct ki_mem *mem)
{
    struct ki_context context;
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_context_decoder decoder = {.into = &context, .replicas_max = 99, .runs_max = 99};
    struct ki_context_cursor cursor = {.ended = false};
    ki_context_init(&context, mem);
    assert_int_equal(ki_context_decode(&decoder, &r, SIZE_MAX), KI_CONTEXT_FINE);
    assert_true(r.left == 0 && ki_context_decode_is_whole(&decoder));
    size_t len = ki_context_encode(&context, &cursor, encoded, sizeof(encoded));
    assert_true(ki_span_equal(ki_span(encoded, len), ki_span(v->in, v->in_len)));
    ki_context_free(&context);
}

/* A cell that is added, and another that is retired. */
static void check_delta(const struct vector *v, struct ki_mem *mem)
{
    struct ki_delta delta;
    struct ki_cell_image image;
    assert_int_equal(ki_delta_open(&delta, mem, &store_config, ki_span(v->in, v->in_len)), 0);
    struct ki_delta_cursor cursor = ki_delta_cursor(&delta);
    assert_true(ki_delta_next(&delta, &cursor, &image));
    assert_false(ki_delta_next(&delta, &cursor, &(struct ki_cell_image){.stamp = 0}));
    assert_true(ki_context_has(&delta.retired, (struct ki_dot){image.dot.replica, image.dot.n - 1}));
    ki_delta_close(&delta);
}

/* ---- stores of a pool ---- */

static bool check_channel(const struct vector *v)
{
    struct ki_kith_root root;
    struct ki_kith_held_ask ask;
    struct ki_kith_held held;
    struct ki_delta delta;
    struct ki_mem mem;
    enum ki_repair_role role;
    uint64_t session;
    uint32_t answering;
    if (strncmp(v->kind, "kith-", 5) != 0)
        return false;
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_reader r = ki_reader(v->in + 3, v->in_len - 3);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_put_u8(&w, 8);
    enum ki_kith_message kind = (enum ki_kith_message)(v->in[2] & ~KI_KITH_PARTIAL);
    if (strcmp(v->kind, "kith-root") == 0) {
        assert_true(ki_decode_kith_root(&r, &root));
        root.is_partial = v->in[2] & KI_KITH_PARTIAL;
        ki_encode_kith_root(&w, kind, &root);
    } else if (kind == KI_KITH_BRIEF) { /* any two that together are the value */
        bool is_that;
        root = (struct ki_kith_root){.replica = 0x0102030405060708 ^ 5, .root.first = 5};
        assert_true(ki_decode_kith_brief(&r, &root, &is_that) && is_that);
        ki_encode_kith_brief(&w, &root);
    } else if (kind == KI_KITH_HELD_ASK) {
        assert_true(ki_decode_kith_held_ask(&r, &ask) && ask.n == 300);
        ki_encode_kith_held_ask(&w, &ask);
    } else if (kind == KI_KITH_HELD) {
        assert_true(ki_decode_kith_held(&r, &held) && held.high == 300);
        ki_encode_kith_held(&w, &held);
    } else {
        ki_encode_kith_front(&w, kind);
        ki_put(&w, r.pos, r.left);
    }
    assert_true(ki_span_equal(ki_span(encoded, w.len), ki_span(v->in, v->in_len)));
    if (strcmp(v->kind, "kith-delta") == 0) {
        assert_int_equal(ki_delta_open(&delta, &mem, &store_config, ki_span(r.pos, r.left)), 0);
        ki_delta_close(&delta);
    } else if (strcmp(v->kind, "kith-repair") == 0) {
        assert_true(ki_repair_peek(ki_span(r.pos, r.left), &role, &session, &answering));
        assert_true(role == KI_REPAIR_RESPONDER && session == 0x0123456789abcdef && answering == 0x11121314);
    }
    return true;
}

static bool check_store(const struct vector *v)
{
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    if (strcmp(v->kind, "cell") == 0)
        check_cell(v);
    else if (strcmp(v->kind, "context") == 0)
        check_context(v, &mem);
    else if (strcmp(v->kind, "delta") == 0)
        check_delta(v, &mem);
    else
        return false;
    assert_int_equal(mem.used, 0);
    return true;
}

#include "unit/doc_events.h" /* check_events(), with the bytes and vectors of above */
#include "unit/doc_aggregates.h" /* check_aggregates(), with the bytes and vectors of above */
#include "unit/doc_folds.h" /* check_folds(), with the bytes and vectors of above */

/* ---- links ---- */

static void check_link_hello(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in + 1, v->in_len - 1);
    struct ki_user_header header;
    struct ki_link_hello hello;
    assert_true(v->in[0] == KI_MSG_USER && ki_decode_user_header(&r, &header) && (size_t)header.len == r.left);
    assert_int_equal(ki_take_be(&r, 1), KI_LINK_TYPE);
    assert_true(ki_decode_link_hello(&r, &hello) && r.left == 0);
    struct ki_span parts[KI_LINK_SUBJECTS];
    assert_true(ki_decode_link_parts(hello.payload, parts));
    assert_int_equal(parts[KI_LINK_STORE].len, hello.payload.len == 0 ? 0 : hello.payload.len - KI_LINK_PART_FRONT);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_link_opening(&p, &hello);
    assert_true(same(&p, v));
}

static void check_link_sealed(const struct vector *v)
{
    struct ki_mem mem;
    struct ki_keyring ring;
    uint8_t key[16], session[KI_LINK_SESSION];
    size_t len;
    hex_bytes("000102030405060708090a0b0c0d0e0f", key, sizeof(key));
    hex_bytes("000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", session, sizeof(session));
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&ring, &mem);
    assert_int_equal(ki_keyring_add(&ring, key, sizeof(key)), 0);
    struct ki_link_place place = {.label = ki_span("lab", 3), .session = session, .direction = 1, .counter = 258};
    assert_int_equal(ki_load_be(v->in, KI_LINK_HEAD), v->in_len - KI_LINK_HEAD);
    struct ki_span body = ki_span(v->in + KI_LINK_HEAD, v->in_len - KI_LINK_HEAD);
    assert_true(ki_open_link_frame(&ring, &place, body, encoded, &len));
    assert_true(ki_span_equal(ki_span(encoded, len), ki_span("\1\7\0hi", 5)));
    ki_keyring_free(&ring);
}

static bool check_link(const struct vector *v)
{
    struct ki_link_frame frame;
    if (strcmp(v->kind, "link-hello") == 0)
        check_link_hello(v);
    else if (strcmp(v->kind, "link-frame") == 0)
        assert_true(ki_decode_link_frame(ki_span(v->in, v->in_len), &frame));
    else if (strcmp(v->kind, "link-sealed") == 0)
        check_link_sealed(v);
    else
        return false;
    return true;
}

/* ---- comparing views ---- */

static bool check_sync_members(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    struct ki_sync_clocks clocks;
    struct ki_sync_member member;
    assert_true(ki_decode_sync_clocks(&r, &clocks) && ki_decode_sync_member(&r, &member) && r.left == 0);
    assert_true(clocks.ltime == 5 && clocks.query_ltime == 300 && member.ltime == 4 && !member.has_left);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_sync_clocks(&p.w, &clocks);
    ki_encode_sync_member(&p, &member);
    return same(&p, v);
}

static bool check_sync_items(const struct vector *v)
{
    static const uint64_t differs[4] = {1, 1, 0, 0};
    struct ki_sync_items items;
    assert_true(ki_decode_sync_items(ki_span(v->in, v->in_len), &items) && items.count == 2);
    assert_true(ki_sync_differs(&items, KI_SYNC_LIVING, 1) && !ki_sync_differs(&items, KI_SYNC_GONE, 1));
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_sync_items_front(&p.w, items.first, items.end, 1, differs);
    for (uint32_t i = 0; i < items.count; i++)
        ki_encode_sync_item(&p.w, ki_sync_item_at(&items, i));
    return same(&p, v);
}

static bool check_sync_sums(const struct vector *v)
{
    static const uint64_t sums[2] = {0x1111111111111111, 0x2222222222222222};
    struct ki_sync_sums out;
    assert_true(ki_decode_sync_sums(ki_span(v->in, v->in_len), &out) && out.bits == 1 && out.lists == 1);
    struct ki_pack p = ki_pack(encoded, sizeof(encoded), false);
    ki_encode_sync_sums(&p.w, &out, sums);
    return same(&p, v);
}

static bool check_sync(const struct vector *v)
{
    struct ki_sync_sums sums;
    struct ki_sync_items items;
    struct ki_span in = ki_span(v->in, v->in_len);
    if (strcmp(v->kind, "sync-sums") == 0)
        assert_true(check_sync_sums(v));
    else if (strcmp(v->kind, "sync-items") == 0)
        assert_true(check_sync_items(v));
    else if (strcmp(v->kind, "sync-members") == 0)
        assert_true(check_sync_members(v));
    else if (strcmp(v->kind, "sync-wanted") == 0)
        assert_int_equal(v->in_len % 2, 1);
    else if (strcmp(v->kind, "sync-times") == 0)
        assert_int_equal(v->in_len % KI_SYNC_TIME_LEN, 0);
    else if (strcmp(v->kind, "malformed-sync-sums") == 0)
        assert_false(ki_decode_sync_sums(in, &sums));
    else if (strcmp(v->kind, "malformed-sync-items") == 0)
        assert_false(ki_decode_sync_items(in, &items));
    else
        return false;
    return true;
}

/* ---- the page ---- */

static FILE *open_page(void)
{
    char path[4096];
    const char *root = getenv("KITH_SOURCE_DIR");
    snprintf(path, sizeof(path), "%s/PROTOCOL.md", root ? root : ".");
    FILE *page = fopen(path, "r");
    if (!page)
        print_error("%s cannot be read\n", path);
    assert_non_null(page);
    return page;
}

static void check_vector(char *text, unsigned *kinds)
{
    struct vector v = {.in_len = 0};
    size_t kind_len = strcspn(text, " ");
    assert_true(kind_len > 0 && kind_len < sizeof(v.kind));
    memcpy(v.kind, text, kind_len);
    char *hex = text + kind_len, *arrow = strstr(hex, "=>");
    v.transforms = arrow != NULL;
    if (arrow) {
        v.out_len = hex_bytes(arrow + 2, v.out, sizeof(v.out));
        *arrow = 0;
    }
    v.in_len = hex_bytes(hex, v.in, sizeof(v.in));
    assert_int_equal(v.transforms, strcmp(v.kind, "lzw") == 0 || strcmp(v.kind, "compress") == 0);
    bool layered = check_layer(&v);
    bool known = layered || check_sync(&v) || check_value(&v) || check_taken(&v) || check_malformed(&v) ||
                 check_message(&v) || check_whole(&v) || check_serf(&v) || check_store(&v) || check_channel(&v) ||
                 check_link(&v) || check_events(&v) || check_aggregates(&v) || check_folds(&v);
    if (!known)
        print_error("PROTOCOL.md has a vector of no known kind: %s\n", v.kind);
    assert_true(known);
    *kinds += 1;
}

/* Appends a line, without its remark, to the vector it goes on with; or checks that one and starts anew. */
static void take_line(char *vector, size_t cap, const char *line, unsigned *count)
{
    if (*line != ' ' && *vector) {
        check_vector(vector, count);
        *vector = 0;
    }
    size_t used = strlen(vector), len = strcspn(line, ";\n");
    assert_true(used + len < cap);
    memcpy(vector + used, line, len);
    vector[used + len] = 0;
}

static void test_vectors(void **state)
{
    (void)state;
    FILE *page = open_page();
    char line[512], vector[4096] = "";
    bool inside = false;
    unsigned count = 0, blocks = 0;
    while (fgets(line, sizeof(line), page)) {
        if (inside && strncmp(line, "```", 3) == 0) {
            inside = false;
            take_line(vector, sizeof(vector), "", &count);
        } else if (inside) {
            take_line(vector, sizeof(vector), line, &count);
        } else if (strcmp(line, "```vectors\n") == 0) {
            inside = true;
            blocks++;
        }
    }
    fclose(page);
    assert_false(inside);
    assert_int_equal(blocks, 20);
    assert_true(count >= 120);
}

/* One row: members, transmissions, suspicion lan min max, wan min max, push/pull lan wan. */
static void check_times(const double *row)
{
    uint32_t n = (uint32_t)row[0];
    uint64_t lan_us = ki_suspicion_min_us(4, n, 1000000),
             wan_us = ki_suspicion_min_us(6, n, 5000000);
    assert_int_equal((uint32_t)row[1], ki_retransmit_limit(4, n));
    assert_int_equal((uint64_t)(row[2] * 1000 + 0.5), lan_us / 1000);
    assert_int_equal((uint64_t)(row[3] * 1000 + 0.5), 6 * lan_us / 1000);
    assert_int_equal((uint64_t)(row[4] * 1000 + 0.5), wan_us / 1000);
    assert_int_equal((uint64_t)(row[5] * 1000 + 0.5), 6 * wan_us / 1000);
    assert_int_equal((uint64_t)row[6] * 1000000, ki_push_pull_us(30000000, n));
    assert_int_equal((uint64_t)row[7] * 1000000, ki_push_pull_us(60000000, n));
}

static void test_times(void **state)
{
    (void)state;
    FILE *page = open_page();
    char line[512];
    bool inside = false;
    unsigned rows = 0;
    while (fgets(line, sizeof(line), page)) {
        if (strncmp(line, "| members | transmissions |", 27) == 0)
            inside = true;
        if (*line != '|')
            inside = false;
        double row[8];
        if (inside && sscanf(line, "| %lf | %lf | %lf | %lf | %lf | %lf | %lf | %lf |", &row[0],
                             &row[1], &row[2], &row[3], &row[4], &row[5], &row[6], &row[7]) == 8) {
            check_times(row);
            rows++;
        }
    }
    fclose(page);
    assert_true(rows >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
