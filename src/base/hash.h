/* SipHash-2-4 (Aumasson, Bernstein 2012): keyed, so that a peer cannot choose names that collide. */
#ifndef KI_HASH_H
#define KI_HASH_H

#include "base/base.h"

uint64_t ki_siphash(const uint8_t key[16], const void *data, size_t len);

/* Two independent numbers of one input, for whatever must not collide even by the billion. */
struct ki_hash128 {
    uint64_t first, second; /* in the order in which the reference writes them, each lowest byte first */
};

struct ki_hash128 ki_siphash128(const uint8_t key[16], const void *data, size_t len);

#endif
