/* Serf's user events, key requests and their answers, relays, and what kith adds to an event (PROTOCOL.md "Serf").
 * Encoders write the Serf type byte and the body, without memberlist's leading 08. */
#ifndef KI_SERF_EVENT_H
#define KI_SERF_EVENT_H

#include "wire/msgpack.h"
#include "wire/serf.h"

struct ki_serf_event { /* name not empty */
    uint64_t ltime;
    struct ki_span name;
    struct ki_span payload;
    bool coalesce;
    struct ki_span mark; /* kith's: struct ki_event_mark, encoded; ptr NULL: a Serf member's event */
};

/* Which event of which life of which member this is.  Serf passes events on byte for byte, so it arrives everywhere. */
struct ki_event_mark {
    uint64_t boot; /* of this life of the origin */
    uint64_t seq;  /* from 1 */
    uint64_t before; /* Lamport time of the event before it; 0: there was none */
    uint8_t flags; /* KI_EVENT_ */
    struct ki_span origin; /* 1..255 bytes */
};

#define KI_EVENT_CONFIRM 1   /* the origin wants to hear from each member that it has it */
#define KI_EVENT_KITH_ONLY 2 /* never passed to members of Serf's kind */
#define KI_EVENT_QUERY 4     /* its payload is a query, too large for a datagram */
#define KI_EVENT_MARK_MAX (8 + 8 + 8 + 1 + 255)

struct ki_serf_key_response {
    bool result;
    struct ki_span message;
    struct ki_span keys; /* encoded array of base64 strings; ptr NULL: none */
    struct ki_span primary;
};

struct ki_serf_relay { /* ip 4 or 16 bytes */
    struct ki_span ip;
    uint16_t port;
    struct ki_span name;
};

void ki_encode_serf_event(struct ki_pack *p, const struct ki_serf_event *msg);
bool ki_decode_serf_event(struct ki_reader *r, struct ki_serf_event *out);
size_t ki_encode_event_mark(uint8_t buf[KI_EVENT_MARK_MAX], const struct ki_event_mark *mark);
bool ki_decode_event_mark(struct ki_span bytes, struct ki_event_mark *out);

void ki_encode_serf_key_request(struct ki_pack *p, struct ki_span key); /* type 07 */
bool ki_decode_serf_key_request(struct ki_reader *r, struct ki_span *key);
void ki_encode_serf_key_response(struct ki_pack *p, const struct ki_serf_key_response *msg); /* type 08 */
bool ki_decode_serf_key_response(struct ki_reader *r, struct ki_serf_key_response *out);

/* What follows the header is a Serf message for somebody else: type and body. */
void ki_encode_serf_relay_front(struct ki_pack *p, const struct ki_serf_relay *msg); /* type 09 */
bool ki_decode_serf_relay(struct ki_reader *r, struct ki_serf_relay *out, struct ki_span *message);

/* A key as Serf writes it: base64.  `out` has room for KI_KEY_TEXT_MAX bytes; returns how many there are. */
#define KI_KEY_TEXT_MAX 44
size_t ki_key_text(struct ki_span key, uint8_t out[KI_KEY_TEXT_MAX]);
/* And back: 16, 24 or 32 bytes; 0: it is no key. */
size_t ki_key_from_text(struct ki_span text, uint8_t out[32]);

#endif
