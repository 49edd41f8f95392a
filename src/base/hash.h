/* SipHash-2-4 (Aumasson, Bernstein 2012): keyed, so that a peer cannot choose names that collide. */
#ifndef KI_HASH_H
#define KI_HASH_H

#include "base/base.h"

uint64_t ki_siphash(const uint8_t key[16], const void *data, size_t len);

#endif
