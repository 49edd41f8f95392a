/* What members of kith's kind say to each other about folded queries, in messages of type 75 (PROTOCOL.md "Folded
 * queries").  Encoders write the type byte 75 and what follows. */
#ifndef KI_WIRE_FOLD_H
#define KI_WIRE_FOLD_H

#include "base/bytes.h"

#define KI_FOLD_TOP_MAX   32 /* of the largest answers, with whose they are */
#define KI_FOLD_NAMED_MAX 64 /* of the silent ones, who they are */
#define KI_FOLD_VALUE_MAX 1e140 /* of an answer, either way: squares of them, and sums of those, are doubles */
#define KI_FOLD_MEMBERS_MAX (1u << 24)
#define KI_FOLD_ACK_LEN (2 + 8 + 8)
#define KI_FOLD_REPLY_CAP(top) (2 + 8 + 8 + 4 * 5 + 5 * 8 + 1 + (top) * 16 + 1) /* bytes without any of the silent */

enum ki_fold_kind { /* 40 to 4f: of folded queries */
    KI_FOLD_ASK = 0x40,  /* what do you say, and what those behind you? */
    KI_FOLD_ACK = 0x41,  /* I am about it */
    KI_FOLD_REPLY = 0x42 /* this */
};

/* Members stand at positions on a circle that each query draws anew. */
uint64_t ki_fold_position(uint64_t id, struct ki_span member);

/* Who is asked speaks for itself and for those at the `span` positions behind it. */
struct ki_fold_ask {
    uint64_t id;            /* of the query: random */
    uint64_t ltime;         /* its Lamport time */
    uint64_t span;
    uint32_t left_ms;       /* how long an answer is waited for */
    uint8_t top;            /* KI_FOLD_TOP_MAX at most */
    struct ki_span asker;   /* 1 to 255 bytes: who wants to know */
    struct ki_span name;    /* 1 to 255 bytes */
    struct ki_span filters; /* encoded array (serf/filter.h); ptr NULL: none */
    struct ki_span payload;
};

struct ki_fold_place { /* an answer, and where who gave it stands */
    uint64_t position;
    double value;
};

/* What some members have said.  Made by aggregate/partial.h. */
struct ki_partial {
    uint32_t members;  /* how many these are: of those below, and such as the query is not for */
    uint32_t answers;  /* numbers */
    uint32_t unusable; /* answers that are no numbers */
    uint32_t silent;
    double sum, sum_low; /* together; the second is what the first is rounded by */
    double deviations;   /* squares of the differences to the average, together */
    double min, max;
    uint32_t top_count;  /* the largest first; of equal ones, that at the lower position */
    uint32_t named;
    struct ki_fold_place top[KI_FOLD_TOP_MAX];
    uint64_t silent_at[KI_FOLD_NAMED_MAX]; /* where silent ones stand, rising */
};

/* Bytes that it has at most, as it is and with any span and time left. */
static inline size_t ki_fold_ask_cap(const struct ki_fold_ask *msg)
{
    return 64 + msg->asker.len + msg->name.len + msg->filters.len + msg->payload.len;
}

void ki_encode_fold_ask(struct ki_writer *w, const struct ki_fold_ask *msg);
bool ki_decode_fold_ask(struct ki_reader *r, struct ki_fold_ask *msg); /* after the kind, as the others */
void ki_encode_fold_ack(struct ki_writer *w, uint64_t id, uint64_t span);
bool ki_decode_fold_ack(struct ki_reader *r, uint64_t *id, uint64_t *span);
/* Names as many of the silent as there is room for in w. */
void ki_encode_fold_reply(struct ki_writer *w, uint64_t id, uint64_t span, const struct ki_partial *partial);
/* What it gives is consistent: numbers are finite and within each other's bounds. */
bool ki_decode_fold_reply(struct ki_reader *r, uint64_t *id, uint64_t *span, struct ki_partial *partial);

#endif
