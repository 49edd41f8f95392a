/* SipHash-2-4, from the paper "SipHash: a fast short-input PRF" (Aumasson, Bernstein 2012), sec. 2:
 * four 64-bit words of state, two rounds for each 8 bytes of input, four to finish.
 * The form with 128 bits is that of the authors' reference code: it begins with another constant, so that it shares no
 * number with the short form, and after the first half come four more rounds.
 *
 * The last word holds the remaining 0 to 7 bytes and, in its top byte, the length modulo 256, so
 * that no two inputs end in the same words.  All numbers are little-endian by definition; they are
 * put together byte by byte, so the machine's order does not matter.
 *
 * Deliberately not here: a hash without a key.  Whoever can choose names must not know where they go.
 */
#include "base/hash.h"

static uint64_t hash_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* The state in four variables, so that it stays in registers. */
struct hash_state {
    uint64_t a, b, c, d;
};

static inline struct hash_state hash_round(struct hash_state v)
{
    v.a += v.b;
    v.c += v.d;
    v.b = hash_rotate(v.b, 13) ^ v.a;
    v.d = hash_rotate(v.d, 16) ^ v.c;
    v.a = hash_rotate(v.a, 32);
    v.c += v.b;
    v.a += v.d;
    v.b = hash_rotate(v.b, 17) ^ v.c;
    v.d = hash_rotate(v.d, 21) ^ v.a;
    v.c = hash_rotate(v.c, 32);
    return v;
}

static inline struct hash_state hash_word(struct hash_state v, uint64_t word)
{
    v.d ^= word;
    v = hash_round(hash_round(v));
    v.a ^= word;
    return v;
}

/* "somepseudorandomlygeneratedbytes" */
static inline struct hash_state hash_begin(const uint8_t key[16])
{
    uint64_t k0 = ki_load_le8(key);
    uint64_t k1 = ki_load_le8(key + 8);
    return (struct hash_state){k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                               k1 ^ 0x7465646279746573};
}

/* The last word: what is left of the input, and its length. */
static inline uint64_t hash_last(const uint8_t *at, size_t left, size_t len)
{
    return (uint64_t)len << 56 | ki_load_le_rest(at, left, len);
}

static inline struct hash_state hash_input(struct hash_state v, const uint8_t *at, size_t len)
{
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8)
        v = hash_word(v, ki_load_le8(at));
    return hash_word(v, hash_last(at, left, len));
}

static inline struct hash_state hash_four_rounds(struct hash_state v)
{
    return hash_round(hash_round(hash_round(hash_round(v))));
}

uint64_t ki_siphash(const uint8_t key[16], const void *data, size_t len)
{
    struct hash_state v = hash_input(hash_begin(key), data, len);
    v.c ^= 0xff;
    v = hash_four_rounds(v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t ki_siphash13(const uint8_t key[16], const void *data, size_t len)
{
    struct hash_state v = hash_begin(key);
    const uint8_t *at = data;
    size_t left = len;
    uint64_t word;
    for (; left >= 8; left -= 8, at += 8) {
        word = ki_load_le8(at);
        v.d ^= word;
        v = hash_round(v);
        v.a ^= word;
    }
    word = hash_last(at, left, len);
    v.d ^= word;
    v = hash_round(v);
    v.a ^= word;
    v.c ^= 0xff;
    v = hash_round(hash_round(hash_round(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

static struct ki_hash128 hash_end128(struct hash_state v)
{
    v.c ^= 0xee;
    v = hash_four_rounds(v);
    struct ki_hash128 hash = {.first = v.a ^ v.b ^ v.c ^ v.d};
    v.b ^= 0xdd;
    v = hash_four_rounds(v);
    hash.second = v.a ^ v.b ^ v.c ^ v.d;
    return hash;
}

struct ki_hash128 ki_siphash128(const uint8_t key[16], const void *data, size_t len)
{
    struct hash_state v = hash_begin(key);
    v.b ^= 0xee;
    return hash_end128(hash_input(v, data, len));
}

/* ---- in pieces ---- */

struct ki_hashing ki_hashing_begin(const uint8_t key[16])
{
    struct hash_state v = hash_begin(key);
    return (struct ki_hashing){.a = v.a, .b = v.b ^ 0xee, .c = v.c, .d = v.d};
}

void ki_hashing_add(struct ki_hashing *hashing, const void *data, size_t len)
{
    struct hash_state v = {hashing->a, hashing->b, hashing->c, hashing->d};
    const uint8_t *at = data;
    size_t filled = (size_t)(hashing->len & 7);
    hashing->len += len;
    for (; len > 0 && filled > 0; len--, at++) {
        hashing->tail |= (uint64_t)*at << 8 * filled;
        filled = (filled + 1) & 7;
        if (filled == 0) {
            v = hash_word(v, hashing->tail);
            hashing->tail = 0;
        }
    }
    for (; len >= 8; len -= 8, at += 8)
        v = hash_word(v, ki_load_le8(at));
    if (len > 0)
        hashing->tail = ki_load_le(at, len);
    hashing->a = v.a;
    hashing->b = v.b;
    hashing->c = v.c;
    hashing->d = v.d;
}

struct ki_hash128 ki_hashing_end(const struct ki_hashing *hashing)
{
    struct hash_state v = {hashing->a, hashing->b, hashing->c, hashing->d};
    return hash_end128(hash_word(v, hashing->len << 56 | hashing->tail));
}
