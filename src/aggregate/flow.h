/* Flow Updating between two neighbours (Jesus, Baquero, Almeida 2009), pairwise: averages over a pool that neither loss
 * nor doubling, reordering or failure can bias.  flow.c says by which rules. */
#ifndef KI_FLOW_H
#define KI_FLOW_H

#include "base/base.h"

#define KI_FLOW_WIDTH  3  /* x, its square, and 1 for who contributes */
#define KI_FLOW_BEHIND 64 /* numbers by which a late request may be behind the newest; beyond: its sender began anew */

/* What a schema allows: values lie in low..high, a flow in -most..most. */
struct ki_flow_range {
    double low[KI_FLOW_WIDTH], high[KI_FLOW_WIDTH], most[KI_FLOW_WIDTH];
};

/* What we keep of a neighbour; a cache line. */
struct ki_flow_row {
    double flow[KI_FLOW_WIDTH];     /* what has gone to it, less what has come from it */
    double estimate[KI_FLOW_WIDTH]; /* its own, as of the last exchange; 0 until known */
    uint32_t peer;                  /* who it is: the caller's */
    uint32_t asked;                 /* number of our last request */
    uint32_t heard;                 /* of its last one */
    bool is_waiting;                /* the request `asked` has not been answered */
    bool has_heard;                 /* `heard` is one */
    bool is_known;                  /* the estimate is one */
};

/* A node's side of it: its own value and a row for each neighbour.  A row that is removed gives its flow back. */
struct ki_flow {
    const struct ki_flow_range *range;
    const double *value; /* [KI_FLOW_WIDTH] */
    struct ki_flow_row *rows;
    uint32_t count;
};

/* A request, or a reply. */
struct ki_flow_message {
    uint32_t seq;
    double flow[KI_FLOW_WIDTH]; /* the sender's, of this pair */
    double estimate[KI_FLOW_WIDTH];
};

enum ki_flow_heard {
    KI_FLOW_TAKEN,
    KI_FLOW_AGAIN,  /* a request that we have answered: nothing has changed, and the reply is good */
    KI_FLOW_LATE,   /* older than what we have, or an answer to no question that is open: nothing has changed */
    KI_FLOW_REFUSED /* no number, or beyond the range: the row begins anew */
};

/* In: min, max  what may be contributed; finite, min < max. */
void ki_flow_range(double min, double max, struct ki_flow_range *out);
/* The vector of a member that contributes this value; one that does not has only zeros. */
void ki_flow_value(const struct ki_flow_range *range, double value, double out[KI_FLOW_WIDTH]);

struct ki_flow_row ki_flow_row(uint32_t peer); /* of a new neighbour */
/* Our estimate of the average over all. */
void ki_flow_estimate(const struct ki_flow *flow, double out[KI_FLOW_WIDTH]);

/* Asks a neighbour.  seq: rises with each request to it, modulo 2^32, lives and new rows included. */
struct ki_flow_message ki_flow_ask(const struct ki_flow *flow, struct ki_flow_row *row, uint32_t seq);
/* The same request once more, while the row is waiting. */
struct ki_flow_message ki_flow_ask_again(const struct ki_flow *flow, const struct ki_flow_row *row);
/* A neighbour asks.  Out: reply  when TAKEN or AGAIN. */
enum ki_flow_heard ki_flow_answer(const struct ki_flow *flow, struct ki_flow_row *row, const struct ki_flow_message *request,
                                  struct ki_flow_message *reply);
/* A neighbour has answered.  Never AGAIN. */
enum ki_flow_heard ki_flow_take(const struct ki_flow *flow, struct ki_flow_row *row, const struct ki_flow_message *reply);

#endif
