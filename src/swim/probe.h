/* One round of failure detection (SWIM section 3.1): a ping, then helpers and a stream ping, then a verdict. */
#ifndef KI_PROBE_H
#define KI_PROBE_H

#include "base/base.h"

enum ki_probe_state { KI_PROBE_IDLE, KI_PROBE_DIRECT, KI_PROBE_INDIRECT };

enum ki_probe_input {
    KI_PROBE_START,
    KI_PROBE_ACK,     /* direct, relayed or by stream */
    KI_PROBE_REFUSED, /* the operating system says nobody listens there */
    KI_PROBE_AGREED,  /* and it has said the same to enough others */
    KI_PROBE_TIME     /* the deadline has come */
};

enum ki_probe_act {
    KI_PROBE_NOTHING,
    KI_PROBE_PING,     /* send the direct ping */
    KI_PROBE_ASK,      /* ask helpers, and try a stream */
    KI_PROBE_ALIVE,    /* verdict */
    KI_PROBE_SUSPECT,  /* verdict */
    KI_PROBE_GONE      /* verdict: not silent, but refused */
};

struct ki_probe {
    enum ki_probe_state state;
    uint64_t started_us;
    uint64_t deadline_us; /* UINT64_MAX when idle */
    uint64_t timeout_us;  /* of the direct ping, from the start */
    uint64_t interval_us; /* of the round, from the start; above timeout_us */
    uint64_t help_us;     /* what helpers get at least, even when our own timer ran late */
};

void ki_probe_init(struct ki_probe *p);
enum ki_probe_act ki_probe_step(struct ki_probe *p, enum ki_probe_input input, uint64_t now_us);

#endif
