/* SipHash-2-4, from the paper "SipHash: a fast short-input PRF" (Aumasson, Bernstein 2012), sec. 2:
 * four 64-bit words of state, two rounds for each 8 bytes of input, four to finish.
 *
 * The last word holds the remaining 0 to 7 bytes and, in its top byte, the length modulo 256, so
 * that no two inputs end in the same words.  All numbers are little-endian by definition; they are
 * put together byte by byte, so the machine's order does not matter.
 *
 * Deliberately not here: a hash without a key.  Whoever can choose names must not know where they go.
 */
#include "base/hash.h"

static uint64_t hash_load_le(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint64_t hash_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void hash_rounds(uint64_t v[4], unsigned count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[1] = hash_rotate(v[1], 13) ^ v[0];
        v[0] = hash_rotate(v[0], 32);
        v[2] += v[3];
        v[3] = hash_rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = hash_rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = hash_rotate(v[1], 17) ^ v[2];
        v[2] = hash_rotate(v[2], 32);
    }
}

static void hash_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    hash_rounds(v, 2);
    v[0] ^= word;
}

uint64_t ki_siphash(const uint8_t key[16], const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t k0 = hash_load_le(key, 8);
    uint64_t k1 = hash_load_le(key + 8, 8);
    /* "somepseudorandomlygeneratedbytes" */
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    uint64_t last = (uint64_t)len << 56;
    for (; len >= 8; len -= 8, at += 8)
        hash_word(v, hash_load_le(at, 8));
    hash_word(v, last | hash_load_le(at, len));
    v[2] ^= 0xff;
    hash_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
