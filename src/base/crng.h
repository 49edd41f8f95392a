/* The cryptographic generator: ChaCha20 keyed by the instance's seed (RFC 8439 block function, from
 * nettle).  Gives nonces, sequence numbers and hash keys.  Two instances with one seed give the same
 * stream: a seed is used once. */
#ifndef KI_CRNG_H
#define KI_CRNG_H

#include <nettle/chacha.h>

#include "base/base.h"

struct ki_crng {
    struct chacha_ctx chacha;
    uint8_t block[64];
    size_t used; /* bytes of block already given */
};

void ki_crng_init(struct ki_crng *crng, const uint8_t seed[32]);
void ki_crng_fill(struct ki_crng *crng, void *out, size_t len);
uint64_t ki_crng_u64(struct ki_crng *crng); /* the next 8 bytes, little-endian */

#endif
