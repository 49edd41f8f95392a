/* The formulas that turn the size of the pool into times and counts (PROTOCOL.md "timing"; memberlist's rules).
 * n counts every member known, the dead included.  Times in microseconds. */
#ifndef KI_TIMING_H
#define KI_TIMING_H

#include "base/base.h"

/* How often one piece of news is sent: mult * ceil(log10(n + 1)). */
uint32_t ki_retransmit_limit(uint32_t mult, uint32_t n);
/* Shortest suspicion: mult * max(1, log10 n) * probe interval. */
uint64_t ki_suspicion_min_us(uint32_t mult, uint32_t n, uint64_t probe_interval_us);
/* Period of full exchanges: the interval up to 32 members, one more for each doubling beyond. */
uint64_t ki_push_pull_us(uint64_t interval_us, uint32_t n);
/* How long a helper waits for its ping before it says nack: so early that the nack still reaches the prober before
 * its verdict (Lifeguard section IV.A sends it at 80 % of the time left; memberlist waits a whole probe timeout). */
uint64_t ki_nack_wait_us(uint64_t probe_interval_us, uint64_t probe_timeout_us);

#endif
