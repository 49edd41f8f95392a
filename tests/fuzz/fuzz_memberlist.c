/* memberlist's decoders: the first byte picks the message, the rest is its body.  What decodes keeps the promises of
 * memberlist.h, encodes, decodes again, and then encodes to the same bytes. */
#include "wire/memberlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODE_STATE 14 /* a push/pull's, which has no type of its own */

union message {
    struct ki_ping ping;
    struct ki_indirect_ping indirect;
    struct ki_ack ack;
    struct ki_nack nack;
    struct ki_err err;
    struct ki_suspect suspect;
    struct ki_alive alive;
    struct ki_compress compress;
    struct ki_push_pull_header header;
    struct ki_node_state state;
    struct ki_user_header user;
};

static bool is_addr(struct ki_span addr, bool may_be_empty)
{
    return addr.len == 4 || addr.len == 16 || (may_be_empty && addr.len == 0);
}

/* Every decoder begins with a clean struct, whatever was there before. */
static bool decode(struct ki_reader *r, uint8_t type, union message *m)
{
    memset(m, 0xa5, sizeof(*m));
    switch (type) {
    case KI_MSG_PING:
        return ki_decode_ping(r, &m->ping);
    case KI_MSG_INDIRECT_PING:
        return ki_decode_indirect_ping(r, &m->indirect);
    case KI_MSG_ACK:
        return ki_decode_ack(r, &m->ack);
    case KI_MSG_NACK:
        return ki_decode_nack(r, &m->nack);
    case KI_MSG_ERR:
        return ki_decode_err(r, &m->err);
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        return ki_decode_suspect(r, &m->suspect);
    case KI_MSG_ALIVE:
        return ki_decode_alive(r, &m->alive);
    case KI_MSG_COMPRESS:
        return ki_decode_compress(r, &m->compress);
    case KI_MSG_PUSH_PULL:
        return ki_decode_push_pull_header(r, &m->header);
    case KI_MSG_USER:
        return ki_decode_user_header(r, &m->user);
    case NODE_STATE:
        return ki_decode_node_state(r, &m->state);
    default:
        r->bad = true;
        return false;
    }
}

static void check_promises(uint8_t type, const union message *m)
{
    switch (type) {
    case KI_MSG_PING:
        KI_ASSERT(is_addr(m->ping.source_addr, true));
        break;
    case KI_MSG_INDIRECT_PING:
        KI_ASSERT(is_addr(m->indirect.target, false) && is_addr(m->indirect.source_addr, true));
        break;
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        KI_ASSERT(m->suspect.node.len > 0 && m->suspect.from.len > 0);
        break;
    case KI_MSG_ALIVE:
        KI_ASSERT(m->alive.node.len > 0 && is_addr(m->alive.addr, false) &&
                  m->alive.meta.len <= 512);
        KI_ASSERT(m->alive.versions.len == 0 || m->alive.versions.len == 6);
        break;
    case KI_MSG_PUSH_PULL:
        KI_ASSERT(m->header.nodes >= 0 && m->header.user_state_len >= 0);
        break;
    case KI_MSG_USER:
        KI_ASSERT(m->user.len >= 0);
        break;
    case NODE_STATE:
        KI_ASSERT(m->state.name.len > 0 && is_addr(m->state.addr, false));
        KI_ASSERT(m->state.meta.len <= 512 && m->state.state >= 0 && m->state.state <= 3);
        KI_ASSERT(m->state.versions.len == 0 || m->state.versions.len == 6);
        break;
    default:
        break;
    }
}

/* Returns where the body begins. */
static size_t encode(struct ki_pack *p, uint8_t type, const union message *m)
{
    switch (type) {
    case KI_MSG_PING:
        ki_encode_ping(p, &m->ping);
        return 1;
    case KI_MSG_INDIRECT_PING:
        ki_encode_indirect_ping(p, &m->indirect);
        return 1;
    case KI_MSG_ACK:
        ki_encode_ack(p, &m->ack);
        return 1;
    case KI_MSG_NACK:
        ki_encode_nack(p, &m->nack);
        return 1;
    case KI_MSG_ERR:
        ki_encode_err(p, &m->err);
        return 1;
    case KI_MSG_SUSPECT:
        ki_encode_suspect(p, &m->suspect);
        return 1;
    case KI_MSG_DEAD:
        ki_encode_dead(p, &m->suspect);
        return 1;
    case KI_MSG_ALIVE:
        ki_encode_alive(p, &m->alive);
        return 1;
    case KI_MSG_COMPRESS:
        ki_encode_compress_front(p, m->compress.buf.len);
        ki_put(&p->w, m->compress.buf.ptr, m->compress.buf.len);
        return 1;
    case KI_MSG_PUSH_PULL:
        ki_encode_push_pull_header(p, &m->header);
        return 1;
    case KI_MSG_USER:
        ki_encode_user_header(p, &m->user);
        return 1;
    case NODE_STATE:
        ki_encode_node_state(p, &m->state);
        return 0;
    default:
        KI_UNREACHABLE();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[1 << 17], second[1 << 17];
    if (size == 0 || size > 65536)
        return -1;
    uint8_t type = data[0];
    struct ki_reader r = ki_reader(data + 1, size - 1);
    union message message, back;
    bool good = decode(&r, type, &message);
    KI_ASSERT(good == !r.bad);
    if (!good)
        return 0;
    KI_ASSERT(r.pos + r.left == data + size);
    check_promises(type, &message);
    struct ki_pack p = ki_pack(first, sizeof(first), false);
    size_t start = encode(&p, type, &message);
    KI_ASSERT(!p.w.full && (start == 0 || first[0] == type));
    r = ki_reader(first + start, p.w.len - start);
    KI_ASSERT(decode(&r, type, &back) && r.left == 0);
    struct ki_pack again = ki_pack(second, sizeof(second), false);
    encode(&again, type, &back);
    KI_ASSERT(ki_span_equal(ki_span(first, p.w.len), ki_span(second, again.w.len)));
    return 0;
}
