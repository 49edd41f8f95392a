/* memberlist's messages (memberlist.h, PROTOCOL.md "membership"): a table, an encoder and a decoder each.
 *
 * The idea: the tables say what the bytes are; a decoder adds only what a message must fulfil before anything else of
 * kith sees it.  So the core above may copy an address of 4 or 16 bytes, index a version vector of 6 and name a
 * member, without asking again.
 *
 * Invariants: a decoder that fails has stored nothing its caller may use; one that succeeds leaves the reader behind
 * the object, whatever follows it.
 *
 * It deliberately does not judge versions, lengths of names, or who may say what to whom: those are rules of the
 * protocol, not of its bytes, and a broken one is counted as something else.  Address bytes stay as they came: peers
 * compare them byte for byte, so the 4-byte and the 16-byte form of one address are different on the wire. */
#include "wire/memberlist.h"

#include "wire/usual.h"

#define MEMBERLIST_META_MAX     512 /* memberlist's MetaMaxSize: no peer can have sent more */
#define MEMBERLIST_VERSIONS_LEN 6

static const struct ki_field memberlist_ping[] = {
    KI_FIELD(struct ki_ping, seq, "SeqNo", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_ping, node, "Node", KI_FIELD_STR, 0, false),
    KI_FIELD(struct ki_ping, source_addr, "SourceAddr", KI_FIELD_BYTES, 2, true),
    KI_FIELD(struct ki_ping, source_port, "SourcePort", KI_FIELD_U16, 4, true),
    KI_FIELD(struct ki_ping, source_node, "SourceNode", KI_FIELD_STR, 3, true),
};

static const struct ki_field memberlist_indirect_ping[] = {
    KI_FIELD(struct ki_indirect_ping, seq, "SeqNo", KI_FIELD_U32, 3, false),
    KI_FIELD(struct ki_indirect_ping, target, "Target", KI_FIELD_BYTES, 7, false),
    KI_FIELD(struct ki_indirect_ping, port, "Port", KI_FIELD_U16, 2, false),
    KI_FIELD(struct ki_indirect_ping, node, "Node", KI_FIELD_STR, 1, false),
    KI_FIELD(struct ki_indirect_ping, nack, "Nack", KI_FIELD_BOOL, 0, false),
    KI_FIELD(struct ki_indirect_ping, source_addr, "SourceAddr", KI_FIELD_BYTES, 4, true),
    KI_FIELD(struct ki_indirect_ping, source_port, "SourcePort", KI_FIELD_U16, 6, true),
    KI_FIELD(struct ki_indirect_ping, source_node, "SourceNode", KI_FIELD_STR, 5, true),
};

static const struct ki_field memberlist_ack[] = {
    KI_FIELD(struct ki_ack, seq, "SeqNo", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_ack, payload, "Payload", KI_FIELD_BYTES, 0, false),
};

static const struct ki_field memberlist_nack[] = {
    KI_FIELD(struct ki_nack, seq, "SeqNo", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_nack, refused, "Refused", KI_FIELD_BOOL, 0, true),
};

static const struct ki_field memberlist_err[] = {
    KI_FIELD(struct ki_err, text, "Error", KI_FIELD_STR, 0, false),
};

static const struct ki_field memberlist_suspect[] = {
    KI_FIELD(struct ki_suspect, incarnation, "Incarnation", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_suspect, node, "Node", KI_FIELD_STR, 2, false),
    KI_FIELD(struct ki_suspect, from, "From", KI_FIELD_STR, 0, false),
};

static const struct ki_field memberlist_alive[] = {
    KI_FIELD(struct ki_alive, incarnation, "Incarnation", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_alive, node, "Node", KI_FIELD_STR, 3, false),
    KI_FIELD(struct ki_alive, addr, "Addr", KI_FIELD_BYTES, 0, false),
    KI_FIELD(struct ki_alive, port, "Port", KI_FIELD_U16, 4, false),
    KI_FIELD(struct ki_alive, meta, "Meta", KI_FIELD_BYTES, 2, false),
    KI_FIELD(struct ki_alive, versions, "Vsn", KI_FIELD_BYTES, 5, false),
};

static const struct ki_field memberlist_compress[] = {
    KI_FIELD(struct ki_compress, algo, "Algo", KI_FIELD_U8, 0, false),
    KI_FIELD(struct ki_compress, buf, "Buf", KI_FIELD_BYTES, 1, false),
};

static const struct ki_field memberlist_push_pull_header[] = {
    KI_FIELD(struct ki_push_pull_header, nodes, "Nodes", KI_FIELD_I64, 1, false),
    KI_FIELD(struct ki_push_pull_header, user_state_len, "UserStateLen", KI_FIELD_I64, 2, false),
    KI_FIELD(struct ki_push_pull_header, join, "Join", KI_FIELD_BOOL, 0, false),
};

static const struct ki_field memberlist_node_state[] = {
    KI_FIELD(struct ki_node_state, name, "Name", KI_FIELD_STR, 3, false),
    KI_FIELD(struct ki_node_state, addr, "Addr", KI_FIELD_BYTES, 0, false),
    KI_FIELD(struct ki_node_state, port, "Port", KI_FIELD_U16, 4, false),
    KI_FIELD(struct ki_node_state, meta, "Meta", KI_FIELD_BYTES, 2, false),
    KI_FIELD(struct ki_node_state, incarnation, "Incarnation", KI_FIELD_U32, 1, false),
    KI_FIELD(struct ki_node_state, state, "State", KI_FIELD_I64, 5, false),
    KI_FIELD(struct ki_node_state, versions, "Vsn", KI_FIELD_BYTES, 6, false),
};

static const struct ki_field memberlist_user_header[] = {
    KI_FIELD(struct ki_user_header, len, "UserMsgLen", KI_FIELD_I64, 0, false),
};

#define MEMBERLIST_ENCODE(p, type, table, msg)                \
    do {                                                      \
        ki_put_u8(&(p)->w, (uint8_t)(type));                  \
        ki_pack_struct((p), (table), KI_COUNT(table), (msg)); \
    } while (0)

#define MEMBERLIST_DECODE(r, table, out) \
    (memset((out), 0, sizeof(*(out))), ki_unpack_struct((r), (table), KI_COUNT(table), (out)))

/* What a decoder ends with: the bytes were well-formed, and so is what they say. */
static bool memberlist_require(struct ki_reader *r, bool valid)
{
    if (!valid)
        r->bad = true;
    return valid;
}

static bool memberlist_is_addr(struct ki_span addr)
{
    return addr.len == 4 || addr.len == 16;
}

static bool memberlist_is_versions(struct ki_span versions)
{
    return versions.len == 0 || versions.len == MEMBERLIST_VERSIONS_LEN;
}

void ki_encode_ping(struct ki_pack *p, const struct ki_ping *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_PING, memberlist_ping, msg);
}

void ki_encode_indirect_ping(struct ki_pack *p, const struct ki_indirect_ping *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_INDIRECT_PING, memberlist_indirect_ping, msg);
}

void ki_encode_ack(struct ki_pack *p, const struct ki_ack *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_ACK, memberlist_ack, msg);
}

void ki_encode_nack(struct ki_pack *p, const struct ki_nack *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_NACK, memberlist_nack, msg);
}

void ki_encode_err(struct ki_pack *p, const struct ki_err *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_ERR, memberlist_err, msg);
}

void ki_encode_suspect(struct ki_pack *p, const struct ki_suspect *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_SUSPECT, memberlist_suspect, msg);
}

void ki_encode_dead(struct ki_pack *p, const struct ki_suspect *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_DEAD, memberlist_suspect, msg);
}

void ki_encode_alive(struct ki_pack *p, const struct ki_alive *msg)
{
    const struct ki_node_state usual = {.name = msg->node,
                                        .addr = msg->addr,
                                        .port = msg->port,
                                        .meta = msg->meta,
                                        .incarnation = msg->incarnation,
                                        .versions = msg->versions};
    ki_put_u8(&p->w, KI_MSG_ALIVE);
    if (!ki_usual_write(p, false, &usual))
        ki_pack_struct(p, memberlist_alive, KI_COUNT(memberlist_alive), msg);
}

void ki_encode_compress_front(struct ki_pack *p, size_t buf_len)
{
    ki_put_u8(&p->w, KI_MSG_COMPRESS);
    ki_pack_map(p, 2);
    ki_pack_text(p, "Algo");
    ki_pack_uint(p, 0); /* LZW, the only one there is */
    ki_pack_text(p, "Buf");
    ki_pack_bytes_front(p, buf_len);
}

void ki_encode_push_pull_header(struct ki_pack *p, const struct ki_push_pull_header *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_PUSH_PULL, memberlist_push_pull_header, msg);
}

void ki_encode_node_state(struct ki_pack *p, const struct ki_node_state *msg)
{
    if (!ki_usual_write(p, true, msg))
        ki_pack_struct(p, memberlist_node_state, KI_COUNT(memberlist_node_state), msg);
}

void ki_encode_user_header(struct ki_pack *p, const struct ki_user_header *msg)
{
    MEMBERLIST_ENCODE(p, KI_MSG_USER, memberlist_user_header, msg);
}

bool ki_decode_ping(struct ki_reader *r, struct ki_ping *out)
{
    return MEMBERLIST_DECODE(r, memberlist_ping, out) &&
           memberlist_require(r, out->source_addr.len == 0 || memberlist_is_addr(out->source_addr));
}

bool ki_decode_indirect_ping(struct ki_reader *r, struct ki_indirect_ping *out)
{
    return MEMBERLIST_DECODE(r, memberlist_indirect_ping, out) &&
           memberlist_require(
               r, memberlist_is_addr(out->target) &&
                      (out->source_addr.len == 0 || memberlist_is_addr(out->source_addr)));
}

bool ki_decode_ack(struct ki_reader *r, struct ki_ack *out)
{
    return MEMBERLIST_DECODE(r, memberlist_ack, out);
}

bool ki_decode_nack(struct ki_reader *r, struct ki_nack *out)
{
    return MEMBERLIST_DECODE(r, memberlist_nack, out);
}

bool ki_decode_err(struct ki_reader *r, struct ki_err *out)
{
    return MEMBERLIST_DECODE(r, memberlist_err, out);
}

bool ki_decode_suspect(struct ki_reader *r, struct ki_suspect *out)
{
    return MEMBERLIST_DECODE(r, memberlist_suspect, out) &&
           memberlist_require(r, out->node.len > 0 && out->from.len > 0);
}

bool ki_decode_alive(struct ki_reader *r, struct ki_alive *out)
{
    struct ki_node_state usual;
    if (ki_usual_read(r, false, &usual)) {
        *out = (struct ki_alive){.incarnation = usual.incarnation,
                                 .node = usual.name,
                                 .addr = usual.addr,
                                 .port = usual.port,
                                 .meta = usual.meta,
                                 .versions = usual.versions};
        return true;
    }
    return MEMBERLIST_DECODE(r, memberlist_alive, out) &&
           memberlist_require(r, out->node.len > 0 && memberlist_is_addr(out->addr) &&
                                     out->meta.len <= MEMBERLIST_META_MAX &&
                                     memberlist_is_versions(out->versions));
}

bool ki_decode_compress(struct ki_reader *r, struct ki_compress *out)
{
    return MEMBERLIST_DECODE(r, memberlist_compress, out);
}

bool ki_decode_push_pull_header(struct ki_reader *r, struct ki_push_pull_header *out)
{
    return MEMBERLIST_DECODE(r, memberlist_push_pull_header, out) &&
           memberlist_require(r, out->nodes >= 0 && out->user_state_len >= 0);
}

bool ki_decode_node_state(struct ki_reader *r, struct ki_node_state *out)
{
    if (ki_usual_read(r, true, out))
        return true;
    return MEMBERLIST_DECODE(r, memberlist_node_state, out) &&
           memberlist_require(r, out->name.len > 0 && memberlist_is_addr(out->addr) &&
                                     out->meta.len <= MEMBERLIST_META_MAX &&
                                     memberlist_is_versions(out->versions) && out->state >= 0 &&
                                     out->state <= 3);
}

bool ki_decode_user_header(struct ki_reader *r, struct ki_user_header *out)
{
    return MEMBERLIST_DECODE(r, memberlist_user_header, out) &&
           memberlist_require(r, out->len >= 0);
}
