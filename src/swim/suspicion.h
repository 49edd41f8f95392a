/* One suspicion: a timer that confirmations from others shorten (Lifeguard section IV.B, "LHA-Suspicion"). */
#ifndef KI_SUSPICION_H
#define KI_SUSPICION_H

#include "base/base.h"

#define KI_CONFIRMERS_MAX 30 /* distinct accusers remembered; suspicion_mult - 2 is capped to it */

struct ki_suspicion {
    uint64_t start_us;
    uint64_t min_us, max_us; /* durations */
    uint64_t again_us;       /* while it is open (see below): when its subject is to be probed once more */
    uint64_t refused_us;     /* when a round of probes began that many found refused; UINT64_MAX: none */
    bool over;               /* and another one, an interval later */
    uint32_t needed;         /* confirmations that bring the timer down to min */
    uint32_t confirmed;
    uint64_t accuser;                       /* hash of who accused first: it cannot confirm */
    uint64_t confirmers[KI_CONFIRMERS_MAX]; /* hashes of who confirmed */
};

/* n: members known.  needed = mult - 2, or 0 when the pool is too small to have so many others. */
void ki_suspicion_start(struct ki_suspicion *s, uint64_t now_us, uint64_t min_us, uint32_t max_mult, uint32_t mult,
                        uint32_t n, uint64_t accuser_hash);
/* Returns true when this accuser is a new confirmation: pass the news on. */
bool ki_suspicion_confirm(struct ki_suspicion *s, uint64_t accuser_hash);
/* True when its subject is to be probed once more: confirmations are still missing after its shortest time, or again so long
 * after the last yes; or one round was refused, and the second is due. */
bool ki_suspicion_open(struct ki_suspicion *s, uint64_t now_us);
/* A round of probes that began then was refused, and others agreed (node/refusal.c).  The second, begun gap_us after the
 * first or later, ends the suspicion. */
void ki_suspicion_refused(struct ki_suspicion *s, uint64_t began_us, uint64_t gap_us);
/* Somebody answers there, or we have slept: refusals are to be found anew. */
void ki_suspicion_answered(struct ki_suspicion *s);
/* When it ends. */
uint64_t ki_suspicion_deadline_us(const struct ki_suspicion *s);

#endif
