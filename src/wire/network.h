/* What neighbours say to each other about an aggregate that is computed in the network (PROTOCOL.md "Aggregates in the
 * network"), in messages of type 75.  Encoders write the type byte 75 and what follows. */
#ifndef KI_WIRE_NETWORK_H
#define KI_WIRE_NETWORK_H

#include "base/bytes.h"

enum ki_network_kind { /* 38 to 3f: of aggregates, 30 to 37 being the exact engine's */
    KI_NETWORK_REQUEST = 0x38, /* my flow to you, and my estimate */
    KI_NETWORK_REPLY = 0x39,   /* mine to you, now that we agree */
    KI_NETWORK_CLAIMS = 0x3a   /* claims alone */
};

#define KI_NETWORK_WIDTH 3
#define KI_NETWORK_SCHEMA_MAX 255
#define KI_NETWORK_CLAIM_MAX (1 + 255 + 8 + 10 + 1 + 8)
#define KI_NETWORK_FRONT_MAX (2 + 8 + 4 + 3 + 1 + KI_NETWORK_SCHEMA_MAX + 10 + 10 + 4 + 10 + 8 + 4 + 6 * 8)

/* All but the claims. */
struct ki_network_front {
    uint64_t id;           /* of the schema */
    uint32_t run;          /* of the sender, never 0: what it tells of its changes is about it */
    uint16_t lease_s;      /* for how long somebody wants it computed, as far as the sender knows */
    struct ki_span schema; /* its bytes; none: the receiver has said something about it before */
    uint64_t base, upto;   /* these are the sender's changes behind `base` up to `upto`; base <= upto */
    uint32_t heard_run;    /* the receiver's run of which the sender has all changes; 0: of none */
    uint64_t heard;        /* up to this one */
    uint64_t digest;       /* of all of the sender's claims */
    uint32_t seq;          /* REQUEST, REPLY: and what is in ki_flow_message */
    double flow[KI_NETWORK_WIDTH], estimate[KI_NETWORK_WIDTH];
};

/* What an owner says of itself. */
struct ki_network_claim {
    struct ki_span name; /* 1 to 255 bytes */
    uint64_t generation, version;
    double value;        /* any bits; 0 if it is cleared */
    bool cleared;
};

void ki_encode_network_front(struct ki_writer *w, enum ki_network_kind kind, const struct ki_network_front *front);
bool ki_decode_network_front(struct ki_reader *r, enum ki_network_kind kind, struct ki_network_front *front);
/* Behind the front, until the end. */
void ki_encode_network_claim(struct ki_writer *w, const struct ki_network_claim *claim);
bool ki_decode_network_claim(struct ki_reader *r, struct ki_network_claim *claim); /* false: malformed */

#endif
