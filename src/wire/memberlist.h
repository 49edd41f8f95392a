/* The messages of memberlist (PROTOCOL.md "membership"), one struct and one encode/decode pair each.  Spans of a
 * decoded message borrow from the datagram.  Every decoder ignores bytes after the object and validates what the
 * rest of kith relies on: see each struct. */
#ifndef KI_MEMBERLIST_H
#define KI_MEMBERLIST_H

#include "wire/msgpack.h"

enum ki_message {
    KI_MSG_PING = 0,
    KI_MSG_INDIRECT_PING = 1,
    KI_MSG_ACK = 2,
    KI_MSG_SUSPECT = 3,
    KI_MSG_ALIVE = 4,
    KI_MSG_DEAD = 5,
    KI_MSG_PUSH_PULL = 6,
    KI_MSG_COMPOUND = 7,
    KI_MSG_USER = 8,
    KI_MSG_COMPRESS = 9,
    KI_MSG_ENCRYPT = 10,
    KI_MSG_NACK = 11,
    KI_MSG_HAS_CRC = 12,
    KI_MSG_ERR = 13,
    KI_MSG_HAS_LABEL = 244
};

struct ki_ping {
    uint32_t seq;
    struct ki_span node;        /* empty: whoever you are */
    struct ki_span source_addr; /* 0, 4 or 16 bytes */
    uint16_t source_port;
    struct ki_span source_node;
};

struct ki_indirect_ping {
    uint32_t seq;
    struct ki_span target; /* 4 or 16 bytes */
    uint16_t port;
    struct ki_span node;
    bool nack;
    struct ki_span source_addr; /* 0, 4 or 16 bytes */
    uint16_t source_port;
    struct ki_span source_node;
};

struct ki_ack {
    uint32_t seq;
    struct ki_span payload;
};

struct ki_nack {
    uint32_t seq;
    bool refused; /* kith's own: the target's host says that nobody listens at its port */
};

struct ki_err {
    struct ki_span text;
};

struct ki_suspect { /* also the body of dead; node and from are not empty */
    uint32_t incarnation;
    struct ki_span node;
    struct ki_span from;
};

struct
    ki_alive { /* node not empty, addr 4 or 16 bytes, versions 0 or 6 bytes (others are malformed) */
    uint32_t incarnation;
    struct ki_span node;
    struct ki_span addr;
    uint16_t port;
    struct ki_span meta;
    struct ki_span versions;
};

struct ki_compress {
    uint8_t algo;
    struct ki_span buf;
};

struct ki_push_pull_header { /* both counts >= 0 */
    int64_t nodes;
    int64_t user_state_len;
    bool join;
};

struct ki_node_state { /* as alive; state 0..3 */
    struct ki_span name;
    struct ki_span addr;
    uint16_t port;
    struct ki_span meta;
    uint32_t incarnation;
    int64_t state;
    struct ki_span versions;
};

struct ki_user_header {
    int64_t len; /* >= 0 */
};

/* Encoders write the type byte and the body (node_state: the body alone, as in push/pull). */
void ki_encode_ping(struct ki_pack *p, const struct ki_ping *msg);
void ki_encode_indirect_ping(struct ki_pack *p, const struct ki_indirect_ping *msg);
void ki_encode_ack(struct ki_pack *p, const struct ki_ack *msg);
void ki_encode_nack(struct ki_pack *p, const struct ki_nack *msg);
void ki_encode_err(struct ki_pack *p, const struct ki_err *msg);
void ki_encode_suspect(struct ki_pack *p, const struct ki_suspect *msg);
void ki_encode_dead(struct ki_pack *p, const struct ki_suspect *msg);
void ki_encode_alive(struct ki_pack *p, const struct ki_alive *msg);
/* The front of a compress message whose Buf of buf_len bytes the caller appends. */
void ki_encode_compress_front(struct ki_pack *p, size_t buf_len);
void ki_encode_push_pull_header(struct ki_pack *p, const struct ki_push_pull_header *msg);
void ki_encode_node_state(struct ki_pack *p, const struct ki_node_state *msg);
void ki_encode_user_header(struct ki_pack *p, const struct ki_user_header *msg);

/* Decoders read a body (after the type byte) and advance r past it.  false: malformed. */
bool ki_decode_ping(struct ki_reader *r, struct ki_ping *out);
bool ki_decode_indirect_ping(struct ki_reader *r, struct ki_indirect_ping *out);
bool ki_decode_ack(struct ki_reader *r, struct ki_ack *out);
bool ki_decode_nack(struct ki_reader *r, struct ki_nack *out);
bool ki_decode_err(struct ki_reader *r, struct ki_err *out);
bool ki_decode_suspect(struct ki_reader *r, struct ki_suspect *out); /* suspect and dead */
bool ki_decode_alive(struct ki_reader *r, struct ki_alive *out);
bool ki_decode_compress(struct ki_reader *r, struct ki_compress *out);
bool ki_decode_push_pull_header(struct ki_reader *r, struct ki_push_pull_header *out);
bool ki_decode_node_state(struct ki_reader *r, struct ki_node_state *out);
bool ki_decode_user_header(struct ki_reader *r, struct ki_user_header *out);

#endif
