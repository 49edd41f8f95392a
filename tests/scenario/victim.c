#include "victim.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "wire/lzw.h"
#include "world.h"

#define VICTIM_MEMORY_MAX (4u << 20) /* bytes in any of the tests; scratch alone is about 200 KiB */

void victim_config(struct kith_config *c, enum flavour flavour)
{
    static const struct kith_key key = {.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, .len = 16};
    c->members_max = 64;
    if (flavour == KEYED) {
        c->keys = &key;
        c->key_count = 1;
    }
    if (flavour == LABELLED)
        c->label = lone_str("lab1");
    if (flavour == BARE)
        c->delegate_min = c->delegate_max = c->delegate_cur = 0;
}

/* ---- the oracle: how many well-formed messages of the kinds we heed are in a plain packet ---- */

static unsigned oracle_count(struct ki_span message, unsigned depth);

static unsigned oracle_compound(struct ki_reader *r, unsigned depth)
{
    struct ki_compound c;
    struct ki_span part;
    bool malformed;
    unsigned count = 0;
    if (!ki_compound_begin(r, &c))
        return 0;
    while (ki_compound_next(&c, &part, &malformed))
        count += oracle_count(part, depth + 1);
    return count;
}

static unsigned oracle_compress(struct ki_reader *r, unsigned depth)
{
    struct ki_compress msg = {0};
    if (!ki_decode_compress(r, &msg) || msg.algo != 0)
        return 0;
    struct ki_lzw_decoder *d = malloc(sizeof *d);
    uint8_t *out = malloc(65536);
    LONE_CHECK(d && out);
    ki_lzw_decoder_init(d, msg.buf.ptr, msg.buf.len, out, 65536);
    unsigned count = 0;
    if (ki_lzw_decode(d, SIZE_MAX) == KI_LZW_DONE && d->out_len > 0)
        count = oracle_count(ki_span(out, d->out_len), depth + 1);
    free(out);
    free(d);
    return count;
}

static unsigned oracle_user(struct ki_reader *r)
{
    struct ki_serf_leave leave = {0};
    struct ki_serf_join join = {0};
    struct ki_serf_clocked clocked = {0};
    switch (ki_take_be(r, 1)) {
    case KI_SERF_LEAVE:
        return ki_decode_serf_leave(r, &leave);
    case KI_SERF_JOIN:
        return ki_decode_serf_join(r, &join);
    case KI_SERF_USER_EVENT:
    case KI_SERF_QUERY:
        return ki_decode_serf_clocked(r, &clocked);
    default:
        return 0;
    }
}

static unsigned oracle_count(struct ki_span message, unsigned depth)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_suspect accusation = {0};
    struct ki_alive alive = {0};
    struct ki_indirect_ping indirect = {0};
    if (depth > 8)
        return 0;
    switch (message.ptr[0]) {
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        return ki_decode_suspect(&r, &accusation);
    case KI_MSG_ALIVE:
        return ki_decode_alive(&r, &alive);
    case KI_MSG_INDIRECT_PING: /* is carried out: a relay is state */
        return ki_decode_indirect_ping(&r, &indirect);
    case KI_MSG_ACK: /* may end a probe */
    case KI_MSG_NACK:
        return 1;
    case KI_MSG_USER:
        return oracle_user(&r);
    case KI_MSG_COMPOUND:
        return oracle_compound(&r, depth);
    case KI_MSG_COMPRESS:
        return oracle_compress(&r, depth);
    default:
        return 0;
    }
}

static bool oracle_may_change(enum flavour flavour, const uint8_t *buf, size_t len)
{
    struct ki_reader r = ki_reader(buf, len);
    struct ki_span label;
    if (flavour == KEYED || !ki_peel_label(&r, &label))
        return false;
    if (!ki_span_equal(label, flavour == LABELLED ? lone_span("lab1") : ki_span(NULL, 0)))
        return false;
    return ki_peel_crc(&r) && r.left > 0 && oracle_count(ki_span(r.pos, r.left), 0) > 0;
}

/* ---- one victim ---- */

struct kith_addr victim_stranger(unsigned i)
{
    return (struct kith_addr){.ip = {192, 0, 2, (uint8_t)(i + 1)}, .ip_len = 4, .port = (uint16_t)(5000 + i)};
}

static int victim_is_stranger(const struct kith_addr *addr)
{
    for (unsigned i = 0; i < STRANGERS; i++) {
        struct kith_addr stranger = victim_stranger(i);
        if (kith_addr_equal(&stranger, addr))
            return (int)i;
    }
    return -1;
}

/* Every datagram goes to a stranger that asked or to a known member. */
static unsigned victim_drain(struct victim *v)
{
    uint8_t buf[2048];
    struct kith_addr to;
    size_t len;
    unsigned count = 0;
    for (; kith_poll_datagram(v->k, v->now, &to, buf, sizeof buf, &len); count++) {
        int stranger = victim_is_stranger(&to);
        if (lone_knows(v->k, &to)) {
            if (stranger >= 0)
                v->met[stranger] = true;
            continue;
        }
        bool asked = false;
        for (unsigned i = 0; i < v->source_count; i++)
            asked = asked || kith_addr_equal(&v->sources[i], &to);
        if (stranger < 0 && asked)
            continue;
        if (stranger < 0)
            fail_msg("a datagram to %u.%u.%u.%u:%u, which nobody knows", to.ip[0], to.ip[1], to.ip[2], to.ip[3],
                     to.port);
        v->said[stranger] += len;
        LONE_CHECK(v->met[stranger] || v->said[stranger] <= 3 * v->heard[stranger]);
    }
    return count;
}

void victim_measure(struct victim *v)
{
    struct kith_gauges g;
    kith_read_gauges(v->k, &g);
    v->memory_most = ki_max_u64(v->memory_most, g.memory_bytes);
    LONE_CHECK(g.memory_bytes <= VICTIM_MEMORY_MAX);
}

void victim_datagram(struct victim *v, const struct kith_addr *from, const uint8_t *buf, size_t len)
{
    int stranger = victim_is_stranger(from);
    if (stranger >= 0)
        v->heard[stranger] += len;
    bool new_source = stranger < 0;
    for (unsigned i = 0; i < v->source_count; i++)
        new_source = new_source && !kith_addr_equal(&v->sources[i], from);
    if (new_source) {
        LONE_CHECK(v->source_count < KI_COUNT(v->sources));
        v->sources[v->source_count++] = *from;
    }
    uint64_t before = lone_digest(v->k);
    uint8_t *exact = malloc(len ? len : 1); /* a byte read beyond the end is caught */
    LONE_CHECK(exact);
    memcpy(exact, buf, len);
    int error = kith_datagram(v->k, v->now, from, exact, len);
    free(exact);
    bool changed = lone_digest(v->k) != before;
    v->refused += error != 0;
    v->changed += changed;
    if (changed)
        LONE_CHECK(oracle_may_change(v->flavour, buf, len));
    if (v->flavour == KEYED)
        LONE_CHECK(error == KITH_ERR_AUTH || error == KITH_ERR_LABEL || error == KITH_ERR_MALFORMED);
    unsigned out = victim_drain(v);
    if (v->flavour == KEYED)
        LONE_CHECK(out == 0);
    victim_measure(v);
}

void victim_tick(struct victim *v, uint64_t us)
{
    struct kith_stream_action action;
    v->now = lone_time(v->now.mono_us + us);
    kith_tick(v->k, v->now);
    while (kith_poll_stream(v->k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(v->k, v->now, action.id, KITH_ERR_UNREACHABLE);
    }
    victim_drain(v);
    lone_drain_told(v->k);
    lone_check(v->k);
    victim_measure(v);
}

struct victim victim_new(enum flavour flavour, bool knows)
{
    struct kith_config c;
    lone_config(&c);
    victim_config(&c, flavour);
    c.name = lone_str("node-2");
    c.addr = world_addr(2);
    struct victim v = {.k = lone_new(&c), .flavour = flavour, .now = lone_time(LONE_SECOND)};
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    struct kith_member members[2] = {{.name = lone_str("node-0"), .addr = world_addr(0)},
                                     {.name = lone_str("node-1"), .addr = world_addr(1)}};
    for (unsigned i = 0; i < 2; i++) {
        members[i].status = KITH_STATUS_ALIVE;
        members[i].incarnation = 5;
        memcpy(members[i].versions, versions, 6);
        if (flavour == BARE)
            memset(members[i].versions + 3, 0, 3);
    }
    if (knows)
        LONE_CHECK(kith_import_members(v.k, v.now, members, 2) == 0);
    lone_drain_told(v.k);
    return v;
}

/* ---- streams ---- */

bool victim_pump(struct victim *v, uint32_t id)
{
    uint8_t buf[4096];
    struct kith_stream_action action;
    size_t len;
    bool living = true;
    for (unsigned turns = 0; living; turns++) {
        LONE_CHECK(turns < 100000);
        kith_tick(v->k, v->now);
        bool acted = false;
        while (kith_poll_stream(v->k, &action)) {
            acted = true;
            if (action.id != id) {
                if (action.kind == KITH_STREAM_OPEN)
                    kith_stream_failed(v->k, v->now, action.id, KITH_ERR_UNREACHABLE);
                continue;
            }
            if (action.kind == KITH_STREAM_OPEN)
                kith_stream_opened(v->k, v->now, id);
            while (action.kind == KITH_STREAM_WRITE &&
                   kith_stream_write(v->k, v->now, id, buf, sizeof buf, &len) == 0 && len > 0)
                acted = true;
            living = living && action.kind != KITH_STREAM_ABORT && action.kind != KITH_STREAM_FINISH;
        }
        if (!acted && kith_deadline(v->k) > v->now.mono_us)
            break;
    }
    return living;
}

void victim_feed(struct victim *v, uint32_t id, const uint8_t *buf, size_t len, size_t piece,
                         struct ki_rng *rng)
{
    bool living = true;
    for (size_t at = 0; at < len && living;) {
        size_t want = 1 + (size_t)ki_rng_below(rng, piece);
        want = want < len - at ? want : len - at;
        size_t taken = 0;
        uint8_t *exact = malloc(want);
        LONE_CHECK(exact);
        memcpy(exact, buf + at, want);
        living = kith_stream_bytes(v->k, v->now, id, exact, want, &taken) == 0;
        free(exact);
        LONE_CHECK(taken == want || !living);
        at += want;
        living = victim_pump(v, id) && living;
        victim_measure(v);
    }
    if (living) {
        kith_stream_end(v->k, v->now, id);
        living = victim_pump(v, id);
    }
    if (living) { /* it waits for what will not come: the timeout ends it */
        v->now = lone_time(v->now.mono_us + 11 * LONE_SECOND);
        living = victim_pump(v, id);
    }
    LONE_CHECK(!living);
}

uint32_t victim_accept(struct victim *v)
{
    uint32_t id = 0;
    struct kith_addr from = victim_stranger(1);
    LONE_CHECK(kith_stream_accept(v->k, v->now, &from, &id) == 0 && id != 0);
    return id;
}
