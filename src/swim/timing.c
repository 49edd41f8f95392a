/* Formulas of the protocol's times and counts: pure, integer, one a function.
 *
 * They are memberlist's, so that a mixed pool agrees on how long a suspicion lasts and how often news is repeated; the
 * table of PROTOCOL.md "timing" is their test.  Only the nack wait differs, on purpose: memberlist's nack comes after
 * the verdict that it should inform.
 * Deliberately not here: local health, which scales intervals and timeouts where they are used (node/tick.c). */
#include "swim/timing.h"

#include "base/ilog.h"

uint32_t ki_retransmit_limit(uint32_t mult, uint32_t n)
{
    return mult * ki_log10_ceil((uint64_t)n + 1);
}

uint64_t ki_suspicion_min_us(uint32_t mult, uint32_t n, uint64_t probe_interval_us)
{
    uint64_t scale_milli = ki_max_u64(1000, ki_log10_milli(n));
    return mult * scale_milli * probe_interval_us / 1000;
}

uint64_t ki_push_pull_us(uint64_t interval_us, uint32_t n)
{
    const uint32_t threshold_log2 = 5; /* 32 members */
    uint32_t bits = ki_log2_ceil(n);
    return bits <= threshold_log2 ? interval_us : interval_us * (bits - threshold_log2 + 1);
}

uint64_t ki_nack_wait_us(uint64_t probe_interval_us, uint64_t probe_timeout_us)
{
    uint64_t left_us = probe_interval_us > probe_timeout_us ? probe_interval_us - probe_timeout_us : 0;
    return ki_min_u64(probe_timeout_us, left_us * 8 / 10);
}
