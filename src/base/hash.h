/* SipHash-2-4 (Aumasson, Bernstein 2012): keyed, so that a peer cannot choose names that collide. */
#ifndef KI_HASH_H
#define KI_HASH_H

#include "base/base.h"

/* The words that hashes take in, the first byte lowest on any machine.  Spelled out: compilers make one load of it. */
static inline uint64_t ki_load_le4(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static inline uint64_t ki_load_le8(const uint8_t *at)
{
    return ki_load_le4(at) | ki_load_le4(at + 4) << 32;
}

/* Of less than 8 bytes; two loads of 4 may overlap, and agree where they do. */
static inline uint64_t ki_load_le(const uint8_t *at, size_t len)
{
    if (len >= 4)
        return ki_load_le4(at) | ki_load_le4(at + len - 4) << 8 * (len - 4);
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* What is left of len bytes behind the last whole word of 8, 0 to 7 bytes that begin here: one load, with bytes that came
 * before. */
static inline uint64_t ki_load_le_rest(const uint8_t *at, size_t left, size_t len)
{
    if (len < 8)
        return ki_load_le(at, left);
    return left > 0 ? ki_load_le8(at + left - 8) >> (8 * (8 - left)) : 0;
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
