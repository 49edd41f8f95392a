/* Serf's queries, their answers, and the member description inside the answer to a name conflict (PROTOCOL.md
 * "Serf").  Encoders write the Serf type byte and the body, without memberlist's leading 08. */
#ifndef KI_SERF_QUERY_H
#define KI_SERF_QUERY_H

#include "wire/msgpack.h"
#include "wire/serf.h"

struct ki_serf_query { /* source_node and name not empty, addr 4 or 16 bytes */
    uint64_t ltime;
    uint32_t id;
    struct ki_span addr;
    uint16_t port;
    struct ki_span source_node;
    struct ki_span filters; /* encoded array; ptr NULL: none */
    uint32_t flags;
    uint8_t relay_factor;
    int64_t timeout_ns;
    struct ki_span name;
    struct ki_span payload;
};

struct ki_serf_response { /* from not empty */
    uint64_t ltime;
    uint32_t id;
    struct ki_span from;
    uint32_t flags; /* bit 0: it is an ack */
    struct ki_span payload;
};

struct ki_serf_member {
    struct ki_span name;
    struct ki_span addr;
    uint16_t port;
    struct ki_span tags; /* encoded map; ptr NULL: none */
    int64_t status;
    uint8_t pmin, pmax, pcur, dmin, dmax, dcur;
};

void ki_encode_serf_query(struct ki_pack *p, const struct ki_serf_query *msg);
void ki_encode_serf_response(struct ki_pack *p, const struct ki_serf_response *msg);
void ki_encode_serf_member(struct ki_pack *p, const struct ki_serf_member *msg); /* type 06 */
bool ki_decode_serf_query(struct ki_reader *r, struct ki_serf_query *out);
bool ki_decode_serf_response(struct ki_reader *r, struct ki_serf_response *out);
/* nil, an unknown member, decodes as all zero. */
bool ki_decode_serf_member(struct ki_reader *r, struct ki_serf_member *out);

#endif
