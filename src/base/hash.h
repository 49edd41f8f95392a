/* SipHash-2-4 (Aumasson, Bernstein 2012): keyed, so that a peer cannot choose names that collide. */
#ifndef KI_HASH_H
#define KI_HASH_H

#include "base/base.h"

/* The words that hashes take in, the first byte lowest on any machine: of less than 8 bytes, */
static inline uint64_t ki_load_le(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* and of 8, spelled out: compilers make one load of it. */
static inline uint64_t ki_load_le8(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

uint64_t ki_siphash(const uint8_t key[16], const void *data, size_t len);
/* SipHash-1-3, about half the work: for maps that are asked several times for each write, where who attacks sees neither the
 * hash nor the time that a single question takes.  Never for what is sent or compared. */
uint64_t ki_siphash13(const uint8_t key[16], const void *data, size_t len);

/* Two independent numbers of one input, for whatever must not collide even by the billion. */
struct ki_hash128 {
    uint64_t first, second; /* in the order in which the reference writes them, each lowest byte first */
};

struct ki_hash128 ki_siphash128(const uint8_t key[16], const void *data, size_t len);

/* The same of bytes that come in pieces: begin, add, end. */
struct ki_hashing {
    uint64_t a, b, c, d;
    uint64_t tail; /* the bytes beyond the last whole word, the first lowest */
    uint64_t len;  /* so far */
};

struct ki_hashing ki_hashing_begin(const uint8_t key[16]);
void ki_hashing_add(struct ki_hashing *hashing, const void *data, size_t len);
struct ki_hash128 ki_hashing_end(const struct ki_hashing *hashing);

#endif
